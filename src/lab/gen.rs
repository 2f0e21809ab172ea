//! `wiretape gen`: generated frames onto an interface or into a file, with the answers beside them.

use super::answers::Answers;
use super::generate::FeedGenerator;
use super::pcap_file::PcapFile;
use super::plain::{PlainPlan, Shape};
use super::plan::{FeedPlan, PlanError};
use super::send::{Pace, SendError, SendOptions, Sent, send};
use crate::time::NS_PER_SEC;
use serde::Serialize;
use std::fs::File;
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
    /// A pcap file with nanosecond stamps, spaced by this pace from a fixed time on.
    File {
        /// The file; replaced if it exists.
        path: PathBuf,
        /// Spacing of the stamps; a flood is one a microsecond.
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
            let sent = put(&options.output, |out| feed.next_frame(out), stop)?;
            GenReport { sent, answers: Some(feed.answers().clone()) }
        }
        Content::Plain { seed, frames, shapes } => {
            let plan = PlainPlan::new(*seed, shapes);
            let mut ids = 0..*frames;
            let make = |out: &mut Vec<u8>| ids.next().map(|id| plan.append(id, out)).is_some();
            GenReport { sent: put(&options.output, make, stop)?, answers: None }
        }
    };
    if let Some(path) = &options.answers {
        write_json(path, &report).map_err(|error| GenError::Write { path: path.clone(), error })?;
    }
    Ok(report)
}

fn put(output: &Output, make: impl FnMut(&mut Vec<u8>) -> bool, stop: &AtomicBool) -> Result<Sent, GenError> {
    match output {
        Output::Interface(options) => Ok(send(options, make, stop)?),
        Output::File { path, pace } => {
            write_file(path, *pace, make).map_err(|error| GenError::Write { path: path.clone(), error })
        }
    }
}

fn write_file(path: &Path, pace: Pace, mut make: impl FnMut(&mut Vec<u8>) -> bool) -> io::Result<Sent> {
    let spacing_ns = match pace {
        Pace::Flood => FLOOD_SPACING_NS,
        Pace::PerSecond(pps) => NS_PER_SEC / pps.max(1),
    };
    let mut file = PcapFile::new(BufWriter::new(File::create(path)?))?;
    let mut sent = Sent::default();
    let mut frame = Vec::new();
    while make(&mut frame) {
        sent.elapsed_ns = sent.frames * spacing_ns;
        file.write(FIRST_STAMP_NS + sent.elapsed_ns, &frame)?;
        sent.frames += 1;
        sent.bytes += frame.len() as u64;
        frame.clear();
    }
    file.finish()?;
    Ok(sent)
}

fn write_json(path: &Path, report: &GenReport) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
    text.push('\n');
    std::fs::write(path, text)
}
