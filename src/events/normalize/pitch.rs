//! Cboe PITCH made into DBN, by the conventions that Databento documents for order feeds:
//!
//! | message | MBO | besides |
//! |---|---|---|
//! | Add Order | Add | |
//! | Order Executed | Trade (order 0, side of the aggressor), Fill, Cancel (the order and its side; what was executed) | Trades |
//! | Order Executed at Price/Size | the same at the execution's price; the Cancel takes the order to what remains of it (if that is more than was known: Modify) | Trades |
//! | Reduce Size | Cancel of what was cancelled | |
//! | Modify Order | Modify with the new price and size | |
//! | Delete Order | Cancel of what was left | |
//! | Trade | Trade (order 0, no side: the order was not displayed) | Trades |
//! | Unit Clear, a unit's sequence begun anew | cleaR, for each instrument with orders in the unit | |
//! | Trading Status | | Status |
//! | Symbol Mapping, Futures Instrument Definition | | Definition |
//! | Trade Break | | side row |
//! | every other known one | | side row with its bytes |
//!
//! **Time.** A message tells ns behind the second of its unit's last Time message. That counts from the exchange's midnight: New York's, unless
//! the feed's `utc_offset_s` says otherwise. Futures tell the second since 1970 too; that is taken. So is the midnight of a Time Reference message. Until a
//! unit's first Time message, and after a gap until its next one, the event time is not known: `UNDEF_TIMESTAMP`, with `ts_in_delta` 0. There
//! is no send time: `ts_in_delta` is behind the event time.
//!
//! **Instruments** are numbered from 1 as they appear, unless the feed's `symbols` has an id for what the feed writes. A symbol mapping's
//! OSI symbol is the definition's `raw_symbol`. Execution numbers have no field in DBN; they stay on the tape.
//!
//! **Prices** of complex instruments and of futures' spreads are signed; which instruments those are, their definitions say. Where a definition was
//! not seen, a price is taken as unsigned.
//!
//! Units share nothing: each has its orders, its second and its sequence. After a gap, or if the capture began after a unit's first message,
//! orders are missing by rights: broken state rules are then counted only, and records flagged `MAYBE_BAD_BOOK`, until the unit is cleared. Messages
//! that are not sequenced make no events.

mod reference;
mod unit;

use super::Normalizer;
use super::common::{DayClock, PacketEnd, StampWatch, Symbols, in_delta};
use super::order_records::{At, Mbo, Publisher, letter, size32};
use crate::book::{Fault, Order, Reduced, Side};
use crate::events::output::{Arrival, Output};
use crate::events::rules::Rule;
use crate::feed::pitch::{Add, Executed, Message, Modify, Price, Trade, layout};
use crate::feed::{FeedConfig, Frame, Space};
use crate::time::NS_PER_SEC;
use dbn::{UNDEF_PRICE, UNDEF_TIMESTAMP, flags};
use std::collections::{BTreeMap, HashMap};
use unit::Unit;

/// Most instruments that are told apart; the messages of others make no events.
const MAX_INSTRUMENTS: usize = 1 << 18;

/// What is known of an instrument.
#[derive(Clone, Copy, Debug)]
struct Instrument {
    /// Its id in records.
    id: u32,
    /// Its prices may be negative.
    signed: bool,
}

/// Makes events of PITCH.
#[derive(Debug)]
pub struct Pitch {
    publisher: Publisher,
    wanted: BTreeMap<String, u32>,
    clock: DayClock,
    stamps: StampWatch,
    end: PacketEnd,
    symbols: Symbols,
    /// Looked up, never walked: the order of a hash table must not reach the events.
    places: HashMap<[u8; 8], u32>,
    /// By place, in the order of appearance.
    instruments: Vec<Instrument>,
    next_id: u32,
    units: Vec<Unit>,
    /// A time in this packet was too far from its stamp.
    delta_said: bool,
}

/// A symbol as a key: 6 bytes are padded to 8.
fn key(symbol: &[u8]) -> [u8; 8] {
    let mut key = [b' '; 8];
    for (to, from) in key.iter_mut().zip(symbol) {
        *to = *from;
    }
    key
}

impl Pitch {
    /// For a feed.
    pub fn new(feed: &FeedConfig) -> Self {
        Self {
            publisher: Publisher::of(feed),
            wanted: feed.symbols.clone(),
            clock: DayClock::new(feed.utc_offset_s),
            stamps: StampWatch::default(),
            end: PacketEnd::default(),
            symbols: Symbols::default(),
            places: HashMap::new(),
            instruments: Vec::new(),
            next_id: 1,
            units: Vec::new(),
            delta_said: false,
        }
    }

