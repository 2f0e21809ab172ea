//! From a kernel header and the bytes behind it to a [`Packet`]: the one place where
//! V2 frames and V3 blocks are read, over plain memory.
//!
//! Always true: every offset and length of the kernel is checked against the slice
//! that the lease owns, in release builds too; one that lies outside makes the packet
//! unreadable, it is never followed.

use crate::packet::{EpbFlags, LinkType, Marks, Packet};
use crate::sys::tpacket::{self, PacketHeader};
use crate::time::{NS_PER_SEC, Stamp, StampClock};

/// Ours, in a lease's copy of the flags (V2) or the packet's header (V3): the VLAN tag is
/// back in its place already. No kernel uses this bit.
pub(super) const RESTORED: u32 = 1 << 26;

/// Length of a VLAN tag, and of the two addresses that stand before it.
const TAG_BYTES: usize = 4;
const ADDRESSES_BYTES: usize = 12;
/// The TPID of kernels that do not tell one.
const DEFAULT_TPID: u16 = 0x8100;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const VNET_NEEDS_CHECKSUM: u8 = 1;

/// What is the same for all packets of a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalkRules {
    /// How packets begin.
    pub link: LinkType,
    /// Longest packet to hand over, bytes; `u32::MAX` = no limit.
    pub snaplen: u32,
    /// A `virtio_net_hdr` stands before each packet.
    pub vnet_header: bool,
    /// Added to hardware stamps to make them UTC.
    pub hw_to_utc_ns: i64,
}

/// Where a packet is, and what is known of it; borrowed from nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// First byte, from the start of the slice that was searched.
    begin: usize,
    end: usize,
    wire_len: u32,
    stamp: Stamp,
    flags: EpbFlags,
    marks: Marks,
    gso_size: u16,
    /// The tag was put back just now: the caller remembers it with [`RESTORED`].
    pub restored_now: bool,
}

impl Found {
    /// The packet, out of the same slice.
    pub(super) fn packet<'a>(
        &self,
        bytes: &'a [u8],
        rules: &WalkRules,
        arrival_ns: u64,
        lost_before: u64,
    ) -> Option<Packet<'a>> {
        Some(Packet {
            bytes: bytes.get(self.begin..self.end)?,
            wire_len: self.wire_len,
            stamp: self.stamp,
            arrival_ns,
            interface: 0,
            link: rules.link,
            flags: self.flags,
            marks: self.marks,
            gso_size: self.gso_size,
            lost_before,
        })
    }
}

/// Finds the packet of `header` in `bytes`, which begin `skipped` bytes behind the start of the header
/// and end with the room that the packet may use. Puts a VLAN tag that the kernel took out back.
/// `None` if an offset or length lies outside.
pub(super) fn find(
    bytes: &mut [u8],
    skipped: usize,
    header: &PacketHeader,
    rules: &WalkRules,
) -> Option<Found> {
    let fixed = if skipped == 0 { tpacket::V3_HEADER_BYTES } else { tpacket::V2_HEADER_BYTES };
    let mac = usize::from(header.mac);
    // A packet that begins inside its own header (or the address behind it) is nonsense.
    if mac < fixed + tpacket::ADDRESS_BYTES {
        return None;
    }
    let mut begin = mac - skipped;
    let captured = usize::try_from(header.snaplen).ok()?;
    let end = begin.checked_add(captured).filter(|end| *end <= bytes.len())?;
    let mut wire_len = header.len.max(header.snaplen);

    let (mut marks, gso_size) = marks_of(header, bytes, begin, rules);
    let mut restored_now = false;
    if has_tag(header) && captured >= ADDRESSES_BYTES && rules.link == LinkType::ETHERNET {
        if header.status & RESTORED == 0 {
            // Not into the header: the room was reserved, so this only fails on a wrong offset.
            if mac < fixed + tpacket::ADDRESS_BYTES + TAG_BYTES {
                return None;
            }
            restore_tag(bytes, begin, header);
            restored_now = true;
        }
        begin -= TAG_BYTES;
        wire_len = wire_len.saturating_add(4);
        marks.0 |= Marks::VLAN_RESTORED;
    }
    let limit = usize::try_from(rules.snaplen).unwrap_or(usize::MAX);
    Some(Found {
        begin,
        end: end.min(begin.saturating_add(limit)),
        wire_len,
        stamp: stamp_of(header, rules.hw_to_utc_ns),
        flags: flags_of(header.packet_type),
        marks,
        gso_size,
        restored_now,
    })
}

