//! The events thread: follows the journal on disk as any reader does, and writes the event tape beside it.
//!
//! Bytes before analysis: it reads what is committed and has no way to stop a worker. Whatever fails here ends the event
//! tape, loudly and counted, and never the capture: `tape decode --rebuild` makes the events later, the same to the last byte. When the
//! capture ends it goes on until it has read everything; a second request to stop leaves the event tape where it is.

use super::{Command, Hooks};
use crate::clock::{Clock, SystemClock};
use crate::events::follow::Follower;
use crate::events::output::SCHEMAS;
use crate::events::report::RoomReport;
use crate::events::tape::{self, Capture, Cutter, Files, ROLL_BYTES, SIDE, STREAMS, State};
use crate::feed::FeedConfig;
use crate::journal::reader::{Step, follow_capture};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// As `top -H` and `ps -L` show it: fifteen bytes, the longest that the kernel keeps.
pub const THREAD_NAME: &str = "wiretape-events";

/// How often a journal without news is looked at.
const POLL: Duration = Duration::from_millis(2);
/// Records between two looks at the clock.
const RECORDS_PER_LOOK: u32 = 1024;
/// What was made stands in the files after so long, however busy the feeds are.
const FLUSH_NS: u64 = 100_000_000;
/// How often the wait at the end says how far it is.
const PROGRESS_NS: u64 = 2_000_000_000;

/// What the thread works on.
#[derive(Debug)]
pub struct Parts {
    /// The journal's directory.
    pub journal: PathBuf,
    /// The capture's id.
    pub capture_id: [u8; 16],
    /// Index of each queue's first segment.
    pub first_segments: Vec<u32>,
    /// The feeds, as the journal records them.
    pub feeds: Vec<FeedConfig>,
    /// How often what was written is made durable.
    pub sync_interval: Duration,
    /// The stamps are of now, so that being behind means something (not for files).
    pub live: bool,
}

/// What the thread and the control thread tell each other.
#[derive(Debug, Default)]
pub struct Shared {
    /// Nobody writes the journal any more.
    journal_done: AtomicBool,
    /// Leave the event tape where it is.
    abandon: AtomicBool,
    /// Packets that events were made of.
    packets: AtomicU64,
}

