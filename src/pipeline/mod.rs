//! The joiner: opens sources and journal, starts the threads, waits, reports.
//!
//! `capture thread → ring → worker → journal`, one chain a queue; the keeper and the
//! control thread beside them. What each thread may do is in `docs/architecture.md`.

pub mod control;
pub mod counters;
pub mod events;
pub mod fingerprint;
pub mod ladder;
pub mod lockdown;
pub mod placement;
pub mod queue;
pub mod report;
pub mod worker;

use crate::capture::af_packet::{self, Fanout, Granted, Mode, OpenError, OpenedQueues, Ring, RingOptions};
use crate::capture::file::{FileOptions, FileSource};
use crate::capture::{Lease, Source, SourceError};
use crate::clock::{Clock, SystemClock};
use crate::feed::FeedConfig;
use crate::journal::manifest::{self, Manifest};
use crate::journal::{
    EventKind, Journal, JournalError, JournalOptions, Keeper, KeeperReport, Recovery, State, Writer,
};
use crate::packet::{InterfaceDef, LossPlace};
use crate::pcapng::write::InterfaceStats;
use crate::ring::{Consumer, ring};
use crate::sys::guard_process::{GuardProcess, keep_in_child};
use crate::sys::phc::Phc;
use crate::time::StampClock;
use crate::validate::{Judge, JudgeConfig};
use control::{Control, Link, Status};
use counters::{CaptureCounters, WorkerCounters, step_histograms};
use ladder::{Ladder, Shed};
use lockdown::{Lock, Lockdown, LockdownError, Role};
use placement::{Layout, Pair, Quiet};
use queue::{Handed, Signals, capture_is_done, capture_loop, fused_loop, worker_loop};
use report::{JournalPart, QueueView, Report};
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;
use worker::{CountLimit, Worker, WorkerParts};

/// Where packets come from.
#[derive(Debug)]
pub enum Input {
    /// Interfaces, each over queues of its own.
    Live(Vec<LiveInput>),
    /// A capture file.
    File(FileOptions),
}

/// One interface to capture from.
#[derive(Debug)]
pub struct LiveInput {
    /// How its rings are opened.
    pub ring: RingOptions,
    /// Over how many queues.
    pub queues: u16,
}

/// A capture, fully decided.
#[derive(Debug)]
pub struct CaptureConfig {
    /// Where packets come from.
    pub input: Input,
    /// Where they are kept; none to observe only.
    pub journal: Option<JournalOptions>,
    /// Make events of the configured feeds while capturing (with a journal only; it can be done later, too).
    pub events: bool,
    /// How they are judged.
    pub judge: JudgeConfig,
    /// Thread layout.
    pub layout: Layout,
    /// CPUs the user named; empty = chosen.
    pub cpus: Vec<Pair>,
    /// `SCHED_FIFO` priority of the data threads.
    pub fifo: Option<u8>,
    /// `/dev/cpu_dma_latency`, µs.
    pub dma_latency_us: Option<u32>,
    /// Lock memory.
    pub lock_memory: bool,
    /// What is given up before the first packet is parsed; `None`: nothing, and report and tape say so.
    pub lockdown: Option<Lockdown>,
    /// Spin rather than sleep.
    pub spin: bool,
    /// What may be given up under load.
    pub shed: Shed,
    /// End after so many packets.
    pub count: Option<u64>,
    /// End after so long.
    pub duration: Option<Duration>,
    /// End after so many captured bytes.
    pub stop_bytes: Option<u64>,
    /// Version line for report and tape.
    pub version: String,
}

/// What the user may ask for while a capture runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// End cleanly.
    Stop,
    /// Print counts.
    Counts,
    /// Sync the journal.
    Sync,
    /// Begin new segments.
    Rotate,
}

/// How the surroundings take part in a capture: commands in, words out. Called on the control thread only.
pub trait Hooks {
    /// The next command, if there is one.
    fn command(&mut self) -> Option<Command> {
        None
    }
    /// Everything is open and running: from now on packets are captured.
    fn ready(&mut self, _source: &str) {}
    /// Once a second.
    fn status(&mut self, _status: &Status) {}
    /// Counts that were asked for.
    fn counts(&mut self, _status: &Status) {}
    /// A line for the log.
    fn log(&mut self, _line: &str) {}
}

