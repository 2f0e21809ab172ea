//! One run of the numbers of a sequence space, and where each line stands in it.

use super::desk::{Desk, Incoming};
use super::rules::Rule;
use crate::feed::sequence::Tracker;
use crate::time::{Stamp, delta_ns};
use std::collections::VecDeque;

/// Most gaps of one line that wait to be healed; beyond that the last two are looked at together.
const MAX_PENDING: usize = 1024;

/// One run of the numbers.
#[derive(Debug)]
pub(super) struct Epoch {
    /// Its number in the feed.
    pub id: u32,
    pub first: u64,
    pub next: u64,
    /// Up to here numbers are known to be real: `next`, or the end of what waits.
    pub horizon: u64,
    pub began_ns: u64,
    /// Hash of the packet that began it.
    pub opening: u64,
    /// It begins where the capture began, not where the sender began it.
    pub joined_midway: bool,
    /// What was taken, and what was declared missing.
    pub whole: Tracker,
    /// Stamp of the packet that was taken last, ns.
    pub last_ns: u64,
}

/// The epoch before: lines may still bring some of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Old {
    pub id: u32,
    pub next: u64,
}

/// Numbers that a line went past.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub begin: u64,
    pub end: u64,
    pub shown: Stamp,
}

/// Where a line stands in this space.
#[derive(Debug)]
pub(super) struct OnLine {
    pub epoch: u32,
    pub tracker: Tracker,
    pending: VecDeque<Pending>,
    sent_ns: u64,
    /// Number and offset that come next, where there are offsets.
    offset: Option<(u64, u64)>,
}

impl Epoch {
    /// Takes what is new of a packet that begins at `next` or before.
    pub(super) fn advance(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) {
        let (_, end) = incoming.range();
        desk.deliver(incoming, self.next);
        self.whole.offer(self.next, end - self.next);
        self.next = end;
        self.last_ns = incoming.arrival.stamp.ns;
    }

    /// The part of a packet that is behind `next`: tells what of it had been declared missing.
    pub(super) fn late(&mut self, desk: &mut Desk, session: &str, incoming: &Incoming<'_>, lines: &[OnLine]) {
        let (first, end) = incoming.range();
        let (first, end) = (first.max(self.first), end.min(self.next));
        // Looked at from the back: what is late is among what was declared last.
        while first < end
            && let Some(gap) = self.whole.missing_within(first, end)
        {
            self.whole.offer(gap.begin, gap.end - gap.begin);
            let arrival = &incoming.arrival;
            let count = gap.end - gap.begin;
            desk.books.late += count;
            let misses = |(at, line): &(usize, &OnLine)| {
                *at != arrival.line && line.epoch == self.id && line.tracker.seen_until(gap.begin).is_none()
            };
            let missed = lines.iter().enumerate().find(misses).map_or(arrival.line, |(at, _)| at);
            desk.out.broken(Rule::LateFill, arrival, gap.begin, i64::try_from(count).unwrap_or(i64::MAX));
            desk.fill(session, (gap.begin, gap.end), missed, arrival, true);
        }
    }
}

impl OnLine {
    /// A line that brought nothing of this space.
    pub(super) fn new() -> Self {
        Self {
            epoch: 0,
            tracker: Tracker::of_one_space(0),
            pending: VecDeque::new(),
            sent_ns: 0,
            offset: None,
        }
    }

    /// The line's first packet of an epoch. What comes before it was missed, but for the beginning of a capture, where lines
    /// do not begin at the same number.
    pub(super) fn join(&mut self, epoch: &Epoch, first: u64, stamp: Stamp, hold_ns: u64) {
        let young = stamp.ns.saturating_sub(epoch.began_ns) <= hold_ns;
        let begin = if young && epoch.joined_midway { first } else { epoch.first.min(first) };
        self.tracker.restart(begin, 0);
        self.pending.clear();
        (self.epoch, self.sent_ns, self.offset) = (epoch.id, 0, None);
    }

