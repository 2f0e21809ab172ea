//! The columns of each schema: names, kinds, and how a record fills them. Names are those of DBN's fields.

use dbn::record::c_chars_to_str;
use dbn::{
    HasRType, ImbalanceMsg, InstrumentDefMsg, MboMsg, Mbp1Msg, RecordHeader, StatMsg, StatusMsg, TradeMsg,
    UNDEF_PRICE, UNDEF_TIMESTAMP,
};
use std::os::raw::c_char;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// ns since the Unix epoch, UTC; may be undefined.
    Time,
    /// Fixed point, 1e-9; may be undefined.
    Price,
    /// Unsigned, of so many bits.
    Unsigned(u8),
    /// Signed, of so many bits.
    Signed(u8),
    /// Text; a letter that DBN has as a character.
    Text,
}

/// A value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cell<'a> {
    Time(Option<u64>),
    Price(Option<i64>),
    Unsigned(u64),
    Signed(i64),
    Text(&'a str),
}

/// A column's name and kind.
pub(super) type Column = (&'static str, Kind);

/// A record as a row. The first column is always `ts_recv`, by which rows are sorted.
pub(super) trait Table: HasRType<Header = RecordHeader> + Clone {
    const COLUMNS: &'static [Column];
    /// `ts_recv`, ns.
    fn at_ns(&self) -> u64;
    /// `instrument_id`, 32 bits as in DBN version 3.
    fn id(&self) -> u32;
    /// Hands over the row's values in the order of the columns.
    fn cells(&self, put: &mut dyn FnMut(Cell<'_>));
}

fn time(ns: u64) -> Cell<'static> {
    Cell::Time((ns != UNDEF_TIMESTAMP).then_some(ns))
}
fn price(px: i64) -> Cell<'static> {
    Cell::Price((px != UNDEF_PRICE).then_some(px))
}
fn unsigned(n: impl Into<u64>) -> Cell<'static> {
    Cell::Unsigned(n.into())
}
fn signed(n: impl Into<i64>) -> Cell<'static> {
    Cell::Signed(n.into())
}
/// A text of fixed length; what is no UTF-8 is no text.
fn text<const N: usize>(chars: &[c_char; N]) -> Cell<'_> {
    Cell::Text(c_chars_to_str(chars).unwrap_or_default())
}
/// A letter; a byte of 0 is none.
fn letter(c: c_char) -> String {
    match c.cast_unsigned() {
        0 => String::new(),
        byte if byte.is_ascii() => char::from(byte).to_string(),
        byte => format!("{byte:#04x}"),
    }
}

