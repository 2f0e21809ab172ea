//! Ahead of the writers: creates, reserves, maps and populates segments before they are needed.
//!
//! A new segment is always a fresh file (never a recycled one): created `O_EXCL`, its room reserved, so that a
//! full disk is known a segment ahead and never raises SIGBUS. What fails is told in the state and tried again.

use super::segment::{Fresh, Progress};
use super::shared::{Shared, State};
use super::{Event, EventKind, OnFull, format};
use crate::clock::Clock;
use crate::sys::{self, segment_map::SegmentMap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

/// How far ahead of a writer pages are made present, bytes.
const WINDOW_BYTES: u64 = 64 << 20;
/// How much of that is made present in one call, bytes.
const PIECE_BYTES: u64 = 4 << 20;
/// Most segments of a queue that may be out: prepared, live, or spent and not yet taken back.
pub(super) const MAX_OUT: usize = 8;
/// How long to wait before trying again what failed.
const RETRY_NS: u64 = 1_000_000_000;
/// The same, where a deletion was asked for.
const RETRY_AFTER_DROP_NS: u64 = 20_000_000;

/// How many segments are kept prepared: small ones are used up fast.
pub(super) const fn segments_ahead(segment_bytes: u64) -> usize {
    if segment_bytes < 32 << 20 { 3 } else { 1 }
}

/// A segment that is prepared or written to, as the keeper holds it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) queue: u16,
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) map: SegmentMap,
    pub(super) progress: Arc<Progress>,
    pub(super) segment_id: u32,
    populated: AtomicU64,
}

impl Live {
    pub(super) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }
    pub(super) fn committed(&self) -> u64 {
        self.progress.committed.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct AheadQueue {
    queue: u16,
    next_index: u32,
    fresh: rtrb::Producer<Fresh>,
    live: Vec<Arc<Live>>,
    retry_at_ns: u64,
}

/// The part of the keeper that works ahead.
pub(super) struct Ahead {
    dir: PathBuf,
    segment_bytes: u64,
    on_full: OnFull,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock + Send + Sync>,
    to_behind: mpsc::Sender<Arc<Live>>,
    queues: Vec<AheadQueue>,
    /// The state was set by this part, and is to be cleared by it.
    troubled: bool,
    can_populate: bool,
}

/// What preparing needs to know.
pub(super) struct AheadParts {
    pub(super) dir: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) on_full: OnFull,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock + Send + Sync>,
    pub(super) to_behind: mpsc::Sender<Arc<Live>>,
}

impl Ahead {
    /// Where the journal's directory is reached from here on.
    pub(super) fn directory_is(&mut self, dir: PathBuf) {
        self.dir = dir;
    }

    pub(super) fn new(parts: AheadParts) -> Self {
        Self {
            dir: parts.dir,
            segment_bytes: parts.segment_bytes,
            on_full: parts.on_full,
            shared: parts.shared,
            clock: parts.clock,
            to_behind: parts.to_behind,
            queues: Vec::new(),
            troubled: false,
            can_populate: true,
        }
    }

    /// Adds a queue and prepares its first segment.
    pub(super) fn add_queue(
        &mut self,
        queue: u16,
        next_index: u32,
        fresh: rtrb::Producer<Fresh>,
    ) -> io::Result<()> {
        self.queues.push(AheadQueue { queue, next_index, fresh, live: Vec::new(), retry_at_ns: 0 });
        self.prepare(self.queues.len() - 1)
    }

    /// Does what there is to do, in small pieces. True if there is more.
    pub(super) fn step(&mut self) -> bool {
        let mut more = false;
        for at in 0..self.queues.len() {
            self.queues[at].live.retain(|live| !live.progress.returned.load(Ordering::Acquire));
            more |= self.populate(at);
            more |= self.prepare_if_needed(at);
        }
        more
    }

