// SPDX-License-Identifier: MIT

//! Silero's voice activity detector: its network in plain Rust, its weights in `weights.bin`.
//!
//! Network and weights are of <https://github.com/snakers4/silero-vad>, MIT, notice in `LICENSE`
//! beside this file.

mod course;
mod network;
mod weights;

pub use network::Network;

use super::detector::{Detector, Scores, scores};
use super::double::Doubler;
use super::look_ahead::LookAhead;
use super::math::sigmoid;
use super::opening::Opening;
use super::spectrum::Plan;
use course::Course;

/// Samples from the instant that a window's logit describes best to the window: it looks back.
const LOOKS_BACK: i64 = 256;
/// Samples of a hop at the network's rate.
const HOP: usize = Network::RATE as usize / 100;

/// The detector: a probability per 10 ms from a logit per 32 ms. No frame allocates.
pub struct Silero {
    plan: Plan,
    network: Network,
    course: Course,
    /// Of the frame that was decided last, and of the newest window.
    logit: f32,
    window: f32,
    opening: Opening,
    /// From half the network's rate.
    doubler: Doubler,
    /// At the network's rate.
    hop: [f32; HOP],
}

impl Silero {
    /// For hops at the rate of `plan`.
    pub fn new(plan: Plan, look_ahead: LookAhead) -> Self {
        Self {
            plan,
            network: Network::new(),
            course: Course::new(look_ahead.frames()),
            logit: 0.0,
            window: 0.0,
            opening: Opening::default(),
            doubler: Doubler::default(),
            hop: [0.0; HOP],
        }
    }

    fn decide(&mut self, logit: Option<f32>) -> Option<f32> {
        self.logit = logit?;
        Some(sigmoid(self.logit))
    }

    /// Hears the frame that comes next.
    fn hear(&mut self) {
        let position = self.course.position();
        let Some(again) = self.opening.take(&self.hop) else {
            let start = position - self.network.filled() as i64;
            if let Some(logit) = self.network.push(&self.hop) {
                self.window = logit;
                self.course.add(start - LOOKS_BACK, logit);
            }
            return;
        };
        let opening = position - ((again.hops - 1) * HOP) as i64;
        if again.begins() {
            self.network.reset();
        }
        again.each(|piece| {
            let logit = self.network.push(piece.samples);
            let Some((logit, window)) = logit.zip(piece.window) else {
                return;
            };
            // Until here, what was heard before holds.
            if window == 0 {
                self.course.open(opening);
            }
            self.window = logit;
            self.course.add(opening + window as i64 - LOOKS_BACK, logit);
        });
    }
}

impl Detector for Silero {
    fn push(&mut self, hop: &[f32]) -> Option<f32> {
        match self.plan {
            Plan::Wide => self.hop.copy_from_slice(hop),
            Plan::Narrow => self.doubler.run(hop, &mut self.hop),
        }
        self.hear();
        let logit = self.course.frame();
        self.decide(logit)
    }

    fn push_gap(&mut self) -> Option<f32> {
        self.network.restart();
        self.opening.interrupt();
        self.doubler = Doubler::default();
        let logit = self.course.gap();
        self.decide(logit)
    }

    fn push_end(&mut self) -> Option<f32> {
        let logit = self.course.frame();
        self.decide(logit)
    }

    fn scores(&self) -> Scores {
        scores(self.logit, &[self.window])
    }

    fn reset(&mut self) {
        (self.logit, self.window) = (0.0, 0.0);
        self.network.reset();
        self.course.reset();
        self.opening.reset();
        self.doubler = Doubler::default();
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Network>() + self.network.memory() + self.opening.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pulses, one every `period` samples.
    fn pulses(period: usize) -> Vec<f32> {
        let pulse = |i: usize| if i % period < 8 { 0.3 } else { -0.02 };
        (0..20 * HOP).map(pulse).collect()
    }

    fn run(silero: &mut Silero, audio: &[f32]) -> Vec<f32> {
        let hops = audio.chunks_exact(HOP);
        hops.filter_map(|hop| silero.push(hop)).collect()
    }

    #[test]
    fn what_follows_a_gap_in_the_opening_is_heard_as_at_the_start_of_a_stream() {
        let new = || Silero::new(Plan::Wide, LookAhead::None);
        let (before, after) = (pulses(90), pulses(130));
        let (wanted, unknown) = (run(&mut new(), &after), sigmoid(f32::NEG_INFINITY));
        for hops in 6..=9 {
            let mut silero = new();
            run(&mut silero, &before[..hops * HOP]);
            assert_eq!(silero.push_gap(), Some(unknown));
            let found = run(&mut silero, &after);
            // No window is known since the gap.
            assert_eq!(found[..3], [unknown; 3], "{hops}");
            // The opening is heard again, unless it was before the gap.
            let same = found[7..] == wanted[7..];
            assert_eq!(same, hops < 9, "{hops}: {found:?} for {wanted:?}");
        }
    }
}
