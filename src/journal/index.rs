//! Finds a time on a tape by its anchors, without reading what it need not.
//!
//! May touch: segment heads, anchors, and end-of-segment blocks.
//!
//! Each anchor says the highest stamp before it *in its segment*. That number never falls from one anchor to
//! the next, whatever the single stamps do, so a binary search over a segment's anchors is exact: behind
//! the last anchor whose highest stamp is below the begin, and only there, can packets of the range be.
//! The other end cannot be exact, as a later packet may have stepped back: reading goes on until a stamp is
//! [`TimeRange::margin_ns`] beyond the end. Packets that step back by more (a clock that was set) are found only
//! in their own place; a range that must catch them needs a larger margin.

use super::format::{Anchor, MIB};
use super::reader::{
    Merged, Opening, QueueReader, ReadError, ReadOptions, Record, SegmentReader, SegmentStep, Step, Tape,
    TapePacket,
};
use std::ops::Range;

/// A half-open range of stamps, and how far stamps may step back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Stamps, ns since the Unix epoch.
    pub stamps_ns: Range<u64>,
    /// How far a packet's stamp may lie below that of one before it in its queue, ns.
    pub margin_ns: u64,
}

impl TimeRange {
    /// Enough for hardware and kernel stamps mixed on one queue.
    pub const DEFAULT_MARGIN_NS: u64 = 1_000_000_000;

    /// A range with the margin that is enough for most tapes.
    pub const fn new(stamps_ns: Range<u64>) -> Self {
        Self { stamps_ns, margin_ns: Self::DEFAULT_MARGIN_NS }
    }

    fn is_past(&self, stamp_ns: u64) -> bool {
        stamp_ns >= self.stamps_ns.end.saturating_add(self.margin_ns)
    }
}

/// What finding and reading has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Blocks looked at.
    pub blocks: u64,
    /// Bytes read from files.
    pub bytes: u64,
}

/// The packets of a range, all queues merged, and the notes among them.
#[derive(Debug)]
pub struct RangeReader {
    merged: Merged,
    range: TimeRange,
    looked_at: Touched,
}

impl RangeReader {
    /// Finds the range's beginning in each queue.
    ///
    /// # Errors
    /// [`ReadError`] if a segment's head or anchors cannot be read.
    pub fn open(tape: &Tape, range: TimeRange, options: ReadOptions) -> Result<Self, ReadError> {
        let mut looked_at = Touched::default();
        let mut readers = Vec::new();
        for queue in tape.queues() {
            readers.push(open_queue(tape, queue, &range, options, &mut looked_at)?);
        }
        Ok(Self { merged: tape.merge(readers, options), range, looked_at })
    }

    /// Goes to the next record: a packet of the range, or whatever else stands among them. False at the end.
    ///
    /// # Errors
    /// [`ReadError`], as [`Merged::step`].
    pub fn step(&mut self) -> Result<bool, ReadError> {
        while self.merged.step(u64::MAX)? == Step::Record {
            let Some(Record::Packet(TapePacket { stamp, .. })) = self.merged.record() else {
                return Ok(true);
            };
            if self.range.stamps_ns.contains(&stamp.ns) {
                return Ok(true);
            }
            if self.range.is_past(stamp.ns) {
                self.merged.end_current();
            }
        }
        Ok(false)
    }

    /// The record that the last step has found.
    pub fn record(&self) -> Option<Record<'_>> {
        self.merged.record()
    }

    /// The next record, None at the end.
    ///
    /// # Errors
    /// As [`RangeReader::step`].
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        Ok(if self.step()? { self.record() } else { None })
    }

    /// The merge below: damages, positions.
    pub const fn merged(&self) -> &Merged {
        &self.merged
    }

    /// What it has cost so far.
    pub fn touched(&self) -> Touched {
        let mut sum = self.looked_at;
        for queue in self.merged.queues() {
            let (blocks, bytes) = queue.touched();
            sum.blocks += blocks;
            sum.bytes += bytes;
        }
        sum
    }
}

