//! The frequency-domain engine: overlap-save with transforms of different sizes on the two sides.
//!
//! A window of `units * m` input frames is transformed, the spectrum below the lower Nyquist
//! frequency is multiplied by the filter's, and a transform of `units * l` points brings it back at
//! the output's rate. What the filter mixes across the window's ends, `margin * m` frames on either
//! side, is dropped; the windows overlap by that much. The filter is symmetric, so its spectrum is
//! real, and two windows of a channel travel as the real and the imaginary part of one complex transform
//! without any work to part them. Never two channels: they would leak into each other by rounding, and
//! a NaN in one would be in both.

use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftNum, FftPlanner};

use super::design::kaiser_response;
use super::engine::{Engine, Output};
use super::fifo::Fifo;
use super::ratio::{Position, Ratio};
use super::rounds::Rounds;
use super::table::FromF64;
use crate::shared::Shared;
use crate::simd::resample_pass::Grouped;

/// Sizes of the transforms, in units of the ratio's smallest: `m` input and `l` output frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// The whole window.
    pub units: u64,
    /// What is dropped on either side; half the filter.
    pub margin: u64,
}

impl Size {
    /// Units that a window gives output for.
    pub fn hop(self) -> u64 {
        self.units - 2 * self.margin
    }

    /// Input frames after an output's position that it waits for, at worst.
    pub fn latency(self, ratio: Ratio) -> u64 {
        (WINDOWS * self.hop() + self.margin) * ratio.m - 1
    }
}

/// Windows that are transformed together.
const WINDOWS: u64 = 2;

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
    /// The filter's spectrum over the kept positive frequencies from 0 on, each value twice, to be
    /// multiplied with complex numbers as they lie.
    positive: Vec<[T; 2]>,
    /// The same over the negative ones, the one nearest 0 last.
    negative: Vec<[T; 2]>,
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
        let (n_in, n_out) = (size.units * ratio.m, size.units * ratio.l);
        let (n_in, n_out) = (n_in as usize, n_out as usize);
        let spectrum = spectrum(ratio, size);
        // Strictly below half, which cuts off what the filter leaves there, 140 dB down: the middle of an even spectrum belongs to both signs.
        let kept = n_in.min(n_out).div_ceil(2);
        let pair = |h: &f64| [T::nearest(*h); 2];
        let mut planner = FftPlanner::new();
        Self {
            forward: planner.plan_fft_forward(n_in),
            inverse: planner.plan_fft_inverse(n_out),
            positive: spectrum[..kept].iter().map(pair).collect(),
            negative: spectrum[1..kept].iter().rev().map(pair).collect(),
        }
    }

    /// The filter applied: spectrum `x` of a window to the spectrum `y` of its output.
    fn filter(&self, x: &[Complex<T>], y: &mut [Complex<T>]) {
        let (low, high) = (self.positive.len(), self.negative.len());
        let scale = |to: &mut [Complex<T>], from: &[Complex<T>], by: &[[T; 2]]| {
            for ((to, from), by) in to.iter_mut().zip(from).zip(by) {
                *to = Complex::new(from.re * by[0], from.im * by[1]);
            }
        };
        let end = y.len() - high;
        scale(&mut y[..low], x, &self.positive);
        y[low..end].fill(Complex::default());
        scale(&mut y[end..], &x[x.len() - high..], &self.negative);
    }

    /// Bytes held, with about as many of twiddle factors as there are points.
    fn memory(&self) -> usize {
        let points = self.forward.len() + self.inverse.len();
        points * size_of::<Complex<T>>()
            + (self.positive.len() + self.negative.len()) * size_of::<[T; 2]>()
    }
}

