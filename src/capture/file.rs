//! Capture files as a source: classic pcap and pcapng, told apart by their first bytes.
//!
//! Read with plain `read(2)` into buffers of its own, never mapped: another program may
//! truncate the file meanwhile, and a pipe (`-`) cannot be mapped at all. Opening reads
//! nothing; the first byte of the file is looked at in [`Source::take`] (or
//! [`FileSource::first_link`]), when privilege is gone.
//!
//! Always true: each whole record before a damage is handed out, in order, then the damage
//! is reported once with its offset, then comes the end. One `take` makes at most one read,
//! so a filter that turns everything away, or a slow pipe, cannot hold up the caller.
//! Buffers are recycled; nothing is allocated per packet.

mod batch;
mod classic;
mod format;
mod ng;

pub use batch::FileLease;

use super::{Source, SourceCounts, SourceError, Take};
use crate::filter::Program;
use crate::packet::{LinkType, Loss, Packet};
use crate::sys::readable::readable;
use batch::{Batch, Pool};
use format::{Format, Parsed, Step};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

/// Longest packet that a record may hold, bytes: what libpcap and Wireshark allow too.
pub const MAX_PACKET_BYTES: u32 = 262_144;

/// Says of a packet (whole, before the snap length) whether it is wanted.
pub type FileFilter = Box<dyn FnMut(&Packet<'_>) -> bool + Send>;

/// A filter that keeps what `program` keeps. The program is compiled for one link type
/// ([`FileSource::first_link`]); packets of interfaces of another are for the caller to judge.
pub fn by_program(program: Program) -> FileFilter {
    Box::new(move |packet| program.accepts(packet))
}

/// Which file, and what of it.
#[derive(Default)]
pub struct FileOptions {
    /// The file; `-` is standard input.
    pub path: String,
    /// What is wanted of it; `None` = everything.
    pub filter: Option<FileFilter>,
    /// Packets are shortened to so many bytes; 0 = not.
    pub snaplen: u32,
}

impl std::fmt::Debug for FileOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileOptions")
            .field("path", &self.path)
            .field("filter", &self.filter.is_some())
            .field("snaplen", &self.snaplen)
            .finish()
    }
}

/// How the reading stands.
#[derive(Debug)]
enum Phase {
    Reading,
    /// The damage is told when it is asked for again; what came before it has been handed out.
    Failing(SourceError),
    Ended,
}

/// A capture file being read.
#[derive(Debug)]
pub struct FileSource {
    options: FileOptions,
    input: File,
    /// A pipe or terminal: reading could block for ever.
    may_block: bool,
    format: Format,
    /// What is being filled.
    batch: Batch,
    pool: Pool,
    /// Where `batch` begins in the file, bytes.
    offset: u64,
    phase: Phase,
    counts: SourceCounts,
    out_of_range: u64,
}

impl FileSource {
    /// Opens the file, and reads nothing of it yet.
    ///
    /// # Errors
    /// [`SourceError::Io`] if it cannot be opened.
    pub fn open(options: FileOptions) -> Result<Self, SourceError> {
        let opened = open_input(&options.path);
        let (input, may_block) = opened.map_err(|error| io_error("cannot open", &options.path, error))?;
        let mut pool = Pool::new();
        let batch = pool.fresh();
        Ok(Self {
            options,
            input,
            may_block,
            format: Format::Unknown,
            batch,
            pool,
            offset: 0,
            phase: Phase::Reading,
            counts: SourceCounts::default(),
            out_of_range: 0,
        })
    }

