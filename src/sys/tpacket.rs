//! The kernel's `tpacket` structures, read out of plain bytes.
//!
//! Pure: bytes in, values out, every access bounds-checked. The offsets stand as
//! constants and are compared with libc's structs at compile time. Nothing here
//! believes a number: offsets and lengths are only reported, their user checks them.

use std::mem::{offset_of, size_of};

/// `TPACKET2_HDRLEN` without the address: the header, aligned.
pub const V2_HEADER_BYTES: usize = 32;
/// `struct tpacket3_hdr`.
pub const V3_HEADER_BYTES: usize = 48;
/// `struct sockaddr_ll`.
pub const ADDRESS_BYTES: usize = 20;
/// `struct tpacket_block_desc`, of which the first twelve bytes end with the status word.
pub const BLOCK_HEADER_BYTES: usize = 48;
/// Where the status word of a V2 frame stands.
pub const V2_STATUS_OFFSET: usize = 0;
/// Where the status word of a V3 block stands.
pub const V3_STATUS_OFFSET: usize = 8;
/// `struct virtio_net_hdr` without `num_buffers`: what `PACKET_VNET_HDR` puts before the packet.
pub const VNET_HEADER_BYTES: usize = 10;
/// `TP_STATUS_GSO_TCP`: a TCP segment not yet cut, or already merged (Linux 5.18+).
pub const TP_STATUS_GSO_TCP: u32 = 1 << 8;

const _: () = {
    assert!(size_of::<libc::tpacket2_hdr>() == V2_HEADER_BYTES);
    assert!(offset_of!(libc::tpacket2_hdr, tp_status) == V2_STATUS_OFFSET);
    assert!(offset_of!(libc::tpacket2_hdr, tp_len) == 4);
    assert!(offset_of!(libc::tpacket2_hdr, tp_snaplen) == 8);
    assert!(offset_of!(libc::tpacket2_hdr, tp_mac) == 12);
    assert!(offset_of!(libc::tpacket2_hdr, tp_sec) == 16);
    assert!(offset_of!(libc::tpacket2_hdr, tp_nsec) == 20);
    assert!(offset_of!(libc::tpacket2_hdr, tp_vlan_tci) == 24);
    assert!(offset_of!(libc::tpacket2_hdr, tp_vlan_tpid) == 26);
    assert!(size_of::<libc::tpacket3_hdr>() == V3_HEADER_BYTES);
    assert!(offset_of!(libc::tpacket3_hdr, tp_next_offset) == 0);
    assert!(offset_of!(libc::tpacket3_hdr, tp_sec) == 4);
    assert!(offset_of!(libc::tpacket3_hdr, tp_nsec) == 8);
    assert!(offset_of!(libc::tpacket3_hdr, tp_snaplen) == 12);
    assert!(offset_of!(libc::tpacket3_hdr, tp_len) == 16);
    assert!(offset_of!(libc::tpacket3_hdr, tp_status) == 20);
    assert!(offset_of!(libc::tpacket3_hdr, tp_mac) == 24);
    assert!(offset_of!(libc::tpacket3_hdr, hv1) == 28);
    assert!(offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci) == 4);
    assert!(offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid) == 8);
    assert!(size_of::<libc::sockaddr_ll>() == ADDRESS_BYTES);
    assert!(offset_of!(libc::sockaddr_ll, sll_pkttype) == 10);
    assert!(size_of::<libc::tpacket_block_desc>() == BLOCK_HEADER_BYTES);
    assert!(offset_of!(libc::tpacket_block_desc, hdr) == 8);
    assert!(offset_of!(libc::tpacket_hdr_v1, block_status) + 8 == V3_STATUS_OFFSET);
    assert!(offset_of!(libc::tpacket_hdr_v1, num_pkts) == 4);
    assert!(offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt) == 8);
    assert!(offset_of!(libc::tpacket_hdr_v1, ts_last_pkt) == 32);
};

/// A packet's header as the kernel wrote it, V2 or V3. Not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PacketHeader {
    /// Flags (V3: of the packet; V2: the frame's status word, which the caller has from taking it).
    pub status: u32,
    /// Length on the wire.
    pub len: u32,
    /// Bytes captured.
    pub snaplen: u32,
    /// Where the link-layer header begins, from the start of the header.
    pub mac: u16,
    /// Seconds of the stamp. The kernel's field is unsigned: good until 2106.
    pub sec: u32,
    /// Nanoseconds of the stamp.
    pub nsec: u32,
    /// The VLAN tag that the kernel took out: all 16 bits of it.
    pub vlan_tci: u16,
    /// Its TPID, e.g. 0x8100.
    pub vlan_tpid: u16,
    /// `sll_pkttype`: to us, broadcast, multicast, to somebody else, outgoing.
    pub packet_type: u8,
    /// V3: distance to the next header; 0 at the last.
    pub next_offset: u32,
}

