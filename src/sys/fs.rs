//! Files: what the standard library does not offer.

use std::fs::File;
use std::io;
use std::path::Path;

/// Reserves room for the first `len` bytes of `file`, and makes it that long; the bytes read as zero.
///
/// # Errors
/// `ENOSPC` if the room is not there; `EOPNOTSUPP` on file systems that cannot reserve.
pub fn allocate(file: &File, len: u64) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
    loop {
        match nix::fcntl::fallocate(file, nix::fcntl::FallocateFlags::empty(), 0, len) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Reserves room up to byte `end` without making the file longer.
///
/// # Errors
/// As [`allocate`].
pub fn allocate_beyond(file: &File, end: u64) -> io::Result<()> {
    let end = libc::off_t::try_from(end).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(nix::fcntl::fallocate(file, nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, end)?)
}

/// Makes names that were created, renamed or removed in `dir` durable.
///
/// # Errors
/// What `open(2)` or `fsync(2)` says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Bytes that an unprivileged user could still write to the file system that holds `path`.
///
/// # Errors
/// What `statvfs(3)` says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}
