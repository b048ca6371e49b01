//! Kernels of small neural networks for AVX2 with FMA and F16C, and for AVX-512.
#![allow(unsafe_code)]

use super::network_body::{BINS, BLOCK, FRAME, Inputs, Kernels, Outputs, generic};
use rustfft::num_complex::Complex32;
use std::arch::x86_64::*;

/// The kernels at one level: `$lanes` outputs in a vector, `$add` vectors of a pass of `add` and
/// `$columns` of a pass of `columns`, which has three times as many sums.
macro_rules! level {
    ($name:ident, $feature:literal, $lanes:literal, $add:literal, $columns:literal,
     $load:ident, $store:ident, $fma:ident, $splat:ident, $half:expr) => {
        /// Only for machines that have this level.
        pub fn $name() -> Kernels<u16> {
            mod kernels {
                use super::*;

                /// Safety: the machine has this level, and `w` holds all rows that `x` names.
                #[target_feature(enable = $feature)]
                unsafe fn add_inner(w: *const u16, x: &Inputs, y: &mut Outputs) {
                    // SAFETY: as the caller promises, the machine has this level and all that `w`
                    // and `x` are asked for is there.
                    unsafe {
                        let half = $half;
                        for part in (0..BLOCK).step_by($lanes * $add) {
                            let y = y.as_mut_ptr().add(part);
                            let mut sum = [$splat(0.0); $add];
                            for v in 0..$add {
                                sum[v] = $load(y.add(v * $lanes));
                            }
                            for (x, at) in x.values[..x.len].iter().zip(&x.at) {
                                let x = $splat(*x);
                                let w = w.add(usize::from(*at) * BLOCK + part);
                                for v in 0..$add {
                                    sum[v] = $fma(half(w.add(v * $lanes)), x, sum[v]);
                                }
                            }
                            for v in 0..$add {
                                $store(y.add(v * $lanes), sum[v]);
                            }
                        }
                    }
                }

                pub fn add(w: &[u16], x: &Inputs, y: &mut Outputs) {
                    assert!(w.len() >= x.rows * BLOCK);
                    // SAFETY: this level is chosen only where the machine has it; rows are fewer
                    // than `x.rows`.
                    unsafe { add_inner(w.as_ptr(), x, y) }
                }

                /// Safety: the machine has this level, `w` point to as many blocks of rows as `x`
                /// to numbers: `rows`.
                #[target_feature(enable = $feature)]
                unsafe fn columns_inner(
                    w: [*const u16; 3],
                    x: [*const f32; 2],
                    rows: usize,
                    y: [&mut Outputs; 3],
                ) {
                    // SAFETY: as the caller promises, the machine has this level and all that `w`
                    // and `x` are asked for is there.
                    unsafe {
                        let half = $half;
                        for part in (0..BLOCK).step_by($lanes * $columns) {
                            let mut sum = [[$splat(0.0); $columns]; 3];
                            for c in 0..3 {
                                for v in 0..$columns {
                                    sum[c][v] = $load(y[c].as_ptr().add(part + v * $lanes));
                                }
                            }
                            for i in 0..rows {
                                let (a, b) = ($splat(*x[0].add(i)), $splat(*x[1].add(i)));
                                for v in 0..$columns {
                                    let at = i * BLOCK + part + v * $lanes;
                                    let tap = half(w[0].add(at));
                                    sum[1][v] = $fma(tap, a, sum[1][v]);
                                    sum[2][v] = $fma(tap, b, sum[2][v]);
                                    let tap = half(w[1].add(at));
                                    sum[0][v] = $fma(tap, a, sum[0][v]);
                                    sum[1][v] = $fma(tap, b, sum[1][v]);
                                    let tap = half(w[2].add(at));
                                    sum[0][v] = $fma(tap, b, sum[0][v]);
                                }
                            }
                            for c in 0..3 {
                                for v in 0..$columns {
                                    $store(y[c].as_mut_ptr().add(part + v * $lanes), sum[c][v]);
                                }
                            }
                        }
                    }
                }

                pub fn columns(w: [&[u16]; 3], x: [&[f32]; 2], y: [&mut Outputs; 3]) {
                    let rows = x[0].len();
                    assert!(x[1].len() >= rows && w.iter().all(|w| w.len() >= rows * BLOCK));
                    // SAFETY: this level is chosen only where the machine has it; lengths are
                    // checked.
                    unsafe { columns_inner(w.map(|w| w.as_ptr()), x.map(|x| x.as_ptr()), rows, y) }
                }

                #[target_feature(enable = $feature)]
                fn magnitudes_inner(z: &[Complex32; FRAME], y: &mut [[f32; BINS]; 2]) {
                    generic::magnitudes(z, y);
                }

                pub fn magnitudes(z: &[Complex32; FRAME], y: &mut [[f32; BINS]; 2]) {
                    // SAFETY: this level is chosen only where the machine has it.
                    unsafe { magnitudes_inner(z, y) }
                }

                #[target_feature(enable = $feature)]
                fn gates_inner(z: [&[f32]; 4], cell: &mut [f32], hidden: &mut [f32]) {
                    generic::gates::<true>(z, cell, hidden);
                }

                pub fn gates(z: [&[f32]; 4], cell: &mut [f32], hidden: &mut [f32]) {
                    // SAFETY: this level is chosen only where the machine has it.
                    unsafe { gates_inner(z, cell, hidden) }
                }
            }
            Kernels {
                add: kernels::add,
                columns: kernels::columns,
                magnitudes: kernels::magnitudes,
                gates: kernels::gates,
            }
        }
    };
}

level!(
    avx2,
    "avx2,fma,f16c",
    8,
    8,
    4,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_set1_ps,
    |p: *const u16| _mm256_cvtph_ps(_mm_loadu_si128(p.cast()))
);
level!(
    avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c",
    16,
    4,
    4,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_set1_ps,
    |p: *const u16| _mm512_cvtph_ps(_mm256_loadu_si256(p.cast()))
);
