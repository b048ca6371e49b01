//! Filter tables: exact taps in groups of rows, single rows, or an oversampled prototype.

use std::ops::{Add, Mul};
use std::sync::{Arc, OnceLock};

use super::design::{Evaluator, Prototype, PrototypeKey};
use super::ratio::Ratio;
use super::spec::{MAX_TABLE_BYTES, ResampleError};
use crate::shared::Shared;
use crate::simd::resample::DotReal;
use crate::simd::resample_pass::{GROUP, LANES, STEP};

/// Zeroed storage that starts at a cache line, so that no load of taps crosses two.
#[derive(Debug)]
pub struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

const LINE: usize = 64;

impl<T: Copy + Default> Aligned<T> {
    pub fn zeroed(len: usize) -> Self {
        let data = vec![T::default(); len + LINE / size_of::<T>()];
        // Where it cannot be had, alignment is only speed lost.
        let start = data.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        Self { data, start, len }
    }

    pub fn get(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }

    pub fn get_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }

    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<T>()
    }
}

/// How tables of one kind are best arranged.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Bytes that a tap takes.
    pub tap: u64,
    /// Tables up to this size are filled with repeated phases, in bytes.
    pub filled: u64,
    /// Whether there are kernels that run backwards, for rows that are mirrored.
    pub backwards: bool,
}

impl Storage {
    /// Of `T`, a tap each.
    fn of<T>() -> Self {
        Self {
            tap: size_of::<T>() as u64,
            filled: 128 << 10,
            backwards: true,
        }
    }
}

/// Tables up to this size are made at once; of larger ones, which may take seconds, each block of rows is
/// made when its first output is.
const AT_ONCE_BYTES: usize = 128 << 10;

/// Tables up to this size stay in the first cache; of larger ones half is enough.
const NEAR_BYTES: u64 = 32 << 10;

/// How the rows of all phases of a rational ratio are arranged.
///
/// The `period` outputs from a grid point on take rows 0, 1, ... in turn, after which the input
/// has moved on by `advance` frames. With groups, [`GROUP`] rows at a time share one window of the
/// input: their taps are shifted within zero-padded rows and lie side by side, so that each sample
/// is loaded once for all of them and each lane of a vector is an output.
///
/// The response is symmetric, so that row `period - k` is row `k` mirrored. Where that pays, only the
/// first half of the rows is there; the groups of the second half are those of the first, backwards.
#[derive(Debug)]
pub struct Phases {
    /// Row length, a multiple of `LANES`, in groups of `STEP`.
    pub len: usize,
    /// Whether rows are grouped.
    pub grouped: bool,
    pub period: u64,
    pub advance: u64,
    /// Of each group or row: first input frame of its window, in frames after that of row 0.
    pub offsets: Vec<u64>,
    /// Rows that are there in groups.
    pub rows: u64,
    /// Row `rows`, half a period from row 0, is there by itself, after the groups.
    pub lone: bool,
}

impl Phases {
    /// For all phases of `ratio`.
    pub fn new(prototype: &Prototype, ratio: Ratio, storage: Storage) -> Self {
        let group = GROUP as u64;
        let n = prototype.taps();
        let shift = ((group - 1) * ratio.m).div_ceil(ratio.l);
        let grouped_len = (n + shift).next_multiple_of(STEP as u64);
        let shape = Shape::of(prototype, ratio, grouped_len * storage.tap, storage);
        let Shape { period, rows, .. } = shape;
        let (len, per_row) = if shape.grouped {
            (grouped_len, group)
        } else {
            (n.next_multiple_of(LANES as u64), 1)
        };
        Self {
            len: len as usize,
            grouped: shape.grouped,
            period,
            advance: period / ratio.l * ratio.m,
            offsets: (0..rows.div_ceil(per_row))
                .map(|i| i * per_row * ratio.m / ratio.l)
                .collect(),
            rows,
            lone: shape.lone,
        }
    }

    /// Rows that are those before them mirrored: the last so many of a period.
    pub fn mirrored(&self) -> u64 {
        self.period - self.rows - u64::from(self.lone)
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.offsets.len() * 8
    }

    /// Rows of a block: a group, or a row by itself.
    fn per_block(&self) -> usize {
        if self.grouped { GROUP } else { 1 }
    }

