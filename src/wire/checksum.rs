//! The Internet checksum (RFC 1071), summed a word at a time.
//!
//! The sum is kept in little-endian words and its bytes are swapped once at the end:
//! ones' complement sums do not care about byte order (RFC 1071, section 2B), so the loop
//! needs no swaps and the compiler turns it into vector additions. The plain 16-bit
//! big-endian sum is the twin in the tests.

/// A running ones' complement sum. Every part but the last must have an even length.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const ZERO: Self = Self(0);

    /// Adds bytes. An odd last byte counts as the high half of a word, as the RFC says.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        // 2^32 words of 32 bits would be needed to overflow the 64-bit sum: 16 GiB.
        let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_le_bytes(*word))).sum();
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sum += u64::from(u32::from_le_bytes(last));
        Self(self.0 + sum)
    }
    /// Adds one 16-bit number.
    #[must_use]
    pub fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word.swap_bytes()))
    }
    /// Adds one 32-bit number, as two words.
    #[must_use]
    pub fn dword(self, dword: u32) -> Self {
        Self(self.0 + u64::from(dword.swap_bytes()))
    }
    /// The folded sum, in host order.
    pub fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap_or(u16::MAX).swap_bytes()
    }
    /// The checksum to write into a field that was zero while summing.
    pub fn checksum(self) -> u16 {
        !self.folded()
    }
    /// True if data that includes its checksum field is sound.
    pub fn is_sound(self) -> bool {
        self.folded() == 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 as its text says it: 16-bit big-endian words, end-around carry at each step.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += (u32::from(pair[0]) << 8) | pair.get(1).map_or(0, |low| u32::from(*low));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_holds() {
        // RFC 1071, section 3: 0001 f203 f4f5 f6f7 sums to ddf2.
        assert_eq!(Sum::ZERO.bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).folded(), 0xddf2);
    }

    proptest! {
        #[test]
        fn word_wise_and_plain_sums_agree(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Sum::ZERO.bytes(&bytes).folded(), plain(&bytes));
        }
        #[test]
        fn parts_of_even_length_sum_like_the_whole(head in proptest::collection::vec(any::<[u8; 2]>(), 0..40),
                                                   tail in proptest::collection::vec(any::<u8>(), 0..40), number in any::<u32>()) {
            let head = head.concat();
            let whole: Vec<u8> = head.iter().copied().chain(number.to_be_bytes()).chain(tail.iter().copied()).collect();
            prop_assert_eq!(Sum::ZERO.bytes(&head).dword(number).bytes(&tail).folded(), plain(&whole));
        }
    }
}
