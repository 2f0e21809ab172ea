//! One segment against its own blocks and against its manifest line.

use super::{Candidate, ProblemKind, Run, Seam, SegmentReport, State};
use crate::journal::format::{EndOfSegment, segment_name};
use crate::journal::manifest::{Sealed, hex};
use crate::journal::reader::{Damage, Opening, ReadError, Record, SegmentReader, SegmentStep};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// So many problems of one segment are looked for; what follows is not worth reading.
const MAX_PROBLEMS_A_SEGMENT: u64 = 1000;
/// Hashed at once, bytes.
const HASH_CHUNK_BYTES: usize = 1 << 20;
/// Steps between two reports of progress.
const STEPS_A_REPORT: u64 = 4096;

/// Where a segment stands among the others.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) queue: u16,
    pub(super) index: u32,
    pub(super) has_manifest: bool,
    /// A finished segment may still be without its line.
    pub(super) may_be_unlisted: bool,
    /// Behind all that the manifest lists of its queue.
    pub(super) is_newest: bool,
}

/// Does the file end as a finished segment does? False also if it cannot be read.
pub(super) fn is_finished(path: &Path) -> bool {
    SegmentReader::open(path, Opening::Auto).is_ok_and(|segment| !segment.is_live())
}

impl Run<'_> {
    pub(super) fn segment(
        &mut self,
        context: &Context,
        candidate: &Candidate<'_>,
    ) -> (SegmentReport, Option<Seam>) {
        let Some(file) = &candidate.file else { return (self.absent(context, candidate), None) };
        let name = file_name(&file.path);
        let mut report = empty_report(context, name, State::Live);
        let opening = if candidate.sealed.is_some() { Opening::Sealed } else { Opening::Auto };
        let mut segment = match SegmentReader::open(&file.path, opening) {
            Ok(segment) => segment,
            Err(error) => {
                self.problem(ProblemKind::Unreadable, &report.name, None, error.to_string());
                report.problems += 1;
                return (report, None);
            }
        };
        report.size_bytes = segment.len_bytes();
        report.state = self.state_of(context, candidate, segment.is_live(), &report.name);
        let broken_before = self.report.problem_count;
        self.walk(&mut segment, &mut report);
        fill(&mut report, &segment);
        let blocks_hold = self.report.problem_count == broken_before;
        if !segment.is_live() {
            report.blake3 = self.hash(&file.path, &report.name);
        }
        if let Some(sealed) = candidate.sealed {
            self.against_line(sealed, &report, blocks_hold);
        }
        report.problems = self.report.problem_count - broken_before;
        let seam = segment.header().map(|header| Seam {
            capture_id: header.capture_id,
            first_seq: header.first_seq,
            next_seq: segment.next_seq().filter(|_| !segment.is_live() && blocks_hold),
        });
        (report, seam)
    }

    /// A segment that the manifest knows but the directory does not hold.
    fn absent(&mut self, context: &Context, candidate: &Candidate<'_>) -> SegmentReport {
        let name = segment_name(context.queue, context.index);
        let state = if candidate.retired { State::Retired } else { State::Missing };
        let mut report = empty_report(context, name, state);
        if let Some(sealed) = candidate.sealed {
            (report.min_stamp_ns, report.max_stamp_ns) = (sealed.first_ns, sealed.last_ns);
        }
        if state == State::Missing {
            let what = "the manifest says that it was sealed, but it is not there".to_owned();
            self.problem(ProblemKind::Missing, &report.name, None, what);
            report.problems = 1;
        }
        report
    }

    fn state_of(&mut self, context: &Context, candidate: &Candidate<'_>, is_live: bool, name: &str) -> State {
        if candidate.sealed.is_some() {
            return State::Sealed;
        }
        if is_live {
            if !context.is_newest {
                let what =
                    "is not finished, although the manifest lists later segments of its queue".to_owned();
                self.problem(ProblemKind::Extra, name, None, what);
            }
            return State::Live;
        }
        if context.may_be_unlisted {
            return State::Sealing;
        }
        if context.has_manifest {
            let what = "is finished, but not in the manifest: it was added, the manifest was cut, or the engine was \
                        killed before it could write the line (its next start does)";
            self.problem(ProblemKind::Extra, name, None, what.to_owned());
        }
        State::Unlisted
    }

    /// Every block, from the first to the last.
    fn walk(&mut self, segment: &mut SegmentReader, report: &mut SegmentReport) {
        let mut steps = 0;
        let mut read_before = 0;
        let mut counted: HashSet<u32> = HashSet::new();
        loop {
            match segment.step() {
                Ok(SegmentStep::Record) => {
                    if let Some(Record::Statistics { interface, at, .. }) = segment.record() {
                        counted.insert(interface);
                        self.statistics(segment, interface, at.offset, &report.name);
                    }
                }
                Ok(SegmentStep::Nothing | SegmentStep::End) => break,
                Err(ReadError::Damaged(damage)) => {
                    if !self.damaged(segment, &damage, report) {
                        break;
                    }
                }
                Err(error) => {
                    self.problem(
                        ProblemKind::Unreadable,
                        &report.name,
                        Some(segment.position()),
                        error.to_string(),
                    );
                    break;
                }
            }
            steps += 1;
            if steps % STEPS_A_REPORT == 0 {
                let read = segment.bytes_read();
                self.advance(read - read_before);
                read_before = read;
            }
        }
        self.all_counted(segment, &counted, &report.name);
        // Read again or not, in the end the whole file has been looked at.
        self.done_bytes += segment.len_bytes().saturating_sub(read_before);
        self.advance(0);
    }

    /// Notes damage. True if there is something to read behind it.
    fn damaged(&mut self, segment: &mut SegmentReader, damage: &Damage, report: &mut SegmentReport) -> bool {
        self.problem(ProblemKind::Block, &report.name, Some(damage.offset), damage.error.to_string());
        report.problems += 1;
        report.problems < MAX_PROBLEMS_A_SEGMENT && segment.skip_damage().unwrap_or(false)
    }

    /// Statistics are of an interface that was described.
    fn statistics(&mut self, segment: &SegmentReader, interface: u32, offset: u64, name: &str) {
        if segment.interface(interface).is_none() {
            let what = format!("statistics of interface {interface}, which is not described");
            self.problem(ProblemKind::Counts, name, Some(offset), what);
        }
    }

    /// A segment that was finished in good order has statistics of every interface.
    fn all_counted(&mut self, segment: &SegmentReader, counted: &HashSet<u32>, name: &str) {
        let in_good_order = segment.end().is_some_and(|end| end.flags & EndOfSegment::RECOVERED == 0);
        let all = (0..).zip(segment.interfaces());
        if let Some((missing, _)) = all.into_iter().find(|(i, _)| in_good_order && !counted.contains(i)) {
            let what = format!("statistics of interface {missing} are missing");
            self.problem(ProblemKind::Counts, name, None, what);
        }
    }

    fn hash(&mut self, path: &Path, name: &str) -> Option<[u8; 32]> {
        match hash_file(path) {
            Ok(hash) => Some(hash),
            Err(error) => {
                self.problem(ProblemKind::Unreadable, name, None, error.to_string());
                None
            }
        }
    }

    fn against_line(&mut self, sealed: &Sealed, report: &SegmentReport, blocks_hold: bool) {
        if report.size_bytes != sealed.size_bytes {
            let (is, was) = (report.size_bytes, sealed.size_bytes);
            let how = if is < was { "it was truncated" } else { "something was appended" };
            let what = format!("is {is} bytes long, {was} by the manifest: {how}");
            self.problem(ProblemKind::Size, &report.name, Some(is.min(was)), what);
        } else if report.blake3.is_some_and(|hash| hash != sealed.blake3) {
            let where_ = if blocks_hold {
                "every block holds by its own CRC, so blocks were rewritten with fresh CRCs, or the manifest line was"
            } else {
                "the damaged blocks are named above"
            };
            let what = format!("BLAKE3 is not {}, as the manifest says; {where_}", hex(&sealed.blake3));
            self.problem(ProblemKind::Hash, &report.name, None, what);
        }
        if !blocks_hold {
            return;
        }
        for (what, is, was) in [
            ("packets", report.packets, sealed.packets),
            ("ns as lowest stamp", report.min_stamp_ns, sealed.first_ns),
            ("ns as highest stamp", report.max_stamp_ns, sealed.last_ns),
        ] {
            if is != was {
                let what = format!("has {is} {what}, {was} by the manifest");
                self.problem(ProblemKind::Counts, &report.name, None, what);
            }
        }
    }
}

fn empty_report(context: &Context, name: String, state: State) -> SegmentReport {
    SegmentReport {
        name,
        queue: context.queue,
        index: context.index,
        state,
        size_bytes: 0,
        verified_bytes: 0,
        packets: 0,
        min_stamp_ns: 0,
        max_stamp_ns: 0,
        recovered: false,
        quarantined: false,
        blake3: None,
        problems: 0,
    }
}

fn fill(report: &mut SegmentReport, segment: &SegmentReader) {
    let counted = segment.counted();
    report.verified_bytes = segment.position();
    report.packets = counted.packets;
    report.min_stamp_ns = counted.min_stamp_ns;
    report.max_stamp_ns = counted.max_stamp_ns;
    let flags = segment.end().map_or(0, |end| end.flags);
    report.recovered = flags & EndOfSegment::RECOVERED != 0;
    report.quarantined = flags & EndOfSegment::DAMAGED != 0;
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn hash_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; HASH_CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|b| !b.is_empty()) else { break };
        hasher.update(bytes);
    }
    Ok(*hasher.finalize().as_bytes())
}
