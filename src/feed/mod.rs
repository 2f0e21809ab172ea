//! Market-data feeds: how their datagrams are framed and numbered, what their messages are, the
//! sequence space of one stream, and what an operator says of a feed. One protocol a file.
//!
//! Pure: bytes in, values out; what a tracker answers depends on the packets it was given and
//! on nothing else, so a replay answers what the live capture did. Nothing here panics on
//! any input or allocates per packet. `docs/validation.md` states the rules.

pub mod config;
pub mod frame;
pub mod iex;
pub mod iextp;
pub mod itch50;
pub mod mdp3;
pub mod moldudp64;
pub mod pitch;
pub mod protocol;
pub mod sequence;
pub mod sequenced;

pub use config::{FeedConfig, Limits, LineConfig, Severity};
pub use frame::{Frame, Space};
pub use protocol::{FeedProtocol, MessageKind, Protocol};
