//! `tape feeds`: what came on each stream: messages by type, heartbeats, the sequence and what is missing of it.
//!
//! A stream is one sequence space (session, channel, unit) from one sender to one address. Streams are those of the configuration,
//! and those that are recognised by structure.

use super::input::{Input, Item};
use super::outcome::{Outcome, TapeError};
use super::select::Selection;
use super::streams::{OnLine, Streams};
use super::words;
use crate::feed::frame::Kind;
use crate::feed::sequence::Tracker;
use crate::feed::{FeedConfig, Frame, MessageKind, Protocol, Space};
use crate::packet::Verdict;
use crate::time::StampClock;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;

/// Most streams that are told apart; each may take 16 KiB once it has many gaps.
const MAX_STREAMS: usize = 16_384;

/// How to answer.
#[derive(Clone, Debug)]
pub struct FeedsOptions {
    /// The configured feeds.
    pub feeds: Vec<FeedConfig>,
    /// Leave out datagrams with a wrong UDP checksum.
    pub verify_checksums: bool,
    /// JSON in place of text.
    pub json: bool,
}

/// What came on a stream. Numbers count messages where each has a number of its own, else packets.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// The feed's configured name, or `destination:port`.
    pub feed: String,
    /// The line's name; empty if the stream was recognised.
    pub line: String,
    /// What it speaks.
    pub protocol: &'static str,
    /// True if it was recognised by structure instead of configured.
    pub recognised: bool,
    /// From, `address:port`; empty if nothing came.
    pub src: String,
    /// To, `address:port`.
    pub dst: String,
    /// The sequence space as the protocol writes it.
    pub session: String,
    /// Soundly framed packets, heartbeats included.
    pub packets: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Messages in those packets, repeats included.
    pub messages: u64,
    /// The same by type, as the exchange's specification names it.
    pub types: BTreeMap<String, u64>,
    /// Messages of types that the protocol's tables do not know.
    pub unknown_types: u64,
    /// Messages that are not as their type's layout says, and packets whose framing is unsound.
    pub rejected: u64,
    /// First number of the (last) sequence space.
    pub first: u64,
    /// Number expected next.
    pub next: u64,
    /// Times that numbers were found missing.
    pub gaps: u64,
    /// Numbers that never came.
    pub missing: u64,
    /// Numbers that came again.
    pub duplicates: u64,
    /// Packets that belong before one already seen.
    pub out_of_order: u64,
    /// Numbers that were missing and came later.
    pub filled: u64,
    /// Sequence spaces of the same name: 1, and one more for each restart.
    pub epochs: u64,
    /// True if the sender said that the session has ended.
    pub ended: bool,
    /// Earliest stamp, ns since the Unix epoch; `None` if no packet had one.
    pub first_ns: Option<u64>,
    /// Latest stamp, ns since the Unix epoch.
    pub last_ns: Option<u64>,
}

/// All streams of an input.
#[derive(Clone, Debug, Serialize)]
pub struct FeedsReport {
    /// Packets that were read, of feeds or not.
    pub packets: u64,
    /// Packets of feeds that found no room in the tables and are not counted below.
    pub left_out: u64,
    /// UDP datagrams that were left out because their checksum is wrong.
    pub bad_checksums: u64,
    /// The streams, in the order in which they were met; then configured lines on which nothing came.
    pub streams: Vec<StreamReport>,
}

/// A stream's books.
#[derive(Debug)]
struct Book {
    line: usize,
    space: Space,
    tracker: Tracker,
    packets: u64,
    heartbeats: u64,
    messages: u64,
    types: BTreeMap<String, u64>,
    unknown_types: u64,
    rejected: u64,
    ended: bool,
    stamps_ns: Option<(u64, u64)>,
}

