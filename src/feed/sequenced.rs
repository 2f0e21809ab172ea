//! Any feed whose datagrams carry a sequence number at a fixed place: gaps, jitter and races without a decoder.
//!
//! The [`Layout`] tells where the numbers stand. What is made of them:
//!
//! - A datagram uses as many numbers as it counts, or one, if it counts nothing or the feed numbers packets
//!   ([`Numbers::Packet`]). One that counts 0, or bears the layout's [`Heartbeat`] mark, uses none: a heartbeat. It carries the next number, or the
//!   last one sent, as the mark says. More messages than a datagram can have bytes are refused (`sequenced-bad-count`).
//! - A field narrower than 64 bits must start over some day. Without [`Layout::wraps_to`] a datagram that would pass its highest number
//!   is refused (`sequenced-overflow`), and numbers that begin again at 1 are a restart to the sequence tracker, as in every feed. With it, the
//!   datagram that begins at `wraps_to`, or in which the highest number is passed, begins a new sequence space
//!   ([`Kind::Reset`]): a frame is read without memory, so that the two sides of a turn cannot be joined, and a loss just at the turn is not seen.
//! - With a [`Layout::length`], a datagram may hold several such blocks one behind the other; their numbers must follow each other.
//! - There is one "message", the whole datagram: what the numbers count cannot be told apart.

use super::frame::{Delimiter, Frame, Header, Kind, Space};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;
use serde::{Deserialize, Serialize};

/// Longest UDP payload over IPv4, bytes.
const MAX_PAYLOAD_BYTES: usize = 65_507;
/// The longest unit of time that makes sense: a second.
const MAX_TIME_UNIT_NS: u32 = 1_000_000_000;

/// Byte order of the configured fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endian {
    /// Most significant byte first.
    #[default]
    Big,
    /// Least significant byte first.
    Little,
}

/// A number in the datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Where it begins, bytes from the beginning of the UDP payload (of the block, where there are several).
    pub offset: u16,
    /// Its width in bytes, 1 to 8 (a session: 1 to 12).
    pub width: u8,
}

impl Field {
    fn end(self) -> usize {
        usize::from(self.offset) + usize::from(self.width)
    }
    /// The highest number that fits.
    fn highest(self) -> u64 {
        match self.width {
            0 => 0,
            width @ 1..8 => (1 << (8 * u32::from(width))) - 1,
            _ => u64::MAX,
        }
    }
}

/// What the sequence numbers number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbers {
    /// Messages: a datagram uses as many numbers as `count` says.
    #[default]
    Message,
    /// Packets: a datagram uses one number, whatever `count` says (unless that is 0).
    Packet,
}

/// How a heartbeat is known, where it is not by a count of 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Where the mark begins, bytes.
    pub offset: u16,
    /// Its width in bytes, 1 to 8.
    pub width: u8,
    /// The value that says that it is one.
    pub value: u64,
    /// True if it repeats the last number sent; false if it carries the next one.
    #[serde(default)]
    pub repeats_last: bool,
}

impl Heartbeat {
    const fn field(self) -> Field {
        Field { offset: self.offset, width: self.width }
    }
}

/// Where the numbers stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layout {
    /// Byte order of all fields.
    pub endian: Endian,
    /// The session: another one is another sequence space. `None`: there is only one space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Field>,
    /// The sequence number.
    pub sequence: Field,
    /// How many messages a datagram has; `None`: it uses one number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Field>,
    /// What the sequence numbers number.
    pub numbers: Numbers,
    /// Length of a block with its header, bytes, where a datagram may hold several; `None`: it is one block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<Field>,
    /// When it was sent, in units of `time_unit_ns` since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Field>,
    /// Nanoseconds in a unit of `sent`; 0 counts as 1.
    pub time_unit_ns: u32,
    /// Nanoseconds to be added to `sent`, where they stand apart from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_ns: Option<Field>,
    /// The number behind the highest that fits: 0 or 1. `None`: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wraps_to: Option<u8>,
    /// How a heartbeat is known beside a count of 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

