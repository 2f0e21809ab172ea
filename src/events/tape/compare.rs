//! Compares what is made now with an event tape that is there.
//!
//! A sealed file must be the same to its last byte. Of a file that was cut, what is there must be a prefix: its head (as it is while
//! writing, or final) and whole records. Files of a sealed event tape that nobody makes now are differences too.

use super::files;
use super::index::{Capture, Line, MANIFEST, parse_manifest};
use super::{FileId, SIDE, State, Store, first_record};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// A place where the event tape is not what is made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Directory and name of the file.
    pub file: String,
    /// Index of the record in the file, from 0; `None` if it is about the file itself.
    pub record: Option<u64>,
    /// What is wrong with the file, if it is about that.
    pub what: &'static str,
    /// The record on tape; empty if there is none.
    pub on_tape: Vec<u8>,
    /// The record that is made now; empty if there is none.
    pub now: Vec<u8>,
}

/// What the comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Files that are the same.
    pub files: u64,
    /// Records that are made now.
    pub records: u64,
    /// Records that a cut event tape lacks.
    pub lacking: u64,
    /// Records that differ, files that do.
    pub differences: u64,
    /// The first of them.
    pub listed: Vec<Difference>,
}

/// A file that is being compared.
#[derive(Debug)]
struct Against {
    name: String,
    /// `None` if it is not there, or at its end.
    file: Option<File>,
    live_head: Vec<u8>,
    head_bytes: u64,
    compared: u64,
    differs: u64,
    lacks: u64,
}

/// Compares with the event tape in a directory.
#[derive(Debug)]
pub struct Compare {
    dir: PathBuf,
    capture: Capture,
    /// By name.
    lines: BTreeMap<String, Line>,
    open: BTreeMap<FileId, Against>,
    seen: Vec<String>,
    most_listed: usize,
    there: Vec<u8>,
    done: Compared,
}

impl Compare {
    /// With the event tape in `dir` that `capture` describes; of each file at most `most_listed` differences are kept.
    ///
    /// # Errors
    /// What the system says; `InvalidData` if its manifest is damaged.
    pub fn open(dir: &Path, capture: Capture, most_listed: usize) -> io::Result<Self> {
        let bytes = std::fs::read(dir.join(MANIFEST))?;
        let (lines, _) = parse_manifest(&bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its manifest is damaged"))?;
        Ok(Self {
            dir: dir.to_owned(),
            capture,
            lines: lines.into_iter().map(|line| (line.name.clone(), line)).collect(),
            open: BTreeMap::new(),
            seen: Vec::new(),
            most_listed,
            there: Vec::new(),
            done: Compared::default(),
        })
    }

    /// The sum. Files that are there and were not made are differences.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(mut self) -> io::Result<Compared> {
        let mut names = Vec::new();
        for feed in &self.capture.feeds {
            let entries = match std::fs::read_dir(self.dir.join(&feed.directory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                names
                    .extend(entry?.file_name().into_string().map(|n| format!("{}/{n}", feed.directory)).ok());
            }
        }
        names.extend(self.lines.keys().cloned());
        names.sort();
        names.dedup();
        for name in
            names.iter().filter(|name| !self.seen.contains(name) && !name.ends_with(files::NEW_SUFFIX))
        {
            file_differs(&mut self.done, name, "nothing is made now that would stand in it");
        }
        Ok(self.done)
    }

    fn is_whole(&self, name: &str) -> bool {
        self.capture.state == State::Sealed || self.lines.get(name).is_some_and(|line| line.is_sealed)
    }
}

fn file_differs(done: &mut Compared, file: &str, what: &'static str) {
    done.differences += 1;
    let (file, on_tape, now) = (file.to_owned(), Vec::new(), Vec::new());
    done.listed.push(Difference { file, record: None, what, on_tape, now });
}

impl Store for Compare {
    fn begin(&mut self, id: FileId, head: &[u8]) -> io::Result<()> {
        let name = self.capture.file_name(id);
        let file = match File::open(self.dir.join(&name)) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut against = Against {
            name: name.clone(),
            file,
            live_head: head.to_vec(),
            head_bytes: 0,
            compared: 0,
            differs: 0,
            lacks: 0,
        };
        if let Some(file) = &mut against.file {
            let size_bytes = file.metadata()?.len();
            // A head that is not whole is no head: the file is as good as not there.
            match files::head_of(file, size_bytes, id.stream == SIDE)? {
                Some(bytes) => against.head_bytes = bytes,
                None => against.file = None,
            }
        }
        if let Some(file) = &mut against.file {
            file.seek(SeekFrom::Start(against.head_bytes))?;
        }
        if against.file.is_none() && self.is_whole(&name) {
            file_differs(&mut self.done, &name, "is missing");
        }
        self.seen.push(name);
        self.open.insert(id, against);
        Ok(())
    }

    fn append(&mut self, id: FileId, records: &[u8]) -> io::Result<()> {
        let Some(against) = self.open.get_mut(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        self.there.clear();
        if let Some(file) = &mut against.file {
            file.take(records.len() as u64).read_to_end(&mut self.there)?;
        }
        let (mut now, mut there) = (records, self.there.as_slice());
        while !now.is_empty() {
            let (record, later) = now.split_at(first_record(now, id.stream));
            let (on_tape, rest) = there.split_at(record.len().min(there.len()));
            self.done.records += 1;
            if on_tape.len() < record.len() {
                // What is left of a torn record counts as not there.
                against.lacks += 1;
            } else if on_tape != record {
                against.differs += 1;
                let listed = self.done.listed.iter().filter(|d| d.file == against.name).count();
                if listed < self.most_listed {
                    self.done.listed.push(Difference {
                        file: against.name.clone(),
                        record: Some(against.compared),
                        what: "",
                        on_tape: on_tape.to_vec(),
                        now: record.to_vec(),
                    });
                }
            }
            against.compared += 1;
            (now, there) = (later, rest);
        }
        Ok(())
    }

    fn seal(&mut self, id: FileId, head: &[u8], records: u64) -> io::Result<()> {
        let Some(mut against) = self.open.remove(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        let is_whole = self.is_whole(&against.name);
        let before = self.done.differences;
        self.done.differences += against.differs;
        if is_whole && against.lacks > 0 && against.file.is_some() {
            file_differs(&mut self.done, &against.name, "ends too early");
        } else if !is_whole {
            self.done.lacking += against.lacks;
        }
        if let Some(file) = &mut against.file {
            let mut beyond = [0; 1];
            if file.read(&mut beyond)? > 0 {
                file_differs(&mut self.done, &against.name, "goes on behind the last record");
            }
            let mut on_tape = vec![0; usize::try_from(against.head_bytes).unwrap_or(usize::MAX)];
            file.rewind()?;
            file.read_exact(&mut on_tape)?;
            if on_tape != head && (is_whole || on_tape != against.live_head) {
                file_differs(&mut self.done, &against.name, "has another head");
            }
        }
        let is_there = against.file.is_some();
        if is_whole && is_there && self.done.differences == before {
            let line = self.lines.get(&against.name);
            let path = self.dir.join(&against.name);
            let is_entered = line.is_some_and(|line| line.records == records && line.is_sealed);
            let is_hash = line.map(|line| line.blake3) == Some(files::hash(&path)?);
            if !is_entered || !is_hash {
                file_differs(&mut self.done, &against.name, "is not what the manifest says");
            }
        }
        self.done.files += u64::from(is_there && self.done.differences == before);
        Ok(())
    }
}
