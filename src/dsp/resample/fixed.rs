//! Rows of integers, for 16-bit samples.
//!
//! Taps of 16 bits alone would be off by -84 to -88 dB in all. So the large ones around the peak of the
//! response have two words, and the small ones are scaled up, as far as their sum allows: -102 to
//! -107 dB, well below the dither of the output.

use std::sync::Arc;

use super::design::{Prototype, PrototypeKey};
use super::engine::Output;
use super::groups::{Job, Run, Stretch};
use super::polyphase::Rows;
use super::table::{Aligned, Phases, Storage, exact_bytes};
use super::{Ratio, ResampleError};
use crate::dsp::shared::Shared;
use crate::dsp::simd::Level;
use crate::dsp::simd::resample::{Columns, GROUP};
use crate::dsp::simd::resample_fixed::{COARSE_BITS, FINER, PAIR, columns, words};

/// Highest quality for which this is precise enough: the stop bands of those above come down to its
/// rounding.
pub const MAX_QUALITY: u8 = 4;

/// Largest table of the same filter in `f32`, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A tap of 1 is `2^FINE_BITS` in the fine words.
const FINE_BITS: u32 = COARSE_BITS + FINER;

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
    words: Aligned<i16>,
    /// Of a window: where taps have two words.
    near: (usize, usize),
    phases: Phases,
}

/// The tables in use.
static TABLES: Shared<(PrototypeKey, Ratio), Table> = Shared::new();

/// Where in a window the taps of `rows`, each `len`, are too large for one fine word each.
fn near(rows: &[f64], len: usize) -> (usize, usize) {
    let unit = f64::from(1u32 << FINE_BITS);
    // A tenth for the second words; half on each side.
    let budget = 0.9 * MOST as f64 / unit / 2.0;
    let most = f64::from(i16::MAX - 1) / unit;
    let reach = |row: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        row.take_while(|tap| {
            sum += tap.abs();
            sum <= budget && tap.abs() <= most
        })
        .count()
    };
    let rows = rows.chunks_exact(len);
    let from = rows.clone().map(|row| reach(&mut row.iter())).min();
    let to = rows.map(|row| reach(&mut row.iter().rev())).min();
    let whole = |n: Option<usize>| n.unwrap_or(0) / UNROLLED * UNROLLED;
    let to = len - whole(to);
    (whole(from).min(to), to)
}

/// The fine and the coarse words of the taps of `row` from `first` to `end`. What is lost in rounding a
/// tap is added to the next, so that the gain at 0 Hz is that of `row`, and errors lie where there is
/// least of speech and music: at the high end.
fn in_words(row: &[f64], first: usize, end: usize, near: (usize, usize)) -> Vec<[i16; 2]> {
    let mut words = vec![[0; 2]; row.len()];
    let mut lost = 0.0;
    let round = |value: &mut f64, bits: u32| {
        let unit = f64::from(1u32 << bits);
        let word = (*value * unit).round();
        *value -= word / unit;
        word as i16
    };
    for i in first..end {
        lost += row[i];
        if i >= near.0 && i < near.1 {
            words[i][1] = round(&mut lost, COARSE_BITS);
        }
        words[i][0] = round(&mut lost, FINE_BITS);
    }
    words
}

/// Whether no sum of `words` times samples can leave 32 bits.
fn fits(words: &[[i16; 2]]) -> bool {
    let sum = |of: usize| {
        words
            .iter()
            .map(|w| u64::from(w[of].unsigned_abs()))
            .sum::<u64>()
    };
    sum(0) <= MOST && sum(1) + (sum(0) >> FINER) < MOST
}

impl Table {
    /// The taps of every phase of `ratio`, shared with all who have the same.
    fn shared(prototype: &Prototype, ratio: Ratio) -> Result<Arc<Self>, ResampleError> {
        TABLES.get((prototype.key(), ratio), || {
            Self::new(prototype, ratio).ok_or(ResampleError::NoIntegers)
        })
    }

    /// None if the rows do not come in groups, are too many or have sums that are too large.
    fn new(prototype: &Prototype, ratio: Ratio) -> Option<Self> {
        if exact_bytes(prototype, ratio, 4) > MAX_BYTES {
            return None;
        }
        let phases = Phases::new(prototype, ratio, STORAGE);
        if !phases.grouped {
            return None;
        }
        let len = phases.len;
        let mut rows = vec![0.0; phases.rows as usize * len];
        let mut firsts = Vec::new();
        phases.each_row(prototype, ratio, |row, shift, taps| {
            rows[row * len + shift..][..taps.len()].copy_from_slice(taps);
            firsts.push(shift);
        });
        let near = near(&rows, len);
        let size = words(len, near);
        let mut words = Aligned::zeroed(phases.offsets.len() * size);
        let all: &mut [i16] = words.get_mut();
        let taps = prototype.taps() as usize;
        for (row, first) in firsts.into_iter().enumerate() {
            let of_row = in_words(&rows[row * len..][..len], first, first + taps, near);
            if !fits(&of_row) {
                return None;
            }
            let (group, lane) = (row / GROUP, row % GROUP);
            let mut to = all[group * size..][..size].chunks_exact_mut(PAIR);
            for (i, pair) in of_row.chunks_exact(2).enumerate() {
                let two = 2 * i >= near.0 && 2 * i < near.1;
                for (kind, to) in (0..1 + usize::from(two)).zip(&mut to) {
                    to[2 * lane..][..2].copy_from_slice(&[pair[0][kind], pair[1][kind]]);
                }
            }
        }
        Some(Self {
            words,
            near,
            phases,
        })
    }
}

/// A table and its kernels. Each output is an exact sum of its words, so it is the same on every machine.
pub struct Fixed {
    table: Arc<Table>,
    kernels: Columns<i16>,
    /// Scratch.
    jobs: Vec<Job>,
}

impl Fixed {
    /// # Errors
    /// [`ResampleError::NoIntegers`] if the filter is none of those that this is for.
    pub fn new(prototype: &Prototype, ratio: Ratio, level: Level) -> Result<Self, ResampleError> {
        Ok(Self {
            table: Table::shared(prototype, ratio)?,
            kernels: columns(level),
            jobs: Vec::new(),
        })
    }
}

impl Rows for Fixed {
    type Sample = i16;

    fn phases(&self) -> &Phases {
        &self.table.phases
    }

    fn run(&mut self, stretch: &Stretch<'_, i16>, out: &mut Output<'_, f32>) {
        let table = &self.table;
        let run = Run {
            phases: &table.phases,
            taps: table.words.get(),
            size: words(table.phases.len, table.near),
            near: table.near,
            kernels: self.kernels,
            stretch,
        };
        run.write(out, &mut self.jobs);
    }

    fn memory(&self) -> usize {
        self.table.words.bytes()
            + self.table.phases.offsets.len() * 8
            + self.jobs.capacity() * size_of::<Job>()
    }
}