impl Layout {
    /// What is wrong with it, in words for the operator; `None` if nothing is.
    pub fn fault(&self) -> Option<String> {
        let fields = [
            ("session", self.session, 12),
            ("sequence", Some(self.sequence), 8),
            ("count", self.count, 8),
            ("length", self.length, 8),
            ("sent", self.sent, 8),
            ("sent_ns", self.sent_ns, 8),
            ("heartbeat", self.heartbeat.map(Heartbeat::field), 8),
        ];
        for (name, field, most) in fields {
            let Some(field) = field else { continue };
            if !(1..=most).contains(&field.width) {
                return Some(format!("{name}: width {} is not between 1 and {most}", field.width));
            }
            let furthest = MAX_PAYLOAD_BYTES - usize::from(field.width);
            if usize::from(field.offset) > furthest {
                return Some(format!("{name}: offset {} is not between 0 and {furthest}", field.offset));
            }
        }
        if self.time_unit_ns > 0 && self.sent.is_none() {
            let what = "time_unit_ns is the unit of `sent`, which is not there; add `sent` or remove this";
            return Some(what.to_owned());
        }
        if self.time_unit_ns > MAX_TIME_UNIT_NS {
            return Some(format!(
                "time_unit_ns {} is not between 0 and {MAX_TIME_UNIT_NS}",
                self.time_unit_ns
            ));
        }
        if self.wraps_to.is_some_and(|to| to > 1) {
            return Some("wraps_to: must be 0 or 1".to_owned());
        }
        if self.sent_ns.is_some() && self.sent.is_none() {
            return Some("sent_ns: needs sent, to which it is added".to_owned());
        }
        None
    }

    /// Where the last field of a block ends, bytes.
    fn header_bytes(&self) -> usize {
        let mark = self.heartbeat.map(Heartbeat::field);
        let fields =
            [self.session, Some(self.sequence), self.count, self.length, self.sent, self.sent_ns, mark];
        fields.into_iter().flatten().map(Field::end).max().unwrap_or(0)
    }

    fn number(&self, block: &[u8], field: Field) -> Result<u64, Verdict> {
        let bytes = block.get(usize::from(field.offset)..field.end()).ok_or(Verdict::SEQUENCED_TRUNCATED)?;
        let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(match self.endian {
            Endian::Big => bytes.iter().fold(0, push),
            Endian::Little => bytes.iter().rev().fold(0, push),
        })
    }

    fn optional(&self, block: &[u8], field: Option<Field>) -> Result<Option<u64>, Verdict> {
        field.map(|field| self.number(block, field)).transpose()
    }

    fn space(&self, block: &[u8]) -> Result<Space, Verdict> {
        let Some(field) = self.session else { return Ok(Space::default()) };
        let bytes = block.get(usize::from(field.offset)..field.end()).ok_or(Verdict::SEQUENCED_TRUNCATED)?;
        Ok(Space::of(bytes))
    }

    fn sent_ns(&self, block: &[u8]) -> Result<Option<u64>, Verdict> {
        let Some(sent) = self.optional(block, self.sent)? else { return Ok(None) };
        let more_ns = self.optional(block, self.sent_ns)?.unwrap_or(0);
        let ns = sent.checked_mul(u64::from(self.time_unit_ns.max(1))).and_then(|ns| ns.checked_add(more_ns));
        ns.map(Some).ok_or(Verdict::SEQUENCED_OVERFLOW)
    }

    fn block(&self, block: &[u8]) -> Result<Block, Verdict> {
        let first = self.number(block, self.sequence)?;
        let count = self.optional(block, self.count)?.unwrap_or(1);
        // A count that lies would use up numbers that messages still to come need.
        if count > MAX_PAYLOAD_BYTES as u64 {
            return Err(Verdict::SEQUENCED_BAD_COUNT);
        }
        let mark = self.optional(block, self.heartbeat.map(Heartbeat::field))?;
        let marked = self.heartbeat.filter(|heartbeat| mark == Some(heartbeat.value));
        let units = match (marked, self.numbers) {
            (Some(_), _) => 0,
            (None, Numbers::Packet) => count.min(1),
            (None, Numbers::Message) => count,
        };
        let repeats_last = marked.is_some_and(|heartbeat| heartbeat.repeats_last);
        Block { first, units, kind: if units == 0 { Kind::Heartbeat } else { Kind::Data } }
            .beside(repeats_last)
            .and_then(|block| block.wrapped(self.sequence.highest(), self.wraps_to.map(u64::from)))
            .ok_or(Verdict::SEQUENCED_OVERFLOW)
    }

    /// The length of the block that begins here; `None` if there is only one.
    fn block_length(&self, block: &[u8]) -> Result<Option<usize>, Verdict> {
        let Some(length) = self.optional(block, self.length)? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| Verdict::SEQUENCED_BAD_BLOCK)?;
        if length < self.header_bytes().max(1) { Err(Verdict::SEQUENCED_BAD_BLOCK) } else { Ok(Some(length)) }
    }
}

/// What one block uses of the sequence.
#[derive(Clone, Copy)]
struct Block {
    first: u64,
    units: u64,
    kind: Kind,
}