macro_rules! kind {
    (time) => {
        Kind::Time
    };
    (price) => {
        Kind::Price
    };
    (u64) => {
        Kind::Unsigned(64)
    };
    (u32) => {
        Kind::Unsigned(32)
    };
    (u16) => {
        Kind::Unsigned(16)
    };
    (u8) => {
        Kind::Unsigned(8)
    };
    (i64) => {
        Kind::Signed(64)
    };
    (i32) => {
        Kind::Signed(32)
    };
    (i16) => {
        Kind::Signed(16)
    };
    (i8) => {
        Kind::Signed(8)
    };
    (letter) => {
        Kind::Text
    };
    (text) => {
        Kind::Text
    };
}
macro_rules! cell {
    ($put:ident, time, $value:expr) => {
        $put(time($value))
    };
    ($put:ident, price, $value:expr) => {
        $put(price($value))
    };
    ($put:ident, letter, $value:expr) => {
        $put(Cell::Text(&letter($value)))
    };
    ($put:ident, text, $value:expr) => {
        $put(text(&$value))
    };
    ($put:ident, i64, $value:expr) => {
        $put(signed($value))
    };
    ($put:ident, i32, $value:expr) => {
        $put(signed($value))
    };
    ($put:ident, i16, $value:expr) => {
        $put(signed($value))
    };
    ($put:ident, i8, $value:expr) => {
        $put(signed($value))
    };
    ($put:ident, $unsigned:ident, $value:expr) => {
        $put(unsigned($value))
    };
}
/// Declares a table: after the columns that every record has, those of its own.
macro_rules! table {
    ($record:ident { $($name:literal: $kind:ident = $($field:tt).+;)* }) => {
        impl Table for $record {
            const COLUMNS: &'static [Column] = &[
                ("ts_recv", Kind::Time),
                ("ts_event", Kind::Time),
                ("publisher_id", Kind::Unsigned(16)),
                ("instrument_id", Kind::Unsigned(32)),
                $(($name, kind!($kind))),*
            ];
            fn at_ns(&self) -> u64 {
                self.ts_recv
            }
            fn id(&self) -> u32 {
                self.hd.instrument_id
            }
            fn cells(&self, put: &mut dyn FnMut(Cell<'_>)) {
                put(time(self.ts_recv));
                put(time(self.hd.ts_event));
                put(unsigned(self.hd.publisher_id));
                put(unsigned(self.hd.instrument_id));
                $(cell!(put, $kind, table!(@field self, $($field).+));)*
            }
        }
    };
    (@field $self:ident, levels.$field:ident) => { $self.levels[0].$field };
    (@field $self:ident, flags.raw) => { $self.flags.raw() };
    (@field $self:ident, $field:ident) => { $self.$field };
}

table!(MboMsg {
    "action": letter = action;
    "side": letter = side;
    "price": price = price;
    "size": u32 = size;
    "channel_id": u8 = channel_id;
    "order_id": u64 = order_id;
    "flags": u8 = flags.raw;
    "ts_in_delta": i32 = ts_in_delta;
    "sequence": u32 = sequence;
});

table!(TradeMsg {
    "action": letter = action;
    "side": letter = side;
    "depth": u8 = depth;
    "price": price = price;
    "size": u32 = size;
    "flags": u8 = flags.raw;
    "ts_in_delta": i32 = ts_in_delta;
    "sequence": u32 = sequence;
});

table!(Mbp1Msg {
    "action": letter = action;
    "side": letter = side;
    "depth": u8 = depth;
    "price": price = price;
    "size": u32 = size;
    "flags": u8 = flags.raw;
    "ts_in_delta": i32 = ts_in_delta;
    "sequence": u32 = sequence;
    "bid_px": price = levels.bid_px;
    "ask_px": price = levels.ask_px;
    "bid_sz": u32 = levels.bid_sz;
    "ask_sz": u32 = levels.ask_sz;
    "bid_ct": u32 = levels.bid_ct;
    "ask_ct": u32 = levels.ask_ct;
});

table!(StatusMsg {
    "action": u16 = action;
    "reason": u16 = reason;
    "trading_event": u16 = trading_event;
    "is_trading": letter = is_trading;
    "is_quoting": letter = is_quoting;
    "is_short_sell_restricted": letter = is_short_sell_restricted;
});

table!(ImbalanceMsg {
    "ref_price": price = ref_price;
    "auction_time": time = auction_time;
    "cont_book_clr_price": price = cont_book_clr_price;
    "auct_interest_clr_price": price = auct_interest_clr_price;
    "ssr_filling_price": price = ssr_filling_price;
    "ind_match_price": price = ind_match_price;
    "upper_collar": price = upper_collar;
    "lower_collar": price = lower_collar;
    "paired_qty": u32 = paired_qty;
    "total_imbalance_qty": u32 = total_imbalance_qty;
    "market_imbalance_qty": u32 = market_imbalance_qty;
    "unpaired_qty": u32 = unpaired_qty;
    "auction_type": letter = auction_type;
    "side": letter = side;
    "auction_status": u8 = auction_status;
    "freeze_status": u8 = freeze_status;
    "num_extensions": u8 = num_extensions;
    "unpaired_side": letter = unpaired_side;
    "significant_imbalance": letter = significant_imbalance;
});

