//! Rows of integers, for 16-bit samples.
//!
//! Taps of 16 bits alone would be off by -84 to -88 dB in all. So the large ones around the peak of the
//! response have two words, and the small ones are scaled up, as far as their sum allows: -99 dB or
//! less, below the dither of the output (-91 dB from full scale) and the stop bands up to
//! [`INTEGER_QUALITY`].

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::design::{Prototype, PrototypeKey};
use super::engine::Output;
use super::groups::{Job, Run, Stretch};
use super::polyphase::Rows;
use super::ratio::Ratio;
use super::spec::ResampleError;
use super::table::{Aligned, Phases, Storage, exact_bytes};
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::resample_fixed::columns;
use crate::simd::resample_pass::{Columns, GROUP, PAIR, Words};
use crate::simd::resample_words::COARSE_BITS;

/// Largest table of the same rows in `f32`, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// By how many bits the fine words are finer, at least and at most.
const FINER: RangeInclusive<u32> = 5..=8;

/// What rounding may leave of white noise, as a part of its power: -99 dB.
const MAX_ERROR: f64 = 1.26e-10;

/// Three words for two taps, or nearly. Backwards, the words of a pair would have to change places.
const STORAGE: Storage = Storage {
    tap: 3,
    filled: 48 << 10,
    backwards: false,
};

/// Samples at a time, by which kernels need no remainder.
const UNROLLED: usize = 4;

/// What the words of a row may come to, so that sums of the largest samples stay within 32 bits.
const MOST: u64 = i32::MAX as u64 >> 15;

/// The taps of every phase of a rational ratio, in words of 16 bits.
#[derive(Debug)]
pub struct Table {
    taps: Aligned<i16>,
    words: Words,
    phases: Phases,
}

/// The tables in use.
static TABLES: Shared<(PrototypeKey, Ratio), Table> = Shared::new();

/// All rows, with the zeros that they are padded with.
struct Taps {
    rows: Vec<f64>,
    /// Of a row.
    len: usize,
    /// Where the response begins in each, and how long it is.
    firsts: Vec<usize>,
    count: usize,
}

impl Taps {
    fn new(prototype: &Prototype, ratio: Ratio, phases: &Phases) -> Self {
        let len = phases.len;
        let mut rows = vec![0.0; phases.rows as usize * len];
        let mut firsts = Vec::new();
        phases.each_row(&prototype.evaluator(), ratio, |row, shift, taps| {
            rows[row * len + shift..][..taps.len()].copy_from_slice(taps);
            firsts.push(shift);
        });
        Self {
            rows,
            len,
            firsts,
            count: prototype.taps() as usize,
        }
    }

    /// Words of which the fine ones are `finer`: two for each tap but the outer ones, as many of which
    /// have one as the sums allow. Rows of a group begin and end at different places, so where one
    /// has large taps near one end of the window, its other end is small.
    fn words(&self, finer: u32) -> Words {
        let unit = f64::from(1u32 << (COARSE_BITS + finer));
        // What is left of a tap that a coarse word was rounded to.
        let second = f64::from(1u32 << finer) / 2.0;
        let mut sums = vec![0.0; self.firsts.len()];
        let (mut outer, mut largest) = (0, 0.0f64);
        for end in (UNROLLED..=self.len / 2).step_by(UNROLLED) {
            for (row, sum) in self.rows.chunks_exact(self.len).zip(&mut sums) {
                for i in end - UNROLLED..end {
                    for tap in [row[i], row[self.len - 1 - i]] {
                        *sum += tap.abs() * unit;
                        largest = largest.max(tap.abs() * unit);
                    }
                }
            }
            if largest > f64::from(i16::MAX - 1) {
                break;
            }
            let most = MOST as f64 - (self.len - 2 * end) as f64 * second;
            if sums.iter().all(|sum| *sum <= most) {
                outer = end;
            }
        }
        Words {
            near: (outer, self.len - outer),
            finer,
        }
    }

    /// The fine and the coarse words of row `row`, and the power of what they are off by. What is lost
    /// in rounding a tap is added to the next, so that the gain at 0 Hz is that of the row, and
    /// errors lie where there is least of speech and music: at the high end.
    fn round(&self, row: usize, words: Words) -> (Vec<[i16; 2]>, f64) {
        let mut rounded = vec![[0; 2]; self.len];
        let (mut lost, mut error) = (0.0, 0.0);
        let round = |value: &mut f64, bits: u32| {
            let unit = f64::from(1u32 << bits);
            let word = (*value * unit).round() as i16;
            *value -= f64::from(word) / unit;
            word
        };
        let (from, to) = words.near;
        for i in (self.firsts[row]..).take(self.count) {
            let before = lost;
            lost += self.rows[row * self.len + i];
            if i >= from && i < to {
                rounded[i][1] = round(&mut lost, COARSE_BITS);
            }
            rounded[i][0] = round(&mut lost, COARSE_BITS + words.finer);
            error += (lost - before) * (lost - before);
        }
        (rounded, error)
    }