/// Why a capture could not start. Once it has started, what goes wrong is in the report.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The interface.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lockdown.
    #[error(transparent)]
    Lockdown(#[from] LockdownError),
    /// The process that puts a NIC's stamping back.
    #[error("the process that puts the NIC's stamping back cannot be started: {0}")]
    Guard(std::io::Error),
}

/// A finished capture.
#[derive(Debug)]
pub struct Finished {
    /// For people and machines.
    pub report: Report,
    /// The histograms behind the report's table.
    pub snapshots: Vec<(counters::Step, Option<crate::time::StampClock>, crate::metrics::Snapshot)>,
}

/// What all threads of a capture share.
struct Shared {
    signals: Signals,
    limit: Arc<CountLimit>,
    views: Vec<QueueView>,
    /// Threads that have not ended yet.
    running: AtomicUsize,
    /// All data threads and the control thread meet here before the first packet is taken.
    start: Barrier,
    refused: Mutex<Vec<String>>,
    fifo: Option<u8>,
    lock: Option<Lock>,
    /// A thread could not be locked down: the capture must not go on.
    unlocked: Mutex<Option<String>>,
}

impl Shared {
    /// First thing a data thread does: name its place, then wait for the others.
    fn settle(&self, cpu: Option<usize>) {
        let refused = placement::settle(cpu, self.fifo);
        if !refused.is_empty()
            && let Ok(mut all) = self.refused.lock()
        {
            all.extend(refused);
        }
        self.lock_down(Role::Data);
        self.start.wait();
    }
    /// Allows the calling thread only what its role needs. If that fails, all intake stops.
    fn lock_down(&self, role: Role) {
        if let Some(Err(error)) = self.lock.as_ref().map(|lock| lock.role(role)) {
            self.signals.stop.store(true, Release);
            if let Ok(mut unlocked) = self.unlocked.lock() {
                unlocked.get_or_insert(error);
            }
        }
    }
    fn thread_ends(&self) {
        self.running.fetch_sub(1, Release);
    }
}

/// What a queue's threads leave behind.
struct QueueEnd {
    worker: Worker<SystemClock>,
    result: Result<(), SourceError>,
}

/// The thread or threads of one queue.
enum QueueThreads<'scope> {
    Fused(ScopedJoinHandle<'scope, QueueEnd>),
    Split(ScopedJoinHandle<'scope, Result<(), SourceError>>, ScopedJoinHandle<'scope, Worker<SystemClock>>),
}

impl QueueThreads<'_> {
    fn join(self) -> QueueEnd {
        match self {
            Self::Fused(thread) => joined(thread),
            Self::Split(capture, worker) => {
                let result = joined(capture);
                QueueEnd { worker: joined(worker), result }
            }
        }
    }
}

/// A data thread cannot fail but by panic, and then the whole program must (release builds abort at once).
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Starts the threads of a queue.
fn start_queue<'scope, S>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared,
    queue: usize,
    mut source: S,
    mut worker: Worker<SystemClock>,
    place: (bool, Pair),
    ring_capacity: usize,
) -> QueueThreads<'scope>
where
    S: Source + 'scope,
    S::Lease: Lease + 'scope,
{
    let (fused, pair) = place;
    let counters = Arc::clone(&shared.views[queue].capture);
    if fused {
        return QueueThreads::Fused(named(scope, format!("wt-fused-{queue}"), move || {
            shared.settle(pair.capture);
            let result = fused_loop(&mut source, &mut worker, &shared.signals, &counters, SystemClock);
            shared.thread_ends();
            QueueEnd { worker, result }
        }));
    }
    let (mut out, mut input): (_, Consumer<Handed<S::Lease>>) = ring(ring_capacity);
    let done = Arc::new(AtomicBool::new(false));
    let capture_done = Arc::clone(&done);
    let capture = named(scope, format!("wt-capture-{queue}"), move || {
        shared.settle(pair.capture);
        let result = capture_loop(&mut source, &mut out, &shared.signals, &counters, SystemClock);
        capture_is_done(&done);
        shared.thread_ends();
        result
    });
    let worker = named(scope, format!("wt-worker-{queue}"), move || {
        shared.settle(pair.worker);
        worker_loop(&mut worker, &mut input, &shared.signals, &capture_done);
        shared.thread_ends();
        worker
    });
    QueueThreads::Split(capture, worker)
}

