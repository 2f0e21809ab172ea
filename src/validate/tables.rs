//! The bounded tables of lines and streams. A line is where a feed arrives (source, destination,
//! port); a stream is one session on a line, with its sequence tracker.
//!
//! Everything is allocated in [`Tables::new`]; entries are never removed, so indices stay good. The
//! maps hash with fixed keys: the answers do not depend on them, and no randomness is asked of the
//! system. Consecutive packets are mostly of one line and session, which is looked at first.

use super::FeedConfig;
use crate::feed::moldudp64::Session;
use crate::feed::sequence::Tracker;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Where a feed arrives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct LineKey {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) port: u16,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) key: LineKey,
    /// Index of the configured feed; `None` if recognised.
    pub(super) feed: Option<usize>,
    /// The stream of the last sound packet.
    current: Option<usize>,
    /// Rejected before there was any stream to count it at.
    pub(super) rejected: u64,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) line: usize,
    pub(super) session: Session,
    pub(super) tracker: Tracker,
    /// The judge's skips when this stream was last looked at.
    pub(super) skips: u64,
    pub(super) packets: u64,
    pub(super) heartbeats: u64,
    pub(super) unknown_types: u64,
    pub(super) rejected: u64,
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct Tables {
    max: usize,
    /// Configured feeds by address and port, sorted: (group, port, source, index).
    configured: Vec<(IpAddr, u16, Option<IpAddr>, usize)>,
    lines: Vec<Line>,
    streams: Vec<Stream>,
    line_of: Map<LineKey, usize>,
    stream_of: Map<(usize, Session), usize>,
    /// Sessions seen on multicast lines: requests and retransmissions name them.
    multicast_sessions: HashSet<Session, BuildHasherDefault<DefaultHasher>>,
    /// Trackers made ahead, each with all its memory.
    spare: Vec<Tracker>,
    last: usize,
}

impl Tables {
    pub(super) fn new(max: usize, feeds: &[FeedConfig]) -> Self {
        let mut configured: Vec<_> = feeds
            .iter()
            .enumerate()
            .map(|(index, feed)| (feed.group, feed.port, feed.source, index))
            .collect();
        configured.sort_unstable();
        Self {
            max,
            configured,
            lines: Vec::with_capacity(max),
            streams: Vec::with_capacity(max),
            line_of: Map::with_capacity_and_hasher(max, BuildHasherDefault::default()),
            stream_of: Map::with_capacity_and_hasher(max, BuildHasherDefault::default()),
            multicast_sessions: HashSet::with_capacity_and_hasher(max, BuildHasherDefault::default()),
            spare: std::iter::repeat_with(Tracker::new).take(max).collect(),
            last: 0,
        }
    }

    pub(super) fn find(&mut self, key: &LineKey) -> Option<usize> {
        if self.lines.get(self.last).is_some_and(|line| line.key == *key) {
            return Some(self.last);
        }
        let found = *self.line_of.get(key)?;
        self.last = found;
        Some(found)
    }

    /// The configured feed that `key` belongs to; one that names the source goes before one that does not.
    pub(super) fn configured(&self, key: &LineKey) -> Option<usize> {
        let at = self.configured.partition_point(|(group, port, ..)| (*group, *port) < (key.dst, key.port));
        let same = self.configured.get(at..).unwrap_or_default();
        let same = same.iter().take_while(|(group, port, ..)| (*group, *port) == (key.dst, key.port));
        // Sorted: without a source first, so the last fit is the most exact one.
        same.filter(|(.., source, _)| source.is_none_or(|source| source == key.src))
            .last()
            .map(|(.., index)| *index)
    }

    pub(super) fn add_line(&mut self, key: &LineKey, feed: Option<usize>) -> Option<usize> {
        let index = self.lines.len();
        if index >= self.max {
            return None;
        }
        self.lines.push(Line { key: *key, feed, current: None, rejected: 0 });
        self.line_of.insert(*key, index);
        self.last = index;
        Some(index)
    }

    pub(super) fn feed_of(&self, line: usize) -> Option<usize> {
        self.lines.get(line)?.feed
    }

    /// The stream of `session` on `line`, begun if there is none yet; `None` if there is no room.
    pub(super) fn stream(&mut self, line: usize, session: &Session, skips: u64) -> Option<&mut Stream> {
        let current = self.lines.get(line)?.current;
        let same =
            current.filter(|at| self.streams.get(*at).is_some_and(|stream| stream.session == *session));
        let index = match same {
            Some(index) => index,
            None => self.switch(line, session, skips)?,
        };
        self.streams.get_mut(index)
    }

    fn switch(&mut self, line: usize, session: &Session, skips: u64) -> Option<usize> {
        let index = match self.stream_of.get(&(line, *session)) {
            Some(known) => *known,
            None => self.add_stream(line, session, skips)?,
        };
        self.lines.get_mut(line)?.current = Some(index);
        Some(index)
    }

    fn add_stream(&mut self, line: usize, session: &Session, skips: u64) -> Option<usize> {
        let tracker = self.spare.pop()?;
        let index = self.streams.len();
        self.streams.push(Stream {
            line,
            session: *session,
            tracker,
            skips,
            packets: 0,
            heartbeats: 0,
            unknown_types: 0,
            rejected: 0,
            ended: false,
        });
        self.stream_of.insert((line, *session), index);
        if self.lines.get(line)?.key.dst.is_multicast() {
            self.multicast_sessions.insert(*session);
        }
        Some(index)
    }

    pub(super) fn session_on_multicast(&self, session: &Session) -> bool {
        self.multicast_sessions.contains(session)
    }

    /// Counts a rejected packet of a line: at its current stream, if it has one.
    pub(super) fn reject(&mut self, line: usize) {
        let Some(line) = self.lines.get_mut(line) else { return };
        match line.current.and_then(|at| self.streams.get_mut(at)) {
            Some(stream) => stream.rejected += 1,
            None => line.rejected += 1,
        }
    }

    /// Counts a packet whose headers were rejected, if it belongs to a known line.
    pub(super) fn reject_known(&mut self, key: &LineKey) {
        if let Some(line) = self.find(key) {
            self.reject(line);
        }
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }
    pub(super) fn streams(&self) -> &[Stream] {
        &self.streams
    }
}
