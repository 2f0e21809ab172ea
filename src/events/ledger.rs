//! What was lost here, and which gaps it may explain.
//!
//! A loss is told on tape some time after it happened, so a gap is judged when tape time has gone on by [`SETTLE_NS`].

use super::output::Output;
use super::side::SideRow;
use crate::packet::Loss;
use crate::time::NS_PER_SEC;
use std::collections::VecDeque;

/// How long after a gap a loss may still be told, ns of tape time.
pub(super) const SETTLE_NS: u64 = 2 * NS_PER_SEC;
/// Most losses that are told apart; beyond that, the oldest two count as one of both intervals.
const MAX_LOSSES: usize = 1024;
/// Most gaps that wait to be settled; beyond that, the oldest is settled early.
const MAX_OPEN: usize = 1024;

/// Losses of the capture, of every place, queue and interface: which feed's packets they were nobody knows.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// From records of loss.
    told: VecDeque<Loss>,
    /// From drop counts of packets: mostly the same losses told again, so the larger sum of the two counts.
    counted: VecDeque<Loss>,
}

impl Ledger {
    /// A record of loss.
    pub(super) fn told(&mut self, loss: Loss) {
        keep(&mut self.told, loss);
    }
    /// A packet's drop count.
    pub(super) fn counted(&mut self, loss: Loss) {
        keep(&mut self.counted, loss);
    }
    /// Packets lost in intervals that touch `[from_ns, to_ns]`.
    pub(super) fn between(&self, from_ns: u64, to_ns: u64) -> u64 {
        let touches = |loss: &&Loss| loss.from_ns <= to_ns && loss.to_ns >= from_ns;
        let sum = |losses: &VecDeque<Loss>| {
            losses.iter().filter(touches).fold(0_u64, |sum, loss| sum.saturating_add(loss.packets))
        };
        sum(&self.told).max(sum(&self.counted))
    }
}

fn keep(losses: &mut VecDeque<Loss>, loss: Loss) {
    if loss.packets == 0 {
        return;
    }
    if losses.len() == MAX_LOSSES
        && let Some(oldest) = losses.pop_front()
        && let Some(next) = losses.front_mut()
    {
        next.from_ns = next.from_ns.min(oldest.from_ns);
        next.to_ns = next.to_ns.max(oldest.to_ns);
        next.packets = next.packets.saturating_add(oldest.packets);
    }
    losses.push_back(loss);
}

/// A gap whose cause is not known yet.
#[derive(Clone, Debug)]
pub(super) struct OpenGap {
    /// Sequence space.
    pub session: String,
    /// First missing number.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Stamp of the last packet before it, ns.
    pub since_ns: u64,
    /// Stamp of the packet that showed it, ns.
    pub shown_ns: u64,
    /// Names of the lines that went on past it.
    pub lines: String,
}

/// The gaps of a feed that are not settled.
#[derive(Debug, Default)]
pub(super) struct OpenGaps {
    gaps: VecDeque<OpenGap>,
    /// Gaps found to be upstream, and those that may be local.
    pub upstream: u64,
    pub maybe_local: u64,
}

impl OpenGaps {
    /// A gap was declared.
    pub(super) fn push(&mut self, gap: OpenGap) {
        self.gaps.push_back(gap);
    }
    /// When the next one can be settled, ns.
    pub(super) fn wake_ns(&self) -> u64 {
        if self.gaps.len() > MAX_OPEN {
            return 0;
        }
        self.gaps.front().map_or(u64::MAX, |gap| gap.shown_ns.saturating_add(SETTLE_NS))
    }
    /// Tape time is `now_ns`.
    pub(super) fn advance(&mut self, now_ns: u64, ledger: &Ledger, out: &mut Output) {
        while !self.gaps.is_empty() && (self.wake_ns() <= now_ns || self.gaps.len() > MAX_OPEN) {
            self.settle_oldest(now_ns, ledger, out);
        }
    }
    fn settle_oldest(&mut self, now_ns: u64, ledger: &Ledger, out: &mut Output) {
        let Some(gap) = self.gaps.pop_front() else { return };
        let lost_here = ledger.between(gap.since_ns, gap.shown_ns);
        let cause = if lost_here == 0 { "upstream" } else { "maybe-local" };
        *(if lost_here == 0 { &mut self.upstream } else { &mut self.maybe_local }) += 1;
        out.side(&SideRow::GapCause {
            // The end of the tape is no time.
            at_ns: now_ns.min(gap.shown_ns.saturating_add(SETTLE_NS)),
            session: &gap.session,
            first: gap.first,
            count: gap.count,
            cause,
            lost_here,
            lines: &gap.lines,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LossPlace;

    fn loss(packets: u64, from_ns: u64, to_ns: u64) -> Loss {
        Loss { place: LossPlace::RING, packets, from_ns, to_ns }
    }

    #[test]
    fn losses_that_touch_the_interval_count_and_what_is_told_twice_counts_once() {
        let mut ledger = Ledger::default();
        ledger.told(loss(5, 100, 200));
        ledger.told(loss(2, 250, 300));
        ledger.counted(loss(6, 150, 160));
        assert_eq!(ledger.between(0, 99), 0);
        assert_eq!(ledger.between(0, 100), 5);
        assert_eq!(ledger.between(200, 250), 7);
        assert_eq!(ledger.between(155, 155), 6);
    }

    #[test]
    fn what_is_merged_for_want_of_room_is_never_forgotten() {
        let mut ledger = Ledger::default();
        for at in 0..3 * MAX_LOSSES as u64 {
            ledger.told(loss(1, at * 10, at * 10 + 1));
        }
        assert_eq!(ledger.between(0, u64::MAX), 3 * MAX_LOSSES as u64);
        assert!(ledger.told.len() <= MAX_LOSSES);
    }
}
