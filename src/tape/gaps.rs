//! `tape gaps`: when messages were missing, where they were lost, and what healed it; and what is missing still.
//!
//! From the side table of the event tape, or from the room that makes it. A gap is on every line of its feed; what one line missed
//! and another brought is listed as missing on that line. Upstream means that nothing was lost on this host meanwhile.

use super::event_source::{Event, Wanted, each_event};
use super::outcome::{Outcome, TapeError};
use super::when::Rfc3339;
use super::words;
use crate::feed::FeedConfig;
use crate::journal::reader::Tape;
use crate::time::delta_ns;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::{ControlFlow, Range};

/// Most entries of a feed that are kept.
const MAX_ENTRIES: usize = 1 << 20;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct GapsOptions {
    /// These feeds in place of those that the journal recorded.
    pub feeds: Option<Vec<FeedConfig>>,
    /// Only what is missing still, as ranges that could be asked for.
    pub requests: bool,
    /// One JSON object a line.
    pub json: bool,
}

/// A stretch of messages that was missing, or a change of the sequence space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Entry {
    /// Capture.
    capture: String,
    /// Feed.
    feed: String,
    /// `gap` (on every line), `line-gap`, `line-dead` or `epoch`.
    what: &'static str,
    /// Stamp of the packet that showed it, ns since the Unix epoch.
    at_ns: u64,
    /// From the packet before it to the one that showed it, ns; `None` if that is not known.
    duration_ns: Option<i64>,
    /// Line that missed them; empty if all did.
    line: String,
    /// Sequence space.
    session: String,
    /// First number.
    first: u64,
    /// How many numbers.
    count: u64,
    /// `upstream`, `maybe-local`, or `unknown` if the tape ended before it could be said.
    cause: String,
    /// Packets lost on this host meanwhile.
    lost_here: u64,
    /// The line that brought them, at once or late; empty if none did.
    healed_by: String,
    /// How many of them came after all.
    healed: u64,
    /// Why a sequence space began; for how long a line was silent, ns.
    note: String,
    #[serde(skip)]
    filled: Vec<Range<u64>>,
}

/// Lists what was missing on the journal at `tape`.
///
/// # Errors
/// [`TapeError`] of the tape or the output; [`TapeError::Refused`] if no feed is configured.
pub fn run(tape: &Tape, options: &GapsOptions, out: &mut dyn Write) -> Result<Outcome, TapeError> {
    let mut timelines: BTreeMap<(String, String), Timeline> = BTreeMap::new();
    let wanted = Wanted { rows: true, orders: false };
    let with_feeds = each_event(tape, options.feeds.as_deref(), wanted, &mut |capture, feed, event| {
        if let Event::Row(row) = event {
            let timeline = timelines.entry((capture.to_owned(), feed.to_owned())).or_default();
            timeline.take(row, (capture, feed))?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if with_feeds == 0 {
        return Err(TapeError::Refused(format!(
            "{}: no capture on it had feeds configured: give --config FILE, or see `tape feeds`",
            tape.path().display()
        )));
    }
    let mut entries: Vec<Entry> = timelines.into_values().flat_map(|timeline| timeline.entries).collect();
    entries.sort_by(|one, other| {
        (one.at_ns, &one.feed, one.first).cmp(&(other.at_ns, &other.feed, other.first))
    });
    let text =
        if options.requests { requests(&entries, options.json)? } else { list(&entries, options.json)? };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(TapeError::io("cannot write the output"))?;
    Ok(Outcome::Good)
}

/// One feed's entries.
#[derive(Debug, Default)]
struct Timeline {
    entries: Vec<Entry>,
}

impl Timeline {
    fn take(&mut self, row: &Value, (capture, feed): (&str, &str)) -> Result<(), TapeError> {
        let number = |name: &str| row[name].as_u64().unwrap_or(0);
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let at_ns = number("at_ns");
        let entry = |what: &'static str| Entry {
            capture: capture.to_owned(),
            feed: feed.to_owned(),
            what,
            at_ns,
            duration_ns: None,
            line: word("line"),
            session: word("session"),
            first: number("first"),
            count: number("count"),
            cause: String::new(),
            lost_here: 0,
            healed_by: String::new(),
            healed: 0,
            note: String::new(),
            filled: Vec::new(),
        };
        let new = match row["kind"].as_str() {
            Some("gap") => Entry {
                duration_ns: Some(delta_ns(at_ns, number("since_ns"))),
                cause: "unknown".to_owned(),
                ..entry("gap")
            },
            Some("gap-cause") => {
                let place = (number("first"), number("count"));
                if let Some(gap) = self.gap(&word("session"), |gap| (gap.first, gap.count) == place) {
                    (gap.cause, gap.lost_here) = (word("cause"), number("lost_here"));
                }
                return Ok(());
            }
            Some("fill") if row["late"] == true => {
                self.fill(
                    &word("session"),
                    number("first")..number("first").saturating_add(number("count")),
                    &word("by"),
                );
                return Ok(());
            }
            Some("fill") => Entry { healed_by: word("by"), healed: number("count"), ..entry("line-gap") },
            Some("epoch") => Entry { note: word("why"), ..entry("epoch") },
            Some("rule") if row["rule"] == "line-dead" => {
                let silent_ns = row["value"].as_i64().unwrap_or(0);
                Entry { duration_ns: Some(silent_ns), ..entry("line-dead") }
            }
            _ => return Ok(()),
        };
        if self.entries.len() == MAX_ENTRIES {
            return Err(TapeError::Refused(format!("feed {feed}: more than {MAX_ENTRIES} gaps")));
        }
        self.entries.push(new);
        Ok(())
    }

    /// The newest gap of a session that is the one.
    fn gap(&mut self, session: &str, is_it: impl Fn(&Entry) -> bool) -> Option<&mut Entry> {
        self.entries.iter_mut().rev().find(|e| e.what == "gap" && e.session == session && is_it(e))
    }

    /// Messages came after they had been declared missing. They may span several gaps of this epoch.
    fn fill(&mut self, session: &str, came: Range<u64>, by: &str) {
        for gap in self.entries.iter_mut().rev() {
            match gap.what {
                "epoch" if gap.session == session => return,
                "gap" if gap.session == session => gap.fill(&came, by),
                _ => {}
            }
        }
    }
}

impl Entry {
    fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }

    fn fill(&mut self, came: &Range<u64>, by: &str) {
        let inside = came.start.max(self.first)..came.end.min(self.end());
        if inside.is_empty() {
            return;
        }
        self.filled.push(inside);
        self.filled.sort_by_key(|range| range.start);
        self.healed = self.count - self.missing().iter().map(|range| range.end - range.start).sum::<u64>();
        if !self.healed_by.split(' ').any(|line| line == by) {
            if !self.healed_by.is_empty() {
                self.healed_by.push(' ');
            }
            self.healed_by.push_str(by);
        }
    }

    /// What never came.
    fn missing(&self) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut next = self.first;
        for range in &self.filled {
            if range.start > next {
                missing.push(next..range.start);
            }
            next = next.max(range.end);
        }
        if next < self.end() {
            missing.push(next..self.end());
        }
        missing
    }
}