    fn message(&mut self, unit: &mut Unit, bytes: &[u8], mut at: At<'_>, out: &mut Output) {
        let Ok(message) = Message::parse(bytes) else {
            // What cannot be read may have been about an order.
            unit.incomplete = true;
            return;
        };
        self.time(unit, &message, &mut at, out);
        match message {
            Message::Time { .. } | Message::TimeReference { .. } => {}
            Message::Add(add) => self.add(unit, &add, &at, out),
            Message::Executed(executed) => self.executed(unit, &executed, &at, out),
            Message::Reduce(reduce) => self.reduce(unit, reduce.order, reduce.quantity, &at, out),
            Message::Modify(modify) => self.modify(unit, &modify, &at, out),
            Message::Delete(delete) => match unit.books().and_then(|books| books.delete(delete.order).ok()) {
                Some(order) => self.gone(delete.order, &order, size32(order.quantity), &at, out),
                None => unit.state_rule(Rule::OrderUnknown, &at, delete.order.cast_signed(), out),
            },
            Message::Trade(trade) => self.trade(&trade, &at, out),
            Message::UnitClear { .. } => self.clear(unit, &at, out),
            reference => self.reference(&reference, &at, out),
        }
    }

    /// Completes the message's times.
    fn time(&mut self, unit: &mut Unit, message: &Message<'_>, at: &mut At<'_>, out: &mut Output) {
        let stamp_ns = at.arrival.stamp.ns;
        let value = match *message {
            Message::Time { seconds, tail } => {
                unit.second_ns = match tail.first_chunk::<4>() {
                    Some(epoch) => Some(u64::from(u32::from_le_bytes(*epoch)) * NS_PER_SEC),
                    None => unit.since_midnight(&mut self.clock, seconds, stamp_ns),
                };
                unit.second_ns.is_none().then_some(i64::from(seconds))
            }
            Message::TimeReference { midnight_s, seconds, .. } => {
                unit.midnight_ns = Some(u64::from(midnight_s) * NS_PER_SEC);
                unit.second_ns = unit.since_midnight(&mut self.clock, seconds, stamp_ns);
                unit.second_ns.is_none().then_some(i64::from(seconds))
            }
            _ => None,
        };
        let offset_ns = message.offset_ns();
        let impossible = offset_ns.filter(|offset| u64::from(*offset) >= NS_PER_SEC).map(i64::from);
        if let Some(value) = value.or(impossible) {
            return out.broken(Rule::TimeImpossible, at.arrival, at.seq, value);
        }
        let (Some(second_ns), Some(offset_ns)) = (unit.second_ns, offset_ns) else { return };
        at.ts_event = second_ns.saturating_add(u64::from(offset_ns));
        out.event_time(at.arrival, at.ts_event);
        let (delta, saturated) = in_delta(stamp_ns, at.ts_event);
        at.delta = delta;
        if saturated && !self.delta_said {
            self.delta_said = true;
            out.broken(Rule::TooWide, at.arrival, at.seq, crate::time::delta_ns(stamp_ns, at.ts_event));
        }
    }

    fn add(&mut self, unit: &mut Unit, add: &Add<'_>, at: &At<'_>, out: &mut Output) {
        let side = match add.side {
            b'B' => Side::Bid,
            b'S' => Side::Ask,
            other => return out.broken(Rule::FieldUnknown, at.arrival, at.seq, other.into()),
        };
        let Some((place, instrument)) = self.instrument(add.symbol, at, out) else { return };
        let price = checked(add.quantity, add.price, instrument.signed, at, out);
        let order = Order { instrument: place, side, price, quantity: add.quantity.into() };
        unit.enter(add.order, &order, at, out);
        let (order, side) = (add.order, letter(side));
        self.publisher.mbo(
            at,
            out,
            Mbo { id: instrument.id, order, action: b'A', side, price, size: add.quantity },
        );
    }

    fn executed(&mut self, unit: &mut Unit, executed: &Executed<'_>, at: &At<'_>, out: &mut Output) {
        if executed.quantity == 0 {
            out.broken(Rule::QuantityZero, at.arrival, at.seq, 0);
        }
        let Some(before) = unit.books().and_then(|books| books.orders().get(executed.order)) else {
            return unit.state_rule(Rule::OrderUnknown, at, executed.order.cast_signed(), out);
        };
        let known = self.known(before.instrument);
        let price = match executed.at {
            Some(remaining) => price_of(remaining.price, known.signed, at, out),
            None => before.price,
        };
        self.publisher.traded(at, out, known.id, letter(before.side.opposite()), price, executed.quantity);
        let (order, size) = (executed.order, executed.quantity);
        self.publisher.mbo(
            at,
            out,
            Mbo { id: known.id, order, action: b'F', side: letter(before.side), price, size },
        );
        match executed.at.map(|remaining| u64::from(remaining.quantity)) {
            None => self.reduce(unit, order, size, at, out),
            Some(left) if left <= before.quantity => {
                let taken = before.quantity - left;
                if taken > 0 {
                    self.reduce(unit, order, size32(taken), at, out);
                }
            }
            Some(left) => self.change(unit, order, before.price, size32(left), at, out),
        }
    }

