// SPDX-License-Identifier: MIT

//! AVX2 kernels where the vectoriser falls short: packed three-byte containers, floats to 16 bits,
//! triangular noise.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::convert_body::{DitherFn, PackFn, dither_body, pack_body, unpack_body};
use super::convert_codec::{Codec, Coded};

/// Eight native samples at a time.
pub(super) trait Lanes: Coded {
    /// Stores eight left-aligned 32-bit numbers as this type.
    ///
    /// # Safety
    /// `dst` must take eight samples; AVX2 must be there.
    unsafe fn store(v: __m256i, dst: *mut Self);

    /// Eight samples as numbers of `depth` bits in the low end, with `noise` added (floats only).
    ///
    /// # Safety
    /// `src`, and `noise` if any, must hold eight samples; AVX2 and FMA must be there.
    unsafe fn quantise(src: *const Self, noise: Option<*const f32>, depth: u32) -> __m256i;

    /// Kernels from this type to 16 bits, where there are such.
    fn pack16<C: Codec>(_wide: bool) -> Option<(PackFn<Self>, DitherFn<Self>)> {
        None
    }
}

impl Lanes for i32 {
    #[inline(always)]
    unsafe fn store(v: __m256i, dst: *mut i32) {
        // SAFETY: by the contract of the trait.
        unsafe { _mm256_storeu_si256(dst.cast(), v) }
    }
    #[inline(always)]
    unsafe fn quantise(src: *const i32, _: Option<*const f32>, depth: u32) -> __m256i {
        // SAFETY: by the contract of the trait. Rounds half up, as the plain codec does.
        unsafe {
            let v = _mm256_loadu_si256(src.cast());
            let v = _mm256_sra_epi32(v, _mm_cvtsi32_si128(31 - depth as i32));
            let q = _mm256_srai_epi32(_mm256_add_epi32(v, _mm256_set1_epi32(1)), 1);
            _mm256_min_epi32(q, _mm256_set1_epi32((1 << (depth - 1)) - 1))
        }
    }
}

impl Lanes for f32 {
    #[inline(always)]
    unsafe fn store(v: __m256i, dst: *mut f32) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let v = _mm256_mul_ps(_mm256_cvtepi32_ps(v), _mm256_set1_ps(1.0 / 2_147_483_648.0));
            _mm256_storeu_ps(dst, v)
        }
    }
    #[inline(always)]
    unsafe fn quantise(src: *const f32, noise: Option<*const f32>, depth: u32) -> __m256i {
        let full = (1u32 << (depth - 1)) as f32;
        // SAFETY: by the contract of the trait.
        unsafe {
            let x = _mm256_loadu_ps(src);
            let noise = match noise {
                Some(noise) => _mm256_loadu_ps(noise),
                None => _mm256_setzero_ps(),
            };
            let y = _mm256_fmadd_ps(x, _mm256_set1_ps(full), noise);
            let y = _mm256_and_ps(y, _mm256_cmp_ps::<_CMP_ORD_Q>(y, y));
            let y = _mm256_max_ps(y, _mm256_set1_ps(-full));
            let y = _mm256_min_ps(y, _mm256_set1_ps(full - 1.0));
            // Rounds half to even, the mode that Rust code runs in.
            _mm256_cvtps_epi32(y)
        }
    }
    fn pack16<C: Codec>(wide: bool) -> Option<(PackFn<f32>, DitherFn<f32>)> {
        Some(if wide {
            (pack16_512::<C>, dither16_512::<C>)
        } else {
            (pack16::<C>, dither16::<C>)
        })
    }
}

