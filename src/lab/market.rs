//! A small, consistent market: what an exchange says in Nasdaq TotalView-ITCH 5.0 when orders come and go.
//!
//! Executions, cancellations, deletions and replacements name orders that are open, and never more
//! shares than are left; executions take the oldest order of the best level; no book is ever crossed. So a book built
//! from the feed stays sound, and any inconsistency that a decoder finds is a fault that was
//! injected (a [`Wish`] for one) or its own. Times never step back.

mod book;

use super::random::SplitMix64;
use crate::feed::itch50::messages::{
    AddOrder, AddOrderMpid, Common, CrossTrade, Message, OrderCancel, OrderDelete, OrderExecuted,
    OrderExecutedPrice, OrderReplace, StockDirectory, SystemEvent, Trade, TradingAction,
};
use book::{Book, Side};
use std::collections::{HashMap, VecDeque};

/// A time of day that is in no day: 26 hours.
const IMPOSSIBLE_NS: u64 = 93_600_000_000_000;
/// Orders of a book beyond which orders are taken away rather than added.
const MAX_OPEN: usize = 400;
/// Orders of a book below which orders are added.
const MIN_OPEN: usize = 6;
/// A cent, in 1/10,000 dollar.
const TICK: u32 = 100;

/// What the next message is to be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Whatever comes next.
    Any,
    /// No order: whoever misses it knows all orders as well as before.
    Neutral,
    /// The market closes.
    CloseMarket,
    /// The last message.
    CloseMessages,
    /// An execution of an order that was never added.
    OrderUnknown,
    /// An order under a number that is in use.
    OrderDuplicate,
    /// An execution of more than is left.
    QuantityNegative,
    /// A cancellation of no shares.
    QuantityZero,
    /// A bid above the best ask, to stay until [`Wish::Uncross`].
    Cross,
    /// That bid is deleted.
    Uncross,
    /// A time after the end of the day.
    TimeImpossible,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    symbol: u16,
    side: Side,
    shares: u32,
    price: u32,
}

/// The market. Each call of [`Market::say`] is one message.
#[derive(Debug)]
pub struct Market {
    random: SplitMix64,
    midnight_ns: u64,
    /// What is still to be said at the opening.
    opening: VecDeque<Opening>,
    time_ns: u64,
    last_reference: u64,
    last_match: u64,
    books: Vec<Book>,
    /// Looked up by number only: its order is never seen.
    orders: HashMap<u64, Order>,
    /// The order that crosses its book, which nothing else touches meanwhile.
    crossing: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Opening {
    Event(u8),
    Directory(u16),
    Action(u16),
}

impl Market {
    /// A market of `symbols` stocks (0 counts as 1) before its opening. Times count from `midnight_ns`, ns since the
    /// Unix epoch.
    pub fn new(seed: u64, symbols: u16, midnight_ns: u64) -> Self {
        let mut market = Self {
            random: SplitMix64::new(seed),
            midnight_ns,
            opening: VecDeque::new(),
            time_ns: 0,
            last_reference: 0,
            last_match: 0,
            books: (1..=symbols.max(1)).map(Book::new).collect(),
            orders: HashMap::new(),
            crossing: None,
        };
        market.reopen();
        market
    }

    /// A new session: no orders, and everything is announced again.
    pub fn reopen(&mut self) {
        self.orders.clear();
        self.crossing = None;
        self.books.iter_mut().for_each(Book::clear);
        let symbols = || 1..=u16::try_from(self.books.len()).unwrap_or(u16::MAX);
        self.opening = [Opening::Event(b'O')]
            .into_iter()
            .chain(symbols().map(Opening::Directory))
            .chain([Opening::Event(b'S')])
            .chain(symbols().map(Opening::Action))
            .chain([Opening::Event(b'Q')])
            .collect();
    }

    /// Appends the message that is wished for at `now_ns` (ns since the Unix epoch): first the opening events and the
    /// stocks, then orders.
    pub fn say(&mut self, wish: Wish, now_ns: u64, out: &mut Vec<u8>) {
        self.time_ns = self.time_ns.max(now_ns.saturating_sub(self.midnight_ns));
        match wish {
            Wish::Any => self.anything(out),
            Wish::Neutral => self.neutral(out),
            Wish::CloseMarket => self.event(b'M', out),
            Wish::CloseMessages => self.event(b'C', out),
            Wish::OrderUnknown => self.execute_unknown(out),
            Wish::OrderDuplicate => self.add_again(out),
            Wish::QuantityNegative => self.execute_too_much(out),
            Wish::QuantityZero => self.cancel_nothing(out),
            Wish::Cross => self.cross(out),
            Wish::Uncross => self.uncross(out),
            Wish::TimeImpossible => self.impossible(out),
        }
    }

