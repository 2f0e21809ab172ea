//! Bytes gathered before they are written: a write for a few thousand packets, not one for each.

use super::outcome::TapeError;
use std::io::Write;

/// Written when so much has gathered, bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Gathers blocks, and writes them many at a time.
#[derive(Debug)]
pub(super) struct Gathered<W> {
    out: W,
    /// Where it goes, for messages.
    name: String,
    /// What is not written yet.
    pub(super) buffer: Vec<u8>,
    written_bytes: u64,
}

impl<W: Write> Gathered<W> {
    pub(super) fn new(out: W, name: &str) -> Self {
        let buffer = Vec::with_capacity(2 * BATCH_BYTES);
        Self { out, name: name.to_owned(), buffer, written_bytes: 0 }
    }

    /// Writes if enough has gathered.
    pub(super) fn write_if_full(&mut self) -> Result<(), TapeError> {
        if self.buffer.len() >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    /// Writes, and hands everything over to whoever reads.
    pub(super) fn write(&mut self) -> Result<(), TapeError> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        written.map_err(TapeError::io(format!("cannot write {}", self.name)))?;
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Bytes written so far.
    pub(super) const fn written_bytes(&self) -> u64 {
        self.written_bytes
    }
}
