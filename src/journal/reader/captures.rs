//! The captures on a tape: which segments each one wrote, and its queues merged with clock readings as barriers.
//!
//! May touch: the heads of segments. Queues are never followed beyond a capture's own segments, so what comes
//! of a capture does not depend on what was captured on the same journal later.

use super::segment::{Opening, SegmentReader};
use super::tape::{SegmentFile, list_segments};
use super::{Merged, QueueReader, ReadError, ReadOptions, Tape};
use std::path::Path;

/// The segments of one capture.
#[derive(Clone, Debug)]
pub struct CaptureOnTape {
    /// Its id, as in `journal.toml`.
    pub id: [u8; 16],
    /// By queue and index.
    pub segments: Vec<SegmentFile>,
    /// False if the beginning of a queue is gone (retention).
    pub has_beginning: bool,
    /// When its first segment was begun, ns since the Unix epoch.
    created_ns: u64,
}

impl CaptureOnTape {
    /// All its queues, in the order that depends on the tape alone.
    pub fn merged(&self) -> Merged {
        let options = ReadOptions { barriers: true, ..ReadOptions::default() };
        let queues = self.segments.chunk_by(|a, b| a.queue == b.queue);
        let reader = |segments: &[SegmentFile]| {
            let queue = segments.first().map_or(0, |segment| segment.queue);
            QueueReader::new(queue, None, segments.to_vec(), options)
        };
        Merged::new(queues.map(reader).collect(), options)
    }
}

impl Tape {
    /// The captures on this tape, oldest first. Segments that hold nothing yet, or no readable head, are of none.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn captures(&self) -> Result<Vec<CaptureOnTape>, ReadError> {
        let mut captures: Vec<CaptureOnTape> = Vec::new();
        for file in self.segments() {
            let mut segment = match SegmentReader::open(&file.path, Opening::Auto) {
                Ok(segment) => segment,
                Err(ReadError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let header = match segment.read_head() {
                Ok(true) => segment.header(),
                Ok(false) | Err(ReadError::Damaged(_)) => None,
                Err(error) => return Err(error),
            };
            let Some(header) = header else { continue };
            let known = captures.iter().position(|capture| capture.id == header.capture_id);
            let at = known.unwrap_or_else(|| {
                captures.push(CaptureOnTape {
                    id: header.capture_id,
                    segments: Vec::new(),
                    has_beginning: true,
                    created_ns: header.created_ns,
                });
                captures.len() - 1
            });
            let capture = &mut captures[at];
            let is_first = capture.segments.last().is_none_or(|last| last.queue != file.queue);
            capture.has_beginning &= !is_first || header.first_seq == 0;
            capture.created_ns = capture.created_ns.min(header.created_ns);
            capture.segments.push(file.clone());
        }
        captures.sort_by_key(|capture| capture.created_ns);
        Ok(captures)
    }
}

/// Follows the capture that is being written in `dir`, whose queues begin with the segments of these indices. The order is that
/// of [`CaptureOnTape::merged`].
///
/// # Errors
/// [`ReadError::Io`] if the directory cannot be read.
pub fn follow_capture(dir: &Path, first_segments: &[u32]) -> Result<Merged, ReadError> {
    let options = ReadOptions { follow: true, hold_ns: u64::MAX, barriers: true, ..ReadOptions::default() };
    let all = list_segments(dir)?;
    let reader = |(queue, first): (u16, &u32)| {
        let own = all.iter().filter(|file| file.queue == queue && file.index >= *first);
        QueueReader::new(queue, Some(dir.to_owned()), own.cloned().collect(), options)
    };
    Ok(Merged::new((0..).zip(first_segments).map(reader).collect(), options))
}