    /// Calls `f` with the number of each row in blocks, how far its taps are shifted in it, and its taps.
    pub fn each_row(
        &self,
        evaluator: &Evaluator,
        ratio: Ratio,
        mut f: impl FnMut(usize, usize, &[f64]),
    ) {
        let mut taps = vec![0.0; evaluator.taps() as usize];
        for block in 0..self.offsets.len() {
            self.each_row_of(block, evaluator, ratio, &mut taps, &mut f);
        }
    }

    /// The same for one block; `taps` is scratch.
    fn each_row_of(
        &self,
        block: usize,
        evaluator: &Evaluator,
        ratio: Ratio,
        taps: &mut [f64],
        mut f: impl FnMut(usize, usize, &[f64]),
    ) {
        let per_block = self.per_block() as u64;
        let first = block as u64 * per_block;
        for row in first..(first + per_block).min(self.rows) {
            let (frame, phase) = (row * ratio.m / ratio.l, row * ratio.m % ratio.l);
            let shift = frame - self.offsets[block];
            evaluator.phase(phase as f64 / ratio.l as f64, taps);
            f(row as usize, shift as usize, taps);
        }
    }
}

/// The taps of every phase of a rational ratio.
#[derive(Debug)]
pub struct Exact<T> {
    evaluator: Evaluator,
    ratio: Ratio,
    blocks: Blocks<T>,
    lone: OnceLock<Aligned<T>>,
    pub phases: Phases,
}

/// Rows in groups, or by themselves.
#[derive(Debug)]
enum Blocks<T> {
    /// One after another.
    AtOnce(Aligned<T>),
    /// Each by itself, once it has been asked for.
    Later(Box<[OnceLock<Aligned<T>>]>),
}

/// Filters at `oversample` fractions of an input frame, between which the taps are interpolated.
/// Row `j` holds fraction `(j - 1) / oversample`.
#[derive(Debug)]
pub struct Interpolated<T> {
    taps: Aligned<T>,
    pub len: usize,
    pub oversample: u64,
    /// Cubic, else linear.
    pub cubic: bool,
}

/// Bytes that the exact rows of `prototype` take at `size` bytes a tap, ungrouped.
pub fn exact_bytes(prototype: &Prototype, ratio: Ratio, size: usize) -> u64 {
    prototype
        .taps()
        .next_multiple_of(LANES as u64)
        .saturating_mul(ratio.l)
        .saturating_mul(size as u64)
}

impl<T: Copy + Default + FromF64> Exact<T> {
    /// The taps of every phase of `ratio`, shared with all who have the same.
    pub fn shared(prototype: &Prototype, ratio: Ratio) -> Result<Arc<Self>, ResampleError> {
        T::exact_tables().get((prototype.key(), ratio), || Self::new(prototype, ratio))
    }

    fn new(prototype: &Prototype, ratio: Ratio) -> Result<Self, ResampleError> {
        let size = size_of::<T>() as u64;
        let allowed = |bytes| {
            if bytes > MAX_TABLE_BYTES {
                return Err(ResampleError::TooLarge { bytes });
            }
            Ok(())
        };
        // No arrangement needs less than half of all rows.
        allowed(exact_bytes(prototype, ratio, size_of::<T>()) / 2)?;
        let phases = Phases::new(prototype, ratio, Storage::of::<T>());
        let (count, block) = (phases.offsets.len(), phases.per_block() * phases.len);
        allowed((count * block) as u64 * size)?;
        let mut this = Self {
            evaluator: prototype.evaluator(),
            ratio,
            blocks: Blocks::AtOnce(Aligned::zeroed(0)),
            lone: OnceLock::new(),
            phases,
        };
        this.blocks = if count * block * size_of::<T>() <= AT_ONCE_BYTES {
            let mut all = Aligned::zeroed(count * block);
            for (i, to) in all.get_mut().chunks_exact_mut(block).enumerate() {
                this.write_block(i, to);
            }
            Blocks::AtOnce(all)
        } else {
            Blocks::Later((0..count).map(|_| OnceLock::new()).collect())
        };
        Ok(this)
    }