impl Lanes for f64 {
    #[inline(always)]
    unsafe fn store(v: __m256i, dst: *mut f64) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let unit = _mm256_set1_pd(1.0 / 2_147_483_648.0);
            let lo = _mm256_cvtepi32_pd(_mm256_castsi256_si128(v));
            let hi = _mm256_cvtepi32_pd(_mm256_extracti128_si256::<1>(v));
            _mm256_storeu_pd(dst, _mm256_mul_pd(lo, unit));
            _mm256_storeu_pd(dst.add(4), _mm256_mul_pd(hi, unit));
        }
    }
    #[inline(always)]
    unsafe fn quantise(src: *const f64, noise: Option<*const f32>, depth: u32) -> __m256i {
        let full = (1u64 << (depth - 1)) as f64;
        // SAFETY: by the contract of the trait.
        unsafe {
            let half = |offset: usize| {
                let x = _mm256_loadu_pd(src.add(offset));
                let noise = match noise {
                    Some(noise) => _mm256_cvtps_pd(_mm_loadu_ps(noise.add(offset))),
                    None => _mm256_setzero_pd(),
                };
                let y = _mm256_fmadd_pd(x, _mm256_set1_pd(full), noise);
                let y = _mm256_and_pd(y, _mm256_cmp_pd::<_CMP_ORD_Q>(y, y));
                let y = _mm256_max_pd(y, _mm256_set1_pd(-full));
                let y = _mm256_min_pd(y, _mm256_set1_pd(full - 1.0));
                _mm256_cvtpd_epi32(y)
            };
            _mm256_set_m128i(half(4), half(0))
        }
    }
}

/// Samples of one step, and the bytes that its loads and stores reach past them.
const STEP: usize = 8;
const BYTES: usize = 3 * STEP;
const REACH: usize = 4;

#[target_feature(enable = "avx2,fma")]
pub(super) fn unpack24<C: Codec, W: Lanes>(src: &[u8], dst: &mut [W]) {
    let n = dst.len().min(src.len() / 3);
    // Each number to the upper three bytes of its lane.
    let order = if C::BE {
        _mm256_broadcastsi128_si256(_mm_setr_epi8(
            -1, 2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9,
        ))
    } else {
        _mm256_broadcastsi128_si256(_mm_setr_epi8(
            -1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11,
        ))
    };
    let sign = _mm256_set1_epi32(if C::SIGNED { 0 } else { i32::MIN });
    let shift = _mm_cvtsi32_si128(24 - C::DEPTH as i32);
    let mut i = 0;
    while i + STEP <= n && (i * 3) + BYTES + REACH <= src.len() {
        // SAFETY: the two loads end at byte 28 of the step, within `src` by the condition; the
        // store takes `STEP` samples, within `dst`.
        unsafe {
            let p = src.as_ptr().add(i * 3);
            let v = _mm256_set_m128i(_mm_loadu_si128(p.add(12).cast()), _mm_loadu_si128(p.cast()));
            let v = _mm256_sll_epi32(_mm256_shuffle_epi8(v, order), shift);
            W::store(_mm256_xor_si256(v, sign), dst.as_mut_ptr().add(i));
        }
        i += STEP;
    }
    unpack_body::<C, W, true>(&src[i * 3..n * 3], &mut dst[i..n]);
}

