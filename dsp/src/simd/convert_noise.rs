// SPDX-License-Identifier: MIT

//! Dither noise, from sixteen independent generators side by side.
//!
//! Each is a xoshiro128+ (D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators",
//! 2021) with a state of its own; consecutive samples take consecutive generators.
#![allow(unsafe_code)]

use super::{Isa, Level};

/// Generators side by side; blocks of noise are whole multiples of it.
pub const LANES: usize = 16;

type Lanes = [u32; LANES];

/// State of the generators.
#[derive(Clone, Debug)]
pub struct Generators {
    s: [Lanes; 4],
    uniform: FillFn,
    triangular: FillFn,
}

type FillFn = unsafe fn(&mut [Lanes; 4], &mut [f32]);

#[inline(always)]
fn next(s: &mut [Lanes; 4]) -> Lanes {
    let mut out = [0; LANES];
    for i in 0..LANES {
        let [a, b, c, d] = [s[0][i], s[1][i], s[2][i], s[3][i]];
        out[i] = a.wrapping_add(d);
        let t = b << 9;
        let (c, d) = (c ^ a, d ^ b);
        s[0][i] = a ^ d;
        s[1][i] = b ^ c;
        s[2][i] = c ^ t;
        s[3][i] = d.rotate_left(11);
    }
    out
}

/// One draw: an even distribution on [-0.5, 0.5), 2^-24 apart.
#[inline(always)]
fn uniform_body(s: &mut [Lanes; 4], out: &mut [f32]) {
    let mut state = *s;
    for out in out.as_chunks_mut::<LANES>().0 {
        let r = next(&mut state);
        for i in 0..LANES {
            out[i] = ((r[i] as i32 >> 8) as f32) * (1.0 / 16_777_216.0);
        }
    }
    *s = state;
}

/// The sum of the two halves of a draw: triangular on (-1, 1), mean 0, 2^-16 apart.
#[inline(always)]
fn triangular_body(s: &mut [Lanes; 4], out: &mut [f32]) {
    let mut state = *s;
    for out in out.as_chunks_mut::<LANES>().0 {
        let r = next(&mut state);
        for i in 0..LANES {
            let sum = (r[i] as i32 >> 16) + ((r[i] << 16) as i32 >> 16) + 1;
            out[i] = sum as f32 * (1.0 / 65_536.0);
        }
    }
    *s = state;
}

macro_rules! level {
    ($name:ident, $(#[$attr:meta])*) => {
        mod $name {
            use super::*;
            $(#[$attr])*
            pub(super) fn uniform(s: &mut [Lanes; 4], out: &mut [f32]) {
                uniform_body(s, out)
            }
        }
    };
}

level!(portable,);
#[cfg(target_arch = "x86_64")]
level!(avx2, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
level!(avx512, #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]);

impl Generators {
    /// Seeds each generator apart by SplitMix64.
    pub fn new(seed: u64, level: Level) -> Self {
        let mut x = seed;
        let mut draw = || {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 32) as u32
        };
        let s = std::array::from_fn(|_| std::array::from_fn(|_| draw()));
        let (uniform, triangular): (FillFn, FillFn) = match level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } => (avx2::uniform, super::convert_x86::triangular),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } => (avx512::uniform, super::convert_x86::triangular_512),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => (portable::uniform, super::convert_arm::triangular),
            Isa::Portable => (portable::uniform, triangular_body),
        };
        Self {
            s,
            uniform,
            triangular,
        }
    }

    /// Even noise in [-0.5, 0.5).
    ///
    /// # Panics
    /// If `out` is no whole multiple of [`LANES`].
    pub fn uniform(&mut self, out: &mut [f32]) {
        assert!(out.len().is_multiple_of(LANES));
        // SAFETY: the constructor chooses only kernels whose instructions this machine has.
        unsafe { (self.uniform)(&mut self.s, out) }
    }

    /// Triangular noise in (-1, 1).
    ///
    /// # Panics
    /// If `out` is no whole multiple of [`LANES`].
    pub fn triangular(&mut self, out: &mut [f32]) {
        assert!(out.len().is_multiple_of(LANES));
        // SAFETY: the constructor chooses only kernels whose instructions this machine has.
        unsafe { (self.triangular)(&mut self.s, out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(x: &[f32]) -> (f64, f64) {
        let n = x.len() as f64;
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let var = x
            .iter()
            .map(|v| (f64::from(*v) - mean).powi(2))
            .sum::<f64>()
            / n;
        (mean, var)
    }

    #[test]
    fn levels_agree_and_distributions_are_right() {
        let n = 1 << 17;
        let (mut want_u, mut want_t) = (vec![0.0; n], vec![0.0; n]);
        let mut g = Generators::new(3, Level::PORTABLE);
        g.uniform(&mut want_u);
        g.triangular(&mut want_t);
        for level in Level::available() {
            let (mut u, mut t) = (vec![0.0; n], vec![0.0; n]);
            let mut g = Generators::new(3, level);
            g.uniform(&mut u);
            g.triangular(&mut t);
            assert_eq!((&u, &t), (&want_u, &want_t), "{level:?}");
        }
        // Five standard errors of mean and variance.
        let (mean, var) = moments(&want_u);
        assert!(
            mean.abs() < 4e-3 && (var - 1.0 / 12.0).abs() < 1.1e-3,
            "{mean} {var}"
        );
        let (mean, var) = moments(&want_t);
        assert!(
            mean.abs() < 6e-3 && (var - 1.0 / 6.0).abs() < 3.2e-3,
            "{mean} {var}"
        );
        assert!(want_t.iter().all(|v| v.abs() < 1.0));
    }

    #[test]
    fn lanes_and_seeds_are_independent() {
        let n = 1 << 16;
        let mut x = vec![0.0; n];
        Generators::new(1, Level::best()).triangular(&mut x);
        for lag in 1..40 {
            let r: f64 = x[lag..]
                .iter()
                .zip(&x)
                .map(|(a, b)| f64::from(a * b))
                .sum::<f64>()
                / n as f64
                * 6.0;
            assert!(r.abs() < 5.0 / (n as f64).sqrt(), "lag {lag}: {r}");
        }
        let mut y = vec![0.0; n];
        Generators::new(2, Level::best()).triangular(&mut y);
        let r: f64 = x.iter().zip(&y).map(|(a, b)| f64::from(a * b)).sum::<f64>() / n as f64 * 6.0;
        assert!(r.abs() < 5.0 / (n as f64).sqrt(), "{r}");
    }
}
