//! Opening: the directory, its lock, `journal.toml`, recovery, the first segments.

use super::ahead::{Ahead, AheadParts, MAX_OUT, is_full};
use super::behind::{Behind, BehindParts, DURABLE_FILE_NAME, Kept};
use super::format::{FORMAT_VERSION, parse_segment_name};
use super::keeper::Keeper;
use super::manifest::{self, Manifest, ManifestFile, hex};
use super::options::{Fingerprint, JournalError, JournalOptions, OnFull};
use super::recover::{self, Recovery};
use super::segment::{Fresh, Spent};
use super::shared::Shared;
use super::writer::{Writer, WriterParts};
use crate::clock::{Clock, SystemClock};
use crate::sys;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Name of the description.
pub const DESCRIPTION_FILE_NAME: &str = "journal.toml";
/// Name of the lock file.
pub const LOCK_FILE_NAME: &str = "LOCK";

/// `journal.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Version of the format.
    pub format_version: u16,
    /// Features that a reader may ignore.
    #[serde(default)]
    pub compatible: Vec<String>,
    /// Features without which the journal cannot be read.
    #[serde(default)]
    pub incompatible: Vec<String>,
    /// One entry for each time that a capture was started on it.
    #[serde(default, rename = "capture")]
    pub captures: Vec<CaptureEntry>,
}

/// A capture: one start of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureEntry {
    /// Random 128 bits, hexadecimal; stands in each segment's header.
    pub id: String,
    /// When it was started, RFC 3339, UTC.
    pub created: String,
    /// The program that wrote it.
    pub application: String,
    /// How many queues.
    pub queues: u16,
    /// BLAKE3 of the configuration, hexadecimal.
    pub config_hash: String,
    /// What it ran on.
    #[serde(default)]
    pub host: Fingerprint,
}

impl Description {
    /// Reads a journal's description, and checks that this program understands the journal.
    ///
    /// # Errors
    /// [`JournalError::NotAJournal`], [`JournalError::Damaged`], [`JournalError::Unknown`], [`JournalError::Io`].
    pub fn read(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(DESCRIPTION_FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(JournalError::NotAJournal(dir.to_owned()));
            }
            Err(error) => return Err(JournalError::io("reading", path)(error)),
        };
        let damaged =
            |error: toml::de::Error| JournalError::Damaged { path, what: error.message().to_owned() };
        let description: Self = toml::from_str(&text).map_err(damaged)?;
        let mut unknown = description.incompatible.clone();
        if description.format_version != FORMAT_VERSION {
            unknown.push(format!("format version {}", description.format_version));
        }
        if unknown.is_empty() {
            return Ok(description);
        }
        Err(JournalError::Unknown { dir: dir.to_owned(), features: unknown.join(", ") })
    }

    /// Replaces the description, so that either the old or the new one is there after a crash.
    fn write(&self, dir: &Path) -> Result<(), JournalError> {
        let path = dir.join(DESCRIPTION_FILE_NAME);
        let new = dir.join("journal.toml.new");
        let text = toml::to_string(self)
            .map_err(|error| JournalError::Damaged { path: path.clone(), what: error.to_string() })?;
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written
            .and_then(|()| std::fs::rename(&new, &path))
            .and_then(|()| sys::fs::sync_dir(dir))
            .map_err(JournalError::io("writing", path))
    }
}

/// A journal that is open for writing, its first segments prepared.
#[derive(Debug)]
pub struct Journal {
    writers: Vec<Writer>,
    keeper: Keeper,
    capture_id: [u8; 16],
    first_segments: Vec<u32>,
}

impl Journal {
    /// Creates or reopens a journal: takes the lock, recovers what a crash left open, prepares the first segments.
    ///
    /// # Errors
    /// [`JournalError`], which names what is wrong and the mend.
    pub fn open(options: JournalOptions) -> Result<(Self, Recovery), JournalError> {
        Self::open_with_clock(options, Arc::new(SystemClock))
    }

