//! CME MDP 3.0: a 12-byte packet header and SBE messages, each with its size in front. All numbers are little-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 4 | packet sequence number: one a packet, heartbeats too |
//! | 4 | 8 | send time, ns since the Unix epoch |
//! | 12 | 2 | message size, with these 2 bytes; repeated |
//! | 14 | 8 | SBE header: block length, template id, schema id, version |
//! | 22 | n | root block and groups |

use super::frame::{Delimiter, Frame, Header, Kind, Space};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;

/// The packet header.
pub const HEADER_LEN: usize = 12;

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
        let header = Header {
            space: Space::default(),
            first: u64::from(u32::from_le_bytes(*sequence)),
            units: 1,
            messages,
            numbers_messages: false,
            sent_ns: Some(u64::from_le_bytes(*sent)),
            kind: Kind::Data,
            offset: None,
        };
        Ok(Frame { header, body, delimiter: Delimiter::U16LeInside })
    }
    fn check(&self, _message: &[u8]) -> Result<MessageKind, Verdict> {
        Ok(MessageKind::Known)
    }
    fn message_name(&self, message: &[u8]) -> String {
        format!("len{}", message.len())
    }
}
