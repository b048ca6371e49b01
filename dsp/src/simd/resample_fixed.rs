// SPDX-License-Identifier: MIT

//! The resampler's groups of rows for 16-bit samples: the plain form, and which form a level has.

use super::Level;
use super::resample_pass::{Columns, GROUP, PAIR, Pass, WINDOWS};
use super::resample_words::{self, Round, Sizes, UNIT, check};
#[cfg(target_arch = "x86_64")]
use super::{Isa, resample_fixed_body::columns as columns_of, resample_fixed_x86 as x86};

/// The kernels at `level`. None backwards: `Pass::back` is 0.
pub fn columns(level: Level) -> Columns<i16> {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { vnni: true } => columns_of::<x86::Vnni512>(),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { vnni: false } => columns_of::<x86::Plain512>(),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { vnni: true } => columns_of::<x86::Vnni256>(),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { vnni: false } => columns_of::<x86::Plain256>(),
        _ => Columns {
            windows: WINDOWS,
            group: portable::group,
            groups: portable::groups,
            stereo: portable::stereo,
        },
    }
}

/// The sums of taps and their rounding to words at `level`; the bits are the same at each.
pub fn rounding(level: Level) -> (Sizes, Round) {
    for_level!(level, S => (resample_words::sizing::<S>(), resample_words::rounding::<S>()))
}

/// Whether sums of 16-bit words are faster at `level` than those of `f32`. Where vectors of 128 bits are
/// multiplied, as many words are as numbers of `f32`, and there are up to twice as many.
pub fn is_fast(level: Level) -> bool {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } | Isa::Avx512 { .. } => true,
        _ => false,
    }
}

/// The plain form; the yardstick of the other.
mod portable {
    use super::*;

    fn add(sums: &mut [i32; GROUP], pair: &[i16; 2], words: &[i16; PAIR]) {
        for (sum, words) in sums.iter_mut().zip(words.as_chunks::<2>().0) {
            for (x, word) in pair.iter().zip(words) {
                *sum += i32::from(*x) * i32::from(*word);
            }
        }
    }

    fn sums(x: &[i16], pass: &Pass<'_>, w: usize, h: &[i16]) -> [f32; GROUP] {
        let window = &x[pass.at[w]..][..pass.len];
        let mut words = h.as_chunks::<PAIR>().0.iter();
        let (mut fine, mut coarse) = ([0; GROUP], [0; GROUP]);
        for (i, pair) in window.as_chunks::<2>().0.iter().enumerate() {
            if let Some(words) = words.next() {
                add(&mut fine, pair, words);
            }
            if pass.words.has_two(2 * i)
                && let Some(words) = words.next()
            {
                add(&mut coarse, pair, words);
            }
        }
        std::array::from_fn(|r| ((fine[r] >> pass.words.finer) + coarse[r]) as f32 * UNIT)
    }

    pub fn group(x: &[i16], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
        check([x], pass, [h], y, GROUP, WINDOWS);
        for (w, to) in pass.to.iter().enumerate() {
            y[*to..][..GROUP].copy_from_slice(&sums(x, pass, w, h));
        }
    }

    pub fn groups(x: &[i16], pass: &Pass<'_>, h: [&[i16]; 2], y: &mut [f32]) {
        check([x], pass, h, y, GROUP, WINDOWS);
        for (w, (to, h)) in pass.to.iter().zip(h).enumerate() {
            y[*to..][..GROUP].copy_from_slice(&sums(x, pass, w, h));
        }
    }

