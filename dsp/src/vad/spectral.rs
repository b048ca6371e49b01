// SPDX-License-Identifier: MIT

//! The spectral detector: scores from a spectrum, one probability per 10 ms frame.

use super::detector::{Detector, Scores, scores};
use super::look_ahead::LookAhead;
use super::math::sigmoid;
use super::noise::NoiseFloor;
use super::ratio::Ratio;
use super::spectrum::{MAX_BANDS, Plan, Spectrum, Work, with_work};
use super::tonal::Tonal;
use super::voicing::{Voicing, levels};
use crate::simd::Level;
use crate::simd::compiled::compiled;

/// What the spectral detector makes of a look-ahead: it has none of 60 ms.
pub const fn look_ahead(asked: LookAhead) -> LookAhead {
    match asked {
        LookAhead::Medium => LookAhead::Short,
        other => other,
    }
}

/// Offset and weight of each score, in the order of [`Spectral::scores`]. Fitted for the area
/// under the ROC curve within each of 27 conditions of 15 labelled recordings: `docs/vad.md`.
/// `tools/vad_fit.rs` fits others.
#[rustfmt::skip]
const fn weights(look_ahead: LookAhead) -> (f32, [f32; SCORES]) {
    match look_ahead {
        LookAhead::None => (-1.429, [0.3628, 0.3462, 1.0998, 8.3470, 0.8262, -0.0950, -2.3293]),
        LookAhead::Short | LookAhead::Medium => {
            (-1.837, [0.5414, 0.3231, 1.3320, 9.1111, 0.8626, -0.1143, -2.7893])
        }
        LookAhead::Long => {
            (-2.350, [0.6368, 0.2912, 1.5690, 10.3773, 1.0211, -0.1361, -3.2783])
        }
    }
}

/// Scores of a frame.
pub const SCORES: usize = 7;
/// Weight of the past in averages over 100 ms: e^-0.1.
const KEEP: f32 = 0.904_837_4;
/// The same over 45 ms.
const KEEP_SHORT: f32 = 0.8;
/// How fast the peak level is forgotten: 5 dB per second.
const PEAK_DECAY: f32 = 0.05;
/// Lowest bands, whose level a voice carries.
const LOW: std::ops::Range<usize> = 0..4;
/// Frames back that the change of spectral shape is measured over.
const FLUX: usize = 4;
/// Frames of the box that smooths for [`LookAhead::Long`], centred five frames later.
const BOX: usize = 11;

/// Streaming detector at the rate of its plan: for no look-ahead a frame's own scores, for 30 ms
/// those three frames later, for 100 ms their mean over 11 frames. No frame allocates.
pub struct Spectral {
    look_ahead: LookAhead,
    spectrum: Spectrum,
    floor: NoiseFloor<MAX_BANDS>,
    ratio: Ratio,
    voicing: Voicing,
    tonal: Tonal,
    /// Peak of the level of the lowest bands, in dB.
    peak: f32,
    /// Bands centred 150-4000 Hz.
    speech_bands: std::ops::Range<usize>,
    past: [[f32; MAX_BANDS]; FLUX],
    seen: usize,
    scores: [f32; SCORES],
    /// Of the frame that was decided last.
    decided: f32,
    /// Logits of the last frames, newest at `frames % BOX`.
    logits: [f32; BOX],
    frames: u64,
}

impl Spectral {
    /// A look-ahead of 60 ms counts as 30.
    pub fn new(plan: Plan, look_ahead: LookAhead) -> Self {
        let spectrum = Spectrum::new(plan);
        Self {
            look_ahead: self::look_ahead(look_ahead),
            voicing: Voicing::new(&spectrum),
            tonal: Tonal::default(),
            peak: f32::MIN,
            speech_bands: spectrum.between(150.0, 4000.0),
            spectrum,
            floor: NoiseFloor::default(),
            ratio: Ratio::default(),
            past: [[0.0; MAX_BANDS]; FLUX],
            seen: 0,
            scores: [0.0; SCORES],
            decided: 0.0,
            logits: [f32::NEG_INFINITY; BOX],
            frames: 0,
        }
    }

    /// Rate and bands that it hears.
    pub fn plan(&self) -> Plan {
        self.spectrum.plan()
    }

    /// The scores of the last frame:
    ///
    /// 0. likelihood ratio of speech over noise in the four lowest bands, averaged over 100 ms
    /// 1. the same in the bands centred 150-4000 Hz, of this frame
    /// 2. change of spectral shape over 40 ms, in dB, averaged over 100 ms: free of level
    /// 3. gliding voicing, averaged over 100 ms
    /// 4. level of the lowest bands under its peak, in 10 dB: what makes a quiet talker after a
    ///    loud one comparable
    /// 5. height above the noise floor in dB, averaged over 45 ms
    /// 6. resemblance to the spectrum of 80 ms before, averaged over 100 ms: held tones
    pub fn scores(&self) -> &[f32; SCORES] {
        &self.scores
    }