/// Reads `input` and writes the answer to `out`.
///
/// # Errors
/// [`TapeError`] of the input, the filter or the output.
pub fn run(
    input: &Input,
    selection: &Selection,
    options: &FeedsOptions,
    out: &mut dyn Write,
) -> Result<Outcome, TapeError> {
    let mut books = Books::new(options);
    input.for_each(selection, &mut |item| {
        books.take(item);
        Ok(ControlFlow::Continue(()))
    })?;
    let report = books.report();
    let text = if options.json {
        serde_json::to_string(&report).map_err(|error| TapeError::Refused(error.to_string()))? + "\n"
    } else {
        text(&report)
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(TapeError::io("cannot write the output"))?;
    Ok(Outcome::Good)
}

#[derive(Debug)]
struct Books {
    streams: Streams,
    all: Vec<Book>,
    /// Where a line's stream has its book.
    by_stream: HashMap<(usize, Space), usize>,
    /// Rejected packets by line: framing that cannot be believed names no stream.
    rejected: BTreeMap<usize, u64>,
    packets: u64,
    left_out: u64,
}

impl Books {
    fn new(options: &FeedsOptions) -> Self {
        Self {
            streams: Streams::new(&options.feeds, options.verify_checksums),
            all: Vec::new(),
            by_stream: HashMap::new(),
            rejected: BTreeMap::new(),
            packets: 0,
            left_out: 0,
        }
    }

    fn take(&mut self, item: &Item<'_>) {
        self.packets += 1;
        let stamp = item.packet.stamp;
        let stamp_ns = (stamp.clock != StampClock::NONE).then_some(stamp.ns);
        let (books, by_stream) = (&mut self.all, &mut self.by_stream);
        let (rejected, left_out) = (&mut self.rejected, &mut self.left_out);
        self.streams.packet(&item.packet, &mut |on_line| match &on_line.frame {
            Ok(frame) => match book_of(books, by_stream, on_line, frame) {
                Some(book) => book.take(frame, on_line.speaker, stamp_ns),
                None => *left_out += 1,
            },
            Err(Verdict::ACCEPTED) => {}
            Err(_) => *rejected.entry(on_line.index).or_default() += 1,
        });
    }

    fn report(&self) -> FeedsReport {
        let mut rejected = self.rejected.clone();
        let mut streams: Vec<StreamReport> = Vec::new();
        for book in &self.all {
            // A line's unsound packets are told with its first stream.
            let of_line = rejected.remove(&book.line).unwrap_or(0);
            streams.extend(self.of_book(book, of_line));
        }
        for (line, count) in rejected {
            streams.extend(self.of_line(line).map(|report| StreamReport { rejected: count, ..report }));
        }
        streams.extend(self.silent());
        FeedsReport {
            packets: self.packets,
            left_out: self.left_out + self.streams.left_out(),
            bad_checksums: self.streams.bad_checksums(),
            streams,
        }
    }

    fn of_line(&self, line: usize) -> Option<StreamReport> {
        let known = self.streams.lines().get(line)?;
        let speaker = self.streams.speaker(line)?;
        Some(StreamReport {
            feed: known.feed.clone(),
            line: known.name.clone(),
            recognised: known.configured.is_none(),
            src: known.route.src.to_string(),
            ..empty(speaker.name(), known.route.dst.to_string())
        })
    }

    fn of_book(&self, book: &Book, rejected_packets: u64) -> Option<StreamReport> {
        let counts = book.tracker.counts();
        Some(StreamReport {
            session: self.streams.speaker(book.line)?.space_name(&book.space),
            packets: book.packets,
            heartbeats: book.heartbeats,
            messages: book.messages,
            types: book.types.clone(),
            unknown_types: book.unknown_types,
            rejected: book.rejected + rejected_packets,
            first: book.tracker.first(),
            next: book.tracker.next(),
            gaps: counts.gaps,
            missing: book.tracker.still_missing(),
            duplicates: counts.duplicates,
            out_of_order: counts.out_of_order,
            filled: counts.filled,
            epochs: counts.spaces,
            ended: book.ended,
            first_ns: book.stamps_ns.map(|(first, _)| first),
            last_ns: book.stamps_ns.map(|(_, last)| last),
            ..self.of_line(book.line)?
        })
    }

    /// Configured lines on which nothing came.
    fn silent(&self) -> impl Iterator<Item = StreamReport> + '_ {
        let lines = self.streams.feeds().iter().enumerate().flat_map(|(at, feed)| {
            feed.lines.iter().enumerate().map(move |(line_at, line)| ((at, line_at), feed, line))
        });
        let came = |place| self.streams.lines().iter().any(|line| line.configured == Some(place));
        lines.filter(move |(place, ..)| !came(*place)).map(|(_, feed, line)| StreamReport {
            feed: feed.name.clone(),
            line: line.name.clone(),
            ..empty(feed.protocol.name(), std::net::SocketAddr::new(line.group, line.port).to_string())
        })
    }
}

/// The book of a frame's stream; `None` if there are too many.
fn book_of<'b>(
    books: &'b mut Vec<Book>,
    by_stream: &mut HashMap<(usize, Space), usize>,
    on_line: &OnLine<'_, '_>,
    frame: &Frame<'_>,
) -> Option<&'b mut Book> {
    let stream = (on_line.index, frame.header.space);
    let at = match by_stream.get(&stream) {
        Some(at) => *at,
        None if books.len() == MAX_STREAMS => return None,
        None => {
            books.push(Book::new(stream.0, stream.1));
            by_stream.insert(stream, books.len() - 1);
            books.len() - 1
        }
    };
    books.get_mut(at)
}