    fn anything(&mut self, out: &mut Vec<u8>) {
        match self.opening.pop_front() {
            Some(Opening::Event(event)) => self.event(event, out),
            Some(Opening::Directory(symbol)) => self.directory(symbol, out),
            Some(Opening::Action(symbol)) => self.trading_action(symbol, out),
            None => self.order_flow(out),
        }
    }

    /// The mix of a trading day, in thousandths: A 420, F 10, D 380, U 90, E 50, C 5, X 30, P 9, Q 1, and imbalances 5.
    fn order_flow(&mut self, out: &mut Vec<u8>) {
        let symbol = self.any_symbol();
        let open = self.book(symbol).orders();
        let roll = self.random.between(0, 999);
        if roll >= 985 {
            return self.neutral(out);
        }
        if self.crosses(symbol) {
            return self.trade(symbol, out);
        }
        if open < MIN_OPEN || (roll < 430 && open < MAX_OPEN) {
            return self.add(symbol, roll.is_multiple_of(43), out);
        }
        match roll {
            430..=479 => self.execute(symbol, false, out),
            480..=484 => self.execute(symbol, true, out),
            485..=514 => self.cancel(symbol, out),
            515..=604 => self.replace(symbol, out),
            _ => self.delete(symbol, out),
        }
    }

    /// What concerns no order: a trade against a hidden one, an auction, an imbalance.
    fn neutral(&mut self, out: &mut Vec<u8>) {
        let symbol = self.any_symbol();
        match self.random.between(0, 14) {
            0 => self.cross_trade(symbol, out),
            1..=5 => self.imbalance(symbol, out),
            _ => self.trade(symbol, out),
        }
    }

    fn common(&self, locate: u16) -> Common {
        Common { locate, tracking: 0, timestamp_ns: self.time_ns }
    }

    fn event(&mut self, event: u8, out: &mut Vec<u8>) {
        SystemEvent { common: self.common(0), event }.encode(out);
    }

    fn directory(&mut self, symbol: u16, out: &mut Vec<u8>) {
        StockDirectory {
            common: self.common(symbol),
            stock: stock(symbol),
            market_category: b'Q',
            financial_status: b'N',
            round_lot: 100,
            round_lots_only: b'N',
            classification: b'C',
            subtype: *b"Z ",
            authenticity: b'P',
            short_sale_threshold: b'N',
            ipo: b' ',
            luld_tier: b'1',
            etp: b'N',
            etp_leverage: 0,
            inverse: b'N',
        }
        .encode(out);
    }

    fn trading_action(&mut self, symbol: u16, out: &mut Vec<u8>) {
        let (common, stock) = (self.common(symbol), stock(symbol));
        TradingAction { common, stock, state: b'T', reserved: b' ', reason: *b"    " }.encode(out);
    }

    fn add(&mut self, symbol: u16, attributed: bool, out: &mut Vec<u8>) {
        let side = if self.random.between(0, 1) == 0 { Side::Buy } else { Side::Sell };
        let price = self.price(symbol, side);
        let shares = self.shares();
        let order = self.open(Order { symbol, side, shares, price });
        let (common, side, stock) = (self.common(symbol), side.letter(), stock(symbol));
        if attributed {
            AddOrderMpid { common, order, side, shares, stock, price, mpid: *b"WTAP" }.encode(out);
        } else {
            AddOrder { common, order, side, shares, stock, price }.encode(out);
        }
    }

    /// The oldest order of the best level trades, sometimes wholly.
    fn execute(&mut self, symbol: u16, with_price: bool, out: &mut Vec<u8>) {
        let Some((reference, order)) = self.best_order(symbol) else { return self.add(symbol, false, out) };
        let shares =
            if self.random.between(0, 1) == 0 { order.shares } else { self.random.between(1, order.shares) };
        self.take(reference, shares);
        self.last_match += 1;
        let (common, match_number) = (self.common(symbol), self.last_match);
        if with_price {
            let price = order.price;
            OrderExecutedPrice { common, order: reference, shares, match_number, printable: b'Y', price }
                .encode(out);
        } else {
            OrderExecuted { common, order: reference, shares, match_number }.encode(out);
        }
    }

