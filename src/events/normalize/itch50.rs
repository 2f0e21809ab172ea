//! Nasdaq TotalView-ITCH 5.0 made into DBN, by the conventions that Databento documents for its dataset XNAS.ITCH:
//!
//! | message | MBO | besides |
//! |---|---|---|
//! | `A` `F` add | Add (the participant of `F` has no field) | |
//! | `E` executed | Trade (order 0, side of the aggressor), Fill, Cancel (order and its side; what was executed) | Trades |
//! | `C` executed with price | as `E`, with the execution's price in Trade and Fill; not printable: no Trade | Trades, if printable |
//! | `X` cancel | Cancel of what was cancelled | |
//! | `D` delete | Cancel of what was left | |
//! | `U` replace | Cancel of the old number, Add of the new | |
//! | `P` trade, `Q` cross | Trade (order 0, no side) | Trades; Statistics for an opening or closing cross |
//! | `R` directory | | Definition, side row with the fields that it has no place for |
//! | `H` `Y` `h` | | Status |
//! | `I` imbalance | | Imbalance |
//! | `B` broken trade | | side row |
//! | `S` `L` `V` `W` `K` `J` `N` `O` | | side row with the fields |
//! | new sequence space | cleaR, for each instrument with orders | |
//!
//! The instrument id is the locate code, unless the feed's `symbols` has another for the stock. Match numbers have no field
//! in DBN; they stay on the tape.
//!
//! Rules: what an order's message says must fit the orders known ([`crate::book`]). After a gap, or if the capture began after
//! the first message, orders are missing by rights: broken state rules are then counted only, and records flagged
//! `MAYBE_BAD_BOOK`, until a new sequence space begins. A book may be crossed while the stock is halted, paused or quoted only
//! (orders gather for an auction); otherwise for no longer than the limit. Where a rule is broken and the message can be read, the
//! record says what the message says.

mod reference;

use super::Normalizer;
use super::common::{DayClock, PacketEnd, StampWatch, Symbols, in_delta, price4};
use super::order_records::{At, Mbo, Publisher, letter, size32};
use crate::book::{Books, Fault, Order, Side};
use crate::events::output::{Arrival, Output};
use crate::events::rules::Rule;
use crate::events::side::SideRow;
use crate::feed::itch50::messages::{
    AddOrder, Common, Message, OrderCancel, OrderDelete, OrderExecuted, OrderExecutedPrice, OrderReplace,
    Trade,
};
use crate::feed::itch50::{Kind, check};
use crate::feed::{FeedConfig, Frame};
use crate::sys::advice::{prefer_huge_pages, prefetch};
use crate::time::{Stamp, StampClock};
use dbn::{UNDEF_PRICE, UNDEF_TIMESTAMP, flags};
use std::collections::BTreeMap;

/// Live orders that there is room for: more than Nasdaq has at once. 256 MiB, of which is touched what is used.
const ORDERS: usize = 1 << 22;
/// So many messages are looked over before they are worked on, so that their memory comes while the first is worked on.
const AHEAD: usize = 32;
/// The highest price of the specification, 200,000 dollars.
const MAX_PRICE: u32 = 2_000_000_000;
/// Crossed books are looked at this often within the limit.
const LOOKS: u64 = 16;

/// What is known of an instrument.
#[derive(Clone, Copy, Default, Debug)]
struct Instrument {
    /// Its id in records.
    id: u32,
    /// Trading state as the last `H` said; 0 = none yet.
    state: u8,
    /// Its id and symbol are settled.
    known: bool,
    /// It stands in [`Itch50::crossed`].
    listed: bool,
    /// Since when its book is crossed, ns of tape time; 0 = it is not.
    crossed_ns: u64,
}

impl Instrument {
    /// True if crossed orders would trade.
    const fn trades(&self) -> bool {
        !matches!(self.state, b'H' | b'P' | b'Q')
    }
}

