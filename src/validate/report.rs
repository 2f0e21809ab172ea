//! The books of each feed, as values for reports and JSON.

use super::Judge;
use super::tables::{Line, Stream};
use serde::Serialize;
use std::net::IpAddr;

/// Messages that are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct MissingRange {
    /// The first one's sequence number.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What became of one stream (a session on a line), or of a configured feed that had none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FeedReport {
    /// The configured name, or `destination:port` of a recognised stream.
    pub name: String,
    /// What it speaks.
    pub protocol: &'static str,
    /// The line of a configured feed; empty if recognised.
    pub line: String,
    /// True if it was recognised by structure instead of configured.
    pub recognised: bool,
    /// The session, trailing spaces left out, other bytes escaped; empty if no sound packet came.
    pub session: String,
    /// Source address; `None` if nothing came and the configuration names none.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: IpAddr,
    /// Destination port.
    pub port: u16,
    /// Soundly framed packets, heartbeats and ends of session included.
    pub packets: u64,
    /// Different messages that came: repeats are in `duplicates`.
    pub messages: u64,
    /// Times that messages were found missing.
    pub gaps: u64,
    /// Messages found missing that never came.
    pub missing_messages: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Packets that belong before one already seen.
    pub out_of_order: u64,
    /// Messages that were missing and came later.
    pub filled: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Sequence spaces of this session: 1, and one more for each restart at 1.
    pub sessions: u64,
    /// True if the sender said that the session has ended.
    pub ended: bool,
    /// Messages of a type that is not in the table.
    pub unknown_types: u64,
    /// Packets on the line whose verdict is not "accepted", from the UDP header on.
    pub rejected: u64,
    /// First sequence number of the current sequence space.
    pub first_seq: u64,
    /// Sequence number expected next.
    pub next_seq: u64,
    /// What is missing in the current sequence space: the last 1,024 intervals, ascending.
    pub missing: Vec<MissingRange>,
}

pub(super) fn reports(judge: &Judge) -> Vec<FeedReport> {
    let tables = &judge.tables;
    let streams = tables.streams().iter().filter_map(|stream| {
        let line = tables.lines().get(stream.line)?;
        Some(of_stream(judge, line, stream))
    });
    let without_stream = tables.lines().iter().enumerate().filter_map(|(index, line)| {
        let has_stream = tables.streams().iter().any(|stream| stream.line == index);
        (!has_stream).then(|| of_line(judge, line))
    });
    let silent = judge.feeds.iter().enumerate().flat_map(|(index, feed)| {
        let came = move |at: usize| {
            let is_it = |line: &Line| line.feed.is_some_and(|which| (which.feed, which.line) == (index, at));
            tables.lines().iter().any(is_it)
        };
        let silent = feed.lines.iter().enumerate().filter(move |(at, _)| !came(*at));
        silent.map(|(_, line)| FeedReport {
            line: line.name.clone(),
            ..empty(feed.name.clone(), feed.protocol.name(), line.source, line.group, line.port)
        })
    });
    streams.chain(without_stream).chain(silent).collect()
}

fn of_stream(judge: &Judge, line: &Line, stream: &Stream) -> FeedReport {
    let tracker = &stream.tracker;
    let counts = tracker.counts();
    FeedReport {
        session: judge.speaker(line.speaker).space_name(&stream.space),
        packets: stream.packets,
        messages: counts.messages,
        gaps: counts.gaps,
        missing_messages: tracker.still_missing(),
        duplicates: counts.duplicates,
        out_of_order: counts.out_of_order,
        filled: counts.filled,
        heartbeats: stream.heartbeats,
        sessions: counts.spaces,
        ended: stream.ended,
        unknown_types: stream.unknown_types,
        rejected: stream.rejected + line.rejected,
        first_seq: tracker.first(),
        next_seq: tracker.next(),
        missing: tracker
            .missing()
            .map(|gap| MissingRange { first: gap.begin, count: gap.end - gap.begin })
            .collect(),
        ..of_line(judge, line)
    }
}

fn of_line(judge: &Judge, line: &Line) -> FeedReport {
    let key = line.key;
    let configured = line.feed.and_then(|which| {
        let feed = judge.feeds.get(which.feed)?;
        Some((feed.name.clone(), feed.lines.get(which.line)?.name.clone()))
    });
    let recognised = configured.is_none();
    let (name, line_name) = configured
        .unwrap_or_else(|| (std::net::SocketAddr::new(key.dst, key.port).to_string(), String::new()));
    FeedReport {
        recognised,
        line: line_name,
        rejected: line.rejected,
        ..empty(name, judge.speaker(line.speaker).name(), Some(key.src), key.dst, key.port)
    }
}

fn empty(name: String, protocol: &'static str, src: Option<IpAddr>, dst: IpAddr, port: u16) -> FeedReport {
    FeedReport {
        protocol,
        line: String::new(),
        name,
        recognised: false,
        session: String::new(),
        src,
        dst,
        port,
        packets: 0,
        messages: 0,
        gaps: 0,
        missing_messages: 0,
        duplicates: 0,
        out_of_order: 0,
        filled: 0,
        heartbeats: 0,
        sessions: 0,
        ended: false,
        unknown_types: 0,
        rejected: 0,
        first_seq: 0,
        next_seq: 0,
        missing: Vec::new(),
    }
}
