//! Orders of DEEP+ as `mbo`.
//!
//! | message | records |
//! |---|---|
//! | add order | A |
//! | order modify | M with price and size from now on; the side is that of the order |
//! | order delete | C of all that was left |
//! | order executed | T (side of the aggressor, no order number), F (the resting order), C of what was executed; and `trades` |
//! | clear book, new sequence space | R (of a new space: for each instrument that had orders) |
//! | trade (between orders that are not displayed) | T without side; and `trades` |
//!
//! An order that was never added has no side here: the record says N (and [`Rule::OrderUnknown`] that it is so).

use super::quotes::Quote;
use super::{Iex, Moment};
use crate::book::{self, Fault, Order, Orders};
use crate::events::normalize::common::c;
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::feed::iex::{AddOrder, Message, OrderDelete, OrderExecuted, OrderModify};
use dbn::{Action, MboMsg, Schema, Side, UNDEF_PRICE, rtype};

/// The orders that rest. The table is made when the first order comes: TOPS and DEEP have none.
#[derive(Debug)]
pub(super) struct LiveOrders {
    capacity: usize,
    table: Option<Orders>,
}

impl LiveOrders {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { capacity, table: None }
    }
    fn table(&mut self) -> &mut Orders {
        self.table.get_or_insert_with(|| Orders::with_capacity(self.capacity))
    }
    pub(super) fn clear(&mut self) {
        if let Some(orders) = &mut self.table {
            orders.clear();
        }
    }
}

/// One record, but for what the moment says.
struct Mbo {
    action: Action,
    order: u64,
    side: Side,
    price: i64,
    size: u32,
}

const fn side_in(side: book::Side) -> Side {
    match side {
        book::Side::Bid => Side::Bid,
        book::Side::Ask => Side::Ask,
    }
}

/// Never more than a message's 32 bits: quantities come from there.
fn size_in(quantity: u64) -> u32 {
    u32::try_from(quantity).unwrap_or(u32::MAX)
}

impl Iex {
    pub(super) fn order(&mut self, message: &Message<'_>, at: usize, moment: &Moment, out: &mut Output) {
        match message {
            Message::AddOrder(add) => self.add(*add, at, moment, out),
            Message::OrderModify(modify) => self.modify(*modify, at, moment, out),
            Message::OrderDelete(delete) => self.delete(*delete, at, moment, out),
            Message::OrderExecuted(executed) => self.executed(*executed, at, moment, out),
            _ => self.clear_book(at, moment, out),
        }
    }

    /// An instrument's book, as the order table numbers them: another one after each clear book message.
    fn book_of(&self, at: usize) -> u32 {
        let cleared = self.instruments.get(at).map_or(0, |instrument| instrument.cleared);
        // Places are below 2^16: `MAX_SYMBOLS`.
        u32::from(cleared) << 16 | u32::try_from(at & 0xffff).unwrap_or(0)
    }

    /// The live order, if it is one of the instrument's book.
    fn live(&mut self, number: u64, at: usize, moment: &Moment, out: &mut Output) -> Option<Order> {
        let book = self.book_of(at);
        let live = self.orders.table().get(number).filter(|order| order.instrument == book);
        if live.is_none() {
            moment.state_rule(Rule::OrderUnknown, self.is_whole(at, moment), number.cast_signed(), out);
        }
        live
    }

    fn is_whole(&self, at: usize, moment: &Moment) -> bool {
        self.instruments.get(at).is_some_and(|instrument| moment.is_whole(instrument))
    }

    pub(super) fn put_mbo(
        &mut self,
        at: usize,
        action: Action,
        side: Side,
        price_and_size: (i64, u32),
        moment: &Moment,
        out: &mut Output,
    ) {
        let (price, size) = price_and_size;
        self.put_order(at, &Mbo { action, order: 0, side, price, size }, moment, out);
    }

    fn put_order(&mut self, at: usize, mbo: &Mbo, moment: &Moment, out: &mut Output) {
        let Some(instrument) = self.instruments.get_mut(at) else { return };
        instrument.has_orders |= mbo.action == Action::Add;
        let (id, flags) = (instrument.id, moment.flags_of(instrument));
        let record = MboMsg {
            hd: self.header::<MboMsg>(rtype::MBO, id, moment),
            order_id: mbo.order,
            price: mbo.price,
            size: mbo.size,
            flags,
            channel_id: self.channel_id,
            action: c(mbo.action as u8),
            side: c(mbo.side as u8),
            ts_recv: moment.arrival.stamp.ns,
            ts_in_delta: moment.ts_in_delta,
            sequence: moment.sequence(),
        };
        out.put(Schema::Mbo, &record);
    }

    fn add(&mut self, add: AddOrder<'_>, at: usize, moment: &Moment, out: &mut Output) {
        let (number, size) = (add.order().cast_unsigned(), add.size());
        let price = moment.positive_price(add.price(), out);
        moment.check_size(size, out);
        let side = match add.side() {
            b'8' => Some(book::Side::Bid),
            b'5' => Some(book::Side::Ask),
            _ => None,
        };
        if let Some(side) = side {
            let order = Order { instrument: self.book_of(at), side, price, quantity: u64::from(size) };
            self.enter(at, number, &order, moment, out);
        }
        let side = side.map_or(Side::None, side_in);
        self.put_order(at, &Mbo { action: Action::Add, order: number, side, price, size }, moment, out);
    }

