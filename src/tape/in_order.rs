//! Brings what is nearly in order of time wholly into it, with bounded memory.
//!
//! A merged tape may step back by some hundred nanoseconds where stamps of two clocks meet on a queue. What comes is held until
//! the newest stamp is a horizon ahead; what comes later than that is refused and left to the caller.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Holds things back until nothing earlier can come.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    held: BinaryHeap<Reverse<Held<T>>>,
    horizon_ns: u64,
    newest_ns: u64,
    /// Stamp of the last one handed out.
    passed_ns: u64,
    number: u64,
}

#[derive(Debug)]
struct Held<T> {
    at_ns: u64,
    /// Equal stamps stay in the order in which they came.
    number: u64,
    what: T,
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<T> Eq for Held<T> {}
impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_ns, self.number).cmp(&(other.at_ns, other.number))
    }
}

impl<T> InOrder<T> {
    /// Most that are held: beyond it the earliest goes, whatever the horizon.
    const MAX_HELD: usize = 1 << 20;

    pub(super) const fn new(horizon_ns: u64) -> Self {
        Self { held: BinaryHeap::new(), horizon_ns, newest_ns: 0, passed_ns: 0, number: 0 }
    }

    /// Takes one more. `Err` gives back what is earlier than something handed out already.
    pub(super) fn push(&mut self, at_ns: u64, what: T) -> Result<(), T> {
        if at_ns < self.passed_ns {
            return Err(what);
        }
        self.newest_ns = self.newest_ns.max(at_ns);
        self.number += 1;
        self.held.push(Reverse(Held { at_ns, number: self.number, what }));
        Ok(())
    }

    /// The earliest, if nothing before it is to be expected.
    pub(super) fn ready(&mut self) -> Option<(u64, T)> {
        let Reverse(first) = self.held.peek()?;
        let is_due = self.newest_ns - first.at_ns >= self.horizon_ns || self.held.len() > Self::MAX_HELD;
        if is_due { self.take() } else { None }
    }

    /// The earliest, when nothing more comes.
    pub(super) fn take(&mut self) -> Option<(u64, T)> {
        let Reverse(Held { at_ns, what, .. }) = self.held.pop()?;
        self.passed_ns = at_ns;
        Some((at_ns, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_later_than_the_horizon_is_given_back() {
        let mut order = InOrder::new(10);
        assert_eq!(order.push(100, 'a'), Ok(()));
        assert_eq!(order.push(95, 'b'), Ok(()));
        assert_eq!(order.ready(), None);
        assert_eq!(order.push(105, 'c'), Ok(()));
        assert_eq!(order.ready(), Some((95, 'b')));
        assert_eq!(order.push(94, 'd'), Err('d'));
        assert_eq!(order.push(95, 'e'), Ok(()));
        assert_eq!(order.take(), Some((95, 'e')));
    }

    proptest! {
        #[test]
        fn within_the_horizon_the_answer_is_a_stable_sort(steps in prop::collection::vec((0u64..30, 0u64..20), 0..200)) {
            let mut now = 1_000;
            let mut given = Vec::new();
            for (number, (on, back)) in steps.into_iter().enumerate() {
                now += on;
                given.push((now - back, number));
            }
            let mut order = InOrder::new(20);
            let mut got = Vec::new();
            for (at_ns, number) in &given {
                prop_assert_eq!(order.push(*at_ns, *number), Ok(()));
                while let Some(one) = order.ready() {
                    got.push(one);
                }
            }
            while let Some(one) = order.take() {
                got.push(one);
            }
            let mut sorted = given.clone();
            sorted.sort_by_key(|(at_ns, _)| *at_ns);
            prop_assert_eq!(got, sorted);
        }
    }
}
