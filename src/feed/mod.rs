//! Market-data framing and sequence: MoldUDP64, the message layouts of TotalView-ITCH 5.0, and
//! the sequence space of one stream.
//!
//! Pure: bytes in, values out; what a tracker answers depends on the packets it was given and
//! on nothing else, so a replay answers what the live capture did. Nothing here panics on
//! any input or allocates per packet. `docs/validation.md` states the rules.

pub mod itch50;
pub mod moldudp64;
pub mod sequence;
