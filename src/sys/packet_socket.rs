//! `AF_PACKET` sockets: one function a socket option.
//!
//! Knows the calls, not the order that makes sense of them (that is
//! `capture::af_packet`). The socket is closed on drop.

use super::sockopt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

const SOL_PACKET: i32 = libc::SOL_PACKET;

/// Which ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingVersion {
    /// Frames (`TPACKET_V2`).
    V2,
    /// Blocks (`TPACKET_V3`).
    V3,
}

/// `PACKET_STATISTICS`: counted since it was last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets that passed the filter, the dropped ones included.
    pub packets: u32,
    /// Dropped because the ring was full.
    pub drops: u32,
    /// Times the ring froze (V3).
    pub freezes: u32,
}

/// What became of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Something may be there.
    Ready,
    /// The time is over, or a signal came.
    Nothing,
    /// The link went down; the socket lives on.
    LinkDown,
}

/// A raw packet socket.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PacketSocket {
    /// `socket(AF_PACKET, SOCK_RAW, 0)`: protocol 0 receives nothing until it is bound.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// A second descriptor of the same socket.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    fn set(&self, name: i32, value: i32) -> io::Result<()> {
        sockopt::set(self.as_fd(), SOL_PACKET, name, &value)
    }

    /// `PACKET_VERSION`.
    ///
    /// # Errors
    /// `EBUSY` once a ring exists.
    pub fn set_version(&self, version: RingVersion) -> io::Result<()> {
        let number = match version {
            RingVersion::V2 => 1,
            RingVersion::V3 => 2,
        };
        self.set(libc::PACKET_VERSION, number)
    }

    /// `PACKET_RESERVE`: free bytes before each packet.
    ///
    /// # Errors
    /// `EBUSY` once a ring exists.
    pub fn set_reserve(&self, bytes: u32) -> io::Result<()> {
        self.set(libc::PACKET_RESERVE, bytes.cast_signed())
    }

    /// `PACKET_VNET_HDR`: a `virtio_net_hdr` before each packet tells whether it was merged.
    ///
    /// # Errors
    /// `EBUSY` once a ring exists.
    pub fn set_vnet_header(&self) -> io::Result<()> {
        self.set(libc::PACKET_VNET_HDR, 1)
    }

    /// `PACKET_TIMESTAMP` = `SOF_TIMESTAMPING_RAW_HARDWARE`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_hardware_stamps(&self) -> io::Result<()> {
        self.set(libc::PACKET_TIMESTAMP, libc::SOF_TIMESTAMPING_RAW_HARDWARE.cast_signed())
    }

    /// `PACKET_IGNORE_OUTGOING`.
    ///
    /// # Errors
    /// `ENOPROTOOPT` before Linux 4.20.
    pub fn set_ignore_outgoing(&self) -> io::Result<()> {
        self.set(libc::PACKET_IGNORE_OUTGOING, 1)
    }

    /// `PACKET_RX_RING` with frames.
    ///
    /// # Errors
    /// `ENOMEM`, or `EINVAL` for a shape that the kernel does not take.
    pub fn set_ring_v2(&self, block_bytes: u32, blocks: u32, frame_bytes: u32) -> io::Result<()> {
        let request = libc::tpacket_req {
            tp_block_size: block_bytes,
            tp_block_nr: blocks,
            tp_frame_size: frame_bytes,
            tp_frame_nr: (block_bytes / frame_bytes) * blocks,
        };
        sockopt::set(self.as_fd(), SOL_PACKET, libc::PACKET_RX_RING, &request)
    }

    /// `PACKET_RX_RING` with blocks, handed over when full or after `retire_ms`.
    ///
    /// # Errors
    /// `ENOMEM`, or `EINVAL` for a shape that the kernel does not take.
    pub fn set_ring_v3(&self, block_bytes: u32, blocks: u32, retire_ms: u32) -> io::Result<()> {
        // The frame size means nothing in V3 but is checked; one frame a block satisfies the check.
        let request = libc::tpacket_req3 {
            tp_block_size: block_bytes,
            tp_block_nr: blocks,
            tp_frame_size: block_bytes,
            tp_frame_nr: blocks,
            tp_retire_blk_tov: retire_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        sockopt::set(self.as_fd(), SOL_PACKET, libc::PACKET_RX_RING, &request)
    }

    /// Binds to an interface and receives all protocols of it from now on.
    ///
    /// # Errors
    /// `ENODEV` for an index that is not there; `EINVAL` in a fanout group.
    pub fn bind(&self, ifindex: u32) -> io::Result<()> {
        let mut address = empty_address();
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap_or(0).to_be();
        address.sll_ifindex = ifindex.cast_signed();
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or(0);
        // SAFETY: `address` is a readable sockaddr_ll of the length passed.
        let rc = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The interface it is bound to: `None` once that was removed (the kernel then puts -1 there).
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn bound_to(&self) -> io::Result<Option<u32>> {
        let mut address = empty_address();
        let mut length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or(0);
        // SAFETY: `address` is writable for `length` bytes; the kernel writes no more.
        let rc = unsafe { libc::getsockname(self.0.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(u32::try_from(address.sll_ifindex).ok().filter(|index| *index != 0))
    }

    /// `PACKET_ADD_MEMBERSHIP`: promiscuous for as long as the socket lives.
    ///
    /// # Errors
    /// `ENODEV` for an index that is not there.
    pub fn add_promiscuous(&self, ifindex: u32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: ifindex.cast_signed(),
            mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or(0),
            mr_alen: 0,
            mr_address: [0; 8],
        };
        sockopt::set(self.as_fd(), SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// `PACKET_FANOUT`: joins group `id` (with [`libc::PACKET_FANOUT_FLAG_UNIQUEID`] in `kind`: a new group).
    ///
    /// # Errors
    /// `EINVAL` if the group has another kind; `ENOSPC` if it is full.
    pub fn join_fanout(&self, id: u16, kind: u16) -> io::Result<()> {
        let word = u32::from(id) | (u32::from(kind) << 16);
        self.set(libc::PACKET_FANOUT, word.cast_signed())
    }

    /// The id of the fanout group it is in.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn fanout_id(&self) -> io::Result<u16> {
        let word = sockopt::get(self.as_fd(), SOL_PACKET, libc::PACKET_FANOUT, 0i32)?;
        Ok(u16::try_from(word & 0xffff).unwrap_or(0))
    }

    /// `PACKET_STATISTICS`. Reading clears: there must be one reader.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let empty = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        // On a V2 socket the kernel writes the first two numbers only.
        let read = sockopt::get(self.as_fd(), SOL_PACKET, libc::PACKET_STATISTICS, empty)?;
        Ok(Statistics { packets: read.tp_packets, drops: read.tp_drops, freezes: read.tp_freeze_q_cnt })
    }

    /// `poll(2)` for at most `max`. A link that went down is reported once: its error is taken off the socket.
    ///
    /// # Errors
    /// Any error of the socket other than a link that is down.
    pub fn poll(&self, max: Duration) -> io::Result<Polled> {
        let mut entry =
            libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN | libc::POLLERR, revents: 0 };
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(max.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(max.subsec_nanos().cast_signed()),
        };
        // SAFETY: one entry, alive through the call; no signal mask.
        let rc = unsafe { libc::ppoll(&raw mut entry, 1, &raw const timeout, std::ptr::null()) };
        if rc < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(Polled::Nothing) } else { Err(error) };
        }
        if entry.revents & libc::POLLERR != 0 {
            return match self.take_error()? {
                Some(error) if is_link_down(&error) => Ok(Polled::LinkDown),
                Some(error) => Err(error),
                None => Ok(Polled::Ready),
            };
        }
        Ok(if rc == 0 { Polled::Nothing } else { Polled::Ready })
    }

    /// Takes the pending error off the socket (`SO_ERROR`).
    ///
    /// # Errors
    /// If even that fails.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let code = sockopt::get(self.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR, 0i32)?;
        Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
    }
}

/// True for the errors that say that the interface is down or gone.
fn is_link_down(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO))
}

const fn empty_address() -> libc::sockaddr_ll {
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
