//! `tape verify`: is the tape what was written? Text for people, one object for machines.

use super::outcome::{Outcome, TapeError};
use super::words;
use crate::journal::manifest::hex;
use crate::journal::verify::{Progress, SegmentReport, State, VerifyOptions, VerifyReport, verify};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;

/// What to verify.
#[derive(Clone, Debug)]
pub struct Options {
    /// A journal's directory, or a segment.
    pub path: PathBuf,
    /// One JSON object in place of text.
    pub json: bool,
    /// The chain value that the manifest must end with, as noted down elsewhere.
    pub expected_head: Option<[u8; 32]>,
}

/// Parses 64 hexadecimal digits, as `tape verify` prints the head.
///
/// # Errors
/// A sentence.
pub fn parse_head(text: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("`{text}` is no head: it is the 64 hexadecimal digits that `tape verify` prints");
    let mut head = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    for (index, byte) in head.iter_mut().enumerate() {
        let digits = text.get(index * 2..index * 2 + 2).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(head)
}

/// Verifies, and writes what was found. [`Outcome::Bad`] if anything is wrong.
///
/// # Errors
/// [`TapeError`] if there is no tape there, or `out` fails.
pub fn run(
    options: &Options,
    progress: &mut dyn FnMut(Progress),
    out: &mut dyn Write,
) -> Result<Outcome, TapeError> {
    let how = VerifyOptions { expected_head: options.expected_head, ..VerifyOptions::default() };
    let report = verify(&options.path, &how, progress)?;
    let written = if options.json { writeln!(out, "{}", to_json(&report)) } else { print(out, &report) };
    written.and_then(|()| out.flush()).map_err(TapeError::io("writing the answer"))?;
    Ok(if report.is_good() { Outcome::Good } else { Outcome::Bad })
}

fn print(out: &mut dyn Write, report: &VerifyReport) -> io::Result<()> {
    for problem in &report.problems {
        match problem.offset {
            Some(offset) => writeln!(out, "{}: byte {offset}: {}", problem.file, problem.what)?,
            None => writeln!(out, "{}: {}", problem.file, problem.what)?,
        }
    }
    let more = report.problem_count - report.problems.len() as u64;
    if more > 0 {
        writeln!(out, "… and {} more problems", words::grouped(more))?;
    }
    let count = |state: State| report.segments.iter().filter(|s| s.state == state).count() as u64;
    let states =
        [State::Sealed, State::Sealing, State::Live, State::Unlisted, State::Retired, State::Missing];
    let told: Vec<String> = states
        .into_iter()
        .map(|state| (state, count(state)))
        .filter(|(_, n)| *n > 0)
        .map(|(state, n)| format!("{} {}", words::grouped(n), state.name()))
        .collect();
    let recovered = report.segments.iter().filter(|s| s.recovered).count();
    let segments = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
    writeln!(out, "segments  {segments}")?;
    if recovered > 0 {
        writeln!(out, "recovered {recovered} of them, after the engine had been stopped in the middle")?;
    }
    for segment in report.segments.iter().filter(|s| s.state == State::Live) {
        let (bytes, packets) = (words::grouped(segment.verified_bytes), words::grouped(segment.packets));
        writeln!(
            out,
            "live      {}: verified as far as it is committed, {bytes} bytes, {packets} packets",
            segment.name
        )?;
    }
    for segment in report.segments.iter().filter(|s| s.quarantined) {
        writeln!(out, "damaged   {}: recovery moved bytes behind a cut aside", segment.name)?;
    }
    writeln!(out, "packets   {}", words::grouped(report.packets))?;
    writeln!(
        out,
        "bytes     {} ({})",
        words::grouped(report.verified_bytes),
        words::bytes(report.verified_bytes)
    )?;
    if let Some(head) = report.head {
        writeln!(out, "head      {} ({} lines)", hex(&head), words::grouped(report.manifest_lines))?;
    }
    if report.is_good() {
        writeln!(out, "verified: every block, hash and link of the chain holds")
    } else {
        writeln!(out, "NOT VERIFIED: {}", words::count(report.problem_count, "problem", "problems"))
    }
}

fn to_json(report: &VerifyReport) -> Value {
    let problems: Vec<Value> = report
        .problems
        .iter()
        .map(|p| json!({ "kind": p.kind.name(), "file": p.file, "offset_bytes": p.offset, "what": p.what }))
        .collect();
    json!({
        "good": report.is_good(),
        "problem_count": report.problem_count,
        "problems": problems,
        "packets": report.packets,
        "verified_bytes": report.verified_bytes,
        "manifest_lines": report.manifest_lines,
        "head": report.head.map(|head| hex(&head)),
        "segments": report.segments.iter().map(segment_json).collect::<Vec<_>>(),
    })
}

fn segment_json(s: &SegmentReport) -> Value {
    json!({
        "name": s.name, "queue": s.queue, "index": s.index, "state": s.state.name(), "size_bytes": s.size_bytes,
        "verified_bytes": s.verified_bytes, "packets": s.packets, "first_ns": s.min_stamp_ns,
        "last_ns": s.max_stamp_ns, "recovered": s.recovered, "quarantined": s.quarantined,
        "blake3": s.blake3.map(|hash| hex(&hash)), "problems": s.problems,
    })
}
