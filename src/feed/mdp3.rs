//! CME MDP 3.0: a 12-byte packet header and SBE messages, each with its size in front. All numbers are little-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 4 | packet sequence number: one a packet, heartbeats too; begins again at 1 each week |
//! | 4 | 8 | send time, ns since the Unix epoch |
//! | 12 | 2 | message size, with these 2 bytes; repeated |
//! | 14 | 8 | SBE header: block length, template id, schema id, version |
//! | 22 | n | root block and groups |
//!
//! (CME Client Systems Wiki, "MDP 3.0 - SBE Technical Headers", "MDP 3.0 - SBE Message Header".) What the messages are stands in
//! [`templates`], as data; [`sbe`] steps over them, [`encode`] writes them. A channel reset (template 4) empties books and is no matter of
//! the sequence.

pub mod encode;
pub mod layout;
pub mod sbe;
pub mod templates;

#[cfg(test)]
mod tests;

use super::frame::{Delimiter, Frame, Header, Kind, Space};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;
use sbe::{Message, MessageHeader};

/// The packet header.
pub const HEADER_LEN: usize = 12;
/// The heartbeat's template.
pub const HEARTBEAT: u16 = 12;
/// 2010-01-01 and 2100-01-01, ns since the Unix epoch: send times that can be believed.
const PLAUSIBLE_NS: std::ops::Range<u64> = 1_262_304_000_000_000_000..4_102_444_800_000_000_000;

/// CME MDP 3.0.
#[derive(Clone, Copy, Debug)]
pub struct Mdp3;

impl Protocol for Mdp3 {
    fn name(&self) -> &'static str {
        "cme-mdp3"
    }
    fn version(&self) -> u32 {
        1
    }
    fn header_bytes(&self) -> usize {
        HEADER_LEN
    }
    fn frame<'a>(&self, payload: &'a [u8], on_wire_bytes: usize) -> Result<Frame<'a>, Verdict> {
        let (sequence, rest) = payload.split_first_chunk::<4>().ok_or(Verdict::CME_TRUNCATED)?;
        let (sent, body) = rest.split_first_chunk::<8>().ok_or(Verdict::CME_TRUNCATED)?;
        let on_wire_body = on_wire_bytes.max(payload.len()) - HEADER_LEN;
        let messages =
            Delimiter::U16LeInside.check(body, on_wire_body, None).map_err(|_| Verdict::CME_BAD_LENGTH)?;
        let alone = messages == 1 && MessageHeader::read(body).is_some_and(|m| m.template == HEARTBEAT);
        let header = Header {
            space: Space::default(),
            first: u64::from(u32::from_le_bytes(*sequence)),
            units: 1,
            messages,
            numbers_messages: false,
            sent_ns: Some(u64::from_le_bytes(*sent)),
            kind: if alone { Kind::Heartbeat } else { Kind::Data },
            offset: None,
        };
        Ok(Frame { header, body, delimiter: Delimiter::U16LeInside })
    }
    fn check(&self, message: &[u8]) -> Result<MessageKind, Verdict> {
        let known = Message::parse(message)?;
        Ok(if known.is_some() { MessageKind::Known } else { MessageKind::Unknown })
    }
    /// A plausible send time, and nothing but messages that are exactly what their template's version says; at least one.
    fn recognises(&self, payload: &[u8], on_wire_bytes: usize, _port: u16) -> bool {
        let Ok(frame) = self.frame(payload, on_wire_bytes) else { return false };
        let plausible = frame.header.sent_ns.is_some_and(|ns| PLAUSIBLE_NS.contains(&ns));
        let exact = |message| matches!(Message::parse(message), Ok(Some(m)) if m.fits_exactly());
        plausible && frame.messages().next().is_some() && frame.messages().all(exact)
    }
    fn message_name(&self, message: &[u8]) -> String {
        let Some(MessageHeader { block_length, template, schema, version, .. }) =
            MessageHeader::read(message)
        else {
            return format!("len{}", message.len());
        };
        format!("tpl{template} schema{schema} v{version} blk{block_length}")
    }
}
