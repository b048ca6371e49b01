// SPDX-License-Identifier: MIT

//! The resampler's rows by themselves, and the taps in them, for AVX2+FMA and AVX-512.
#![allow(unsafe_code)]

use super::resample_pass::{Between, LANES, PLACES, check, check_between};
use std::arch::x86_64::*;

/// Sums the lanes of four accumulators, each in the order of the portable kernel:
/// halves first, then neighbours.
macro_rules! reduce4_avx2_f32 {
    ($a:expr) => {{
        let half = |v: __m256| _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        _mm_hadd_ps(
            _mm_hadd_ps(half($a[0]), half($a[1])),
            _mm_hadd_ps(half($a[2]), half($a[3])),
        )
    }};
}

/// The first `count` taps of `R` rows of `len` by `C` windows, one accumulator each; `STEP` taps at a
/// time.
///
/// Safety of each: the caller has the instruction set, and `check` has passed.
macro_rules! rows {
    ($feature:literal, $t:ty, $name:ident, $acc:ty, $zero:expr, $load:ident, $fma:ident,
     $step:expr, $tail:expr) => {
        #[target_feature(enable = $feature)]
        #[inline]
        unsafe fn $name<const R: usize, const C: usize>(
            x: [*const $t; C],
            h: *const $t,
            len: usize,
            count: usize,
        ) -> [[$acc; R]; C] {
            // SAFETY: this level is chosen only where the machine has it; `check` establishes the
            // lengths.
            unsafe {
                let mut acc = [[$zero; R]; C];
                let mut i = 0;
                while i + $step <= count {
                    let mut w = [$zero; C];
                    for c in 0..C {
                        w[c] = $load(x[c].add(i));
                    }
                    for r in 0..R {
                        let taps = $load(h.add(r * len + i));
                        for c in 0..C {
                            acc[c][r] = $fma(w[c], taps, acc[c][r]);
                        }
                    }
                    i += $step;
                }
                if i < count {
                    let load = $tail;
                    let mut w = [$zero; C];
                    for c in 0..C {
                        w[c] = load(x[c].add(i));
                    }
                    for r in 0..R {
                        let taps = load(h.add(r * len + i));
                        for c in 0..C {
                            acc[c][r] = $fma(w[c], taps, acc[c][r]);
                        }
                    }
                }
                acc
            }
        }
    };
}

