//! What all sequence spaces of one feed share: who speaks, where events go, memory for what waits and for what was seen.

use super::hold::{Held, Pool};
use super::ledger::{OpenGap, OpenGaps};
use super::lines::Line;
use super::normalize::Normalizer;
use super::output::{Arrival, Output};
use super::race::Race;
use super::rules::Rule;
use super::seen::{self, Ring, Seen};
use super::side::SideRow;
use super::timing::NS_PER_MS;
use crate::feed::config::MAX_LINES;
use crate::feed::{FeedConfig, FeedProtocol, Frame, Protocol, Space};
use crate::time::{Stamp, StampClock};
use std::sync::Arc;

/// How many recent messages of a feed are remembered.
const RING_SLOTS: usize = 1 << 16;

/// A datagram whose framing is sound, on its way to its place in the sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    /// It.
    pub frame: Frame<'a>,
    /// Its bytes, as far as they were captured.
    pub payload: &'a [u8],
    /// Its length on the wire, bytes.
    pub on_wire: usize,
    /// When and where it came in.
    pub arrival: Arrival,
}

impl<'a> Incoming<'a> {
    /// A packet that waited, read again.
    pub(super) fn of(held: &'a Held, speaker: &dyn Protocol) -> Option<Self> {
        let frame = speaker.frame(&held.bytes, held.on_wire).ok()?;
        Some(Self { frame, payload: &held.bytes, on_wire: held.on_wire, arrival: held.arrival })
    }
    /// Its first number, and the one after its last.
    pub(super) const fn range(&self) -> (u64, u64) {
        (self.frame.header.first, self.frame.header.next())
    }
    /// A copy that can wait; `None` if there is no room.
    pub(super) fn hold(&self, pool: &mut Pool) -> Option<Held> {
        let (first, end) = self.range();
        let bytes = pool.copy(self.payload)?;
        Some(Held { first, end, arrival: self.arrival, on_wire: self.on_wire, bytes })
    }
}

/// The shared things of one feed.
#[derive(Debug)]
pub(super) struct Desk {
    pub speaker: Arc<dyn Protocol>,
    pub normalizer: Option<Box<dyn Normalizer>>,
    pub out: Output,
    pub lines: Vec<Line>,
    /// Their names, by place.
    pub names: Vec<String>,
    pub pool: Pool,
    ring: Ring,
    pub races: Vec<Race>,
    pub gaps: OpenGaps,
    pub books: Books,
    /// Longest wait, ns.
    pub hold_ns: u64,
    /// Epochs so far; each has its number.
    pub epochs: u32,
    /// Sequence spaces of this protocol run side by side.
    pub side_by_side: bool,
    protocol: FeedProtocol,
    session: Option<String>,
    channel: Option<u32>,
}

/// Counts of the whole feed, in sequence numbers.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Books {
    /// Given to the normalizer.
    pub delivered: u64,
    pub gaps: u64,
    pub missing: u64,
    pub late: u64,
    pub differing: u64,
    /// Packets.
    pub strays: u64,
}

impl Desk {
    /// A desk on which nothing lies yet.
    pub(super) fn new(config: &FeedConfig, normalizer: Option<Box<dyn Normalizer>>) -> Self {
        let lines = config.lines.iter().take(MAX_LINES);
        let pairs = || (0..lines.len()).flat_map(|one| (one + 1..lines.len()).map(move |two| (one, two)));
        Self {
            speaker: Arc::from(config.protocol.speaker(config.layout)),
            normalizer,
            out: Output::new(config),
            lines: lines.clone().map(|line| Line::new(&line.name)).collect(),
            names: lines.clone().map(|line| line.name.clone()).collect(),
            pool: Pool::default(),
            ring: Ring::new(RING_SLOTS),
            races: pairs().filter_map(|(one, two)| Race::new(one, two)).collect(),
            gaps: OpenGaps::default(),
            books: Books::default(),
            hold_ns: u64::from(config.limits.hold_ms) * NS_PER_MS,
            epochs: 0,
            side_by_side: config.protocol == FeedProtocol::CboePitch,
            protocol: config.protocol,
            session: config.session.clone(),
            channel: config.channel,
        }
    }

    /// New messages, in order, from number `skip` of the packet on.
    pub(super) fn deliver(&mut self, incoming: &Incoming<'_>, next: u64) {
        let header = &incoming.frame.header;
        let (first, end) = incoming.range();
        let fresh = end - next;
        let skip = if header.numbers_messages { u32::try_from(next - first).unwrap_or(u32::MAX) } else { 0 };
        self.books.delivered += fresh;
        if let Some(line) = self.lines.get_mut(incoming.arrival.line) {
            line.books.wins += fresh;
        }
        self.out.timing.begin(first, header.sent_ns.is_some());
        if let Some(normalizer) = &mut self.normalizer {
            normalizer.packet(&incoming.arrival, &incoming.frame, skip, &mut self.out);
        }
    }

