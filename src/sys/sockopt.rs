//! `setsockopt(2)` and `getsockopt(2)` for plain values.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Kernel structs that are plain numbers all through: any bytes are a value, and there is no padding to leak.
///
/// # Safety
/// The implementor promises just that.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: a number.
unsafe impl Plain for libc::c_int {}
// SAFETY: four numbers of four bytes.
unsafe impl Plain for libc::tpacket_req {}
// SAFETY: seven numbers of four bytes.
unsafe impl Plain for libc::tpacket_req3 {}
// SAFETY: numbers: 4 + 2 + 2 + 8 bytes.
unsafe impl Plain for libc::packet_mreq {}
// SAFETY: three numbers of four bytes.
unsafe impl Plain for libc::tpacket_stats_v3 {}
// SAFETY: three numbers of four bytes.
unsafe impl Plain for libc::ip_mreqn {}
// SAFETY: sixteen bytes and a number of four.
unsafe impl Plain for libc::ipv6_mreq {}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}

/// Sets an option.
pub(crate) fn set<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is readable for the length passed, and the kernel only reads it.
    let rc = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length_of::<T>())
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option into `value`; what the kernel did not write stays as it was.
pub(crate) fn get<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32, mut value: T) -> io::Result<T> {
    let mut length = length_of::<T>();
    // SAFETY: `value` is writable for `length` bytes, the kernel writes no more than that, and any bytes are a `T`
    // (`Plain`).
    let rc =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