    /// Writes block `block` into zeros.
    fn write_block(&self, block: usize, to: &mut [T]) {
        let (per_block, len) = (self.phases.per_block(), self.phases.len);
        let mut rows = vec![T::default(); to.len()];
        let mut taps = vec![0.0; self.evaluator.taps() as usize];
        let write = |row: usize, shift: usize, exact: &[f64]| {
            let to = &mut rows[row % per_block * len..][..len];
            for (to, from) in to[shift..].iter_mut().zip(exact) {
                *to = T::nearest(*from);
            }
        };
        let (evaluator, ratio) = (&self.evaluator, self.ratio);
        self.phases
            .each_row_of(block, evaluator, ratio, &mut taps, write);
        // Side by side, in the order in which memory is written best.
        for (i, to) in to.chunks_exact_mut(per_block).enumerate() {
            for (to, row) in to.iter_mut().zip(rows.chunks_exact(len)) {
                *to = row[i];
            }
        }
    }

    /// A group of rows, or, where they are not grouped, a row.
    #[inline]
    pub fn block(&self, block: usize) -> &[T] {
        let size = self.phases.per_block() * self.phases.len;
        match &self.blocks {
            Blocks::AtOnce(all) => &all.get()[block * size..][..size],
            Blocks::Later(blocks) => {
                let made = blocks[block].get_or_init(|| {
                    let mut made = Aligned::zeroed(size);
                    self.write_block(block, made.get_mut());
                    made
                });
                made.get()
            }
        }
    }

    /// The row by itself.
    pub fn lone(&self) -> &[T] {
        let made = self.lone.get_or_init(|| {
            let phase = self.phases.rows * self.ratio.m % self.ratio.l;
            let mut exact = vec![0.0; self.evaluator.taps() as usize];
            self.evaluator
                .phase(phase as f64 / self.ratio.l as f64, &mut exact);
            let mut row = Aligned::zeroed(exact.len().next_multiple_of(LANES));
            for (to, from) in row.get_mut().iter_mut().zip(&exact) {
                *to = T::nearest(*from);
            }
            row
        });
        made.get()
    }

    /// Blocks that have been made.
    #[cfg(test)]
    fn made(&self) -> usize {
        match &self.blocks {
            Blocks::AtOnce(_) => self.phases.offsets.len(),
            Blocks::Later(blocks) => blocks.iter().filter(|b| b.get().is_some()).count(),
        }
    }

    /// Bytes held once all rows have been used.
    pub fn memory(&self) -> usize {
        let rows = self.phases.offsets.len() * self.phases.per_block() * self.phases.len;
        rows * size_of::<T>() + self.phases.memory()
    }
}

/// How the rows of an exact table are arranged.
struct Shape {
    grouped: bool,
    period: u64,
    rows: u64,
    lone: bool,
}

impl Shape {
    /// For rows of `row` bytes.
    fn of(prototype: &Prototype, ratio: Ratio, row: u64, storage: Storage) -> Self {
        let group = GROUP as u64;
        // Phases are repeated until they fill whole groups, or nearly.
        let filled = |repeat: u64| (ratio.l * repeat).next_multiple_of(group);
        let repeat = (1..=group)
            .take_while(|r| filled(*r) * row <= storage.filled)
            .min_by(|a, b| (filled(*a) * b).cmp(&(filled(*b) * a)));
        let whole = |grouped, repeat| Self {
            grouped,
            period: ratio.l * repeat,
            rows: ratio.l * repeat,
            lone: false,
        };
        let plain = match repeat {
            Some(repeat) => whole(true, repeat),
            // One ragged last group a period is cheap when there are many.
            None => whole(ratio.l >= 2 * group, 1),
        };
        let large = plain.rows * row > NEAR_BYTES;
        if !prototype.is_smooth() || !plain.grouped || !large || !storage.backwards {
            return plain;
        }
        // Row 0 and, if there is one, the row at half a period are their own mirror images.
        let half = ratio.l / 2 + 1;
        let lone = ratio.l.is_multiple_of(2) && half % group == 1;
        let rows = half - u64::from(lone);
        let computed = 2 * rows.next_multiple_of(group);
        if computed * 8 <= ratio.l * 9 {
            Self {
                grouped: true,
                period: ratio.l,
                rows,
                lone,
            }
        } else {
            plain
        }
    }
}

