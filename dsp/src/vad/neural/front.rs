// SPDX-License-Identifier: MIT

//! What the network hears by itself, per 10 ms: levels of 16 bands over a tracked level, likelihood
//! ratios of speech over noise, change, height over the noise. None of it depends on the level of
//! the input.
//!
//! `tools/vad_train/front.py` is the same in numpy.

use crate::vad::math::decibel;
use crate::vad::noise::NoiseFloor;
use crate::vad::ratio::Ratio;
use crate::vad::spectrum::{MAX_BANDS, Plan, Spectrum, with_work};
use crate::vad::voicing::levels;

/// Features of a frame.
pub const FEATURES: usize = 2 * MAX_BANDS + 3;

/// The level tracker rises by this share of what is missing and at most so many dB a frame, and
/// falls by half a dB per second.
const ATTACK: f32 = 0.25;
const MAX_ATTACK: f32 = 3.0;
const RELEASE: f32 = 0.005;
/// It never falls below this, in dB.
const LOWEST: f32 = -85.0;
/// Frames at the start in which it rises at once.
const START: u32 = 8;
/// Frames back that the change of spectral shape is measured over.
const FLUX: usize = 4;
/// How fast the peak of the lowest bands is forgotten: 5 dB per second.
const PEAK_DECAY: f32 = 0.05;
/// Lowest bands, whose level a voice carries.
const LOW: usize = 4;

/// What a frame told.
pub struct Heard {
    pub features: [f32; FEATURES],
    /// Mean level of the bands in this frame, and its tracked course: in dB, where noise of the
    /// same power in all bins is 15 dB below its level in dBFS.
    pub level: f32,
    pub tracked: f32,
    /// How many dB the tracked level lies over the noise floor.
    pub clear: f32,
    /// Mean log-likelihood ratio of speech over noise in the bands.
    pub ratio: f32,
}

/// The front end, at 16 kHz. No frame allocates.
pub struct Front {
    spectrum: Spectrum,
    floor: NoiseFloor<MAX_BANDS>,
    ratio: Ratio,
    /// Bands centred 150-4000 Hz.
    speech_bands: std::ops::Range<usize>,
    past: [[f32; MAX_BANDS]; FLUX],
    seen: u32,
    tracked: f32,
    peak: f32,
}

impl Front {
    pub fn new() -> Self {
        let spectrum = Spectrum::unfiltered(Plan::Wide);
        Self {
            floor: NoiseFloor::default(),
            ratio: Ratio::default(),
            speech_bands: spectrum.between(150.0, 4000.0),
            past: [[0.0; MAX_BANDS]; FLUX],
            seen: 0,
            tracked: LOWEST,
            peak: f32::MIN,
            spectrum,
        }
    }

    /// Starts afresh, as at the start of another recording.
    pub fn reset(&mut self) {
        self.spectrum.reset();
        self.floor = NoiseFloor::default();
        self.ratio = Ratio::default();
        (self.seen, self.tracked, self.peak) = (0, LOWEST, f32::MIN);
    }

    /// Forgets the samples, not what has been learnt from them.
    pub fn restart(&mut self) {
        self.spectrum.reset();
    }

    /// Takes 10 ms of samples.
    #[inline(always)]
    pub fn push(&mut self, hop: &[f32]) -> Heard {
        self.spectrum.take(hop);
        with_work(|work| self.spectrum.transform(work));
        let energy = &self.spectrum.energy;
        self.floor.update(energy);
        let level = levels(energy);
        let smooth = levels(&self.floor.smooth);
        let floor = levels(&self.floor.floor);
        self.ratio.update(&smooth, &floor);

        let total = decibel(energy.iter().sum::<f32>() / MAX_BANDS as f32);
        self.track(total);
        let noise = decibel(self.floor.floor.iter().sum::<f32>() / MAX_BANDS as f32);
        let low = smooth[..LOW].iter().sum::<f32>() / LOW as f32;
        self.peak = low.max(self.peak - PEAK_DECAY);
        let flux = self.flux(&level);
        let speech = self.speech_bands.clone();
        let bands = speech.len() as f32;
        let above = speech.map(|b| (smooth[b] - floor[b]).clamp(0.0, 25.0));
        let above = above.sum::<f32>() / bands;
        self.seen = self.seen.saturating_add(1);

        let mut features = [0.0; FEATURES];
        let (over, rest) = features.split_at_mut(MAX_BANDS);
        for (y, x) in over.iter_mut().zip(&level) {
            *y = (x - self.tracked) / 20.0;
        }
        let (ratios, scalars) = rest.split_at_mut(MAX_BANDS);
        for (y, x) in ratios.iter_mut().zip(&self.ratio.output) {
            *y = x / 4.0;
        }
        scalars[0] = flux / 4.0;
        scalars[1] = (low - self.peak).max(-40.0) / 10.0;
        scalars[2] = above / 10.0;
        Heard {
            features,
            level: total,
            tracked: self.tracked,
            clear: self.tracked - noise,
            ratio: self.ratio.output.iter().sum::<f32>() / MAX_BANDS as f32,
        }
    }

    #[inline(always)]
    fn track(&mut self, level: f32) {
        let missing = level - self.tracked;
        let next = if missing <= 0.0 {
            level.max(self.tracked - RELEASE)
        } else if self.seen < START {
            level
        } else {
            self.tracked + (ATTACK * missing).min(MAX_ATTACK)
        };
        self.tracked = next.max(LOWEST);
    }

    /// Change of spectral shape over 40 ms, in dB.
    #[inline(always)]
    fn flux(&mut self, level: &[f32; MAX_BANDS]) -> f32 {
        let slot = self.seen as usize % FLUX;
        let before = std::mem::replace(&mut self.past[slot], *level);
        if (self.seen as usize) < FLUX {
            return 0.0;
        }
        let change: [f32; MAX_BANDS] = std::array::from_fn(|b| level[b] - before[b]);
        let mean = change.iter().sum::<f32>() / MAX_BANDS as f32;
        change.iter().map(|d| (d - mean).abs()).sum::<f32>() / MAX_BANDS as f32
    }
}
