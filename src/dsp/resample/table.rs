//! Filter tables: exact taps in groups of rows, single rows, or an oversampled prototype.

use std::sync::Arc;

use super::design::{Prototype, PrototypeKey};
use super::{Ratio, ResampleError};
use crate::dsp::shared::Shared;
use crate::dsp::simd::resample::{GROUP, LANES, STEP};

/// Zeroed storage that starts at a cache line, so that no load of taps crosses two.
#[derive(Debug)]
struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

const LINE: usize = 64;

impl<T: Copy + Default> Aligned<T> {
    fn zeroed(len: usize) -> Self {
        let data = vec![T::default(); len + LINE / size_of::<T>()];
        // Where it cannot be had, alignment is only speed lost.
        let start = data.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        Self { data, start, len }
    }

    fn get(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }

    fn get_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }

    fn bytes(&self) -> usize {
        self.data.len() * size_of::<T>()
    }
}

/// Largest table that is built; beyond it rates are refused.
pub const MAX_TABLE_BYTES: u64 = 512 << 20;

/// Tables up to this size are filled with repeated phases.
const CACHED_BYTES: u64 = 128 << 10;

/// Tables up to this size stay in the first cache; of larger ones half is enough.
const NEAR_BYTES: u64 = 32 << 10;

/// How a set of taps is stored.
#[derive(Debug)]
pub enum Table<T> {
    Exact(Exact<T>),
    Interpolated(Interpolated<T>),
}

/// The taps of every phase of a rational ratio.
///
/// The `period` outputs from a grid point on take rows 0, 1, ... in turn, after which the input
/// has moved on by `advance` frames. With groups, [`GROUP`] rows at a time share one window of the
/// input: their taps are shifted within zero-padded rows and lie side by side, so that each sample
/// is loaded once for all of them and each lane of a vector is an output.
///
/// The response is symmetric, so that row `period - k` is row `k` mirrored. Where that pays, only the
/// first half of the rows is there; the groups of the second half are those of the first, backwards.
#[derive(Debug)]
pub struct Exact<T> {
    taps: Aligned<T>,
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
    fn new(prototype: &Prototype, ratio: Ratio) -> Result<Self, ResampleError> {
        let size = size_of::<T>();
        let n = prototype.taps();
        let allowed = |bytes| {
            if bytes > MAX_TABLE_BYTES {
                return Err(ResampleError::TooLarge { bytes });
            }
            Ok(())
        };
        // No arrangement needs less than half of all rows.
        allowed(exact_bytes(prototype, ratio, size) / 2)?;
        let group = GROUP as u64;
        let shift = ((group - 1) * ratio.m).div_ceil(ratio.l);
        let grouped_len = (n + shift).next_multiple_of(STEP as u64);
        let shape = Shape::of(prototype, ratio, grouped_len * size as u64);
        let len = if shape.grouped {
            grouped_len
        } else {
            n.next_multiple_of(LANES as u64)
        } as usize;
        let per_row = if shape.grouped { GROUP } else { 1 };
        let Shape { period, rows, .. } = shape;
        let groups = rows.div_ceil(per_row as u64) as usize;
        let lone = if shape.lone {
            n.next_multiple_of(LANES as u64) as usize
        } else {
            0
        };
        allowed(((groups * per_row * len + lone) * size) as u64)?;
        let mut taps = Aligned::zeroed(groups * per_row * len + lone);
        let all = taps.get_mut();
        let mut offsets = Vec::with_capacity(groups);
        let mut exact = vec![0.0; n as usize];
        for row in 0..rows {
            let (frame, phase) = (row * ratio.m / ratio.l, row * ratio.m % ratio.l);
            if row % per_row as u64 == 0 {
                offsets.push(frame);
            }
            let shift = (frame - offsets[offsets.len() - 1]) as usize;
            prototype.phase(phase as f64 / ratio.l as f64, &mut exact);
            let row = row as usize;
            let (first, stride) = if shape.grouped {
                (row / per_row * per_row * len + row % per_row, per_row)
            } else {
                (row * len, 1)
            };
            let to = all[first..].iter_mut().step_by(stride).skip(shift);
            for (to, from) in to.zip(&exact) {
                *to = T::nearest(*from);
            }
        }
        if shape.lone {
            let phase = rows * ratio.m % ratio.l;
            prototype.phase(phase as f64 / ratio.l as f64, &mut exact);
            for (to, from) in all[groups * per_row * len..].iter_mut().zip(&exact) {
                *to = T::nearest(*from);
            }
        }
        Ok(Self {
            taps,
            len,
            grouped: shape.grouped,
            period,
            advance: period / ratio.l * ratio.m,
            offsets,
            rows,
            lone: shape.lone,
        })
    }

