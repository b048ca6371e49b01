// SPDX-License-Identifier: MIT

//! The vectors of 64-bit Arm.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::vector::{Set, Vector, set, vector};

set!(
    /// What every 64-bit Arm has.
    Neon: inline(always)
);

vector!(
    float32x4_t: [f32; 4] of Neon,
    zero vdupq_n_f32(0.0), splat vdupq_n_f32, load vld1q_f32, store vst1q_f32, add vaddq_f32,
    sub vsubq_f32,
    reverse |v| {
        let pairs = vrev64q_f32(v);
        vextq_f32::<2>(pairs, pairs)
    },
    mul_add |a, b, c| vfmaq_f32(c, a, b),
    zip |l, r| [vzip1q_f32(l, r), vzip2q_f32(l, r)],
    sums |of| vpaddq_f32(vpaddq_f32(of[0], of[1]), vpaddq_f32(of[2], of[3])) => vst1q_f32,

    type Run = Self;
    const RUN: usize = 4;

    #[inline(always)]
    unsafe fn run(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { vld1q_f32(from) }
    }

    // Products take a lane of such a register as they are.
    #[inline(always)]
    unsafe fn nth(run: Self, i: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            match i {
                0 => vdupq_laneq_f32::<0>(run),
                1 => vdupq_laneq_f32::<1>(run),
                2 => vdupq_laneq_f32::<2>(run),
                _ => vdupq_laneq_f32::<3>(run),
            }
        }
    }
);

vector!(
    float64x2_t: [f64; 2] of Neon,
    zero vdupq_n_f64(0.0), splat vdupq_n_f64, load vld1q_f64, store vst1q_f64, add vaddq_f64,
    sub vsubq_f64, reverse |v| vextq_f64::<1>(v, v),
    mul_add |a, b, c| vfmaq_f64(c, a, b),
    zip |l, r| [vzip1q_f64(l, r), vzip2q_f64(l, r)],
    sums |of| [vpaddq_f64(of[0], of[1]), vpaddq_f64(of[2], of[3])] => store_two,

    type Run = Self;
    const RUN: usize = 2;

    #[inline(always)]
    unsafe fn run(from: *const f64) -> Self {
        // SAFETY: the caller's.
        unsafe { vld1q_f64(from) }
    }

    #[inline(always)]
    unsafe fn nth(run: Self, i: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            match i {
                0 => vdupq_laneq_f64::<0>(run),
                _ => vdupq_laneq_f64::<1>(run),
            }
        }
    }
);

/// Safety: `to` is good for four.
#[inline(always)]
unsafe fn store_two(to: *mut f64, of: [float64x2_t; 2]) {
    // SAFETY: the caller's.
    unsafe { of.store(to) }
}
