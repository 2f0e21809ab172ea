//! Packets that do not fit where the sequence stands: ahead by more than any plausible gap, behind it with other bytes than came
//! there, or of a session that is new. One such packet proves nothing (anybody can send one); it waits until another goes on from it.

use super::arbiter::Arbiter;
use super::desk::{Desk, Incoming};
use super::hold::Held;
use super::rules::Rule;
use std::sync::Arc;

/// Furthest that a packet may be ahead, in sequence numbers, without another that bears it out.
pub(super) const FAR: u64 = 4096;
/// Most runs that are kept of one sequence space.
pub(super) const MAX_CANDIDATES: usize = 4;

/// A run of packets that may become the sequence.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Its first number.
    pub first: u64,
    /// The number after its last.
    pub next: u64,
    /// Stamp of its first packet, ns.
    pub since_ns: u64,
    /// How far the feed had come then (see [`Arbiter`]).
    pub progress: u64,
    line: usize,
    /// What waits.
    pub packets: Vec<Held>,
}

impl Candidate {
    /// A run of one packet; `None` if there is no room.
    pub(super) fn new(desk: &mut Desk, incoming: &Incoming<'_>, progress: u64) -> Option<Self> {
        let (first, next) = incoming.range();
        let held = incoming.hold(&mut desk.pool)?;
        let (since_ns, line) = (incoming.arrival.stamp.ns, incoming.arrival.line);
        Some(Self { first, next, since_ns, progress, line, packets: vec![held] })
    }

    /// True if the packet goes on from here, or is another line's copy of what is here. (That line may cut the same messages
    /// into other packets, so the copy may end elsewhere.)
    pub(super) fn is_borne_out_by(&self, incoming: &Incoming<'_>) -> bool {
        let (first, _) = incoming.range();
        let goes_on = first >= self.next && first - self.next <= FAR;
        let copy = first >= self.first && first < self.next && incoming.arrival.line != self.line;
        goes_on || copy
    }
}

/// What becomes of a run.
enum Fate {
    Wait,
    Sequence,
    Stray,
}

impl Arbiter {
    /// A packet that does not fit: bears a run out, or begins one.
    pub(super) fn strange(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) {
        if let Some(at) = self.candidates.iter().position(|run| run.is_borne_out_by(incoming)) {
            let mut run = self.candidates.remove(at);
            match incoming.hold(&mut desk.pool) {
                Some(held) => run.packets.push(held),
                None => stray(desk, incoming),
            }
            self.becomes_the_sequence(desk, run);
            return;
        }
        if self.candidates.len() == MAX_CANDIDATES {
            let oldest = self.candidates.remove(0);
            throw_away(desk, oldest);
        }
        match Candidate::new(desk, incoming, self.progress(desk)) {
            Some(run) => self.candidates.push(run),
            None => stray(desk, incoming),
        }
    }

    /// How far the sequence has come against which a run is held: this space's, or if it has not begun the whole feed's.
    fn progress(&self, desk: &Desk) -> u64 {
        self.epoch.as_ref().map_or(desk.books.delivered, |epoch| epoch.next)
    }

    /// Decides on runs that have waited for the hold time.
    pub(super) fn weigh(&mut self, desk: &mut Desk, now_ns: u64) {
        let mut at = 0;
        while let Some(run) = self.candidates.get(at) {
            match self.fate(desk, run, now_ns) {
                Fate::Wait => at += 1,
                Fate::Stray => {
                    let run = self.candidates.remove(at);
                    throw_away(desk, run);
                }
                Fate::Sequence => {
                    let run = self.candidates.remove(at);
                    self.becomes_the_sequence(desk, run);
                    at = 0;
                }
            }
        }
    }

    fn fate(&self, desk: &Desk, run: &Candidate, now_ns: u64) -> Fate {
        if run.since_ns.saturating_add(desk.hold_ns) > now_ns {
            return Fate::Wait;
        }
        let stands = self.progress(desk) == run.progress;
        match &self.epoch {
            // Another session while the one before goes on: it may come again.
            None if stands => Fate::Sequence,
            None => Fate::Wait,
            // Number 1 again, and nothing of the old numbers since.
            Some(epoch) if run.first <= 1 && epoch.next > 1 && stands => Fate::Sequence,
            Some(_) if stands => Fate::Wait,
            Some(_) => Fate::Stray,
        }
    }

    /// The run is real: ahead, it shows a gap; behind, or of a new session, it begins an epoch.
    fn becomes_the_sequence(&mut self, desk: &mut Desk, run: Candidate) {
        let ahead = self.epoch.as_mut().filter(|epoch| run.first > epoch.next);
        if let Some(epoch) = ahead {
            let end = run.packets.iter().map(|held| held.end).max().unwrap_or(run.next);
            epoch.horizon = epoch.horizon.max(end);
        } else {
            let speaker = Arc::clone(&desk.speaker);
            let why = if self.epoch.is_some() { "restart" } else { "session" };
            let first = run.packets.first().and_then(|held| Incoming::of(held, speaker.as_ref()));
            let Some(first) = first else { return };
            self.begin(desk, run.first, why, &first);
            self.drop_candidates(desk);
        }
        let speaker = Arc::clone(&desk.speaker);
        for held in run.packets {
            if let Some(incoming) = Incoming::of(&held, speaker.as_ref()) {
                self.take(desk, &incoming);
            }
            desk.pool.give_back(held.bytes);
        }
    }

    /// Nothing goes on from these any more.
    pub(super) fn drop_candidates(&mut self, desk: &mut Desk) {
        for run in std::mem::take(&mut self.candidates) {
            throw_away(desk, run);
        }
    }
}

fn throw_away(desk: &mut Desk, run: Candidate) {
    let speaker = Arc::clone(&desk.speaker);
    for held in run.packets {
        if let Some(incoming) = Incoming::of(&held, speaker.as_ref()) {
            stray(desk, &incoming);
        }
        desk.pool.give_back(held.bytes);
    }
}

fn stray(desk: &mut Desk, incoming: &Incoming<'_>) {
    desk.books.strays += 1;
    let units = i64::try_from(incoming.frame.header.units).unwrap_or(i64::MAX);
    desk.out.broken(Rule::Stray, &incoming.arrival, incoming.frame.header.first, units);
}