/// Spawns a thread with a name that `top -H`, `perf` and `strace` show.
fn named<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    body: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    #[expect(
        clippy::expect_used,
        reason = "no thread at the start of a capture: the host is out of memory or pids"
    )]
    std::thread::Builder::new().name(name).spawn_scoped(scope, body).expect("a thread can be started")
}

/// The opened source of every queue.
enum Sources {
    Rings(Vec<Ring>),
    File(Vec<FileSource>),
}

/// An opened input: its sources and what is known about them.
struct OpenInput {
    sources: Sources,
    /// The interface of each queue; none for a file, whose interfaces come with its packets.
    interfaces: Vec<InterfaceDef>,
    links: Vec<Link>,
    words: String,
    warnings: Vec<String>,
    live: bool,
    phc_index: Option<u32>,
    /// The driver promised to stamp every packet.
    nic_stamps: bool,
    /// Leases that each queue's ring has.
    capacities: Vec<usize>,
}

fn open_input(input: Input) -> Result<OpenInput, StartError> {
    match input {
        Input::File(options) => {
            let words = format!("file {}", options.path);
            let source = FileSource::open(options)?;
            Ok(OpenInput {
                sources: Sources::File(vec![source]),
                interfaces: Vec::new(),
                links: Vec::new(),
                words,
                warnings: Vec::new(),
                live: false,
                phc_index: None,
                nic_stamps: false,
                capacities: vec![FILE_BATCHES],
            })
        }
        Input::Live(inputs) => open_live(inputs),
    }
}

fn open_live(inputs: Vec<LiveInput>) -> Result<OpenInput, StartError> {
    let (mut all_rings, mut interfaces, mut links) = (Vec::new(), Vec::new(), Vec::new());
    let (mut words, mut warnings, mut capacities) = (Vec::new(), Vec::new(), Vec::new());
    let (mut phc_index, mut nic_stamps) = (None, false);
    for LiveInput { ring, queues } in inputs {
        let opened = af_packet::open_queues(&ring, queues)?;
        let OpenedQueues { rings, interface, warnings: said, link } = opened;
        warnings.extend(said);
        if queues > 1 && ring.fanout == Fanout::LoadBalance {
            warnings.push(
                "--fanout lb deals the packets of one feed to several queues, each of which sees gaps; \
                 use hash to keep a feed together"
                    .to_owned(),
            );
        }
        links.push(Link::new(link, all_rings.len()));
        words.extend(rings.first().map(|(_, granted)| granted_words(&interface, granted, rings.len())));
        for (ring, granted) in rings {
            phc_index = phc_index.or(granted.phc_index);
            nic_stamps |= granted.hardware_stamps;
            capacities.push(usize::try_from(granted.units).unwrap_or(usize::MAX));
            interfaces.push(interface.clone());
            all_rings.push(ring);
        }
    }
    Ok(OpenInput {
        sources: Sources::Rings(all_rings),
        interfaces,
        links,
        words: words.join("; "),
        warnings,
        live: true,
        phc_index,
        nic_stamps,
        capacities,
    })
}

/// What was granted, in one line.
fn granted_words(interface: &InterfaceDef, granted: &Granted, queues: usize) -> String {
    let mode = match granted.mode {
        Mode::Latency => "latency mode (TPACKET_V2)".to_owned(),
        Mode::Throughput => {
            let retire_ns = granted.retire_ns.unwrap_or(0);
            format!("throughput mode (TPACKET_V3, blocks retire after {} µs)", retire_ns / 1000)
        }
    };
    let spread =
        granted.fanout.map(|(_, kind)| format!(", {queues} queues by {}", kind.name())).unwrap_or_default();
    format!(
        "{}, {mode}{spread}, ring of {} KiB in {} of {} bytes, packets up to {} bytes, stamps: {}",
        interface.name,
        granted.ring_bytes / 1024,
        granted.units,
        granted.unit_bytes,
        granted.longest_packet_bytes,
        granted.stamps
    )
}

