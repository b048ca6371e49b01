// SPDX-License-Identifier: MIT

//! The time-domain engine for rational ratios: the exact taps of every phase.

use super::design::Prototype;
use super::engine::{Engine, Output};
use super::fifo::View;
use super::grid::Grid;
use super::groups::{Job, Stretch};
use super::phases::Phases;
use super::ratio::{Position, Ratio};
use crate::simd::resample_pass::{GROUP, Grouped, LANES, STEP};

/// The filter of a [`Polyphase`]: rows of taps, and what sums over them.
pub trait Rows: Send + Sync {
    type Sample: Grouped;

    fn phases(&self) -> &Phases;

    /// Makes the outputs of `stretch`, at least one. `jobs` is scratch.
    fn run(
        &self,
        stretch: &Stretch<'_, Self::Sample>,
        out: &mut Output<'_, <Self::Sample as Grouped>::Sum>,
        jobs: &mut Vec<Job>,
    );

    /// Bytes held.
    fn memory(&self) -> usize;
}

/// A windowed-sinc filter evaluated at each output's position.
///
/// An output depends only on its own taps and on the input in its window, so any chopping of finite
/// input gives the same bits. (Rows are padded with zeros, which NaN and infinity do not respect.)
pub struct Polyphase<R> {
    prototype: Prototype,
    /// Input frames before an output's position that it depends on.
    back: usize,
    rows: R,
    /// Scratch.
    jobs: Vec<Job>,
    grid: Grid,
}

impl<R: Rows> Polyphase<R> {
    /// With `rows` for all phases of `ratio`, of the response `prototype`.
    pub fn new(prototype: Prototype, ratio: Ratio, rows: R) -> Self {
        // The window of a group starts at that of its first row.
        let shift = (GROUP as u64 * ratio.m).div_ceil(ratio.l);
        Self {
            back: (prototype.latency() + shift) as usize,
            prototype,
            grid: Grid::new(ratio, rows.phases().period),
            rows,
            jobs: Vec::new(),
        }
    }

    /// Half the length of the response.
    fn half(&self) -> i64 {
        self.prototype.latency() as i64
    }
}

impl<R: Rows> Engine<R::Sample> for Polyphase<R> {
    fn latency(&self) -> u64 {
        self.prototype.latency()
    }

    fn back(&self) -> usize {
        self.back
    }

    fn slack(&self) -> usize {
        // A window begins half a response before its first output, which is made as soon as there is the
        // other half, and goes on beyond that.
        let phases = self.rows.phases();
        let lone = if phases.lone { LANES } else { 0 };
        (phases.len - 2 * self.prototype.latency() as usize).max(lone)
    }

    fn needed_from(&self) -> i64 {
        let phases = self.rows.phases();
        if phases.grouped {
            // The windows of a group are padded on one side or the other.
            self.grid.frame() - (self.back + STEP) as i64
        } else {
            self.grid.base + 1 - self.half() + phases.offsets[self.grid.row as usize] as i64
        }
    }

    fn seek(&mut self, position: Position) {
        self.grid.seek(position);
    }

    fn position(&self) -> Position {
        self.grid.position()
    }

    fn frame(&self) -> i64 {
        self.grid.frame()
    }

    fn available(&self, through: i64) -> u64 {
        self.grid.available(through)
    }

    fn ready(&self, end: i64) -> u64 {
        self.available(end - 1 - self.latency() as i64)
    }

    fn run(
        &mut self,
        input: &View<'_, R::Sample>,
        out: &mut Output<'_, <R::Sample as Grouped>::Sum>,
        frames: usize,
    ) {
        if frames > 0 {
            let stretch = Stretch {
                input,
                base: self.grid.base,
                half: self.half(),
                first: self.grid.row,
                end: self.grid.row + frames as u64,
            };
            self.rows.run(&stretch, out, &mut self.jobs);
            self.grid.advance(frames as u64);
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        self.rows.memory() + self.jobs.capacity() * size_of::<Job>()
    }
}
