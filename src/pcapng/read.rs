//! Walks the blocks of a pcapng file that lies in memory, in either byte order.
//!
//! Pure and borrowed: nothing is copied, nothing is allocated, no index is
//! unchecked. [`next_block`] takes one block off the front of a buffer and says
//! how many bytes it lacks if the buffer ends too early, so that a stream can be
//! read in pieces; [`Blocks`] walks a whole file. [`Block::view`] reads a block's
//! fields; blocks of unknown or local types stay opaque and are for skipping.
//!
//! Always true: a [`Block`] lies wholly in the buffer, and both of its lengths agree.
//! What cannot be understood is a [`Damage`] with the offset of its first byte;
//! nothing behind it is guessed at.

mod options;
mod ticks;
mod views;

#[cfg(test)]
mod tests;

pub use options::{OptionView, Options};
pub use ticks::{NsStamp, TickUnit};
pub use views::{
    EnhancedPacket, InterfaceDescription, InterfaceStatistics, ObsoletePacket, SectionHeader, SimplePacket,
    View,
};

use super::{BLOCK_OVERHEAD_BYTES, BYTE_ORDER_MAGIC, block};

/// Longest block that is read, bytes. Real blocks stay far below (a packet of 256 KiB and its options);
/// a longer one is a length that was damaged.
pub const MAX_BLOCK_BYTES: u32 = 16 * 1024 * 1024;

/// The byte order of a section: its writer's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// The number in two bytes.
    pub const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }
    /// The number in four bytes.
    pub const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
    /// The number in eight bytes.
    pub const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
    /// Two bytes at `at`, or `None` if they are not all there.
    pub fn u16_at(self, bytes: &[u8], at: usize) -> Option<u16> {
        Some(self.u16(array_at(bytes, at)?))
    }
    /// Four bytes at `at`, or `None` if they are not all there.
    pub fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        Some(self.u32(array_at(bytes, at)?))
    }
    /// Eight bytes at `at`, or `None` if they are not all there.
    pub fn u64_at(self, bytes: &[u8], at: usize) -> Option<u64> {
        Some(self.u64(array_at(bytes, at)?))
    }
}

/// `N` bytes at `at`, or `None` if they are not all there.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The file cannot be understood from here on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("byte {offset}: {kind}")]
pub struct Damage {
    /// First byte that could not be understood, counted from the start of the file.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
}

impl Damage {
    const fn new(offset: u64, kind: DamageKind) -> Self {
        Self { offset, kind }
    }
}

/// What is wrong with a pcapng file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DamageKind {
    /// The first block is of another type.
    #[error("does not begin with a section header block (0x0a0d0d0a), but with 0x{0:08x}")]
    NoSectionHeader(u32),
    /// The section header's byte-order magic reads in neither byte order.
    #[error("byte-order magic 0x{0:08x} is neither 0x1a2b3c4d nor its mirror image")]
    BadByteOrder(u32),
    /// A version that the draft does not describe.
    #[error("section is of pcapng version {major}.{minor}; this reader knows 1.0 and 1.2")]
    UnknownVersion {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A block length that no block of this type can have.
    #[error("block of type 0x{block_type:08x} says it is {length} bytes long, which cannot be")]
    BadBlockLength {
        /// Type of the block.
        block_type: u32,
        /// What its length field says.
        length: u32,
    },
    /// The two length fields of a block differ.
    #[error("block says {leading} bytes at its start and {trailing} at its end")]
    LengthsDiffer {
        /// Length field before the body.
        leading: u32,
        /// Length field after the body.
        trailing: u32,
    },
    /// The file ends inside a block.
    #[error("the last block needs {needed} bytes, the file ends after {present}")]
    Truncated {
        /// How long the block is, as far as is known.
        needed: u64,
        /// How many bytes of it there are.
        present: u64,
    },
    /// A block is too short for its fixed fields.
    #[error("block of type 0x{block_type:08x} has a body of {body} bytes, shorter than its fixed fields")]
    BodyTooShort {
        /// Type of the block.
        block_type: u32,
        /// Bytes in its body.
        body: u64,
    },
    /// A packet's bytes run past its block.
    #[error("packet of {captured} captured bytes does not fit its block, which has room for {room}")]
    PacketTooLong {
        /// Captured length as the block says.
        captured: u32,
        /// Bytes left in the block.
        room: u64,
    },
    /// An option runs past its block.
    #[error("option {code} of {length} bytes runs past its block")]
    OptionTooLong {
        /// Code of the option.
        code: u16,
        /// Length as it says.
        length: u16,
    },
    /// An option of fixed size has another.
    #[error("option {code} is {length} bytes long, not {expected}")]
    OptionWrongSize {
        /// Code of the option.
        code: u16,
        /// Length as it says.
        length: u64,
        /// Length as the draft says.
        expected: u64,
    },
}

/// One block: wholly in the buffer, its two lengths agree.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Block type; see [`super::block`].
    pub block_type: u32,
    /// Where the block begins in the file, bytes.
    pub offset: u64,
    /// Byte order of its section.
    pub order: ByteOrder,
    /// What lies between the two length fields.
    pub body: &'a [u8],
}

