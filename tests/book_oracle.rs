//! Order books against a naive twin: sorted maps that are summed up anew whenever they are asked.
use proptest::prelude::*;
use std::collections::BTreeMap;
use wiretape::book::{Books, Fault, Level, Order, Reduced, Side};

/// What the books should be.
#[derive(Default)]
struct Naive(BTreeMap<u64, Order>);

impl Naive {
    fn reduce(&mut self, number: u64, by: u64) -> Result<Reduced, Fault> {
        let before = *self.0.get(&number).ok_or(Fault::Unknown)?;
        let left = before.quantity.checked_sub(by);
        if left.is_none_or(|left| left == 0) {
            self.0.remove(&number);
        }
        let left = left.ok_or(Fault::Negative(before))?;
        self.0.entry(number).and_modify(|order| order.quantity = left);
        Ok(Reduced { before, left })
    }
    fn add(&mut self, number: u64, order: Order) -> Result<(), Fault> {
        if self.0.contains_key(&number) {
            return Err(Fault::Duplicate);
        }
        self.0.insert(number, order);
        Ok(())
    }
    fn replace(&mut self, old: u64, new: u64, price: i64, quantity: u64) -> Result<Order, Fault> {
        let before = *self.0.get(&old).ok_or(Fault::Unknown)?;
        if new != old && self.0.contains_key(&new) {
            return Err(Fault::Duplicate);
        }
        self.0.remove(&old);
        self.0.insert(new, Order { price, quantity, ..before });
        Ok(before)
    }
    fn levels(&self, instrument: u32, side: Side) -> Vec<Level> {
        let mut levels = BTreeMap::<i64, Level>::new();
        for order in self.0.values().filter(|o| o.instrument == instrument && o.side == side) {
            let level =
                levels.entry(order.price).or_insert(Level { price: order.price, quantity: 0, orders: 0 });
            level.quantity += order.quantity;
            level.orders += 1;
        }
        let mut levels: Vec<Level> = levels.into_values().collect();
        if side == Side::Bid {
            levels.reverse();
        }
        levels
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Add(u64, Order),
    Reduce(u64, u64),
    Delete(u64),
    Replace(u64, u64, i64, u64),
    Clear,
}

/// Numbers as an exchange counts them, and such as collide at home.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0_u64..60, 1 => (0_u64..40).prop_map(|n| n << 20), 1 => (0_u64..4).prop_map(|n| u64::MAX - n)]
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -20_i64..20, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn op() -> impl Strategy<Value = Op> {
    let order =
        (0_u32..4, any::<bool>(), price(), 0_u64..20).prop_map(|(instrument, bid, price, quantity)| {
            let side = if bid { Side::Bid } else { Side::Ask };
            Order { instrument, side, price, quantity }
        });
    prop_oneof![
        60 => (number(), order).prop_map(|(n, order)| Op::Add(n, order)),
        20 => (number(), 0_u64..25).prop_map(|(n, by)| Op::Reduce(n, by)),
        15 => number().prop_map(Op::Delete),
        15 => (number(), number(), price(), 0_u64..20).prop_map(|(a, b, p, q)| Op::Replace(a, b, p, q)),
        1 => Just(Op::Clear),
    ]
}

fn compare(books: &Books, naive: &Naive) {
    assert_eq!(books.orders().len(), naive.0.len());
    for (number, order) in &naive.0 {
        assert_eq!(books.orders().get(*number), Some(*order));
    }
    for instrument in 0..4 {
        let Some(book) = books.book(instrument) else { continue };
        for side in [Side::Bid, Side::Ask] {
            assert_eq!(book.levels(side).collect::<Vec<_>>(), naive.levels(instrument, side));
        }
        let best = |side| naive.levels(instrument, side).first().map(|level| level.price);
        let crossed = best(Side::Bid).zip(best(Side::Ask)).is_some_and(|(bid, ask)| bid >= ask);
        assert_eq!(book.is_crossed(), crossed);
    }
}

proptest! {
    #[test]
    fn books_are_what_summing_up_the_orders_gives(ops in proptest::collection::vec(op(), 0..400)) {
        let (mut books, mut naive) = (Books::with_capacity(1 << 16), Naive::default());
        for (at, op) in ops.into_iter().enumerate() {
            match op {
                Op::Add(n, order) => prop_assert_eq!(books.add(n, &order), naive.add(n, order)),
                Op::Reduce(n, by) => prop_assert_eq!(books.reduce(n, by), naive.reduce(n, by)),
                Op::Delete(n) => prop_assert_eq!(books.delete(n), naive.0.remove(&n).ok_or(Fault::Unknown)),
                Op::Replace(a, b, p, q) => prop_assert_eq!(books.replace(a, b, p, q), naive.replace(a, b, p, q)),
                Op::Clear => {
                    books.clear();
                    naive.0.clear();
                }
            }
            if at % 16 == 0 {
                compare(&books, &naive);
            }
        }
        compare(&books, &naive);
    }

    /// A table that is too small: what is refused leaves no trace, what was taken stays right.
    #[test]
    fn a_full_table_refuses_and_stays_right(ops in proptest::collection::vec(op(), 0..400)) {
        let (mut books, mut naive) = (Books::with_capacity(12), Naive::default());
        for op in ops {
            match op {
                Op::Add(n, order) => {
                    let done = books.add(n, &order);
                    prop_assert_eq!(done == Err(Fault::Duplicate), naive.0.contains_key(&n));
                    if done.is_ok() {
                        naive.add(n, order).unwrap();
                    }
                }
                Op::Reduce(n, by) => prop_assert_eq!(books.reduce(n, by), naive.reduce(n, by)),
                Op::Delete(n) => prop_assert_eq!(books.delete(n), naive.0.remove(&n).ok_or(Fault::Unknown)),
                Op::Replace(a, b, p, q) => {
                    if books.replace(a, b, p, q) == Err(Fault::Full) {
                        naive.0.remove(&a).unwrap();
                    } else {
                        let _ = naive.replace(a, b, p, q);
                    }
                }
                Op::Clear => {
                    books.clear();
                    naive.0.clear();
                }
            }
            prop_assert!(books.orders().len() <= 12);
            compare(&books, &naive);
        }
    }
}

#[test]
fn an_instrument_without_room_is_refused() {
    let mut books = Books::with_capacity(10);
    let order = Order { instrument: u32::MAX, side: Side::Bid, price: 1, quantity: 1 };
    assert_eq!(books.add(1, &order), Err(Fault::Full));
    assert!(books.orders().is_empty());
}
