// SPDX-License-Identifier: MIT

//! Outputs to either side of a centre, for filters that are symmetric about it: sums and differences of the samples
//! to either side; rows of taps against the sums, others against the differences. What both come to is sum and
//! difference of the outputs, sixteen of them side by side.
#![allow(unsafe_code)]
#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(clippy::needless_range_loop, reason = "several arrays move along")
)]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::marker::PhantomData;

use super::resample_mirror::{self, Fold};
use super::resample_pass::{GROUP, Grouped, STEP};
use super::vector::Number;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector::{Set, Vector};

/// Rows of [`GROUP`] taps.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// Those for the sums, and those for the differences.
    pub taps: [&'a [T]; 2],
    /// How many each, a multiple of [`STEP`].
    pub len: usize,
    /// The first of a window's sums, and of its differences, that they are for.
    pub start: usize,
    /// So many are summed, the farthest from the centre first, before that is added to the whole: where the taps
    /// beyond the peak of the response still come, they would be rounded at the size of the whole. A multiple of
    /// [`STEP`], and not 0.
    pub block: usize,
}

/// For each of `lines`, each `line` long, a window of `folded`: `padded` sums, then as many differences. What
/// `rows` make of it: outputs to the left of the centre, the last one first, from place `to[0]` of the line on, then
/// those to the right from `to[1]` on.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    pub padded: usize,
    pub line: usize,
    pub to: [usize; 2],
}

type Sides<T> = fn(folded: &[T], rows: &Rows<'_, T>, lines: &mut [T], places: &Lines);

/// The kernels of one sample type at one level.
#[derive(Clone, Copy)]
pub struct SideKernels<T> {
    /// See [`Mirrors`](resample_mirror::Mirrors).
    pub fold: Fold<T>,
    /// See [`Lines`].
    pub sides: Sides<T>,
}

/// Checks what the kernels rely on: whole windows and lines, and all of the taps.
fn check<T>(folded: &[T], rows: &Rows<'_, T>, lines: &[T], places: &Lines) {
    let Lines { padded, line, to } = *places;
    assert!(rows.len.is_multiple_of(STEP) && rows.start + rows.len <= padded);
    assert!(rows.block > 0 && rows.block.is_multiple_of(STEP));
    assert!(rows.taps.iter().all(|taps| taps.len() >= rows.len * GROUP));
    assert!(to.iter().all(|to| to + GROUP <= line));
    assert!(folded.len() >= lines.len() / line * 2 * padded);
}

/// The kernels in plain Rust.
pub fn plain<T: Number + Grouped>() -> SideKernels<T> {
    SideKernels {
        fold: resample_mirror::plain,
        sides: plain_sides,
    }
}

/// [`SideKernels::sides`].
fn plain_sides<T: Number + Grouped>(
    folded: &[T],
    rows: &Rows<'_, T>,
    lines: &mut [T],
    places: &Lines,
) {
    check(folded, rows, lines, places);
    let Lines { padded, line, to } = *places;
    let windows = folded.chunks_exact(2 * padded);
    for (line, window) in lines.chunks_exact_mut(line).zip(windows) {
        let sums = |side: usize| {
            let samples = &window[side * padded + rows.start..][..rows.len];
            let taps = rows.taps[side].as_chunks::<GROUP>().0;
            let mut total = [T::default(); GROUP];
            let blocks = samples.rchunks(rows.block);
            for (samples, taps) in blocks.zip(taps[..rows.len].rchunks(rows.block)) {
                let mut sums = [T::default(); GROUP];
                for (x, taps) in samples.iter().zip(taps).rev() {
                    for i in 0..GROUP {
                        sums[i] = *x * taps[i] + sums[i];
                    }
                }
                for i in 0..GROUP {
                    total[i] = total[i] + sums[i];
                }
            }
            total
        };
        let (even, odd) = (sums(0), sums(1));
        for i in 0..GROUP {
            line[to[0] + GROUP - 1 - i] = even[i] - odd[i];
        }
        for i in 0..GROUP {
            line[to[1] + i] = even[i] + odd[i];
        }
    }
}

/// The kernels over vectors `V`, `N` of them to a group, which is summed in `K` sums by turns, enough of them to hide
/// the latency of an addition. `K` and [`Rows::block`] decide the order of a sum, nothing else does. Up to `MOST`
/// windows share a load of taps; of up to `BOTH` the sums and the differences are taken together: registers hold no
/// more.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub struct Kernel<V, const N: usize, const K: usize, const MOST: usize, const BOTH: usize>(
    PhantomData<V>,
);

