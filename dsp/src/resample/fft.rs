// SPDX-License-Identifier: MIT

//! The frequency-domain engine: overlap-save with transforms of different sizes on the two sides.
//!
//! A window of `units * m` input frames is transformed, the spectrum below the lower Nyquist
//! frequency is multiplied by the filter's, and a transform of `units * l` points brings it back at
//! the output's rate. What the filter mixes across the window's ends is dropped, so that the outputs of
//! `hop` units are kept, and windows overlap by the rest. The filter is symmetric, so its spectrum is
//! real. Each window is transformed by itself, as a complex one of half its length (`resample_turn`).
//! Two windows would fit one complex transform as its real and imaginary part, but wait for each other;
//! two channels would leak into each other by rounding, and a NaN in one would be in both.

use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftNum, FftPlanner};

use super::design::kaiser_response;
use super::engine::{Engine, Output, Rounded};
use super::fifo::View;
use super::ratio::{Position, Ratio};
use super::rounds::{Rounds, dropped};
use super::table::FromF64;
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::resample::turn_kernels;
use crate::simd::resample_pass::Grouped;
use crate::simd::resample_turn::{TurnKernels, Turns, pack};

/// Sizes of the transforms, in units of the ratio's smallest: `m` input and `l` output frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// The whole window; even.
    pub units: u64,
    /// What a window gives output for, from its middle.
    pub hop: u64,
}

impl Size {
    /// Input frames after an output's position that it waits for, at worst.
    pub fn latency(self, ratio: Ratio) -> u64 {
        Rounds::of_windows(ratio, self.units, self.hop).latency()
    }

    /// Half the length of the longest filter that leaves alone what is kept, in frames of the lower rate.
    pub fn reach(self, ratio: Ratio) -> f64 {
        let dropped = dropped(ratio, self.units, self.hop) as f64;
        dropped * ratio.l.min(ratio.m) as f64 / ratio.l as f64
    }
}

/// Kaiser's parameter for a stop band of -145 dB.
const BETA: f64 = 0.1102 * (145.0 - 8.7);
/// Where that filter's response reaches -140 dB, above its cutoff, and -1 dB, below it: in parts of
/// its length's inverse, as a fraction of the Nyquist frequency that the length counts frames of.
const STOP: f64 = 9.5;
const EDGE: f64 = 3.0;

/// Frames at the lower of the two rates that a filter must be long for its pass band (to -1 dB) to
/// end at `edge` of the lower Nyquist frequency, where its stop band begins at 1.
pub fn filter_frames(edge: f64) -> f64 {
    (STOP + EDGE) / (1.0 - edge)
}

/// Transforms and filter of one ratio and size.
pub struct Transforms<T> {
    forward: Arc<dyn Fft<T>>,
    inverse: Arc<dyn Fft<T>>,
    input: Turns<T>,
    output: Turns<T>,
    /// The filter's spectrum over the kept frequencies from the first on, which is the highest below 0,
    /// each value twice, to be multiplied with complex numbers as they lie.
    low: Vec<[T; 2]>,
    /// The same over those below.
    high: Vec<[T; 2]>,
}

/// The transforms in use.
pub type Planned<T> = Shared<(Ratio, Size), Transforms<T>>;

/// `f32` and `f64`.
pub trait Transformed: Grouped<Sum = Self> + FftNum + FromF64 {
    /// The transforms in use.
    fn transforms() -> &'static Planned<Self>;
}

macro_rules! transformed {
    ($t:ty) => {
        impl Transformed for $t {
            fn transforms() -> &'static Planned<Self> {
                static TRANSFORMS: Planned<$t> = Planned::new();
                &TRANSFORMS
            }
        }
    };
}

transformed!(f32);
transformed!(f64);

