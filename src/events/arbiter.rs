//! Arbitration in one sequence space: each message once and in order, whichever line brought it first.
//!
//! `next` is the number that is wanted. What begins there (or before, and reaches beyond) is taken, and only the part that is new;
//! what is behind is compared with what came; what is ahead waits ([`super::hold`]) until the numbers before it have come on
//! some line or the hold time is over, then those are declared missing. A number that comes after that is told, and not made into
//! events: they would be out of order.
//!
//! An *epoch* is one run of a sequence space: it begins with the first packet, with a new session, with a reset message or
//! when the numbers begin anew. Each line is in the epoch of its last packet, so that a line that lags behind a restart is
//! still read in the old one. A packet that fits nowhere waits as a [`Candidate`].

use super::candidate::{Candidate, FAR};
use super::desk::{Desk, GapWhen, Incoming};
use super::epoch::{Epoch, Old, OnLine};
use super::hold::Hold;
use super::output::Arrival;
use super::rules::Rule;
use super::seen;
use super::side::SideRow;
use crate::feed::Space;
use crate::feed::frame::Kind;
use crate::feed::sequence::Tracker;
use crate::time::{NS_PER_SEC, Stamp};
use std::sync::Arc;

/// Message number 1 again, with the same bytes, after longer than this is a restart and no repeat, ns.
const REPEAT_NS: u64 = NS_PER_SEC;
/// Where a packet belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Here,
    /// In the epoch before.
    Before,
    /// The sender begins anew.
    Reset,
    /// Nowhere.
    Strange,
}

/// One sequence space.
#[derive(Debug)]
pub(super) struct Arbiter {
    /// Which one.
    pub(super) space: Space,
    /// As people write it.
    pub(super) name: String,
    pub(super) epoch: Option<Epoch>,
    old: Option<Old>,
    pub(super) lines: Vec<OnLine>,
    pub(super) hold: Hold,
    pub(super) candidates: Vec<Candidate>,
    /// Stamp of its last packet, ns: the space that was silent longest is forgotten first.
    pub(super) last_ns: u64,
}

impl Arbiter {
    /// A space of which nothing was seen.
    pub(super) fn new(space: Space, desk: &Desk) -> Self {
        Self {
            space,
            name: desk.speaker.space_name(&space),
            epoch: None,
            old: None,
            lines: desk.lines.iter().map(|_| OnLine::new()).collect(),
            hold: Hold::default(),
            candidates: Vec::new(),
            last_ns: 0,
        }
    }

    /// A packet of this space.
    pub(super) fn packet(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) {
        let now_ns = incoming.arrival.stamp.ns;
        self.last_ns = now_ns;
        if self.epoch.is_none() && (desk.epochs == 0 || desk.side_by_side) {
            self.begin(desk, incoming.range().0, "first", incoming);
            self.take(desk, incoming);
            return;
        }
        match self.place(desk, incoming) {
            Place::Here => self.take(desk, incoming),
            Place::Before => self.take_old(desk, incoming),
            Place::Reset => {
                self.begin(desk, incoming.range().0, "reset", incoming);
                self.take(desk, incoming);
            }
            Place::Strange => self.strange(desk, incoming),
        }
        if !self.candidates.is_empty() {
            self.weigh(desk, now_ns);
        }
    }

    fn place(&self, desk: &Desk, incoming: &Incoming<'_>) -> Place {
        let (Some(epoch), Some(line)) = (&self.epoch, self.lines.get(incoming.arrival.line)) else {
            return Place::Strange;
        };
        let header = &incoming.frame.header;
        let (first, end) = incoming.range();
        let now_ns = incoming.arrival.stamp.ns;
        let young = now_ns.saturating_sub(epoch.began_ns) <= desk.hold_ns;
        let joined = line.epoch == epoch.id;
        if header.kind == Kind::Reset {
            let same = first == epoch.first && seen::hash(incoming.payload) == epoch.opening;
            return if same && (!joined || young) { Place::Here } else { Place::Reset };
        }
        if self.old.is_some_and(|old| old.id == line.epoch) {
            let nearer = first.abs_diff(line.tracker.next()) <= first.abs_diff(epoch.next);
            if nearer && line.epoch != 0 {
                return Place::Before;
            }
        }
        if first > epoch.horizon.max(epoch.next).saturating_add(FAR) {
            return Place::Strange;
        }
        if first >= epoch.next {
            return Place::Here;
        }
        let before_start = end <= epoch.first && header.units > 0 && !(young && epoch.first - end <= FAR);
        let passed = joined && first < line.tracker.next();
        let strange = if header.units == 0 {
            passed && !young && (first <= 1 || first.saturating_add(FAR) < line.tracker.next())
        } else if joined && line.tracker.seen_until(first).is_some() {
            !desk
                .is_repeat(epoch.id, incoming)
                .is_some_and(|seen| first != 1 || now_ns.saturating_sub(seen.stamp.ns) <= REPEAT_NS)
        } else {
            before_start
        };
        if strange { Place::Strange } else { Place::Here }
    }