    /// Populates a piece ahead of each live segment's writer.
    fn populate(&mut self, at: usize) -> bool {
        if !self.can_populate {
            return false;
        }
        let mut more = false;
        for live in &self.queues[at].live {
            let committed = live.committed();
            let limit = live.progress.limit.load(Ordering::Relaxed);
            let from = live.populated.load(Ordering::Relaxed).max(committed);
            let target = committed.saturating_add(WINDOW_BYTES).min(limit);
            if from >= target {
                continue;
            }
            let to = target.min(from + PIECE_BYTES);
            let begun = self.clock.monotonic_ns();
            let result = live.map.populate(from, to);
            longest(&self.shared.stats.longest_populate_ns, begun, self.clock.monotonic_ns());
            match result {
                Ok(()) => live.populated.store(to, Ordering::Relaxed),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.can_populate = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.storage_fails_at(live, from, &error),
            }
            more |= to < target;
        }
        more
    }

    /// Storing beyond `from` would raise SIGBUS: the writer is kept away from there.
    fn storage_fails_at(&self, live: &Live, from: u64, error: &io::Error) {
        live.progress.limit.store(from / 4096 * 4096, Ordering::Release);
        live.progress.suspect.store(true, Ordering::Release);
        if let Some(queue) = self.shared.queues.get(usize::from(live.queue)) {
            queue.roll.fetch_add(1, Ordering::Relaxed);
        }
        self.tell(format!(
            "{}: storage fails at byte {from} ({error}); the segment ends there, a new one begins",
            live.path.display()
        ));
    }

    fn prepare_if_needed(&mut self, at: usize) -> bool {
        let ahead = segments_ahead(self.segment_bytes);
        let queue = &self.queues[at];
        let prepared = queue.fresh.buffer().capacity() - queue.fresh.slots();
        if prepared >= ahead
            || queue.fresh.slots() == 0
            || queue.live.len() >= MAX_OUT
            || queue.fresh.is_abandoned()
        {
            return false;
        }
        let now = self.clock.monotonic_ns();
        if now < queue.retry_at_ns {
            return false;
        }
        let begun = self.clock.monotonic_ns();
        let result = self.prepare(at);
        longest(&self.shared.stats.longest_prepare_ns, begun, self.clock.monotonic_ns());
        match result {
            Ok(()) => self.prepared(),
            Err(error) => self.not_prepared(at, now, &error),
        }
        prepared + 1 < ahead
    }

    /// A segment could be prepared: whatever was wrong is over.
    fn prepared(&mut self) {
        self.shared.nothing_to_drop.store(false, Ordering::Relaxed);
        if self.troubled {
            self.troubled = false;
            if self.shared.set_state(State::Ok, "") {
                self.tell("the journal can be written again".to_owned());
            }
        }
    }

    fn not_prepared(&mut self, at: usize, now: u64, error: &io::Error) {
        let full = is_full(error);
        let may_drop = full && self.on_full == OnFull::DropOldest;
        self.queues[at].retry_at_ns = now + if may_drop { RETRY_AFTER_DROP_NS } else { RETRY_NS };
        if may_drop {
            self.shared.room_wanted.store(true, Ordering::Release);
            if !self.shared.nothing_to_drop.load(Ordering::Acquire) {
                return; // The oldest segment is being deleted: the writer may wait for that.
            }
        }
        self.troubled = true;
        let (state, text) = if full {
            (State::Full, self.full_text())
        } else {
            (State::Failed, format!("{}: no segment can be prepared: {error}", self.dir.display()))
        };
        if self.shared.set_state(state, &text) {
            self.tell(text);
        }
    }

    fn full_text(&self) -> String {
        let free = sys::fs::free_bytes(&self.dir).unwrap_or(0);
        format!(
            "the disk is full: a segment needs {} bytes, {free} are free in {}; capturing and counting go on",
            self.segment_bytes,
            self.dir.display()
        )
    }