    /// Keeps the line's books; answers whether the packet goes on from what the line brought before.
    pub(super) fn on_line(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) -> bool {
        let header = &incoming.frame.header;
        let arrival = &incoming.arrival;
        let step = self.tracker.offer(header.first, header.units);
        if let Some(line) = desk.lines.get_mut(arrival.line) {
            line.books.messages = line.books.messages.saturating_add(header.units);
            line.books.duplicates += step.seen;
        }
        if step.missing > 0 {
            let gap = Pending { begin: header.first - step.missing, end: header.first, shown: arrival.stamp };
            let full = self.pending.len() == MAX_PENDING;
            match self.pending.back_mut() {
                Some(last) if full => last.end = gap.end,
                _ => self.pending.push_back(gap),
            }
        }
        if step.seen > 0 {
            let seen = i64::try_from(step.seen).unwrap_or(i64::MAX);
            desk.out.broken(Rule::Duplicate, arrival, header.first, seen);
        }
        if step.is_out_of_order() {
            self.out_of_order(desk, incoming);
        }
        let in_order = step.fresh > 0 && !step.is_out_of_order();
        if in_order {
            self.check_times_and_offset(desk, incoming);
        }
        in_order
    }

    /// A packet that belongs before others: within the hold time it was reordered, after that the line has told it as missing.
    fn out_of_order(&self, desk: &mut Desk, incoming: &Incoming<'_>) {
        let (first, end) = incoming.range();
        let arrival = &incoming.arrival;
        let waits = self.pending.iter().any(|gap| gap.begin < end && first < gap.end);
        let line = desk.lines.get_mut(arrival.line);
        if waits || first < self.tracker.first().saturating_add(1) {
            if let Some(line) = line {
                line.books.reordered += 1;
            }
            let ahead = i64::try_from(self.tracker.next() - first).unwrap_or(i64::MAX);
            desk.out.broken(Rule::Reorder, arrival, first, ahead);
        } else if let Some(line) = line {
            line.books.late += end - first;
        }
    }

    fn check_times_and_offset(&mut self, desk: &mut Desk, incoming: &Incoming<'_>) {
        let header = &incoming.frame.header;
        let arrival = &incoming.arrival;
        if let Some(sent_ns) = header.sent_ns {
            if sent_ns < self.sent_ns {
                desk.out.broken(Rule::SentBackwards, arrival, header.first, delta_ns(sent_ns, self.sent_ns));
            }
            self.sent_ns = sent_ns;
        }
        let Some(offset) = header.offset else { return };
        if let Some((next, next_offset)) = self.offset {
            // Messages are missing if and only if bytes are.
            let numbers_say = header.first != next;
            let bytes_say = offset.begin != next_offset;
            if numbers_say != bytes_say || offset.begin < next_offset {
                desk.out.broken(
                    Rule::OffsetMismatch,
                    arrival,
                    header.first,
                    delta_ns(offset.begin, next_offset),
                );
            }
        }
        self.offset = Some((header.next(), offset.begin.saturating_add(offset.bytes)));
    }

    /// The oldest gap that the line went past at least `hold_ns` ago.
    pub(super) fn due(&mut self, hold_ns: u64, now_ns: u64) -> Option<Pending> {
        let shown_ns = self.oldest_ns()?;
        if shown_ns.saturating_add(hold_ns) > now_ns { None } else { self.pending.pop_front() }
    }

    /// Since when the line's oldest gap is known, ns.
    pub(super) fn oldest_ns(&self) -> Option<u64> {
        self.pending.front().map(|pending| pending.shown.ns)
    }

    /// What of it did not come on the line after all.
    pub(super) fn missing_of(&self, pending: &Pending) -> Vec<(u64, u64)> {
        let inside =
            |gap: crate::feed::sequence::Interval| (gap.begin.max(pending.begin), gap.end.min(pending.end));
        self.tracker.missing().map(inside).filter(|(begin, end)| begin < end).collect()
    }
}
