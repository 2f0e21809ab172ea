//! The event tape that is written live is the one that `tape decode` makes, to the last byte: through the whole pipeline, with
//! loss, reordering and skew between lines, over one queue and two, after kills, on a full disk.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod crash;
mod live;
mod made;
mod python;
mod same;
