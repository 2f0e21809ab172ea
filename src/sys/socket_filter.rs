//! `SO_ATTACH_FILTER`: classic BPF programs on sockets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

fn set(fd: BorrowedFd<'_>, option: libc::c_int, program: &libc::sock_fprog) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).map_err(io::Error::other)?;
    // SAFETY: `program` is a live sock_fprog for the whole call and `len` its size; the caller's
    // instructions, which it points to, outlive it too, and the kernel only reads both.
    let rc = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(program).cast(), len)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Attaches a program of `(code, jt, jf, k)` instructions to a socket; it replaces the one before in one step.
///
/// Packets that came in before stay in the socket's queue or ring: attach before binding.
///
/// # Errors
/// The kernel's: `EINVAL` for a program that fails its checks, `ENOMEM` for one that
/// `net.core.optmem_max` has no room for. More than 65,535 instructions are `EINVAL` too.
pub fn attach_filter(fd: BorrowedFd<'_>, insns: &[(u16, u8, u8, u32)]) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> =
        insns.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    set(fd, libc::SO_ATTACH_FILTER, &program)
}

/// Takes the program off a socket again.
///
/// # Errors
/// The kernel's: `ENOENT` if there is none.
pub fn detach_filter(fd: BorrowedFd<'_>) -> io::Result<()> {
    let nothing = libc::sock_fprog { len: 0, filter: std::ptr::null_mut() };
    set(fd, libc::SO_DETACH_FILTER, &nothing)
}
