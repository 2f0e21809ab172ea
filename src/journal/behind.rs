//! Behind the writers: makes durable what was written, seals what is finished, deletes by retention.
//!
//! Sealing goes in pieces, so that one long hash does not keep the next sync waiting. A sync that fails makes its
//! segment suspect and the writer leave it: what of it is on the medium cannot be known.

use super::ahead::{Live, longest};
use super::format::EndOfSegment;
use super::manifest::{Entry, ManifestFile, Retired, Sealed};
use super::segment::{Spent, Tape};
use super::shared::{Shared, State, lock};
use super::{Event, EventKind, recover};
use crate::clock::Clock;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

/// Name of the file that says what is durable.
pub const DURABLE_FILE_NAME: &str = "durable";
/// How much is hashed in one step, bytes.
const HASH_STEP_BYTES: u64 = 8 << 20;
/// How often retention by age is looked at.
const RETENTION_NS: u64 = 1_000_000_000;
/// A sync that takes longer is worth an event.
const SLOW_SYNC_MS: u64 = 1000;
/// Mode of a sealed file.
pub(super) const SEALED_MODE: u32 = 0o444;

/// A sealed segment that is still there.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sealed_ns: u64,
}

struct Tracked {
    live: Arc<Live>,
    synced: u64,
}

/// A finished segment on its way to being sealed.
struct Sealing {
    live: Arc<Live>,
    end: EndOfSegment,
    bytes: u64,
    hashed: u64,
    hasher: blake3::Hasher,
}

/// What the part behind the writers works with.
pub(super) struct BehindParts {
    pub(super) dir: PathBuf,
    pub(super) sync_interval_ns: u64,
    pub(super) rotate_ns: Option<u64>,
    pub(super) retain_bytes: Option<u64>,
    pub(super) retain_age_ns: Option<u64>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock + Send + Sync>,
    pub(super) from_ahead: mpsc::Receiver<Arc<Live>>,
    pub(super) spent: Vec<rtrb::Consumer<Spent>>,
    pub(super) manifest: ManifestFile,
    pub(super) durable: File,
    pub(super) kept: VecDeque<Kept>,
}

/// The part of the keeper that works behind.
pub(super) struct Behind {
    p: BehindParts,
    live: Vec<Tracked>,
    sealing: VecDeque<Sealing>,
    next_sync_ns: u64,
    next_rotate_ns: u64,
    next_retention_ns: u64,
    failed_in_a_row: u32,
    troubled: bool,
    piece: Vec<u8>,
}

impl Behind {
    /// Where the journal's directory is reached from here on.
    pub(super) fn directory_is(&mut self, dir: PathBuf) {
        self.p.dir = dir;
    }

    pub(super) fn new(p: BehindParts) -> Self {
        let now = p.clock.monotonic_ns();
        Self {
            next_sync_ns: now + p.sync_interval_ns,
            next_rotate_ns: p.rotate_ns.map_or(u64::MAX, |every| now + every),
            next_retention_ns: now,
            live: Vec::new(),
            sealing: VecDeque::new(),
            failed_in_a_row: 0,
            troubled: false,
            piece: vec![0; 1 << 20],
            p,
        }
    }

    /// Does what is due, sealing a piece at a time. True if there is more to seal.
    pub(super) fn step(&mut self) -> bool {
        self.take_news();
        let now = self.p.clock.monotonic_ns();
        if now >= self.next_rotate_ns {
            self.next_rotate_ns = now + self.p.rotate_ns.unwrap_or(u64::MAX / 2);
            self.p.shared.roll_all();
        }
        if now >= self.next_sync_ns || self.p.shared.sync_asked.swap(false, Ordering::AcqRel) {
            self.next_sync_ns = now + self.p.sync_interval_ns;
            self.sync_live();
        }
        self.seal_a_piece();
        if self.p.shared.room_wanted.swap(false, Ordering::AcqRel) {
            let dropped = self.retire_oldest("full");
            // What is being sealed can be dropped soon.
            self.p.shared.nothing_to_drop.store(!dropped && self.sealing.is_empty(), Ordering::Release);
        }
        if now >= self.next_retention_ns {
            self.next_retention_ns = now + RETENTION_NS;
            self.retain();
        }
        !self.sealing.is_empty()
    }

