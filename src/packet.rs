//! The shared vocabulary of every stage: a packet and where it came from, what
//! validation said of it, what was lost.
//!
//! Pure values. A [`Packet`] borrows its bytes from the lease it was read under.

use crate::time::Stamp;
use std::fmt;

/// A link-layer type by its pcap LINKTYPE number (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: four bytes of address family in the writer's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet II / 802.3.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP: version nibble decides.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: four bytes of address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// The word of pcapng's `epb_flags` option (pcapng draft, section 4.3.1): direction in bits 0–1,
/// reception type in bits 2–4, FCS length in bits 5–8, link errors in bits 16–31.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct EpbFlags(pub u32);

impl EpbFlags {
    /// Direction unknown, reception type unspecified.
    pub const NONE: Self = Self(0);
    /// Came in from the wire.
    pub const INBOUND: u32 = 1;
    /// Sent by this host.
    pub const OUTBOUND: u32 = 2;
    /// Addressed to this host.
    pub const UNICAST: u32 = 1 << 2;
    /// To a multicast group.
    pub const MULTICAST: u32 = 2 << 2;
    /// To everybody.
    pub const BROADCAST: u32 = 3 << 2;
    /// To somebody else, seen because the interface is promiscuous.
    pub const PROMISCUOUS: u32 = 4 << 2;

    /// True if this host sent it.
    pub const fn is_outbound(self) -> bool {
        self.0 & 3 == Self::OUTBOUND
    }
    /// True if it came in from the wire.
    pub const fn is_inbound(self) -> bool {
        self.0 & 3 == Self::INBOUND
    }
    /// Length of a frame check sequence kept at the end of the bytes, in bytes, if the writer knew.
    pub const fn fcs_len(self) -> u32 {
        (self.0 >> 5) & 0xf
    }
}

/// What the engine itself knows of a packet beyond pcapng's words. Stands on tape, so replay sees it too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Marks(pub u8);

impl Marks {
    /// `TP_STATUS_CSUMNOTREADY`: the sender left the checksum to a device; it was never computed.
    pub const CSUM_NOT_READY: u8 = 1;
    /// The kernel had taken the VLAN tag out; it was put back.
    pub const VLAN_RESTORED: u8 = 1 << 1;
    /// Several datagrams or segments merged by GRO/LRO (or not yet cut by TSO): `gso_size` tells.
    pub const GSO: u8 = 1 << 2;
    /// Shortened under load by the degradation ladder, not by the snap length.
    pub const SHED_PAYLOAD: u8 = 1 << 3;

    /// True if every bit of `mark` is set.
    pub const fn has(self, mark: u8) -> bool {
        self.0 & mark == mark
    }
}

/// One packet, borrowed from the lease it was read under.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The captured bytes, from the link-layer header on; VLAN tags restored.
    pub bytes: &'a [u8],
    /// Length on the wire, bytes; at least `bytes.len()` unless a file says otherwise.
    pub wire_len: u32,
    /// When it came in, and who says so.
    pub stamp: Stamp,
    /// When user space first saw it: `CLOCK_REALTIME`, ns since the Unix epoch. 0 for file sources.
    pub arrival_ns: u64,
    /// Index into the queue's interfaces.
    pub interface: u32,
    /// How `bytes` begin.
    pub link: LinkType,
    /// Direction and reception type.
    pub flags: EpbFlags,
    /// What the engine knows beyond that.
    pub marks: Marks,
    /// Segment size of a merged packet ([`Marks::GSO`]), bytes; else 0.
    pub gso_size: u16,
    /// Packets lost just before this one on this queue (ring overflow or shed): `epb_dropcount`.
    pub lost_before: u64,
}

/// What validation said of a packet: accepted, or the named reason why not.
///
/// An integer newtype because it is read back from tape. The names and numbers are
/// in the table at the end of this module and, with their meaning, in `docs/validation.md`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Verdict(pub u16);

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verdict({}={})", self.0, self.name())
    }
}

/// What sequence tracking found at a packet: not a reason to reject it, but a fact worth a mark on tape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Findings(pub u16);

