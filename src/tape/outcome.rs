//! How a tool of `tape` ends: what the program's exit code is made of.
//!
//! Pure values; each tool returns `Result<Outcome, TapeError>`.

use super::when::WhenError;
use crate::journal::reader::ReadError;
use std::io;

/// A tool ran to its end; was what it looked at in order?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Exit code 0.
    Good,
    /// It ran, but the verdict is bad (a mismatch, a difference): exit code 3.
    Bad,
}

/// Why a tool could not do its work: exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The tape could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file or stream failed.
    #[error("{what}: {error}")]
    Io {
        /// What was done with which file.
        what: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A time names nothing on this tape.
    #[error(transparent)]
    When(#[from] WhenError),
    /// What was asked for cannot be; the text says why, and what can.
    #[error("{0}")]
    Refused(String),
}

impl TapeError {
    /// An I/O error on the stream or file `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }

    /// True if whoever read our output has gone (`tape follow | head`): no error to a person, a quiet end.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
