//! A histogram of signed times: nothing is clamped, what is before zero stays before zero.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Largest magnitude that is told apart, ns: 73 years.
const MAX_NS: u64 = 1 << 61;

/// Percentiles of signed times, ns.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Smallest.
    pub min_ns: i64,
    /// Half are at most this.
    pub p50_ns: i64,
    /// 90 of 100 are at most this.
    pub p90_ns: i64,
    /// 99 of 100 are at most this.
    pub p99_ns: i64,
    /// 999 of 1000 are at most this.
    pub p999_ns: i64,
    /// Largest.
    pub max_ns: i64,
}

/// A histogram of signed nanoseconds, to about 1 %.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Magnitudes of those below zero.
    below: Histogram<u64>,
    above: Histogram<u64>,
    min_ns: i64,
    max_ns: i64,
}

impl Spread {
    /// An empty one; `None` never happens with these constants.
    pub fn new() -> Option<Self> {
        let half = || Histogram::new_with_bounds(1, MAX_NS, 2).ok();
        Some(Self { below: half()?, above: half()?, min_ns: i64::MAX, max_ns: i64::MIN })
    }
    /// Counts `times` values of `ns`.
    pub fn record(&mut self, ns: i64, times: u64) {
        let half = if ns < 0 { &mut self.below } else { &mut self.above };
        half.saturating_record_n(ns.unsigned_abs().min(MAX_NS), times);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }
    /// The magnitudes of the values below zero, and the others.
    pub const fn halves(&self) -> (&Histogram<u64>, &Histogram<u64>) {
        (&self.below, &self.above)
    }
    /// How many values.
    pub fn count(&self) -> u64 {
        self.below.len() + self.above.len()
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        // Emptying touches every bucket: not for a half that is empty.
        for half in [&mut self.below, &mut self.above] {
            if !half.is_empty() {
                half.reset();
            }
        }
        (self.min_ns, self.max_ns) = (i64::MAX, i64::MIN);
    }
    /// The value that `per_mille` of 1000 values do not exceed; 0 if there are none.
    pub fn at(&self, per_mille: u64) -> i64 {
        let count = self.count();
        if count == 0 {
            return 0;
        }
        let rank = (u128::from(count) * u128::from(per_mille)).div_ceil(1000).clamp(1, u128::from(count));
        let below = u128::from(self.below.len());
        if rank <= below {
            // The lowest value has the largest magnitude.
            return self.inside(-nth(&self.below, below - rank + 1));
        }
        self.inside(nth(&self.above, rank - below))
    }
    fn inside(&self, ns: i64) -> i64 {
        ns.clamp(self.min_ns, self.max_ns)
    }
    /// Smallest and largest; 0 if there are none.
    pub fn ends(&self) -> (i64, i64) {
        if self.count() == 0 { (0, 0) } else { (self.min_ns, self.max_ns) }
    }
    /// The percentiles of a report.
    pub fn percentiles(&self) -> Percentiles {
        let (min_ns, max_ns) = self.ends();
        let [p50_ns, p90_ns, p99_ns, p999_ns] = [500, 900, 990, 999].map(|per_mille| self.at(per_mille));
        Percentiles { count: self.count(), min_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns }
    }
}

/// The value that is `rank`-th of all, from 1.
fn nth(half: &Histogram<u64>, rank: u128) -> i64 {
    let mut seen = 0_u128;
    let reached = half.iter_recorded().find(|step| {
        seen += u128::from(step.count_since_last_iteration());
        seen >= rank
    });
    reached.map_or(i64::MAX, |step| i64::try_from(step.value_iterated_to()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_values(values in proptest::collection::vec(-1_000_000_000_i64..1_000_000_000, 1..300)) {
            let mut spread = Spread::new().unwrap();
            for value in &values {
                spread.record(*value, 1);
            }
            let mut sorted = values;
            sorted.sort_unstable();
            for per_mille in [0, 1, 500, 900, 999, 1000] {
                let rank = (sorted.len() * per_mille).div_ceil(1000).clamp(1, sorted.len());
                let exact = sorted[rank - 1];
                let told = spread.at(per_mille as u64);
                prop_assert!((told - exact).abs() <= exact.abs() / 64 + 1, "{told} for {exact}");
            }
            prop_assert_eq!(spread.ends(), (sorted[0], sorted[sorted.len() - 1]));
        }
    }

    #[test]
    fn the_ends_of_time_are_kept() {
        let mut spread = Spread::new().unwrap();
        spread.record(i64::MIN, 1);
        spread.record(i64::MAX, 2);
        assert_eq!(spread.ends(), (i64::MIN, i64::MAX));
        assert_eq!(spread.count(), 3);
        spread.clear();
        assert_eq!((spread.count(), spread.at(500)), (0, 0));
    }
}