impl<T: Copy + Default + FromF64> Interpolated<T> {
    /// Taps to interpolate between, shared with all who have the same.
    pub fn shared(
        prototype: &Prototype,
        ratio: Ratio,
        cubic: bool,
    ) -> Result<Arc<Self>, ResampleError> {
        T::interpolated_tables().get((prototype.key(), ratio, cubic), || {
            Self::new(prototype, ratio, cubic)
        })
    }

    /// Rows that keep the interpolation error of a filter of `prototype`'s bandwidth below the
    /// noise of an `f32` (cubic: 128 rows a frame at full bandwidth) or -120 dB (linear).
    fn new(prototype: &Prototype, ratio: Ratio, cubic: bool) -> Result<Self, ResampleError> {
        let full = match (cubic, size_of::<T>() > 4) {
            (true, false) => 128,
            (true, true) => 512,
            (false, _) => 2048,
        };
        // A narrower filter is smoother.
        let oversample = (full * ratio.l.min(ratio.m)).div_ceil(ratio.m).max(2);
        let len = prototype.taps().next_multiple_of(LANES as u64);
        let bytes = (oversample + 3) * len * size_of::<T>() as u64;
        if bytes > MAX_TABLE_BYTES {
            return Err(ResampleError::TooLarge { bytes });
        }
        let len = len as usize;
        let mut taps = Aligned::zeroed((oversample + 3) as usize * len);
        let evaluator = prototype.evaluator();
        let mut exact = vec![0.0; prototype.taps() as usize];
        let last = oversample as usize + 2;
        // The rows of a symmetric response are those before them mirrored, from the middle on.
        let computed = if prototype.is_smooth() {
            last / 2
        } else {
            last
        };
        let all = taps.get_mut();
        for j in 0..=computed {
            evaluator.phase((j as f64 - 1.0) / oversample as f64, &mut exact);
            let mut write = |row: usize| {
                for (to, from) in all[row * len..][..len].iter_mut().zip(&exact) {
                    *to = T::nearest(*from);
                }
                exact.reverse();
            };
            write(j);
            if computed < last {
                write(last - j);
            }
        }
        Ok(Self {
            taps,
            len,
            oversample,
            cubic,
        })
    }

    /// All rows.
    pub fn taps(&self) -> &[T] {
        self.taps.get()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.taps.bytes()
    }

    /// First of the four rows around `fraction` (in units of 2^-64 frames), and their weights.
    #[inline]
    pub fn weights(&self, fraction: u64) -> (usize, [f64; 4]) {
        let scaled = u128::from(fraction) * u128::from(self.oversample);
        let row = (scaled >> 64) as usize;
        let x = (scaled as u64) as f64 / 2f64.powi(64);
        if !self.cubic {
            return (row, [0.0, 1.0 - x, x, 0.0]);
        }
        // Lagrange's polynomial through -1, 0, 1, 2.
        let (a, b, c) = (x + 1.0, x - 1.0, x - 2.0);
        let weights = [
            -x * b * c / 6.0,
            a * b * c / 2.0,
            -a * x * c / 2.0,
            a * x * b / 6.0,
        ];
        (row, weights)
    }
}

/// The exact tables in use, by what they are made for.
pub type ExactTables<T> = Shared<(PrototypeKey, Ratio), T>;

/// The interpolated ones; the flag is that for cubic.
pub type InterpolatedTables<T> = Shared<(PrototypeKey, Ratio, bool), Interpolated<T>>;

/// `f32` and `f64`, as the engines compute with them.
pub trait Real: DotReal + FromF64 + Add<Output = Self> + Mul<Output = Self> {}

impl<T: DotReal + FromF64 + Add<Output = T> + Mul<Output = T>> Real for T {}

/// Rounding from `f64`, and the tables of what was rounded.
pub trait FromF64: Sized + Send + Sync + 'static {
    fn nearest(v: f64) -> Self;
    fn exact_tables() -> &'static ExactTables<Exact<Self>>;
    fn interpolated_tables() -> &'static InterpolatedTables<Self>;
}

macro_rules! from_f64 {
    ($t:ty) => {
        impl FromF64 for $t {
            fn nearest(v: f64) -> Self {
                v as $t
            }

            fn exact_tables() -> &'static ExactTables<Exact<Self>> {
                static TABLES: ExactTables<Exact<$t>> = Shared::new();
                &TABLES
            }

            fn interpolated_tables() -> &'static InterpolatedTables<Self> {
                static TABLES: InterpolatedTables<$t> = Shared::new();
                &TABLES
            }
        }
    };
}

