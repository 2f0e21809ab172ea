//! IEX-TP: the 40-byte segment header of IEX's TOPS, DEEP and DPLS feeds. All numbers are little-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | reserved |
//! | 2 | 2 | message protocol id |
//! | 4 | 4 | channel id |
//! | 8 | 4 | session id |
//! | 12 | 2 | payload length |
//! | 14 | 2 | message count; 0 = heartbeat |
//! | 16 | 8 | stream offset of the payload |
//! | 24 | 8 | sequence number of the first message (in heartbeats: of the next one) |
//! | 32 | 8 | send time, ns since the Unix epoch |
//! | 40 | 2 + n | message block, repeated |

use super::frame::{Delimiter, Frame, Header, Kind, Misfit, Space, StreamOffset};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;

/// The segment header.
pub const HEADER_LEN: usize = 40;

/// IEX-TP.
#[derive(Clone, Copy, Debug)]
pub struct IexTp;

impl Protocol for IexTp {
    fn name(&self) -> &'static str {
        "iex-tp"
    }
    fn version(&self) -> u32 {
        1
    }
    fn header_bytes(&self) -> usize {
        HEADER_LEN
    }
    fn frame<'a>(&self, payload: &'a [u8], on_wire_bytes: usize) -> Result<Frame<'a>, Verdict> {
        let head = payload.first_chunk::<HEADER_LEN>().ok_or(Verdict::IEX_TRUNCATED)?;
        let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        if head[0] != 1 {
            return Err(Verdict::IEX_BAD_VERSION);
        }
        let (bytes, count) = (u16_at(12), u16_at(14));
        let (offset, first, sent_ns) = (u64_at(16), u64_at(24), u64_at(32));
        let body = payload.get(HEADER_LEN..).unwrap_or_default();
        let on_wire_body = on_wire_bytes.max(payload.len()) - HEADER_LEN;
        if usize::from(bytes) != on_wire_body {
            return Err(Verdict::IEX_BAD_LENGTH);
        }
        if first.checked_add(u64::from(count)).is_none() || offset.checked_add(u64::from(bytes)).is_none() {
            return Err(Verdict::IEX_SEQUENCE_OVERFLOW);
        }
        Delimiter::U16LeBefore.check(body, on_wire_body, Some(u32::from(count))).map_err(|misfit| {
            match misfit {
                Misfit::Length => Verdict::IEX_BAD_LENGTH,
                Misfit::Count => Verdict::IEX_BAD_COUNT,
            }
        })?;
        let header = Header {
            // Message protocol, channel, session.
            space: Space::of(&head[2..12]),
            first,
            units: u64::from(count),
            messages: u32::from(count),
            numbers_messages: true,
            sent_ns: Some(sent_ns),
            kind: if count == 0 { Kind::Heartbeat } else { Kind::Data },
            offset: Some(StreamOffset { begin: offset, bytes: u64::from(bytes) }),
        };
        Ok(Frame { header, body, delimiter: Delimiter::U16LeBefore })
    }
    fn check(&self, _message: &[u8]) -> Result<MessageKind, Verdict> {
        Ok(MessageKind::Known)
    }
    fn message_name(&self, message: &[u8]) -> String {
        let kind = message.first().copied().unwrap_or_default();
        format!("{}/{kind:#04x} len{}", kind.escape_ascii(), message.len())
    }
}
