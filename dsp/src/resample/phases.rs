// SPDX-License-Identifier: MIT

//! How the exact taps of a rational ratio are arranged in rows and groups.

use super::dense::TapSource;
use super::design::Prototype;
use super::ratio::Ratio;
use crate::simd::resample_pass::{GROUP, LANES, STEP};

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
    pub fn of<T>() -> Self {
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

    /// Rows of a block: a group, or a row by itself.
    pub fn per_block(&self) -> usize {
        if self.grouped { GROUP } else { 1 }
    }

    /// Calls `f` with the number of each row in blocks, in any order, how far its taps are shifted in it,
    /// and its taps. Each phase is evaluated once, or its mirror image is.
    pub fn each_row(
        &self,
        source: &TapSource,
        ratio: Ratio,
        mut f: impl FnMut(usize, usize, &[f64]),
    ) {
        let mut taps = vec![0.0; source.taps() as usize];
        let mut give = |row: u64, taps: &[f64]| {
            for row in (row..self.rows).step_by(ratio.l as usize) {
                let block = row as usize / self.per_block();
                let shift = row * ratio.m / ratio.l - self.offsets[block];
                f(row as usize, shift as usize, taps);
            }
        };
        for row in 0..self.rows.min(ratio.l) {
            let mirrored = ratio.l - row;
            if source.is_symmetric() && mirrored < row {
                break;
            }
            let phase = row * ratio.m % ratio.l;
            source.phase(phase as f64 / ratio.l as f64, &mut taps);
            give(row, &taps);
            if source.is_symmetric() && row > 0 && mirrored > row {
                taps.reverse();
                give(mirrored, &taps);
            }
        }
    }

    /// The same for one block, row by row; `taps` is scratch.
    pub fn each_row_of(
        &self,
        block: usize,
        source: &TapSource,
        ratio: Ratio,
        taps: &mut [f64],
        mut f: impl FnMut(usize, usize, &[f64]),
    ) {
        let per_block = self.per_block() as u64;
        let first = block as u64 * per_block;
        let mut last = None;
        for row in first..(first + per_block).min(self.rows) {
            let (frame, phase) = (row * ratio.m / ratio.l, row * ratio.m % ratio.l);
            let shift = frame - self.offsets[block];
            if last.replace(phase) != Some(phase) {
                source.phase(phase as f64 / ratio.l as f64, taps);
            }
            f(row as usize, shift as usize, taps);
        }
    }
}

/// Bytes that the exact rows of `prototype` take at `size` bytes a tap, ungrouped.
pub fn exact_bytes(prototype: &Prototype, ratio: Ratio, size: usize) -> u64 {
    prototype
        .taps()
        .next_multiple_of(LANES as u64)
        .saturating_mul(ratio.l)
        .saturating_mul(size as u64)
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
}
