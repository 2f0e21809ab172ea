//! The bytes of one segment, finished or live, a block at a time.
//!
//! May touch: one open file. Knows the frame every pcapng block has (type, length, length again)
//! and the journal's two rules of placement (no block straddles a MiB; a zero first word means
//! "nothing yet"), and nothing of what stands inside.
//!
//! A *finished* file is read with `pread(2)` into a buffer: however its length changes meanwhile, the reader gets an
//! error or a short read, never a signal. A *live* file is mapped ([`MapRead`]), its first words are loaded with
//! acquire, and a committed block is copied out; what may lie beyond the end of what is committed is not looked at
//! through the mapping. In both cases a block handed out is this reader's own copy.

use super::BlockError;
use crate::journal::format;
use crate::sys::map_read::MapRead;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is read at once from a finished segment when reading on and on, bytes.
const READ_AHEAD_BYTES: u64 = 256 << 10;
/// Type and length.
const HEAD_BYTES: u64 = 8;

/// What stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole block; [`SegmentBytes::block`] is it.
    Block {
        /// Its type word.
        kind: u32,
        /// Its total length.
        len_bytes: u64,
    },
    /// A zero first word: nothing has been committed here yet.
    Nothing,
    /// The file ends exactly here.
    End,
}

/// What can go wrong when a block is fetched.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The file could not be read.
    Io(io::Error),
    /// No block can begin so.
    Block(BlockError),
}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Debug)]
enum Backing {
    Finished(File),
    Live(MapRead, File),
}

/// One segment's bytes.
#[derive(Debug)]
pub(crate) struct SegmentBytes {
    backing: Backing,
    len_bytes: u64,
    /// Copied out of the file; `buffer[0]` stood at `buffer_at`.
    buffer: Vec<u8>,
    buffer_at: u64,
    /// Range of `buffer` that is the last block found.
    block: std::ops::Range<usize>,
    read_ahead_bytes: u64,
    /// Bytes read from the file (or copied out of the mapping) so far.
    bytes_read: u64,
}

impl SegmentBytes {
    /// A file that is written no more: exactly `len_bytes` long.
    pub(crate) fn finished(file: File, len_bytes: u64) -> Self {
        Self::over(Backing::Finished(file), len_bytes)
    }

    /// A file that may still be written, `len_bytes` long (preallocated).
    pub(crate) fn live(file: &File, len_bytes: u64) -> io::Result<Self> {
        let map = MapRead::open(file, len_bytes)?;
        Ok(Self::over(Backing::Live(map, file.try_clone()?), len_bytes))
    }

    fn over(backing: Backing, len_bytes: u64) -> Self {
        Self {
            backing,
            len_bytes,
            buffer: Vec::new(),
            buffer_at: 0,
            block: 0..0,
            read_ahead_bytes: READ_AHEAD_BYTES,
            bytes_read: 0,
        }
    }

    /// How much to read at once; small when jumping about.
    pub(crate) const fn set_read_ahead(&mut self, sequential: bool) {
        self.read_ahead_bytes = if sequential { READ_AHEAD_BYTES } else { 0 };
    }