impl Block {
    /// A heartbeat that repeats the last number: the next one is behind it.
    fn beside(self, repeats_last: bool) -> Option<Self> {
        let first = if repeats_last { self.first.checked_add(1)? } else { self.first };
        Some(Self { first, ..self })
    }

    /// Sees to it that no number is above `highest`; the one behind it is `wraps_to`, if there is such a one.
    fn wrapped(self, highest: u64, wraps_to: Option<u64>) -> Option<Self> {
        let Some(wraps_to) = wraps_to else {
            let last =
                if self.units == 0 { Some(self.first) } else { self.first.checked_add(self.units - 1) };
            // The number behind the last must be expressible too.
            return (last? <= highest && self.first.checked_add(self.units).is_some()).then_some(self);
        };
        if self.units == 0 {
            // The next number after the highest is the first again.
            return Some(Self { first: if self.first > highest { wraps_to } else { self.first }, ..self });
        }
        let before_turn = (highest - self.first).saturating_add(1);
        if self.units > before_turn {
            let units = self.units - before_turn;
            return (wraps_to.checked_add(units)? <= highest).then_some(Self {
                first: wraps_to,
                units,
                kind: Kind::Reset,
            });
        }
        self.first.checked_add(self.units)?;
        let kind = if self.first == wraps_to { Kind::Reset } else { self.kind };
        Some(Self { kind, ..self })
    }
}

/// A feed described by its layout.
#[derive(Clone, Copy, Debug)]
pub struct Sequenced {
    /// Where its numbers stand.
    pub layout: Layout,
}

impl Sequenced {
    /// All blocks of a datagram as one; those that were not (wholly) captured count as far as they are here.
    fn blocks(&self, payload: &[u8], on_wire_bytes: usize) -> Result<Block, Verdict> {
        let layout = &self.layout;
        let mut all = layout.block(payload)?;
        let Some(mut at) = layout.block_length(payload)? else { return Ok(all) };
        let space = layout.space(payload)?;
        let on_wire_bytes = on_wire_bytes.max(payload.len());
        while at < on_wire_bytes {
            let rest = payload.get(at..).unwrap_or_default();
            if rest.len() < layout.header_bytes() && payload.len() < on_wire_bytes {
                return Ok(all);
            }
            let next = layout.block(rest)?;
            let follows =
                all.first.checked_add(all.units) == Some(next.first) && layout.space(rest)? == space;
            let Some(units) = all.units.checked_add(next.units).filter(|_| follows) else {
                return Err(Verdict::SEQUENCED_BAD_BLOCK);
            };
            let kind = if all.kind == Kind::Heartbeat { next.kind } else { all.kind };
            all = Block { first: all.first, units, kind };
            at = at.saturating_add(layout.block_length(rest)?.unwrap_or(on_wire_bytes));
        }
        if at > on_wire_bytes { Err(Verdict::SEQUENCED_BAD_BLOCK) } else { Ok(all) }
    }
}

impl Protocol for Sequenced {
    fn name(&self) -> &'static str {
        "sequenced"
    }
    fn version(&self) -> u32 {
        1
    }
    fn header_bytes(&self) -> usize {
        self.layout.header_bytes()
    }
    fn frame<'a>(&self, payload: &'a [u8], on_wire_bytes: usize) -> Result<Frame<'a>, Verdict> {
        let block = self.blocks(payload, on_wire_bytes)?;
        let header = Header {
            space: self.layout.space(payload)?,
            first: block.first,
            units: block.units,
            messages: u32::from(block.units > 0),
            numbers_messages: false,
            sent_ns: self.layout.sent_ns(payload)?,
            kind: block.kind,
            offset: None,
        };
        Ok(Frame { header, body: payload, delimiter: Delimiter::Whole })
    }
    fn check(&self, _message: &[u8]) -> Result<MessageKind, Verdict> {
        Ok(MessageKind::Known)
    }
    /// Printable text as it is, else the number in the layout's byte order, else the bytes, escaped.
    fn space_name(&self, space: &Space) -> String {
        let Some(field) = self.layout.session else { return String::new() };
        let bytes = space.0.get(..usize::from(field.width)).unwrap_or(&space.0);
        if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
        }
        match self.layout.number(bytes, Field { offset: 0, width: field.width }) {
            Ok(number) if field.width <= 8 => number.to_string(),
            _ => bytes.escape_ascii().to_string(),
        }
    }
    fn message_name(&self, message: &[u8]) -> String {
        format!("len{}", message.len())
    }
}

#[cfg(test)]
mod tests;
