//! One SBE message: its header, its root block and its groups, stepped by the block lengths *in the data*, so that a
//! block that has grown is read as far as it is known.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 2 | message size, with these 2 bytes |
//! | 2 | 2 | block length of the root |
//! | 4 | 2 | template id |
//! | 6 | 2 | schema id |
//! | 8 | 2 | schema version |
//! | 10 | n | root block; then the groups |

use super::layout::{Dimension, Field, Group, Kind, Template};
use super::templates::{self, NEWEST, OLDEST, SCHEMA_ID};
use crate::packet::Verdict;

/// Message size and SBE header.
pub const MESSAGE_HEADER_LEN: usize = 10;

/// What the headers of a message say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageHeader {
    /// Bytes of the message, with its headers.
    pub size: u16,
    /// Bytes of the root block.
    pub block_length: u16,
    /// Template.
    pub template: u16,
    /// Schema.
    pub schema: u16,
    /// Version of the schema.
    pub version: u16,
}

impl MessageHeader {
    /// Reads the first [`MESSAGE_HEADER_LEN`] bytes of a message; `None` if it is shorter.
    pub fn read(message: &[u8]) -> Option<Self> {
        let bytes = message.first_chunk::<MESSAGE_HEADER_LEN>()?;
        let [s0, s1, b0, b1, t0, t1, i0, i1, v0, v1] = *bytes;
        Some(Self {
            size: u16::from_le_bytes([s0, s1]),
            block_length: u16::from_le_bytes([b0, b1]),
            template: u16::from_le_bytes([t0, t1]),
            schema: u16::from_le_bytes([i0, i1]),
            version: u16::from_le_bytes([v0, v1]),
        })
    }
}

/// A price or another decimal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decimal {
    /// In 1e-9.
    Nano(i64),
    /// The field says that there is none (or the version has no such field).
    Null,
    /// It does not fit 64 bits at 1e-9.
    TooWide,
}

/// A block of bytes whose fields can be read: a root, or an entry of a group. A field that its version does not have, or
/// that its bytes do not reach, has no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
    version: u16,
}

impl<'a> Record<'a> {
    /// The field's bytes.
    #[inline]
    pub fn bytes(&self, field: &Field) -> Option<&'a [u8]> {
        if field.since > self.version {
            return None;
        }
        self.bytes.get(usize::from(field.offset)..usize::from(field.end()))
    }

    /// The field's bits as an unsigned number of its width; `None` for null.
    #[inline]
    pub fn bits(&self, field: &Field) -> Option<u64> {
        let bytes = self.bytes(field)?;
        // Widths of a machine word first: they are what a book is made of.
        let bits = match bytes.len() {
            4 => u64::from(u32::from_le_bytes(*bytes.first_chunk()?)),
            8 => u64::from_le_bytes(*bytes.first_chunk()?),
            1 => u64::from(*bytes.first()?),
            2 => u64::from(u16::from_le_bytes(*bytes.first_chunk()?)),
            _ => return None,
        };
        if field.ty.null == Some(bits) { None } else { Some(bits) }
    }

    /// The number, sign and all, before its exponent; `None` for null, text, and what `i64` cannot hold.
    #[inline]
    pub fn int(&self, field: &Field) -> Option<i64> {
        let bits = self.bits(field)?;
        match field.ty.kind {
            Kind::Unsigned => i64::try_from(bits).ok(),
            Kind::Signed => {
                let shift = 64 - 8 * u32::from(field.ty.bytes);
                Some((bits << shift).cast_signed() >> shift)
            }
            Kind::Text => None,
        }
    }

    /// The decimal in 1e-9, by the field's own exponent, never through floating point.
    #[inline]
    pub fn nano(&self, field: &Field) -> Decimal {
        let Some(mantissa) = self.int(field) else { return Decimal::Null };
        let factor = match field.ty.exponent {
            -9 => 1,
            -7 => 100,
            -4 => 100_000,
            _ => 1_000_000_000,
        };
        mantissa.checked_mul(factor).map_or(Decimal::TooWide, Decimal::Nano)
    }

    /// The text without its padding; empty if there is none.
    #[inline]
    pub fn text(&self, field: &Field) -> &'a [u8] {
        let bytes = self.bytes(field).unwrap_or_default();
        let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
        bytes.get(..end).unwrap_or_default()
    }
}

