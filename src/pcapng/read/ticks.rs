//! What a tick of an interface's clock is worth: `if_tsresol` and `if_tsoffset`, exactly.

const NS_PER_SEC: i128 = crate::time::NS_PER_SEC as i128;

/// How an interface counts time: ticks of a negative power of ten or two of a second, from an epoch of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TickUnit {
    /// `if_tsresol` as it stands in the file: the exponent, and the top bit if the base is two.
    pub tsresol: u8,
    /// `if_tsoffset`: seconds to add.
    pub offset_s: i64,
}

/// A time in nanoseconds, and whether it could be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NsStamp {
    /// Nanoseconds since the Unix epoch, rounded down; the nearest end of the range if it lies outside.
    pub ns: u64,
    /// True if it lay outside what `ns` can hold (before 1970, after 2554).
    pub out_of_range: bool,
}

impl Default for TickUnit {
    /// Microseconds since the Unix epoch: what holds if the options are absent.
    fn default() -> Self {
        Self { tsresol: 6, offset_s: 0 }
    }
}

impl TickUnit {
    /// Nanoseconds since the Unix epoch.
    pub const NANOSECONDS: Self = Self { tsresol: 9, offset_s: 0 };

    /// The time `ticks` after this interface's epoch.
    pub fn to_ns(self, ticks: u64) -> NsStamp {
        // At most 2^64 × 10^9 < 2^94, and the offset at most 2^63 × 10^9 < 2^93: neither overflows 128 bits.
        let total = self.unshifted_ns(ticks) + i128::from(self.offset_s) * NS_PER_SEC;
        match u64::try_from(total) {
            Ok(ns) => NsStamp { ns, out_of_range: false },
            Err(_) => NsStamp { ns: if total < 0 { 0 } else { u64::MAX }, out_of_range: true },
        }
    }

    /// `ticks` in nanoseconds, rounded down, without the offset.
    fn unshifted_ns(self, ticks: u64) -> i128 {
        let exponent = u32::from(self.tsresol & 0x7f);
        let ticks = i128::from(ticks);
        if self.tsresol & 0x80 != 0 {
            return (ticks * NS_PER_SEC).checked_shr(exponent).unwrap_or(0);
        }
        match 9_u32.checked_sub(exponent) {
            Some(coarser) => ticks * 10_i128.pow(coarser),
            // A unit so fine that the divisor does not fit makes every tick count nothing.
            None => 10_i128.checked_pow(exponent - 9).map_or(0, |finer| ticks / finer),
        }
    }
}
