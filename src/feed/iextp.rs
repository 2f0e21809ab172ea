//! IEX-TP: the transport of IEX's TOPS, DEEP and DEEP+ (DPLS) feeds, one segment a datagram. All numbers are little-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | reserved |
//! | 2 | 2 | message protocol id: 0x8002 TOPS 1.5, 0x8003 TOPS 1.6, 0x8004 DEEP 1.0, 0x8005 DEEP+ 1.0 |
//! | 4 | 4 | channel id |
//! | 8 | 4 | session id |
//! | 12 | 2 | payload length: of what is behind the header |
//! | 14 | 2 | message count |
//! | 16 | 8 | stream offset of the payload, bytes |
//! | 24 | 8 | sequence number of the first message (in heartbeats: of the next one) |
//! | 32 | 8 | send time, ns since the Unix epoch, signed |
//! | 40 | 2 + n | message block, repeated: length without itself, message |
//!
//! Source: IEX Transport Specification 1.25, "IEX-TP Segment". A heartbeat is a segment of no messages and no payload. Each message
//! protocol, channel and session has a sequence space and a stream of bytes of its own; seq + count and
//! offset + payload length are two independent checks of continuity. The reserved byte says nothing: a sender may come to
//! use it without a new version, so that a value other than 0 is no fault (but nothing is recognised by such a segment).
//!
//! The messages are those of [`super::iex`]. [`Encoder`] is the way back, for generators and tests.

use super::frame::{Delimiter, Frame, Header, Kind, Misfit, Space, StreamOffset};
use super::iex::{Message, fits_exactly, protocol_id};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;

/// The segment header.
pub const HEADER_LEN: usize = 40;
/// The only version.
pub const VERSION: u8 = 1;

/// What a segment header says beside version, payload length and count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SegmentHeader {
    /// Message protocol: [`protocol_id`].
    pub message_protocol: u16,
    /// Channel.
    pub channel: u32,
    /// Session.
    pub session: u32,
    /// Offset of the payload in the stream, bytes.
    pub offset: u64,
    /// Sequence number of the first message, or of the next one if there is none here.
    pub first: u64,
    /// Send time, ns since the Unix epoch.
    pub sent_ns: i64,
}

impl SegmentHeader {
    /// Its sequence space.
    pub fn space(&self) -> Space {
        let mut name = [0; 10];
        name[..2].copy_from_slice(&self.message_protocol.to_le_bytes());
        name[2..6].copy_from_slice(&self.channel.to_le_bytes());
        name[6..].copy_from_slice(&self.session.to_le_bytes());
        Space::of(&name)
    }
}

/// Message protocol, channel and session of a sequence space that [`IexTp`] made.
pub fn parts(space: &Space) -> (u16, u32, u32) {
    let [p0, p1, c0, c1, c2, c3, s0, s1, s2, s3, ..] = space.0;
    (u16::from_le_bytes([p0, p1]), u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([s0, s1, s2, s3]))
}

const fn is_known(message_protocol: u16) -> bool {
    matches!(message_protocol, protocol_id::TOPS_1_5..=protocol_id::DEEP_PLUS)
}

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
        if head[0] != VERSION {
            return Err(Verdict::IEX_BAD_VERSION);
        }
        if !is_known(u16_at(2)) {
            return Err(Verdict::IEX_BAD_PROTOCOL);
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
    fn check(&self, message: &[u8]) -> Result<MessageKind, Verdict> {
        Message::parse(message).map(|known| match known {
            Some(_) => MessageKind::Known,
            None => MessageKind::Unknown,
        })
    }
    /// A soundly framed segment with a known message protocol and nothing in the reserved byte. If it has messages, at
    /// least one must be exactly a known one; a heartbeat is all header, of which 64 bits have the only value they may have.
    fn recognises(&self, payload: &[u8], on_wire_bytes: usize, _port: u16) -> bool {
        let Ok(frame) = self.frame(payload, on_wire_bytes) else { return false };
        payload.get(1) == Some(&0)
            && frame.header.first > 0
            && (frame.header.kind == Kind::Heartbeat || frame.messages().any(fits_exactly))
    }
    fn space_name(&self, space: &Space) -> String {
        let (protocol, channel, session) = parts(space);
        format!("proto{protocol:#06x}/ch{channel}/sess{session}")
    }
    fn message_name(&self, message: &[u8]) -> String {
        let kind = message.first().copied().unwrap_or_default();
        format!("{}/{kind:#04x} len{}", kind.escape_ascii(), message.len())
    }
}

/// Writes one segment into the caller's buffer, behind what is there.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    begin: usize,
    count: u16,
}

impl<'a> Encoder<'a> {
    /// Writes the header. Without a message the segment is a heartbeat.
    pub fn begin(out: &'a mut Vec<u8>, header: &SegmentHeader) -> Self {
        let begin = out.len();
        out.extend_from_slice(&[VERSION, 0]);
        out.extend_from_slice(&header.message_protocol.to_le_bytes());
        out.extend_from_slice(&header.channel.to_le_bytes());
        out.extend_from_slice(&header.session.to_le_bytes());
        // Payload length and count: `finish` writes them.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&header.offset.to_le_bytes());
        out.extend_from_slice(&header.first.to_le_bytes());
        out.extend_from_slice(&header.sent_ns.to_le_bytes());
        Self { out, begin, count: 0 }
    }
    /// Appends a message that `write` appends to the buffer. False, and nothing is appended, if the segment has no
    /// room for it: the payload is at most 65,535 bytes.
    pub fn message_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        write(self.out);
        let length = self.out.len().checked_sub(at + 2).and_then(|length| u16::try_from(length).ok());
        let (Some(length), Some(_), Some(count)) = (length, self.payload_bytes(), self.count.checked_add(1))
        else {
            self.out.truncate(at);
            return false;
        };
        if let Some(field) = self.out.get_mut(at..at + 2) {
            field.copy_from_slice(&length.to_le_bytes());
        }
        self.count = count;
        true
    }
    /// Appends a message; false as [`Encoder::message_with`].
    pub fn message(&mut self, message: &[u8]) -> bool {
        self.message_with(|out| out.extend_from_slice(message))
    }
    /// Length of the payload so far, bytes; `None` if the header cannot say it.
    fn payload_bytes(&self) -> Option<u16> {
        let bytes = self.out.len().checked_sub(self.begin + HEADER_LEN)?;
        u16::try_from(bytes).ok()
    }
    /// Writes payload length and count into the header; answers both: so much further are the next segment's stream
    /// offset and first number.
    pub fn finish(self) -> (u16, u16) {
        let bytes = self.payload_bytes().unwrap_or_default();
        if let Some(field) = self.out.get_mut(self.begin + 12..self.begin + 16) {
            field[..2].copy_from_slice(&bytes.to_le_bytes());
            field[2..].copy_from_slice(&self.count.to_le_bytes());
        }
        (bytes, self.count)
    }
}

#[cfg(test)]
mod tests;
