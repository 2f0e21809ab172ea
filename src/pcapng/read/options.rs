//! The options that may stand at the end of a block: code, length, value, padding to four bytes.

use super::{ByteOrder, Damage, DamageKind};
use crate::pcapng::option;

/// One option, borrowed from its block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionView<'a> {
    /// Its code; see [`option`]. What it means depends on the block.
    pub code: u16,
    /// Its value, without the padding.
    pub value: &'a [u8],
    /// Where its code stands in the file, bytes.
    pub offset: u64,
    /// Byte order of the numbers in its value.
    pub order: ByteOrder,
}

impl OptionView<'_> {
    /// The value as text; bytes that are not UTF-8 are replaced. A terminating zero, which some writers leave, is cut.
    pub fn text(&self) -> String {
        let end = self.value.iter().position(|&byte| byte == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(self.value.get(..end).unwrap_or_default()).into_owned()
    }
    /// The value as bytes of a fixed number.
    ///
    /// # Errors
    /// [`DamageKind::OptionWrongSize`] if there are more or fewer.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], Damage> {
        self.value.try_into().map_err(|_| Damage {
            offset: self.offset,
            kind: DamageKind::OptionWrongSize {
                code: self.code,
                length: self.value.len() as u64,
                expected: N as u64,
            },
        })
    }
    /// The value as a number of one byte.
    ///
    /// # Errors
    /// [`DamageKind::OptionWrongSize`].
    pub fn u8(&self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }
    /// The value as a number of four bytes.
    ///
    /// # Errors
    /// [`DamageKind::OptionWrongSize`].
    pub fn u32(&self) -> Result<u32, Damage> {
        self.array().map(|bytes| self.order.u32(bytes))
    }
    /// The value as a number of eight bytes.
    ///
    /// # Errors
    /// [`DamageKind::OptionWrongSize`].
    pub fn u64(&self) -> Result<u64, Damage> {
        self.array().map(|bytes| self.order.u64(bytes))
    }
    /// The value as the two halves, high first, that interface statistics use for times.
    ///
    /// # Errors
    /// [`DamageKind::OptionWrongSize`].
    pub fn high_low(&self) -> Result<u64, Damage> {
        let as_one = self.u64()?;
        // Read as one number, a little-endian pair has its halves swapped.
        Ok(match self.order {
            ByteOrder::Little => as_one.rotate_left(32),
            ByteOrder::Big => as_one,
        })
    }
}

/// Walks options until `opt_endofopt`, the end of the block, or damage.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
    offset: u64,
}

impl<'a> Options<'a> {
    /// The options in `bytes`, which lie at `offset` in the file.
    pub const fn new(bytes: &'a [u8], order: ByteOrder, offset: u64) -> Self {
        Self { bytes, order, offset }
    }
    /// The first option of a code.
    ///
    /// # Errors
    /// [`Damage`] met on the way.
    pub fn find(&self, code: u16) -> Result<Option<OptionView<'a>>, Damage> {
        for option in self.clone() {
            let option = option?;
            if option.code == code {
                return Ok(Some(option));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<OptionView<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let code = self.order.u16_at(self.bytes, 0)?;
        let length = self.order.u16_at(self.bytes, 2)?;
        if code == option::END {
            self.bytes = &[];
            return None;
        }
        let offset = self.offset;
        let padded = usize::from(length).next_multiple_of(4);
        let rest = self.bytes.get(4..).unwrap_or_default();
        let (Some(value), Some(after)) = (rest.get(..usize::from(length)), rest.get(padded..)) else {
            self.bytes = &[];
            return Some(Err(Damage { offset, kind: DamageKind::OptionTooLong { code, length } }));
        };
        self.bytes = after;
        self.offset += 4 + padded as u64;
        Some(Ok(OptionView { code, value, offset, order: self.order }))
    }
}
