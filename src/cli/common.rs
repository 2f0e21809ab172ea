//! What both command lines share: exit codes, sizes, durations, terminals.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How a program ends. The same four for every command of both programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done,
    /// It could not.
    Failure,
    /// It did not understand the command line.
    Usage,
    /// It ran, and the answer is bad: verification failed, verdicts differ, packets were lost.
    BadVerdict,
}

impl Exit {
    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::BadVerdict => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// The paragraph on exit codes that ends every long help.
pub const EXIT_CODES: &str = "\
EXIT STATUS
  0  It did what was asked.
  1  It could not; the message names the thing and the mend.
  2  The command line was not understood.
  3  It ran and the answer is bad: verification failed, verdicts differ, or packets were lost where that was
     to be an error.";

/// What the standard streams are, asked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminals {
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// Colour is wanted: standard error is a terminal, `NO_COLOR` is unset or empty, and `TERM` is not `dumb`.
    pub colour: bool,
}

impl Terminals {
    /// Asks the streams and the environment.
    pub fn detect() -> Self {
        let stderr = std::io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self { stdout: std::io::stdout().is_terminal(), stderr, colour: stderr && !no_color && !dumb }
    }
}

/// A number of bytes: `4096`, `64KiB`, `1.5GiB`, `10GB`. A bare number counts `bare_unit` bytes.
///
/// `K`, `M`, `G`, `T` alone mean KiB, MiB, GiB, TiB; `kB`, `MB`, `GB`, `TB` are powers of ten.
///
/// # Errors
/// A sentence that says what is wrong with the word.
pub fn parse_bytes(word: &str, bare_unit: u64) -> Result<u64, String> {
    let word = word.trim();
    let split = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, suffix) = word.split_at(split);
    let unit = match suffix.trim().to_ascii_lowercase().as_str() {
        "" => bare_unit,
        "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => {
            return Err(format!(
                "{suffix:?} is no unit of bytes; use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB"
            ));
        }
    };
    let thousandths =
        parse_thousandths(number).ok_or_else(|| format!("{word:?} is no size, such as 64KiB or 1.5GiB"))?;
    let bytes = u128::from(thousandths) * u128::from(unit) / 1_000;
    u64::try_from(bytes).map_err(|_| format!("{word} is more than any file holds"))
}

/// `parse_bytes` with bare numbers in bytes, for `clap`.
///
/// # Errors
/// As [`parse_bytes`].
pub fn bytes(word: &str) -> Result<u64, String> {
    parse_bytes(word, 1)
}

/// A duration: `500ms`, `90s`, `1h 30m`, `7d`; a bare number is seconds.
///
/// # Errors
/// A sentence that says what is wrong with the word.
pub fn duration(word: &str) -> Result<Duration, String> {
    let word = word.trim();
    if let Some(thousandths) = parse_thousandths(word) {
        return Ok(Duration::from_millis(thousandths));
    }
    humantime::parse_duration(word)
        .map_err(|e| format!("{word:?} is no duration, such as 500ms, 90s, 1h or 7d: {e}"))
}

/// How much of a journal to keep: `500GiB`, `7d`, or both with a bar between them, whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    /// At most this many bytes.
    pub bytes: Option<u64>,
    /// At most this old.
    pub age: Option<Duration>,
}

/// Parses [`Retain`].
///
/// # Errors
/// A sentence that says which part is wrong.
pub fn retain(word: &str) -> Result<Retain, String> {
    let mut kept = Retain::default();
    for part in word.split('|').map(str::trim) {
        let ends_in_unit = part.to_ascii_lowercase().ends_with(['b', 'k', 'g', 't']);
        if ends_in_unit {
            set_once(&mut kept.bytes, bytes(part)?, word, "size")?;
        } else if part.ends_with(|c: char| c.is_ascii_alphabetic()) {
            set_once(&mut kept.age, duration(part)?, word, "age")?;
        } else {
            return Err(format!("{part:?} has no unit: say 500GiB, 7d, or 500GiB|7d"));
        }
    }
    Ok(kept)
}

fn set_once<T>(slot: &mut Option<T>, value: T, word: &str, what: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{word:?} names a {what} twice")),
    }
}

/// A positive decimal number in millionths: `0.5` is 500,000.
///
/// # Errors
/// A sentence that says what would be right.
pub fn positive_millionths(word: &str) -> Result<std::num::NonZeroU64, String> {
    let wrong = || format!("{word:?} is no number above 0, such as 2, 0.5 or 1000");
    let millionths = parse_decimal(word.trim(), 6).ok_or_else(wrong)?;
    std::num::NonZeroU64::new(millionths).ok_or_else(wrong)
}

fn parse_thousandths(word: &str) -> Option<u64> {
    parse_decimal(word, 3)
}

/// A plain decimal number times 10^`digits`, exactly; more digits behind the point than that are refused.
fn parse_decimal(word: &str, digits: usize) -> Option<u64> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && part.is_empty() || !all_digits(whole) || !all_digits(part) || part.len() > digits {
        return None;
    }
    format!("{whole}{part:0<digits$}").parse().ok()
}

/// Text for standard error, as it stands. Nobody may be there to read it (a closed terminal, a full disk): a capture
/// goes on all the same.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A sentence for standard error: `tape: …`.
pub fn complain(program: &str, what: &dyn std::fmt::Display) {
    say(&format!("{program}: {what}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases: &[(&str, u64)] = &[
            ("4096", 4096),
            ("64KiB", 65_536),
            ("64k", 65_536),
            ("1.5 GiB", 1_610_612_736),
            ("10GB", 10_000_000_000),
            ("0.001KB", 1),
            ("3TiB", 3 << 40),
        ];
        for (word, expected) in cases {
            assert_eq!(bytes(word), Ok(*expected), "{word}");
        }
        assert_eq!(parse_bytes("2048", 1024), Ok(2 << 20));
        for wrong in ["", "GiB", "-1", "1e9", "5 parsecs", "1.2345KiB", "99999999999999TiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_take_units_or_bare_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert!(duration("soon").is_err());
    }

    #[test]
    fn retention_takes_a_size_an_age_or_both() {
        let week = Some(Duration::from_secs(7 * 86_400));
        assert_eq!(retain("500GiB"), Ok(Retain { bytes: Some(500 << 30), age: None }));
        assert_eq!(retain("7d"), Ok(Retain { bytes: None, age: week }));
        assert_eq!(retain("500GiB|7d"), Ok(Retain { bytes: Some(500 << 30), age: week }));
        for wrong in ["", "7", "7d|8d", "1GiB|2GiB", "7d|"] {
            assert!(retain(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        for (exit, number) in [(Exit::Done, 0), (Exit::Failure, 1), (Exit::Usage, 2), (Exit::BadVerdict, 3)] {
            assert_eq!(exit.number(), number);
            assert!(EXIT_CODES.contains(&format!("  {number}  ")));
        }
    }

    proptest! {
        #[test]
        fn any_word_is_answered_without_a_panic(word in "\\PC{0,24}") {
            let _ = (bytes(&word), duration(&word), retain(&word), positive_millionths(&word));
        }

        #[test]
        fn a_number_of_kibibytes_is_read_exactly(n in 0u64..1 << 50) {
            prop_assert_eq!(bytes(&format!("{n}KiB")), Ok(n << 10));
        }
    }
}
