// SPDX-License-Identifier: MIT

//! Kernels of small neural networks for x86: SSE2, which every 64-bit machine has, AVX2 with FMA, and
//! AVX-512 with VNNI.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use rustfft::num_complex::Complex32;

use super::network_body::{
    BINS, BLOCK, COLUMNS, FRAME, Inputs, Kernels, PAIRS, Pair, Sums, generic,
};

/// Sums of some outputs, in one register.
trait Lanes: Copy {
    const LANES: usize;
    /// Safety, of all: the machine has the instruction set; pointers are good for as many lanes, of
    /// words for twice as many.
    unsafe fn load(from: *const i32) -> Self;
    unsafe fn store(self, to: *mut i32);
    unsafe fn words(from: *const i16) -> Self;
    unsafe fn splat(pair: Pair) -> Self;
    /// `self + w[0] x[0] + w[1] x[1]` in each lane.
    unsafe fn add_products(self, w: Self, x: Self) -> Self;
}

macro_rules! lanes {
    ($name:ident, $vector:ident, $lanes:literal, $load:ident, $store:ident, $splat:ident, $add:expr) => {
        #[derive(Clone, Copy)]
        struct $name($vector);

        impl Lanes for $name {
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn load(from: *const i32) -> Self {
                // SAFETY: as the caller promises.
                unsafe { Self($load(from.cast())) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut i32) {
                // SAFETY: as the caller promises.
                unsafe { $store(to.cast(), self.0) }
            }
            #[inline(always)]
            unsafe fn words(from: *const i16) -> Self {
                // SAFETY: as the caller promises.
                unsafe { Self($load(from.cast())) }
            }
            #[inline(always)]
            unsafe fn splat(pair: Pair) -> Self {
                // SAFETY: as the caller promises.
                unsafe { Self($splat(pair)) }
            }
            #[inline(always)]
            unsafe fn add_products(self, w: Self, x: Self) -> Self {
                // SAFETY: as the caller promises.
                unsafe { Self($add(self.0, w.0, x.0)) }
            }
        }
    };
}

lanes!(
    Sse2,
    __m128i,
    4,
    _mm_loadu_si128,
    _mm_storeu_si128,
    _mm_set1_epi32,
    |y, w, x| _mm_add_epi32(y, _mm_madd_epi16(w, x))
);
lanes!(
    Avx2,
    __m256i,
    8,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_set1_epi32,
    |y, w, x| _mm256_add_epi32(y, _mm256_madd_epi16(w, x))
);
lanes!(
    Vnni,
    __m512i,
    16,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_set1_epi32,
    |y, w, x| _mm512_dpwssd_epi32(y, w, x)
);

/// `N` registers of sums a pass.
///
/// Safety: the machine has the instruction set of `L`, and `w` holds all rows that `x` names.
#[inline(always)]
unsafe fn add<L: Lanes, const N: usize>(w: *const i16, x: &Inputs, y: &mut Sums) {
    const { assert!(BLOCK.is_multiple_of(L::LANES * N), "parts make up blocks") };
    // SAFETY: as the caller promises; parts are of whole blocks.
    unsafe {
        for part in (0..BLOCK).step_by(L::LANES * N) {
            let y = y.as_mut_ptr().add(part);
            let mut sum = [L::splat(0); N];
            for (v, sum) in sum.iter_mut().enumerate() {
                *sum = L::load(y.add(v * L::LANES));
            }
            for (x, at) in x.pairs[..x.len].iter().zip(&x.at) {
                let w = w.add((usize::from(*at) * BLOCK + part) * 2);
                let x = L::splat(*x);
                for (v, sum) in sum.iter_mut().enumerate() {
                    *sum = sum.add_products(L::words(w.add(v * L::LANES * 2)), x);
                }
            }
            for (v, sum) in sum.iter().enumerate() {
                sum.store(y.add(v * L::LANES));
            }
        }
    }
}

/// `N` registers of sums of each column a pass.
///
/// Safety: the machine has the instruction set of `L`, `w` point to as many pairs of rows as there are
/// in a column.
#[inline(always)]
unsafe fn columns<L: Lanes, const N: usize>(
    w: [*const i16; 3],
    x: &[[Pair; PAIRS]; COLUMNS],
    y: &mut [Sums; COLUMNS],
) {
    const { assert!(BLOCK.is_multiple_of(L::LANES * N), "parts make up blocks") };
    // SAFETY: as the caller promises; parts are of whole blocks.
    unsafe {
        for part in (0..BLOCK).step_by(L::LANES * N) {
            let mut sum = [[L::splat(0); COLUMNS]; N];
            for (v, sum) in sum.iter_mut().enumerate() {
                for (sum, y) in sum.iter_mut().zip(y.iter()) {
                    *sum = L::load(y.as_ptr().add(part + v * L::LANES));
                }
            }
            for i in 0..PAIRS {
                let x: [L; COLUMNS] = std::array::from_fn(|column| L::splat(x[column][i]));
                for (v, sum) in sum.iter_mut().enumerate() {
                    let at = (i * BLOCK + part + v * L::LANES) * 2;
                    for (tap, w) in w.iter().enumerate() {
                        let w = L::words(w.add(at));
                        // Beyond the ends there is nothing.
                        for to in 1usize.saturating_sub(tap)..(COLUMNS + 1 - tap).min(COLUMNS) {
                            sum[to] = sum[to].add_products(w, x[to + tap - 1]);
                        }
                    }
                }
            }
            for (v, sum) in sum.iter().enumerate() {
                for (sum, y) in sum.iter().zip(y.iter_mut()) {
                    sum.store(y.as_mut_ptr().add(part + v * L::LANES));
                }
            }
        }
    }
}

/// The kernels at one level: `$add` registers of a pass of `add` and `$columns` of a pass of `columns`,
/// which has four times as many sums.
macro_rules! level {
    ($name:ident, $lanes:ident, $feature:literal, $fused:literal, $add:literal, $columns:literal) => {
        /// Only for machines that have this level.
        pub fn $name() -> Kernels {
            #[target_feature(enable = $feature)]
            fn add_inner(w: &[i16], x: &Inputs, y: &mut Sums) {
                assert!(w.len() >= x.rows * BLOCK * 2);
                // SAFETY: this level's instructions are enabled; rows are fewer than `x.rows`.
                unsafe { add::<$lanes, $add>(w.as_ptr(), x, y) }
            }

            #[target_feature(enable = $feature)]
            fn columns_inner(
                w: [&[i16]; 3],
                x: &[[Pair; PAIRS]; COLUMNS],
                y: &mut [Sums; COLUMNS],
            ) {
                assert!(w.iter().all(|w| w.len() >= PAIRS * BLOCK * 2));
                // SAFETY: this level's instructions are enabled; lengths are checked.
                unsafe { columns::<$lanes, $columns>(w.map(<[i16]>::as_ptr), x, y) }
            }

            #[target_feature(enable = $feature)]
            fn magnitudes_inner(
                z: &[Complex32; FRAME],
                gains: &[f32; BINS],
                of: &mut [[f32; BINS]; 2],
            ) -> f32 {
                generic::magnitudes(z, gains, of)
            }

            #[target_feature(enable = $feature)]
            fn gates_inner(z: [&[f32]; 4], cell: &mut [f32], hidden: &mut [f32]) {
                generic::gates::<$fused>(z, cell, hidden);
            }

            Kernels {
                // SAFETY: this level is chosen only where the machine has it.
                add: |w, x, y| unsafe { add_inner(w, x, y) },
                // SAFETY: as above.
                columns: |w, x, y| unsafe { columns_inner(w, x, y) },
                // SAFETY: as above.
                magnitudes: |z, gains, of| unsafe { magnitudes_inner(z, gains, of) },
                // SAFETY: as above.
                gates: |z, cell, hidden| unsafe { gates_inner(z, cell, hidden) },
            }
        }
    };
}

level!(sse2, Sse2, "sse2", false, 8, 2);
level!(avx2, Avx2, "avx2,fma", true, 8, 2);
level!(
    avx512,
    Vnni,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma",
    true,
    4,
    4
);
