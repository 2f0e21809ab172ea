//! Cboe multicast PITCH: an 8-byte sequenced unit header and messages. All numbers are little-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 2 | length of the unit with this header |
//! | 2 | 1 | message count; 0 = heartbeat |
//! | 3 | 1 | unit: its own sequence space |
//! | 4 | 4 | sequence number of the first message |
//! | 8 | n | message, its length first |

use super::frame::{Delimiter, Frame, Header, Kind, Misfit, Space};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;

/// The sequenced unit header.
pub const HEADER_LEN: usize = 8;

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
        Delimiter::U8Inside.check(body, on_wire_bytes - HEADER_LEN, Some(u32::from(count))).map_err(
            |misfit| match misfit {
                Misfit::Length => Verdict::PITCH_BAD_LENGTH,
                Misfit::Count => Verdict::PITCH_BAD_COUNT,
            },
        )?;
        let header = Header {
            space: Space::of(&[unit]),
            first: u64::from(u32::from_le_bytes(sequence)),
            units: u64::from(count),
            messages: u32::from(count),
            numbers_messages: true,
            sent_ns: None,
            kind: if count == 0 { Kind::Heartbeat } else { Kind::Data },
            offset: None,
        };
        Ok(Frame { header, body, delimiter: Delimiter::U8Inside })
    }
    fn check(&self, _message: &[u8]) -> Result<MessageKind, Verdict> {
        Ok(MessageKind::Known)
    }
    fn message_name(&self, message: &[u8]) -> String {
        format!("{:#04x} len{}", message.get(1).copied().unwrap_or_default(), message.len())
    }
}
