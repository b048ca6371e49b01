// SPDX-License-Identifier: MIT

//! Sums and differences of samples to either side of a place, for filters that are symmetric about it.
//!
//! Products are rounded before they are added, at every level, so that the bits are the same at each and
//! do not depend on where a stretch begins.
#![allow(unsafe_code)]

use super::vector::{Number, Set};

/// Outputs of [`half`] side by side.
const WIDTH: usize = 32;

type Fold<T> = fn(right: &[T], left: &[T], even: &mut [T], odd: &mut [T]);
type Split<T> = fn(x: &[T], even: &mut [T], odd: &mut [T]);
type Half<T> = fn(x: &[T], taps: &[T], y: &mut [T]);

/// The kernels of one sample type at one level.
#[derive(Clone, Copy)]
pub struct FoldKernels<T> {
    /// `even[i]` is the sum of `right[i]` and `left[i]` from its end on, `odd[i]` what the former is more.
    pub fold: Fold<T>,
    /// Samples by turns.
    pub split: Split<T>,
    /// `y[i] = sum_k taps[k] * (x[i + n - 1 - k] + x[i + n + k])` with `n` taps.
    pub half: Half<T>,
}

/// The kernels, compiled for `S`. Only for machines that have it.
pub fn kernels<S: Set, T: Number>() -> FoldKernels<T> {
    FoldKernels {
        fold: |right, left, even, odd| {
            // SAFETY: chosen only where the machine has the set.
            unsafe {
                S::run(
                    #[inline(always)]
                    move || fold(right, left, even, odd),
                )
            }
        },
        // SAFETY: as above.
        split: |x, even, odd| unsafe {
            S::run(
                #[inline(always)]
                move || split(x, even, odd),
            )
        },
        // SAFETY: as above.
        half: |x, taps, y| unsafe {
            S::run(
                #[inline(always)]
                move || half(x, taps, y),
            )
        },
    }
}

/// [`FoldKernels::fold`].
#[inline(always)]
fn fold<T: Number>(right: &[T], left: &[T], even: &mut [T], odd: &mut [T]) {
    let n = right.len();
    let (left, even, odd) = (&left[..n], &mut even[..n], &mut odd[..n]);
    for i in 0..n {
        let (r, l) = (right[i], left[n - 1 - i]);
        even[i] = r + l;
        odd[i] = r - l;
    }
}

/// [`FoldKernels::split`].
#[inline(always)]
fn split<T: Number>(x: &[T], even: &mut [T], odd: &mut [T]) {
    let (pairs, last) = x.as_chunks::<2>();
    let n = pairs.len();
    let (to, odd) = (&mut even[..n + last.len()], &mut odd[..n]);
    for i in 0..n {
        to[i] = pairs[i][0];
        odd[i] = pairs[i][1];
    }
    to[n..].copy_from_slice(last);
}

/// [`FoldKernels::half`].
#[inline(always)]
fn half<T: Number>(x: &[T], taps: &[T], y: &mut [T]) {
    let n = taps.len();
    let x = &x[..y.len() + 2 * n - 1];
    let (blocks, rest) = y.as_chunks_mut::<WIDTH>();
    let done = blocks.len() * WIDTH;
    for (b, block) in blocks.iter_mut().enumerate() {
        let x = &x[b * WIDTH..][..WIDTH + 2 * n - 1];
        let mut sums = pairs::<T>(x, n, 0).map(|pair| pair * taps[0]);
        for (k, tap) in taps.iter().enumerate().skip(1) {
            let pairs = pairs::<T>(x, n, k);
            for i in 0..WIDTH {
                sums[i] = sums[i] + pairs[i] * *tap;
            }
        }
        *block = sums;
    }
    for (y, x) in rest.iter_mut().zip(x[done..].windows(2 * n)) {
        let mut sum = (x[n - 1] + x[n]) * taps[0];
        for (k, tap) in taps.iter().enumerate().skip(1) {
            sum = sum + (x[n - 1 - k] + x[n + k]) * *tap;
        }
        *y = sum;
    }
}

/// What tap `k` of `n` counts, for a block of outputs.
#[inline(always)]
fn pairs<T: Number>(x: &[T], n: usize, k: usize) -> [T; WIDTH] {
    let (before, after) = (&x[n - 1 - k..][..WIDTH], &x[n + k..][..WIDTH]);
    std::array::from_fn(|i| before[i] + after[i])
}

#[cfg(test)]
mod tests {
    use crate::simd::Level;
    use crate::simd::resample::fold_kernels;
    use crate::simd::resample::tests::noise;

    #[test]
    fn kernels_do_what_they_say_alike_at_every_level() {
        for n in [1, 2, 15, 16, 33, 100, 161] {
            for count in [1, 12, 15] {
                let x: Vec<f32> = noise(2 * n + 2 * count, 7)
                    .iter()
                    .map(|v| *v as f32)
                    .collect();
                let taps: Vec<f32> = noise(count, 8).iter().map(|v| *v as f32).collect();
                for level in Level::available() {
                    let kernels = fold_kernels::<f32>(level);
                    let (mut even, mut odd) = (vec![9.0; n + 1], vec![9.0; n + 1]);
                    (kernels.fold)(&x[..n], &x[n..2 * n], &mut even, &mut odd);
                    for i in 0..n {
                        assert_eq!(even[i], x[i] + x[2 * n - 1 - i]);
                        assert_eq!(odd[i], x[i] - x[2 * n - 1 - i]);
                    }
                    assert_eq!((even[n], odd[n]), (9.0, 9.0));
                    for last in 0..2 {
                        let (mut even, mut odd) = (vec![9.0; n + 1], vec![9.0; n]);
                        (kernels.split)(&x[..2 * n + last], &mut even, &mut odd);
                        for i in 0..n {
                            assert_eq!((even[i], odd[i]), (x[2 * i], x[2 * i + 1]));
                        }
                        assert_eq!(even[n], if last == 1 { x[2 * n] } else { 9.0 });
                    }
                    let mut y = vec![0.0; n];
                    (kernels.half)(&x, &taps, &mut y);
                    for i in 0..n {
                        let pair = |k| x[i + count - 1 - k] + x[i + count + k];
                        let sum = (1..count).fold(pair(0) * taps[0], |s, k| s + pair(k) * taps[k]);
                        assert_eq!(y[i], sum, "{level:?} {n} {count} {i}");
                    }
                }
            }
        }
    }
}