    /// Link type of the first interface, read ahead so that a filter can be compiled for it;
    /// `None` if the file has no interface. Waits for a pipe's first bytes.
    ///
    /// # Errors
    /// [`SourceError`] as [`Source::take`].
    pub fn first_link(&mut self) -> Result<Option<LinkType>, SourceError> {
        loop {
            let bytes = self.batch.unparsed();
            match self.format.clone().first_link(bytes).map_err(|damage| self.named(damage))? {
                Parsed::Known(link) => return Ok(link),
                Parsed::Short { needed } => {
                    if self.fill(needed)? == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Sets or replaces the filter, for what has not been handed out.
    pub fn set_filter(&mut self, filter: Option<FileFilter>) {
        self.options.filter = filter;
    }

    /// Stamps that lay before 1970 or after 2554 and were handed out as the nearest time that can be told.
    pub const fn stamps_out_of_range(&self) -> u64 {
        self.out_of_range
    }

    /// One read behind what is there, after making room for `needed` bytes from the first unparsed one on.
    fn fill(&mut self, needed: usize) -> Result<usize, SourceError> {
        let room = self.batch.room(needed);
        loop {
            match self.input.read(room) {
                Ok(read) => {
                    self.batch.filled(read);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error("cannot read", &self.options.path, error)),
            }
        }
    }

    /// Understands all whole records of the batch. Answers how many bytes the next one needs.
    fn parse(&mut self) -> Result<usize, SourceError> {
        loop {
            let at = self.batch.parsed();
            let offset = self.offset + at as u64;
            let step = self.format.step(self.batch.unparsed(), offset);
            let step = step.map_err(|damage| self.named(damage))?;
            match step {
                Step::Short { needed } => return Ok(needed),
                Step::Nothing { len } => self.batch.advance(len),
                Step::Interface { len, mut def } => {
                    def.snaplen = tighter(def.snaplen, self.options.snaplen);
                    self.batch.add_interface(def);
                    self.batch.advance(len);
                }
                Step::Record { len, record, out_of_range } => {
                    self.out_of_range += u64::from(out_of_range);
                    self.batch.advance(len);
                    let record = record.moved_by(at);
                    if self.wanted(&record) {
                        self.counts.received += 1;
                        self.batch.push(record.shortened(self.options.snaplen));
                    } else {
                        self.counts.filtered += 1;
                    }
                }
            }
        }
    }

    fn wanted(&mut self, record: &batch::Record) -> bool {
        match &mut self.options.filter {
            None => true,
            Some(filter) => self.batch.packet(record).is_none_or(|packet| filter(&packet)),
        }
    }

    /// What the end of the file means for bytes that are no whole record.
    fn at_end(&self, needed: usize) -> Phase {
        let present = self.batch.unparsed().len();
        let offset = self.offset + self.batch.parsed() as u64;
        match (present, &self.format) {
            (0, Format::Unknown) => Phase::Failing(self.named(format::Trouble::EMPTY)),
            (0, _) => Phase::Ended,
            _ => Phase::Failing(self.named(format::Trouble::truncated(offset, needed, present))),
        }
    }

    /// The lease of what is understood, if it is anything; the rest moves to the next batch.
    fn hand_out(&mut self) -> Option<FileLease> {
        if self.batch.is_empty() {
            self.offset += self.batch.compact() as u64;
            return None;
        }
        let mut next = self.pool.fresh();
        next.take_over(self.batch.unparsed());
        self.offset += self.batch.parsed() as u64;
        let full = std::mem::replace(&mut self.batch, next);
        Some(self.pool.lease(full))
    }

    fn named(&self, trouble: format::Trouble) -> SourceError {
        let path = if self.options.path == "-" { "standard input" } else { &self.options.path };
        trouble.of_file(path.to_owned())
    }
}

impl Source for FileSource {
    type Lease = FileLease;

    fn take(&mut self) -> Result<Take<FileLease>, SourceError> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Ended => return Ok(Take::End),
            Phase::Failing(error) => return Err(error),
            Phase::Reading => self.phase = Phase::Reading,
        }
        // What is there may hold whole records already: `first_link` reads ahead.
        match self.parse() {
            Err(error) => self.phase = Phase::Failing(error),
            Ok(needed) if self.batch.is_empty() => {
                if self.may_block && !self.is_readable(Duration::ZERO)? {
                    return Ok(Take::Idle);
                }
                self.read_and_parse(needed);
            }
            Ok(_) => {}
        }
        match self.hand_out() {
            Some(lease) => Ok(Take::Lease(lease)),
            None => match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Failing(error) => Err(error),
                Phase::Ended => Ok(Take::End),
                Phase::Reading => {
                    self.phase = Phase::Reading;
                    Ok(Take::Idle)
                }
            },
        }
    }

    fn wait(&mut self, max: Duration) -> Result<(), SourceError> {
        if self.may_block {
            self.is_readable(max)?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Option<Loss> {
        None
    }

    fn stop_intake(&mut self) {
        self.phase = Phase::Ended;
    }

    fn counts(&self) -> SourceCounts {
        self.counts
    }

    fn under_pressure(&self) -> bool {
        false
    }

    fn can_wait(&self) -> bool {
        true
    }
}

impl FileSource {
    fn read_and_parse(&mut self, needed: usize) {
        self.phase = match self.fill(needed) {
            Err(error) => Phase::Failing(error),
            Ok(0) => self.at_end(needed),
            Ok(_) => match self.parse() {
                Err(error) => Phase::Failing(error),
                Ok(_) => Phase::Reading,
            },
        };
    }

    fn is_readable(&self, max: Duration) -> Result<bool, SourceError> {
        readable(self.input.as_fd(), max).map_err(|error| io_error("cannot poll", &self.options.path, error))
    }
}

fn open_input(path: &str) -> io::Result<(File, bool)> {
    let input = if path == "-" {
        // A descriptor of our own: std's standard input has a buffer and a lock around it.
        File::from(io::stdin().as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    let may_block = !input.metadata()?.is_file();
    Ok((input, may_block))
}

fn io_error(did: &str, path: &str, error: io::Error) -> SourceError {
    let path = if path == "-" { "standard input" } else { path };
    SourceError::Io { what: format!("{did} capture file {path}"), error }
}

/// The smaller of two snap lengths, of which 0 means none.
const fn tighter(one: u32, other: u32) -> u32 {
    if one == 0 || (other != 0 && other < one) { other } else { one }
}
