//! `tape decode`, its second half: makes the events of each capture again and compares them with its event tape.
//!
//! The same room reads the same journal in the same order, so what was written live is the same to its last byte, and what a crash
//! left is a prefix. May touch: the journal's `events` directory, and only to put a missing or cut event tape there
//! (`--rebuild`); a directory that was asked for (`--events`).

use super::outcome::{Outcome, TapeError};
use crate::events::follow::Follower;
use crate::events::tape::{
    self, Capture, Compare, Compared, Cutter, Difference, EVENTS_DIR, Files, ROLL_BYTES, State, Store,
    record_json,
};
use crate::feed::FeedConfig;
use crate::journal::manifest::hex;
use crate::journal::options::JUDGE_KEY;
use crate::journal::reader::{CaptureOnTape, Record, Step, Tape, TapePacket};
use crate::validate::JudgeConfig;
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Differences of one file that are listed with `--diff`.
const LISTED: usize = 10;

/// What to do with events.
#[derive(Clone, Debug, Default)]
pub struct EventsOptions {
    /// In place of the feeds that the journal recorded.
    pub feeds: Option<Vec<FeedConfig>>,
    /// List the first differing records of each file, not the first one.
    pub all: bool,
    /// JSON in place of text.
    pub json: bool,
    /// Write the events to this directory: one directory a capture.
    pub to: Option<PathBuf>,
    /// Put event tapes that are missing or not complete into the journal.
    pub rebuild: bool,
}

/// What one capture's event tape is.
#[derive(Debug, Serialize)]
struct Said {
    capture: String,
    /// `same`, `prefix`, `different`, `missing`, `rebuilt`, `written`, `being-written`, `unknowable`.
    events: &'static str,
    /// State on tape, if there is an event tape.
    state: Option<&'static str>,
    files: u64,
    records: u64,
    lacking: u64,
    differences: u64,
}

/// Makes the events of every capture on `tape` that has feeds. `each` sees every packet pass.
///
/// # Errors
/// [`TapeError`] of the tape, the event tape or the output; [`TapeError::Refused`] if a recorded configuration cannot be read.
pub fn run(
    tape: &Tape,
    options: &EventsOptions,
    out: &mut dyn Write,
    remarks: &mut dyn Write,
    each: &mut dyn FnMut(&TapePacket<'_>),
) -> Result<Outcome, TapeError> {
    let mut outcome = Outcome::Good;
    if !tape.is_directory() {
        return Ok(outcome);
    }
    for capture in tape.captures()? {
        let feeds = match &options.feeds {
            Some(feeds) => feeds.clone(),
            None => recorded_feeds(tape, &capture)?,
        };
        if feeds.is_empty() {
            continue;
        }
        let mut work =
            Work { journal: tape.path(), capture: &capture, feeds: &feeds, options, remarks, each };
        let (said, listed) = work.run()?;
        if said.events == "different" {
            outcome = Outcome::Bad;
        }
        put(out, options.json, &said, &listed)?;
    }
    Ok(outcome)
}

fn recorded_feeds(tape: &Tape, capture: &CaptureOnTape) -> Result<Vec<FeedConfig>, TapeError> {
    let id = hex(&capture.id);
    let description = tape.description().ok().flatten();
    let entry = description.iter().flat_map(|d| &d.captures).find(|entry| entry.id == id);
    let Some(text) = entry.and_then(|entry| entry.host.0.get(JUDGE_KEY)) else { return Ok(Vec::new()) };
    let config: JudgeConfig = toml::from_str(text).map_err(|error| {
        TapeError::Refused(format!(
            "journal.toml: capture {id}: its feeds cannot be read: {}; give --config FILE",
            error.message()
        ))
    })?;
    Ok(config.feeds)
}

/// One capture.
struct Work<'w> {
    journal: &'w Path,
    capture: &'w CaptureOnTape,
    feeds: &'w [FeedConfig],
    options: &'w EventsOptions,
    remarks: &'w mut dyn Write,
    each: &'w mut dyn FnMut(&TapePacket<'_>),
}

