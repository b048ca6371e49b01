// SPDX-License-Identifier: MIT

//! Sums and differences of samples to either side of a place, for filters that are symmetric about it.
//!
//! Products are rounded before they are added, at every level, so that the bits are the same at each and
//! do not depend on where a stretch begins.
#![allow(unsafe_code)]

use super::resample_pass::GROUP;
use super::vector::{Number, Set};

/// Lanes that results of products come in.
const LANES: usize = GROUP;

type Fold<T> = fn(right: &[T], left: &[T], even: &mut [T], odd: &mut [T]);
type Split<T> = fn(x: &[T], even: &mut [T], odd: &mut [T]);
type Join<T> = fn(even: &[T], odd: &[T], x: &mut [T]);
type Unfold<T> = fn(sums: [&[T]; 2], lines: &mut [T], line: usize, to: [usize; 2]);

/// The kernels of one sample type at one level.
#[derive(Clone, Copy)]
pub struct FoldKernels<T> {
    /// `even[i]` is the sum of `right[i]` and `left[i]` from its end on, `odd[i]` what the former is more.
    pub fold: Fold<T>,
    /// Samples by turns.
    pub split: Split<T>,
    /// Samples of both by turns, as many as `x` has room for.
    pub join: Join<T>,
    /// Of what sums and differences came to, sixteen of each for each of `lines` in turn, those samples that they
    /// are sums and differences of: those to the left, the last one first, from place `to[0]` of the line on,
    /// then those to the right from `to[1]` on.
    pub unfold: Unfold<T>,
}

/// The kernels, compiled for `S`. Only for machines that have it.
pub fn kernels<S: Set, T: Number>() -> FoldKernels<T> {
    FoldKernels {
        fold: |right, left, even, odd| {
            // SAFETY: chosen only where the machine has the set.
            unsafe {
                S::call(
                    #[inline(always)]
                    |right, left, even, odd, ()| fold(right, left, even, odd),
                    right,
                    left,
                    even,
                    odd,
                    (),
                )
            }
        },
        // SAFETY: as above.
        split: |x, even, odd| unsafe {
            S::call(
                #[inline(always)]
                |x, even, odd, (), ()| split(x, even, odd),
                x,
                even,
                odd,
                (),
                (),
            )
        },
        // SAFETY: as above.
        join: |even, odd, x| unsafe {
            S::call(
                #[inline(always)]
                |even, odd, x, (), ()| join(even, odd, x),
                even,
                odd,
                x,
                (),
                (),
            )
        },
        // SAFETY: as above.
        unfold: |[even, odd], lines, line, to| unsafe {
            S::call(
                #[inline(always)]
                |even, odd, lines, line, to| unfold([even, odd], lines, line, to),
                even,
                odd,
                lines,
                line,
                to,
            )
        },
    }
}

/// [`FoldKernels::fold`].
#[inline(always)]
fn fold<T: Number>(right: &[T], left: &[T], even: &mut [T], odd: &mut [T]) {
    let n = right.len();
    let (left, even, odd) = (&left[left.len() - n..], &mut even[..n], &mut odd[..n]);
    let blocks = n / LANES;
    for block in 0..blocks {
        fold_at(right, left, even, odd, block * LANES);
    }
    if blocks > 0 && !n.is_multiple_of(LANES) {
        // Some of them twice: one by one takes longer.
        fold_at(right, left, even, odd, n - LANES);
        return;
    }
    for i in blocks * LANES..n {
        let (r, l) = (right[i], left[n - 1 - i]);
        even[i] = r + l;
        odd[i] = r - l;
    }
}

/// The sums and differences from number `at` on.
#[inline(always)]
fn fold_at<T: Number>(right: &[T], left: &[T], even: &mut [T], odd: &mut [T], at: usize) {
    let right = &right[at..][..LANES];
    let left = &left[left.len() - at - LANES..][..LANES];
    let (even, odd) = (&mut even[at..][..LANES], &mut odd[at..][..LANES]);
    for i in 0..LANES {
        let (r, l) = (right[i], left[LANES - 1 - i]);
        even[i] = r + l;
        odd[i] = r - l;
    }
}

/// [`FoldKernels::unfold`].
#[inline(always)]
fn unfold<T: Number>([even, odd]: [&[T]; 2], lines: &mut [T], line: usize, to: [usize; 2]) {
    let sums = even.as_chunks::<LANES>().0.iter();
    let sums = sums.zip(odd.as_chunks::<LANES>().0);
    for (line, (even, odd)) in lines.chunks_exact_mut(line).zip(sums) {
        // What is local nothing else points to.
        let (even, odd) = (*even, *odd);
        let (mut left, mut right) = (even, even);
        for i in 0..LANES {
            left[i] = even[LANES - 1 - i] - odd[LANES - 1 - i];
            right[i] = even[i] + odd[i];
        }
        line[to[0]..][..LANES].copy_from_slice(&left);
        line[to[1]..][..LANES].copy_from_slice(&right);
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

/// [`FoldKernels::join`].
#[inline(always)]
fn join<T: Number>(even: &[T], odd: &[T], x: &mut [T]) {
    let (pairs, last) = x.as_chunks_mut::<2>();
    let n = pairs.len();
    let (from, odd) = (&even[..n + last.len()], &odd[..n]);
    for i in 0..n {
        pairs[i] = [from[i], odd[i]];
    }
    last.copy_from_slice(&from[n..]);
}

#[cfg(test)]
mod tests {
    use super::LANES;
    use crate::simd::Level;
    use crate::simd::resample::fold_kernels;
    use crate::simd::resample::tests::noise;

    #[test]
    fn kernels_do_what_they_say_alike_at_every_level() {
        for n in [1, 2, 15, 16, 33, 100, 161] {
            let x: Vec<f32> = noise(2 * n + 1, 7).iter().map(|v| *v as f32).collect();
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
                    let mut joined = vec![0.0; 2 * n + last];
                    (kernels.join)(&even, &odd, &mut joined);
                    assert_eq!(joined, x[..2 * n + last]);
                }
            }
        }
    }

    #[test]
    fn lines_are_unfolded_alike_at_every_level() {
        let [even, odd] = [3, 4].map(|seed| noise(2 * LANES, seed));
        for level in Level::available() {
            // Both meet in the centre, and what lies to the right of it stays.
            for (left, right) in [(1, 1 + LANES), (1, LANES)] {
                let line = 2 * LANES + 3;
                let mut lines = vec![9.0; 2 * line];
                (fold_kernels(level).unfold)([&even, &odd], &mut lines, line, [left, right]);
                for (w, line) in lines.chunks(line).enumerate() {
                    let sums = |i: usize| (even[w * LANES + i], odd[w * LANES + i]);
                    assert_eq!((line[0], line[right + LANES]), (9.0, 9.0));
                    for i in 0..LANES {
                        assert_eq!(line[right + i], sums(i).0 + sums(i).1, "{level:?}");
                        if left + LANES - 1 - i < right {
                            let before = line[left + LANES - 1 - i];
                            assert_eq!(before, sums(i).0 - sums(i).1, "{level:?}");
                        }
                    }
                }
            }
        }
    }
}
