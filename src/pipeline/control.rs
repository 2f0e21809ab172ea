//! The control thread while a capture runs: commands, the clocks once a second,
//! the link, the keeper's words, the status line. It never touches a packet.

use super::counters::Step;
use super::queue::Signals;
use super::report::{QueueView, snapshots};
use super::{Command, Hooks};
use crate::capture::af_packet::{HwStampGuard, LinkEvent, LinkWatch};
use crate::clock::{Clock, ClockReading, SystemClock, read_together};
use crate::journal::{Event, EventKind, KeeperHandle, Note};
use crate::packet::{Loss, LossPlace};
use crate::ring::Producer;
use crate::sys::phc::Phc;
use crate::time::delta_ns;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Warnings that the report repeats.
const MOST_WARNINGS: usize = 100;
/// How often commands are looked at.
const TICK: Duration = Duration::from_millis(20);
const LINK_NS: u64 = 200_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// More than NTP may slew in a second (500 ppm), with room for a slow reading: a step.
const STEP_NS: i64 = 2_000_000;

/// Why a capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The source gave nothing more: end of file, or it failed.
    Source,
    /// A signal or command.
    Asked,
    /// `--count`.
    Count,
    /// `--duration`.
    Duration,
    /// `-a filesize`.
    Bytes,
}

impl Ended {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "the source ended",
            Self::Asked => "asked to stop",
            Self::Count => "the count was reached",
            Self::Duration => "the time was up",
            Self::Bytes => "the size was reached",
        }
    }
}

/// The counts of a moment, for the status line and SIGUSR1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Since the capture began, ns.
    pub running_ns: u64,
    /// Packets read by workers.
    pub seen: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets in the last second.
    pub packets_per_s: u64,
    /// Rejected by validation.
    pub rejected: u64,
    /// Lost, all places of this host.
    pub lost: u64,
    /// Median and 99th percentile from stamp to journal, ns, if live.
    pub stamp_to_journal_ns: Option<(u64, u64)>,
    /// Level of the degradation ladder, the deepest of the queues.
    pub ladder: u64,
}

/// An interface that is watched.
#[derive(Debug)]
pub struct Link {
    watch: LinkWatch,
    nic: NicLosses,
    /// What its NIC had dropped before the capture.
    dropped_before: u64,
    /// The first of its queues: losses in the NIC are the interface's, and stand there.
    first_queue: usize,
}

impl Link {
    /// Watches an interface from now on.
    pub fn new(mut watch: LinkWatch, first_queue: usize) -> Self {
        let dropped_before = watch.nic_dropped();
        Self { watch, nic: NicLosses::new(dropped_before), dropped_before, first_queue }
    }
    /// The interface's name.
    pub fn name(&self) -> &str {
        self.watch.name()
    }
    /// Its first queue, and what its NIC has dropped since the capture began.
    pub fn dropped_in_all(&mut self) -> (usize, u64) {
        (self.first_queue, self.watch.nic_dropped().saturating_sub(self.dropped_before))
    }
    /// Takes the guard of the NIC's stamping, for whoever keeps the privilege to put it back.
    pub const fn take_hwstamp_guard(&mut self) -> Option<HwStampGuard> {
        self.watch.take_hwstamp_guard()
    }
    fn event(&mut self) -> Option<(EventKind, String)> {
        let event = self.watch.check()?;
        let name = self.watch.name();
        Some(match event {
            LinkEvent::Up { ifindex } => {
                (EventKind::LINK_UP, format!("{name}: link is up (interface index {ifindex})"))
            }
            LinkEvent::Down => {
                (EventKind::LINK_DOWN, format!("{name}: link is down; the capture waits for it"))
            }
            LinkEvent::Stranded { why } => {
                (EventKind::LINK_DOWN, format!("{name}: came back, but cannot be captured from again: {why}"))
            }
            LinkEvent::Gone => (
                EventKind::LINK_DOWN,
                format!("{name}: the interface is gone; the capture waits for it to come back"),
            ),
        })
    }
}

/// The NIC's losses that stand on tape already.
#[derive(Clone, Copy, Debug)]
struct NicLosses {
    dropped: u64,
    looked_ns: u64,
}

impl NicLosses {
    /// None yet; the NIC's counter stands at `dropped`.
    fn new(dropped: u64) -> Self {
        Self { dropped, looked_ns: SystemClock.now_ns() }
    }
    /// The counter stands at `dropped` now: what came since the last look, if anything.
    fn grown_to(&mut self, dropped: u64, now_ns: u64) -> Option<Loss> {
        let packets = dropped.saturating_sub(self.dropped);
        let from_ns = std::mem::replace(&mut self.looked_ns, now_ns);
        self.dropped = self.dropped.max(dropped);
        (packets > 0).then_some(Loss { place: LossPlace::NIC, packets, from_ns, to_ns: now_ns })
    }
}