impl Work<'_> {
    fn run(&mut self) -> Result<(Said, Vec<Difference>), TapeError> {
        let ours = Capture::new(self.capture.id, self.feeds);
        let dir = ours.path(self.journal);
        let on_tape = Capture::read(&dir).map_err(cannot_read(&dir))?;
        if let Some(to) = &self.options.to {
            // Cut as the one on tape is, so that files can be compared one by one.
            let roll_bytes = on_tape.as_ref().map_or(ROLL_BYTES, |found| found.roll_bytes);
            let records = self.write(&to.join(&ours.capture), Capture { roll_bytes, ..ours.clone() })?;
            let said = Said { records, ..self.said("written", on_tape.as_ref()) };
            return Ok((said, Vec::new()));
        }
        let is_known = self.capture.has_beginning && on_tape.as_ref().is_none_or(|t| t.missed_packets == 0);
        let Some(found) = on_tape else {
            if !self.options.rebuild {
                return Ok((self.said("missing", None), Vec::new()));
            }
            let records = self.rebuild(&dir, ours)?;
            return Ok((Said { records, ..self.said("rebuilt", None) }, Vec::new()));
        };
        if tape::is_being_written(&dir).map_err(cannot_read(&dir))? {
            return Ok((self.said("being-written", Some(&found)), Vec::new()));
        }
        self.remark_versions(&found, &ours)?;
        if !is_known {
            return Ok((self.said("unknowable", Some(&found)), Vec::new()));
        }
        let compared = self.compare(&dir, Capture { feeds: ours.feeds.clone(), ..found.clone() })?;
        let events = match (compared.differences, found.state) {
            (0, State::Sealed) => "same",
            (0, _) if self.options.rebuild => {
                self.rebuild(&dir, Capture { roll_bytes: found.roll_bytes, ..ours })?;
                "rebuilt"
            }
            (0, _) => "prefix",
            (_, _) => "different",
        };
        let said = Said {
            files: compared.files,
            records: compared.records,
            lacking: compared.lacking,
            differences: compared.differences,
            ..self.said(events, Some(&found))
        };
        Ok((said, compared.listed))
    }

    fn said(&self, events: &'static str, on_tape: Option<&Capture>) -> Said {
        Said {
            capture: hex(&self.capture.id),
            events,
            state: on_tape.map(|capture| capture.state.name()),
            files: 0,
            records: 0,
            lacking: 0,
            differences: 0,
        }
    }

    fn remark_versions(&mut self, found: &Capture, ours: &Capture) -> Result<(), TapeError> {
        for feed in &ours.feeds {
            let Some(then) = found.feeds.iter().find(|then| then.name == feed.name) else { continue };
            if (then.protocol, then.decoder_version) != (feed.protocol, feed.decoder_version) {
                writeln!(
                    self.remarks,
                    "feed {}: on tape by decoder {} version {}, this is {} version {}: events may differ",
                    feed.name,
                    then.protocol.name(),
                    then.decoder_version,
                    feed.protocol.name(),
                    feed.decoder_version
                )
                .map_err(TapeError::io("cannot write remarks"))?;
            }
        }
        Ok(())
    }

    fn compare(&mut self, dir: &Path, capture: Capture) -> Result<Compared, TapeError> {
        let most = if self.options.all { LISTED } else { 1 };
        let roll_bytes = capture.roll_bytes;
        let compare = Compare::open(dir, capture, most).map_err(cannot_read(dir))?;
        let cutter = self.make(roll_bytes, compare, cannot_read(dir))?;
        cutter.into_store().finish().map_err(cannot_read(dir))
    }

    /// Writes the event tape to `dir`; how many records it has.
    fn write(&mut self, dir: &Path, capture: Capture) -> Result<u64, TapeError> {
        let roll_bytes = capture.roll_bytes;
        let files = Files::create(dir, capture).map_err(cannot_write(dir))?;
        let cutter = self.make(roll_bytes, files, cannot_write(dir))?;
        let records = cutter.records().flatten().sum();
        cutter.into_store().finish(0).map_err(cannot_write(dir))?;
        Ok(records)
    }

    /// Makes it beside, and puts it in the other's place once it is whole.
    fn rebuild(&mut self, dir: &Path, capture: Capture) -> Result<u64, TapeError> {
        let beside = |ending: &str| dir.with_extension(ending);
        let (new, old) = (beside("new"), beside("old"));
        // What an earlier rebuilding that was killed has left.
        for left in [&new, &old] {
            remove(left).map_err(cannot_write(left))?;
        }
        let records = self.write(&new, capture)?;
        let swapped = || {
            if dir.try_exists()? {
                std::fs::rename(dir, &old)?;
            }
            std::fs::rename(&new, dir)?;
            crate::sys::fs::sync_dir(&self.journal.join(EVENTS_DIR))?;
            remove(&old)
        };
        swapped().map_err(cannot_write(dir))?;
        Ok(records)
    }

    fn make<S: Store>(
        &mut self,
        roll_bytes: u64,
        store: S,
        failed: impl Fn(io::Error) -> TapeError,
    ) -> Result<Cutter<S>, TapeError> {
        let mut follower = Follower::new(self.capture.merged(), self.feeds);
        let mut cutter = Cutter::new(self.feeds.len(), roll_bytes, store);
        while follower.step(0)? == Step::Record {
            if let Some(Record::Packet(packet)) = follower.record() {
                (self.each)(&packet);
            }
            let span = follower.span();
            cutter.take(follower.room(), span).map_err(&failed)?;
        }
        let span = follower.span();
        cutter.finish(follower.room(), span).map_err(&failed)?;
        Ok(cutter)
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn cannot_read(dir: &Path) -> impl Fn(io::Error) -> TapeError {
    let what = format!("the event tape in {}", dir.display());
    move |error| TapeError::Io { what: what.clone(), error }
}

fn cannot_write(dir: &Path) -> impl Fn(io::Error) -> TapeError {
    let what = format!("cannot write the event tape in {}", dir.display());
    move |error| TapeError::Io { what: what.clone(), error }
}

fn put(out: &mut dyn Write, json: bool, said: &Said, listed: &[Difference]) -> Result<(), TapeError> {
    let mut text = String::new();
    for difference in listed {
        text += &difference_line(difference, json);
    }
    let last =
        if json { format!("{}\n", serde_json::json!({ "event_tape": said })) } else { said_line(said) };
    text += &last;
    out.write_all(text.as_bytes()).map_err(TapeError::io("cannot write the output"))
}

fn difference_line(difference: &Difference, json: bool) -> String {
    let Difference { file, record, what, on_tape, now } = difference;
    let Some(record) = record else {
        return if json {
            format!("{}\n", serde_json::json!({ "event_difference": { "file": file, "what": what } }))
        } else {
            format!("{file}: {what}\n")
        };
    };
    let side = tape::is_side(file);
    let shown = |bytes: &[u8]| {
        if side { String::from_utf8_lossy(bytes).trim_end().to_owned() } else { record_json(bytes) }
    };
    let (on_tape, now) = (shown(on_tape), shown(now));
    if json {
        let file = serde_json::Value::from(file.as_str());
        let value = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::from(text));
        let (on_tape, now) = (value(&on_tape), value(&now));
        let line = serde_json::json!({
            "event_difference": { "file": file, "record": record, "on_tape": on_tape, "now": now }
        });
        return format!("{line}\n");
    }
    format!("{file} record {record}:\n  on tape {on_tape}\n  now     {now}\n")
}

fn said_line(said: &Said) -> String {
    let Said { capture, events, state, files, records, lacking, differences } = said;
    let state = state.unwrap_or("none");
    let words = match *events {
        "same" => format!("{records} events in {files} files, the same to the last byte"),
        "prefix" => format!(
            "{state}: what is there is the same; {lacking} of {records} events are not (--rebuild makes it whole)"
        ),
        "rebuilt" => format!("rebuilt: {records} events"),
        "written" => format!("written: {records} events"),
        "missing" => "none (--rebuild makes it)".to_owned(),
        "being-written" => "it is being written: compare it later".to_owned(),
        "unknowable" => {
            "the beginning of the capture is not on tape any more: nothing to compare with".to_owned()
        }
        _ => format!("{differences} differences in {records} events"),
    };
    format!("event tape of capture {capture}: {words}\n")
}
