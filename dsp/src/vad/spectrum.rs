// SPDX-License-Identifier: MIT

//! From samples to band energies: high-pass, window, FFT, mel bands.

use std::sync::Arc;

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

use super::math::{dot, sane};
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::power::{Power, power};

/// Frames per second of the analysis.
pub const FRAME_RATE: u32 = 100;
/// Most bands that a plan has.
pub const MAX_BANDS: usize = 16;
/// Width of a bin of the spectrum in Hz: the same for all plans.
pub const BIN_HZ: f32 = 31.25;

/// Hops that stay below this amplitude are silence: -150 dBFS.
const INAUDIBLE: f32 = 3e-8;

/// The rate that the analysis runs at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// 16 kHz, 16 bands up to 7600 Hz.
    Wide,
    /// 8 kHz, 12 bands up to 3800 Hz.
    Narrow,
}

impl Plan {
    /// The plan for audio of `rate` Hz: the widest that its band fills.
    pub fn for_rate(rate: u32) -> Self {
        if rate >= 16_000 {
            Self::Wide
        } else {
            Self::Narrow
        }
    }

    /// Samples per second.
    pub const fn rate(self) -> u32 {
        match self {
            Self::Wide => 16_000,
            Self::Narrow => 8_000,
        }
    }

    /// Samples from frame to frame: 10 ms.
    pub const fn hop(self) -> usize {
        (self.rate() / FRAME_RATE) as usize
    }

    /// Samples of the analysis window: 32 ms.
    pub const fn window(self) -> usize {
        self.rate() as usize * 32 / 1000
    }

    /// Frequencies of the spectrum.
    pub const fn bins(self) -> usize {
        self.window() / 2 + 1
    }

    /// Bands that they are summed into.
    pub const fn bands(self) -> usize {
        match self {
            Self::Wide => 16,
            Self::Narrow => 12,
        }
    }

    const fn top_hz(self) -> f32 {
        match self {
            Self::Wide => 7600.0,
            Self::Narrow => 3800.0,
        }
    }
}

/// 2nd-order Butterworth high-pass at 70 Hz (bilinear transform), transposed direct form II.
#[derive(Clone, Debug)]
struct HighPass {
    b: [f32; 3],
    a: [f32; 2],
    state: [f32; 2],
}

impl HighPass {
    fn new(cutoff: f64, rate: f64) -> Self {
        let k = (std::f64::consts::PI * cutoff / rate).tan();
        let norm = 1.0 / (1.0 + std::f64::consts::SQRT_2 * k + k * k);
        let b0 = norm as f32;
        Self {
            b: [b0, -2.0 * b0, b0],
            a: [
                (2.0 * (k * k - 1.0) * norm) as f32,
                ((1.0 - std::f64::consts::SQRT_2 * k + k * k) * norm) as f32,
            ],
            state: [0.0; 2],
        }
    }

    fn run(&mut self, samples: &mut [f32]) {
        let [b0, b1, b2] = self.b;
        let [a1, a2] = self.a;
        let [mut s0, mut s1] = self.state;
        for x in samples {
            let out = b0 * *x + s0;
            s0 = b1 * *x - a1 * out + s1;
            s1 = b2 * *x - a2 * out;
            *x = out;
        }
        self.state = [s0, s1];
    }
}

/// Triangles on the mel scale, each summing to 1.
struct Bands {
    /// First bin and range in `weights` of each band.
    rows: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<f32>,
    centres: Vec<f32>,
}

impl Bands {
    fn new(plan: Plan) -> Self {
        let mel = |hz: f32| 2595.0 * (1.0 + hz / 700.0).log10();
        let hz = |mel: f32| 700.0 * (10f32.powf(mel / 2595.0) - 1.0);
        let (low, high) = (mel(80.0), mel(plan.top_hz()));
        let edge = |i: usize| hz(low + (high - low) * i as f32 / (plan.bands() + 1) as f32);
        let mut bands = Self {
            rows: Vec::new(),
            weights: Vec::new(),
            centres: Vec::new(),
        };
        for b in 0..plan.bands() {
            let (l, c, r) = (edge(b), edge(b + 1), edge(b + 2));
            let row: Vec<f32> = (0..plan.bins())
                .map(|k| {
                    let f = k as f32 * BIN_HZ;
                    ((f - l) / (c - l)).min((r - f) / (r - c)).max(0.0)
                })
                .collect();
            let first = row.iter().position(|w| *w > 0.0).unwrap_or(0);
            let last = row.iter().rposition(|w| *w > 0.0).unwrap_or(0);
            let sum: f32 = row.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            let start = bands.weights.len();
            bands
                .weights
                .extend(row[first..=last].iter().map(|w| w / sum));
            bands.rows.push((first, start..bands.weights.len()));
            bands.centres.push(c);
        }
        bands
    }
}

/// What all spectra of one plan share.
struct Tables {
    /// Periodic Hann.
    window: Vec<f32>,
    /// Of half the window's length: two samples are one complex number.
    fft: Arc<dyn Fft<f32>>,
    /// What the frequencies of odd samples are turned by against those of even ones.
    turns: Vec<Complex32>,
    /// From the transform of pairs of samples to the power of each frequency.
    power: Power,
    scale: f32,
    mel: Bands,
}

impl Tables {
    fn new(plan: Plan) -> Self {
        let n = plan.window();
        let window: Vec<f32> = (0..n)
            .map(|i| (0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n as f64).cos()) as f32)
            .collect();
        let squares: f32 = window.iter().map(|w| w * w).sum();
        let turn = |k: usize| {
            let angle = -std::f64::consts::TAU * k as f64 / n as f64;
            Complex32::new(angle.cos() as f32, angle.sin() as f32)
        };
        Self {
            fft: FftPlanner::new().plan_fft_forward(n / 2),
            turns: (0..n / 4).map(turn).collect(),
            power: power(Level::best()),
            scale: 2.0 / (n as f32 * squares),
            window,
            mel: Bands::new(plan),
        }
    }
}

