//! Which line of a feed brought each message first, and by how much.
//!
//! By stamp, not by place in the file. A message counts once for each pair of lines: its first copy on either. Further
//! copies (retransmissions) are left out, and so is a pair that two clocks stamped. What is older than a second is
//! forgotten, and at most [`MAX_OPEN`] messages are remembered.

use crate::feed::Space;
use crate::time::{Stamp, delta_ns};
use std::collections::{HashMap, VecDeque};

/// Most messages of a feed that are remembered.
const MAX_OPEN: usize = 1 << 18;
/// How long, ns.
const MEMORY_NS: u64 = 1_000_000_000;

/// A message by its place in the feed's sequence.
type Place = (Space, u64);

/// A message that at least one line has brought.
#[derive(Clone, Copy, Debug)]
struct First {
    line: usize,
    stamp: Stamp,
    /// A bit a line.
    seen: u64,
}

/// What a message's second line adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lead {
    /// The two lines, the first-named first.
    pub(super) lines: (usize, usize),
    /// By how much the first-named line was earlier, ns; negative if it was later. `None` if two clocks stamped them.
    pub(super) ns: Option<i64>,
}

/// The open messages of one feed.
#[derive(Debug, Default)]
pub(super) struct Race {
    open: HashMap<Place, First>,
    order: VecDeque<(u64, Place)>,
}

impl Race {
    /// Line `line` brought a message.
    pub(super) fn came(&mut self, place: Place, line: usize, stamp: Stamp) -> Option<Lead> {
        self.forget(stamp.ns);
        let bit = 1_u64.checked_shl(u32::try_from(line).ok()?)?;
        let Some(first) = self.open.get_mut(&place) else {
            self.open.insert(place, First { line, stamp, seen: bit });
            self.order.push_back((stamp.ns, place));
            return None;
        };
        if first.seen & bit != 0 {
            return None;
        }
        first.seen |= bit;
        let first = *first;
        let lead = delta_ns(stamp.ns, first.stamp.ns);
        let named_first = first.line < line;
        let lines = if named_first { (first.line, line) } else { (line, first.line) };
        let ns = (first.stamp.clock == stamp.clock).then_some(if named_first {
            lead
        } else {
            lead.saturating_neg()
        });
        Some(Lead { lines, ns })
    }

    fn forget(&mut self, now_ns: u64) {
        while let Some((at_ns, place)) = self.order.front().copied() {
            if now_ns.saturating_sub(at_ns) < MEMORY_NS && self.order.len() < MAX_OPEN {
                return;
            }
            self.order.pop_front();
            self.open.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::StampClock;

    #[test]
    fn the_lead_is_signed_by_the_first_named_line_and_repeats_stay_out() {
        let mut race = Race::default();
        let at = |ns| Stamp::new(ns, StampClock::HARDWARE);
        let place = |n| (Space::default(), n);
        assert_eq!(race.came(place(1), 0, at(100)), None);
        assert_eq!(race.came(place(1), 1, at(130)), Some(Lead { lines: (0, 1), ns: Some(30) }));
        assert_eq!(race.came(place(1), 1, at(140)), None);
        assert_eq!(race.came(place(2), 1, at(200)), None);
        assert_eq!(race.came(place(2), 0, at(207)), Some(Lead { lines: (0, 1), ns: Some(-7) }));
        // The file's order does not decide: a stamp before the first copy's turns the lead round.
        assert_eq!(race.came(place(3), 0, at(300)), None);
        assert_eq!(race.came(place(3), 1, at(290)), Some(Lead { lines: (0, 1), ns: Some(-10) }));
        assert_eq!(race.came(place(4), 0, at(400)), None);
        let other = Stamp::new(410, StampClock::USER);
        assert_eq!(race.came(place(4), 1, other), Some(Lead { lines: (0, 1), ns: None }));
    }

    #[test]
    fn what_is_older_than_a_second_is_forgotten() {
        let mut race = Race::default();
        let at = |ns| Stamp::new(ns, StampClock::HARDWARE);
        assert_eq!(race.came((Space::default(), 1), 0, at(5)), None);
        assert_eq!(race.came((Space::default(), 1), 1, at(5 + MEMORY_NS)), None);
        assert_eq!(race.open.len(), 1);
    }
}
