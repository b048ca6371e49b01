// SPDX-License-Identifier: MIT

//! Where the 10 ms frames lie in the input.

use super::spectrum::FRAME_RATE;

/// The grid of 10 ms frames over samples of some rate. Frame `t` covers the samples from
/// `start(t)` to `start(t + 1)`; where 10 ms is no whole number of them, lengths differ by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameGrid {
    rate: u32,
}

impl FrameGrid {
    /// A grid over samples at `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Self { rate }
    }

    /// First sample of frame `frame`.
    pub fn start(self, frame: u64) -> u64 {
        let step = u128::from(FRAME_RATE);
        let at = (u128::from(frame) * u128::from(self.rate) + step / 2) / step;
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    /// Samples of frame `frame`.
    pub fn len(self, frame: u64) -> usize {
        (self.start(frame + 1) - self.start(frame)) as usize
    }

    /// True if every frame has as many samples as `n` is a multiple of.
    pub fn divides(self, n: u64) -> bool {
        self.rate.is_multiple_of(FRAME_RATE) && n.is_multiple_of(u64::from(self.rate / FRAME_RATE))
    }
}

/// Frames of `ns`, rounded to the nearest.
pub fn frames_of(ns: u64) -> u64 {
    const NS: u64 = 1_000_000_000 / FRAME_RATE as u64;
    ns / NS + u64::from(ns % NS >= NS / 2)
}
