//! What there is: a directory of segments, or one segment file.
//!
//! May touch: the directory's list of names. Opens no segment by itself.

use super::{Merged, QueueReader, ReadError, ReadOptions};
use crate::journal::format;
use std::path::{Path, PathBuf};

/// A segment file in a tape's directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentFile {
    /// Queue, by its name.
    pub queue: u16,
    /// Index in the queue, by its name.
    pub index: u32,
    /// The file.
    pub path: PathBuf,
}

/// A tape: a journal's directory as it was when it was opened, or a single segment.
#[derive(Clone, Debug)]
pub struct Tape {
    path: PathBuf,
    is_directory: bool,
    segments: Vec<SegmentFile>,
}

impl Tape {
    /// Opens a journal's directory, or a single segment file.
    ///
    /// # Errors
    /// [`ReadError::NotATape`] if there is no segment there; [`ReadError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let metadata =
            std::fs::metadata(path).map_err(|error| ReadError::Io { path: path.to_owned(), error })?;
        if !metadata.is_dir() {
            return Ok(Self::single(path));
        }
        let segments = list_segments(path)?;
        let has_manifest = path.join("journal.toml").exists() || path.join("manifest").exists();
        if segments.is_empty() && !has_manifest {
            let why = "holds no journal: a journal has files like q00-000000.pcapng".to_owned();
            return Err(ReadError::NotATape { path: path.to_owned(), why });
        }
        Ok(Self { path: path.to_owned(), is_directory: true, segments })
    }

    fn single(path: &Path) -> Self {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // A copy under another name is still a segment; its header knows which.
        let (queue, index) = format::parse_segment_name(name).unwrap_or_default();
        let segment = SegmentFile { queue, index, path: path.to_owned() };
        Self { path: path.to_owned(), is_directory: false, segments: vec![segment] }
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True for a journal's directory, false for a single segment.
    pub const fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// The segments, by queue and index.
    pub fn segments(&self) -> &[SegmentFile] {
        &self.segments
    }

    /// The segments of one queue, by index.
    pub fn segments_of(&self, queue: u16) -> impl Iterator<Item = &SegmentFile> {
        self.segments.iter().filter(move |s| s.queue == queue)
    }

    /// The queues, ascending.
    pub fn queues(&self) -> Vec<u16> {
        let mut queues: Vec<u16> = self.segments.iter().map(|s| s.queue).collect();
        queues.dedup();
        queues
    }

    /// A reader of one queue, from its first segment on.
    pub fn queue(&self, queue: u16, options: ReadOptions) -> QueueReader {
        let directory = self.is_directory.then(|| self.path.clone());
        QueueReader::new(queue, directory, self.segments_of(queue).cloned().collect(), options)
    }

    /// A reader of all queues by stamp.
    pub fn merged(&self, options: ReadOptions) -> Merged {
        self.merge(self.queues().into_iter().map(|q| self.queue(q, options)).collect(), options)
    }

    /// A reader of all queues by stamp that begins at the live end of each: with what is committed from now on.
    ///
    /// # Errors
    /// [`ReadError`] if the way there cannot be read.
    pub fn merged_from_live_end(&self, options: ReadOptions) -> Result<Merged, ReadError> {
        let mut readers = Vec::new();
        for queue in self.queues() {
            let mut reader = self.queue(queue, options);
            reader.go_to_live_end()?;
            readers.push(reader);
        }
        Ok(self.merge(readers, options))
    }

    /// Merges readers of this tape's queues that stand wherever they stand (see [`crate::journal::index`]).
    pub fn merge(&self, readers: Vec<QueueReader>, options: ReadOptions) -> Merged {
        Merged::new(readers, options)
    }
}

/// The segments in a directory, by queue and index.
pub(super) fn list_segments(directory: &Path) -> Result<Vec<SegmentFile>, ReadError> {
    let io = |error| ReadError::Io { path: directory.to_owned(), error };
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        if let Some((queue, index)) = name.to_str().and_then(format::parse_segment_name) {
            segments.push(SegmentFile { queue, index, path: entry.path() });
        }
    }
    segments.sort();
    Ok(segments)
}
