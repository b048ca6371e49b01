// SPDX-License-Identifier: MIT

//! Levels and probabilities of whole segments.

use std::collections::VecDeque;

use super::energy::level_db;
use super::segments::{Change, Rules};

/// Frames that room is made for at most: those of three rules of a minute each, and some more. Rules may ask for
/// any number, which is not to be had at once.
const MOST_RESERVED: usize = 1 << 15;

/// Sums up the frames of the open segment. Those of which it is not known yet whether they are in one
/// wait, as many as the rules ask for.
#[derive(Clone, Debug, Default)]
pub struct SegmentMeter {
    /// Mean squares and probabilities of the frames that wait.
    waiting: VecDeque<(f32, f32)>,
    /// Number of the first of them.
    next: u64,
    open: bool,
    squares: f64,
    probabilities: f64,
    frames: u64,
}

impl SegmentMeter {
    /// Makes room, so that no frame allocates where rules ask for minutes at most.
    pub fn reserve(&mut self, rules: &Rules) {
        let most = usize::try_from(rules.longest_doubt()).unwrap_or(MOST_RESERVED);
        let most = most.min(MOST_RESERVED);
        self.waiting
            .reserve(most.saturating_sub(self.waiting.len()));
    }

    pub fn reset(&mut self) {
        self.waiting.clear();
        (self.next, self.open) = (0, false);
    }

    /// Takes the mean square of the next frame, and how probably it is speech.
    pub fn push(&mut self, mean_square: f32, probability: f32) {
        self.waiting.push_back((mean_square, probability));
    }

    /// A segment starts, or ends: then `change` gets its level and mean probability. Changes come in order.
    pub fn mark(&mut self, change: &mut Change) {
        self.settle(change.at);
        if !change.speech {
            let frames = self.frames.max(1) as f64;
            let mean = self.squares / frames;
            change.level = Some(level_db(mean.min(f64::from(f32::MAX)) as f32));
            change.probability = Some((self.probabilities / frames) as f32);
        }
        self.open = change.speech;
        (self.squares, self.probabilities, self.frames) = (0.0, 0.0, 0);
    }

    /// All frames before `frame` are known to be in the open segment, or outside of any.
    pub fn settle(&mut self, frame: u64) {
        while self.next < frame
            && let Some((square, probability)) = self.waiting.pop_front()
        {
            self.next += 1;
            if self.open {
                self.squares += f64::from(square);
                self.probabilities += f64::from(probability);
                self.frames += 1;
            }
        }
    }

    /// Bytes held on the heap.
    pub fn memory(&self) -> usize {
        self.waiting.capacity() * size_of::<(f32, f32)>()
    }
}
