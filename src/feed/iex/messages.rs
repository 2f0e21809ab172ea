//! Every message type: its place of each field, and which values an enumerated field may have.

use super::field::{Field, Price4};
use super::{Layout, lookup};
use crate::packet::Verdict;

/// Declares each message once: type byte(s), length, name; fields with their offset, and the values (`in`) or
/// bits (`bits`) that the specification lists for them.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident = $($kind:literal)|+, $length:literal, $called:literal {
            $(
                $(#[$field_doc:meta])*
                $field:ident: $type:ty = $at:literal $(in $listed:literal)? $(bits $bits:literal)?,
            )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub struct $name<'a>(&'a [u8; $length]);

            impl $name<'_> {
                const FIELDS: &'static [(&'static str, usize, usize)] =
                    &[$((stringify!($field), $at, <$type as Field>::WIDTH)),*];

                $(
                    $(#[$field_doc])*
                    #[inline]
                    pub fn $field(&self) -> $type {
                        <$type as Field>::read::<$at, $length>(self.0)
                    }
                )*

                /// The first enumerated or flag field with a value that the specification does not list.
                pub fn unlisted(&self) -> Option<(&'static str, u8)> {
                    $(
                        $(if !$listed.contains(&self.$field()) {
                            return Some((stringify!($field), self.$field()));
                        })?
                        $(if self.$field() & !$bits != 0 {
                            return Some((stringify!($field), self.$field()));
                        })?
                    )*
                    None
                }

                fn describe(&self, out: &mut String) {
                    $(
                        if !matches!(stringify!($field), "timestamp_ns" | "symbol") {
                            if !out.is_empty() {
                                out.push(' ');
                            }
                            out.push_str(concat!(stringify!($field), "="));
                            self.$field().describe(out);
                        }
                    )*
                }
            }
        )*

        /// Every message type.
        pub const LAYOUT: &[Layout] = &[$($(
            Layout {
                kind: $kind,
                length: $length,
                name: $called,
                fields: $name::FIELDS,
            },
        )+)*];

        /// A message of a known type, long enough for it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Message<'a> {
            $($(#[$doc])* $name($name<'a>),)*
        }

        impl<'a> Message<'a> {
            /// Looks at type and length; `None` is a type that is not in the table.
            ///
            /// # Errors
            /// `IEX_EMPTY` for no bytes at all, `IEX_SHORT` below the layout's length.
            #[inline]
            pub fn parse(message: &'a [u8]) -> Result<Option<Self>, Verdict> {
                Ok(Some(match message.first().ok_or(Verdict::IEX_EMPTY)? {
                    $($($kind)|+ => Self::$name($name(message.first_chunk().ok_or(Verdict::IEX_SHORT)?)),)*
                    _ => return Ok(None),
                }))
            }

            /// As far as its layout goes, without what has grown at its end.
            pub fn bytes(&self) -> &'a [u8] {
                match self { $(Self::$name(view) => view.0,)* }
            }

            /// When it happened, ns since the Unix epoch by the exchange's clock.
            #[inline]
            pub fn timestamp_ns(&self) -> i64 {
                match self { $(Self::$name(view) => view.timestamp_ns(),)* }
            }

            /// The first enumerated or flag field with a value that the specification does not list.
            pub fn unlisted(&self) -> Option<(&'static str, u8)> {
                match self { $(Self::$name(view) => view.unlisted(),)* }
            }

            /// Appends its fields, but for time and symbol: `name=value` separated by spaces, prices in 1e-9 dollar.
            pub fn describe(&self, out: &mut String) {
                match self { $(Self::$name(view) => view.describe(out),)* }
            }
        }
    };
}

impl<'a> Message<'a> {
    /// Its symbol, padded with spaces; `None` for a system event.
    #[inline]
    pub fn symbol(&self) -> Option<&'a [u8; 8]> {
        match self {
            Self::SystemEvent(_) => None,
            _ => self.bytes().get(10..)?.first_chunk(),
        }
    }

    /// What the specification calls it.
    pub fn name(&self) -> &'static str {
        self.bytes().first().and_then(|kind| lookup(*kind)).map_or("", |layout| layout.name)
    }
}