    /// Takes part of an order away; at least one share stays.
    fn cancel(&mut self, symbol: u16, out: &mut Vec<u8>) {
        match self.any_order(symbol) {
            Some((reference, order)) if order.shares > 1 => {
                let shares = self.random.between(1, order.shares - 1);
                self.take(reference, shares);
                OrderCancel { common: self.common(symbol), order: reference, shares }.encode(out);
            }
            _ => self.add(symbol, false, out),
        }
    }

    fn delete(&mut self, symbol: u16, out: &mut Vec<u8>) {
        let Some((order, found)) = self.any_order(symbol) else { return self.add(symbol, false, out) };
        self.take(order, found.shares);
        OrderDelete { common: self.common(symbol), order }.encode(out);
    }

    fn replace(&mut self, symbol: u16, out: &mut Vec<u8>) {
        let Some((old_order, found)) = self.any_order(symbol) else { return self.add(symbol, false, out) };
        self.take(old_order, found.shares);
        // Stock and side are inherited.
        let (price, shares) = (self.price(symbol, found.side), self.shares());
        let new_order = self.open(Order { shares, price, ..found });
        OrderReplace { common: self.common(symbol), old_order, new_order, shares, price }.encode(out);
    }

    /// A trade against an order that was never displayed.
    fn trade(&mut self, symbol: u16, out: &mut Vec<u8>) {
        self.last_match += 1;
        Trade {
            common: self.common(symbol),
            order: 0,
            side: b'B',
            shares: self.shares(),
            stock: stock(symbol),
            price: self.book(symbol).middle(),
            match_number: self.last_match,
        }
        .encode(out);
    }

    fn cross_trade(&mut self, symbol: u16, out: &mut Vec<u8>) {
        self.last_match += 1;
        CrossTrade {
            common: self.common(symbol),
            shares: u64::from(self.shares()),
            stock: stock(symbol),
            price: self.book(symbol).middle(),
            match_number: self.last_match,
            cross: b'H',
        }
        .encode(out);
    }

    /// A net order imbalance indicator, by its layout.
    fn imbalance(&mut self, symbol: u16, out: &mut Vec<u8>) {
        let start = out.len();
        // Its beginning is that of every message.
        SystemEvent { common: self.common(symbol), event: 0 }.encode(out);
        out.pop();
        out[start] = b'I';
        let paired = u64::from(self.shares());
        let price = self.book(symbol).middle().to_be_bytes();
        out.extend_from_slice(&paired.to_be_bytes());
        out.extend_from_slice(&(paired / 2).to_be_bytes());
        out.push(b'B');
        out.extend_from_slice(&stock(symbol));
        for _ in 0..3 {
            out.extend_from_slice(&price);
        }
        out.extend_from_slice(b"HL");
    }

    fn execute_unknown(&mut self, out: &mut Vec<u8>) {
        self.last_match += 1;
        let (common, order) = (self.common(1), self.last_reference + (1 << 40));
        OrderExecuted { common, order, shares: 100, match_number: self.last_match }.encode(out);
    }

    /// The very order again, so that it does not matter which of the two is kept.
    fn add_again(&mut self, out: &mut Vec<u8>) {
        let (order, found) = self.sure_order();
        let (common, stock) = (self.common(found.symbol), stock(found.symbol));
        let Order { shares, price, .. } = found;
        AddOrder { common, order, side: found.side.letter(), shares, stock, price }.encode(out);
    }

    fn execute_too_much(&mut self, out: &mut Vec<u8>) {
        let (order, found) = self.sure_order();
        self.take(order, found.shares);
        self.last_match += 1;
        let (common, match_number) = (self.common(found.symbol), self.last_match);
        OrderExecuted { common, order, shares: found.shares + 1, match_number }.encode(out);
    }

    fn cancel_nothing(&mut self, out: &mut Vec<u8>) {
        let (order, found) = self.sure_order();
        OrderCancel { common: self.common(found.symbol), order, shares: 0 }.encode(out);
    }

    fn cross(&mut self, out: &mut Vec<u8>) {
        let symbol = self.sure_order().1.symbol;
        let Some((ask, _)) = self.book(symbol).best(Side::Sell) else { return self.neutral(out) };
        let (side, shares, price) = (Side::Buy, 100, ask + TICK);
        let order = self.open(Order { symbol, side, shares, price });
        self.crossing = Some(order);
        let (common, stock) = (self.common(symbol), stock(symbol));
        AddOrder { common, order, side: side.letter(), shares, stock, price }.encode(out);
    }

