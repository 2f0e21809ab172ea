//! `AF_PACKET` rings: frames that the kernel fills and user space reads in place.
//!
//! [`open`] turns [`RingOptions`] into a [`Ring`], and says in [`Granted`] and in
//! warnings what it got. `TPACKET_V2` is the latency mode (a packet is there when
//! the kernel has written it), `TPACKET_V3` the throughput mode (packets come in
//! blocks, when one is full or its timer is over, which spinning does not shorten).
//!
//! Touches sockets through `sys`; never the journal, never a packet's meaning. No
//! packet that the filter rejects ever enters the ring, the first included. If the
//! interface goes down or away, the ring stays and [`LinkWatch`] brings it back.

mod common;
mod filter;
mod hwstamp;
mod link;
mod open;
mod shape;
mod stats;
mod v2;
mod v3;
mod walk;

pub use hwstamp::HwStampGuard;
pub use link::{LinkEvent, LinkWatch};
pub use open::{StampSource, list_interfaces, open, open_queues, probe, stamp_sources, utc_shift_ns};
pub use v2::{FrameLease, RingV2, SourceV2};
pub use v3::{BlockLease, RingV3, SourceV3};

use crate::packet::InterfaceDef;
use crate::sys::socket_filter::Instruction;
use std::io;
use std::net::IpAddr;

/// Which ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `TPACKET_V2`: each packet at once.
    Latency,
    /// `TPACKET_V3`: blocks of packets.
    Throughput,
}

/// Which packets, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What comes in.
    In,
    /// What this host sends.
    Out,
    /// Both.
    Both,
}

/// How packets are spread over queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fanout {
    /// By flow (fragments of one datagram may part).
    Hash,
    /// By the CPU that received it.
    Cpu,
    /// In turn.
    LoadBalance,
    /// By the NIC's receive queue.
    QueueMapping,
}

impl Fanout {
    /// The word used in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Cpu => "cpu",
            Self::LoadBalance => "lb",
            Self::QueueMapping => "qm",
        }
    }
}

/// Whether the NIC is asked to stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HwStamp {
    /// No.
    Off,
    /// If it can, and no other program has set it otherwise.
    Auto,
    /// Whatever another program has set; failing to get it is an error.
    Force,
}

/// How to wait for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitMode {
    Spin,
    Poll,
}

/// What to open.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// The interface.
    pub interface: String,
    /// Which ring.
    pub mode: Mode,
    /// Spin instead of sleeping in `poll(2)`.
    pub spin: bool,
    /// Memory for each ring, bytes. Less is taken if the kernel does not have it.
    pub ring_bytes: u64,
    /// Bytes of a block (V3); chosen if `None`.
    pub block_bytes: Option<u32>,
    /// Bytes of a frame (V2); chosen by snap length and MTU if `None`. Merged packets (GRO) may want 65,728.
    pub frame_bytes: Option<u32>,
    /// V3: how long a block may stay open, ms.
    pub retire_ms: u32,
    /// Longest part of a packet to keep, bytes; 0 = all of it.
    pub snaplen: u32,
    /// Which packets.
    pub direction: Direction,
    /// See what is addressed to others too.
    pub promiscuous: bool,
    /// A classic BPF program that decides in the kernel; `None` = everything.
    pub filter: Option<Vec<Instruction>>,
    /// The filter as its user wrote it, for the tape.
    pub filter_text: String,
    /// How packets are spread, with more than one queue.
    pub fanout: Fanout,
    /// Multicast groups to join on the interface, for as long as the [`LinkWatch`] lives.
    pub groups: Vec<IpAddr>,
    /// Whether the NIC is asked to stamp.
    pub hwstamp: HwStamp,
    /// Added to hardware stamps: minus the TAI offset for a NIC clock on TAI, 0 for one on UTC, ns.
    pub hw_to_utc_ns: i64,
}

impl RingOptions {
    /// Memory of a ring unless asked otherwise, bytes.
    pub const DEFAULT_RING_BYTES: u64 = 64 << 20;

    /// Everything that comes in on `interface`, whole, in latency mode.
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            mode: Mode::Latency,
            spin: true,
            ring_bytes: Self::DEFAULT_RING_BYTES,
            block_bytes: None,
            frame_bytes: None,
            retire_ms: 1,
            snaplen: 0,
            direction: Direction::In,
            promiscuous: false,
            filter: None,
            filter_text: String::new(),
            fanout: Fanout::Hash,
            groups: Vec::new(),
            hwstamp: HwStamp::Off,
            hw_to_utc_ns: 0,
        }
    }

    const fn wait_mode(&self) -> WaitMode {
        if self.spin { WaitMode::Spin } else { WaitMode::Poll }
    }
}

