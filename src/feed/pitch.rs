//! Cboe multicast PITCH: an 8-byte sequenced unit header and messages. All numbers are little-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 2 | length of the unit with this header |
//! | 2 | 1 | message count; 0 = heartbeat |
//! | 3 | 1 | unit: its own sequence space |
//! | 4 | 4 | sequence number of the first message; 0 = the messages are not sequenced |
//! | 8 | n | message: length (with itself), type, fields |
//!
//! (US Equities/Options Multicast Depth of Book (PITCH) Specification 2.41, "Message Format"; the same in the Cboe Futures
//! and the complex options specifications.) What follows from it:
//!
//! - The message is the unit of sequence, each unit counts for itself. A heartbeat carries the number of the next message, so that
//!   it shows a lost tail. It uses no number.
//! - Sequence 0 places nothing: heartbeats outside of trading hours, answers of the gap request proxy and the spin servers, repeated
//!   definitions. Such datagrams are a space of their own, in which no number is ever used.
//! - Unit Clear (0x97) empties the books of its unit and does not touch the sequence: it is a message like others ([`Kind::Data`]). A
//!   sequence that begins again at 1 is what a sequence tracker calls a restart.
//! - End of Session (0x2d) is a message too, with a number: heartbeats may follow it.
//!
//! [`layout`] has every message's length, [`Message`] reads and writes the fields, [`UnitEncoder`] makes datagrams.

mod encode;
pub mod layout;
mod message;

pub use encode::UnitEncoder;
pub use layout::{Dialect, Layout};
pub use message::{
    Add, Break, Delete, Executed, FutureDefinition, Mapping, Message, Modify, Price, Reduce, Remaining,
    Status, Trade,
};

use super::frame::{Delimiter, Frame, Header, Kind, Misfit, Space};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;

/// The sequenced unit header.
pub const HEADER_LEN: usize = 8;
/// Length and type: what every message begins with.
pub const MESSAGE_HEADER_LEN: usize = 2;
/// Marks the space of what is not sequenced, behind the unit's byte.
const UNSEQUENCED: u8 = b'-';

/// Cboe multicast PITCH.
#[derive(Clone, Copy, Debug)]
pub struct Pitch;

impl Protocol for Pitch {
    fn name(&self) -> &'static str {
        "cboe-pitch"
    }
    fn version(&self) -> u32 {
        1
    }
    fn header_bytes(&self) -> usize {
        HEADER_LEN
    }
    fn frame<'a>(&self, payload: &'a [u8], on_wire_bytes: usize) -> Result<Frame<'a>, Verdict> {
        let (&[len0, len1, count, unit, sequence @ ..], body) =
            payload.split_first_chunk::<HEADER_LEN>().ok_or(Verdict::PITCH_TRUNCATED)?;
        let on_wire_bytes = on_wire_bytes.max(payload.len());
        if usize::from(u16::from_le_bytes([len0, len1])) != on_wire_bytes {
            return Err(Verdict::PITCH_BAD_LENGTH);
        }
        let sequence = u32::from_le_bytes(sequence);
        if sequence.checked_add(u32::from(count)).is_none() {
            return Err(Verdict::PITCH_SEQUENCE_OVERFLOW);
        }
        Delimiter::U8Inside.check(body, on_wire_bytes - HEADER_LEN, Some(u32::from(count))).map_err(
            |misfit| match misfit {
                Misfit::Length => Verdict::PITCH_BAD_LENGTH,
                Misfit::Count => Verdict::PITCH_BAD_COUNT,
            },
        )?;
        let sequenced = sequence != 0;
        let header = Header {
            space: if sequenced { Space::of(&[unit]) } else { Space::of(&[unit, UNSEQUENCED]) },
            first: u64::from(sequence),
            units: if sequenced { u64::from(count) } else { 0 },
            messages: u32::from(count),
            numbers_messages: sequenced,
            sent_ns: None,
            kind: if count == 0 { Kind::Heartbeat } else { Kind::Data },
            offset: None,
        };
        Ok(Frame { header, body, delimiter: Delimiter::U8Inside })
    }
    fn check(&self, message: &[u8]) -> Result<MessageKind, Verdict> {
        layout::check(message).map(|layout| match layout {
            Some(_) => MessageKind::Known,
            None => MessageKind::Unknown,
        })
    }
    fn space_name(&self, space: &Space) -> String {
        let [unit, mark, ..] = space.0;
        if mark == UNSEQUENCED { format!("unit {unit} unsequenced") } else { format!("unit {unit}") }
    }
    fn message_name(&self, message: &[u8]) -> String {
        let kind = message.get(1).copied().unwrap_or_default();
        let name = layout::lookup(kind).map_or("unknown", |layout| layout.name);
        format!("{kind:#04x} {name} len{}", message.len())
    }
}

#[cfg(test)]
mod tests;
