//! The worker: reads each packet where the kernel put it, has it judged, appends it
//! to the journal, and gives the lease back.
//!
//! Per packet nothing here allocates, locks, logs, panics or enters the kernel.
//! If the journal is not ready the worker waits with the lease in hand: the ring is
//! the buffer, and what then overflows is counted by the kernel. If the journal says
//! that the disk is full, packets are counted as lost at the disk and the capture
//! goes on; the loss stands on tape as soon as something can stand there again.

use super::counters::{Step, StepRecorders, WorkerCounters};
use super::ladder::Ladder;
use crate::capture::Lease;
use crate::clock::Clock;
use crate::journal::{Append, Event, EventKind, Note, Writer};
use crate::packet::{InterfaceDef, Judgement, Loss, LossPlace, Marks, Packet};
use crate::pcapng::write::InterfaceStats;
use crate::ring::Consumer;
use crate::time::{Stamp, StampClock, delta_ns};
use crate::validate::Judge;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How many packets may still be written, over all queues (`--count`).
#[derive(Debug)]
pub struct CountLimit {
    left: Option<AtomicU64>,
    /// Set with the last one, so that the intake stops at once and not when somebody next looks.
    stop: Arc<AtomicBool>,
}

impl CountLimit {
    /// At most `packets`, or no limit. `stop` is set when the last is taken.
    pub fn new(packets: Option<u64>, stop: Arc<AtomicBool>) -> Self {
        Self { left: packets.map(AtomicU64::new), stop }
    }
    /// Takes one from the limit; false if none is left.
    fn take(&self) -> bool {
        let Some(left) = &self.left else { return true };
        let taken = left.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
        if taken == Ok(1) {
            self.stop.store(true, Relaxed);
        }
        taken.is_ok()
    }
    /// True once the limit is reached.
    pub fn reached(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.load(Relaxed) == 0)
    }
}

/// Losses that happened but do not yet stand on tape.
#[derive(Debug, Default)]
struct Owed {
    /// For the next packet's drop count.
    packets: u64,
    /// What the journal could not take as a note when it happened: one interval a place, grown until it can.
    intervals: [Option<Loss>; LossPlace::ALL.len()],
}

impl Owed {
    fn add(&mut self, loss: Loss) {
        let Some(at) = LossPlace::ALL.iter().position(|place| *place == loss.place) else { return };
        self.intervals[at] = Some(match self.intervals[at] {
            None => loss,
            Some(before) => Loss {
                packets: before.packets.saturating_add(loss.packets),
                from_ns: before.from_ns.min(loss.from_ns),
                to_ns: before.to_ns.max(loss.to_ns),
                ..before
            },
        });
    }
}

/// One queue's worker.
#[derive(Debug)]
pub struct Worker<C> {
    queue: u16,
    clock: C,
    judge: Judge,
    writer: Option<Writer>,
    counters: Arc<WorkerCounters>,
    steps: StepRecorders,
    notes: Consumer<Note>,
    limit: Arc<CountLimit>,
    ladder: Ladder,
    owed: Owed,
    interfaces: u32,
    /// True if the stamps are of now, so that latencies mean something (not for files).
    live: bool,
    /// The time after the last packet: the next one's start within the same lease.
    now_ns: u64,
    last_stamp: Option<Stamp>,
    last_gap_ns: Option<i64>,
}

/// What a worker is made of.
#[derive(Debug)]
pub struct WorkerParts<C> {
    /// Its queue's number.
    pub queue: u16,
    /// Where time comes from.
    pub clock: C,
    /// Judges its packets.
    pub judge: Judge,
    /// Its journal; none to observe only.
    pub writer: Option<Writer>,
    /// What it counts.
    pub counters: Arc<WorkerCounters>,
    /// What it measures.
    pub steps: StepRecorders,
    /// Facts from the control thread, for the tape.
    pub notes: Consumer<Note>,
    /// `--count`.
    pub limit: Arc<CountLimit>,
    /// What to give up under load.
    pub ladder: Ladder,
    /// False for files.
    pub live: bool,
}

impl<C: Clock> Worker<C> {
    /// A worker that has seen nothing yet.
    pub fn new(parts: WorkerParts<C>) -> Self {
        let WorkerParts { queue, clock, judge, writer, counters, steps, notes, limit, ladder, live } = parts;
        Self {
            queue,
            clock,
            judge,
            writer,
            counters,
            steps,
            notes,
            limit,
            ladder,
            owed: Owed::default(),
            interfaces: 0,
            live,
            now_ns: 0,
            last_stamp: None,
            last_gap_ns: None,
        }
    }

