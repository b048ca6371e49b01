// SPDX-License-Identifier: MIT

//! The power spectrum of real samples from a complex transform of half their number.
#![allow(unsafe_code)]

use rustfft::num_complex::Complex32;

use super::Level;
use super::vector::{Portable, Set};
#[cfg(target_arch = "x86_64")]
use super::{Isa, vector_x86::Avx2};

/// `z` is the transform of pairs of samples as complex numbers, an even number of them, `turns[k] =
/// exp(-i pi k / z.len())`, half as many as `z`. `power[k] = scale (|X_k|^2 + TINY)` for the `z.len() + 1`
/// frequencies `X` of the samples. The bits are the same at every level.
pub type Power = fn(z: &[Complex32], turns: &[Complex32], scale: f32, power: &mut [f32]);

/// Keeps powers, and with them what is multiplied by them later, normal where only rounding errors are
/// left.
const TINY: f32 = 1e-24;

/// The kernel at `level`.
pub fn power(level: Level) -> Power {
    match level.0 {
        // Blocks are too short for wider vectors.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } | Isa::Avx512 { .. } => compiled::<Avx2>(),
        _ => compiled::<Portable>(),
    }
}

/// Only for machines that have `S`.
fn compiled<S: Set>() -> Power {
    // SAFETY: chosen only where the machine has the set.
    |z, turns, scale, power| unsafe {
        S::run(
            #[inline(always)]
            move || plain(z, turns, scale, power),
        )
    }
}

#[inline(always)]
fn plain(z: &[Complex32], turns: &[Complex32], scale: f32, power: &mut [f32]) {
    let (half, middle) = (z.len(), z.len() / 2);
    let of = |re: f32, im: f32| scale * (re * re + im * im + TINY);
    power[0] = of(z[0].re + z[0].im, 0.0);
    power[half] = of(z[0].re - z[0].im, 0.0);
    power[middle] = of(z[middle].re, z[middle].im);
    let (low, high) = power[..half].split_at_mut(middle);
    let (low, high) = (&mut low[1..], &mut high[1..]);
    let (up, turns, down) = (&z[1..middle], &turns[1..middle], &z[middle + 1..]);
    let ((up, up_rest), (turns, turns_rest)) = (up.as_chunks(), turns.as_chunks());
    let (down_rest, down) = down.as_rchunks();
    let (low, low_rest) = low.as_chunks_mut();
    let (high_rest, high) = high.as_rchunks_mut();
    let blocks = up.iter().zip(turns).zip(down.iter().rev());
    let to = low.iter_mut().zip(high.iter_mut().rev());
    for (((up, turns), down), (low, high)) in blocks.zip(to) {
        block::<LANES>(up, turns, down, 0.25 * scale, low, high);
    }
    let rest = up_rest.iter().zip(turns_rest).zip(down_rest.iter().rev());
    let to = low_rest.iter_mut().zip(high_rest.iter_mut().rev());
    for (((up, turn), down), (low, high)) in rest.zip(to) {
        let [low, high] = [low, high].map(std::array::from_mut);
        block::<1>(&[*up], &[*turn], &[*down], 0.25 * scale, low, high);
    }
}

/// Frequencies at a time: as many as a register holds.
const LANES: usize = 8;

/// Of `N` frequencies from the bottom `up` and as many from the top `down`, to the powers of both.
#[inline(always)]
fn block<const N: usize>(
    up: &[Complex32; N],
    turns: &[Complex32; N],
    down: &[Complex32; N],
    scale: f32,
    low: &mut [f32; N],
    high: &mut [f32; N],
) {
    let re = |z: &[Complex32; N]| std::array::from_fn::<f32, N, _>(|i| z[i].re);
    let im = |z: &[Complex32; N]| std::array::from_fn::<f32, N, _>(|i| z[i].im);
    let (up, turns, mut down) = (
        (re(up), im(up)),
        (re(turns), im(turns)),
        (re(down), im(down)),
    );
    down.0.reverse();
    down.1.reverse();
    let mut top = [0f32; N];
    for i in 0..N {
        // Twice the transforms of even samples and of odd ones, the latter turned.
        let (even_re, even_im) = (up.0[i] + down.0[i], up.1[i] - down.1[i]);
        let (odd_re, odd_im) = (up.1[i] + down.1[i], down.0[i] - up.0[i]);
        let turned_re = turns.0[i] * odd_re - turns.1[i] * odd_im;
        let turned_im = turns.0[i] * odd_im + turns.1[i] * odd_re;
        let of = |re: f32, im: f32| scale * (re * re + im * im + 4.0 * TINY);
        low[i] = of(even_re + turned_re, even_im + turned_im);
        top[i] = of(even_re - turned_re, even_im - turned_im);
    }
    top.reverse();
    *high = top;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustfft::FftPlanner;

    #[test]
    fn powers_are_those_of_the_formula_at_every_level() {
        for half in [2, 8, 128, 256] {
            let mut seed = 1u32;
            let mut next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let x: Vec<f32> = (0..2 * half).map(|_| next()).collect();
            let turn = |k: usize| {
                let angle = -std::f64::consts::PI * k as f64 / half as f64;
                Complex32::new(angle.cos() as f32, angle.sin() as f32)
            };
            let turns: Vec<Complex32> = (0..half / 2).map(turn).collect();
            let mut z: Vec<Complex32> = x.chunks(2).map(|x| Complex32::new(x[0], x[1])).collect();
            FftPlanner::new().plan_fft_forward(half).process(&mut z);
            let mut first: Option<Vec<f32>> = None;
            for level in Level::available() {
                let mut found = vec![0.0; half + 1];
                power(level)(&z, &turns, 0.5, &mut found);
                for (k, found) in found.iter().enumerate() {
                    let (mut re, mut im) = (0.0, 0.0);
                    for (n, x) in x.iter().enumerate() {
                        let angle = std::f64::consts::PI * (k * n) as f64 / half as f64;
                        re += f64::from(*x) * angle.cos();
                        im -= f64::from(*x) * angle.sin();
                    }
                    let wanted = 0.5 * (re * re + im * im);
                    let off = (f64::from(*found) - wanted).abs();
                    assert!(
                        off < 1e-5 * wanted.max(1.0),
                        "{level:?}, {half}, bin {k}: {found}"
                    );
                }
                assert_eq!(*first.get_or_insert(found.clone()), found, "{level:?}");
            }
        }
        let mut found = vec![1.0; 3];
        plain(
            &[Complex32::default(); 2],
            &[Complex32::new(1.0, 0.0)],
            0.5,
            &mut found,
        );
        assert!(found.iter().all(|p| *p > 0.0 && p.is_normal()), "{found:?}");
    }
}