    /// Compares what came before with this copy of it, and remembers what is new.
    pub(super) fn compare(&mut self, epoch: u32, incoming: &Incoming<'_>, in_order: bool) {
        let header = incoming.frame.header;
        if header.units == 0 {
            return;
        }
        if !header.numbers_messages {
            self.compare_one(
                epoch,
                header.first,
                seen::hash(incoming.frame.body),
                &incoming.arrival,
                in_order,
            );
            return;
        }
        for (number, message) in (header.first..).zip(incoming.frame.messages()) {
            self.compare_one(epoch, number, seen::hash(message), &incoming.arrival, in_order);
        }
    }

    #[inline]
    fn compare_one(&mut self, epoch: u32, number: u64, hash: u64, arrival: &Arrival, in_order: bool) {
        let (line, stamp) = (arrival.line, arrival.stamp);
        let own = 1_u8 << (line % MAX_LINES);
        let Some(first) = self.ring.get(epoch, number) else {
            self.ring.put(epoch, number, Seen { hash, stamp, line, lines: own, in_order });
            return;
        };
        if first.lines & own != 0 {
            return;
        }
        self.ring.put(epoch, number, Seen { lines: first.lines | own, ..first });
        if first.hash != hash {
            self.books.differing += 1;
            let other = i64::try_from(first.line).unwrap_or(0);
            self.out.broken(Rule::LineDiffers, arrival, number, other);
        } else if in_order
            && first.in_order
            && let Some(race) = self.races.iter_mut().find(|race| race.is_of(first.line, line))
        {
            race.copy((first.line, first.stamp), stamp);
        }
    }

    /// True if the packet's first message is, byte for byte, what came under this number; also if it is not (wholly) here to
    /// be compared.
    pub(super) fn is_repeat(&self, epoch: u32, incoming: &Incoming<'_>) -> Option<Seen> {
        let header = incoming.frame.header;
        let seen = self.ring.get(epoch, header.first)?;
        let bytes = if header.numbers_messages {
            incoming.frame.messages().next()
        } else {
            Some(incoming.frame.body)
        };
        bytes.is_none_or(|bytes| seen::hash(bytes) == seen.hash).then_some(seen)
    }

    /// Says that `[first, first + count)` came on no line.
    pub(super) fn gap(&mut self, session: &str, first: u64, count: u64, when: GapWhen, past: u8) {
        self.books.gaps += 1;
        // Forged numbers can make each gap nearly 2^64 long.
        self.books.missing = self.books.missing.saturating_add(count);
        let (since_ns, shown_ns) = (when.since_ns, when.arrival.stamp.ns);
        self.broken_on_feed(Rule::Gap, shown_ns, first, count);
        self.out.side(&SideRow::Gap { at_ns: shown_ns, session, first, count, since_ns });
        let lines = self.names.iter().enumerate().filter(|(line, _)| past >> line & 1 == 1);
        let lines: Vec<&str> = lines.map(|(_, name)| name.as_str()).collect();
        let gap =
            OpenGap { session: session.to_owned(), first, count, since_ns, shown_ns, lines: lines.join(" ") };
        self.gaps.push(gap);
        if let Some(normalizer) = &mut self.normalizer {
            normalizer.gap(&when.arrival, &mut self.out);
        }
    }

    /// Says that `line` had missed `[first, first + count)` and `by` brought it.
    pub(super) fn fill(&mut self, session: &str, range: (u64, u64), line: usize, by: &Arrival, late: bool) {
        let (first, end) = range;
        let name = |at: usize| self.names.get(at).map_or("", String::as_str);
        let (line, by_name) = (name(line), name(by.line));
        let at_ns = by.stamp.ns;
        self.out.side(&SideRow::Fill { at_ns, session, first, count: end - first, line, by: by_name, late });
    }

    /// A rule that is about the feed and not about one line.
    pub(super) fn broken_on_feed(&mut self, rule: Rule, at_ns: u64, seq: u64, value: u64) {
        let nobody = Arrival { stamp: Stamp::new(at_ns, StampClock::NONE), line: usize::MAX };
        self.out.broken(rule, &nobody, seq, i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// False if the configuration names another session or channel than that of this space.
    pub(super) fn expects(&self, space: &Space) -> bool {
        let session = self.session.as_ref().is_none_or(|wanted| match self.protocol {
            FeedProtocol::IexTp => wanted.trim() == number(&space.0[6..10]).to_string(),
            _ => wanted.trim_end() == self.speaker.space_name(space),
        });
        let channel = self.channel.is_none_or(|wanted| match self.protocol {
            FeedProtocol::IexTp => wanted == number(&space.0[2..6]),
            FeedProtocol::CboePitch => wanted == number(&space.0[..1]),
            _ => true,
        });
        session && channel
    }
}

/// When a gap began and was shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct GapWhen {
    /// Stamp of the last packet before it, ns.
    pub since_ns: u64,
    /// Of the packet that showed it.
    pub arrival: Arrival,
}

/// A little-endian number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
