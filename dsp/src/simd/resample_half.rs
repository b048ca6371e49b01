// SPDX-License-Identifier: MIT

//! Half-band filters: every other output is made of pairs of samples as far to either side.
//!
//! Outputs are lanes. Each is summed in the same order whatever its neighbours, the centre last: pairs from the
//! farthest on, but of twelve in the order of [`TURNS`].
#![allow(unsafe_code)]
#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(clippy::needless_range_loop, reason = "several arrays move along")
)]

use super::vector::Number;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector::{MOST, Set, Vector};

/// The taps of a half-band filter but for its centre.
#[derive(Clone, Debug)]
pub struct Pairs<T> {
    /// Those to one side, from the centre on.
    taps: Vec<T>,
    /// What the centre counts.
    centre: T,
}

impl<T> Pairs<T> {
    /// Of `taps` to one side, from the centre on, which counts `centre`.
    pub fn new(taps: Vec<T>, centre: T) -> Self {
        Self { taps, centre }
    }

    /// How many there are to one side.
    pub fn len(&self) -> usize {
        self.taps.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.taps.capacity() * size_of::<T>()
    }
}

type Between<T> = fn(x: &[T], pairs: &Pairs<T>, y: &mut [T]);
type Around<T> = fn(x: &[T], centres: &[T], pairs: &Pairs<T>, y: &mut [T]);

/// The kernels of one sample type at one level.
#[derive(Clone, Copy)]
pub struct HalfKernels<T> {
    /// `y[i] = sum_k taps[k] * (x[i + n - 1 - k] + x[i + n + k])` with `n` taps.
    pub between: Between<T>,
    /// The same and `centre * centres[i]`.
    pub around: Around<T>,
}

/// The kernels in plain Rust.
pub fn plain<T: Number>() -> HalfKernels<T> {
    HalfKernels {
        between: |x, pairs, y| plain_between(x, &pairs.taps, y),
        around: |x, centres, pairs, y| {
            plain_between(x, &pairs.taps, y);
            let centres = &centres[..y.len()];
            for (y, centre) in y.iter_mut().zip(centres) {
                *y = *y + *centre * pairs.centre;
            }
        },
    }
}

/// Outputs that plain Rust makes side by side.
const WIDTH: usize = 32;

/// [`HalfKernels::between`].
fn plain_between<T: Number>(x: &[T], taps: &[T], y: &mut [T]) {
    let n = taps.len();
    let x = &x[..y.len() + 2 * n - 1];
    let (blocks, rest) = y.as_chunks_mut::<WIDTH>();
    let done = blocks.len() * WIDTH;
    for (b, block) in blocks.iter_mut().enumerate() {
        let x = &x[b * WIDTH..][..WIDTH + 2 * n - 1];
        let mut sums = pairs(x, n, 0).map(|pair| pair * taps[0]);
        for (k, tap) in taps.iter().enumerate().skip(1) {
            let pairs = pairs(x, n, k);
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

/// The kernels over vectors `V`, `W` of them at a time: as many as registers hold the sums of. Only for machines
/// that have the instruction set.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn kernels<V: Vector, const W: usize>() -> HalfKernels<V::Element> {
    HalfKernels {
        between: |x, pairs, y| {
            check(x, pairs, y);
            // SAFETY: chosen only where the machine has the set; `check` establishes the lengths.
            unsafe {
                V::Set::call(
                    #[inline(always)]
                    |x, pairs, y, (), ()| all::<V, W, false>(x, &[], pairs, y),
                    x,
                    pairs,
                    y,
                    (),
                    (),
                )
            }
        },
        around: |x, centres, pairs, y| {
            check(x, pairs, y);
            assert!(centres.len() >= y.len());
            // SAFETY: as above, with a centre for each output.
            unsafe {
                V::Set::call(
                    #[inline(always)]
                    |x, centres, pairs, y, ()| all::<V, W, true>(x, centres, pairs, y),
                    x,
                    centres,
                    pairs,
                    y,
                    (),
                )
            }
        },
    }
}

/// Checks what the kernels rely on: all that the outputs depend on.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn check<T>(x: &[T], pairs: &Pairs<T>, y: &[T]) {
    assert!(x.len() + 1 >= y.len() + 2 * pairs.len());
}

/// The order of twelve pairs that vectors of eight take: samples that lie eight apart, which are loaded once for three
/// vectors of outputs, three pairs at a time.
const TURNS: [[usize; 3]; 4] = [[11, 4, 3], [10, 5, 2], [9, 6, 1], [8, 7, 0]];

/// Vectors of outputs that are made together in that order: as many as registers hold the sums of, beside samples and taps.
const TOGETHER: usize = 6;

/// All outputs.
///
/// Safety: `check` has passed, and with `C` there are as many centres as outputs.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn all<V: Vector, const W: usize, const C: bool>(
    x: &[V::Element],
    centres: &[V::Element],
    pairs: &Pairs<V::Element>,
    y: &mut [V::Element],
) {
    // SAFETY: the caller's.
    unsafe {
        if V::LANES == 8 && pairs.len() == TURNS.as_flattened().len() {
            run::<V, TOGETHER, true, C>(x, centres, pairs, y);
        } else {
            run::<V, W, false, C>(x, centres, pairs, y);
        }
    }
}