/// Makes events of ITCH 5.0.
#[derive(Debug)]
pub struct Itch50 {
    publisher: Publisher,
    wanted: BTreeMap<String, u32>,
    crossed_limit_ns: u64,
    clock: DayClock,
    stamps: StampWatch,
    end: PacketEnd,
    symbols: Symbols,
    books: Books,
    /// By locate code.
    instruments: Vec<Instrument>,
    /// Instruments that are or were crossed, and when they are looked at next.
    crossed: Vec<u32>,
    look_ns: u64,
    /// A message of this sequence space was seen.
    begun: bool,
    /// Orders are missing by rights.
    incomplete: bool,
    /// High half of the last sequence number.
    sequence_high: u64,
    /// A time in this packet was too far from its stamp.
    delta_said: bool,
    text: String,
}

impl Itch50 {
    /// For a feed, with room for more orders than Nasdaq has.
    pub fn new(feed: &FeedConfig) -> Self {
        Self::with_capacity(feed, ORDERS)
    }

    /// For a feed, with room for `orders` live orders.
    pub fn with_capacity(feed: &FeedConfig, orders: usize) -> Self {
        let books = Books::with_capacity(orders);
        prefer_huge_pages(books.orders().memory());
        Self {
            publisher: Publisher::of(feed),
            wanted: feed.symbols.clone(),
            crossed_limit_ns: u64::from(feed.limits.crossed_ms) * 1_000_000,
            clock: DayClock::new(feed.utc_offset_s),
            stamps: StampWatch::default(),
            end: PacketEnd::default(),
            symbols: Symbols::default(),
            books,
            instruments: Vec::new(),
            crossed: Vec::new(),
            look_ns: 0,
            begun: false,
            incomplete: false,
            sequence_high: 0,
            delta_said: false,
            text: String::new(),
        }
    }

