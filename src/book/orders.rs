//! Live orders by number: a hash table of fixed size that a hostile sender can fill but not slow down.
//!
//! Exchanges count order numbers up, so the low bits of the number are the place: orders that were added together stand together in
//! memory, and no hash spreads them more evenly. An order stands within [`WINDOW`] slots of its home. If these are taken (old
//! orders, or numbers chosen to collide), it goes to a window at a second home, which a hash of the whole number gives; the first
//! home counts what it sent away. If that is taken too, there is no room. So no operation looks at more than two windows.
//!
//! | word of a slot | content |
//! |---|---|
//! | 0 | order number |
//! | 1 | price |
//! | 2 | quantity |
//! | 3 | instrument (bits 0–31), side (32), taken (33), count of orders sent to their second home (34–47), which slots of the window from here on hold orders whose home is here (48–63) |
//!
//! The memory is zeroed by the operating system and not touched before it is used.

use super::{Fault, Order, Reduced, Side};

type Slot = [u64; 4];
const SLOT_WORDS: usize = 4;
/// A cache line.
const LINE_WORDS: usize = 8;
/// Slots from an order's home on in which it may stand.
const WINDOW: usize = 16;
const ASK: u64 = 1 << 32;
const TAKEN: u64 = 1 << 33;
const SENT_SHIFT: u32 = 34;
const SENT_ONE: u64 = 1 << SENT_SHIFT;
const SENT_MASK: u64 = 0x3fff << SENT_SHIFT;
const HERE_SHIFT: u32 = 48;
/// What word 3 says of the order that stands in the slot, as opposed to what it says as a home.
const OF_ORDER: u64 = TAKEN | ASK | 0xffff_ffff;

/// Live orders by number.
#[derive(Debug)]
pub struct Orders {
    words: Vec<u64>,
    /// Words to skip so that a slot does not cross a cache line.
    skip: usize,
    mask: usize,
    live: usize,
    capacity: usize,
}

/// Where an order stands.
#[derive(Clone, Copy)]
struct Place {
    home: usize,
    slot: usize,
    /// The first home, if `home` is the second.
    sent_by: Option<usize>,
}

impl Orders {
    /// A table for `capacity` live orders: between 64 and 128 bytes for each, allocated here and never again.
    pub fn with_capacity(capacity: usize) -> Self {
        let slots = capacity.max(WINDOW).saturating_mul(2).next_power_of_two();
        let words = vec![0_u64; (slots + WINDOW) * SLOT_WORDS + LINE_WORDS];
        // `align_offset` may decline to answer; then slots cross lines, and nothing is wrong.
        let skip = words.as_ptr().align_offset(LINE_WORDS * 8).min(LINE_WORDS);
        Self { words, skip, mask: slots - 1, live: 0, capacity }
    }

    /// How many orders live.
    pub const fn len(&self) -> usize {
        self.live
    }
    /// True if none lives.
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The order of that number.
    pub fn get(&self, number: u64) -> Option<Order> {
        Some(order_in(self.slot(self.find(number)?.slot)))
    }

    /// A new order.
    ///
    /// # Errors
    /// [`Fault::Duplicate`], [`Fault::Full`].
    #[inline]
    pub fn add(&mut self, number: u64, order: &Order) -> Result<(), Fault> {
        if self.find(number).is_some() {
            return Err(Fault::Duplicate);
        }
        self.insert(number, order)
    }

    /// Part of an order was executed or cancelled; an order of which nothing is left is gone.
    ///
    /// # Errors
    /// [`Fault::Unknown`], [`Fault::Negative`].
    #[inline]
    pub fn reduce(&mut self, number: u64, by: u64) -> Result<Reduced, Fault> {
        let place = self.find(number).ok_or(Fault::Unknown)?;
        let before = order_in(self.slot(place.slot));
        match before.quantity.checked_sub(by) {
            Some(left) if left > 0 => {
                self.slot_mut(place.slot)[2] = left;
                Ok(Reduced { before, left })
            }
            Some(left) => {
                self.remove(place);
                Ok(Reduced { before, left })
            }
            None => {
                self.remove(place);
                Err(Fault::Negative(before))
            }
        }
    }

