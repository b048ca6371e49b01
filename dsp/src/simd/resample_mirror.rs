// SPDX-License-Identifier: MIT

//! Sums and differences of the samples to either side of centres, as filters that are symmetric about them take.
#![allow(unsafe_code)]
#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(clippy::needless_range_loop, reason = "several arrays move along")
)]

use super::resample_pass::{GROUP, Grouped};
use super::vector::Number;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector::{Set, Vector};

/// Windows of samples about centres, one every `step` samples, and where what becomes of them goes.
#[derive(Clone, Copy, Debug)]
pub struct Mirrors {
    /// Samples to either side: those to the left are the first of a window, from the farthest on.
    pub len: usize,
    /// Where in a window those to the right begin: the centre may be one of both, or none.
    pub right: usize,
    /// Samples from a window to the next.
    pub step: usize,
    /// What a window gives: so many places for sums, from the nearest sample on, then as many for differences, right
    /// less left.
    pub padded: usize,
    /// Samples of a line, one for each window, and which of them is what the sums come to with the taps of
    /// [`centre`]. Without taps lines stay as they are.
    pub line: usize,
    pub at: usize,
}

/// As many windows of `x` as there are `lines`; see [`Mirrors`].
pub type Fold<T> = fn(x: &[T], mirrors: &Mirrors, centre: &[T], folded: &mut [T], lines: &mut [T]);

/// Taps of an output in the centre as [`Fold`] takes them, for as many sums. Of the last sixteen, those that were
/// there before count for nothing.
pub fn centre<T: Copy + Default>(taps: &[T]) -> Vec<T> {
    let n = taps.len();
    let blocks = n / GROUP * GROUP;
    let mut all = taps.to_vec();
    if blocks > 0 && blocks < n {
        all.truncate(blocks);
        all.resize(2 * blocks + GROUP - n, T::default());
        all.extend(&taps[blocks..]);
    }
    all
}

/// Checks what the kernels rely on: whole windows and lines, and taps of the centre, if any. How many there are.
fn check<T>(x: &[T], mirrors: &Mirrors, centre: &[T], folded: &[T], lines: &[T]) -> usize {
    let Mirrors {
        len,
        right,
        step,
        padded,
        line,
        at,
    } = *mirrors;
    let count = lines.len() / line;
    assert!(count == 0 || x.len() >= (count - 1) * step + len.max(right + len));
    assert!(len <= padded && folded.len() >= count * 2 * padded && at < line);
    let taps = if len < GROUP {
        len
    } else {
        len.next_multiple_of(GROUP)
    };
    assert!(centre.is_empty() || centre.len() >= taps);
    count
}

/// [`Fold`] in plain Rust.
pub fn plain<T: Number + Grouped>(
    x: &[T],
    mirrors: &Mirrors,
    centre: &[T],
    folded: &mut [T],
    lines: &mut [T],
) {
    check(x, mirrors, centre, folded, lines);
    let Mirrors { len: n, padded, .. } = *mirrors;
    let windows = folded.chunks_exact_mut(2 * padded);
    for (w, (window, line)) in windows
        .zip(lines.chunks_exact_mut(mirrors.line))
        .enumerate()
    {
        let x = &x[w * mirrors.step..];
        let (even, odd) = window.split_at_mut(padded);
        for (i, (r, l)) in x[mirrors.right..][..n]
            .iter()
            .zip(x[..n].iter().rev())
            .enumerate()
        {
            even[i] = *r + *l;
            odd[i] = *r - *l;
        }
        let mut sums = [T::default(); GROUP];
        for (b, taps) in centre.chunks(GROUP).enumerate() {
            let first = (b * GROUP).min(n.saturating_sub(GROUP));
            for (sum, (x, tap)) in sums.iter_mut().zip(even[first..n].iter().zip(taps)) {
                *sum = *x * *tap + *sum;
            }
        }
        if !centre.is_empty() {
            line[mirrors.at] = sums.into_iter().reduce(|a, b| a + b).unwrap_or_default();
        }
    }
}

/// [`Fold`] over vectors `V`, `N` of them at a time. Only for machines that have the instruction set.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn kernel<V: Vector, const N: usize>() -> Fold<V::Element> {
    |x, mirrors, centre, folded, lines| {
        let count = check(x, mirrors, centre, folded, lines);
        if mirrors.len < GROUP {
            return plain(x, mirrors, centre, folded, lines);
        }
        // SAFETY: chosen only where the machine has the set; the check establishes the lengths.
        unsafe {
            V::Set::call(
                #[inline(always)]
                |x: &[V::Element],
                 mirrors,
                 centre: &[V::Element],
                 folded: &mut [V::Element],
                 lines| {
                    for w in 0..count {
                        let x = x.as_ptr().add(w * mirrors.step);
                        let to = folded.as_mut_ptr().add(w * 2 * mirrors.padded);
                        if centre.is_empty() {
                            window::<V, N, false>(x, mirrors, centre.as_ptr(), to);
                        } else {
                            lines[w * mirrors.line + mirrors.at] =
                                window::<V, N, true>(x, mirrors, centre.as_ptr(), to);
                        }
                    }
                },
                x,
                mirrors,
                centre,
                folded,
                lines,
            )
        }
    }
}