    /// All rows.
    pub fn taps(&self) -> &[T] {
        self.taps.get()
    }

    /// The row by itself.
    pub fn lone_taps(&self) -> &[T] {
        &self.taps()[self.offsets.len() * GROUP * self.len..]
    }

    /// Rows that are those before them mirrored: the last so many of a period.
    pub fn mirrored(&self) -> u64 {
        self.period - self.rows - u64::from(self.lone)
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
    fn of(prototype: &Prototype, ratio: Ratio, row: u64) -> Self {
        let group = GROUP as u64;
        // Phases are repeated until they fill whole groups, or nearly.
        let filled = |repeat: u64| (ratio.l * repeat).next_multiple_of(group);
        let repeat = (1..=group)
            .take_while(|r| filled(*r) * row <= CACHED_BYTES)
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
        if !prototype.is_smooth() || !plain.grouped || plain.rows * row <= NEAR_BYTES {
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

/// What a table is made for; the flag of an interpolated one is that for cubic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Exact(PrototypeKey, Ratio),
    Interpolated(PrototypeKey, Ratio, bool),
}

/// The tables in use.
pub type Tables<T> = Shared<Key, Table<T>>;

impl<T: Copy + Default + FromF64> Table<T> {
    /// The taps of every phase of `ratio`, shared with all who have the same.
    pub fn exact(prototype: &Prototype, ratio: Ratio) -> Result<Arc<Self>, ResampleError> {
        T::tables().get(Key::Exact(prototype.key(), ratio), || {
            Exact::new(prototype, ratio).map(Self::Exact)
        })
    }

    /// Taps to interpolate between, shared with all who have the same.
    pub fn interpolated(
        prototype: &Prototype,
        ratio: Ratio,
        cubic: bool,
    ) -> Result<Arc<Self>, ResampleError> {
        T::tables().get(Key::Interpolated(prototype.key(), ratio, cubic), || {
            Interpolated::new(prototype, ratio, cubic).map(Self::Interpolated)
        })
    }

    /// Row length.
    pub fn len(&self) -> usize {
        match self {
            Self::Exact(t) => t.len,
            Self::Interpolated(t) => t.len,
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        match self {
            Self::Exact(t) => t.taps.bytes() + t.offsets.len() * 8,
            Self::Interpolated(t) => t.taps.bytes(),
        }
    }
}

/// Rounding from `f64`, and the tables of what was rounded.
pub trait FromF64: Sized + 'static {
    fn nearest(v: f64) -> Self;
    fn tables() -> &'static Tables<Self>;
}

impl FromF64 for f32 {
    fn nearest(v: f64) -> Self {
        v as f32
    }

    fn tables() -> &'static Tables<Self> {
        static TABLES: Tables<f32> = Tables::new();
        &TABLES
    }
}

impl FromF64 for f64 {
    fn nearest(v: f64) -> Self {
        v
    }

    fn tables() -> &'static Tables<Self> {
        static TABLES: Tables<f64> = Tables::new();
        &TABLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::resample::Method;

    #[test]
    fn half_the_rows_of_large_tables_are_enough() {
        let table = |rates: (u32, u32), method| {
            let ratio = Ratio::new(rates.0, rates.1).unwrap();
            let table = Table::<f32>::exact(&Prototype::new(method, 4, ratio), ratio).unwrap();
            let Table::Exact(table) = &*table else {
                panic!("not exact");
            };
            (table.period, table.rows, table.lone, table.mirrored())
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
        let table = |quality| Table::<f32>::interpolated(&prototype(quality), ratio, true).unwrap();
        let (a, b) = (table(4), table(4));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &table(5)));
        let linear = Table::<f32>::interpolated(&prototype(4), ratio, false).unwrap();
        assert!(!Arc::ptr_eq(&a, &linear));
        let exact = Table::<f32>::exact(&prototype(4), ratio).unwrap();
        assert!(matches!(*exact, Table::Exact(_)));
        // The same number of taps, but other ones.
        let other = Ratio::new(48_000, 7_002).unwrap();
        let moved = Table::<f32>::interpolated(&prototype(4), other, true).unwrap();
        assert!(!Arc::ptr_eq(&a, &moved));

        let gone = Arc::downgrade(&a);
        drop(a);
        assert!(gone.upgrade().is_some());
        drop(b);
        assert!(gone.upgrade().is_none());
    }
}
