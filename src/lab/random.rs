//! Random-looking numbers that are the same on every machine and in every version.

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, an odd increment, a mixing of its bits.
/// Not for secrets.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The sequence of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included (`high` counts as at least `low`).
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low)) + 1;
        // The upper half of the product is below `span`, which fits.
        let offset = ((self.next_u64() >> 32) * span) >> 32;
        low + u32::try_from(offset).unwrap_or(0)
    }

    /// Appends `count` bytes.
    pub fn fill(&mut self, out: &mut Vec<u8>, count: usize) {
        let end = out.len() + count;
        while out.len() < end {
            let bytes = self.next_u64().to_le_bytes();
            let room = (end - out.len()).min(bytes.len());
            out.extend_from_slice(&bytes[..room]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_range_is_met_from_end_to_end_and_never_left() {
        let mut random = SplitMix64::new(1);
        let mut seen = [0; 4];
        for _ in 0..1000 {
            seen[(random.between(5, 8) - 5) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| n > 200), "{seen:?}");
        assert_eq!(random.between(7, 7), 7);
    }
}
