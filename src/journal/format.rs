//! The journal's format: constants, the values of its own blocks, offsets and the CRC.
//!
//! Pure: bytes and values. [`encode`] writes blocks, [`decode`] reads them back; every number
//! stands once, here. `docs/journal-format.md` is its description for people.
//!
//! Always true of a journal segment: blocks follow each other without a hole from byte 0 to the
//! committed end; a block never straddles a multiple of [`MIB`]; each multiple of [`MIB`] but 0 that
//! lies before the end begins with an anchor; every block carries a CRC-32C.

pub mod decode;
pub mod encode;

use crate::packet::{EpbFlags, Judgement, Marks};
use crate::time::Stamp;

/// Version of the format that this program writes.
pub const FORMAT_VERSION: u16 = 1;
/// Distance of anchors, bytes.
pub const MIB: u64 = MIB_BYTES as u64;
/// The same, for lengths in memory.
pub const MIB_BYTES: usize = 1 << 20;
/// Longest packet, captured bytes.
pub const MAX_PACKET_BYTES: usize = 262_144;
/// Smallest segment, bytes.
pub const MIN_SEGMENT_BYTES: u64 = 4 * MIB;
/// Most interfaces that one queue knows.
pub const MAX_INTERFACES: usize = 4096;
/// Most bytes that all interface descriptions of a queue may take together.
pub const MAX_INTERFACE_BYTES: usize = 512 * 1024;

/// Block type: segment header, right after the section header.
pub const SEGMENT_HEADER: u32 = 0x8057_5401;
/// Block type: anchor, at each MiB.
pub const ANCHOR: u32 = 0x8057_5402;
/// Block type: pad, up to the next MiB.
pub const PAD: u32 = 0x8057_5403;
/// Block type: loss.
pub const LOSS: u32 = 0x8057_5404;
/// Block type: clock reading.
pub const CLOCK: u32 = 0x8057_5405;
/// Block type: event.
pub const EVENT: u32 = 0x8057_5406;
/// Block type: end of segment; the last block of a sealed file.
pub const END_OF_SEGMENT: u32 = 0x8057_540F;
/// Code of the journal's option in standard blocks (bit 15: local use).
pub const LOCAL_OPTION: u16 = 0x8757;

/// Smallest block that carries a CRC: type, length, CRC, length.
pub const MIN_BLOCK_BYTES: usize = 16;
/// Whole length of an anchor, bytes.
pub const ANCHOR_BYTES: usize = 72;
/// Whole length of a segment header, bytes.
pub const SEGMENT_HEADER_BYTES: usize = 76;
/// Whole length of an end-of-segment block, bytes.
pub const END_BYTES: usize = 56;
/// Whole length of a loss block, bytes.
pub const LOSS_BYTES: usize = 44;
/// Whole length of a clock block, bytes.
pub const CLOCK_BYTES: usize = 60;
/// Length of an event block without its text, bytes.
pub const EVENT_FIXED_BYTES: usize = 36;
/// Length of an EPB without packet bytes and drop count: header 28, flags 8, local option 32, end 4, length 4.
pub const PACKET_FIXED_BYTES: usize = 76;
/// What a drop count adds to an EPB, bytes.
pub const DROPCOUNT_BYTES: usize = 12;
/// Length of the local option's value in an EPB, bytes.
pub const PACKET_OPTION_BYTES: u16 = 28;
/// Longest block: the largest packet with a drop count.
pub const MAX_BLOCK_BYTES: usize = MAX_PACKET_BYTES + PACKET_FIXED_BYTES + DROPCOUNT_BYTES;
/// Distance of the CRC from the end of a local block (CRC, length).
pub const LOCAL_CRC_FROM_END: usize = 8;
/// Distance of the CRC from the end of a standard block (CRC ends the last option; end of options; length).
pub const STANDARD_CRC_FROM_END: usize = 12;
/// The arrival delta of a packet that has no arrival time (read from a file).
pub const NO_ARRIVAL: i64 = i64::MIN;

const _: () = assert!(MAX_BLOCK_BYTES + ANCHOR_BYTES + MIN_BLOCK_BYTES < 1 << 20);

/// A segment's header block: what the file is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Version of the format.
    pub version: u16,
    /// The queue that wrote it.
    pub queue: u16,
    /// Random, never 0; seeds every CRC of the segment.
    pub segment_id: u32,
    /// Random 128 bits, one a capture (a start of the engine).
    pub capture_id: [u8; 16],
    /// Which segment of the queue, as in the file's name.
    pub index: u32,
    /// Sequence number of the first packet in it.
    pub first_seq: u64,
    /// When the file was prepared, `CLOCK_REALTIME`, ns since the Unix epoch.
    pub created_ns: u64,
    /// Length of the file while it is live, bytes.
    pub live_bytes: u64,
}

