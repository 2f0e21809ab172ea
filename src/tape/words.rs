//! Numbers as people read them, for the text output of the tools. JSON gets plain integers instead.
//!
//! Pure.

use super::when::Rfc3339;
use crate::time::NS_PER_SEC;
use std::fmt;

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the largest binary unit that keeps at least one whole: `1.5 MiB`, `0 B`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = "B";
    let (mut whole, mut tenths) = (number, 0);
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        tenths = (whole % 1024) * 10 / 1024;
        whole /= 1024;
        unit = next;
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenths} {unit}") }
}

/// Nanoseconds as a duration with the unit that fits: `850 ns`, `12.345 µs`, `3.000 s`, `2h 3m 4s`.
pub fn duration(ns: u64) -> String {
    const DECIMAL: [(u64, &str); 3] = [(NS_PER_SEC, "s"), (1_000_000, "ms"), (1_000, "µs")];
    if ns >= 60 * NS_PER_SEC {
        let whole_seconds = std::time::Duration::from_secs(ns / NS_PER_SEC);
        return humantime::format_duration(whole_seconds).to_string();
    }
    for (size, unit) in DECIMAL {
        if ns >= size {
            return format!("{}.{:03} {unit}", ns / size, ns % size / (size / 1_000));
        }
    }
    format!("{ns} ns")
}

/// A moment, or a dash for none (0 never was a packet's stamp).
pub fn moment(ns: u64) -> String {
    if ns == 0 { "-".to_owned() } else { Rfc3339(ns).to_string() }
}

/// `1 packet`, `2 packets`, `1,000 packets`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(number)) }
}

/// A fixed-point price (1e-9) as an exact decimal, by integers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal(pub i64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:09}", whole / 1_000_000_000, whole % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn sizes_and_durations_carry_their_unit() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
        assert_eq!(duration(850), "850 ns");
        assert_eq!(duration(12_345), "12.345 µs");
        assert_eq!(duration(3_000_000_000), "3.000 s");
        assert_eq!(duration(3_661_500_000_000), "1h 1m 1s");
        assert_eq!(count(1, "packet", "packets"), "1 packet");
        assert_eq!(count(2000, "packet", "packets"), "2,000 packets");
        assert_eq!(moment(0), "-");
    }

    #[test]
    fn a_price_is_written_to_its_last_digit() {
        let cases = [
            (1, "0.000000001"),
            (-1_500_000_000, "-1.500000000"),
            (i64::MIN, "-9223372036.854775808"),
            (123_456_789_012_345_678, "123456789.012345678"),
        ];
        for (px, text) in cases {
            assert_eq!(Decimal(px).to_string(), text);
        }
    }
}
