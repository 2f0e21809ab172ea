//! One segment, block by block, with every check that one file allows.
//!
//! May touch: that file. [`checks`] says what a block must be to be believed, [`jump`] goes to where something is
//! known to stand, [`salvage`] goes on behind damage.

mod checks;
mod jump;
mod salvage;

use super::bytes::{FetchError, Found, SegmentBytes};
use super::{Damage, Place, ReadError, Record, TapePacket};
use crate::journal::Note;
use crate::journal::format::decode::{self, Block, Section};
use crate::journal::format::{self, EndOfSegment, SegmentHeader};
use crate::packet::InterfaceDef;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Why a block of a segment is not right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Its own bytes are not right.
    #[error(transparent)]
    Block(#[from] decode::Damage),
    /// It would cross a multiple of a MiB, which no block does.
    #[error("a block of {said} bytes crosses a MiB boundary")]
    Straddles {
        /// Its length as written.
        said: u32,
    },
    /// The block is sound, but not one that can stand here.
    #[error("{0}")]
    OutOfPlace(&'static str),
    /// The file's name and its header say different things.
    #[error("this is segment {index} of queue {queue} by its header, another one by its name")]
    Misnamed {
        /// Queue by the header.
        queue: u16,
        /// Index by the header.
        index: u32,
    },
    /// The format's version is newer than this program.
    #[error("format version {0}; this program reads version {ours}", ours = format::FORMAT_VERSION)]
    Version(u16),
    /// A packet names an interface that was never described.
    #[error("the packet is of interface {0}, which is not described")]
    UnknownInterface(u32),
    /// A packet is missing, or stands twice.
    #[error("the packet has sequence number {found}, {expected} was to follow")]
    Sequence {
        /// The next number.
        expected: u64,
        /// The number on tape.
        found: u64,
    },
    /// An anchor contradicts the blocks before it.
    #[error("the anchor's {what} is {said}, not {expected}")]
    Anchor {
        /// Which field.
        what: &'static str,
        /// Its value.
        said: u64,
        /// What the blocks before it come to.
        expected: u64,
    },
    /// The end-of-segment block contradicts the segment.
    #[error("the end-of-segment block's {what} is {said}, not {expected}")]
    EndMismatch {
        /// Which field.
        what: &'static str,
        /// Its value.
        said: u64,
        /// What the segment's blocks come to.
        expected: u64,
    },
    /// There are bytes behind the end-of-segment block.
    #[error("{0} bytes stand behind the end-of-segment block")]
    BehindEnd(u64),
    /// A finished segment has no end-of-segment block.
    #[error("the segment ends without an end-of-segment block")]
    NoEnd,
}

/// How a segment file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Looks whether it ends with an end-of-segment block: if not, it may still be written.
    Auto,
    /// Takes it as finished, whatever it looks like: never mapped, so nobody's truncation can fault.
    Sealed,
}

/// What a step over a segment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentStep {
    /// A record, not yet taken.
    Record,
    /// Nothing more has been committed yet.
    Nothing,
    /// The segment has ended.
    End,
}

/// What was counted over the packets read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Captured bytes of packets.
    pub packet_bytes: u64,
    /// Lowest stamp, ns; 0 without packets.
    pub min_stamp_ns: u64,
    /// Highest stamp, ns; 0 without packets.
    pub max_stamp_ns: u64,
    /// Blocks of any kind.
    pub blocks: u64,
}

impl Counted {
    /// A packet without a stamp (clock "none") does not come here.
    fn stamp(&mut self, stamp_ns: u64) {
        self.min_stamp_ns = if self.min_stamp_ns == 0 { stamp_ns } else { self.min_stamp_ns.min(stamp_ns) };
        self.max_stamp_ns = self.max_stamp_ns.max(stamp_ns);
    }
}

