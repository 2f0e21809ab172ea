//! The keeper: prepares segments ahead of the writers, and syncs, seals and deletes behind them.
//!
//! Two loops, so that a sync that takes long never keeps a writer waiting for a segment: [`Keeper::run`] works
//! ahead on the calling thread and behind on a second one that it spawns and joins. Whatever fails is told (state,
//! events) and tried again; the keeper never stops a writer.

use super::Event;
use super::ahead::Ahead;
use super::behind::Behind;
use super::open::Lock;
use super::shared::{Shared, State, lock};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the loops rest when there is nothing to do.
const AHEAD_REST: Duration = Duration::from_millis(2);
const BEHIND_REST: Duration = Duration::from_millis(5);

/// Keeps a journal. Owns its lock: the directory is free again when this is dropped.
pub struct Keeper {
    pub(super) ahead: Ahead,
    pub(super) behind: Behind,
    pub(super) shared: Arc<Shared>,
    pub(super) lock: Lock,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// How the journal was left.
#[derive(Clone, Debug)]
pub struct KeeperReport {
    /// State, reason and counts at the end.
    pub stats: KeeperStats,
    /// Events that nobody had taken.
    pub events: Vec<Event>,
}

/// State, reason and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeeperStats {
    /// How the journal is.
    pub state: State,
    /// Why, if not [`State::Ok`].
    pub reason: String,
    /// Segments prepared.
    pub prepared: u64,
    /// Segments sealed.
    pub sealed: u64,
    /// Segments deleted by retention or for want of room.
    pub retired: u64,
    /// Syncs, and how many of them failed.
    pub syncs: u64,
    /// Syncs that failed.
    pub sync_failures: u64,
    /// Records that writers refused because they can never be written.
    pub refused: u64,
    /// Longest sync, ns.
    pub longest_sync_ns: u64,
    /// Longest preparation of a segment, ns.
    pub longest_prepare_ns: u64,
    /// Longest population of one piece, ns.
    pub longest_populate_ns: u64,
    /// Events that made room for newer ones before anybody took them.
    pub events_dropped: u64,
}

/// What is known to be on the medium, of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// The queue.
    pub queue: u16,
    /// Index of the segment; all earlier ones are durable whole.
    pub segment: u32,
    /// Bytes of that segment.
    pub bytes: u64,
}

/// Watches and asks a keeper, from any thread.
#[derive(Clone, Debug)]
pub struct KeeperHandle(Arc<Shared>);

impl KeeperHandle {
    /// Asks every writer to begin a new segment, with its next record or [`super::Writer::idle`].
    pub fn rotate(&self) {
        self.0.roll_all();
    }

    /// Asks for a sync now.
    pub fn sync_now(&self) {
        self.0.sync_asked.store(true, Ordering::Release);
    }

    /// What is durable, of each queue of which something is.
    pub fn durable(&self) -> Vec<Durable> {
        let positions = self.0.queues.iter().zip(0_u16..);
        positions
            .filter_map(|(shared, queue)| {
                let (segment, bytes) = (*lock(&shared.durable))?;
                Some(Durable { queue, segment, bytes })
            })
            .collect()
    }

    /// How the journal is.
    pub fn state(&self) -> State {
        self.0.state()
    }

    /// State, reason and counts.
    pub fn stats(&self) -> KeeperStats {
        let stats = &self.0.stats;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        KeeperStats {
            state: self.0.state(),
            reason: lock(&self.0.text).clone(),
            prepared: load(&stats.prepared),
            sealed: load(&stats.sealed),
            retired: load(&stats.retired),
            syncs: load(&stats.syncs),
            sync_failures: load(&stats.sync_failures),
            refused: self.0.queues.iter().map(|queue| load(&queue.refused)).sum(),
            longest_sync_ns: load(&stats.longest_sync_ns),
            longest_prepare_ns: load(&stats.longest_prepare_ns),
            longest_populate_ns: load(&stats.longest_populate_ns),
            events_dropped: load(&stats.events_dropped),
        }
    }

    /// Takes what happened since the last call: for the log, and for the tape ([`super::Note::Event`]).
    pub fn take_events(&self) -> Vec<Event> {
        self.0.take_events()
    }
}

impl Keeper {
    /// From here on the journal's directory is the working directory, and is reached as such: the way there
    /// may not be open to the user that the process has become.
    pub fn directory_is_current(&mut self) {
        self.ahead.directory_is(PathBuf::from("."));
        self.behind.directory_is(PathBuf::from("."));
    }

    /// A handle on it.
    pub fn handle(&self) -> KeeperHandle {
        KeeperHandle(Arc::clone(&self.shared))
    }

    /// One round of both loops, for tests and for callers with a loop of their own. True if there is more to do.
    pub fn step(&mut self) -> bool {
        let more = self.ahead.step();
        self.behind.step() || more
    }

    /// Keeps the journal until `stop`, then seals what the writers have given back (let them finish first).
    pub fn run(self, stop: &AtomicBool) -> KeeperReport {
        self.run_settled(stop, &|| ())
    }

    /// The same; `settle` is called by each of the keeper's threads when it has started all that it starts, before
    /// its first work.
    pub fn run_settled(self, stop: &AtomicBool, settle: &(dyn Fn() + Sync)) -> KeeperReport {
        let Self { mut ahead, mut behind, shared, lock } = self;
        std::thread::scope(|scope| {
            let behind_loop = || {
                settle();
                while !stop.load(Ordering::Acquire) {
                    if !behind.step() {
                        std::thread::park_timeout(BEHIND_REST);
                    }
                }
            };
            let spawned =
                std::thread::Builder::new().name("journal-sync".to_owned()).spawn_scoped(scope, behind_loop);
            if let Err(error) = &spawned {
                shared.set_state(
                    State::Failed,
                    &format!("the journal's sync thread could not be started: {error}"),
                );
            }
            settle();
            while !stop.load(Ordering::Acquire) {
                if !ahead.step() {
                    std::thread::park_timeout(AHEAD_REST);
                }
            }
        });
        Self { ahead, behind, shared, lock }.finish()
    }

    /// Seals what the writers have given back, deletes what was prepared and not used, frees the directory.
    pub fn finish(self) -> KeeperReport {
        let Self { ahead, behind, shared, lock } = self;
        drop(ahead);
        behind.finish();
        drop(lock);
        let handle = KeeperHandle(shared);
        KeeperReport { stats: handle.stats(), events: handle.take_events() }
    }
}