    /// Seals all that writers have given back, syncs the rest, removes what was never used.
    pub(super) fn finish(mut self) {
        while self.step() {}
        self.sync_live();
        for tracked in std::mem::take(&mut self.live) {
            if tracked.live.committed() == 0
                && std::fs::remove_file(self.p.dir.join(&tracked.live.name)).is_err()
            {
                self.tell(format!(
                    "{}: the unused segment could not be removed",
                    tracked.live.path.display()
                ));
            }
        }
        self.retain();
        // Without its line, the next start finishes a segment's sealing.
        if let Err(error) = self.p.manifest.write_kept() {
            self.tell(format!("lines are missing in the manifest: {error}"));
        }
    }

    /// Takes what was prepared, and what writers gave back.
    fn take_news(&mut self) {
        self.take_prepared();
        for queue in 0..self.p.spent.len() {
            while let Ok(Spent { tape, ended }) = self.p.spent[queue].pop() {
                // It may have been prepared, filled and given back since the last look.
                self.take_prepared();
                self.begin_sealing(queue, tape, ended);
            }
        }
    }

    fn take_prepared(&mut self) {
        while let Ok(live) = self.p.from_ahead.try_recv() {
            self.live.push(Tracked { live, synced: 0 });
        }
    }

    fn begin_sealing(&mut self, queue: usize, tape: Tape, ended: bool) {
        tape.mark_returned();
        let of_tape = |t: &Tracked| usize::from(t.live.queue) == queue && t.live.index == tape.index();
        let Some(at) = self.live.iter().position(of_tape) else { return };
        let Tracked { live, synced } = self.live.remove(at);
        let (mut bytes, mut end) = (tape.position(), tape.end());
        self.sync_range(&live, synced, bytes);
        drop(tape);
        if !ended {
            match recover::end_segment(&live.file, live.segment_id) {
                Ok(ended) => (bytes, end) = (ended.bytes, ended.end),
                Err(error) => {
                    self.tell(format!(
                        "{}: could not be ended, left for recovery: {error}",
                        live.path.display()
                    ));
                    return;
                }
            }
        }
        if let Err(error) = live.file.set_len(bytes) {
            self.tell(format!("{}: could not be cut to its length: {error}", live.path.display()));
            return;
        }
        self.publish(&live, bytes);
        self.sealing.push_back(Sealing { live, end, bytes, hashed: 0, hasher: blake3::Hasher::new() });
    }

    /// Hashes a piece of the oldest segment on its way; finishes it at its end.
    fn seal_a_piece(&mut self) {
        let Some(mut sealing) = self.sealing.pop_front() else { return };
        match hash_piece(&mut sealing, &mut self.piece) {
            Ok(()) if sealing.hashed < sealing.bytes => self.sealing.push_front(sealing),
            Ok(()) => self.seal(&sealing),
            Err(error) => {
                self.tell(format!("{}: could not be read to seal it: {error}", sealing.live.path.display()));
            }
        }
    }

    fn seal(&mut self, sealing: &Sealing) {
        let live = &sealing.live;
        let begun = self.p.clock.monotonic_ns();
        let synced = live
            .file
            .set_permissions(Permissions::from_mode(SEALED_MODE))
            .and_then(|()| live.file.sync_all());
        self.took(begun, live);
        if let Err(error) = synced {
            self.sync_failed(live, &error);
        }
        let sealed = Sealed {
            name: live.name.clone(),
            size_bytes: sealing.bytes,
            packets: sealing.end.packets,
            first_ns: sealing.end.min_stamp_ns,
            last_ns: sealing.end.max_stamp_ns,
            blake3: *sealing.hasher.finalize().as_bytes(),
        };
        let entry = Entry::Sealed(sealed);
        if let Err(error) = self.p.manifest.append(&entry) {
            self.p.manifest.keep(entry);
            self.tell(format!(
                "{}: its line cannot be added to the manifest yet: {error}",
                live.path.display()
            ));
        }
        let sealed_ns = self.p.clock.now_ns();
        self.p.kept.push_back(Kept { name: live.name.clone(), bytes: sealing.bytes, sealed_ns });
        self.p.shared.stats.sealed.fetch_add(1, Ordering::Relaxed);
        self.retain();
    }

