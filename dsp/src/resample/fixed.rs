// SPDX-License-Identifier: MIT

//! Rows of integers, for 16-bit samples.
//!
//! Taps of 16 bits alone would be off by -84 to -88 dB in all. So the large ones around the peak of the
//! response have two words, and the small ones are scaled up, as far as their sum allows: -99 dB or
//! less, below the dither of the output (-91 dB from full scale) and the stop bands up to
//! [`INTEGER_QUALITY`].

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::dense::TapSource;
use super::design::{Prototype, PrototypeKey};
use super::engine::Output;
use super::groups::{Job, Run, Stretch};
use super::phases::{Phases, Storage, exact_bytes};
use super::polyphase::Rows;
use super::ratio::Ratio;
use super::spec::{ResampleError, Spec};
use super::table::Aligned;
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::resample_fixed::{self, columns, rounding};
use crate::simd::resample_pass::{Columns, GROUP, PAIR, Words};
use crate::simd::resample_words::{COARSE_BITS, Lanes, Rounding};

/// Largest table of the same rows in `f32`, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Most phases: words take longer to choose than floats to make.
const MAX_PHASES: u64 = 320;

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

/// Words that one channel reads for itself without loss, in bytes.
const NEAR_BYTES: u64 = 64 << 10;

/// Rows of a group.
const ROWS: u64 = GROUP as u64;

/// What the words of a row may come to, so that sums of the largest samples stay within 32 bits.
const MOST: u64 = i32::MAX as u64 >> 15;

/// Whether what `spec` asks for is faster in integers at `level` than in `f32`, where it can be had.
///
/// Of a large table, `f32` has only half, and both halves of a period share each load of it where a period
/// is no longer than the usual buffer of 10 ms. Words are all there; one channel shares them with none.
pub fn is_fast(spec: &Spec, level: Level) -> bool {
    let shared = || {
        Ratio::new(spec.in_rate, spec.out_rate).is_some_and(|ratio| {
            let prototype = Prototype::new(spec.method, spec.quality, ratio);
            let bytes = exact_bytes(&prototype, ratio, STORAGE.tap as usize);
            bytes > NEAR_BYTES && 100 * ratio.m <= u64::from(spec.in_rate)
        })
    };
    resample_fixed::is_fast(level) && (spec.channels > 1 || !shared())
}

/// The taps of every phase of a rational ratio, in words of 16 bits.
#[derive(Debug)]
pub struct Table {
    taps: Aligned<i16>,
    words: Words,
    phases: Phases,
}

/// The tables in use.
static TABLES: Shared<(PrototypeKey, Ratio), Table> = Shared::new();

/// All groups of rows, with the zeros that they are padded with. The second half of the rows of a group is
/// moved to where the first begins.
struct Taps {
    groups: Vec<Lanes<f64>>,
    /// Of a group.
    len: usize,
    /// How far the second half is moved; even.
    late: usize,
}

impl Taps {
    fn new(prototype: &Prototype, ratio: Ratio, phases: &Phases) -> Self {
        let late = (ROWS / 2 * ratio.m / ratio.l) as usize / 2 * 2;
        // The last row of a half begins so much after that half, or less.
        let after = |row: u64| (row * ratio.m).div_ceil(ratio.l) as usize;
        let shift = after(ROWS / 2 - 1).max(after(ROWS - 1) - late);
        let len = (prototype.taps() as usize + shift).next_multiple_of(2);
        let mut groups = vec![[0.0; GROUP]; phases.offsets.len() * len];
        // Half of the phases are the others mirrored.
        let source = TapSource::new(prototype, ratio, ratio.l / 2 + 1);
        phases.each_row(&source, ratio, |row, shift, taps| {
            let group = &mut groups[row / GROUP * len..][..len];
            let lane = row % GROUP;
            let shift = shift - if lane < GROUP / 2 { 0 } else { late };
            for (to, tap) in group[shift..].iter_mut().zip(taps) {
                to[lane] = *tap;
            }
        });
        Self { groups, len, late }
    }

    /// Words of which the fine ones are `finer`: two for each tap but the outer ones, as many of which
    /// have one as the sums allow. Rows of a group begin and end at different places, so where one
    /// has large taps near one end of the window, its other end is small.
    fn words(&self, finer: u32) -> Words {
        let unit = f64::from(1u32 << (COARSE_BITS + finer));
        // What is left of a tap that a coarse word was rounded to.
        let second = f64::from(1u32 << finer) / 2.0;
        let (sizes, _) = rounding(Level::best());
        let mut sums = vec![[0.0; GROUP]; self.groups.len() / self.len];
        let (mut outer, mut largest) = (0, [0.0; GROUP]);
        for end in (2..=self.len / 2).step_by(2) {
            for (group, sums) in self.groups.chunks_exact(self.len).zip(&mut sums) {
                sizes(&group[end - 2..end], sums, &mut largest);
                sizes(&group[self.len - end..][..2], sums, &mut largest);
            }
            if largest
                .iter()
                .any(|tap| tap * unit > f64::from(i16::MAX - 1))
            {
                break;
            }
            let most = MOST as f64 - (self.len - 2 * end) as f64 * second;
            if sums.as_flattened().iter().all(|sum| sum * unit <= most) {
                outer = end;
            }
        }
        Words {
            near: (outer, self.len - outer),
            finer,
            late: 0,
            span: self.len,
        }
    }

