//! Dot products of the resampler: several filter rows against one window of samples.
//!
//! A *row* is the tap vector of one output frame, `len` taps, zero-padded. Rows follow one another
//! in memory, or, in a *group*, lie side by side: the taps of all [`GROUP`] outputs for the first
//! sample of the window, then those for the second. So each lane of a vector is an output, and no
//! sum across lanes is needed. Each row is summed in the same order whatever its neighbours, so an
//! output does not depend on how outputs are grouped into calls.

use super::Level;

/// Rows in a group of the exact table.
pub const GROUP: usize = 16;
/// Rows of groups have a multiple of this many taps.
pub const STEP: usize = 4;
/// Rows by themselves have a multiple of this many taps.
pub const LANES: usize = 8;
/// Samples after which the partial sums of a group are added up: in one long sum, each tap beyond
/// the peak of the response would be rounded at the size of the whole.
pub const BLOCK: usize = 32;

/// Pairs of windows that are taken against a group of rows at a time, at most: each load of taps
/// serves them all.
pub const WINDOWS: usize = 3;

/// Outputs of a group for two channels, which alternate.
pub type Frames<T> = [T; 2 * GROUP];

/// Pairs of windows, one for each of two channels, against a group of rows.
type Stereo<T> = fn(x: &[[&[T]; 2]], h: &[T], len: usize, y: &mut [Frames<T>; WINDOWS]);
/// One window against a group of rows.
type Group<T> = fn(x: &[T], h: &[T], len: usize, y: &mut [T; GROUP]);
/// Two windows against a group of rows.
type Group2<T> = fn(x: [&[T]; 2], h: &[T], len: usize, y: &mut [[T; GROUP]; 2]);
/// Two windows against four rows.
type Four2<T> = fn(x: [&[T]; 2], h: &[T], len: usize) -> [[T; 4]; 2];

/// The kernels for one sample type at one level.
#[derive(Clone, Copy)]
pub struct Kernels<T> {
    /// `x` against a group of [`GROUP`] rows: `y[r] = sum_i x[i] * h[i * GROUP + r]`.
    pub group: Group<T>,
    /// Two windows against the same group.
    pub group2: Group2<T>,
    /// As `group2` for up to [`WINDOWS`] pairs of windows, the outputs of which alternate:
    /// `y[w][2 * r + c] = sum_i x[w][c][i] * h[i * GROUP + r]`.
    pub stereo: Stereo<T>,
    /// `x` against four rows: `y[r] = sum_i x[i] * h[r * len + i]`.
    pub four: fn(x: &[T], h: &[T], len: usize) -> [T; 4],
    /// Two windows against the same four rows.
    pub four2: Four2<T>,
    /// `x` against one long row.
    pub dot: fn(x: &[T], h: &[T], len: usize) -> T,
}

/// Frames of two 16-bit little-endian samples to two planes, 1 being full scale.
pub type Split16<T> = fn(frames: &[u8], left: &mut [T], right: &mut [T]);

/// Sample types that kernels exist for.
pub trait DotReal: Sized {
    fn kernels(level: Level) -> Kernels<Self>;

    /// The reader of 16-bit stereo at the best level of this machine, where there is one.
    fn split16() -> Option<Split16<Self>> {
        None
    }
}

/// The plain form of [`Split16`].
#[inline(always)]
pub(super) fn split16(frames: &[u8], left: &mut [f32], right: &mut [f32]) {
    const FULL: f32 = 1.0 / 32_768.0;
    let frames = frames.as_chunks::<4>().0;
    for (frame, (l, r)) in frames.iter().zip(left.iter_mut().zip(right)) {
        // Both halves by shifts alone, which every vector unit has.
        let both = i32::from_le_bytes(*frame);
        *l = ((both << 16) >> 16) as f32 * FULL;
        *r = (both >> 16) as f32 * FULL;
    }
}

