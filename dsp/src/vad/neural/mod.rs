// SPDX-License-Identifier: MIT

//! The neural detector: Silero's network behind a level tracker, joined by a small network of our
//! own with what the spectrum tells every 10 ms.
//!
//! `docs/vad-model-card.md` says what it was trained on, `tools/vad_train` trains it again.

mod front;
mod head;
mod leveller;
mod told;
mod weights;

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::detector::{Detector, Scores, scores};
use super::double::Doubler;
use super::look_ahead::LookAhead;
use super::math::{sane, sigmoid};
use super::opening::Opening;
use super::silero;
use super::spectrum::Plan;
use crate::simd::Level;
use crate::simd::compiled::compiled;
use front::{FEATURES, Front};
use head::Head;
use leveller::Leveller;
use told::Told;
use weights::INPUTS;

/// Samples of a hop at 16 kHz.
const HOP: usize = silero::Network::RATE as usize / 100;
/// Silero's logits are taken no further than this from 0: odds of 1 to 10 000.
const MOST: f32 = 9.210_24;
/// Scale of Silero's logits among the inputs.
const LOGIT_SCALE: f32 = 0.25;

/// A logit of Silero's network as one of the inputs.
fn scaled(logit: f32) -> f32 {
    logit.clamp(-MOST, MOST) * LOGIT_SCALE
}

/// The detector: a probability per 10 ms. No frame allocates.
pub struct Neural {
    level: Level,
    plan: Plan,
    look_ahead: usize,
    front: Front,
    leveller: Leveller,
    silero: silero::Network,
    head: Head,
    told: Told,
    opening: Opening,
    /// Frames of the opening, and the greatest logit known since it was heard: of the head and of
    /// Silero's windows.
    opened: Range<u64>,
    greatest: f32,
    /// Silero's logits of the newest window and of the one before it, scaled.
    logits: [f32; 2],
    /// What the head said last, and what was told of it.
    said: f32,
    logit: f32,
    /// Of the frame that was decided last.
    decided: f32,
    /// Change of shape, level under the peak, height over the noise: the last features.
    heard: [f32; 3],
    /// Bit `i` is set if the frame before the newest `i` was a gap; and how many there were.
    gaps: u32,
    frames: u64,
    /// From half the rate.
    doubler: Doubler,
}

impl Neural {
    /// For hops at the rate of `plan`.
    pub fn new(plan: Plan, look_ahead: LookAhead) -> Self {
        Self::at(Level::best(), plan, look_ahead)
    }

    /// As [`new`](Self::new) with the instruction set `level`, which this machine must have. The
    /// probabilities of two of them differ by 1e-4 at most.
    pub fn at(level: Level, plan: Plan, look_ahead: LookAhead) -> Self {
        Self {
            level,
            plan,
            look_ahead: look_ahead.frames(),
            front: Front::new(),
            leveller: Leveller::default(),
            silero: silero::Network::at(level),
            head: Head::at(level, look_ahead),
            told: Told::default(),
            opening: Opening::default(),
            opened: 0..0,
            greatest: f32::NEG_INFINITY,
            logits: [0.0; 2],
            said: f32::NEG_INFINITY,
            logit: f32::NEG_INFINITY,
            decided: 0.0,
            heard: [0.0; 3],
            gaps: 0,
            frames: 0,
            doubler: Doubler::default(),
        }
    }

    /// The logit after 10 ms of samples at 16 kHz.
    fn hear(&mut self, hop: &mut [f32; HOP]) -> f32 {
        compiled(
            self.level,
            #[inline(always)]
            || self.compute(hop),
        )
    }

    #[inline(always)]
    fn compute(&mut self, hop: &mut [f32; HOP]) -> f32 {
        let (heard, before) = (self.front.push(hop), *hop);
        let raised = self.leveller.run(hop, heard.level, heard.tracked);
        self.heard.copy_from_slice(&heard.features[FEATURES - 3..]);
        let asked = self.ask(&before, hop);
        if asked {
            let age = self.silero.filled() as f32 / silero::Network::WINDOW as f32;
            let mut inputs = [0.0; INPUTS];
            inputs[..FEATURES].copy_from_slice(&heard.features);
            inputs[FEATURES..].copy_from_slice(&[self.logits[0], self.logits[1], age]);
            self.said = self.head.frame(&inputs);
        }
        let silero = self.logits[0].max(self.logits[1]) / LOGIT_SCALE;
        let frame = told::Frame {
            clear: heard.clear,
            ratio: heard.ratio,
            raised,
        };
        let logit = self.told.settle(self.said, silero, &frame);
        if asked && self.since_gap() {
            self.greatest = self.greatest.max(logit).max(self.logits[0] / LOGIT_SCALE);
        }
        logit
    }