    /// The words of all rows, in groups of windows of `len`, with their second halves where they belong; those
    /// that are just fine enough. `None` if the sums could leave their bits.
    fn in_groups(&self, len: usize) -> Option<(Aligned<i16>, Words)> {
        let (_, round) = rounding(Level::best());
        FINER.map(|finer| self.words(finer)).find_map(|moved| {
            let mut rounded = vec![0; moved.of_group(self.len)];
            let words = Words {
                near: (moved.near.0, moved.near.1 + self.late),
                late: self.late,
                ..moved
            };
            let size = words.of_group(len);
            let mut all = Aligned::zeroed(self.groups.len() / self.len * size);
            let to = all.get_mut().chunks_exact_mut(size);
            for (group, to) in self.groups.chunks_exact(self.len).zip(to) {
                if !is_good(&round(group, moved, &mut rounded), words.finer) {
                    return None;
                }
                self.write(&rounded, moved, to, words);
            }
            Some((all, words))
        })
    }

    /// Writes a group of `rounded` words, whose second half is moved, to where they belong.
    fn write(&self, rounded: &[i16], moved: Words, to: &mut [i16], words: Words) {
        let mut write = |at: usize, half: usize, from: &[i16]| {
            to[at * PAIR + half * PAIR / 2..][..PAIR / 2]
                .copy_from_slice(&from[half * PAIR / 2..][..PAIR / 2]);
        };
        for i in (0..self.len).step_by(2) {
            for half in 0..2 {
                let from = moved.pair(i);
                let at = words.pair(i + half * self.late);
                write(at, half, &rounded[from * PAIR..][..PAIR]);
                if moved.has_two(i) {
                    write(at + 1, half, &rounded[(from + 1) * PAIR..][..PAIR]);
                }
            }
        }
    }
}

/// Whether rows that were rounded so are precise enough, and no sum of theirs can leave its bits.
fn is_good(rounding: &Rounding, finer: u32) -> bool {
    let unit = f64::from(1u32 << (COARSE_BITS + finer));
    let precise = rounding.power.iter().all(|p| *p <= MAX_ERROR * unit * unit);
    let mut sums = rounding.sums[0].iter().zip(&rounding.sums[1]);
    precise && sums.all(|(fine, coarse)| fits(*fine as u64, *coarse as u64, finer))
}

/// Whether no sum of words times samples can leave 32 bits; of the words' sizes, `fine` and `coarse`
/// are the sums.
fn fits(fine: u64, coarse: u64, finer: u32) -> bool {
    fine <= MOST && coarse + (fine >> finer) < MOST
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
        if ratio.l > MAX_PHASES || exact_bytes(prototype, ratio, 4) > MAX_BYTES {
            return None;
        }
        let phases = Phases::new(prototype, ratio, STORAGE);
        // With the padding, which may be most of a steep filter.
        if !phases.grouped || phases.rows * phases.len as u64 * 4 > MAX_BYTES {
            return None;
        }
        let (taps, words) = Taps::new(prototype, ratio, &phases).in_groups(phases.len)?;
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
        assert!(fits(65_535, 0, 5));
        assert!(!fits(65_536, 0, 5));
        assert!(fits(0, 65_534, 5));
        assert!(!fits(0, 65_535, 5));
        // Both together.
        assert!(fits(63, 65_533, 5));
        assert!(!fits(64, 65_533, 5));
        assert!(fits(64, 65_532, 5));
        // The largest sums that are let through, worked out.
        let most = 65_535i64 * 32_768;
        assert!(i32::try_from(most).is_ok() && i32::try_from(-most).is_ok());
    }

    #[test]
    fn far_words_are_for_who_shares_them() {
        let best = *Level::available().last().unwrap();
        let is_fast = |rates: (u32, u32), channels, level| {
            let spec = Spec::new(rates.0, rates.1, channels);
            is_fast(&spec, level)
        };
        let fast = resample_fixed::is_fast(best);
        assert!(!is_fast((44_100, 16_000), 1, best));
        assert_eq!(is_fast((44_100, 16_000), 2, best), fast);
        // As large, but a period of 20 ms; as long, but small.
        assert_eq!(is_fast((22_050, 16_000), 1, best), fast);
        assert_eq!(is_fast((44_100, 48_000), 1, best), fast);
        assert!(!is_fast((48_000, 16_000), 2, Level::PORTABLE));
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