/// The plain form of the kernels; the yardstick of all others.
///
/// With `FUSED`, products are added without rounding; only for machines whose baseline has the
/// instruction.
mod generic {
    use super::{BLOCK, Frames, GROUP, LANES, WINDOWS};

    macro_rules! generic {
        ($name:ident, $t:ty) => {
            pub mod $name {
                use super::*;

                #[inline(always)]
                fn mul_add<const FUSED: bool>(a: $t, b: $t, c: $t) -> $t {
                    if FUSED { a.mul_add(b, c) } else { a * b + c }
                }

                #[inline(always)]
                fn sum(a: [$t; LANES]) -> $t {
                    ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))
                }

                #[inline(always)]
                fn rows<const FUSED: bool, const R: usize, const C: usize>(
                    x: [&[$t]; C],
                    h: &[$t],
                    len: usize,
                ) -> [[$t; R]; C] {
                    let mut y = [[0.0; R]; C];
                    for r in 0..R {
                        let mut acc = [[0.0; LANES]; C];
                        for (i, taps) in h[r * len..][..len].chunks_exact(LANES).enumerate() {
                            for c in 0..C {
                                let x = &x[c][i * LANES..][..LANES];
                                for l in 0..LANES {
                                    acc[c][l] = mul_add::<FUSED>(x[l], taps[l], acc[c][l]);
                                }
                            }
                        }
                        for c in 0..C {
                            y[c][r] = sum(acc[c]);
                        }
                    }
                    y
                }

                #[inline(always)]
                fn columns<const FUSED: bool, const C: usize>(
                    x: [&[$t]; C],
                    h: &[$t],
                    len: usize,
                ) -> [[$t; GROUP]; C] {
                    let mut total = [[0.0; GROUP]; C];
                    for (b, taps) in h[..len * GROUP].chunks(BLOCK * GROUP).enumerate() {
                        let mut acc = [[0.0; GROUP]; C];
                        for (i, taps) in taps.as_chunks::<GROUP>().0.iter().enumerate() {
                            for c in 0..C {
                                let x = x[c][b * BLOCK + i];
                                for r in 0..GROUP {
                                    acc[c][r] = mul_add::<FUSED>(x, taps[r], acc[c][r]);
                                }
                            }
                        }
                        for c in 0..C {
                            for r in 0..GROUP {
                                total[c][r] += acc[c][r];
                            }
                        }
                    }
                    total
                }

                #[inline(always)]
                pub fn group<const FUSED: bool>(
                    x: &[$t],
                    h: &[$t],
                    len: usize,
                    y: &mut [$t; GROUP],
                ) {
                    *y = columns::<FUSED, 1>([x], h, len)[0];
                }

                #[inline(always)]
                pub fn group2<const FUSED: bool>(
                    x: [&[$t]; 2],
                    h: &[$t],
                    len: usize,
                    y: &mut [[$t; GROUP]; 2],
                ) {
                    *y = columns::<FUSED, 2>(x, h, len);
                }

                #[inline(always)]
                pub fn stereo<const FUSED: bool>(
                    x: &[[&[$t]; 2]],
                    h: &[$t],
                    len: usize,
                    y: &mut [Frames<$t>; WINDOWS],
                ) {
                    for (x, y) in x.iter().zip(y) {
                        let [left, right] = columns::<FUSED, 2>(*x, h, len);
                        for (y, (l, r)) in y.chunks_exact_mut(2).zip(left.iter().zip(&right)) {
                            y.copy_from_slice(&[*l, *r]);
                        }
                    }
                }

                #[inline(always)]
                pub fn four<const FUSED: bool>(x: &[$t], h: &[$t], len: usize) -> [$t; 4] {
                    rows::<FUSED, 4, 1>([x], h, len)[0]
                }

                #[inline(always)]
                pub fn four2<const FUSED: bool>(
                    x: [&[$t]; 2],
                    h: &[$t],
                    len: usize,
                ) -> [[$t; 4]; 2] {
                    rows::<FUSED, 4, 2>(x, h, len)
                }

                #[inline(always)]
                pub fn dot<const FUSED: bool>(x: &[$t], h: &[$t], len: usize) -> $t {
                    rows::<FUSED, 1, 1>([x], h, len)[0][0]
                }
            }
        };
    }

    generic!(single, f32);
    generic!(double, f64);
}

