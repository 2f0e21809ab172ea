//! The lines of a feed: whether they live, whether their stamps run forward, and their books.

use super::rules::Rule;
use crate::feed::Limits;
use crate::time::{Stamp, delta_ns};
use serde::{Deserialize, Serialize};

/// The books of one line.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct LineReport {
    /// Its name.
    pub name: String,
    /// Datagrams that it brought.
    pub packets: u64,
    /// Of these, datagrams whose framing is unsound.
    pub rejected: u64,
    /// Sequence numbers that it brought, copies and repeats included.
    pub messages: u64,
    /// Numbers that it brought first, in time.
    pub wins: u64,
    /// Numbers that it had brought before.
    pub duplicates: u64,
    /// Times that numbers were missing on it for longer than the hold time.
    pub gaps: u64,
    /// Numbers missing in those.
    pub missing: u64,
    /// Of these, numbers that another line had.
    pub healed: u64,
    /// Datagrams that came after one that follows them, within the hold time.
    pub reordered: u64,
    /// Numbers that came after they had been declared missing.
    pub late: u64,
    /// Times that it was dead.
    pub dead: u64,
    /// First stamp, ns; 0 = never came.
    pub first_ns: u64,
    /// Last stamp, ns.
    pub last_ns: u64,
}

/// A line.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Its books.
    pub books: LineReport,
    last: Option<(u32, Stamp)>,
    dead: bool,
}

impl Line {
    /// A line of that name.
    pub(super) fn new(name: &str) -> Self {
        let books = LineReport { name: name.to_owned(), ..LineReport::default() };
        Self { books, ..Self::default() }
    }
    /// A packet came; answers by how much its stamp stepped back, if it did, ns (negative).
    pub(super) fn saw(&mut self, interface: u32, stamp: Stamp) -> Option<i64> {
        let books = &mut self.books;
        books.packets += 1;
        if books.packets == 1 {
            books.first_ns = stamp.ns;
        }
        books.last_ns = stamp.ns;
        self.dead = false;
        let (before_on, before) = self.last.replace((interface, stamp))?;
        let comparable = before_on == interface && before.clock == stamp.clock;
        (comparable && stamp.ns < before.ns).then(|| delta_ns(stamp.ns, before.ns))
    }
}

/// Watches for silence. All times are of the tape.
#[derive(Debug)]
pub(super) struct Watch {
    line_dead_ns: u64,
    heartbeat_ns: u64,
    silence_ns: u64,
    /// Since when the feed lives, ns: when it was first heard of, or again after all lines had been silent for longer than
    /// a line may be; `None` = nothing yet.
    since_ns: Option<u64>,
    last_packet_ns: u64,
    last_message_ns: u64,
    said_heartbeat: bool,
    said_silence: bool,
}

/// A limit that was passed: rule, line (or none), when, and for how long so far, ns.
pub(super) type Silence = (Rule, Option<usize>, u64, i64);

impl Watch {
    /// Nothing heard yet.
    pub(super) fn new(limits: &Limits) -> Self {
        let ns = |ms: u32| u64::from(ms) * super::timing::NS_PER_MS;
        Self {
            line_dead_ns: ns(limits.line_dead_ms),
            heartbeat_ns: ns(limits.heartbeat_ms),
            silence_ns: ns(limits.silence_ms),
            since_ns: None,
            last_packet_ns: 0,
            last_message_ns: 0,
            said_heartbeat: false,
            said_silence: false,
        }
    }
    /// The tape has begun.
    fn begin(&mut self, now_ns: u64) {
        if self.since_ns.is_none() {
            (self.since_ns, self.last_packet_ns, self.last_message_ns) = (Some(now_ns), now_ns, now_ns);
        }
    }
    /// A packet came on some line.
    pub(super) fn saw(&mut self, now_ns: u64, messages: bool) {
        self.begin(now_ns);
        if self.line_dead_ns > 0 && now_ns > self.last_packet_ns.saturating_add(self.line_dead_ns) {
            self.since_ns = Some(now_ns);
        }
        // A capture file is older than the clock of the host that reads it.
        self.since_ns = self.since_ns.map(|since| since.min(now_ns));
        (self.last_packet_ns, self.said_heartbeat) = (now_ns, false);
        if messages {
            (self.last_message_ns, self.said_silence) = (now_ns, false);
        }
    }
    /// When something may have to be said, ns.
    pub(super) fn wake_ns(&self, lines: &[Line]) -> u64 {
        let Some(since) = self.since_ns else { return 0 };
        let due = |limit: u64, last: u64, said: bool| {
            if limit == 0 || said { u64::MAX } else { last.saturating_add(limit) }
        };
        let feed = due(self.heartbeat_ns, self.last_packet_ns, self.said_heartbeat).min(due(
            self.silence_ns,
            self.last_message_ns,
            self.said_silence,
        ));
        let line = |line: &Line| due(self.line_dead_ns, line.last_ns(since), line.dead);
        if lines.len() < 2 { feed } else { lines.iter().map(line).fold(feed, u64::min) }
    }
    /// Tape time is `now_ns`: says what has lasted too long, each once.
    pub(super) fn advance(&mut self, now_ns: u64, lines: &mut [Line], mut say: impl FnMut(Silence)) {
        self.begin(now_ns);
        let past =
            |limit: u64, last: u64| (limit > 0 && now_ns > last.saturating_add(limit)).then(|| last + limit);
        if let Some(at) = past(self.heartbeat_ns, self.last_packet_ns).filter(|_| !self.said_heartbeat) {
            self.said_heartbeat = true;
            say((Rule::HeartbeatMissing, None, at, delta_ns(now_ns, self.last_packet_ns)));
        }
        if let Some(at) = past(self.silence_ns, self.last_message_ns).filter(|_| !self.said_silence) {
            self.said_silence = true;
            say((Rule::Silence, None, at, delta_ns(now_ns, self.last_message_ns)));
        }
        // A line is dead only while another lives.
        let lives = past(self.line_dead_ns, self.last_packet_ns).is_none();
        let since = self.since_ns.unwrap_or(now_ns);
        if lines.len() < 2 || !lives {
            return;
        }
        for (at, line) in lines.iter_mut().enumerate() {
            let last = line.last_ns(since);
            if let Some(when) = past(self.line_dead_ns, last).filter(|_| !line.dead) {
                line.dead = true;
                line.books.dead += 1;
                say((Rule::LineDead, Some(at), when, delta_ns(now_ns, last)));
            }
        }
    }
}

