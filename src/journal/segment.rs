//! One live segment as its writer sees it, and what writer and keeper share of it.
//!
//! [`Tape`] keeps the layout's promises: blocks follow each other without a hole, none straddles a MiB,
//! every MiB but the first begins with an anchor, and a block's first word is stored last, with release.
//! It never blocks, allocates or panics; what does not fit is answered with `false`.

use super::format::{
    ANCHOR_BYTES, Anchor, END_BYTES, EndOfSegment, MIB, MIN_BLOCK_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader,
    encode, fits_mib, room_in_mib,
};
use crate::sys::segment_map::MapWriter;
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Longest interface statistics block, bytes.
pub(super) const MAX_STATISTICS_BYTES: u64 = 120;

/// What writer and keeper share of one segment, beside the mapping.
#[derive(Debug)]
pub(super) struct Progress {
    /// Bytes committed. Written by the writer only.
    pub(super) committed: CachePadded<AtomicU64>,
    /// Bytes that may be used: lowered by the keeper if storage fails further on.
    pub(super) limit: CachePadded<AtomicU64>,
    /// A sync of this segment failed: leave it as soon as there is another.
    pub(super) suspect: AtomicBool,
    /// The keeper has it back.
    pub(super) returned: AtomicBool,
}

impl Progress {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            committed: CachePadded::new(AtomicU64::new(0)),
            limit: CachePadded::new(AtomicU64::new(limit)),
            suspect: AtomicBool::new(false),
            returned: AtomicBool::new(false),
        }
    }
}

/// A prepared segment on its way to the writer.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) map: MapWriter,
    pub(super) progress: Arc<Progress>,
    pub(super) segment_id: u32,
    pub(super) index: u32,
    pub(super) created_ns: u64,
}

/// A segment on its way back to the keeper. The mapping comes along, so that the keeper unmaps it.
#[derive(Debug)]
pub(super) struct Spent {
    pub(super) tape: Tape,
    /// Ends with an end-of-segment block; else recovery must end it.
    pub(super) ended: bool,
}

/// What an anchor says beside its position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) next_seq: u64,
    /// 0 if the next record is no packet.
    pub(super) next_stamp_ns: u64,
}

/// A live segment and the position in it.
#[derive(Debug)]
pub(super) struct Tape {
    map: MapWriter,
    progress: Arc<Progress>,
    segment_id: u32,
    index: u32,
    queue: u16,
    capture_id: [u8; 16],
    position: u64,
    /// Records beyond headers and interface descriptions.
    records: u64,
    end: EndOfSegment,
}

impl Tape {
    pub(super) fn new(fresh: Fresh, queue: u16, capture_id: [u8; 16]) -> Self {
        Self {
            map: fresh.map,
            progress: fresh.progress,
            segment_id: fresh.segment_id,
            index: fresh.index,
            queue,
            capture_id,
            position: 0,
            records: 0,
            end: EndOfSegment::default(),
        }
    }

    pub(super) fn segment_id(&self) -> u32 {
        self.segment_id
    }
    pub(super) fn index(&self) -> u32 {
        self.index
    }
    pub(super) fn position(&self) -> u64 {
        self.position
    }
    pub(super) fn has_records(&self) -> bool {
        self.records != 0
    }
    pub(super) fn end(&self) -> EndOfSegment {
        self.end
    }
    pub(super) fn is_suspect(&self) -> bool {
        self.progress.suspect.load(Ordering::Relaxed)
    }
    pub(super) fn mark_returned(&self) {
        self.progress.returned.store(true, Ordering::Release);
    }

    /// Bytes that may be used at all.
    pub(super) fn hard_limit(&self) -> u64 {
        (self.map.len() as u64).min(self.progress.limit.load(Ordering::Relaxed))
    }

    /// Bytes that records may use: what closing the segment needs is kept free.
    pub(super) fn record_limit(&self, interfaces: usize) -> u64 {
        self.hard_limit().saturating_sub(closing_bytes(interfaces))
    }

    /// Appends a block of `len` bytes below `limit`: `fill` writes all but the first word and answers it.
    /// False if it does not fit; then nothing was written.
    pub(super) fn put(
        &mut self,
        len: usize,
        limit: u64,
        ahead: Ahead,
        fill: impl FnOnce(&mut [u8], u32) -> u32,
    ) -> bool {
        self.make_room(len as u64, limit, ahead) && self.put_here(len, fill)
    }