/// Runs a capture from the first packet to the report.
///
/// # Errors
/// [`StartError`] if it could not start. A failure after that is [`Report::failure`].
pub fn run(config: CaptureConfig, hooks: &mut dyn Hooks) -> Result<Finished, StartError> {
    let began_ns = SystemClock.now_ns();
    let mut warnings = Vec::new();
    let (mut tape, mut input) = open_both(config.journal, config.input, &mut warnings)?;
    let feeds = if config.events { config.judge.feeds.as_slice() } else { &[] };
    let mut events_parts = tape.as_mut().and_then(|tape| tape.events(feeds, input.live));
    warnings.append(&mut input.warnings);
    let capacities = std::mem::take(&mut input.capacities);
    let queues = capacities.len();
    let (fused, pairs) = placement::choose(config.layout, queues, &placement::cpus(), &config.cpus);
    let threads = if fused { queues } else { 2 * queues };

    let stop = Arc::new(AtomicBool::new(false));
    let limit = Arc::new(CountLimit::new(config.count, Arc::clone(&stop)));
    let (mut views, mut note_ends, mut workers) = (Vec::new(), Vec::new(), Vec::new());
    let (dir, mut writers, keeper) = match tape {
        Some(OpenTape { dir, writers, keeper, .. }) => (Some(dir), writers, Some(keeper)),
        None => (None, Vec::new(), None),
    };
    writers.reverse();
    for queue in 0..queues {
        let (recorders, steps) = step_histograms();
        let (note_end, notes) = ring(NOTES);
        let view = QueueView {
            capture: Arc::new(CaptureCounters::default()),
            worker: Arc::new(WorkerCounters::default()),
            steps,
        };
        workers.push(Worker::new(WorkerParts {
            queue: u16::try_from(queue).unwrap_or(u16::MAX),
            clock: SystemClock,
            judge: Judge::new(&config.judge),
            writer: writers.pop(),
            counters: Arc::clone(&view.worker),
            steps: recorders,
            notes,
            limit: Arc::clone(&limit),
            ladder: Ladder::new(if input.live { config.shed } else { Shed::Nothing }),
            live: input.live,
        }));
        views.push(view);
        note_ends.push(note_end);
    }
    let handle = keeper.as_ref().map(Keeper::handle);
    let phc = input.phc_index.and_then(|index| Phc::open(index).ok());
    let (quiet, mut refused) = Quiet::ask(config.dma_latency_us);
    warnings.append(&mut refused);
    // Rings and the journal's first segments are mapped; of what comes, only stacks are not locked.
    warnings.extend(placement::lock_memory(config.lock_memory));
    // From here on nothing is opened that needs a privilege; the first packet is parsed after this.
    let kept = config.lockdown.is_some().then(|| keep_stamping(&mut input.links)).transpose();
    let _guards = kept.map_err(StartError::Guard)?;
    let lock = config.lockdown.as_ref().map(|asked| lockdown::enter(asked, dir.as_deref().map(Path::new)));
    let lock = lock.transpose()?;
    let mut keeper = keeper;
    if let (Some(_), Some(keeper)) = (&lock, &mut keeper) {
        keeper.directory_is_current();
        if let Some(events) = &mut events_parts {
            Path::new(".").clone_into(&mut events.journal);
        }
    }
    let said = lock.as_ref().map_or_else(|| NOT_LOCKED.to_owned(), |lock| lock.words.clone());
    let shared = Shared {
        signals: Signals { stop, spin: config.spin },
        limit,
        views,
        running: AtomicUsize::new(threads),
        start: Barrier::new(threads + 1),
        refused: Mutex::new(Vec::new()),
        fifo: config.fifo,
        lock,
        unlocked: Mutex::new(None),
    };
    let mut control = Control {
        notes: note_ends,
        views: &shared.views,
        signals: &shared.signals,
        keeper: handle.clone(),
        links: std::mem::take(&mut input.links),
        phc,
        duration: config.duration,
        stop_bytes: config.stop_bytes,
        count: &shared.limit,
        warnings,
        untold: 0,
    };
    let keeper_stop = AtomicBool::new(false);
    let mut report = Report {
        version: config.version,
        source: input.words,
        lockdown: said,
        began_ns,
        ..Report::default()
    };
    let events_state = events::Shared::default();

    std::thread::scope(|scope| {
        let stop = &keeper_stop;
        let keeper_thread = keeper.map(|keeper| {
            let shared = &shared;
            named(scope, "wt-keeper".to_owned(), move || {
                keeper.run_settled(stop, &|| shared.lock_down(Role::Keeper))
            })
        });
        let began = format!("capture began on {}; lockdown: {}", report.source, report.lockdown);
        control.event(hooks, EventKind::START, 0, began);
        for (queue, worker) in workers.iter_mut().enumerate() {
            // Waits for the keeper's first segment, so that the first packet finds it ready.
            if let Some(interface) = input.interfaces.get(queue) {
                worker.interface(interface);
            }
            worker.take_notes();
        }
        let places = pairs.iter().map(|pair| (fused, *pair)).zip(capacities);
        let mut chains = Vec::new();
        match &mut input.sources {
            Sources::File(files) => {
                let chain = files.drain(..).zip(workers.drain(..)).enumerate().zip(places);
                for ((queue, (file, worker)), (place, capacity)) in chain {
                    chains.push(start_queue(scope, &shared, queue, file, worker, place, capacity));
                }
            }
            Sources::Rings(rings) => {
                let chain = rings.iter_mut().zip(workers.drain(..)).enumerate().zip(places);
                for ((queue, (ring, worker)), (place, capacity)) in chain {
                    chains.push(match ring {
                        Ring::V2(r) => {
                            start_queue(scope, &shared, queue, r.source(), worker, place, capacity)
                        }
                        Ring::V3(r) => {
                            start_queue(scope, &shared, queue, r.source(), worker, place, capacity)
                        }
                    });
                }
            }
        }
        let events_thread = events_parts.take().map(|parts| {
            let (state, shared) = (&events_state, &shared);
            named(scope, events::THREAD_NAME.to_owned(), move || {
                shared.lock_down(Role::Events);
                events::run(&parts, state)
            })
        });
        // Starts no thread any more.
        shared.lock_down(Role::Control);
        shared.start.wait();
        report.failure = shared.unlocked.lock().map_or(None, |mut unlocked| unlocked.take());
        if let Ok(mut refused) = shared.refused.lock() {
            control.warnings.append(&mut refused);
        }
        for warning in &control.warnings {
            hooks.log(&format!("warning: {warning}"));
        }
        hooks.ready(&report.source);

        let data_done = || shared.running.load(Acquire) == 0;
        let ended = control.run(hooks, &data_done);
        control.event(hooks, EventKind::STOP, 0, format!("capture ends: {}", ended.name()));
        control.drain(hooks, &data_done);
        ended.name().clone_into(&mut report.ended);

        let nic_dropped: BTreeMap<usize, u64> = control.links.iter_mut().map(Link::dropped_in_all).collect();
        for (queue, chain) in chains.into_iter().enumerate() {
            let QueueEnd { worker, result } = chain.join();
            if let Err(error) = result {
                report.failure.get_or_insert(error.to_string());
            }
            let capture = &shared.views[queue].capture;
            // A file's counts are of the whole file, whose packets may be of several interfaces: only what the
            // writer counts itself is true of each.
            let stats = if input.live {
                live_statistics(capture, nic_dropped.get(&queue).copied())
            } else {
                InterfaceStats::default()
            };
            let judge = worker.finish(&stats);
            report.feeds.extend(judge.feeds());
        }
        keeper_stop.store(true, Release);
        if let Some(thread) = keeper_thread {
            let kept = joined(thread);
            control.hear_keeper(hooks);
            let lost: u64 = shared.views.iter().map(|v| v.worker.lost_at(LossPlace::DISK)).sum();
            // A disk without room for a segment that was not needed any more is a warning, and was told as one.
            if kept.stats.state == State::Failed || (kept.stats.state == State::Full && lost > 0) {
                report.failure.get_or_insert(format!(
                    "journal {}: {}",
                    kept.stats.state.name(),
                    kept.stats.reason
                ));
            }
            let part = journal_part(dir.unwrap_or_default(), shared.lock.is_some(), &kept, &shared.views);
            let mut part = part;
            part.notes_lost += control.untold;
            report.journal = Some(part);
        }
        report.ended_ns = SystemClock.now_ns();
        if let Some(thread) = events_thread {
            events_state.wait(
                hooks,
                &|| thread.is_finished(),
                shared.views.iter().map(|view| view.worker.written.get()).sum(),
            );
            let mut part = joined(thread);
            if let (Some(_), Some(journal)) = (&shared.lock, &report.journal) {
                // The thread knows the journal as its working directory; people know it by its name.
                part.dir = Path::new(&journal.dir).join(&part.dir).display().to_string().replace("/./", "/");
            }
            control.warnings.extend(part.warning());
            report.events = Some(part);
        }
        report::add_counts(&mut report, &shared.views, nic_dropped.values().sum(), handle.is_some());
    });
    drop(quiet);
    report.warnings = std::mem::take(&mut control.warnings);
    report.warnings.extend(afterthoughts(&report, &control, input.nic_stamps));
    let snapshots = report::snapshots(&shared.views);
    report.latencies = report::latency_rows(&snapshots);
    Ok(Finished { report, snapshots })
}

