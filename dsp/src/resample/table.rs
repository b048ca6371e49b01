// SPDX-License-Identifier: MIT

//! Filter tables: exact taps in groups of rows, single rows, or an oversampled prototype.

use std::ops::{Add, Mul};
use std::sync::{Arc, OnceLock};

use super::dense::TapSource;
use super::design::{Prototype, PrototypeKey};
use super::lagrange;
use super::phases::{Phases, Storage, exact_bytes};
use super::ratio::Ratio;
use super::spec::{Curve, MAX_TABLE_BYTES, ResampleError};
use crate::shared::{Shared, get_or_make};
use crate::simd::resample::DotReal;
use crate::simd::resample_pass::{LANES, POINTS};

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

/// Tables up to this size are made at once; of larger ones, which may take seconds, each block of rows is
/// made when its first output is.
const AT_ONCE_BYTES: usize = 32 << 10;

/// The taps of every phase of a rational ratio.
#[derive(Debug)]
pub struct Exact<T> {
    source: TapSource,
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
/// Row `j` holds fraction `(j - (points / 2 - 1)) / oversample`.
#[derive(Debug)]
pub struct Interpolated<T> {
    taps: Aligned<T>,
    pub len: usize,
    pub oversample: u64,
    curve: Curve,
    /// Rows that an output lies between: 4, or 6.
    pub points: usize,
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
            source: TapSource::new(prototype, ratio, phases.rows.min(ratio.l)),
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
        let mut taps = vec![0.0; self.source.taps() as usize];
        let write = |row: usize, shift: usize, exact: &[f64]| {
            let to = &mut rows[row % per_block * len..][..len];
            for (to, from) in to[shift..].iter_mut().zip(exact) {
                *to = T::nearest(*from);
            }
        };
        let (source, ratio) = (&self.source, self.ratio);
        self.phases
            .each_row_of(block, source, ratio, &mut taps, write);
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
                let made = get_or_make(&blocks[block], || {
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
        let made = get_or_make(&self.lone, || {
            let phase = self.phases.rows * self.ratio.m % self.ratio.l;
            let mut exact = vec![0.0; self.source.taps() as usize];
            self.source
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
        rows * size_of::<T>() + self.phases.memory() + self.source.memory()
    }
}

impl<T: Copy + Default + FromF64> Interpolated<T> {
    /// Taps to interpolate between, shared with all who have the same.
    pub fn shared(
        prototype: &Prototype,
        ratio: Ratio,
        curve: Curve,
    ) -> Result<Arc<Self>, ResampleError> {
        T::interpolated_tables().get((prototype.key(), ratio, curve), || {
            Self::new(prototype, ratio, curve)
        })
    }

    fn new(prototype: &Prototype, ratio: Ratio, curve: Curve) -> Result<Self, ResampleError> {
        // At full bandwidth, where they are off by up to -120, -176, -233, -221 and -269 dB of the
        // largest tap.
        let (full, points) = match (curve, size_of::<T>() > 4) {
            (Curve::Straight, _) => (2048, 4),
            (Curve::Smooth, false) => (128, 4),
            (Curve::Smooth, true) => (80, 6),
            (Curve::Exact, false) => (64, 6),
            (Curve::Exact, true) => (160, 6),
        };
        // A narrower filter is smoother.
        let oversample = (full * ratio.l.min(ratio.m)).div_ceil(ratio.m).max(2);
        let len = prototype.taps().next_multiple_of(LANES as u64);
        let rows = oversample + points as u64 - 1;
        let bytes = rows * len * size_of::<T>() as u64;
        if bytes > MAX_TABLE_BYTES {
            return Err(ResampleError::TooLarge { bytes });
        }
        let len = len as usize;
        let mut taps = Aligned::zeroed(rows as usize * len);
        let evaluator = prototype.evaluator();
        let mut exact = vec![0.0; prototype.taps() as usize];
        let (last, before) = (rows as usize - 1, points / 2 - 1);
        // The rows of a symmetric response are those before them mirrored, from the middle on.
        let computed = if prototype.is_smooth() {
            last / 2
        } else {
            last
        };
        let all = taps.get_mut();
        for j in 0..=computed {
            evaluator.phase((j as f64 - before as f64) / oversample as f64, &mut exact);
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
            curve,
            points,
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

    /// First of the rows around `fraction` (in units of 2^-64 frames), and their weights.
    #[inline]
    pub fn weights(&self, fraction: u64) -> (usize, [f64; POINTS]) {
        let scaled = u128::from(fraction) * u128::from(self.oversample);
        let row = (scaled >> 64) as usize;
        let x = (scaled as u64) as f64 / 2f64.powi(64);
        if self.points == 6 {
            return (row, lagrange::six(x));
        }
        let [a, b, c, d] = match self.curve {
            Curve::Straight => [0.0, 1.0 - x, x, 0.0],
            Curve::Smooth | Curve::Exact => lagrange::four(x),
        };
        (row, [a, b, c, d, 0.0, 0.0])
    }
}

/// The exact tables in use, by what they are made for.
pub type ExactTables<T> = Shared<(PrototypeKey, Ratio), T>;

/// The interpolated ones.
pub type InterpolatedTables<T> = Shared<(PrototypeKey, Ratio, Curve), Interpolated<T>>;

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
    fn equal_configurations_share_their_table() {
        // Rates that no other test asks for.
        let ratio = Ratio::new(48_000, 7_001).unwrap();
        let prototype = |quality| Prototype::new(Method::Kaiser, quality, ratio);
        let table = |quality| {
            Interpolated::<f32>::shared(&prototype(quality), ratio, Curve::Smooth).unwrap()
        };
        let (a, b) = (table(4), table(4));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &table(5)));
        let linear = Interpolated::<f32>::shared(&prototype(4), ratio, Curve::Straight).unwrap();
        assert!(!Arc::ptr_eq(&a, &linear));
        // The same number of taps, but other ones.
        let other = Ratio::new(48_000, 7_002).unwrap();
        let moved = Interpolated::<f32>::shared(&prototype(4), other, Curve::Smooth).unwrap();
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

    /// Through as many points as there are rows there is one polynomial.
    #[test]
    fn polynomials_are_met_between_rows() {
        let ratio = Ratio::new(44_100, 48_001).unwrap();
        let prototype = Prototype::new(Method::Kaiser, 0, ratio);
        for (curve, points, degree) in [
            (Curve::Straight, 4, 1),
            (Curve::Smooth, 4, 3),
            (Curve::Exact, 6, 5),
        ] {
            let table = Interpolated::<f32>::shared(&prototype, ratio, curve).unwrap();
            assert_eq!(table.points, points);
            for at in [0.0, 1.0, 7.25, 17.999] {
                let fraction = at / table.oversample as f64 * 2f64.powi(64);
                let (row, weights) = table.weights(fraction as u64);
                for power in 0..=degree {
                    let first = row as f64 - (points / 2 - 1) as f64;
                    let values = (0..).map(|j| (first + f64::from(j)).powi(power));
                    let got: f64 = weights.iter().zip(values).map(|(w, v)| w * v).sum();
                    let exact = f64::powi(at, power);
                    let error = (got - exact).abs() / exact.max(1.0);
                    assert!(error < 1e-11, "{curve:?} {at} {power}: {got} {exact}");
                }
                assert_eq!(weights[points..], [0.0; POINTS][points..]);
            }
        }
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
            let table = Interpolated::<f64>::shared(&prototype, ratio, Curve::Smooth).unwrap();
            let mut taps = vec![0.0; prototype.taps() as usize];
            for (j, row) in table.taps().chunks_exact(table.len).enumerate() {
                let before = table.points / 2 - 1;
                let fraction = (j as f64 - before as f64) / table.oversample as f64;
                prototype.evaluator().phase(fraction, &mut taps);
                for (a, b) in row.iter().zip(&taps) {
                    assert!((a - b).abs() < 1e-14, "{rates:?} {method:?} {j}: {a} {b}");
                }
            }
        }
    }
}