    /// The orders and books as they are.
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// Asks for the memory that these messages will need: first for the orders and the books, then, when these are
    /// here, for the levels that the books point to.
    #[inline]
    fn prepare<'m>(&self, messages: impl Iterator<Item = &'m [u8]>) {
        let mut locates = [0_u32; AHEAD];
        let mut count = 0;
        for (message, place) in messages.zip(&mut locates) {
            // Every type of an order's life has its number where `D` has it; for others it is asked for in vain.
            let Some(OrderDelete { common, order }) = OrderDelete::decode(message) else { continue };
            prefetch(self.books.orders().home_slot(order));
            *place = common.locate.into();
            count += 1;
            if let Some(book) = self.books.book(*place) {
                prefetch(book);
            }
        }
        for locate in locates.iter().take(count) {
            if let Some(book) = self.books.book(*locate) {
                book.near_best().for_each(prefetch);
            }
        }
    }

    #[inline]
    fn message(&mut self, message: &[u8], mut at: At<'_>, out: &mut Output) {
        let Ok(Kind::Known(layout)) = check(message) else {
            // What cannot be read may have been about an order.
            self.incomplete |= check(message).is_err();
            return;
        };
        let Some((common, _)) = Common::split(message) else { return };
        self.time(&mut at, common.timestamp_ns, out);
        match layout.kind {
            b'A' | b'F' => self.with(message, |this, m| this.add(&at, m, out)),
            b'D' => self.with(message, |this, m| this.delete(&at, m, out)),
            b'U' => self.with(message, |this, m| this.replace(&at, m, out)),
            b'E' => self.with(message, |this, m| this.executed(&at, m, out)),
            b'X' => self.with(message, |this, m| this.cancel(&at, m, out)),
            b'C' => self.with(message, |this, m| this.executed_price(&at, m, out)),
            b'P' => self.with(message, |this, m| this.trade(&at, m, out)),
            b'Q' => self.with(message, |this, m| this.cross(&at, m, out)),
            kind => self.reference(kind, message, &at, out),
        }
    }

    #[inline]
    fn with<M: Message>(&mut self, message: &[u8], then: impl FnOnce(&mut Self, &M)) {
        if let Some(message) = M::decode(message) {
            then(self, &message);
        }
    }

    /// Completes the message's times.
    #[inline]
    fn time(&mut self, at: &mut At<'_>, since_midnight_ns: u64, out: &mut Output) {
        let Some(ts_event) = self.clock.utc_ns(since_midnight_ns, at.arrival.stamp.ns) else {
            let value = i64::try_from(since_midnight_ns).unwrap_or(i64::MAX);
            out.broken(Rule::TimeImpossible, at.arrival, at.seq, value);
            return;
        };
        let (delta, saturated) = in_delta(at.arrival.stamp.ns, ts_event);
        out.event_time(at.arrival, ts_event);
        at.ts_event = ts_event;
        at.delta = delta;
        if saturated && !self.delta_said {
            self.delta_said = true;
            let delta_ns = crate::time::delta_ns(at.arrival.stamp.ns, ts_event);
            out.broken(Rule::TooWide, at.arrival, at.seq, delta_ns);
        }
    }

    fn add(&mut self, at: &At<'_>, add: &AddOrder, out: &mut Output) {
        let side = match add.side {
            b'B' => Side::Bid,
            b'S' => Side::Ask,
            other => return out.broken(Rule::FieldUnknown, at.arrival, at.seq, other.into()),
        };
        let locate = add.common.locate;
        let id = self.instrument(at, locate, add.stock, out).id;
        let price = check_order(at, add.shares, add.price, out);
        let order = Order { instrument: locate.into(), side, price, quantity: add.shares.into() };
        self.enter(at, add.order, &order, out);
        self.publisher.mbo(
            at,
            out,
            Mbo { id, order: add.order, action: b'A', side: letter(side), price, size: add.shares },
        );
    }

    /// Puts an order into its book.
    #[inline]
    fn enter(&mut self, at: &At<'_>, number: u64, order: &Order, out: &mut Output) {
        if let Err(fault) = self.books.add(number, order) {
            self.not_entered(at, number, order, fault, out);
        }
        self.look_crossed(at, order.instrument);
    }

    #[cold]
    fn not_entered(&mut self, at: &At<'_>, number: u64, order: &Order, fault: Fault, out: &mut Output) {
        if fault == Fault::Duplicate {
            self.state_rule(Rule::OrderDuplicate, at, number.cast_signed(), out);
            // The exchange knows better which order has the number now.
            let _ = self.books.delete(number);
            if self.books.add(number, order).is_ok() {
                return;
            }
        }
        self.state_rule(Rule::OrdersFull, at, number.cast_signed(), out);
        self.incomplete = true;
    }

    fn delete(&mut self, at: &At<'_>, delete: &OrderDelete, out: &mut Output) {
        let Ok(order) = self.books.delete(delete.order) else {
            return self.state_rule(Rule::OrderUnknown, at, delete.order.cast_signed(), out);
        };
        let size = size32(order.quantity);
        self.gone(at, delete.order, &order, size, out);
    }

    fn cancel(&mut self, at: &At<'_>, cancel: &OrderCancel, out: &mut Output) {
        if let Some(order) = self.reduce(at, cancel.order, cancel.shares, out) {
            self.gone(at, cancel.order, &order, cancel.shares, out);
        }
    }

    fn replace(&mut self, at: &At<'_>, replace: &OrderReplace, out: &mut Output) {
        let price = check_order(at, replace.shares, replace.price, out);
        let (old, new, shares) = (replace.old_order, replace.new_order, replace.shares);
        let before = match self.books.replace(old, new, price, shares.into()) {
            Ok(before) => before,
            Err(Fault::Unknown) => return self.state_rule(Rule::OrderUnknown, at, old.cast_signed(), out),
            Err(fault) => match self.replace_apart(at, replace, price, fault, out) {
                Some(before) => before,
                None => return,
            },
        };
        self.look_crossed(at, before.instrument);
        self.gone(at, old, &before, size32(before.quantity), out);
        let (id, side) = (self.id(before.instrument), letter(before.side));
        self.publisher.mbo(at, out, Mbo { id, order: new, action: b'A', side, price, size: shares });
    }

    /// A replacement whose new number is in use, or has no room: done in two steps.
    #[cold]
    fn replace_apart(
        &mut self,
        at: &At<'_>,
        replace: &OrderReplace,
        price: i64,
        fault: Fault,
        out: &mut Output,
    ) -> Option<Order> {
        if fault != Fault::Duplicate {
            self.state_rule(Rule::OrdersFull, at, replace.new_order.cast_signed(), out);
            self.incomplete = true;
            return None;
        }
        let before = self.books.delete(replace.old_order).ok()?;
        let order = Order { price, quantity: replace.shares.into(), ..before };
        self.not_entered(at, replace.new_order, &order, fault, out);
        Some(before)
    }

    fn executed(&mut self, at: &At<'_>, executed: &OrderExecuted, out: &mut Output) {
        let Some(order) = self.reduce(at, executed.order, executed.shares, out) else { return };
        self.fill(at, executed.order, &order, order.price, executed.shares, true, out);
    }

    fn executed_price(&mut self, at: &At<'_>, executed: &OrderExecutedPrice, out: &mut Output) {
        if !matches!(executed.printable, b'Y' | b'N') {
            out.broken(Rule::FieldUnknown, at.arrival, at.seq, executed.printable.into());
        }
        let (price, printable) = (price4(executed.price), executed.printable == b'Y');
        if let Some(order) = self.reduce(at, executed.order, executed.shares, out) {
            self.fill(at, executed.order, &order, price, executed.shares, printable, out);
        } else if printable {
            // The order is not known, what was traded is.
            let id = self.settle(executed.common.locate).id;
            self.publisher.traded(at, out, id, b'N', price, executed.shares);
        }
    }

    /// Takes from an order; answers what it was. What cannot be taken breaks a rule.
    #[inline]
    fn reduce(&mut self, at: &At<'_>, number: u64, shares: u32, out: &mut Output) -> Option<Order> {
        if shares == 0 {
            out.broken(Rule::QuantityZero, at.arrival, at.seq, 0);
        }
        match self.books.reduce(number, shares.into()) {
            Ok(reduced) => Some(reduced.before),
            Err(Fault::Negative(before)) => {
                self.state_rule(Rule::QuantityNegative, at, i64::from(shares), out);
                Some(before)
            }
            Err(_) => {
                self.state_rule(Rule::OrderUnknown, at, number.cast_signed(), out);
                None
            }
        }
    }

    /// The records of an execution.
    #[expect(clippy::too_many_arguments, reason = "what an execution is")]
    #[inline]
    fn fill(
        &mut self,
        at: &At<'_>,
        number: u64,
        order: &Order,
        price: i64,
        size: u32,
        printable: bool,
        out: &mut Output,
    ) {
        let id = self.id(order.instrument);
        if printable {
            self.publisher.traded(at, out, id, letter(order.side.opposite()), price, size);
        }
        let side = letter(order.side);
        self.publisher.mbo(at, out, Mbo { id, order: number, action: b'F', side, price, size });
        self.gone(at, number, order, size, out);
    }

    /// The Cancel that takes `size` of an order away.
    #[inline]
    fn gone(&mut self, at: &At<'_>, number: u64, order: &Order, size: u32, out: &mut Output) {
        let Some(instrument) = self.instruments.get(order.instrument as usize) else { return };
        let (id, side) = (instrument.id, letter(order.side));
        if instrument.crossed_ns > 0 {
            self.look_crossed(at, order.instrument);
        }
        self.publisher.mbo(at, out, Mbo { id, order: number, action: b'C', side, price: order.price, size });
    }

    fn trade(&mut self, at: &At<'_>, trade: &Trade, out: &mut Output) {
        let id = self.instrument(at, trade.common.locate, trade.stock, out).id;
        let price = check_order(at, trade.shares, trade.price, out);
        // The specification fixes the side field: it says nothing.
        self.publisher.traded(at, out, id, b'N', price, trade.shares);
    }

    /// A rule about the state of orders: where orders are missing by rights, it is counted only.
    fn state_rule(&self, rule: Rule, at: &At<'_>, value: i64, out: &mut Output) {
        if self.incomplete {
            out.rules.broken(rule);
        } else {
            out.broken(rule, at.arrival, at.seq, value);
        }
    }

    #[inline]
    fn id(&self, instrument: u32) -> u32 {
        self.instruments.get(instrument as usize).map_or(instrument, |known| known.id)
    }

    /// The instrument of a message that names its stock.
    #[inline]
    fn instrument(&mut self, at: &At<'_>, locate: u16, stock: [u8; 8], out: &mut Output) -> Instrument {
        match self.instruments.get(usize::from(locate)) {
            Some(instrument) if instrument.known => *instrument,
            _ => {
                out.broken(Rule::InstrumentUnknown, at.arrival, at.seq, locate.into());
                self.learn(at, locate, stock, out)
            }
        }
    }

    /// Settles an instrument's id and symbol.
    #[cold]
    fn learn(&mut self, at: &At<'_>, locate: u16, stock: [u8; 8], out: &mut Output) -> Instrument {
        let symbol = stock.trim_ascii().escape_ascii().to_string();
        let id = self.wanted.get(&symbol).copied().unwrap_or_else(|| locate.into());
        self.symbols.learn(id, &stock, at.arrival, out);
        let instrument = self.settle(locate);
        *instrument = Instrument { id, known: true, ..*instrument };
        *instrument
    }

    /// The instrument's entry, made if there is none.
    fn settle(&mut self, locate: u16) -> &mut Instrument {
        let at = usize::from(locate);
        while self.instruments.len() <= at {
            let id = u32::try_from(self.instruments.len()).unwrap_or(0);
            self.instruments.push(Instrument { id, ..Instrument::default() });
        }
        &mut self.instruments[at]
    }

    /// Notes whether an instrument's book is crossed, and since when.
    #[inline]
    fn look_crossed(&mut self, at: &At<'_>, instrument: u32) {
        let crossed = self.books.book(instrument).is_some_and(crate::book::Book::is_crossed);
        let Some(entry) = self.instruments.get_mut(instrument as usize) else { return };
        if !crossed || !entry.trades() {
            entry.crossed_ns = 0;
            return;
        }
        if entry.crossed_ns == 0 {
            entry.crossed_ns = at.arrival.stamp.ns.max(1);
            if !entry.listed {
                entry.listed = true;
                self.crossed.push(instrument);
            }
        }
    }

    /// Says which books have been crossed for too long.
    #[inline]
    fn crossed_too_long(&mut self, arrival: &Arrival, out: &mut Output) {
        if !self.crossed.is_empty() && arrival.stamp.ns >= self.look_ns {
            self.say_crossed(arrival, out);
        }
    }

    #[cold]
    fn say_crossed(&mut self, arrival: &Arrival, out: &mut Output) {
        let (now_ns, limit_ns) = (arrival.stamp.ns, self.crossed_limit_ns);
        self.look_ns = now_ns.saturating_add(limit_ns / LOOKS);
        let (instruments, incomplete) = (&mut self.instruments, self.incomplete);
        self.crossed.retain(|instrument| {
            let Some(entry) = instruments.get_mut(*instrument as usize) else { return false };
            let too_long = entry.crossed_ns > 0 && now_ns.saturating_sub(entry.crossed_ns) > limit_ns;
            if too_long && limit_ns > 0 {
                if incomplete {
                    out.rules.broken(Rule::BookCrossed);
                } else {
                    out.broken(Rule::BookCrossed, arrival, 0, entry.id.into());
                }
            }
            // Said once; it is listed again when it is crossed anew.
            entry.listed = entry.crossed_ns > 0 && !too_long;
            entry.listed
        });
    }

    /// Sequence numbers beyond 32 bits: DBN carries the low half, the side table says when the high one changes.
    #[cold]
    fn new_high(&mut self, arrival: &Arrival, seq: u64, out: &mut Output) {
        self.sequence_high = seq >> 32;
        if self.sequence_high > 0 {
            out.broken(Rule::TooWide, arrival, seq, seq.cast_signed());
            let at_ns = arrival.stamp.ns;
            out.side(&SideRow::Wide { at_ns, instrument_id: 0, seq, field: "sequence", value: seq });
        }
    }
}

