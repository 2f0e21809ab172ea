//! The laboratory: a network of one's own, and traffic whose every byte and fault is known.
//!
//! For `wiretape demo`, the hidden `wiretape gen`, tests and benchmarks; a capture never
//! needs it. Everything is deterministic from a seed; what was sent is counted exactly.

pub mod answers;
pub mod capture_file;
pub mod fault;
mod flow;
pub mod frame;
pub mod r#gen;
pub mod generate;
mod line;
pub mod market;
pub mod net;
mod outbox;
pub mod plain;
pub mod plan;
pub mod random;
pub mod rhythm;
pub mod send;