    /// Takes from an order, and says so. What cannot be taken breaks a rule.
    fn reduce(&self, unit: &mut Unit, number: u64, quantity: u32, at: &At<'_>, out: &mut Output) {
        if quantity == 0 {
            out.broken(Rule::QuantityZero, at.arrival, at.seq, 0);
        }
        let reduced = unit.books().map_or(Err(Fault::Unknown), |books| books.reduce(number, quantity.into()));
        match reduced {
            Ok(Reduced { before, .. }) => self.gone(number, &before, quantity, at, out),
            Err(Fault::Negative(before)) => {
                unit.state_rule(Rule::QuantityNegative, at, i64::from(quantity), out);
                self.gone(number, &before, quantity, at, out);
            }
            Err(_) => unit.state_rule(Rule::OrderUnknown, at, number.cast_signed(), out),
        }
    }

    fn modify(&mut self, unit: &mut Unit, modify: &Modify<'_>, at: &At<'_>, out: &mut Output) {
        let before = unit.books().and_then(|books| books.orders().get(modify.order));
        let Some(before) = before else {
            return unit.state_rule(Rule::OrderUnknown, at, modify.order.cast_signed(), out);
        };
        let signed = self.known(before.instrument).signed;
        let price = checked(modify.quantity, modify.price, signed, at, out);
        self.change(unit, modify.order, price, modify.quantity, at, out);
    }

    /// An order keeps its number and has another price or quantity.
    fn change(&self, unit: &mut Unit, number: u64, price: i64, size: u32, at: &At<'_>, out: &mut Output) {
        let Some(before) = unit.books().and_then(|books| books.orders().get(number)) else { return };
        let changed = unit.books().map(|books| books.replace(number, number, price, size.into()));
        if !matches!(changed, Some(Ok(_))) {
            unit.full(number, at, out);
        }
        let (id, side) = (self.known(before.instrument).id, letter(before.side));
        self.publisher.mbo(at, out, Mbo { id, order: number, action: b'M', side, price, size });
    }

    /// The Cancel that takes `size` of an order away.
    fn gone(&self, number: u64, order: &Order, size: u32, at: &At<'_>, out: &mut Output) {
        let (id, side) = (self.known(order.instrument).id, letter(order.side));
        self.publisher.mbo(at, out, Mbo { id, order: number, action: b'C', side, price: order.price, size });
    }

    fn trade(&mut self, trade: &Trade<'_>, at: &At<'_>, out: &mut Output) {
        let Some((_, instrument)) = self.instrument(trade.symbol, at, out) else { return };
        let price = checked(trade.quantity, trade.price, instrument.signed, at, out);
        self.publisher.traded(at, out, instrument.id, b'N', price, trade.quantity);
    }

    /// The unit's orders are gone.
    fn clear(&self, unit: &mut Unit, at: &At<'_>, out: &mut Output) {
        if let Some(books) = unit.books() {
            for (place, instrument) in (0..).zip(&self.instruments) {
                if books.book(place).is_some_and(|book| !book.is_empty()) {
                    let (price, side) = (UNDEF_PRICE, b'N');
                    let clear = Mbo { id: instrument.id, order: 0, action: b'R', side, price, size: 0 };
                    self.publisher.mbo(at, out, clear);
                }
            }
            books.clear();
        }
        unit.incomplete = false;
    }

    fn known(&self, place: u32) -> Instrument {
        // Places come from `instrument`: every order has one.
        self.instruments.get(place as usize).copied().unwrap_or(Instrument { id: 0, signed: false })
    }

    /// The instrument that the feed writes as `symbol`; a new one is said in the side table. `None` if there is no room for it.
    fn instrument(&mut self, symbol: &[u8], at: &At<'_>, out: &mut Output) -> Option<(u32, Instrument)> {
        let key = key(symbol);
        if let Some(place) = self.places.get(&key) {
            return Some((*place, self.known(*place)));
        }
        let room = self.instruments.len() < MAX_INSTRUMENTS;
        let Some(place) = u32::try_from(self.instruments.len()).ok().filter(|_| room) else {
            out.broken(Rule::InstrumentsFull, at.arrival, at.seq, 0);
            return None;
        };
        let written = key.trim_ascii().escape_ascii().to_string();
        let id = self.wanted.get(&written).copied().unwrap_or_else(|| self.fresh_id());
        self.symbols.learn(id, &key, at.arrival, out);
        let instrument = Instrument { id, signed: false };
        self.places.insert(key, place);
        self.instruments.push(instrument);
        Some((place, instrument))
    }

