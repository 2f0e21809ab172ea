//! What both kinds of ring keep beside their mapping, and do alike.

use super::WaitMode;
use super::filter;
use super::stats::{Counters, Drain};
use crate::capture::SourceError;
use crate::packet::Loss;
use crate::sys::clock;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::ring_map::Taker;
use std::time::Duration;

/// Looks at the next unit's status word in one `wait` in spin mode: some microseconds in all, so that a stop request
/// is soon seen, and long enough that the loop's other business between two waits (notes, clock, stop flag: about
/// 0.1 µs) seldom stands between a packet and its capture.
const LOOKS_PER_WAIT: u32 = 256;

/// What both kinds of ring keep beside the mapping.
#[derive(Debug)]
pub(super) struct Common {
    pub socket: PacketSocket,
    pub interface: String,
    pub wait: WaitMode,
    pub next_unit: u32,
    pub counters: Counters,
    pub drain: Drain,
}

impl Common {
    /// Spins until the next unit is filled, for some microseconds at most, or polls. A link that is down is no
    /// error: it may come back.
    #[inline]
    pub(super) fn wait(&self, taker: &Taker<'_>, max: Duration) -> Result<(), SourceError> {
        match self.wait {
            WaitMode::Spin => {
                taker.spin(self.next_unit, LOOKS_PER_WAIT);
                Ok(())
            }
            WaitMode::Poll => self.socket.poll(max).map(drop).map_err(|error| SourceError::Io {
                what: format!("{}: waiting for packets", self.interface),
                error,
            }),
        }
    }

    /// Reads the kernel's counters and answers what no lease has carried.
    pub(super) fn tick(&mut self) -> Option<Loss> {
        self.counters.read(&self.socket);
        self.counters.note().at(clock::realtime_ns())
    }

    pub(super) fn stop_intake(&mut self) {
        if !self.drain.has_begun() {
            // It cannot fail for a reason but memory; then the drain ends by its patience.
            let _ = filter::reject_all(&self.socket);
            self.drain.begin(clock::monotonic_ns());
        }
    }

    /// See [`Drain::is_over`].
    pub(super) fn drain_is_over(&mut self, grace_ns: u64) -> bool {
        self.drain.is_over(&mut self.counters, &self.socket, clock::monotonic_ns(), grace_ns)
    }
}