impl Book {
    fn new(line: usize, space: Space) -> Self {
        Self {
            line,
            space,
            tracker: Tracker::new(),
            packets: 0,
            heartbeats: 0,
            messages: 0,
            types: BTreeMap::new(),
            unknown_types: 0,
            rejected: 0,
            ended: false,
            stamps_ns: None,
        }
    }

    fn take(&mut self, frame: &Frame<'_>, speaker: &dyn Protocol, stamp_ns: Option<u64>) {
        let header = frame.header;
        let step = match header.kind {
            Kind::Reset => self.tracker.restart(header.first, header.units),
            _ => self.tracker.offer(header.first, header.units),
        };
        self.packets += 1;
        self.heartbeats += u64::from(header.kind == Kind::Heartbeat);
        self.ended = header.kind == Kind::EndOfSession || (self.ended && !step.new_space);
        for message in frame.messages() {
            self.messages += 1;
            match speaker.check(message) {
                Ok(MessageKind::Known) => {}
                Ok(MessageKind::Unknown) => self.unknown_types += 1,
                Err(_) => self.rejected += 1,
            }
            *self.types.entry(speaker.message_name(message)).or_default() += 1;
        }
        if let Some(ns) = stamp_ns {
            let (first, last) = self.stamps_ns.unwrap_or((ns, ns));
            self.stamps_ns = Some((first.min(ns), last.max(ns)));
        }
    }
}

fn empty(protocol: &'static str, dst: String) -> StreamReport {
    StreamReport {
        protocol,
        dst,
        feed: String::new(),
        line: String::new(),
        recognised: false,
        src: String::new(),
        session: String::new(),
        packets: 0,
        heartbeats: 0,
        messages: 0,
        types: BTreeMap::new(),
        unknown_types: 0,
        rejected: 0,
        first: 0,
        next: 0,
        gaps: 0,
        missing: 0,
        duplicates: 0,
        out_of_order: 0,
        filled: 0,
        epochs: 0,
        ended: false,
        first_ns: None,
        last_ns: None,
    }
}

fn text(report: &FeedsReport) -> String {
    let mut t = String::new();
    for stream in &report.streams {
        one(&mut t, stream);
    }
    let of_feeds: u64 = report.streams.iter().map(|s| s.packets).sum();
    let (read, of_feeds) = (words::count(report.packets, "packet", "packets"), words::grouped(of_feeds));
    let _ = writeln!(t, "{read} read, {of_feeds} of feeds, in {} streams", report.streams.len());
    if report.left_out > 0 {
        let _ =
            writeln!(t, "{} of further streams found no room in the tables", words::grouped(report.left_out));
    }
    if report.bad_checksums > 0 {
        let count = words::grouped(report.bad_checksums);
        let _ = writeln!(t, "{count} datagrams with a wrong UDP checksum are left out (-K believes them)");
    }
    t
}

fn one(t: &mut String, s: &StreamReport) {
    let how = if s.recognised { "recognised" } else { "configured" };
    let line = if s.line.is_empty() { String::new() } else { format!(" line {}", s.line) };
    let _ = writeln!(t, "{}{line}: {}, {how}", s.feed, s.protocol);
    if s.src.is_empty() {
        let _ = writeln!(t, "  nothing came to {}\n", s.dst);
        return;
    }
    let session = if s.session.is_empty() { String::new() } else { format!(", session {}", s.session) };
    let _ = writeln!(t, "  {} > {}{session}", s.src, s.dst);
    let g = words::grouped;
    if let (Some(first), Some(last)) = (s.first_ns, s.last_ns) {
        let _ = writeln!(t, "  {} to {}", words::moment(first), words::moment(last));
    }
    let ended = if s.ended { ", session ended" } else { "" };
    let _ = writeln!(
        t,
        "  packets {} (heartbeats {}), messages {}{ended}",
        g(s.packets),
        g(s.heartbeats),
        g(s.messages)
    );
    let _ = writeln!(
        t,
        "  numbers from {}, next {}: gaps {}, missing {}, duplicates {}, out of order {}, filled later {}, epochs {}",
        s.first,
        s.next,
        g(s.gaps),
        g(s.missing),
        g(s.duplicates),
        g(s.out_of_order),
        g(s.filled),
        s.epochs
    );
    if s.rejected > 0 || s.unknown_types > 0 {
        let _ = writeln!(t, "  rejected {}, of unknown type {}", g(s.rejected), g(s.unknown_types));
    }
    for (name, count) in &s.types {
        let _ = writeln!(t, "    {name:<40} {:>14}", g(*count));
    }
    t.push('\n');
}