    /// The next number that the configuration does not give to another.
    fn fresh_id(&mut self) -> u32 {
        while self.wanted.values().any(|id| *id == self.next_id) {
            self.next_id += 1;
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Takes a unit out, to be put back with [`Pitch::put_back`]. `None` if there are too many.
    fn unit(&mut self, space: &Space) -> Option<Unit> {
        let [number, ..] = space.0;
        match self.units.iter().position(|unit| unit.number == number) {
            Some(at) => Some(self.units.swap_remove(at)),
            None if self.units.len() < unit::MAX_UNITS => Some(Unit::new(number)),
            None => None,
        }
    }

    fn put_back(&mut self, unit: Unit) {
        self.units.push(unit);
    }
}

/// A price in 1e-9; what does not fit is undefined, and breaks a rule.
fn price_of(price: Price, signed: bool, at: &At<'_>, out: &mut Output) -> i64 {
    price.nanos(signed).filter(|price| *price != UNDEF_PRICE).unwrap_or_else(|| {
        out.broken(Rule::PriceInvalid, at.arrival, at.seq, i64::MAX);
        UNDEF_PRICE
    })
}

/// Judges the quantity and price of an order or trade; answers the price in 1e-9.
fn checked(quantity: u32, price: Price, signed: bool, at: &At<'_>, out: &mut Output) -> i64 {
    if quantity == 0 {
        out.broken(Rule::QuantityZero, at.arrival, at.seq, 0);
    }
    let price = price_of(price, signed, at, out);
    if !signed && price == 0 {
        out.broken(Rule::PriceInvalid, at.arrival, at.seq, 0);
    }
    price
}

impl Normalizer for Pitch {
    fn packet(&mut self, arrival: &Arrival, frame: &Frame<'_>, skip: u32, out: &mut Output) {
        let header = &frame.header;
        let bad_stamp = self.stamps.flag(arrival);
        if header.messages <= skip || !header.numbers_messages {
            return;
        }
        let Some(mut unit) = self.unit(&header.space) else {
            return out.broken(Rule::OrdersFull, arrival, header.first, header.space.0[0].into());
        };
        unit.begin(header.first);
        self.delta_said = false;
        self.end.begin(out);
        let mut seen = 0;
        for (seq, message) in (header.first..).zip(frame.messages()) {
            seen += 1;
            if seen > skip {
                let doubt = if unit.incomplete { flags::MAYBE_BAD_BOOK } else { 0 };
                let flags = bad_stamp | doubt;
                let at = At { arrival, seq, ts_event: UNDEF_TIMESTAMP, delta: 0, flags };
                self.message(&mut unit, message, at, out);
            }
        }
        // Messages that the capture cut off.
        unit.incomplete |= seen < header.messages;
        self.put_back(unit);
        self.end.finish(out);
    }

    /// It is not said in which unit: all are doubted, and a Time message may have been among what is missing.
    fn gap(&mut self, _arrival: &Arrival, _out: &mut Output) {
        for unit in &mut self.units {
            unit.incomplete = true;
            unit.second_ns = None;
        }
    }

    fn reset(&mut self, arrival: &Arrival, out: &mut Output) {
        let mut numbers: Vec<u8> = self.units.iter().map(|unit| unit.number).collect();
        numbers.sort_unstable();
        for number in numbers {
            self.reset_space(&Space::of(&[number]), arrival, out);
        }
    }

    fn reset_space(&mut self, space: &Space, arrival: &Arrival, out: &mut Output) {
        let [number, mark, ..] = space.0;
        if mark != 0 || !self.units.iter().any(|unit| unit.number == number) {
            return;
        }
        let Some(mut unit) = self.unit(space) else { return };
        let flags = self.stamps.flag(arrival);
        let at = At { arrival, seq: 0, ts_event: arrival.stamp.ns, delta: 0, flags };
        self.end.begin(out);
        self.clear(&mut unit, &at, out);
        self.end.finish(out);
        unit.restart();
        self.put_back(unit);
    }

    fn tick(&mut self, _now_ns: u64, _out: &mut Output) {}

    fn symbols(&self) -> &[(u32, String)] {
        self.symbols.list()
    }
}

/// A message's name as the tables have it.
fn name_of(message: &Message<'_>) -> &'static str {
    layout::lookup(message.kind()).map_or("unknown", |layout| layout.name)
}

#[cfg(test)]
mod tests;
