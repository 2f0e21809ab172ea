//! `clock_nanosleep(2)`: sleeping until a moment, not for a while, so that lateness does not add up.

use crate::time::NS_PER_SEC;

/// Sleeps until `CLOCK_MONOTONIC` shows `deadline_ns`; returns at once if it has passed. A signal may
/// end the sleep early: the caller looks at the clock anyway.
pub fn sleep_until_monotonic_ns(deadline_ns: u64) {
    let deadline = libc::timespec {
        tv_sec: (deadline_ns / NS_PER_SEC).cast_signed(),
        tv_nsec: (deadline_ns % NS_PER_SEC).cast_signed(),
    };
    // SAFETY: `deadline` is a live timespec that the kernel only reads; an absolute sleep writes no rest.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const deadline,
            std::ptr::null_mut(),
        );
    }
}