/// The safe kernels around `rows`, a four-fold reduction `reduce(acc, &mut y[..4])`, and for weights a
/// vector of one number and products that are added.
macro_rules! kernels {
    ($level:ident, $feature:literal, $t:ty, $acc:ty, $zero:expr, $rows:ident, $reduce:ident, $dot:ident,
     $all:ident, $fma:ident) => {
        pub mod $level {
            use super::*;

            /// Outputs between `P` rows: block by block for all places, then added up by fours.
            #[target_feature(enable = $feature)]
            unsafe fn between<const P: usize, const C: usize>(
                x: [*const $t; C],
                between: &Between<'_, $t>,
                y: *mut $t,
            ) {
                // SAFETY: as the caller promises, the machine has this level and windows, rows and
                // `y` are as long as the checks have it.
                unsafe {
                    let Between {
                        rows,
                        len,
                        block,
                        places,
                    } = *between;
                    let mut sums = [[$zero; C]; PLACES];
                    for from in (0..len).step_by(block) {
                        let count = block.min(len - from);
                        for (sums, place) in sums.iter_mut().zip(places) {
                            let x = x.map(|x| x.add(place.at + from));
                            let h = rows.as_ptr().add(place.row * len + from);
                            let acc = $rows::<P, C>(x, h, len, count);
                            for c in 0..C {
                                for p in 0..P {
                                    sums[c] = $fma(acc[c][p], $all(place.weights[p]), sums[c]);
                                }
                            }
                        }
                    }
                    let sums = sums.as_flattened();
                    let (done, rest) = sums[..places.len() * C].as_chunks::<4>();
                    for (i, sums) in done.iter().enumerate() {
                        $reduce(*sums, y.add(4 * i));
                    }
                    if !rest.is_empty() {
                        let mut four = [$zero; 4];
                        four[..rest.len()].copy_from_slice(rest);
                        let mut last = [0.0; 4];
                        $reduce(four, last.as_mut_ptr());
                        let y = y.add(4 * done.len());
                        y.copy_from_nonoverlapping(last.as_ptr(), rest.len());
                    }
                }
            }

            #[target_feature(enable = $feature)]
            unsafe fn dot_inner(x: *const $t, h: *const $t, len: usize) -> $t {
                // SAFETY: as the caller promises, the machine has this level and windows and rows
                // hold `len` samples.
                unsafe { $dot(x, h, len) }
            }

            pub fn mono<const P: usize>(x: &[$t], b: &Between<'_, $t>, y: &mut [$t]) {
                check_between([x], b, P, y);
                // SAFETY: this level is chosen only where the machine has it; the check establishes
                // the lengths.
                unsafe { between::<P, 1>([x.as_ptr()], b, y.as_mut_ptr()) }
            }

            pub fn stereo<const P: usize>(x: [&[$t]; 2], b: &Between<'_, $t>, y: &mut [$t]) {
                check_between(x, b, P, y);
                // SAFETY: this level is chosen only where the machine has it; the check establishes
                // the lengths.
                unsafe { between::<P, 2>(x.map(|x| x.as_ptr()), b, y.as_mut_ptr()) }
            }

            pub fn dot(x: &[$t], h: &[$t], len: usize) -> $t {
                check([x], h, len, 1, LANES);
                // SAFETY: this level is chosen only where the machine has it; `check` establishes
                // the lengths.
                unsafe { dot_inner(x.as_ptr(), h.as_ptr(), len) }
            }
        }
    };
}

pub mod single {
    use super::*;

    rows!(
        "avx2,fma",
        f32,
        rows_a2,
        __m256,
        _mm256_setzero_ps(),
        _mm256_loadu_ps,
        _mm256_fmadd_ps,
        8,
        |_: *const f32| _mm256_setzero_ps()
    );
    rows!(
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f32,
        rows_a512,
        __m512,
        _mm512_setzero_ps(),
        _mm512_loadu_ps,
        _mm512_fmadd_ps,
        16,
        |p: *const f32| _mm512_maskz_loadu_ps(0xff, p)
    );

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn reduce_a2(a: [__m256; 4], y: *mut f32) {
        // SAFETY: as the caller promises, the machine has this level and `y` holds four.
        unsafe { _mm_storeu_ps(y, reduce4_avx2_f32!(a)) }
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    #[inline]
    unsafe fn reduce_a512(a: [__m512; 4], y: *mut f32) {
        // SAFETY: as the caller promises, the machine has this level and `y` holds four.
        unsafe {
            let a =
                a.map(|v| _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)));
            _mm_storeu_ps(y, reduce4_avx2_f32!(a))
        }
    }

    /// One long row, four accumulators: the sum of four interleaved quarter rows.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn dot_a2(x: *const f32, h: *const f32, len: usize) -> f32 {
        // SAFETY: as the caller promises, the machine has this level and windows and rows hold
        // `len` samples.
        unsafe {
            let mut acc = [_mm256_setzero_ps(); 4];
            let mut i = 0;
            while i + 32 <= len {
                for (q, a) in acc.iter_mut().enumerate() {
                    let (x, h) = (x.add(i + 8 * q), h.add(i + 8 * q));
                    *a = _mm256_fmadd_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(h), *a);
                }
                i += 32;
            }
            while i < len {
                acc[0] =
                    _mm256_fmadd_ps(_mm256_loadu_ps(x.add(i)), _mm256_loadu_ps(h.add(i)), acc[0]);
                i += 8;
            }
            let mut y = [0.0; 4];
            reduce_a2(acc, y.as_mut_ptr());
            (y[0] + y[1]) + (y[2] + y[3])
        }
    }

    kernels!(
        a2,
        "avx2,fma",
        f32,
        __m256,
        _mm256_setzero_ps(),
        rows_a2,
        reduce_a2,
        dot_a2,
        _mm256_set1_ps,
        _mm256_fmadd_ps
    );
    kernels!(
        a512,
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f32,
        __m512,
        _mm512_setzero_ps(),
        rows_a512,
        reduce_a512,
        dot_a2,
        _mm512_set1_ps,
        _mm512_fmadd_ps
    );
}

