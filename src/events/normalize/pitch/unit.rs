//! One unit: its orders, the second it is in, and whether they can be believed.

use super::At;
use crate::book::{Books, Fault, Order};
use crate::events::normalize::common::DayClock;
use crate::events::output::Output;
use crate::events::rules::Rule;
use crate::time::NS_PER_SEC;

/// Most units that are told apart; an exchange has up to some forty.
pub(super) const MAX_UNITS: usize = 64;
/// Live orders that there is room for in a unit. 32 MiB, of which is touched what is used.
const ORDERS: usize = 1 << 19;
/// A midnight that the feed told is believed as long as it gives times nearer to the stamp than this.
const ANOTHER_DAY_NS: u64 = 12 * 3_600 * NS_PER_SEC;

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) number: u8,
    books: Option<Box<Books>>,
    /// The second of the last Time message, ns since the Unix epoch.
    pub(super) second_ns: Option<u64>,
    /// The exchange's midnight, as the last Time Reference told it.
    pub(super) midnight_ns: Option<u64>,
    /// Orders are missing by rights.
    pub(super) incomplete: bool,
    begun: bool,
}

impl Unit {
    pub(super) const fn new(number: u8) -> Self {
        Self { number, books: None, second_ns: None, midnight_ns: None, incomplete: false, begun: false }
    }

    /// A packet whose first number is `first`. Joined in the middle: what came before is missing.
    pub(super) const fn begin(&mut self, first: u64) {
        self.incomplete |= !self.begun && first > 1;
        self.begun = true;
    }

    /// Its sequence begins anew.
    pub(super) const fn restart(&mut self) {
        self.begun = false;
        self.second_ns = None;
    }

    /// The books, once there was an order.
    pub(super) fn books(&mut self) -> Option<&mut Books> {
        self.books.as_deref_mut()
    }

    /// Puts an order into its book.
    pub(super) fn enter(&mut self, number: u64, order: &Order, at: &At<'_>, out: &mut Output) {
        let books = self.books.get_or_insert_with(|| Box::new(Books::with_capacity(ORDERS)));
        match books.add(number, order) {
            Ok(()) => {}
            Err(Fault::Duplicate) => {
                // The exchange knows better which order has the number now.
                let _ = books.delete(number);
                let again = books.add(number, order);
                self.state_rule(Rule::OrderDuplicate, at, number.cast_signed(), out);
                if again.is_err() {
                    self.full(number, at, out);
                }
            }
            Err(_) => self.full(number, at, out),
        }
    }

    /// There was no room for an order.
    #[cold]
    pub(super) fn full(&mut self, number: u64, at: &At<'_>, out: &mut Output) {
        self.state_rule(Rule::OrdersFull, at, number.cast_signed(), out);
        self.incomplete = true;
    }

    /// A rule about the state of orders: where orders are missing by rights, it is counted only.
    pub(super) fn state_rule(&self, rule: Rule, at: &At<'_>, value: i64, out: &mut Output) {
        if self.incomplete {
            out.rules.broken(rule);
        } else {
            out.broken(rule, at.arrival, at.seq, value);
        }
    }

    /// A second of the day in ns since the Unix epoch: by the midnight that the feed told, else by the stamp.
    pub(super) fn since_midnight(&self, clock: &mut DayClock, seconds: u32, stamp_ns: u64) -> Option<u64> {
        let since_ns = u64::from(seconds) * NS_PER_SEC;
        let told = self.midnight_ns.map(|midnight| midnight.saturating_add(since_ns));
        told.filter(|at| at.abs_diff(stamp_ns) < ANOTHER_DAY_NS).or_else(|| clock.utc_ns(since_ns, stamp_ns))
    }
}