/// Valid bits decide; kernels before 3.0 did not set them, those are not supported.
const fn has_tag(header: &PacketHeader) -> bool {
    header.status & libc::TP_STATUS_VLAN_VALID != 0
}

/// Moves the addresses four bytes forward and writes TPID and all 16 bits of TCI between them and the rest.
fn restore_tag(bytes: &mut [u8], begin: usize, header: &PacketHeader) {
    let tpid = if header.status & libc::TP_STATUS_VLAN_TPID_VALID != 0 && header.vlan_tpid != 0 {
        header.vlan_tpid
    } else {
        DEFAULT_TPID
    };
    bytes.copy_within(begin..begin + ADDRESSES_BYTES, begin - TAG_BYTES);
    let tag = begin - TAG_BYTES + ADDRESSES_BYTES;
    bytes[tag..tag + 2].copy_from_slice(&tpid.to_be_bytes());
    bytes[tag + 2..tag + 4].copy_from_slice(&header.vlan_tci.to_be_bytes());
}

fn marks_of(header: &PacketHeader, bytes: &[u8], begin: usize, rules: &WalkRules) -> (Marks, u16) {
    let mut marks = 0;
    let mut gso_size = 0;
    if header.status & libc::TP_STATUS_CSUMNOTREADY != 0 {
        marks |= Marks::CSUM_NOT_READY;
    }
    if header.status & tpacket::TP_STATUS_GSO_TCP != 0 {
        marks |= Marks::GSO;
    }
    // Once the tag is back, the addresses stand where the last bytes of this header stood: its first six
    // (flags, type, size) are before them and still true.
    if rules.vnet_header
        && let Some(vnet) = tpacket::read_vnet(bytes, begin)
    {
        if vnet.flags & VNET_NEEDS_CHECKSUM != 0 {
            marks |= Marks::CSUM_NOT_READY;
        }
        if vnet.gso_type != 0 {
            marks |= Marks::GSO;
            gso_size = vnet.gso_size;
        }
    }
    (Marks(marks), gso_size)
}

/// The three cases, kept apart per packet; hardware may be missing on any of them.
fn stamp_of(header: &PacketHeader, hw_to_utc_ns: i64) -> Stamp {
    let ns = ns_of(header.sec, header.nsec);
    if header.status & libc::TP_STATUS_TS_RAW_HARDWARE != 0 {
        Stamp::new(ns.saturating_add_signed(hw_to_utc_ns), StampClock::HARDWARE)
    } else if header.status & libc::TP_STATUS_TS_SOFTWARE != 0 {
        Stamp::new(ns, StampClock::KERNEL_SOFTWARE)
    } else {
        Stamp::new(ns, StampClock::KERNEL_DELIVERY)
    }
}

/// The stamp of a header as a lease's source needs it: on the clock of the system, or `None` for a NIC's own.
pub(super) fn system_stamp_ns(header: &PacketHeader) -> Option<u64> {
    (header.status & libc::TP_STATUS_TS_RAW_HARDWARE == 0).then(|| ns_of(header.sec, header.nsec))
}

/// Seconds and nanoseconds as one number. Both are 32 bits wide, so it cannot overflow.
pub(super) fn ns_of(sec: u32, nsec: u32) -> u64 {
    u64::from(sec) * NS_PER_SEC + u64::from(nsec)
}

fn flags_of(packet_type: u8) -> EpbFlags {
    EpbFlags(match packet_type {
        libc::PACKET_HOST => EpbFlags::INBOUND | EpbFlags::UNICAST,
        libc::PACKET_BROADCAST => EpbFlags::INBOUND | EpbFlags::BROADCAST,
        libc::PACKET_MULTICAST => EpbFlags::INBOUND | EpbFlags::MULTICAST,
        libc::PACKET_OTHERHOST => EpbFlags::INBOUND | EpbFlags::PROMISCUOUS,
        libc::PACKET_OUTGOING => EpbFlags::OUTBOUND,
        _ => 0,
    })
}
