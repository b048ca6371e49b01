//! Silero's voice activity detector: its network in plain Rust, its weights in `weights.bin`.
//!
//! Network and weights are of <https://github.com/snakers4/silero-vad>, MIT, notice in `LICENSE`
//! beside this file.

mod course;
mod network;
mod weights;

pub use network::Network;

use super::detector::Detector;
use super::double::Doubler;
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
    /// At half the network's rate: the hop at full rate.
    doubler: Doubler,
    doubled: [f32; HOP],
}

impl Silero {
    /// For hops at the rate of `plan`.
    pub fn new(plan: Plan, look_ahead: LookAhead) -> Self {
        Self {
            plan,
            network: Network::new(),
            course: Course::new(look_ahead.frames()),
            doubler: Doubler::default(),
            doubled: [0.0; HOP],
        }
    }
}

impl Detector for Silero {
    fn push(&mut self, hop: &[f32]) -> Option<f32> {
        let hop = match self.plan {
            Plan::Wide => hop,
            Plan::Narrow => {
                self.doubler.run(hop, &mut self.doubled);
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
        self.doubler = Doubler::default();
        self.course.gap().map(sigmoid)
    }

    fn push_end(&mut self) -> Option<f32> {
        self.course.frame().map(sigmoid)
    }

    fn reset(&mut self) {
        self.network.reset();
        self.course.reset();
        self.doubler = Doubler::default();
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Network>() + self.network.memory()
    }
}
