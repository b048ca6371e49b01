// SPDX-License-Identifier: MIT

//! The vectors of AVX2 with FMA, and of AVX-512.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::vector::{Set, Vector, set, vector};

set!(
    /// AVX2 with FMA.
    Avx2: target_feature(enable = "avx2,fma"), inline
);

set!(
    /// AVX-512 F, BW, DQ and VL, beside AVX2 and FMA.
    Avx512: target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"), inline
);

set!(
    /// AVX2 with FMA and AVX-VNNI.
    Avx2Vnni: target_feature(enable = "avx2,fma,avxvnni"), inline
);

set!(
    /// AVX-512 as above with AVX512-VNNI.
    Avx512Vnni: target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"), inline
);

/// A number is loaded into all lanes by one instruction.
macro_rules! one_by_one {
    ($element:ty, $splat:ident) => {
        type Run = *const $element;
        const RUN: usize = 1;

        #[inline(always)]
        unsafe fn run(from: *const $element) -> Self::Run {
            from
        }

        #[inline(always)]
        unsafe fn nth(run: Self::Run, i: usize) -> Self {
            // SAFETY: the caller's.
            unsafe { $splat(*run.add(i)) }
        }
    };
}

vector!(
    __m256: [f32; 8] of Avx2,
    zero _mm256_setzero_ps(), splat _mm256_set1_ps, load _mm256_loadu_ps, store _mm256_storeu_ps,
    add _mm256_add_ps, sub _mm256_sub_ps,
    reverse |v| _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0)),
    mul_add |a, b, c| _mm256_fmadd_ps(a, b, c),
    zip |l, r| {
        let (low, high) = (_mm256_unpacklo_ps(l, r), _mm256_unpackhi_ps(l, r));
        [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
    },
    sums |of| {
        let [a, b, c, d] = [half(of[0]), half(of[1]), half(of[2]), half(of[3])];
        _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d))
    } => _mm_storeu_ps,
    one_by_one!(f32, _mm256_set1_ps);
);

/// Lanes four apart, added.
///
/// Safety: the caller has AVX2.
#[inline(always)]
unsafe fn half(v: __m256) -> __m128 {
    // SAFETY: the caller's.
    unsafe { _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v)) }
}

vector!(
    __m256d: [f64; 4] of Avx2,
    zero _mm256_setzero_pd(), splat _mm256_set1_pd, load _mm256_loadu_pd, store _mm256_storeu_pd,
    add _mm256_add_pd, sub _mm256_sub_pd,
    reverse |v| _mm256_permute4x64_pd::<0b00_01_10_11>(v),
    mul_add |a, b, c| _mm256_fmadd_pd(a, b, c),
    zip |l, r| {
        let (low, high) = (_mm256_unpacklo_pd(l, r), _mm256_unpackhi_pd(l, r));
        [_mm256_permute2f128_pd::<0x20>(low, high), _mm256_permute2f128_pd::<0x31>(low, high)]
    },
    sums |of| {
        // Lanes of `ab`: a0+a1, b0+b1, a2+a3, b2+b3.
        let (ab, cd) = (_mm256_hadd_pd(of[0], of[1]), _mm256_hadd_pd(of[2], of[3]));
        let low = _mm256_permute2f128_pd::<0x20>(ab, cd);
        _mm256_add_pd(low, _mm256_permute2f128_pd::<0x31>(ab, cd))
    } => _mm256_storeu_pd,
    one_by_one!(f64, _mm256_set1_pd);
);

vector!(
    __m512: [f32; 16] of Avx512,
    zero _mm512_setzero_ps(), splat _mm512_set1_ps, load _mm512_loadu_ps, store _mm512_storeu_ps,
    add _mm512_add_ps, sub _mm512_sub_ps,
    reverse |v| {
        let back = _mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        _mm512_permutexvar_ps(back, v)
    },
    mul_add |a, b, c| _mm512_fmadd_ps(a, b, c),
    zip |l, r| {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
        [_mm512_permutex2var_ps(l, low, r), _mm512_permutex2var_ps(l, high, r)]
    },
    sums |of| [halves(of[0]), halves(of[1]), halves(of[2]), halves(of[3])] => store_sums,

    #[inline(always)]
    unsafe fn load_half(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_maskz_loadu_ps(0xff, from) }
    }
    one_by_one!(f32, _mm512_set1_ps);
);

/// Lanes eight apart, added.
///
/// Safety: the caller has AVX-512.
#[inline(always)]
unsafe fn halves(v: __m512) -> __m256 {
    // SAFETY: the caller's.
    unsafe { _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)) }
}

vector!(
    __m512d: [f64; 8] of Avx512,
    zero _mm512_setzero_pd(), splat _mm512_set1_pd, load _mm512_loadu_pd, store _mm512_storeu_pd,
    add _mm512_add_pd, sub _mm512_sub_pd,
    reverse |v| _mm512_permutexvar_pd(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), v),
    mul_add |a, b, c| _mm512_fmadd_pd(a, b, c),
    zip |l, r| {
        let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
        let high = _mm512_add_epi64(low, _mm512_set1_epi64(4));
        [_mm512_permutex2var_pd(l, low, r), _mm512_permutex2var_pd(l, high, r)]
    },
    sums |of| [quarters(of[0]), quarters(of[1]), quarters(of[2]), quarters(of[3])] => store_sums,
    one_by_one!(f64, _mm512_set1_pd);
);

/// Lanes four apart, added.
///
/// Safety: the caller has AVX-512.
#[inline(always)]
unsafe fn quarters(v: __m512d) -> __m256d {
    // SAFETY: the caller's.
    unsafe { _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd::<1>(v)) }
}

/// The sums of vectors half as wide.
///
/// Safety: as [`Vector::store_sums`].
#[inline(always)]
unsafe fn store_sums<V: Vector>(to: *mut V::Element, of: [V; 4]) {
    // SAFETY: the caller's.
    unsafe { V::store_sums(of, to) }
}
