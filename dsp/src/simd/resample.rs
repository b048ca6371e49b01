// SPDX-License-Identifier: MIT

//! Dot products of the resampler: several filter rows against one window of samples.
//!
//! The filters are symmetric, so a group taken *backwards*, from the last sample of a window to the
//! first, gives the outputs at the mirrored phases. Each row is summed in the same order whatever its
//! neighbours, so an output does not depend on how outputs are grouped into calls. How rows and
//! windows lie in memory is told in `resample_pass`.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{float32x4_t, float64x2_t};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

use super::resample_fold::{self, FoldKernels};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::resample_groups::Groups;
use super::resample_half::{self, HalfKernels};
use super::resample_pass::{Grouped, Kernels};
use super::resample_plain as plain;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::resample_rows as rows;
use super::resample_sides::{self, SideKernels};
use super::resample_taps::{self, Blend, Fill};
use super::resample_turn::{self, TurnKernels};
use super::vector::Number;
use super::{Isa, Level};

/// Sample types that kernels exist for.
pub trait DotReal: Grouped<Sum = Self> {
    fn kernels(level: Level) -> Kernels<Self>;
    /// Of half-band filters.
    fn half_kernels(level: Level) -> HalfKernels<Self>;
    /// Of symmetric filters.
    fn side_kernels(level: Level) -> SideKernels<Self>;
}

impl DotReal for f32 {
    fn side_kernels(level: Level) -> SideKernels<f32> {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } => resample_sides::Kernel::<__m512, 1, 2, 6, 6>::kernels(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } => resample_sides::Kernel::<__m256, 2, 1, 5, 3>::kernels(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => resample_sides::Kernel::<float32x4_t, 4, 1, 3, 1>::kernels(),
            Isa::Portable => resample_sides::plain(),
        }
    }

    fn half_kernels(level: Level) -> HalfKernels<f32> {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } | Isa::Avx2 { .. } => resample_half::kernels::<__m256, 10>(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => resample_half::kernels::<[float32x4_t; 2], 10>(),
            Isa::Portable => resample_half::plain(),
        }
    }

    fn kernels(level: Level) -> Kernels<f32> {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } => Kernels {
                columns: Groups::<__m512, 1, 4, 64, true>::columns(),
                four: rows::weighted::<__m512, 4>(),
                six: rows::weighted::<__m512, 6>(),
                dot: rows::dot::<__m256>,
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } => Kernels {
                columns: Groups::<__m256, 2, 2, 32, false>::columns(),
                four: rows::weighted::<__m256, 4>(),
                six: rows::weighted::<__m256, 6>(),
                dot: rows::dot::<__m256>,
            },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Kernels {
                columns: Groups::<float32x4_t, 4, 1, 32, true>::columns(),
                four: rows::weighted::<[float32x4_t; 2], 4>(),
                six: rows::weighted::<[float32x4_t; 2], 6>(),
                dot: rows::dot::<[float32x4_t; 2]>,
            },
            Isa::Portable => plain::kernels(),
        }
    }
}

impl DotReal for f64 {
    fn side_kernels(level: Level) -> SideKernels<f64> {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } => resample_sides::Kernel::<__m512d, 2, 1, 6, 6>::kernels(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } => resample_sides::Kernel::<__m256d, 4, 1, 3, 1>::kernels(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => resample_sides::Kernel::<float64x2_t, 8, 1, 3, 1>::kernels(),
            Isa::Portable => resample_sides::plain(),
        }
    }

    fn half_kernels(level: Level) -> HalfKernels<f64> {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } | Isa::Avx2 { .. } => resample_half::kernels::<__m256d, 10>(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => resample_half::kernels::<[float64x2_t; 2], 10>(),
            Isa::Portable => resample_half::plain(),
        }
    }

    fn kernels(level: Level) -> Kernels<f64> {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } => Kernels {
                columns: Groups::<__m512d, 2, 2, 128, true>::columns(),
                four: rows::weighted::<__m512d, 4>(),
                six: rows::weighted::<__m512d, 6>(),
                dot: rows::dot::<__m256d>,
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } => Kernels {
                columns: Groups::<__m256d, 4, 1, 64, false>::columns(),
                four: rows::weighted::<__m256d, 4>(),
                six: rows::weighted::<__m256d, 6>(),
                dot: rows::dot::<__m256d>,
            },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Kernels {
                columns: Groups::<float64x2_t, 8, 1, 64, false>::columns(),
                four: rows::weighted::<[float64x2_t; 2], 4>(),
                six: rows::weighted::<[float64x2_t; 2], 6>(),
                dot: rows::dot::<[float64x2_t; 2]>,
            },
            Isa::Portable => plain::kernels(),
        }
    }
}

/// The kernels between real windows and complex ones at `level`; the bits are the same at each.
pub fn turn_kernels<T: Number>(level: Level) -> TurnKernels<T> {
    for_level!(level, S => resample_turn::kernels::<S, T>())
}

