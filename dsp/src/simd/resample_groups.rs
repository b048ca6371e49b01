// SPDX-License-Identifier: MIT

//! The resampler's groups of rows over vectors of whatever instruction set.
#![allow(unsafe_code)]
#![expect(clippy::needless_range_loop, reason = "several arrays move along")]

use std::marker::PhantomData;

use super::resample_pass::{Columns, GROUP, Pass, REAL_WINDOWS, STEP, check};
use super::vector::{Set, Vector};

/// Checks what the kernels rely on: the groups `h`, the windows of each of `x`, and a place for `size`
/// outputs of each in `y`.
#[inline(always)]
fn check_pass<T, const C: usize, const H: usize>(
    x: [&[T]; C],
    pass: &Pass<'_>,
    h: [&[T]; H],
    y: &[T],
    size: usize,
) {
    for h in h {
        check([], h, pass.len, GROUP, STEP);
    }
    assert!(pass.at.len() <= REAL_WINDOWS && pass.to.len() == pass.at.len());
    for (at, to) in pass.at.iter().zip(pass.to) {
        for x in x {
            assert!(x[*at..].len() >= pass.len);
        }
        assert!(y[*to..].len() >= size);
    }
}

/// The sample of `x` that the first of `len` taps meets, in a window that begins at `at`.
#[inline(always)]
fn first<T>(x: &[T], at: usize, backwards: bool, len: usize) -> *const T {
    let first = at + if backwards { len.max(1) - 1 } else { 0 };
    assert!(first <= x.len());
    // Of the whole slice: what lies before it is read as well.
    x.as_ptr().wrapping_add(first)
}

/// Samples of a window of `len` that are summed before they are added to the whole, a multiple of `step`.
#[inline(always)]
const fn block(len: usize, wished: usize, step: usize) -> usize {
    // Equal blocks: a short last one costs as many additions as the others.
    let blocks = (len + wished / 2) / wished;
    if blocks < 2 {
        len
    } else {
        len.div_ceil(blocks).next_multiple_of(step)
    }
}

/// The kernels over vectors `V`, `N` of them to a group, which is summed in `K` sums by turns, enough of
/// them to hide the latency of an addition. These are added to the whole after about `BLOCK` samples: in
/// one long sum, each tap beyond the peak of the response would be rounded at the size of the whole. `K`
/// and `BLOCK` decide the order of a sum, nothing else does. With `PAIRS`, the registers hold the sums of
/// [`REAL_WINDOWS`] pairs of windows; without, of one.
pub struct Groups<V, const N: usize, const K: usize, const BLOCK: usize, const PAIRS: bool>(
    PhantomData<V>,
);

