//! Sending whole link-layer frames through an `AF_PACKET` socket.
//!
//! The socket is bound to one interface with protocol 0, so it never receives:
//! the kernel queues nothing on it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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
    /// Opens a socket that sends on `interface`.
    ///
    /// # Errors
    /// What the system said: `EPERM` without `CAP_NET_RAW`, `ENODEV` for an interface that is not there.
    pub fn open(interface: &str) -> io::Result<Self> {
        let index = interface_index(interface)?;
        // SAFETY: no pointers; the answer is checked before it is used as a descriptor.
        let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` was just opened by us and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        bind(&fd, index)?;
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
}

/// Room for a batch of frames that go out by one `sendmmsg(2)`. All memory is allocated when it is made.
#[derive(Debug)]
pub struct FrameBatch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    most_frames: usize,
    most_bytes: usize,
}

impl FrameBatch {
    /// Longest batch, frames: the kernel takes up to 1024, beyond 64 nothing is gained.
    pub const FRAMES: usize = 64;

    /// An empty batch for up to [`Self::FRAMES`] frames of `most_bytes` together.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(most_bytes),
            ends: Vec::with_capacity(Self::FRAMES),
            most_frames: Self::FRAMES,
            most_bytes,
        }
    }
    /// Copies a frame in; false if there is no room, and then nothing has changed.
    pub fn push(&mut self, frame: &[u8]) -> bool {
        if self.ends.len() == self.most_frames || self.bytes.len() + frame.len() > self.most_bytes {
            return false;
        }
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len());
        true
    }
    /// How many frames wait in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// True if it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// Frame number `i`.
    pub fn frame(&self, i: usize) -> Option<&[u8]> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { *self.ends.get(i - 1)? };
        self.bytes.get(start..end)
    }
    /// Forgets the frames; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Sends the frames from number `from` on by one system call; answers how many the kernel took (at least one).
    ///
    /// # Errors
    /// What the system said of frame `from`; those before it are sent.
    pub fn send(&self, socket: &FrameSocket, from: usize) -> io::Result<usize> {
        const EMPTY: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut iovecs = [EMPTY; Self::FRAMES];
        // SAFETY: all-zero is a valid mmsghdr: null pointers with zero lengths.
        let mut headers: [libc::mmsghdr; Self::FRAMES] = unsafe { std::mem::zeroed() };
        let mut count = 0;
        while let Some(frame) = self.frame(from + count)
            && count < Self::FRAMES
        {
            iovecs[count] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            headers[count].msg_hdr.msg_iov = &raw mut iovecs[count];
            headers[count].msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let length = libc::c_uint::try_from(count).unwrap_or(0);
        // SAFETY: the first `count` headers point at live iovecs, and these at live bytes of `self`, which the
        // kernel only reads; it writes nothing but the `msg_len` of headers that live on this stack frame.
        let sent = unsafe { libc::sendmmsg(socket.fd.as_raw_fd(), headers.as_mut_ptr(), length, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

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
    fn a_batch_keeps_frames_apart_and_refuses_what_does_not_fit() {
        let mut batch = FrameBatch::new(10);
        assert!(batch.push(b"abcd") && batch.push(b"") && batch.push(b"efghij"));
        assert!(!batch.push(b"x"));
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.frame(0), Some(&b"abcd"[..]));
        assert_eq!(batch.frame(1), Some(&b""[..]));
        assert_eq!(batch.frame(2), Some(&b"efghij"[..]));
        assert_eq!(batch.frame(3), None);
        batch.clear();
        assert!(batch.is_empty() && batch.push(b"0123456789"));
    }

    #[test]
    fn an_interface_that_is_not_there_is_named_by_its_error() {
        let error = FrameSocket::open("no-such-if0").expect_err("there is none");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