    /// No gap has come since the opening that was heard last began.
    fn since_gap(&self) -> bool {
        u64::from(self.gaps.trailing_zeros()) >= self.frames - self.opened.start
    }

    /// Silero's network hears the `raised` samples of `hop`, or the opening again in their place, raised as
    /// they are; whether it has done with that.
    #[inline(always)]
    fn ask(&mut self, hop: &[f32; HOP], raised: &[f32; HOP]) -> bool {
        let Some(again) = self.opening.take(hop) else {
            if let Some(logit) = self.silero.push(raised) {
                self.leveller.heard(logit);
                self.logits = [scaled(logit), self.logits[0]];
                self.head.window(self.silero.hidden());
            }
            return true;
        };
        if again.begins() {
            self.silero.reset();
        }
        again.each(|piece| {
            let mut samples = [0.0; silero::Network::WINDOW];
            let samples = &mut samples[..piece.samples.len()];
            self.leveller.again(piece.samples, samples);
            let logit = self.silero.push(samples);
            let Some((logit, window)) = logit.zip(piece.window) else {
                return;
            };
            if window == 0 {
                // Until here, what was heard before holds.
                let first = self.frames + 1 - again.hops as u64;
                self.opened = first..first + Opening::FRAMES as u64;
                self.greatest = f32::NEG_INFINITY;
                self.logits = [0.0; 2];
            }
            self.leveller.heard(logit);
            self.logits = [scaled(logit), self.logits[0]];
            self.greatest = self.greatest.max(self.logits[0] / LOGIT_SCALE);
            self.head.window(self.silero.hidden());
        });
        again.ends()
    }

    /// Forgets all that was heard.
    fn forget(&mut self) {
        self.front.reset();
        self.leveller = Leveller::default();
        self.silero.reset();
        self.head.reset();
        self.told = Told::default();
        self.logits = [0.0; 2];
    }

    /// Counts a frame and gives the decision that is due.
    fn take(&mut self, gap: bool) -> Option<f32> {
        self.gaps = self.gaps << 1 | u32::from(gap);
        self.frames += 1;
        let frame = (self.frames - 1).checked_sub(self.look_ahead as u64)?;
        let in_gap = self.gaps >> self.look_ahead & 1 == 1;
        self.decided = if in_gap {
            f32::NEG_INFINITY
        } else if self.opened.contains(&frame) {
            self.greatest
        } else {
            self.logit
        };
        Some(if in_gap { 0.0 } else { sigmoid(self.decided) })
    }
}

impl Detector for Neural {
    fn push(&mut self, hop: &[f32]) -> Option<f32> {
        let mut samples = [0f32; HOP];
        match self.plan {
            Plan::Wide => samples.copy_from_slice(hop),
            Plan::Narrow => self.doubler.run(hop, &mut samples),
        }
        samples.iter_mut().for_each(|x| *x = sane(*x));
        self.logit = self.hear(&mut samples);
        self.take(false)
    }

    fn push_gap(&mut self) -> Option<f32> {
        self.front.restart();
        self.silero.restart();
        self.told.pass();
        self.opening.interrupt();
        self.opened.end = self.opened.end.min(self.frames);
        self.doubler = Doubler::default();
        self.take(true)
    }

    fn push_end(&mut self) -> Option<f32> {
        self.take(false)
    }

    fn scores(&self) -> Scores {
        let [flux, under_peak, above_floor] = self.heard;
        let silero = self.logits[0] / LOGIT_SCALE;
        scores(
            self.decided,
            &[silero, 4.0 * flux, 10.0 * under_peak, 10.0 * above_floor],
        )
    }

    fn reset(&mut self) {
        self.forget();
        (self.heard, self.decided) = ([0.0; 3], 0.0);
        self.opening.reset();
        self.logit = f32::NEG_INFINITY;
        (self.gaps, self.frames, self.opened) = (0, 0, 0..0);
        self.doubler = Doubler::default();
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<silero::Network>()
            + self.silero.memory()
            + self.opening.memory()
    }
}
