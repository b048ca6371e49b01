// SPDX-License-Identifier: MIT

//! Interleaved 16-bit stereo to planes.
#![allow(unsafe_code)]

use super::Level;
use super::vector::Set;

/// Frames of two 16-bit little-endian samples to two planes.
pub type Split16<T> = fn(frames: &[u8], left: &mut [T], right: &mut [T]);

/// Samples that 16-bit stereo can be split into: `f32`, of which 1 is full scale, and `i16`.
pub trait Split: Sized {
    /// The reader at `level`.
    fn split16(level: Level) -> Split16<Self>;

    /// A sample of 16 bits as this type.
    fn of(sample: i32) -> Self;
}

impl Split for f32 {
    fn split16(level: Level) -> Split16<f32> {
        for_level!(level, S => split::<S, f32>())
    }

    #[inline(always)]
    fn of(sample: i32) -> f32 {
        sample as f32 * (1.0 / 32_768.0)
    }
}

impl Split for i16 {
    fn split16(level: Level) -> Split16<i16> {
        for_level!(level, S => split::<S, i16>())
    }

    #[inline(always)]
    fn of(sample: i32) -> i16 {
        sample as i16
    }
}

/// Only for machines that have `S`.
fn split<S: Set, T: Split>() -> Split16<T> {
    // SAFETY: chosen only where the machine has the set.
    |frames, left, right| unsafe {
        S::run(
            #[inline(always)]
            move || plain(frames, left, right),
        )
    }
}

#[inline(always)]
fn plain<T: Split>(frames: &[u8], left: &mut [T], right: &mut [T]) {
    let frames = frames.as_chunks::<4>().0;
    for (frame, (l, r)) in frames.iter().zip(left.iter_mut().zip(right)) {
        // Both halves by shifts alone, which every vector unit has.
        let both = i32::from_le_bytes(*frame);
        *l = T::of((both << 16) >> 16);
        *r = T::of(both >> 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_split_exactly() {
        let samples: Vec<i16> = (0..2 * 1003)
            .map(|i| (i * 7919 % 65_536) as u16 as i16)
            .collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
        for level in Level::available() {
            let mut planes = [vec![0.0; 1003], vec![0.0; 1003]];
            let mut whole = [vec![0i16; 1003], vec![0; 1003]];
            let [left, right] = &mut planes;
            f32::split16(level)(&bytes, left, right);
            let [left, right] = &mut whole;
            i16::split16(level)(&bytes, left, right);
            for (i, v) in samples.iter().enumerate() {
                assert_eq!(planes[i % 2][i / 2], f32::from(*v) / 32_768.0);
                assert_eq!(whole[i % 2][i / 2], *v);
            }
        }
    }
}
