//! `TPACKET_V2`, the latency mode: one lease a frame, ready the moment the kernel
//! has written it.

use super::common::Common;
use super::stats::LossNote;
use super::walk::{self, RESTORED, WalkRules};
use crate::capture::{Lease, Source, SourceCounts, SourceError, Take, Walked};
use crate::packet::{Loss, Packet};
use crate::sys::clock;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::ring_map::{RingMap, Taker, Unit};
use crate::sys::tpacket;
use std::ops::ControlFlow;
use std::time::Duration;

/// How long after the intake was stopped a delivery may still be under way, ns.
const GRACE_NS: u64 = 5_000_000;

/// A ring of frames: socket, mapping, and where reading stands.
#[derive(Debug)]
pub struct RingV2 {
    map: RingMap,
    rules: WalkRules,
    common: Common,
}

impl RingV2 {
    pub(super) const fn new(map: RingMap, rules: WalkRules, common: Common) -> Self {
        Self { map, rules, common }
    }

    pub(super) const fn socket(&self) -> &PacketSocket {
        &self.common.socket
    }

    /// The source of this ring. Its leases keep the ring borrowed, so there is one source and one reader at a
    /// time, and nothing outlives the mapping:
    /// ```compile_fail,E0499
    /// use wiretape::capture::af_packet::RingV2;
    /// fn two(ring: &mut RingV2) {
    ///     let one = ring.source();
    ///     let two = ring.source();
    ///     drop((one, two));
    /// }
    /// ```
    /// ```compile_fail,E0505
    /// use wiretape::capture::{Source, Take, af_packet::RingV2};
    /// fn outlive(mut ring: RingV2) {
    ///     let lease = ring.source().take();
    ///     drop(ring);
    ///     drop(lease);
    /// }
    /// ```
    /// ```compile_fail,E0382
    /// use wiretape::capture::{Lease, Source, Take, af_packet::RingV2};
    /// fn after_return(ring: &mut RingV2) {
    ///     if let Ok(Take::Lease(mut lease)) = ring.source().take() {
    ///         drop(lease);
    ///         lease.walk(|_| std::ops::ControlFlow::Continue(()));
    ///     }
    /// }
    /// ```
    pub fn source(&mut self) -> SourceV2<'_> {
        let units = self.map.layout().units();
        SourceV2 { taker: self.map.taker(), units, rules: &self.rules, common: &mut self.common }
    }
}

/// Takes frames. Owned by one capture thread.
#[derive(Debug)]
pub struct SourceV2<'r> {
    taker: Taker<'r>,
    units: u32,
    rules: &'r WalkRules,
    common: &'r mut Common,
}

/// A frame, to be read until it is dropped.
#[derive(Debug)]
pub struct FrameLease<'r> {
    unit: Unit<'r>,
    taken_ns: u64,
    loss: LossNote,
    rules: &'r WalkRules,
}

const _: () = assert!(size_of::<FrameLease<'static>>() <= 48, "leases travel through a ring by value");

impl<'r> Source for SourceV2<'r> {
    type Lease = FrameLease<'r>;

    #[inline]
    fn take(&mut self) -> Result<Take<FrameLease<'r>>, SourceError> {
        let Some(mut unit) = self.taker.try_take(self.common.next_unit) else {
            return Ok(self.idle());
        };
        self.common.next_unit += 1;
        if self.common.next_unit == self.units {
            self.common.next_unit = 0;
        }
        let status = unit.status();
        if status & libc::TP_STATUS_LOSING != 0 {
            self.common.counters.read(&self.common.socket);
        }
        let loss = self.common.counters.note();
        let taken_ns = clock::realtime_ns();
        let last_ns = tpacket::read_v2(unit.body(), status)
            .and_then(|header| walk::system_stamp_ns(&header))
            .unwrap_or(taken_ns);
        self.common.counters.handed_out(1, last_ns);
        Ok(Take::Lease(FrameLease { unit, taken_ns, loss, rules: self.rules }))
    }

    fn wait(&mut self, max: Duration) -> Result<(), SourceError> {
        self.common.wait(&self.taker, max)
    }

    fn tick(&mut self) -> Option<Loss> {
        self.common.tick()
    }

    fn stop_intake(&mut self) {
        self.common.stop_intake();
    }

    fn counts(&self) -> SourceCounts {
        self.common.counters.counts()
    }

    fn under_pressure(&self) -> bool {
        let middle = (self.common.next_unit + self.units / 2) % self.units;
        self.taker.peek(middle) & libc::TP_STATUS_USER != 0
    }

    fn can_wait(&self) -> bool {
        false
    }
}

impl<'r> SourceV2<'r> {
    fn idle(&mut self) -> Take<FrameLease<'r>> {
        if !self.common.drain.has_begun() {
            return Take::Idle;
        }
        if self.common.drain_is_over(GRACE_NS) { Take::End } else { Take::Idle }
    }
}

impl Lease for FrameLease<'_> {
    fn taken_ns(&self) -> u64 {
        self.taken_ns
    }

    fn loss(&self) -> Option<Loss> {
        self.loss.at(self.taken_ns)
    }

    fn walk(&mut self, mut each: impl FnMut(Packet<'_>) -> ControlFlow<()>) -> Walked {
        let unreadable = Walked { packets: 0, unreadable: 1 };
        let skipped = self.unit.body_offset();
        let status = self.unit.status();
        let body = self.unit.body();
        let Some(header) = tpacket::read_v2(body, status) else { return unreadable };
        let Some(found) = walk::find(body, skipped, &header, self.rules) else { return unreadable };
        if found.restored_now {
            self.unit.mark(RESTORED);
        }
        let lost_before = self.loss.packets();
        let Some(packet) = found.packet(self.unit.body(), self.rules, self.taken_ns, lost_before) else {
            return unreadable;
        };
        // One packet a lease: whether the caller goes on makes no difference.
        let _ = each(packet);
        Walked { packets: 1, unreadable: 0 }
    }
}