    /// A new epoch begins at `first`.
    pub(super) fn begin(&mut self, desk: &mut Desk, first: u64, why: &str, opening: &Incoming<'_>) {
        self.clear(desk);
        let why = match (why, desk.epochs, self.epoch.is_some()) {
            ("first", 1.., false) => "session",
            _ => why,
        };
        self.old = self.epoch.as_ref().map(|epoch| Old { id: epoch.id, next: epoch.next });
        desk.epochs = desk.epochs.saturating_add(1);
        let arrival = opening.arrival;
        let at_ns = arrival.stamp.ns;
        let whole = match self.epoch.take() {
            Some(Epoch { mut whole, .. }) => {
                whole.restart(first, 0);
                whole
            }
            None => Tracker::of_one_space(first),
        };
        self.epoch = Some(Epoch {
            id: desk.epochs,
            first,
            next: first,
            horizon: first,
            began_ns: at_ns,
            opening: seen::hash(opening.payload),
            joined_midway: why == "first",
            whole,
            last_ns: at_ns,
        });
        desk.out.side(&SideRow::Epoch { at_ns, session: &self.name, first, why });
        let rule = if matches!(why, "first" | "session") { Rule::NewSession } else { Rule::Restart };
        desk.out.broken(rule, &arrival, first, 0);
        if !desk.expects(&self.space) {
            desk.out.broken(Rule::SessionUnexpected, &arrival, first, 0);
        }
        desk.out.timing.forget();
        let others_go_on = why == "first" || (why == "session" && desk.side_by_side);
        if let (false, Some(normalizer)) = (others_go_on, &mut desk.normalizer) {
            normalizer.reset_space(&self.space, &arrival, &mut desk.out);
        }
    }

    /// A packet of the current epoch.
    pub(super) fn take(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) {
        let (Some(epoch), Some(line)) = (&mut self.epoch, self.lines.get_mut(incoming.arrival.line)) else {
            return;
        };
        let (first, end) = incoming.range();
        if line.epoch != epoch.id {
            line.join(epoch, first, incoming.arrival.stamp, desk.hold_ns);
        }
        let in_order = line.on_line(desk, incoming);
        desk.compare(epoch.id, incoming, in_order);
        if first > epoch.next {
            self.wait(desk, incoming);
            return;
        }
        if first < epoch.next && first < end {
            epoch.late(desk, &self.name, incoming, &self.lines);
        }
        if end > epoch.next {
            epoch.advance(desk, incoming);
            self.drain(desk);
        }
    }

    /// A packet of the epoch before, on a line that has not come to the new one.
    fn take_old(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) {
        let (Some(old), Some(line)) = (&mut self.old, self.lines.get_mut(incoming.arrival.line)) else {
            return;
        };
        let in_order = line.on_line(desk, incoming);
        desk.compare(old.id, incoming, in_order);
        let (first, end) = incoming.range();
        if end > old.next {
            let range = (first.max(old.next), end);
            desk.books.late += range.1 - range.0;
            let late = i64::try_from(range.1 - range.0).unwrap_or(i64::MAX);
            desk.out.broken(Rule::LateFill, &incoming.arrival, range.0, late);
            desk.fill(&self.name, range, incoming.arrival.line, &incoming.arrival, true);
            old.next = end;
        }
    }

    /// A packet ahead of what is wanted waits.
    fn wait(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) {
        let (first, end) = incoming.range();
        if let Some(epoch) = &mut self.epoch {
            epoch.horizon = epoch.horizon.max(end);
        }
        if self.hold.covers(first, end) {
            return;
        }
        let mut told = false;
        loop {
            if let Some(held) = incoming.hold(&mut desk.pool) {
                self.hold.put(held);
                return;
            }
            if !told {
                told = true;
                let waiting = i64::try_from(self.hold.len()).unwrap_or(i64::MAX);
                desk.out.broken(Rule::HoldOverflow, &incoming.arrival, first, waiting);
            }
            if self.hold.len() == 0 {
                self.declare(desk, first, incoming.arrival);
            } else {
                self.resolve(desk);
            }
            let Some(epoch) = &mut self.epoch else { return };
            if first <= epoch.next {
                if end > epoch.next {
                    epoch.advance(desk, incoming);
                    self.drain(desk);
                }
                return;
            }
        }
    }

    /// The numbers before the first packet that waits are missing for good.
    fn resolve(&mut self, desk: &mut Desk) {
        let Some(front) = self.hold.front() else { return };
        let (to, line) = (front.first, front.arrival.line);
        let stamp = Stamp::new(self.hold.since_ns(), front.arrival.stamp.clock);
        self.declare(desk, to, Arrival { stamp, line });
        self.drain(desk);
    }

