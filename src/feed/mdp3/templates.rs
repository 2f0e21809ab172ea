//! Every message template of the CME MDP 3.0 market-data schema (SBE, package `mktdata`, schema id 1), versions 5 to 13, as data.
//! Another template or version is another entry here.
//!
//! | version | what the facts were taken from |
//! |---|---|
//! | 5, 6, 8 | field lists published for these versions |
//! | 7 | no file of its own: the `sinceVersion` marks in that of version 9 |
//! | 9 | the exchange's `templates_FixBinary.xml` of 2018-03-08 |
//! | 10, 11, 12 | field lists published for these versions |
//! | 13 | the exchange's `templates_FixBinary.xml` of 2023-04-11 for templates 4, 12, 30, 37, 46, 48 to 52 and 54; for the others the published field list |
//!
//! The files of versions 9 and 13 state offsets, nulls and exponents. Elsewhere offsets follow from the order of the fields, and each
//! block's length was compared with the one published. Names of the groups `NoUnderlyingSecurityAltID`, `NoTradingSessions` and
//! `NoBrokenDates` are ours: the field lists do not state them. A version above 13 is read as 13: the schema only grows at the ends of blocks.

use super::layout::{About, Block, Dimension, Group, Instrument, Kind, Template, Type, laid};

/// The schema's id.
pub const SCHEMA_ID: u16 = 1;
/// The oldest version that is described.
pub const OLDEST: u16 = 5;
/// The newest version that is described.
pub const NEWEST: u16 = 13;

const fn number(kind: Kind, bytes: u8, exponent: i8, null: Option<u64>) -> Type {
    Type { kind, bytes, exponent, null }
}
const fn text(bytes: u8) -> Type {
    Type { kind: Kind::Text, bytes, exponent: 0, null: None }
}
const U8: Type = number(Kind::Unsigned, 1, 0, None);
const U8N: Type = number(Kind::Unsigned, 1, 0, Some(0xff));
const U16: Type = number(Kind::Unsigned, 2, 0, None);
/// `uInt16NULL`; also `LocalMktDate`, days since 1970-01-01.
const U16N: Type = number(Kind::Unsigned, 2, 0, Some(0xffff));
const U32: Type = number(Kind::Unsigned, 4, 0, None);
const U32N: Type = number(Kind::Unsigned, 4, 0, Some(0xffff_ffff));
const U64: Type = number(Kind::Unsigned, 8, 0, None);
const U64N: Type = number(Kind::Unsigned, 8, 0, Some(u64::MAX));
const I8: Type = number(Kind::Signed, 1, 0, None);
const I8N: Type = number(Kind::Signed, 1, 0, Some(0x7f));
const I16: Type = number(Kind::Signed, 2, 0, None);
const I32: Type = number(Kind::Signed, 4, 0, None);
const I32N: Type = number(Kind::Signed, 4, 0, Some(0x7fff_ffff));
/// `DecimalQty`.
const QTY: Type = number(Kind::Signed, 4, -4, Some(0x7fff_ffff));
/// `PRICE`, `FLOAT`.
const PX7: Type = number(Kind::Signed, 8, -7, None);
/// `PRICENULL`.
const PX7N: Type = number(Kind::Signed, 8, -7, Some(i64::MAX.cast_unsigned()));
/// `PRICE9`, `Decimal9`.
const PX9: Type = number(Kind::Signed, 8, -9, None);
/// `PRICENULL9`, `Decimal9NULL`.
const PX9N: Type = number(Kind::Signed, 8, -9, Some(i64::MAX.cast_unsigned()));
const CHAR: Type = text(1);
const T2: Type = text(2);
const T3: Type = text(3);
const T4: Type = text(4);
const T5: Type = text(5);
const T6: Type = text(6);
const T7: Type = text(7);
const T8: Type = text(8);
const T12: Type = text(12);
const T20: Type = text(20);
const T23: Type = text(23);
const T25: Type = text(25);
const T30: Type = text(30);
const T35: Type = text(35);
const T180: Type = text(180);

/// A block: the length that it is padded to (0: none), then name, type and, for what came later, first version of each field.
macro_rules! block {
    ($padded:literal: $($name:literal $ty:ident $($since:literal)?),* $(,)?) => {
        Block { fields: &const { laid([$(($name, $ty, 0 $(+ $since)?)),*]) }, padded: $padded }
    };
}