/// A message whose blocks all lie within it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Its headers.
    pub header: MessageHeader,
    /// Its template.
    pub template: &'static Template,
    /// Place of the template in [`templates::TEMPLATES`].
    pub place: usize,
    root: &'a [u8],
    groups: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message and checks its structure; `None` if its template is not known (in its version).
    ///
    /// # Errors
    /// `CME_BAD_LENGTH` if its size is not that of its bytes or does not hold its own headers, `CME_BAD_SCHEMA`, `CME_BAD_BLOCK` if a block
    /// or group runs past it, `CME_SHORT` if a block is shorter than its version needs.
    pub fn parse(message: &'a [u8]) -> Result<Option<Self>, Verdict> {
        let header = MessageHeader::read(message).ok_or(Verdict::CME_BAD_LENGTH)?;
        if usize::from(header.size) != message.len() {
            return Err(Verdict::CME_BAD_LENGTH);
        }
        if header.schema != SCHEMA_ID {
            return Err(Verdict::CME_BAD_SCHEMA);
        }
        let behind = message.get(MESSAGE_HEADER_LEN..).unwrap_or_default();
        let (root, groups) =
            behind.split_at_checked(usize::from(header.block_length)).ok_or(Verdict::CME_BAD_BLOCK)?;
        let Some((place, template)) = templates::lookup(header.template) else { return Ok(None) };
        if header.version < OLDEST || !template.is_in(header.version) {
            return Ok(None);
        }
        let message = Self { header, template, place, root, groups };
        if header.block_length < template.root.needs(message.version()) {
            return Err(Verdict::CME_SHORT);
        }
        let mut step = message.groups();
        for entries in &mut step {
            let needs = entries.group.entry.needs(message.version());
            if entries.count > 0 && entries.block_length < needs {
                return Err(Verdict::CME_SHORT);
            }
        }
        if step.broken { Err(Verdict::CME_BAD_BLOCK) } else { Ok(Some(message)) }
    }

    /// The version as which it is read: its own, or the newest that is known.
    pub fn version(&self) -> u16 {
        self.header.version.min(NEWEST)
    }

    /// The root block.
    pub fn root(&self) -> Record<'a> {
        Record { bytes: self.root, version: self.version() }
    }

    /// The groups that its version has, in order.
    pub fn groups(&self) -> Groups<'a> {
        Groups { rest: self.groups, template: self.template, version: self.version(), at: 0, broken: false }
    }

    /// The entries of the group at a place of the template ([`Template::group`]); none if the version has no such group.
    pub fn entries(&self, place: usize) -> Entries<'a> {
        let found = self.groups().find(|entries| entries.place == place);
        found.unwrap_or_else(|| Entries::none(self.template, self.version()))
    }

    /// The root's field of a name, resolved by comparing names: for tools and tests.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.template.root.field(name)
    }

    /// True if every block has the length of its version, and nothing stands behind the last: what real messages are.
    pub fn fits_exactly(&self) -> bool {
        let version = self.version();
        let mut step = self.groups();
        self.header.version <= NEWEST
            && self.header.block_length == self.template.root.length(version)
            && step.all(|entries| entries.block_length == entries.group.entry.length(version))
            && !step.broken
            && step.rest.is_empty()
    }
}

/// Steps over the groups of a message.
#[derive(Clone, Debug)]
pub struct Groups<'a> {
    rest: &'a [u8],
    template: &'static Template,
    version: u16,
    at: usize,
    broken: bool,
}

impl<'a> Iterator for Groups<'a> {
    type Item = Entries<'a>;

    fn next(&mut self) -> Option<Entries<'a>> {
        let (place, group) = loop {
            let place = self.at;
            let group = self.template.groups.get(place)?;
            self.at += 1;
            if group.since <= self.version {
                break (place, group);
            }
        };
        let cut = dimension(group.dimension, self.rest).and_then(|(block_length, count, behind)| {
            let (bytes, rest) = behind.split_at_checked(usize::from(block_length) * usize::from(count))?;
            Some((Entries { group, place, block_length, count, bytes, version: self.version }, rest))
        });
        let Some((entries, rest)) = cut else {
            self.broken = true;
            self.at = self.template.groups.len();
            return None;
        };
        self.rest = rest;
        Some(entries)
    }
}

/// Block length, count and what is behind.
fn dimension(dimension: Dimension, bytes: &[u8]) -> Option<(u16, u8, &[u8])> {
    match dimension {
        Dimension::Bytes3 => {
            let (&[a, b, count], behind) = bytes.split_first_chunk::<3>()?;
            Some((u16::from_le_bytes([a, b]), count, behind))
        }
        Dimension::Bytes8 => {
            let (&[a, b, _, _, _, _, _, count], behind) = bytes.split_first_chunk::<8>()?;
            Some((u16::from_le_bytes([a, b]), count, behind))
        }
    }
}

const NO_GROUP: Group = Group {
    name: "",
    since: 0,
    dimension: Dimension::Bytes3,
    entry: super::layout::Block { fields: &[], padded: 0 },
};
static NONE: Group = NO_GROUP;

/// The entries of one group: an iterator of blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entries<'a> {
    /// The group.
    pub group: &'static Group,
    /// Its place in the template.
    pub place: usize,
    /// Bytes of an entry, as the data says.
    pub block_length: u16,
    /// Entries left.
    pub count: u8,
    bytes: &'a [u8],
    version: u16,
}

impl Entries<'_> {
    fn none(template: &Template, version: u16) -> Self {
        let place = template.groups.len();
        Self { group: &NONE, place, block_length: 0, count: 0, bytes: &[], version }
    }
}

impl<'a> Entries<'a> {
    /// The entry at a place, from 0.
    pub fn get(&self, at: usize) -> Option<Record<'a>> {
        if at >= usize::from(self.count) {
            return None;
        }
        let length = usize::from(self.block_length);
        let bytes = self.bytes.get(at * length..(at + 1) * length)?;
        Some(Record { bytes, version: self.version })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        self.count = self.count.checked_sub(1)?;
        let (bytes, rest) = self.bytes.split_at_checked(usize::from(self.block_length))?;
        self.bytes = rest;
        Some(Record { bytes, version: self.version })
    }
}
