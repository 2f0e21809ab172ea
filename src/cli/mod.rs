//! The command lines of both programs: definitions, help, and the one place where raw words become checked options.
//!
//! A definition (`clap`) knows nothing of the work; a checked option knows nothing of the words. Mistakes are
//! answered with the word that is wrong and what would be right, and with exit code 2.

pub mod common;
pub mod engine;
#[cfg(feature = "tape")]
pub mod generate;
#[cfg(feature = "tape")]
pub mod tape;
