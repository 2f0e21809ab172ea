//! One feed: its lines, its sequence spaces, its clocks.

use super::arbiter::Arbiter;
use super::desk::{Desk, Incoming};
use super::ledger::Ledger;
use super::lines::Watch;
use super::normalize::Normalizer;
use super::output::Arrival;
use super::report::FeedReport;
use super::rules::Rule;
use super::side::SideRow;
use super::timing::NS_PER_MS;
use crate::feed::frame::Kind;
use crate::feed::{FeedConfig, Space};
use crate::time::{NS_PER_SEC, Stamp, StampClock};
use std::sync::Arc;

/// Most sequence spaces of a feed that are kept; then the one that was silent longest is forgotten.
const MAX_SPACES: usize = 256;
/// How often normalizers hear of the time, ns of tape time.
const TICK_NS: u64 = 100 * NS_PER_MS;

/// One configured feed.
#[derive(Debug)]
pub(super) struct Feed {
    pub config: FeedConfig,
    pub desk: Desk,
    spaces: Vec<Arbiter>,
    /// The space of the last packet: most likely that of the next.
    last: usize,
    watch: Watch,
    next_tick_ns: u64,
    due_ns: u64,
}

/// A datagram on one of the feed's lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    /// As far as it was captured.
    pub payload: &'a [u8],
    /// Its length on the wire, bytes.
    pub on_wire: usize,
    /// When, and on which line.
    pub arrival: Arrival,
    /// The interface that it came in on.
    pub interface: u32,
}

impl Feed {
    /// A feed that has seen nothing.
    pub(super) fn new(config: &FeedConfig, normalizer: Option<Box<dyn Normalizer>>) -> Self {
        Self {
            config: config.clone(),
            desk: Desk::new(config, normalizer),
            spaces: Vec::new(),
            last: 0,
            watch: Watch::new(&config.limits),
            next_tick_ns: 0,
            due_ns: 0,
        }
    }

    /// A datagram. Tape time has been brought to its stamp before.
    pub(super) fn datagram(&mut self, datagram: &Datagram<'_>) {
        let Datagram { payload, on_wire, arrival, interface } = *datagram;
        let desk = &mut self.desk;
        let Some(line) = desk.lines.get_mut(arrival.line) else { return };
        let back = line.saw(interface, arrival.stamp);
        let speaker = Arc::clone(&desk.speaker);
        let Ok(frame) = speaker.frame(payload, on_wire) else {
            line.books.rejected += 1;
            self.watch.saw(arrival.stamp.ns, false);
            return;
        };
        let header = frame.header;
        self.watch.saw(arrival.stamp.ns, header.kind != Kind::Heartbeat && header.units > 0);
        if let Some(back) = back {
            desk.out.broken(Rule::StampBackwards, &arrival, header.first, back);
        }
        if let Some(sent_ns) = header.sent_ns
            && let Some((rule, by)) = desk.out.timing.sent(arrival.stamp, sent_ns)
        {
            desk.out.broken(rule, &arrival, header.first, by);
        }
        let Some(at) = self.space(&header.space) else { return };
        let Some(space) = self.spaces.get_mut(at) else { return };
        space.packet(&mut self.desk, &Incoming { frame, payload, on_wire, arrival });
        self.due_ns = self.due_ns.min(space.wake_ns(&self.desk, arrival.stamp.ns));
        self.due_ns = self.due_ns.min(self.desk.gaps.wake_ns());
    }

    /// The place of a space, making room for a new one.
    fn space(&mut self, space: &Space) -> Option<usize> {
        if self.spaces.get(self.last).is_some_and(|known| known.space == *space) {
            return Some(self.last);
        }
        self.last = match self.spaces.iter().position(|known| known.space == *space) {
            Some(at) => at,
            None if self.spaces.len() < MAX_SPACES => {
                self.spaces.push(Arbiter::new(*space, &self.desk));
                self.spaces.len() - 1
            }
            None => {
                let silent =
                    (0..self.spaces.len()).min_by_key(|at| self.spaces.get(*at).map(|s| s.last_ns))?;
                let mut forgotten =
                    std::mem::replace(self.spaces.get_mut(silent)?, Arbiter::new(*space, &self.desk));
                forgotten.finish(&mut self.desk);
                silent
            }
        };
        Some(self.last)
    }

    /// Tape time is `now_ns`.
    pub(super) fn advance(&mut self, ledger: &Ledger, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        for space in &mut self.spaces {
            space.expire(&mut self.desk, now_ns);
        }
        let desk = &mut self.desk;
        desk.gaps.advance(now_ns, ledger, &mut desk.out);
        for race in &mut desk.races {
            race.advance(now_ns, &desk.names, &mut |row| desk.out.side(row));
        }
        let out = &mut desk.out;
        self.watch.advance(now_ns, &mut desk.lines, |(rule, line, at_ns, lasted_ns)| {
            let stamp = Stamp::new(at_ns, StampClock::NONE);
            out.broken(rule, &Arrival { stamp, line: line.unwrap_or(usize::MAX) }, 0, lasted_ns);
        });
        if now_ns >= self.next_tick_ns {
            self.tick(now_ns);
        }
        self.due_ns = self.wake_ns(now_ns);
    }

    /// The normalizer hears of the time.
    pub(super) fn tick(&mut self, now_ns: u64) {
        self.next_tick_ns = (now_ns / TICK_NS + 1).saturating_mul(TICK_NS);
        if let Some(normalizer) = &mut self.desk.normalizer {
            normalizer.tick(now_ns, &mut self.desk.out);
        }
    }

    /// When something is due, ns.
    pub(super) const fn due_ns(&self) -> u64 {
        self.due_ns
    }

    fn wake_ns(&self, now_ns: u64) -> u64 {
        let spaces = self.spaces.iter().map(|space| space.wake_ns(&self.desk, now_ns));
        let second = (now_ns / NS_PER_SEC + 1).saturating_mul(NS_PER_SEC);
        let own = [self.desk.gaps.wake_ns(), self.watch.wake_ns(&self.desk.lines), self.next_tick_ns, second];
        spaces.chain(own).min().unwrap_or(0)
    }

    /// The tape is over.
    pub(super) fn finish(&mut self, ledger: &Ledger) {
        for space in &mut self.spaces {
            space.finish(&mut self.desk);
        }
        let desk = &mut self.desk;
        desk.gaps.advance(u64::MAX, ledger, &mut desk.out);
        for race in &mut desk.races {
            race.advance(u64::MAX, &desk.names, &mut |row| desk.out.side(row));
        }
        for rule in Rule::ALL {
            let (count, severity) = (desk.out.rules.count(*rule), desk.out.rules.severity(*rule));
            if count > 0 {
                desk.out.side(&SideRow::RuleCount { rule: rule.name(), severity, count });
            }
        }
    }

    /// Its books.
    pub(super) fn report(&self) -> FeedReport {
        FeedReport::of(&self.config, &self.desk)
    }
}
