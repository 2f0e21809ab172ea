//! Plays packets one after another: due time, wait, send, measure.

use crate::packet::Packet;
use crate::replay::report::{ReplayReport, Spread};
use crate::replay::schedule::{Pace, Schedule};
use crate::replay::senders::{SendError, Sender, Sent};
use crate::replay::{PacingClock, Waiter};
use crate::time::delta_ns;
use hdrhistogram::Histogram;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to play.
#[derive(Clone, Copy, Debug)]
pub struct PlayerOptions {
    /// How fast.
    pub pace: Pace,
    /// Stop after this many packets (`-L N`).
    pub limit: Option<u64>,
}

/// Plays packets to one sender.
#[derive(Debug)]
pub struct Player<'s, S, C> {
    sender: S,
    waiter: Waiter<C>,
    stop: &'s AtomicBool,
    options: PlayerOptions,
    schedule: Schedule,
    times: Times,
    counts: ReplayReport,
}

/// Send times so far, on the monotonic clock.
#[derive(Debug)]
struct Times {
    anchor_ns: Option<u64>,
    first: Option<Moment>,
    last: Option<Moment>,
    lateness: Histogram<u64>,
    gap_error: Histogram<u64>,
    send_call: Histogram<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    due_ns: Option<u64>,
    sent_ns: u64,
}

/// Longest lateness that is told apart, ns: an hour. Later ones count as an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

impl<'s, S: Sender, C: PacingClock> Player<'s, S, C> {
    /// The anchor lies this far ahead of the first packet, so that even that one is waited for, ns.
    pub const LEAD_NS: u64 = 1_000_000;

    /// A player at rest. All memory that it will use is allocated here.
    ///
    /// # Errors
    /// [`SendError`] if the histograms cannot be made (never, with their fixed bounds).
    pub fn new(
        sender: S,
        waiter: Waiter<C>,
        options: PlayerOptions,
        stop: &'s AtomicBool,
    ) -> Result<Self, SendError> {
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST_NS, 3).map_err(|e| SendError::Internal(e.to_string()));
        let times = Times {
            anchor_ns: None,
            first: None,
            last: None,
            lateness: histogram()?,
            gap_error: histogram()?,
            send_call: histogram()?,
        };
        let schedule = Schedule::new(options.pace);
        Ok(Self { sender, waiter, stop, options, schedule, times, counts: ReplayReport::default() })
    }

    /// Plays the next packet; breaks when the limit is reached or a stop was asked for.
    ///
    /// # Errors
    /// [`SendError`] if the sender failed for good.
    pub fn play(&mut self, packet: &Packet<'_>) -> Result<ControlFlow<()>, SendError> {
        if self.is_over() {
            return Ok(ControlFlow::Break(()));
        }
        let due_ns = self.due_ns(packet);
        let Some(now) = self.wait(due_ns) else {
            self.counts.interrupted = true;
            return Ok(ControlFlow::Break(()));
        };
        let sent = self.sender.send(packet)?;
        let done = self.waiter.clock().monotonic_ns();
        self.counts.packets += 1;
        match sent {
            Sent::Yes { bytes, retries } => {
                self.counts.sent += 1;
                self.counts.bytes += bytes;
                self.counts.retries += retries;
                self.counts.shortened += u64::from(is_shortened(packet));
                self.times.record(Moment { due_ns, sent_ns: now }, done.saturating_sub(now));
            }
            Sent::No(reason) => reason.count_in(&mut self.counts.skipped),
        }
        Ok(if self.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Announces that the same packets begin again.
    pub fn next_round(&mut self) {
        self.schedule.next_round();
    }

    /// True once the limit is reached or a stop was asked for.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.options.limit.is_some_and(|most| self.counts.packets >= most)
    }

    /// Packets played so far.
    pub const fn packets(&self) -> u64 {
        self.counts.packets
    }

    /// Sends what is still waiting, and reports.
    ///
    /// # Errors
    /// [`SendError`] if the sender failed for good on what was waiting.
    pub fn finish(mut self) -> Result<ReplayReport, SendError> {
        let flushed = self.sender.flush()?;
        self.counts.retries += flushed.retries;
        self.counts.skipped.too_long += flushed.too_long;
        self.counts.sent = self.counts.sent.saturating_sub(flushed.too_long);
        self.counts.bytes = self.counts.bytes.saturating_sub(flushed.unsent_bytes);
        let end = self.waiter.clock().monotonic_ns();
        let mut report = self.counts;
        report.to = self.sender.name().to_owned();
        report.backwards = self.schedule.backwards();
        report.interrupted |= self.stop.load(Ordering::Relaxed);
        report.spin_ns = if self.options.pace.is_timed() { self.waiter.spin_ns() } else { 0 };
        self.times.report(&mut report, end);
        Ok(report)
    }

    fn due_ns(&mut self, packet: &Packet<'_>) -> Option<u64> {
        let offset = self.schedule.due_ns(packet.stamp.ns, packet.bytes.len())?;
        let clock = self.waiter.clock();
        let anchor = *self.times.anchor_ns.get_or_insert_with(|| clock.monotonic_ns() + Self::LEAD_NS);
        Some(anchor.saturating_add(offset))
    }

    fn wait(&self, due_ns: Option<u64>) -> Option<u64> {
        match due_ns {
            Some(due) => self.waiter.wait_until(due, self.stop),
            None => Some(self.waiter.clock().monotonic_ns()),
        }
    }
}

impl Times {
    fn record(&mut self, moment: Moment, send_ns: u64) {
        self.send_call.saturating_record(send_ns.max(1));
        if let Some(due) = moment.due_ns {
            self.lateness.saturating_record(moment.sent_ns.saturating_sub(due));
            if let Some(Moment { due_ns: Some(due_before), sent_ns: sent_before }) = self.last {
                let intended = due.saturating_sub(due_before);
                let actual = moment.sent_ns.saturating_sub(sent_before);
                self.gap_error.saturating_record(actual.abs_diff(intended));
            }
        }
        self.first.get_or_insert(moment);
        self.last = Some(moment);
    }

    fn report(&self, report: &mut ReplayReport, end_ns: u64) {
        let (Some(first), Some(last)) = (self.first, self.last) else { return };
        report.send_call = Spread::of(&self.send_call);
        if let (Some(first_due), Some(last_due)) = (first.due_ns, last.due_ns) {
            report.duration_ns = last.sent_ns.saturating_sub(first.sent_ns);
            report.intended_duration_ns = last_due.saturating_sub(first_due);
            report.drift_ns = delta_ns(report.duration_ns, report.intended_duration_ns);
            report.lateness = Some(Spread::of(&self.lateness));
            report.gap_error = Some(Spread::of(&self.gap_error));
        } else {
            // Without due times packets wait in a batch: the last one is out when the flush is done.
            report.duration_ns = end_ns.saturating_sub(first.sent_ns);
        }
    }
}

fn is_shortened(packet: &Packet<'_>) -> bool {
    u32::try_from(packet.bytes.len()).is_ok_and(|captured| captured < packet.wire_len)
}
