//! Classic BPF on a socket (`SO_ATTACH_FILTER`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// One instruction: code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// Longest program that the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Attaches `program`, in place of the one before. The kernel checks it.
///
/// # Errors
/// What `setsockopt(2)` says: `EINVAL` for a program that the kernel refuses, `ENOMEM` for one above
/// `net.core.optmem_max`.
pub fn attach(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let mut instructions: Vec<libc::sock_filter> =
        program.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let len = u16::try_from(instructions.len()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "a filter of more than 65535 instructions")
    })?;
    let fprog = libc::sock_fprog { len, filter: instructions.as_mut_ptr() };
    let length = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or(0);
    // SAFETY: `fprog` and the instructions it points at live through the call; the kernel copies and checks them.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const fprog).cast(),
            length,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
