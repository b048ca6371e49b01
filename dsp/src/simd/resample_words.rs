//! The resampler's groups of rows for 16-bit samples, in integers.
//!
//! A sum of 16-bit words times 16-bit samples in 32 bits is exact, so it is the same in whatever order
//! and on whatever machine. To have more than 16 bits of every tap, those around the peak of the
//! response have two words, one for the *coarse* sum and one for the *fine* one, which counts less; all
//! others are small enough to have one for the fine sum: see `Words`.
//!
//! The words of a group lie in the order of the samples, two by two: for the first two samples of a
//! window two words for output 0, two for output 1, and so on; near the peak the fine words of two
//! samples for all outputs come before the coarse ones.

use super::resample_pass::Pass;

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
    let (from, to) = words.near;
    assert!(from <= to && to <= len);
    assert!((from | to | len).is_multiple_of(2));
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
