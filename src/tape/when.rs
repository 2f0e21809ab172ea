//! Times as people write them on the command line, and as reports print them.
//!
//! Pure. Four ways of saying when:
//!
//! | written | means |
//! | --- | --- |
//! | `2026-11-23T09:30:00.000000001Z`, `2026-11-23 09:30`, `…+01:00` | that moment; UTC unless an offset is given |
//! | `@1764408906.000000001` | seconds since the Unix epoch, UTC, with up to nine decimals |
//! | `-5m` | so long before the *end of the tape* (its last stamp; on a live tape that is now, as far as the tape knows) |
//! | `90s`, `+90s`, `1h30m` | so long after the origin: the tape's first stamp for a begin, the begin for an end |
//!
//! Nothing here reads a clock: the same words on the same sealed tape always name the same packets.

use crate::time::NS_PER_SEC;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// A moment as it was written, perhaps relative to the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nanoseconds since the Unix epoch, UTC.
    At(u64),
    /// So many nanoseconds before the tape's last stamp.
    BeforeEnd(u64),
    /// So many nanoseconds after the origin.
    After(u64),
}

/// Why a time could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhenError {
    /// It is none of the ways to write a time.
    #[error(
        "`{0}` is not a time: write 2026-11-23T09:30:00.5Z, @1764408906.5, -5m (before the tape's end) or 90s (after its beginning)"
    )]
    Unknown(String),
    /// The words are understood, but the moment does not fit (before 1970, or after 2554).
    #[error("`{0}` lies outside the years 1970 to 2554")]
    OutOfRange(String),
    /// The end is not after the begin.
    #[error("the end ({end}) is not after the begin ({begin})")]
    Empty {
        /// Begin, RFC 3339.
        begin: String,
        /// End, RFC 3339.
        end: String,
    },
}

impl When {
    /// True if it cannot be resolved without knowing where the tape begins and ends.
    pub const fn is_relative(self) -> bool {
        matches!(self, Self::After(_) | Self::BeforeEnd(_))
    }

    /// The moment, given where the tape ends and what [`When::After`] counts from; saturating.
    pub const fn resolve(self, origin_ns: u64, tape_last_ns: u64) -> u64 {
        match self {
            Self::At(ns) => ns,
            Self::BeforeEnd(ns) => tape_last_ns.saturating_sub(ns),
            Self::After(ns) => origin_ns.saturating_add(ns),
        }
    }
}

/// Turns `--begin` and `--end` into a half-open range of stamps, `begin..end`.
/// Without a begin it starts at 0, without an end it never ends: packets outside the tape's
/// own first and last stamp (a clock stepped) are then still in it.
///
/// # Errors
/// [`WhenError::Empty`] if no packet can lie in it.
pub fn resolve_range(
    begin: Option<When>,
    end: Option<When>,
    tape_first_ns: u64,
    tape_last_ns: u64,
) -> Result<Range<u64>, WhenError> {
    let begin_ns = begin.map_or(0, |w| w.resolve(tape_first_ns, tape_last_ns));
    let origin_ns = if begin.is_some() { begin_ns } else { tape_first_ns };
    let end_ns = end.map_or(u64::MAX, |w| w.resolve(origin_ns, tape_last_ns));
    if end_ns <= begin_ns {
        return Err(WhenError::Empty {
            begin: Rfc3339(begin_ns).to_string(),
            end: Rfc3339(end_ns).to_string(),
        });
    }
    Ok(begin_ns..end_ns)
}

impl FromStr for When {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Self, WhenError> {
        let trimmed = text.trim();
        if let Some(epoch) = trimmed.strip_prefix('@') {
            return parse_epoch(epoch, text).map(Self::At);
        }
        if let Some(back) = trimmed.strip_prefix('-') {
            return parse_duration_ns(back, text).map(Self::BeforeEnd);
        }
        if let Some(on) = trimmed.strip_prefix('+') {
            return parse_duration_ns(on, text).map(Self::After);
        }
        if looks_like_date(trimmed) {
            return parse_date(trimmed, text).map(Self::At);
        }
        parse_duration_ns(trimmed, text).map(Self::After)
    }
}

/// `YYYY-` at the beginning: no duration looks so.
fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10 && bytes.iter().take(4).all(u8::is_ascii_digit) && bytes.get(4) == Some(&b'-')
}

fn parse_epoch(text: &str, whole: &str) -> Result<u64, WhenError> {
    let unknown = || WhenError::Unknown(whole.to_owned());
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(decimals) || decimals.len() > 9 {
        return Err(unknown());
    }
    let too_far = |_| WhenError::OutOfRange(whole.to_owned());
    let seconds: u64 = seconds.parse().map_err(too_far)?;
    let ns: u64 = format!("{decimals:0<9}").parse().map_err(|_| unknown())?;
    seconds
        .checked_mul(NS_PER_SEC)
        .and_then(|s| s.checked_add(ns))
        .ok_or_else(|| WhenError::OutOfRange(whole.to_owned()))
}

