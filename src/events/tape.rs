//! The event tape: what a room makes, cut into files beside the journal.
//!
//! [`Cutter`] decides which file a record stands in and what each file's head says, from the records alone. A [`Store`] keeps
//! what it is given: [`Files`] in a directory, [`Compare`] against a directory that is there already. So the tape that is
//! written live and the one that `tape decode` makes are cut by the same hand.
//!
//! The format, and what a crash may leave, is described in `docs/event-tape.md`.

mod compare;
mod files;
mod head;
mod index;
mod recover;

pub use compare::{Compare, Compared, Difference};
pub use files::Files;
pub use head::record_json;
pub use index::{Capture, EVENTS_DIR, FeedEntry, Line, State, decoder_version, parse_manifest};
pub use recover::{Cut, cut_capture, is_being_written, recover};

use super::follow::Span;
use super::output::{Output, SCHEMAS};
use super::room::Room;
use crate::feed::FeedConfig;
use std::io;

/// Records of one file, bytes: it is closed before the record that would make it longer. Stands in `events.toml`.
pub const ROLL_BYTES: u64 = 1 << 30;
/// Streams of a feed: one a schema, and the side table.
pub const STREAMS: usize = SCHEMAS.len() + 1;
/// The side table among the streams.
pub const SIDE: usize = SCHEMAS.len();

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Index of the feed.
    pub feed: usize,
    /// Index of the schema in [`SCHEMAS`], or [`SIDE`].
    pub stream: usize,
    /// Number of the file in its stream, from 0.
    pub index: u32,
}

impl FileId {
    /// Its name within the feed's directory.
    pub fn name(self) -> String {
        match SCHEMAS.get(self.stream) {
            Some(schema) => format!("{}-{:06}.dbn", schema.as_str(), self.index),
            None => format!("side-{:06}.jsonl", self.index),
        }
    }
}

/// True if a file of this name is one of the side table.
pub fn is_side(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ending == "jsonl")
}

/// Keeps files, in one way or another.
pub trait Store {
    /// A file begins, with this head as long as it is written.
    ///
    /// # Errors
    /// What the system says.
    fn begin(&mut self, file: FileId, head: &[u8]) -> io::Result<()>;
    /// Whole records (or rows) for a file that has begun.
    ///
    /// # Errors
    /// What the system says.
    fn append(&mut self, file: FileId, records: &[u8]) -> io::Result<()>;
    /// A file has all its records: `head` is what it begins with for good.
    ///
    /// # Errors
    /// What the system says.
    fn seal(&mut self, file: FileId, head: &[u8], records: u64) -> io::Result<()>;
}

/// A file that is being filled.
#[derive(Clone, Copy, Debug, Default)]
struct Filling {
    bytes: u64,
    records: u64,
}

/// One stream of a feed.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    next_index: u32,
    filling: Option<Filling>,
    records: u64,
}

/// What one feed has made: its configuration, the symbols known by now, its output.
pub type Made<'a> = (&'a FeedConfig, &'a [(u32, String)], &'a mut Output);

/// Cuts a room's output into files.
#[derive(Debug)]
pub struct Cutter<S> {
    store: S,
    roll_bytes: u64,
    streams: Vec<[Stream; STREAMS]>,
}

impl<S: Store> Cutter<S> {
    /// Nothing yet of `feeds` feeds.
    pub fn new(feeds: usize, roll_bytes: u64, store: S) -> Self {
        Self { store, roll_bytes, streams: vec![[Stream::default(); STREAMS]; feeds] }
    }

    /// Takes what the room has made. To be called after each record of the tape: the symbols in the head of a file that is
    /// closed are those that are known then.
    ///
    /// # Errors
    /// What the store says.
    pub fn take(&mut self, room: &mut Room, span: Span) -> io::Result<()> {
        for (feed, made) in room.outputs_with_symbols().enumerate() {
            self.take_feed(feed, made, span)?;
        }
        Ok(())
    }