fn json(value: &impl Serialize) -> Result<String, TapeError> {
    let text = serde_json::to_string(value).map_err(|error| TapeError::Refused(error.to_string()))?;
    Ok(text + "\n")
}

fn list(entries: &[Entry], as_json: bool) -> Result<String, TapeError> {
    let mut t = String::new();
    for entry in entries {
        if as_json {
            t += &json(entry)?;
        } else {
            line(&mut t, entry);
        }
    }
    let gaps = || entries.iter().filter(|entry| entry.what == "gap");
    let total = |of: fn(&Entry) -> u64| gaps().map(of).fold(0, u64::saturating_add);
    let (messages, healed) = (total(|gap| gap.count), total(|gap| gap.healed));
    let by = |cause: &str| gaps().filter(|gap| gap.cause == cause).count();
    let sums = Sums {
        gaps: gaps().count(),
        messages,
        healed_late: healed,
        upstream: by("upstream"),
        maybe_local: by("maybe-local"),
        line_gaps: entries.iter().filter(|entry| entry.what == "line-gap").count(),
    };
    if as_json {
        t += &json(&serde_json::json!({ "sums": sums }))?;
        return Ok(t);
    }
    let g = words::grouped;
    let _ = writeln!(
        t,
        "{} on every line, {} messages ({} came late): {} upstream, {} maybe local; {} on one line only",
        words::count(sums.gaps as u64, "gap", "gaps"),
        g(messages),
        g(healed),
        sums.upstream,
        sums.maybe_local,
        sums.line_gaps
    );
    Ok(t)
}

#[derive(Serialize)]
struct Sums {
    gaps: usize,
    messages: u64,
    healed_late: u64,
    upstream: usize,
    maybe_local: usize,
    line_gaps: usize,
}