    pub fn stereo(x: [&[i16]; 2], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
        check(x, pass, [h], y, 2 * GROUP, WINDOWS);
        for (w, to) in pass.to.iter().enumerate() {
            for (c, x) in x.iter().enumerate() {
                let to = y[*to..][..2 * GROUP].iter_mut().skip(c).step_by(2);
                to.zip(sums(x, pass, w, h)).for_each(|(y, sum)| *y = sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::resample::tests::noise;
    use crate::simd::resample_pass::Words;

    /// Whole numbers from `-limit` to `limit`.
    fn numbers(n: usize, limit: f64, seed: u64) -> Vec<i16> {
        let noise = noise(n, seed).into_iter();
        noise.map(|v| (v * limit).round() as i16).collect()
    }

    #[test]
    fn every_level_rounds_to_the_same_words() {
        let (len, finer) = (20, 6);
        let words = Words {
            near: (8, 14),
            finer,
            late: 0,
            span: len,
        };
        let taps = noise(len * GROUP, 5);
        let group: Vec<[f64; GROUP]> = (0..len)
            .map(|i| {
                let most = if (8..14).contains(&i) { 1.0 } else { 0.02 };
                std::array::from_fn(|lane| taps[i * GROUP + lane] * most)
            })
            .collect();
        let at = |level| {
            let mut to = vec![7; words.of_group(len)];
            let (sizes, round) = rounding(level);
            let (mut sums, mut largest) = ([1.0; GROUP], [0.0; GROUP]);
            sizes(&group, &mut sums, &mut largest);
            (round(&group, words, &mut to), to, sums, largest)
        };
        let (rounding, to, sums, largest) = at(Level::PORTABLE);
        for level in Level::available() {
            assert_eq!(at(level), at(Level::PORTABLE), "{level:?}");
        }
        for lane in 0..GROUP {
            let sizes = || group.iter().map(|taps| taps[lane].abs());
            assert_eq!(sums[lane], sizes().fold(1.0, |sum, size| sum + size));
            assert_eq!(largest[lane], sizes().fold(0.0, f64::max));
        }
        // A row is what its words come to, but for half a word at its end.
        for lane in 0..GROUP {
            let (mut fine, mut coarse, mut pairs) = (0i64, 0i64, 0);
            for i in 0..len {
                let word = |pair: usize| i64::from(to[pair * PAIR + 2 * lane + i % 2]);
                let two = (8..14).contains(&i);
                fine += word(pairs);
                coarse += if two { word(pairs + 1) } else { 0 };
                pairs += i % 2 * if two { 2 } else { 1 };
            }
            let sum: f64 = group.iter().map(|taps| taps[lane]).sum();
            let got = (coarse * 64 + fine) as f64 / f64::from(1 << 20);
            assert!(
                (got - sum).abs() < 0.51 / f64::from(1 << 20),
                "{lane}: {got} {sum}"
            );
            let size = |of: usize| rounding.sums[of][lane];
            assert!(size(0) >= fine.abs() as f64 && size(1) >= coarse.abs() as f64);
            assert!(rounding.power[lane] < len as f64);
        }
    }

    /// Zeros for those of a group that are to be zeros.
    fn clear(h: &mut [i16], len: usize, words: Words) {
        let mut halves = h.as_chunks_mut::<{ PAIR / 2 }>().0.chunks_exact_mut(2);
        let (from, to) = words.near;
        for i in (0..len).step_by(2) {
            for (from, to) in [(0, words.span), (from, to - words.late)]
                .into_iter()
                .take(1 + usize::from(words.has_two(i)))
            {
                let pair = halves.next().unwrap().iter_mut();
                for (half, late) in pair.zip([0, words.late]) {
                    if i < from + late || i >= to + late {
                        *half = [0; PAIR / 2];
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_gives_the_exact_sums() {
        for (len, near, finer, late, span) in [
            (40, (12, 28), 5, 0, 40),
            (40, (12, 28), 5, 6, 34),
            (2, (0, 0), 5, 0, 2),
            (4, (0, 4), 6, 0, 4),
            (36, (36, 36), 0, 0, 36),
            (62, (30, 44), 8, 8, 52),
            // Late by all of the words in the middle, more than there are before it, and than half of a row.
            (24, (10, 14), 5, 4, 20),
            (44, (6, 30), 5, 12, 30),
            (40, (4, 18), 5, 14, 10),
        ] {
            let words = Words {
                near,
                finer,
                late,
                span,
            };
            let h = [3, 4].map(|seed| {
                let mut h = numbers(words.of_group(len), 600.0, seed);
                clear(&mut h, len, words);
                h
            });
            let x = [1, 2].map(|seed| numbers(200, 32_767.0, seed));
            let exact = |x: &[i16], h: &[i16], r: usize| {
                let (mut fine, mut coarse, mut pairs) = (0i64, 0, 0);
                for i in 0..len {
                    let product =
                        |pair: usize| i64::from(x[i]) * i64::from(h[pair * PAIR + 2 * r + i % 2]);
                    fine += product(pairs);
                    let two = i >= near.0 && i < near.1;
                    coarse += if two { product(pairs + 1) } else { 0 };
                    pairs += i % 2 * if two { 2 } else { 1 };
                }
                ((fine >> finer) + coarse) as f32 / (1u32 << 29) as f32
            };
            for level in Level::available() {
                let kernels = columns(level);
                for count in 1..=kernels.windows {
                    let at = &[5, 90, 33, 130][..count];
                    // Not in the order of the windows.
                    let to = std::array::from_fn::<_, WINDOWS, _>(|w| 1 + (w + 1) % count * PAIR);
                    let to = &to[..count];
                    let pass = Pass {
                        len,
                        at,
                        back: 0,
                        to,
                        words,
                    };
                    let mut y = vec![7.0; 1 + count * PAIR];
                    (kernels.group)(&x[0], &pass, &h[0], &mut y);
                    for (at, to) in at.iter().zip(to) {
                        for r in 0..GROUP {
                            assert_eq!(y[to + r], exact(&x[0][*at..], &h[0], r), "{level:?}");
                        }
                        assert_eq!(y[to + GROUP..][..GROUP], [7.0; GROUP]);
                    }
                    (kernels.stereo)([&x[0], &x[1]], &pass, &h[0], &mut y);
                    for (at, to) in at.iter().zip(to) {
                        for i in 0..PAIR {
                            let sum = exact(&x[i % 2][*at..], &h[0], i / 2);
                            assert_eq!(y[to + i], sum, "{level:?}");
                        }
                    }
                    assert_eq!(y[0], 7.0);
                    if count == 2 {
                        (kernels.groups)(&x[1], &pass, [&h[0], &h[1]], &mut y);
                        for (h, (at, to)) in h.iter().zip(at.iter().zip(to)) {
                            for r in 0..GROUP {
                                assert_eq!(y[to + r], exact(&x[1][*at..], h, r), "{level:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}