    /// The newest order of a number is the one that lives.
    fn enter(&mut self, at: usize, number: u64, order: &Order, moment: &Moment, out: &mut Output) {
        let is_whole = self.is_whole(at, moment);
        let orders = self.orders.table();
        let mut entered = orders.add(number, order);
        if entered == Err(Fault::Duplicate) {
            // Of a book that was cleared since: no fault.
            if orders.get(number).is_some_and(|before| before.instrument == order.instrument) {
                moment.state_rule(Rule::OrderDuplicate, is_whole, number.cast_signed(), out);
            }
            entered = orders.delete(number).and_then(|_| orders.add(number, order));
        }
        if entered == Err(Fault::Full) {
            out.broken(Rule::OrdersFull, &moment.arrival, moment.seq, number.cast_signed());
        }
    }

    fn modify(&mut self, modify: OrderModify<'_>, at: usize, moment: &Moment, out: &mut Output) {
        let (number, size) = (modify.order().cast_unsigned(), modify.size());
        let price = moment.positive_price(modify.price(), out);
        moment.check_size(size, out);
        let before = self.live(number, at, moment, out);
        if before.is_some() && self.orders.table().replace(number, number, price, u64::from(size)).is_err() {
            out.broken(Rule::OrdersFull, &moment.arrival, moment.seq, number.cast_signed());
        }
        let side = before.map_or(Side::None, |order| side_in(order.side));
        self.put_order(at, &Mbo { action: Action::Modify, order: number, side, price, size }, moment, out);
        // Readers of `mbo` take priority to be lost with another price or more size, and kept otherwise.
        let keeps = modify.flags() & 1 != 0;
        let taken_to_keep =
            before.is_some_and(|order| order.price == price && order.quantity >= u64::from(size));
        if before.is_some() && keeps != taken_to_keep {
            let id = self.instruments.get(at).map_or(0, |instrument| instrument.id);
            self.other(&Message::OrderModify(modify), id, moment, out);
        }
    }

    fn delete(&mut self, delete: OrderDelete<'_>, at: usize, moment: &Moment, out: &mut Output) {
        let number = delete.order().cast_unsigned();
        let before = self.live(number, at, moment, out);
        let gone = before.and_then(|_| self.orders.table().delete(number).ok());
        let (side, price, size) = gone.map_or((Side::None, UNDEF_PRICE, 0), |order| {
            (side_in(order.side), order.price, size_in(order.quantity))
        });
        self.put_order(at, &Mbo { action: Action::Cancel, order: number, side, price, size }, moment, out);
    }

    fn executed(&mut self, executed: OrderExecuted<'_>, at: usize, moment: &Moment, out: &mut Output) {
        let (number, size) = (executed.order().cast_unsigned(), executed.size());
        let price = moment.positive_price(executed.price(), out);
        moment.check_size(size, out);
        let before = self.live(number, at, moment, out);
        if before.is_some()
            && let Err(Fault::Negative(_)) = self.orders.table().reduce(number, u64::from(size))
        {
            moment.state_rule(Rule::QuantityNegative, self.is_whole(at, moment), i64::from(size), out);
        }
        let rests = before.map_or(Side::None, |order| side_in(order.side));
        let takes = before.map_or(Side::None, |order| side_in(order.side.opposite()));
        self.put_mbo(at, Action::Trade, takes, (price, size), moment, out);
        self.put_order(
            at,
            &Mbo { action: Action::Fill, order: number, side: rests, price, size },
            moment,
            out,
        );
        if let Some(order) = before {
            let size = size.min(size_in(order.quantity));
            let cancel = Mbo { action: Action::Cancel, order: number, side: rests, price: order.price, size };
            self.put_order(at, &cancel, moment, out);
        }
        self.put_trade(at, takes, (price, size), moment, out);
        let id = self.instruments.get(at).map_or(0, |instrument| instrument.id);
        self.other(&Message::OrderExecuted(executed), id, moment, out);
    }

    fn clear_book(&mut self, at: usize, moment: &Moment, out: &mut Output) {
        let Some(instrument) = self.instruments.get_mut(at) else { return };
        instrument.cleared = instrument.cleared.wrapping_add(1);
        (instrument.whole_since, instrument.has_orders) = (moment.gaps, false);
        self.put_mbo(at, Action::Clear, Side::None, (UNDEF_PRICE, 0), moment, out);
    }

    /// A new sequence space: what was known of the instrument is gone.
    pub(super) fn forget(&mut self, at: usize, moment: &Moment, out: &mut Output) {
        let Some(instrument) = self.instruments.get_mut(at) else { return };
        (instrument.quote, instrument.whole_since) = (Quote::default(), moment.gaps);
        if instrument.has_orders {
            self.clear_book(at, moment, out);
        }
    }
}
