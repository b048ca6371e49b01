// SPDX-License-Identifier: MIT

//! Silero's network (version 6, 16 kHz), streaming: four frames of a short-time Fourier transform,
//! four convolutions, a long short-term memory.

use std::sync::Arc;

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

use super::weights::{CONV1, CONV2, CONV3, CONV4, INPUT, RECURRENT, Rest, model};
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::compiled::compiled;
use crate::simd::network::{
    BINS, BLOCK, COLUMNS, FRAME, Inputs, PAIRS, add_sums, greatest, words_of,
};
use crate::vad::math::sane;
use crate::vad::model::Model;

/// Samples before a window that it also hears.
const CONTEXT: usize = 64;
/// Samples from a frame of the transform to the next.
const HOP: usize = 128;
/// Of the window, with its context and with as much again that mirrors its end.
const SAMPLES: usize = CONTEXT + Network::WINDOW + CONTEXT;
/// New samples that the first two frames of the transform need.
const EARLY: usize = HOP + FRAME - CONTEXT;
/// What stays below this amplitude is silence: -150 dBFS. Denormals would take a hundred times as
/// long.
const INAUDIBLE: f32 = 3e-8;

/// Silero's network. 512 samples of 16 kHz mono, of which 1 is full scale, give one logit: the
/// natural logarithm of the odds that there is speech in them, about 16 ms before them for the most
/// part.
///
/// The probabilities are those of the package silero-vad 6.2.3 to 0.01 (1.5e-4 in the mean), and to 0.03
/// for speech at -60 dBFS or under loud offsets and hum: that is what rounding its weights, and what
/// goes from layer to layer, to 16 bits does. Sums of products are exact, so that instruction sets
/// agree to 1e-5.
///
/// ```
/// use rustaudio_dsp::vad::silero::Network;
///
/// let mut network = Network::new();
/// let logit = network.window(&[0.0; Network::WINDOW]);
/// let probability = 1.0 / (1.0 + (-logit).exp());
/// assert!(probability < 0.05);
/// ```
///
/// Samples may come in pieces, so that the work spreads over them: the recurrent half of the memory
/// is computed with the first piece of a window, the transform of its first half as soon as that is
/// there. [`hidden`](Self::hidden) is what to build on besides the logit. Pieces
/// do not matter to the bits of either.
pub struct Network {
    level: Level,
    model: Arc<Model<Rest>>,
    state: Box<State>,
}

impl Network {
    /// Samples per second.
    pub const RATE: u32 = 16_000;
    /// Samples of a window: 32 ms.
    pub const WINDOW: usize = 512;
    /// Length of the hidden state.
    pub const UNITS: usize = 128;

    /// As at the start of a recording. Networks share their weights.
    pub fn new() -> Self {
        Self::at(Level::best())
    }

    /// As [`new`](Self::new) with the instruction set of `level`.
    pub fn at(level: Level) -> Self {
        Self {
            level,
            model: model(level),
            state: Box::new(State::new()),
        }
    }

    /// Starts again as at the start of a recording.
    pub fn reset(&mut self) {
        self.restart();
        (self.state.hidden, self.state.cell) = ([0.0; Self::UNITS], [0.0; Self::UNITS]);
    }

    /// Forgets the samples, not what has been learnt from them: the next one begins a window, with
    /// silence before it.
    pub fn restart(&mut self) {
        let state = &mut *self.state;
        state.samples = [0.0; SAMPLES];
        (state.filled, state.recurrent, state.early) = (0, false, false);
    }

    /// Samples of the window that is being filled.
    pub fn filled(&self) -> usize {
        self.state.filled
    }

    /// Takes at most [`WINDOW`](Self::WINDOW) samples, and gives the logit of the window that they
    /// complete, if any; what goes beyond it begins the next.
    ///
    /// What is not a number counts as 0, and what is 24 dB over full scale is clipped.
    ///
    /// # Panics
    /// If there are more samples.
    pub fn push(&mut self, samples: &[f32]) -> Option<f32> {
        assert!(samples.len() <= Self::WINDOW, "more than one window");
        let (now, later) = samples.split_at(samples.len().min(Self::WINDOW - self.state.filled));
        let (state, model) = (&mut *self.state, &*self.model);
        compiled(
            self.level,
            #[inline(always)]
            || {
                state.take(now);
                let logit = state.advance(model);
                state.take(later);
                logit
            },
        )
    }

