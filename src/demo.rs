//! `wiretape demo`: a private network, a feed with known faults, a capture, and the comparison.
//!
//! Joins the laboratory to a capture that the caller brings as functions ([`Parts`]); knows nothing of how
//! it works. Needs no NIC and no configuration. Must be called before the process starts a thread, unless it
//! runs as root (see [`crate::sys::netns`]). Says what it does in a few lines as it goes; whatever
//! fails is named with the mend. Leaves nothing behind but the journal.

use crate::clock::{Clock, SystemClock};
use crate::events::report::RoomReport;
use crate::lab::answers::Answers;
use crate::lab::fault::Fault;
use crate::lab::r#gen::{GenError, send_feed};
use crate::lab::generate::FeedGenerator;
use crate::lab::net::{Lab, LabError};
use crate::lab::plan::{FeedPlan, LinePlan, PlanError, PlannedFault};
use crate::lab::rhythm::Rhythm;
use crate::lab::send::{Pace, SendOptions, Sent};
use crate::sys::rtnetlink::LinkError;
use crate::validate::{FeedConfig, FeedReport};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// How long to capture; the feed takes nine tenths of it.
    pub duration: Duration,
    /// Packets a second; 0 counts as 1.
    pub pps: u64,
    /// Where the journal goes.
    pub journal: PathBuf,
}

/// What to capture.
#[derive(Clone, Copy)]
pub struct DemoSetup<'a> {
    /// The interface.
    pub interface: &'static str,
    /// The feed on it.
    pub feed: &'a FeedConfig,
    /// Where the journal goes.
    pub journal: &'a Path,
    /// For how long.
    pub duration: Duration,
    /// To be called once packets are captured: the feed starts then.
    pub on_ready: &'a dyn Fn(),
}

impl std::fmt::Debug for DemoSetup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DemoSetup").field("interface", &self.interface).finish_non_exhaustive()
    }
}

/// What the capture found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Packets seen.
    pub packets: u64,
    /// Packets lost on this host, wherever.
    pub lost: u64,
    /// Packets by the name of their verdict; `accepted` may be among them.
    pub verdicts: BTreeMap<String, u64>,
    /// What became of each line of the feed.
    pub feeds: Vec<FeedReport>,
    /// What became of both lines taken together; nothing if no events were made.
    pub room: Option<RoomReport>,
    /// The report for people.
    pub text: String,
}

/// What the demo shows and does not do itself. Each answers in a line or more for people.
#[derive(Debug)]
pub struct Parts<C, V, R> {
    /// Captures.
    pub capture: C,
    /// Verifies the journal in this directory.
    pub verify: V,
    /// Plays the journal in this directory back onto this interface, at its own speed or faster.
    pub replay: R,
}