#[target_feature(enable = "avx2,fma")]
fn pack24_body<C: Codec, W: Lanes, const NOISE: bool>(src: &[W], noise: &[f32], dst: &mut [u8]) {
    let n = src.len().min(dst.len() / 3);
    let n = if NOISE { n.min(noise.len()) } else { n };
    let (flip, mask) = if C::SIGNED {
        (0, -1)
    } else {
        (1 << (C::DEPTH - 1), (1 << C::DEPTH) - 1)
    };
    let (flip, mask) = (_mm256_set1_epi32(flip), _mm256_set1_epi32(mask));
    // The lower three bytes of each lane, side by side.
    let order = if C::BE {
        _mm256_broadcastsi128_si256(_mm_setr_epi8(
            2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1,
        ))
    } else {
        _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
        ))
    };
    let mut i = 0;
    while i + STEP <= n && (i * 3) + BYTES + REACH <= dst.len() {
        // SAFETY: the loads take `STEP` samples, within `src` and `noise`; the two stores end at
        // byte 28 of the step, within `dst` by the condition, and what they write past the step is
        // written again.
        unsafe {
            let noise = NOISE.then(|| noise.as_ptr().add(i));
            let q = W::quantise(src.as_ptr().add(i), noise, C::DEPTH);
            let q = _mm256_and_si256(_mm256_xor_si256(q, flip), mask);
            let q = _mm256_shuffle_epi8(q, order);
            let p = dst.as_mut_ptr().add(i * 3);
            _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(q));
            _mm_storeu_si128(p.add(12).cast(), _mm256_extracti128_si256::<1>(q));
        }
        i += STEP;
    }
    let (src, dst) = (&src[i..n], &mut dst[i * 3..n * 3]);
    if NOISE {
        dither_body::<C, W, true>(src, &noise[i..n], dst);
    } else {
        pack_body::<C, W, true>(src, dst);
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn pack24<C: Codec, W: Lanes>(src: &[W], dst: &mut [u8]) {
    pack24_body::<C, W, false>(src, &[], dst)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn dither24<C: Codec, W: Lanes>(src: &[W], noise: &[f32], dst: &mut [u8]) {
    pack24_body::<C, W, true>(src, noise, dst)
}

/// `f32` to 16 bits, either byte order, signed or not.
#[target_feature(enable = "avx2,fma")]
fn pack16_body<C: Codec, const NOISE: bool>(src: &[f32], noise: &[f32], dst: &mut [u8]) {
    const STEP: usize = 16;
    let n = src.len().min(dst.len() / 2);
    let n = if NOISE { n.min(noise.len()) } else { n };
    let full = _mm256_set1_ps(32_768.0);
    // The instruction that narrows saturates; before that, only what no `i32` holds must go.
    let top = _mm256_set1_ps(1e9);
    let flip = _mm256_set1_epi16(if C::SIGNED { 0 } else { i16::MIN });
    let swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14,
    ));
    let mut i = 0;
    while i + STEP <= n {
        // SAFETY: loads and the store take `STEP` samples from `i` on, within all three slices.
        unsafe {
            let half = |offset: usize| {
                let x = _mm256_loadu_ps(src.as_ptr().add(i + offset));
                let y = if NOISE {
                    _mm256_fmadd_ps(x, full, _mm256_loadu_ps(noise.as_ptr().add(i + offset)))
                } else {
                    _mm256_mul_ps(x, full)
                };
                let y = _mm256_and_ps(y, _mm256_cmp_ps::<_CMP_ORD_Q>(y, y));
                // Rounds half to even; what lies below -2^31 becomes -2^31.
                _mm256_cvtps_epi32(_mm256_min_ps(y, top))
            };
            let q = _mm256_packs_epi32(half(0), half(8));
            let q = _mm256_permute4x64_epi64::<0b11_01_10_00>(q);
            let q = _mm256_xor_si256(q, flip);
            let q = if C::BE {
                _mm256_shuffle_epi8(q, swap)
            } else {
                q
            };
            _mm256_storeu_si256(dst.as_mut_ptr().add(i * 2).cast(), q);
        }
        i += STEP;
    }
    let (src, dst) = (&src[i..n], &mut dst[i * 2..n * 2]);
    if NOISE {
        dither_body::<C, f32, true>(src, &noise[i..n], dst);
    } else {
        pack_body::<C, f32, true>(src, dst);
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn pack16<C: Codec>(src: &[f32], dst: &mut [u8]) {
    pack16_body::<C, false>(src, &[], dst)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn dither16<C: Codec>(src: &[f32], noise: &[f32], dst: &mut [u8]) {
    pack16_body::<C, true>(src, noise, dst)
}

/// As [`pack16_body`], twice as wide.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn pack16_wide<C: Codec, const NOISE: bool>(src: &[f32], noise: &[f32], dst: &mut [u8]) {
    const STEP: usize = 16;
    let n = src.len().min(dst.len() / 2);
    let n = if NOISE { n.min(noise.len()) } else { n };
    let full = _mm512_set1_ps(32_768.0);
    let top = _mm512_set1_ps(1e9);
    let flip = _mm256_set1_epi16(if C::SIGNED { 0 } else { i16::MIN });
    let swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14,
    ));
    let mut i = 0;
    while i + STEP <= n {
        // SAFETY: loads and the store take `STEP` samples from `i` on, within all three slices.
        unsafe {
            let x = _mm512_loadu_ps(src.as_ptr().add(i));
            let number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(x, x);
            let y = if NOISE {
                let noise = _mm512_loadu_ps(noise.as_ptr().add(i));
                _mm512_maskz_fmadd_ps(number, x, full, noise)
            } else {
                _mm512_maskz_mul_ps(number, x, full)
            };
            let q = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_min_ps(y, top)));
            let q = _mm256_xor_si256(q, flip);
            let q = if C::BE {
                _mm256_shuffle_epi8(q, swap)
            } else {
                q
            };
            _mm256_storeu_si256(dst.as_mut_ptr().add(i * 2).cast(), q);
        }
        i += STEP;
    }
    let (src, dst) = (&src[i..n], &mut dst[i * 2..n * 2]);
    if NOISE {
        dither_body::<C, f32, true>(src, &noise[i..n], dst);
    } else {
        pack_body::<C, f32, true>(src, dst);
    }
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn pack16_512<C: Codec>(src: &[f32], dst: &mut [u8]) {
    pack16_wide::<C, false>(src, &[], dst)
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn dither16_512<C: Codec>(src: &[f32], noise: &[f32], dst: &mut [u8]) {
    pack16_wide::<C, true>(src, noise, dst)
}

/// As [`triangular`], with rotation and three-way exclusive or in one instruction each.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn triangular_512(s: &mut [[u32; 16]; 4], out: &mut [f32]) {
    /// Truth table of a ^ b ^ c.
    const XOR: i32 = 0b1001_0110;
    let one = _mm512_set1_epi16(1);
    let unit = _mm512_set1_ps(1.0 / 65_536.0);
    let (out, _) = out.as_chunks_mut::<16>();
    // SAFETY: each lane array holds sixteen numbers, each chunk sixteen samples.
    unsafe {
        let [mut a, mut b, mut c, mut d]: [__m512i; 4] =
            std::array::from_fn(|k| _mm512_loadu_si512(s[k].as_ptr().cast()));
        for out in out {
            let r = _mm512_add_epi32(a, d);
            let t = _mm512_slli_epi32::<9>(b);
            let e = _mm512_xor_si512(d, b);
            let b2 = _mm512_ternarylogic_epi32::<XOR>(b, c, a);
            c = _mm512_ternarylogic_epi32::<XOR>(c, a, t);
            a = _mm512_xor_si512(a, e);
            b = b2;
            d = _mm512_rol_epi32::<11>(e);
            let sum = _mm512_cvtepi32_ps(_mm512_madd_epi16(r, one));
            _mm512_storeu_ps(out.as_mut_ptr(), _mm512_fmadd_ps(sum, unit, unit));
        }
        for (s, v) in s.iter_mut().zip([a, b, c, d]) {
            _mm512_storeu_si512(s.as_mut_ptr().cast(), v);
        }
    }
}

