//! A small, consistent market: what an exchange says in Nasdaq TotalView-ITCH 5.0 when orders come and go.
//!
//! Executions, cancellations, deletions and replacements name orders that are open, and never more
//! shares than are left; so a book built from the feed stays sound, and any inconsistency that
//! a decoder finds is a fault that was injected or its own. Times rise. All integers big-endian.

use super::random::SplitMix64;

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
    pub fn event(&mut self, code: u8, out: &mut Vec<u8>) {
        self.head(b'S', 0, out);
        out.push(code);
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

    /// Type, stock locate, tracking number, time.
    fn head(&mut self, kind: u8, symbol: u16, out: &mut Vec<u8>) {
        self.time_ns += u64::from(self.random.between(100, 40_000));
        out.push(kind);
        out.extend_from_slice(&symbol.to_be_bytes());
        out.extend_from_slice(&0u16.to_be_bytes());
        out.extend_from_slice(&self.time_ns.to_be_bytes()[2..]);
    }

    fn directory(&mut self, symbol: u16, out: &mut Vec<u8>) {
        self.head(b'R', symbol, out);
        out.extend_from_slice(&stock(symbol));
        out.extend_from_slice(b"QN");
        out.extend_from_slice(&100u32.to_be_bytes());
        out.extend_from_slice(b"NCZ PN 1N");
        out.extend_from_slice(&0u32.to_be_bytes());
        out.push(b'N');
    }

    fn add(&mut self, attributed: bool, out: &mut Vec<u8>) {
        let symbol = self.any_symbol();
        self.last_reference += u64::from(self.random.between(1, 4));
        let order = Order {
            reference: self.last_reference,
            symbol,
            shares: self.random.between(1, 50) * 100,
            price: self.price(symbol),
        };
        self.head(if attributed { b'F' } else { b'A' }, symbol, out);
        out.extend_from_slice(&order.reference.to_be_bytes());
        out.push(if order.reference.is_multiple_of(2) { b'B' } else { b'S' });
        out.extend_from_slice(&order.shares.to_be_bytes());
        out.extend_from_slice(&stock(symbol));
        out.extend_from_slice(&order.price.to_be_bytes());
        if attributed {
            out.extend_from_slice(b"WTAP");
        }
        self.open.push(order);
    }

    fn execute(&mut self, at: usize, with_price: bool, out: &mut Vec<u8>) {
        let shares = self.random.between(1, self.open[at].shares);
        let order = self.take(at, shares);
        self.last_match += 1;
        self.head(if with_price { b'C' } else { b'E' }, order.symbol, out);
        out.extend_from_slice(&order.reference.to_be_bytes());
        out.extend_from_slice(&shares.to_be_bytes());
        out.extend_from_slice(&self.last_match.to_be_bytes());
        if with_price {
            out.push(b'Y');
            out.extend_from_slice(&order.price.to_be_bytes());
        }
    }

    /// Takes part of an order away; at least one share stays.
    fn cancel(&mut self, at: usize, out: &mut Vec<u8>) {
        let shares = self.random.between(1, self.open[at].shares - 1);
        let order = self.take(at, shares);
        self.head(b'X', order.symbol, out);
        out.extend_from_slice(&order.reference.to_be_bytes());
        out.extend_from_slice(&shares.to_be_bytes());
    }

    fn delete(&mut self, at: usize, out: &mut Vec<u8>) {
        let order = self.open.swap_remove(at);
        self.head(b'D', order.symbol, out);
        out.extend_from_slice(&order.reference.to_be_bytes());
    }

    fn replace(&mut self, at: usize, out: &mut Vec<u8>) {
        let old = self.open[at].reference;
        // The side is inherited, and ours follows from the reference being odd or even.
        self.last_reference += if (self.last_reference + old).is_multiple_of(2) { 2 } else { 1 };
        let symbol = self.open[at].symbol;
        let new = Order {
            reference: self.last_reference,
            symbol,
            shares: self.random.between(1, 50) * 100,
            price: self.price(symbol),
        };
        self.open[at] = new;
        self.head(b'U', symbol, out);
        out.extend_from_slice(&old.to_be_bytes());
        out.extend_from_slice(&new.reference.to_be_bytes());
        out.extend_from_slice(&new.shares.to_be_bytes());
        out.extend_from_slice(&new.price.to_be_bytes());
    }

    /// A trade against an order that was never displayed.
    fn trade(&mut self, out: &mut Vec<u8>) {
        let symbol = self.any_symbol();
        self.last_match += 1;
        self.head(b'P', symbol, out);
        out.extend_from_slice(&0u64.to_be_bytes());
        out.push(b'B');
        out.extend_from_slice(&(self.random.between(1, 20) * 100).to_be_bytes());
        out.extend_from_slice(&stock(symbol));
        out.extend_from_slice(&self.price(symbol).to_be_bytes());
        out.extend_from_slice(&self.last_match.to_be_bytes());
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
