//! The analysis program.
fn main() {}