    /// The logit of a whole window, which begins where the last one ended; samples of one that was
    /// not completed are forgotten.
    pub fn window(&mut self, samples: &[f32; Self::WINDOW]) -> f32 {
        self.state.filled = 0;
        self.state.early = false;
        // A whole window is always complete.
        self.push(samples).unwrap_or(f32::NEG_INFINITY)
    }

    /// The memory's output after the last window, each between -1 and 1; zeros before there was one.
    /// The logit is a weighted sum of its positive part.
    pub fn hidden(&self) -> &[f32; Self::UNITS] {
        &self.state.hidden
    }

    /// Bytes held, those that all networks share left out.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + size_of::<State>()
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

/// What all networks share beside weights.
struct Transform {
    fft: Arc<dyn Fft<f32>>,
    /// Periodic Hann.
    window: [f32; FRAME],
}

impl Transform {
    fn shared() -> Arc<Self> {
        static SHARED: Shared<(), Transform> = Shared::new();
        SHARED.get_always((), || Self {
            fft: FftPlanner::new().plan_fft_forward(FRAME),
            window: std::array::from_fn(|n| {
                let turn = std::f64::consts::TAU * n as f64 / FRAME as f64;
                (0.5 - 0.5 * turn.cos()) as f32
            }),
        })
    }

    /// Magnitudes of the two frames that `samples` begin with, by one complex transform of both; the greatest
    /// of them.
    #[inline(always)]
    fn magnitudes(&self, samples: &[f32], model: &Model<Rest>, of: &mut Magnitudes) -> f32 {
        let zero = Complex32::default();
        let (mut bins, mut scratch) = ([zero; FRAME], [zero; FRAME]);
        let both = samples.iter().zip(&samples[HOP..]);
        for ((z, (a, b)), w) in bins.iter_mut().zip(both).zip(&self.window) {
            *z = Complex32::new(a * w, b * w);
        }
        self.fft.process_with_scratch(&mut bins, &mut scratch);
        (model.kernels.magnitudes)(&bins, &model.floats.gains, of)
    }
}

/// What outlives a piece of samples; all else is on the stack.
struct State {
    transform: Arc<Transform>,
    filled: usize,
    /// `gates` holds what the hidden state gives to the next window.
    recurrent: bool,
    /// `magnitudes` and `greatest` hold those of the first two frames.
    early: bool,
    greatest: f32,
    /// The context and the window that is being filled, its end mirrored once it is complete.
    samples: [f32; SAMPLES],
    magnitudes: Magnitudes,
    gates: [f32; 512],
    hidden: [f32; Network::UNITS],
    cell: [f32; Network::UNITS],
}

/// Of two frames of the transform.
type Magnitudes = [[f32; BINS]; 2];
/// Outputs of the first layer at the frames.
type Columns = [[f32; 128]; COLUMNS];

impl State {
    fn new() -> Self {
        Self {
            transform: Transform::shared(),
            filled: 0,
            recurrent: false,
            early: false,
            greatest: 0.0,
            samples: [0.0; SAMPLES],
            magnitudes: [[0.0; BINS]; 2],
            gates: [0.0; 512],
            hidden: [0.0; Network::UNITS],
            cell: [0.0; Network::UNITS],
        }
    }

    /// Takes up samples that belong to the window which is being filled.
    #[inline(always)]
    fn take(&mut self, samples: &[f32]) {
        let to = &mut self.samples[CONTEXT + self.filled..][..samples.len()];
        for (y, x) in to.iter_mut().zip(samples) {
            *y = sane(*x);
        }
        if to.iter().all(|y| y.abs() < INAUDIBLE) {
            to.fill(0.0);
        }
        self.filled += samples.len();
    }

    /// Does what the samples suffice for; the logit where they complete the window.
    #[inline(always)]
    fn advance(&mut self, model: &Model<Rest>) -> Option<f32> {
        if !self.recurrent {
            self.recur(model);
        }
        if !self.early && self.filled >= EARLY {
            let of = &mut self.magnitudes;
            self.greatest = self.transform.magnitudes(&self.samples, model, of);
            self.early = true;
        }
        (self.filled == Network::WINDOW).then(|| self.finish(model))
    }

    /// What the hidden state gives to the gates.
    #[inline(always)]
    fn recur(&mut self, model: &Model<Rest>) {
        self.gates = model.floats.input.biases;
        let mut inputs = Inputs::default();
        // None of the hidden state exceeds 1.
        inputs.set(&self.hidden, 1.0);
        let scales = &model.floats.recurrent;
        model.add_to(RECURRENT, &inputs, scales, &mut self.gates);
        self.recurrent = true;
    }