/// What report and tape say without a lockdown.
const NOT_LOCKED: &str = "NONE: packets are parsed with all privileges that the program was given";

/// The NICs' stamping is put back by a process that keeps the privilege and reads no packet.
fn keep_stamping(links: &mut [Link]) -> std::io::Result<Vec<GuardProcess>> {
    links.iter_mut().filter_map(Link::take_hwstamp_guard).map(keep_in_child).collect()
}

/// What the kernel counted on one queue, for the tape. The NIC's count is the whole interface's: it stands once, on
/// the interface's first queue.
fn live_statistics(capture: &CaptureCounters, nic_dropped: Option<u64>) -> InterfaceStats {
    InterfaceStats {
        received: Some(capture.received.get()),
        dropped: nic_dropped,
        filter_accepted: Some(capture.received.get()),
        os_dropped: Some(capture.ring_dropped.get()),
        ..InterfaceStats::default()
    }
}

/// Opens journal and input. An interface is opened last, so that its ring does not fill while a journal is recovered;
/// but what can be known of it is asked first, so that a mistyped name leaves no journal behind.
fn open_both(
    journal: Option<JournalOptions>,
    input: Input,
    warnings: &mut Vec<String>,
) -> Result<(Option<OpenTape>, OpenInput), StartError> {
    let input = match input {
        Input::File(_) => Err(open_input(input)?),
        Input::Live(inputs) => {
            inputs.iter().try_for_each(|input| af_packet::probe(&input.ring))?;
            Ok(Input::Live(inputs))
        }
    };
    let mut tape = None;
    if let Some(options) = journal {
        let dir = options.dir.display().to_string();
        let (path, sync_interval) = (options.dir.clone(), options.sync_interval);
        let (journal, recovery) = Journal::open(options)?;
        warnings.extend(recovery_words(&recovery));
        warnings.extend(events::recover(&path));
        let (capture_id, first_segments) = (journal.capture_id(), journal.first_segments().to_vec());
        let (writers, keeper) = journal.start();
        tape = Some(OpenTape { dir, path, capture_id, first_segments, sync_interval, writers, keeper });
    }
    let opened = match input {
        Err(opened) => opened,
        Ok(live) => match open_input(live) {
            Ok(opened) => opened,
            Err(error) => {
                if let Some(OpenTape { writers, keeper, .. }) = tape {
                    drop(writers);
                    keeper.finish();
                }
                return Err(error);
            }
        },
    };
    Ok((tape, opened))
}

