//! `struct ifreq` for the ioctls that pass a pointer to more: ethtool and time stamping.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Structs that such an ioctl may read and write: plain numbers all through, no padding.
///
/// # Safety
/// The implementor promises just that, and that the struct is the one its request expects.
pub(crate) unsafe trait Argument: Copy {}

/// Calls `request` for interface `name` with a pointer to `argument`, and answers what it became.
///
/// # Safety
/// `T` is the struct that `request` (and, for ethtool, the command in its first word) reads and writes, and has room
/// for all the kernel writes.
pub(crate) unsafe fn call<T: Argument>(
    socket: BorrowedFd<'_>,
    request: libc::c_ulong,
    name: &str,
    mut argument: T,
) -> io::Result<T> {
    // SAFETY: an ifreq of zeroes is a value: numbers, and a null pointer in the union.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= ifreq.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in ifreq.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    ifreq.ifr_ifru.ifru_data = (&raw mut argument).cast();
    // SAFETY: `ifreq` and `argument` live through the call; the caller promises that the argument is the right one.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut ifreq) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(argument) }
}
