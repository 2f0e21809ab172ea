//! HdrHistogram's interval log: one interval, a line a histogram, each with its tag.

use super::outcome::TapeError;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::io::Write;
use std::time::{Duration, SystemTime};

/// Writes histograms of ns that were taken from `first_ns` to `last_ns` (since the Unix epoch).
///
/// # Errors
/// [`TapeError`] if the output fails, or a tag is none (it may hold no comma, blank or line's end).
pub(super) fn write<'h>(
    out: &mut dyn Write,
    comment: &str,
    (first_ns, last_ns): (u64, u64),
    histograms: impl Iterator<Item = (String, &'h Histogram<u64>)>,
) -> Result<(), TapeError> {
    let wrong = |error: String| TapeError::Refused(format!("cannot write the interval log: {error}"));
    let mut out = out;
    let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(first_ns);
    let span = Duration::from_nanos(last_ns.saturating_sub(first_ns));
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(comment)
        .with_start_time(start)
        .with_base_time(start)
        .begin_log_with(&mut out, &mut serializer)
        .map_err(|e| wrong(e.to_string()))?;
    for (tag, histogram) in histograms {
        let tag = Tag::new(&tag).ok_or_else(|| wrong(format!("{tag:?} is no tag")))?;
        log.write_histogram(histogram, Duration::ZERO, span, Some(tag))
            .map_err(|e| wrong(format!("{e:?}")))?;
    }
    Ok(())
}
