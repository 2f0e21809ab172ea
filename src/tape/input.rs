//! What the tools read: a journal, one of its segments, or any capture file, packet by packet in order of time.
//!
//! Of a journal only the part is read that can hold the wanted stretch of time ([`crate::journal::index`]).
//!
//! May touch: the files, for reading. Memory is bounded; a packet is borrowed until the next one. Damage ends the
//! reading with an error that names file and offset, after every whole packet before it has been handed over.

use super::outcome::TapeError;
use super::select::{Chooser, Selection};
use crate::capture::file::{FileOptions, FileSource};
use crate::capture::{Lease, Source, SourceError, Take};
use crate::journal::Note;
use crate::journal::format;
use crate::journal::index::{self, RangeReader, TimeRange};
use crate::journal::reader::{Place, ReadOptions, Record, Tape, TapePacket};
use crate::packet::{InterfaceDef, Judgement, LinkType, Packet};
use crate::time::StampClock;
use crate::validate::{Judge, JudgeConfig};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A packet, wherever it came from.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The packet.
    pub packet: Packet<'a>,
    /// From tape; for a capture file, judged while it is read.
    pub judgement: Judgement,
    /// Its interface.
    pub interface: &'a InterfaceDef,
    /// Its number in all that was read, counted over queues: the same for the same interface and queue.
    pub interface_id: u32,
    /// Where it stands on tape; `None` for capture files.
    pub place: Option<OnTape>,
}

/// A packet's place on tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnTape {
    /// Sequence number in its queue.
    pub seq: u64,
    /// Queue, segment, offset.
    pub place: Place,
}

/// Something to read packets from, as often as wanted (standard input: once).
#[derive(Clone, Debug)]
pub struct Input {
    kind: Kind,
    progress: Progress,
}

/// How far a reading is: bytes of the input passed so far, nearly. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// What a packet takes in a file beside its bytes, bytes, nearly.
    const OVERHEAD_BYTES: u64 = 76;

    /// Bytes passed so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    /// Counts a packet.
    pub fn pass(&self, packet: &Packet<'_>) {
        self.add(u64::try_from(packet.bytes.len()).unwrap_or(0) + Self::OVERHEAD_BYTES);
    }
    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
enum Kind {
    /// A journal or one segment.
    Tape(Tape),
    /// A pcap or pcapng file; `-` is standard input.
    File(PathBuf),
}

/// First and last stamp of an input, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Earliest.
    pub first_ns: u64,
    /// Latest.
    pub last_ns: u64,
}

/// What a tool does with each packet; it breaks off with `Break`.
pub type Each<'e> = dyn FnMut(&Item<'_>) -> Result<ControlFlow<()>, TapeError> + 'e;