table!(StatMsg {
    "ts_ref": time = ts_ref;
    "price": price = price;
    "quantity": i64 = quantity;
    "sequence": u32 = sequence;
    "ts_in_delta": i32 = ts_in_delta;
    "stat_type": u16 = stat_type;
    "channel_id": u16 = channel_id;
    "update_action": u8 = update_action;
    "stat_flags": u8 = stat_flags;
});

table!(InstrumentDefMsg {
    "raw_symbol": text = raw_symbol;
    "security_update_action": letter = security_update_action;
    "instrument_class": letter = instrument_class;
    "min_price_increment": price = min_price_increment;
    "display_factor": price = display_factor;
    "expiration": time = expiration;
    "activation": time = activation;
    "high_limit_price": price = high_limit_price;
    "low_limit_price": price = low_limit_price;
    "max_price_variation": price = max_price_variation;
    "unit_of_measure_qty": price = unit_of_measure_qty;
    "min_price_increment_amount": price = min_price_increment_amount;
    "price_ratio": price = price_ratio;
    "strike_price": price = strike_price;
    "raw_instrument_id": u64 = raw_instrument_id;
    "inst_attrib_value": i32 = inst_attrib_value;
    "underlying_id": u32 = underlying_id;
    "market_depth_implied": i32 = market_depth_implied;
    "market_depth": i32 = market_depth;
    "market_segment_id": u32 = market_segment_id;
    "max_trade_vol": u32 = max_trade_vol;
    "min_lot_size": i32 = min_lot_size;
    "min_lot_size_block": i32 = min_lot_size_block;
    "min_lot_size_round_lot": i32 = min_lot_size_round_lot;
    "min_trade_vol": u32 = min_trade_vol;
    "contract_multiplier": i32 = contract_multiplier;
    "decay_quantity": i32 = decay_quantity;
    "original_contract_size": i32 = original_contract_size;
    "appl_id": i16 = appl_id;
    "maturity_year": u16 = maturity_year;
    "maturity_month": u8 = maturity_month;
    "maturity_day": u8 = maturity_day;
    "maturity_week": u8 = maturity_week;
    "decay_start_date": u16 = decay_start_date;
    "channel_id": u16 = channel_id;
    "currency": text = currency;
    "settl_currency": text = settl_currency;
    "secsubtype": text = secsubtype;
    "group": text = group;
    "exchange": text = exchange;
    "asset": text = asset;
    "cfi": text = cfi;
    "security_type": text = security_type;
    "unit_of_measure": text = unit_of_measure;
    "underlying": text = underlying;
    "strike_price_currency": text = strike_price_currency;
    "match_algorithm": letter = match_algorithm;
    "main_fraction": u8 = main_fraction;
    "price_display_format": u8 = price_display_format;
    "sub_fraction": u8 = sub_fraction;
    "underlying_product": u8 = underlying_product;
    "user_defined_instrument": letter = user_defined_instrument;
    "contract_multiplier_unit": i8 = contract_multiplier_unit;
    "flow_schedule_type": i8 = flow_schedule_type;
    "tick_rule": u8 = tick_rule;
    "leg_count": u16 = leg_count;
    "leg_index": u16 = leg_index;
    "leg_instrument_id": u32 = leg_instrument_id;
    "leg_raw_symbol": text = leg_raw_symbol;
    "leg_instrument_class": letter = leg_instrument_class;
    "leg_side": letter = leg_side;
    "leg_price": price = leg_price;
    "leg_delta": price = leg_delta;
    "leg_ratio_price_numerator": i32 = leg_ratio_price_numerator;
    "leg_ratio_price_denominator": i32 = leg_ratio_price_denominator;
    "leg_ratio_qty_numerator": i32 = leg_ratio_qty_numerator;
    "leg_ratio_qty_denominator": i32 = leg_ratio_qty_denominator;
    "leg_underlying_id": u32 = leg_underlying_id;
});
