//! `mmap(2)` of a file that another thread or process may still be writing, for reading.
//!
//! A live journal segment is preallocated, zero beyond the write position, and a block is committed
//! by storing its first word last, with release. [`MapRead`] gives the reading half of that bargain:
//! a word loaded with acquire, and bytes *copied out* word by word. It never hands out a `&[u8]` into
//! the mapping, so whatever the writer (or a stranger) does to the file meanwhile, the worst that can
//! come out is wrong bytes in the caller's own buffer, which the caller checks as it checks any file.
//!
//! Truncating a file below a mapping's length makes touching the lost pages a SIGBUS. Journal
//! writers truncate a segment only behind its end-of-segment block, and journal readers touch nothing
//! behind that block. Files that are already finished are read with `pread(2)`, not through here, so
//! nobody's truncation can fault their readers.

use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

const WORD_BYTES: usize = size_of::<u32>();

/// A file mapped for reading while it may be written.
#[derive(Debug)]
pub struct MapRead {
    map: Option<MmapRaw>,
    /// Whole words only: a file's last one to three bytes are not readable through here.
    words: usize,
}

impl MapRead {
    /// Maps the first `len_bytes` of `file`, which must not be longer than the file is now.
    ///
    /// # Errors
    /// What `fstat` or `mmap` said, or `UnexpectedEof` if the file is shorter than asked.
    pub fn open(file: &File, len_bytes: u64) -> io::Result<Self> {
        let too_long =
            || io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than its mapping");
        if file.metadata()?.len() < len_bytes {
            return Err(too_long());
        }
        let len = usize::try_from(len_bytes).map_err(|_| too_long())?;
        if len < WORD_BYTES {
            return Ok(Self { map: None, words: 0 });
        }
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Self { words: len / WORD_BYTES, map: Some(map) })
    }

    /// Bytes that can be read, a multiple of four.
    pub const fn len(&self) -> usize {
        self.words * WORD_BYTES
    }

    /// True if there is not even one word.
    pub const fn is_empty(&self) -> bool {
        self.words == 0
    }

    fn word(&self, index: usize, order: Ordering) -> Option<u32> {
        let map = self.map.as_ref().filter(|_| index < self.words)?;
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts on a page")]
        let at = map.as_ptr().cast::<AtomicU32>();
        // SAFETY: `index < words`, and `words * 4` bytes are mapped; a mapping starts on a page, so
        // every multiple of four is aligned. AtomicU32 allows shared mutation by whoever writes the file, and
        // an atomic load may be made through read-only memory (x86-64 and aarch64 load 32 bits plainly).
        let word = unsafe { &*at.add(index) };
        Some(word.load(order))
    }

    /// The little-endian word at `offset_bytes`, loaded with acquire: whatever was stored before a release
    /// store of the value seen is visible to [`MapRead::copy`] afterwards. None if it is not aligned or not in the mapping.
    pub fn word_acquire(&self, offset_bytes: usize) -> Option<u32> {
        if !offset_bytes.is_multiple_of(WORD_BYTES) {
            return None;
        }
        self.word(offset_bytes / WORD_BYTES, Ordering::Acquire).map(u32::from_le)
    }

    /// Copies `into.len()` bytes from `offset_bytes` on. False, and nothing copied, if that is not
    /// aligned or not wholly in the mapping; both must be multiples of four.
    pub fn copy(&self, offset_bytes: usize, into: &mut [u8]) -> bool {
        let first = offset_bytes / WORD_BYTES;
        let aligned = offset_bytes.is_multiple_of(WORD_BYTES) && into.len().is_multiple_of(WORD_BYTES);
        if !aligned || first > self.words || into.len() / WORD_BYTES > self.words - first {
            return false;
        }
        let (cells, _) = into.as_chunks_mut::<WORD_BYTES>();
        for (index, cell) in (first..).zip(cells) {
            let Some(word) = self.word(index, Ordering::Relaxed) else { return false };
            *cell = u32::from_le(word).to_le_bytes();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn words_and_bytes_are_those_of_the_file() {
        let bytes: Vec<u8> = (0..=255).collect();
        let map = MapRead::open(&file_of(&bytes), 256).unwrap();
        assert_eq!(map.len(), 256);
        assert_eq!(map.word_acquire(4), Some(0x0706_0504));
        assert_eq!(map.word_acquire(252), Some(0xfffe_fdfc));
        let mut into = [0; 248];
        assert!(map.copy(8, &mut into));
        assert_eq!(into, bytes[8..]);
    }

    #[test]
    fn nothing_outside_the_mapping_is_ever_read() {
        let map = MapRead::open(&file_of(&[1; 15]), 15).unwrap();
        assert_eq!(map.len(), 12);
        assert_eq!(map.word_acquire(12), None);
        assert_eq!(map.word_acquire(2), None);
        assert_eq!(map.word_acquire(usize::MAX - 3), None);
        let mut into = [0; 8];
        for offset in [8, 12, 16, 2, usize::MAX - 3] {
            assert!(!map.copy(offset, &mut into), "{offset}");
        }
        assert!(!map.copy(0, &mut [0; 7]));
    }

    #[test]
    fn an_empty_file_and_one_shorter_than_asked_are_no_panic() {
        let map = MapRead::open(&file_of(&[]), 0).unwrap();
        assert!(map.is_empty());
        assert_eq!(map.word_acquire(0), None);
        assert!(MapRead::open(&file_of(&[0; 8]), 9).is_err());
    }

    #[test]
    fn what_is_written_later_is_seen_through_the_old_mapping() {
        let mut file = file_of(&[0; 4096]);
        let map = MapRead::open(&file, 4096).unwrap();
        assert_eq!(map.word_acquire(0), Some(0));
        std::io::Seek::rewind(&mut file).unwrap();
        file.write_all(&[7, 0, 0, 0]).unwrap();
        assert_eq!(map.word_acquire(0), Some(7));
    }
}
