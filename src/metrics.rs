//! Counters and latency histograms that one data thread writes and anybody reads.
//!
//! The writer never waits, allocates or makes a system call: a count is a relaxed
//! load and store of its own atomic (no locked instruction, because there is one
//! writer), and a reader may look at any moment. A snapshot taken while the writer
//! runs is at most a few records behind; one taken after it was joined is exact.
//!
//! Buckets are laid out as HdrHistogram's with three significant digits, so a
//! snapshot converts without loss of resolution into [`hdrhistogram::Histogram`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Significant decimal digits that are kept.
pub const SIGNIFICANT_DIGITS: u8 = 3;
/// Longest time that is told apart: 2^42 - 1 ns, about 73 minutes. Longer ones count as this.
pub const MAX_NS: u64 = (1 << MAX_BITS) - 1;

const MAX_BITS: u32 = 42;
/// log2 of the linear part: 2048 sub-buckets give three digits.
const SUB_BITS: u32 = 11;
const HALF: usize = 1 << (SUB_BITS - 1);
const BUCKETS: usize = (1 << SUB_BITS) + (MAX_BITS - SUB_BITS) as usize * HALF;

/// The bucket of `value_ns`, which is at most [`MAX_NS`].
#[expect(clippy::cast_possible_truncation, reason = "value_ns >> shift is below 2^11")]
const fn bucket_of(value_ns: u64) -> usize {
    if value_ns < 1 << SUB_BITS {
        return value_ns as usize;
    }
    let shift = 64 - SUB_BITS - value_ns.leading_zeros();
    (1 << SUB_BITS) + (shift as usize - 1) * HALF + ((value_ns >> shift) as usize - HALF)
}

/// The lowest value of `bucket`.
const fn value_of(bucket: usize) -> u64 {
    if bucket < 1 << SUB_BITS {
        return bucket as u64;
    }
    let above = bucket - (1 << SUB_BITS);
    ((above % HALF + HALF) as u64) << (above / HALF + 1)
}

/// A number that one thread counts and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the one thread that owns the counter may; two would lose counts (never more than that).
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// Puts it at `n`.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[derive(Debug)]
struct Shared {
    buckets: Box<[AtomicU64]>,
    negative: Counter,
    max_ns: Counter,
}

/// The writing end of a histogram: one, and it cannot be cloned.
#[derive(Debug)]
pub struct Recorder(Arc<Shared>);

/// The reading end of a histogram.
#[derive(Debug, Clone)]
pub struct HistogramReader(Arc<Shared>);

/// Makes a histogram of nanoseconds: its writing and its reading end. Allocates all it will ever need.
pub fn histogram() -> (Recorder, HistogramReader) {
    let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
    let shared = Arc::new(Shared { buckets, negative: Counter::default(), max_ns: Counter::default() });
    (Recorder(Arc::clone(&shared)), HistogramReader(shared))
}

impl Recorder {
    /// Records a difference of two times. A negative one (two clocks disagree) is counted apart, never clamped to 0.
    pub fn record(&mut self, ns: i64) {
        let Ok(value_ns) = u64::try_from(ns) else {
            self.0.negative.add(1);
            return;
        };
        let bucket = bucket_of(value_ns.min(MAX_NS));
        let slot = &self.0.buckets[bucket];
        slot.store(slot.load(Relaxed) + 1, Relaxed);
        if value_ns > self.0.max_ns.get() {
            self.0.max_ns.set(value_ns);
        }
    }
}

impl HistogramReader {
    /// The state now.
    pub fn snapshot(&self) -> Snapshot {
        let mut hdr = empty();
        for (bucket, count) in self.0.buckets.iter().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                // Cannot fail: every bucket's value lies within the bounds that `empty` was given.
                let _ = hdr.record_n(value_of(bucket), count);
            }
        }
        Snapshot { hdr, negative: self.0.negative.get(), max_ns: self.0.max_ns.get() }
    }
}

fn empty() -> hdrhistogram::Histogram<u64> {
    #[expect(clippy::expect_used, reason = "constant bounds; a test makes one")]
    hdrhistogram::Histogram::new_with_bounds(1, MAX_NS, SIGNIFICANT_DIGITS)
        .expect("constant bounds are valid")
}

/// A histogram at one moment, ready for percentiles and for HdrHistogram's formats.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The recorded values that are not negative, ns.
    pub hdr: hdrhistogram::Histogram<u64>,
    /// How many were negative: the later clock showed less than the earlier one.
    pub negative: u64,
    /// The largest value, exact, ns.
    pub max_ns: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { hdr: empty(), negative: 0, max_ns: 0 }
    }
}

impl Snapshot {
    /// Adds another thread's histogram of the same thing.
    pub fn merge(&mut self, other: &Self) {
        // Cannot fail: both have the same bounds.
        let _ = self.hdr.add(&other.hdr);
        self.negative += other.negative;
        self.max_ns = self.max_ns.max(other.max_ns);
    }
    /// Values recorded, the negative ones included.
    pub fn count(&self) -> u64 {
        self.hdr.len() + self.negative
    }
    /// The value at `quantile` (0.0 to 1.0) of those not negative, ns; never above the exact maximum.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        self.hdr.value_at_quantile(quantile).min(self.max_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_are_contiguous_and_start_where_they_say() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(value_of(bucket)), bucket);
        }
        assert_eq!(bucket_of(MAX_NS), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_hdrhistogram_itself(values in proptest::collection::vec(0u64..MAX_NS, 1..400)) {
            let (mut recorder, reader) = histogram();
            let mut twin = empty();
            for v in &values {
                recorder.record(v.cast_signed());
                twin.record(*v).unwrap();
            }
            let ours = reader.snapshot();
            prop_assert_eq!(ours.count(), values.len() as u64);
            for q in [0.0, 0.5, 0.9, 0.99, 0.999, 1.0] {
                prop_assert_eq!(ours.hdr.value_at_quantile(q), twin.value_at_quantile(q));
            }
            prop_assert_eq!(ours.max_ns, *values.iter().max().unwrap());
        }
    }

    #[test]
    fn a_negative_difference_is_counted_apart_and_an_endless_one_as_the_longest() {
        let (mut recorder, reader) = histogram();
        recorder.record(-5);
        recorder.record(i64::MAX);
        let s = reader.snapshot();
        assert_eq!((s.negative, s.hdr.len(), s.count()), (1, 1, 2));
        assert_eq!(s.max_ns, i64::MAX.cast_unsigned());
    }
}
