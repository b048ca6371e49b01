// SPDX-License-Identifier: MIT

//! Interleaved 16-bit stereo to planes.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

#[cfg(target_arch = "x86_64")]
use super::Isa;
use super::Level;

/// Frames of two 16-bit little-endian samples to two planes.
pub type Split16<T> = fn(frames: &[u8], left: &mut [T], right: &mut [T]);

/// Samples that 16-bit stereo can be split into: `f32`, of which 1 is full scale, and `i16`.
pub trait Split: Sized {
    /// The reader at `level`.
    fn split16(level: Level) -> Split16<Self>;
}

macro_rules! split {
    ($t:ident, $of:expr) => {
        mod $t {
            use super::*;

            #[inline(always)]
            fn plain(frames: &[u8], left: &mut [$t], right: &mut [$t]) {
                let frames = frames.as_chunks::<4>().0;
                for (frame, (l, r)) in frames.iter().zip(left.iter_mut().zip(right)) {
                    // Both halves by shifts alone, which every vector unit has.
                    let both = i32::from_le_bytes(*frame);
                    *l = $of((both << 16) >> 16);
                    *r = $of(both >> 16);
                }
            }

            macro_rules! level {
                ($name:ident, $feature:literal) => {
                    #[cfg(target_arch = "x86_64")]
                    fn $name(frames: &[u8], left: &mut [$t], right: &mut [$t]) {
                        #[target_feature(enable = $feature)]
                        fn inner(frames: &[u8], left: &mut [$t], right: &mut [$t]) {
                            plain(frames, left, right);
                        }
                        // SAFETY: this level is chosen only where the machine has it.
                        unsafe { inner(frames, left, right) }
                    }
                };
            }

            level!(avx2, "avx2");
            level!(avx512, "avx512f,avx512bw,avx512dq,avx512vl");

            impl Split for $t {
                fn split16(level: Level) -> Split16<$t> {
                    match level.0 {
                        #[cfg(target_arch = "x86_64")]
                        Isa::Avx2 { .. } => avx2,
                        #[cfg(target_arch = "x86_64")]
                        Isa::Avx512 { .. } => avx512,
                        _ => plain,
                    }
                }
            }
        }
    };
}

split!(f32, |v: i32| v as f32 * (1.0 / 32_768.0));
split!(i16, |v: i32| v as i16);

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
