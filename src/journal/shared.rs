//! What writers, keeper and whoever watches the keeper share.
//!
//! Writers touch the atomics only; the mutexes are between keeper and control thread.

use super::Event;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// How the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Segments are prepared in time.
    Ok,
    /// There is no room for another segment.
    Full,
    /// Storage fails.
    Failed,
}

impl State {
    const fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Ok,
            1 => Self::Full,
            _ => Self::Failed,
        }
    }

    /// The word used in reports and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// What writer and keeper share of a queue, whatever the segment.
#[derive(Debug, Default)]
pub(super) struct QueueShared {
    /// Counts the requests to roll; the writer compares.
    pub(super) roll: AtomicU64,
    /// Records that can never be written. Written by the writer only.
    pub(super) refused: AtomicU64,
    /// Segment index and bytes known to be on the medium.
    pub(super) durable: Mutex<Option<(u32, u64)>>,
}

/// Most events that wait to be taken; older ones make room.
const MAX_EVENTS: usize = 256;

#[derive(Debug)]
pub(super) struct Shared {
    state: AtomicU8,
    pub(super) queues: Vec<QueueShared>,
    /// On a full disk a writer keeps its last segment open: nothing is deleted to make room for another, and what
    /// is lost and the end of the capture must stand somewhere.
    pub(super) keeps_open: bool,
    pub(super) sync_asked: AtomicBool,
    /// The disk is full, and the keeper's policy is to delete: the oldest segment must go.
    pub(super) room_wanted: AtomicBool,
    /// Nothing is left that could be deleted.
    pub(super) nothing_to_drop: AtomicBool,
    pub(super) text: Mutex<String>,
    events: Mutex<VecDeque<Event>>,
    pub(super) stats: Stats,
}

/// What the keeper counts. Written by the keeper only.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) prepared: AtomicU64,
    pub(super) sealed: AtomicU64,
    pub(super) retired: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_failures: AtomicU64,
    pub(super) longest_sync_ns: AtomicU64,
    pub(super) longest_prepare_ns: AtomicU64,
    pub(super) longest_populate_ns: AtomicU64,
    pub(super) events_dropped: AtomicU64,
}

impl Shared {
    pub(super) fn new(queues: u16, keeps_open: bool) -> Self {
        Self {
            state: AtomicU8::new(0),
            queues: (0..queues).map(|_| QueueShared::default()).collect(),
            keeps_open,
            sync_asked: AtomicBool::new(false),
            room_wanted: AtomicBool::new(false),
            nothing_to_drop: AtomicBool::new(false),
            text: Mutex::new(String::new()),
            events: Mutex::new(VecDeque::with_capacity(MAX_EVENTS)),
            stats: Stats::default(),
        }
    }

    /// True unless the keeper has said that no segment will come for now.
    pub(super) fn accepts(&self) -> bool {
        self.state() == State::Ok
    }

    pub(super) fn state(&self) -> State {
        State::from_u8(self.state.load(Ordering::Acquire))
    }

    /// Sets state and reason; true if the state is another than before.
    pub(super) fn set_state(&self, state: State, text: &str) -> bool {
        text.clone_into(&mut lock(&self.text));
        let value = match state {
            State::Ok => 0,
            State::Full => 1,
            State::Failed => 2,
        };
        self.state.swap(value, Ordering::AcqRel) != value
    }

    pub(super) fn push_event(&self, event: Event) {
        let mut events = lock(&self.events);
        if events.len() == MAX_EVENTS {
            events.pop_front();
            self.stats.events_dropped.fetch_add(1, Ordering::Relaxed);
        }
        events.push_back(event);
    }

    pub(super) fn take_events(&self) -> Vec<Event> {
        lock(&self.events).drain(..).collect()
    }

    pub(super) fn roll_all(&self) {
        for queue in &self.queues {
            queue.roll.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Locks; a thread that panicked while holding it left plain values, which are still good.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
