//! Writes the journal's blocks.
//!
//! Two shapes. The packet and the anchor-sized blocks are written into a slice of exactly their length,
//! *without their first word*: the writer stores that last, with release, and so commits the block.
//! The rare ones (headers, descriptions, statistics) go through a `Vec`, whole.
//! Nothing here panics or allocates on the slice side.

use super::{
    ANCHOR, Anchor, CLOCK, END_OF_SEGMENT, EVENT, EndOfSegment, FORMAT_VERSION, LOCAL_CRC_FROM_END,
    LOCAL_OPTION, LOSS, NO_ARRIVAL, PACKET_OPTION_BYTES, PAD, PacketBlock, SEGMENT_HEADER,
    STANDARD_CRC_FROM_END, SegmentHeader, block_crc, crc_seed,
};
use crate::clock::ClockReading;
use crate::journal::Event;
use crate::packet::{InterfaceDef, Loss};
use crate::pcapng::write::{self, InterfaceStats, stamp_bytes};
use crate::pcapng::{block, option};
use crate::time::delta_ns;

/// Puts values one after the other into a slice; what no longer fits is left out.
struct Put<'a> {
    rest: &'a mut [u8],
}

impl Put<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let rest = std::mem::take(&mut self.rest);
        if let Some((head, tail)) = rest.split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.rest = tail;
        }
        self
    }
    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
}

