// SPDX-License-Identifier: MIT

//! Real windows as complex ones of half their length, for the resampler's transforms.
//!
//! A window of `2 n` samples becomes `n` complex ones, `z[i] = (x[i] + j x[i + n]) e^(j pi i / 2n)`.
//! Their spectrum is that of `x` at the frequencies `(k - 1/4) / n` of the sample rate, half of them
//! below 0: all there is of a real signal, at no frequency twice. What is filtered there wraps around
//! with its sign changed, which overlap-save drops.
//!
//! Products are rounded before they are added, at every level, so that the bits are the same at each.
#![allow(unsafe_code)]

use std::f64::consts::PI;

use rustfft::num_complex::Complex;

use super::vector::{Number, Set};

/// `e^(j pi i / 2n)` for `i` from 0 to `n - 1`.
#[derive(Clone, Debug)]
pub struct Turns<T> {
    cos: Vec<T>,
    sin: Vec<T>,
}

impl<T> Turns<T> {
    /// Of `n` numbers, each as `of` has it.
    pub fn new(n: usize, of: fn(f64) -> T) -> Self {
        let angle = |i: usize| PI / 2.0 * i as f64 / n as f64;
        Self {
            cos: (0..n).map(|i| of(angle(i).cos())).collect(),
            sin: (0..n).map(|i| of(angle(i).sin())).collect(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cos.len()
    }
}

type Pack<T> = fn(x: &[T], turns: &Turns<T>, to: &mut [Complex<T>]);
type Scale<T> = fn(from: &[Complex<T>], by: &[[T; 2]], to: &mut [Complex<T>]);
type Unpack<T> = fn(z: &[Complex<T>], turns: &Turns<T>, skip: usize, to: &mut [T]);

/// The kernels of one sample type at one level.
#[derive(Clone, Copy)]
pub struct TurnKernels<T> {
    /// `turns.len()` complex samples `to` of twice as many real ones.
    pub pack: Pack<T>,
    /// `to[i] = from[i] * by[i]`, both parts.
    pub scale: Scale<T>,
    /// As many as `to` has of the samples that were packed as `z`, from sample `skip` of the first half
    /// on into the second.
    pub unpack: Unpack<T>,
}

/// The kernels, compiled for `S`. Only for machines that have it.
pub fn kernels<S: Set, T: Number>() -> TurnKernels<T> {
    TurnKernels {
        // SAFETY: chosen only where the machine has the set.
        pack: |x, turns, to| unsafe {
            S::run(
                #[inline(always)]
                move || pack(x, turns, to),
            )
        },
        // SAFETY: as above.
        scale: |from, by, to| unsafe {
            S::run(
                #[inline(always)]
                move || scale(from, by, to),
            )
        },
        unpack: |z, turns, skip, to| {
            // SAFETY: as above.
            unsafe {
                S::run(
                    #[inline(always)]
                    move || unpack(z, turns, skip, to),
                )
            }
        },
    }
}

/// [`TurnKernels::pack`].
#[inline(always)]
pub fn pack<T: Number>(x: &[T], turns: &Turns<T>, to: &mut [Complex<T>]) {
    let n = turns.len();
    let (a, b, c, s, to) = (
        &x[..n],
        &x[n..2 * n],
        &turns.cos[..n],
        &turns.sin[..n],
        &mut to[..n],
    );
    for i in 0..n {
        to[i] = Complex::new(a[i] * c[i] - b[i] * s[i], a[i] * s[i] + b[i] * c[i]);
    }
}

/// [`TurnKernels::scale`].
#[inline(always)]
fn scale<T: Number>(from: &[Complex<T>], by: &[[T; 2]], to: &mut [Complex<T>]) {
    for ((to, from), by) in to.iter_mut().zip(from).zip(by) {
        *to = Complex::new(from.re * by[0], from.im * by[1]);
    }
}

/// [`TurnKernels::unpack`].
#[inline(always)]
fn unpack<T: Number>(z: &[Complex<T>], turns: &Turns<T>, skip: usize, to: &mut [T]) {
    let n = turns.len();
    // Of real parts and, from the middle on, of imaginary ones.
    let (first, second) = to.split_at_mut(n - skip);
    let (z_end, c, s) = (&z[skip..n], &turns.cos[skip..n], &turns.sin[skip..n]);
    for i in 0..first.len() {
        first[i] = z_end[i].re * c[i] + z_end[i].im * s[i];
    }
    let kept = second.len();
    let (z, c, s) = (&z[..kept], &turns.cos[..kept], &turns.sin[..kept]);
    for i in 0..kept {
        second[i] = z[i].im * c[i] - z[i].re * s[i];
    }
}

#[cfg(test)]
mod tests {
    use rustfft::FftPlanner;

    use super::*;
    use crate::simd::Level;
    use crate::simd::resample::tests::noise;
    use crate::simd::resample::turn_kernels;

    /// The spectrum by its definition.
    #[test]
    fn half_as_many_complex_samples_have_the_spectrum() {
        let n = 30;
        let x = noise(2 * n, 1);
        let turns = Turns::new(n, |v| v);
        let mut z = vec![Complex::default(); n];
        pack(&x, &turns, &mut z);
        FftPlanner::new().plan_fft_forward(n).process(&mut z);
        for (k, z) in z.iter().enumerate() {
            let turn = |i: usize| -2.0 * PI * (k as f64 - 0.25) / n as f64 * i as f64;
            let parts = x.iter().enumerate();
            let exact: Complex<f64> = parts.map(|(i, x)| Complex::cis(turn(i)) * x).sum();
            assert!((z - exact).norm() < 1e-12, "{k}: {z} {exact}");
        }
    }

    #[test]
    fn what_was_packed_is_unpacked_alike_at_every_level() {
        for (n, skip) in [(8, 0), (17, 3), (96, 40), (147, 100), (100, 100)] {
            let x: Vec<f32> = noise(2 * n, 2).iter().map(|v| *v as f32).collect();
            let by: Vec<[f32; 2]> = x.iter().map(|v| [*v; 2]).collect();
            let turns = Turns::new(n, |v| v as f32);
            let run = |level| {
                let kernels = turn_kernels::<f32>(level);
                let (mut z, mut scaled) =
                    (vec![Complex::default(); n], vec![Complex::default(); n]);
                (kernels.pack)(&x, &turns, &mut z);
                (kernels.scale)(&z, &by, &mut scaled);
                let mut y = vec![0.0; 2 * (n - skip)];
                (kernels.unpack)(&z, &turns, skip, &mut y);
                (z, scaled, y)
            };
            let (z, scaled, y) = run(Level::PORTABLE);
            for (i, (a, b)) in y.iter().zip(&x[skip..]).enumerate() {
                assert!((a - b).abs() < 1e-6, "{n} {i}: {a} {b}");
            }
            for (i, scaled) in scaled.iter().enumerate() {
                assert_eq!(*scaled, z[i] * x[i]);
            }
            for level in Level::available() {
                assert!(
                    run(level) == (z.clone(), scaled.clone(), y.clone()),
                    "{level:?}"
                );
            }
        }
    }
}
