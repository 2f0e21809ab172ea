//! One instrument's price levels.
//!
//! A side is a sorted list with the best level at its end, so that what happens near the best (nearly everything) moves little memory.

use super::{Fault, Side};

/// Most levels of one side: a change far from the best moves at most this many.
pub const MAX_LEVELS: usize = 1 << 14;
/// So many levels from the best are looked at one by one before the rest is searched by halves.
const NEAR: usize = 8;
/// Room that a side begins with.
const FIRST_LEVELS: usize = 16;

/// A price level.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Level {
    /// Price in 1e-9.
    pub price: i64,
    /// Sum over its orders; saturates.
    pub quantity: u64,
    /// How many orders; never 0.
    pub orders: u32,
}

/// A level as it is sorted: a higher rank is a better price.
#[derive(Clone, Copy, Debug)]
pub struct Ranked {
    rank: i64,
    quantity: u64,
    orders: u32,
}

/// Price to rank and back: bids rank by price, asks the other way round (`!` does not overflow as `-` does).
const fn rank(side: Side, price: i64) -> i64 {
    match side {
        Side::Bid => price,
        Side::Ask => !price,
    }
}

/// One instrument's levels.
#[derive(Clone, Default, Debug)]
#[repr(align(64))]
pub struct Book {
    sides: [Vec<Ranked>; 2],
}

impl Book {
    /// The best level of a side.
    #[inline]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.levels(side).next()
    }

    /// The levels of a side, the best first.
    pub fn levels(&self, side: Side) -> impl ExactSizeIterator<Item = Level> + '_ {
        self.sides[side.index()].iter().rev().map(move |level| Level {
            price: rank(side, level.rank),
            quantity: level.quantity,
            orders: level.orders,
        })
    }

    /// True if somebody would buy at a price at which somebody sells.
    #[inline]
    pub fn is_crossed(&self) -> bool {
        let [bids, asks] = &self.sides;
        match (bids.last(), asks.last()) {
            (Some(bid), Some(ask)) => bid.rank >= !ask.rank,
            _ => false,
        }
    }

    /// True if there is no level.
    pub fn is_empty(&self) -> bool {
        self.sides.iter().all(Vec::is_empty)
    }

    /// No level is left. The memory stays.
    pub fn clear(&mut self) {
        self.sides.iter_mut().for_each(Vec::clear);
    }

    /// An order of `quantity` came.
    ///
    /// # Errors
    /// [`Fault::Full`] if it would open a level and there are [`MAX_LEVELS`].
    #[inline]
    pub fn add(&mut self, side: Side, price: i64, quantity: u64) -> Result<(), Fault> {
        let rank = rank(side, price);
        let levels = &mut self.sides[side.index()];
        match seek(levels, rank) {
            Ok(level) => {
                level.quantity = level.quantity.saturating_add(quantity);
                level.orders = level.orders.saturating_add(1);
            }
            Err(at) => {
                if levels.len() >= MAX_LEVELS {
                    return Err(Fault::Full);
                }
                if levels.capacity() == 0 {
                    levels.reserve(FIRST_LEVELS);
                }
                levels.insert(at, Ranked { rank, quantity, orders: 1 });
            }
        }
        Ok(())
    }

    /// `quantity` of an order is gone, and the order itself if `whole`. False, and nothing is changed, if there is no such level.
    #[inline]
    pub fn take(&mut self, side: Side, price: i64, quantity: u64, whole: bool) -> bool {
        let levels = &mut self.sides[side.index()];
        let Some(at) = position(levels, rank(side, price)).ok() else { return false };
        let Some(level) = levels.get_mut(at) else { return false };
        level.quantity = level.quantity.saturating_sub(quantity);
        level.orders -= u32::from(whole);
        if level.orders == 0 {
            levels.remove(at);
        }
        true
    }

    /// Some of the best levels of both sides, one or two to a cache line: to be asked for before they are needed.
    #[inline]
    pub fn near_best(&self) -> impl Iterator<Item = &Ranked> {
        self.sides.iter().flat_map(|levels| levels.iter().rev().step_by(3).take(3))
    }
}

/// The level of that rank, or where it belongs.
#[inline]
fn seek(levels: &mut [Ranked], rank: i64) -> Result<&mut Ranked, usize> {
    let at = position(levels, rank)?;
    levels.get_mut(at).ok_or(at)
}

#[inline]
fn position(levels: &[Ranked], rank: i64) -> Result<usize, usize> {
    let (far, near) = levels.split_at(levels.len().saturating_sub(NEAR));
    for (at, level) in near.iter().enumerate().rev() {
        if level.rank <= rank {
            let at = far.len() + at;
            return if level.rank == rank { Ok(at) } else { Err(at + 1) };
        }
    }
    far.binary_search_by_key(&rank, |level| level.rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_bid_is_the_highest_and_the_best_ask_the_lowest() {
        let mut book = Book::default();
        for price in [5, i64::MIN, 9, i64::MAX, 7] {
            assert_eq!(book.add(Side::Bid, price, 1), Ok(()));
            assert_eq!(book.add(Side::Ask, price, 1), Ok(()));
        }
        let prices = |side| book.levels(side).map(|level| level.price).collect::<Vec<_>>();
        assert_eq!(prices(Side::Bid), [i64::MAX, 9, 7, 5, i64::MIN]);
        assert_eq!(prices(Side::Ask), [i64::MIN, 5, 7, 9, i64::MAX]);
        assert!(book.is_crossed());
        book.clear();
        assert!(book.is_empty() && !book.is_crossed());
    }

    #[test]
    fn a_level_lives_as_long_as_an_order_of_it() {
        let mut book = Book::default();
        book.add(Side::Bid, 10, 5).unwrap();
        book.add(Side::Bid, 10, 6).unwrap();
        assert!(book.take(Side::Bid, 10, 5, false));
        assert_eq!(book.best(Side::Bid), Some(Level { price: 10, quantity: 6, orders: 2 }));
        assert!(book.take(Side::Bid, 10, 0, true) && book.take(Side::Bid, 10, 6, true));
        assert!(!book.take(Side::Bid, 10, 1, true) && book.is_empty());
        book.add(Side::Ask, 10, 1).unwrap();
        book.add(Side::Bid, 9, 1).unwrap();
        assert!(!book.is_crossed());
        book.add(Side::Bid, 10, 1).unwrap();
        assert!(book.is_crossed(), "equal is crossed: they should have traded");
    }

    #[test]
    fn levels_are_bounded() {
        let mut book = Book::default();
        for price in 0..i64::try_from(MAX_LEVELS).unwrap() {
            book.add(Side::Ask, -price, 1).unwrap();
        }
        assert_eq!(book.add(Side::Ask, 1, 1), Err(Fault::Full));
        assert_eq!(book.add(Side::Ask, 0, 1), Ok(()), "an old level still takes orders");
    }
}