    /// Makes an interface known, on tape too, before its first packet.
    pub fn interface(&mut self, def: &InterfaceDef) {
        self.interfaces += 1;
        self.append_with(|writer| writer.add_interface(def));
    }

    /// Reads a lease's packets, and gives it back.
    pub fn lease(&mut self, mut lease: impl Lease) {
        for def in lease.interfaces() {
            self.interface(def);
        }
        if let Some(loss) = lease.loss() {
            self.loss(loss);
        }
        let taken_ns = lease.taken_ns();
        if self.live {
            self.now_ns = self.clock.now_ns();
        }
        let walked = lease.walk(|packet| {
            self.packet(packet, taken_ns);
            ControlFlow::Continue(())
        });
        if walked.unreadable > 0 {
            self.counters.unreadable.add(walked.unreadable);
            self.owed.packets = self.owed.packets.saturating_add(walked.unreadable);
        }
    }

    /// Puts a loss on tape and remembers it for the next packet's drop count.
    pub fn loss(&mut self, loss: Loss) {
        self.counters.lose(loss.place, loss.packets);
        self.owed.packets = self.owed.packets.saturating_add(loss.packets);
        self.owed.add(loss);
        self.pay_losses();
    }

    /// What can be done when no packet waits: notes, rotation.
    pub fn idle(&mut self) {
        self.take_notes();
        self.pay_losses();
        if let Some(writer) = &mut self.writer {
            writer.idle();
        }
    }

    /// Notes from the control thread go on tape. Called between leases.
    pub fn take_notes(&mut self) {
        while let Ok(note) = self.notes.pop() {
            self.note(&note);
        }
    }

    /// Says how full the ring is, between leases; the ladder decides what to give up.
    pub fn pressure(&mut self, pressed: bool) {
        let Some(change) = self.ladder.observe(pressed, self.clock.monotonic_ns()) else { return };
        self.counters.ladder_level.set(u64::from(change.level));
        let event = Event {
            at_ns: self.clock.now_ns(),
            kind: EventKind::DEGRADED,
            value: i64::from(change.level),
            text: format!("queue {}: {}", self.queue, change.why),
        };
        self.note(&Note::Event(event));
    }

    /// The last losses go on tape, the journal is handed over for sealing; gives back the judge with its feeds.
    pub fn finish(mut self, stats: &InterfaceStats) -> Judge {
        self.take_notes();
        if !self.pay_losses() {
            self.close_with_losses();
        }
        if let Some(writer) = self.writer.take() {
            writer.finish(std::slice::from_ref(stats));
        }
        self.judge
    }

    fn packet(&mut self, mut packet: Packet<'_>, taken_ns: u64) {
        self.counters.seen.add(1);
        self.counters.seen_bytes.add(packet.bytes.len() as u64);
        if !self.limit.take() {
            self.counters.beyond_count.add(1);
            return;
        }
        let started_ns = self.now_ns;
        if !self.live {
            // What a file says was lost before this packet. (A ring's losses come with its leases.)
            self.owed.packets = self.owed.packets.saturating_add(packet.lost_before);
        }
        self.shorten(&mut packet);
        if !self.reserve(&packet) {
            self.lost_at_disk(packet.stamp.ns);
            return;
        }
        let judgement = self.judge(&packet);
        self.counters.judged(judgement.verdict, judgement.findings);
        self.counters.marked(packet.marks);
        self.counters.clocks[packet.stamp.clock.index()].add(1);
        self.write(packet, judgement);
        self.measure(packet.stamp, taken_ns, started_ns);
    }

    /// Deep on the ladder: keeps only the beginning, as the operator allowed.
    fn shorten(&mut self, packet: &mut Packet<'_>) {
        if let Some(keep_bytes) = self.ladder.keep_bytes().filter(|keep| *keep < packet.bytes.len()) {
            packet.bytes = &packet.bytes[..keep_bytes];
            packet.marks.0 |= Marks::SHED_PAYLOAD;
            self.counters.shortened.add(1);
        }
    }

    fn judge(&mut self, packet: &Packet<'_>) -> Judgement {
        if self.ladder.decodes() {
            return self.judge.judge(packet);
        }
        self.counters.not_judged.add(1);
        self.judge.skip();
        Judgement::NOT_JUDGED
    }