/// How the demo ended, if it ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exactly what was put in was found.
    Exact,
    /// Something else was found, and said.
    Differs,
    /// The capture ended before the feed did: nothing was compared.
    Interrupted,
}

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No private network.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The feed could not be made.
    #[error("the demo is too short for its faults ({0}); let it run longer or send faster")]
    Plan(#[from] PlanError),
    /// The feed could not be sent.
    #[error(transparent)]
    Send(#[from] GenError),
    /// The interfaces are gone.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A step that the caller brought failed.
    #[error("{step}: {error}")]
    Step {
        /// Which.
        step: &'static str,
        /// What it said.
        error: String,
    },
    /// The words could not be written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

fn step<E: Display>(step: &'static str) -> impl FnOnce(E) -> DemoError {
    move |error| DemoError::Step { step, error: error.to_string() }
}

/// Runs the demo and writes what happens to `out`.
///
/// # Errors
/// [`DemoError`], naming the step that failed and the mend.
pub fn run<C, V, R, E>(
    options: &DemoOptions,
    parts: Parts<C, V, R>,
    out: &mut dyn Write,
) -> Result<Outcome, DemoError>
where
    C: FnOnce(DemoSetup<'_>) -> Result<Found, E>,
    V: FnOnce(&Path) -> Result<String, E>,
    R: FnOnce(&Path, &'static str) -> Result<String, E>,
    E: Display,
{
    let plan = plan(options).starting_at(SystemClock.now_ns());
    let feed = plan.feed_config("demo");
    let generator = FeedGenerator::new(plan)?;
    let mut lab = Lab::enter()?;
    introduce(out, &lab, &feed, options)?;

    let (found, fed) = capture_while_sending(options, &feed, generator, parts.capture)?;
    writeln!(out, "{}\n", found.text.trim_end())?;
    if !fed.complete {
        writeln!(out, "Ended before the feed did: nothing to compare.")?;
        return Ok(Outcome::Interrupted);
    }
    let lost = found.lost + lab.lost_between(fed.answers.packets)?;
    let exact = compare(out, &fed.answers, &found, lost)?;

    let verified = (parts.verify)(&options.journal).map_err(step("verifying the journal"))?;
    writeln!(out, "\nThe journal, verified:\n{}", indented(&verified))?;
    let replayed = (parts.replay)(&options.journal, Lab::SENDER).map_err(step("playing it back"))?;
    writeln!(out, "\nAnd played back:\n{}", indented(&replayed))?;
    say_what_next(out, &options.journal)?;
    Ok(if exact { Outcome::Exact } else { Outcome::Differs })
}

/// A loss on line A alone, a gap on both lines, a corrupt message, another gap: each a fifth further.
fn plan(options: &DemoOptions) -> FeedPlan {
    let millis = u64::try_from(options.duration.as_millis()).unwrap_or(u64::MAX);
    let data_packets = options.pps.saturating_mul(millis / 10).saturating_mul(9) / 2000;
    let fifth = data_packets / 5;
    let lines =
        vec![LinePlan::usual(0), LinePlan { delay_ns: 60_000, jitter_ns: 80_000, ..LinePlan::usual(1) }];
    FeedPlan {
        data_packets,
        rhythm: Rhythm::even(options.pps / lines.len() as u64),
        heartbeat_every: 1000,
        faults: vec![
            PlannedFault { line: Some(0), ..PlannedFault::new(fifth, Fault::Gap(5)) },
            PlannedFault::new(fifth * 2, Fault::Gap(3)),
            PlannedFault::new(fifth * 3, Fault::Short),
            PlannedFault::new(fifth * 4, Fault::Gap(17)),
        ],
        lines,
        ..FeedPlan::default()
    }
}

fn introduce(out: &mut dyn Write, lab: &Lab, feed: &FeedConfig, options: &DemoOptions) -> io::Result<()> {
    let how = if lab.entered().by_user_namespace { ", as root of a user namespace" } else { "" };
    writeln!(
        out,
        "A private network{how}: what is sent into {} comes out of {}. It vanishes with this program.\n\
         Sending a market-data feed (MoldUDP64, ITCH 5.0) on two lines, to {}:{} and {}:{}, at {} packets/s: one loss on \
         line A\nthat line B heals, two gaps on both lines, one corrupt message; capturing {} for {} into {} …\n",
        Lab::SENDER,
        Lab::RECEIVER,
        feed.lines[0].group,
        feed.lines[0].port,
        feed.lines[1].group,
        feed.lines[1].port,
        options.pps,
        Lab::RECEIVER,
        humantime::format_duration(options.duration),
        options.journal.display(),
    )
}

/// What was sent.
struct Fed {
    answers: Answers,
    /// All of it.
    complete: bool,
}

/// The sender waits in a thread of its own until the capture is ready, and is stopped when it has ended.
fn capture_while_sending<C, E>(
    options: &DemoOptions,
    feed: &FeedConfig,
    generator: FeedGenerator,
    capture: C,
) -> Result<(Found, Fed), DemoError>
where
    C: FnOnce(DemoSetup<'_>) -> Result<Found, E>,
    E: Display,
{
    let stop = AtomicBool::new(false);
    let (ready, go) = mpsc::channel();
    std::thread::scope(|scope| {
        let stop = &stop;
        let sender = scope.spawn(move || feed_out(generator, &go, stop));
        let on_ready = || {
            // Nobody listens only if the sender has failed, and then it is joined below.
            let _ = ready.send(());
        };
        let found = capture(DemoSetup {
            interface: Lab::RECEIVER,
            feed,
            journal: &options.journal,
            duration: options.duration,
            on_ready: &on_ready,
        });
        stop.store(true, Ordering::Relaxed);
        drop(ready);
        let fed = sender.join().map_err(|_| step("sending the feed")("its thread panicked"))?;
        let found = found.map_err(step("capturing"))?;
        Ok((found, fed?))
    })
}

fn feed_out(
    mut generator: FeedGenerator,
    go: &mpsc::Receiver<()>,
    stop: &AtomicBool,
) -> Result<Fed, GenError> {
    let mut complete = false;
    // An error means that the capture ended without ever being ready.
    if go.recv().is_ok() {
        let options = SendOptions {
            interface: Lab::SENDER.to_owned(),
            pace: Pace::Planned,
            max_frames: None,
            max_duration: None,
            qdisc_bypass: false,
        };
        let sent: Sent = send_feed(&options, &mut generator, stop)?;
        complete = sent.unsent == 0 && generator.is_done();
    }
    Ok(Fed { answers: generator.answers().clone(), complete })
}

/// Writes the table of what was put in and what was found; answers whether they agree.
fn compare(out: &mut dyn Write, answers: &Answers, found: &Found, lost: u64) -> io::Result<bool> {
    let sum = |of: fn(&FeedReport) -> u64| found.feeds.iter().map(of).sum::<u64>();
    let mut rows = vec![
        ("packets", answers.packets, found.packets),
        ("messages on both lines", answers.sum(|line| line.messages), sum(|feed| feed.messages)),
        ("gaps in lines", answers.sum(|line| line.gaps), sum(|feed| feed.gaps)),
        (
            "messages missing in them",
            answers.sum(|line| line.missing_messages),
            sum(|feed| feed.missing_messages),
        ),
        ("duplicate messages", answers.sum(|line| line.duplicates), sum(|feed| feed.duplicates)),
    ];
    let verdicts = found.verdicts.iter().filter(|(name, _)| *name != "accepted");
    let mut rejected: BTreeMap<&str, (u64, u64)> =
        verdicts.map(|(name, &count)| (name.as_str(), (0, count))).collect();
    for (name, &count) in answers.lines.iter().flat_map(|line| &line.rejected) {
        rejected.entry(name).or_default().0 += count;
    }
    rows.extend(rejected.iter().map(|(name, &(put_in, found))| (*name, put_in, found)));
    let mut rules: BTreeMap<&str, (u64, u64)> =
        answers.rules.iter().map(|(rule, &count)| (*rule, (count, 0))).collect();
    if let Some(room) = &found.room {
        for broken in room.feeds.iter().flat_map(|feed| &feed.rules) {
            rules.entry(&broken.rule).or_default().1 += broken.count;
        }
        rows.extend(rules.iter().map(|(rule, &(put_in, found))| (*rule, put_in, found)));
    }

    writeln!(out, "{:<26}{:>10}{:>10}", "", "put in", "found")?;
    for &(what, put_in, found) in &rows {
        let mark = if put_in == found { "" } else { "   differs" };
        writeln!(out, "{what:<26}{put_in:>10}{found:>10}{mark}")?;
    }
    let exact = rows.iter().all(|&(_, put_in, found)| put_in == found);
    match (exact, lost) {
        (true, _) => writeln!(out, "Found: exactly what was put in.")?,
        (false, 0) => writeln!(out, "Found: not what was put in, and nothing was lost. Please report this.")?,
        (false, _) => writeln!(
            out,
            "{lost} packets were lost on this host, and counted, so the rest cannot agree. Is it very busy? Try --rate 2000."
        )?,
    }
    Ok(exact)
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

fn say_what_next(out: &mut dyn Write, journal: &Path) -> io::Result<()> {
    let journal = journal.display();
    writeln!(
        out,
        "\nThe journal stays in {journal}. Next, with both programs from `cargo build --release`:\n\
         \x20 tape info {journal}                          what is on it\n\
         \x20 tape read {journal} -c 5                     a line a packet\n\
         \x20 wireshark {journal}/q00-000000.pcapng        a segment is a pcapng file\n\
         \x20 sudo wiretape capture -i eth0 -w tape udp    a network of yours"
    )
}
