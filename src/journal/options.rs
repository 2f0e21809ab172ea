//! What a journal is opened with, and why opening may fail.

use super::format::{MIB, MIN_SEGMENT_BYTES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What to do when the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Stop writing (capturing and counting go on), and resume when there is room.
    #[default]
    Stop,
    /// Delete the oldest sealed segment, and go on.
    DropOldest,
}

/// Key under which a capture's entry in `journal.toml` keeps its judge's configuration, as TOML: `tape decode`
/// judges by it again.
pub const JUDGE_KEY: &str = "judge";

/// What the capture ran on: names and values, as they stand in `journal.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub BTreeMap<String, String>);

/// What a journal is opened with.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The directory.
    pub dir: PathBuf,
    /// How many queues, so how many writers.
    pub queues: u16,
    /// Length of a segment, bytes; rounded up to a MiB.
    pub segment_bytes: u64,
    /// Begin new segments this often.
    pub rotate: Option<Duration>,
    /// Delete the oldest sealed segments when all files together are longer (live ones count with their full length).
    pub retain_bytes: Option<u64>,
    /// Delete sealed segments that were sealed longer ago.
    pub retain_age: Option<Duration>,
    /// How often what was written is made durable.
    pub sync_interval: Duration,
    /// What to do when the disk is full.
    pub on_full: OnFull,
    /// `shb_userappl`: program and version.
    pub application: String,
    /// `shb_hardware`.
    pub hardware: String,
    /// `shb_os`, `if_os`.
    pub os: String,
    /// What the capture runs on.
    pub host: Fingerprint,
    /// BLAKE3 of the configuration.
    pub config_hash: [u8; 32],
}

impl JournalOptions {
    /// A journal in `dir` with defaults: one queue, segments of 1 GiB, a sync each second.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            queues: 1,
            segment_bytes: 1 << 30,
            rotate: None,
            retain_bytes: None,
            retain_age: None,
            sync_interval: Duration::from_secs(1),
            on_full: OnFull::Stop,
            application: concat!("wiretape ", env!("CARGO_PKG_VERSION")).to_owned(),
            hardware: String::new(),
            os: String::new(),
            host: Fingerprint::default(),
            config_hash: [0; 32],
        }
    }

    /// Checks, and rounds the segment length.
    pub(super) fn checked(mut self) -> Result<Self, JournalError> {
        if self.queues == 0 {
            return Err(JournalError::Option("a journal needs at least one queue".to_owned()));
        }
        if self.segment_bytes < MIN_SEGMENT_BYTES || self.segment_bytes > MAX_SEGMENT_BYTES {
            return Err(JournalError::Option(format!(
                "a segment of {} bytes is out of range: give {MIN_SEGMENT_BYTES} to {MAX_SEGMENT_BYTES}",
                self.segment_bytes
            )));
        }
        self.segment_bytes = self.segment_bytes.next_multiple_of(MIB);
        let live = super::ahead::segments_ahead(self.segment_bytes) as u64 + 1;
        let least = self.segment_bytes.saturating_mul((live + 1) * u64::from(self.queues));
        if self.retain_bytes.is_some_and(|bytes| bytes < least) {
            return Err(JournalError::Option(format!(
                "retaining less than {least} bytes would delete what was just written, since {live} segments of each \
                 queue are open or prepared: retain more, or make segments smaller"
            )));
        }
        if self.sync_interval.is_zero() || self.rotate.is_some_and(|rotate| rotate.is_zero()) {
            return Err(JournalError::Option("intervals must be longer than zero".to_owned()));
        }
        Ok(self)
    }
}

/// Longest segment: 1 TiB.
const MAX_SEGMENT_BYTES: u64 = 1 << 40;

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An option is out of range.
    #[error("{0}")]
    Option(String),
    /// The path is something else than a directory.
    #[error("{0} is not a directory: a journal is a directory of segments; name another path")]
    NotADirectory(PathBuf),
    /// The directory holds other things.
    #[error("{0} is not empty and not a journal (it has no journal.toml): name a new or an empty directory")]
    NotAJournal(PathBuf),
    /// Nothing can be written there.
    #[error(
        "{dir} cannot be written: {error}; check its owner and mode, and that the file system is not read-only"
    )]
    NotWritable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// Another capture writes it.
    #[error("{dir} is in use by another capture ({holder}): stop that one, or name another directory")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// What the lock file says: process id and since when.
        holder: String,
    },
    /// A newer program wrote it.
    #[error(
        "{dir} has features that this program does not know ({features}): use the version that wrote it, or name another directory"
    )]
    Unknown {
        /// The directory.
        dir: PathBuf,
        /// The names of the features, or the version.
        features: String,
    },
    /// `journal.toml` or the manifest is damaged.
    #[error(
        "{path} is damaged: {what}; `tape verify` says what is still good; name another directory for this capture"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no room for the first segments.
    #[error(
        "no room for a segment of {needed} bytes in {dir} ({free} bytes are free): make room, or choose smaller segments"
    )]
    NoRoom {
        /// The directory.
        dir: PathBuf,
        /// Bytes that were asked for.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A system call failed.
    #[error("{what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
}

impl JournalError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { what, path, error }
    }
}
