//! What came recently, by number: a hash of the bytes, who brought it first and when.
//!
//! A table of fixed size that a newer number overwrites: so a copy is compared with the first arrival while both are
//! recent, and whatever numbers a sender invents, no more memory is taken. Numbers of other epochs have other places.

use crate::time::{Stamp, StampClock};

/// First arrival of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    /// Of its bytes.
    pub hash: u64,
    /// Of the packet that brought it first.
    pub stamp: Stamp,
    /// The line that brought it first.
    pub line: usize,
    /// Bits of the lines that have brought it.
    pub lines: u8,
    /// It came in order: fit to be raced.
    pub in_order: bool,
}

/// The table. A slot is number, hash, stamp, and (epoch, flags, lines, line, clock) in one word; all zero = empty, which
/// lets the system give the memory when it is touched.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Vec<[u64; 4]>,
}

impl Ring {
    /// A table of at least `slots` places.
    pub(super) fn new(slots: usize) -> Self {
        Self { slots: vec![[0; 4]; slots.next_power_of_two()] }
    }

    /// Numbers that follow each other stand beside each other; epochs are spread over the table.
    fn place(&self, epoch: u32, number: u64) -> usize {
        let shift = u64::from(epoch).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        usize::try_from(number.wrapping_add(shift)).unwrap_or(0) & (self.slots.len() - 1)
    }

    /// The first arrival of `number`, if it is still known.
    #[inline]
    pub(super) fn get(&self, epoch: u32, number: u64) -> Option<Seen> {
        let [at, hash, ns, word] = *self.slots.get(self.place(epoch, number))?;
        (word >> 32 == u64::from(epoch) && at == number && word != 0).then(|| Seen {
            hash,
            stamp: Stamp::new(ns, StampClock(byte(word, 0))),
            line: usize::from(byte(word, 8)),
            lines: byte(word, 16),
            in_order: byte(word, 24) != 0,
        })
    }

    /// Keeps it, in place of whatever stood there. Epochs count from 1.
    #[inline]
    pub(super) fn put(&mut self, epoch: u32, number: u64, seen: Seen) {
        let place = self.place(epoch, number);
        let line = u64::try_from(seen.line & 0xff).unwrap_or(0);
        let word = u64::from(epoch) << 32
            | u64::from(seen.in_order) << 24
            | u64::from(seen.lines) << 16
            | line << 8
            | u64::from(seen.stamp.clock.0);
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = [number, seen.hash, seen.stamp.ns, word];
        }
    }
}

fn byte(word: u64, shift: u32) -> u8 {
    (word >> shift).to_le_bytes()[0]
}

/// A 64-bit hash of bytes: tells honest copies from damaged ones (not against somebody who seeks collisions).
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const KEYS: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
    let fold = |a: u64, b: u64| {
        let wide = u128::from(a ^ KEYS[0]) * u128::from(b ^ KEYS[1]);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
        let folded = (wide as u64) ^ ((wide >> 64) as u64);
        folded
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state =
        words.iter().fold(0x8ebc_6af0_9c88_c6e3, |state, word| fold(state, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    state = fold(state, u64::from_le_bytes(last));
    fold(state, bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(line: usize) -> Seen {
        let stamp = Stamp::new(7, StampClock::FILE);
        Seen { hash: 9, stamp, line, lines: 3, in_order: true }
    }

    #[test]
    fn what_was_put_is_found_until_a_newer_number_takes_its_place() {
        let mut ring = Ring::new(8);
        assert_eq!(ring.get(1, 0), None);
        ring.put(1, 0, seen(1));
        assert_eq!(ring.get(1, 0), Some(seen(1)));
        assert_eq!(ring.get(2, 0), None);
        ring.put(1, 8, seen(0));
        assert_eq!(ring.get(1, 0), None);
        ring.put(1, u64::MAX, seen(0));
        assert_eq!(ring.get(1, u64::MAX), Some(seen(0)));
    }

    #[test]
    fn a_flipped_bit_or_another_length_changes_the_hash() {
        let bytes: Vec<u8> = (0..40).collect();
        let whole = hash(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hash(&other), whole);
        }
        assert_ne!(hash(&[0; 3]), hash(&[0; 4]));
        assert_ne!(hash(&[]), hash(&[0]));
    }
}