/// An anchor: the time index and the point of resynchronisation, at each MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The segment it belongs to.
    pub segment_id: u32,
    /// The queue.
    pub queue: u16,
    /// Its own offset in the file, bytes.
    pub position: u64,
    /// Sequence number of the next packet.
    pub next_seq: u64,
    /// Highest stamp of any packet of this segment before it, ns; 0 if there is none.
    pub max_stamp_ns: u64,
    /// Stamp of the packet that follows it, ns; 0 if another record follows.
    pub next_stamp_ns: u64,
    /// The capture.
    pub capture_id: [u8; 16],
}

/// The last block of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EndOfSegment {
    /// [`EndOfSegment::RECOVERED`], [`EndOfSegment::LAST`].
    pub flags: u32,
    /// Packets in the segment.
    pub packets: u64,
    /// Sequence number that the next segment begins with.
    pub next_seq: u64,
    /// Lowest stamp, ns; 0 without packets.
    pub min_stamp_ns: u64,
    /// Highest stamp, ns; 0 without packets.
    pub max_stamp_ns: u64,
}

impl EndOfSegment {
    /// Written by recovery: the writer had been stopped in the middle.
    pub const RECOVERED: u32 = 1;
    /// The capture ended here in good order.
    pub const LAST: u32 = 2;
    /// Bytes beyond a cut were moved to `<name>.damaged`.
    pub const DAMAGED: u32 = 4;
}

/// What an Enhanced Packet Block of the journal says.
#[derive(Clone, Copy, Debug)]
pub struct PacketBlock<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, bytes.
    pub wire_len: u32,
    /// Stamp and clock.
    pub stamp: Stamp,
    /// When user space saw it, ns since the Unix epoch; 0 if never (file sources).
    pub arrival_ns: u64,
    /// Index of its interface in the segment.
    pub interface: u32,
    /// Direction and reception type.
    pub flags: EpbFlags,
    /// What the engine knew.
    pub marks: Marks,
    /// Segment size of a merged packet.
    pub gso_size: u16,
    /// Packets lost just before it.
    pub lost_before: u64,
    /// What validation said.
    pub judgement: Judgement,
    /// Sequence number in the queue.
    pub seq: u64,
}

/// Distance of the CRC from the end of a block of this type.
pub const fn crc_from_end(block_type: u32) -> usize {
    if block_type & 0x8000_0000 != 0 { LOCAL_CRC_FROM_END } else { STANDARD_CRC_FROM_END }
}

/// The seed of a block's CRC: section and segment header come before the segment's id is known.
pub const fn crc_seed(block_type: u32, segment_id: u32) -> u32 {
    match block_type {
        SEGMENT_HEADER | crate::pcapng::block::SECTION_HEADER => 0,
        _ => segment_id,
    }
}

/// CRC-32C of a block of type `block_type` (whatever stands in its first word), its own four CRC bytes
/// taken as zero, continued from `seed` as if `seed` were the CRC of what went before.
/// A block too short to have a CRC has CRC 0.
pub fn block_crc(block: &[u8], block_type: u32, seed: u32) -> u32 {
    let Some(at) = block.len().checked_sub(crc_from_end(block_type)) else { return 0 };
    let (Some(head), Some(tail)) = (block.get(4..at), block.get(at + 4..)) else { return 0 };
    let crc = crc32c::crc32c_append(seed, &block_type.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, head);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, tail)
}

/// Whole length of an EPB with `captured` packet bytes.
pub const fn packet_block_bytes(captured: usize, lost_before: u64) -> usize {
    crate::pcapng::write::padded(captured)
        + PACKET_FIXED_BYTES
        + if lost_before == 0 { 0 } else { DROPCOUNT_BYTES }
}

/// Whole length of an event block with `text` bytes of text.
pub const fn event_block_bytes(text: usize) -> usize {
    EVENT_FIXED_BYTES + crate::pcapng::write::padded(text)
}

/// Bytes from `offset` to the next MiB (a whole MiB if it stands on one).
pub const fn room_in_mib(offset: u64) -> u64 {
    MIB - offset % MIB
}