/// The filter's real spectrum at the frequencies of the input transform, from 0 to half, over its
/// size, which the transforms leave out.
fn spectrum(ratio: Ratio, size: Size) -> Vec<f64> {
    let n = (size.units * ratio.m) as usize;
    let half = (size.margin * ratio.m) as f64;
    let narrow = ratio.l.min(ratio.m) as f64 / ratio.m as f64;
    // Of the input's Nyquist frequency: the stop band begins at the lower one.
    let cutoff = narrow - STOP / (2.0 * half);
    let mut taps = vec![Complex::new(0.0, 0.0); n];
    let mut sum = 0.0;
    let mut right = vec![0.0; half as usize];
    kaiser_response(cutoff, BETA, half).fill(0.0, &mut right);
    for (i, tap) in right.into_iter().enumerate() {
        taps[i].re = tap;
        sum += tap;
        if i > 0 {
            taps[n - i].re = tap;
            sum += tap;
        }
    }
    FftPlanner::new().plan_fft_forward(n).process(&mut taps);
    let gain = 1.0 / (sum * n as f64);
    taps[..n / 2 + 1].iter().map(|h| h.re * gain).collect()
}

/// Windows start at fixed places of the input, so any chopping of it gives the same bits.
pub struct Blocks<T> {
    ratio: Ratio,
    size: Size,
    plan: Arc<Transforms<T>>,
    input: Vec<Complex<T>>,
    spectrum: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
    /// Of each channel, the running windows: the first is the real part.
    outputs: Vec<Vec<Complex<T>>>,
    rounds: Rounds,
}

impl<T: Transformed> Blocks<T> {
    pub fn new(ratio: Ratio, size: Size, channels: usize) -> Self {
        let plan = T::transforms().get_always((ratio, size), || Transforms::new(ratio, size));
        let (n_in, n_out) = (plan.forward.len(), plan.inverse.len());
        let zeros = |n| vec![Complex::<T>::default(); n];
        let scratch = plan
            .forward
            .get_outofplace_scratch_len()
            .max(plan.inverse.get_outofplace_scratch_len());
        Self {
            ratio,
            size,
            input: zeros(n_in.max(n_out)),
            spectrum: zeros(n_in),
            scratch: zeros(scratch),
            outputs: vec![zeros(n_out); channels],
            plan,
            // A round is WINDOWS windows of each channel.
            rounds: Rounds::new(ratio, size.hop() * WINDOWS, 2 * size.margin),
        }
    }

    /// Runs the next round.
    fn transform(&mut self, fifo: &Fifo<T>) {
        let hop = (self.size.hop() * self.ratio.m) as i64;
        let at = self.rounds.start() - self.rounds.around();
        let (n_in, n_out) = (self.plan.forward.len(), self.plan.inverse.len());
        for (channel, output) in self.outputs.iter_mut().enumerate() {
            let [a, b] = [at, at + hop].map(|at| fifo.window(channel, at, n_in));
            for ((to, a), b) in self.input.iter_mut().zip(a).zip(b) {
                *to = Complex::new(*a, *b);
            }
            self.plan.forward.process_outofplace_with_scratch(
                &mut self.input[..n_in],
                &mut self.spectrum,
                &mut self.scratch,
            );
            let filtered = &mut self.input[..n_out];
            self.plan.filter(&self.spectrum, filtered);
            self.plan
                .inverse
                .process_outofplace_with_scratch(filtered, output, &mut self.scratch);
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
        self.rounds.start() - self.rounds.around()
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

    fn run(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        let hop = (self.size.hop() * self.ratio.l) as usize;
        let margin = (self.size.margin * self.ratio.l) as usize;
        let mut at = 0;
        while at < frames {
            while self.rounds.is_due() {
                self.transform(fifo);
            }
            let from = self.rounds.offset();
            let (window, from) = (from / hop, from % hop);
            let take = (hop - from).min(frames - at);
            let range = margin + from..margin + from + take;
            for (pair, outputs) in self.outputs.chunks(2).enumerate() {
                match outputs {
                    [a, b] => {
                        let both = [&a[range.clone()], &b[range.clone()]];
                        out.write_parts2(2 * pair, at, both, window);
                    }
                    _ => out.write_part(2 * pair, at, &outputs[0][range.clone()], window),
                }
            }
            at += take;
            self.rounds.advance(take);
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        let outputs = self.outputs.len() * self.plan.inverse.len();
        let points = self.input.len() + self.spectrum.len() + self.scratch.len() + outputs;
        points * size_of::<Complex<T>>() + self.plan.memory()
    }
}
