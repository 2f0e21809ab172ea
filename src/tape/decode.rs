//! `tape decode`: judges the raw bytes again and compares with the verdicts on tape.
//!
//! Each queue is judged in its own order by its own judge, as it was live; a new capture on the same journal begins
//! with a new judge. Packets that were not judged live are skipped as they were live ([`Judge::skip`]), and so are
//! those that the disk could not take: live judged them, but they are not here.
//!
//! If the beginning of a capture is gone (retention, or a single segment was given), streams have a past that nobody
//! can see any more. A difference that such a past explains is counted as unknowable, not as different.

use super::outcome::{Outcome, TapeError};
use crate::journal::Note;
use crate::journal::options::JUDGE_KEY;
use crate::journal::reader::{QueueReader, ReadOptions, Record, Tape, TapePacket};
use crate::packet::{Judgement, LossPlace, Verdict};
use crate::validate::{Judge, JudgeConfig};
use crate::wire;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;

/// Differences that are listed without `--diff`.
const FEW: u64 = 10;
/// Verdicts from this number on are of feeds: they depend on what came before.
const FIRST_FEED_VERDICT: Verdict = Verdict::MOLD_TRUNCATED;

/// How to decode.
#[derive(Clone, Debug, Default)]
pub struct DecodeOptions {
    /// In place of the configuration that the journal recorded.
    pub judge: Option<JudgeConfig>,
    /// List every difference.
    pub all: bool,
    /// JSON in place of text.
    pub json: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decoded {
    /// Packets on tape.
    pub packets: u64,
    /// Judged as on tape.
    pub same: u64,
    /// Not judged when they were captured: nothing to compare.
    pub not_judged: u64,
    /// Judged otherwise, in a stream whose beginning is not on tape any more.
    pub unknowable: u64,
    /// Judged otherwise.
    pub different: u64,
}

/// A packet that is judged otherwise now.
#[derive(Debug, Serialize)]
struct Difference {
    queue: u16,
    seq: u64,
    segment: u32,
    offset: u64,
    on_tape: Said,
    now: Said,
}

#[derive(Debug, Serialize)]
struct Said {
    verdict: &'static str,
    findings: Vec<&'static str>,
}

impl From<Judgement> for Said {
    fn from(j: Judgement) -> Self {
        Self { verdict: j.verdict.name(), findings: j.findings.names().collect() }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.verdict)?;
        self.findings.iter().try_for_each(|finding| write!(f, " [{finding}]"))
    }
}

/// Judges `tape` again; differences and the sum go to `out`, remarks to `remarks`. `each` sees every packet pass.
///
/// # Errors
/// [`TapeError`] of the tape or the output; [`TapeError::Refused`] if the recorded configuration cannot be read.
pub fn run(
    tape: &Tape,
    options: &DecodeOptions,
    out: &mut dyn Write,
    remarks: &mut dyn Write,
    each: &mut dyn FnMut(&TapePacket<'_>),
) -> Result<Outcome, TapeError> {
    let configs = Configs::find(tape, options, remarks)?;
    let mut decoder = Decoder { configs, options, sum: Decoded::default(), listed: 0, out };
    for queue in tape.queues() {
        decoder.queue(tape.queue(queue, ReadOptions::default()), each)?;
    }
    decoder.finish()
}

/// Which configuration each capture was judged by.
struct Configs {
    fixed: Option<JudgeConfig>,
    by_capture: BTreeMap<String, JudgeConfig>,
}

impl Configs {
    fn find(tape: &Tape, options: &DecodeOptions, remarks: &mut dyn Write) -> Result<Self, TapeError> {
        let fixed = options.judge.clone();
        let mut by_capture = BTreeMap::new();
        let description = tape.description().ok().flatten();
        for capture in description.iter().flat_map(|d| &d.captures) {
            if let Some(text) = capture.host.0.get(JUDGE_KEY) {
                let config = toml::from_str(text).map_err(|error| {
                    TapeError::Refused(format!(
                        "journal.toml: capture {}: its judge's configuration cannot be read: {}; give --config FILE",
                        capture.id,
                        error.message()
                    ))
                })?;
                by_capture.insert(capture.id.clone(), config);
            }
        }
        if fixed.is_none() && by_capture.is_empty() {
            let said =
                "the journal does not say which feeds it was judged by: judging as without configuration";
            writeln!(remarks, "{said}").map_err(TapeError::io("cannot write remarks"))?;
        }
        Ok(Self { fixed, by_capture })
    }

    fn judge(&self, capture: &str) -> Judge {
        let config = self.fixed.as_ref().or_else(|| self.by_capture.get(capture));
        config.map_or_else(|| Judge::new(&JudgeConfig::default()), Judge::new)
    }
}

/// A queue's judge and what it knows.
struct Bench {
    capture: [u8; 16],
    judge: Judge,
    /// Everything since the capture began has been seen.
    knows_all: bool,
}

struct Decoder<'d> {
    configs: Configs,
    options: &'d DecodeOptions,
    sum: Decoded,
    listed: u64,
    out: &'d mut dyn Write,
}