/// Fills `out`, which is a local block of exactly its length, but for the first word.
fn local(out: &mut [u8], block_type: u32, segment_id: u32, body: impl FnOnce(&mut Put<'_>)) {
    let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
    if let Some(rest) = out.get_mut(4..) {
        let mut put = Put { rest };
        put.u32(len);
        body(&mut put);
    }
    if let Some(at) = out.len().checked_sub(4) {
        Put { rest: out.get_mut(at..).unwrap_or_default() }.u32(len);
    }
    stamp_crc(out, block_type, segment_id, LOCAL_CRC_FROM_END);
}

/// Computes the CRC over what stands in `out` and writes it.
fn stamp_crc(out: &mut [u8], block_type: u32, segment_id: u32, from_end: usize) {
    let crc = block_crc(out, block_type, crc_seed(block_type, segment_id));
    if let Some(at) = out.len().checked_sub(from_end) {
        Put { rest: out.get_mut(at..).unwrap_or_default() }.u32(crc);
    }
}

/// An Enhanced Packet Block into `out`, [`super::packet_block_bytes`] long, all but the first word.
/// Answers the first word, which the caller stores last.
pub fn packet(out: &mut [u8], segment_id: u32, p: &PacketBlock<'_>) -> u32 {
    let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
    let captured = u32::try_from(p.bytes.len()).unwrap_or(u32::MAX);
    let arrival = if p.arrival_ns == 0 { NO_ARRIVAL } else { delta_ns(p.arrival_ns, p.stamp.ns) };
    if let Some(rest) = out.get_mut(4..) {
        let mut put = Put { rest };
        put.u32(len).u32(p.interface).bytes(&stamp_bytes(p.stamp.ns)).u32(captured).u32(p.wire_len);
        put.bytes(p.bytes).bytes(&[0; 3][..p.bytes.len().wrapping_neg() & 3]);
        put.u16(option::EPB_FLAGS).u16(4).u32(p.flags.0);
        if p.lost_before != 0 {
            put.u16(option::EPB_DROPCOUNT).u16(8).u64(p.lost_before);
        }
        put.u16(LOCAL_OPTION).u16(PACKET_OPTION_BYTES);
        put.u64(p.seq).bytes(&arrival.to_le_bytes());
        put.u16(p.judgement.verdict.0).u16(p.judgement.findings.0);
        put.bytes(&[p.stamp.clock.0, p.marks.0]).u16(p.gso_size).u32(0);
        put.u32(0).u32(len);
    }
    stamp_crc(out, block::ENHANCED_PACKET, segment_id, STANDARD_CRC_FROM_END);
    block::ENHANCED_PACKET
}

/// An anchor into `out`, [`super::ANCHOR_BYTES`] long, all but the first word, which is answered.
pub fn anchor(out: &mut [u8], a: &Anchor) -> u32 {
    local(out, ANCHOR, a.segment_id, |put| {
        put.u32(a.segment_id).u16(a.queue).u16(0).u64(a.position).u64(a.next_seq);
        put.u64(a.max_stamp_ns).u64(a.next_stamp_ns).bytes(&a.capture_id);
    });
    ANCHOR
}

/// A pad block that fills `out` (at least [`super::MIN_BLOCK_BYTES`], already zero), all but the first word.
pub fn pad(out: &mut [u8], segment_id: u32) -> u32 {
    local(out, PAD, segment_id, |_| {});
    PAD
}

/// A loss into `out`, [`super::LOSS_BYTES`] long, all but the first word.
pub fn loss(out: &mut [u8], segment_id: u32, loss: &Loss) -> u32 {
    local(out, LOSS, segment_id, |put| {
        put.u32(u32::from(loss.place.0)).u64(loss.packets).u64(loss.from_ns).u64(loss.to_ns);
    });
    LOSS
}

/// A clock reading into `out`, [`super::CLOCK_BYTES`] long, all but the first word.
pub fn clock(out: &mut [u8], segment_id: u32, c: &ClockReading) -> u32 {
    local(out, CLOCK, segment_id, |put| {
        put.u64(c.realtime_ns).u64(c.monotonic_raw_ns).u64(c.tai_ns).u64(c.phc_ns.unwrap_or(0));
        put.u32(u32::from(c.phc_ns.is_some())).u32(c.uncertainty_ns).u32(c.phc_uncertainty_ns);
    });
    CLOCK
}

/// An event into `out`, [`super::event_block_bytes`] of its text long, all but the first word.
/// `text` is what is kept of the event's text ([`kept_text`]).
pub fn event(out: &mut [u8], segment_id: u32, e: &Event, text: &str) -> u32 {
    local(out, EVENT, segment_id, |put| {
        put.u64(e.at_ns).bytes(&e.value.to_le_bytes()).u16(e.kind.0);
        put.u16(u16::try_from(text.len()).unwrap_or(u16::MAX)).bytes(text.as_bytes());
        put.bytes(&[0; 3][..text.len().wrapping_neg() & 3]);
    });
    EVENT
}

/// The part of an event's text that goes on tape.
pub fn kept_text(e: &Event) -> &str {
    write::cut(&e.text, Event::MAX_TEXT_BYTES)
}

/// An end-of-segment block into `out`, [`super::END_BYTES`] long, all but the first word.
pub fn end_of_segment(out: &mut [u8], segment_id: u32, e: &EndOfSegment) -> u32 {
    local(out, END_OF_SEGMENT, segment_id, |put| {
        put.u32(segment_id).u32(e.flags).u64(e.packets).u64(e.next_seq);
        put.u64(e.min_stamp_ns).u64(e.max_stamp_ns);
    });
    END_OF_SEGMENT
}

/// A segment header into `out`, [`super::SEGMENT_HEADER_BYTES`] long, all but the first word.
pub fn segment_header(out: &mut [u8], h: &SegmentHeader) -> u32 {
    local(out, SEGMENT_HEADER, 0, |put| {
        put.u16(FORMAT_VERSION).u16(h.queue).u32(h.segment_id).bytes(&h.capture_id);
        put.u32(h.index).u64(h.first_seq).u64(h.created_ns).u64(h.live_bytes).u64(0);
    });
    SEGMENT_HEADER
}

/// The local option of a standard block that is not a packet: its CRC, zero at first.
const CRC_OPTION: write::ExtraOption<'static> = (LOCAL_OPTION, &[0; 4]);

/// A section header, whole, at the end of `out`.
pub fn section(out: &mut Vec<u8>, hardware: &str, os: &str, application: &str) {
    let block = write::section_header(out, hardware, os, application, &[CRC_OPTION]);
    stamp_crc(block, block::SECTION_HEADER, 0, STANDARD_CRC_FROM_END);
}

/// An interface description, whole, at the end of `out`.
pub fn interface(out: &mut Vec<u8>, segment_id: u32, def: &InterfaceDef, os: &str) {
    let block = write::interface_description(out, def, os, &[CRC_OPTION]);
    stamp_crc(block, block::INTERFACE_DESCRIPTION, segment_id, STANDARD_CRC_FROM_END);
}

/// The CRC of an interface description again, for another segment.
pub fn reseed_interface(block: &mut [u8], segment_id: u32) {
    stamp_crc(block, block::INTERFACE_DESCRIPTION, segment_id, STANDARD_CRC_FROM_END);
}

/// Interface statistics, whole, at the end of `out`.
pub fn statistics(out: &mut Vec<u8>, segment_id: u32, interface: u32, at_ns: u64, stats: &InterfaceStats) {
    let block = write::interface_statistics(out, interface, at_ns, stats, &[CRC_OPTION]);
    stamp_crc(block, block::INTERFACE_STATISTICS, segment_id, STANDARD_CRC_FROM_END);
}