    /// The rest, from the transform of the last two frames on; the logit.
    #[inline(always)]
    fn finish(&mut self, model: &Model<Rest>) -> f32 {
        const END: usize = CONTEXT + Network::WINDOW;
        for i in 0..CONTEXT {
            self.samples[END + i] = self.samples[END - 2 - i];
        }
        let mut late = [[0.0; BINS]; 2];
        let samples = &self.samples[2 * HOP..];
        let greatest = self.transform.magnitudes(samples, model, &mut late);
        self.samples.copy_within(Network::WINDOW..END, 0);
        let mut columns = [model.floats.conv1.biases; COLUMNS];
        self.convolve(model, &late, greatest, &mut columns);
        let inputs = encode(model, &mut columns);
        self.decode(model, &inputs)
    }

    /// The first layer: from magnitudes, those of the last two frames being `late` and their greatest
    /// `greatest`, to columns, which begin with its biases.
    #[inline(always)]
    fn convolve(&self, model: &Model<Rest>, late: &Magnitudes, greatest: f32, to: &mut Columns) {
        let most = self.greatest.max(greatest);
        let (mut words, mut unit) = ([[0; PAIRS]; COLUMNS], 0.0);
        for (words, frame) in words.iter_mut().zip(self.magnitudes.iter().chain(late)) {
            unit = words_of(frame, most, words);
        }
        for block in 0..2 {
            let mut sums = [[0; BLOCK]; COLUMNS];
            let weights = [0, 1, 2].map(|tap| model.words(CONV1, block, tap));
            (model.kernels.columns)(weights, &words, &mut sums);
            let outputs = block * BLOCK..(block + 1) * BLOCK;
            let scales = &model.floats.conv1.scales[outputs.clone()];
            for (column, sums) in to.iter_mut().zip(&sums) {
                add_sums(sums, unit, scales, &mut column[outputs.clone()]);
            }
        }
    }

    /// The memory takes `inputs` in.
    #[inline(always)]
    fn decode(&mut self, model: &Model<Rest>, inputs: &Inputs) -> f32 {
        let floats = &model.floats;
        model.add_to(INPUT, inputs, &floats.input.scales, &mut self.gates);
        let gates: [&[f32]; 4] =
            std::array::from_fn(|gate| &self.gates[gate * Network::UNITS..][..Network::UNITS]);
        (model.kernels.gates)(gates, &mut self.cell, &mut self.hidden);
        (self.filled, self.recurrent, self.early) = (0, false, false);
        let mut lanes = [0f32; 16];
        let output = self
            .hidden
            .as_chunks()
            .0
            .iter()
            .zip(floats.output.as_chunks().0);
        for (h, w) in output {
            let (h, w): (&[f32; 16], &[f32; 16]) = (h, w);
            for (lane, (h, w)) in lanes.iter_mut().zip(h.iter().zip(w)) {
                *lane += h.max(0.0) * w;
            }
        }
        lanes.iter().sum::<f32>() + floats.offset
    }
}

/// The other convolutions: from four columns to what the gates take in.
#[inline(always)]
fn encode(model: &Model<Rest>, columns: &mut Columns) -> Inputs {
    let floats = &model.floats;
    let mut inputs = Inputs::default();
    // Output column and tap that each column of inputs meets, two to a step.
    const MEETS: [&[(usize, usize)]; 4] = [&[(0, 1)], &[(0, 2), (1, 0)], &[(1, 1)], &[(1, 2)]];
    let most = rectify(columns.as_flattened_mut());
    let mut sums = [[0; 64]; 2];
    for (column, meets) in columns.iter().zip(MEETS) {
        inputs.set(column, most);
        for (to, tap) in meets {
            model.add(CONV2, *tap, &inputs, &mut sums[*to]);
        }
    }
    let mut second = [floats.conv2.biases; 2];
    for (column, sums) in second.iter_mut().zip(&sums) {
        add_sums(sums, inputs.unit(), &floats.conv2.scales, column);
    }
    let most = rectify(second.as_flattened_mut());
    let mut sums = [0; 64];
    for (tap, column) in second.iter().enumerate() {
        inputs.set(column, most);
        model.add(CONV3, tap, &inputs, &mut sums);
    }
    let mut third = floats.conv3.biases;
    add_sums(&sums, inputs.unit(), &floats.conv3.scales, &mut third);
    let most = rectify(&mut third);
    inputs.set(&third, most);
    let mut fourth = floats.conv4.biases;
    model.add_to(CONV4, &inputs, &floats.conv4.scales, &mut fourth);
    let most = rectify(&mut fourth);
    inputs.set(&fourth, most);
    inputs
}

/// Of all below zero makes zero; the greatest.
#[inline(always)]
fn rectify(x: &mut [f32]) -> f32 {
    x.iter_mut().for_each(|x| *x = x.max(0.0));
    greatest(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts of a gliding sawtooth over faint noise: 62 windows.
    fn sound() -> Vec<f32> {
        let (mut seed, mut phase) = (1u32, 0f32);
        (0..62 * Network::WINDOW)
            .map(|i| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                phase = (phase + 0.008 + 0.003 * (i as f32 / 4000.0).sin()).fract();
                let on = f32::from(u8::from(i % 8000 < 5000));
                on * (phase - 0.5) * 0.4 + (seed >> 8) as f32 * 1e-10
            })
            .collect()
    }

    /// Each window's logit, and the hidden state after it.
    fn run(level: Level, x: &[f32], mut piece: impl FnMut() -> usize) -> Vec<(f32, Vec<f32>)> {
        let mut network = Network::at(level);
        let (mut out, mut done) = (Vec::new(), 0);
        while done < x.len() {
            let n = piece().min(x.len() - done);
            let logit = network.push(&x[done..done + n]);
            out.extend(logit.map(|logit| (logit, network.hidden().to_vec())));
            done += n;
        }
        out
    }

    #[test]
    fn pieces_do_not_matter_to_a_bit() {
        let x = sound();
        let whole = run(Level::best(), &x, || Network::WINDOW);
        assert_eq!(whole.len(), 62);
        let known = whole.iter().map(|(logit, _)| *logit);
        let (low, high) = known.fold((0f32, -99f32), |(a, b), l| (a.min(l), b.max(l)));
        assert!(low < -3.0 && high > -2.0, "says nothing: {low} to {high}");
        let mut seed = 3usize;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % 513
        };
        assert_eq!(run(Level::best(), &x, &mut random), whole);
        for n in [1, 160, 511] {
            assert_eq!(run(Level::best(), &x, || n), whole, "{n} at a time");
        }
    }