fn parse_duration_ns(text: &str, whole: &str) -> Result<u64, WhenError> {
    let duration = humantime::parse_duration(text).map_err(|_| WhenError::Unknown(whole.to_owned()))?;
    u64::try_from(duration.as_nanos()).map_err(|_| WhenError::OutOfRange(whole.to_owned()))
}

fn parse_date(text: &str, whole: &str) -> Result<u64, WhenError> {
    let (text, east_s) = split_offset(text).ok_or_else(|| WhenError::Unknown(whole.to_owned()))?;
    let text = complete_time(text);
    let local = humantime::parse_rfc3339_weak(&text).map_err(|_| WhenError::Unknown(whole.to_owned()))?;
    let out_of_range = || WhenError::OutOfRange(whole.to_owned());
    let since = local.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| out_of_range())?;
    let ns = i128::try_from(since.as_nanos()).map_err(|_| out_of_range())?
        - i128::from(east_s) * i128::from(NS_PER_SEC);
    u64::try_from(ns).map_err(|_| out_of_range())
}

/// Splits `…Z`, `…+01:00` or `…-0530` into the local part and seconds east of UTC.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(utc) = text.strip_suffix(['Z', 'z']) {
        return Some((utc, 0));
    }
    let time_at = text.find(['T', 't', ' '])?.checked_add(1);
    let sign_at = time_at.and_then(|at| text.get(at..)?.find(['+', '-']).map(|i| at + i));
    let Some(sign_at) = sign_at else { return Some((text, 0)) };
    let (local, offset) = text.split_at_checked(sign_at)?;
    let digits: String = offset.get(1..)?.chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let east = (hours * 60 + minutes) * 60;
    Some((local, if offset.starts_with('-') { -east } else { east }))
}

/// Seconds may be left out.
fn complete_time(text: &str) -> String {
    let colons = text.bytes().filter(|b| *b == b':').count();
    if colons == 1 { format!("{text}:00") } else { text.to_owned() }
}

/// Prints nanoseconds since the Unix epoch as RFC 3339, UTC, with all nine decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.0);
        humantime::format_rfc3339_nanos(at).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> When {
        text.parse().unwrap()
    }

    #[test]
    fn a_moment_can_be_written_in_four_ways() {
        assert_eq!(parse("1970-01-01T00:00:01Z"), When::At(1_000_000_000));
        assert_eq!(parse("1970-01-01T00:00:01.000000001Z"), When::At(1_000_000_001));
        assert_eq!(parse("1970-01-01 00:01"), When::At(60_000_000_000));
        assert_eq!(parse("@12.5"), When::At(12_500_000_000));
        assert_eq!(parse("@12"), When::At(12_000_000_000));
        assert_eq!(parse("-5m"), When::BeforeEnd(300_000_000_000));
        assert_eq!(parse("90s"), When::After(90_000_000_000));
        assert_eq!(parse("+1h 30m"), When::After(5_400_000_000_000));
        assert_eq!(parse("250us"), When::After(250_000));
    }

    #[test]
    fn offsets_from_utc_are_taken_off() {
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), When::At(0));
        assert_eq!(parse("1970-01-01T00:00:00-0530"), When::At(19_800_000_000_000));
        assert_eq!(
            "1970-01-01T00:00:00+01:00".parse::<When>(),
            Err(WhenError::OutOfRange("1970-01-01T00:00:00+01:00".to_owned()))
        );
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_words_as_written() {
        for bad in [
            "",
            "-",
            "+",
            "@",
            "@1.0000000001",
            "@-1",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "5",
            "2026-11-23T09:30:00+1",
        ] {
            assert_eq!(bad.parse::<When>(), Err(WhenError::Unknown(bad.to_owned())), "{bad}");
        }
        assert!(matches!("@99999999999".parse::<When>(), Err(WhenError::OutOfRange(_))));
    }

    #[test]
    fn an_end_without_a_sign_counts_from_the_begin() {
        let range = resolve_range(Some(When::At(100)), Some(When::After(20)), 10, 500);
        assert_eq!(range, Ok(100..120));
        let range = resolve_range(None, Some(When::After(20)), 10, 500);
        assert_eq!(range, Ok(0..30));
        assert_eq!(resolve_range(Some(When::BeforeEnd(50)), None, 10, 500), Ok(450..u64::MAX));
    }

    #[test]
    fn a_range_that_holds_nothing_is_an_error() {
        assert!(matches!(
            resolve_range(Some(When::At(5)), Some(When::At(5)), 0, 9),
            Err(WhenError::Empty { .. })
        ));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_as_the_same_nanosecond(ns: u64) {
            prop_assert_eq!(Rfc3339(ns).to_string().parse(), Ok(When::At(ns)));
            let epoch = format!("@{}.{:09}", ns / NS_PER_SEC, ns % NS_PER_SEC);
            prop_assert_eq!(epoch.parse(), Ok(When::At(ns)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = text.parse::<When>();
            let _ = format!("2026-11-23T{text}").parse::<When>();
        }
    }
}