    /// Length of the file when it was opened, bytes.
    pub(crate) const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// True if it is mapped as one that may still be written.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.backing, Backing::Live(..))
    }

    /// Bytes read so far.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The block last found.
    pub(crate) fn block(&self) -> &[u8] {
        self.buffer.get(self.block.clone()).unwrap_or(&[])
    }

    /// Looks at the block that begins at `offset`, and keeps it for [`SegmentBytes::block`].
    /// Its length fits the file and the MiB; nothing else of it has been checked.
    pub(crate) fn fetch(&mut self, offset: u64) -> Result<Found, FetchError> {
        self.block = 0..0;
        let left_bytes = self.len_bytes.saturating_sub(offset);
        if left_bytes == 0 {
            return Ok(Found::End);
        }
        let Some((kind, said)) = self.head(offset, left_bytes)? else { return Ok(Found::Nothing) };
        check_length(offset, kind, said, left_bytes).map_err(FetchError::Block)?;
        let len_bytes = u64::from(said);
        self.have(offset, len_bytes)?;
        let at = usize::try_from(offset - self.buffer_at).unwrap_or(usize::MAX);
        let len = usize::try_from(len_bytes).unwrap_or(usize::MAX);
        self.block = at..at.saturating_add(len);
        Ok(Found::Block { kind, len_bytes })
    }

    /// Looks for an anchor at `offset`, and keeps it for [`SegmentBytes::block`].
    ///
    /// A search for anchors looks beyond what is committed, where sealing may cut a live file off at any moment: a
    /// mapping would answer with SIGBUS, so this reads with `pread(2)`. Its CRC is for the caller to check.
    pub(crate) fn fetch_anchor(&mut self, offset: u64) -> Result<Found, FetchError> {
        let Backing::Live(_, file) = &self.backing else { return self.fetch(offset) };
        self.block = 0..0;
        self.buffer.resize(format::ANCHOR_BYTES, 0);
        self.buffer_at = offset;
        self.bytes_read += format::ANCHOR_BYTES as u64;
        match file.read_exact_at(&mut self.buffer, offset) {
            Ok(()) => {}
            Err(error) => {
                self.buffer.clear();
                let is_cut = error.kind() == io::ErrorKind::UnexpectedEof;
                return if is_cut { Ok(Found::Nothing) } else { Err(error.into()) };
            }
        }
        if !self.buffer.starts_with(&format::ANCHOR.to_le_bytes()) {
            return Ok(Found::Nothing);
        }
        self.block = 0..format::ANCHOR_BYTES;
        Ok(Found::Block { kind: format::ANCHOR, len_bytes: format::ANCHOR_BYTES as u64 })
    }

    /// Type and length of the block at `offset`; None if nothing is committed there.
    fn head(&mut self, offset: u64, left_bytes: u64) -> Result<Option<(u32, u32)>, FetchError> {
        let short =
            FetchError::Block(format::decode::Damage::Short { said: HEAD_BYTES, there: left_bytes }.into());
        if let Backing::Live(map, _) = &self.backing {
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            // Fewer than four bytes are no word, and no block either.
            let Some(kind) = map.word_acquire(at) else { return Err(short) };
            if kind == 0 {
                return Ok(None);
            }
        }
        if left_bytes < HEAD_BYTES {
            return Err(short);
        }
        self.have(offset, HEAD_BYTES)?;
        let at = usize::try_from(offset - self.buffer_at).unwrap_or(usize::MAX);
        let word = |at: usize| {
            let bytes = self.buffer.get(at..).and_then(|b| b.first_chunk::<4>());
            bytes.map_or(0, |b| u32::from_le_bytes(*b))
        };
        let kind = word(at);
        Ok((kind != 0).then(|| (kind, word(at.saturating_add(4)))))
    }

    /// Makes `buffer` hold `len_bytes` from `offset` on; the range lies within the file and one MiB.
    fn have(&mut self, offset: u64, len_bytes: u64) -> Result<(), FetchError> {
        let buffered_end = self.buffer_at + self.buffer.len() as u64;
        let is_live = self.is_live();
        if !is_live && offset >= self.buffer_at && offset + len_bytes <= buffered_end {
            return Ok(());
        }
        let ahead_bytes = if is_live { 0 } else { self.read_ahead_bytes };
        let want_bytes = len_bytes.max(ahead_bytes).min(self.len_bytes.saturating_sub(offset));
        let want = usize::try_from(want_bytes).unwrap_or(0);
        self.buffer.resize(want, 0);
        self.buffer_at = offset;
        self.bytes_read += want_bytes;
        let read = match &self.backing {
            Backing::Finished(file) => file.read_exact_at(&mut self.buffer, offset),
            Backing::Live(map, _) => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                if map.copy(at, &mut self.buffer) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        };
        // Whatever a failed read left behind is not to be taken for the file's bytes.
        read.inspect_err(|_| self.buffer.clear())?;
        Ok(())
    }
}

fn check_length(offset: u64, block_type: u32, said: u32, left_bytes: u64) -> Result<(), BlockError> {
    use format::decode::Damage;
    let len_bytes = u64::from(said);
    if len_bytes < format::MIN_BLOCK_BYTES as u64 || !len_bytes.is_multiple_of(4) || len_bytes > format::MIB {
        return Err(Damage::Length { block_type, said }.into());
    }
    if len_bytes > left_bytes {
        return Err(Damage::Short { said: len_bytes, there: left_bytes }.into());
    }
    if len_bytes > format::room_in_mib(offset) {
        return Err(BlockError::Straddles { said });
    }
    Ok(())
}
