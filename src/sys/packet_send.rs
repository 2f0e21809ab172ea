//! Whole link-layer frames onto an interface: `AF_PACKET`, `SOCK_RAW`, `send(2)` and `sendmmsg(2)`.
//!
//! The socket is bound with protocol 0, so it never receives. What the kernel accepted is
//! answered exactly; nothing is retried here, that is the pacer's affair.

use super::sockopt;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// An `AF_PACKET`/`SOCK_RAW` socket bound to one interface, for sending only.
#[derive(Debug)]
pub struct FrameSocket {
    fd: OwnedFd,
    hardware: u16,
}

/// `ARPHRD_ETHER`: the interface sends Ethernet frames.
pub const HARDWARE_ETHERNET: u16 = libc::ARPHRD_ETHER;
/// `ARPHRD_LOOPBACK`: `lo`, which carries Ethernet frames too.
pub const HARDWARE_LOOPBACK: u16 = libc::ARPHRD_LOOPBACK;

impl FrameSocket {
    /// Opens a socket that sends on `interface` of the calling thread's network namespace. With `qdisc_bypass`
    /// frames go straight to the driver (`PACKET_QDISC_BYPASS`): faster, and a full device queue is answered with
    /// `ENOBUFS` instead of waiting.
    ///
    /// # Errors
    /// What the system said: `EPERM` without `CAP_NET_RAW`, `ENODEV` for an interface that is not there.
    pub fn open(interface: &str, qdisc_bypass: bool) -> io::Result<Self> {
        let index = interface_index(interface)?;
        // SAFETY: no pointers; the answer is checked before it is used as a descriptor.
        let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` was just opened by us and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        bind(&fd, index)?;
        if qdisc_bypass {
            let on: libc::c_int = 1;
            sockopt::set(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &on)?;
        }
        let hardware = hardware_type(&fd)?;
        Ok(Self { fd, hardware })
    }

    /// The kernel's `ARPHRD_` number of the interface: what its frames begin with.
    pub fn hardware(&self) -> u16 {
        self.hardware
    }

    /// Sends one frame, from its link-layer header on.
    ///
    /// # Errors
    /// What the system said: `ENOBUFS`/`EAGAIN` when the queue is full, `EMSGSIZE` beyond the MTU, `ENETDOWN`.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: pointer and length are of one live slice, which the kernel only reads.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends up to [`MAX_BATCH`] frames in one system call; answers how many the kernel took, in order.
    /// Never 0 for a non-empty batch: then it is an error, and no frame was taken.
    ///
    /// # Errors
    /// What the first frame met, as [`FrameSocket::send`].
    pub fn send_batch<'f>(&self, frames: impl IntoIterator<Item = &'f [u8]>) -> io::Result<usize> {
        const EMPTY: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut vectors = [EMPTY; MAX_BATCH];
        let mut count = 0;
        for (vector, frame) in vectors.iter_mut().zip(frames) {
            *vector = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            count += 1;
        }
        // SAFETY: all-zero is a valid mmsghdr: no name, no vectors, no control data.
        let mut messages: [libc::mmsghdr; MAX_BATCH] = unsafe { std::mem::zeroed() };
        for (message, vector) in messages.iter_mut().zip(&mut vectors) {
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        loop {
            // SAFETY: `count` is at most MAX_BATCH headers; each points to one live iovec, and each of those to a
            // frame borrowed for 'f, which outlives the call; the kernel only reads them and writes `msg_len`.
            let sent = unsafe { libc::sendmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
            if let Ok(sent) = usize::try_from(sent) {
                return Ok(sent);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

/// Most frames of one [`FrameSocket::send_batch`]: the kernel takes up to 1024, beyond 64 nothing is gained.
pub const MAX_BATCH: usize = 64;

fn interface_index(interface: &str) -> io::Result<i32> {
    let name = CString::new(interface).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: `name` is a live, zero-terminated string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    i32::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))
}

const ADDRESS_LEN: libc::socklen_t = {
    let size = size_of::<libc::sockaddr_ll>();
    assert!(size == 20, "sockaddr_ll is 20 bytes on every Linux");
    20
};

fn empty_address() -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: 0,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

fn bind(fd: &OwnedFd, index: i32) -> io::Result<()> {
    let mut address = empty_address();
    address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
    address.sll_ifindex = index;
    // SAFETY: `address` is a live sockaddr_ll and the length is its size.
    let rc = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), ADDRESS_LEN) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn hardware_type(fd: &OwnedFd) -> io::Result<u16> {
    let mut address = empty_address();
    let mut length = ADDRESS_LEN;
    // SAFETY: `address` is a live, writable sockaddr_ll; `length` says how long it is, and the kernel writes no more.
    let rc = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(address.sll_hatype) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named_by_its_error() {
        let error = FrameSocket::open("no-such-if0", false).expect_err("there is none");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
