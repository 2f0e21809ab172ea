//! `--begin` and `--end` of a tape as a range of stamps, found without reading through it.
//!
//! May touch: what [`crate::journal::index::span`] touches, and that only if a time is relative to the tape.

use super::outcome::TapeError;
use super::when::{When, resolve_range};
use crate::journal::index::span;
use crate::journal::reader::Tape;
use std::ops::Range;

/// The half-open range of stamps that two times name on a tape.
///
/// # Errors
/// [`TapeError`] if nothing lies between them, or the tape's ends cannot be read.
pub fn on_tape(tape: &Tape, begin: Option<When>, end: Option<When>) -> Result<Range<u64>, TapeError> {
    let is_relative = begin.is_some_and(When::is_relative) || end.is_some_and(When::is_relative);
    let ends = if is_relative { span(tape)? } else { None };
    let (first_ns, last_ns) = ends.unwrap_or_default();
    Ok(resolve_range(begin, end, first_ns, last_ns)?)
}