impl Decoder<'_> {
    fn queue(
        &mut self,
        mut reader: QueueReader,
        each: &mut dyn FnMut(&TapePacket<'_>),
    ) -> Result<(), TapeError> {
        let mut bench: Option<Bench> = None;
        while reader.next_record()?.is_some() {
            self.keep_bench(&mut bench, &reader);
            let (Some(bench), Some(record)) = (&mut bench, reader.record()) else { continue };
            match record {
                Record::Packet(packet) => {
                    each(&packet);
                    self.packet(bench, &packet)?;
                }
                // Live judged what the disk could not take; it is not here to be judged.
                Record::Note { note: Note::Loss(loss), .. } if loss.place == LossPlace::DISK => {
                    bench.judge.skip();
                }
                Record::Note { .. }
                | Record::Interface { .. }
                | Record::Statistics { .. }
                | Record::End { .. } => {}
            }
        }
        Ok(())
    }

    /// A new judge where a new capture begins.
    fn keep_bench(&self, bench: &mut Option<Bench>, reader: &QueueReader) {
        let Some(header) = reader.segment().and_then(|segment| segment.header()) else { return };
        if bench.as_ref().is_some_and(|b| b.capture == header.capture_id) {
            return;
        }
        let knows_all = bench.is_some() || header.first_seq == 0;
        let capture = format!("{:032x}", u128::from_be_bytes(header.capture_id));
        *bench = Some(Bench { capture: header.capture_id, judge: self.configs.judge(&capture), knows_all });
    }

    fn packet(&mut self, bench: &mut Bench, packet: &TapePacket<'_>) -> Result<(), TapeError> {
        self.sum.packets += 1;
        if packet.judgement.verdict == Verdict::NOT_JUDGED {
            bench.judge.skip();
            self.sum.not_judged += 1;
            return Ok(());
        }
        let now = bench.judge.judge(&packet.as_packet());
        if now == packet.judgement {
            self.sum.same += 1;
        } else if !bench.knows_all && is_explained_by_the_past(packet) {
            self.sum.unknowable += 1;
        } else {
            self.sum.different += 1;
            self.list(packet, now)?;
        }
        Ok(())
    }

    fn list(&mut self, packet: &TapePacket<'_>, now: Judgement) -> Result<(), TapeError> {
        if !self.options.all && self.listed >= FEW {
            return Ok(());
        }
        self.listed += 1;
        let difference = Difference {
            queue: packet.queue,
            seq: packet.seq,
            segment: packet.segment,
            offset: packet.offset,
            on_tape: packet.judgement.into(),
            now: now.into(),
        };
        let line = if self.options.json {
            json(&serde_json::json!({ "difference": difference }))?
        } else {
            let Difference { queue, seq, segment, offset, on_tape, now } = difference;
            let name = crate::journal::format::segment_name(queue, segment);
            format!("queue {queue} seq {seq} ({name} at byte {offset}): on tape {on_tape}, now {now}\n")
        };
        self.put(&line)
    }

    fn finish(mut self) -> Result<Outcome, TapeError> {
        let s = self.sum;
        let text = if self.options.json {
            json(&s)?
        } else {
            let more = if s.different > self.listed { " (--diff lists them all)" } else { "" };
            format!(
                "{} packets: {} judged as on tape, {} differently{more}, {} not judged when captured, {} of streams \
                 whose beginning is not on tape\n",
                s.packets, s.same, s.different, s.not_judged, s.unknowable
            )
        };
        self.put(&text)?;
        Ok(if s.different == 0 { Outcome::Good } else { Outcome::Bad })
    }

    fn put(&mut self, text: &str) -> Result<(), TapeError> {
        self.out.write_all(text.as_bytes()).map_err(TapeError::io("cannot write the output"))
    }
}

/// True if headers alone would give what stands on tape, or something that only a feed's past can decide.
fn is_explained_by_the_past(packet: &TapePacket<'_>) -> bool {
    let by_headers = wire::dissect(&packet.as_packet()).verdict;
    let on_tape = packet.judgement.verdict;
    on_tape == by_headers || (by_headers == Verdict::ACCEPTED && on_tape >= FIRST_FEED_VERDICT)
}

fn json(value: &impl Serialize) -> Result<String, TapeError> {
    let text = serde_json::to_string(value).map_err(|error| TapeError::Refused(error.to_string()))?;
    Ok(text + "\n")
}
