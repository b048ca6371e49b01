// SPDX-License-Identifier: MIT

//! Run-time choice of instruction set. Every kernel below has a portable twin that it is checked
//! against; `unsafe` of the signal processing lives here and nowhere else.

/// `$kernel`, in which `$set` names the instruction set of `$level`: for kernels that have a form for every
/// set. (Those few that have not, and those that have use for VNNI, look at the level themselves.)
macro_rules! for_level {
    ($level:expr, $set:ident => $kernel:expr) => {{
        use $crate::simd::Isa;
        #[cfg(target_arch = "aarch64")]
        use $crate::simd::vector_arm::Neon;
        #[cfg(target_arch = "x86_64")]
        use $crate::simd::vector_x86::{Avx2, Avx512};
        match $level.0 {
            Isa::Portable => {
                type $set = $crate::simd::vector::Portable;
                $kernel
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => {
                type $set = Neon;
                $kernel
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } => {
                type $set = Avx2;
                $kernel
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } => {
                type $set = Avx512;
                $kernel
            }
        }
    }};
}

pub mod compiled;
pub mod convert;
#[cfg(target_arch = "aarch64")]
mod convert_arm;
mod convert_body;
mod convert_codec;
pub mod convert_mix;
pub mod convert_noise;
pub mod convert_shape;
#[cfg(target_arch = "x86_64")]
mod convert_x86;
pub mod network;
mod network_body;
#[cfg(target_arch = "x86_64")]
mod network_x86;
pub mod power;
pub mod prefetch;
pub mod resample;
pub mod resample_fixed;
#[cfg(target_arch = "x86_64")]
mod resample_fixed_body;
#[cfg(target_arch = "x86_64")]
mod resample_fixed_x86;
pub mod resample_fold;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod resample_groups;
pub mod resample_half;
pub mod resample_mirror;
pub mod resample_pass;
mod resample_plain;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod resample_rows;
pub mod resample_sides;
pub mod resample_taps;
pub mod resample_turn;
pub mod resample_words;
pub mod split;
pub mod vector;
#[cfg(target_arch = "aarch64")]
mod vector_arm;
#[cfg(target_arch = "x86_64")]
mod vector_x86;

use std::sync::OnceLock;

use crate::shared::get_or_make;

/// Proof that this machine runs an instruction set. Only detection makes one ([`best`](Self::best),
/// [`available`](Self::available)), so that whoever has one may call the kernels built for it.
/// Ordered from the least to the most.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Level(Isa);

/// The instruction sets that kernels are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Isa {
    /// Whatever the compile target guarantees.
    Portable,
    /// 64-bit Arm.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2 {
        /// AVX-VNNI: sums of products of 16-bit words in one instruction.
        vnni: bool,
    },
    /// AVX-512 F, BW, DQ and VL, beside AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx512 {
        /// AVX512-VNNI: sums of products of 16-bit words in one instruction.
        vnni: bool,
    },
}

impl Level {
    /// What every machine runs that the program was compiled for.
    pub const PORTABLE: Self = Self(Isa::Portable);

    /// The best this machine runs. The environment variable `RUSTAUDIO_SIMD`, a [`name`](Self::name), lowers
    /// it (never raises it), read once.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *get_or_make(&BEST, || {
            let available = Self::available();
            let wished = std::env::var("RUSTAUDIO_SIMD").unwrap_or_default();
            let found = available.iter().find(|level| level.name() == wished);
            *found.or(available.last()).unwrap_or(&Self::PORTABLE)
        })
    }

    /// All that this machine runs, [`PORTABLE`](Self::PORTABLE) first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::PORTABLE];
        #[cfg(target_arch = "aarch64")]
        levels.push(Self(Isa::Neon));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            levels.push(Self(Isa::Avx2 { vnni: false }));
            if is_x86_feature_detected!("avxvnni") {
                levels.push(Self(Isa::Avx2 { vnni: true }));
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                levels.push(Self(Isa::Avx512 { vnni: false }));
                if is_x86_feature_detected!("avx512vnni") {
                    levels.push(Self(Isa::Avx512 { vnni: true }));
                }
            }
        }
        levels
    }

    /// As `RUSTAUDIO_SIMD` has it: `portable`, `neon`, `avx2`, `avx2-vnni`, `avx512` or `avx512-vnni`. Only
    /// sums of 16-bit words tell those with VNNI from those without.
    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { vnni: false } => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { vnni: true } => "avx2-vnni",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { vnni: false } => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { vnni: true } => "avx512-vnni",
        }
    }
}

impl std::fmt::Debug for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_is_available() {
        assert!(Level::available().contains(&Level::best()));
        assert_eq!(Level::available()[0], Level::PORTABLE);
    }
}