    /// Syncs what writers have committed since the last time.
    fn sync_live(&mut self) {
        self.take_news();
        for at in 0..self.live.len() {
            let (live, synced) = (Arc::clone(&self.live[at].live), self.live[at].synced);
            let committed = live.committed();
            if committed > synced && self.sync_range(&live, synced, committed) {
                self.live[at].synced = committed;
                self.publish(&live, committed);
            }
        }
        self.write_durable();
    }

    /// Makes `[from, to)` durable.
    fn sync_range(&mut self, live: &Live, from: u64, to: u64) -> bool {
        let begun = self.p.clock.monotonic_ns();
        let result = live.map.sync(from, to);
        self.took(begun, live);
        self.p.shared.stats.syncs.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(()) => self.sync_succeeded(live),
            Err(error) => self.sync_failed(live, &error),
        }
        !live.progress.suspect.load(Ordering::Relaxed)
    }

    /// Counts how long a sync took, and tells if that was very long.
    fn took(&self, begun_ns: u64, live: &Live) {
        let now_ns = self.p.clock.monotonic_ns();
        longest(&self.p.shared.stats.longest_sync_ns, begun_ns, now_ns);
        let ms = now_ns.saturating_sub(begun_ns) / 1_000_000;
        if ms >= SLOW_SYNC_MS {
            self.p.shared.push_event(Event {
                at_ns: self.p.clock.now_ns(),
                kind: EventKind::STALL,
                value: ms.cast_signed(),
                text: format!("{}: a sync took {ms} ms; writers go on meanwhile", live.path.display()),
            });
        }
    }

    fn sync_succeeded(&mut self, live: &Live) {
        if live.progress.suspect.load(Ordering::Relaxed) {
            return; // The kernel reports a failure once; what failed before is still unknown.
        }
        self.failed_in_a_row = 0;
        if self.troubled {
            self.troubled = false;
            self.p.shared.set_state(State::Ok, "");
            self.tell("the journal reaches the disk again".to_owned());
        }
    }

    fn sync_failed(&mut self, live: &Live, error: &io::Error) {
        self.p.shared.stats.sync_failures.fetch_add(1, Ordering::Relaxed);
        if live.progress.suspect.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(queue) = self.p.shared.queues.get(usize::from(live.queue)) {
            queue.roll.fetch_add(1, Ordering::Relaxed);
        }
        self.failed_in_a_row += 1;
        let text = format!(
            "{}: a sync failed ({error}); what it should have made durable may be lost if power fails, a new segment begins",
            live.path.display()
        );
        if self.failed_in_a_row > 1 {
            self.troubled = true;
            self.p.shared.set_state(State::Failed, &text);
        }
        self.tell(text);
    }

    /// Publishes a durable position; it never goes back.
    fn publish(&self, live: &Live, bytes: u64) {
        if live.progress.suspect.load(Ordering::Relaxed) {
            return;
        }
        if let Some(queue) = self.p.shared.queues.get(usize::from(live.queue)) {
            let mut durable = lock(&queue.durable);
            *durable = (*durable).max(Some((live.index, bytes)));
        }
    }

    /// Rewrites the file that says what is durable: a line of fixed length a queue, in place.
    fn write_durable(&mut self) {
        let mut text = String::new();
        let now = self.p.clock.now_ns();
        for (queue, shared) in self.p.shared.queues.iter().enumerate() {
            let (index, bytes) = lock(&shared.durable).unwrap_or((0, 0));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "q{queue:05} {index:010} {bytes:020} {now:020}");
        }
        if let Err(error) = self.p.durable.write_all_at(text.as_bytes(), 0) {
            let text = format!("{DURABLE_FILE_NAME} could not be written: {error}");
            if *lock(&self.p.shared.text) != text {
                text.clone_into(&mut lock(&self.p.shared.text));
                self.tell(text);
            }
        }
    }

    /// Deletes what retention no longer keeps.
    fn retain(&mut self) {
        if let Some(most) = self.p.retain_bytes {
            let live: u64 = self.live.iter().map(|t| t.live.bytes()).sum();
            let sealing: u64 = self.sealing.iter().map(|s| s.bytes).sum();
            let mut all: u64 = live + sealing + self.p.kept.iter().map(|kept| kept.bytes).sum::<u64>();
            while all > most {
                let Some(bytes) = self.p.kept.front().map(|kept| kept.bytes) else { break };
                if !self.retire_oldest("bytes") {
                    break;
                }
                all = all.saturating_sub(bytes);
            }
        }
        if let Some(age) = self.p.retain_age_ns {
            let before = self.p.clock.now_ns().saturating_sub(age);
            while self.p.kept.front().is_some_and(|kept| kept.sealed_ns < before) {
                if !self.retire_oldest("age") {
                    break;
                }
            }
        }
    }

    /// Deletes the oldest sealed segment: first its line, so that its absence is always explained.
    fn retire_oldest(&mut self, reason: &str) -> bool {
        let Some(kept) = self.p.kept.front().cloned() else { return false };
        let entry = Entry::Retired(Retired {
            name: kept.name.clone(),
            at_ns: self.p.clock.now_ns(),
            reason: reason.to_owned(),
        });
        let line = self.p.manifest.append(&entry);
        // On a full disk even the line may not fit: then the file goes first, and makes room for it.
        if let Err(error) = &line
            && reason != "full"
        {
            self.tell(format!("{}: not deleted, since the manifest cannot be written: {error}", kept.name));
            return false;
        }
        if let Err(error) = std::fs::remove_file(self.p.dir.join(&kept.name)) {
            self.tell(format!("{}: could not be deleted: {error}", kept.name));
        }
        if line.is_err()
            && let Err(error) = self.p.manifest.append(&entry)
        {
            self.p.manifest.keep(entry);
            self.tell(format!("{}: deleted, but the manifest cannot say so yet: {error}", kept.name));
        }
        self.p.kept.pop_front();
        self.p.shared.stats.retired.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn tell(&self, text: String) {
        self.p.shared.push_event(Event {
            at_ns: self.p.clock.now_ns(),
            kind: EventKind::WARNING,
            value: 0,
            text,
        });
    }
}