/// What was granted, which may be less than what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Which ring.
    pub mode: Mode,
    /// Its memory, bytes.
    pub ring_bytes: u64,
    /// Its frames (V2) or blocks (V3).
    pub units: u32,
    /// Bytes of each.
    pub unit_bytes: u32,
    /// Longest packet that fits into one whole, bytes.
    pub longest_packet_bytes: u32,
    /// True if the memory is locked.
    pub locked: bool,
    /// V3: the retire time asked for, ms.
    pub retire_ms_asked: Option<u32>,
    /// V3: how long a packet may really be held back, ns (timers of older kernels go by ticks).
    pub retire_ns: Option<u64>,
    /// Whose stamps packets will carry, in words.
    pub stamps: String,
    /// True if the NIC granted stamps for every packet: a packet without one is then worth a warning.
    pub hardware_stamps: bool,
    /// The NIC's clock, `/dev/ptpN`.
    pub phc_index: Option<u32>,
    /// True if merged packets are recognised with their segment size.
    pub sees_merged: bool,
    /// The fanout group and its kind, with more than one queue.
    pub fanout: Option<(u16, Fanout)>,
}

/// A ring of either kind.
#[derive(Debug)]
pub enum Ring {
    /// Frames.
    V2(RingV2),
    /// Blocks.
    V3(RingV3),
}

/// An opened ring and all that belongs to it.
#[derive(Debug)]
pub struct Opened {
    /// Socket and mapping.
    pub ring: Ring,
    /// What packets say they come from.
    pub interface: InterfaceDef,
    /// What was got.
    pub granted: Granted,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// For the control thread: watches the interface, keeps group joins and NIC settings.
    pub link: LinkWatch,
}

/// Several rings on one interface, packets spread over them.
#[derive(Debug)]
pub struct OpenedQueues {
    /// Each with what it was granted.
    pub rings: Vec<(Ring, Granted)>,
    /// What packets say they come from.
    pub interface: InterfaceDef,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// One for all of them.
    pub link: LinkWatch,
}

/// Why a ring could not be opened, and the mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No interface of this name.
    #[error("{name}: no such interface; have: {}", have.join(", "))]
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        have: Vec<String>,
    },
    /// `any` mixes interfaces and has no link layer.
    #[error("any: not an interface; name one (-D lists them), or run one capture an interface")]
    Any,
    /// Opening raw sockets needs a capability.
    #[error(
        "{name}: opening a packet socket needs the capability CAP_NET_RAW: run under sudo, or once \
         `sudo setcap cap_net_raw,cap_net_admin,cap_ipc_lock+ep {program}`"
    )]
    NotPermitted {
        /// The interface.
        name: String,
        /// This program.
        program: String,
    },
    /// Its packets do not begin in a way that is understood.
    #[error(
        "{name}: link type {} is not supported; Ethernet, loopback and raw IP (tun) interfaces are",
        hardware_type_name(*hardware_type)
    )]
    LinkType {
        /// The interface.
        name: String,
        /// Its `ARPHRD_*` number.
        hardware_type: u16,
    },
    /// The filter has more instructions than the kernel takes.
    #[error("the filter has {instructions} instructions, the kernel takes at most 4096: make it shorter")]
    FilterTooLong {
        /// How many it has.
        instructions: usize,
    },
    /// The kernel refused the filter.
    #[error(
        "{interface}: the kernel refused the filter of {instructions} instructions ({bytes} bytes; \
         net.core.optmem_max bounds them): {error}"
    )]
    Filter {
        /// The interface.
        interface: String,
        /// How many instructions.
        instructions: usize,
        /// How many bytes.
        bytes: usize,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// Not even a small ring could be had.
    #[error(
        "{interface}: no ring, not even of {ring_bytes} bytes: {error}; free some memory or ask for less"
    )]
    Ring {
        /// The interface.
        interface: String,
        /// The last size that was tried.
        ring_bytes: u64,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Options(String),
    /// Hardware stamps were demanded and could not be had.
    #[error("{interface}: {why}")]
    HardwareStamps {
        /// The interface.
        interface: String,
        /// Why, and the mend.
        why: String,
    },
    /// Some other step failed.
    #[error("{interface}: {what}: {error}")]
    Io {
        /// The interface.
        interface: String,
        /// The step.
        what: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

/// A name for the `ARPHRD_*` numbers that people meet.
fn hardware_type_name(number: u16) -> String {
    let name = match number {
        libc::ARPHRD_INFINIBAND => "InfiniBand",
        libc::ARPHRD_PPP => "PPP",
        libc::ARPHRD_TUNNEL => "IPv4 tunnel",
        libc::ARPHRD_TUNNEL6 => "IPv6 tunnel",
        libc::ARPHRD_SIT => "SIT tunnel",
        libc::ARPHRD_IPGRE => "GRE tunnel",
        libc::ARPHRD_IEEE80211 | libc::ARPHRD_IEEE80211_PRISM | libc::ARPHRD_IEEE80211_RADIOTAP => {
            "802.11 monitor"
        }
        libc::ARPHRD_IEEE1394 => "FireWire",
        280 => "CAN",
        824 => "netlink monitor",
        826 => "virtual socket monitor",
        _ => return format!("ARPHRD {number}"),
    };
    format!("{name} (ARPHRD {number})")
}
