//! Nasdaq TotalView-ITCH 5.0: the 23 message types and their lengths; [`check`] for each message.
//!
//! Only type and length are judged here. A type that is not in the table is skipped and counted by
//! the caller (new types appear without notice); a message longer than its layout is growth and
//! accepted; a shorter one is not readable. Enumerations, quantities and prices are the events' rules, not
//! structure. The messages as values are in [`messages`].

pub mod messages;

use super::frame::Frame;
use super::moldudp64;
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;

/// One message type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The type byte.
    pub kind: u8,
    /// Length of the message with its type byte, bytes.
    pub length: u16,
    /// What the specification calls it.
    pub name: &'static str,
}

const fn layout(kind: u8, length: u16, name: &'static str) -> Layout {
    Layout { kind, length, name }
}

/// Every message type of version 5.0.
pub const LAYOUT: [Layout; 23] = [
    layout(b'S', 12, "system event"),
    layout(b'R', 39, "stock directory"),
    layout(b'H', 25, "stock trading action"),
    layout(b'Y', 20, "Reg SHO restriction"),
    layout(b'L', 26, "market participant position"),
    layout(b'V', 35, "MWCB decline level"),
    layout(b'W', 12, "MWCB status"),
    layout(b'K', 28, "IPO quoting period update"),
    layout(b'J', 35, "LULD auction collar"),
    layout(b'h', 21, "operational halt"),
    layout(b'A', 36, "add order"),
    layout(b'F', 40, "add order with MPID"),
    layout(b'E', 31, "order executed"),
    layout(b'C', 36, "order executed with price"),
    layout(b'X', 23, "order cancel"),
    layout(b'D', 19, "order delete"),
    layout(b'U', 35, "order replace"),
    layout(b'P', 44, "trade (non-cross)"),
    layout(b'Q', 40, "cross trade"),
    layout(b'B', 19, "broken trade"),
    layout(b'I', 50, "net order imbalance indicator"),
    layout(b'N', 20, "retail price improvement indicator"),
    layout(b'O', 48, "direct listing with capital raise price discovery"),
];

/// Index into [`LAYOUT`] by type byte; 0xff for an unknown type.
const INDEX: [u8; 256] = {
    let mut index = [0xff; 256];
    let mut at = 0_u8;
    while (at as usize) < LAYOUT.len() {
        index[LAYOUT[at as usize].kind as usize] = at;
        at += 1;
    }
    index
};

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// In the table, and long enough.
    Known(&'static Layout),
    /// Not in the table: to be skipped by its length and counted.
    Unknown(u8),
}

/// Looks at type and length.
///
/// # Errors
/// `ITCH_EMPTY` for no bytes at all, `ITCH_SHORT` below the layout's length.
pub fn check(message: &[u8]) -> Result<Kind, Verdict> {
    let &kind = message.first().ok_or(Verdict::ITCH_EMPTY)?;
    let Some(layout) = lookup(kind) else { return Ok(Kind::Unknown(kind)) };
    if message.len() < usize::from(layout.length) {
        return Err(Verdict::ITCH_SHORT);
    }
    Ok(Kind::Known(layout))
}

/// The layout of a type byte.
pub fn lookup(kind: u8) -> Option<&'static Layout> {
    LAYOUT.get(usize::from(*INDEX.get(usize::from(kind))?))
}

/// True if `message` is of a known type and exactly as long as its layout: what real messages are.
pub fn fits_exactly(message: &[u8]) -> bool {
    matches!(check(message), Ok(Kind::Known(layout)) if message.len() == usize::from(layout.length))
}

/// ITCH 5.0 in MoldUDP64.
#[derive(Clone, Copy, Debug)]
pub struct OverMold;

impl Protocol for OverMold {
    fn name(&self) -> &'static str {
        "moldudp64-itch50"
    }
    fn version(&self) -> u32 {
        1
    }
    fn header_bytes(&self) -> usize {
        moldudp64::HEADER_LEN
    }
    fn frame<'a>(&self, payload: &'a [u8], on_wire_bytes: usize) -> Result<Frame<'a>, Verdict> {
        moldudp64::frame(payload, on_wire_bytes)
    }
    fn check(&self, message: &[u8]) -> Result<MessageKind, Verdict> {
        check(message).map(|kind| match kind {
            Kind::Known(_) => MessageKind::Known,
            Kind::Unknown(_) => MessageKind::Unknown,
        })
    }
    /// An exactly framed packet with a printable session and at least one message that is exactly a known one.
    fn recognises(&self, payload: &[u8], on_wire_bytes: usize, _port: u16) -> bool {
        let Ok(view) = moldudp64::View::parse_snapped(payload, on_wire_bytes) else { return false };
        view.header.sequence > 0 && view.header.is_printable() && view.messages().any(fits_exactly)
    }
    fn message_name(&self, message: &[u8]) -> String {
        let kind = message.first().copied().unwrap_or(b'?');
        format!("{} len{}", kind.escape_ascii(), message.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_byte_finds_its_layout_and_no_other() {
        for byte in 0..=255 {
            assert_eq!(lookup(byte), LAYOUT.iter().find(|layout| layout.kind == byte), "{byte}");
        }
    }

    #[test]
    fn longer_is_growth_shorter_is_short_unknown_is_skipped() {
        for layout in &LAYOUT {
            let length = usize::from(layout.length);
            let mut message = vec![0; length + 7];
            message[0] = layout.kind;
            assert_eq!(check(&message), Ok(Kind::Known(layout)));
            assert_eq!(check(&message[..length]), Ok(Kind::Known(layout)));
            assert!(fits_exactly(&message[..length]) && !fits_exactly(&message));
            for short in 1..length {
                assert_eq!(check(&message[..short]), Err(Verdict::ITCH_SHORT));
            }
        }
        assert_eq!(check(b"z"), Ok(Kind::Unknown(b'z')));
        assert_eq!(check(b""), Err(Verdict::ITCH_EMPTY));
    }
}
