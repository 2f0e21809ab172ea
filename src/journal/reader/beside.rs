//! What the files beside the segments say: `durable` (what is known to be on the medium) and `journal.toml`.
//!
//! May touch: those two. `durable` is overwritten in place, a line of fixed length a queue: a line that cannot be read
//! is left out, as nothing is known then.

use super::{ReadError, Tape};
use crate::journal::{DURABLE_FILE_NAME, Description, JournalError};
use std::io;
use std::path::Path;

/// What is durable of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurablePosition {
    /// The queue.
    pub queue: u16,
    /// Index of the segment; all earlier ones are durable whole.
    pub segment: u32,
    /// Bytes of that segment.
    pub bytes: u64,
    /// When that was written down, ns since the Unix epoch.
    pub at_ns: u64,
}

impl DurablePosition {
    /// How much of a segment of this queue is durable, bytes, if so many of it are used.
    pub fn of_segment(&self, index: u32, used_bytes: u64) -> u64 {
        match index.cmp(&self.segment) {
            std::cmp::Ordering::Less => used_bytes,
            std::cmp::Ordering::Equal => self.bytes.min(used_bytes),
            std::cmp::Ordering::Greater => 0,
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let position = Self {
            queue: words.next()?.strip_prefix('q')?.parse().ok()?,
            segment: words.next()?.parse().ok()?,
            bytes: words.next()?.parse().ok()?,
            at_ns: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(position)
    }
}

impl Tape {
    /// What is durable, by queue; empty for a single segment and where nothing says so.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn durable(&self) -> Result<Vec<DurablePosition>, ReadError> {
        if !self.is_directory() {
            return Ok(Vec::new());
        }
        let path = self.path().join(DURABLE_FILE_NAME);
        match std::fs::read(&path) {
            Ok(bytes) => {
                Ok(String::from_utf8_lossy(&bytes).lines().filter_map(DurablePosition::parse).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(ReadError::Io { path, error }),
        }
    }

    /// The description in the tape's directory, or beside a single segment; `None` if there is none.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot be read or is not understood.
    pub fn description(&self) -> Result<Option<Description>, JournalError> {
        let dir = if self.is_directory() { Some(self.path()) } else { self.path().parent() };
        let Some(dir) = dir else { return Ok(None) };
        match Description::read(if dir == Path::new("") { Path::new(".") } else { dir }) {
            Ok(description) => Ok(Some(description)),
            Err(JournalError::NotAJournal(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DurablePosition;

    #[test]
    fn a_line_that_is_not_whole_says_nothing() {
        let line = "q00001 0000000007 00000000000000004096 00000000000000000042";
        let position = DurablePosition::parse(line);
        assert_eq!(position, Some(DurablePosition { queue: 1, segment: 7, bytes: 4096, at_ns: 42 }));
        let position = position.expect("parsed");
        assert_eq!([6, 7, 8].map(|index| position.of_segment(index, 5000)), [5000, 4096, 0]);
        assert_eq!(position.of_segment(7, 100), 100);
        for cut in 0..line.len() - 20 {
            assert_eq!(DurablePosition::parse(&line[..cut]), None);
        }
        assert_eq!(DurablePosition::parse(&format!("{line} 1")), None);
        assert_eq!(DurablePosition::parse("q99999 1 1 1"), None);
    }
}
