//! Filter tables: exact taps in groups of rows, single rows, or an oversampled prototype.

use std::sync::Arc;

use super::design::{Prototype, PrototypeKey};
use super::{Ratio, ResampleError};
use crate::dsp::shared::Shared;
use crate::dsp::simd::resample_pass::{GROUP, LANES, STEP};

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

/// Largest table that is built; beyond it rates are refused.
pub const MAX_TABLE_BYTES: u64 = 512 << 20;

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

    /// Calls `f` with the number of each row in groups or by themselves, how far its taps are shifted
    /// in it, and its taps.
    pub fn each_row(
        &self,
        prototype: &Prototype,
        ratio: Ratio,
        mut f: impl FnMut(usize, usize, &[f64]),
    ) {
        let per_row = if self.grouped { GROUP } else { 1 };
        let mut taps = vec![0.0; prototype.taps() as usize];
        for row in 0..self.rows {
            let (frame, phase) = (row * ratio.m / ratio.l, row * ratio.m % ratio.l);
            let shift = frame - self.offsets[row as usize / per_row];
            prototype.phase(phase as f64 / ratio.l as f64, &mut taps);
            f(row as usize, shift as usize, &taps);
        }
    }
}

/// The taps of every phase of a rational ratio.
#[derive(Debug)]
pub struct Exact<T> {
    taps: Aligned<T>,
    pub phases: Phases,
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
        let (len, per_row) = (phases.len, if phases.grouped { GROUP } else { 1 });
        let lone = if phases.lone {
            prototype.taps().next_multiple_of(LANES as u64) as usize
        } else {
            0
        };
        let grouped = phases.offsets.len() * per_row * len;
        allowed((grouped + lone) as u64 * size)?;
        let mut taps = Aligned::zeroed(grouped + lone);
        let all = taps.get_mut();
        phases.each_row(prototype, ratio, |row, shift, exact| {
            let first = row / per_row * per_row * len + row % per_row;
            let to = all[first..].iter_mut().step_by(per_row).skip(shift);
            for (to, from) in to.zip(exact) {
                *to = T::nearest(*from);
            }
        });
        if phases.lone {
            let phase = phases.rows * ratio.m % ratio.l;
            let mut exact = vec![0.0; prototype.taps() as usize];
            prototype.phase(phase as f64 / ratio.l as f64, &mut exact);
            for (to, from) in all[grouped..].iter_mut().zip(&exact) {
                *to = T::nearest(*from);
            }
        }
        Ok(Self { taps, phases })
    }

    /// All rows.
    pub fn taps(&self) -> &[T] {
        self.taps.get()
    }

    /// Row `row`, where they are not grouped.
    pub fn row(&self, row: usize) -> &[T] {
        &self.taps()[row * self.phases.len..][..self.phases.len]
    }

    /// The row by itself.
    pub fn lone(&self) -> &[T] {
        &self.taps()[self.phases.offsets.len() * GROUP * self.phases.len..]
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.taps.bytes() + self.phases.memory()
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
        let mut exact = vec![0.0; prototype.taps() as usize];
        for (j, row) in taps.get_mut().chunks_exact_mut(len).enumerate() {
            prototype.phase((j as f64 - 1.0) / oversample as f64, &mut exact);
            for (to, from) in row.iter_mut().zip(&exact) {
                *to = T::nearest(*from);
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

/// Rounding from `f64`, and the tables of what was rounded.
pub trait FromF64: Sized + 'static {
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
    use crate::dsp::resample::Method;

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
}
