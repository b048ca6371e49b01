// SPDX-License-Identifier: MIT

//! Plain Rust as compiled for an instruction set.
#![allow(unsafe_code)]

use super::Level;
#[cfg(target_arch = "x86_64")]
use super::{Isa, vector::Set, vector_x86::Avx2};

/// What `job` gives, a closure marked `#[inline(always)]`, compiled for `level` with all that is always
/// inlined into it. For loops over some dozens of numbers, for which the vectors of AVX2 are wide enough.
/// Nothing is rounded otherwise: the bits are the same at every level.
#[inline(always)]
pub fn compiled<R>(level: Level, job: impl FnOnce() -> R) -> R {
    match level.0 {
        // SAFETY: a level is proof that this machine has it; whoever has AVX-512 has AVX2.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } | Isa::Avx512 { .. } => unsafe { Avx2::run(job) },
        _ => job(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_the_same_at_every_level() {
        let x: Vec<f32> = (1..200).map(|i| (i as f32).sin()).collect();
        let run = |level| {
            compiled(
                level,
                #[inline(always)]
                || -> Vec<u32> {
                    let sums = x.iter().scan(0.1f32, |sum, x| {
                        *sum = *sum * x + 0.3;
                        Some(*sum)
                    });
                    sums.map(f32::to_bits).collect()
                },
            )
        };
        for level in Level::available() {
            assert_eq!(run(level), run(Level::PORTABLE), "{level:?}");
        }
    }
}
