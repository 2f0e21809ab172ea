//! What times are held against: the send time and the event time of a feed against the packet's stamp.
//!
//! Differences are arrival minus exchange, signed, and kept apart by the clock that stamped: a number from one clock
//! is never mixed with one from another.

use super::rules::Rule;
use super::spread::{Percentiles, Spread};
use crate::feed::Limits;
use crate::time::{Stamp, StampClock, delta_ns};
use serde::{Deserialize, Serialize};

/// Nanoseconds in a millisecond.
pub(super) const NS_PER_MS: u64 = 1_000_000;

/// A rule that a time broke, and by how much, ns.
pub(super) type Broken = Option<(Rule, i64)>;

/// The times of one feed.
#[derive(Debug)]
pub struct Timing {
    stale_ns: u64,
    future_ns: u64,
    /// First sequence number of the packet that is being made into events.
    pub(super) sequence: u64,
    /// That packet said when it was sent: its events' times are not judged for age again.
    sent: bool,
    /// An event time of that packet was measured already.
    measured: bool,
    last_event_ns: u64,
    from_sent: [Option<Box<Spread>>; StampClock::COUNT],
    from_event: [Option<Box<Spread>>; StampClock::COUNT],
}

/// Exchange to arrival, by one clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LatencyReport {
    /// From what: `sent` (the header's send time) or `event` (the first event time of a packet whose header has none).
    pub from: String,
    /// Which clock stamped the arrival. The exchange's own clock is the other end: their difference is in the numbers.
    pub clock: String,
    /// Arrival minus exchange time.
    pub latency: Percentiles,
}

impl Timing {
    /// Nothing measured yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            stale_ns: u64::from(limits.stale_ms) * NS_PER_MS,
            future_ns: u64::from(limits.future_ms) * NS_PER_MS,
            sequence: 0,
            sent: false,
            measured: false,
            last_event_ns: 0,
            from_sent: std::array::from_fn(|_| None),
            from_event: std::array::from_fn(|_| None),
        }
    }

    /// A packet begins.
    pub(super) fn begin(&mut self, sequence: u64, sent: bool) {
        (self.sequence, self.sent, self.measured) = (sequence, sent, false);
    }

    /// A new sequence space: event times may begin anew.
    pub(super) fn forget(&mut self) {
        self.last_event_ns = 0;
    }

    /// The send time of a packet.
    pub(super) fn sent(&mut self, stamp: Stamp, sent_ns: u64) -> Broken {
        if i64::try_from(sent_ns).is_err() {
            return Some((Rule::TimeImpossible, i64::MAX));
        }
        record(&mut self.from_sent, stamp, sent_ns);
        self.age(stamp, sent_ns)
    }

    /// The event time of a message: what is soft first, then its age.
    #[inline]
    pub(super) fn event(&mut self, stamp: Stamp, event_ns: u64) -> [Broken; 2] {
        if i64::try_from(event_ns).is_err() {
            return [Some((Rule::TimeImpossible, i64::MAX)), None];
        }
        let back = (event_ns < self.last_event_ns)
            .then(|| (Rule::EventBackwards, delta_ns(event_ns, self.last_event_ns)));
        self.last_event_ns = event_ns;
        if self.sent || self.measured {
            return [back, None];
        }
        self.measured = true;
        record(&mut self.from_event, stamp, event_ns);
        [back, self.age(stamp, event_ns)]
    }

    fn age(&self, stamp: Stamp, time_ns: u64) -> Broken {
        if stamp.clock == StampClock::NONE {
            return None;
        }
        let age = delta_ns(stamp.ns, time_ns);
        let limit = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        if self.stale_ns > 0 && age > limit(self.stale_ns) {
            return Some((Rule::Stale, age));
        }
        (self.future_ns > 0 && age < -limit(self.future_ns)).then_some((Rule::Future, age))
    }

    /// What was measured, by origin and clock.
    pub(super) fn report(&self) -> Vec<LatencyReport> {
        let rows = |from: &'static str, by_clock: &[Option<Box<Spread>>]| {
            let row = |(clock, spread): (u8, &Option<Box<Spread>>)| {
                let latency = spread.as_ref()?.percentiles();
                let clock = StampClock(clock).name().to_owned();
                Some(LatencyReport { from: from.to_owned(), clock, latency })
            };
            (0..).zip(by_clock).filter_map(row).collect::<Vec<_>>()
        };
        [rows("sent", &self.from_sent), rows("event", &self.from_event)].concat()
    }
}

/// Memory for a clock's histogram is taken when the clock is first seen.
fn record(by_clock: &mut [Option<Box<Spread>>; StampClock::COUNT], stamp: Stamp, time_ns: u64) {
    if stamp.clock == StampClock::NONE {
        return;
    }
    let Some(slot) = by_clock.get_mut(stamp.clock.index()) else { return };
    if slot.is_none() {
        *slot = Spread::new().map(Box::new);
    }
    if let Some(spread) = slot {
        spread.record(delta_ns(stamp.ns, time_ns), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Stamp = Stamp::new(10_000_000_000, StampClock::HARDWARE);

    #[test]
    fn age_is_signed_and_judged_at_both_ends() {
        let mut timing = Timing::new(&Limits::default());
        assert_eq!(timing.sent(AT, AT.ns - 5), None);
        assert_eq!(timing.sent(AT, AT.ns - 1_000_000_001), Some((Rule::Stale, 1_000_000_001)));
        assert_eq!(timing.sent(AT, AT.ns + 10_000_001), Some((Rule::Future, -10_000_001)));
        assert_eq!(timing.sent(AT, u64::MAX), Some((Rule::TimeImpossible, i64::MAX)));
        let report = timing.report();
        assert_eq!(report.len(), 1);
        assert_eq!((report[0].from.as_str(), report[0].clock.as_str()), ("sent", "hw"));
        assert_eq!((report[0].latency.min_ns, report[0].latency.count), (-10_000_001, 3));
    }

    #[test]
    fn an_event_time_that_steps_back_is_only_said_and_age_is_judged_once_a_packet() {
        let mut timing = Timing::new(&Limits::default());
        timing.begin(7, false);
        assert_eq!(timing.event(AT, 1_000), [None, Some((Rule::Stale, 9_999_999_000))]);
        assert_eq!(timing.event(AT, 900), [Some((Rule::EventBackwards, -100)), None]);
        timing.begin(8, true);
        assert_eq!(timing.event(AT, 950), [None, None]);
        timing.forget();
        assert_eq!(timing.event(AT, 1), [None, None]);
    }

    #[test]
    fn clocks_are_kept_apart() {
        let mut timing = Timing::new(&Limits::default());
        for clock in [StampClock::HARDWARE, StampClock::USER, StampClock::NONE] {
            timing.sent(Stamp::new(5, clock), 3);
        }
        let clocks: Vec<String> = timing.report().into_iter().map(|row| row.clock).collect();
        assert_eq!(clocks, ["hw", "user"]);
    }
}
