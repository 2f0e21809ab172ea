//! The sequence space of one stream: what came, what is missing, what came twice.
//!
//! The unit is the message. A packet covers `[first, first + count)`. The rules:
//!
//! | packet against `next` | meaning |
//! |---|---|
//! | first packet of all | the space starts here; what was sent before is not missing |
//! | `first == next` | in order |
//! | `first > next` | gap: `[next, first)` is missing, unless packets were skipped in between |
//! | `first < next`, and it covers missing messages | out of order: it fills them |
//! | `first < next`, it starts before the first message ever seen and reaches it | out of order: the space starts earlier than thought |
//! | `first < next < first + count` | overlap (if part was seen): the tail is new |
//! | all of it seen before | duplicate |
//! | no messages, `first > next` | a heartbeat (or end of session) proves that the tail is missing: gap |
//! | no messages, `first <= next` | a heartbeat; an old one changes nothing |
//! | `first == 1`, behind `next`, and nothing of the above | restart: a new sequence space (epoch) under the same session |
//!
//! Always true, between skips: every number in `[first, next)` was seen or is missing, never both.
//! Intervals that are still missing are kept, at most [`MAX_INTERVALS`]; then the oldest is forgotten (its
//! messages stay counted as missing, and if they come after all, they count as duplicates).
//! Answers depend on the packets alone. Nothing allocates after [`Tracker::new`].

use std::collections::VecDeque;

/// Most missing intervals that a tracker remembers.
pub const MAX_INTERVALS: usize = 1024;

/// Messages `[begin, end)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// The first one.
    pub begin: u64,
    /// The one after the last.
    pub end: u64,
}

/// What a packet turned out to be. Counts are of messages.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Step {
    /// First packet of a sequence space.
    pub new_space: bool,
    /// The space began anew under the same session.
    pub restart: bool,
    /// Messages found missing just before this packet.
    pub missing: u64,
    /// Messages never seen before, beyond everything seen.
    pub fresh: u64,
    /// Messages that had been missing, or that come before the first one seen.
    pub filled: u64,
    /// Messages seen before.
    pub seen: u64,
    /// Messages from before the start of the capture, not joined to anything seen.
    pub before_start: u64,
}

impl Step {
    /// True if it only repeats what was seen.
    pub const fn is_duplicate(&self) -> bool {
        self.seen > 0 && self.fresh == 0 && self.filled == 0 && self.before_start == 0
    }
    /// True if it repeats and adds.
    pub const fn is_overlap(&self) -> bool {
        self.seen > 0 && (self.fresh > 0 || self.filled > 0)
    }
    /// True if it belongs before a packet already seen.
    pub const fn is_out_of_order(&self) -> bool {
        self.filled > 0 || self.before_start > 0
    }
}

/// Totals over all sequence spaces of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Sequence spaces: 1, and one more for each restart.
    pub spaces: u64,
    /// Different messages that came.
    pub messages: u64,
    /// Times that messages were found missing.
    pub gaps: u64,
    /// Messages found missing, whether they came later or not.
    pub ever_missing: u64,
    /// Messages that filled a gap later.
    pub filled: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Packets that belong before one already seen.
    pub out_of_order: u64,
}

/// The tracker of one stream.
#[derive(Clone, Debug)]
pub struct Tracker {
    started: bool,
    /// Packets were skipped since the last one: a jump forward is not a gap.
    forgiving: bool,
    /// Somebody else decides where spaces begin: number 1 is a number like any other.
    one_space: bool,
    first: u64,
    next: u64,
    missing: VecDeque<Interval>,
    counts: Counts,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

impl Tracker {
    /// Nothing seen yet. Allocates all that it will ever need.
    pub fn new() -> Self {
        Self {
            started: false,
            forgiving: false,
            one_space: false,
            first: 0,
            next: 0,
            missing: VecDeque::with_capacity(MAX_INTERVALS),
            counts: Counts::default(),
        }
    }
    /// As [`Tracker::new`], for a space that begins at `first` and never begins anew of itself: only [`Tracker::restart`] ends it.
    pub fn of_one_space(first: u64) -> Self {
        Self { started: true, one_space: true, first, next: first, ..Self::new() }
    }
    /// If number `at` was seen: the end of what was seen without a break from there on.
    pub fn seen_until(&self, at: u64) -> Option<u64> {
        if at < self.first || at >= self.next {
            return None;
        }
        let behind = self.missing.partition_point(|gap| gap.end <= at);
        let Some(gap) = self.missing.get(behind) else { return Some(self.next) };
        (gap.begin > at).then_some(gap.begin)
    }
    /// The first number after `at` that was seen.
    pub fn seen_after(&self, at: u64) -> Option<u64> {
        let at = at.saturating_add(1).max(self.first);
        let behind = self.missing.partition_point(|gap| gap.end <= at);
        let gap = self.missing.get(behind).filter(|gap| gap.begin <= at);
        Some(gap.map_or(at, |gap| gap.end)).filter(|seen| *seen < self.next)
    }
    /// The part within `[begin, end)` of the first interval that is missing there.
    pub fn missing_within(&self, begin: u64, end: u64) -> Option<Interval> {
        let at = self.missing.partition_point(|gap| gap.end <= begin);
        let gap = self.missing.get(at).filter(|gap| gap.begin < end)?;
        Some(Interval { begin: gap.begin.max(begin), end: gap.end.min(end) })
    }
    /// The first number of the current sequence space; 0 before the first packet.
    pub const fn first(&self) -> u64 {
        self.first
    }
    /// The number expected next; 0 before the first packet.
    pub const fn next(&self) -> u64 {
        self.next
    }
    /// The totals.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }
    /// Messages found missing that never came.
    pub const fn still_missing(&self) -> u64 {
        self.counts.ever_missing.saturating_sub(self.counts.filled)
    }
    /// What is missing in the current sequence space, ascending: the last [`MAX_INTERVALS`] intervals.
    pub fn missing(&self) -> impl Iterator<Item = Interval> + '_ {
        self.missing.iter().copied()
    }
    /// Packets went by unjudged: if the next one is ahead, that is no gap.
    pub const fn forgive(&mut self) {
        self.forgiving = true;
    }