impl Findings {
    /// Nothing worth a mark.
    pub const NONE: Self = Self(0);
    /// Messages are missing just before this packet.
    pub const GAP: u16 = 1;
    /// All of its messages had been seen before.
    pub const DUPLICATE: u16 = 1 << 1;
    /// It belongs before a packet already seen, and fills (part of) a gap.
    pub const OUT_OF_ORDER: u16 = 1 << 2;
    /// It overlaps what was seen before, and adds to it.
    pub const OVERLAP: u16 = 1 << 3;
    /// A heartbeat: no messages, the next sequence number.
    pub const HEARTBEAT: u16 = 1 << 4;
    /// The sender said that the session has ended.
    pub const END_OF_SESSION: u16 = 1 << 5;
    /// First packet of a stream, or of a new session of it: a new sequence space.
    pub const NEW_SESSION: u16 = 1 << 6;
    /// A recognised request packet (a client asking for retransmission), not feed data.
    pub const REQUEST: u16 = 1 << 7;
    /// A fragment: its transport header or payload is not (wholly) here, so nothing above IP was judged.
    pub const FRAGMENT: u16 = 1 << 8;
    /// Shortened by the snap length: what is missing was not judged.
    pub const SNAPPED: u16 = 1 << 9;
    /// The UDP checksum is that of the pseudo-header alone: the sender left the rest to its device, and the packet was
    /// captured before that. Whether the bytes are sound, it does not say.
    pub const CHECKSUM_PARTIAL: u16 = 1 << 10;

    /// The findings by name, in the order of their bits.
    pub const NAMES: [(u16, &'static str); 11] = [
        (Self::GAP, "gap"),
        (Self::DUPLICATE, "duplicate"),
        (Self::OUT_OF_ORDER, "out-of-order"),
        (Self::OVERLAP, "overlap"),
        (Self::HEARTBEAT, "heartbeat"),
        (Self::END_OF_SESSION, "end-of-session"),
        (Self::NEW_SESSION, "new-session"),
        (Self::REQUEST, "request"),
        (Self::FRAGMENT, "fragment"),
        (Self::SNAPPED, "snapped"),
        (Self::CHECKSUM_PARTIAL, "checksum-partial"),
    ];

    /// True if every bit of `finding` is set.
    pub const fn has(self, finding: u16) -> bool {
        self.0 & finding == finding
    }
    /// The names of the set bits.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| name)
    }
}

/// A verdict and the findings beside it: all that goes on tape about one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// Accepted, or why not.
    pub verdict: Verdict,
    /// Facts of sequence and completeness.
    pub findings: Findings,
}

impl Judgement {
    /// Decoding was shed: the bytes are on tape, `tape decode` can judge them later.
    pub const NOT_JUDGED: Self = Self { verdict: Verdict::NOT_JUDGED, findings: Findings::NONE };
}

/// Where packets were lost. An integer newtype because it is read back from tape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LossPlace(pub u8);

impl LossPlace {
    /// In the network interface (`rx_missed_errors`, `rx_fifo_errors`): before any filter, of the whole interface.
    pub const NIC: Self = Self(1);
    /// The kernel found the ring full (`PACKET_STATISTICS`, `tp_drops`).
    pub const RING: Self = Self(2);
    /// The hand-over ring was full. Cannot happen by construction (it holds every lease there is); counted all the same.
    pub const SPSC: Self = Self(3);
    /// Given up by the engine under load, as its policy says.
    pub const SHED: Self = Self(4);
    /// The journal could not take it: disk full, write error, no segment ready.
    pub const DISK: Self = Self(5);
    /// All places, in the order a packet meets them.
    pub const ALL: [Self; 5] = [Self::NIC, Self::RING, Self::SPSC, Self::SHED, Self::DISK];

    /// The word used in reports, JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NIC => "nic",
            Self::RING => "ring",
            Self::SPSC => "spsc",
            Self::SHED => "shed",
            Self::DISK => "disk",
            _ => "unknown",
        }
    }
}