/// Two channels of [`super::convert_shape`] by whole rounds of `N` frames, errors and coefficients
/// in registers; gives the frames done.
#[target_feature(enable = "avx2,fma")]
pub(super) fn shape_pair<const N: usize>(
    block: &mut [f64],
    noise: &[f32],
    channels: usize,
    first: usize,
    errors: &mut [[f64; 8]],
    scale: f64,
    taps: &[f64],
) -> usize {
    assert!(first + 2 <= channels && errors.len() == 2 && taps.len() == N);
    let frames = (block.len().min(noise.len()) / channels) / N * N;
    let (full, back) = (_mm_set1_pd(scale), _mm_set1_pd(1.0 / scale));
    let (top, magic) = (_mm_set1_pd(16.0), _mm_set1_pd(6_755_399_441_055_744.0));
    let bottom = _mm_set1_pd(-16.0);
    let taps: [__m128d; N] = std::array::from_fn(|k| _mm_set1_pd(taps[k]));
    // Slot j is of frame j of a round: at its start, slot N - 1 is the newest.
    let mut e: [__m128d; N] =
        std::array::from_fn(|j| _mm_set_pd(errors[1][N - 1 - j], errors[0][N - 1 - j]));
    for round in (0..frames).step_by(N) {
        for j in 0..N {
            let at = (round + j) * channels + first;
            // SAFETY: `at + 2` lies within `frames * channels`, which both slices have.
            unsafe {
                let x = _mm_loadu_pd(block.as_ptr().add(at));
                let x = _mm_and_pd(x, _mm_cmpord_pd(x, x));
                let x = _mm_min_pd(_mm_max_pd(x, bottom), top);
                let pair = noise.as_ptr().add(at).cast::<f64>();
                let n = _mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd(pair)));
                let mut v = _mm_mul_pd(x, full);
                for k in (1..N).rev() {
                    v = _mm_fnmadd_pd(taps[k], e[(j + 2 * N - 1 - k) % N], v);
                }
                let newest = e[(j + N - 1) % N];
                let dithered = _mm_fnmadd_pd(taps[0], newest, _mm_add_pd(v, n));
                let v = _mm_fnmadd_pd(taps[0], newest, v);
                let q = _mm_sub_pd(_mm_add_pd(dithered, magic), magic);
                e[j] = _mm_sub_pd(q, v);
                _mm_storeu_pd(block.as_mut_ptr().add(at), _mm_mul_pd(q, back));
            }
        }
    }
    for (j, e) in e.iter().enumerate() {
        errors[0][N - 1 - j] = _mm_cvtsd_f64(*e);
        errors[1][N - 1 - j] = _mm_cvtsd_f64(_mm_unpackhi_pd(*e, *e));
    }
    frames
}

