//! The journal: segments of standard pcapng that a crash cannot falsify.
//!
//! One [`Writer`](writer) a queue appends; the keeper prepares, syncs, seals and
//! deletes; any number of readers follow without locks. Knows nothing of who
//! validates or why. The format is described in `docs/journal-format.md`.

mod ahead;
mod behind;
pub mod format;
pub mod index;
pub mod keeper;
pub mod manifest;
pub mod open;
pub mod options;
pub mod reader;
pub mod recover;
mod segment;
mod shared;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod writer;

pub use behind::DURABLE_FILE_NAME;
pub use keeper::{Durable, Keeper, KeeperHandle, KeeperReport, KeeperStats};
pub use open::{CaptureEntry, Description, Journal};
pub use options::{Fingerprint, JournalError, JournalOptions, OnFull};
pub use recover::{Recovered, Recovery};
pub use shared::State;
pub use writer::{Append, Writer};

use crate::clock::ClockReading;
use crate::packet::Loss;

/// A fact about the capture itself, which stands on tape among the packets it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Packets were lost.
    Loss(Loss),
    /// The clocks, read together, once a second.
    Clock(ClockReading),
    /// Something an operator would want to read beside the packets.
    Event(Event),
}

/// An event on tape: what happened, when, and a sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `CLOCK_REALTIME`, ns since the Unix epoch.
    pub at_ns: u64,
    /// Which kind.
    pub kind: EventKind,
    /// A kind's number: ns of a clock step, level of the ladder, milliseconds of a stall. 0 if it has none.
    pub value: i64,
    /// A sentence for people; at most [`Event::MAX_TEXT_BYTES`] of UTF-8 are kept.
    pub text: String,
}

impl Event {
    /// Longest text that is kept, bytes.
    pub const MAX_TEXT_BYTES: usize = 1024;
}

/// The kinds of events. An integer newtype because it is read back from tape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EventKind(pub u16);

impl EventKind {
    /// The capture began.
    pub const START: Self = Self(1);
    /// The capture ended; the text says why.
    pub const STOP: Self = Self(2);
    /// An interface went down or away; the text says which.
    pub const LINK_DOWN: Self = Self(3);
    /// An interface came (back) up.
    pub const LINK_UP: Self = Self(4);
    /// `CLOCK_REALTIME` was stepped; `value` is by how many ns.
    pub const CLOCK_STEP: Self = Self(5);
    /// The degradation ladder moved; `value` is the new level.
    pub const DEGRADED: Self = Self(6);
    /// The worker or keeper stalled; `value` is for how many ms.
    pub const STALL: Self = Self(7);
    /// A warning that fits no other kind (merged datagrams, stamps missing, …).
    pub const WARNING: Self = Self(8);

    /// The word used in reports and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::START => "start",
            Self::STOP => "stop",
            Self::LINK_DOWN => "link-down",
            Self::LINK_UP => "link-up",
            Self::CLOCK_STEP => "clock-step",
            Self::DEGRADED => "degraded",
            Self::STALL => "stall",
            Self::WARNING => "warning",
            _ => "unknown",
        }
    }
}
