//! What each data thread counts: one block for the capture thread, one for the
//! worker, each written by its thread alone and read by anybody at any time.

use crate::capture::SourceCounts;
use crate::metrics::{Counter, HistogramReader, Recorder, histogram};
use crate::packet::{Findings, LossPlace, Marks, Verdict};
use crate::time::StampClock;

/// How many verdicts there are, and one more for a number that is not in the table.
pub const VERDICT_SLOTS: usize = Verdict::ALL.len() + 1;

const SLOT_OF: [u8; 256] = slots();

#[expect(clippy::cast_possible_truncation, reason = "the table holds fewer than 255 verdicts; checked below")]
const fn slots() -> [u8; 256] {
    const { assert!(VERDICT_SLOTS < 256) };
    let mut table = [Verdict::ALL.len() as u8; 256];
    let mut i = 0;
    while i < Verdict::ALL.len() {
        table[Verdict::ALL[i].0.0 as usize] = i as u8;
        i += 1;
    }
    table
}

/// Where `verdict` is counted.
pub fn verdict_slot(verdict: Verdict) -> usize {
    SLOT_OF.get(usize::from(verdict.0)).map_or(Verdict::ALL.len(), |slot| usize::from(*slot))
}

/// Written by the capture thread.
#[derive(Debug, Default)]
pub struct CaptureCounters {
    /// Leases handed over.
    pub leases: Counter,
    /// [`SourceCounts::received`].
    pub received: Counter,
    /// [`SourceCounts::ring_dropped`].
    pub ring_dropped: Counter,
    /// [`SourceCounts::ring_freezes`].
    pub ring_freezes: Counter,
    /// [`SourceCounts::filtered`].
    pub filtered: Counter,
}

impl CaptureCounters {
    /// Shows what the source counted.
    pub fn publish(&self, counts: SourceCounts) {
        self.received.set(counts.received);
        self.ring_dropped.set(counts.ring_dropped);
        self.ring_freezes.set(counts.ring_freezes);
        self.filtered.set(counts.filtered);
    }
}

/// Written by the worker.
#[derive(Debug)]
pub struct WorkerCounters {
    /// Packets read from leases.
    pub seen: Counter,
    /// Their captured bytes.
    pub seen_bytes: Counter,
    /// Packets committed to the journal.
    pub written: Counter,
    /// Packets of a lease that could not be read (offsets outside it).
    pub unreadable: Counter,
    /// Packets that came after `--count` was reached.
    pub beyond_count: Counter,
    /// Packets whose decoding was shed; they are on tape.
    pub not_judged: Counter,
    /// Packets whose payload was shortened by the degradation ladder.
    pub shortened: Counter,
    /// Merged (GRO) datagrams.
    pub gso: Counter,
    /// Packets whose checksum was never computed.
    pub csum_not_ready: Counter,
    /// Packets whose VLAN tag was put back.
    pub vlan_restored: Counter,
    /// By [`verdict_slot`].
    pub verdicts: [Counter; VERDICT_SLOTS],
    /// By bit of [`Findings`].
    pub findings: [Counter; Findings::NAMES.len()],
    /// By [`StampClock::index`].
    pub clocks: [Counter; StampClock::COUNT],
    /// By [`LossPlace`] number.
    pub lost: [Counter; LossPlace::ALL.len() + 1],
    /// Notes that could not be put on tape.
    pub notes_lost: Counter,
    /// Times the worker had to wait for the journal keeper.
    pub stalls: Counter,
    /// How long, in all, ns.
    pub stalled_ns: Counter,
    /// Level of the degradation ladder now.
    pub ladder_level: Counter,
}

impl Default for WorkerCounters {
    fn default() -> Self {
        Self {
            seen: Counter::default(),
            seen_bytes: Counter::default(),
            written: Counter::default(),
            unreadable: Counter::default(),
            beyond_count: Counter::default(),
            not_judged: Counter::default(),
            shortened: Counter::default(),
            gso: Counter::default(),
            csum_not_ready: Counter::default(),
            vlan_restored: Counter::default(),
            verdicts: std::array::from_fn(|_| Counter::default()),
            findings: std::array::from_fn(|_| Counter::default()),
            clocks: std::array::from_fn(|_| Counter::default()),
            lost: std::array::from_fn(|_| Counter::default()),
            notes_lost: Counter::default(),
            stalls: Counter::default(),
            stalled_ns: Counter::default(),
            ladder_level: Counter::default(),
        }
    }
}