impl<T: Transformed> Transforms<T> {
    fn new(ratio: Ratio, size: Size) -> Self {
        let [n_in, n_out] = [ratio.m, ratio.l].map(|n| (size.units * n / 2) as usize);
        let spectrum = spectrum(ratio, size);
        // Strictly below the lower Nyquist frequency, which cuts off what the filter leaves there, 140 dB down.
        let kept = n_in.min(n_out);
        let low = kept / 2 + 1;
        let pairs = |h: &[f64]| h.iter().map(|h| [T::nearest(*h); 2]).collect();
        let mut planner = FftPlanner::new();
        Self {
            forward: planner.plan_fft_forward(n_in),
            inverse: planner.plan_fft_inverse(n_out),
            input: Turns::new(n_in, T::nearest),
            output: Turns::new(n_out, T::nearest),
            low: pairs(&spectrum[..low]),
            high: pairs(&spectrum[n_in - (kept - low)..]),
        }
    }

    /// The filter applied: spectrum `x` of a window to the spectrum `y` of its output.
    fn filter(&self, kernels: &TurnKernels<T>, x: &[Complex<T>], y: &mut [Complex<T>]) {
        let (low, high) = (self.low.len(), self.high.len());
        let end = y.len() - high;
        (kernels.scale)(&x[..low], &self.low, &mut y[..low]);
        y[low..end].fill(Complex::default());
        (kernels.scale)(&x[x.len() - high..], &self.high, &mut y[end..]);
    }

    /// Bytes held, with about as many of twiddle factors as there are points.
    fn memory(&self) -> usize {
        let points = self.forward.len() + self.inverse.len();
        2 * points * size_of::<Complex<T>>()
            + (self.low.len() + self.high.len()) * size_of::<[T; 2]>()
    }
}

/// The filter's real spectrum at the frequencies of the input's transform, over its size, which the
/// transforms leave out.
fn spectrum(ratio: Ratio, size: Size) -> Vec<f64> {
    let n = (size.units * ratio.m) as usize;
    let narrow = ratio.l.min(ratio.m) as f64 / ratio.m as f64;
    let half = size.reach(ratio) / narrow;
    // Of the input's Nyquist frequency: the stop band begins at the lower one.
    let cutoff = narrow - STOP / (2.0 * half);
    let mut right = vec![0.0; half.ceil() as usize];
    kaiser_response(cutoff, BETA, half).fill(0.0, &mut right);
    let mut taps = vec![0.0; n];
    let mut sum = right[0];
    taps[0] = right[0];
    for (i, tap) in right.into_iter().enumerate().skip(1) {
        taps[i] = tap;
        // What wraps around changes its sign.
        taps[n - i] = -tap;
        sum += 2.0 * tap;
    }
    let mut packed = vec![Complex::default(); n / 2];
    pack(&taps, &Turns::new(n / 2, |v| v), &mut packed);
    FftPlanner::new()
        .plan_fft_forward(n / 2)
        .process(&mut packed);
    let gain = 1.0 / (sum * (n / 2) as f64);
    packed.iter().map(|h| h.re * gain).collect()
}

/// Windows start at fixed places of the input, so any chopping of it gives the same bits.
pub struct Blocks<T> {
    ratio: Ratio,
    size: Size,
    plan: Arc<Transforms<T>>,
    kernels: TurnKernels<T>,
    packed: Vec<Complex<T>>,
    spectrum: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
    /// Of each channel, what is kept of the running window.
    outputs: Vec<Vec<T>>,
    rounds: Rounds,
}

impl<T: Transformed> Blocks<T> {
    pub fn new(ratio: Ratio, size: Size, channels: usize, level: Level) -> Self {
        let plan = T::transforms().get_always((ratio, size), || Transforms::new(ratio, size));
        let points = plan.forward.len().max(plan.inverse.len());
        let zeros = |n| vec![Complex::<T>::default(); n];
        let scratch = plan
            .forward
            .get_outofplace_scratch_len()
            .max(plan.inverse.get_outofplace_scratch_len());
        let kept = (size.hop * ratio.l) as usize;
        Self {
            ratio,
            size,
            plan,
            kernels: turn_kernels(level),
            packed: zeros(points),
            spectrum: zeros(points),
            scratch: zeros(scratch),
            outputs: vec![vec![T::default(); kept]; channels],
            // A round is a window of each channel.
            rounds: Rounds::of_windows(ratio, size.units, size.hop),
        }
    }

