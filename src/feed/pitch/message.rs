//! The messages' fields: read without copying, written back byte for byte.
//!
//! Offsets are those of the specifications that [`super::layout`] names; every field stands right behind the one before it. What
//! a dialect or a later version has behind the fields told here stands in `tail`, as it came: flags, a trade condition, a client.
//!
//! Times are ns behind the last whole second that a Time message of the unit told. Symbols are padded with spaces: 6 bytes in short and
//! long forms, 8 in expanded ones.

use super::MESSAGE_HEADER_LEN;
use super::layout;
use crate::packet::Verdict;

/// A price as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Price {
    /// 16 bits, two decimals.
    Short(u16),
    /// 64 bits, four decimals.
    Long(u64),
}

impl Price {
    /// The price in 1e-9; `None` if it does not fit. Prices of complex instruments and futures' spreads are `signed`.
    pub fn nanos(self, signed: bool) -> Option<i64> {
        match self {
            Self::Short(price) if signed => Some(i64::from(price.cast_signed()) * 10_000_000),
            Self::Short(price) => Some(i64::from(price) * 10_000_000),
            Self::Long(price) if signed => price.cast_signed().checked_mul(100_000),
            Self::Long(price) => i64::try_from(price).ok()?.checked_mul(100_000),
        }
    }
}

/// Add Order: 0x22 if its price is [`Price::Short`], 0x2f if its symbol has 8 bytes, else 0x21.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Add<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// The order's number, unique for a day.
    pub order: u64,
    /// `B` or `S`.
    pub side: u8,
    /// Shares or contracts; at most 65,535 in the short form.
    pub quantity: u32,
    /// Instrument.
    pub symbol: &'a [u8],
    /// Limit.
    pub price: Price,
    /// Flags; then participant and customer (expanded), client (options).
    pub tail: &'a [u8],
}

/// What Order Executed at Price/Size adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remaining {
    /// What is left of the order, whatever it was before; 0 = it is gone.
    pub quantity: u32,
    /// What was paid.
    pub price: Price,
}

/// Order Executed (0x23), or at Price/Size (0x24).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Executed<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// The order.
    pub order: u64,
    /// Shares or contracts executed.
    pub quantity: u32,
    /// The execution's number, unique for a day.
    pub execution: u64,
    /// At Price/Size.
    pub at: Option<Remaining>,
    /// Trade condition (not in equities).
    pub tail: &'a [u8],
}

/// Reduce Size long (0x25) or short (0x26).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reduce<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// The order.
    pub order: u64,
    /// Shares or contracts cancelled.
    pub quantity: u32,
    /// The short form: 16 bits of quantity.
    pub short: bool,
    /// Nothing yet.
    pub tail: &'a [u8],
}

/// Modify Order long (0x27) or short (0x28), as its price is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Modify<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// The order; it keeps its number.
    pub order: u64,
    /// Its quantity from now on.
    pub quantity: u32,
    /// Its price from now on.
    pub price: Price,
    /// Flags (not in futures): bit 1 = it keeps its priority.
    pub tail: &'a [u8],
}

/// Delete Order (0x29).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delete<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// The order.
    pub order: u64,
    /// Nothing yet.
    pub tail: &'a [u8],
}

/// Trade: 0x2b if its price is [`Price::Short`], 0x30 if its symbol has 8 bytes, else 0x2a. Off the book: no order of it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trade<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// An order's number that no Add Order told.
    pub order: u64,
    /// `B` or `S`: of the order that was not displayed.
    pub side: u8,
    /// Shares or contracts.
    pub quantity: u32,
    /// Instrument.
    pub symbol: &'a [u8],
    /// What was paid.
    pub price: Price,
    /// The execution's number.
    pub execution: u64,
    /// Trade condition (not in equities).
    pub tail: &'a [u8],
}

/// Trade Break (0x2c).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Break<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// The execution that does not count any more.
    pub execution: u64,
    /// Nothing yet.
    pub tail: &'a [u8],
}

