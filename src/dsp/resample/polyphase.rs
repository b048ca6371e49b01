//! The time-domain engine for rational ratios: the exact taps of every phase.

use std::sync::Arc;

use super::design::Prototype;
use super::engine::{Engine, Output, Real};
use super::fifo::Fifo;
use super::grid::Grid;
use super::groups::{Job, Run};
use super::ratio::Position;
use super::table::Exact;
use super::{Ratio, ResampleError};
use crate::dsp::simd::Level;
use crate::dsp::simd::resample::{GROUP, Kernels, STEP};

/// A windowed-sinc filter evaluated at each output's position.
///
/// An output depends only on its own taps and on the input in its window, so any chopping of finite
/// input gives the same bits. (Rows are padded with zeros, which NaN and infinity do not respect.)
pub struct Polyphase<T: Real> {
    prototype: Prototype,
    /// Input frames before an output's position that it depends on.
    back: usize,
    table: Arc<Exact<T>>,
    kernels: Kernels<T>,
    /// Scratch.
    jobs: Vec<Job>,
    grid: Grid,
}

/// Input frames before an output's position that it depends on in a group, the window of which starts
/// at that of its first row.
pub fn back_in_groups(prototype: &Prototype, ratio: Ratio) -> usize {
    let shift = (GROUP as u64 * ratio.m).div_ceil(ratio.l);
    (prototype.taps() / 2 + shift) as usize
}

impl<T: Real> Polyphase<T> {
    pub fn new(prototype: Prototype, ratio: Ratio, level: Level) -> Result<Self, ResampleError> {
        let table = Exact::shared(&prototype, ratio)?;
        Ok(Self {
            back: back_in_groups(&prototype, ratio),
            prototype,
            grid: Grid::new(ratio, table.phases.period),
            table,
            kernels: T::kernels(level),
            jobs: Vec::new(),
        })
    }

    /// Input frame of the first tap of the output at frame `frame`.
    fn first_tap(&self, frame: i64) -> i64 {
        frame + 1 - (self.prototype.taps() / 2) as i64
    }

    /// Row by row.
    fn run_rows(&self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: u64) {
        let phases = &self.table.phases;
        let start = self.first_tap(self.grid.base);
        for at in 0..frames {
            let row = self.grid.row + at;
            let (period, row) = (row / phases.period, row % phases.period);
            let frame = start + (period * phases.advance + phases.offsets[row as usize]) as i64;
            self.row(fifo, out, self.table.row(row as usize), frame, at);
        }
    }

    /// The outputs of the row by itself.
    fn run_lone(&self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: u64) {
        let phases = &self.table.phases;
        let (first, end) = (self.grid.row, self.grid.row + frames);
        let start =
            self.first_tap(self.grid.base) + (phases.rows * phases.advance / phases.period) as i64;
        for period in 0..=(end - 1) / phases.period {
            let row = period * phases.period + phases.rows;
            if row >= first && row < end {
                let frame = start + (period * phases.advance) as i64;
                self.row(fifo, out, self.table.lone(), frame, row - first);
            }
        }
    }

    /// Output `at` of all channels, from the window that begins at `frame`.
    fn row(&self, fifo: &Fifo<T>, out: &mut Output<'_, T>, taps: &[T], frame: i64, at: u64) {
        let len = taps.len();
        for c in 0..fifo.channels() {
            let y = (self.kernels.dot)(fifo.window(c, frame, len), taps, len);
            out.write(c, at as usize, &[y]);
        }
    }
}

impl<T: Real> Engine<T> for Polyphase<T> {
    fn latency(&self) -> u64 {
        self.prototype.latency()
    }

    fn back(&self) -> usize {
        self.back
    }

    fn slack(&self) -> usize {
        self.table.phases.len
    }

    fn needed_from(&self) -> i64 {
        let phases = &self.table.phases;
        if phases.grouped {
            // The windows of a group are padded on one side or the other.
            self.grid.frame() - (self.back + STEP) as i64
        } else {
            self.first_tap(self.grid.base) + phases.offsets[self.grid.row as usize] as i64
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

    fn run(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        if frames == 0 {
            return;
        }
        let frames = frames as u64;
        let phases = &self.table.phases;
        if phases.grouped {
            let run = Run {
                phases,
                taps: self.table.taps(),
                size: GROUP * phases.len,
                near: (0, 0),
                kernels: self.kernels.columns,
                fifo,
                base: self.grid.base,
                half: (self.prototype.taps() / 2) as i64,
                first: self.grid.row,
                end: self.grid.row + frames,
            };
            run.write(out, &mut self.jobs);
            if phases.lone {
                self.run_lone(fifo, out, frames);
            }
        } else {
            self.run_rows(fifo, out, frames);
        }
        self.grid.advance(frames);
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        self.table.memory() + self.jobs.capacity() * size_of::<Job>()
    }
}
