//! One round: a paced load on a veth pair, and one way of capturing it. Shared by `bench/latency.rs` and
//! `tests/latency.rs`, so that both measure the same thing.
//!
//! The load is the same in every round: the sender has a CPU of its own, the capture another, and the kernel's
//! receive work runs on the sender's (veth delivers where it was sent). All frames of a round are counted.

#![allow(dead_code, reason = "bench and test each use their own part of this")]

use super::bare::{BareRing, Geometry};
use core_affinity::CoreId;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use wiretape::capture::af_packet::{self, Mode, RingOptions};
use wiretape::journal::JournalOptions;
use wiretape::lab::net::Lab;
use wiretape::lab::plain::{PlainPlan, Shape};
use wiretape::lab::send::{Pace, SendOptions, Sent, send};
use wiretape::metrics::{Snapshot, histogram};
use wiretape::pipeline::counters::Step;
use wiretape::pipeline::ladder::Shed;
use wiretape::pipeline::placement::{self, Layout, Pair};
use wiretape::pipeline::{CaptureConfig, Command, Hooks, Input, LiveInput, run};
use wiretape::sys::sched;
use wiretape::validate::JudgeConfig;

const FRAME_BYTES: usize = 256;
/// Between the last frame and the stop.
const SETTLE: Duration = Duration::from_millis(20);

/// A way of capturing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The limit.
    Bare,
    /// `TPACKET_V2`, spinning, one thread: the default on two CPUs.
    V2Fused,
    /// `TPACKET_V2`, spinning, two threads.
    V2Split,
    /// `TPACKET_V2`, sleeping in poll(2).
    V2Poll,
    /// `TPACKET_V3`, sleeping in poll(2), blocks retired after so many ms.
    V3 { retire_ms: u32 },
}

impl Variant {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Bare => "bare V2 spin loop".to_owned(),
            Self::V2Fused => "wiretape V2 spin, fused".to_owned(),
            Self::V2Split => "wiretape V2 spin, split".to_owned(),
            Self::V2Poll => "wiretape V2 poll, fused".to_owned(),
            Self::V3 { retire_ms } => format!("wiretape V3 poll, {retire_ms} ms"),
        }
    }
}

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) capture: usize,
    pub(crate) worker: usize,
    pub(crate) sender: usize,
}

/// The program's own choice for the capture; the sender gets a CPU that is left, or the split worker's.
/// `None` with one CPU: sender and spinning capture would take turns, which measures the scheduler.
pub(crate) fn places() -> Option<Places> {
    let cpus = placement::cpus();
    let (_, pairs) = placement::choose(Layout::Split, 1, &cpus, &[]);
    let (capture, worker) = pairs.first().and_then(|pair| pair.capture.zip(pair.worker))?;
    let sender = cpus.iter().map(|cpu| cpu.id).find(|id| *id != capture && *id != worker);
    Some(Places { capture, worker, sender: sender.unwrap_or(worker) })
}

/// What is the same in every round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) per_second: u64,
    pub(crate) seconds: f64,
    pub(crate) places: Places,
    /// Real-time priority of sender and capture alike; if the host refuses it, neither has it. Not with a split
    /// layout whose worker shares the sender's CPU: a real-time worker that spins would keep the sender out.
    pub(crate) fifo: Option<u8>,
}

impl Load {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small"
    )]
    fn frames(&self) -> u64 {
        (self.per_second as f64 * self.seconds) as u64
    }
}

impl Load {
    /// True if this variant can run under this load, see [`Load::fifo`].
    pub(crate) fn suits(&self, variant: Variant) -> bool {
        variant != Variant::V2Split || self.fifo.is_none() || self.places.worker != self.places.sender
    }
}

/// What a round found.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) variant: Variant,
    pub(crate) sent: u64,
    pub(crate) captured: u64,
    pub(crate) lost: u64,
    /// Clock of the stamps. One a round, or its histogram would mean nothing.
    pub(crate) clock: String,
    pub(crate) stamp_to_capture: Snapshot,
    pub(crate) stamp_to_journal: Option<Snapshot>,
    /// The latest that a frame left after it was due, ns: the sender's own pauses.
    pub(crate) sender_latest_ns: u64,
    /// `/proc/loadavg` when it ended.
    pub(crate) load_average: String,
}

fn settle(cpu: usize, fifo: Option<u8>) {
    core_affinity::set_for_current(CoreId { id: cpu });
    if let Some(priority) = fifo {
        // Refused to all alike, see `Load::fifo`.
        let _ = sched::set_fifo(priority);
    }
}