/// Of the plan with the longest window.
const MAX_WINDOW: usize = Plan::Wide.window();
const MAX_BINS: usize = Plan::Wide.bins();

const ZERO: Complex32 = Complex32::new(0.0, 0.0);
/// Room for the transform of the longest window.
pub type Pairs = [Complex32; MAX_WINDOW / 2];
/// Room for its power.
pub type Powers = [f32; MAX_BINS];

/// What a frame is computed in, on the stack: none of it outlives the frame, and a stream that takes turns with
/// others finds in no cache what it holds itself.
pub struct Work<'a> {
    /// Windowed samples in pairs, then their transform.
    pub pairs: &'a mut Pairs,
    pub scratch: &'a mut Pairs,
    /// `2 |X_k|^2 / (n sum w^2)`: sums to the mean square of the windowed samples; beyond the plan's bins
    /// nothing is written.
    pub power: &'a mut Powers,
}

/// Calls `job` with room for a frame's work.
#[inline(always)]
pub fn with_work<R>(job: impl FnOnce(&mut Work<'_>) -> R) -> R {
    // Each by itself: more than 2 KiB at once are cleared slowly.
    let (mut pairs, mut scratch) = ([ZERO; MAX_WINDOW / 2], [ZERO; MAX_WINDOW / 2]);
    let mut power = [0.0; MAX_BINS];
    job(&mut Work {
        pairs: &mut pairs,
        scratch: &mut scratch,
        power: &mut power,
    })
}

/// Turns 10 ms of samples at a time into a power spectrum and band energies.
pub struct Spectrum {
    plan: Plan,
    high_pass: Option<HighPass>,
    tables: Arc<Tables>,
    filled: usize,
    /// Energy of each band; the rest of the array is 0.
    pub energy: [f32; MAX_BANDS],
    /// The last `window` samples, at the front.
    history: [f32; MAX_WINDOW],
}

impl Spectrum {
    /// Of samples through a high-pass at 70 Hz.
    pub fn new(plan: Plan) -> Self {
        Self {
            high_pass: Some(HighPass::new(70.0, f64::from(plan.rate()))),
            ..Self::unfiltered(plan)
        }
    }

    /// Of the samples as they are: the window keeps an offset in the two lowest bins.
    pub fn unfiltered(plan: Plan) -> Self {
        static TABLES: Shared<Plan, Tables> = Shared::new();
        let tables = TABLES.get_always(plan, || Tables::new(plan));
        Self {
            plan,
            high_pass: None,
            tables,
            filled: 0,
            energy: [0.0; MAX_BANDS],
            history: [0.0; MAX_WINDOW],
        }
    }

    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// Centre frequencies of the bands, in Hz.
    pub fn centres(&self) -> &[f32] {
        &self.tables.mel.centres
    }

    /// Bands whose centres lie from `low` to `high` Hz.
    pub fn between(&self, low: f32, high: f32) -> std::ops::Range<usize> {
        let inside = |hz: &f32| (low..=high).contains(hz);
        let first = self.centres().iter().position(inside).unwrap_or(0);
        let last = self.centres().iter().rposition(inside);
        first..last.map_or(first, |last| last + 1)
    }

    pub fn window(&self) -> &[f32] {
        &self.tables.window
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        if let Some(filter) = &mut self.high_pass {
            filter.state = [0.0; 2];
        }
        self.history.fill(0.0);
        self.filled = 0;
    }

    /// Takes one hop of samples; true if a whole window has been seen. What is not a number counts as 0
    /// and what is far beyond full scale is clipped.
    #[inline(always)]
    pub fn take(&mut self, hop: &[f32]) -> bool {
        let n = hop.len();
        let history = &mut self.history[..self.plan.window()];
        let start = history.len() - n;
        history.copy_within(n.., 0);
        let filtered = &mut history[start..];
        for (y, x) in filtered.iter_mut().zip(hop) {
            *y = sane(*x);
        }
        if let Some(filter) = &mut self.high_pass {
            filter.run(filtered);
        }
        // The tail of the filter in digital silence ends in denormals, which take a hundred times
        // as long; what is below the last bit of 24 ends here.
        if filtered.iter().all(|y| y.abs() < INAUDIBLE) {
            filtered.fill(0.0);
            if let Some(filter) = &mut self.high_pass {
                filter.state = [0.0; 2];
            }
        }
        let window = self.plan.window();
        self.filled = (self.filled + n).min(window);
        self.filled == window
    }

    /// The spectrum of what the window holds, silence where nothing came yet: its power in `work`.
    #[inline(always)]
    pub fn transform(&mut self, work: &mut Work<'_>) {
        let tables = &*self.tables;
        let pairs = &mut work.pairs[..self.plan.window() / 2];
        let windowed = self.history.as_chunks().0.iter();
        for ((z, [a, b]), [v, w]) in pairs
            .iter_mut()
            .zip(windowed)
            .zip(tables.window.as_chunks().0)
        {
            *z = Complex32::new(a * v, b * w);
        }
        tables.fft.process_with_scratch(pairs, work.scratch);
        let power = &mut work.power[..self.plan.bins()];
        (tables.power)(pairs, &tables.turns, tables.scale, power);
        for (e, (first, range)) in self.energy.iter_mut().zip(&tables.mel.rows) {
            let weights = &tables.mel.weights[range.clone()];
            *e = 8.0 * dot(weights, &power[*first..][..weights.len()]) + 1e-9;
        }
    }
}