    /// True once the journal has room for the packet (and what was lost at the disk before it stands on tape).
    /// What has no room is not judged either: the tape alone decides what a verdict rests on.
    fn reserve(&mut self, packet: &Packet<'_>) -> bool {
        if self.writer.is_none() {
            return true;
        }
        let lost = self.owed.packets;
        self.pay_losses()
            && self.append_with(|writer| {
                writer.reserve(packet.bytes.len(), packet.interface, lost, packet.stamp.ns)
            })
    }

    fn write(&mut self, mut packet: Packet<'_>, judgement: Judgement) {
        if self.writer.is_none() {
            return;
        }
        packet.lost_before = self.owed.packets;
        if self.append_with(|writer| writer.append(&packet, judgement)) {
            self.owed.packets = 0;
            self.counters.written.add(1);
        } else {
            // Room was reserved, so this is only for a journal that failed in between.
            self.lost_at_disk(packet.stamp.ns);
        }
    }

    /// Appends, waiting for the keeper if it is behind. False if the journal cannot take it.
    fn append_with(&mut self, mut append: impl FnMut(&mut Writer) -> Append) -> bool {
        let Some(writer) = &mut self.writer else { return true };
        match append(writer) {
            Append::Written => return true,
            Append::Full => return false,
            Append::NotReady => {}
        }
        // Off the fast path: the next segment is late. The lease is kept, so nothing is lost here.
        let since_ns = self.clock.monotonic_ns();
        let done = loop {
            std::thread::sleep(STALL_NAP);
            match append(writer) {
                Append::Written => break true,
                Append::Full => break false,
                Append::NotReady => {}
            }
        };
        self.counters.stalls.add(1);
        self.counters.stalled_ns.add(self.clock.monotonic_ns().saturating_sub(since_ns));
        done
    }

    fn lost_at_disk(&mut self, stamp_ns: u64) {
        self.judge.skip();
        self.counters.lose(LossPlace::DISK, 1);
        self.owed.packets = self.owed.packets.saturating_add(1);
        self.owed.add(Loss { place: LossPlace::DISK, packets: 1, from_ns: stamp_ns, to_ns: stamp_ns });
    }

    /// Tries to put the losses on tape that do not stand there yet. True if nothing is owed any more.
    fn pay_losses(&mut self) -> bool {
        for at in 0..self.owed.intervals.len() {
            let Some(loss) = self.owed.intervals[at] else { continue };
            if !self.append_with(|writer| writer.note(&Note::Loss(loss))) {
                return false;
            }
            self.owed.intervals[at] = None;
        }
        true
    }

    /// On a full disk the last segment has kept room for what is owed: the losses end the tape.
    fn close_with_losses(&mut self) {
        for loss in self.owed.intervals.iter_mut().filter_map(Option::take) {
            let written = self.writer.as_mut().map(|writer| writer.last_loss(loss));
            if written != Some(Append::Written) {
                self.counters.notes_lost.add(1);
            }
        }
    }

    fn note(&mut self, note: &Note) {
        if !self.append_with(|writer| writer.note(note)) {
            self.counters.notes_lost.add(1);
        }
    }

    fn measure(&mut self, stamp: Stamp, taken_ns: u64, started_ns: u64) {
        if self.live {
            let done_ns = self.clock.now_ns();
            self.now_ns = done_ns;
            self.steps.record(Step::StampToCapture, stamp.clock, delta_ns(taken_ns, stamp.ns));
            self.steps.record(Step::CaptureToWorker, StampClock::NONE, delta_ns(started_ns, taken_ns));
            self.steps.record(Step::WorkerToJournal, StampClock::NONE, delta_ns(done_ns, started_ns));
            self.steps.record(Step::StampToJournal, stamp.clock, delta_ns(done_ns, stamp.ns));
        }
        let Some(last) = self.last_stamp.replace(stamp).filter(|last| last.clock == stamp.clock) else {
            self.last_gap_ns = None;
            return;
        };
        let gap_ns = delta_ns(stamp.ns, last.ns);
        self.steps.record(Step::InterArrival, stamp.clock, gap_ns);
        if let Some(before_ns) = self.last_gap_ns.replace(gap_ns) {
            let change_ns = i64::try_from(gap_ns.abs_diff(before_ns)).unwrap_or(i64::MAX);
            self.steps.record(Step::Jitter, stamp.clock, change_ns);
        }
    }
}

/// How long the worker sleeps between tries while the keeper is behind.
const STALL_NAP: Duration = Duration::from_micros(50);
