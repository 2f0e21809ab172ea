//! Stamps and units: what a time is, and whose clock said so.
//!
//! Pure values; reading a clock is `clock`'s affair. A time is always nanoseconds
//! since the Unix epoch, UTC, in a `u64` (good until the year 2554); a difference
//! of two times is signed.

use std::fmt;

/// Nanoseconds in a second.
pub const NS_PER_SEC: u64 = 1_000_000_000;

/// Which clock gave a stamp. An integer newtype, because it is read back from files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StampClock(pub u8);

impl StampClock {
    /// No stamp at all (a capture file's packet without a time, e.g. a Simple Packet Block).
    pub const NONE: Self = Self(0);
    /// The NIC's own clock (`TP_STATUS_TS_RAW_HARDWARE`), converted to UTC if it runs on TAI.
    pub const HARDWARE: Self = Self(1);
    /// The kernel's receive path with software stamping switched on (`TP_STATUS_TS_SOFTWARE`).
    pub const KERNEL_SOFTWARE: Self = Self(2);
    /// Neither bit: the kernel read `CLOCK_REALTIME` when it delivered the frame to the ring.
    pub const KERNEL_DELIVERY: Self = Self(3);
    /// User space read `CLOCK_REALTIME` on arrival.
    pub const USER: Self = Self(4);
    /// A capture file said so; which clock it was, the file does not tell.
    pub const FILE: Self = Self(5);
    /// How many clocks there are: histograms are kept apart by clock, in arrays of this length.
    pub const COUNT: usize = 6;

    /// The word used in reports, on one-line packets and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NONE => "none",
            Self::HARDWARE => "hw",
            Self::KERNEL_SOFTWARE => "sw",
            Self::KERNEL_DELIVERY => "kernel",
            Self::USER => "user",
            Self::FILE => "file",
            _ => "unknown",
        }
    }

    /// Index into an array of [`StampClock::COUNT`]; an unknown clock counts as none.
    pub const fn index(self) -> usize {
        if (self.0 as usize) < Self::COUNT { self.0 as usize } else { 0 }
    }
}

impl fmt::Debug for StampClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StampClock({}={})", self.0, self.name())
    }
}

/// A timestamp: nanoseconds since the Unix epoch (UTC), and the clock that said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since the Unix epoch, UTC.
    pub ns: u64,
    /// Whose clock.
    pub clock: StampClock,
}

impl Stamp {
    /// A stamp of `ns` by `clock`.
    pub const fn new(ns: u64, clock: StampClock) -> Self {
        Self { ns, clock }
    }
}

/// `later - earlier` in nanoseconds, signed, saturating at the ends of `i64`.
pub const fn delta_ns(later_ns: u64, earlier_ns: u64) -> i64 {
    if later_ns >= earlier_ns {
        let d = later_ns - earlier_ns;
        if d > i64::MAX as u64 { i64::MAX } else { d.cast_signed() }
    } else {
        let d = earlier_ns - later_ns;
        if d > i64::MAX as u64 { i64::MIN } else { -(d.cast_signed()) }
    }
}
