// SPDX-License-Identifier: MIT

//! Histogram of durations.
//!
//! Log-linear, as HdrHistogram: each octave is cut into [`STEPS`] equal buckets, so a percentile is
//! off by half a bucket at most, under 1.6 %. It keeps the range of buckets in use: closing a window of
//! similar durations touches a few dozen buckets, not all of them, which is what makes metrics
//! cheap enough to be always on. Octaves in which nothing was ever recorded take no memory.

use std::ops::Range;

/// Buckets of an octave; a power of two.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Durations from 2^OCTAVES ns (17 s) on share the last bucket; minimum, maximum and sum stay exact.
const OCTAVES: u32 = 34;
const BUCKETS: usize = KEPT * STEPS as usize;
/// Octaves that have buckets; what is shorter than [`STEPS`] ns is one with them.
const KEPT: usize = (OCTAVES - STEP_BITS + 1) as usize;

type Octave = [u32; STEPS as usize];

/// Durations in ns; 128 bytes for each octave that they lie in.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Where in `counts` an octave is, counted from 1; 0 where it is not there.
    places: [u8; KEPT],
    /// In the order in which they were needed.
    counts: Vec<Octave>,
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
            places: [0; KEPT],
            counts: Vec::new(),
            used: NOTHING,
            count: 0,
            min: u64::MAX,
            max: 0,
            sum: 0,
        }
    }
}

impl Histogram {
    /// Durations in bucket `index`.
    fn count_of(&self, index: usize) -> u32 {
        match self.places[index / STEPS as usize] {
            0 => 0,
            place => self.counts[usize::from(place) - 1][index % STEPS as usize],
        }
    }

    #[inline]
    fn count_mut(&mut self, index: usize) -> &mut u32 {
        let octave = index / STEPS as usize;
        if self.places[octave] == 0 {
            self.make_room(octave);
        }
        &mut self.counts[usize::from(self.places[octave]) - 1][index % STEPS as usize]
    }

    /// Seldom: as often in its life as there are octaves.
    #[cold]
    fn make_room(&mut self, octave: usize) {
        self.counts.reserve_exact(1);
        self.counts.push([0; STEPS as usize]);
        self.places[octave] = self.counts.len() as u8;
    }

    /// Adds one duration.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        let index = bucket(ns);
        let count = self.count_mut(index);
        *count = count.saturating_add(1);
        self.used = self.used.start.min(index)..self.used.end.max(index + 1);
        self.count += 1;
        self.min = self.min.min(ns);
        self.max = self.max.max(ns);
        self.sum = self.sum.saturating_add(ns);
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for index in other.used.clone() {
            let more = other.count_of(index);
            if more > 0 {
                let count = self.count_mut(index);
                *count = count.saturating_add(more);
            }
        }
        self.used = self.used.start.min(other.used.start)..self.used.end.max(other.used.end);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Forgets everything; keeps the memory.
    pub fn clear(&mut self) {
        if !self.is_empty() {
            self.counts.fill([0; STEPS as usize]);
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
        self.counts.capacity() * size_of::<Octave>()
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
            seen += u64::from(self.count_of(index));
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
    fn memory_is_that_of_the_octaves_in_use() {
        let mut h = Histogram::default();
        assert_eq!(h.memory(), 0);
        // Of one octave, of the next, of one far off.
        for (ns, octaves) in [(700, 1), (701, 1), (1023, 1), (1024, 2), (5_000_000, 3)] {
            h.record(ns);
            assert_eq!(h.memory(), octaves * 128, "{ns}");
        }
        let mut other = Histogram::default();
        other.merge(&h);
        assert_eq!((other.memory(), other.summary()), (3 * 128, h.summary()));
        // What was forgotten is not counted again, whether its octave is used again or another.
        h.clear();
        h.record(900);
        h.record(3000);
        let s = h.summary();
        assert_eq!((s.count, s.p50, s.max), (2, 904, 3000));
        for ns in (0..OCTAVES).map(|octave| 1 << octave) {
            h.record(ns);
        }
        assert_eq!(h.memory(), BUCKETS * 4);
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