from_f64!(f32);
from_f64!(f64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::Method;

    #[test]
    fn half_the_rows_of_large_tables_are_enough() {
        let table = |rates: (u32, u32), method| {
            let ratio = Ratio::new(rates.0, rates.1).unwrap();
            let phases = Phases::new(
                &Prototype::new(method, 4, ratio),
                ratio,
                Storage::of::<f32>(),
            );
            (phases.period, phases.rows, phases.lone, phases.mirrored())
        };
        // Row 80 of 160 is its own mirror image, and would need a group by itself.
        let kaiser = Method::Kaiser;
        assert_eq!(table((44_100, 48_000), kaiser), (160, 80, true, 79));
        assert_eq!(table((48_000, 44_100), kaiser), (147, 74, false, 73));
        // Small tables are whole.
        assert_eq!(table((48_000, 16_000), kaiser), (16, 16, false, 0));
        // The nearest sample before is no symmetric response.
        assert_eq!(table((44_100, 16_000), Method::Nearest).3, 0);
    }

    #[test]
    fn equal_configurations_share_their_table() {
        // Rates that no other test asks for.
        let ratio = Ratio::new(48_000, 7_001).unwrap();
        let prototype = |quality| Prototype::new(Method::Kaiser, quality, ratio);
        let table =
            |quality| Interpolated::<f32>::shared(&prototype(quality), ratio, true).unwrap();
        let (a, b) = (table(4), table(4));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &table(5)));
        let linear = Interpolated::<f32>::shared(&prototype(4), ratio, false).unwrap();
        assert!(!Arc::ptr_eq(&a, &linear));
        // The same number of taps, but other ones.
        let other = Ratio::new(48_000, 7_002).unwrap();
        let moved = Interpolated::<f32>::shared(&prototype(4), other, true).unwrap();
        assert!(!Arc::ptr_eq(&a, &moved));

        let gone = Arc::downgrade(&a);
        drop(a);
        assert!(gone.upgrade().is_some());
        drop(b);
        assert!(gone.upgrade().is_none());
    }

    /// A table that would take seconds is made row by row, by whoever needs a row first.
    #[test]
    fn large_tables_are_made_as_they_are_used() {
        let ratio = Ratio::new(384_000, 44_101).unwrap();
        let prototype = Prototype::new(Method::Kaiser, 8, ratio);
        let table = Exact::<f32>::shared(&prototype, ratio).unwrap();
        assert_eq!(table.made(), 0);
        let first = table.block(7).as_ptr();
        assert_eq!(table.made(), 1);
        let same = Exact::<f32>::shared(&prototype, ratio).unwrap();
        assert_eq!((same.block(7).as_ptr(), same.made()), (first, 1));
        let small = Exact::<f32>::shared(
            &Prototype::new(Method::Kaiser, 4, Ratio { l: 160, m: 147 }),
            Ratio { l: 160, m: 147 },
        );
        assert_eq!(small.unwrap().made(), 5);
    }

    /// The rows between which taps are interpolated, mirrored or not, are those of the formula.
    #[test]
    fn mirrored_rows_are_those_of_their_phase() {
        for (rates, method) in [
            ((44_100, 48_000), Method::Kaiser),
            ((48_000, 7003), Method::BlackmanNuttall),
            ((44_100, 16_000), Method::Nearest),
            ((44_100, 16_000), Method::Linear),
        ] {
            let ratio = Ratio::new(rates.0, rates.1).unwrap();
            let prototype = Prototype::new(method, 4, ratio);
            let table = Interpolated::<f64>::shared(&prototype, ratio, true).unwrap();
            let mut taps = vec![0.0; prototype.taps() as usize];
            for (j, row) in table.taps().chunks_exact(table.len).enumerate() {
                let fraction = (j as f64 - 1.0) / table.oversample as f64;
                prototype.evaluator().phase(fraction, &mut taps);
                for (a, b) in row.iter().zip(&taps) {
                    assert!((a - b).abs() < 1e-14, "{rates:?} {method:?} {j}: {a} {b}");
                }
            }
        }
    }
}
