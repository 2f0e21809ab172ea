//! The books of many instruments and the orders in them.

use super::{Book, Fault, Order, Orders, Reduced};

/// Most instruments: numbers at or above it are refused ([`Fault::Full`]).
pub const MAX_INSTRUMENTS: usize = 1 << 20;

/// Live orders and every instrument's levels; a level is always the sum over its orders.
#[derive(Debug)]
pub struct Books {
    orders: Orders,
    books: Vec<Book>,
}

impl Books {
    /// No orders yet, and room for `orders` at once. Books are made as instruments appear.
    pub fn with_capacity(orders: usize) -> Self {
        Self { orders: Orders::with_capacity(orders), books: Vec::new() }
    }

    /// The live orders.
    pub const fn orders(&self) -> &Orders {
        &self.orders
    }

    /// An instrument's book; `None` if it never had an order.
    #[inline]
    pub fn book(&self, instrument: u32) -> Option<&Book> {
        self.books.get(instrument as usize)
    }

    /// A new order.
    ///
    /// # Errors
    /// [`Fault::Duplicate`], [`Fault::Full`].
    #[inline]
    pub fn add(&mut self, number: u64, order: &Order) -> Result<(), Fault> {
        if order.instrument as usize >= self.books.len() {
            self.grow(order.instrument as usize)?;
        }
        self.orders.add(number, order)?;
        let entered = self.book_mut(order).map(|book| book.add(order.side, order.price, order.quantity));
        if entered == Some(Ok(())) {
            return Ok(());
        }
        // No room for the level: then there is none for the order either.
        self.orders.delete(number)?;
        Err(Fault::Full)
    }

    /// Part of an order was executed or cancelled; an order of which nothing is left is gone.
    ///
    /// # Errors
    /// [`Fault::Unknown`], [`Fault::Negative`].
    #[inline]
    pub fn reduce(&mut self, number: u64, by: u64) -> Result<Reduced, Fault> {
        let reduced = self.orders.reduce(number, by);
        match &reduced {
            Ok(Reduced { before, left }) => self.take(before, by, *left == 0),
            Err(Fault::Negative(before)) => self.take(before, before.quantity, true),
            Err(_) => {}
        }
        reduced
    }

    /// The order is gone; answers what it was.
    ///
    /// # Errors
    /// [`Fault::Unknown`].
    #[inline]
    pub fn delete(&mut self, number: u64) -> Result<Order, Fault> {
        let order = self.orders.delete(number)?;
        self.take(&order, order.quantity, true);
        Ok(order)
    }

    /// The order `old` is gone, and `new` takes its side and instrument; answers what `old` was.
    ///
    /// # Errors
    /// [`Fault::Unknown`]; [`Fault::Duplicate`] if `new` lives and is not `old`; [`Fault::Full`]: then `old` is gone and `new` not there.
    #[inline]
    pub fn replace(&mut self, old: u64, new: u64, price: i64, quantity: u64) -> Result<Order, Fault> {
        let before = self.orders.get(old).ok_or(Fault::Unknown)?;
        let replaced = self.orders.replace(old, new, price, quantity);
        if replaced == Err(Fault::Duplicate) {
            return replaced;
        }
        self.take(&before, before.quantity, true);
        replaced?;
        let entered = self.book_mut(&before).map(|book| book.add(before.side, price, quantity));
        if entered == Some(Ok(())) {
            return Ok(before);
        }
        self.orders.delete(new)?;
        Err(Fault::Full)
    }

    /// Every order and level is gone.
    pub fn clear(&mut self) {
        self.orders.clear();
        self.books.iter_mut().for_each(Book::clear);
    }

    #[inline]
    fn book_mut(&mut self, order: &Order) -> Option<&mut Book> {
        self.books.get_mut(order.instrument as usize)
    }

    #[inline]
    fn take(&mut self, order: &Order, quantity: u64, whole: bool) {
        let found =
            self.book_mut(order).is_some_and(|book| book.take(order.side, order.price, quantity, whole));
        debug_assert!(found, "a live order has its level");
    }

    #[cold]
    fn grow(&mut self, instrument: usize) -> Result<(), Fault> {
        if instrument >= MAX_INSTRUMENTS {
            return Err(Fault::Full);
        }
        self.books.resize_with((instrument + 1).next_power_of_two(), Book::default);
        Ok(())
    }
}