    /// Appends a block that is whole already.
    pub(super) fn put_whole(&mut self, block: &[u8], limit: u64, ahead: Ahead) -> bool {
        let word = block.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        self.put(block.len(), limit, ahead, |out, _| {
            if let (Some(to), Some(from)) = (out.get_mut(4..), block.get(4..)) {
                to.copy_from_slice(from);
            }
            word
        })
    }

    /// Brings the position to where `len` bytes may stand: pads to the next MiB, anchors it.
    pub(super) fn make_room(&mut self, len: u64, limit: u64, ahead: Ahead) -> bool {
        let at = self.position;
        let boundary = at.is_multiple_of(MIB) && at != 0;
        if !boundary && fits_mib(at, len) {
            return at.saturating_add(len) <= limit;
        }
        let pad = if boundary { 0 } else { room_in_mib(at) };
        let needed = (at + pad).saturating_add(ANCHOR_BYTES as u64).saturating_add(len);
        if needed > limit || !fits_mib(ANCHOR_BYTES as u64, len) {
            return false;
        }
        let padded = pad == 0 || usize::try_from(pad).is_ok_and(|pad| self.put_here(pad, encode::pad));
        padded && self.put_anchor(ahead)
    }

    fn put_anchor(&mut self, ahead: Ahead) -> bool {
        let anchor = Anchor {
            segment_id: self.segment_id,
            queue: self.queue,
            position: self.position,
            next_seq: ahead.next_seq,
            max_stamp_ns: self.end.max_stamp_ns,
            next_stamp_ns: ahead.next_stamp_ns,
            capture_id: self.capture_id,
        };
        self.put_here(ANCHOR_BYTES, |out, _| encode::anchor(out, &anchor))
    }

    /// Writes a block at the position and commits it.
    pub(super) fn put_here(&mut self, len: usize, fill: impl FnOnce(&mut [u8], u32) -> u32) -> bool {
        debug_assert!(len >= MIN_BLOCK_BYTES && len.is_multiple_of(4));
        let Ok(at) = usize::try_from(self.position) else { return false };
        let Some(block) = self.map.room(at, len) else { return false };
        let word = fill(block, self.segment_id);
        if !self.map.commit(at, word) {
            return false;
        }
        self.position += len as u64;
        self.progress.committed.store(self.position, Ordering::Release);
        true
    }

    /// The blocks that every segment begins with.
    pub(super) fn put_headers(&mut self, section: &[u8], header: &SegmentHeader) -> bool {
        let ahead = Ahead { next_seq: header.first_seq, next_stamp_ns: 0 };
        let limit = self.hard_limit();
        self.put_whole(section, limit, ahead)
            && self.put(SEGMENT_HEADER_BYTES, limit, ahead, |out, _| encode::segment_header(out, header))
    }

    /// Counts a packet that was just put.
    pub(super) fn count_packet(&mut self, stamp_ns: Option<u64>) {
        self.records += 1;
        self.end.packets += 1;
        if let Some(ns) = stamp_ns {
            self.end.min_stamp_ns =
                if self.end.min_stamp_ns == 0 { ns } else { self.end.min_stamp_ns.min(ns) };
            self.end.max_stamp_ns = self.end.max_stamp_ns.max(ns);
        }
    }

    /// Counts a note that was just put.
    pub(super) fn count_note(&mut self) {
        self.records += 1;
    }

    /// The last block. Nothing may be put after it.
    pub(super) fn put_end(&mut self, flags: u32, next_seq: u64) -> bool {
        let end = EndOfSegment { flags, next_seq, ..self.end };
        let ahead = Ahead { next_seq, next_stamp_ns: 0 };
        self.put(END_BYTES, self.hard_limit(), ahead, |out, id| encode::end_of_segment(out, id, &end))
    }
}

/// What closing a segment with so many interfaces may take, bytes: a statistics block each, the end, and pad
/// and anchor wherever these meet a MiB.
pub(super) fn closing_bytes(interfaces: usize) -> u64 {
    let blocks = MAX_STATISTICS_BYTES * interfaces as u64 + END_BYTES as u64;
    let at_a_boundary = ANCHOR_BYTES as u64 + MAX_STATISTICS_BYTES + MIN_BLOCK_BYTES as u64;
    blocks + at_a_boundary * (2 + blocks / MIB)
}
