// SPDX-License-Identifier: MIT

//! The resampler's groups of rows for AVX2+FMA and AVX-512.
#![allow(unsafe_code)]

use super::resample_pass::{GROUP, Pass, REAL_WINDOWS, STEP, check};
use std::arch::x86_64::*;

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

/// Samples of a window of `len` that are summed, in `k` sums, before those are added to the whole: in
/// one long sum, each tap beyond the peak of the response would be rounded at the size of the whole.
#[inline(always)]
const fn block<T>(len: usize, k: usize) -> usize {
    let terms = if size_of::<T>() == 4 { 16 } else { 64 };
    // Equal blocks: a short last one costs as many additions as the others.
    let blocks = (len + terms * k / 2) / (terms * k);
    if blocks < 2 {
        len
    } else {
        len.div_ceil(blocks).next_multiple_of(k)
    }
}

/// `C` windows against a group, `V` vectors wide, in `K` alternating sums: enough of them to hide the
/// latency of an addition. The last `B` windows run backwards from their last sample, which `x`
/// points to. With `D`, each has a group of its own. `K` decides the order of a sum, the others do
/// not.
///
/// Safety: the caller has the instruction set, and `check_pass` has passed.
macro_rules! columns {
    ($feature:literal, $t:ty, $name:ident, $acc:ty, $zero:expr, $load:ident, $set:ident,
     $fma:ident, $add:ident) => {
        #[target_feature(enable = $feature)]
        #[inline]
        unsafe fn $name<
            const C: usize,
            const B: usize,
            const D: bool,
            const V: usize,
            const K: usize,
        >(
            x: [*const $t; C],
            h: [*const $t; C],
            len: usize,
        ) -> [[$acc; V]; C] {
            const { assert!(V * size_of::<$acc>() == GROUP * size_of::<$t>()) };
            const { assert!(STEP.is_multiple_of(K) && B <= C) };
            const LANES: usize = size_of::<$acc>() / size_of::<$t>();
            // SAFETY: this level is chosen only where the machine has it; `check_pass` establishes
            // the lengths.
            unsafe {
                let mut total = [[$zero; V]; C];
                let block = block::<$t>(len, K);
                let mut i = 0;
                while i < len {
                    let end = len.min(i + block);
                    let mut acc = [[[$zero; V]; C]; K];
                    while i < end {
                        for k in 0..K {
                            let mut w = [$zero; C];
                            for c in 0..C {
                                w[c] = if c < C - B {
                                    $set(*x[c].add(i + k))
                                } else {
                                    $set(*x[c].sub(i + k))
                                };
                            }
                            for v in 0..V {
                                for c in 0..C {
                                    let taps = h[if D { c } else { 0 }];
                                    let taps = $load(taps.add((i + k) * GROUP + v * LANES));
                                    acc[k][c][v] = $fma(w[c], taps, acc[k][c][v]);
                                }
                            }
                        }
                        i += K;
                    }
                    for c in 0..C {
                        for v in 0..V {
                            let mut sum = acc[0][c][v];
                            for k in 1..K {
                                sum = $add(sum, acc[k][c][v]);
                            }
                            total[c][v] = $add(total[c][v], sum);
                        }
                    }
                }
                total
            }
        }
    };
}