/// Judges the quantity and price of an order or trade; answers the price in 1e-9.
#[inline]
fn check_order(at: &At<'_>, shares: u32, price: u32, out: &mut Output) -> i64 {
    if shares == 0 {
        out.broken(Rule::QuantityZero, at.arrival, at.seq, 0);
    }
    if price == 0 || price > MAX_PRICE {
        out.broken(Rule::PriceInvalid, at.arrival, at.seq, price4(price));
    }
    price4(price)
}

impl Normalizer for Itch50 {
    fn packet(&mut self, arrival: &Arrival, frame: &Frame<'_>, skip: u32, out: &mut Output) {
        let bad_stamp = self.stamps.flag(arrival);
        if frame.header.messages <= skip {
            return self.crossed_too_long(arrival, out);
        }
        // Joined in the middle: what came before is missing.
        self.incomplete |= !self.begun && frame.header.first > 1;
        self.begun = true;
        self.delta_said = false;
        self.end.begin(out);
        let mut messages = frame.messages();
        let mut seq = frame.header.first;
        for _ in 0..skip {
            messages.next();
            seq = seq.wrapping_add(1);
        }
        let mut ahead = messages.clone();
        loop {
            self.prepare(ahead.by_ref().take(AHEAD));
            let mut any = false;
            for message in messages.by_ref().take(AHEAD) {
                any = true;
                if seq >> 32 != self.sequence_high {
                    self.new_high(arrival, seq, out);
                }
                let doubt = if self.incomplete { flags::MAYBE_BAD_BOOK } else { 0 };
                let flags = bad_stamp | doubt;
                self.message(message, At { arrival, seq, ts_event: UNDEF_TIMESTAMP, delta: 0, flags }, out);
                seq = seq.wrapping_add(1);
            }
            if !any {
                break;
            }
        }
        // Messages that the capture cut off.
        self.incomplete |= seq != frame.header.first.wrapping_add(frame.header.messages.into());
        self.end.finish(out);
        self.crossed_too_long(arrival, out);
    }