/// True if a block of `len` bytes may be written at `offset`: it does not straddle a MiB, and what it
/// leaves of the MiB is nothing or holds a pad block.
pub const fn fits_mib(offset: u64, len: u64) -> bool {
    let room = room_in_mib(offset);
    len == room || len.saturating_add(MIN_BLOCK_BYTES as u64) <= room
}

/// File name of a segment.
pub fn segment_name(queue: u16, index: u32) -> String {
    format!("q{queue:02}-{index:06}.pcapng")
}

/// Queue and index of a segment's file name.
pub fn parse_segment_name(name: &str) -> Option<(u16, u32)> {
    let (queue, index) = name.strip_prefix('q')?.strip_suffix(".pcapng")?.split_once('-')?;
    let digits = |s: &str, least: usize| s.len() >= least && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(queue, 2) || !digits(index, 6) {
        return None;
    }
    let parsed = (queue.parse().ok()?, index.parse().ok()?);
    (segment_name(parsed.0, parsed.1) == name).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::decode::{Block, Damage};
    use super::*;
    use crate::clock::ClockReading;
    use crate::journal::{Event, EventKind};
    use crate::packet::{Findings, InterfaceDef, LinkType, Loss, LossPlace, Verdict};
    use crate::time::StampClock;

    const ID: u32 = 0xDEAD_BEEF;

    fn committed(len: usize, encode: impl FnOnce(&mut [u8]) -> u32) -> Vec<u8> {
        let mut block = vec![0; len];
        let word = encode(&mut block);
        assert_eq!(block[..4], [0; 4], "the first word is the caller's to store");
        block[..4].copy_from_slice(&word.to_le_bytes());
        block
    }

    fn packet(bytes: &[u8], lost_before: u64) -> PacketBlock<'_> {
        PacketBlock {
            bytes,
            wire_len: 1500,
            stamp: Stamp::new(1_700_000_000_123_456_789, StampClock::HARDWARE),
            arrival_ns: 1_700_000_000_123_456_780,
            interface: 3,
            flags: EpbFlags(9),
            marks: Marks(5),
            gso_size: 1448,
            lost_before,
            judgement: Judgement { verdict: Verdict::UDP_BAD_CHECKSUM, findings: Findings(0x81) },
            seq: u64::MAX - 1,
        }
    }

    #[test]
    fn every_block_reads_back_as_it_was_written() {
        let anchor = Anchor {
            segment_id: ID,
            queue: 7,
            position: 5 * MIB,
            next_seq: 99,
            max_stamp_ns: 1,
            next_stamp_ns: 2,
            capture_id: [9; 16],
        };
        let b = committed(ANCHOR_BYTES, |out| encode::anchor(out, &anchor));
        assert!(matches!(decode::block(&b, ID), Ok((Block::Anchor(a), ANCHOR_BYTES)) if a == anchor));
        let loss = Loss { place: LossPlace::RING, packets: 4, from_ns: 5, to_ns: 6 };
        let b = committed(LOSS_BYTES, |out| encode::loss(out, ID, &loss));
        assert!(matches!(decode::block(&b, ID), Ok((Block::Loss(l), LOSS_BYTES)) if l == loss));
        for phc_ns in [None, Some(44)] {
            let clock = ClockReading {
                realtime_ns: 1,
                monotonic_raw_ns: 2,
                tai_ns: 3,
                phc_ns,
                uncertainty_ns: 5,
                phc_uncertainty_ns: 6,
            };
            let b = committed(CLOCK_BYTES, |out| encode::clock(out, ID, &clock));
            assert!(matches!(decode::block(&b, ID), Ok((Block::Clock(c), CLOCK_BYTES)) if c == clock));
        }
        for text in ["", "a", "link eth0 went down", "é€"] {
            let event = Event { at_ns: 1, kind: EventKind::LINK_DOWN, value: -5, text: text.to_owned() };
            let b = committed(event_block_bytes(text.len()), |out| encode::event(out, ID, &event, text));
            assert!(matches!(decode::block(&b, ID), Ok((Block::Event(e), _)) if e == event));
        }
        let end = EndOfSegment { flags: 3, packets: 4, next_seq: 5, min_stamp_ns: 6, max_stamp_ns: 7 };
        let b = committed(END_BYTES, |out| encode::end_of_segment(out, ID, &end));
        assert!(matches!(decode::block(&b, ID), Ok((Block::End(e), END_BYTES)) if e == end));
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            queue: 2,
            segment_id: ID,
            capture_id: [3; 16],
            index: 12,
            first_seq: 5,
            created_ns: 6,
            live_bytes: 7,
        };
        let b = committed(SEGMENT_HEADER_BYTES, |out| encode::segment_header(out, &header));
        assert!(
            matches!(decode::block(&b, 0), Ok((Block::SegmentHeader(h), SEGMENT_HEADER_BYTES)) if h == header)
        );
        let b = committed(40, |out| encode::pad(out, ID));
        assert!(matches!(decode::block(&b, ID), Ok((Block::Pad, 40))));
    }

    #[test]
    fn headers_and_descriptions_read_back_as_they_were_written() {
        let mut out = Vec::new();
        encode::section(&mut out, "cpu", "Linux", "wiretape 1");
        let section =
            decode::Section { hardware: "cpu".into(), os: "Linux".into(), application: "wiretape 1".into() };
        assert!(matches!(decode::block(&out, 5), Ok((Block::Section(s), _)) if s == section));
        let mut def = InterfaceDef::named("eth0", LinkType::ETHERNET);
        def.mac = Some([1, 2, 3, 4, 5, 6]);
        def.filter = "udp".to_owned();
        def.speed_bps = 10_000_000_000;
        def.snaplen = 65535;
        out.clear();
        encode::interface(&mut out, 1, &def, "Linux");
        encode::reseed_interface(&mut out, ID);
        assert!(matches!(decode::block(&out, ID), Ok((Block::Interface(d), _)) if d == def));
        assert!(matches!(decode::block(&out, 1), Err(Damage::Crc { .. })), "another segment's");
        let stats = crate::pcapng::write::InterfaceStats {
            start_ns: Some(1 << 40),
            delivered: Some(5),
            ..Default::default()
        };
        out.clear();
        encode::statistics(&mut out, ID, 3, 77 << 33, &stats);
        let expected = decode::Statistics { interface: 3, at_ns: 77 << 33, stats };
        assert!(matches!(decode::block(&out, ID), Ok((Block::Statistics(s), _)) if s == expected));
    }

    #[test]
    fn packets_of_every_padding_read_back_and_any_flipped_bit_is_found() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..9 {
            for lost in [0, 3] {
                let p = packet(&bytes[..len], lost);
                let mut b = committed(packet_block_bytes(len, lost), |out| encode::packet(out, ID, &p));
                let (Block::Packet(back), n) = decode::block(&b, ID).unwrap() else { panic!("a packet") };
                assert_eq!(n, b.len());
                assert_eq!(format!("{back:?}"), format!("{p:?}"));
                for bit in 0..b.len() * 8 {
                    b[bit / 8] ^= 1 << (bit % 8);
                    assert!(decode::block(&b, ID).is_err(), "bit {bit}");
                    b[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
    }

    #[test]
    fn a_packet_without_arrival_has_none_when_read_back() {
        let mut p = packet(&[], 0);
        p.arrival_ns = 0;
        let b = committed(packet_block_bytes(0, 0), |out| encode::packet(out, ID, &p));
        assert!(matches!(decode::block(&b, ID), Ok((Block::Packet(q), _)) if q.arrival_ns == 0));
    }

    #[test]
    fn a_zero_word_is_the_end_and_short_bytes_are_named() {
        assert_eq!(decode::block(&[0; 64], ID).err(), Some(Damage::Uncommitted));
        assert!(matches!(decode::block(&[1, 0], ID), Err(Damage::Short { .. })));
        let b = committed(40, |out| encode::pad(out, ID));
        assert!(matches!(decode::block(&b[..39], ID), Err(Damage::Short { said: 40, there: 39 })));
    }

    #[test]
    fn a_block_fits_if_nothing_or_a_pad_remains_of_its_mib() {
        assert!(fits_mib(MIB - 100, 100));
        assert!(!fits_mib(MIB - 100, 96));
        assert!(!fits_mib(MIB - 100, 88));
        assert!(fits_mib(MIB - 100, 84));
        assert!(!fits_mib(MIB - 100, 104));
        assert!(fits_mib(MIB, MIB));
    }

    #[test]
    fn segment_names_are_parsed_as_they_are_made_and_not_otherwise() {
        for (queue, index) in [(0, 0), (12, 34), (345, 12_345_678)] {
            assert_eq!(parse_segment_name(&segment_name(queue, index)), Some((queue, index)));
        }
        for name in [
            "q0-000000.pcapng",
            "q00-0.pcapng",
            "q00-000000.pcapng.damaged",
            "q000-000000.pcapng",
            "manifest",
        ] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }
}