    /// The order is gone; answers what it was.
    ///
    /// # Errors
    /// [`Fault::Unknown`].
    #[inline]
    pub fn delete(&mut self, number: u64) -> Result<Order, Fault> {
        let place = self.find(number).ok_or(Fault::Unknown)?;
        let order = order_in(self.slot(place.slot));
        self.remove(place);
        Ok(order)
    }

    /// The order `old` is gone, and `new` takes its side and instrument; answers what `old` was.
    ///
    /// # Errors
    /// [`Fault::Unknown`]; [`Fault::Duplicate`] if `new` lives and is not `old`; [`Fault::Full`]: then `old` is gone and `new` not there.
    pub fn replace(&mut self, old: u64, new: u64, price: i64, quantity: u64) -> Result<Order, Fault> {
        let place = self.find(old).ok_or(Fault::Unknown)?;
        if new != old && self.find(new).is_some() {
            return Err(Fault::Duplicate);
        }
        let before = order_in(self.slot(place.slot));
        self.remove(place);
        self.insert(new, &Order { price, quantity, ..before })?;
        Ok(before)
    }

    /// Every order is gone. Takes fresh memory rather than write over all of the old.
    pub fn clear(&mut self) {
        if self.live > 0 {
            *self = Self::with_capacity(self.capacity);
        }
    }

    /// The slot at the number's home, where the order stands if nothing collides: to be asked for before it is needed. Operations
    /// one after the other wait for memory one after the other; a packet's slots asked for together come together.
    #[inline]
    pub fn home_slot(&self, number: u64) -> &[u64; 4] {
        self.slot(self.home(number))
    }

    /// The table's memory: for advice to the machine about it.
    pub fn memory(&self) -> &[u64] {
        &self.words
    }

    #[inline]
    fn home(&self, number: u64) -> usize {
        truncate(number) & self.mask
    }

    fn second_home(&self, number: u64) -> usize {
        // SplitMix64: every bit of the number reaches every bit of the home.
        let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        truncate(bits ^ (bits >> 31)) & self.mask
    }

    #[inline]
    fn slot(&self, at: usize) -> &Slot {
        &self.words[self.skip..].as_chunks().0[at]
    }

    #[inline]
    fn slot_mut(&mut self, at: usize) -> &mut Slot {
        &mut self.words[self.skip..].as_chunks_mut().0[at]
    }

    #[inline]
    fn find(&self, number: u64) -> Option<Place> {
        let home = self.home(number);
        if let Some(slot) = self.find_at(home, number) {
            return Some(Place { home, slot, sent_by: None });
        }
        if self.slot(home)[3] & SENT_MASK == 0 {
            return None;
        }
        let second = self.second_home(number);
        let slot = self.find_at(second, number)?;
        Some(Place { home: second, slot, sent_by: Some(home) })
    }

    /// Looks at the slots whose orders belong to `home`.
    #[inline]
    fn find_at(&self, home: usize, number: u64) -> Option<usize> {
        let mut here = self.slot(home)[3] >> HERE_SHIFT;
        while here != 0 {
            let slot = home + here.trailing_zeros() as usize;
            if self.slot(slot)[0] == number {
                return Some(slot);
            }
            here &= here - 1;
        }
        None
    }

    #[inline]
    fn insert(&mut self, number: u64, order: &Order) -> Result<(), Fault> {
        if self.live >= self.capacity {
            return Err(Fault::Full);
        }
        let home = self.home(number);
        if self.put(home, number, order) {
            return Ok(());
        }
        let second = self.second_home(number);
        if self.slot(home)[3] & SENT_MASK == SENT_MASK || !self.put(second, number, order) {
            return Err(Fault::Full);
        }
        self.slot_mut(home)[3] += SENT_ONE;
        Ok(())
    }

    /// Stores the order in the first free slot of `home`'s window.
    #[inline]
    fn put(&mut self, home: usize, number: u64, order: &Order) -> bool {
        let Some(step) = (0..WINDOW).find(|step| self.slot(home + step)[3] & TAKEN == 0) else {
            return false;
        };
        let slot = self.slot_mut(home + step);
        let side = if order.side == Side::Ask { ASK } else { 0 };
        slot[0] = number;
        slot[1] = order.price.cast_unsigned();
        slot[2] = order.quantity;
        slot[3] = (slot[3] & !OF_ORDER) | TAKEN | side | u64::from(order.instrument);
        self.slot_mut(home)[3] |= 1 << (HERE_SHIFT as usize + step);
        self.live += 1;
        true
    }