/// All outputs; those of the last vectors may be made twice. With `T` pairs are twelve, and lanes eight.
///
/// Safety: as [`all`].
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn run<V: Vector, const W: usize, const T: bool, const C: bool>(
    x: &[V::Element],
    centres: &[V::Element],
    pairs: &Pairs<V::Element>,
    y: &mut [V::Element],
) {
    let (all, together) = (y.len(), W * V::LANES);
    let mut done = 0;
    // SAFETY: the caller's; vectors end where the outputs do.
    unsafe {
        while all - done >= together {
            vectors::<V, W, T, C>(x, centres, pairs, y, done);
            done += together;
        }
        if all >= together && all - done > 2 * V::LANES {
            vectors::<V, W, T, C>(x, centres, pairs, y, all - together);
            return;
        }
        while all - done >= V::LANES {
            vectors::<V, 1, T, C>(x, centres, pairs, y, done);
            done += V::LANES;
        }
        if all >= V::LANES && all > done {
            vectors::<V, 1, T, C>(x, centres, pairs, y, all - V::LANES);
            return;
        }
        // One by one, by what a vector's lane does: others may be rounded otherwise.
        let n = pairs.len();
        for i in done..all {
            let mut sum = V::zero();
            for j in 0..n {
                let k = if T { TURNS[j / 3][j % 3] } else { n - 1 - j };
                let pair = V::splat(x[i + n - 1 - k]).add(V::splat(x[i + n + k]));
                sum = pair.mul_add(V::splat(pairs.taps[k]), sum);
            }
            if C {
                sum = V::splat(centres[i]).mul_add(V::splat(pairs.centre), sum);
            }
            let mut lanes = [y[i]; MOST];
            sum.store(lanes.as_mut_ptr());
            y[i] = lanes[0];
        }
    }
}

/// Outputs `at` to before `at + W * V::LANES`.
///
/// Safety: as [`run`], and there are so many outputs.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn vectors<V: Vector, const W: usize, const T: bool, const C: bool>(
    x: &[V::Element],
    centres: &[V::Element],
    pairs: &Pairs<V::Element>,
    y: &mut [V::Element],
    at: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let x = x.as_ptr().add(at);
        let mut sums = if T {
            by_turns::<V, W>(x, pairs)
        } else {
            from_the_ends::<V, W>(x, pairs)
        };
        for w in 0..W {
            let to = at + w * V::LANES;
            if C {
                let centres = V::load(centres.as_ptr().add(to));
                sums[w] = centres.mul_add(V::splat(pairs.centre), sums[w]);
            }
            sums[w].store(y.as_mut_ptr().add(to));
        }
    }
}

/// The sums of `W` vectors, the farthest pair first.
///
/// Safety: what they depend on is there.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn from_the_ends<V: Vector, const W: usize>(
    x: *const V::Element,
    pairs: &Pairs<V::Element>,
) -> [V; W] {
    let n = pairs.len();
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [V::zero(); W];
        for k in (0..n).rev() {
            let tap = V::splat(pairs.taps[k]);
            let (before, after) = (x.add(n - 1 - k), x.add(n + k));
            for w in 0..W {
                let place = w * V::LANES;
                let pair = V::load(before.add(place)).add(V::load(after.add(place)));
                sums[w] = pair.mul_add(tap, sums[w]);
            }
        }
        sums
    }
}

