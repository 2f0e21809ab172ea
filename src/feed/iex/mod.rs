//! The messages of IEX's feeds: TOPS 1.5 and 1.6 (top of book), DEEP 1.0 (price levels), DEEP+ 1.0 (orders; DPLS).
//!
//! One table serves all of them: a type byte means the same, with the same layout, on every feed that
//! carries it. All numbers are little-endian; prices are signed, in 1/10,000 dollar; times are signed ns since the Unix epoch.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 1 | message type |
//! | 1 | 1 | event, status or flags, by type |
//! | 2 | 8 | timestamp |
//! | 10 | 8 | symbol, padded with spaces (not in system events) |
//! | 18 | | by type |
//!
//! Sources: Investors Exchange TOPS Specification 1.66 (2021-10-19), DEEP Specification 1.08 and DEEP+
//! Specification 1.02 (2025-01-14; 1.04 has the same layouts): "Administrative Message Formats", "Trading Message Formats", "Auction
//! Message Formats", "Appendix A: Flags". The specifications reserve the right to add types and to lengthen messages
//! without notice: an unknown type is skipped, a longer message accepted, a shorter one is not readable.
//!
//! [`Message::parse`] gives a typed view that borrows the bytes: after it no accessor fails. [`encode`] is the way back.

pub mod encode;
mod field;
mod messages;

pub use field::{Price4, trimmed};
pub use messages::{
    AddOrder, AuctionInformation, ClearBook, LAYOUT, Message, OfficialPrice, OperationalHalt, OrderDelete,
    OrderExecuted, OrderModify, PriceLevel, QuoteUpdate, RetailLiquidity, SecurityDirectory, SecurityEvent,
    ShortSale, SystemEvent, TradeBreak, TradeReport, TradingStatus,
};

/// Message protocol ids, as segment headers have them.
pub mod protocol_id {
    /// TOPS 1.5.
    pub const TOPS_1_5: u16 = 0x8002;
    /// TOPS 1.6.
    pub const TOPS: u16 = 0x8003;
    /// DEEP 1.0.
    pub const DEEP: u16 = 0x8004;
    /// DEEP+ 1.0, which IEX's files call DPLS.
    pub const DEEP_PLUS: u16 = 0x8005;
}

/// One message type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The type byte.
    pub kind: u8,
    /// Length of the message with its type byte, bytes.
    pub length: usize,
    /// What the specification calls it.
    pub name: &'static str,
    /// Its fields behind the type byte, in the order of the wire: name, offset, width in bytes.
    pub fields: &'static [(&'static str, usize, usize)],
}

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

/// The layout of a type byte.
pub fn lookup(kind: u8) -> Option<&'static Layout> {
    LAYOUT.get(usize::from(*INDEX.get(usize::from(kind))?))
}

/// True if `message` is of a known type and exactly as long as its layout.
pub fn fits_exactly(message: &[u8]) -> bool {
    message.first().and_then(|kind| lookup(*kind)).is_some_and(|layout| layout.length == message.len())
}

#[cfg(test)]
mod tests;