/// A V3 block's header as the kernel wrote it. Not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Packets in the block.
    pub packets: u32,
    /// Where the first one's header is, from the start of the block.
    pub first_offset: u32,
    /// Stamp of the last packet, seconds.
    pub last_sec: u32,
    /// Stamp of the last packet, nanoseconds.
    pub last_nsec: u32,
}

/// The two facts of a `virtio_net_hdr` that a capture needs. Not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VnetHeader {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`; 0 = an ordinary packet.
    pub gso_type: u8,
    /// Payload bytes of one segment.
    pub gso_size: u16,
}

#[expect(clippy::host_endian_bytes, reason = "the kernel writes these structures in host order")]
fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[expect(clippy::host_endian_bytes, reason = "the kernel writes these structures in host order")]
fn u16_at<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a V2 frame's header. `body` is the frame without its status word (the first
/// four bytes), which is atomic and came as `status` from taking the frame.
pub fn read_v2(body: &[u8], status: u32) -> Option<PacketHeader> {
    const SKIPPED: usize = 4;
    let b: &[u8; V2_HEADER_BYTES + ADDRESS_BYTES - SKIPPED] = body.first_chunk()?;
    Some(PacketHeader {
        status,
        len: u32_at(b, 4 - SKIPPED),
        snaplen: u32_at(b, 8 - SKIPPED),
        mac: u16_at(b, 12 - SKIPPED),
        sec: u32_at(b, 16 - SKIPPED),
        nsec: u32_at(b, 20 - SKIPPED),
        vlan_tci: u16_at(b, 24 - SKIPPED),
        vlan_tpid: u16_at(b, 26 - SKIPPED),
        packet_type: b[V2_HEADER_BYTES + 10 - SKIPPED],
        next_offset: 0,
    })
}

/// Reads a V3 packet header at the start of `bytes`.
pub fn read_v3(bytes: &[u8]) -> Option<PacketHeader> {
    let b: &[u8; V3_HEADER_BYTES + ADDRESS_BYTES] = bytes.first_chunk()?;
    Some(PacketHeader {
        status: u32_at(b, 20),
        len: u32_at(b, 16),
        snaplen: u32_at(b, 12),
        mac: u16_at(b, 24),
        sec: u32_at(b, 4),
        nsec: u32_at(b, 8),
        // u32 in the kernel's struct, of which 16 bits are a tag.
        vlan_tci: u16::try_from(u32_at(b, 32) & 0xffff).unwrap_or(0),
        vlan_tpid: u16_at(b, 36),
        packet_type: b[V3_HEADER_BYTES + 10],
        next_offset: u32_at(b, 0),
    })
}

/// Writes the flags of a V3 packet header at the start of `bytes`.
#[expect(clippy::host_endian_bytes, reason = "the kernel's structure, in host order")]
pub fn write_v3_status(bytes: &mut [u8], status: u32) {
    if let Some(field) = bytes.get_mut(20..24) {
        field.copy_from_slice(&status.to_ne_bytes());
    }
}

/// Reads a V3 block's header. `body` is the block from behind its status word on.
pub fn read_block(body: &[u8]) -> Option<BlockHeader> {
    const SKIPPED: usize = V3_STATUS_OFFSET + 4;
    let b: &[u8; BLOCK_HEADER_BYTES - SKIPPED] = body.first_chunk()?;
    Some(BlockHeader {
        packets: u32_at(b, 12 - SKIPPED),
        first_offset: u32_at(b, 16 - SKIPPED),
        last_sec: u32_at(b, 40 - SKIPPED),
        last_nsec: u32_at(b, 44 - SKIPPED),
    })
}

/// Reads the `virtio_net_hdr` that ends where the packet begins (`mac`).
pub fn read_vnet(bytes: &[u8], mac: usize) -> Option<VnetHeader> {
    let at = mac.checked_sub(VNET_HEADER_BYTES)?;
    let b: &[u8; VNET_HEADER_BYTES] = bytes.get(at..)?.first_chunk()?;
    Some(VnetHeader { flags: b[0], gso_type: b[1], gso_size: u16_at(b, 4) })
}