impl Shared {
    /// The journal is complete, with `on_tape` packets: waits for the thread, says how far it is, and passes on that somebody
    /// does not want to wait.
    pub(super) fn wait(&self, hooks: &mut dyn Hooks, is_done: &dyn Fn() -> bool, on_tape: u64) {
        self.journal_done.store(true, Release);
        let mut next_word_ns = SystemClock.monotonic_ns() + PROGRESS_NS;
        while !is_done() {
            if hooks.command() == Some(Command::Stop) {
                self.abandon.store(true, Relaxed);
            }
            let now_ns = SystemClock.monotonic_ns();
            if now_ns >= next_word_ns {
                next_word_ns = now_ns + PROGRESS_NS;
                let left = on_tape.saturating_sub(self.packets.load(Relaxed));
                hooks.log(&format!(
                    "the journal is complete; events are still to be made of {left} packets (stop again to leave that to \
                     `tape decode --rebuild`)"
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The event tape, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventsPart {
    /// Where it is.
    pub dir: String,
    /// `sealed`, or `stopped`.
    pub state: &'static str,
    /// Why it is not sealed; empty if it is.
    pub reason: String,
    /// Packets that events were made of.
    pub packets: u64,
    /// Packets that retention deleted before events could be made of them.
    pub missed_packets: u64,
    /// Longest time from a packet's stamp to its events, ns; nothing for files.
    pub longest_lag_ns: Option<u64>,
    /// By feed.
    pub feeds: Vec<EventsFeed>,
    /// What the room found: lines, gaps, races, rules.
    pub room: RoomReport,
}

/// One feed's events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventsFeed {
    /// Its name.
    pub name: String,
    /// Records by schema.
    pub records: BTreeMap<&'static str, u64>,
    /// Rows of the side table.
    pub side_rows: u64,
}

impl EventsPart {
    /// What an operator should know of it.
    pub(super) fn warning(&self) -> Option<String> {
        if self.state != State::Sealed.name() {
            return Some(format!(
                "the event tape was stopped after {} packets: {}; the journal went on: `tape decode --rebuild` makes it whole",
                self.packets, self.reason
            ));
        }
        (self.missed_packets > 0).then(|| {
            format!(
                "{} packets were deleted by retention before events could be made of them: keep more, or make segments smaller",
                self.missed_packets
            )
        })
    }
}

/// Ends the event tapes that earlier captures left open. What there is to say of it.
pub(super) fn recover(journal: &Path) -> Vec<String> {
    match tape::recover(journal) {
        Ok((cuts, remarks)) => {
            let cut = |cut: &tape::Cut| {
                let torn = match cut.torn_bytes {
                    0 => String::new(),
                    bytes => format!(", {bytes} bytes of a torn one cut off"),
                };
                format!("an earlier capture left events/{} open: {} records{torn}", cut.name, cut.records)
            };
            cuts.iter().map(cut).chain(remarks).collect()
        }
        Err(error) => vec![format!("{}: {error}", journal.join(tape::EVENTS_DIR).display())],
    }
}

/// The thread: until the capture's end, or until its own.
pub(super) fn run(parts: &Parts, shared: &Shared) -> EventsPart {
    let capture = Capture::new(parts.capture_id, &parts.feeds);
    let dir = capture.path(&parts.journal);
    let mut part = EventsPart { dir: dir.display().to_string(), ..EventsPart::default() };
    let done = write(parts, shared, &dir, capture.clone(), &mut part);
    part.state = State::Sealed.name();
    if let Err(error) = done {
        part.state = State::Stopped.name();
        part.reason = error.to_string();
        // Should even that fail (a full disk), the next start ends it.
        if let Err(error) = tape::cut_capture(&dir, capture, State::Stopped, &part.reason) {
            part.reason = format!("{}; and it could not be ended: {error}", part.reason);
        }
    }
    part
}

fn write(
    parts: &Parts,
    shared: &Shared,
    dir: &Path,
    capture: Capture,
    part: &mut EventsPart,
) -> io::Result<()> {
    let merged = follow_capture(&parts.journal, &parts.first_segments).map_err(io::Error::other)?;
    let mut follower = Follower::new(merged, &parts.feeds);
    let mut cutter = Cutter::new(parts.feeds.len(), ROLL_BYTES, Files::create(dir, capture)?);
    let result = follow(parts, shared, &mut follower, &mut cutter, part);
    part.packets = follower.packets();
    part.missed_packets = follower.missed();
    part.feeds =
        parts.feeds.iter().zip(cutter.records()).map(|(feed, n)| events_feed(&feed.name, n)).collect();
    part.room = follower.room().report();
    result?;
    cutter.into_store().finish(part.missed_packets)
}

fn events_feed(name: &str, records: [u64; STREAMS]) -> EventsFeed {
    let counted = SCHEMAS.iter().zip(records).filter(|(_, n)| *n > 0);
    EventsFeed {
        name: name.to_owned(),
        records: counted.map(|(schema, n)| (schema.as_str(), n)).collect(),
        side_rows: records.get(SIDE).copied().unwrap_or(0),
    }
}

/// When files are flushed and synced next, by the monotonic clock, ns.
struct Due {
    flush_at: u64,
    sync_at: u64,
    interval_ns: u64,
}

impl Due {
    fn look(&mut self, files: &mut Files) -> io::Result<()> {
        let now_ns = SystemClock.monotonic_ns();
        if now_ns >= self.sync_at {
            self.sync_at = now_ns.saturating_add(self.interval_ns);
            files.sync()?;
        }
        if now_ns >= self.flush_at {
            self.flush_at = now_ns + FLUSH_NS;
            files.flush()?;
        }
        Ok(())
    }
}

fn follow(
    parts: &Parts,
    shared: &Shared,
    follower: &mut Follower,
    cutter: &mut Cutter<Files>,
    part: &mut EventsPart,
) -> io::Result<()> {
    let interval_ns = u64::try_from(parts.sync_interval.as_nanos()).unwrap_or(u64::MAX);
    let mut due = Due { flush_at: 0, sync_at: 0, interval_ns };
    let mut records = 0;
    loop {
        // Read before the step: what it finds quiet then is quiet for good.
        let is_complete = shared.journal_done.load(Acquire);
        match follower.step(0).map_err(io::Error::other)? {
            Step::Record => {
                let span = follower.span();
                cutter.take(follower.room(), span)?;
                records += 1;
                if records % RECORDS_PER_LOOK == 1 {
                    part.longest_lag_ns = part.longest_lag_ns.max(lag_ns(parts, span.last_ns));
                    shared.packets.store(follower.packets(), Relaxed);
                    due.look(cutter.store())?;
                    asked_to_leave(shared)?;
                }
            }
            Step::Wait => {
                records = 0;
                cutter.store().flush()?;
                due.look(cutter.store())?;
                asked_to_leave(shared)?;
                if is_complete {
                    follower.stop_following();
                } else {
                    std::thread::sleep(POLL);
                }
            }
            Step::End => {
                let span = follower.span();
                return cutter.finish(follower.room(), span);
            }
        }
    }
}

fn lag_ns(parts: &Parts, last_ns: u64) -> Option<u64> {
    (parts.live && last_ns > 0).then(|| SystemClock.now_ns().saturating_sub(last_ns))
}

fn asked_to_leave(shared: &Shared) -> io::Result<()> {
    if shared.abandon.load(Relaxed) {
        return Err(io::Error::other("it was asked to stop before it had read everything"));
    }
    Ok(())
}
