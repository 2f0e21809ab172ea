//! Top of book, trades, price levels.

use super::{Iex, Instrument, Moment};
use crate::events::normalize::common::c;
use crate::events::output::{Arrival, Output};
use crate::events::rules::Rule;
use crate::events::side::SideRow;
use crate::feed::iex::{Message, Price4, PriceLevel, QuoteUpdate, TradeReport};
use dbn::{Action, BidAskPair, FlagSet, Mbp1Msg, Schema, Side, TradeMsg, UNDEF_PRICE, flags, rtype};

/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;

/// Quote update flag: the symbol is halted, paused or otherwise not available.
const NOT_AVAILABLE: u8 = 0x80;

/// The top of an instrument's book, as last said.
#[derive(Clone, Default, Debug)]
pub(super) struct Quote {
    /// `None` before the first quote update.
    pub(super) top: Option<BidAskPair>,
    flags: u8,
    /// Stamp of the packet since which bid ≥ ask, if it is so and was not said yet.
    crossed_since_ns: Option<u64>,
}

/// The instruments whose bid is not below their ask.
#[derive(Debug)]
pub(super) struct Crossed {
    /// 0: not looked at.
    limit_ns: u64,
    places: Vec<usize>,
}

impl Crossed {
    pub(super) fn new(limit_ms: u32) -> Self {
        Self { limit_ns: u64::from(limit_ms) * NS_PER_MS, places: Vec::new() }
    }
    pub(super) fn clear(&mut self) {
        self.places.clear();
    }
    /// Tape time has come to the stamp of `arrival`: books that were crossed for too long are said, once.
    pub(super) fn look(&mut self, arrival: &Arrival, instruments: &[Instrument], out: &mut Output) {
        if self.limit_ns == 0 {
            return;
        }
        self.places.retain(|place| {
            let Some(instrument) = instruments.get(*place) else { return false };
            let Some(since_ns) = instrument.quote.crossed_since_ns else { return false };
            let is_long = arrival.stamp.ns.saturating_sub(since_ns) > self.limit_ns;
            if is_long {
                out.broken(Rule::BookCrossed, arrival, 0, i64::from(instrument.id));
            }
            !is_long
        });
    }
}

/// One side of a quote: without a price or a size there is none.
fn side_of(price: Price4, size: u32, moment: &Moment, out: &mut Output) -> (i64, u32) {
    if price.0 == 0 || size == 0 {
        return (UNDEF_PRICE, 0);
    }
    (moment.price(price, out), size)
}

pub(super) fn level(level: PriceLevel<'_>, instrument_id: u32, moment: &Moment, out: &mut Output) {
    let price = moment.positive_price(level.price(), out);
    out.side(&SideRow::Level {
        at_ns: moment.arrival.stamp.ns,
        ts_event: moment.ts_event,
        instrument_id,
        seq: moment.seq,
        side: if level.is_buy() { 'B' } else { 'A' },
        price,
        size: u64::from(level.size()),
        orders: 0,
        level: 0,
        last: level.completes_event(),
    });
}

impl Iex {
    pub(super) fn quote(&mut self, quote: QuoteUpdate<'_>, at: usize, moment: &Moment, out: &mut Output) {
        let (bid_px, bid_sz) = side_of(quote.bid_price(), quote.bid_size(), moment, out);
        let (ask_px, ask_sz) = side_of(quote.ask_price(), quote.ask_size(), moment, out);
        let top = BidAskPair { bid_px, ask_px, bid_sz, ask_sz, bid_ct: 0, ask_ct: 0 };
        let Some(instrument) = self.instruments.get_mut(at) else { return };
        instrument.whole_since = moment.gaps;
        instrument.quote.top = Some(top.clone());
        let changed = quote.flags() != instrument.quote.flags;
        instrument.quote.flags = quote.flags();
        // While a symbol is not available, orders may gather for an auction.
        let trades = quote.flags() & NOT_AVAILABLE == 0;
        let is_crossed = trades && bid_px != UNDEF_PRICE && ask_px != UNDEF_PRICE && bid_px >= ask_px;
        if is_crossed && instrument.quote.crossed_since_ns.is_none() {
            instrument.quote.crossed_since_ns = Some(moment.arrival.stamp.ns);
            self.crossed.places.push(at);
        } else if !is_crossed && instrument.quote.crossed_since_ns.take().is_some() {
            self.crossed.places.retain(|place| *place != at);
        }
        let id = instrument.id;
        let record = Mbp1Msg {
            hd: self.header::<Mbp1Msg>(rtype::MBP_1, id, moment),
            price: UNDEF_PRICE,
            size: 0,
            action: c(Action::Modify as u8),
            side: c(Side::None as u8),
            flags: FlagSet::new(moment.flags | flags::TOB),
            depth: 0,
            ts_recv: moment.arrival.stamp.ns,
            ts_in_delta: moment.ts_in_delta,
            sequence: moment.sequence(),
            levels: [top],
        };
        out.put(Schema::Mbp1, &record);
        if changed {
            Self::flags_row(quote.flags(), id, moment, out);
        }
    }

    fn flags_row(flags: u8, instrument_id: u32, moment: &Moment, out: &mut Output) {
        let text = format!("flags={flags:#04x}");
        let (at_ns, ts_event, seq) = (moment.arrival.stamp.ns, moment.ts_event, moment.seq);
        let message = "quote update";
        out.side(&SideRow::Other { at_ns, ts_event, instrument_id, seq, message, fields: &text });
    }

    pub(super) fn trade(&mut self, trade: TradeReport<'_>, at: usize, moment: &Moment, out: &mut Output) {
        let price = moment.positive_price(trade.price(), out);
        moment.check_size(trade.size(), out);
        if moment.is_by_order {
            self.put_mbo(at, Action::Trade, Side::None, (price, trade.size()), moment, out);
        }
        self.put_trade(at, Side::None, (price, trade.size()), moment, out);
        let id = self.instruments.get(at).map_or(0, |instrument| instrument.id);
        self.other(&Message::TradeReport(trade), id, moment, out);
    }

    /// A trade, and the same with the quote before it if there was one.
    pub(super) fn put_trade(
        &mut self,
        at: usize,
        side: Side,
        price_and_size: (i64, u32),
        moment: &Moment,
        out: &mut Output,
    ) {
        let Some(instrument) = self.instruments.get(at) else { return };
        let (price, size) = price_and_size;
        let (id, top, flags) = (instrument.id, instrument.quote.top.clone(), moment.flags_of(instrument));
        let trade = TradeMsg {
            hd: self.header::<TradeMsg>(rtype::MBP_0, id, moment),
            price,
            size,
            action: c(Action::Trade as u8),
            side: c(side as u8),
            flags,
            depth: 0,
            ts_recv: moment.arrival.stamp.ns,
            ts_in_delta: moment.ts_in_delta,
            sequence: moment.sequence(),
        };
        out.put(Schema::Trades, &trade);
        let Some(top) = top else { return };
        let with_quote = Mbp1Msg {
            hd: self.header::<Mbp1Msg>(rtype::MBP_1, id, moment),
            price,
            size,
            action: trade.action,
            side: trade.side,
            flags,
            depth: 0,
            ts_recv: trade.ts_recv,
            ts_in_delta: trade.ts_in_delta,
            sequence: trade.sequence,
            levels: [top],
        };
        out.put(Schema::Tbbo, &with_quote);
    }
}