    fn tell(&self, text: String) {
        self.shared.push_event(Event {
            at_ns: self.clock.now_ns(),
            kind: EventKind::WARNING,
            value: 0,
            text,
        });
    }

    /// Creates, reserves, maps and populates a segment, and hands it to the writer.
    fn prepare(&mut self, at: usize) -> io::Result<()> {
        let queue = &mut self.queues[at];
        let name = format::segment_name(queue.queue, queue.next_index);
        let path = self.dir.join(&name);
        let file = create(&path, self.segment_bytes)?;
        let mapped = usize::try_from(self.segment_bytes)
            .map_err(|_| io::Error::other("segments are longer than this machine's addresses"))
            .and_then(|len| sys::segment_map::map(&file, len));
        let identified = mapped.and_then(|mapped| Ok((mapped, segment_id()?)));
        let ((map, writer), segment_id) = identified.inspect_err(|_| {
            // Nothing is in it yet; if it cannot be removed, recovery will.
            let _ = std::fs::remove_file(&path);
        })?;
        // Kernels without huge pages for files refuse; that costs speed only.
        let _ = map.want_huge_pages();
        let first = if self.can_populate { PIECE_BYTES.min(self.segment_bytes) } else { 0 };
        let populated = match map.populate(0, first) {
            Ok(()) => first,
            // Storing there would raise SIGBUS. A segment that takes nothing would be left at once for the next
            // like it, for ever.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO | libc::EHWPOISON)) =>
            {
                let _ = std::fs::remove_file(&path);
                return Err(error);
            }
            Err(_) => 0,
        };
        sys::fs::sync_dir(&self.dir)?;
        let progress = Arc::new(Progress::new(self.segment_bytes));
        let fresh = Fresh {
            map: writer,
            progress: Arc::clone(&progress),
            segment_id,
            index: queue.next_index,
            created_ns: self.clock.now_ns(),
        };
        let live = Arc::new(Live {
            queue: queue.queue,
            index: queue.next_index,
            name,
            path,
            file,
            map,
            progress,
            segment_id,
            populated: AtomicU64::new(populated),
        });
        queue.next_index += 1;
        queue.live.push(Arc::clone(&live));
        // The other half learns of it before the writer can give it back. Both fail only when nobody listens.
        let _ = self.to_behind.send(live);
        let _ = queue.fresh.push(fresh);
        self.shared.stats.prepared.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Creates a file that must not exist, and reserves its room.
fn create(path: &Path, bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(path)?;
    match sys::fs::allocate(&file, bytes) {
        Ok(()) => Ok(file),
        Err(error) => {
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// A random id that is not 0.
fn segment_id() -> io::Result<u32> {
    Ok(u32::from_le_bytes(sys::random::bytes()?).max(1))
}

/// True if there is no room (or the quota is used up).
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

/// Raises `longest` to the time since `begun_ns`.
pub(super) fn longest(longest: &AtomicU64, begun_ns: u64, now_ns: u64) {
    longest.fetch_max(now_ns.saturating_sub(begun_ns), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{append, journal};
    use crate::journal::Append;
    use std::io;

    #[test]
    fn a_segment_whose_storage_fails_further_on_is_left_before_that_place() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, mut keeper) = journal(dir.path());
        assert_eq!(append(&mut writer), Append::Written);
        let live = keeper.ahead.queues[0].live[0].clone();
        keeper.ahead.storage_fails_at(&live, 100_000, &io::Error::from_raw_os_error(libc::EFAULT));
        while keeper.step() {}
        for _ in 0..1000 {
            assert_eq!(append(&mut writer), Append::Written);
        }
        assert!(live.committed() < 98_304, "{}", live.committed());
        writer.finish(&[]);
        let report = keeper.finish();
        assert_eq!(report.stats.sealed, 2);
        assert!(report.events[0].text.contains("storage fails at byte 100000"), "{:?}", report.events);
    }
}