    /// The same, on another clock.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with_clock(
        options: JournalOptions,
        clock: Arc<dyn Clock + Send + Sync>,
    ) -> Result<(Self, Recovery), JournalError> {
        let options = options.checked()?;
        let fresh = make_directory(&options.dir)?;
        let lock = take_lock(&options.dir, &*clock)?;
        let mut description = if fresh { new_description() } else { Description::read(&options.dir)? };
        let (mut manifest_file, manifest) = ManifestFile::open(&options.dir).map_err(|error| match error
            .kind()
        {
            io::ErrorKind::InvalidData => {
                JournalError::Damaged { path: options.dir.join(manifest::FILE_NAME), what: error.to_string() }
            }
            _ => JournalError::io("opening", options.dir.join(manifest::FILE_NAME))(error),
        })?;
        let recovery = recover::recover(&options.dir, &mut manifest_file, &manifest)
            .map_err(JournalError::io("recovering", &options.dir))?;
        let capture_id = sys::random::bytes().map_err(JournalError::io("random bytes for", &options.dir))?;
        description.captures.push(capture_entry(&options, capture_id, &*clock));
        description.write(&options.dir)?;
        let journal = Self::assemble(&options, clock, lock, manifest_file, capture_id)?;
        Ok((journal, recovery))
    }

    fn assemble(
        options: &JournalOptions,
        clock: Arc<dyn Clock + Send + Sync>,
        lock: Lock,
        manifest: ManifestFile,
        capture_id: [u8; 16],
    ) -> Result<Self, JournalError> {
        let io = |what| JournalError::io(what, &options.dir);
        let shared = Arc::new(Shared::new(options.queues, options.on_full == OnFull::Stop));
        let (to_behind, from_ahead) = mpsc::channel();
        let mut ahead = Ahead::new(AheadParts {
            dir: options.dir.clone(),
            segment_bytes: options.segment_bytes,
            on_full: options.on_full,
            shared: Arc::clone(&shared),
            clock: Arc::clone(&clock),
            to_behind,
        });
        let next = next_indices(&options.dir).map_err(io("reading"))?;
        let kept = kept_segments(&options.dir).map_err(io("reading"))?;
        let (mut writers, mut spent_ends, mut first_segments) = (Vec::new(), Vec::new(), Vec::new());
        for queue in 0..options.queues {
            let (fresh_in, fresh_out) = rtrb::RingBuffer::<Fresh>::new(MAX_OUT);
            let (spent_in, spent_out) = rtrb::RingBuffer::<Spent>::new(2 * MAX_OUT);
            let index = next.get(&queue).copied().unwrap_or(0);
            first_segments.push(index);
            ahead.add_queue(queue, index, fresh_in).map_err(|error| first_segment_error(options, error))?;
            spent_ends.push(spent_out);
            writers.push(Writer::new(WriterParts {
                queue,
                capture_id,
                capture_start_ns: clock.now_ns(),
                hardware: options.hardware.clone(),
                os: options.os.clone(),
                application: options.application.clone(),
                shared: Arc::clone(&shared),
                fresh: fresh_out,
                spent: spent_in,
            }));
        }
        let durable = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(options.dir.join(DURABLE_FILE_NAME))
            .map_err(io("writing durable in"))?;
        let behind = Behind::new(BehindParts {
            dir: options.dir.clone(),
            sync_interval_ns: nanos(options.sync_interval),
            rotate_ns: options.rotate.map(nanos),
            retain_bytes: options.retain_bytes,
            retain_age_ns: options.retain_age.map(nanos),
            shared: Arc::clone(&shared),
            clock,
            from_ahead,
            spent: spent_ends,
            manifest,
            durable,
            kept,
        });
        Ok(Self { writers, keeper: Keeper { ahead, behind, shared, lock }, capture_id, first_segments })
    }

    /// The id of this capture, as in `journal.toml` and each segment's header.
    pub fn capture_id(&self) -> [u8; 16] {
        self.capture_id
    }

    /// Index of each queue's first segment of this capture.
    pub fn first_segments(&self) -> &[u32] {
        &self.first_segments
    }

    /// The writers, one a queue, and the keeper, which must run while they write.
    pub fn start(self) -> (Vec<Writer>, Keeper) {
        (self.writers, self.keeper)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// Makes the directory if there is none. True if it is empty.
fn make_directory(dir: &Path) -> Result<bool, JournalError> {
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(not_writable(dir))?;
            return Ok(true);
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(JournalError::NotADirectory(dir.to_owned()));
        }
        Err(error) => return Err(JournalError::io("opening", dir)(error)),
    };
    if !metadata.is_dir() {
        return Err(JournalError::NotADirectory(dir.to_owned()));
    }
    if dir.join(DESCRIPTION_FILE_NAME).exists() {
        return Ok(false);
    }
    // A start that was killed before it wrote journal.toml leaves no more than these.
    let harmless = [LOCK_FILE_NAME, "journal.toml.new", manifest::FILE_NAME];
    for entry in std::fs::read_dir(dir).map_err(JournalError::io("reading", dir))? {
        let name = entry.map_err(JournalError::io("reading", dir))?.file_name();
        if !harmless.iter().any(|known| name == *known) {
            return Err(JournalError::NotAJournal(dir.to_owned()));
        }
    }
    Ok(true)
}