/// A window, of [`GROUP`] samples or more to either side; with `C` there are taps of a centre.
///
/// Safety: as [`check`] has it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn window<V: Vector, const N: usize, const C: bool>(
    x: *const V::Element,
    mirrors: &Mirrors,
    centre: *const V::Element,
    to: *mut V::Element,
) -> V::Element {
    const { assert!(N * V::LANES == GROUP) };
    let Mirrors {
        len, right, padded, ..
    } = *mirrors;
    // SAFETY: the caller's; a block ends where the samples do, or before.
    unsafe {
        let from = [x.add(right), x.add(len)];
        let to = [to, to.add(padded)];
        let mut sums = [V::zero(); N];
        let mut at = 0;
        while at + GROUP <= len {
            block::<V, N, C>(from, at, centre.add(at), to, &mut sums);
            at += GROUP;
        }
        if at < len {
            // Some are done twice: one by one takes longer.
            block::<V, N, C>(from, len - GROUP, centre.add(at), to, &mut sums);
        }
        if !C {
            return V::Element::default();
        }
        let mut all = [V::zero(); 4];
        for v in 0..N {
            all[v % 4] = all[v % 4].add(sums[v]);
        }
        let mut four = [V::Element::default(); 4];
        V::store_sums(all, four.as_mut_ptr());
        (four[0] + four[1]) + (four[2] + four[3])
    }
}

/// Samples `first` and so on of those to the right, and of those to the left before their end: `from` are both.
///
/// Safety: there are [`GROUP`] of each.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn block<V: Vector, const N: usize, const C: bool>(
    from: [*const V::Element; 2],
    first: usize,
    centre: *const V::Element,
    to: [*mut V::Element; 2],
    sums: &mut [V; N],
) {
    // SAFETY: the caller's.
    unsafe {
        for v in 0..N {
            let at = first + v * V::LANES;
            let r = V::load(from[0].add(at));
            let l = V::load(from[1].sub(at + V::LANES)).reverse();
            let sum = r.add(l);
            sum.store(to[0].add(at));
            r.sub(l).store(to[1].add(at));
            if C {
                let taps = V::load(centre.add(v * V::LANES));
                sums[v] = taps.mul_add(sum, sums[v]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;
    use crate::simd::resample::side_kernels;
    use crate::simd::resample::tests::noise;

    #[test]
    fn every_level_folds_alike() {
        for len in [1, 2, 15, 16, 33, 100, 144, 161] {
            for (right, step) in [(len, 7), (len - 1, 48)] {
                let x = noise(2 * step + right + len, 7);
                let x: Vec<f32> = x.iter().map(|v| *v as f32).collect();
                let mirrors = Mirrors {
                    len,
                    right,
                    step,
                    padded: len + 3,
                    line: 5,
                    at: 2,
                };
                for level in Level::available() {
                    let fold = side_kernels::<f32>(level).fold;
                    for taps in [&x[..len], &[]] {
                        let mut folded = vec![9.0; 3 * 2 * mirrors.padded];
                        let mut lines = vec![9.0; 3 * 5];
                        fold(&x, &mirrors, &centre(taps), &mut folded, &mut lines);
                        for w in 0..3 {
                            let x = &x[w * step..];
                            let (even, odd) =
                                folded[w * 2 * mirrors.padded..].split_at(mirrors.padded);
                            let mut exact = 0.0;
                            for i in 0..len {
                                let (r, l) = (x[right + i], x[len - 1 - i]);
                                let both = (even[i], odd[i]);
                                assert_eq!(both, (r + l, r - l), "{level:?} {len} {i}");
                                exact += taps
                                    .get(i)
                                    .map_or(0.0, |tap| f64::from(*tap) * f64::from(r + l));
                            }
                            assert_eq!((even[len], odd[len]), (9.0, 9.0));
                            let line = &lines[w * 5..][..5];
                            assert_eq!([line[0], line[1], line[3], line[4]], [9.0; 4]);
                            let exact = if taps.is_empty() { 9.0 } else { exact };
                            let error = f64::from(line[2]) - exact;
                            assert!(error.abs() < 1e-4, "{level:?} {len}: {error}");
                        }
                    }
                }
            }
        }
    }
}