    fn uncross(&mut self, out: &mut Vec<u8>) {
        let Some(order) = self.crossing.take() else { return self.neutral(out) };
        let Some(found) = self.orders.get(&order).copied() else { return self.neutral(out) };
        self.take(order, found.shares);
        OrderDelete { common: self.common(found.symbol), order }.encode(out);
    }

    fn impossible(&mut self, out: &mut Vec<u8>) {
        let common = Common { timestamp_ns: IMPOSSIBLE_NS, ..self.common(1) };
        self.last_match += 1;
        Trade {
            common,
            order: 0,
            side: b'B',
            shares: 100,
            stock: stock(1),
            price: self.book(1).middle(),
            match_number: self.last_match,
        }
        .encode(out);
    }

    /// True once every book has both sides: only then can a fault of order flow be wished for.
    pub fn is_open(&self) -> bool {
        self.opening.is_empty() && self.books.iter().all(|book| book.orders() >= MIN_OPEN && book.has_both())
    }

    /// An order; there is one once the market is open.
    fn sure_order(&mut self) -> (u64, Order) {
        let count = u32::try_from(self.books.len()).unwrap_or(1);
        let first = self.random.between(0, count - 1);
        for at in 0..count {
            let symbol = u16::try_from((first + at) % count + 1).unwrap_or(1);
            if let Some(found) = self.any_order(symbol) {
                return found;
            }
        }
        let order = Order { symbol: 1, side: Side::Buy, shares: 100, price: TICK };
        (self.open(order), order)
    }

    fn any_order(&mut self, symbol: u16) -> Option<(u64, Order)> {
        let side = if self.random.between(0, 1) == 0 { Side::Buy } else { Side::Sell };
        let (level, place) = (self.random.next_u64(), self.random.next_u64());
        let book = self.book(symbol);
        let reference = book.some(side, level, place).or_else(|| book.some(side.other(), level, place))?;
        Some((reference, *self.orders.get(&reference)?))
    }

    fn best_order(&mut self, symbol: u16) -> Option<(u64, Order)> {
        let side = if self.random.between(0, 1) == 0 { Side::Buy } else { Side::Sell };
        let book = self.book(symbol);
        let (_, reference) = book.best(side).or_else(|| book.best(side.other()))?;
        Some((reference, *self.orders.get(&reference)?))
    }

    /// Puts a new order on the table; answers its number.
    fn open(&mut self, order: Order) -> u64 {
        self.last_reference += u64::from(self.random.between(1, 4));
        self.orders.insert(self.last_reference, order);
        let reference = self.last_reference;
        self.book_mut(order.symbol).add(order.side, order.price, reference);
        reference
    }

    /// Takes shares off an order, and the order off the table when none is left.
    fn take(&mut self, reference: u64, shares: u32) {
        let Some(order) = self.orders.get_mut(&reference) else { return };
        order.shares = order.shares.saturating_sub(shares);
        let order = *order;
        if order.shares == 0 {
            self.orders.remove(&reference);
            self.book_mut(order.symbol).remove(order.side, order.price, reference);
        }
    }

    fn crosses(&self, symbol: u16) -> bool {
        let order = self.crossing.and_then(|reference| self.orders.get(&reference));
        order.is_some_and(|order| order.symbol == symbol)
    }

    fn book(&self, symbol: u16) -> &Book {
        &self.books[usize::from(symbol.max(1) - 1)]
    }

    fn book_mut(&mut self, symbol: u16) -> &mut Book {
        &mut self.books[usize::from(symbol.max(1) - 1)]
    }

    /// Some stocks are busier than others: the smaller of two draws.
    fn any_symbol(&mut self) -> u16 {
        let last = u32::try_from(self.books.len()).unwrap_or(1);
        let draw = self.random.between(1, last).min(self.random.between(1, last));
        u16::try_from(draw).unwrap_or(1)
    }

    fn shares(&mut self) -> u32 {
        if self.random.between(0, 3) == 0 {
            self.random.between(1, 99)
        } else {
            self.random.between(1, 50) * 100
        }
    }

    /// A price on its own side of the book, mostly near the other.
    fn price(&mut self, symbol: u16, side: Side) -> u32 {
        let away = self.random.between(1, 20).min(self.random.between(1, 20)) * TICK;
        self.book(symbol).price_away(side, away, TICK)
    }
}

/// `WT00001 `, …
fn stock(symbol: u16) -> [u8; 8] {
    let mut name = *b"WT00000 ";
    let mut rest = symbol;
    for digit in name[2..7].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    name
}

#[cfg(test)]
mod tests;
