// SPDX-License-Identifier: MIT

//! Voicing: how periodic the spectrum above the noise is, and whether the period glides as that of
//! a voice does.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner};

use super::math::{decibel, exp2};
use super::spectrum::{BIN_HZ, MAX_BANDS, Plan, Spectrum, Work};
use crate::shared::Shared;

/// Length of the inverse FFT: lags in units of 1/8000 s whatever the plan, since nothing above
/// 3 kHz is looked at.
const LENGTH: usize = 256;
/// 400 Hz down to 70 Hz.
const LAGS: std::ops::RangeInclusive<usize> = 20..=113;
/// Bins from 80 to 3000 Hz.
const FIRST: usize = 3;
const LAST: usize = 96;

/// What all detectors of one plan share.
struct Tables {
    fft: Arc<dyn ComplexToReal<f32>>,
    /// 1 / sqrt(window autocorrelation), per lag.
    taper: Vec<f32>,
    /// Band below each bin from `FIRST` on, and how far it is on the way to the next.
    between: Vec<(usize, f32)>,
}

impl Tables {
    fn new(spectrum: &Spectrum) -> Self {
        let window = spectrum.window();
        let step = window.len() / LENGTH;
        let correlation =
            |lag: usize| -> f32 { window[lag..].iter().zip(window).map(|(a, b)| a * b).sum() };
        let energy = correlation(0);
        let centres = spectrum.centres();
        Self {
            fft: RealFftPlanner::new().plan_fft_inverse(LENGTH),
            taper: (0..=*LAGS.end() + 1)
                .map(|lag| 1.0 / (correlation(lag * step) / energy).max(0.2).sqrt())
                .collect(),
            between: (FIRST..=LAST)
                .map(|k| {
                    let f = k as f32 * BIN_HZ;
                    let below = centres.iter().rposition(|c| *c <= f).unwrap_or(0);
                    let below = below.min(centres.len() - 2);
                    let at = (f - centres[below]) / (centres[below + 1] - centres[below]);
                    (below, at.clamp(0.0, 1.0))
                })
                .collect(),
        }
    }
}

/// Autocorrelation of the square-root spectrum above the noise.
pub struct Voicing {
    tables: Arc<Tables>,
    previous: (f32, f32),
    /// Height of the highest peak of this frame, 0 to 1.
    pub strength: f32,
    /// Its lag in s.
    pub period: f32,
    /// Strength, where the period moved since the last frame but not by much.
    pub gliding: f32,
}

impl Voicing {
    pub fn new(spectrum: &Spectrum) -> Self {
        static TABLES: Shared<Plan, Tables> = Shared::new();
        let tables = TABLES.get_always(spectrum.plan(), || Tables::new(spectrum));
        Self {
            tables,
            previous: (0.0, 0.0),
            strength: 0.0,
            period: 0.0,
            gliding: 0.0,
        }
    }

    pub fn reset(&mut self) {
        self.previous = (0.0, 0.0);
        (self.strength, self.period, self.gliding) = (0.0, 0.0, 0.0);
    }

    /// Takes the spectrum in `work` and its noise floor in dB (on the scale of `Spectrum::energy`).
    #[inline(always)]
    pub fn update(&mut self, work: &mut Work<'_>, floor_db: &[f32; MAX_BANDS]) {
        const TO_LOG2: f32 = std::f32::consts::LOG2_10 / 10.0;
        let mut total = 0.0;
        let bins = &mut work.pairs[..LENGTH / 2 + 1];
        bins.fill(Complex32::default());
        let mut lags = [0f32; LENGTH];
        for (i, &(band, at)) in self.tables.between.iter().enumerate() {
            let db = floor_db[band] + at * (floor_db[band + 1] - floor_db[band]);
            let noise = exp2(db * TO_LOG2) / 8.0;
            let p = work.power[FIRST + i];
            let amplitude = (p - 1.5 * noise).max(0.0).sqrt();
            total += p.sqrt();
            bins[FIRST + i] = Complex32::new(amplitude, 0.0);
        }
        let fft = &self.tables.fft;
        let done = fft.process_with_scratch(bins, &mut lags, work.scratch);
        debug_assert!(done.is_ok());

        let at = |lag: usize| lags[lag] * self.tables.taper[lag];
        let (mut best, mut height) = (*LAGS.start(), f32::MIN);
        for lag in LAGS {
            let r = at(lag);
            if r > height {
                (best, height) = (lag, r);
            }
        }
        let (left, right) = (at(best - 1), at(best + 1));
        let curve = left - 2.0 * height + right;
        let shift = if curve < 0.0 {
            (0.5 * (left - right) / curve).clamp(-0.5, 0.5)
        } else {
            0.0
        };
        let height = height - 0.25 * (left - right) * shift;
        // The inverse FFT counts each bin twice.
        self.strength = (height / (2.0 * total + 1e-9)).clamp(0.0, 1.0);
        self.period = (best as f32 + shift) / 8000.0;
        let (before, strength) = self.previous;
        let change = (self.period / before.max(1e-9) - 1.0).abs();
        self.gliding = if change > 0.002 && change < 0.1 {
            self.strength.min(strength)
        } else {
            0.0
        };
        self.previous = (self.period, self.strength);
    }
}

/// Level of `energy` in dB, band by band.
#[inline(always)]
pub fn levels(energy: &[f32; MAX_BANDS]) -> [f32; MAX_BANDS] {
    energy.map(|e| decibel(e.max(1e-12)))
}
