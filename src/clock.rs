//! Time for the rest of the program, through one trait, so that everything that
//! asks for it can be tested with a clock that a test turns by hand.

use crate::sys;

/// One reading of the host's clocks taken together, and how well.
///
/// `CLOCK_REALTIME` is read before and after the others; the true moment of the
/// middle readings lies between the two, so the pair's distance is the uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClockReading {
    /// `CLOCK_REALTIME` at the middle of the reading, ns since the Unix epoch, UTC.
    pub realtime_ns: u64,
    /// `CLOCK_MONOTONIC_RAW`, ns since an arbitrary start, never slewed.
    pub monotonic_raw_ns: u64,
    /// `CLOCK_TAI`, ns since the Unix epoch, TAI. Equals UTC when the kernel was never told the offset.
    pub tai_ns: u64,
    /// The NIC's clock (PHC), raw, if there is one.
    pub phc_ns: Option<u64>,
    /// Width of the interval in which all of the above were read, ns.
    pub uncertainty_ns: u32,
    /// Width of the interval in which the PHC alone was read, ns (0 without a PHC).
    pub phc_uncertainty_ns: u32,
}

/// Reads the host's clocks together, the NIC's too if there is one: the narrowest of a few tries.
pub fn read_together(mut phc: Option<&mut sys::phc::Phc>) -> ClockReading {
    (0..TRIES).map(|_| read_once(phc.as_deref_mut())).min_by_key(|r| r.uncertainty_ns).unwrap_or_default()
}

const TRIES: usize = 3;

fn read_once(phc: Option<&mut sys::phc::Phc>) -> ClockReading {
    let before_ns = sys::clock::realtime_ns();
    let monotonic_raw_ns = sys::clock::monotonic_raw_ns();
    let tai_ns = sys::clock::tai_ns();
    let after_ns = sys::clock::realtime_ns();
    let width_ns = after_ns.saturating_sub(before_ns);
    // A PHC that cannot be read at this moment is simply not in this reading.
    let phc = phc.and_then(|phc| phc.sample().ok());
    ClockReading {
        realtime_ns: before_ns + width_ns / 2,
        monotonic_raw_ns,
        tai_ns,
        // Carried over to the middle of the reading of the others, some µs away.
        phc_ns: phc.map(|p| p.phc_ns.wrapping_add((before_ns + width_ns / 2).wrapping_sub(p.realtime_ns))),
        uncertainty_ns: u32::try_from(width_ns).unwrap_or(u32::MAX),
        phc_uncertainty_ns: phc.map_or(0, |p| u32::try_from(p.uncertainty_ns).unwrap_or(u32::MAX)),
    }
}

/// Where time comes from.
pub trait Clock {
    /// `CLOCK_REALTIME`, ns since the Unix epoch, UTC: the clock that kernel stamps are on.
    fn now_ns(&self) -> u64;
    /// `CLOCK_MONOTONIC`, ns since an arbitrary start: for intervals and timeouts.
    fn monotonic_ns(&self) -> u64;
}

/// The host's clocks (vDSO: no system call on ordinary hosts).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> u64 {
        sys::clock::realtime_ns()
    }
    fn monotonic_ns(&self) -> u64 {
        sys::clock::monotonic_ns()
    }
}

/// A clock that stands where it was put: for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ns: std::cell::Cell<u64>,
}

impl ManualClock {
    /// A clock that shows `now_ns` until it is set again.
    pub fn new(now_ns: u64) -> Self {
        Self { now_ns: std::cell::Cell::new(now_ns) }
    }
    /// Puts both hands at `now_ns`.
    pub fn set(&self, now_ns: u64) {
        self.now_ns.set(now_ns);
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }
    fn monotonic_ns(&self) -> u64 {
        self.now_ns.get()
    }
}
