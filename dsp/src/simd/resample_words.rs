// SPDX-License-Identifier: MIT

//! The resampler's groups of rows for 16-bit samples, in integers.
//!
//! A sum of 16-bit words times 16-bit samples in 32 bits is exact, so it is the same in whatever order
//! and on whatever machine. To have more than 16 bits of every tap, those around the peak of the
//! response have two words, one for the *coarse* sum and one for the *fine* one, which counts less; all
//! others are small enough to have one for the fine sum: see `Words`.
//!
//! The words of a group lie in the order of the samples, two by two: for the first two samples of a
//! window two words for output 0, two for output 1, and so on; near the peak the fine words of two
//! samples for all outputs come before the coarse ones. The second half of the outputs has all of them `late`
//! samples later than the first, as its rows begin later; elsewhere there are zeros.

#![allow(unsafe_code)]

use super::resample_pass::{GROUP, PAIR, Pass, Words};
use super::vector::Set;

/// A tap of 1 is `2^COARSE_BITS` in the coarse words.
pub const COARSE_BITS: u32 = 14;

/// What 1 in a coarse sum is worth.
pub(super) const UNIT: f32 = 1.0 / (1u32 << (15 + COARSE_BITS)) as f32;

/// Checks what the kernels rely on: up to `windows` of them, in each of `x`, words in each of `h`, and
/// a place for `size` outputs of each window in `y`.
#[inline(always)]
pub(super) fn check<const C: usize, const H: usize>(
    x: [&[i16]; C],
    pass: &Pass<'_>,
    h: [&[i16]; H],
    y: &[f32],
    size: usize,
    windows: usize,
) {
    let Pass { len, words, .. } = *pass;
    let Words {
        near: (from, to),
        late,
        span,
        ..
    } = words;
    assert!(from + late <= to && to <= late + span && late + span <= len);
    assert!((from | to | late | span | len).is_multiple_of(2));
    for h in h {
        assert!(h.len() >= words.of_group(len));
    }
    assert!(pass.at.len() <= windows && pass.to.len() == pass.at.len() && pass.back == 0);
    for (at, to) in pass.at.iter().zip(pass.to) {
        for x in x {
            assert!(x[*at..].len() >= len);
        }
        assert!(y[*to..].len() >= size);
    }
}

/// What lies side by side in a group for one sample: something of each of its rows.
pub type Lanes<T> = [T; GROUP];

/// What rounding the rows of a group comes to.
#[derive(Debug, PartialEq)]
pub struct Rounding {
    /// In fine words: what the taps so far were off by in all.
    lost: Lanes<f64>,
    /// What each tap was off by, squared and summed, in fine words squared.
    pub power: Lanes<f64>,
    /// Sums of the sizes of the fine and of the coarse words.
    pub sums: [Lanes<f64>; 2],
}

/// Writes the words of the rows of `group`. What is lost in rounding a tap is added to the next, so that the gain at
/// 0 Hz is that of the row, and errors lie where there is least of speech and music: at the high end.
pub type Round = fn(group: &[Lanes<f64>], words: Words, to: &mut [i16]) -> Rounding;

/// [`Round`], compiled for `S`. Only for machines that have it.
pub fn rounding<S: Set>() -> Round {
    // SAFETY: chosen only where the machine has the set.
    |group, words, to| unsafe {
        S::run(
            #[inline(always)]
            move || round(group, words, to),
        )
    }
}

/// [`Round`].
#[inline(always)]
fn round(group: &[Lanes<f64>], words: Words, to: &mut [i16]) -> Rounding {
    let mut rounding = Rounding {
        lost: [0.0; GROUP],
        power: [0.0; GROUP],
        sums: [[0.0; GROUP]; 2],
    };
    let mut to = to.chunks_exact_mut(PAIR);
    for (i, pair) in group.as_chunks::<2>().0.iter().enumerate() {
        let two = 2 * i >= words.near.0 && 2 * i < words.near.1;
        let mut rounded = [[[0; GROUP]; 2]; 2];
        for (rounded, taps) in rounded.iter_mut().zip(pair) {
            if two {
                round_taps::<true>(&mut rounding, taps, words.finer, rounded);
            } else {
                round_taps::<false>(&mut rounding, taps, words.finer, rounded);
            }
        }
        for (kind, to) in (0..1 + usize::from(two)).zip(&mut to) {
            for (lane, to) in to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *to = [rounded[0][kind][lane], rounded[1][kind][lane]];
            }
        }
    }
    rounding
}

/// Fine and, if there are `TWO`, coarse words of `taps`.
///
/// Plain loops: closures would not be compiled for the caller's instruction set.
#[inline(always)]
fn round_taps<const TWO: bool>(
    rounding: &mut Rounding,
    taps: &Lanes<f64>,
    finer: u32,
    rounded: &mut [Lanes<i16>; 2],
) {
    let unit = f64::from(1u32 << (COARSE_BITS + finer));
    let coarser = f64::from(1u32 << finer);
    let part = 1.0 / coarser;
    for lane in 0..GROUP {
        let before = rounding.lost[lane];
        let mut rest = before + taps[lane] * unit;
        if TWO {
            let (word, bits) = nearest(rest * part);
            rest -= word * coarser;
            rounded[1][lane] = bits;
            rounding.sums[1][lane] += word.abs();
        }
        let (word, bits) = nearest(rest);
        rest -= word;
        rounded[0][lane] = bits;
        rounding.sums[0][lane] += word.abs();
        rounding.power[lane] += (rest - before) * (rest - before);
        rounding.lost[lane] = rest;
    }
}

/// Adds the size of each of `taps` to that of its row, and keeps the largest of each row.
pub type Sizes = fn(taps: &[Lanes<f64>], sums: &mut Lanes<f64>, largest: &mut Lanes<f64>);

/// [`Sizes`], compiled for `S`. Only for machines that have it.
pub fn sizing<S: Set>() -> Sizes {
    // SAFETY: chosen only where the machine has the set.
    |taps, sums, largest| unsafe {
        S::run(
            #[inline(always)]
            move || sizes(taps, sums, largest),
        )
    }
}

/// [`Sizes`]. Plain loops, as in `round_taps`.
#[inline(always)]
fn sizes(taps: &[Lanes<f64>], sums: &mut Lanes<f64>, largest: &mut Lanes<f64>) {
    for taps in taps {
        for lane in 0..GROUP {
            let size = taps[lane].abs();
            sums[lane] += size;
            largest[lane] = if size > largest[lane] {
                size
            } else {
                largest[lane]
            };
        }
    }
}

/// The whole number next to `value`, and its last 16 bits.
#[inline(always)]
fn nearest(value: f64) -> (f64, i16) {
    // From here to twice as much numbers are whole, and their last bits are those of what was added.
    const WHOLE: f64 = (3u64 << 51) as f64;
    let sum = value + WHOLE;
    (sum - WHOLE, sum.to_bits() as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_the_nearest_ones() {
        for (value, whole) in [
            (0.0, 0),
            (0.499, 0),
            (-0.499, 0),
            (0.501, 1),
            (-0.501, -1),
            (32_766.4, 32_766),
            (-32_767.4, -32_767),
        ] {
            assert_eq!(nearest(value), (f64::from(whole), whole), "{value}");
        }
    }
}
