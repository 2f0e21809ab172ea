//! Waiting for a moment: sleep until shortly before it, then spin.
//!
//! A sleeping thread wakes late by the timer's slack and the scheduler's mood (50–100 µs on an idle host), so the
//! last stretch is spun. How long that stretch must be is measured on this host at the start, not assumed.

use crate::clock::{Clock, SystemClock};
use crate::sys;
use std::sync::atomic::{AtomicBool, Ordering};

/// A clock that can also be slept on.
pub trait PacingClock: Clock {
    /// Sleeps until [`Clock::monotonic_ns`] shows about `monotonic_ns`; may return early or late.
    fn sleep_until(&self, monotonic_ns: u64);
}

impl PacingClock for SystemClock {
    fn sleep_until(&self, monotonic_ns: u64) {
        sys::pace::sleep_until_monotonic_ns(monotonic_ns);
    }
}

/// Sleeps that a calibration tries.
const TRIALS: usize = 21;

/// Waits for moments on one clock.
#[derive(Debug)]
pub struct Waiter<C> {
    clock: C,
    spin_ns: u64,
}

impl<C: PacingClock> Waiter<C> {
    /// Never spin for less than this: a wake-up is seldom earlier than this after its time, ns.
    pub const LEAST_SPIN_NS: u64 = 60_000;
    /// Never spin for longer: on a host that wakes later than this, lateness is reported rather than a CPU burnt.
    pub const MOST_SPIN_NS: u64 = 1_000_000;
    /// Longest single sleep: how long a stop request may go unnoticed, ns.
    const LONGEST_SLEEP_NS: u64 = 50_000_000;

    /// A waiter that spins the last `spin_ns` before each moment.
    pub const fn new(clock: C, spin_ns: u64) -> Self {
        Self { clock, spin_ns }
    }

    /// A waiter whose spinning stretch covers nine of ten wake-ups on this host, found by about 5 ms of trial sleeps.
    pub fn calibrated(clock: C) -> Self {
        let mut late = [0u64; TRIALS];
        for slot in &mut late {
            let due = clock.monotonic_ns() + 200_000;
            clock.sleep_until(due);
            *slot = clock.monotonic_ns().saturating_sub(due);
        }
        late.sort_unstable();
        let ninety = late[TRIALS * 9 / 10];
        Self::new(clock, (ninety + ninety / 4).clamp(Self::LEAST_SPIN_NS, Self::MOST_SPIN_NS))
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// How long it spins before a moment, ns.
    pub const fn spin_ns(&self) -> u64 {
        self.spin_ns
    }

    /// Returns as soon as the clock shows `due_ns` or later, with what it shows; `None` if `stop` was set before.
    pub fn wait_until(&self, due_ns: u64, stop: &AtomicBool) -> Option<u64> {
        loop {
            let now = self.clock.monotonic_ns();
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if now >= due_ns {
                return Some(now);
            }
            let wake = due_ns.saturating_sub(self.spin_ns);
            if wake > now {
                self.clock.sleep_until(wake.min(now + Self::LONGEST_SLEEP_NS));
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_clock_is_never_early() {
        let waiter = Waiter::calibrated(SystemClock);
        let stop = AtomicBool::new(false);
        for step in [0, 1_000, 300_000] {
            let due = waiter.clock().monotonic_ns() + step;
            let now = waiter.wait_until(due, &stop).expect("nobody stops it");
            assert!(now >= due);
        }
        assert!(waiter.spin_ns() >= Waiter::<SystemClock>::LEAST_SPIN_NS);
    }

    #[test]
    fn a_stop_request_ends_a_long_wait() {
        let waiter = Waiter::new(SystemClock, 0);
        assert_eq!(waiter.wait_until(u64::MAX, &AtomicBool::new(true)), None);
    }
}
