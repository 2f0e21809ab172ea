//! The 23 message types as values: each struct lists its fields in the order of the wire, is read from a message
//! ([`Message::decode`]) and appends itself to a caller's buffer ([`Message::encode`]). Integers are big-endian.
//!
//! Reading checks the length and nothing else: an enumerated field is the byte that stands there, whatever it is. What is behind
//! the last field (growth) is not looked at. Offsets and widths are pinned by the tests.

/// What every message has after its type byte.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Common {
    /// Stock locate code.
    pub locate: u16,
    /// Nasdaq's tracking number.
    pub tracking: u16,
    /// Nanoseconds since midnight, New York; 48 bits are sent.
    pub timestamp_ns: u64,
}

impl Common {
    /// Reads what every message has, and what is behind it.
    #[inline]
    pub fn split(message: &[u8]) -> Option<(Self, &[u8])> {
        let (_, rest) = message.split_first()?;
        Self::take(rest)
    }
}

/// A message that can be written and read.
pub trait Message: Sized {
    /// Its type byte.
    const KIND: u8;
    /// Its length with the type byte, bytes.
    const LENGTH: usize;
    /// Name, offset and width of its fields behind locate, tracking number and time; bytes.
    const FIELDS: &'static [(&'static str, usize, usize)];
    /// Appends the whole message, type byte first.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads the fields; `None` if the message is shorter than they are. The type byte is the caller's affair.
    fn decode(message: &[u8]) -> Option<Self>;
}

/// A field, as the wire has it.
trait Field: Sized {
    const WIDTH: usize;
    fn put(&self, out: &mut Vec<u8>);
    /// The field at the beginning of `bytes`, and what is behind it.
    fn take(bytes: &[u8]) -> Option<(Self, &[u8])>;
}

impl<const N: usize> Field for [u8; N] {
    const WIDTH: usize = N;
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (field, rest) = bytes.split_first_chunk::<N>()?;
        Some((*field, rest))
    }
}

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl Field for $int {
            const WIDTH: usize = size_of::<$int>();
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            #[inline]
            fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
                let (field, rest) = bytes.split_first_chunk()?;
                Some((Self::from_be_bytes(*field), rest))
            }
        }
    )*};
}
integers!(u8 u16 u32 u64);

impl Field for Common {
    const WIDTH: usize = 10;
    fn put(&self, out: &mut Vec<u8>) {
        self.locate.put(out);
        self.tracking.put(out);
        let [_, _, timestamp @ ..] = self.timestamp_ns.to_be_bytes();
        timestamp.put(out);
    }
    #[inline]
    fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (locate, rest) = u16::take(bytes)?;
        // Tracking number and time in one read.
        let (eight, rest) = u64::take(rest)?;
        let tracking = (eight >> 48) as u16;
        Some((Self { locate, tracking, timestamp_ns: eight & 0xffff_ffff_ffff }, rest))
    }
}

/// Declares a message once: its type byte and its fields in the order of the wire.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
            pub struct $name {
                /// Locate, tracking number, time.
                pub common: Common,
                $($(#[$field_doc])* pub $field: $type,)*
            }
            impl Message for $name {
                const KIND: u8 = $kind;
                const LENGTH: usize = 1 + Common::WIDTH $(+ <$type>::WIDTH)*;
                const FIELDS: &'static [(&'static str, usize, usize)] =
                    &offsets([$((stringify!($field), <$type>::WIDTH)),*]);
                fn encode(&self, out: &mut Vec<u8>) {
                    out.push($kind);
                    self.common.put(out);
                    $(self.$field.put(out);)*
                }
                #[inline]
                fn decode(message: &[u8]) -> Option<Self> {
                    // One check of the length; the compiler drops those behind it.
                    let [_, rest @ ..] = message.first_chunk::<{ Self::LENGTH }>()?;
                    let (common, _rest) = Common::take(rest)?;
                    $(let ($field, _rest) = <$type>::take(_rest)?;)*
                    Some(Self { common, $($field,)* })
                }
            }
        )*
        /// Type byte, length and fields of every message, for the tests.
        #[cfg(test)]
        const DECLARED: &[(u8, usize, &[(&str, usize, usize)])] =
            &[$(($name::KIND, $name::LENGTH, $name::FIELDS)),*];
    };
}

