//! `wiretape gen`: generated frames onto an interface or into a file, with the answers beside them.

use super::answers::Answers;
use super::capture_file::CaptureFile;
use super::fault::Fault;
use super::generate::FeedGenerator;
use super::plain::{PlainPlan, Shape};
use super::plan::{FeedPlan, PlanError};
use super::send::{Pace, SendError, SendOptions, Sent, send, send_timed};
use crate::time::NS_PER_SEC;
use serde::Serialize;
use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Stamp of the first frame in a file: 2026-01-05 14:30 UTC, an opening in New York.
const FIRST_STAMP_NS: u64 = 1_767_623_400 * NS_PER_SEC;
/// Spacing of frames in a file that is asked for as a flood, ns.
const FLOOD_SPACING_NS: u64 = 1_000;

/// Which frames.
#[derive(Clone, Debug)]
pub enum Content {
    /// A market-data feed.
    Feed(FeedPlan),
    /// Frames that prove themselves.
    Plain {
        /// Seed of their content.
        seed: u64,
        /// How many.
        frames: u64,
        /// Their shapes, in turn; none = all that there are.
        shapes: Vec<Shape>,
    },
}

/// Where to.
#[derive(Clone, Debug)]
pub enum Output {
    /// An interface; how fast is in the options, which name it.
    Interface(SendOptions),
    /// A file with nanosecond stamps: pcap if its name ends in `.pcap`, else pcapng with an interface a line.
    File {
        /// The file; replaced if it exists.
        path: PathBuf,
        /// Spacing of the stamps of frames that have no times of their own; a flood is one a microsecond. A feed's frames
        /// have the times of its plan.
        pace: Pace,
    },
}

/// What `wiretape gen` does.
#[derive(Clone, Debug)]
pub struct GenOptions {
    /// Which frames.
    pub content: Content,
    /// Where to.
    pub output: Output,
    /// Write the report to this file as JSON.
    pub answers: Option<PathBuf>,
}

/// What was made and sent.
#[derive(Clone, Debug, Serialize)]
pub struct GenReport {
    /// What was sent or written.
    pub sent: Sent,
    /// What a judge must find; only of a feed. Right only if nothing is `unsent`.
    pub answers: Option<Answers>,
}

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
pub enum GenError {
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Sending failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Stamps are the receiver's.
    #[error("{0} changes stamps: it needs a file, not an interface")]
    NotLive(&'static str),
    /// A file could not be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// Makes the frames and sends or writes them, until they end or `stop` is set.
///
/// # Errors
/// [`GenError`].
pub fn run(options: &GenOptions, stop: &AtomicBool) -> Result<GenReport, GenError> {
    let report = match &options.content {
        Content::Feed(plan) => {
            let mut feed = FeedGenerator::new(plan.clone())?;
            let sent = match &options.output {
                Output::Interface(options) => send_feed(options, &mut feed, stop)?,
                Output::File { path, .. } => write(path, |file| write_feed(file, &mut feed))?,
            };
            GenReport { sent, answers: Some(feed.answers().clone()) }
        }
        Content::Plain { seed, frames, shapes } => {
            let plan = PlainPlan::new(*seed, shapes);
            let mut ids = 0..*frames;
            let make = |out: &mut Vec<u8>| ids.next().map(|id| plan.append(id, out)).is_some();
            let sent = match &options.output {
                Output::Interface(options) => send(options, make, stop)?,
                Output::File { path, pace } => write(path, |file| write_plain(file, *pace, make))?,
            };
            GenReport { sent, answers: None }
        }
    };
    if let Some(path) = &options.answers {
        write_json(path, &report).map_err(|error| GenError::Write { path: path.clone(), error })?;
    }
    Ok(report)
}

/// Sends a feed: its plan's first packet leaves at once, the others as much later as they are planned.
///
/// # Errors
/// [`GenError`].
pub fn send_feed(
    options: &SendOptions,
    feed: &mut FeedGenerator,
    stop: &AtomicBool,
) -> Result<Sent, GenError> {
    if let Some(planned) = feed.plan().faults.iter().find(|planned| planned.fault == Fault::StampBack) {
        return Err(GenError::NotLive(planned.fault.name()));
    }
    let start_ns = feed.plan().start_ns;
    let make = |out: &mut Vec<u8>| feed.next_frame(out).map(|made| made.at_ns.saturating_sub(start_ns));
    Ok(send_timed(options, make, stop)?)
}

type File = CaptureFile<BufWriter<fs::File>>;

fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<Sent>) -> Result<Sent, GenError> {
    let pcap = path.extension().is_some_and(|extension| extension == "pcap");
    let filled = || {
        let mut file = CaptureFile::new(BufWriter::new(fs::File::create(path)?), pcap)?;
        let sent = fill(&mut file)?;
        file.finish()?;
        Ok(sent)
    };
    filled().map_err(|error| GenError::Write { path: path.to_owned(), error })
}

fn write_feed(file: &mut File, feed: &mut FeedGenerator) -> io::Result<Sent> {
    for line in &feed.plan().lines {
        file.interface(&line.name)?;
    }
    let start_ns = feed.plan().start_ns;
    let mut sent = Sent::default();
    let mut frame = Vec::new();
    while let Some(made) = feed.next_frame(&mut frame) {
        file.write(made.line, made.stamp_ns, &frame)?;
        sent.elapsed_ns = made.at_ns.saturating_sub(start_ns);
        sent.frames += 1;
        sent.bytes += frame.len() as u64;
        frame.clear();
    }
    Ok(sent)
}

fn write_plain(file: &mut File, pace: Pace, mut make: impl FnMut(&mut Vec<u8>) -> bool) -> io::Result<Sent> {
    let spacing_ns = match pace {
        Pace::Flood | Pace::Planned => FLOOD_SPACING_NS,
        Pace::PerSecond(pps) => NS_PER_SEC / pps.max(1),
    };
    file.interface("")?;
    let mut sent = Sent::default();
    let mut frame = Vec::new();
    while make(&mut frame) {
        sent.elapsed_ns = sent.frames * spacing_ns;
        file.write(0, FIRST_STAMP_NS + sent.elapsed_ns, &frame)?;
        sent.frames += 1;
        sent.bytes += frame.len() as u64;
        frame.clear();
    }
    Ok(sent)
}

fn write_json(path: &Path, report: &GenReport) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
    text.push('\n');
    fs::write(path, text)
}
