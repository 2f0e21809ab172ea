//! `clock_gettime(2)`: the one place where a clock is read.

use crate::time::NS_PER_SEC;

fn read(clock: libc::clockid_t) -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a live, writable timespec for the whole call; the kernel writes nothing else.
    let rc = unsafe { libc::clock_gettime(clock, &raw mut ts) };
    debug_assert_eq!(rc, 0, "clock_gettime cannot fail for a clock that every Linux has");
    ts.tv_sec.cast_unsigned() * NS_PER_SEC + ts.tv_nsec.cast_unsigned()
}

/// `CLOCK_REALTIME`, ns since the Unix epoch, UTC.
pub fn realtime_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// `CLOCK_MONOTONIC`, ns since boot or so.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_MONOTONIC_RAW`, ns, not slewed by NTP.
pub fn monotonic_raw_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC_RAW)
}

/// `CLOCK_TAI`, ns since the Unix epoch, TAI (equals UTC where the kernel was never told the offset).
pub fn tai_ns() -> u64 {
    read(libc::CLOCK_TAI)
}
