// SPDX-License-Identifier: MIT

//! The resampler's groups of rows for 16-bit samples: sums in vectors of 256 and 512 bits, by the dot
//! products of VNNI and without.
//!
//! Without, `pmaddwd` adds the products of two words and two samples in 32 bits, and another instruction adds
//! that to the sum. Only where both words and both samples are -32768 would two products leave 32 bits, and then
//! the result is what VNNI adds, too: all sums are taken modulo 2^32. Those of a table never get there, as the
//! sizes of a row's words come to less than 2^16 (`MOST` in `resample::fixed`).
#![allow(unsafe_code)]

use super::resample_fixed_body::{GroupSums, Of, Sums};
use super::resample_pass::{GROUP, PAIR};
use super::resample_words::UNIT;
use super::vector::Vector;
use super::vector_x86::{Avx2, Avx2Vnni, Avx512, Avx512Vnni};
use std::arch::x86_64::*;

/// Sums in two vectors of 256 bits.
macro_rules! sums256 {
    ($name:ident, $set:ty, $dot:expr, repeated $repeated:expr, group $group:expr, stereo $stereo:expr, apart $apart:expr) => {
        #[derive(Clone, Copy)]
        pub struct $name([__m256i; 2]);

        impl GroupSums for $name {
            type Set = $set;
            type Samples = __m256i;
            type Words = [__m256i; 2];
            type Outputs = [__m256; 2];
            const HALVES: bool = true;
            const REPEATED: usize = $repeated;
            const GROUP_SUMS: &'static [Sums] = $group;
            const STEREO_SUMS: &'static [Sums] = $stereo;
            const APART_SUMS: Sums = $apart;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's.
                unsafe { Self([_mm256_setzero_si256(); 2]) }
            }

            #[inline(always)]
            unsafe fn samples(x: *const i16) -> __m256i {
                // SAFETY: the caller's.
                unsafe { _mm256_set1_epi32(x.cast::<i32>().read_unaligned()) }
            }

            #[inline(always)]
            unsafe fn words(h: *const i16) -> [__m256i; 2] {
                // SAFETY: the caller's.
                unsafe {
                    let half = h.add(PAIR / 2);
                    [
                        _mm256_loadu_si256(h.cast()),
                        _mm256_loadu_si256(half.cast()),
                    ]
                }
            }

            #[inline(always)]
            unsafe fn add_products(self, samples: __m256i, words: [__m256i; 2], of: Of) -> Self {
                let (dot, mut sums) = ($dot, self);
                // SAFETY: the caller's.
                unsafe {
                    if of != Of::Second {
                        sums.0[0] = dot(sums.0[0], samples, words[0]);
                    }
                    if of != Of::First {
                        sums.0[1] = dot(sums.0[1], samples, words[1]);
                    }
                }
                sums
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller's.
                unsafe {
                    Self([
                        _mm256_add_epi32(self.0[0], other.0[0]),
                        _mm256_add_epi32(self.0[1], other.0[1]),
                    ])
                }
            }

            #[inline(always)]
            unsafe fn outputs(self, coarse: Self, finer: u32) -> [__m256; 2] {
                // SAFETY: the caller's.
                unsafe {
                    let finer = _mm_cvtsi32_si128(finer as i32);
                    let mut outputs = [_mm256_setzero_ps(); 2];
                    for v in 0..2 {
                        let fine = _mm256_sra_epi32(self.0[v], finer);
                        let sum = _mm256_cvtepi32_ps(_mm256_add_epi32(fine, coarse.0[v]));
                        outputs[v] = _mm256_mul_ps(sum, _mm256_set1_ps(UNIT));
                    }
                    outputs
                }
            }

            #[inline(always)]
            unsafe fn store(outputs: [__m256; 2], y: *mut f32) {
                // SAFETY: the caller's.
                unsafe {
                    _mm256_storeu_ps(y, outputs[0]);
                    _mm256_storeu_ps(y.add(GROUP / 2), outputs[1]);
                }
            }

            #[inline(always)]
            unsafe fn store_both([left, right]: [[__m256; 2]; 2], y: *mut f32) {
                for v in 0..2 {
                    // SAFETY: the caller's.
                    unsafe { Self::store(left[v].zip(right[v]), y.add(v * GROUP)) }
                }
            }
        }
    };
}

