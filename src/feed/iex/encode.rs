//! Encoders for every message type, for generators and tests. Each struct lists its fields in the order of the wire
//! and appends itself to the caller's buffer; integers are little-endian, prices in 1/10,000 dollar.

/// A message that can be written.
pub trait Message {
    /// Its type byte.
    const KIND: u8;
    /// Appends the whole message, type byte first.
    fn encode(&self, out: &mut Vec<u8>);
}

/// A field, as the wire has it.
trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

impl<const N: usize> Put for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

macro_rules! put_integers {
    ($($int:ty)*) => {$(
        impl Put for $int {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
put_integers!(u8 u32 i64);

/// Declares a message once: its type byte and its fields in the order of the wire. What the fields mean, the views of
/// [`super::Message`] say.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        #[expect(missing_docs, reason = "the views document the fields")]
        pub struct $name {
            $(pub $field: $type,)*
        }
        impl Message for $name {
            const KIND: u8 = $kind;
            fn encode(&self, out: &mut Vec<u8>) {
                out.push($kind);
                $(self.$field.put(out);)*
            }
        }
    )*};
}

messages! {
    /// See [`super::SystemEvent`].
    SystemEvent = b'S' { event: u8, timestamp_ns: i64, }
    /// See [`super::SecurityDirectory`].
    SecurityDirectory = b'D' {
        flags: u8, timestamp_ns: i64, symbol: [u8; 8], round_lot: u32, adjusted_close: i64, luld_tier: u8,
    }
    /// See [`super::TradingStatus`].
    TradingStatus = b'H' { status: u8, timestamp_ns: i64, symbol: [u8; 8], reason: [u8; 4], }
    /// See [`super::RetailLiquidity`].
    RetailLiquidity = b'I' { indicator: u8, timestamp_ns: i64, symbol: [u8; 8], }
    /// See [`super::OperationalHalt`].
    OperationalHalt = b'O' { status: u8, timestamp_ns: i64, symbol: [u8; 8], }
    /// See [`super::ShortSale`].
    ShortSale = b'P' { status: u8, timestamp_ns: i64, symbol: [u8; 8], detail: u8, }
    /// See [`super::SecurityEvent`].
    SecurityEvent = b'E' { event: u8, timestamp_ns: i64, symbol: [u8; 8], }
    /// See [`super::QuoteUpdate`].
    QuoteUpdate = b'Q' {
        flags: u8, timestamp_ns: i64, symbol: [u8; 8], bid_size: u32, bid_price: i64, ask_price: i64, ask_size: u32,
    }
    /// See [`super::PriceLevel`].
    PriceLevelBuy = b'8' { flags: u8, timestamp_ns: i64, symbol: [u8; 8], size: u32, price: i64, }
    /// See [`super::PriceLevel`].
    PriceLevelSell = b'5' { flags: u8, timestamp_ns: i64, symbol: [u8; 8], size: u32, price: i64, }
    /// See [`super::TradeReport`].
    TradeReport = b'T' {
        sale_condition: u8, timestamp_ns: i64, symbol: [u8; 8], size: u32, price: i64, trade_id: i64,
    }
    /// See [`super::TradeBreak`].
    TradeBreak = b'B' {
        sale_condition: u8, timestamp_ns: i64, symbol: [u8; 8], size: u32, price: i64, trade_id: i64,
    }
    /// See [`super::OfficialPrice`].
    OfficialPrice = b'X' { price_type: u8, timestamp_ns: i64, symbol: [u8; 8], price: i64, }
    /// See [`super::AuctionInformation`].
    AuctionInformation = b'A' {
        auction_type: u8, timestamp_ns: i64, symbol: [u8; 8], paired: u32, reference_price: i64,
        indicative_price: i64, imbalance: u32, imbalance_side: u8, extensions: u8, scheduled_s: u32,
        auction_book_price: i64, collar_reference: i64, lower_collar: i64, upper_collar: i64,
    }
    /// See [`super::AddOrder`].
    AddOrder = b'a' { side: u8, timestamp_ns: i64, symbol: [u8; 8], order: i64, size: u32, price: i64, }
    /// See [`super::OrderModify`].
    OrderModify = b'M' { flags: u8, timestamp_ns: i64, symbol: [u8; 8], order: i64, size: u32, price: i64, }
    /// See [`super::OrderDelete`].
    OrderDelete = b'R' { reserved: u8, timestamp_ns: i64, symbol: [u8; 8], order: i64, }
    /// See [`super::OrderExecuted`].
    OrderExecuted = b'L' {
        sale_condition: u8, timestamp_ns: i64, symbol: [u8; 8], order: i64, size: u32, price: i64, trade_id: i64,
    }
    /// See [`super::ClearBook`].
    ClearBook = b'C' { reserved: u8, timestamp_ns: i64, symbol: [u8; 8], }
}