    #[inline]
    fn remove(&mut self, place: Place) {
        self.slot_mut(place.slot)[3] &= !OF_ORDER;
        self.slot_mut(place.home)[3] &= !(1 << (HERE_SHIFT as usize + place.slot - place.home));
        if let Some(first) = place.sent_by {
            self.slot_mut(first)[3] -= SENT_ONE;
        }
        self.live -= 1;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
const fn truncate(number: u64) -> usize {
    number as usize
}

#[inline]
fn order_in(slot: &Slot) -> Order {
    Order {
        instrument: (slot[3] & 0xffff_ffff) as u32,
        side: if slot[3] & ASK == 0 { Side::Bid } else { Side::Ask },
        price: slot[1].cast_signed(),
        quantity: slot[2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(quantity: u64) -> Order {
        Order { instrument: 7, side: Side::Ask, price: -3, quantity }
    }

    #[test]
    fn an_order_is_what_was_added_until_it_is_gone() {
        let mut orders = Orders::with_capacity(100);
        assert_eq!(orders.add(u64::MAX, &order(10)), Ok(()));
        assert_eq!(orders.add(u64::MAX, &order(11)), Err(Fault::Duplicate));
        assert_eq!(orders.get(u64::MAX), Some(order(10)));
        assert_eq!(orders.reduce(u64::MAX, 4), Ok(Reduced { before: order(10), left: 6 }));
        assert_eq!(orders.replace(u64::MAX, 5, -3, 9), Ok(order(6)));
        assert_eq!(orders.reduce(5, 10), Err(Fault::Negative(order(9))));
        assert_eq!(orders.delete(5), Err(Fault::Unknown));
        assert!(orders.is_empty());
    }

    #[test]
    fn a_slot_stands_in_one_cache_line() {
        let orders = Orders::with_capacity(5000);
        assert_eq!(std::ptr::from_ref(orders.slot(0)).addr() % 64, 0);
    }

    #[test]
    fn numbers_that_collide_at_home_find_room_elsewhere_and_are_found_again() {
        let mut orders = Orders::with_capacity(10_000);
        let step = 1 << 40;
        let mut added = Vec::new();
        for n in 0..10_000_u64 {
            if orders.add(n * step, &order(n + 1)).is_ok() {
                added.push(n);
            }
        }
        assert!(added.len() > 9_000, "{} found room", added.len());
        for n in &added {
            assert_eq!(orders.delete(n * step), Ok(order(n + 1)));
        }
        assert!(orders.is_empty());
        let leftover = (0..orders.mask + WINDOW).filter(|at| orders.slot(*at)[3] != 0).count();
        assert_eq!(leftover, 0, "no trace of what is gone");
    }

    #[test]
    fn numbers_chosen_against_both_homes_are_refused_and_cost_no_more_than_two_windows() {
        let mut orders = Orders::with_capacity(1 << 16);
        let target = orders.second_home(0);
        let hostile = (0_u64..).map(|n| n << 32).filter(|n| orders.second_home(*n).abs_diff(target) < 64);
        let hostile: Vec<u64> = hostile.take(400).collect();
        let refused = hostile.iter().filter(|n| orders.add(**n, &order(1)) == Err(Fault::Full)).count();
        assert!(refused > 0 && orders.len() == hostile.len() - refused);
        assert_eq!(orders.add(12_345, &order(1)), Ok(()), "others still find room");
    }

    #[test]
    fn a_full_table_refuses_and_has_room_again_once_an_order_is_gone() {
        let mut orders = Orders::with_capacity(50);
        for n in 0..50 {
            assert_eq!(orders.add(n, &order(1)), Ok(()));
        }
        assert_eq!(orders.add(50, &order(1)), Err(Fault::Full));
        assert_eq!(orders.replace(3, 50, 1, 1), Ok(order(1)));
        orders.clear();
        assert!(orders.is_empty() && orders.get(50).is_none());
        assert_eq!(orders.add(50, &order(1)), Ok(()));
    }
}
