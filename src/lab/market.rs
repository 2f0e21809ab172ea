//! A small, consistent market: what an exchange says in Nasdaq TotalView-ITCH 5.0 when orders come and go.
//!
//! Executions, cancellations, deletions and replacements name orders that are open, and never more
//! shares than are left; so a book built from the feed stays sound, and any inconsistency that
//! a decoder finds is a fault that was injected or its own. Times rise.

use super::random::SplitMix64;
use crate::feed::itch50::encode::{
    AddOrder, AddOrderMpid, Common, Message, OrderCancel, OrderDelete, OrderExecuted, OrderExecutedPrice,
    OrderReplace, StockDirectory, SystemEvent, Trade,
};

/// Nanoseconds from midnight to the opening, 09:30.
const OPENING_NS: u64 = 34_200_000_000_000;
/// Open orders beyond which orders are taken away rather than added.
const MAX_OPEN: usize = 10_000;
/// Open orders below which orders are added.
const MIN_OPEN: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Order {
    reference: u64,
    symbol: u16,
    shares: u32,
    price: u32,
}

/// The market. Each call of [`Market::say`] is one message.
#[derive(Debug)]
pub struct Market {
    random: SplitMix64,
    symbols: u16,
    said: u64,
    time_ns: u64,
    last_reference: u64,
    last_match: u64,
    open: Vec<Order>,
}

impl Market {
    /// A market of `symbols` stocks (0 counts as 1) before its opening.
    pub fn new(seed: u64, symbols: u16) -> Self {
        Self {
            random: SplitMix64::new(seed),
            symbols: symbols.max(1),
            said: 0,
            time_ns: OPENING_NS,
            last_reference: 0,
            last_match: 0,
            open: Vec::with_capacity(MAX_OPEN),
        }
    }

    /// Appends the next message: first the opening events and the stocks, then orders.
    pub fn say(&mut self, out: &mut Vec<u8>) {
        let said = self.said;
        self.said += 1;
        let symbols = u64::from(self.symbols);
        match said {
            0 => self.event(b'O', out),
            n if n <= symbols => self.directory(u16::try_from(n).unwrap_or(1), out),
            n if n == symbols + 1 => self.event(b'S', out),
            n if n == symbols + 2 => self.event(b'Q', out),
            _ => self.order_flow(out),
        }
    }

    /// Appends a system event: `b'M'` closes the market, `b'E'` the system, `b'C'` the messages.
    pub fn event(&mut self, event: u8, out: &mut Vec<u8>) {
        SystemEvent { common: self.common(0), event }.encode(out);
    }

    fn order_flow(&mut self, out: &mut Vec<u8>) {
        let roll = self.random.between(0, 99);
        if roll >= 98 {
            return self.trade(out);
        }
        if self.open.len() < MIN_OPEN || (roll < 45 && self.open.len() < MAX_OPEN) {
            return self.add(roll % 9 == 8, out);
        }
        let at = self.random.between(0, u32::try_from(self.open.len() - 1).unwrap_or(0)) as usize;
        match roll {
            45..=59 => self.execute(at, false, out),
            60..=64 => self.execute(at, true, out),
            65..=74 if self.open[at].shares > 1 => self.cancel(at, out),
            90..=97 => self.replace(at, out),
            _ => self.delete(at, out),
        }
    }