/// Reads one segment.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    named: Option<(u16, u32)>,
    bytes: SegmentBytes,
    section: Option<Section>,
    header: Option<SegmentHeader>,
    segment_id: Option<u32>,
    interfaces: Vec<InterfaceDef>,
    /// Where the next block begins.
    position: u64,
    /// The record found last: its type and where it begins.
    current: Option<(u32, u64)>,
    stamp_ns: Option<u64>,
    /// None behind a hole: whatever comes next is believed.
    next_seq: Option<u64>,
    counted: Counted,
    /// False once blocks were left out (a jump, damage): counts over the whole segment are then unknown.
    is_gapless: bool,
    /// An anchor promised this stamp for the packet that follows it.
    promised_stamp_ns: Option<u64>,
    end: Option<EndOfSegment>,
    has_ended: bool,
    /// Unknown interfaces are made up rather than refused.
    is_lenient: bool,
}

impl SegmentReader {
    /// Opens a segment file. Nothing of it has been checked yet.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn open(path: &Path, opening: Opening) -> Result<Self, ReadError> {
        let io = |error| ReadError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(ReadError::NotATape { path: path.to_owned(), why: "not a regular file".to_owned() });
        }
        let len_bytes = metadata.len();
        let bytes = if opening == Opening::Sealed || is_finished(&file, len_bytes) {
            SegmentBytes::finished(file, len_bytes)
        } else if let Ok(bytes) = SegmentBytes::live(&file, len_bytes) {
            bytes
        } else {
            // Sealed, and so shortened, between the two looks at its length.
            let len_bytes = file.metadata().map_err(io)?.len();
            SegmentBytes::finished(file, len_bytes)
        };
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            named: format::parse_segment_name(name),
            bytes,
            section: None,
            header: None,
            segment_id: None,
            interfaces: Vec::new(),
            position: 0,
            current: None,
            stamp_ns: None,
            next_seq: None,
            counted: Counted::default(),
            is_gapless: true,
            promised_stamp_ns: None,
            end: None,
            has_ended: false,
            is_lenient: false,
        })
    }

    /// Goes to the next record.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] where a check fails: again at each step, until [`SegmentReader::skip_damage`].
    pub fn step(&mut self) -> Result<SegmentStep, ReadError> {
        self.current = None;
        self.stamp_ns = None;
        while !self.has_ended {
            let offset = self.position;
            let (kind, len_bytes) = match self.bytes.fetch(offset) {
                Ok(Found::Block { kind, len_bytes }) => (kind, len_bytes),
                Ok(Found::Nothing | Found::End) if self.bytes.is_live() => return Ok(SegmentStep::Nothing),
                Ok(Found::Nothing) => return Err(self.damage(offset, decode::Damage::Uncommitted.into())),
                Ok(Found::End) => return Err(self.damage(offset, BlockError::NoEnd)),
                Err(error) => return Err(self.fetch_error(offset, error)),
            };
            let is_record = self.take(kind, offset, len_bytes).map_err(|e| self.damage(offset, e))?;
            self.position = offset + len_bytes;
            self.counted.blocks += 1;
            if is_record {
                self.current = Some((kind, offset));
                return Ok(SegmentStep::Record);
            }
        }
        Ok(SegmentStep::End)
    }

    /// The record that the last [`SegmentStep::Record`] stands for.
    pub fn record(&self) -> Option<Record<'_>> {
        let (kind, offset) = self.current?;
        let at = self.place(offset);
        Some(match decode::parse(kind, self.bytes.block()).ok()? {
            Block::Packet(p) => Record::Packet(TapePacket {
                bytes: p.bytes,
                wire_len: p.wire_len,
                stamp: p.stamp,
                arrival_ns: p.arrival_ns,
                interface: p.interface,
                link: self.interface(p.interface)?.link,
                flags: p.flags,
                marks: p.marks,
                gso_size: p.gso_size,
                lost_before: p.lost_before,
                judgement: p.judgement,
                seq: p.seq,
                queue: at.queue,
                segment: at.segment,
                offset,
            }),
            Block::Interface(def) => {
                let index = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX).saturating_sub(1);
                Record::Interface { index, def, at }
            }
            Block::Loss(loss) => Record::Note { note: Note::Loss(loss), at },
            Block::Clock(reading) => Record::Note { note: Note::Clock(reading), at },
            Block::Event(event) => Record::Note { note: Note::Event(event), at },
            Block::Statistics(s) => Record::Statistics { interface: s.interface, stats: s.stats, at },
            Block::End(end) => Record::End { end, at },
            Block::Section(_) | Block::SegmentHeader(_) | Block::Anchor(_) | Block::Pad => return None,
        })
    }

    /// Stamp of the current record, if it is a packet.
    pub const fn stamp_ns(&self) -> Option<u64> {
        self.stamp_ns
    }

    /// Time of the current record, if it is a clock reading: `CLOCK_REALTIME`, ns since the Unix epoch.
    pub(super) fn reading_ns(&self) -> Option<u64> {
        match self.current? {
            (format::CLOCK, _) => match self.record()? {
                Record::Note { note: Note::Clock(reading), .. } => Some(reading.realtime_ns),
                _ => None,
            },
            _ => None,
        }
    }

    fn place(&self, offset: u64) -> Place {
        let by_header = self.header.map(|h| (h.queue, h.index));
        let (queue, segment) = by_header.or(self.named).unwrap_or_default();
        Place { queue, segment, offset }
    }

    fn damage(&self, offset: u64, error: BlockError) -> ReadError {
        ReadError::Damaged(Damage { path: self.path.clone(), offset, error })
    }

    fn fetch_error(&self, offset: u64, error: FetchError) -> ReadError {
        match error {
            FetchError::Io(error) => ReadError::Io { path: self.path.clone(), error },
            FetchError::Block(error) => self.damage(offset, error),
        }
    }

    /// True if nothing is committed at the current position.
    pub(super) fn has_nothing(&mut self) -> bool {
        matches!(self.bytes.fetch(self.position), Ok(Found::Nothing | Found::End))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// What its header says, once that has been read.
    pub const fn header(&self) -> Option<&SegmentHeader> {
        self.header.as_ref()
    }
    /// What its section header says, once that has been read.
    pub const fn section(&self) -> Option<&Section> {
        self.section.as_ref()
    }
    /// An interface by its index in the segment.
    pub fn interface(&self, index: u32) -> Option<&InterfaceDef> {
        self.interfaces.get(usize::try_from(index).ok()?)
    }
    /// The interfaces met so far.
    pub fn interfaces(&self) -> &[InterfaceDef] {
        &self.interfaces
    }
    /// What its end-of-segment block says, once that has been read.
    pub const fn end(&self) -> Option<&EndOfSegment> {
        self.end.as_ref()
    }
    /// What was counted so far.
    pub const fn counted(&self) -> Counted {
        self.counted
    }
    /// Sequence number of the next packet, if it is known.
    pub const fn next_seq(&self) -> Option<u64> {
        self.next_seq
    }
    /// Where the next block begins (for a live segment: how far it is committed).
    pub const fn position(&self) -> u64 {
        self.position
    }
    /// Length of the file when it was opened, bytes.
    pub const fn len_bytes(&self) -> u64 {
        self.bytes.len_bytes()
    }
    /// True if it may still be written.
    pub const fn is_live(&self) -> bool {
        self.bytes.is_live()
    }
    /// Bytes read from the file so far.
    pub const fn bytes_read(&self) -> u64 {
        self.bytes.bytes_read()
    }
}

/// Does the file end with a sound end-of-segment block?
fn is_finished(file: &File, len_bytes: u64) -> bool {
    let mut tail = [0; format::END_BYTES];
    let Some(at) = len_bytes.checked_sub(tail.len() as u64) else { return false };
    if file.read_exact_at(&mut tail, at).is_err() {
        return false;
    }
    let segment_id = tail.get(8..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
    matches!(decode::checked(&tail, segment_id), Ok((format::END_OF_SEGMENT, _)))
}