// SAFETY of all but `columns`: the caller has the instruction set, and `check_pass` has passed.
impl<V: Vector, const N: usize, const K: usize, const BLOCK: usize, const PAIRS: bool>
    Groups<V, N, K, BLOCK, PAIRS>
{
    /// Only for machines that have the instruction set.
    pub fn columns() -> Columns<V::Element> {
        Columns {
            windows: REAL_WINDOWS,
            group: |x, pass, h, y| {
                check_pass([x], pass, [h], y, GROUP);
                // SAFETY: chosen only where the machine has the set; `check_pass` establishes the lengths.
                unsafe {
                    V::Set::call(
                        #[inline(always)]
                        |x, pass, h, y, ()| Self::group(x, pass, h, y),
                        x,
                        pass,
                        h,
                        y,
                        (),
                    )
                }
            },
            groups: |x, pass, h, y| {
                assert!(pass.at.len() == 2);
                check_pass([x], pass, h, y, GROUP);
                // SAFETY: as above.
                unsafe {
                    V::Set::call(
                        #[inline(always)]
                        |x, pass, h, y, ()| Self::groups(x, pass, h, y),
                        x,
                        pass,
                        h,
                        y,
                        (),
                    )
                }
            },
            stereo: |x, pass, h, y| {
                check_pass(x, pass, [h], y, 2 * GROUP);
                // SAFETY: as above.
                unsafe {
                    V::Set::call(
                        #[inline(always)]
                        |l, r, pass, h, y| Self::stereo([l, r], pass, h, y),
                        x[0],
                        x[1],
                        pass,
                        h,
                        y,
                    )
                }
            },
        }
    }

    /// `C` windows against a group. The last `B` windows run backwards from their last sample, which `x` points
    /// to. With `D`, each has a group of its own.
    #[inline(always)]
    unsafe fn sums<const C: usize, const B: usize, const D: bool>(
        x: [*const V::Element; C],
        h: [*const V::Element; C],
        len: usize,
    ) -> [[V; N]; C] {
        const { assert!(N * V::LANES == GROUP && B <= C) };
        // Samples of a round: a run of each window, and each of the sums.
        let step = const { if K > V::RUN { K } else { V::RUN } };
        const { assert!(STEP.is_multiple_of(K) && STEP.is_multiple_of(V::RUN)) };
        // SAFETY: the caller's.
        unsafe {
            let mut total = [[V::zero(); N]; C];
            let block = block(len, BLOCK, step);
            let mut i = 0;
            while i < len {
                let end = len.min(i + block);
                let mut acc = [[[V::zero(); N]; C]; K];
                while i < end {
                    for r in 0..step / V::RUN {
                        let i = i + r * V::RUN;
                        // Any: all of them are written below.
                        let mut runs = [V::run(h[0]); C];
                        for c in 0..C {
                            runs[c] = V::run(if c < C - B {
                                x[c].add(i)
                            } else {
                                x[c].sub(i + V::RUN - 1)
                            });
                        }
                        for s in 0..V::RUN {
                            let acc = &mut acc[(r * V::RUN + s) % K];
                            let mut w = [V::zero(); C];
                            for c in 0..C {
                                w[c] = V::nth(runs[c], if c < C - B { s } else { V::RUN - 1 - s });
                            }
                            for v in 0..N {
                                for c in 0..C {
                                    let taps = h[if D { c } else { 0 }];
                                    let taps = V::load(taps.add((i + s) * GROUP + v * V::LANES));
                                    acc[c][v] = w[c].mul_add(taps, acc[c][v]);
                                }
                            }
                        }
                    }
                    i += step;
                }
                for c in 0..C {
                    for v in 0..N {
                        let mut sum = acc[0][c][v];
                        for acc in &acc[1..] {
                            sum = sum.add(acc[c][v]);
                        }
                        total[c][v] = total[c][v].add(sum);
                    }
                }
            }
            total
        }
    }

    /// `C` windows of one channel, the last `B` of which run backwards, with `D` against a group each.
    #[inline(always)]
    unsafe fn windows<const C: usize, const B: usize, const D: bool>(
        x: &[V::Element],
        pass: &Pass<'_>,
        h: [&[V::Element]; C],
        y: &mut [V::Element],
    ) {
        let Pass { len, at, to, .. } = *pass;
        let x = std::array::from_fn(|c| first(x, at[c], c >= C - B, len));
        let h = h.map(<[V::Element]>::as_ptr);
        // SAFETY: the caller's.
        unsafe {
            let sums = Self::sums::<C, B, D>(x, h, len);
            for (c, sums) in sums.into_iter().enumerate() {
                let y = &mut y[to[c]..];
                for (v, sum) in sums.into_iter().enumerate() {
                    sum.store(y.as_mut_ptr().add(v * V::LANES));
                }
                if c >= C - B {
                    y[..GROUP].reverse();
                }
            }
        }
    }

    /// `C / 2` windows of two channels, the last `B / 2` of which run backwards.
    #[inline(always)]
    unsafe fn windows_of_two<const C: usize, const B: usize>(
        x: [&[V::Element]; 2],
        pass: &Pass<'_>,
        h: &[V::Element],
        y: &mut [V::Element],
    ) {
        const { assert!(C.is_multiple_of(2) && B.is_multiple_of(2)) };
        let Pass { len, at, to, .. } = *pass;
        let x = std::array::from_fn(|c| first(x[c % 2], at[c / 2], c >= C - B, len));
        // SAFETY: the caller's.
        unsafe {
            let sums = Self::sums::<C, B, false>(x, [h.as_ptr(); C], len);
            for w in 0..C / 2 {
                let y = &mut y[to[w]..];
                let to = y.as_mut_ptr();
                for v in 0..N {
                    let [low, high] = sums[2 * w][v].zip(sums[2 * w + 1][v]);
                    low.store(to.add(2 * v * V::LANES));
                    high.store(to.add((2 * v + 1) * V::LANES));
                }
                if 2 * w >= C - B {
                    y[..2 * GROUP].as_chunks_mut::<2>().0.reverse();
                }
            }
        }
    }

    /// [`Columns::group`].
    #[inline(always)]
    unsafe fn group(x: &[V::Element], pass: &Pass<'_>, h: &[V::Element], y: &mut [V::Element]) {
        // SAFETY: the caller's.
        unsafe {
            match (pass.at.len(), pass.back) {
                (1, 0) => Self::windows::<1, 0, false>(x, pass, [h; 1], y),
                (1, 1) => Self::windows::<1, 1, false>(x, pass, [h; 1], y),
                (2, 0) => Self::windows::<2, 0, false>(x, pass, [h; 2], y),
                (2, 1) => Self::windows::<2, 1, false>(x, pass, [h; 2], y),
                (2, 2) => Self::windows::<2, 2, false>(x, pass, [h; 2], y),
                (3, 0) => Self::windows::<3, 0, false>(x, pass, [h; 3], y),
                (3, 1) => Self::windows::<3, 1, false>(x, pass, [h; 3], y),
                (3, 2) => Self::windows::<3, 2, false>(x, pass, [h; 3], y),
                (3, 3) => Self::windows::<3, 3, false>(x, pass, [h; 3], y),
                _ => {}
            }
        }
    }

    /// [`Columns::groups`].
    #[inline(always)]
    unsafe fn groups(
        x: &[V::Element],
        pass: &Pass<'_>,
        h: [&[V::Element]; 2],
        y: &mut [V::Element],
    ) {
        // SAFETY: the caller's.
        unsafe {
            match pass.back {
                0 => Self::windows::<2, 0, true>(x, pass, h, y),
                1 => Self::windows::<2, 1, true>(x, pass, h, y),
                _ => Self::windows::<2, 2, true>(x, pass, h, y),
            }
        }
    }

    /// [`Columns::stereo`].
    #[inline(always)]
    unsafe fn stereo(
        x: [&[V::Element]; 2],
        pass: &Pass<'_>,
        h: &[V::Element],
        y: &mut [V::Element],
    ) {
        // SAFETY: the caller's.
        unsafe {
            match (pass.at.len(), pass.back) {
                (3, 0) if PAIRS => Self::windows_of_two::<6, 0>(x, pass, h, y),
                (3, 1) if PAIRS => Self::windows_of_two::<6, 2>(x, pass, h, y),
                (3, 2) if PAIRS => Self::windows_of_two::<6, 4>(x, pass, h, y),
                (3, 3) if PAIRS => Self::windows_of_two::<6, 6>(x, pass, h, y),
                (2, 0) if PAIRS => Self::windows_of_two::<4, 0>(x, pass, h, y),
                (2, 1) if PAIRS => Self::windows_of_two::<4, 2>(x, pass, h, y),
                (2, 2) if PAIRS => Self::windows_of_two::<4, 4>(x, pass, h, y),
                (n, _) => {
                    for w in 0..n {
                        let one = pass.only(w);
                        if one.back == 0 {
                            Self::windows_of_two::<2, 0>(x, &one, h, y);
                        } else {
                            Self::windows_of_two::<2, 2>(x, &one, h, y);
                        }
                    }
                }
            }
        }
    }
}
