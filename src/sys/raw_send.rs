//! Whole link-layer frames onto an interface: `AF_PACKET`, `SOCK_RAW`, `sendmmsg(2)`.
//!
//! The socket's protocol is 0, so it receives nothing. What the kernel accepted is
//! answered exactly: a frame is counted only if `sendmmsg` counted it. Nothing is
//! retried here; that is the pacer's affair.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Most frames of one [`RawSender::send_batch`].
pub const MAX_BATCH: usize = 64;

const ADDRESS_FAMILY: u16 = 17;
const ADDRESS_LEN: libc::socklen_t = 20;
const INT_LEN: libc::socklen_t = 4;
const _: () = assert!(libc::AF_PACKET == 17);
const _: () = assert!(size_of::<libc::sockaddr_ll>() == 20 && size_of::<libc::c_int>() == 4);

/// A socket bound to one interface, for sending only.
#[derive(Debug)]
pub struct RawSender {
    fd: OwnedFd,
}

impl RawSender {
    /// Opens a socket on `interface` of the calling thread's network namespace. With `qdisc_bypass`
    /// frames go straight to the driver (`PACKET_QDISC_BYPASS`): faster, and a full device queue
    /// is answered with `ENOBUFS` instead of waiting.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_RAW`; `ENODEV` if there is no such interface.
    pub fn open(interface: &str, qdisc_bypass: bool) -> io::Result<Self> {
        let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        let index = nix::net::if_::if_nametoindex(interface)?;
        // SAFETY: all-zero is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = ADDRESS_FAMILY;
        address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
        // SAFETY: `address` is a live sockaddr_ll and its size is passed with it; the kernel only reads it.
        let rc = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), ADDRESS_LEN) };
        Errno::result(rc)?;
        if qdisc_bypass {
            let on: libc::c_int = 1;
            // SAFETY: `on` is a live int and its size is passed with it; the kernel only reads it.
            let rc = unsafe {
                libc::setsockopt(
                    fd.as_raw_fd(),
                    libc::SOL_PACKET,
                    libc::PACKET_QDISC_BYPASS,
                    (&raw const on).cast(),
                    INT_LEN,
                )
            };
            Errno::result(rc)?;
        }
        Ok(Self { fd })
    }

    /// Sends up to [`MAX_BATCH`] frames in one system call; answers how many the kernel took, in order.
    /// Never 0 for a non-empty batch: then it is an error, and no frame was taken.
    ///
    /// # Errors
    /// Whatever the first frame met: `ENOBUFS` (no room just now), `EMSGSIZE` (longer than the
    /// interface's MTU allows), `ENETDOWN`, …
    pub fn send_batch<'f>(&mut self, frames: impl IntoIterator<Item = &'f [u8]>) -> io::Result<usize> {
        const NO_IOVEC: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut vectors = [NO_IOVEC; MAX_BATCH];
        let mut count = 0;
        for (vector, frame) in vectors.iter_mut().zip(frames) {
            *vector = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            count += 1;
        }
        // SAFETY: all-zero is a valid mmsghdr (no name, no vectors, no control data).
        let mut messages: [libc::mmsghdr; MAX_BATCH] = unsafe { std::mem::zeroed() };
        for (message, vector) in messages.iter_mut().zip(&mut vectors) {
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        loop {
            // SAFETY: `count` is at most MAX_BATCH headers; each points to one live iovec, and each of
            // those to a frame borrowed for 'f, which outlives the call; the kernel only reads them
            // and writes `msg_len`.
            let rc = unsafe { libc::sendmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
            match Errno::result(rc) {
                Ok(sent) => return usize::try_from(sent).map_err(io::Error::other),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
