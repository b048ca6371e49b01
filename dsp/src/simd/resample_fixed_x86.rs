//! The resampler's groups of rows for 16-bit samples, by the dot products of VNNI, 256 and 512 bits
//! wide.
#![allow(unsafe_code)]

use super::resample_groups_x86::zip;
use super::resample_pass::{Columns, GROUP, PAIR, Pass};
use super::resample_words::{UNIT, check};
use std::arch::x86_64::*;

/// Only the level with these instructions asks for them.
pub fn avx2() -> Columns<i16> {
    a2::columns()
}

/// Only the level with these instructions asks for them.
pub fn avx512() -> Columns<i16> {
    a512::columns()
}

/// The rounding of taps to words.
pub mod rounding {
    use super::super::resample_pass::Words;
    use super::super::resample_words::{self as portable, Lanes, Round, Rounding, Sizes};

    macro_rules! level {
        ($name:ident, $feature:literal) => {
            pub fn $name() -> (Sizes, Round) {
                #[target_feature(enable = $feature)]
                fn sizes_inner(
                    taps: &[Lanes<f64>],
                    sums: &mut Lanes<f64>,
                    largest: &mut Lanes<f64>,
                ) {
                    portable::sizes(taps, sums, largest);
                }

                #[target_feature(enable = $feature)]
                fn round_inner(group: &[Lanes<f64>], words: Words, to: &mut [i16]) -> Rounding {
                    portable::round(group, words, to)
                }

                fn sizes(taps: &[Lanes<f64>], sums: &mut Lanes<f64>, largest: &mut Lanes<f64>) {
                    // SAFETY: this level is chosen only where the machine has it.
                    unsafe { sizes_inner(taps, sums, largest) }
                }

                fn round(group: &[Lanes<f64>], words: Words, to: &mut [i16]) -> Rounding {
                    // SAFETY: as above.
                    unsafe { round_inner(group, words, to) }
                }

                (sizes, round)
            }
        };
    }

    level!(avx2, "avx2");
    level!(avx512, "avx512f,avx512bw,avx512dq,avx512vl");
}

