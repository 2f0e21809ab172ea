//! A file mapped shared and writable, for one writer and one keeper.
//!
//! [`SegmentMap`] owns the mapping and advises, populates and syncs it; [`MapWriter`] alone may touch its
//! bytes. Both hold it alive; it is unmapped when the last of them is dropped, so a thread that may not make
//! system calls must hand its `MapWriter` away rather than drop it.
//!
//! Assumed of the file: nobody else writes or truncates it while it is mapped (it is created `O_EXCL` in a
//! locked directory). Its blocks are allocated (`fallocate`), so that storing cannot raise SIGBUS for want of room.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory, owned by this value; no thread-local state hangs on it.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` gives no access to the bytes: only `MapWriter` (one, not `Clone`, `&mut self`) does, and
// madvise/msync/munmap are thread-safe system calls.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are what mmap answered; nobody holds the mapping any more (last `Arc`).
        let rc = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(rc, 0, "munmap of an own mapping cannot fail");
    }
}

/// The keeper's half: advice, population, sync. Never touches a byte itself.
#[derive(Debug)]
pub struct SegmentMap(Arc<Mapping>);

/// The writer's half: the bytes.
#[derive(Debug)]
pub struct MapWriter(Arc<Mapping>);

/// Maps the first `len` bytes of `file`, shared and writable. `len` is a multiple of the page size.
///
/// # Errors
/// What `mmap(2)` says.
pub fn map(file: &File, len: usize) -> io::Result<(SegmentMap, MapWriter)> {
    // SAFETY: a new mapping at an address of the kernel's choice disturbs no existing memory.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let Some(base) = NonNull::new(base.cast::<u8>()) else {
        return Err(io::Error::other("mmap answered address 0"));
    };
    let mapping = Arc::new(Mapping { base, len });
    Ok((SegmentMap(Arc::clone(&mapping)), MapWriter(mapping)))
}

const PAGE: usize = 4096;

impl SegmentMap {
    /// Length of the mapping, bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// True if it maps nothing (never: `mmap` refuses length 0).
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Address and length of the pages that hold `[from, to)`, kept inside the mapping.
    fn pages(&self, from: u64, to: u64) -> (*mut libc::c_void, usize) {
        let inside = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len);
        let from = inside(from) / PAGE * PAGE;
        let to = inside(to).max(from);
        // `from` lies inside the mapping (or at its end), so the address cannot wrap.
        (self.0.base.as_ptr().wrapping_add(from).cast(), (to - from).next_multiple_of(PAGE))
    }

    fn advise(&self, from: u64, to: u64, advice: libc::c_int) -> io::Result<()> {
        let (at, len) = self.pages(from, to);
        // SAFETY: the pages lie in this mapping; neither advice used here (huge pages, populate) changes
        // their contents.
        let rc = unsafe { libc::madvise(at, len, advice) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Asks for huge pages where the file system has them.
    ///
    /// # Errors
    /// What `madvise(2)` says (`EINVAL`: this kernel has none; harmless).
    pub fn want_huge_pages(&self) -> io::Result<()> {
        self.advise(0, u64::MAX, libc::MADV_HUGEPAGE)
    }

    /// Makes the pages of `[from, to)` present and writable, as if each had been stored to.
    ///
    /// # Errors
    /// `EFAULT` where storing would have raised SIGBUS; `EINVAL` on kernels before 5.14.
    pub fn populate(&self, from: u64, to: u64) -> io::Result<()> {
        self.advise(from, to, libc::MADV_POPULATE_WRITE)
    }

    /// Writes the pages of `[from, to)` to the medium and waits for it.
    ///
    /// # Errors
    /// What `msync(2)` says: then it is not known what of the range is on the medium.
    pub fn sync(&self, from: u64, to: u64) -> io::Result<()> {
        let (at, len) = self.pages(from, to);
        // SAFETY: the pages lie in this mapping, which is alive.
        let rc = unsafe { libc::msync(at, len, libc::MS_SYNC) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl MapWriter {
    /// Length of the mapping, bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// True if it maps nothing (never: `mmap` refuses length 0).
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The `len` bytes at `at`; `None` if they do not lie in the mapping.
    pub fn room(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        let end = at.checked_add(len)?;
        if end > self.0.len {
            return None;
        }
        // SAFETY: `[at, end)` lies in the mapping. `&mut self` on the only `MapWriter` makes this the only
        // reference in the process; other processes map the file read-only (see the module's header).
        Some(unsafe { std::slice::from_raw_parts_mut(self.0.base.as_ptr().add(at), len) })
    }

    /// Stores `word` (little-endian) at `at` with release: all that was written before is seen by whoever
    /// acquires it. False (and nothing stored) if `at` is not a multiple of four inside the mapping.
    #[must_use]
    pub fn commit(&mut self, at: usize, word: u32) -> bool {
        if !at.is_multiple_of(4) || at.checked_add(4).is_none_or(|end| end > self.0.len) {
            return false;
        }
        // SAFETY: inside the mapping, and aligned: the base is page-aligned and `at` a multiple of four.
        // `&mut self`: no `&mut [u8]` of `room` is alive.
        let atomic = unsafe { AtomicU32::from_ptr(self.0.base.as_ptr().add(at).cast()) };
        atomic.store(word.to_le(), Ordering::Release);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_writer_commits_stands_in_the_file_and_nothing_is_touched_outside() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let (keeper, mut writer) = map(&file, 8192).unwrap();
        keeper.populate(0, 8192).unwrap();
        writer.room(4, 4).unwrap().copy_from_slice(b"body");
        assert!(writer.commit(0, 0x0403_0201));
        assert!(!writer.commit(2, 1));
        assert!(!writer.commit(8192, 1));
        assert!(writer.room(8190, 3).is_none());
        assert!(writer.room(usize::MAX, 3).is_none());
        keeper.sync(0, 8).unwrap();
        let mut head = [0; 8];
        std::io::Read::read_exact(&mut file, &mut head).unwrap();
        assert_eq!(&head, b"\x01\x02\x03\x04body");
        drop(keeper);
        writer.room(0, 1).unwrap()[0] = 9;
    }
}