/// Two vectors of the same outputs' left and right channels, alternating.
///
/// Safety of each: the caller has the instruction set.
pub mod zip {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    #[inline]
    pub unsafe fn a2_f32(l: __m256, r: __m256) -> [__m256; 2] {
        let (low, high) = (_mm256_unpacklo_ps(l, r), _mm256_unpackhi_ps(l, r));
        [
            _mm256_permute2f128_ps::<0x20>(low, high),
            _mm256_permute2f128_ps::<0x31>(low, high),
        ]
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn a512_f32(l: __m512, r: __m512) -> [__m512; 2] {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
        [
            _mm512_permutex2var_ps(l, low, r),
            _mm512_permutex2var_ps(l, high, r),
        ]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub unsafe fn a2_f64(l: __m256d, r: __m256d) -> [__m256d; 2] {
        let (low, high) = (_mm256_unpacklo_pd(l, r), _mm256_unpackhi_pd(l, r));
        [
            _mm256_permute2f128_pd::<0x20>(low, high),
            _mm256_permute2f128_pd::<0x31>(low, high),
        ]
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn a512_f64(l: __m512d, r: __m512d) -> [__m512d; 2] {
        let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
        let high = _mm512_add_epi64(low, _mm512_set1_epi64(4));
        [
            _mm512_permutex2var_pd(l, low, r),
            _mm512_permutex2var_pd(l, high, r),
        ]
    }
}

/// The safe kernels around `columns` with `K` sums. `$at_once`: the registers hold the sums of three
/// pairs of windows.
macro_rules! kernels {
    ($level:ident, $feature:literal, $t:ty, $columns:ident, $acc:ty, $vectors:literal,
     $sums:literal, $store:ident, $zip:ident, $at_once:literal) => {
        pub mod $level {
            use super::*;

            const WIDTH: usize = GROUP / $vectors;
            type Acc = $acc;

            /// Stores the sums of a window of one channel, in reverse if it ran backwards.
            #[target_feature(enable = $feature)]
            #[inline]
            unsafe fn store(sums: [Acc; $vectors], backwards: bool, y: &mut [$t]) {
                for (v, sum) in sums.into_iter().enumerate() {
                    // SAFETY: as the caller promises, the machine has this level and `check_pass`
                    // has passed.
                    unsafe { $store(y.as_mut_ptr().add(v * WIDTH), sum) };
                }
                if backwards {
                    y[..GROUP].reverse();
                }
            }

            /// `C` windows, the last `B` of which run backwards, with `D` against a group each.
            #[target_feature(enable = $feature)]
            #[inline]
            unsafe fn group_inner<const C: usize, const B: usize, const D: bool>(
                x: &[$t],
                pass: &Pass<'_>,
                h: [&[$t]; C],
                y: &mut [$t],
            ) {
                let Pass { len, at, to, .. } = *pass;
                let x = std::array::from_fn(|c| first(x, at[c], c >= C - B, len));
                // SAFETY: as the caller promises, the machine has this level and `check_pass` has
                // passed.
                unsafe {
                    let h = h.map(<[$t]>::as_ptr);
                    let sums = $columns::<C, B, D, $vectors, $sums>(x, h, len);
                    for (c, sums) in sums.into_iter().enumerate() {
                        store(sums, c >= C - B, &mut y[to[c]..]);
                    }
                }
            }

            #[target_feature(enable = $feature)]
            unsafe fn group_all(x: &[$t], pass: &Pass<'_>, h: &[$t], y: &mut [$t]) {
                // SAFETY: as the caller promises, the machine has this level and `check_pass` has
                // passed.
                unsafe {
                    match (pass.at.len(), pass.back) {
                        (1, 0) => group_inner::<1, 0, false>(x, pass, [h; 1], y),
                        (1, 1) => group_inner::<1, 1, false>(x, pass, [h; 1], y),
                        (2, 0) => group_inner::<2, 0, false>(x, pass, [h; 2], y),
                        (2, 1) => group_inner::<2, 1, false>(x, pass, [h; 2], y),
                        (2, 2) => group_inner::<2, 2, false>(x, pass, [h; 2], y),
                        (3, 0) => group_inner::<3, 0, false>(x, pass, [h; 3], y),
                        (3, 1) => group_inner::<3, 1, false>(x, pass, [h; 3], y),
                        (3, 2) => group_inner::<3, 2, false>(x, pass, [h; 3], y),
                        (3, 3) => group_inner::<3, 3, false>(x, pass, [h; 3], y),
                        _ => {}
                    }
                }
            }

            #[target_feature(enable = $feature)]
            unsafe fn groups_all(x: &[$t], pass: &Pass<'_>, h: [&[$t]; 2], y: &mut [$t]) {
                // SAFETY: as the caller promises, the machine has this level and `check_pass` has
                // passed.
                unsafe {
                    match pass.back {
                        0 => group_inner::<2, 0, true>(x, pass, h, y),
                        1 => group_inner::<2, 1, true>(x, pass, h, y),
                        _ => group_inner::<2, 2, true>(x, pass, h, y),
                    }
                }
            }

            /// `C / 2` windows of two channels, the last `B / 2` of which run backwards.
            #[target_feature(enable = $feature)]
            #[inline]
            unsafe fn stereo_inner<const C: usize, const B: usize>(
                x: [&[$t]; 2],
                pass: &Pass<'_>,
                h: &[$t],
                y: &mut [$t],
            ) {
                const { assert!(C % 2 == 0 && B % 2 == 0) };
                let Pass { len, at, to, .. } = *pass;
                let x = std::array::from_fn(|c| first(x[c % 2], at[c / 2], c >= C - B, len));
                // SAFETY: as the caller promises, the machine has this level and `check_pass` has
                // passed.
                unsafe {
                    let h = [h.as_ptr(); C];
                    let sums = $columns::<C, B, false, $vectors, $sums>(x, h, len);
                    for w in 0..C / 2 {
                        let y = &mut y[to[w]..];
                        let to = y.as_mut_ptr();
                        for v in 0..$vectors {
                            let [low, high] = zip::$zip(sums[2 * w][v], sums[2 * w + 1][v]);
                            $store(to.add(2 * v * WIDTH), low);
                            $store(to.add((2 * v + 1) * WIDTH), high);
                        }
                        if 2 * w >= C - B {
                            y[..2 * GROUP].as_chunks_mut::<2>().0.reverse();
                        }
                    }
                }
            }

            #[target_feature(enable = $feature)]
            unsafe fn stereo_all(x: [&[$t]; 2], pass: &Pass<'_>, h: &[$t], y: &mut [$t]) {
                // SAFETY: as the caller promises, the machine has this level and `check_pass` has
                // passed.
                unsafe {
                    match (pass.at.len(), pass.back) {
                        (3, 0) if $at_once => stereo_inner::<6, 0>(x, pass, h, y),
                        (3, 1) if $at_once => stereo_inner::<6, 2>(x, pass, h, y),
                        (3, 2) if $at_once => stereo_inner::<6, 4>(x, pass, h, y),
                        (3, 3) if $at_once => stereo_inner::<6, 6>(x, pass, h, y),
                        (2, 0) if $at_once => stereo_inner::<4, 0>(x, pass, h, y),
                        (2, 1) if $at_once => stereo_inner::<4, 2>(x, pass, h, y),
                        (2, 2) if $at_once => stereo_inner::<4, 4>(x, pass, h, y),
                        (n, _) => {
                            for w in 0..n {
                                let one = pass.only(w);
                                if one.back == 0 {
                                    stereo_inner::<2, 0>(x, &one, h, y);
                                } else {
                                    stereo_inner::<2, 2>(x, &one, h, y);
                                }
                            }
                        }
                    }
                }
            }

            pub fn group(x: &[$t], pass: &Pass<'_>, h: &[$t], y: &mut [$t]) {
                check_pass([x], pass, [h], y, GROUP);
                // SAFETY: this level is chosen only where the machine has it; `check_pass`
                // establishes the lengths.
                unsafe { group_all(x, pass, h, y) }
            }

            pub fn groups(x: &[$t], pass: &Pass<'_>, h: [&[$t]; 2], y: &mut [$t]) {
                assert!(pass.at.len() == 2);
                check_pass([x], pass, h, y, GROUP);
                // SAFETY: this level is chosen only where the machine has it; `check_pass`
                // establishes the lengths.
                unsafe { groups_all(x, pass, h, y) }
            }

            pub fn stereo(x: [&[$t]; 2], pass: &Pass<'_>, h: &[$t], y: &mut [$t]) {
                check_pass(x, pass, [h], y, 2 * GROUP);
                // SAFETY: this level is chosen only where the machine has it; `check_pass`
                // establishes the lengths.
                unsafe { stereo_all(x, pass, h, y) }
            }
        }
    };
}

pub mod single {
    use super::*;

    columns!(
        "avx2,fma",
        f32,
        columns_a2,
        __m256,
        _mm256_setzero_ps(),
        _mm256_loadu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps
    );
    columns!(
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f32,
        columns_a512,
        __m512,
        _mm512_setzero_ps(),
        _mm512_loadu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps
    );

    kernels!(
        a2,
        "avx2,fma",
        f32,
        columns_a2,
        __m256,
        2,
        2,
        _mm256_storeu_ps,
        a2_f32,
        false
    );
    kernels!(
        a512,
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f32,
        columns_a512,
        __m512,
        1,
        4,
        _mm512_storeu_ps,
        a512_f32,
        true
    );
}

pub mod double {
    use super::*;

    columns!(
        "avx2,fma",
        f64,
        columns_a2,
        __m256d,
        _mm256_setzero_pd(),
        _mm256_loadu_pd,
        _mm256_set1_pd,
        _mm256_fmadd_pd,
        _mm256_add_pd
    );
    columns!(
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f64,
        columns_a512,
        __m512d,
        _mm512_setzero_pd(),
        _mm512_loadu_pd,
        _mm512_set1_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd
    );

    kernels!(
        a2,
        "avx2,fma",
        f64,
        columns_a2,
        __m256d,
        4,
        1,
        _mm256_storeu_pd,
        a2_f64,
        false
    );
    kernels!(
        a512,
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f64,
        columns_a512,
        __m512d,
        2,
        2,
        _mm512_storeu_pd,
        a512_f64,
        true
    );
}
