//! What the kernel dropped: the one reader of `PACKET_STATISTICS`.
//!
//! Always true: reading clears the kernel's counters, so they are read here and
//! nowhere else, and summed into 64 bits; `received` includes the dropped ones, as
//! the kernel's `tp_packets` does. Every drop that is read leaves as exactly one
//! [`Loss`]: with the next lease if it was read while taking one, else by `tick`.

use crate::capture::SourceCounts;
use crate::packet::{Loss, LossPlace};
use crate::sys::packet_socket::PacketSocket;

/// A loss on a lease, small: it ends when the lease was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LossNote {
    packets: u64,
    from_ns: u64,
}

impl LossNote {
    /// How many.
    pub(super) const fn packets(self) -> u64 {
        self.packets
    }

    /// The whole fact, if there is one.
    pub(super) fn at(self, taken_ns: u64) -> Option<Loss> {
        (self.packets > 0).then_some(Loss {
            place: LossPlace::RING,
            packets: self.packets,
            from_ns: self.from_ns,
            to_ns: taken_ns.max(self.from_ns),
        })
    }
}

/// The counters of one ring, kept across the sources that were made of it.
#[derive(Debug, Default)]
pub(super) struct Counters {
    counts: SourceCounts,
    /// Drops that were read and not yet told.
    untold: u64,
    /// Since when they may have happened: the stamp of the last good packet before they were read.
    untold_from_ns: u64,
    /// Packets handed out.
    handed_out: u64,
    /// Stamp (system clock) of the last packet taken.
    last_good_ns: u64,
}

impl Counters {
    /// Reads the kernel's counters. A read that fails loses nothing: they go on counting.
    pub(super) fn read(&mut self, socket: &PacketSocket) {
        let Ok(read) = socket.statistics() else { return };
        self.counts.received += u64::from(read.packets);
        self.counts.ring_dropped += u64::from(read.drops);
        self.counts.ring_freezes += u64::from(read.freezes);
        if read.drops > 0 {
            if self.untold == 0 {
                self.untold_from_ns = self.last_good_ns;
            }
            self.untold += u64::from(read.drops);
        }
    }

    /// Takes what is untold, for a lease.
    pub(super) const fn note(&mut self) -> LossNote {
        let note = LossNote { packets: self.untold, from_ns: self.untold_from_ns };
        self.untold = 0;
        note
    }

    /// Counts a lease of `packets`, the last of them stamped `last_ns` (0 = not known).
    pub(super) const fn handed_out(&mut self, packets: u64, last_ns: u64) {
        self.handed_out += packets;
        if last_ns != 0 {
            self.last_good_ns = last_ns;
        }
    }

    /// What was counted.
    pub(super) const fn counts(&self) -> SourceCounts {
        self.counts
    }

    /// True once every packet that the kernel counted was handed out or dropped.
    pub(super) const fn is_balanced(&self) -> bool {
        self.counts.received == self.handed_out + self.counts.ring_dropped
    }
}

/// How a source ends: after the intake was stopped, the ring is drained until nothing can come any more.
#[derive(Debug, Default)]
pub(super) struct Drain {
    stopped_at_ns: Option<u64>,
    ended: bool,
}

/// Longest wait for a packet that the kernel counted but has not published, ns.
const PATIENCE_NS: u64 = 1_000_000_000;

impl Drain {
    /// The intake was stopped at `now_ns` (monotonic).
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.stopped_at_ns.get_or_insert(now_ns);
    }

    /// True if the intake was stopped.
    pub(super) const fn has_begun(&self) -> bool {
        self.stopped_at_ns.is_some()
    }

    /// Asked when the ring was found empty after the stop: true at the end. A delivery that had passed the old
    /// filter may still be under way, so the ring must be empty after `grace_ns`, and the kernel's count must be
    /// balanced (it counts a packet before it publishes it).
    pub(super) fn is_over(
        &mut self,
        counters: &mut Counters,
        socket: &PacketSocket,
        now_ns: u64,
        grace_ns: u64,
    ) -> bool {
        let Some(stopped_at_ns) = self.stopped_at_ns else { return false };
        let waited_ns = now_ns.saturating_sub(stopped_at_ns);
        if self.ended {
            return true;
        }
        if waited_ns < grace_ns {
            return false;
        }
        counters.read(socket);
        self.ended = counters.is_balanced() || waited_ns >= PATIENCE_NS;
        self.ended
    }
}