macro_rules! dot_real {
    ($t:ty, $module:ident, $($more:item)*) => {
        impl DotReal for $t {
            $($more)*

            fn kernels(level: Level) -> Kernels<$t> {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => super::resample_x86::$module::avx512(),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => super::resample_x86::$module::avx2(),
                    #[cfg(target_arch = "aarch64")]
                    Level::Neon => Kernels {
                        group: generic::$module::group::<true>,
                        group2: generic::$module::group2::<true>,
                        stereo: generic::$module::stereo::<true>,
                        four: generic::$module::four::<true>,
                        four2: generic::$module::four2::<true>,
                        dot: generic::$module::dot::<true>,
                    },
                    _ => Kernels {
                        group: generic::$module::group::<false>,
                        group2: generic::$module::group2::<false>,
                        stereo: generic::$module::stereo::<false>,
                        four: generic::$module::four::<false>,
                        four2: generic::$module::four2::<false>,
                        dot: generic::$module::dot::<false>,
                    },
                }
            }
        }
    };
}

dot_real!(
    f32,
    single,
    fn split16() -> Option<Split16<f32>> {
        Some(match Level::best() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512 => super::resample_x86::split16,
            _ => split16,
        })
    }
);
dot_real!(f64, double,);

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise in [-1, 1) from a linear congruential generator.
    fn noise(n: usize, mut seed: u64) -> Vec<f64> {
        (0..n)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
            })
            .collect()
    }

    #[test]
    fn sixteen_bits_are_split_exactly() {
        let samples: Vec<i16> = (0..2 * 1003)
            .map(|i| (i * 7919 % 65_536) as u16 as i16)
            .collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
        for split in [split16, f32::split16().unwrap()] {
            let mut planes = [vec![0.0; 1003], vec![0.0; 1003]];
            let [left, right] = &mut planes;
            split(&bytes, left, right);
            for (i, v) in samples.iter().enumerate() {
                assert_eq!(planes[i % 2][i / 2], f32::from(*v) / 32_768.0);
            }
        }
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
                        let mut one = [0.0; GROUP];
                        (kernels.group)(&x[0], &columns, len, &mut one);
                        let mut two = [[0.0; GROUP]; 2];
                        (kernels.group2)([&x[0], &x[1]], &columns, len, &mut two);
                        for r in 0..GROUP {
                            close(one[r], 0, r);
                            close(two[0][r], 0, r);
                            close(two[1][r], 1, r);
                        }
                        for windows in 1..=WINDOWS {
                            let x = [[&x[0][..], &x[1][..]]; WINDOWS];
                            let mut y = [[0.0; 2 * GROUP]; WINDOWS];
                            (kernels.stereo)(&x[..windows], &columns, len, &mut y);
                            for y in &y[..windows] {
                                for (r, y) in y.chunks_exact(2).enumerate() {
                                    assert_eq!(y, [two[0][r], two[1][r]]);
                                }
                            }
                        }
                        // The sum of a row is the same bit for bit in whatever company.
                        let four = (kernels.four)(&x[0], &h, len);
                        let four2 = (kernels.four2)([&x[0], &x[1]], &h, len);
                        assert_eq!(four2[0], four);
                        for r in 0..4 {
                            close(four[r], 0, r);
                            close(four2[1][r], 1, r);
                        }
                        close((kernels.dot)(&x[0], &h, len), 0, 0);
                    }
                }
            }
        };
    }

    levels_agree!(every_level_sums_right_in_f32, f32, 1e-7);
    levels_agree!(every_level_sums_right_in_f64, f64, 1e-16);
}
