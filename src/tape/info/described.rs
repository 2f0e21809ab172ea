//! What `journal.toml` says of each capture: when it was started, and on what.
//!
//! Pure. A journal without one, or with a damaged one, is told from its segments alone.

use super::SegmentInfo;
use crate::journal::options::JUDGE_KEY;
use crate::journal::{CaptureEntry, Description};
use crate::tape::words;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Facts that stand in the text, with the words for them; JSON has all there are.
const SHOWN: [(&str, &str); 6] = [
    ("hostname", "host "),
    ("kernel", ""),
    ("clocksource", "clock source "),
    ("cpu", ""),
    ("interface", "interface "),
    ("nic", "nic "),
];

/// A capture: what is on tape of it, and what the description says.
#[derive(Debug)]
pub(super) struct Capture<'a> {
    id: String,
    segments: Vec<&'a SegmentInfo>,
    entry: Option<CaptureEntry>,
}

/// The captures that have segments, in the order of these, and those of which nothing is left.
pub(super) fn captures<'a>(
    segments: &'a [SegmentInfo],
    description: Option<&Description>,
    whole: bool,
) -> Vec<Capture<'a>> {
    let entries = description.map(|d| d.captures.as_slice()).unwrap_or_default();
    let entry = |id: &str| entries.iter().find(|e| e.id == id).cloned();
    let mut all: Vec<Capture<'a>> = Vec::new();
    for segment in segments {
        match all.iter_mut().find(|c| c.id == segment.capture) {
            Some(capture) => capture.segments.push(segment),
            None => all.push(Capture {
                id: segment.capture.clone(),
                segments: vec![segment],
                entry: entry(&segment.capture),
            }),
        }
    }
    for entry in entries.iter().filter(|_| whole) {
        if all.iter().all(|c| c.id != entry.id) {
            all.push(Capture { id: entry.id.clone(), segments: Vec::new(), entry: Some(entry.clone()) });
        }
    }
    all
}

impl Capture<'_> {
    fn packets(&self) -> u64 {
        self.segments.iter().map(|s| s.packets).sum()
    }

    fn application(&self) -> &str {
        let on_tape = self.segments.first().map(|s| s.application.as_str());
        on_tape.or_else(|| Some(self.entry.as_ref()?.application.as_str())).unwrap_or_default()
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let packets = words::count(self.packets(), "packet", "packets");
        writeln!(out, "capture     {}: {packets}, by {}", self.id, self.application())?;
        let Some(entry) = &self.entry else { return Ok(()) };
        write!(out, "            started {}", entry.created)?;
        for (name, before) in SHOWN {
            if let Some(value) = entry.host.0.get(name) {
                write!(out, ", {before}{value}")?;
            }
        }
        writeln!(out)
    }

    pub(super) fn json(&self) -> Value {
        let host = |entry: &CaptureEntry| -> Map<String, Value> {
            let facts = entry.host.0.iter().filter(|(name, _)| *name != JUDGE_KEY);
            facts.map(|(name, value)| (name.clone(), json!(value))).collect()
        };
        json!({
            "id": self.id,
            "application": self.application(),
            "segments": self.segments.len(),
            "packets": self.packets(),
            "created": self.entry.as_ref().map(|e| e.created.as_str()),
            "config_hash": self.entry.as_ref().map(|e| e.config_hash.as_str()),
            "host": self.entry.as_ref().map(host),
        })
    }
}