    #[test]
    fn levels_agree() {
        let x = sound();
        let reference = run(Level::PORTABLE, &x, || Network::WINDOW);
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        for level in Level::available() {
            for ((a, g), (b, h)) in run(level, &x, || 160).iter().zip(&reference) {
                assert!(
                    (sigmoid(*a) - sigmoid(*b)).abs() < 1e-5,
                    "{level:?}: {a} for {b}"
                );
                for (g, h) in g.iter().zip(h) {
                    assert!((g - h).abs() < 1e-4, "{level:?}: {g} for {h}");
                }
            }
        }
    }

    #[test]
    fn a_reset_forgets_all_and_a_restart_the_samples() {
        let x = sound();
        let (first, mut network) = (run(Level::best(), &x, || 160), Network::new());
        let logits = |network: &mut Network| {
            let pieces = x.chunks(Network::WINDOW);
            pieces.filter_map(|x| network.push(x)).collect::<Vec<_>>()
        };
        let known: Vec<f32> = first.iter().map(|(logit, _)| *logit).collect();
        assert_eq!(logits(&mut network), known);
        network.push(&x[..400]);
        network.reset();
        assert_eq!(logits(&mut network), known);
        network.push(&x[..400]);
        network.restart();
        assert_eq!(network.filled(), 0);
        let again = logits(&mut network);
        assert_eq!(again.len(), known.len());
        assert_ne!(again[0], known[0], "the state stays");
    }

    #[test]
    fn nothing_hostile_gets_into_the_state() {
        for level in Level::available() {
            for x in [0.0, 1e-40, f32::NAN, f32::NEG_INFINITY, f32::MAX, -1.0] {
                let mut network = Network::at(level);
                for _ in 0..40 {
                    assert!(network.window(&[x; Network::WINDOW]).is_finite(), "{x}");
                }
                let state = network.state.hidden.iter().chain(&network.state.cell);
                for s in state {
                    assert!(s.is_finite() && (*s == 0.0 || s.is_normal()), "{x}: {s}");
                }
            }
        }
    }

    #[test]
    #[should_panic = "more than one window"]
    fn more_than_a_window_at_a_time_is_refused() {
        Network::new().push(&[0.0; Network::WINDOW + 1]);
    }

    #[test]
    fn a_network_is_small() {
        let bytes = Network::new().memory();
        assert!(bytes < 7_000, "{bytes}");
    }
}