    /// What every message begins with; time goes on.
    fn common(&mut self, locate: u16) -> Common {
        self.time_ns += u64::from(self.random.between(100, 40_000));
        Common { locate, tracking: 0, timestamp_ns: self.time_ns }
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

    fn add(&mut self, attributed: bool, out: &mut Vec<u8>) {
        let symbol = self.any_symbol();
        self.last_reference += u64::from(self.random.between(1, 4));
        let Order { reference: order, shares, price, .. } = *self.open(self.last_reference, symbol);
        let (side, stock) = (side(order), stock(symbol));
        let common = self.common(symbol);
        if attributed {
            AddOrderMpid { common, order, side, shares, stock, price, mpid: *b"WTAP" }.encode(out);
        } else {
            AddOrder { common, order, side, shares, stock, price }.encode(out);
        }
    }

    fn execute(&mut self, at: usize, with_price: bool, out: &mut Vec<u8>) {
        let shares = self.random.between(1, self.open[at].shares);
        let Order { reference: order, symbol, price, .. } = self.take(at, shares);
        self.last_match += 1;
        let (common, match_number) = (self.common(symbol), self.last_match);
        if with_price {
            OrderExecutedPrice { common, order, shares, match_number, printable: b'Y', price }.encode(out);
        } else {
            OrderExecuted { common, order, shares, match_number }.encode(out);
        }
    }

    /// Takes part of an order away; at least one share stays.
    fn cancel(&mut self, at: usize, out: &mut Vec<u8>) {
        let shares = self.random.between(1, self.open[at].shares - 1);
        let Order { reference: order, symbol, .. } = self.take(at, shares);
        OrderCancel { common: self.common(symbol), order, shares }.encode(out);
    }

    fn delete(&mut self, at: usize, out: &mut Vec<u8>) {
        let Order { reference: order, symbol, .. } = self.open.swap_remove(at);
        OrderDelete { common: self.common(symbol), order }.encode(out);
    }

    fn replace(&mut self, at: usize, out: &mut Vec<u8>) {
        let Order { reference: old_order, symbol, .. } = self.open.swap_remove(at);
        // The side is inherited, and ours follows from the reference being odd or even.
        self.last_reference += if side(self.last_reference) == side(old_order) { 2 } else { 1 };
        let Order { reference: new_order, shares, price, .. } = *self.open(self.last_reference, symbol);
        OrderReplace { common: self.common(symbol), old_order, new_order, shares, price }.encode(out);
    }

    /// A trade against an order that was never displayed.
    fn trade(&mut self, out: &mut Vec<u8>) {
        let symbol = self.any_symbol();
        self.last_match += 1;
        Trade {
            common: self.common(symbol),
            order: 0,
            side: b'B',
            shares: self.random.between(1, 20) * 100,
            stock: stock(symbol),
            price: self.price(symbol),
            match_number: self.last_match,
        }
        .encode(out);
    }

    /// Puts a new order on the table.
    fn open(&mut self, reference: u64, symbol: u16) -> &Order {
        let shares = self.random.between(1, 50) * 100;
        let price = self.price(symbol);
        self.open.push(Order { reference, symbol, shares, price });
        &self.open[self.open.len() - 1]
    }

    /// Takes shares off an order, and the order off the table when none is left; answers it as it was.
    fn take(&mut self, at: usize, shares: u32) -> Order {
        let order = self.open[at];
        if order.shares == shares {
            self.open.swap_remove(at);
        } else {
            self.open[at].shares -= shares;
        }
        order
    }

    fn any_symbol(&mut self) -> u16 {
        u16::try_from(self.random.between(1, u32::from(self.symbols))).unwrap_or(1)
    }

    /// About 100 dollars a symbol number, four implied decimals.
    fn price(&mut self, symbol: u16) -> u32 {
        100_0000 + u32::from(symbol % 900) * 1_0000 + self.random.between(0, 200) * 100
    }
}

/// Even references buy, odd ones sell.
fn side(reference: u64) -> u8 {
    if reference.is_multiple_of(2) { b'B' } else { b'S' }
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
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn number(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b))
    }

    #[test]
    fn messages_have_their_length_and_orders_are_never_overdrawn() {
        let lengths = HashMap::from([
            (b'S', 12),
            (b'R', 39),
            (b'A', 36),
            (b'F', 40),
            (b'E', 31),
            (b'C', 36),
            (b'X', 23),
            (b'D', 19),
            (b'U', 35),
            (b'P', 44),
        ]);
        let mut market = Market::new(3, 5);
        let mut open: HashMap<u64, u64> = HashMap::new();
        let (mut seen, mut last_time) = (HashMap::new(), 0);
        for _ in 0..100_000 {
            let mut m = Vec::new();
            market.say(&mut m);
            assert_eq!(m.len(), lengths[&m[0]], "{}", m[0] as char);
            *seen.entry(m[0]).or_insert(0) += 1;
            let time = number(&m[5..11]);
            assert!(time > last_time);
            last_time = time;
            if b"SRP".contains(&m[0]) {
                continue;
            }
            let reference = number(&m[11..19]);
            match m[0] {
                b'A' | b'F' => assert!(open.insert(reference, number(&m[20..24])).is_none()),
                b'D' => assert!(open.remove(&reference).is_some()),
                b'U' => {
                    assert!(open.remove(&reference).is_some());
                    assert_eq!(number(&m[19..27]) % 2, reference % 2, "the side stays");
                    assert!(open.insert(number(&m[19..27]), number(&m[27..31])).is_none());
                }
                _ => {
                    let left = open.get_mut(&reference).expect("an open order");
                    *left = left.checked_sub(number(&m[19..23])).expect("no more than is left");
                    if *left == 0 {
                        open.remove(&reference);
                    }
                }
            }
        }
        assert_eq!(seen.len(), lengths.len(), "every kind occurs: {seen:?}");
    }
}