const fn group(name: &'static str, entry: Block) -> Group {
    Group { name, since: 0, dimension: Dimension::Bytes3, entry }
}
const fn orders(since: u16, entry: Block) -> Group {
    Group { name: "NoOrderIDEntries", since, dimension: Dimension::Bytes8, entry }
}
const fn entries(entry: Block) -> Group {
    group("NoMDEntries", entry)
}
const fn since(since: u16, group: Group) -> Group {
    Group { since, ..group }
}

const fn template(
    id: u16,
    name: &'static str,
    (since, until): (u16, u16),
    about: About,
    root: Block,
    groups: &'static [Group],
) -> Template {
    Template { id, name, since, until, about, root, groups }
}
const ALL: (u16, u16) = (OLDEST, u16::MAX);
const TO_9: (u16, u16) = (OLDEST, 9);
const FROM_9: (u16, u16) = (9, u16::MAX);
const FROM_10: (u16, u16) = (10, u16::MAX);
const FROM_12: (u16, u16) = (12, u16::MAX);

/// The root of nearly every incremental message.
const TIMED: Block = block!(11: "TransactTime" U64, "MatchEventIndicator" U8);

const ORDERS_OF_LEVEL: Block = block!(24: "OrderID" U64, "MDOrderPriority" U64N, "MDDisplayQty" I32N, "ReferenceID" U8N,
    "OrderUpdateAction" U8);
const ORDERS_OF_TRADE: Block = block!(16: "OrderID" U64, "LastQty" I32);

const EVENTS: Group = group("NoEvents", block!(9: "EventType" U8, "EventTime" U64));
const FEED_TYPES: Group = group("NoMDFeedTypes", block!(4: "MDFeedType" T3, "MarketDepth" I8));
const ATTRIBUTES: Group = group("NoInstAttrib", block!(4: "InstAttribValue" U32));
const LOT_TYPES: Group = group("NoLotTypeRules", block!(5: "LotType" I8, "MinLotSize" QTY));
const UNDERLYINGS: Group =
    group("NoUnderlyings", block!(24: "UnderlyingSecurityID" I32, "UnderlyingSymbol" T20));
const RELATED: Group =
    group("NoRelatedInstruments", block!(24: "RelatedSecurityID" I32, "RelatedSymbol" T20));