    /// Takes the packet `[first, first + count)`; `count` is 0 for heartbeats and ends of session.
    /// A sequence that would overflow is taken up to the last number (callers reject such packets).
    pub fn offer(&mut self, first: u64, count: u64) -> Step {
        let end = first.saturating_add(count);
        let step = if !self.started {
            self.start(first, end)
        } else if first >= self.next {
            self.forward(first, end)
        } else {
            self.backward(first, end)
        };
        self.count(&step);
        step
    }

    /// The sender says that a new sequence space begins with the packet `[first, first + count)`.
    pub fn restart(&mut self, first: u64, count: u64) -> Step {
        let step = self.start(first, first.saturating_add(count));
        self.count(&step);
        step
    }

    fn count(&mut self, step: &Step) {
        let counts = &mut self.counts;
        counts.spaces += u64::from(step.new_space);
        counts.messages += step.fresh + step.filled;
        counts.gaps += u64::from(step.missing > 0);
        // A forged sequence number can make each gap nearly 2^64 long.
        counts.ever_missing = counts.ever_missing.saturating_add(step.missing);
        counts.duplicates += step.seen;
        counts.out_of_order += u64::from(step.is_out_of_order());
    }

    fn start(&mut self, first: u64, end: u64) -> Step {
        let restart = self.started;
        self.started = true;
        self.forgiving = false;
        (self.first, self.next) = (first, end);
        self.missing.clear();
        Step { new_space: true, restart, fresh: end - first, ..Step::default() }
    }

    fn forward(&mut self, first: u64, end: u64) -> Step {
        let jump = first - self.next;
        let missing = if self.forgiving { 0 } else { jump };
        self.forgiving = false;
        if missing > 0 {
            // Heartbeats through an outage each move the end: that is one interval, not one each.
            match self.missing.back_mut().filter(|last| last.end == self.next) {
                Some(last) => last.end = first,
                None => {
                    self.remember(self.missing.len(), Interval { begin: self.next, end: first });
                }
            }
        }
        self.next = end;
        Step { missing, fresh: end - first, ..Step::default() }
    }

    fn backward(&mut self, first: u64, end: u64) -> Step {
        if first == end {
            // A heartbeat that says "next is 1" comes from a sender that has just begun again.
            return if first == 1 && !self.one_space { self.start(first, end) } else { Step::default() };
        }
        let filled = self.fill(first, end.min(self.next));
        let reaches_start = end >= self.first;
        let before = self.first.saturating_sub(first);
        if first == 1 && !self.one_space && filled == 0 && end < self.next && (before == 0 || !reaches_start)
        {
            return self.start(first, end);
        }
        self.counts.filled += filled;
        let mut step = Step { filled, fresh: end.saturating_sub(self.next), ..Step::default() };
        if before > 0 && reaches_start {
            self.first = first;
            step.filled += before;
        } else if before > 0 {
            step.before_start = end - first;
        }
        step.seen = end - first - step.fresh - step.filled - step.before_start;
        if step.fresh > 0 {
            self.forgiving = false;
            self.next = end;
        }
        step
    }

    /// Takes `[begin, end)` out of what is missing; answers how many messages that were.
    fn fill(&mut self, begin: u64, end: u64) -> u64 {
        let mut at = self.missing.partition_point(|gap| gap.end <= begin);
        let mut filled = 0;
        while let Some(gap) = self.missing.get(at).copied().filter(|gap| gap.begin < end) {
            let (from, to) = (gap.begin.max(begin), gap.end.min(end));
            filled += to - from;
            self.missing.remove(at);
            for rest in [Interval { begin: gap.begin, end: from }, Interval { begin: to, end: gap.end }] {
                if rest.begin < rest.end {
                    at = self.remember(at, rest);
                }
            }
        }
        filled
    }

    /// Puts an interval at its place, forgetting the oldest if there is no room; answers the place after it.
    fn remember(&mut self, at: usize, interval: Interval) -> usize {
        let mut at = at;
        if self.missing.len() == MAX_INTERVALS {
            if at == 0 {
                return 0;
            }
            self.missing.pop_front();
            at -= 1;
        }
        self.missing.insert(at, interval);
        at + 1
    }
}

#[cfg(test)]
mod tests;