impl WorkerCounters {
    /// Counts a judgement's verdict and findings.
    pub fn judged(&self, verdict: Verdict, findings: Findings) {
        self.verdicts[verdict_slot(verdict)].add(1);
        if findings != Findings::NONE {
            for (counter, (bit, _)) in self.findings.iter().zip(Findings::NAMES) {
                counter.add(u64::from(findings.0 & bit != 0));
            }
        }
    }
    /// Counts a packet's marks.
    pub fn marked(&self, marks: Marks) {
        if marks == Marks::default() {
            return;
        }
        self.gso.add(u64::from(marks.has(Marks::GSO)));
        self.csum_not_ready.add(u64::from(marks.has(Marks::CSUM_NOT_READY)));
        self.vlan_restored.add(u64::from(marks.has(Marks::VLAN_RESTORED)));
    }
    /// Counts packets lost at `place`.
    pub fn lose(&self, place: LossPlace, packets: u64) {
        if let Some(counter) = self.lost.get(usize::from(place.0)) {
            counter.add(packets);
        }
    }
    /// Packets lost at `place` so far.
    pub fn lost_at(&self, place: LossPlace) -> u64 {
        self.lost.get(usize::from(place.0)).map_or(0, Counter::get)
    }
}

/// The steps of a packet's way whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From the stamp until the capture thread took the lease; one histogram a stamp clock.
    StampToCapture,
    /// From the capture thread's taking until the worker began with the packet.
    CaptureToWorker,
    /// From there until the record was committed: decode, validate, append.
    WorkerToJournal,
    /// From the stamp until the record was committed; one histogram a stamp clock.
    StampToJournal,
    /// Between the stamps of successive packets of a queue; one histogram a stamp clock.
    InterArrival,
    /// Between successive inter-arrival times, absolute (RFC 3550 section 6.4.1, before smoothing).
    Jitter,
}

impl Step {
    /// All steps in the order of a packet's way.
    pub const ALL: [Self; 6] = [
        Self::StampToCapture,
        Self::CaptureToWorker,
        Self::WorkerToJournal,
        Self::StampToJournal,
        Self::InterArrival,
        Self::Jitter,
    ];

    /// The words used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StampToCapture => "stamp→capture",
            Self::CaptureToWorker => "capture→worker",
            Self::WorkerToJournal => "worker→journal",
            Self::StampToJournal => "stamp→journal",
            Self::InterArrival => "inter-arrival",
            Self::Jitter => "jitter",
        }
    }
    /// True if one end of the step is the packet's stamp, so that its clock matters.
    pub const fn by_clock(self) -> bool {
        !matches!(self, Self::CaptureToWorker | Self::WorkerToJournal)
    }
}

/// The worker's recorders: a histogram a step, and a stamp clock where that matters.
#[derive(Debug)]
pub struct StepRecorders(Vec<Recorder>);

/// The readers that belong to [`StepRecorders`].
#[derive(Debug, Clone)]
pub struct StepReaders(Vec<HistogramReader>);

const fn slot(step: Step, clock: StampClock) -> usize {
    step as usize * StampClock::COUNT + if step.by_clock() { clock.index() } else { 0 }
}

/// Makes the histograms of one queue.
pub fn step_histograms() -> (StepRecorders, StepReaders) {
    let (recorders, readers) = (0..Step::ALL.len() * StampClock::COUNT).map(|_| histogram()).unzip();
    (StepRecorders(recorders), StepReaders(readers))
}

impl StepRecorders {
    /// Records `ns` for `step`; `clock` is the stamp's.
    pub fn record(&mut self, step: Step, clock: StampClock, ns: i64) {
        self.0[slot(step, clock)].record(ns);
    }
}

impl StepReaders {
    /// The reader of `step` for stamps of `clock`.
    pub fn reader(&self, step: Step, clock: StampClock) -> &HistogramReader {
        &self.0[slot(step, clock)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_own_slot_and_strangers_share_the_last() {
        let slots: std::collections::HashSet<_> =
            Verdict::ALL.iter().map(|(v, _, _)| verdict_slot(*v)).collect();
        assert_eq!(slots.len(), Verdict::ALL.len());
        assert_eq!(verdict_slot(Verdict(999)), Verdict::ALL.len());
        assert_eq!(verdict_slot(Verdict(255)), Verdict::ALL.len());
    }
}
