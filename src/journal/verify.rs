//! Proves that a journal is what was written: structure, CRCs, continuity, hashes, chain.
//!
//! May touch: the journal's directory and files, for reading only.
//!
//! What is checked, and what a finding means:
//!
//! | check | finds |
//! | --- | --- |
//! | every block by [`SegmentReader`](super::reader::SegmentReader) (frame, CRC, place, sequence, anchors, counts) | any changed byte, by the file and the offset of the block it lies in |
//! | size, packets, stamps and BLAKE3 of the manifest's line | a segment rewritten with fresh CRCs, truncated, replaced |
//! | the manifest's chain, and its head against [`VerifyOptions::expected_head`] | an edited, removed or swapped line |
//! | the directory against the manifest | segments missing, or added |
//! | segment after segment of a queue | a segment taken out with its line |
//!
//! What cannot be found without an expected head: the newest segments removed *together with* their
//! lines. Therefore the head is worth keeping elsewhere.
//!
//! A segment that is still written is verified as far as it is committed, and reported as live.
//! A segment that retention deleted is known by its manifest line. Reading problems of single
//! files are findings, not errors: everything that can be looked at is looked at.

mod manifest_check;
mod segment_check;

use super::manifest::{Entry, Manifest, Sealed};
use super::reader::{ReadError, SegmentFile, Tape};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// What to verify against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyOptions {
    /// The chain value that the manifest must end with, as noted down elsewhere.
    pub expected_head: Option<[u8; 32]>,
    /// So many problems are listed; further ones are only counted.
    pub max_problems: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { expected_head: None, max_problems: 1000 }
    }
}

/// How far verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of segment files looked at.
    pub done_bytes: u64,
    /// Bytes of all segment files.
    pub total_bytes: u64,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sealed, and in the manifest.
    Sealed,
    /// Finished, but its manifest line is not written yet: the capture goes on.
    Sealing,
    /// Still written (or left behind by a crash, to be sealed by the next start).
    Live,
    /// Deleted by retention, as the manifest says.
    Retired,
    /// In the manifest, but not there.
    Missing,
    /// Finished, but not in the manifest of a journal that is not being written (or there is none).
    Unlisted,
}

impl State {
    /// The word used in reports and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Sealing => "sealing",
            Self::Live => "live",
            Self::Retired => "retired",
            Self::Missing => "missing",
            Self::Unlisted => "unlisted",
        }
    }
}

/// What was found of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// File name.
    pub name: String,
    /// Queue, by its name.
    pub queue: u16,
    /// Index, by its name.
    pub index: u32,
    /// What became of it.
    pub state: State,
    /// Length of the file, bytes.
    pub size_bytes: u64,
    /// As far as blocks were read, bytes.
    pub verified_bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Lowest stamp, ns; 0 without packets.
    pub min_stamp_ns: u64,
    /// Highest stamp, ns; 0 without packets.
    pub max_stamp_ns: u64,
    /// True if recovery sealed it after a crash.
    pub recovered: bool,
    /// True if recovery moved bytes behind a cut aside.
    pub quarantined: bool,
    /// BLAKE3 of the file's bytes; None for one that is still written, or is not there.
    pub blake3: Option<[u8; 32]>,
    /// Problems found in it.
    pub problems: u64,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// A block is not right.
    Block,
    /// The file is not as long as the manifest says.
    Size,
    /// The file's bytes are not those that were hashed.
    Hash,
    /// Packets or stamps are not those of the manifest.
    Counts,
    /// A segment of the manifest is not there.
    Missing,
    /// A segment is there that the manifest does not know.
    Extra,
    /// One segment does not continue the one before.
    Sequence,
    /// A line of the manifest cannot be read, or does not belong there.
    Manifest,
    /// A line of the manifest does not follow from the one before.
    Chain,
    /// The manifest does not end as expected.
    Head,
    /// The file cannot be read.
    Unreadable,
}

impl ProblemKind {
    /// The word used in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Size => "size",
            Self::Hash => "hash",
            Self::Counts => "counts",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Sequence => "sequence",
            Self::Manifest => "manifest",
            Self::Chain => "chain",
            Self::Head => "head",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One thing that is not right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which kind.
    pub kind: ProblemKind,
    /// File name.
    pub file: String,
    /// Where in it: the beginning of the block (or manifest line) that is not right.
    pub offset: Option<u64>,
    /// A sentence.
    pub what: String,
}

/// Everything that verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments by queue and index, the missing and retired ones included.
    pub segments: Vec<SegmentReport>,
    /// What is not right, in the order it was found: the manifest, the segments in order, their continuity.
    pub problems: Vec<Problem>,
    /// How many problems there are; more than are listed if there are very many.
    pub problem_count: u64,
    /// Whole lines of the manifest.
    pub manifest_lines: u64,
    /// The chain value of its last line; None without a manifest.
    pub head: Option<[u8; 32]>,
    /// Packets in all segments that are there.
    pub packets: u64,
    /// Bytes of blocks verified.
    pub verified_bytes: u64,
}

impl VerifyReport {
    /// True if nothing is wrong.
    pub const fn is_good(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, max: usize, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < max {
            self.problems.push(problem);
        }
    }
}

