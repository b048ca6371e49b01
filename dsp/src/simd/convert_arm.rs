// SPDX-License-Identifier: MIT

//! NEON kernels where the vectoriser falls short: triangular noise.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

/// Triangular noise of [`super::convert_noise`], the same numbers.
pub(super) fn triangular(s: &mut [[u32; 16]; 4], out: &mut [f32]) {
    let (out, _) = out.as_chunks_mut::<16>();
    for quarter in 0..4 {
        // SAFETY: part of every 64-bit Arm; each lane array holds sixteen numbers, each chunk sixteen
        // samples.
        unsafe {
            let at = 4 * quarter;
            let [mut a, mut b, mut c, mut d]: [uint32x4_t; 4] =
                std::array::from_fn(|k| vld1q_u32(s[k].as_ptr().add(at)));
            for out in &mut *out {
                let r = vreinterpretq_s16_u32(vaddq_u32(a, d));
                let t = vshlq_n_u32::<9>(b);
                c = veorq_u32(c, a);
                d = veorq_u32(d, b);
                b = veorq_u32(b, c);
                a = veorq_u32(a, d);
                c = veorq_u32(c, t);
                d = vsriq_n_u32::<21>(vshlq_n_u32::<11>(d), d);
                // Both halves of each draw, added up; half a step more, as the mean must be 0.
                let sum = vaddq_s32(vpaddlq_s16(r), vdupq_n_s32(1));
                vst1q_f32(out.as_mut_ptr().add(at), vcvtq_n_f32_s32::<16>(sum));
            }
            for (s, v) in s.iter_mut().zip([a, b, c, d]) {
                vst1q_u32(s.as_mut_ptr().add(at), v);
            }
        }
    }
}
