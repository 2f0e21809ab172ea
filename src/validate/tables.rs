//! The bounded tables of lines and streams. A line is where a feed arrives (source, destination,
//! port); a stream is one sequence space (a session) on a line, with its sequence tracker.
//!
//! Everything is allocated in [`Tables::new`]; entries are never removed, so indices stay good. The
//! maps hash with fixed keys: the answers do not depend on them, and no randomness is asked of the
//! system. Consecutive packets are mostly of one line and session, which is looked at first.

use crate::feed::sequence::Tracker;
use crate::feed::{FeedConfig, Space};
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

/// A line of a configured feed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Configured {
    /// Index of the feed.
    pub(super) feed: usize,
    /// Index of the line in the feed.
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) key: LineKey,
    /// Who speaks on it: index into the judge's speakers.
    pub(super) speaker: usize,
    /// The configured feed and its line; `None` if recognised.
    pub(super) feed: Option<Configured>,
    /// The stream of the last sound packet.
    current: Option<usize>,
    /// Rejected before there was any stream to count it at.
    pub(super) rejected: u64,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) line: usize,
    pub(super) space: Space,
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
    /// Configured lines by address and port, sorted: (group, port, source, which).
    configured: Vec<(IpAddr, u16, Option<IpAddr>, Configured)>,
    lines: Vec<Line>,
    streams: Vec<Stream>,
    line_of: Map<LineKey, usize>,
    stream_of: Map<(usize, Space), usize>,
    /// Spaces seen on multicast lines: requests and retransmissions name them.
    multicast_spaces: HashSet<Space, BuildHasherDefault<DefaultHasher>>,
    /// Trackers made ahead, each with all its memory.
    spare: Vec<Tracker>,
    last: usize,
}

impl Tables {
    pub(super) fn new(max: usize, feeds: &[FeedConfig]) -> Self {
        let mut configured: Vec<_> = feeds
            .iter()
            .enumerate()
            .flat_map(|(index, feed)| feed.lines.iter().enumerate().map(move |(at, line)| (index, at, line)))
            .map(|(feed, at, line)| (line.group, line.port, line.source, Configured { feed, line: at }))
            .collect();
        configured.sort_unstable();
        Self {
            max,
            configured,
            lines: Vec::with_capacity(max),
            streams: Vec::with_capacity(max),
            line_of: Map::with_capacity_and_hasher(max, BuildHasherDefault::default()),
            stream_of: Map::with_capacity_and_hasher(max, BuildHasherDefault::default()),
            multicast_spaces: HashSet::with_capacity_and_hasher(max, BuildHasherDefault::default()),
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

    /// The configured line that `key` belongs to; one that names the source goes before one that does not.
    pub(super) fn configured(&self, key: &LineKey) -> Option<Configured> {
        let at = self.configured.partition_point(|(group, port, ..)| (*group, *port) < (key.dst, key.port));
        let same = self.configured.get(at..).unwrap_or_default();
        let same = same.iter().take_while(|(group, port, ..)| (*group, *port) == (key.dst, key.port));
        // Sorted: without a source first, so the last fit is the most exact one.
        same.filter(|(.., source, _)| source.is_none_or(|source| source == key.src))
            .last()
            .map(|(.., which)| *which)
    }

    pub(super) fn add_line(
        &mut self,
        key: &LineKey,
        speaker: usize,
        feed: Option<Configured>,
    ) -> Option<usize> {
        let index = self.lines.len();
        if index >= self.max {
            return None;
        }
        self.lines.push(Line { key: *key, speaker, feed, current: None, rejected: 0 });
        self.line_of.insert(*key, index);
        self.last = index;
        Some(index)
    }

    pub(super) fn speaker_of(&self, line: usize) -> usize {
        self.lines.get(line).map_or(0, |line| line.speaker)
    }

    /// The stream of `space` on `line`, begun if there is none yet; `None` if there is no room.
    pub(super) fn stream(&mut self, line: usize, space: &Space, skips: u64) -> Option<&mut Stream> {
        let current = self.lines.get(line)?.current;
        let same = current.filter(|at| self.streams.get(*at).is_some_and(|stream| stream.space == *space));
        let index = match same {
            Some(index) => index,
            None => self.switch(line, space, skips)?,
        };
        self.streams.get_mut(index)
    }

    fn switch(&mut self, line: usize, space: &Space, skips: u64) -> Option<usize> {
        let index = match self.stream_of.get(&(line, *space)) {
            Some(known) => *known,
            None => self.add_stream(line, space, skips)?,
        };
        self.lines.get_mut(line)?.current = Some(index);
        Some(index)
    }

    fn add_stream(&mut self, line: usize, space: &Space, skips: u64) -> Option<usize> {
        let tracker = self.spare.pop()?;
        let index = self.streams.len();
        self.streams.push(Stream {
            line,
            space: *space,
            tracker,
            skips,
            packets: 0,
            heartbeats: 0,
            unknown_types: 0,
            rejected: 0,
            ended: false,
        });
        self.stream_of.insert((line, *space), index);
        if self.lines.get(line)?.key.dst.is_multicast() {
            self.multicast_spaces.insert(*space);
        }
        Some(index)
    }

    pub(super) fn space_on_multicast(&self, space: &Space) -> bool {
        self.multicast_spaces.contains(space)
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