fn line(t: &mut String, e: &Entry) {
    let _ = write!(t, "{} {}", Rfc3339(e.at_ns), e.feed);
    let range = || {
        let last = e.end().saturating_sub(1);
        format!(
            "session {} {}..{last} ({})",
            e.session,
            e.first,
            words::count(e.count, "message", "messages")
        )
    };
    let duration = e.duration_ns.map_or_else(String::new, |ns| {
        let sign = if ns < 0 { "-" } else { "" };
        format!(" in {sign}{}", words::duration(ns.unsigned_abs()))
    });
    let _ = match e.what {
        "gap" => {
            let _ = write!(t, " gap on every line: {}{duration}, {}", range(), e.cause);
            let lost = if e.lost_here > 0 {
                format!(", {} lost here meanwhile", words::count(e.lost_here, "packet", "packets"))
            } else {
                String::new()
            };
            let healed = match e.healed {
                0 => String::new(),
                n if n == e.count => format!(", all came late by {}", e.healed_by),
                n => format!(", {} came late by {}", words::grouped(n), e.healed_by),
            };
            writeln!(t, "{lost}{healed}")
        }
        "line-gap" => writeln!(t, " missing on line {}: {}, brought by {}", e.line, range(), e.healed_by),
        "line-dead" => writeln!(t, " line {} dead: silent{}", e.line, duration.replace(" in ", " for ")),
        _ => writeln!(t, " epoch: session {} begins at {} ({})", e.session, e.first, e.note),
    };
}

/// Ranges that never came, each feed's and session's in order; neighbours are one.
fn requests(entries: &[Entry], as_json: bool) -> Result<String, TapeError> {
    let mut t = String::new();
    for gap in entries.iter().filter(|entry| entry.what == "gap") {
        for missing in gap.missing() {
            let (first, count) = (missing.start, missing.end - missing.start);
            if as_json {
                t += &json(&serde_json::json!({
                    "capture": gap.capture, "feed": gap.feed, "session": gap.session,
                    "at_ns": gap.at_ns, "first": first, "count": count,
                }))?;
            } else {
                let _ = writeln!(t, "{} {} {first} {count}", gap.feed, gap.session);
            }
        }
    }
    Ok(t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(rows: &[&str]) -> Timeline {
        let mut timeline = Timeline::default();
        for row in rows {
            timeline.take(&serde_json::from_str(row).unwrap(), ("c", "f")).unwrap();
        }
        timeline
    }

    #[test]
    fn late_messages_fill_the_gaps_they_lie_in_and_the_rest_is_missing() {
        let t = timeline(&[
            r#"{"kind":"gap","at_ns":9,"session":"S","first":10,"count":10,"since_ns":4}"#,
            r#"{"kind":"gap","at_ns":12,"session":"S","first":25,"count":5,"since_ns":10}"#,
            r#"{"kind":"fill","at_ns":13,"session":"S","first":12,"count":2,"line":"A","by":"B","late":true}"#,
            r#"{"kind":"fill","at_ns":14,"session":"S","first":18,"count":20,"line":"A","by":"A","late":true}"#,
            r#"{"kind":"fill","at_ns":14,"session":"T","first":10,"count":20,"line":"A","by":"A","late":true}"#,
        ]);
        assert_eq!(t.entries[0].missing(), [10..12, 14..18]);
        assert_eq!((t.entries[0].healed, t.entries[0].healed_by.as_str()), (4, "B A"));
        assert_eq!((t.entries[1].healed, t.entries[1].missing().len()), (5, 0));
        assert_eq!(t.entries[0].duration_ns, Some(5));
    }

    #[test]
    fn a_cause_belongs_to_its_gap_and_an_epoch_ends_what_can_be_filled() {
        let t = timeline(&[
            r#"{"kind":"gap","at_ns":9,"session":"S","first":10,"count":10,"since_ns":4}"#,
            r#"{"kind":"gap-cause","at_ns":10,"session":"S","first":10,"count":10,"cause":"maybe-local","lost_here":3,"lines":"A"}"#,
            r#"{"kind":"epoch","at_ns":11,"session":"S","first":1,"why":"restart"}"#,
            r#"{"kind":"fill","at_ns":14,"session":"S","first":10,"count":2,"line":"A","by":"A","late":true}"#,
        ]);
        assert_eq!(
            (t.entries[0].cause.as_str(), t.entries[0].lost_here, t.entries[0].healed),
            ("maybe-local", 3, 0)
        );
        assert_eq!(t.entries[1].what, "epoch");
    }

    #[test]
    fn a_forged_range_at_the_end_of_the_numbers_is_listed_all_the_same() {
        let huge = format!(
            r#"{{"kind":"gap","at_ns":9,"session":"S","first":{},"count":{},"since_ns":4}}"#,
            u64::MAX - 1,
            u64::MAX
        );
        let t = timeline(&[&huge, &huge]);
        assert!(list(&t.entries, false).unwrap().contains("2 gaps on every line"));
        assert!(requests(&t.entries, false).unwrap().starts_with("f S 18446744073709551614 1\n"));
    }
}