/// Symbol Mapping (0x2e). It has no time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping<'a> {
    /// What the feed calls the series: 6 bytes.
    pub symbol: &'a [u8],
    /// Its OSI symbol: root (6), date yymmdd, `C` or `P`, strike (8 digits, three decimals): 21 bytes.
    pub osi: &'a [u8],
    /// `N` normal, `C` closing only.
    pub condition: u8,
    /// Underlying (8 bytes; not in old versions).
    pub tail: &'a [u8],
}

/// Trading Status (0x31).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// Instrument: 8 bytes, of which options and futures use 6.
    pub symbol: &'a [u8],
    /// `A` accepting orders for queueing, `H` halted, `L` curb trading, `Q` quote only (futures: queueing), `R` opening rotation, `S` suspended,
    /// `T` trading.
    pub status: u8,
    /// Equities: `0` no price test, `1` Reg SHO price test in effect.
    pub reg_sho: u8,
    /// Options: status of the global session, and a reserved byte; else reserved.
    pub tail: &'a [u8],
}

/// Futures Instrument Definition (0xbb).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FutureDefinition<'a> {
    /// Time, ns.
    pub offset_ns: u32,
    /// What the feed calls it: 6 bytes.
    pub symbol: &'a [u8],
    /// The second to which `offset_ns` belongs, s since the Unix epoch.
    pub unit_time_s: u32,
    /// The product: 6 bytes.
    pub report_symbol: &'a [u8],
    /// Bit 0: a variance future.
    pub flags: u8,
    /// Expiration, as a number: yyyymmdd.
    pub expiration: u32,
    /// Contract size; 0: less than 1.
    pub contract_size: u16,
    /// `A` active, `I` inactive, `T` test.
    pub listing_state: u8,
    /// Smallest price step.
    pub price_increment: Price,
    /// Legs; more than 0: a spread, whose prices are signed.
    pub legs: u8,
    /// Where the legs begin in the message, bytes.
    pub leg_offset: u8,
    /// A reserved byte; then contract date and legs (ratio i32, symbol 6).
    pub tail: &'a [u8],
}

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// Time (0x20): the second to which the times that follow in the unit belong.
    Time {
        /// Seconds since the exchange's midnight, by the clock on its wall.
        seconds: u32,
        /// Futures: 4 bytes, seconds since the Unix epoch.
        tail: &'a [u8],
    },
    /// Time Reference (0xb1): at the start, and at midnight.
    TimeReference {
        /// The exchange's midnight, s since the Unix epoch.
        midnight_s: u32,
        /// Seconds since that midnight.
        seconds: u32,
        /// Time, ns.
        offset_ns: u32,
        /// The trading day, as a number: yyyymmdd.
        trade_date: u32,
        /// Nothing yet.
        tail: &'a [u8],
    },
    /// Unit Clear (0x97): no order of the unit is live any more.
    UnitClear {
        /// Time, ns.
        offset_ns: u32,
        /// Nothing yet.
        tail: &'a [u8],
    },
    /// End of Session (0x2d): nothing sequenced follows in the unit.
    EndOfSession {
        /// Time, ns.
        offset_ns: u32,
        /// Nothing yet.
        tail: &'a [u8],
    },
    /// Complex Instrument Definition Expanded (0x9a).
    ComplexDefinition {
        /// Time, ns.
        offset_ns: u32,
        /// What the feed calls it: 6 bytes.
        symbol: &'a [u8],
        /// Underlying: 8 bytes.
        underlying: &'a [u8],
        /// Type (4), number of legs (1), legs (symbol 8, ratio i32, `O` option or `E` equity).
        tail: &'a [u8],
    },
    /// Add Order.
    Add(Add<'a>),
    /// Order Executed.
    Executed(Executed<'a>),
    /// Reduce Size.
    Reduce(Reduce<'a>),
    /// Modify Order.
    Modify(Modify<'a>),
    /// Delete Order.
    Delete(Delete<'a>),
    /// Trade.
    Trade(Trade<'a>),
    /// Trade Break.
    Break(Break<'a>),
    /// Symbol Mapping.
    Mapping(Mapping<'a>),
    /// Trading Status.
    Status(Status<'a>),
    /// Futures Instrument Definition.
    FutureDefinition(FutureDefinition<'a>),
    /// Any other, known or not.
    Other {
        /// Type byte.
        kind: u8,
        /// What is behind it.
        body: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads a message, from its length byte on.
    ///
    /// # Errors
    /// `PITCH_SHORT`.
    #[inline]
    pub fn parse(message: &'a [u8]) -> Result<Self, Verdict> {
        layout::check(message)?;
        let (&[_, kind], body) =
            message.split_first_chunk::<MESSAGE_HEADER_LEN>().ok_or(Verdict::PITCH_SHORT)?;
        Self::fields(kind, &mut Fields(body)).ok_or(Verdict::PITCH_SHORT)
    }

    fn fields(kind: u8, f: &mut Fields<'a>) -> Option<Self> {
        Some(match kind {
            0x20 => Self::Time { seconds: f.u32()?, tail: f.rest() },
            0x21 => Self::Add(add(f, 6, false)?),
            0x22 => Self::Add(add(f, 6, true)?),
            0x2f => Self::Add(add(f, 8, false)?),
            0x23 => Self::Executed(executed(f, false)?),
            0x24 => Self::Executed(executed(f, true)?),
            0x25 => Self::Reduce(reduce(f, false)?),
            0x26 => Self::Reduce(reduce(f, true)?),
            0x27 => Self::Modify(modify(f, false)?),
            0x28 => Self::Modify(modify(f, true)?),
            0x29 => Self::Delete(Delete { offset_ns: f.u32()?, order: f.u64()?, tail: f.rest() }),
            0x2a => Self::Trade(trade(f, 6, false)?),
            0x2b => Self::Trade(trade(f, 6, true)?),
            0x30 => Self::Trade(trade(f, 8, false)?),
            0x2c => Self::Break(Break { offset_ns: f.u32()?, execution: f.u64()?, tail: f.rest() }),
            0x2d => Self::EndOfSession { offset_ns: f.u32()?, tail: f.rest() },
            0x2e => Self::Mapping(Mapping {
                symbol: f.bytes(6)?,
                osi: f.bytes(21)?,
                condition: f.u8()?,
                tail: f.rest(),
            }),
            0x31 => Self::Status(Status {
                offset_ns: f.u32()?,
                symbol: f.bytes(8)?,
                status: f.u8()?,
                reg_sho: f.u8()?,
                tail: f.rest(),
            }),
            0x97 => Self::UnitClear { offset_ns: f.u32()?, tail: f.rest() },
            0x9a => Self::ComplexDefinition {
                offset_ns: f.u32()?,
                symbol: f.bytes(6)?,
                underlying: f.bytes(8)?,
                tail: f.rest(),
            },
            0xb1 => Self::TimeReference {
                midnight_s: f.u32()?,
                seconds: f.u32()?,
                offset_ns: f.u32()?,
                trade_date: f.u32()?,
                tail: f.rest(),
            },
            0xbb => Self::FutureDefinition(future_definition(f)?),
            _ => Self::Other { kind, body: f.rest() },
        })
    }

    /// Its type byte.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Time { .. } => 0x20,
            Self::Add(Add { price: Price::Short(_), .. }) => 0x22,
            Self::Add(add) if add.symbol.len() == 8 => 0x2f,
            Self::Add(_) => 0x21,
            Self::Executed(Executed { at: None, .. }) => 0x23,
            Self::Executed(_) => 0x24,
            Self::Reduce(Reduce { short: true, .. }) => 0x26,
            Self::Reduce(_) => 0x25,
            Self::Modify(Modify { price: Price::Short(_), .. }) => 0x28,
            Self::Modify(_) => 0x27,
            Self::Delete(_) => 0x29,
            Self::Trade(Trade { price: Price::Short(_), .. }) => 0x2b,
            Self::Trade(trade) if trade.symbol.len() == 8 => 0x30,
            Self::Trade(_) => 0x2a,
            Self::Break(_) => 0x2c,
            Self::EndOfSession { .. } => 0x2d,
            Self::Mapping(_) => 0x2e,
            Self::Status(_) => 0x31,
            Self::UnitClear { .. } => 0x97,
            Self::ComplexDefinition { .. } => 0x9a,
            Self::TimeReference { .. } => 0xb1,
            Self::FutureDefinition(_) => 0xbb,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// Its time, ns behind the unit's second; `None` for those that have none.
    pub fn offset_ns(&self) -> Option<u32> {
        match *self {
            // Of the types whose fields are not told here, two have none, or not in every version.
            Self::Time { .. } | Self::Mapping(_) | Self::Other { kind: 0x95 | 0x9e, .. } => None,
            Self::Add(Add { offset_ns, .. })
            | Self::Executed(Executed { offset_ns, .. })
            | Self::Reduce(Reduce { offset_ns, .. })
            | Self::Modify(Modify { offset_ns, .. })
            | Self::Delete(Delete { offset_ns, .. })
            | Self::Trade(Trade { offset_ns, .. })
            | Self::Break(Break { offset_ns, .. })
            | Self::Status(Status { offset_ns, .. })
            | Self::FutureDefinition(FutureDefinition { offset_ns, .. })
            | Self::EndOfSession { offset_ns, .. }
            | Self::UnitClear { offset_ns, .. }
            | Self::ComplexDefinition { offset_ns, .. }
            | Self::TimeReference { offset_ns, .. } => Some(offset_ns),
            Self::Other { kind, body } => {
                layout::lookup(kind)?;
                Fields(body).u32()
            }
        }
    }
}

fn add<'a>(f: &mut Fields<'a>, symbol: usize, short: bool) -> Option<Add<'a>> {
    Some(Add {
        offset_ns: f.u32()?,
        order: f.u64()?,
        side: f.u8()?,
        quantity: f.quantity(short)?,
        symbol: f.bytes(symbol)?,
        price: f.price(short)?,
        tail: f.rest(),
    })
}

fn executed<'a>(f: &mut Fields<'a>, at_price: bool) -> Option<Executed<'a>> {
    let (offset_ns, order, quantity) = (f.u32()?, f.u64()?, f.u32()?);
    let remaining = if at_price { Some(f.u32()?) } else { None };
    let execution = f.u64()?;
    let at = match remaining {
        Some(quantity) => Some(Remaining { quantity, price: f.price(false)? }),
        None => None,
    };
    Some(Executed { offset_ns, order, quantity, execution, at, tail: f.rest() })
}

fn reduce<'a>(f: &mut Fields<'a>, short: bool) -> Option<Reduce<'a>> {
    let (offset_ns, order, quantity) = (f.u32()?, f.u64()?, f.quantity(short)?);
    Some(Reduce { offset_ns, order, quantity, short, tail: f.rest() })
}

fn modify<'a>(f: &mut Fields<'a>, short: bool) -> Option<Modify<'a>> {
    let (offset_ns, order) = (f.u32()?, f.u64()?);
    let (quantity, price) = (f.quantity(short)?, f.price(short)?);
    Some(Modify { offset_ns, order, quantity, price, tail: f.rest() })
}

fn trade<'a>(f: &mut Fields<'a>, symbol: usize, short: bool) -> Option<Trade<'a>> {
    Some(Trade {
        offset_ns: f.u32()?,
        order: f.u64()?,
        side: f.u8()?,
        quantity: f.quantity(short)?,
        symbol: f.bytes(symbol)?,
        price: f.price(short)?,
        execution: f.u64()?,
        tail: f.rest(),
    })
}

fn future_definition<'a>(f: &mut Fields<'a>) -> Option<FutureDefinition<'a>> {
    Some(FutureDefinition {
        offset_ns: f.u32()?,
        symbol: f.bytes(6)?,
        unit_time_s: f.u32()?,
        report_symbol: f.bytes(6)?,
        flags: f.u8()?,
        expiration: f.u32()?,
        contract_size: f.u16()?,
        listing_state: f.u8()?,
        price_increment: f.price(false)?,
        legs: f.u8()?,
        leg_offset: f.u8()?,
        tail: f.rest(),
    })
}

/// Takes fields off the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(field)
    }
    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn quantity(&mut self, short: bool) -> Option<u32> {
        if short { self.u16().map(u32::from) } else { self.u32() }
    }
    fn price(&mut self, short: bool) -> Option<Price> {
        if short { self.u16().map(Price::Short) } else { self.u64().map(Price::Long) }
    }
    const fn rest(&self) -> &'a [u8] {
        self.0
    }
}