fn start_sender(load: Load) -> JoinHandle<Sent> {
    std::thread::spawn(move || {
        settle(load.places.sender, load.fifo);
        let plan = PlainPlan::new(1, &[Shape { frame_len: FRAME_BYTES, tags: Vec::new(), ipv6: false }]);
        let options = SendOptions {
            interface: Lab::SENDER.to_owned(),
            pace: Pace::PerSecond(load.per_second),
            max_frames: Some(load.frames()),
            max_duration: None,
            qdisc_bypass: true,
        };
        let mut id = 0;
        let make = |out: &mut Vec<u8>| {
            plan.append(id, out);
            id += 1;
            true
        };
        let sent = send(&options, make, &AtomicBool::new(false)).expect("the veth end takes frames");
        std::thread::sleep(SETTLE);
        sent
    })
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// Runs one round in the calling thread's laboratory; journals go below `dir`.
pub(crate) fn round(variant: Variant, load: Load, dir: &Path) -> Round {
    match variant {
        Variant::Bare => bare(load),
        _ => wiretape(variant, load, dir),
    }
}

/// The geometry that the ring under test gets with its default options.
fn geometry() -> Geometry {
    let granted = af_packet::open(&RingOptions::new(Lab::RECEIVER)).expect("a ring can be opened").granted;
    // The kernel was told blocks; the smallest power of two that gives as many frames is the same cut.
    let ring_bytes = u32::try_from(granted.ring_bytes).expect("the default ring is small");
    let block_bytes = (12..=22)
        .map(|bits| 1_u32 << bits)
        .find(|block| {
            ring_bytes.is_multiple_of(*block)
                && block / granted.unit_bytes * (ring_bytes / block) == granted.units
        })
        .expect("the granted ring is made of blocks");
    Geometry { block_bytes, blocks: ring_bytes / block_bytes, frame_bytes: granted.unit_bytes }
}

fn bare(load: Load) -> Round {
    let mut ring = BareRing::open(Lab::RECEIVER, geometry()).expect("a bare ring can be opened");
    let (mut recorder, reader) = histogram();
    let stop = AtomicBool::new(false);
    let (walked, sent) = std::thread::scope(|scope| {
        let stop = &stop;
        let walker = scope.spawn(move || {
            settle(load.places.capture, load.fifo);
            ring.walk(&mut recorder, stop).expect("the ring can be walked")
        });
        let sent = start_sender(load).join().expect("the sender ends");
        stop.store(true, Relaxed);
        (walker.join().expect("the walk ends"), sent)
    });
    Round {
        variant: Variant::Bare,
        sent: sent.frames,
        captured: walked.packets,
        lost: walked.lost,
        clock: match walked.stamped_early {
            0 => "kernel".to_owned(),
            n if n == walked.packets => "sw".to_owned(),
            _ => "mixed".to_owned(),
        },
        stamp_to_capture: reader.snapshot(),
        stamp_to_journal: None,
        sender_latest_ns: sent.latest_ns,
        load_average: load_average(),
    }
}

/// Starts the sender when the capture is ready, and stops the capture when all was sent.
struct Driver {
    load: Load,
    sender: Option<JoinHandle<Sent>>,
    sent: Sent,
}

impl Hooks for Driver {
    fn command(&mut self) -> Option<Command> {
        let sender = self.sender.take_if(|sender| sender.is_finished())?;
        self.sent = sender.join().expect("the sender ends");
        Some(Command::Stop)
    }
    fn ready(&mut self, _source: &str) {
        self.sender = Some(start_sender(self.load));
    }
}

fn wiretape(variant: Variant, load: Load, dir: &Path) -> Round {
    let journal = dir.join("journal");
    // Left by an earlier round, or not there.
    let _ = std::fs::remove_dir_all(&journal);
    let spin = matches!(variant, Variant::V2Fused | Variant::V2Split);
    let mut ring = RingOptions { spin, ..RingOptions::new(Lab::RECEIVER) };
    if let Variant::V3 { retire_ms } = variant {
        ring = RingOptions { mode: Mode::Throughput, retire_ms, ..ring };
    }
    let layout = if variant == Variant::V2Split { Layout::Split } else { Layout::Fused };
    let config = CaptureConfig {
        events: false,
        input: Input::Live(vec![LiveInput { ring, queues: 1 }]),
        journal: Some(JournalOptions { segment_bytes: 64 << 20, ..JournalOptions::new(&journal) }),
        judge: JudgeConfig::default(),
        layout,
        cpus: vec![Pair { capture: Some(load.places.capture), worker: Some(load.places.worker) }],
        fifo: load.fifo,
        dma_latency_us: None,
        lock_memory: false,
        lockdown: None,
        spin,
        shed: Shed::Nothing,
        count: None,
        duration: None,
        stop_bytes: None,
        version: "bench".to_owned(),
    };
    let mut driver = Driver { load, sender: None, sent: Sent::default() };
    let finished = run(config, &mut driver).expect("the capture starts");
    let report = &finished.report;
    assert!(report.failure.is_none() && report.adds_up(), "{report:?}");
    let of = |step: Step| {
        let mut found = finished
            .snapshots
            .iter()
            .filter(|(s, _, snapshot)| *s == step && snapshot.count() > 0)
            .map(|(_, clock, snapshot)| (*clock, snapshot.clone()));
        let first = found.next().unwrap_or_default();
        (first, found.next().is_some())
    };
    let ((clock, stamp_to_capture), mixed) = of(Step::StampToCapture);
    let ((_, stamp_to_journal), _) = of(Step::StampToJournal);
    Round {
        variant,
        sent: driver.sent.frames,
        captured: report.packets.on_tape,
        lost: report.lost_packets(),
        clock: if mixed { "mixed".to_owned() } else { clock.map_or("none", |c| c.name()).to_owned() },
        stamp_to_capture,
        stamp_to_journal: Some(stamp_to_journal),
        sender_latest_ns: driver.sent.latest_ns,
        load_average: load_average(),
    }
}

/// The middle one (the lower of two).
pub(crate) fn median<T: PartialOrd + Copy>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    sorted[(sorted.len() - 1) / 2]
}

/// `candidate`'s p50 over `limit`'s, round by round.
#[expect(clippy::cast_precision_loss, reason = "a ratio of small numbers")]
pub(crate) fn ratios(rounds: &[Round], candidate: Variant, limit: Variant) -> Vec<f64> {
    let p50 = |variant| {
        rounds.iter().filter(move |r| r.variant == variant).map(|r| r.stamp_to_capture.quantile_ns(0.5))
    };
    p50(candidate).zip(p50(limit)).map(|(c, l)| c as f64 / l.max(1) as f64).collect()
}