impl<'a> Block<'a> {
    /// Length of the whole block, bytes.
    pub const fn total_len(&self) -> usize {
        self.body.len() + BLOCK_OVERHEAD_BYTES
    }
    /// Where its body begins in the file, bytes.
    pub const fn body_offset(&self) -> u64 {
        self.offset + 8
    }
    /// The options in the body from byte `from` of the body on.
    fn options(&self, from: usize) -> Options<'a> {
        let bytes = self.body.get(from..).unwrap_or_default();
        Options::new(bytes, self.order, self.body_offset() + from as u64)
    }
}

/// What [`next_block`] found at the front of a buffer.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// A whole block.
    Block(Block<'a>),
    /// The buffer ends inside a block (or is empty): at least so many bytes are needed to go on.
    Short {
        /// How long the buffer must be, bytes.
        needed: usize,
    },
}

/// Takes one block off the front of `bytes`, which lie at `offset` in the file.
///
/// `order` is that of the section so far, `None` at the start of a file. A section header
/// brings its own order, which is in [`Block::order`] and holds until the next one.
///
/// # Errors
/// [`Damage`] if a length or the byte-order magic cannot be, or the file does not begin with a section header.
pub fn next_block(bytes: &[u8], order: Option<ByteOrder>, offset: u64) -> Result<Next<'_>, Damage> {
    let Some(first) = array_at::<4>(bytes, 0) else { return Ok(Next::Short { needed: 8 }) };
    // The section header's type is a palindrome: it reads the same before the order is known.
    let is_section = u32::from_le_bytes(first) == block::SECTION_HEADER;
    let order = match (is_section, order) {
        (true, _) => match section_order(bytes, offset)? {
            Some(order) => order,
            None => return Ok(Next::Short { needed: BLOCK_OVERHEAD_BYTES }),
        },
        (false, Some(order)) => order,
        (false, None) => {
            return Err(Damage::new(offset, DamageKind::NoSectionHeader(u32::from_be_bytes(first))));
        }
    };
    let block_type = order.u32(first);
    let Some(length) = order.u32_at(bytes, 4) else { return Ok(Next::Short { needed: 8 }) };
    let total = checked_length(block_type, length, offset)?;
    let Some(whole) = bytes.get(..total) else { return Ok(Next::Short { needed: total }) };
    let trailing = order.u32_at(whole, total - 4).unwrap_or_default();
    if trailing != length {
        let kind = DamageKind::LengthsDiffer { leading: length, trailing };
        return Err(Damage::new(offset, kind));
    }
    let body = whole.get(8..total - 4).unwrap_or_default();
    Ok(Next::Block(Block { block_type, offset, order, body }))
}

/// The byte order that a section header names; `None` if the buffer ends before its magic.
fn section_order(bytes: &[u8], offset: u64) -> Result<Option<ByteOrder>, Damage> {
    let Some(magic) = array_at::<4>(bytes, 8) else { return Ok(None) };
    if u32::from_le_bytes(magic) == BYTE_ORDER_MAGIC {
        Ok(Some(ByteOrder::Little))
    } else if u32::from_be_bytes(magic) == BYTE_ORDER_MAGIC {
        Ok(Some(ByteOrder::Big))
    } else {
        Err(Damage::new(offset + 8, DamageKind::BadByteOrder(u32::from_be_bytes(magic))))
    }
}

/// A block's length, if it can be one.
fn checked_length(block_type: u32, length: u32, offset: u64) -> Result<usize, Damage> {
    let bad = Damage::new(offset, DamageKind::BadBlockLength { block_type, length });
    if length > MAX_BLOCK_BYTES || !length.is_multiple_of(4) {
        return Err(bad);
    }
    let total = usize::try_from(length).map_err(|_| bad)?;
    if total < BLOCK_OVERHEAD_BYTES { Err(bad) } else { Ok(total) }
}

/// Walks a whole file that lies in memory, block by block. Ends after the first damage.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
    offset: u64,
    order: Option<ByteOrder>,
    failed: bool,
}

impl<'a> Blocks<'a> {
    /// From the start of a file.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, order: None, failed: false }
    }
    /// From the middle of a section: `bytes` lie at `offset` in the file and begin with a block.
    pub const fn within_section(bytes: &'a [u8], offset: u64, order: ByteOrder) -> Self {
        Self { bytes, offset, order: Some(order), failed: false }
    }
    /// Where the next block begins in the file, bytes; after damage, where the last whole block ended.
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() || self.failed {
            return None;
        }
        let found = match next_block(self.bytes, self.order, self.offset) {
            Ok(Next::Block(block)) => Ok(block),
            Ok(Next::Short { needed }) => Err(truncated(self.offset, needed, self.bytes.len())),
            Err(damage) => Err(damage),
        };
        match &found {
            Ok(block) => {
                self.order = Some(block.order);
                self.offset += block.total_len() as u64;
                self.bytes = self.bytes.get(block.total_len()..).unwrap_or_default();
            }
            Err(_) => self.failed = true,
        }
        Some(found)
    }
}

/// The damage of a file that ends `present` bytes into a block of `needed`.
pub const fn truncated(offset: u64, needed: usize, present: usize) -> Damage {
    Damage::new(offset, DamageKind::Truncated { needed: needed as u64, present: present as u64 })
}
