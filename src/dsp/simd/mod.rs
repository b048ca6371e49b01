//! Run-time choice of instruction set. Every kernel below has a portable twin that it is checked
//! against; `unsafe` of the signal processing lives here and nowhere else.

pub mod convert;
mod convert_codec;
pub mod convert_mix;
pub mod convert_noise;
pub mod convert_shape;
#[cfg(target_arch = "x86_64")]
mod convert_x86;
pub mod resample;
pub mod resample_fixed;
#[cfg(target_arch = "x86_64")]
mod resample_fixed_x86;
#[cfg(target_arch = "x86_64")]
mod resample_groups_x86;
#[cfg(target_arch = "x86_64")]
mod resample_rows_x86;
#[cfg(target_arch = "x86_64")]
mod resample_x86;
pub mod split;

use std::sync::OnceLock;

/// Instruction sets that kernels are built for, cheapest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Whatever the compile target guarantees.
    Portable,
    /// 64-bit Arm.
    Neon,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Level {
    /// The best this machine runs. `RUSTAUDIO_SIMD` = `portable`, `neon`, `avx2` or `avx512`
    /// lowers it (never raises it), read once.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let best = *Self::available().last().unwrap_or(&Self::Portable);
            let wished = match std::env::var("RUSTAUDIO_SIMD").as_deref() {
                Ok("portable") => Self::Portable,
                Ok("neon") => Self::Neon,
                Ok("avx2") => Self::Avx2,
                _ => best,
            };
            if Self::available().contains(&wished) {
                wished
            } else {
                best
            }
        })
    }

    /// All that this machine runs, `Portable` first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "aarch64")]
        levels.push(Self::Neon);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    levels.push(Self::Avx512);
                }
            }
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_is_available() {
        assert!(Level::available().contains(&Level::best()));
        assert_eq!(Level::available()[0], Level::Portable);
    }
}