/// The sums of `W` vectors by [`TURNS`].
///
/// Safety: as [`from_the_ends`], and pairs are twelve and lanes eight.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn by_turns<V: Vector, const W: usize>(
    x: *const V::Element,
    pairs: &Pairs<V::Element>,
) -> [V; W] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [V::zero(); W];
        let taps = pairs.taps.as_ptr();
        for (r, turn) in TURNS.iter().enumerate() {
            let taps = turn.map(
                #[inline(always)]
                |k| V::splat(*taps.add(k)),
            );
            // Of the 24 samples from an output's first on, number `r` and its partner from the end.
            let (left, right) = (x.add(r), x.add(V::LANES - 1 - r));
            let mut l = [V::load(left), V::load(left.add(V::LANES))];
            let mut h = [V::load(right), V::load(right.add(V::LANES))];
            for w in 0..W {
                let next = (w + 2) * V::LANES;
                let (last, end) = (V::load(left.add(next)), V::load(right.add(next)));
                sums[w] = l[0].add(end).mul_add(taps[0], sums[w]);
                sums[w] = last.add(h[0]).mul_add(taps[1], sums[w]);
                sums[w] = l[1].add(h[1]).mul_add(taps[2], sums[w]);
                (l, h) = ([l[1], last], [h[1], end]);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::Pairs;
    use crate::simd::Level;
    use crate::simd::resample::tests::noise;
    use crate::simd::resample::{DotReal, half_kernels};
    use crate::simd::vector::Number;

    fn of<T: DotReal + Number + PartialEq + std::fmt::Debug>(convert: fn(f64) -> T, most: f64)
    where
        f64: From<T>,
    {
        let all = |v: Vec<f64>| v.into_iter().map(convert).collect::<Vec<T>>();
        for count in [1, 3, 7, 12, 14, 20] {
            let taps = noise(count, 8);
            let pairs = Pairs::new(all(taps.clone()), convert(0.5));
            for n in [1, 2, 7, 8, 15, 40, 79, 80, 97, 100, 161, 240] {
                let x = noise(n + 2 * count - 1, 7);
                let centres = all(noise(n, 9));
                let exact = |i: usize| -> f64 {
                    let pair = |k| x[i + count - 1 - k] + x[i + count + k];
                    (0..count).map(|k| taps[k] * pair(k)).sum()
                };
                let x = all(x.clone());
                for level in Level::available() {
                    let kernels = half_kernels::<T>(level);
                    let (mut between, mut around) = (all(vec![7.0; n]), all(vec![7.0; n]));
                    (kernels.between)(&x, &pairs, &mut between);
                    (kernels.around)(&x, &centres, &pairs, &mut around);
                    for i in 0..n {
                        let error = (f64::from(between[i]) - exact(i)).abs();
                        assert!(error < most, "{level:?} {count} {n} {i}: {error}");
                        let with = exact(i) + 0.5 * f64::from(centres[i]);
                        let error = (f64::from(around[i]) - with).abs();
                        assert!(error < most, "{level:?} {count} {n} {i}: {error}");
                        // The same bits whatever lies beside it.
                        let mut alone = [convert(7.0)];
                        (kernels.between)(&x[i..][..2 * count], &pairs, &mut alone);
                        assert_eq!(alone[0], between[i], "{level:?} {count} {n} {i}");
                        (kernels.around)(&x[i..], &centres[i..], &pairs, &mut alone);
                        assert_eq!(alone[0], around[i], "{level:?} {count} {n} {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_sums_pairs_whatever_lies_beside_them() {
        of(|v| v as f32, 3e-6);
        of(|v| v, 1e-14);
    }

    #[test]
    fn what_is_no_number_comes_out_where_a_tap_meets_it_and_nowhere_else() {
        let pairs = Pairs::new(vec![0.3f32, -0.1, 0.05], 0.5);
        for level in Level::available() {
            for at in 0..205 {
                let mut x = [0.25; 205];
                x[at] = f32::NAN;
                let mut y = [0.0; 200];
                (half_kernels(level).between)(&x, &pairs, &mut y);
                for (i, y) in y.iter().enumerate() {
                    assert_eq!(y.is_nan(), (i..i + 6).contains(&at), "{level:?} {at} {i}");
                }
            }
        }
    }
}