/// Where fields of these widths stand, behind the common ones.
const fn offsets<const N: usize>(widths: [(&'static str, usize); N]) -> [(&'static str, usize, usize); N] {
    let mut out = [("", 0, 0); N];
    let (mut at, mut offset) = (0, 1 + Common::WIDTH);
    while at < N {
        let (name, width) = widths[at];
        out[at] = (name, offset, width);
        offset += width;
        at += 1;
    }
    out
}

messages! {
    /// A system event.
    SystemEvent = b'S' {
        /// `O` start of messages, `S` start of system, `Q` start of market hours, `M` end of market hours, `E` end of system, `C` end of messages.
        event: u8,
    }
    /// A stock and its standing data.
    StockDirectory = b'R' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Listing market.
        market_category: u8,
        /// Financial status.
        financial_status: u8,
        /// Shares in a round lot.
        round_lot: u32,
        /// `Y` or `N`.
        round_lots_only: u8,
        /// Issue classification.
        classification: u8,
        /// Issue subtype.
        subtype: [u8; 2],
        /// `P` live, `T` test.
        authenticity: u8,
        /// `Y`, `N` or space.
        short_sale_threshold: u8,
        /// `Y`, `N` or space.
        ipo: u8,
        /// `1`, `2` or space.
        luld_tier: u8,
        /// `Y`, `N` or space.
        etp: u8,
        /// Leverage factor.
        etp_leverage: u32,
        /// `Y` or `N`.
        inverse: u8,
    }
    /// A change of trading state.
    TradingAction = b'H' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// `H` halted, `P` paused, `Q` quotation only, `T` trading.
        state: u8,
        /// Reserved.
        reserved: u8,
        /// Reason code.
        reason: [u8; 4],
    }
    /// A new order.
    AddOrder = b'A' {
        /// Order reference.
        order: u64,
        /// `B` or `S`.
        side: u8,
        /// Shares.
        shares: u32,
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Price in 1/10,000 dollar.
        price: u32,
    }
    /// A new order with its participant.
    AddOrderMpid = b'F' {
        /// Order reference.
        order: u64,
        /// `B` or `S`.
        side: u8,
        /// Shares.
        shares: u32,
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Price in 1/10,000 dollar.
        price: u32,
        /// Market participant.
        mpid: [u8; 4],
    }
    /// An order executed at its own price.
    OrderExecuted = b'E' {
        /// Order reference.
        order: u64,
        /// Shares executed.
        shares: u32,
        /// Match number.
        match_number: u64,
    }
    /// An order executed at another price.
    OrderExecutedPrice = b'C' {
        /// Order reference.
        order: u64,
        /// Shares executed.
        shares: u32,
        /// Match number.
        match_number: u64,
        /// `Y` or `N`.
        printable: u8,
        /// Price in 1/10,000 dollar.
        price: u32,
    }
    /// Part of an order cancelled.
    OrderCancel = b'X' {
        /// Order reference.
        order: u64,
        /// Shares cancelled.
        shares: u32,
    }
    /// An order deleted.
    OrderDelete = b'D' {
        /// Order reference.
        order: u64,
    }
    /// An order replaced by another.
    OrderReplace = b'U' {
        /// Order reference that is gone.
        old_order: u64,
        /// Order reference that takes its place.
        new_order: u64,
        /// Shares.
        shares: u32,
        /// Price in 1/10,000 dollar.
        price: u32,
    }
    /// A trade against a hidden order.
    Trade = b'P' {
        /// Order reference.
        order: u64,
        /// `B` or `S`.
        side: u8,
        /// Shares.
        shares: u32,
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Price in 1/10,000 dollar.
        price: u32,
        /// Match number.
        match_number: u64,
    }
    /// A cross.
    CrossTrade = b'Q' {
        /// Shares.
        shares: u64,
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Price in 1/10,000 dollar.
        price: u32,
        /// Match number.
        match_number: u64,
        /// `O` opening, `C` closing, `H` halted or IPO.
        cross: u8,
    }
    /// A broken trade.
    BrokenTrade = b'B' {
        /// Match number of the trade.
        match_number: u64,
    }
    /// Short-sale price test (Reg SHO, rule 201).
    RegSho = b'Y' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// `0` none, `1` in effect since today, `2` still in effect.
        action: u8,
    }
    /// A market participant's standing in a stock.
    ParticipantPosition = b'L' {
        /// Market participant.
        mpid: [u8; 4],
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// `Y` or `N`.
        primary: u8,
        /// `N` normal, `P` passive, `S` syndicate, `R` pre-syndicate, `L` penalty.
        mode: u8,
        /// `A` active, `E` excused, `W` withdrawn, `S` suspended, `D` deleted.
        state: u8,
    }
    /// Levels of the market-wide circuit breaker.
    MwcbLevels = b'V' {
        /// Level 1 in 1e-8 index points.
        level1: u64,
        /// Level 2.
        level2: u64,
        /// Level 3.
        level3: u64,
    }
    /// The market-wide circuit breaker was reached.
    MwcbStatus = b'W' {
        /// `1`, `2` or `3`.
        level: u8,
    }
    /// When quoting of an IPO begins.
    IpoQuoting = b'K' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Seconds since midnight.
        release_s: u32,
        /// `A` anticipated, `C` cancelled or postponed.
        qualifier: u8,
        /// Price in 1/10,000 dollar.
        price: u32,
    }
    /// Collars of an auction after a limit-up-limit-down pause.
    LuldCollar = b'J' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Reference price in 1/10,000 dollar.
        reference: u32,
        /// Upper collar.
        upper: u32,
        /// Lower collar.
        lower: u32,
        /// Number of extensions so far.
        extension: u32,
    }
    /// An operational halt on one market.
    OperationalHalt = b'h' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// `Q` Nasdaq, `B` BX, `X` PSX.
        market: u8,
        /// `H` halted, `T` trading again.
        action: u8,
    }
    /// Net order imbalance before an auction.
    Imbalance = b'I' {
        /// Shares that match at the reference price.
        paired: u64,
        /// Shares that do not.
        imbalance: u64,
        /// `B`, `S`, `N` none, `O` not enough orders to say, `P` paused.
        direction: u8,
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// Clearing price of the cross's orders alone, in 1/10,000 dollar.
        far: u32,
        /// Clearing price of the cross's and the continuous orders.
        near: u32,
        /// Price that the shares are counted at.
        reference: u32,
        /// `O` opening, `C` closing, `H` halted or IPO, `A` extended close.
        cross: u8,
        /// Deviation of the near price from the reference price, in steps.
        variation: u8,
    }
    /// Retail price improvement interest.
    RetailInterest = b'N' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// `B`, `S`, `A` both, `N` none.
        interest: u8,
    }
    /// Price discovery of a direct listing with a capital raise.
    PriceDiscovery = b'O' {
        /// Symbol, padded with spaces.
        stock: [u8; 8],
        /// `Y` or `N`: may it be released.
        eligible: u8,
        /// Lowest price at which it may open, in 1/10,000 dollar.
        minimum: u32,
        /// Highest price.
        maximum: u32,
        /// Near execution price.
        near: u32,
        /// When that was, ns since midnight.
        near_ns: u64,
        /// Lower collar.
        lower: u32,
        /// Upper collar.
        upper: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::itch50::{LAYOUT, fits_exactly};
    use proptest::prelude::*;

    #[test]
    fn every_type_is_declared_with_the_length_of_its_layout() {
        assert_eq!(DECLARED.len(), LAYOUT.len());
        for layout in &LAYOUT {
            let (_, length, _) = DECLARED.iter().find(|(kind, ..)| *kind == layout.kind).unwrap();
            assert_eq!(*length, usize::from(layout.length), "{}", layout.name);
        }
    }

    /// The offsets as the specification's tables have them, version 5.0: beginnings of the fields, and the end.
    #[test]
    fn fields_stand_where_the_specification_says() {
        let expected: [(u8, &[usize]); 23] = [
            (b'S', &[11, 12]),
            (b'R', &[11, 19, 20, 21, 25, 26, 27, 29, 30, 31, 32, 33, 34, 38, 39]),
            (b'H', &[11, 19, 20, 21, 25]),
            (b'Y', &[11, 19, 20]),
            (b'L', &[11, 15, 23, 24, 25, 26]),
            (b'V', &[11, 19, 27, 35]),
            (b'W', &[11, 12]),
            (b'K', &[11, 19, 23, 24, 28]),
            (b'J', &[11, 19, 23, 27, 31, 35]),
            (b'h', &[11, 19, 20, 21]),
            (b'A', &[11, 19, 20, 24, 32, 36]),
            (b'F', &[11, 19, 20, 24, 32, 36, 40]),
            (b'E', &[11, 19, 23, 31]),
            (b'C', &[11, 19, 23, 31, 32, 36]),
            (b'X', &[11, 19, 23]),
            (b'D', &[11, 19]),
            (b'U', &[11, 19, 27, 31, 35]),
            (b'P', &[11, 19, 20, 24, 32, 36, 44]),
            (b'Q', &[11, 19, 27, 31, 39, 40]),
            (b'B', &[11, 19]),
            (b'I', &[11, 19, 27, 28, 36, 40, 44, 48, 49, 50]),
            (b'N', &[11, 19, 20]),
            (b'O', &[11, 19, 20, 24, 28, 32, 40, 44, 48]),
        ];
        for (kind, edges) in expected {
            let (_, length, fields) = DECLARED.iter().find(|(other, ..)| *other == kind).unwrap();
            let begins = fields.iter().map(|(_, offset, _)| *offset).chain([*length]);
            assert_eq!(begins.collect::<Vec<_>>(), edges, "{}", char::from(kind));
            assert!(fields.iter().zip(&edges[1..]).all(|((_, at, width), end)| at + width == *end));
        }
    }

    #[test]
    fn the_fields_of_an_add_order_stand_where_the_specification_says() {
        let add = AddOrder {
            common: Common { locate: 0x0102, tracking: 0x0304, timestamp_ns: 0x0203_0405_0607 },
            order: 0x1112_1314_1516_1718,
            side: b'B',
            shares: 0x2122_2324,
            stock: *b"TAPE    ",
            price: 0x3132_3334,
        };
        let mut bytes = Vec::new();
        add.encode(&mut bytes);
        assert_eq!(bytes[..11], [b'A', 1, 2, 3, 4, 2, 3, 4, 5, 6, 7], "six low bytes of the time");
        assert_eq!(bytes[11..20], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, b'B']);
        assert_eq!(bytes[20..24], [0x21, 0x22, 0x23, 0x24]);
        assert_eq!(&bytes[24..32], b"TAPE    ");
        assert_eq!(bytes[32..], [0x31, 0x32, 0x33, 0x34]);
        assert_eq!(AddOrder::decode(&bytes), Some(add));
    }

    /// Reads random bytes of a type, writes what was read: the same bytes. And nothing shorter is read.
    fn round_trip<M: Message>(bytes: &[u8]) {
        let mut message = bytes[..M::LENGTH].to_vec();
        message[0] = M::KIND;
        let mut written = Vec::new();
        M::decode(&message).unwrap().encode(&mut written);
        assert_eq!(written, message);
        assert!(fits_exactly(&message));
        for length in 0..M::LENGTH {
            assert!(M::decode(&message[..length]).is_none());
        }
        assert!(M::decode(bytes).is_some(), "longer is growth");
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_byte_for_byte(bytes in proptest::collection::vec(any::<u8>(), 64)) {
            round_trip::<SystemEvent>(&bytes);
            round_trip::<StockDirectory>(&bytes);
            round_trip::<TradingAction>(&bytes);
            round_trip::<RegSho>(&bytes);
            round_trip::<ParticipantPosition>(&bytes);
            round_trip::<MwcbLevels>(&bytes);
            round_trip::<MwcbStatus>(&bytes);
            round_trip::<IpoQuoting>(&bytes);
            round_trip::<LuldCollar>(&bytes);
            round_trip::<OperationalHalt>(&bytes);
            round_trip::<AddOrder>(&bytes);
            round_trip::<AddOrderMpid>(&bytes);
            round_trip::<OrderExecuted>(&bytes);
            round_trip::<OrderExecutedPrice>(&bytes);
            round_trip::<OrderCancel>(&bytes);
            round_trip::<OrderDelete>(&bytes);
            round_trip::<OrderReplace>(&bytes);
            round_trip::<Trade>(&bytes);
            round_trip::<CrossTrade>(&bytes);
            round_trip::<BrokenTrade>(&bytes);
            round_trip::<Imbalance>(&bytes);
            round_trip::<RetailInterest>(&bytes);
            round_trip::<PriceDiscovery>(&bytes);
        }
    }
}