pub mod double {
    use super::*;

    rows!(
        "avx2,fma",
        f64,
        rows_a2,
        __m256d,
        _mm256_setzero_pd(),
        _mm256_loadu_pd,
        _mm256_fmadd_pd,
        4,
        |_: *const f64| _mm256_setzero_pd()
    );
    rows!(
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f64,
        rows_a512,
        __m512d,
        _mm512_setzero_pd(),
        _mm512_loadu_pd,
        _mm512_fmadd_pd,
        8,
        |_: *const f64| _mm512_setzero_pd()
    );

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn reduce_a2(a: [__m256d; 4], y: *mut f64) {
        // SAFETY: as the caller promises, the machine has this level and `y` holds four.
        unsafe {
            // Lanes of `ab`: a0+a1, b0+b1, a2+a3, b2+b3.
            let ab = _mm256_hadd_pd(a[0], a[1]);
            let cd = _mm256_hadd_pd(a[2], a[3]);
            let low = _mm256_permute2f128_pd::<0x20>(ab, cd);
            let high = _mm256_permute2f128_pd::<0x31>(ab, cd);
            _mm256_storeu_pd(y, _mm256_add_pd(low, high));
        }
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    #[inline]
    unsafe fn reduce_a512(a: [__m512d; 4], y: *mut f64) {
        // SAFETY: as the caller promises, the machine has this level and `y` holds four.
        unsafe {
            let a =
                a.map(|v| _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd::<1>(v)));
            reduce_a2(a, y);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn dot_a2(x: *const f64, h: *const f64, len: usize) -> f64 {
        // SAFETY: as the caller promises, the machine has this level and windows and rows hold
        // `len` samples.
        unsafe {
            let mut acc = [_mm256_setzero_pd(); 4];
            let mut i = 0;
            while i + 16 <= len {
                for (q, a) in acc.iter_mut().enumerate() {
                    let (x, h) = (x.add(i + 4 * q), h.add(i + 4 * q));
                    *a = _mm256_fmadd_pd(_mm256_loadu_pd(x), _mm256_loadu_pd(h), *a);
                }
                i += 16;
            }
            while i < len {
                acc[0] =
                    _mm256_fmadd_pd(_mm256_loadu_pd(x.add(i)), _mm256_loadu_pd(h.add(i)), acc[0]);
                i += 4;
            }
            let mut y = [0.0; 4];
            reduce_a2(acc, y.as_mut_ptr());
            (y[0] + y[1]) + (y[2] + y[3])
        }
    }

    kernels!(
        a2,
        "avx2,fma",
        f64,
        __m256d,
        _mm256_setzero_pd(),
        rows_a2,
        reduce_a2,
        dot_a2,
        _mm256_set1_pd,
        _mm256_fmadd_pd
    );
    kernels!(
        a512,
        "avx512f,avx512vl,avx512dq,avx2,fma",
        f64,
        __m512d,
        _mm512_setzero_pd(),
        rows_a512,
        reduce_a512,
        dot_a2,
        _mm512_set1_pd,
        _mm512_fmadd_pd
    );
}

/// The evaluation of taps.
pub mod taps {
    use super::super::resample_pass::POINTS;
    use super::super::resample_taps::{Response, blend, fill};

    macro_rules! level {
        ($name:ident, $blend:ident, $feature:literal) => {
            pub fn $name(response: &Response, first: f64, taps: &mut [f64]) {
                #[target_feature(enable = $feature)]
                fn inner(response: &Response, first: f64, taps: &mut [f64]) {
                    fill(response, first, taps);
                }
                // SAFETY: this level is chosen only where the machine has it.
                unsafe { inner(response, first, taps) }
            }

            pub fn $blend(rows: [&[f64]; POINTS], weights: &[f64; POINTS], taps: &mut [f64]) {
                #[target_feature(enable = $feature)]
                fn inner(rows: [&[f64]; POINTS], weights: &[f64; POINTS], taps: &mut [f64]) {
                    blend(rows, weights, taps);
                }
                // SAFETY: this level is chosen only where the machine has it.
                unsafe { inner(rows, weights, taps) }
            }
        };
    }

    level!(avx2, blend_avx2, "avx2");
    level!(avx512, blend_avx512, "avx512f,avx512bw,avx512dq,avx512vl");
}

/// Sums and differences about a place.
pub mod folds {
    use super::super::resample_fold::{FoldKernels, fold, half, split};

    macro_rules! level {
        ($name:ident, $t:ident, $feature:literal) => {
            pub fn $name() -> FoldKernels<$t> {
                #[target_feature(enable = $feature)]
                fn fold_inner(right: &[$t], left: &[$t], even: &mut [$t], odd: &mut [$t]) {
                    fold(right, left, even, odd);
                }

                #[target_feature(enable = $feature)]
                fn split_inner(x: &[$t], even: &mut [$t], odd: &mut [$t]) {
                    split(x, even, odd);
                }

                #[target_feature(enable = $feature)]
                fn half_inner(x: &[$t], taps: &[$t], y: &mut [$t]) {
                    half(x, taps, y);
                }

                FoldKernels {
                    // SAFETY: this level is chosen only where the machine has it.
                    fold: |right, left, even, odd| unsafe { fold_inner(right, left, even, odd) },
                    // SAFETY: as above.
                    split: |x, even, odd| unsafe { split_inner(x, even, odd) },
                    // SAFETY: as above.
                    half: |x, taps, y| unsafe { half_inner(x, taps, y) },
                }
            }
        };
    }

    level!(single_avx2, f32, "avx2");
    level!(double_avx2, f64, "avx2");
    level!(single_avx512, f32, "avx512f,avx512bw,avx512dq,avx512vl");
    level!(double_avx512, f64, "avx512f,avx512bw,avx512dq,avx512vl");
}

/// The kernels between real windows and complex ones.
pub mod turns {
    use rustfft::num_complex::Complex;

    use super::super::resample_turn::{TurnKernels, Turns, pack, scale, unpack};

    macro_rules! level {
        ($name:ident, $t:ident, $feature:literal) => {
            pub fn $name() -> TurnKernels<$t> {
                #[target_feature(enable = $feature)]
                fn pack_inner(x: &[$t], turns: &Turns<$t>, to: &mut [Complex<$t>]) {
                    pack(x, turns, to);
                }

                #[target_feature(enable = $feature)]
                fn scale_inner(from: &[Complex<$t>], by: &[[$t; 2]], to: &mut [Complex<$t>]) {
                    scale(from, by, to);
                }

                #[target_feature(enable = $feature)]
                fn unpack_inner(z: &[Complex<$t>], turns: &Turns<$t>, skip: usize, to: &mut [$t]) {
                    unpack(z, turns, skip, to);
                }

                TurnKernels {
                    // SAFETY: this level is chosen only where the machine has it.
                    pack: |x, turns, to| unsafe { pack_inner(x, turns, to) },
                    // SAFETY: as above.
                    scale: |from, by, to| unsafe { scale_inner(from, by, to) },
                    // SAFETY: as above.
                    unpack: |z, turns, skip, to| unsafe { unpack_inner(z, turns, skip, to) },
                }
            }
        };
    }

    level!(single_avx2, f32, "avx2");
    level!(double_avx2, f64, "avx2");
    level!(single_avx512, f32, "avx512f,avx512bw,avx512dq,avx512vl");
    level!(double_avx512, f64, "avx512f,avx512bw,avx512dq,avx512vl");
}
