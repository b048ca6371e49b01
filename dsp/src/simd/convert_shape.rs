// SPDX-License-Identifier: MIT

//! Kernel of noise shaping: error feedback, one or two channels at a time.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::Isa;
use super::Level;

/// Most past errors that a filter weights.
pub const TAPS: usize = 8;

/// Errors of the last samples of one channel, newest first, in units of the last bit.
pub type Errors = [f64; TAPS];

type ShapeFn = unsafe fn(&mut [f64], &[f32], usize, usize, &mut [Errors], f64, &[f64]);

/// `v - tap * error`.
#[inline(always)]
fn weighted<const FMA: bool>(v: f64, tap: f64, error: f64) -> f64 {
    if FMA {
        tap.mul_add(-error, v)
    } else {
        v - tap * error
    }
}

/// Channels `first..first + C` of the interleaved `block`: each sample less the weighted past
/// errors is rounded after adding its noise, and the difference kept. Whole numbers of last bits
/// come out, scaled back to full scale 1.
#[inline(always)]
fn shape_body<const N: usize, const C: usize, const FMA: bool>(
    block: &mut [f64],
    noise: &[f32],
    channels: usize,
    first: usize,
    errors: &mut [Errors],
    scale: f64,
    taps: [f64; N],
) {
    // Rounds half to even: see `convert::round`, whose instruction would take longer in this chain.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let back = 1.0 / scale;
    let mut e = [[0.0; C]; N];
    for k in 0..N {
        for c in 0..C {
            e[k][c] = errors[c][k];
        }
    }
    for (frame, noise) in block
        .chunks_exact_mut(channels)
        .zip(noise.chunks_exact(channels))
    {
        let frame = &mut frame[first..first + C];
        let noise = &noise[first..first + C];
        let mut newest = [0.0; C];
        for c in 0..C {
            // What is far beyond full scale, or no number, must not stay in the errors.
            let x = if frame[c].is_nan() { 0.0 } else { frame[c] };
            let x = if x > -16.0 { x } else { -16.0 };
            let x = if x < 16.0 { x } else { 16.0 };
            let mut v = x * scale;
            for k in (1..N).rev() {
                v = weighted::<FMA>(v, taps[k], e[k][c]);
            }
            // Only what follows waits for the last error: the rest overlaps with the last sample.
            let dithered = weighted::<FMA>(v + f64::from(noise[c]), taps[0], e[0][c]);
            let v = weighted::<FMA>(v, taps[0], e[0][c]);
            let q = (dithered + MAGIC) - MAGIC;
            newest[c] = q - v;
            frame[c] = q * back;
        }
        e = std::array::from_fn(|k| if k == 0 { newest } else { e[k - 1] });
    }
    for k in 0..N {
        for c in 0..C {
            errors[c][k] = e[k][c];
        }
    }
}

#[cfg(target_arch = "x86_64")]
use super::convert_x86::shape_pair as pair;
#[cfg(not(target_arch = "x86_64"))]
unsafe fn pair<const N: usize>(
    _: &mut [f64],
    _: &[f32],
    _: usize,
    _: usize,
    _: &mut [Errors],
    _: f64,
    _: &[f64],
) -> usize {
    0
}

/// Noise transfer functions 1 - sum(taps\[k\] z^-(k+1)); those of audioconvert. `MEDIUM` is the
/// five-tap filter of S. Lipshitz, J. Vanderkooy, R. Wannamaker, "Minimally audible noise shaping",
/// JAES 39 (1991).
const FEEDBACK: [f64; 1] = [1.0];
const SIMPLE: [f64; 2] = [1.0, -0.5];
const MEDIUM: [f64; 5] = [2.033, -2.165, 1.959, -1.590, 0.6149];
const HIGH: [f64; 8] = [
    2.08484, -2.92975, 3.27918, -3.31399, 2.61339, -1.72008, 0.876066, -0.340122,
];

/// Filter of a shaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Feedback,
    Simple,
    Medium,
    High,
}

impl Filter {
    /// Its coefficients, that of the newest error first.
    pub fn taps(self) -> &'static [f64] {
        match self {
            Self::Feedback => &FEEDBACK,
            Self::Simple => &SIMPLE,
            Self::Medium => &MEDIUM,
            Self::High => &HIGH,
        }
    }
}

