//! A child process that keeps something until its parent ends, however that ends.
//!
//! What must be put back with a privilege that the parent gives up (a NIC's stamping filter) stays with the child, which
//! reads nothing but the end of a pipe.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

/// The child. Dropping this ends it and waits until it has put back what it kept.
#[derive(Debug)]
pub struct GuardProcess {
    pipe: Option<OwnedFd>,
    pid: libc::pid_t,
}

/// Gives `kept` to a child, which drops it when this process ends or the handle is dropped.
///
/// # Errors
/// What `pipe2(2)` or `fork(2)` says; `InvalidInput` if the process has more than one thread.
pub fn keep_in_child<T>(kept: T) -> io::Result<GuardProcess> {
    if threads()? != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the process has more than one thread"));
    }
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors that pipe2 writes.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: pipe2 has just made both; nobody else owns them.
    let (reader, writer) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    // SAFETY: the process has one thread (looked at above), so the child's copy of every lock and of the heap is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(writer);
            wait_for_the_end(&reader);
            drop(kept);
            // SAFETY: ends the child at once, without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        pid => {
            // The child has its own copy; this one must not be put back here too.
            std::mem::forget(kept);
            Ok(GuardProcess { pipe: Some(writer), pid })
        }
    }
}

/// Threads of this process.
///
/// # Errors
/// If `/proc` is not there.
pub fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

fn wait_for_the_end(reader: &OwnedFd) {
    use std::os::fd::AsRawFd as _;
    // SAFETY: both calls are given sets and buffers that live through them. All signals but SIGKILL are kept out: the
    // terminal sends them to the whole group, and the parent still needs what is kept.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
        libc::prctl(libc::PR_SET_NAME, c"wt-guard".as_ptr());
        let mut byte = 0_u8;
        while libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1) == -1
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

impl Drop for GuardProcess {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            // SAFETY: the descriptor was owned by `pipe`, which is given up here.
            unsafe { libc::close(pipe.into_raw_fd()) };
        }
        // SAFETY: no status is written; the child is ours and was not waited for yet.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_refused() {
        // The test harness has several.
        let refused = keep_in_child(()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
}
