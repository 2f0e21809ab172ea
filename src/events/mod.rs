//! Events: the tape's packets made into normalized records, feed by feed.
//!
//! [`Room`](room::Room) takes what stands on tape, in the tape's merged order, and nothing else: no wall clock, no thread, no
//! configuration beyond what the journal records. So the events that are written while a capture runs (by a thread that
//! follows the journal) and those that are made again years later are the same bytes.
//!
//! `record on tape → line → arbitration (room, lines) → normalizer (one a protocol) → output (DBN records, side rows)`

mod arbiter;
mod candidate;
mod desk;
mod epoch;
mod feed;
pub mod follow;
mod hold;
mod ledger;
mod lines;
pub mod normalize;
pub mod output;
mod race;
pub mod report;
pub mod room;
pub mod rules;
mod seen;
pub mod side;
pub mod spread;
pub mod tape;
pub mod timing;

#[cfg(test)]
mod tests;