/// A loss: how many packets, where, and in which interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Where.
    pub place: LossPlace,
    /// How many packets.
    pub packets: u64,
    /// Not before this: the stamp of the last packet known good, ns since the Unix epoch (0 = since the start).
    pub from_ns: u64,
    /// Not after this: when the count was read, or the stamp of the next good packet, ns since the Unix epoch.
    pub to_ns: u64,
}

/// An interface that packets come from: what pcapng's Interface Description Block says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceDef {
    /// `if_name`, e.g. `eth0`; empty if a file does not say.
    pub name: String,
    /// `if_description`.
    pub description: String,
    /// How its packets begin.
    pub link: LinkType,
    /// Snap length in bytes; 0 = none.
    pub snaplen: u32,
    /// `if_filter`: the filter as the user wrote it; empty if none.
    pub filter: String,
    /// `if_hardware`: driver and bus; empty if unknown.
    pub hardware: String,
    /// `if_MACaddr`.
    pub mac: Option<[u8; 6]>,
    /// `if_speed`, bits a second; 0 if unknown.
    pub speed_bps: u64,
}

impl InterfaceDef {
    /// An interface of which only name and link type are known.
    pub fn named(name: &str, link: LinkType) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            link,
            snaplen: 0,
            filter: String::new(),
            hardware: String::new(),
            mac: None,
            speed_bps: 0,
        }
    }
}

/// Declares every verdict once: its constant, number, name and meaning.
macro_rules! verdicts {
    ($($konst:ident = $num:literal, $name:literal, $meaning:literal;)*) => {
        impl Verdict {
            $(#[doc = $meaning] pub const $konst: Self = Self($num);)*
            /// Every verdict: number, name, meaning. `docs/validation.md` is checked against it.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$konst, $name, $meaning)),*];
            /// The name used in reports, JSON and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$konst => $name,)* _ => "unknown" }
            }
        }
    };
}

