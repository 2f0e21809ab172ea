//! Any feed whose datagrams carry a sequence number at a fixed place: gaps, jitter and races without a decoder.

use super::frame::{Delimiter, Frame, Header, Kind, Space};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;
use serde::{Deserialize, Serialize};

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
    /// Where it begins, bytes from the beginning of the UDP payload.
    pub offset: u16,
    /// Its width in bytes, 1 to 8.
    pub width: u8,
}

/// Where the numbers stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layout {
    /// Byte order of all fields.
    pub endian: Endian,
    /// The sequence number.
    pub sequence: Field,
    /// How many numbers a datagram uses; `None`: one.
    pub count: Option<Field>,
    /// When it was sent, in units of `time_unit_ns` since the Unix epoch.
    pub sent: Option<Field>,
    /// Nanoseconds in a unit of `sent`; 0 counts as 1.
    pub time_unit_ns: u32,
}

/// A feed described by its layout.
#[derive(Clone, Copy, Debug)]
pub struct Sequenced {
    /// Where its numbers stand.
    pub layout: Layout,
}

impl Sequenced {
    fn read(&self, payload: &[u8], field: Field) -> Result<u64, Verdict> {
        let (at, width) = (usize::from(field.offset), usize::from(field.width.min(8)));
        let bytes = payload.get(at..at + width).ok_or(Verdict::SEQUENCED_TRUNCATED)?;
        let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(match self.layout.endian {
            Endian::Big => bytes.iter().fold(0, push),
            Endian::Little => bytes.iter().rev().fold(0, push),
        })
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
        let fields = [Some(self.layout.sequence), self.layout.count, self.layout.sent];
        let end = |field: Field| usize::from(field.offset) + usize::from(field.width);
        fields.into_iter().flatten().map(end).max().unwrap_or(0)
    }
    fn frame<'a>(&self, payload: &'a [u8], _on_wire_bytes: usize) -> Result<Frame<'a>, Verdict> {
        let first = self.read(payload, self.layout.sequence)?;
        let units = self.layout.count.map_or(Ok(1), |field| self.read(payload, field))?;
        let unit_ns = u64::from(self.layout.time_unit_ns.max(1));
        let sent = self.layout.sent.map(|field| self.read(payload, field)).transpose()?;
        let header = Header {
            space: Space::default(),
            first,
            units,
            messages: 1,
            numbers_messages: false,
            sent_ns: sent.map(|sent| sent.saturating_mul(unit_ns)),
            kind: if units == 0 { Kind::Heartbeat } else { Kind::Data },
            offset: None,
        };
        Ok(Frame { header, body: payload, delimiter: Delimiter::Whole })
    }
    fn check(&self, _message: &[u8]) -> Result<MessageKind, Verdict> {
        Ok(MessageKind::Known)
    }
    fn message_name(&self, message: &[u8]) -> String {
        format!("len{}", message.len())
    }
}
