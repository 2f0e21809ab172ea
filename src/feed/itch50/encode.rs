//! Encoders for the message types that a generator needs. Each struct lists its fields in the
//! order of the wire and appends itself to the caller's buffer; integers are big-endian.

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
    fn put(&self, out: &mut Vec<u8>) {
        self.locate.put(out);
        self.tracking.put(out);
        let [_, _, timestamp @ ..] = self.timestamp_ns.to_be_bytes();
        out.extend_from_slice(&timestamp);
    }
}

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
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}
put_integers!(u8 u16 u32 u64);

/// Declares a message once: its type byte and its fields in the order of the wire.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct $name {
            /// Locate, tracking number, time.
            pub common: Common,
            $($(#[$field_doc])* pub $field: $type,)*
        }
        impl Message for $name {
            const KIND: u8 = $kind;
            fn encode(&self, out: &mut Vec<u8>) {
                out.push($kind);
                self.common.put(out);
                $(self.$field.put(out);)*
            }
        }
    )*};
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::itch50::fits_exactly;

    fn encoded<M: Message>(message: &M) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(out[0], M::KIND);
        out
    }

    #[test]
    fn every_encoder_writes_exactly_its_layout() {
        for message in [
            encoded(&SystemEvent::default()),
            encoded(&StockDirectory::default()),
            encoded(&TradingAction::default()),
            encoded(&AddOrder::default()),
            encoded(&AddOrderMpid::default()),
            encoded(&OrderExecuted::default()),
            encoded(&OrderExecutedPrice::default()),
            encoded(&OrderCancel::default()),
            encoded(&OrderDelete::default()),
            encoded(&OrderReplace::default()),
            encoded(&Trade::default()),
            encoded(&CrossTrade::default()),
        ] {
            assert!(fits_exactly(&message), "{} is {} long", char::from(message[0]), message.len());
        }
    }

    #[test]
    fn the_fields_of_an_add_order_stand_where_the_specification_says() {
        let add = AddOrder {
            common: Common { locate: 0x0102, tracking: 0x0304, timestamp_ns: 0x0001_0203_0405_0607 },
            order: 0x1112_1314_1516_1718,
            side: b'B',
            shares: 0x2122_2324,
            stock: *b"TAPE    ",
            price: 0x3132_3334,
        };
        let bytes = encoded(&add);
        assert_eq!(bytes[..11], [b'A', 1, 2, 3, 4, 2, 3, 4, 5, 6, 7], "six low bytes of the time");
        assert_eq!(bytes[11..20], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, b'B']);
        assert_eq!(bytes[20..24], [0x21, 0x22, 0x23, 0x24]);
        assert_eq!(&bytes[24..32], b"TAPE    ");
        assert_eq!(bytes[32..], [0x31, 0x32, 0x33, 0x34]);
    }
}
