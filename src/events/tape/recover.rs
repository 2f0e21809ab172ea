//! Ends the event tapes that a crash left open.
//!
//! Each file that the manifest does not know is cut behind its last whole record and entered as `cut`; one without a
//! whole head, which holds no record, is removed. Nothing is ever appended to it. `tape decode --rebuild` makes it whole.

use super::State;
use super::files::{self, NEW_SUFFIX, SEALED_MODE};
use super::index::{Capture, EVENTS_DIR, Line, MANIFEST, parse_manifest};
use crate::sys;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read as _, Seek as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A file that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Capture, directory and name.
    pub name: String,
    /// Whole records (or rows) in it.
    pub records: u64,
    /// Bytes of a torn record that were cut off.
    pub torn_bytes: u64,
}

/// Ends every event tape of the journal `dir` that is not ended yet. Only for the holder of the journal's lock.
/// The second list says what could not be done, a sentence each: an event tape is never a reason not to capture.
///
/// # Errors
/// What listing the directory says.
pub fn recover(journal: &Path) -> io::Result<(Vec<Cut>, Vec<String>)> {
    let (mut cuts, mut remarks) = (Vec::new(), Vec::new());
    let mut dirs = Vec::new();
    match std::fs::read_dir(journal.join(EVENTS_DIR)) {
        Ok(entries) => {
            for entry in entries {
                dirs.push(entry?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    dirs.sort();
    // What a rebuilding that was killed has left has an ending, and is nobody's event tape.
    for dir in dirs.iter().filter(|dir| dir.is_dir() && dir.extension().is_none()) {
        let done = match Capture::read(dir) {
            Ok(Some(capture)) if capture.state == State::Live => {
                cut_capture(dir, capture, State::Cut, "the capture did not end in good order")
            }
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        match done {
            Ok(found) => cuts.extend(found),
            // An earlier capture that has left its journal and still makes events of it.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => remarks.push(format!(
                "the event tape in {} could not be ended: {error}; `tape decode --rebuild` makes it anew",
                dir.display()
            )),
        }
    }
    Ok((cuts, remarks))
}

/// Ends one event tape where it stands, for a reason.
///
/// # Errors
/// What the system says; `InvalidData` if its manifest is damaged.
pub fn cut_capture(dir: &Path, mut capture: Capture, state: State, reason: &str) -> io::Result<Vec<Cut>> {
    let (mut manifest, known) = open_manifest(dir)?;
    let mut cuts = Vec::new();
    for feed in &capture.feeds {
        let Ok(entries) = std::fs::read_dir(dir.join(&feed.directory)) else { continue };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        for file in names {
            let name = format!("{}/{file}", feed.directory);
            let path = dir.join(&name);
            if file.ends_with(NEW_SUFFIX) {
                std::fs::remove_file(&path)?;
            } else if !known.iter().any(|line| line.name == name)
                && let Some((line, torn_bytes)) = cut_file(&path, &name)?
            {
                files::add_line(&mut manifest, &line)?;
                let name = format!("{}/{name}", capture.capture);
                cuts.push(Cut { name, records: line.records, torn_bytes });
            }
        }
    }
    capture.state = state;
    reason.clone_into(&mut capture.reason);
    capture.write(dir)?;
    manifest.unlock()?;
    Ok(cuts)
}

/// True if a capture (or a rebuilding) still writes the event tape in `dir`.
///
/// # Errors
/// What the system says.
pub fn is_being_written(dir: &Path) -> io::Result<bool> {
    let file = File::open(dir.join(MANIFEST))?;
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The manifest for appending, its torn line cut off, and its lines.
fn open_manifest(dir: &Path) -> io::Result<(File, Vec<Line>)> {
    let path = dir.join(MANIFEST);
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    file.try_lock().map_err(files::busy)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (lines, whole_bytes) = parse_manifest(&bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its manifest is damaged"))?;
    if whole_bytes < bytes.len() as u64 {
        file.set_len(whole_bytes)?;
        file.sync_all()?;
    }
    Ok((file, lines))
}

/// Cuts a file behind its last whole record; `None` if it has no whole head, and so was removed.
fn cut_file(path: &Path, name: &str) -> io::Result<Option<(Line, u64)>> {
    let is_side = super::is_side(name);
    // A crash between sealing and the manifest's line leaves a file that its own owner may not write.
    std::fs::set_permissions(path, Permissions::from_mode(0o640))?;
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let size_bytes = file.metadata()?.len();
    let Some(head_bytes) = files::head_of(&mut file, size_bytes, is_side)? else {
        std::fs::remove_file(path)?;
        return Ok(None);
    };
    file.seek(io::SeekFrom::Start(head_bytes))?;
    let (records, records_bytes) = if is_side { whole_rows(&file)? } else { whole_records(&file)? };
    let whole_bytes = head_bytes + records_bytes;
    file.set_len(whole_bytes)?;
    file.sync_all()?;
    file.set_permissions(Permissions::from_mode(SEALED_MODE))?;
    sys::fs::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    let line = Line {
        name: name.to_owned(),
        size_bytes: whole_bytes,
        records,
        blake3: files::hash(path)?,
        is_sealed: false,
    };
    Ok(Some((line, size_bytes - whole_bytes)))
}

/// Bytes of the shortest DBN record: its header.
const LEAST_RECORD_BYTES: usize = 16;

/// Whole DBN records from here on, and their bytes.
fn whole_records(file: &File) -> io::Result<(u64, u64)> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut records, mut bytes) = (0, 0);
    let mut record = [0; u8::MAX as usize * 4];
    while let Some(first) = read_some(&mut reader, &mut record[..1])?.first().copied() {
        let len = usize::from(first) * 4;
        // Room that was never filled (after a power cut) reads as zero.
        if len < LEAST_RECORD_BYTES {
            break;
        }
        let rest = record.get_mut(1..len).unwrap_or_default();
        if read_some(&mut reader, rest)?.len() + 1 < len {
            break;
        }
        records += 1;
        bytes += len as u64;
    }
    Ok((records, bytes))
}

/// Whole rows from here on, and their bytes.
fn whole_rows(file: &File) -> io::Result<(u64, u64)> {
    use std::io::BufRead as _;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut rows, mut bytes) = (0, 0);
    let mut row = Vec::new();
    loop {
        row.clear();
        let n = reader.read_until(b'\n', &mut row)?;
        if !row.ends_with(b"\n") || row.contains(&0) {
            return Ok((rows, bytes));
        }
        rows += 1;
        bytes += n as u64;
    }
}

/// Reads as much of `into` as there is.
fn read_some<'b>(reader: &mut impl io::Read, into: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(into.get(..filled).unwrap_or_default())
}