    fn take(&mut self, logit: f32) -> Option<f32> {
        self.logits[(self.frames % BOX as u64) as usize] = logit;
        self.frames += 1;
        if self.frames <= self.look_ahead.frames() as u64 {
            return None;
        }
        let decided = match self.look_ahead {
            LookAhead::None | LookAhead::Short | LookAhead::Medium => logit,
            LookAhead::Long => {
                let known = self.logits.iter().filter(|l| l.is_finite());
                let (n, sum) = known.fold((0, 0.0), |(n, sum), l| (n + 1, sum + l));
                if n == 0 {
                    f32::NEG_INFINITY
                } else {
                    sum / n as f32
                }
            }
        };
        self.decided = decided;
        Some(if decided.is_finite() {
            sigmoid(decided)
        } else {
            0.0
        })
    }

    #[inline(always)]
    fn score(&mut self, work: &mut Work<'_>) -> f32 {
        self.spectrum.transform(work);
        let energy = &self.spectrum.energy;
        let bands = self.plan().bands();
        self.floor.update(energy);
        let level = levels(energy);
        let smooth = levels(&self.floor.smooth);
        let floor = levels(&self.floor.floor);
        // The start of the two models is the level, not the smoothed level: the same at frame 0.
        self.ratio.update(&smooth, &floor);
        let held = self.tonal.update(work.power);
        self.voicing.update(work, &floor);

        let slot = self.seen % FLUX;
        let flux = if self.seen < FLUX {
            0.0
        } else {
            let before = &self.past[slot];
            let mut d = [0.0; MAX_BANDS];
            for b in 0..bands {
                d[b] = level[b] - before[b];
            }
            let all = mean(&d[..bands]);
            d[..bands].iter().map(|d| (d - all).abs()).sum::<f32>() / bands as f32
        };
        self.past[slot] = level;
        self.seen += 1;

        let low = mean(&smooth[LOW]);
        self.peak = low.max(self.peak - PEAK_DECAY);
        let speech = self.speech_bands.clone();
        let above = |b: usize| (smooth[b] - floor[b]).clamp(0.0, 25.0);
        let snr = speech.clone().map(above).sum::<f32>() / speech.len() as f32;

        let average = |s: &mut f32, keep: f32, x: f32| {
            let y = keep * *s + (1.0 - keep) * x;
            // Never down to denormals.
            *s = if y.abs() < 1e-20 { 0.0 } else { y };
        };
        let scores = &mut self.scores;
        average(&mut scores[0], KEEP, mean(&self.ratio.output[LOW]));
        scores[1] = mean(&self.ratio.output[speech]);
        average(&mut scores[2], KEEP, flux);
        average(&mut scores[3], KEEP, self.voicing.gliding);
        scores[4] = (low - self.peak).max(-40.0) / 10.0;
        average(&mut scores[5], KEEP_SHORT, snr);
        average(&mut scores[6], KEEP, held);
        let (offset, weights) = weights(self.look_ahead);
        offset
            + weights
                .iter()
                .zip(&self.scores)
                .map(|(w, s)| w * s)
                .sum::<f32>()
    }
}

impl Detector for Spectral {
    fn push(&mut self, hop: &[f32]) -> Option<f32> {
        let logit = compiled(
            Level::best(),
            #[inline(always)]
            || {
                let whole = self.spectrum.take(hop);
                whole.then(|| with_work(|work| self.score(work)))
            },
        );
        self.take(logit.unwrap_or(f32::NEG_INFINITY))
    }

    fn push_gap(&mut self) -> Option<f32> {
        self.spectrum.reset();
        self.take(f32::NEG_INFINITY)
    }

    fn push_end(&mut self) -> Option<f32> {
        let last = self.frames.saturating_sub(1);
        let logit = self.logits[(last % BOX as u64) as usize];
        self.take(logit)
    }

    fn scores(&self) -> Scores {
        scores(self.decided, &self.scores)
    }

    fn reset(&mut self) {
        self.decided = 0.0;
        self.spectrum.reset();
        self.floor = NoiseFloor::default();
        self.ratio = Ratio::default();
        self.voicing.reset();
        self.tonal = Tonal::default();
        self.peak = f32::MIN;
        self.seen = 0;
        self.scores = [0.0; SCORES];
        self.logits = [f32::NEG_INFINITY; BOX];
        self.frames = 0;
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
    }
}

fn mean(x: &[f32]) -> f32 {
    x.iter().sum::<f32>() / x.len().max(1) as f32
}