/// Sums in a vector of 512 bits.
macro_rules! sums512 {
    ($name:ident, $set:ty, $dot:expr, repeated $repeated:expr, group $group:expr, stereo $stereo:expr, apart $apart:expr) => {
        #[derive(Clone, Copy)]
        pub struct $name(__m512i);

        impl GroupSums for $name {
            type Set = $set;
            type Samples = __m512i;
            type Words = __m512i;
            type Outputs = __m512;
            const HALVES: bool = false;
            const REPEATED: usize = $repeated;
            const GROUP_SUMS: &'static [Sums] = $group;
            const STEREO_SUMS: &'static [Sums] = $stereo;
            const APART_SUMS: Sums = $apart;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's.
                unsafe { Self(_mm512_setzero_si512()) }
            }

            #[inline(always)]
            unsafe fn samples(x: *const i16) -> __m512i {
                // SAFETY: the caller's.
                unsafe { _mm512_set1_epi32(x.cast::<i32>().read_unaligned()) }
            }

            #[inline(always)]
            unsafe fn words(h: *const i16) -> __m512i {
                // SAFETY: the caller's.
                unsafe { _mm512_loadu_si512(h.cast()) }
            }

            #[inline(always)]
            unsafe fn add_products(self, samples: __m512i, words: __m512i, _: Of) -> Self {
                let dot = $dot;
                // SAFETY: the caller's.
                unsafe { Self(dot(self.0, samples, words)) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller's.
                unsafe { Self(_mm512_add_epi32(self.0, other.0)) }
            }

            #[inline(always)]
            unsafe fn outputs(self, coarse: Self, finer: u32) -> __m512 {
                // SAFETY: the caller's.
                unsafe {
                    let fine = _mm512_sra_epi32(self.0, _mm_cvtsi32_si128(finer as i32));
                    let sum = _mm512_cvtepi32_ps(_mm512_add_epi32(fine, coarse.0));
                    _mm512_mul_ps(sum, _mm512_set1_ps(UNIT))
                }
            }

            #[inline(always)]
            unsafe fn store(outputs: __m512, y: *mut f32) {
                // SAFETY: the caller's.
                unsafe { _mm512_storeu_ps(y, outputs) }
            }

            #[inline(always)]
            unsafe fn store_both([left, right]: [__m512; 2], y: *mut f32) {
                // SAFETY: the caller's.
                unsafe {
                    let [low, high] = left.zip(right);
                    Self::store(low, y);
                    Self::store(high, y.add(GROUP));
                }
            }
        }
    };
}

/// Safety of this and those below: the caller has the instructions.
#[inline(always)]
unsafe fn plain256(sum: __m256i, samples: __m256i, words: __m256i) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(samples, words)) }
}

#[inline(always)]
unsafe fn vnni256(sum: __m256i, samples: __m256i, words: __m256i) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_dpwssd_avx_epi32(sum, samples, words) }
}

#[inline(always)]
unsafe fn plain512(sum: __m512i, samples: __m512i, words: __m512i) -> __m512i {
    // SAFETY: the caller's.
    unsafe { _mm512_add_epi32(sum, _mm512_madd_epi16(samples, words)) }
}

#[inline(always)]
unsafe fn vnni512(sum: __m512i, samples: __m512i, words: __m512i) -> __m512i {
    // SAFETY: the caller's.
    unsafe { _mm512_dpwssd_epi32(sum, samples, words) }
}

// An addition is there a cycle later: one sum of each window is enough.
sums256!(
    Plain256, Avx2, plain256,
    repeated 2,
    group &[Sums::at_once(1, 1), Sums::at_once(1, 1), Sums::LATER],
    stereo &[Sums::at_once(1, 1), Sums::LATER],
    apart Sums::at_once(1, 1)
);
sums256!(
    Vnni256, Avx2Vnni, vnni256,
    repeated 1,
    group &[Sums::at_once(4, 2), Sums::at_once(2, 1), Sums::at_once(1, 1)],
    stereo &[Sums::at_once(2, 1)],
    apart Sums::at_once(2, 1)
);
sums512!(
    Plain512, Avx512, plain512,
    repeated 2,
    group &[Sums::at_once(1, 1), Sums::at_once(1, 1), Sums::at_once(1, 1), Sums::at_once(1, 1)],
    stereo &[Sums::at_once(1, 1), Sums::at_once(1, 1), Sums::at_once(1, 1), Sums::at_once(1, 1)],
    apart Sums::at_once(1, 1)
);
sums512!(
    Vnni512, Avx512Vnni, vnni512,
    repeated 1,
    group &[Sums::at_once(8, 4), Sums::at_once(4, 4), Sums::at_once(4, 2), Sums::at_once(2, 2)],
    stereo &[Sums::at_once(4, 4), Sums::at_once(2, 2), Sums::at_once(2, 2), Sums::at_once(2, 1)],
    apart Sums::at_once(2, 1)
);