    /// `[next, to)` is missing for good.
    fn declare(&mut self, desk: &mut Desk, to: u64, shown: Arrival) {
        let Some(epoch) = &mut self.epoch else { return };
        let first = epoch.next;
        if to <= first {
            return;
        }
        epoch.whole.offer(to, 0);
        epoch.next = to;
        let past = (0_u8..)
            .zip(&self.lines)
            .filter(|(_, line)| line.epoch == epoch.id && line.tracker.next() > first);
        let past = past.fold(0, |bits, (at, _)| bits | 1 << at);
        desk.gap(&self.name, first, to - first, GapWhen { since_ns: epoch.last_ns, arrival: shown }, past);
    }

    /// Takes what waited and is wanted now.
    fn drain(&mut self, desk: &mut Desk) {
        let mut any = false;
        while let Some(epoch) = &mut self.epoch
            && self.hold.front().is_some_and(|held| held.first <= epoch.next)
            && let Some(held) = self.hold.pop()
        {
            any = true;
            let speaker = Arc::clone(&desk.speaker);
            if held.end > epoch.next
                && let Some(incoming) = Incoming::of(&held, speaker.as_ref())
            {
                epoch.advance(desk, &incoming);
            }
            desk.pool.give_back(held.bytes);
        }
        if any {
            self.hold.look_again();
        }
    }

    /// Tape time is `now_ns`: what has waited long enough is declared, told or thrown away.
    pub(super) fn expire(&mut self, desk: &mut Desk, now_ns: u64) {
        while self.hold.front().is_some() && self.hold.since_ns().saturating_add(desk.hold_ns) <= now_ns {
            self.resolve(desk);
        }
        for line in 0..self.lines.len() {
            self.heal(desk, line, now_ns);
        }
        if !self.candidates.is_empty() {
            self.weigh(desk, now_ns);
        }
    }

    /// What a line went past long enough ago, and another brought, was missing on that line alone.
    fn heal(&mut self, desk: &mut Desk, line: usize, now_ns: u64) {
        let Some(epoch) = &self.epoch else { return };
        while let Some(pending) = self.lines.get_mut(line).and_then(|line| line.due(desk.hold_ns, now_ns)) {
            let still = self.lines.get(line).map_or_else(Vec::new, |line| line.missing_of(&pending));
            for (begin, end) in still {
                let healed =
                    tell_healed(desk, epoch, &self.lines, &self.name, line, (begin, end), pending.shown);
                if let Some(books) = desk.lines.get_mut(line).map(|line| &mut line.books) {
                    books.gaps += 1;
                    books.missing = books.missing.saturating_add(end - begin);
                    books.healed = books.healed.saturating_add(healed);
                }
            }
        }
    }

    /// The epoch is over: nothing waits any more.
    pub(super) fn clear(&mut self, desk: &mut Desk) {
        while self.hold.front().is_some() {
            self.resolve(desk);
        }
        for line in 0..self.lines.len() {
            self.heal(desk, line, u64::MAX);
        }
    }

    /// The tape is over.
    pub(super) fn finish(&mut self, desk: &mut Desk) {
        self.expire(desk, u64::MAX);
        self.clear(desk);
        self.drop_candidates(desk);
    }

    /// When something is due, ns.
    pub(super) fn wake_ns(&self, desk: &Desk, now_ns: u64) -> u64 {
        let hold = self.hold.front().map(|_| self.hold.since_ns());
        let lines = self.lines.iter().filter_map(OnLine::oldest_ns);
        let candidates = self.candidates.iter().map(|candidate| candidate.since_ns);
        // A candidate that is kept beyond its time is weighed again with the next packet.
        let candidates = candidates.filter(|since| since.saturating_add(desk.hold_ns) > now_ns);
        let since = hold.into_iter().chain(lines).chain(candidates).min();
        since.map_or(u64::MAX, |since| since.saturating_add(desk.hold_ns))
    }
}

/// Says by whom `[begin, end)`, missing on `line`, was brought; answers how many of it were.
fn tell_healed(
    desk: &mut Desk,
    epoch: &Epoch,
    lines: &[OnLine],
    session: &str,
    line: usize,
    (begin, end): (u64, u64),
    shown: Stamp,
) -> u64 {
    let (mut at, mut healed) = (begin, 0);
    while at < end {
        let others = || (0..).zip(lines).filter(|(other, here)| *other != line && here.epoch == epoch.id);
        let Some((by, until)) = others().find_map(|(by, here)| Some((by, here.tracker.seen_until(at)?)))
        else {
            // Missing on every line: the gap was declared. Behind it another line may go on.
            let next = others().filter_map(|(_, here)| here.tracker.seen_after(at)).min();
            match next {
                Some(next) if next > at => at = next,
                _ => break,
            }
            continue;
        };
        let until = until.min(end);
        desk.fill(session, (at, until), line, &Arrival { stamp: shown, line: by }, false);
        let count = i64::try_from(until - at).unwrap_or(i64::MAX);
        desk.out.broken(Rule::LineGap, &Arrival { stamp: shown, line }, at, count);
        healed += until - at;
        at = until;
    }
    healed
}