// SAFETY of all but `kernels`: the caller has the instruction set, and the check has passed.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl<V: Vector, const N: usize, const K: usize, const MOST: usize, const BOTH: usize>
    Kernel<V, N, K, MOST, BOTH>
{
    /// Only for machines that have the instruction set.
    pub fn kernels() -> SideKernels<V::Element> {
        SideKernels {
            fold: resample_mirror::kernel::<V, N>(),
            sides: |folded, rows, lines, places| {
                check(folded, rows, lines, places);
                // SAFETY: chosen only where the machine has the set; the check establishes the lengths.
                unsafe {
                    V::Set::call(
                        #[inline(always)]
                        |folded, rows, lines, places, ()| Self::run(folded, rows, lines, places),
                        folded,
                        rows,
                        lines,
                        places,
                        (),
                    )
                }
            },
        }
    }

    /// All windows, as many of them together as there may be, but none by itself if there are more.
    #[inline(always)]
    unsafe fn run(
        folded: &[V::Element],
        rows: &Rows<'_, V::Element>,
        lines: &mut [V::Element],
        places: &Lines,
    ) {
        const { assert!(BOTH <= MOST && MOST <= 6) };
        let windows = lines.len() / places.line;
        let mut first = 0;
        while first < windows {
            let together = match windows - first {
                rest if rest == MOST + 1 => rest.div_ceil(2),
                rest => rest.min(MOST),
            };
            let folded = folded[first * 2 * places.padded..].as_ptr();
            let lines = lines[first * places.line..].as_mut_ptr();
            // SAFETY: the caller's; so many more are there.
            unsafe {
                match together {
                    1 => Self::windows::<1>(folded, rows, lines, places),
                    2 if MOST >= 2 => Self::windows::<2>(folded, rows, lines, places),
                    3 if MOST >= 3 => Self::windows::<3>(folded, rows, lines, places),
                    4 if MOST >= 4 => Self::windows::<4>(folded, rows, lines, places),
                    5 if MOST >= 5 => Self::windows::<5>(folded, rows, lines, places),
                    6 if MOST >= 6 => Self::windows::<6>(folded, rows, lines, places),
                    _ => {}
                }
            }
            first += together;
        }
    }

    /// The next `C` windows.
    #[inline(always)]
    unsafe fn windows<const C: usize>(
        folded: *const V::Element,
        rows: &Rows<'_, V::Element>,
        lines: *mut V::Element,
        places: &Lines,
    ) {
        let Lines { padded, line, to } = *places;
        // SAFETY: the caller's.
        unsafe {
            let x = [0, 1].map(|side| {
                let first = folded.add(side * padded + rows.start);
                std::array::from_fn::<_, C, _>(|c| first.add(c * 2 * padded))
            });
            let h = rows.taps.map(<[V::Element]>::as_ptr);
            let [even, odd] = if C <= BOTH {
                Self::sums::<C, 2>(x, h, rows)
            } else {
                let [even] = Self::sums::<C, 1>([x[0]], [h[0]], rows);
                let [odd] = Self::sums::<C, 1>([x[1]], [h[1]], rows);
                [even, odd]
            };
            for c in 0..C {
                let line = lines.add(c * line);
                for v in 0..N {
                    let left = even[c][v].sub(odd[c][v]).reverse();
                    left.store(line.add(to[0] + GROUP - (v + 1) * V::LANES));
                }
                for v in 0..N {
                    let right = even[c][v].add(odd[c][v]);
                    right.store(line.add(to[1] + v * V::LANES));
                }
            }
        }
    }

    /// `C` windows of each of `S` sides, with their taps.
    #[inline(always)]
    unsafe fn sums<const C: usize, const S: usize>(
        x: [[*const V::Element; C]; S],
        h: [*const V::Element; S],
        rows: &Rows<'_, V::Element>,
    ) -> [[[V; N]; C]; S] {
        const { assert!(N * V::LANES == GROUP) };
        // Samples of a round: a run of each window, and each of the sums.
        let step = const { if K > V::RUN { K } else { V::RUN } };
        const { assert!(STEP.is_multiple_of(K) && STEP.is_multiple_of(V::RUN)) };
        // SAFETY: the caller's.
        unsafe {
            let mut total = [[[V::zero(); N]; C]; S];
            let mut i = rows.len;
            while i > 0 {
                let end = i.saturating_sub(rows.block);
                let mut acc = [[[[V::zero(); N]; C]; S]; K];
                while i > end {
                    i -= step;
                    for r in (0..step / V::RUN).rev() {
                        let i = i + r * V::RUN;
                        for s in 0..S {
                            // Any: all of them are written below.
                            let mut runs = [V::run(h[0]); C];
                            for c in 0..C {
                                runs[c] = V::run(x[s][c].add(i));
                            }
                            for t in (0..V::RUN).rev() {
                                let acc = &mut acc[(r * V::RUN + t) % K][s];
                                for v in 0..N {
                                    let taps = h[s].add((i + t) * GROUP + v * V::LANES);
                                    let taps = V::load(taps);
                                    for c in 0..C {
                                        acc[c][v] = V::nth(runs[c], t).mul_add(taps, acc[c][v]);
                                    }
                                }
                            }
                        }
                    }
                }
                for s in 0..S {
                    for c in 0..C {
                        for v in 0..N {
                            let mut sum = acc[0][s][c][v];
                            for acc in &acc[1..] {
                                sum = sum.add(acc[s][c][v]);
                            }
                            total[s][c][v] = total[s][c][v].add(sum);
                        }
                    }
                }
            }
            total
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;
    use crate::simd::resample::side_kernels;
    use crate::simd::resample::tests::noise;

    /// Lines of `windows` windows; both sides meet in the centre, and what lies beyond them stays.
    #[test]
    fn every_level_makes_both_sides_whatever_the_company() {
        for len in [4, 36, 100, 144, 160] {
            let (start, padded) = (3, len + 5);
            let taps = [1, 2].map(|seed| noise(len * GROUP, seed));
            let folded = noise(7 * 2 * padded, 3);
            let exact = |w: usize, side: usize, i: usize| -> f64 {
                let x = &folded[(2 * w + side) * padded + start..][..len];
                let products = x.iter().enumerate();
                products.map(|(k, x)| x * taps[side][k * GROUP + i]).sum()
            };
            let (single_taps, single_folded) =
                (taps.clone().map(|taps| single(&taps)), single(&folded));
            for level in Level::available() {
                for to in [[1, 1 + GROUP], [1, 2 + GROUP], [1, GROUP]] {
                    let places = Lines {
                        padded,
                        line: to[1] + GROUP + 1,
                        to,
                    };
                    let double = lines(
                        side_kernels::<f64>(level).sides,
                        &folded,
                        &taps,
                        start,
                        &places,
                    );
                    let single = lines(
                        side_kernels::<f32>(level).sides,
                        &single_folded,
                        &single_taps,
                        start,
                        &places,
                    );
                    for w in 0..7 {
                        let at = |i: usize| w * places.line + i;
                        for i in [0, places.line - 1] {
                            assert_eq!((double[at(i)], single[at(i)]), (9.0, 9.0));
                        }
                        for i in 0..GROUP {
                            let (even, odd) = (exact(w, 0, i), exact(w, 1, i));
                            let left = to[0] + GROUP - 1 - i;
                            let right = (to[1] + i, even + odd);
                            let both = [(left < to[1]).then_some((left, even - odd)), Some(right)];
                            for (place, exact) in both.into_iter().flatten() {
                                let errors = [
                                    (double[at(place)] - exact).abs(),
                                    (f64::from(single[at(place)]) - exact).abs(),
                                ];
                                assert!(errors[0] < 1e-13, "{level:?} {len} {w} {i}: {errors:?}");
                                assert!(errors[1] < 1e-4, "{level:?} {len} {w} {i}: {errors:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    fn single(of: &[f64]) -> Vec<f32> {
        of.iter().map(|v| *v as f32).collect()
    }

    /// Of all windows together, which are those of fewer, bit for bit.
    fn lines<T: Number + Grouped + From<f32> + PartialEq + std::fmt::Debug>(
        sides: Sides<T>,
        folded: &[T],
        taps: &[Vec<T>; 2],
        start: usize,
        places: &Lines,
    ) -> Vec<T> {
        let rows = Rows {
            taps: [&taps[0], &taps[1]],
            len: taps[0].len() / GROUP,
            start,
            block: 32,
        };
        let of = |folded: &[T]| {
            let windows = folded.len() / 2 / places.padded;
            let mut lines = vec![T::from(9.0); windows * places.line];
            sides(folded, &rows, &mut lines, places);
            lines
        };
        let all = of(folded);
        for together in 1..7 {
            let parts = folded.chunks(together * 2 * places.padded);
            let some: Vec<T> = parts.flat_map(of).collect();
            assert_eq!(some, all, "{together}");
        }
        all
    }
}