/// Triangular noise of [`super::convert_noise`], the same numbers.
#[target_feature(enable = "avx2,fma")]
pub(super) fn triangular(s: &mut [[u32; 16]; 4], out: &mut [f32]) {
    let one = _mm256_set1_epi16(1);
    let unit = _mm256_set1_ps(1.0 / 65_536.0);
    let (out, _) = out.as_chunks_mut::<16>();
    // SAFETY: each lane array holds sixteen numbers, each chunk sixteen samples.
    unsafe {
        let load = |k: usize, h: usize| _mm256_loadu_si256(s[k].as_ptr().add(8 * h).cast());
        let mut state: [[__m256i; 4]; 2] =
            std::array::from_fn(|h| std::array::from_fn(|k| load(k, h)));
        for out in out {
            for (h, [a, b, c, d]) in state.iter_mut().enumerate() {
                let r = _mm256_add_epi32(*a, *d);
                let t = _mm256_slli_epi32::<9>(*b);
                *c = _mm256_xor_si256(*c, *a);
                *d = _mm256_xor_si256(*d, *b);
                *b = _mm256_xor_si256(*b, *c);
                *a = _mm256_xor_si256(*a, *d);
                *c = _mm256_xor_si256(*c, t);
                *d = _mm256_or_si256(_mm256_slli_epi32::<11>(*d), _mm256_srli_epi32::<21>(*d));
                // Both halves of each draw, added up; half a step more, as the mean must be 0.
                let sum = _mm256_cvtepi32_ps(_mm256_madd_epi16(r, one));
                let noise = _mm256_fmadd_ps(sum, unit, unit);
                _mm256_storeu_ps(out.as_mut_ptr().add(8 * h), noise);
            }
        }
        for (h, state) in state.iter().enumerate() {
            for (k, v) in state.iter().enumerate() {
                _mm256_storeu_si256(s[k].as_mut_ptr().add(8 * h).cast(), *v);
            }
        }
    }
}