/// Every template, by id.
#[rustfmt::skip]
pub const TEMPLATES: [Template; 43] = [
    template(4, "ChannelReset", ALL, About::ChannelReset,
        block!(9: "TransactTime" U64, "MatchEventIndicator" U8),
        &[entries(block!(2: "ApplID" I16))]),
    template(12, "AdminHeartbeat", ALL, About::Heartbeat, block!(0:), &[]),
    template(15, "AdminLogin", ALL, About::Admin, block!(1: "HeartBtInt" I8), &[]),
    template(16, "AdminLogout", ALL, About::Admin, block!(180: "Text" T180), &[]),
    template(27, "MDInstrumentDefinitionFuture", TO_9, About::Definition(Instrument::Future),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6,
            "MaturityMonthYear.year" U16N, "MaturityMonthYear.month" U8N, "MaturityMonthYear.day" U8N, "MaturityMonthYear.week" U8N,
            "Currency" T3, "SettlCurrency" T3, "MatchAlgorithm" CHAR, "MinTradeVol" U32, "MaxTradeVol" U32,
            "MinPriceIncrement" PX7, "DisplayFactor" PX7, "MainFraction" U8N, "SubFraction" U8N, "PriceDisplayFormat" U8N,
            "UnitOfMeasure" T30, "UnitOfMeasureQty" PX7N, "TradingReferencePrice" PX7N, "SettlPriceType" U8,
            "OpenInterestQty" I32N, "ClearedVolume" I32N, "HighLimitPrice" PX7N, "LowLimitPrice" PX7N, "MaxPriceVariation" PX7N,
            "DecayQuantity" I32N, "DecayStartDate" U16N, "OriginalContractSize" I32N, "ContractMultiplier" I32N,
            "ContractMultiplierUnit" I8N, "FlowScheduleType" I8N, "MinPriceIncrementAmount" PX7N, "UserDefinedInstrument" CHAR,
            "TradingReferenceDate" U16N 6),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES]),
    template(29, "MDInstrumentDefinitionSpread", TO_9, About::Definition(Instrument::Spread),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8N, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6,
            "MaturityMonthYear.year" U16N, "MaturityMonthYear.month" U8N, "MaturityMonthYear.day" U8N, "MaturityMonthYear.week" U8N,
            "Currency" T3, "SecuritySubType" T5, "UserDefinedInstrument" CHAR, "MatchAlgorithm" CHAR,
            "MinTradeVol" U32, "MaxTradeVol" U32, "MinPriceIncrement" PX7, "DisplayFactor" PX7, "PriceDisplayFormat" U8N,
            "PriceRatio" PX7N, "TickRule" I8N, "UnitOfMeasure" T30, "TradingReferencePrice" PX7N, "SettlPriceType" U8,
            "OpenInterestQty" I32N, "ClearedVolume" I32N, "HighLimitPrice" PX7N, "LowLimitPrice" PX7N, "MaxPriceVariation" PX7N,
            "MainFraction" U8N, "SubFraction" U8N, "TradingReferenceDate" U16N 6),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES,
            group("NoLegs", block!(18: "LegSecurityID" I32, "LegSide" U8, "LegRatioQty" I8, "LegPrice" PX7N, "LegOptionDelta" QTY))]),
    template(30, "SecurityStatus", ALL, About::Status,
        block!(30: "TransactTime" U64, "SecurityGroup" T6, "Asset" T6, "SecurityID" I32N, "TradeDate" U16N, "MatchEventIndicator" U8,
            "SecurityTradingStatus" U8N, "HaltReason" U8, "SecurityTradingEvent" U8),
        &[]),
    template(32, "MDIncrementalRefreshBook", TO_9, About::Book, TIMED,
        &[entries(block!(32: "MDEntryPx" PX7N, "MDEntrySize" I32N, "SecurityID" I32, "RptSeq" U32, "NumberOfOrders" I32N,
            "MDPriceLevel" U8, "MDUpdateAction" U8, "MDEntryType" CHAR)),
            orders(7, ORDERS_OF_LEVEL)]),
    template(33, "MDIncrementalRefreshDailyStatistics", TO_9, About::DailyStatistics, TIMED,
        &[entries(block!(32: "MDEntryPx" PX7N, "MDEntrySize" I32N, "SecurityID" I32, "RptSeq" U32, "TradingReferenceDate" U16N,
            "SettlPriceType" U8, "MDUpdateAction" U8, "MDEntryType" CHAR))]),
    template(34, "MDIncrementalRefreshLimitsBanding", TO_9, About::Limits, TIMED,
        &[entries(block!(32: "HighLimitPrice" PX7N, "LowLimitPrice" PX7N, "MaxPriceVariation" PX7N, "SecurityID" I32, "RptSeq" U32))]),
    template(35, "MDIncrementalRefreshSessionStatistics", TO_9, About::SessionStatistics, TIMED,
        &[entries(block!(24: "MDEntryPx" PX7, "SecurityID" I32, "RptSeq" U32, "OpenCloseSettlFlag" U8N, "MDUpdateAction" U8,
            "MDEntryType" CHAR, "MDEntrySize" I32N 8))]),
    template(36, "MDIncrementalRefreshTrade", (OLDEST, 8), About::Trades, TIMED,
        &[entries(block!(32: "MDEntryPx" PX7, "MDEntrySize" I32, "SecurityID" I32, "RptSeq" U32, "NumberOfOrders" I32N, "TradeID" I32,
            "AggressorSide" U8N, "MDUpdateAction" U8))]),
    template(37, "MDIncrementalRefreshVolume", ALL, About::Volume, TIMED,
        &[entries(block!(16: "MDEntrySize" I32, "SecurityID" I32, "RptSeq" U32, "MDUpdateAction" U8))]),
    template(38, "SnapshotFullRefresh", TO_9, About::Snapshot,
        block!(59: "LastMsgSeqNumProcessed" U32, "TotNumReports" U32, "SecurityID" I32, "RptSeq" U32, "TransactTime" U64,
            "LastUpdateTime" U64, "TradeDate" U16N, "MDSecurityTradingStatus" U8N,
            "HighLimitPrice" PX7N, "LowLimitPrice" PX7N, "MaxPriceVariation" PX7N),
        &[entries(block!(22: "MDEntryPx" PX7N, "MDEntrySize" I32N, "NumberOfOrders" I32N, "MDPriceLevel" I8N, "TradingReferenceDate" U16N,
            "OpenCloseSettlFlag" U8N, "SettlPriceType" U8, "MDEntryType" CHAR))]),
    template(39, "QuoteRequest", ALL, About::Other,
        block!(35: "TransactTime" U64, "QuoteReqID" T23, "MatchEventIndicator" U8),
        &[group("NoRelatedSym", block!(32: "Symbol" T20, "SecurityID" I32, "OrderQty" I32N, "QuoteType" I8, "Side" I8N))]),
    template(41, "MDInstrumentDefinitionOption", TO_9, About::Definition(Instrument::Option),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6, "PutOrCall" U8,
            "MaturityMonthYear.year" U16N, "MaturityMonthYear.month" U8N, "MaturityMonthYear.day" U8N, "MaturityMonthYear.week" U8N,
            "Currency" T3, "StrikePrice" PX7N, "StrikeCurrency" T3, "SettlCurrency" T3, "MinCabPrice" PX7N, "MatchAlgorithm" CHAR,
            "MinTradeVol" U32, "MaxTradeVol" U32, "MinPriceIncrement" PX7N, "MinPriceIncrementAmount" PX7N, "DisplayFactor" PX7,
            "TickRule" I8N, "MainFraction" U8N, "SubFraction" U8N, "PriceDisplayFormat" U8N, "UnitOfMeasure" T30,
            "UnitOfMeasureQty" PX7N, "TradingReferencePrice" PX7N, "SettlPriceType" U8, "ClearedVolume" I32N, "OpenInterestQty" I32N,
            "LowLimitPrice" PX7N, "HighLimitPrice" PX7N, "UserDefinedInstrument" CHAR, "TradingReferenceDate" U16N 6),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES, UNDERLYINGS, since(7, RELATED)]),
    template(42, "MDIncrementalRefreshTradeSummary", TO_9, About::Trades, TIMED,
        &[entries(block!(32: "MDEntryPx" PX7, "MDEntrySize" I32, "SecurityID" I32, "RptSeq" U32, "NumberOfOrders" I32N,
            "AggressorSide" U8N, "MDUpdateAction" U8, "MDTradeEntryID" U32N 7)),
            orders(0, ORDERS_OF_TRADE)]),
    template(43, "MDIncrementalRefreshOrderBook", (7, 9), About::OrderBook, TIMED,
        &[entries(block!(40: "OrderID" U64N, "MDOrderPriority" U64N, "MDEntryPx" PX7N, "MDDisplayQty" I32N, "SecurityID" I32,
            "MDUpdateAction" U8, "MDEntryType" CHAR))]),
    template(44, "SnapshotFullRefreshOrderBook", (7, 9), About::OrderSnapshot,
        block!(28: "LastMsgSeqNumProcessed" U32, "TotNumReports" U32, "SecurityID" I32, "NoChunks" U32, "CurrentChunk" U32,
            "TransactTime" U64),
        &[entries(block!(29: "OrderID" U64, "MDOrderPriority" U64N, "MDEntryPx" PX7, "MDDisplayQty" I32, "MDEntryType" CHAR))]),
    template(46, "MDIncrementalRefreshBook", FROM_9, About::Book, TIMED,
        &[entries(block!(32: "MDEntryPx" PX9N, "MDEntrySize" I32N, "SecurityID" I32, "RptSeq" U32, "NumberOfOrders" I32N,
            "MDPriceLevel" U8, "MDUpdateAction" U8, "MDEntryType" CHAR, "TradeableSize" I32N 10)),
            orders(0, ORDERS_OF_LEVEL)]),
    template(47, "MDIncrementalRefreshOrderBook", FROM_9, About::OrderBook, TIMED,
        &[entries(block!(40: "OrderID" U64N, "MDOrderPriority" U64N, "MDEntryPx" PX9N, "MDDisplayQty" I32N, "SecurityID" I32,
            "MDUpdateAction" U8, "MDEntryType" CHAR))]),
    template(48, "MDIncrementalRefreshTradeSummary", FROM_9, About::Trades, TIMED,
        &[entries(block!(32: "MDEntryPx" PX9, "MDEntrySize" I32, "SecurityID" I32, "RptSeq" U32, "NumberOfOrders" I32,
            "AggressorSide" U8N, "MDUpdateAction" U8, "MDTradeEntryID" U32N)),
            orders(0, ORDERS_OF_TRADE)]),
    template(49, "MDIncrementalRefreshDailyStatistics", FROM_9, About::DailyStatistics, TIMED,
        &[entries(block!(32: "MDEntryPx" PX9N, "MDEntrySize" I32N, "SecurityID" I32, "RptSeq" U32, "TradingReferenceDate" U16N,
            "SettlPriceType" U8, "MDUpdateAction" U8, "MDEntryType" CHAR))]),
    template(50, "MDIncrementalRefreshLimitsBanding", FROM_9, About::Limits, TIMED,
        &[entries(block!(32: "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N, "SecurityID" I32, "RptSeq" U32))]),
    template(51, "MDIncrementalRefreshSessionStatistics", FROM_9, About::SessionStatistics, TIMED,
        &[entries(block!(24: "MDEntryPx" PX9, "SecurityID" I32, "RptSeq" U32, "OpenCloseSettlFlag" U8N, "MDUpdateAction" U8,
            "MDEntryType" CHAR, "MDEntrySize" I32N))]),
    template(52, "SnapshotFullRefresh", FROM_9, About::Snapshot,
        block!(59: "LastMsgSeqNumProcessed" U32, "TotNumReports" U32, "SecurityID" I32, "RptSeq" U32, "TransactTime" U64,
            "LastUpdateTime" U64, "TradeDate" U16N, "MDSecurityTradingStatus" U8N,
            "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N),
        &[entries(block!(22: "MDEntryPx" PX9N, "MDEntrySize" I32N, "NumberOfOrders" I32N, "MDPriceLevel" I8N, "TradingReferenceDate" U16N,
            "OpenCloseSettlFlag" U8N, "SettlPriceType" U8, "MDEntryType" CHAR))]),
    template(53, "SnapshotFullRefreshOrderBook", FROM_9, About::OrderSnapshot,
        block!(28: "LastMsgSeqNumProcessed" U32, "TotNumReports" U32, "SecurityID" I32, "NoChunks" U32, "CurrentChunk" U32,
            "TransactTime" U64),
        &[entries(block!(29: "OrderID" U64, "MDOrderPriority" U64N, "MDEntryPx" PX9, "MDDisplayQty" I32, "MDEntryType" CHAR))]),
    template(54, "MDInstrumentDefinitionFuture", FROM_9, About::Definition(Instrument::Future),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6,
            "MaturityMonthYear.year" U16N, "MaturityMonthYear.month" U8N, "MaturityMonthYear.day" U8N, "MaturityMonthYear.week" U8N,
            "Currency" T3, "SettlCurrency" T3, "MatchAlgorithm" CHAR, "MinTradeVol" U32, "MaxTradeVol" U32,
            "MinPriceIncrement" PX9, "DisplayFactor" PX9, "MainFraction" U8N, "SubFraction" U8N, "PriceDisplayFormat" U8N,
            "UnitOfMeasure" T30, "UnitOfMeasureQty" PX9N, "TradingReferencePrice" PX9N, "SettlPriceType" U8,
            "OpenInterestQty" I32N, "ClearedVolume" I32N, "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N,
            "DecayQuantity" I32N, "DecayStartDate" U16N, "OriginalContractSize" I32N, "ContractMultiplier" I32N,
            "ContractMultiplierUnit" I8N, "FlowScheduleType" I8N, "MinPriceIncrementAmount" PX9N, "UserDefinedInstrument" CHAR,
            "TradingReferenceDate" U16N, "InstrumentGUID" U64N 10),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES]),
    template(55, "MDInstrumentDefinitionOption", FROM_9, About::Definition(Instrument::Option),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6, "PutOrCall" U8,
            "MaturityMonthYear.year" U16N, "MaturityMonthYear.month" U8N, "MaturityMonthYear.day" U8N, "MaturityMonthYear.week" U8N,
            "Currency" T3, "StrikePrice" PX9N, "StrikeCurrency" T3, "SettlCurrency" T3, "MinCabPrice" PX9N, "MatchAlgorithm" CHAR,
            "MinTradeVol" U32, "MaxTradeVol" U32, "MinPriceIncrement" PX9N, "MinPriceIncrementAmount" PX9N, "DisplayFactor" PX9,
            "TickRule" I8N, "MainFraction" U8N, "SubFraction" U8N, "PriceDisplayFormat" U8N, "UnitOfMeasure" T30,
            "UnitOfMeasureQty" PX9N, "TradingReferencePrice" PX9N, "SettlPriceType" U8, "ClearedVolume" I32N, "OpenInterestQty" I32N,
            "LowLimitPrice" PX9N, "HighLimitPrice" PX9N, "UserDefinedInstrument" CHAR, "TradingReferenceDate" U16N,
            "InstrumentGUID" U64N 10),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES, UNDERLYINGS, RELATED]),
    template(56, "MDInstrumentDefinitionSpread", FROM_9, About::Definition(Instrument::Spread),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8N, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6,
            "MaturityMonthYear.year" U16N, "MaturityMonthYear.month" U8N, "MaturityMonthYear.day" U8N, "MaturityMonthYear.week" U8N,
            "Currency" T3, "SecuritySubType" T5, "UserDefinedInstrument" CHAR, "MatchAlgorithm" CHAR,
            "MinTradeVol" U32, "MaxTradeVol" U32, "MinPriceIncrement" PX9N, "DisplayFactor" PX9, "PriceDisplayFormat" U8N,
            "PriceRatio" PX9N, "TickRule" I8N, "UnitOfMeasure" T30, "TradingReferencePrice" PX9N, "SettlPriceType" U8,
            "OpenInterestQty" I32N, "ClearedVolume" I32N, "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N,
            "MainFraction" U8N, "SubFraction" U8N, "TradingReferenceDate" U16N,
            "PriceQuoteMethod" T5 10, "RiskSet" T6 10, "MarketSet" T6 10, "InstrumentGUID" U64N 10, "FinancialInstrumentFullName" T35 10),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES,
            group("NoLegs", block!(18: "LegSecurityID" I32, "LegSide" U8, "LegRatioQty" I8, "LegPrice" PX9N, "LegOptionDelta" QTY))]),
    template(57, "MDInstrumentDefinitionFixedIncome", FROM_10, About::Definition(Instrument::FixedIncome),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6,
            "Currency" T3, "SettlCurrency" T3, "MatchAlgorithm" CHAR, "MinTradeVol" U32, "MaxTradeVol" U32,
            "MinPriceIncrement" PX9N, "DisplayFactor" PX9, "MainFraction" U8N, "SubFraction" U8N, "PriceDisplayFormat" U8N,
            "UnitOfMeasure" T30, "UnitOfMeasureQty" PX9N, "TradingReferencePrice" PX9N, "TradingReferenceDate" U16N,
            "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N, "MinPriceIncrementAmount" PX9N,
            "IssueDate" U16N, "DatedDate" U16N, "MaturityDate" U16N, "CouponRate" PX9N, "ParValue" PX9N, "CouponFrequencyUnit" T3,
            "CouponFrequencyPeriod" U16N, "CouponDayCount" T20, "CountryOfIssue" T2, "Issuer" T25, "FinancialInstrumentFullName" T35,
            "SecurityAltID" T12, "SecurityAltIDSource" U8N, "PriceQuoteMethod" T5, "PartyRoleClearingOrg" T5,
            "UserDefinedInstrument" CHAR, "RiskSet" T6, "MarketSet" T6, "InstrumentGUID" U64N),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES]),
    template(58, "MDInstrumentDefinitionRepo", FROM_10, About::Definition(Instrument::Repo),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6,
            "Currency" T3, "SettlCurrency" T3, "MatchAlgorithm" CHAR, "MinTradeVol" U32, "MaxTradeVol" U32,
            "MinPriceIncrement" PX9, "DisplayFactor" PX9, "UnitOfMeasure" T30, "UnitOfMeasureQty" PX9N,
            "TradingReferencePrice" PX9N, "TradingReferenceDate" U16N, "HighLimitPrice" PX9N, "LowLimitPrice" PX9N,
            "MaxPriceVariation" PX9N, "FinancialInstrumentFullName" T35, "PartyRoleClearingOrg" T5, "StartDate" U16N, "EndDate" U16N,
            "TerminationType" T8, "RepoSubType" U8, "MoneyOrPar" U8N, "MaxNoOfSubstitutions" U8, "PriceQuoteMethod" T5,
            "UserDefinedInstrument" CHAR, "RiskSet" T6, "MarketSet" T6, "InstrumentGUID" U64N,
            "TermCode" T20 11, "BrokenDateTermType" U8N 13),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES,
            group("NoUnderlyings", block!(0: "UnderlyingSymbol" T20, "UnderlyingSecurityID" I32N, "UnderlyingSecurityAltID" T12,
                "UnderlyingSecurityAltIDSource" U8N, "UnderlyingFinancialInstrumentFullName" T35, "UnderlyingSecurityType" T6,
                "UnderlyingCountryOfIssue" T2, "UnderlyingIssuer" T25, "UnderlyingMaxLifeTime" U8N, "UnderlyingMinDaysToMaturity" U16N,
                "UnderlyingInstrumentGUID" U64N 11, "UnderlyingMaturityDate" U16N 11)),
            group("NoRelatedInstruments", block!(0: "RelatedSecurityID" I32, "RelatedSymbol" T20, "RelatedInstrumentGUID" U64N)),
            since(13, group("NoBrokenDates", block!(0: "BrokenDateGUID" U64, "BrokenDateSecurityID" I32,
                "BrokenDateStart" U16N, "BrokenDateEnd" U16N)))]),
    template(59, "SnapshotRefreshTopOrders", FROM_10, About::Other,
        block!(0: "TransactTime" U64, "MatchEventIndicator" U8, "SecurityID" I32),
        &[entries(block!(0: "OrderID" U64, "MDOrderPriority" U64, "MDEntryPx" PX9, "MDDisplayQty" I32, "MDEntryType" CHAR))]),
    template(60, "SecurityStatusWorkup", FROM_10, About::Status,
        block!(0: "TransactTime" U64, "MDEntryPx" PX9N, "SecurityID" I32, "MatchEventIndicator" U8, "TradeDate" U16N, "TradeLinkID" U32,
            "WorkupTradingStatus" U8, "HaltReason" U8, "SecurityTradingEvent" U8),
        &[group("NoOrderIDEntries", block!(0: "OrderID" U64, "Side" U8, "AggressorIndicator" U8N))]),
    template(61, "SnapshotFullRefreshTCP", FROM_10, About::Snapshot,
        block!(0: "TransactTime" U64, "MatchEventIndicator" U8, "SecurityID" I32,
            "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N),
        &[entries(block!(0: "MDEntryPx" PX9N, "MDEntrySize" I32N, "TradeableSize" I32N, "NumberOfOrders" I32N, "MDPriceLevel" I8N,
            "OpenCloseSettlFlag" U8N, "MDEntryType" CHAR, "TradingReferenceDate" U16N, "SettlPriceType" U8))]),
    template(62, "CollateralMarketValue", (11, u16::MAX), About::Other, TIMED,
        &[group("NoUnderlyingSecurityAltID", block!(40: "UnderlyingSecurityAltID" T12, "UnderlyingSecurityAltIDSource" U8N,
            "CollateralMarketPrice" PX9, "DirtyPrice" PX9, "UnderlyingInstrumentGUID" U64, "MDStreamID" U8N))]),
    template(63, "MDInstrumentDefinitionFX", FROM_12, About::Definition(Instrument::Fx),
        block!(0: "MatchEventIndicator" U8, "TotNumReports" U32N, "SecurityUpdateAction" CHAR, "LastUpdateTime" U64,
            "MDSecurityTradingStatus" U8N, "ApplID" I16, "MarketSegmentID" U8, "UnderlyingProduct" U8, "SecurityExchange" T4,
            "SecurityGroup" T6, "Asset" T6, "Symbol" T20, "SecurityID" I32, "SecurityType" T6, "CFICode" T6,
            "Currency" T3, "SettlCurrency" T3, "PriceQuoteCurrency" T3, "MatchAlgorithm" CHAR, "MinTradeVol" U32, "MaxTradeVol" U32,
            "MinPriceIncrement" PX9, "DisplayFactor" PX9, "PricePrecision" U8, "UnitOfMeasure" T30, "UnitOfMeasureQty" PX9N,
            "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N, "UserDefinedInstrument" CHAR,
            "FinancialInstrumentFullName" T35, "FXCurrencySymbol" T7, "SettlType" T3, "InterveningDays" U16,
            "FXBenchmarkRateFix" T20, "RateSource" T12, "FixRateLocalTime" T8, "FixRateLocalTimeZone" T20, "MinQuoteLife" U32,
            "MaxPriceDiscretionOffset" PX9, "InstrumentGUID" U64N,
            "MaturityMonthYear.year" U16N, "MaturityMonthYear.month" U8N, "MaturityMonthYear.day" U8N, "MaturityMonthYear.week" U8N,
            "SettlementLocale" T8, "AltMinPriceIncrement" PX9N 13, "AltMinQuoteLife" U32N 13, "AltPriceIncrementConstraint" PX9N 13,
            "MaxBidAskConstraint" PX9N 13),
        &[EVENTS, FEED_TYPES, ATTRIBUTES, LOT_TYPES,
            group("NoTradingSessions", block!(0: "TradeDate" U16N, "SettlDate" U16N, "MaturityDate" U16N, "SecurityAltID" T12))]),
    template(64, "MDIncrementalRefreshBookLongQty", FROM_12, About::Book, TIMED,
        &[entries(block!(32: "MDEntryPx" PX9N, "MDEntrySize" U64N, "SecurityID" I32, "RptSeq" U32, "NumberOfOrders" I32N,
            "MDPriceLevel" U8, "MDUpdateAction" U8, "MDEntryType" CHAR)),
            orders(0, ORDERS_OF_LEVEL)]),
    template(65, "MDIncrementalRefreshTradeSummaryLongQty", FROM_12, About::Trades, TIMED,
        &[entries(block!(40: "MDEntryPx" PX9, "MDEntrySize" U64, "SecurityID" I32, "RptSeq" U32, "NumberOfOrders" I32,
            "MDTradeEntryID" U32, "AggressorSide" U8N, "MDUpdateAction" U8)),
            orders(0, ORDERS_OF_TRADE)]),
    template(66, "MDIncrementalRefreshVolumeLongQty", FROM_12, About::Volume, TIMED,
        &[entries(block!(24: "MDEntrySize" U64, "SecurityID" I32, "RptSeq" U32, "MDUpdateAction" U8))]),
    template(67, "MDIncrementalRefreshSessionStatisticsLongQty", FROM_12, About::SessionStatistics, TIMED,
        &[entries(block!(32: "MDEntryPx" PX9, "MDEntrySize" U64N, "SecurityID" I32, "RptSeq" U32, "OpenCloseSettlFlag" U8N,
            "MDUpdateAction" U8, "MDEntryType" CHAR))]),
    template(68, "SnapshotFullRefreshTCPLongQty", FROM_12, About::Snapshot,
        block!(0: "TransactTime" U64, "MatchEventIndicator" U8, "SecurityID" I32,
            "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N),
        &[entries(block!(0: "MDEntryPx" PX9N, "MDEntrySize" U64N, "NumberOfOrders" I32N, "MDPriceLevel" U8N,
            "OpenCloseSettlFlag" U8N, "MDEntryType" CHAR))]),
    template(69, "SnapshotFullRefreshLongQty", FROM_12, About::Snapshot,
        block!(0: "LastMsgSeqNumProcessed" U32, "TotNumReports" U32, "SecurityID" I32, "RptSeq" U32, "TransactTime" U64,
            "LastUpdateTime" U64, "TradeDate" U16N, "MDSecurityTradingStatus" U8N,
            "HighLimitPrice" PX9N, "LowLimitPrice" PX9N, "MaxPriceVariation" PX9N),
        &[entries(block!(0: "MDEntryPx" PX9N, "MDEntrySize" U64N, "NumberOfOrders" I32N, "MDPriceLevel" U8N,
            "OpenCloseSettlFlag" U8N, "MDEntryType" CHAR))]),
];

const ABSENT: u8 = 0xff;
/// Place in [`TEMPLATES`] by id.
const INDEX: [u8; 128] = {
    let mut index = [ABSENT; 128];
    let mut at = 0_u8;
    while (at as usize) < TEMPLATES.len() {
        index[TEMPLATES[at as usize].id as usize] = at;
        at += 1;
    }
    index
};
static TABLE: [Template; TEMPLATES.len()] = TEMPLATES;

/// Place and template of an id, whatever the version.
pub fn lookup(id: u16) -> Option<(usize, &'static Template)> {
    let at = usize::from(*INDEX.get(usize::from(id))?);
    Some((at, TABLE.get(at)?))
}

/// The templates that the schema of a version has.
pub fn of_version(version: u16) -> impl Iterator<Item = &'static Template> {
    TABLE.iter().filter(move |template| template.is_in(version))
}
