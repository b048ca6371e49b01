//! Silero's voice activity detector: its network in plain Rust, its weights in `weights.bin`.
//!
//! Network and weights are of <https://github.com/snakers4/silero-vad>, MIT, notice in `LICENSE`
//! beside this file.

mod course;
mod network;
mod weights;

pub use network::Network;

use super::detector::Detector;
use super::look_ahead::LookAhead;
use super::math::sigmoid;
use super::spectrum::Plan;
use course::Course;

/// Samples from the instant that a window's logit describes best to the window: it looks back.
const LOOKS_BACK: i64 = 256;
/// Samples of a hop at the network's rate.
const HOP: usize = Network::RATE as usize / 100;

/// The detector: a probability per 10 ms from a logit per 32 ms. Allocates nothing after `new`.
pub struct Silero {
    plan: Plan,
    network: Network,
    course: Course,
    /// At half the network's rate: the last sample, and the hop at full rate.
    last: f32,
    doubled: [f32; HOP],
}

impl Silero {
    /// For hops at the rate of `plan`.
    pub fn new(plan: Plan, look_ahead: LookAhead) -> Self {
        Self {
            plan,
            network: Network::new(),
            course: Course::new(look_ahead.frames()),
            last: 0.0,
            doubled: [0.0; HOP],
        }
    }

    /// Twice the rate, on straight lines between the samples. They leave a faint mirror image of
    /// the spectrum in the upper half, which the network takes for the missing consonants: with it,
    /// it is as good as the one that Silero made for 8 kHz, and far better than on an empty upper
    /// half.
    fn double(&mut self, hop: &[f32]) {
        for (pair, x) in self.doubled.as_chunks_mut::<2>().0.iter_mut().zip(hop) {
            *pair = [0.5 * (self.last + x), *x];
            self.last = *x;
        }
    }
}

impl Detector for Silero {
    fn push(&mut self, hop: &[f32]) -> Option<f32> {
        let hop = match self.plan {
            Plan::Wide => hop,
            Plan::Narrow => {
                self.double(hop);
                &self.doubled
            }
        };
        let before = self.network.filled() as i64;
        if let Some(logit) = self.network.push(hop) {
            let start = self.course.position() - before;
            self.course.add(start - LOOKS_BACK, logit);
        }
        self.course.frame().map(sigmoid)
    }

    fn push_gap(&mut self) -> Option<f32> {
        self.network.restart();
        self.last = 0.0;
        self.course.gap().map(sigmoid)
    }

    fn push_end(&mut self) -> Option<f32> {
        self.course.frame().map(sigmoid)
    }

    fn reset(&mut self) {
        self.network.reset();
        self.course.reset();
        self.last = 0.0;
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Network>() + self.network.memory()
    }
}
