//! `clock_nanosleep(2)`: sleeping until a moment, not for a while, so that lateness does not add up.

use crate::time::NS_PER_SEC;

/// Sleeps until `CLOCK_MONOTONIC` shows `monotonic_ns`. May return early (a signal) or late (the scheduler);
/// callers look at the clock again. A moment in the past returns at once.
pub fn until_monotonic_ns(monotonic_ns: u64) {
    let until = libc::timespec {
        tv_sec: libc::time_t::try_from(monotonic_ns / NS_PER_SEC).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::try_from(monotonic_ns % NS_PER_SEC).unwrap_or(0),
    };
    // SAFETY: `until` is a live timespec for the whole call; with TIMER_ABSTIME the remainder pointer is unused.
    let _ = unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const until,
            std::ptr::null_mut(),
        )
    };
}
