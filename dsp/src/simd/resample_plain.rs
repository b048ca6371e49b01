// SPDX-License-Identifier: MIT

//! The resampler's dot products in plain Rust: the yardstick of all others, and what machines without any
//! of them run.

use super::resample_pass::{
    Between, Columns, GROUP, Grouped, Kernels, LANES, Pass, REAL_WINDOWS, Weighted,
};
use super::vector::Number;

/// Samples after which the partial sums of a group are added up: in one long sum, each tap beyond the peak
/// of the response would be rounded at the size of the whole.
const BLOCK: usize = 32;

/// The kernels of `f32` or `f64`.
pub fn kernels<T: Number + Grouped<Sum = T>>() -> Kernels<T> {
    Kernels {
        columns: Columns {
            windows: REAL_WINDOWS,
            group,
            groups,
            stereo,
        },
        four: weighted::<T, 4>(),
        six: weighted::<T, 6>(),
        dot: |x, h, len| rows::<T, 1, 1>([x], h, len)[0][0],
    }
}

fn weighted<T: Number + Grouped<Sum = T>, const P: usize>() -> Weighted<T> {
    Weighted {
        mono: |x, b, y| between::<T, P, 1>([x], b, y),
        stereo: |x, b, y| between::<T, P, 2>(x, b, y),
    }
}

#[inline(always)]
fn sum<T: Number>(a: [T; LANES]) -> T {
    ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))
}

#[inline(always)]
fn rows<T: Number + Default, const R: usize, const C: usize>(
    x: [&[T]; C],
    h: &[T],
    len: usize,
) -> [[T; R]; C] {
    let mut y = [[T::default(); R]; C];
    for r in 0..R {
        let mut acc = [[T::default(); LANES]; C];
        for (i, taps) in h[r * len..][..len].chunks_exact(LANES).enumerate() {
            for c in 0..C {
                let x = &x[c][i * LANES..][..LANES];
                for l in 0..LANES {
                    acc[c][l] = x[l] * taps[l] + acc[c][l];
                }
            }
        }
        for c in 0..C {
            y[c][r] = sum(acc[c]);
        }
    }
    y
}

/// Window `w` of a pass over `C` channels against a group; row by row, in the order of the outputs.
#[inline(always)]
fn columns<T: Number + Default, const C: usize>(
    x: [&[T]; C],
    pass: &Pass<'_>,
    w: usize,
    h: &[T],
) -> [[T; GROUP]; C] {
    let len = pass.len;
    let back = w + pass.back >= pass.at.len();
    let x = x.map(|x| &x[pass.at[w]..][..len]);
    let mut total = [[T::default(); GROUP]; C];
    for (b, taps) in h[..len * GROUP].chunks(BLOCK * GROUP).enumerate() {
        let mut acc = [[T::default(); GROUP]; C];
        for (i, taps) in taps.as_chunks::<GROUP>().0.iter().enumerate() {
            let i = b * BLOCK + i;
            let at = if back { len - 1 - i } else { i };
            for c in 0..C {
                let x = x[c][at];
                for r in 0..GROUP {
                    acc[c][r] = x * taps[r] + acc[c][r];
                }
            }
        }
        for c in 0..C {
            for r in 0..GROUP {
                total[c][r] = total[c][r] + acc[c][r];
            }
        }
    }
    if back {
        total.iter_mut().for_each(|rows| rows.reverse());
    }
    total
}

fn group<T: Number + Default>(x: &[T], pass: &Pass<'_>, h: &[T], y: &mut [T]) {
    for (w, to) in pass.to.iter().enumerate() {
        let [sums] = columns([x], pass, w, h);
        y[*to..][..GROUP].copy_from_slice(&sums);
    }
}

fn groups<T: Number + Default>(x: &[T], pass: &Pass<'_>, h: [&[T]; 2], y: &mut [T]) {
    for (w, (to, h)) in pass.to.iter().zip(h).enumerate() {
        let [sums] = columns([x], pass, w, h);
        y[*to..][..GROUP].copy_from_slice(&sums);
    }
}

fn stereo<T: Number + Default>(x: [&[T]; 2], pass: &Pass<'_>, h: &[T], y: &mut [T]) {
    for (w, to) in pass.to.iter().enumerate() {
        let [left, right] = columns(x, pass, w, h);
        let y = y[*to..][..2 * GROUP].as_chunks_mut::<2>().0;
        for (y, (l, r)) in y.iter_mut().zip(left.iter().zip(&right)) {
            *y = [*l, *r];
        }
    }
}

fn between<T: Number + Default, const P: usize, const C: usize>(
    x: [&[T]; C],
    between: &Between<'_, T>,
    y: &mut [T],
) {
    let Between {
        rows: h,
        len,
        places,
        ..
    } = *between;
    for (place, y) in places.iter().zip(y.chunks_exact_mut(C)) {
        let x = x.map(|x| &x[place.at..][..len]);
        let sums = rows::<T, P, C>(x, &h[place.row * len..], len);
        for (y, sums) in y.iter_mut().zip(sums) {
            let weighted = sums.iter().zip(&place.weights).map(|(y, w)| *y * *w);
            *y = weighted.reduce(|a, b| a + b).unwrap_or_default();
        }
    }
}