    /// The words of all rows, in groups; those that are just fine enough. `None` if the sums could
    /// leave their bits.
    fn in_groups(&self) -> Option<(Aligned<i16>, Words)> {
        FINER.map(|finer| self.words(finer)).find_map(|words| {
            let size = words.of_group(self.len);
            let groups = self.firsts.len().div_ceil(GROUP);
            let mut all = Aligned::zeroed(groups * size);
            for row in 0..self.firsts.len() {
                let (rounded, error) = self.round(row, words);
                if error > MAX_ERROR || !fits(&rounded, words.finer) {
                    return None;
                }
                let (group, lane) = (row / GROUP, row % GROUP);
                let mut to = all.get_mut()[group * size..][..size].chunks_exact_mut(PAIR);
                for (i, pair) in rounded.chunks_exact(2).enumerate() {
                    let two = 2 * i >= words.near.0 && 2 * i < words.near.1;
                    for (kind, to) in (0..1 + usize::from(two)).zip(&mut to) {
                        to[2 * lane..][..2].copy_from_slice(&[pair[0][kind], pair[1][kind]]);
                    }
                }
            }
            Some((all, words))
        })
    }
}

/// Whether no sum of `words`, fine and coarse, times samples can leave 32 bits.
fn fits(words: &[[i16; 2]], finer: u32) -> bool {
    let sum = |of: usize| {
        let words = words.iter().map(|w| u64::from(w[of].unsigned_abs()));
        words.sum::<u64>()
    };
    sum(0) <= MOST && sum(1) + (sum(0) >> finer) < MOST
}

impl Table {
    /// The taps of every phase of `ratio`, shared with all who have the same.
    fn shared(prototype: &Prototype, ratio: Ratio) -> Result<Arc<Self>, ResampleError> {
        TABLES.get((prototype.key(), ratio), || {
            Self::new(prototype, ratio).ok_or(ResampleError::NoIntegers)
        })
    }

    /// None if the rows do not come in groups, are too many or cannot be rounded well.
    fn new(prototype: &Prototype, ratio: Ratio) -> Option<Self> {
        if exact_bytes(prototype, ratio, 4) > MAX_BYTES {
            return None;
        }
        let phases = Phases::new(prototype, ratio, STORAGE);
        // With the padding, which may be most of a steep filter.
        if !phases.grouped || phases.rows * phases.len as u64 * 4 > MAX_BYTES {
            return None;
        }
        let (taps, words) = Taps::new(prototype, ratio, &phases).in_groups()?;
        Some(Self {
            taps,
            words,
            phases,
        })
    }
}

/// A table and its kernels. Each output is an exact sum of its words, so it is the same on every machine.
pub struct Fixed {
    table: Arc<Table>,
    kernels: Columns<i16>,
}

impl Fixed {
    /// # Errors
    /// [`ResampleError::NoIntegers`] if the filter is none of those that this is for.
    pub fn new(prototype: &Prototype, ratio: Ratio, level: Level) -> Result<Self, ResampleError> {
        Ok(Self {
            table: Table::shared(prototype, ratio)?,
            kernels: columns(level),
        })
    }
}

impl Rows for Fixed {
    type Sample = i16;

    fn phases(&self) -> &Phases {
        &self.table.phases
    }

    fn run(&self, stretch: &Stretch<'_, i16>, out: &mut Output<'_, f32>, jobs: &mut Vec<Job>) {
        let table = &self.table;
        let size = table.words.of_group(table.phases.len);
        let run = Run {
            phases: &table.phases,
            taps: |group| &table.taps.get()[group * size..][..size],
            words: table.words,
            kernels: self.kernels,
            stretch,
        };
        run.write(out, jobs);
    }

    fn memory(&self) -> usize {
        self.table.taps.bytes() + self.table.phases.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_fit_up_to_their_last_bit() {
        let fine = |last| [[32_767, 0], [-32_767, 0], [last, 0]];
        assert!(fits(&fine(1), 5));
        assert!(!fits(&fine(2), 5));
        let coarse = |last| [[0, 32_767], [0, -32_767], [0, last]];
        assert!(fits(&coarse(0), 5));
        assert!(!fits(&coarse(1), 5));
        // Both together.
        assert!(fits(&[[0, 32_767], [0, 32_765], [63, 0]], 5));
        assert!(!fits(&[[0, 32_767], [0, 32_765], [64, 2]], 5));
        assert!(!fits(&[[0, 32_767], [0, 32_765], [96, 0]], 5));
        // The largest sums that are let through, worked out.
        let most = 65_535i64 * 32_768;
        assert!(i32::try_from(most).is_ok() && i32::try_from(-most).is_ok());
    }

    /// The farther down, the longer the filter and the finer its words.
    #[test]
    fn words_are_just_fine_enough() {
        for (rates, finer) in [
            ((44_100, 48_000), 5),
            ((48_000, 16_000), 5),
            ((48_000, 8000), 6),
            ((192_000, 11_025), 7),
        ] {
            let ratio = Ratio::new(rates.0, rates.1).unwrap();
            let prototype = Prototype::new(crate::resample::Method::Kaiser, 4, ratio);
            let table = Table::new(&prototype, ratio).unwrap();
            assert_eq!(table.words.finer, finer, "{rates:?}");
        }
    }
}
