// SPDX-License-Identifier: MIT

//! Kernels that mix interleaved channels, of native samples or of those as they come, and that repeat or swap
//! samples as they are.
#![allow(unsafe_code)]

use std::ops::{Add, Mul};

use bytemuck::Pod;

#[cfg(target_arch = "x86_64")]
use super::Isa;
use super::Level;
use super::convert::Work;
use crate::convert::format::SampleFormat;

/// Output channels that one pass over the input computes.
const GROUP: usize = 16;

trait Float: Pod + Default + Add<Output = Self> + Mul<Output = Self> {
    fn from_f64(v: f64) -> Self;
    fn fused(self, a: Self, b: Self) -> Self;
}

impl Float for f32 {
    fn from_f64(v: f64) -> Self {
        v as f32
    }
    #[inline(always)]
    fn fused(self, a: f32, b: f32) -> f32 {
        self.mul_add(a, b)
    }
}

impl Float for f64 {
    fn from_f64(v: f64) -> Self {
        v
    }
    #[inline(always)]
    fn fused(self, a: f64, b: f64) -> f64 {
        self.mul_add(a, b)
    }
}

/// `x * m + acc`, fused where that is one instruction and not a library call.
#[inline(always)]
fn accumulate<W: Float, const FMA: bool>(x: W, m: W, acc: W) -> W {
    if FMA { x.fused(m, acc) } else { x * m + acc }
}

/// One group of up to `L` output channels: `weights[input * L + lane]`.
#[inline(always)]
fn mix_body<W: Float, const L: usize, const FMA: bool>(
    src: &[W],
    inputs: usize,
    weights: &[W],
    dst: &mut [W],
    outputs: usize,
    first: usize,
) {
    let width = (outputs - first).min(L);
    let (weights, _) = weights.as_chunks::<L>();
    for (x, y) in src.chunks_exact(inputs).zip(dst.chunks_exact_mut(outputs)) {
        let mut acc = [W::default(); L];
        for (x, m) in x.iter().zip(weights) {
            for (a, m) in acc.iter_mut().zip(m) {
                *a = accumulate::<W, FMA>(*x, *m, *a);
            }
        }
        let y = &mut y[first..first + width];
        if width == L {
            y.copy_from_slice(&acc);
        } else {
            for (y, a) in y.iter_mut().zip(acc) {
                *y = a;
            }
        }
    }
}

/// `I` channels to `O`, both known: all coefficients stay in registers.
#[inline(always)]
fn fixed_body<W: Float, const I: usize, const O: usize, const FMA: bool>(
    src: &[W],
    weights: &[W],
    dst: &mut [W],
) {
    let (src, _) = src.as_chunks::<I>();
    let (dst, _) = dst.as_chunks_mut::<O>();
    let mut m = [[W::default(); O]; I];
    for (m, w) in m.as_flattened_mut().iter_mut().zip(weights) {
        *m = *w;
    }
    for (x, y) in src.iter().zip(dst) {
        let mut acc = [W::default(); O];
        for i in 0..I {
            for o in 0..O {
                acc[o] = accumulate::<W, FMA>(x[i], m[i][o], acc[o]);
            }
        }
        *y = acc;
    }
}

/// `P` pairs of channels of 16-bit samples, as they lie, to `O` channels: the same bits as of unpacking and
/// [`fixed_body`]. Both samples of a pair lie in one word, which needs no shuffles to be taken apart; the weights
/// are for a full scale of 2^31.
#[inline(always)]
fn fused_body<const P: usize, const O: usize, const FMA: bool>(
    src: &[u8],
    weights: &[f32],
    dst: &mut [f32],
) {
    let (words, _) = src.as_chunks::<4>();
    let (dst, _) = dst.as_chunks_mut::<O>();
    let mut m = [[[0.0; O]; 2]; P];
    let all = m.as_flattened_mut().as_flattened_mut();
    for (m, w) in all.iter_mut().zip(weights) {
        *m = *w;
    }
    for (x, y) in words.as_chunks::<P>().0.iter().zip(dst) {
        let mut acc = [0.0; O];
        for p in 0..P {
            let word = u32::from_le_bytes(x[p]);
            let pair = [word << 16, word & 0xffff_0000].map(|v| v.cast_signed() as f32);
            for (x, m) in pair.into_iter().zip(&m[p]) {
                for o in 0..O {
                    acc[o] = accumulate::<f32, FMA>(x, m[o], acc[o]);
                }
            }
        }
        *y = acc;
    }
}