/// A journal that is open and not yet running.
struct OpenTape {
    dir: String,
    path: PathBuf,
    capture_id: [u8; 16],
    first_segments: Vec<u32>,
    sync_interval: Duration,
    writers: Vec<Writer>,
    keeper: Keeper,
}

impl OpenTape {
    /// What the events thread needs, if there are feeds to make events of.
    fn events(&mut self, feeds: &[FeedConfig], live: bool) -> Option<events::Parts> {
        (!feeds.is_empty()).then(|| events::Parts {
            journal: self.path.clone(),
            capture_id: self.capture_id,
            first_segments: std::mem::take(&mut self.first_segments),
            feeds: feeds.to_vec(),
            sync_interval: self.sync_interval,
            live,
        })
    }
}

/// Batches of a file on their way between its threads.
const FILE_BATCHES: usize = 2;
/// Notes on their way from the control thread to a worker.
const NOTES: usize = 256;

/// What opening the journal found, for people.
fn recovery_words(recovery: &Recovery) -> Vec<String> {
    let mut words = Vec::new();
    for r in &recovery.recovered {
        let cut = r.cut.as_ref().map(|(at, why)| format!(", cut at byte {at} ({why})")).unwrap_or_default();
        let aside = r.quarantined.as_ref();
        let aside = aside
            .map(|(name, bytes)| format!("; {bytes} damaged bytes beyond are in {name}"))
            .unwrap_or_default();
        words.push(format!(
            "an earlier capture left {} open: sealed with {} packets{cut}{aside}",
            r.name, r.packets
        ));
    }
    words.extend(
        recovery
            .unreadable
            .iter()
            .map(|name| format!("{name} could not be read and was set aside as {name}.damaged")),
    );
    words.extend(recovery.remarks.iter().cloned());
    words
}