impl Line {
    /// Its last packet, or since when the feed lives, ns: the silence of all lines is not a line's.
    fn last_ns(&self, since_ns: u64) -> u64 {
        self.last.map_or(since_ns, |(_, stamp)| stamp.ns.max(since_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::StampClock;

    const SECOND: u64 = 1_000_000_000;

    fn said(watch: &mut Watch, lines: &mut [Line], now_ns: u64) -> Vec<(Rule, Option<usize>, u64)> {
        let mut said = Vec::new();
        watch.advance(now_ns, lines, |(rule, line, at, _)| said.push((rule, line, at)));
        said
    }

    #[test]
    fn a_stamp_that_steps_back_is_told_by_interface_and_clock() {
        let mut line = Line::new("A");
        let at = |ns, clock| Stamp::new(ns, clock);
        assert_eq!(line.saw(0, at(100, StampClock::HARDWARE)), None);
        assert_eq!(line.saw(0, at(90, StampClock::HARDWARE)), Some(-10));
        assert_eq!(line.saw(1, at(80, StampClock::HARDWARE)), None);
        assert_eq!(line.saw(1, at(70, StampClock::USER)), None);
    }

    #[test]
    fn a_line_is_dead_while_another_lives_and_each_silence_is_said_once() {
        let mut watch = Watch::new(&Limits::default());
        let mut lines = [Line::new("A"), Line::new("B")];
        let tick = |watch: &mut Watch, lines: &mut [Line], second: u64, line: Option<usize>| {
            let said = said(watch, lines, second * SECOND);
            if let Some(line) = line {
                lines[line].saw(0, Stamp::new(second * SECOND, StampClock::FILE));
                watch.saw(second * SECOND, true);
            }
            said
        };
        assert_eq!(tick(&mut watch, &mut lines, 10, Some(0)), []);
        assert_eq!(tick(&mut watch, &mut lines, 13, Some(0)), []);
        assert_eq!(tick(&mut watch, &mut lines, 14, Some(0)), [(Rule::LineDead, Some(1), 13 * SECOND)]);
        assert_eq!(tick(&mut watch, &mut lines, 15, Some(1)), []);
        assert_eq!(tick(&mut watch, &mut lines, 19, None), [(Rule::HeartbeatMissing, None, 18 * SECOND)]);
        assert_eq!(tick(&mut watch, &mut lines, 76, None), [(Rule::Silence, None, 75 * SECOND)]);
        assert_eq!(tick(&mut watch, &mut lines, 500, None), []);
        assert_eq!(watch.wake_ns(&lines[..1]), u64::MAX);
        // All were silent: when one comes back, the other may take its time too.
        assert_eq!(tick(&mut watch, &mut lines, 501, Some(0)), []);
        assert_eq!(tick(&mut watch, &mut lines, 502, Some(0)), []);
        assert_eq!(tick(&mut watch, &mut lines, 504, Some(0)), []);
        assert_eq!(tick(&mut watch, &mut lines, 505, Some(0)), [(Rule::LineDead, Some(1), 504 * SECOND)]);
    }
}