impl PriceLevel<'_> {
    /// True for a level of buyers (type `8`), false for one of sellers (`5`).
    pub fn is_buy(&self) -> bool {
        self.0[0] == b'8'
    }

    /// True if this is the last update of its event: the book is whole again.
    pub fn completes_event(&self) -> bool {
        self.flags() & 1 != 0
    }
}

messages! {
    /// System event: market and feed as a whole. On every feed.
    SystemEvent = b'S', 10, "system event" {
        /// `O` start of messages, `S` start of system hours, `R` start of regular hours, `M` end of regular hours, `E` end of system hours, `C` end of messages.
        event: u8 = 1 in b"OSRMEC",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
    }
    /// Security directory: standing data of a security that is listed on IEX. On every feed.
    SecurityDirectory = b'D', 31, "security directory" {
        /// 0x80 test security, 0x40 when issued, 0x20 exchange-traded product.
        flags: u8 = 1 bits 0xe0,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Shares in a round lot.
        round_lot: u32 = 18,
        /// Previous official closing price, adjusted for corporate actions.
        adjusted_close: Price4 = 22,
        /// 0 not applicable, 1 tier 1, 2 tier 2 of the limit up, limit down plan.
        luld_tier: u8 = 30 in b"\x00\x01\x02",
    }
    /// Trading status. On every feed.
    TradingStatus = b'H', 22, "trading status" {
        /// `H` halted everywhere, `O` order acceptance period, `P` paused with order acceptance, `T` trading.
        status: u8 = 1 in b"HOPT",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Reason, padded with spaces: `T1`, `IPO1`, `IPOD`, `MCB3`, `NA`; `T2`, `IPO2`, `IPO3`, `MCB1`, `MCB2`; blank.
        reason: [u8; 4] = 18,
    }
    /// Retail liquidity indicator. On every feed.
    RetailLiquidity = b'I', 18, "retail liquidity indicator" {
        /// Space: none, `A` buy interest, `B` sell interest, `C` both.
        indicator: u8 = 1 in b" ABC",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
    }
    /// Operational halt status: IEX's own halts. On every feed.
    OperationalHalt = b'O', 18, "operational halt status" {
        /// `O` halted on IEX, `N` not halted on IEX.
        status: u8 = 1 in b"ON",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
    }
    /// Short sale price test status (Regulation SHO, rule 201). On every feed.
    ShortSale = b'P', 19, "short sale price test status" {
        /// 0 not in effect, 1 in effect.
        status: u8 = 1 in b"\x00\x01",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Space: no test, `A` activated, `C` continued, `D` deactivated, `N` not available.
        detail: u8 = 18 in b" ACDN",
    }
    /// Security event. On DEEP and DEEP+.
    SecurityEvent = b'E', 18, "security event" {
        /// `O` opening process complete, `C` closing process complete.
        event: u8 = 1 in b"OC",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
    }
    /// Quote update: the whole top of book. On TOPS. (Bid size and price, then ask price and size.)
    QuoteUpdate = b'Q', 42, "quote update" {
        /// 0x80 the symbol is halted, paused or otherwise not available, 0x40 outside regular hours.
        flags: u8 = 1 bits 0xc0,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Shares at the best bid; 0: there is none.
        bid_size: u32 = 18,
        /// Best bid; 0: there is none.
        bid_price: Price4 = 22,
        /// Best ask; 0: there is none.
        ask_price: Price4 = 30,
        /// Shares at the best ask; 0: there is none.
        ask_size: u32 = 38,
    }
    /// Price level update: what stands at one price now. Type `8` is buy, `5` is sell. On DEEP.
    PriceLevel = b'8' | b'5', 30, "price level update" {
        /// 0x01: the event is complete.
        flags: u8 = 1 bits 0x01,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Shares at the price; 0: the level is gone.
        size: u32 = 18,
        /// The level.
        price: Price4 = 22,
    }
    /// Trade report (on DEEP+: a trade between orders that are not displayed). On every feed.
    TradeReport = b'T', 38, "trade report" {
        /// 0x80 intermarket sweep, 0x40 extended hours, 0x20 odd lot, 0x10 exempt from the trade-through rule, 0x08 single-price cross.
        sale_condition: u8 = 1 bits 0xf8,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Shares.
        size: u32 = 18,
        /// Price.
        price: Price4 = 22,
        /// IEX's number of the trade, unique in a day.
        trade_id: i64 = 30,
    }
    /// Trade break: a trade of the same day is void. On every feed.
    TradeBreak = b'B', 38, "trade break" {
        /// As in [`TradeReport`].
        sale_condition: u8 = 1 bits 0xf8,
        /// Time of the break, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Shares.
        size: u32 = 18,
        /// Price.
        price: Price4 = 22,
        /// The number of the trade that is broken.
        trade_id: i64 = 30,
    }
    /// Official price of a security that is listed on IEX. On TOPS and DEEP.
    OfficialPrice = b'X', 26, "official price" {
        /// `Q` opening, `M` closing.
        price_type: u8 = 1 in b"QM",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Price.
        price: Price4 = 18,
    }
    /// Auction information, of securities listed on IEX. On TOPS and DEEP.
    AuctionInformation = b'A', 80, "auction information" {
        /// `O` opening, `C` closing, `I` IPO, `H` halt, `V` volatility.
        auction_type: u8 = 1 in b"OCIHV",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// Shares paired at the reference price.
        paired: u32 = 18,
        /// Reference price.
        reference_price: Price4 = 22,
        /// Clearing price with the orders of the continuous book.
        indicative_price: Price4 = 30,
        /// Shares not paired at the reference price.
        imbalance: u32 = 38,
        /// `B` buy, `S` sell, `N` none.
        imbalance_side: u8 = 42 in b"BSN",
        /// How often the auction was extended.
        extensions: u8 = 43,
        /// When the auction is to be, seconds since the Unix epoch.
        scheduled_s: u32 = 44,
        /// Clearing price with the orders of the auction book alone.
        auction_book_price: Price4 = 48,
        /// Reference price of the collar.
        collar_reference: Price4 = 56,
        /// Lower end of the collar.
        lower_collar: Price4 = 64,
        /// Upper end of the collar.
        upper_collar: Price4 = 72,
    }
    /// Add order. On DEEP+.
    AddOrder = b'a', 38, "add order" {
        /// `8` buy, `5` sell.
        side: u8 = 1 in b"85",
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// The order's number.
        order: i64 = 18,
        /// Shares displayed.
        size: u32 = 26,
        /// Price.
        price: Price4 = 30,
    }
    /// Order modify. On DEEP+.
    OrderModify = b'M', 38, "order modify" {
        /// 0x01: the order keeps its priority.
        flags: u8 = 1 bits 0x01,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// The order's number.
        order: i64 = 18,
        /// Shares displayed from now on.
        size: u32 = 26,
        /// Price from now on.
        price: Price4 = 30,
    }
    /// Order delete. On DEEP+.
    OrderDelete = b'R', 26, "order delete" {
        /// Reserved, 0.
        reserved: u8 = 1 bits 0x00,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// The order's number.
        order: i64 = 18,
    }
    /// Order executed. On DEEP+.
    OrderExecuted = b'L', 46, "order executed" {
        /// As in [`TradeReport`].
        sale_condition: u8 = 1 bits 0xf8,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
        /// The number of the order that rested.
        order: i64 = 18,
        /// Shares.
        size: u32 = 26,
        /// Price of the trade, which need not be the order's.
        price: Price4 = 30,
        /// IEX's number of the trade.
        trade_id: i64 = 38,
    }
    /// Clear book: all orders of a symbol are gone. On DEEP+.
    ClearBook = b'C', 18, "clear book" {
        /// Reserved, 0.
        reserved: u8 = 1 bits 0x00,
        /// Time, ns since the Unix epoch.
        timestamp_ns: i64 = 2,
        /// Symbol, padded with spaces.
        symbol: [u8; 8] = 10,
    }
}
