//! One stock's book in the market: which orders stand at which price, oldest first.

use std::collections::{BTreeMap, VecDeque};

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Buy,
    Sell,
}

impl Side {
    /// As ITCH writes it.
    pub(super) const fn letter(self) -> u8 {
        match self {
            Self::Buy => b'B',
            Self::Sell => b'S',
        }
    }
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

type Levels = BTreeMap<u32, VecDeque<u64>>;

/// Levels of both sides, and how many orders they hold.
#[derive(Debug)]
pub(super) struct Book {
    bids: Levels,
    asks: Levels,
    orders: usize,
    /// Where trading begins, 1/10,000 dollar.
    start: u32,
}

impl Book {
    /// An empty book; stocks begin at 100 dollars and one more for each number.
    pub(super) fn new(symbol: u16) -> Self {
        let start = 100_0000 + u32::from(symbol % 900) * 1_0000;
        Self { bids: Levels::new(), asks: Levels::new(), orders: 0, start }
    }
    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.orders = 0;
    }
    pub(super) fn orders(&self) -> usize {
        self.orders
    }
    pub(super) fn has_both(&self) -> bool {
        !self.bids.is_empty() && !self.asks.is_empty()
    }
    fn levels(&self, side: Side) -> &Levels {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
    fn levels_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
    pub(super) fn add(&mut self, side: Side, price: u32, reference: u64) {
        self.levels_mut(side).entry(price).or_default().push_back(reference);
        self.orders += 1;
    }
    pub(super) fn remove(&mut self, side: Side, price: u32, reference: u64) {
        let levels = self.levels_mut(side);
        let Some(queue) = levels.get_mut(&price) else { return };
        let Some(at) = queue.iter().position(|other| *other == reference) else { return };
        queue.remove(at);
        if queue.is_empty() {
            levels.remove(&price);
        }
        self.orders -= 1;
    }
    /// Price and oldest order of the best level.
    pub(super) fn best(&self, side: Side) -> Option<(u32, u64)> {
        let levels = self.levels(side);
        let best = match side {
            Side::Buy => levels.last_key_value(),
            Side::Sell => levels.first_key_value(),
        };
        best.and_then(|(price, queue)| Some((*price, *queue.front()?)))
    }
    /// Some order of a side, chosen by two numbers.
    pub(super) fn some(&self, side: Side, level: u64, place: u64) -> Option<u64> {
        let pick = |number: u64, of: usize| usize::try_from(number % (of.max(1) as u64)).unwrap_or(0);
        let levels = self.levels(side);
        let queue = levels.values().nth(pick(level, levels.len()))?;
        queue.get(pick(place, queue.len())).copied()
    }
    /// Between the best bid and the best ask, or where trading begins.
    pub(super) fn middle(&self) -> u32 {
        match (self.best(Side::Buy), self.best(Side::Sell)) {
            (Some((bid, _)), Some((ask, _))) => bid / 2 + ask / 2,
            (Some((price, _)), None) | (None, Some((price, _))) => price,
            (None, None) => self.start,
        }
    }
    /// A price of this side, `away` from the other side's best: never on or beyond it, never 0.
    pub(super) fn price_away(&self, side: Side, away: u32, tick: u32) -> u32 {
        let other = self.best(side.other()).map(|(price, _)| price);
        match side {
            Side::Buy => other.unwrap_or(self.start).saturating_sub(away).max(tick),
            Side::Sell => other.unwrap_or(self.start.max(tick)) + away,
        }
    }
}