/// Hashes the next [`HASH_STEP_BYTES`].
fn hash_piece(sealing: &mut Sealing, piece: &mut [u8]) -> io::Result<()> {
    let until = sealing.bytes.min(sealing.hashed + HASH_STEP_BYTES);
    while sealing.hashed < until {
        let want = usize::try_from(until - sealing.hashed).unwrap_or(usize::MAX).min(piece.len());
        let part = &mut piece[..want];
        sealing.live.file.read_exact_at(part, sealing.hashed)?;
        sealing.hasher.update(part);
        sealing.hashed += want as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{append, journal};
    use super::*;
    use crate::journal::Append;

    #[test]
    fn a_failed_sync_makes_the_writer_leave_and_a_second_in_a_row_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, mut keeper) = journal(dir.path());
        let handle = keeper.handle();
        let fail = |keeper: &mut crate::journal::Keeper, index: u32| {
            keeper.step();
            let live = keeper.behind.live.iter().find(|t| t.live.index == index).unwrap().live.clone();
            keeper.behind.sync_failed(&live, &io::Error::from_raw_os_error(libc::EIO));
        };
        assert_eq!(append(&mut writer), Append::Written);
        fail(&mut keeper, 0);
        assert_eq!(handle.state(), State::Ok);
        assert_eq!(append(&mut writer), Append::Written);
        assert_eq!(keeper.behind.p.spent[0].slots(), 1, "the writer has left the segment");
        fail(&mut keeper, 1);
        assert_eq!(handle.state(), State::Failed);
        assert_eq!(append(&mut writer), Append::Written);
        keeper.handle().sync_now();
        while keeper.step() {}
        assert_eq!(handle.state(), State::Ok, "the third segment reaches the disk");
        let durable = handle.durable()[0];
        assert_eq!(durable.segment, 2);
        writer.finish(&[]);
        let report = keeper.finish();
        assert_eq!(report.stats.sync_failures, 2);
        assert_eq!(report.stats.sealed, 3);
        assert_eq!(report.events.len(), 3, "{:?}", report.events);
    }

    #[test]
    fn a_writer_that_is_dropped_leaves_a_segment_that_is_ended_as_recovered() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, keeper) = journal(dir.path());
        assert_eq!(append(&mut writer), Append::Written);
        drop(writer);
        assert_eq!(keeper.finish().stats.sealed, 1);
        let file = File::open(dir.path().join("q00-000000.pcapng")).unwrap();
        let scan = recover::scan(&file).unwrap();
        assert!(scan.ended && scan.bytes == scan.file_bytes);
        assert_eq!((scan.end.packets, scan.end.flags), (1, EndOfSegment::RECOVERED));
    }
}