/// What the control thread looks after.
#[derive(Debug)]
pub struct Control<'a> {
    /// One a queue.
    pub notes: Vec<Producer<Note>>,
    /// One a queue.
    pub views: &'a [QueueView],
    /// Shared with the data threads.
    pub signals: &'a Signals,
    /// The journal's keeper, if there is a journal.
    pub keeper: Option<KeeperHandle>,
    /// The interfaces, if live.
    pub links: Vec<Link>,
    /// The NIC's clock, if it has one.
    pub phc: Option<Phc>,
    /// `--duration`.
    pub duration: Option<Duration>,
    /// End after so many captured bytes.
    pub stop_bytes: Option<u64>,
    /// `--count` was reached.
    pub count: &'a super::worker::CountLimit,
    /// Things an operator should know, in order.
    pub warnings: Vec<String>,
    /// Notes that no worker could take, because its ring of notes was full.
    pub untold: u64,
}

impl Control<'_> {
    /// Runs until the capture should end or `data_done` says that it has ended by itself.
    pub fn run(&mut self, hooks: &mut dyn Hooks, data_done: &dyn Fn() -> bool) -> Ended {
        let clock = SystemClock;
        let began_ns = clock.monotonic_ns();
        let (mut next_second_ns, mut next_link_ns) = (began_ns, began_ns);
        let mut last_reading: Option<ClockReading> = None;
        let mut last_seen = 0;
        loop {
            if data_done() {
                // A reached count stops the data threads' intake through `stop`, so look at it first.
                return if self.count.reached() { Ended::Count } else { Ended::Source };
            }
            let now_ns = clock.monotonic_ns();
            if let Some(ended) = self.commands(hooks, now_ns - began_ns) {
                return ended;
            }
            if now_ns >= next_link_ns {
                next_link_ns = now_ns + LINK_NS;
                self.look_at_link(hooks);
                self.hear_keeper(hooks);
            }
            if now_ns >= next_second_ns {
                next_second_ns += SECOND_NS;
                last_reading = Some(self.read_clocks(hooks, last_reading));
                self.look_at_nic();
                let mut status = self.status(now_ns - began_ns);
                status.packets_per_s = status.seen - last_seen;
                last_seen = status.seen;
                hooks.status(&status);
            }
            std::thread::sleep(TICK);
        }
    }

    /// Waits for the data threads to drain, still serving what must not wait.
    pub fn drain(&mut self, hooks: &mut dyn Hooks, data_done: &dyn Fn() -> bool) {
        self.signals.stop.store(true, Relaxed);
        while !data_done() {
            self.hear_keeper(hooks);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn commands(&mut self, hooks: &mut dyn Hooks, running_ns: u64) -> Option<Ended> {
        while let Some(command) = hooks.command() {
            match command {
                Command::Stop => return Some(Ended::Asked),
                Command::Counts => {
                    let status = self.status(running_ns);
                    hooks.counts(&status);
                }
                Command::Sync => {
                    if let Some(keeper) = &self.keeper {
                        keeper.sync_now();
                    }
                }
                Command::Rotate => {
                    if let Some(keeper) = &self.keeper {
                        keeper.rotate();
                    }
                }
            }
        }
        if self.count.reached() {
            return Some(Ended::Count);
        }
        let bytes = || self.views.iter().map(|v| v.worker.seen_bytes.get()).sum::<u64>();
        if self.stop_bytes.is_some_and(|limit| bytes() >= limit) {
            return Some(Ended::Bytes);
        }
        let limit = self.duration?;
        (u128::from(running_ns) >= limit.as_nanos()).then_some(Ended::Duration)
    }

    /// Puts `note` on every queue's tape. A full ring means that a worker is far behind: then it is
    /// dropped and counted.
    pub fn tell(&mut self, note: &Note) {
        for notes in &mut self.notes {
            // A worker that has ended takes none; what comes that late is in the log and the report alone.
            if !notes.is_abandoned() && notes.push(note.clone()).is_err() {
                self.untold += 1;
            }
        }
    }

    /// An event on tape and in the log; warnings are repeated in the report.
    pub fn event(&mut self, hooks: &mut dyn Hooks, kind: EventKind, value: i64, text: String) {
        // The start is told by `Hooks::ready`.
        if kind != EventKind::START {
            hooks.log(&text);
        }
        if kind != EventKind::START && kind != EventKind::STOP {
            self.warn(text.clone());
        }
        self.tell(&Note::Event(Event { at_ns: SystemClock.now_ns(), kind, value, text }));
    }

    fn look_at_link(&mut self, hooks: &mut dyn Hooks) {
        let events: Vec<_> = self.links.iter_mut().filter_map(Link::event).collect();
        for (kind, text) in events {
            self.event(hooks, kind, 0, text);
        }
    }

    /// Keeps a warning for the report, up to a number: a capture of weeks must not grow by its own complaints.
    fn warn(&mut self, text: String) {
        match self.warnings.len() {
            0..MOST_WARNINGS => self.warnings.push(text),
            MOST_WARNINGS => {
                self.warnings.push("further warnings are on tape and in the log only".to_owned());
            }
            _ => {}
        }
    }

    /// Losses in the NIC go on the tape of its interface's first queue: they are no queue's own.
    fn look_at_nic(&mut self) {
        for link in &mut self.links {
            if let Some(loss) = link.nic.grown_to(link.watch.nic_dropped(), SystemClock.now_ns())
                && let Some(notes) = self.notes.get_mut(link.first_queue)
            {
                let _ = notes.push(Note::Loss(loss));
            }
        }
    }

    /// Passes on what the keeper has to say.
    pub fn hear_keeper(&mut self, hooks: &mut dyn Hooks) {
        let Some(keeper) = &self.keeper else { return };
        for event in keeper.take_events() {
            self.event(hooks, event.kind, event.value, event.text);
        }
    }

    fn read_clocks(&mut self, hooks: &mut dyn Hooks, last: Option<ClockReading>) -> ClockReading {
        let reading = read_together(self.phc.as_mut());
        self.tell(&Note::Clock(reading));
        if let Some(step_ns) = last.and_then(|last| step_between(&last, &reading)) {
            let text = format!(
                "CLOCK_REALTIME was stepped by {step_ns} ns; stamps before and after are on different scales"
            );
            self.event(hooks, EventKind::CLOCK_STEP, step_ns, text);
        }
        reading
    }

    fn status(&self, running_ns: u64) -> Status {
        let mut status = Status { running_ns, ..Status::default() };
        for view in self.views {
            status.seen += view.worker.seen.get();
            status.bytes += view.worker.seen_bytes.get();
            status.lost += LossPlace::ALL.iter().map(|p| view.worker.lost_at(*p)).sum::<u64>();
            status.ladder = status.ladder.max(view.worker.ladder_level.get());
            let judged: u64 = view.worker.verdicts.iter().skip(2).map(crate::metrics::Counter::get).sum();
            status.rejected += judged;
        }
        let journal = snapshots(self.views)
            .into_iter()
            .filter(|(step, ..)| *step == Step::StampToJournal)
            .max_by_key(|(.., s)| s.count());
        status.stamp_to_journal_ns = journal.map(|(.., s)| (s.quantile_ns(0.5), s.quantile_ns(0.99)));
        status
    }
}

/// By how much `CLOCK_REALTIME` moved against `CLOCK_MONOTONIC_RAW`, if more than slewing explains.
fn step_between(before: &ClockReading, after: &ClockReading) -> Option<i64> {
    let real_ns = delta_ns(after.realtime_ns, before.realtime_ns);
    let raw_ns = delta_ns(after.monotonic_raw_ns, before.monotonic_raw_ns);
    let step_ns = real_ns.saturating_sub(raw_ns);
    let doubt_ns = i64::from(before.uncertainty_ns) + i64::from(after.uncertainty_ns) + raw_ns / 2000;
    (step_ns.saturating_abs() > STEP_NS.saturating_add(doubt_ns)).then_some(step_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(realtime_ns: u64, monotonic_raw_ns: u64) -> ClockReading {
        ClockReading { realtime_ns, monotonic_raw_ns, uncertainty_ns: 100, ..ClockReading::default() }
    }

    #[test]
    fn what_the_nic_lost_is_told_once_with_its_interval() {
        let mut nic = NicLosses { dropped: 5, looked_ns: 100 };
        assert_eq!(nic.grown_to(5, 200), None);
        let loss = Loss { place: LossPlace::NIC, packets: 3, from_ns: 200, to_ns: 300 };
        assert_eq!(nic.grown_to(8, 300), Some(loss));
        // A counter that went back (the interface was made anew) is no loss.
        assert_eq!(nic.grown_to(1, 400), None);
    }

    #[test]
    fn a_step_is_noticed_and_slewing_is_not() {
        let before = reading(1_000_000_000_000, 5_000_000_000);
        assert_eq!(step_between(&before, &reading(1_001_000_500_000, 6_000_000_000)), None);
        let stepped = reading(1_001_100_000_000, 6_000_000_000);
        assert_eq!(step_between(&before, &stepped), Some(100_000_000));
        let back = reading(964_000_000_000, 6_000_000_000);
        assert_eq!(step_between(&before, &back), Some(-37_000_000_000));
    }
}