fn journal_part(dir: String, locked: bool, kept: &KeeperReport, views: &[QueueView]) -> JournalPart {
    let at = if locked { Path::new(".") } else { Path::new(&dir) };
    let bytes = std::fs::read(at.join(manifest::FILE_NAME)).unwrap_or_default();
    let head = Manifest::parse(&bytes).map(|m| manifest::hex(&m.head())).unwrap_or_default();
    JournalPart {
        dir,
        segments_sealed: kept.stats.sealed,
        segments_retired: kept.stats.retired,
        head,
        longest_sync_ns: kept.stats.longest_sync_ns,
        stalls: views.iter().map(|v| v.worker.stalls.get()).sum(),
        stalled_ns: views.iter().map(|v| v.worker.stalled_ns.get()).sum(),
        notes_lost: views.iter().map(|v| v.worker.notes_lost.get()).sum(),
    }
}

/// The driver promised to stamp every packet; says so if it did not. The packets' own clocks are on tape.
fn missing_nic_stamps(name: &str, stamps: &BTreeMap<&'static str, u64>) -> Option<String> {
    let all: u64 = stamps.values().sum();
    let without = all - stamps.get(StampClock::HARDWARE.name()).copied().unwrap_or(0);
    (without > 0).then(|| {
        format!(
            "{without} of {all} packets came without the NIC's stamp, though {name} promised one for each; they have \
             the kernel's (-j host uses the kernel's for all)"
        )
    })
}

/// What the counts say that an operator should know, with the mend.
fn afterthoughts(report: &Report, control: &Control<'_>, nic_stamps: bool) -> Vec<String> {
    let mut words = Vec::new();
    let names: Vec<&str> = control.links.iter().map(Link::name).collect();
    let name = if names.is_empty() { "INTERFACE".to_owned() } else { names.join(", ") };
    words.extend(nic_stamps.then(|| missing_nic_stamps(&name, &report.stamps)).flatten());
    if report.packets.gso > 0 {
        words.push(format!(
            "{} packets are several datagrams merged by the kernel: sequence checks cannot see the seams; \
             switch it off with `ethtool -K {name} gro off lro off`",
            report.packets.gso
        ));
    }
    if report.stamps.len() > 1 && !control.links.is_empty() {
        words.push(
            "packets were stamped by more than one clock; histograms are kept apart, compare no times across them"
                .to_owned(),
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_without_the_promised_nic_stamp_are_told() {
        let stamps = |pairs: &[(&'static str, u64)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        let (nic, kernel) = (StampClock::HARDWARE.name(), StampClock::KERNEL_SOFTWARE.name());
        assert_eq!(missing_nic_stamps("eth0", &stamps(&[(nic, 7)])), None);
        assert_eq!(missing_nic_stamps("eth0", &stamps(&[])), None);
        let said = missing_nic_stamps("eth0", &stamps(&[(nic, 7), (kernel, 3)])).unwrap();
        assert!(said.starts_with("3 of 10 packets came without the NIC's stamp, though eth0"), "{said}");
    }
}