fn not_writable(dir: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let dir = dir.to_owned();
    move |error| JournalError::NotWritable { dir, error }
}

/// Takes the lock, which the kernel takes back when the process ends, however it ends.
fn take_lock(dir: &Path, clock: &dyn Clock) -> Result<Lock, JournalError> {
    let path = dir.join(LOCK_FILE_NAME);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(&path)
        .map_err(not_writable(dir))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Without its text, the answer is still that somebody holds it.
            let _ = file.read_to_string(&mut holder);
            return Err(JournalError::InUse { dir: dir.to_owned(), holder: holder.trim().to_owned() });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(JournalError::io("locking", path)(error)),
    }
    let text = format!("pid {} since {}\n", std::process::id(), rfc3339(clock.now_ns()));
    let lock = Lock(file);
    lock.0
        .set_len(0)
        .and_then(|()| (&lock.0).write_all(text.as_bytes()))
        .map_err(JournalError::io("writing", path))?;
    Ok(lock)
}

/// The journal's lock. Given back by name, not by closing: a program that another thread is just starting
/// (between its fork and its exec) holds a copy of every open file, and with it the lock, a little longer.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing gives it back too, if only later.
        let _ = self.0.unlock();
    }
}

fn rfc3339(ns: u64) -> String {
    humantime::format_rfc3339_nanos(std::time::UNIX_EPOCH + Duration::from_nanos(ns)).to_string()
}

fn new_description() -> Description {
    Description {
        format_version: FORMAT_VERSION,
        compatible: Vec::new(),
        incompatible: Vec::new(),
        captures: Vec::new(),
    }
}

fn capture_entry(options: &JournalOptions, id: [u8; 16], clock: &dyn Clock) -> CaptureEntry {
    CaptureEntry {
        id: hex(&id),
        created: rfc3339(clock.now_ns()),
        application: options.application.clone(),
        queues: options.queues,
        config_hash: hex(&options.config_hash),
        host: options.host.clone(),
    }
}

/// The index that each queue's next segment has: beyond every name that was ever used.
fn next_indices(dir: &Path) -> io::Result<BTreeMap<u16, u32>> {
    let mut next: BTreeMap<u16, u32> = BTreeMap::new();
    let mut used = |(queue, index): (u16, u32)| {
        let slot = next.entry(queue).or_default();
        *slot = (*slot).max(index.saturating_add(1));
    };
    read_manifest(dir)?.names().filter_map(parse_segment_name).for_each(&mut used);
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or("");
        let name = name.find(".damaged").map_or(name, |at| &name[..at]);
        parse_segment_name(name).into_iter().for_each(&mut used);
    }
    Ok(next)
}

fn read_manifest(dir: &Path) -> io::Result<Manifest> {
    let bytes = std::fs::read(dir.join(manifest::FILE_NAME))?;
    Manifest::parse(&bytes).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))
}

/// The sealed segments that are there, oldest first. When one was sealed, its file knows.
fn kept_segments(dir: &Path) -> io::Result<VecDeque<Kept>> {
    let manifest = read_manifest(dir)?;
    let kept = manifest.kept().into_iter().filter_map(|sealed| {
        let metadata = std::fs::metadata(dir.join(&sealed.name)).ok()?;
        let sealed_ns = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Kept { name: sealed.name.clone(), bytes: sealed.size_bytes, sealed_ns: nanos(sealed_ns) })
    });
    Ok(kept.collect())
}

fn first_segment_error(options: &JournalOptions, error: io::Error) -> JournalError {
    if is_full(&error) {
        let free = sys::fs::free_bytes(&options.dir).unwrap_or(0);
        return JournalError::NoRoom { dir: options.dir.clone(), needed: options.segment_bytes, free };
    }
    JournalError::io("preparing a segment (its room is reserved with fallocate) in", &options.dir)(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_free_even_if_a_starting_program_still_holds_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let lock = take_lock(dir.path(), &SystemClock).unwrap();
        // As after fork: the same open file description.
        let _copy = lock.0.try_clone().unwrap();
        assert!(matches!(take_lock(dir.path(), &SystemClock), Err(JournalError::InUse { .. })));
        drop(lock);
        take_lock(dir.path(), &SystemClock).unwrap();
    }
}