/// A reader of one queue that stands where the range's first packet can be.
fn open_queue(
    tape: &Tape,
    queue: u16,
    range: &TimeRange,
    options: ReadOptions,
    looked_at: &mut Touched,
) -> Result<QueueReader, ReadError> {
    let mut reader = tape.queue(queue, options);
    let begin_ns = range.stamps_ns.start;
    if begin_ns == 0 {
        return Ok(reader);
    }
    let Some(first) = first_segment(tape, queue, begin_ns, looked_at)? else { return Ok(reader) };
    reader.skip_to_segment(first);
    reader.seek_in_next(|segment| last_anchor_below(segment, begin_ns, looked_at))?;
    Ok(reader)
}

/// The first segment of the queue that may hold a stamp of at least `begin_ns`. Segments are asked in order, from the
/// last anchor of each (its highest stamp is known there but for the last MiB) or its end-of-segment block.
fn first_segment(
    tape: &Tape,
    queue: u16,
    begin_ns: u64,
    looked_at: &mut Touched,
) -> Result<Option<u32>, ReadError> {
    for file in tape.segments_of(queue) {
        let mut segment = match SegmentReader::open(&file.path, Opening::Auto) {
            Ok(segment) => segment,
            Err(ReadError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // Only a finished segment says at once how far it goes; a live one is the last anyway.
        let end = segment.end_by_tail()?;
        looked_at.blocks += 1;
        looked_at.bytes += segment.bytes_read();
        if end.is_none_or(|end| end.packets > 0 && end.max_stamp_ns >= begin_ns) {
            return Ok(Some(file.index));
        }
    }
    Ok(tape.segments_of(queue).last().map(|file| file.index))
}

/// The last anchor before which all stamps are below `begin_ns`; None if there is none.
fn last_anchor_below(
    segment: &mut SegmentReader,
    begin_ns: u64,
    looked_at: &mut Touched,
) -> Result<Option<Anchor>, ReadError> {
    // Numbers of MiB: the first anchor is at 1. `low` is known good (or 0), `high` is known not good.
    let (mut low, mut high) = (0, segment.len_bytes().div_ceil(MIB));
    let mut best = None;
    while high - low > 1 {
        let middle = low.midpoint(high);
        looked_at.blocks += 1;
        // No anchor there: not committed yet, or damaged. Searching below it is always right.
        match segment.anchor_at(middle * MIB)? {
            Some(anchor) if anchor.max_stamp_ns < begin_ns => {
                low = middle;
                best = Some(anchor);
            }
            _ => high = middle,
        }
    }
    Ok(best)
}

/// Lowest and highest stamp on a tape, None without packets. Cheap for finished segments, whose last block
/// says so; a segment that is still written is read from its last anchor on (and up to its first packet).
///
/// # Errors
/// [`ReadError`] if a segment cannot be opened, or a live one's end cannot be read.
pub fn span(tape: &Tape) -> Result<Option<(u64, u64)>, ReadError> {
    let mut all: Option<(u64, u64)> = None;
    for file in tape.segments() {
        let mut segment = match SegmentReader::open(&file.path, Opening::Auto) {
            Ok(segment) => segment,
            Err(ReadError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let own = match segment.end_by_tail()? {
            Some(end) if end.packets == 0 => None,
            Some(end) => Some((end.min_stamp_ns, end.max_stamp_ns)),
            None => live_span(&mut segment)?,
        };
        if let Some((first, last)) = own {
            all = Some(all.map_or((first, last), |(f, l)| (f.min(first), l.max(last))));
        }
    }
    Ok(all)
}

/// First stamp of a live segment, and the highest as its last anchor and what is behind it say. Packets that have no
/// stamp do not count.
fn live_span(segment: &mut SegmentReader) -> Result<Option<(u64, u64)>, ReadError> {
    if !segment.read_head()? {
        return Ok(None);
    }
    while segment.counted().min_stamp_ns == 0 {
        if segment.step()? != SegmentStep::Record {
            return Ok(None);
        }
    }
    let first_ns = segment.counted().min_stamp_ns;
    let mut last_ns = first_ns;
    if let Some(anchor) = segment.last_anchor()? {
        last_ns = anchor.max_stamp_ns.max(first_ns);
        segment.seek_to_anchor(&anchor);
    }
    while segment.step()? == SegmentStep::Record {}
    Ok(Some((first_ns, last_ns.max(segment.counted().max_stamp_ns))))
}