    fn gap(&mut self, _arrival: &Arrival, _out: &mut Output) {
        self.incomplete = true;
    }

    fn reset(&mut self, arrival: &Arrival, out: &mut Output) {
        self.end.begin(out);
        let flags = self.stamps.flag(arrival);
        let at = At { arrival, seq: 0, ts_event: arrival.stamp.ns, delta: 0, flags };
        for instrument in 0..u32::try_from(self.instruments.len()).unwrap_or(0) {
            if self.books.book(instrument).is_some_and(|book| !book.is_empty()) {
                let id = self.id(instrument);
                let clear = Mbo { id, order: 0, action: b'R', side: b'N', price: UNDEF_PRICE, size: 0 };
                self.publisher.mbo(&at, out, clear);
            }
        }
        self.end.finish(out);
        self.books.clear();
        prefer_huge_pages(self.books.orders().memory());
        for instrument in &mut self.instruments {
            (instrument.state, instrument.crossed_ns, instrument.listed) = (0, 0, false);
        }
        self.crossed.clear();
        (self.begun, self.incomplete, self.sequence_high) = (false, false, 0);
    }

    fn tick(&mut self, now_ns: u64, out: &mut Output) {
        // About no line.
        let arrival = Arrival { stamp: Stamp::new(now_ns, StampClock::NONE), line: usize::MAX };
        self.crossed_too_long(&arrival, out);
    }

    fn symbols(&self) -> &[(u32, String)] {
        self.symbols.list()
    }
}