impl Input {
    /// Finds out what `path` is.
    ///
    /// # Errors
    /// [`TapeError`] that names it, if it cannot be opened or is a directory without a journal.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        let of = |kind| Self { kind, progress: Progress::default() };
        if path == Path::new("-") {
            return Ok(of(Kind::File(path.to_owned())));
        }
        if path.is_dir()
            || is_segment(path).map_err(TapeError::io(format!("cannot read {}", path.display())))?
        {
            return Ok(of(Kind::Tape(Tape::open(path)?)));
        }
        Ok(of(Kind::File(path.to_owned())))
    }

    /// How far it has been read.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Bytes of its files; 0 if that cannot be known.
    pub fn total_bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        match &self.kind {
            Kind::Tape(tape) => tape.segments().iter().map(|s| size(&s.path)).sum(),
            Kind::File(path) => size(path),
        }
    }

    /// The journal, if it is one.
    pub const fn tape(&self) -> Option<&Tape> {
        match &self.kind {
            Kind::Tape(tape) => Some(tape),
            Kind::File(_) => None,
        }
    }

    /// True if it can be read but once.
    pub fn is_stream(&self) -> bool {
        matches!(&self.kind, Kind::File(path) if path == Path::new("-"))
    }

    /// Hands every selected packet to `each`, in order of stamp (a capture file: as it stands).
    ///
    /// # Errors
    /// [`TapeError`]: the input's, the filter's, or what `each` answered.
    pub fn for_each(&self, selection: &Selection, each: &mut Each<'_>) -> Result<(), TapeError> {
        self.for_each_noting(selection, each, &mut |_| {})
    }

    /// The same, and hands the notes that stand among the packets of a journal to `note`.
    ///
    /// # Errors
    /// As [`Input::for_each`].
    pub fn for_each_noting(
        &self,
        selection: &Selection,
        each: &mut Each<'_>,
        note: &mut dyn FnMut(&Note),
    ) -> Result<(), TapeError> {
        let span = if selection.needs_span() { self.span()? } else { Span { first_ns: 0, last_ns: 0 } };
        let mut chooser = Chooser::new(selection, span)?;
        let mut left = selection.count;
        if left == Some(0) {
            return Ok(());
        }
        let stamps_ns = chooser.stamps_ns().clone();
        self.walk(stamps_ns, note, &mut |item| {
            if !chooser.wants(&item.packet, item.judgement)? {
                return Ok(ControlFlow::Continue(()));
            }
            left = left.map(|n| n - 1);
            let flow = each(item)?;
            Ok(if left == Some(0) { ControlFlow::Break(()) } else { flow })
        })?;
        chooser.finish()
    }

    /// First and last stamp. A journal knows them; a capture file is read once for them.
    fn span(&self) -> Result<Span, TapeError> {
        if let Kind::Tape(tape) = &self.kind {
            let (first_ns, last_ns) = index::span(tape)?.unwrap_or_default();
            return Ok(Span { first_ns, last_ns });
        }
        if self.is_stream() {
            return Err(TapeError::Refused(
                "standard input can be read only once, so its first and last time are not known: \
                 give --begin and --end as times of day, or read a file"
                    .to_owned(),
            ));
        }
        let mut span: Option<Span> = None;
        self.walk(0..u64::MAX, &mut |_| {}, &mut |item| {
            let stamp = item.packet.stamp;
            if stamp.clock != StampClock::NONE {
                let known = span.get_or_insert(Span { first_ns: stamp.ns, last_ns: stamp.ns });
                known.first_ns = known.first_ns.min(stamp.ns);
                known.last_ns = known.last_ns.max(stamp.ns);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(span.unwrap_or(Span { first_ns: 0, last_ns: 0 }))
    }

    /// Hands over what can lie in the range, and perhaps more of a capture file.
    fn walk(
        &self,
        stamps_ns: Range<u64>,
        note: &mut dyn FnMut(&Note),
        each: &mut Each<'_>,
    ) -> Result<(), TapeError> {
        match &self.kind {
            Kind::Tape(tape) => walk_tape(tape, stamps_ns, &self.progress, note, each),
            Kind::File(path) => walk_file(path, &mut |item| {
                self.progress.pass(&item.packet);
                each(item)
            }),
        }
    }
}

/// Numbers for the interfaces of a tape, in the order in which their packets are met.
#[derive(Debug, Default)]
struct Interfaces {
    /// By queue, segment, and index in that.
    known: BTreeMap<(u16, u32, u32), u32>,
    /// By number: queue, index, definition.
    numbered: Vec<(u16, u32, InterfaceDef)>,
}

impl Interfaces {
    /// The number of a packet's interface: a definition that is repeated in each segment keeps it.
    fn number(&mut self, packet: &TapePacket<'_>, def: &InterfaceDef) -> u32 {
        let (queue, index) = (packet.queue, packet.interface);
        if let Some(number) = self.known.get(&(queue, packet.segment, index)) {
            return *number;
        }
        let place = self.numbered.iter().position(|(q, i, d)| (*q, *i) == (queue, index) && d == def);
        let place = place.unwrap_or_else(|| {
            self.numbered.push((queue, index, def.clone()));
            self.numbered.len() - 1
        });
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        self.known.insert((queue, packet.segment, index), number);
        number
    }
}

fn walk_tape(
    tape: &Tape,
    stamps_ns: Range<u64>,
    progress: &Progress,
    note: &mut dyn FnMut(&Note),
    each: &mut Each<'_>,
) -> Result<(), TapeError> {
    let nameless = InterfaceDef::named("", LinkType::ETHERNET);
    let mut interfaces = Interfaces::default();
    let mut reader = RangeReader::open(tape, TimeRange::new(stamps_ns), ReadOptions::default())?;
    let mut passed = 0;
    while reader.step()? {
        let touched = reader.touched().bytes;
        progress.add(touched - passed);
        passed = touched;
        let packet = match reader.record() {
            Some(Record::Packet(packet)) => packet,
            Some(Record::Note { note: found, .. }) => {
                note(&found);
                continue;
            }
            _ => continue,
        };
        let interface = reader.merged().interface_of(&packet).unwrap_or(&nameless);
        let item = Item {
            packet: packet.as_packet(),
            judgement: packet.judgement,
            interface,
            interface_id: interfaces.number(&packet, interface),
            place: Some(OnTape { seq: packet.seq, place: packet.place() }),
        };
        if each(&item)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

fn walk_file(path: &Path, each: &mut Each<'_>) -> Result<(), TapeError> {
    let options = FileOptions { path: path.to_string_lossy().into_owned(), ..FileOptions::default() };
    let mut source = FileSource::open(options).map_err(|error| refused(&error))?;
    let mut judge = Judge::new(&JudgeConfig::default());
    let nameless = InterfaceDef::named("", LinkType::ETHERNET);
    let mut interfaces: Vec<InterfaceDef> = Vec::new();
    loop {
        let mut lease = match source.take().map_err(|error| refused(&error))? {
            Take::Lease(lease) => lease,
            Take::Idle => {
                source.wait(Duration::from_millis(200)).map_err(|error| refused(&error))?;
                continue;
            }
            Take::End => return Ok(()),
        };
        interfaces.extend_from_slice(lease.interfaces());
        let mut result = Ok(ControlFlow::Continue(()));
        lease.walk(|packet| {
            let index = usize::try_from(packet.interface).unwrap_or(usize::MAX);
            let interface = interfaces.get(index).unwrap_or(&nameless);
            let judgement = judge.judge(&packet);
            let item = Item { packet, judgement, interface, interface_id: packet.interface, place: None };
            result = each(&item);
            match result {
                Ok(flow) => flow,
                Err(_) => ControlFlow::Break(()),
            }
        });
        if result?.is_break() {
            return Ok(());
        }
    }
}

fn refused(error: &SourceError) -> TapeError {
    TapeError::Refused(error.to_string())
}

/// True if the file's second block is a journal's segment header.
fn is_segment(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut head = [0; 8];
    if file.read_exact(&mut head).is_err() {
        return Ok(false);
    }
    let word = |at: usize| head.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
    if word(0) != crate::pcapng::block::SECTION_HEADER {
        return Ok(false);
    }
    let mut kind = [0; 4];
    file.seek(SeekFrom::Start(u64::from(word(4))))?;
    Ok(file.read_exact(&mut kind).is_ok() && u32::from_le_bytes(kind) == format::SEGMENT_HEADER)
}
