//! The fields that events are made of, found once in each template: no name is compared while messages come.

use crate::feed::mdp3::layout::{Block, Field, Template};
use crate::feed::mdp3::sbe::Record;

/// Declares a set of fields by their FIX names.
macro_rules! fields {
    ($(#[$doc:meta])* $set:ident { $($field:ident = $name:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Debug)]
        pub(super) struct $set {
            $(pub(super) $field: Option<&'static Field>,)*
        }
        impl $set {
            pub(super) fn of(block: &Block) -> Self {
                Self { $($field: block.field($name),)* }
            }
        }
    };
}

fields! {
    /// What blocks of market data may hold.
    Fields {
        time = "TransactTime";
        indicator = "MatchEventIndicator";
        id = "SecurityID";
        group = "SecurityGroup";
        asset = "Asset";
        status = "SecurityTradingStatus";
        workup = "WorkupTradingStatus";
        halt = "HaltReason";
        event = "SecurityTradingEvent";
        chunk = "CurrentChunk";
        high = "HighLimitPrice";
        low = "LowLimitPrice";
        variation = "MaxPriceVariation";
        px = "MDEntryPx";
        size = "MDEntrySize";
        action = "MDUpdateAction";
        kind = "MDEntryType";
        level = "MDPriceLevel";
        orders = "NumberOfOrders";
        aggressor = "AggressorSide";
        trade = "MDTradeEntryID";
        trade_id = "TradeID";
        open_close = "OpenCloseSettlFlag";
        settled = "SettlPriceType";
        day = "TradingReferenceDate";
        order = "OrderID";
        display = "MDDisplayQty";
        reference = "ReferenceID";
        order_action = "OrderUpdateAction";
        last_qty = "LastQty";
    }
}

fields! {
    /// What a definition may say in its root.
    Definition {
        updated = "LastUpdateTime";
        action = "SecurityUpdateAction";
        appl = "ApplID";
        segment = "MarketSegmentID";
        product = "UnderlyingProduct";
        exchange = "SecurityExchange";
        group = "SecurityGroup";
        asset = "Asset";
        symbol = "Symbol";
        id = "SecurityID";
        kind = "SecurityType";
        subtype = "SecuritySubType";
        cfi = "CFICode";
        put_or_call = "PutOrCall";
        year = "MaturityMonthYear.year";
        month = "MaturityMonthYear.month";
        day = "MaturityMonthYear.day";
        week = "MaturityMonthYear.week";
        currency = "Currency";
        settl_currency = "SettlCurrency";
        strike = "StrikePrice";
        strike_currency = "StrikeCurrency";
        algorithm = "MatchAlgorithm";
        min_volume = "MinTradeVol";
        max_volume = "MaxTradeVol";
        increment = "MinPriceIncrement";
        increment_amount = "MinPriceIncrementAmount";
        display_factor = "DisplayFactor";
        main_fraction = "MainFraction";
        sub_fraction = "SubFraction";
        display_format = "PriceDisplayFormat";
        unit = "UnitOfMeasure";
        unit_qty = "UnitOfMeasureQty";
        high = "HighLimitPrice";
        low = "LowLimitPrice";
        variation = "MaxPriceVariation";
        decay_quantity = "DecayQuantity";
        decay_start = "DecayStartDate";
        original_size = "OriginalContractSize";
        multiplier = "ContractMultiplier";
        multiplier_unit = "ContractMultiplierUnit";
        flow = "FlowScheduleType";
        user_defined = "UserDefinedInstrument";
        ratio = "PriceRatio";
        tick_rule = "TickRule";
    }
}

fields! {
    /// What the entries of a definition's groups may say.
    Parts {
        event_type = "EventType";
        event_time = "EventTime";
        feed_type = "MDFeedType";
        depth = "MarketDepth";
        attributes = "InstAttribValue";
        lot_type = "LotType";
        min_lot = "MinLotSize";
        underlying = "UnderlyingSecurityID";
        underlying_symbol = "UnderlyingSymbol";
        leg = "LegSecurityID";
        leg_side = "LegSide";
        leg_ratio = "LegRatioQty";
        leg_price = "LegPrice";
        leg_delta = "LegOptionDelta";
    }
}

/// A group's place in its template, past the end if it has none, and its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<F> {
    pub(super) place: usize,
    pub(super) fields: F,
}

/// One template's fields.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) root: Fields,
    pub(super) definition: Definition,
    pub(super) entries: Part<Fields>,
    pub(super) orders: Part<Fields>,
    /// Of all groups, by place.
    pub(super) parts: Vec<Parts>,
    /// Place of the legs.
    pub(super) legs: usize,
}

impl Plan {
    pub(super) fn of(template: &Template) -> Self {
        let part = |name| match template.group(name) {
            Some((place, group)) => Part { place, fields: Fields::of(&group.entry) },
            None => Part { place: usize::MAX, fields: Fields::default() },
        };
        Self {
            root: Fields::of(&template.root),
            definition: Definition::of(&template.root),
            entries: part("NoMDEntries"),
            orders: part("NoOrderIDEntries"),
            parts: template.groups.iter().map(|group| Parts::of(&group.entry)).collect(),
            legs: template.group("NoLegs").map_or(usize::MAX, |(place, _)| place),
        }
    }
}

/// The number of a field that may not be there.
#[inline]
pub(super) fn int(record: &Record<'_>, field: Option<&Field>) -> Option<i64> {
    record.int(field?)
}

/// A quantity: `Ok(None)` if there is none, `Err` with the number if it is negative.
#[inline]
pub(super) fn quantity(record: &Record<'_>, field: Option<&Field>) -> Result<Option<u64>, i64> {
    let Some(field) = field else { return Ok(None) };
    match record.int(field) {
        Some(number) => u64::try_from(number).map(Some).map_err(|_| number),
        // Null, or an unsigned number beyond i64.
        None => Ok(record.bits(field)),
    }
}

/// The text of a field that may not be there.
#[inline]
pub(super) fn text<'a>(record: &Record<'a>, field: Option<&Field>) -> &'a [u8] {
    field.map_or(&[], |field| record.text(field))
}

/// The first byte of a text; 0 if it is empty.
#[inline]
pub(super) fn letter(record: &Record<'_>, field: Option<&Field>) -> u8 {
    text(record, field).first().copied().unwrap_or(0)
}