verdicts! {
    NOT_JUDGED = 0, "not-judged", "Decoding was shed under load; the bytes are on tape";
    ACCEPTED = 1, "accepted", "Every header that was recognised is sound";
    LINK_TRUNCATED = 10, "link-truncated", "Shorter than its link-layer header";
    VLAN_TRUNCATED = 11, "vlan-truncated", "Ends inside a VLAN tag";
    MPLS_TRUNCATED = 12, "mpls-truncated", "Ends inside the MPLS label stack";
    TOO_MANY_TAGS = 13, "too-many-tags", "More VLAN tags or MPLS labels than the decoder follows";
    ARP_BAD = 14, "arp-bad", "ARP shorter than its addresses";
    LENGTH_OVER_WIRE = 15, "length-over-wire", "More bytes captured than the record says were on the wire";
    IPV4_TRUNCATED = 20, "ipv4-truncated", "Shorter than its IPv4 header";
    IPV4_BAD_VERSION = 21, "ipv4-bad-version", "Version field is not 4";
    IPV4_BAD_HEADER_LENGTH = 22, "ipv4-bad-header-length", "Header length below 20 bytes";
    IPV4_BAD_TOTAL_LENGTH = 23, "ipv4-bad-total-length", "Total length beyond the bytes on the wire, or below the header";
    IPV4_BAD_CHECKSUM = 24, "ipv4-bad-checksum", "Header checksum does not match (RFC 1071)";
    IPV4_BAD_OPTIONS = 25, "ipv4-bad-options", "An option runs past the header";
    IPV6_TRUNCATED = 30, "ipv6-truncated", "Shorter than its IPv6 header";
    IPV6_BAD_VERSION = 31, "ipv6-bad-version", "Version field is not 6";
    IPV6_BAD_PAYLOAD_LENGTH = 32, "ipv6-bad-payload-length", "Payload length beyond the bytes on the wire";
    IPV6_BAD_EXTENSION = 33, "ipv6-bad-extension", "An extension header runs past the packet, or there are too many";
    UDP_TRUNCATED = 40, "udp-truncated", "Shorter than its UDP header";
    UDP_BAD_LENGTH = 41, "udp-bad-length", "UDP length below 8 or beyond the IP payload";
    UDP_BAD_CHECKSUM = 42, "udp-bad-checksum", "UDP checksum does not match, or is 0 over IPv6";
    TCP_TRUNCATED = 45, "tcp-truncated", "Shorter than its TCP header";
    TCP_BAD_OFFSET = 46, "tcp-bad-offset", "Data offset below 20 bytes or beyond the segment";
    TCP_BAD_CHECKSUM = 47, "tcp-bad-checksum", "TCP checksum does not match";
    ICMP_TRUNCATED = 50, "icmp-truncated", "Shorter than its ICMP or ICMPv6 header";
    ICMP_BAD_CHECKSUM = 51, "icmp-bad-checksum", "ICMP or ICMPv6 checksum does not match";
    IGMP_TRUNCATED = 55, "igmp-truncated", "Shorter than its IGMP header";
    IGMP_BAD_CHECKSUM = 56, "igmp-bad-checksum", "IGMP checksum does not match";
    MOLD_TRUNCATED = 100, "mold-truncated", "Shorter than the MoldUDP64 header (20 bytes)";
    MOLD_BAD_LENGTH = 101, "mold-bad-length", "A message block runs past the datagram";
    MOLD_BAD_COUNT = 102, "mold-bad-count", "The count does not match the message blocks in the datagram";
    MOLD_SEQUENCE_OVERFLOW = 103, "mold-sequence-overflow", "Sequence number plus count passes 2^64";
    ITCH_EMPTY = 120, "itch-empty", "An ITCH message of no bytes";
    ITCH_SHORT = 121, "itch-short", "An ITCH message shorter than its type's layout";
    IEX_TRUNCATED = 140, "iex-truncated", "Shorter than the IEX-TP segment header (40 bytes)";
    IEX_BAD_VERSION = 141, "iex-bad-version", "The IEX-TP version is not 1";
    IEX_BAD_LENGTH = 142, "iex-bad-length", "The payload length is not that of the datagram, or a message runs past it";
    IEX_BAD_COUNT = 143, "iex-bad-count", "The count does not match the messages in the segment";
    IEX_SEQUENCE_OVERFLOW = 144, "iex-sequence-overflow", "Sequence number plus count, or offset plus length, passes 2^64";
    IEX_BAD_PROTOCOL = 145, "iex-bad-protocol", "The message protocol id is none of TOPS, DEEP and DEEP+";
    IEX_EMPTY = 146, "iex-empty", "An IEX message of no bytes";
    IEX_SHORT = 147, "iex-short", "An IEX message shorter than its type's layout";
    CME_TRUNCATED = 160, "cme-truncated", "Shorter than the MDP 3.0 packet header (12 bytes)";
    CME_BAD_LENGTH = 161, "cme-bad-length", "A message's size runs past the datagram, or is too short for its own headers";
    CME_SHORT = 162, "cme-short", "A root block or a group's entry is shorter than its template's version needs";
    CME_BAD_SCHEMA = 163, "cme-bad-schema", "The SBE schema id is not 1";
    CME_BAD_BLOCK = 164, "cme-bad-block", "The root block or a repeating group runs past its message";
    PITCH_TRUNCATED = 180, "pitch-truncated", "Shorter than the sequenced unit header (8 bytes)";
    PITCH_BAD_LENGTH = 181, "pitch-bad-length", "The unit's length is not that of the datagram, or a message runs past it";
    PITCH_BAD_COUNT = 182, "pitch-bad-count", "The count does not match the messages in the unit";
    PITCH_SHORT = 183, "pitch-short", "A PITCH message shorter than its type is in every dialect, or without a type";
    PITCH_SEQUENCE_OVERFLOW = 184, "pitch-sequence-overflow", "Sequence number plus count passes 2^32";
    SEQUENCED_TRUNCATED = 200, "sequenced-truncated", "Shorter than the configured fields reach";
    SEQUENCED_OVERFLOW = 201, "sequenced-overflow", "Sequence number plus count passes what the field can hold, or a send time 2^64 ns";
    SEQUENCED_BAD_BLOCK = 202, "sequenced-bad-block", "A block's length runs past the datagram or does not cover its header, or blocks do not follow each other";
    SEQUENCED_BAD_COUNT = 203, "sequenced-bad-count", "A block counts more messages than a datagram has bytes";
}
