//! Playing packets again: when each one is due, waiting for that moment, sending, and saying how well it went.
//!
//! [`schedule`] computes due times (pure arithmetic from one anchor, so that error never adds up), [`pacing`]
//! waits for them, [`senders`] put bytes on a wire, and a [`Player`] ties the three together and counts.
//! Generic over the clock and the sender, so that tests run hours in milliseconds of virtual time.
//!
//! May touch: sockets through `sys`, the clock. Memory is bounded: one packet is looked at, at a time (a batch
//! of 64 at top speed), and nothing is allocated per packet. A packet that cannot be sent is counted with the
//! reason and the rest goes on; only a socket that fails for good ends a replay.

mod batch;
pub mod datagram;
pub mod pacing;
pub mod player;
pub mod report;
pub mod schedule;
pub mod senders;

pub use pacing::{PacingClock, Waiter};
pub use player::{Player, PlayerOptions};
pub use report::ReplayReport;
pub use schedule::{Pace, Schedule};
pub use senders::{InterfaceSender, SendError, Sender, Sent, UdpDestination, UdpSender};
