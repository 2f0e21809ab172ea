//! The race between two lines: how much earlier each message came on the one than on the other.
//!
//! By stamp, never by order on tape; only where one clock stamped both; retransmissions and late fills stay out.

use super::side::SideRow;
use super::spread::{Percentiles, Spread};
use crate::time::{NS_PER_SEC, Stamp, delta_ns};
use serde::{Deserialize, Serialize};

/// What a report says of a race.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RaceReport {
    /// The line that is named first in the configuration.
    pub line: String,
    /// The other.
    pub other: String,
    /// Messages that both brought (packets, where those are numbered).
    pub messages: u64,
    /// Of these, those that `line` brought first.
    pub wins: u64,
    /// Those that both brought at the same nanosecond.
    pub ties: u64,
    /// Lead of `line`; negative: it was later.
    pub lead: Percentiles,
}

/// The race of two lines.
#[derive(Debug)]
pub(super) struct Race {
    line: usize,
    other: usize,
    second: u64,
    second_wins: u64,
    this_second: Spread,
    total: Spread,
    wins: u64,
    ties: u64,
    /// Messages of one lead that follow each other are counted at once.
    run: (i64, u64),
}

impl Race {
    /// Between two lines, by their places in the configuration.
    pub(super) fn new(line: usize, other: usize) -> Option<Self> {
        let (this_second, total) = (Spread::new()?, Spread::new()?);
        Some(Self {
            line,
            other,
            second: 0,
            second_wins: 0,
            this_second,
            total,
            wins: 0,
            ties: 0,
            run: (0, 0),
        })
    }

    /// True if it is about these two.
    pub(super) const fn is_of(&self, one: usize, two: usize) -> bool {
        (self.line == one && self.other == two) || (self.line == two && self.other == one)
    }

    /// A message that `first` had brought has now come on `second` as well.
    #[inline]
    pub(super) fn copy(&mut self, first: (usize, Stamp), second: Stamp) {
        if first.1.clock != second.clock {
            return;
        }
        let behind = delta_ns(second.ns, first.1.ns);
        let lead = if first.0 == self.line { behind } else { behind.saturating_neg() };
        if self.run.0 != lead {
            self.count();
            self.run = (lead, 0);
        }
        self.run.1 += 1;
    }

    fn count(&mut self) {
        let (lead, times) = std::mem::take(&mut self.run);
        if times == 0 {
            return;
        }
        self.this_second.record(lead, times);
        self.total.record(lead, times);
        let wins = if lead > 0 { times } else { 0 };
        self.wins += wins;
        self.second_wins += wins;
        self.ties += if lead == 0 { times } else { 0 };
    }

    /// Tape time is `now_ns`: what a second has ended for is a row.
    pub(super) fn advance(&mut self, now_ns: u64, names: &[String], row: &mut impl FnMut(&SideRow<'_>)) {
        let second = now_ns / NS_PER_SEC;
        if second == self.second {
            return;
        }
        self.count();
        if self.this_second.count() > 0 {
            let (min_ns, max_ns) = self.this_second.ends();
            let name = |line: usize| names.get(line).map_or("", String::as_str);
            row(&SideRow::Race {
                at_ns: self.second.saturating_add(1).saturating_mul(NS_PER_SEC),
                line: name(self.line),
                other: name(self.other),
                messages: self.this_second.count(),
                wins: self.second_wins,
                p50_ns: self.this_second.at(500),
                min_ns,
                max_ns,
            });
            self.this_second.clear();
        }
        (self.second, self.second_wins) = (second, 0);
    }

    /// All of it.
    pub(super) fn report(&self, names: &[String]) -> RaceReport {
        let name = |line: usize| names.get(line).cloned().unwrap_or_default();
        let (pending, times) = self.run;
        let mut total = self.total.clone();
        if times > 0 {
            total.record(pending, times);
        }
        RaceReport {
            line: name(self.line),
            other: name(self.other),
            messages: total.count(),
            wins: self.wins + if pending > 0 { times } else { 0 },
            ties: self.ties + if pending == 0 { times } else { 0 },
            lead: total.percentiles(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::StampClock;

    #[test]
    fn leads_are_signed_by_line_and_told_by_second() {
        let names = ["A".to_owned(), "B".to_owned()];
        let at = |ns| Stamp::new(ns, StampClock::HARDWARE);
        let mut race = Race::new(0, 1).unwrap();
        let mut rows = Vec::new();
        let mut advance = |race: &mut Race, ns| {
            race.advance(ns, &names, &mut |row| rows.push(serde_json::to_value(row).unwrap()));
        };
        advance(&mut race, NS_PER_SEC);
        race.copy((0, at(NS_PER_SEC)), at(NS_PER_SEC + 30));
        race.copy((0, at(NS_PER_SEC)), at(NS_PER_SEC + 30));
        race.copy((1, at(NS_PER_SEC)), at(NS_PER_SEC + 50));
        race.copy((1, at(NS_PER_SEC)), Stamp::new(NS_PER_SEC + 50, StampClock::USER));
        advance(&mut race, NS_PER_SEC + 999);
        advance(&mut race, 3 * NS_PER_SEC);
        race.copy((0, at(3 * NS_PER_SEC)), at(3 * NS_PER_SEC));
        assert_eq!(
            rows,
            [
                serde_json::json!({"kind": "race", "at_ns": 2 * NS_PER_SEC, "line": "A", "other": "B", "messages": 3,
                "wins": 2, "p50_ns": 30, "min_ns": -50, "max_ns": 30})
            ]
        );
        let report = race.report(&names);
        assert_eq!((report.messages, report.wins, report.ties), (4, 2, 1));
        assert_eq!((report.lead.min_ns, report.lead.max_ns), (-50, 30));
    }
}