#[inline(always)]
fn swap_body<const N: usize>(data: &mut [u8])
where
    [u8; N]: Pod,
{
    for s in bytemuck::cast_slice_mut::<u8, [u8; N]>(data) {
        s.reverse();
    }
}

#[inline(always)]
fn swap_to_body<const N: usize>(src: &[u8], dst: &mut [u8])
where
    [u8; N]: Pod,
{
    let src: &[[u8; N]] = bytemuck::cast_slice(src);
    let dst: &mut [[u8; N]] = bytemuck::cast_slice_mut(dst);
    for (d, s) in dst.iter_mut().zip(src) {
        let mut v = *s;
        v.reverse();
        *d = v;
    }
}

#[inline(always)]
fn double_body<const N: usize>(src: &[u8], dst: &mut [u8])
where
    [u8; N]: Pod,
{
    let src: &[[u8; N]] = bytemuck::cast_slice(src);
    let (dst, _) = bytemuck::cast_slice_mut::<u8, [u8; N]>(dst).as_chunks_mut::<2>();
    for (d, s) in dst.iter_mut().zip(src) {
        *d = [*s, *s];
    }
}

macro_rules! level {
    ($name:ident, $fma:expr, $(#[$attr:meta])*) => {
        mod $name {
            use super::*;
            $(#[$attr])*
            pub(super) fn mix<W: Float, const L: usize>(
                src: &[W], inputs: usize, weights: &[W], dst: &mut [W], outputs: usize, first: usize,
            ) {
                mix_body::<W, L, $fma>(src, inputs, weights, dst, outputs, first)
            }
            $(#[$attr])*
            pub(super) fn fixed<W: Float, const I: usize, const O: usize>(
                src: &[W], weights: &[W], dst: &mut [W],
            ) {
                fixed_body::<W, I, O, $fma>(src, weights, dst)
            }
            $(#[$attr])*
            pub(super) fn fused<const P: usize, const O: usize>(
                src: &[u8], weights: &[f32], dst: &mut [f32],
            ) {
                fused_body::<P, O, $fma>(src, weights, dst)
            }
            $(#[$attr])*
            pub(super) fn swap<const N: usize>(data: &mut [u8]) where [u8; N]: Pod {
                swap_body::<N>(data)
            }
            $(#[$attr])*
            pub(super) fn swap_to<const N: usize>(src: &[u8], dst: &mut [u8]) where [u8; N]: Pod {
                swap_to_body::<N>(src, dst)
            }
            $(#[$attr])*
            pub(super) fn double<const N: usize>(src: &[u8], dst: &mut [u8]) where [u8; N]: Pod {
                double_body::<N>(src, dst)
            }
        }
    };
}

level!(portable, { cfg!(target_arch = "aarch64") },);
#[cfg(target_arch = "x86_64")]
level!(avx2, true, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
level!(avx512, true, #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]);

/// `$f::<$args>` of a level.
macro_rules! pick {
    ($level:expr, $f:ident::<$($arg:ty),* $(; $($n:literal),*)?>) => {
        match $level.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } => avx2::$f::<$($arg,)* $($($n),*)?>,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 { .. } => avx512::$f::<$($arg,)* $($($n),*)?>,
            _ => portable::$f::<$($arg,)* $($($n),*)?>,
        }
    };
}

type MixFn<W> = unsafe fn(&[W], usize, &[W], &mut [W], usize, usize);
type FixedFn<W> = unsafe fn(&[W], &[W], &mut [W]);

#[derive(Clone, Copy, Debug)]
enum Kernel<W> {
    Fixed(FixedFn<W>),
    /// With its number of lanes.
    Grouped(MixFn<W>, usize),
}

/// Mixes interleaved channels with constant coefficients.
#[derive(Clone, Debug)]
pub struct Mix<W> {
    kernel: Kernel<W>,
    inputs: usize,
    outputs: usize,
    /// For each group of outputs, for each input, the coefficients of the group.
    weights: Vec<W>,
}

/// `f32` and `f64`, which channels are mixed in.
#[allow(private_bounds)]
pub trait Mixed: Work + Float {
    #[doc(hidden)]
    fn kernel(inputs: usize, outputs: usize, level: Level) -> MixKernel<Self>;
}

/// Opaque.
#[derive(Clone, Copy, Debug)]
pub struct MixKernel<W>(Kernel<W>);

macro_rules! mixed {
    ($w:ty) => {
        impl Mixed for $w {
            fn kernel(inputs: usize, outputs: usize, level: Level) -> MixKernel<$w> {
                MixKernel(match (inputs, outputs) {
                    (2, 1) => Kernel::Fixed(pick!(level, fixed::<$w; 2, 1>)),
                    (1, 2) => Kernel::Fixed(pick!(level, fixed::<$w; 1, 2>)),
                    (2, 2) => Kernel::Fixed(pick!(level, fixed::<$w; 2, 2>)),
                    (6, 2) => Kernel::Fixed(pick!(level, fixed::<$w; 6, 2>)),
                    (6, 1) => Kernel::Fixed(pick!(level, fixed::<$w; 6, 1>)),
                    (8, 2) => Kernel::Fixed(pick!(level, fixed::<$w; 8, 2>)),
                    (8, 1) => Kernel::Fixed(pick!(level, fixed::<$w; 8, 1>)),
                    (_, 1) => Kernel::Grouped(pick!(level, mix::<$w; 1>), 1),
                    (_, 2) => Kernel::Grouped(pick!(level, mix::<$w; 2>), 2),
                    (_, 3..=4) => Kernel::Grouped(pick!(level, mix::<$w; 4>), 4),
                    (_, 5..=8) => Kernel::Grouped(pick!(level, mix::<$w; 8>), 8),
                    _ => Kernel::Grouped(pick!(level, mix::<$w; 16>), GROUP),
                })
            }
        }
    };
}
mixed!(f32);
mixed!(f64);

impl<W: Mixed> Mix<W> {
    /// Of `outputs` rows of `inputs` coefficients, which `coefficient(output, input)` gives.
    pub fn new(
        inputs: usize,
        outputs: usize,
        level: Level,
        coefficient: impl Fn(usize, usize) -> f64,
    ) -> Self {
        let MixKernel(kernel) = W::kernel(inputs, outputs, level);
        let lanes = match kernel {
            Kernel::Fixed(_) => outputs,
            Kernel::Grouped(_, lanes) => lanes,
        };
        let mut weights = Vec::new();
        for first in (0..outputs).step_by(lanes.max(1)) {
            for i in 0..inputs {
                for o in first..first + lanes {
                    weights.push(W::from_f64(if o < outputs {
                        coefficient(o, i)
                    } else {
                        0.0
                    }));
                }
            }
        }
        Self {
            kernel,
            inputs,
            outputs,
            weights,
        }
    }

    /// Mixes the whole frames of `src` into those of `dst`, as many of them.
    pub fn run(&self, src: &[W], dst: &mut [W]) {
        match self.kernel {
            // SAFETY: the constructor chooses only kernels whose instructions this machine has.
            Kernel::Fixed(f) => unsafe { f(src, &self.weights, dst) },
            Kernel::Grouped(f, lanes) => {
                for (g, weights) in self.weights.chunks_exact(lanes * self.inputs).enumerate() {
                    // SAFETY: as above.
                    unsafe { f(src, self.inputs, weights, dst, self.outputs, g * lanes) }
                }
            }
        }
    }
}

type FusedFn = unsafe fn(&[u8], &[f32], &mut [f32]);

/// Mixes 16-bit samples as they are read, with nothing held in between.
#[derive(Clone, Debug)]
pub struct Fused {
    run: FusedFn,
    /// Bytes of a frame, and output channels.
    frame: usize,
    outputs: usize,
    weights: Vec<f32>,
}

impl Fused {
    /// What `mix` does after samples of `format` have been unpacked, where there is a kernel for both.
    pub fn new(mix: &Mix<f32>, format: SampleFormat, level: Level) -> Option<Self> {
        if format != SampleFormat::S16LE {
            return None;
        }
        let run: FusedFn = match (mix.inputs, mix.outputs) {
            (2, 1) => pick!(level, fused::<; 1, 1>),
            (2, 2) => pick!(level, fused::<; 1, 2>),
            (6, 1) => pick!(level, fused::<; 3, 1>),
            (6, 2) => pick!(level, fused::<; 3, 2>),
            (8, 1) => pick!(level, fused::<; 4, 1>),
            (8, 2) => pick!(level, fused::<; 4, 2>),
            _ => return None,
        };
        Some(Self {
            run,
            frame: mix.inputs * format.size(),
            outputs: mix.outputs,
            // Exact, as by any power of two, for weights of 2^-95 and more.
            weights: mix.weights.iter().map(|w| w / 2_147_483_648.0).collect(),
        })
    }

    /// Mixes the frames of `src` into those of `dst`, as many of them.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn run(&self, src: &[u8], dst: &mut [f32]) {
        assert_eq!(src.len() * self.outputs, dst.len() * self.frame);
        // SAFETY: the constructor chooses only kernels whose instructions this machine has.
        unsafe { (self.run)(src, &self.weights, dst) }
    }
}

/// Reverses the bytes of samples of one size: 1, 2, 3, 4 or 8.
#[derive(Clone, Copy, Debug)]
pub struct Swap {
    in_place: unsafe fn(&mut [u8]),
    copy: unsafe fn(&[u8], &mut [u8]),
}

impl Swap {
    pub fn new(size: usize, level: Level) -> Self {
        macro_rules! sized {
            ($n:literal) => {
                Self {
                    in_place: pick!(level, swap::<; $n>),
                    copy: pick!(level, swap_to::<; $n>),
                }
            };
        }
        match size {
            2 => sized!(2),
            3 => sized!(3),
            4 => sized!(4),
            8 => sized!(8),
            _ => sized!(1),
        }
    }

    pub fn in_place(&self, data: &mut [u8]) {
        // SAFETY: the constructor chooses only kernels whose instructions this machine has.
        unsafe { (self.in_place)(data) }
    }

    /// # Panics
    /// If the lengths differ.
    pub fn copy(&self, src: &[u8], dst: &mut [u8]) {
        assert_eq!(src.len(), dst.len());
        // SAFETY: the constructor chooses only kernels whose instructions this machine has.
        unsafe { (self.copy)(src, dst) }
    }
}

/// Repeats each sample of one size (1, 2, 3, 4 or 8 bytes): mono to stereo.
#[derive(Clone, Copy, Debug)]
pub struct Double(unsafe fn(&[u8], &mut [u8]));

impl Double {
    pub fn new(size: usize, level: Level) -> Self {
        Self(match size {
            2 => pick!(level, double::<; 2>),
            3 => pick!(level, double::<; 3>),
            4 => pick!(level, double::<; 4>),
            8 => pick!(level, double::<; 8>),
            _ => pick!(level, double::<; 1>),
        })
    }

    /// # Panics
    /// If `dst` is not twice as long as `src`.
    pub fn run(&self, src: &[u8], dst: &mut [u8]) {
        assert_eq!(src.len() * 2, dst.len());
        // SAFETY: the constructor chooses only kernels whose instructions this machine has.
        unsafe { (self.0)(src, dst) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize) -> Vec<f64> {
        (0..n)
            .map(|i| ((i * i + 3 * i) as f64 * 0.7).sin())
            .collect()
    }

    #[test]
    fn every_kernel_mixes_as_the_plain_sum() {
        for level in Level::available() {
            for inputs in [1, 2, 3, 6, 8, 12, 40] {
                for outputs in [1, 2, 3, 4, 6, 8, 12, 16, 17, 40] {
                    let m = wave(inputs * outputs);
                    let frames = 37;
                    let x = wave(frames * inputs);
                    let x32: Vec<f32> = x.iter().map(|v| *v as f32).collect();
                    let mut y = vec![9.0; frames * outputs];
                    let mut y32 = vec![9.0f32; frames * outputs];
                    Mix::new(inputs, outputs, level, |o, i| m[o * inputs + i]).run(&x, &mut y);
                    Mix::new(inputs, outputs, level, |o, i| m[o * inputs + i]).run(&x32, &mut y32);
                    for f in 0..frames {
                        for o in 0..outputs {
                            let want: f64 = (0..inputs)
                                .map(|i| x[f * inputs + i] * m[o * inputs + i])
                                .sum();
                            let k = f * outputs + o;
                            assert!((y[k] - want).abs() < 1e-13, "{level:?} {inputs}>{outputs}");
                            let off = (f64::from(y32[k]) - want).abs();
                            assert!(off < 3e-7 * inputs as f64, "{level:?} {inputs}>{outputs}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn samples_mixed_as_they_are_read_have_the_bits_of_unpacked_ones() {
        let format = SampleFormat::S16LE;
        // All loudnesses, full scale among them.
        let samples = |k: usize| ((k * k * 77) as u16).to_le_bytes();
        let channels = [2, 6, 8].into_iter().flat_map(|i| [(i, 1), (i, 2)]);
        for (level, (ins, outs)) in
            channels.flat_map(|c| Level::available().into_iter().map(move |l| (l, c)))
        {
            let m = wave(ins * outs);
            let mix = Mix::<f32>::new(ins, outs, level, |o, i| m[o * ins + i]);
            let fused = Fused::new(&mix, format, level).unwrap();
            let unpack = super::super::convert::Unpack::<f32>::with_level(format, level);
            for frames in [0, 1, 15, 16, 17, 480, 1000] {
                let bytes: Vec<u8> = (0..ins * frames).flat_map(samples).collect();
                let mut unpacked = vec![0.0; ins * frames];
                unpack.run(&bytes, &mut unpacked);
                let (mut wanted, mut got) = (vec![9.0; outs * frames], vec![8.0; outs * frames]);
                mix.run(&unpacked, &mut wanted);
                fused.run(&bytes, &mut got);
                assert_eq!(got, wanted, "{level:?}: {frames} of {ins} to {outs}");
            }
        }
        let mix = |inputs, outputs| Mix::<f32>::new(inputs, outputs, Level::PORTABLE, |_, _| 1.0);
        assert!(Fused::new(&mix(1, 2), format, Level::PORTABLE).is_none());
        assert!(Fused::new(&mix(2, 1), SampleFormat::F32LE, Level::PORTABLE).is_none());
    }

    #[test]
    fn bytes_are_reversed_and_repeated_in_every_size() {
        for level in Level::available() {
            for size in [1, 2, 3, 4, 8] {
                let data: Vec<u8> = (0..size * 101).map(|i| (i * 7) as u8).collect();
                let want: Vec<u8> = data
                    .chunks(size)
                    .flat_map(|s| s.iter().rev().copied())
                    .collect();
                let mut out = vec![0; data.len()];
                let swap = Swap::new(size, level);
                swap.copy(&data, &mut out);
                assert_eq!(out, want);
                swap.in_place(&mut out);
                assert_eq!(out, data);
                let mut out = vec![0; data.len() * 2];
                Double::new(size, level).run(&data, &mut out);
                let want: Vec<u8> = data.chunks(size).flat_map(|s| [s, s].concat()).collect();
                assert_eq!(out, want);
            }
        }
    }
}
