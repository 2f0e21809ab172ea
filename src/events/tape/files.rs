//! An event tape in a directory.
//!
//! Records are gathered and written in whole, never half a record in one `write(2)`; a file that is closed is written again with
//! its final head under a temporary name, synced, renamed, and gets its line in the manifest. So a reader finds whole
//! records behind a head at any time, and a file that the manifest calls sealed is complete and durable.

use super::index::{Capture, Line, MANIFEST};
use super::{FileId, SIDE, State, Store, head};
use crate::sys;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of one file that are gathered at most before they are written.
const GATHER_BYTES: usize = 64 * 1024;
/// Mode of a sealed file: nobody writes it any more.
pub(super) const SEALED_MODE: u32 = 0o444;
/// Ending of a file that is being rewritten.
pub(super) const NEW_SUFFIX: &str = ".new";

/// A file that is being written.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    /// Whole records that are not written yet.
    gathered: Vec<u8>,
    head_bytes: u64,
    /// Written bytes, the head included.
    written_bytes: u64,
    is_synced: bool,
}

impl Open {
    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.gathered) {
            // A part of a record would make the rest unreadable: take it back.
            self.file.set_len(self.written_bytes)?;
            return Err(error);
        }
        self.written_bytes += self.gathered.len() as u64;
        self.gathered.clear();
        self.is_synced = false;
        Ok(())
    }
}

/// Writes an event tape.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    capture: Capture,
    manifest: File,
    open: BTreeMap<FileId, Open>,
}

impl Files {
    /// Makes the directory for `capture` (`dir` itself, not the journal's), which must not hold an event tape yet.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists`.
    pub fn create(dir: &Path, capture: Capture) -> io::Result<Self> {
        let make = |dir: &Path| DirBuilder::new().recursive(true).mode(0o750).create(dir);
        make(dir)?;
        if Capture::read(dir)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        for feed in &capture.feeds {
            make(&dir.join(&feed.directory))?;
        }
        let manifest =
            OpenOptions::new().append(true).create_new(true).mode(0o640).open(dir.join(MANIFEST))?;
        // Who starts the next capture may come while this one is still writing events: the lock keeps its hands off.
        manifest.try_lock().map_err(busy)?;
        // Last: a directory with a description has all the rest, whenever a crash comes.
        capture.write(dir)?;
        Ok(Self { dir: dir.to_owned(), capture, manifest, open: BTreeMap::new() })
    }

    /// Writes what was gathered: a reader sees every record that was taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.open.values_mut().try_for_each(Open::flush)
    }

    /// The same, and makes it durable.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        for open in self.open.values_mut().filter(|open| !open.is_synced) {
            open.file.sync_data()?;
            open.is_synced = true;
        }
        Ok(())
    }

    /// Every file is sealed: says so.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(mut self, missed_packets: u64) -> io::Result<()> {
        self.capture.state = State::Sealed;
        self.capture.missed_packets = missed_packets;
        self.capture.write(&self.dir)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // By name, not by closing: a program that is just being started elsewhere may hold a copy of the file.
        let _ = self.manifest.unlock();
    }
}

/// Somebody else writes this event tape.
pub(super) fn busy(error: std::fs::TryLockError) -> io::Error {
    match error {
        std::fs::TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
        std::fs::TryLockError::Error(error) => error,
    }
}

impl Store for Files {
    fn begin(&mut self, id: FileId, head: &[u8]) -> io::Result<()> {
        let path = self.dir.join(self.capture.file_name(id));
        let mut file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o640).open(&path)?;
        file.write_all(head)?;
        let head_bytes = head.len() as u64;
        let gathered = Vec::with_capacity(GATHER_BYTES);
        let open = Open { path, file, gathered, head_bytes, written_bytes: head_bytes, is_synced: false };
        self.open.insert(id, open);
        Ok(())
    }

    fn append(&mut self, id: FileId, records: &[u8]) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        if open.gathered.len() + records.len() > GATHER_BYTES {
            open.flush()?;
        }
        open.gathered.extend_from_slice(records);
        Ok(())
    }

    fn seal(&mut self, id: FileId, head: &[u8], records: u64) -> io::Result<()> {
        let Some(mut open) = self.open.remove(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        open.flush()?;
        let (size_bytes, blake3) =
            if id.stream == SIDE { finish_in_place(&open)? } else { rewrite(&open, head)? };
        let line = Line { name: self.capture.file_name(id), size_bytes, records, blake3, is_sealed: true };
        add_line(&mut self.manifest, &line)
    }
}

/// Appends a line and makes it durable.
pub(super) fn add_line(manifest: &mut File, line: &Line) -> io::Result<()> {
    manifest.write_all(line.to_string().as_bytes())?;
    manifest.sync_data()
}

/// Length and BLAKE3 of a file without a head, once it is durable.
fn finish_in_place(open: &Open) -> io::Result<(u64, [u8; 32])> {
    open.file.sync_all()?;
    open.file.set_permissions(Permissions::from_mode(SEALED_MODE))?;
    Ok((open.written_bytes, hash(&open.path)?))
}

/// Writes a file again behind its final head. Length and BLAKE3.
fn rewrite(open: &Open, head: &[u8]) -> io::Result<(u64, [u8; 32])> {
    let mut new_name = open.path.clone().into_os_string();
    new_name.push(NEW_SUFFIX);
    let new_path = PathBuf::from(new_name);
    let mut from = File::open(&open.path)?;
    from.seek(SeekFrom::Start(open.head_bytes))?;
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&new_path)?;
    let mut hasher = blake3::Hasher::new();
    to.write_all(head)?;
    hasher.update(head);
    let mut size_bytes = head.len() as u64;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let n = from.read(&mut chunk)?;
        let part = chunk.get(..n).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        to.write_all(part)?;
        hasher.update(part);
        size_bytes += part.len() as u64;
    }
    to.sync_all()?;
    to.set_permissions(Permissions::from_mode(SEALED_MODE))?;
    std::fs::rename(&new_path, &open.path)?;
    sys::fs::sync_dir(open.path.parent().unwrap_or(Path::new(".")))?;
    Ok((size_bytes, *hasher.finalize().as_bytes()))
}

/// BLAKE3 of a file.
pub(super) fn hash(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            return Ok(*hasher.finalize().as_bytes());
        }
        hasher.update(chunk.get(..n).unwrap_or_default());
    }
}

/// Bytes of the head of the file at `path`, whose length is `size_bytes`; `None` if it is not whole. The side table has none.
pub(super) fn head_of(file: &mut File, size_bytes: u64, is_side: bool) -> io::Result<Option<u64>> {
    if is_side {
        return Ok(Some(0));
    }
    let mut prelude = [0; 8];
    if size_bytes < prelude.len() as u64 {
        return Ok(None);
    }
    file.rewind()?;
    file.read_exact(&mut prelude)?;
    Ok(head::head_bytes(&prelude).filter(|bytes| *bytes <= size_bytes))
}