/// The kernels of a level, `$vectors` vectors of sums to a group. A pass of `$n` windows of one channel,
/// or `$m` of two, takes `$k` (`$l`) fine sums for each and `$g` (`$e`) coarse ones: enough to hide the
/// latency of one, and no more than the registers hold. Windows of two channels of which there are
/// more are taken one by one.
macro_rules! level {
    ($level:ident, $feature:literal, $acc:ident, $floats:ident, $vectors:literal, $zero:ident,
     $load:ident, $set:ident, $dot:ident, $add:ident, $shift:ident, $float:ident, $times:ident,
     $unit:ident, $store:ident, $zip:ident, windows $windows:literal,
     group [$(($n:literal, $k:literal, $g:literal)),*], stereo [$(($m:literal, $l:literal, $e:literal)),*]) => {
        mod $level {
            use super::*;

            /// Outputs of a vector.
            const WIDTH: usize = GROUP / $vectors;

            pub fn columns() -> Columns<i16> {
                Columns {
                    windows: $windows,
                    group,
                    groups,
                    stereo,
                }
            }

            /// Windows and the words that they meet; with `D`, each window has words of its own.
            #[derive(Clone, Copy)]
            struct Operands<const C: usize, const D: bool> {
                x: [*const i16; C],
                h: [*const i16; C],
            }

            type Sums<const C: usize> = [[$acc; $vectors]; C];

            impl<const C: usize, const D: bool> Operands<C, D> {
                /// The two samples at `i` times the words at `at`, added to `fine`; with `coarse`,
                /// also times those after them, to that.
                ///
                /// Safety: the caller has the instruction set, and all that is there.
                #[target_feature(enable = $feature)]
                #[inline]
                unsafe fn add(
                    &self,
                    i: usize,
                    at: usize,
                    fine: &mut Sums<C>,
                    mut coarse: Option<&mut Sums<C>>,
                ) {
                    for c in 0..C {
                        // SAFETY: the caller's.
                        unsafe {
                            let h = self.h[if D { c } else { 0 }].add(at);
                            let pair = $set(self.x[c].add(i).cast::<i32>().read_unaligned());
                            for v in 0..$vectors {
                                let words = $load(h.add(2 * v * WIDTH).cast());
                                fine[c][v] = $dot(fine[c][v], pair, words);
                            }
                            if let Some(coarse) = &mut coarse {
                                for v in 0..$vectors {
                                    let words = $load(h.add(PAIR + 2 * v * WIDTH).cast());
                                    coarse[c][v] = $dot(coarse[c][v], pair, words);
                                }
                            }
                        }
                    }
                }

                /// The sums of the windows, by `K` fine and `G` coarse ones each.
                ///
                /// Safety: the caller has the instruction set, and `check` has passed.
                #[target_feature(enable = $feature)]
                #[inline]
                unsafe fn sums<const K: usize, const G: usize>(
                    self,
                    pass: &Pass<'_>,
                ) -> [[$floats; $vectors]; C] {
                    const { assert!(G <= K) };
                    let zero = $zero();
                    let mut fine = [[[zero; $vectors]; C]; K];
                    let mut coarse = [[[zero; $vectors]; C]; G];
                    let (mut i, mut at) = (0, 0);
                    let (from, to) = pass.words.near;
                    let finer = _mm_cvtsi32_si128(pass.words.finer as i32);
                    // The last pairs of a stretch, if they are no multiple of what is taken at a time,
                    // go into one sum.
                    // SAFETY: windows and words are there, as `check` found.
                    unsafe {
                        for end in [from, pass.len] {
                            while i + 2 * K <= end {
                                for k in 0..K {
                                    self.add(i + 2 * k, at + k * PAIR, &mut fine[k], None);
                                }
                                i += 2 * K;
                                at += K * PAIR;
                            }
                            while i < end {
                                self.add(i, at, &mut fine[0], None);
                                i += 2;
                                at += PAIR;
                            }
                            while i + 2 * G <= to {
                                for k in 0..G {
                                    let coarse = Some(&mut coarse[k]);
                                    self.add(i + 2 * k, at + 2 * k * PAIR, &mut fine[k], coarse);
                                }
                                i += 2 * G;
                                at += 2 * G * PAIR;
                            }
                            while i < to {
                                self.add(i, at, &mut fine[0], Some(&mut coarse[0]));
                                i += 2;
                                at += 2 * PAIR;
                            }
                        }
                    }
                    std::array::from_fn(|c| {
                        std::array::from_fn(|v| {
                            let sum = |sums: &[Sums<C>]| {
                                let first = sums[0][c][v];
                                sums[1..].iter().fold(first, |sum, s| $add(sum, s[c][v]))
                            };
                            let fine = $shift(sum(&fine), finer);
                            $times($float($add(fine, sum(&coarse))), $unit(UNIT))
                        })
                    })
                }
            }

            // SAFETY of those below: the callers at the end have the instruction set, and `check` has
            // passed.
            #[target_feature(enable = $feature)]
            #[inline]
            unsafe fn group_inner<const C: usize, const K: usize, const G: usize, const D: bool>(
                x: &[i16],
                pass: &Pass<'_>,
                h: [&[i16]; C],
                y: &mut [f32],
            ) {
                let x = std::array::from_fn(|c| x[pass.at[c]..].as_ptr());
                let h = h.map(<[i16]>::as_ptr);
                // SAFETY: the caller's; the places for the outputs are slices of that length.
                unsafe {
                    let sums = Operands::<C, D> { x, h }.sums::<K, G>(pass);
                    for (sums, to) in sums.iter().zip(pass.to) {
                        let y = &mut y[*to..][..GROUP];
                        for (sum, y) in sums.iter().zip(y.chunks_exact_mut(WIDTH)) {
                            $store(y.as_mut_ptr(), *sum);
                        }
                    }
                }
            }

            /// `C / 2` windows of two channels.
            #[target_feature(enable = $feature)]
            #[inline]
            unsafe fn stereo_inner<const C: usize, const K: usize, const G: usize>(
                x: [&[i16]; 2],
                pass: &Pass<'_>,
                h: &[i16],
                y: &mut [f32],
            ) {
                let x = std::array::from_fn(|c| x[c % 2][pass.at[c / 2]..].as_ptr());
                let h = [h.as_ptr(); C];
                // SAFETY: as above.
                unsafe {
                    let sums = Operands::<C, false> { x, h }.sums::<K, G>(pass);
                    for (both, to) in sums.as_chunks::<2>().0.iter().zip(pass.to) {
                        let y = &mut y[*to..][..2 * GROUP];
                        for (v, y) in y.chunks_exact_mut(2 * WIDTH).enumerate() {
                            let [low, high] = zip::$zip(both[0][v], both[1][v]);
                            $store(y.as_mut_ptr(), low);
                            $store(y[WIDTH..].as_mut_ptr(), high);
                        }
                    }
                }
            }

            #[target_feature(enable = $feature)]
            unsafe fn group_all(x: &[i16], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
                // SAFETY: as the caller promises, the machine has this level and `check` has
                // passed.
                unsafe {
                    match pass.at.len() {
                        $($n => group_inner::<$n, $k, $g, false>(x, pass, [h; $n], y),)*
                        _ => {}
                    }
                }
            }

            #[target_feature(enable = $feature)]
            unsafe fn groups_all(x: &[i16], pass: &Pass<'_>, h: [&[i16]; 2], y: &mut [f32]) {
                // SAFETY: as the caller promises, the machine has this level and `check` has
                // passed.
                unsafe { group_inner::<2, 2, 1, true>(x, pass, h, y) }
            }

            #[target_feature(enable = $feature)]
            unsafe fn stereo_all(x: [&[i16]; 2], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
                // SAFETY: as the caller promises, the machine has this level and `check` has
                // passed.
                unsafe {
                    match pass.at.len() {
                        $($m => stereo_inner::<{ 2 * $m }, $l, $e>(x, pass, h, y),)*
                        n => {
                            for w in 0..n {
                                stereo_inner::<2, 2, 1>(x, &pass.only(w), h, y);
                            }
                        }
                    }
                }
            }

            fn group(x: &[i16], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
                check([x], pass, [h], y, GROUP, $windows);
                // SAFETY: this level is chosen only where the machine has it; `check` establishes
                // the lengths.
                unsafe { group_all(x, pass, h, y) }
            }

            fn groups(x: &[i16], pass: &Pass<'_>, h: [&[i16]; 2], y: &mut [f32]) {
                assert!(pass.at.len() == 2);
                check([x], pass, h, y, GROUP, $windows);
                // SAFETY: this level is chosen only where the machine has it; `check` establishes
                // the lengths.
                unsafe { groups_all(x, pass, h, y) }
            }

            fn stereo(x: [&[i16]; 2], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
                check(x, pass, [h], y, 2 * GROUP, $windows);
                // SAFETY: this level is chosen only where the machine has it; `check` establishes
                // the lengths.
                unsafe { stereo_all(x, pass, h, y) }
            }
        }
    };
}

level!(
    a2, "avx2,avxvnni", __m256i, __m256, 2, _mm256_setzero_si256, _mm256_loadu_si256,
    _mm256_set1_epi32, _mm256_dpwssd_avx_epi32, _mm256_add_epi32, _mm256_sra_epi32,
    _mm256_cvtepi32_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps, a2_f32, windows 3,
    group [(1, 4, 2), (2, 2, 1), (3, 1, 1)], stereo [(1, 2, 1)]
);

level!(
    a512, "avx512f,avx512bw,avx512vnni", __m512i, __m512, 1, _mm512_setzero_si512,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_dpwssd_epi32, _mm512_add_epi32,
    _mm512_sra_epi32, _mm512_cvtepi32_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_storeu_ps, a512_f32, windows 4,
    group [(1, 8, 4), (2, 4, 4), (3, 4, 2), (4, 2, 2)], stereo [(1, 4, 4), (2, 2, 2), (3, 2, 2), (4, 2, 1)]
);
