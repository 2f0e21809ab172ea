//! Packets that wait for what comes before them: copies of their bytes, in memory that is bounded and used again.

use super::output::Arrival;
use std::collections::VecDeque;

/// Most packets that wait in one feed.
pub(super) const MAX_HELD: usize = 4096;
/// Most bytes that those packets may take.
pub(super) const MAX_HELD_BYTES: usize = 8 << 20;

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Held {
    /// Its first number.
    pub first: u64,
    /// The number after its last.
    pub end: u64,
    /// When and where it came in.
    pub arrival: Arrival,
    /// Its length on the wire, bytes.
    pub on_wire: usize,
    /// What was captured of it.
    pub bytes: Vec<u8>,
}

/// The memory of one feed's waiting packets.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Vec<Vec<u8>>,
    out: usize,
    bytes: usize,
}

impl Pool {
    /// A copy of `bytes`; `None` if there is no room.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.out == MAX_HELD || self.bytes + bytes.len() > MAX_HELD_BYTES {
            return None;
        }
        let mut copy = self.free.pop().unwrap_or_default();
        copy.extend_from_slice(bytes);
        self.out += 1;
        self.bytes += copy.capacity();
        Some(copy)
    }

    /// Takes a copy back.
    pub(super) fn give_back(&mut self, mut copy: Vec<u8>) {
        self.out = self.out.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(copy.capacity());
        copy.clear();
        // What one huge packet needed is not kept for small ones.
        if copy.capacity() <= 4096 {
            self.free.push(copy);
        }
    }
}

/// The waiting packets of one sequence space, by first number.
#[derive(Debug, Default)]
pub(super) struct Hold {
    packets: VecDeque<Held>,
    /// Stamp of the packet that came first of those that wait, ns.
    since_ns: u64,
}

impl Hold {
    /// Puts a packet at its place. Of the same first number, the shorter stands in front.
    pub(super) fn put(&mut self, held: Held) {
        if self.packets.is_empty() {
            self.since_ns = held.arrival.stamp.ns;
        }
        let at = self.packets.partition_point(|other| (other.first, other.end) <= (held.first, held.end));
        self.packets.insert(at, held);
    }

    /// True if a waiting packet has all of `[first, end)`.
    pub(super) fn covers(&self, first: u64, end: u64) -> bool {
        let behind = self.packets.partition_point(|held| held.first <= first);
        behind.checked_sub(1).and_then(|at| self.packets.get(at)).is_some_and(|held| held.end >= end)
    }

    /// The packet with the lowest number.
    pub(super) fn front(&self) -> Option<&Held> {
        self.packets.front()
    }

    /// Takes the front packet out.
    pub(super) fn pop(&mut self) -> Option<Held> {
        self.packets.pop_front()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Since when the front packet's gap is known, ns.
    pub(super) const fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// Another gap stands in front now: it is known since the oldest packet that still waits came.
    pub(super) fn look_again(&mut self) {
        let stamps = self.packets.iter().map(|held| held.arrival.stamp.ns);
        self.since_ns = stamps.min().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Stamp, StampClock};

    fn held(pool: &mut Pool, first: u64, end: u64, ns: u64) -> Held {
        let arrival = Arrival { stamp: Stamp::new(ns, StampClock::FILE), line: 0 };
        Held { first, end, arrival, on_wire: 4, bytes: pool.copy(&[0; 4]).unwrap() }
    }

    #[test]
    fn packets_wait_in_order_and_know_since_when() {
        let (mut pool, mut hold) = (Pool::default(), Hold::default());
        for (first, end, ns) in [(9, 12, 5), (5, 6, 7), (9, 10, 8), (20, 20, 9)] {
            hold.put(held(&mut pool, first, end, ns));
        }
        assert!(hold.covers(9, 12) && hold.covers(10, 11) && hold.covers(20, 20));
        assert!(!hold.covers(6, 7) && !hold.covers(11, 13) && !hold.covers(4, 5));
        assert_eq!(hold.since_ns(), 5);
        let mut order = Vec::new();
        while let Some(held) = hold.pop() {
            order.push((held.first, held.end));
            pool.give_back(held.bytes);
            hold.look_again();
        }
        assert_eq!(order, [(5, 6), (9, 10), (9, 12), (20, 20)]);
        assert_eq!((pool.out, pool.bytes), (0, 0));
    }

    #[test]
    fn the_pool_is_bounded_by_count_and_by_bytes() {
        let mut pool = Pool::default();
        let copies: Vec<_> = std::iter::from_fn(|| pool.copy(&[1; 10])).collect();
        assert_eq!(copies.len(), MAX_HELD);
        for copy in copies {
            pool.give_back(copy);
        }
        let big = vec![0; 65_507];
        let copies: Vec<_> = std::iter::from_fn(|| pool.copy(&big)).collect();
        assert!(copies.len() >= 64 && copies.len() * big.len() <= MAX_HELD_BYTES);
    }
}
