//! The bodies of the analysis program's tools: checked options in, text or JSON out.
//!
//! They read finished or live journals through [`crate::journal::reader`], write data to one
//! stream and remarks to another, and never need privilege. A tool answers
//! `Result<Outcome, TapeError>`, from which the program makes its exit code.

pub mod books;
pub mod bursts;
pub mod decode;
#[cfg(feature = "tape")]
pub mod event_export;
pub mod event_files;
pub mod event_source;
pub mod events;
pub mod export;
pub mod extract;
pub mod feeds;
pub mod follow;
pub mod gaps;
mod gathered;
pub mod hex;
pub mod hist;
mod hlog;
mod in_order;
pub mod info;
pub mod input;
pub mod json;
pub mod latency;
pub mod loss;
pub mod outcome;
pub mod pcapng_out;
pub mod print;
pub mod range;
pub mod read;
pub mod select;
pub mod streams;
pub mod verify;
pub mod when;
pub mod words;
