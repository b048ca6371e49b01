// SPDX-License-Identifier: MIT

//! Fixed-size histogram of durations.
//!
//! Log-linear, as HdrHistogram: each octave is cut into [`STEPS`] equal buckets, so a percentile is
//! off by half a bucket at most, under 1.6 %. It keeps the range of buckets in use: closing a window of
//! similar durations touches a few dozen buckets, not all of them, which is what makes metrics
//! cheap enough to be always on.

use std::ops::Range;

/// Buckets of an octave; a power of two.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Durations from 2^OCTAVES ns (17 s) on share the last bucket; minimum, maximum and sum stay exact.
const OCTAVES: u32 = 34;
const BUCKETS: usize = ((OCTAVES - STEP_BITS + 1) as usize) * STEPS as usize;

/// Durations in ns; about 4 kB, allocated once.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    /// From the first to beyond the last bucket in use; empty where nothing was recorded.
    used: Range<usize>,
    count: u64,
    min: u64,
    max: u64,
    sum: u64,
}

/// What a [`Histogram`] holds, in ns; all zero when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Durations recorded.
    pub count: u64,
    /// Of all of them.
    pub sum: u64,
    /// The shortest.
    pub min: u64,
    /// Mean, rounded down.
    pub avg: u64,
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

#[expect(clippy::reversed_empty_ranges)] // the neutral element of widening
const NOTHING: Range<usize> = BUCKETS..0;

/// Bucket of `ns`.
#[inline]
fn bucket(ns: u64) -> usize {
    let ns = ns.min((1 << OCTAVES) - 1);
    let shift = (u64::BITS - (ns | STEPS).leading_zeros()) - 1 - STEP_BITS;
    (u64::from(shift) * STEPS + (ns >> shift)) as usize
}

/// Middle of bucket `index`, in ns.
fn middle(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / STEPS).saturating_sub(1);
    let low = (index - shift * STEPS) << shift;
    low + ((1 << shift) >> 1)
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            used: NOTHING,
            count: 0,
            min: u64::MAX,
            max: 0,
            sum: 0,
        }
    }
}

impl Histogram {
    /// Adds one duration.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        let index = bucket(ns);
        self.counts[index] = self.counts[index].saturating_add(1);
        self.used = self.used.start.min(index)..self.used.end.max(index + 1);
        self.count += 1;
        self.min = self.min.min(ns);
        self.max = self.max.max(ns);
        self.sum = self.sum.saturating_add(ns);
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for index in other.used.clone() {
            self.counts[index] = self.counts[index].saturating_add(other.counts[index]);
        }
        self.used = self.used.start.min(other.used.start)..self.used.end.max(other.used.end);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Forgets everything; keeps the memory.
    pub fn clear(&mut self) {
        for index in self.used.clone() {
            self.counts[index] = 0;
        }
        self.used = NOTHING;
        (self.count, self.min, self.max, self.sum) = (0, u64::MAX, 0, 0);
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes held on the heap.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.counts)
    }

    /// Count, sum, extremes and percentiles.
    pub fn summary(&self) -> Summary {
        if self.is_empty() {
            return Summary::default();
        }
        let ranks = [50, 95, 99].map(|percent| (self.count * percent).div_ceil(100).max(1));
        let mut values = [self.max; 3];
        let (mut seen, mut next) = (0u64, 0);
        for index in self.used.clone() {
            seen += u64::from(self.counts[index]);
            while next < ranks.len() && seen >= ranks[next] {
                // The middle of an outer bucket can lie beyond what was really seen.
                values[next] = middle(index).clamp(self.min, self.max);
                next += 1;
            }
            if next == ranks.len() {
                break;
            }
        }
        Summary {
            count: self.count,
            sum: self.sum,
            min: self.min,
            avg: self.sum / self.count,
            p50: values[0],
            p95: values[1],
            p99: values[2],
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(sorted: &[u64], q: f64) -> f64 {
        sorted[((sorted.len() as f64 * q).ceil() as usize).max(1) - 1] as f64
    }

    #[test]
    fn percentiles_are_within_two_percent_of_exact() {
        // Several decades, skewed, from a small linear congruential generator.
        let mut state = 1u64;
        let mut h = Histogram::default();
        let mut all = Vec::new();
        for _ in 0..50_000 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let u = (state >> 40) as f64 / (1u64 << 24) as f64;
            let ns = (100.0 * (10.0f64).powf(5.0 * u)) as u64;
            h.record(ns);
            all.push(ns);
        }
        all.sort_unstable();
        let s = h.summary();
        for (got, q) in [(s.p50, 0.5), (s.p95, 0.95), (s.p99, 0.99)] {
            let want = exact(&all, q);
            assert!((got as f64 / want - 1.0).abs() < 0.02, "{got} vs {want}");
        }
        assert_eq!((s.min, s.max), (all[0], all[all.len() - 1]));
        assert_eq!(s.sum, all.iter().sum::<u64>());
        assert_eq!(s.count, 50_000);
    }

    #[test]
    fn buckets_are_contiguous_and_narrow() {
        let mut last = 0;
        for ns in (0..100_000u64).chain((17..34).flat_map(|e| [(1 << e) - 1, 1 << e, (1 << e) + 1]))
        {
            let index = bucket(ns);
            assert!(ns > 100_000 || index == last || index == last + 1, "{ns}");
            last = index;
            assert!(
                (middle(index) as f64 - ns as f64).abs() <= ns as f64 / 63.0,
                "{ns}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn extremes_stay_exact() {
        let mut h = Histogram::default();
        h.record(0);
        h.record(u64::MAX / 2);
        let s = h.summary();
        assert_eq!((s.min, s.max, s.count), (0, u64::MAX / 2, 2));
        assert_eq!(s.p50, 0);
        h.clear();
        assert_eq!(h.summary(), Summary::default());
    }

    #[test]
    fn merging_equals_recording_into_one() {
        let (mut a, mut b, mut both) = <(Histogram, Histogram, Histogram)>::default();
        for i in 0..1000u64 {
            if i % 3 == 0 { &mut a } else { &mut b }.record(i * i);
            both.record(i * i);
        }
        a.merge(&b);
        assert_eq!(a.summary(), both.summary());
    }
}