macro_rules! level {
    ($level:ident, $fma:expr, $(#[$attr:meta])*) => {
        mod $level {
            use super::*;
            $(#[$attr])*
            fn shape<const N: usize, const C: usize>(
                block: &mut [f64], noise: &[f32], channels: usize, first: usize,
                errors: &mut [Errors], scale: f64, taps: &[f64],
            ) {
                let done = if cfg!(target_arch = "x86_64") && $fma && C == 2 {
                    #[allow(unused_unsafe)] // needless where the compiler sees that by itself
                    // SAFETY: with `$fma`, this function itself needs what that one does.
                    unsafe {
                        pair::<N>(block, noise, channels, first, errors, scale, taps)
                    }
                } else {
                    0
                };
                let taps = std::array::from_fn(|k| taps[k]);
                let rest = done * channels;
                let (block, noise) = (&mut block[rest..], &noise[rest..]);
                shape_body::<N, C, { $fma }>(block, noise, channels, first, errors, scale, taps)
            }
            pub(super) fn pick(filter: Filter) -> [ShapeFn; 2] {
                match filter {
                    Filter::Feedback => [shape::<1, 1>, shape::<1, 2>],
                    Filter::Simple => [shape::<2, 1>, shape::<2, 2>],
                    Filter::Medium => [shape::<5, 1>, shape::<5, 2>],
                    Filter::High => [shape::<8, 1>, shape::<8, 2>],
                }
            }
        }
    };
}

level!(portable, cfg!(target_arch = "aarch64"),);
#[cfg(target_arch = "x86_64")]
level!(avx2, true, #[target_feature(enable = "avx2,fma")]);

/// Rounds a stream to fewer bits and moves the noise of that to where it is heard least.
#[derive(Clone, Debug)]
pub struct Shape {
    one: ShapeFn,
    two: ShapeFn,
    errors: Vec<Errors>,
    scale: f64,
    taps: &'static [f64],
}

impl Shape {
    /// For interleaved `channels` that are to have `depth` bits.
    pub fn new(filter: Filter, channels: usize, depth: u8, level: Level) -> Self {
        let [one, two] = match level.0 {
            // Two channels are too few for wider vectors.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 { .. } | Isa::Avx512 { .. } => avx2::pick(filter),
            _ => portable::pick(filter),
        };
        Self {
            one,
            two,
            errors: vec![[0.0; TAPS]; channels],
            scale: (1u64 << (depth - 1)) as f64,
            taps: filter.taps(),
        }
    }

    /// Shapes whole frames in place, adding `noise` in units of the last bit.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn run(&mut self, block: &mut [f64], noise: &[f32]) {
        assert_eq!(block.len(), noise.len());
        let channels = self.errors.len();
        let mut first = 0;
        for errors in self.errors.chunks_mut(2) {
            let f = if errors.len() == 2 {
                self.two
            } else {
                self.one
            };
            // SAFETY: the constructor chooses only kernels whose instructions this machine has.
            unsafe { f(block, noise, channels, first, errors, self.scale, self.taps) };
            first += errors.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [Filter; 4] = [
        Filter::Feedback,
        Filter::Simple,
        Filter::Medium,
        Filter::High,
    ];

    #[test]
    fn shaping_follows_its_difference_equation_in_any_channel_count() {
        for filter in FILTERS {
            for level in Level::available() {
                for channels in [1, 2, 3, 6] {
                    let frames = 300;
                    let x: Vec<f64> = (0..frames * channels)
                        .map(|i| (i as f64 * 0.37).sin() * 0.4)
                        .collect();
                    let noise: Vec<f32> = (0..x.len())
                        .map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.5)
                        .collect();
                    let mut got = x.clone();
                    let mut shape = Shape::new(filter, channels, 16, level);
                    // In two parts: the errors carry over.
                    let half = frames / 2 * channels;
                    shape.run(&mut got[..half], &noise[..half]);
                    shape.run(&mut got[half..], &noise[half..]);
                    for c in 0..channels {
                        let mut past = vec![0.0; TAPS];
                        for f in 0..frames {
                            let i = f * channels + c;
                            let feedback: f64 =
                                filter.taps().iter().zip(&past).map(|(t, e)| t * e).sum();
                            let v = x[i] * 32768.0 - feedback;
                            let q = got[i] * 32768.0;
                            assert_eq!(q, q.round());
                            // Fused or not, the last digits of v differ: q is one of its neighbours.
                            assert!(
                                (q - (v + f64::from(noise[i]))).abs() < 0.5 + 1e-6,
                                "{filter:?} {level:?} {channels} frame {f}"
                            );
                            past.insert(0, q - v);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn wild_input_does_not_stay() {
        let mut shape = Shape::new(Filter::High, 1, 16, Level::best());
        let mut block = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300];
        shape.run(&mut block, &[0.0; 4]);
        let mut quiet = [0.0; 64];
        shape.run(&mut quiet, &[0.0; 64]);
        assert!(quiet.iter().all(|v| v.abs() < 32.0 / 32768.0));
    }
}
