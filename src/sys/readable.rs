//! `poll(2)` on one descriptor that bytes come from.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// True if a read of `fd` would not block: bytes are there, or its end is. Waits for at most `max`,
/// to the millisecond; an interrupting signal ends the wait early.
///
/// # Errors
/// What `poll(2)` says.
pub fn readable(fd: BorrowedFd<'_>, max: Duration) -> io::Result<bool> {
    let timeout = PollTimeout::try_from(max).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
