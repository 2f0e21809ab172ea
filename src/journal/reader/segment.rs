//! One segment, block by block, with every check that one file allows.
//!
//! May touch: that file. Checks, in this order: the block's frame and CRC; that it may stand where it
//! stands (section header, segment header, an anchor at every MiB, nothing behind the end); that it
//! continues what came before (sequence numbers, anchor contents, the end's counts).

use super::bytes::{FetchError, Found, SegmentBytes};
use super::{Damage, Place, ReadError, Record, TapePacket};
use crate::journal::Note;
use crate::journal::format::decode::{self, Block, Section};
use crate::journal::format::{self, Anchor, EndOfSegment, MAX_INTERFACES, MIB, SegmentHeader};
use crate::packet::{InterfaceDef, LinkType};
use crate::time::{Stamp, StampClock};
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

    /// Goes on behind the damage that the last step met. False if there is nowhere to go on: the segment
    /// has then ended for this reader.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn skip_damage(&mut self) -> Result<bool, ReadError> {
        self.is_lenient = true;
        self.is_gapless = false;
        self.next_seq = None;
        self.promised_stamp_ns = None;
        let offset = self.position;
        if let Ok(Found::Block { kind, len_bytes }) = self.bytes.fetch(offset)
            && has_trailer(self.bytes.block())
        {
            // The length stands at both ends: believe it, and of an interface's description what can be read.
            if kind == crate::pcapng::write::INTERFACE_DESCRIPTION
                && let Ok(Block::Interface(def)) = decode::parse(kind, self.bytes.block())
            {
                self.interfaces.push(def);
            }
            self.position = offset + len_bytes;
            if self.segment_id.is_some() || kind == crate::pcapng::write::SECTION_HEADER {
                return Ok(true);
            }
        }
        self.skip_to_anchor(offset)
    }

    /// Finds the first valid anchor behind `offset`.
    fn skip_to_anchor(&mut self, offset: u64) -> Result<bool, ReadError> {
        let mut at = (offset / MIB + 1) * MIB;
        while at < self.bytes.len_bytes() {
            if let Some(anchor) = self.anchor_at(at)? {
                self.segment_id = Some(anchor.segment_id);
                self.position = at;
                return Ok(true);
            }
            at += MIB;
        }
        self.has_ended = true;
        Ok(false)
    }

    /// The anchor at a multiple of a MiB, if a valid one of this segment stands there. Reads nothing else.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn anchor_at(&mut self, at: u64) -> Result<Option<Anchor>, ReadError> {
        self.bytes.set_read_ahead(false);
        let found = self.bytes.fetch_anchor(at);
        self.bytes.set_read_ahead(true);
        match found {
            Ok(Found::Block { kind: format::ANCHOR, .. }) => {}
            Err(FetchError::Io(error)) => return Err(self.fetch_error(at, FetchError::Io(error))),
            _ => return Ok(None),
        }
        let Some(anchor) = decode::anchor(self.bytes.block()) else { return Ok(None) };
        let is_ours = self.segment_id.is_none_or(|id| id == anchor.segment_id) && anchor.position == at;
        let is_sound = decode::checked(self.bytes.block(), anchor.segment_id).is_ok();
        Ok((is_ours && is_sound).then_some(anchor))
    }

    /// The last anchor that is committed, found by halving.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn last_anchor(&mut self) -> Result<Option<Anchor>, ReadError> {
        let mut best = None;
        let (mut low, mut high) = (0, self.len_bytes().div_ceil(MIB));
        while high - low > 1 {
            let middle = low.midpoint(high);
            match self.anchor_at(middle * MIB)? {
                Some(anchor) => {
                    low = middle;
                    best = Some(anchor);
                }
                None => high = middle,
            }
        }
        Ok(best)
    }

    /// What the end-of-segment block of a finished segment says, without reading what is before it;
    /// None for one that may still be written.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn end_by_tail(&mut self) -> Result<Option<EndOfSegment>, ReadError> {
        let Some(at) = self.bytes.len_bytes().checked_sub(format::END_BYTES as u64) else { return Ok(None) };
        if self.bytes.is_live() {
            return Ok(None);
        }
        self.bytes.set_read_ahead(false);
        let found = self.bytes.fetch(at);
        self.bytes.set_read_ahead(true);
        match found {
            Ok(Found::Block { kind: format::END_OF_SEGMENT, .. }) => {}
            Err(FetchError::Io(error)) => return Err(self.fetch_error(at, FetchError::Io(error))),
            _ => return Ok(None),
        }
        let parsed = decode::parse(format::END_OF_SEGMENT, self.bytes.block());
        Ok(if let Ok(Block::End(end)) = parsed { Some(end) } else { None })
    }

    /// Reads the headers and the interfaces at the segment's beginning, up to the first packet or note,
    /// without taking that. False if they are not (all) committed yet.
    ///
    /// # Errors
    /// [`ReadError`], as a step.
    pub fn read_head(&mut self) -> Result<bool, ReadError> {
        self.bytes.set_read_ahead(false);
        let done = self.walk_head();
        self.bytes.set_read_ahead(true);
        done
    }

    fn walk_head(&mut self) -> Result<bool, ReadError> {
        use crate::pcapng::write::{INTERFACE_DESCRIPTION, SECTION_HEADER};
        loop {
            let offset = self.position;
            let found = self.bytes.fetch(offset).map_err(|e| self.fetch_error(offset, e))?;
            let Found::Block { kind, len_bytes } = found else {
                if self.bytes.is_live() {
                    return Ok(self.header.is_some());
                }
                return Err(self.damage(offset, BlockError::NoEnd));
            };
            let is_head = matches!(kind, SECTION_HEADER | format::SEGMENT_HEADER | INTERFACE_DESCRIPTION);
            if !is_head && self.header.is_some() {
                return Ok(true);
            }
            self.take(kind, offset, len_bytes).map_err(|e| self.damage(offset, e))?;
            self.position = offset + len_bytes;
            self.counted.blocks += 1;
        }
    }

    /// Goes to an anchor that [`SegmentReader::anchor_at`] has shown. The head must have been read.
    pub fn seek_to_anchor(&mut self, anchor: &Anchor) {
        self.position = anchor.position;
        self.next_seq = None;
        self.promised_stamp_ns = None;
        self.is_gapless = false;
        self.current = None;
    }

    /// Checks a block and takes what it says into account. True if it is a record for the caller.
    fn take(&mut self, kind: u32, offset: u64, len_bytes: u64) -> Result<bool, BlockError> {
        self.check_place(kind, offset)?;
        let seed = self.segment_id.unwrap_or(0);
        let (_, block) = decode::checked(self.bytes.block(), seed)?;
        match decode::parse(kind, block)? {
            Block::Section(section) => self.section = Some(section),
            Block::SegmentHeader(header) => self.take_header(header)?,
            Block::Interface(def) => {
                if self.interfaces.len() >= MAX_INTERFACES {
                    return Err(BlockError::OutOfPlace("more interfaces than a queue can have"));
                }
                self.interfaces.push(def);
                return Ok(true);
            }
            Block::Packet(packet) => {
                let (seq, stamp, interface) = (packet.seq, packet.stamp, packet.interface);
                let captured = packet.bytes.len() as u64;
                self.take_packet(seq, stamp, interface, captured, offset)?;
                return Ok(true);
            }
            Block::Anchor(anchor) => self.take_anchor(&anchor, offset)?,
            Block::Pad => {}
            Block::End(end) => {
                self.take_end(&end, offset + len_bytes)?;
                return Ok(true);
            }
            Block::Statistics(_) | Block::Loss(_) | Block::Clock(_) | Block::Event(_) => return Ok(true),
        }
        Ok(false)
    }

    /// May a block of this type stand here?
    fn check_place(&self, kind: u32, offset: u64) -> Result<(), BlockError> {
        use crate::pcapng::write::SECTION_HEADER;
        if !decode::is_journal_type(kind) {
            return Err(decode::Damage::Type(kind).into());
        }
        let wrong = |what| Err(BlockError::OutOfPlace(what));
        if (kind == SECTION_HEADER) != (offset == 0) {
            return wrong("a section header stands at byte 0, and only there");
        }
        let needs_header = offset != 0 && self.segment_id.is_none();
        if (kind == format::SEGMENT_HEADER) != needs_header {
            return wrong("a segment header stands right behind the section header, and only there");
        }
        if (kind == format::ANCHOR) != (offset != 0 && offset.is_multiple_of(MIB)) {
            return wrong("an anchor stands at each MiB, and only there");
        }
        Ok(())
    }

    fn take_header(&mut self, header: SegmentHeader) -> Result<(), BlockError> {
        if header.version != format::FORMAT_VERSION {
            return Err(BlockError::Version(header.version));
        }
        if self.named.is_some_and(|named| named != (header.queue, header.index)) {
            return Err(BlockError::Misnamed { queue: header.queue, index: header.index });
        }
        self.segment_id = Some(header.segment_id);
        self.next_seq = Some(header.first_seq);
        self.header = Some(header);
        Ok(())
    }

    fn take_packet(
        &mut self,
        seq: u64,
        stamp: Stamp,
        interface: u32,
        captured: u64,
        offset: u64,
    ) -> Result<(), BlockError> {
        if let Some(expected) = self.next_seq
            && expected != seq
        {
            return Err(BlockError::Sequence { expected, found: seq });
        }
        if let Some(expected) = self.promised_stamp_ns.take()
            && expected != stamp.ns
        {
            let what = "next stamp (of this packet)";
            return Err(BlockError::Anchor { what, said: expected, expected: stamp.ns });
        }
        self.know_interface(interface, offset)?;
        self.next_seq = Some(seq.wrapping_add(1));
        self.stamp_ns = Some(stamp.ns);
        self.counted.packets += 1;
        self.counted.packet_bytes += captured;
        if stamp.clock != StampClock::NONE {
            self.counted.stamp(stamp.ns);
        }
        Ok(())
    }

    /// Makes sure that the interface is known: behind a jump its description may have been left out.
    fn know_interface(&mut self, interface: u32, offset: u64) -> Result<(), BlockError> {
        if self.interface(interface).is_some() {
            return Ok(());
        }
        let wanted = usize::try_from(interface).unwrap_or(usize::MAX);
        if self.is_gapless || wanted >= MAX_INTERFACES {
            return Err(BlockError::UnknownInterface(interface));
        }
        if let Some(all) = self.scan_interfaces(offset) {
            self.interfaces = all;
        }
        // The scan used the buffer: the packet's block has to be there again for `record`.
        let _ = self.bytes.fetch(offset);
        if self.interface(interface).is_none() {
            if !self.is_lenient {
                return Err(BlockError::UnknownInterface(interface));
            }
            // Packets of a damaged segment are worth more than their link type: "private use 0" claims nothing.
            self.interfaces.resize(wanted + 1, InterfaceDef::named("unknown", LinkType(147)));
        }
        Ok(())
    }

    /// All interfaces described before `until`, by walking there; None if damage is in the way.
    fn scan_interfaces(&mut self, until: u64) -> Option<Vec<InterfaceDef>> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < until {
            let Ok(Found::Block { kind, len_bytes }) = self.bytes.fetch(at) else { return None };
            if kind == crate::pcapng::write::INTERFACE_DESCRIPTION
                && let Ok(Block::Interface(def)) = decode::parse(kind, self.bytes.block())
            {
                found.push(def);
            }
            at += len_bytes;
        }
        Some(found)
    }

    fn take_anchor(&mut self, anchor: &Anchor, offset: u64) -> Result<(), BlockError> {
        let mut checks = vec![
            ("position", anchor.position, Some(offset)),
            ("segment id", u64::from(anchor.segment_id), self.segment_id.map(u64::from)),
            ("queue", u64::from(anchor.queue), self.header.map(|h| u64::from(h.queue))),
            ("next sequence number", anchor.next_seq, self.next_seq),
        ];
        if self.is_gapless {
            checks.push(("highest stamp", anchor.max_stamp_ns, Some(self.counted.max_stamp_ns)));
        }
        for (what, said, expected) in checks {
            if let Some(expected) = expected.filter(|e| *e != said) {
                return Err(BlockError::Anchor { what, said, expected });
            }
        }
        if self.header.is_some_and(|h| h.capture_id != anchor.capture_id) {
            return Err(BlockError::OutOfPlace("the anchor is of another capture than the segment"));
        }
        self.next_seq = Some(anchor.next_seq);
        self.promised_stamp_ns = Some(anchor.next_stamp_ns).filter(|ns| *ns != 0);
        Ok(())
    }

    fn take_end(&mut self, end: &EndOfSegment, behind: u64) -> Result<(), BlockError> {
        if let Some(expected) = self.next_seq.filter(|n| *n != end.next_seq) {
            return Err(BlockError::EndMismatch {
                what: "next sequence number",
                said: end.next_seq,
                expected,
            });
        }
        if self.is_gapless {
            let c = &self.counted;
            for (what, said, expected) in [
                ("packet count", end.packets, c.packets),
                ("lowest stamp", end.min_stamp_ns, c.min_stamp_ns),
                ("highest stamp", end.max_stamp_ns, c.max_stamp_ns),
            ] {
                if said != expected {
                    return Err(BlockError::EndMismatch { what, said, expected });
                }
            }
        }
        // A live file is longer until it is cut; only a finished one must end here.
        if !self.bytes.is_live() && behind < self.bytes.len_bytes() {
            return Err(BlockError::BehindEnd(self.bytes.len_bytes() - behind));
        }
        self.end = Some(*end);
        self.has_ended = true;
        Ok(())
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

fn has_trailer(block: &[u8]) -> bool {
    let head = block.get(4..).and_then(|b| b.first_chunk::<4>());
    head.is_some() && head == block.last_chunk::<4>()
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