/// The kernels of samples by turns at `level`.
pub fn fold_kernels<T: Number>(level: Level) -> FoldKernels<T> {
    for_level!(level, S => resample_fold::kernels::<S, T>())
}

/// The kernels of symmetric filters at `level`.
pub fn side_kernels<T: DotReal>(level: Level) -> SideKernels<T> {
    T::side_kernels(level)
}

/// The kernels of half-band filters at `level`.
pub fn half_kernels<T: DotReal>(level: Level) -> HalfKernels<T> {
    T::half_kernels(level)
}

/// The evaluation of taps at `level`; the bits are the same at each.
pub fn fill_taps(level: Level) -> Fill {
    for_level!(level, S => resample_taps::filling::<S>())
}

/// The blending of rows at `level`; the bits are the same at each.
pub fn blend_taps(level: Level) -> Blend {
    for_level!(level, S => resample_taps::blending::<S>())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::simd::resample_pass::{Between, GROUP, Pass, Place, WINDOWS, Words};
    use crate::simd::resample_taps::Response;

    /// Noise in [-1, 1) from a linear congruential generator.
    pub(crate) fn noise(n: usize, mut seed: u64) -> Vec<f64> {
        (0..n)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
            })
            .collect()
    }

    macro_rules! levels_agree {
        ($name:ident, $t:ty, $tolerance:expr) => {
            #[test]
            fn $name() {
                for level in Level::available() {
                    let kernels = <$t>::kernels(level);
                    for len in [8, 16, 24, 72, 80, 216, 1000] {
                        let f = |v: Vec<f64>| v.into_iter().map(|v| v as $t).collect::<Vec<$t>>();
                        let x = [f(noise(len, 1)), f(noise(len, 2))];
                        let h = f(noise(len * GROUP, 3));
                        let exact = |c: usize, r: usize| -> f64 {
                            (0..len)
                                .map(|i| f64::from(x[c][i]) * f64::from(h[r * len + i]))
                                .sum()
                        };
                        let close = |got: $t, c: usize, r: usize| {
                            let error = (f64::from(got) - exact(c, r)).abs();
                            assert!(error < $tolerance * len as f64, "{level:?} {len} {error}");
                        };
                        let columns: Vec<$t> = (0..len * GROUP)
                            .map(|i| h[i % GROUP * len + i / GROUP])
                            .collect();
                        // Each channel's window, then the same mirrored, among other samples.
                        let both = x.clone().map(|x| {
                            let mut both = vec![9.0; 3];
                            both.extend(&x);
                            both.extend(x.iter().rev());
                            both
                        });
                        let begin = |backwards| if backwards { 3 + len } else { 3 };
                        let mut lone = [[0.0; GROUP]; 2];
                        for c in 0..2 {
                            let pass = Pass {
                                len,
                                at: &[3],
                                back: 0,
                                to: &[0],
                                words: Words::default(),
                            };
                            (kernels.columns.group)(&both[c], &pass, &columns, &mut lone[c]);
                            for r in 0..GROUP {
                                close(lone[c][r], c, r);
                            }
                        }
                        // Bit for bit the same in whatever company and direction.
                        let same = |y: [$t; GROUP], c: usize, backwards| {
                            for r in 0..GROUP {
                                let at = if backwards { GROUP - 1 - r } else { r };
                                assert_eq!(y[at], lone[c][r], "{level:?} {len}");
                            }
                        };
                        for count in 1..=kernels.columns.windows {
                            for back in 0..=count {
                                let backwards = |w: usize| w + back >= count;
                                let at: [usize; WINDOWS] =
                                    std::array::from_fn(|w| begin(backwards(w)));
                                let at = &at[..count];
                                // Not in the order of the windows.
                                let to: [usize; WINDOWS] =
                                    std::array::from_fn(|w| 1 + (w + 1) % count * 2 * GROUP);
                                let to = &to[..count];
                                let mut y = vec![7.0; 1 + 2 * GROUP * count];
                                let pass = Pass {
                                    len,
                                    at,
                                    back,
                                    to,
                                    words: Words::default(),
                                };
                                (kernels.columns.group)(&both[1], &pass, &columns, &mut y);
                                for (w, to) in to.iter().enumerate() {
                                    same(std::array::from_fn(|r| y[to + r]), 1, backwards(w));
                                    assert_eq!(y[to + GROUP..][..GROUP], [7.0; GROUP]);
                                }
                                let x = [&both[0][..], &both[1][..]];
                                (kernels.columns.stereo)(x, &pass, &columns, &mut y);
                                for (w, to) in to.iter().enumerate() {
                                    for c in 0..2 {
                                        let y = std::array::from_fn(|r| y[to + 2 * r + c]);
                                        same(y, c, backwards(w));
                                    }
                                }
                                assert_eq!(y[0], 7.0);
                            }
                        }
                        let other: Vec<$t> = columns.iter().map(|tap| -tap).collect();
                        for back in 0..=2 {
                            let backwards = |w: usize| w + back >= 2;
                            let at = [0, 1].map(|w| begin(backwards(w)));
                            let mut y = [0.0; 2 * GROUP];
                            let pass = Pass {
                                len,
                                at: &at,
                                back,
                                to: &[GROUP, 0],
                                words: Words::default(),
                            };
                            (kernels.columns.groups)(&both[0], &pass, [&columns, &other], &mut y);
                            same(std::array::from_fn(|r| y[GROUP + r]), 0, backwards(0));
                            same(std::array::from_fn(|r| -y[r]), 0, backwards(1));
                        }
                        for (weighted, points) in [(kernels.four, 4), (kernels.six, 6)] {
                            let place = |k: usize| Place {
                                at: [3, 0, 3 + len][k % 3],
                                row: k * 5 % (GROUP - points + 1),
                                weights: std::array::from_fn(|r| (k + r) as $t * 0.125 - 0.5),
                            };
                            let sum = |c: usize, place: &Place<$t>| -> f64 {
                                let row = |r: usize| -> f64 {
                                    let h = &h[(place.row + r) * len..][..len];
                                    let products = both[c][place.at..].iter().zip(h);
                                    products.map(|(x, h)| f64::from(*x) * f64::from(*h)).sum()
                                };
                                (0..points)
                                    .map(|r| f64::from(place.weights[r]) * row(r))
                                    .sum()
                            };
                            let places: Vec<_> = (0..7).map(place).collect();
                            let of = |places: &[Place<$t>]| {
                                let b = Between {
                                    rows: &h,
                                    len,
                                    block: 48,
                                    places,
                                };
                                let n = places.len();
                                let mut mono = vec![7.0; n + 1];
                                (weighted.mono)(&both[1], &b, &mut mono);
                                let mut stereo = vec![7.0; 2 * n + 1];
                                (weighted.stereo)([&both[0], &both[1]], &b, &mut stereo);
                                assert_eq!((mono[n], stereo[2 * n]), (7.0, 7.0));
                                let right = stereo[..2 * n].iter().skip(1).step_by(2);
                                assert!(mono[..n].iter().eq(right), "{level:?} {len}");
                                stereo
                            };
                            let all = of(&places);
                            for (k, place) in places.iter().enumerate() {
                                for c in 0..2 {
                                    let error = (f64::from(all[2 * k + c]) - sum(c, place)).abs();
                                    assert!(error < 4.0 * $tolerance * len as f64, "{error}");
                                }
                                // In whatever company.
                                let alone = of(&places[k..=k]);
                                assert_eq!(all[2 * k..2 * k + 2], alone[..2]);
                            }
                        }
                        close((kernels.dot)(&x[0], &h, len), 0, 0);
                    }
                }
            }
        };
    }

    levels_agree!(every_level_sums_right_in_f32, f32, 1e-7);
    levels_agree!(every_level_sums_right_in_f64, f64, 1e-16);

    #[test]
    fn every_level_blends_alike() {
        let weights = [0.01, -0.1, 0.6, 0.6, -0.1, -0.01];
        for len in [1, 8, 64, 133] {
            let rows: [Vec<f64>; 6] = std::array::from_fn(|r| noise(len + r, r as u64 + 1));
            let at = |level| {
                let mut taps = vec![7.0; len];
                blend_taps(level)(std::array::from_fn(|r| &rows[r][..]), &weights, &mut taps);
                taps
            };
            let portable = at(Level::PORTABLE);
            for (i, tap) in portable.iter().enumerate() {
                let exact: f64 = rows.iter().zip(weights).map(|(row, w)| row[i] * w).sum();
                assert!((tap - exact).abs() < 1e-15, "{tap} {exact}");
            }
            for level in Level::available() {
                assert_eq!(at(level), portable, "{level:?} {len}");
            }
        }
    }

    #[test]
    fn every_level_makes_the_same_taps() {
        let series = vec![1.0, 9.0, 20.25, 20.25, 11.390625];
        for first in [-31.0, -31.25, -0.5, 0.0, 3.0, -700.999] {
            for len in [1, 8, 16, 63, 1400] {
                let all = |level| {
                    let responses = [
                        Response::under_parabola(2.9, 1.0 / 701.0, &series, fill_taps(level)),
                        Response::under_cosine(2.9, 0.0044, &series, fill_taps(level)),
                    ];
                    responses.map(|response| {
                        let mut taps = vec![7.0; len];
                        response.fill(first, &mut taps);
                        taps
                    })
                };
                for level in Level::available() {
                    assert_eq!(all(level), all(Level::PORTABLE), "{level:?} {first} {len}");
                }
            }
        }
    }
}