/// Verifies a journal's directory, or a single segment file by its structure alone.
///
/// # Errors
/// [`ReadError`] if there is no tape there, or its directory or manifest cannot be read at all.
pub fn verify(
    path: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, ReadError> {
    let tape = Tape::open(path)?;
    let mut run = Run { options, progress, report: VerifyReport::default(), done_bytes: 0, total_bytes: 0 };
    let manifest = if tape.is_directory() { run.read_manifest(path)? } else { None };
    run.total_bytes = tape.segments().iter().filter_map(|s| s.path.metadata().ok()).map(|m| m.len()).sum();
    run.segments(&tape, manifest.as_ref());
    run.continuity();
    Ok(run.report)
}

/// One verification under way.
struct Run<'a> {
    options: &'a VerifyOptions,
    progress: &'a mut dyn FnMut(Progress),
    report: VerifyReport,
    done_bytes: u64,
    total_bytes: u64,
}

/// What continuity needs to know of a segment.
#[derive(Clone, Copy, Debug)]
struct Seam {
    capture_id: [u8; 16],
    first_seq: u64,
    next_seq: Option<u64>,
}

/// A segment that is to be looked at: on disk, in the manifest, or both.
#[derive(Debug, Default)]
struct Candidate<'m> {
    file: Option<SegmentFile>,
    sealed: Option<&'m Sealed>,
    retired: bool,
}

impl Run<'_> {
    fn problem(&mut self, kind: ProblemKind, file: &str, offset: Option<u64>, what: String) {
        self.report.problem(self.options.max_problems, Problem { kind, file: file.to_owned(), offset, what });
    }

    fn advance(&mut self, bytes: u64) {
        self.done_bytes += bytes;
        (self.progress)(Progress { done_bytes: self.done_bytes, total_bytes: self.total_bytes });
    }

    fn segments(&mut self, tape: &Tape, manifest: Option<&Manifest>) {
        let candidates = candidates(tape, manifest);
        let highest_listed = highest_listed(manifest);
        // As long as any segment is still written, finished ones may be waiting for their line.
        let is_being_written = candidates.values().any(|c| {
            c.sealed.is_none() && c.file.as_ref().is_some_and(|f| !segment_check::is_finished(&f.path))
        });
        let mut seams = BTreeMap::new();
        for ((queue, index), candidate) in candidates {
            let is_newest = highest_listed.get(&queue).is_none_or(|listed| index > *listed);
            let context = segment_check::Context {
                queue,
                index,
                has_manifest: manifest.is_some(),
                may_be_unlisted: is_newest && is_being_written,
                is_newest,
            };
            let (segment, seam) = self.segment(&context, &candidate);
            self.report.packets += segment.packets;
            self.report.verified_bytes += segment.verified_bytes;
            self.report.segments.push(segment);
            seams.insert((queue, index), seam);
        }
        self.seams(&seams);
    }

    /// Does each segment begin with the sequence number that the one before ended with?
    fn seams(&mut self, seams: &BTreeMap<(u16, u32), Option<Seam>>) {
        for (((queue, index), before), ((next_queue, next_index), after)) in
            seams.iter().zip(seams.iter().skip(1))
        {
            let (Some(before), Some(after)) = (before, after) else { continue };
            let is_pair = queue == next_queue && before.capture_id == after.capture_id;
            let Some(expected) = before.next_seq.filter(|n| is_pair && *n != after.first_seq) else {
                continue;
            };
            let name = super::format::segment_name(*next_queue, *next_index);
            let what = format!(
                "begins with sequence number {}, but {} ends before number {expected}: a segment between them is missing",
                after.first_seq,
                super::format::segment_name(*queue, *index),
            );
            self.problem(ProblemKind::Sequence, &name, None, what);
        }
    }

    /// Counts each segment's problems for its own report.
    fn continuity(&mut self) {
        for segment in &mut self.report.segments {
            let own = self.report.problems.iter().filter(|p| p.file == segment.name).count() as u64;
            segment.problems = segment.problems.max(own);
        }
    }
}

fn candidates<'m>(tape: &Tape, manifest: Option<&'m Manifest>) -> BTreeMap<(u16, u32), Candidate<'m>> {
    let mut all: BTreeMap<(u16, u32), Candidate<'m>> = BTreeMap::new();
    for file in tape.segments() {
        all.entry((file.queue, file.index)).or_default().file = Some(file.clone());
    }
    for line in manifest.map(|m| m.lines.as_slice()).unwrap_or_default() {
        let (name, sealed) = match &line.entry {
            Entry::Sealed(sealed) => (&sealed.name, Some(sealed)),
            Entry::Retired(retired) => (&retired.name, None),
        };
        let Some(key) = super::format::parse_segment_name(name) else { continue };
        let candidate = all.entry(key).or_default();
        match sealed {
            // The first line of a name counts; a second one is a problem of the manifest.
            Some(_) if candidate.sealed.is_some() => {}
            Some(sealed) => candidate.sealed = Some(sealed),
            None => candidate.retired = true,
        }
    }
    all
}

fn highest_listed(manifest: Option<&Manifest>) -> BTreeMap<u16, u32> {
    let mut highest = BTreeMap::new();
    let names: HashSet<&str> = manifest.map(|m| m.names().collect()).unwrap_or_default();
    for (queue, index) in names.into_iter().filter_map(super::format::parse_segment_name) {
        let entry = highest.entry(queue).or_insert(index);
        *entry = index.max(*entry);
    }
    highest
}