    /// Takes what one feed has made: configuration, symbols, output.
    ///
    /// # Errors
    /// What the store says.
    pub fn take_feed(&mut self, feed: usize, made: Made<'_>, span: Span) -> io::Result<()> {
        let (config, symbols, output) = made;
        let Some(streams) = self.streams.get_mut(feed) else { return Ok(()) };
        for (at, stream) in streams.iter_mut().enumerate() {
            let buffer = buffer(output, at);
            if buffer.is_empty() {
                continue;
            }
            let heads = head::Heads { config, symbols, span, stream: at };
            put(&mut self.store, stream, (feed, at), buffer, self.roll_bytes, &heads)?;
            buffer.clear();
        }
        Ok(())
    }

    /// Takes the rest and closes every file.
    ///
    /// # Errors
    /// What the store says.
    pub fn finish(&mut self, room: &mut Room, span: Span) -> io::Result<()> {
        self.take(room, span)?;
        for (feed, made) in room.outputs_with_symbols().enumerate() {
            self.close_feed(feed, (made.0, made.1), span)?;
        }
        Ok(())
    }

    /// Closes every file of one feed.
    ///
    /// # Errors
    /// What the store says.
    pub fn close_feed(
        &mut self,
        feed: usize,
        (config, symbols): (&FeedConfig, &[(u32, String)]),
        span: Span,
    ) -> io::Result<()> {
        let Some(streams) = self.streams.get_mut(feed) else { return Ok(()) };
        for (at, stream) in streams.iter_mut().enumerate() {
            let heads = head::Heads { config, symbols, span, stream: at };
            close(&mut self.store, stream, (feed, at), &heads)?;
        }
        Ok(())
    }

    /// Records of each stream so far, feed by feed.
    pub fn records(&self) -> impl Iterator<Item = [u64; STREAMS]> {
        self.streams.iter().map(|streams| streams.map(|stream| stream.records))
    }

    /// The store.
    pub const fn store(&mut self) -> &mut S {
        &mut self.store
    }
    /// The store, for good.
    pub fn into_store(self) -> S {
        self.store
    }
}

fn buffer(output: &mut Output, stream: usize) -> &mut Vec<u8> {
    let Output { streams, side, .. } = output;
    streams.get_mut(stream).unwrap_or(side)
}

/// Bytes of the first record (or row) in `bytes`; all of them if it is not whole, which no normalizer writes.
fn first_record(bytes: &[u8], stream: usize) -> usize {
    let bytes_said = if stream == SIDE {
        bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
    } else {
        // DBN counts a record's length in words of four bytes, in its first byte.
        bytes.first().map(|words| usize::from(*words) * 4)
    };
    bytes_said.filter(|n| *n > 0 && *n <= bytes.len()).unwrap_or(bytes.len())
}

fn put<S: Store>(
    store: &mut S,
    stream: &mut Stream,
    (feed, at): (usize, usize),
    bytes: &[u8],
    roll_bytes: u64,
    heads: &head::Heads<'_>,
) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let file = FileId { feed, stream: at, index: stream.next_index };
        if stream.filling.is_none() {
            store.begin(file, &heads.live()?)?;
        }
        let mut filling = stream.filling.unwrap_or_default();
        let mut len = 0;
        let mut is_full = false;
        while len < rest.len() {
            let record = first_record(rest.get(len..).unwrap_or_default(), at);
            is_full = filling.records > 0 && filling.bytes + record as u64 > roll_bytes;
            if is_full {
                break;
            }
            len += record;
            filling.bytes += record as u64;
            filling.records += 1;
            stream.records += 1;
        }
        let (now, later) = rest.split_at(len.min(rest.len()));
        rest = later;
        stream.filling = Some(filling);
        if !now.is_empty() {
            store.append(file, now)?;
        }
        if is_full {
            close(store, stream, (feed, at), heads)?;
        }
    }
    Ok(())
}

fn close<S: Store>(
    store: &mut S,
    stream: &mut Stream,
    (feed, at): (usize, usize),
    heads: &head::Heads<'_>,
) -> io::Result<()> {
    let Some(filling) = stream.filling.take() else { return Ok(()) };
    let file = FileId { feed, stream: at, index: stream.next_index };
    stream.next_index += 1;
    store.seal(file, &heads.sealed()?, filling.records)
}
