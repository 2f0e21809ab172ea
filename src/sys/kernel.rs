//! What kernel this is, where an answer depends on it.

use std::ffi::CStr;

/// Major and minor version of the running kernel, e.g. `(6, 12)`; `(0, 0)` if it does not say.
pub fn version() -> (u32, u32) {
    // SAFETY: a utsname of zeroes is a value: arrays of bytes.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is writable for the whole struct.
    if unsafe { libc::uname(&raw mut name) } != 0 {
        return (0, 0);
    }
    let bytes = name.release.map(libc::c_char::cast_unsigned);
    CStr::from_bytes_until_nul(&bytes).ok().and_then(|s| parse(s.to_str().ok()?)).unwrap_or((0, 0))
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Length of a timer tick (`1/HZ`), ns: the resolution of the coarse clock is just that.
pub fn tick_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a writable timespec.
    let rc = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut ts) };
    if rc == 0 { ts.tv_nsec.cast_unsigned() } else { 0 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_release_is_read_up_to_its_minor_number() {
        assert_eq!(super::parse("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(super::parse("5.4"), Some((5, 4)));
        assert_eq!(super::parse("odd"), None);
    }

    #[test]
    fn this_kernel_says_which_it_is_and_how_it_ticks() {
        assert!(super::version() >= (3, 0));
        assert!((100_000..=20_000_000).contains(&super::tick_ns()));
    }
}