    /// Runs the next round.
    fn transform(&mut self, input: &View<'_, T>) {
        let Self { plan, kernels, .. } = self;
        let at = self.rounds.start() - self.rounds.before();
        let skip = dropped(self.ratio, self.size.units, self.size.hop) as usize;
        let (n_in, n_out) = (plan.forward.len(), plan.inverse.len());
        let next = at + 2 * n_in as i64;
        let hop = (self.size.hop * self.ratio.m) as i64;
        for (channel, output) in self.outputs.iter_mut().enumerate() {
            // Memory is slower than the first cache; it may work meanwhile.
            let expect = |part: i64| {
                input.expect(channel, next + hop * part / 4..next + hop * (part + 1) / 4)
            };
            let (packed, spectrum) = (&mut self.packed[..n_in], &mut self.spectrum[..n_in]);
            (kernels.pack)(input.window(channel, at, 2 * n_in), &plan.input, packed);
            expect(0);
            plan.forward
                .process_outofplace_with_scratch(packed, spectrum, &mut self.scratch);
            expect(1);
            let filtered = &mut self.packed[..n_out];
            plan.filter(kernels, spectrum, filtered);
            expect(2);
            let made = &mut self.spectrum[..n_out];
            plan.inverse
                .process_outofplace_with_scratch(filtered, made, &mut self.scratch);
            expect(3);
            (kernels.unpack)(made, &plan.output, skip, output);
        }
        self.rounds.turn();
    }
}

impl<T: Transformed> Engine<T> for Blocks<T> {
    fn latency(&self) -> u64 {
        self.rounds.latency()
    }

    fn back(&self) -> usize {
        self.rounds.back()
    }

    fn slack(&self) -> usize {
        0
    }

    fn needed_from(&self) -> i64 {
        self.rounds.start() - self.rounds.before()
    }

    fn seek(&mut self, position: Position) {
        self.rounds.seek(position);
    }

    fn position(&self) -> Position {
        self.rounds.position()
    }

    fn frame(&self) -> i64 {
        self.rounds.frame()
    }

    fn available(&self, last: i64) -> u64 {
        self.rounds.available(last)
    }

    fn ready(&self, end: i64) -> u64 {
        self.rounds.ready(end)
    }

    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T>, frames: usize) {
        self.run_at(input, out, 0, frames);
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        let outputs: usize = self.outputs.iter().map(Vec::len).sum();
        let points = self.packed.len() + self.spectrum.len() + self.scratch.len();
        points * size_of::<Complex<T>>() + outputs * size_of::<T>() + self.plan.memory()
    }
}

impl<T: Transformed> Rounded<T> for Blocks<T> {
    fn needed_to(&self, frames: u64) -> i64 {
        self.rounds.needed_to(frames)
    }

    fn run_at(
        &mut self,
        input: &View<'_, T>,
        out: &mut Output<'_, T>,
        mut at: usize,
        frames: usize,
    ) {
        let kept = (self.size.hop * self.ratio.l) as usize;
        let end = at + frames;
        while at < end {
            while self.rounds.is_due() {
                self.transform(input);
            }
            let from = self.rounds.offset();
            let take = (kept - from).min(end - at);
            let range = from..from + take;
            for (pair, outputs) in self.outputs.chunks(2).enumerate() {
                match outputs {
                    [a, b] => out.write_both(2 * pair, at, [&a[range.clone()], &b[range.clone()]]),
                    _ => out.write(2 * pair, at, &outputs[0][range.clone()]),
                }
            }
            at += take;
            self.rounds.advance(take);
        }
    }
}
