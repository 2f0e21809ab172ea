//! Events: the tape's packets made into normalized records, feed by feed.
//!
//! [`Room`](room::Room) takes what stands on tape, in the tape's merged order, and nothing else: no wall clock, no thread, no
//! configuration beyond what the journal records. So the events that are written while a capture runs (by a thread that
//! follows the journal) and those that are made again years later are the same bytes.
//!
//! `record on tape → line → arbitration (room, lines) → normalizer (one a protocol) → output (DBN records, side rows)`

pub mod follow;
pub mod normalize;
pub mod output;
pub mod room;
pub mod rules;
pub mod side;
pub mod spread;
pub mod tape;
pub mod timing;
