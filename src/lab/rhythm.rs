//! When packets leave: calm, and now and then a burst.

use super::random::SplitMix64;
use crate::time::NS_PER_SEC;

/// How packets follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Packets a second on the whole between bursts; 0 counts as 1.
    pub calm_pps: u64,
    /// Packets a second within a burst; 0 counts as 1.
    pub burst_pps: u64,
    /// Packets of a burst; 0 = no bursts.
    pub burst_packets: u64,
    /// From the beginning of one burst to that of the next, packets.
    pub burst_every: u64,
}

impl Rhythm {
    /// Evenly so many packets a second, without bursts.
    pub const fn even(pps: u64) -> Self {
        Self { calm_pps: pps, burst_pps: pps, burst_packets: 0, burst_every: 0 }
    }

    /// From packet `number` to the next, ns. Between bursts it varies by half either way if there are bursts at all.
    pub(super) fn spacing_ns(&self, number: u64, random: &mut SplitMix64) -> u64 {
        if self.burst_packets == 0 || self.burst_every == 0 {
            return NS_PER_SEC / self.calm_pps.max(1);
        }
        if number % self.burst_every < self.burst_packets {
            return NS_PER_SEC / self.burst_pps.max(1);
        }
        let mean = NS_PER_SEC / self.calm_pps.max(1);
        mean / 2 + u64::from(random.between(0, u32::try_from(mean).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_as_long_and_as_fast_as_asked_and_calm_is_kept_on_the_whole() {
        let rhythm = Rhythm { calm_pps: 1_000, burst_pps: 1_000_000, burst_packets: 50, burst_every: 250 };
        let mut random = SplitMix64::new(1);
        let spacings: Vec<u64> = (0..10_000).map(|n| rhythm.spacing_ns(n, &mut random)).collect();
        let (burst, calm): (Vec<_>, Vec<_>) = spacings.into_iter().partition(|ns| *ns == 1_000);
        assert_eq!((burst.len(), calm.len()), (2_000, 8_000));
        let mean = calm.iter().sum::<u64>() / 8_000;
        assert!((950_000..1_050_000).contains(&mean), "{mean}");
        assert_eq!(Rhythm::even(4).spacing_ns(3, &mut random), 250_000_000);
    }
}
