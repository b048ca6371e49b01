//! The time-domain engines: exact polyphase filters for rational ratios, interpolated ones for any.

use std::sync::Arc;

use super::design::Prototype;
use super::engine::{Engine, Output, Sample};
use super::fifo::Fifo;
use super::groups::{Job, Run};
use super::ratio::{Position, step};
use super::table::{Exact, Table};
use super::{Ratio, ResampleError};
use crate::dsp::simd::Level;
use crate::dsp::simd::resample::{GROUP, Kernels, STEP};

/// A windowed-sinc filter evaluated at each output's position.
///
/// An output depends only on its own taps and on the input in its window, so any chopping of finite
/// input gives the same bits. (Rows are padded with zeros, which NaN and infinity do not respect.)
pub struct Polyphase<T> {
    ratio: Ratio,
    prototype: Prototype,
    table: Arc<Table<T>>,
    kernels: Kernels<T>,
    /// Scratch.
    jobs: Vec<Job>,
    /// Exact table: input frame of output 0 of the running period, and the output in it.
    base: i64,
    row: u64,
    /// Interpolated table: of the next output.
    position: Position,
    /// From one output to the next.
    step: u128,
    correction: f64,
}

impl<T: Sample> Polyphase<T> {
    /// With the taps of every phase.
    pub fn exact(prototype: Prototype, ratio: Ratio, level: Level) -> Result<Self, ResampleError> {
        let table = Table::exact(&prototype, ratio)?;
        Ok(Self::with_table(prototype, ratio, table, level))
    }

    /// With taps interpolated from a prototype; follows rate corrections.
    pub fn interpolated(
        prototype: Prototype,
        ratio: Ratio,
        cubic: bool,
        level: Level,
    ) -> Result<Self, ResampleError> {
        let table = Table::interpolated(&prototype, ratio, cubic)?;
        Ok(Self::with_table(prototype, ratio, table, level))
    }

    fn with_table(prototype: Prototype, ratio: Ratio, table: Arc<Table<T>>, level: Level) -> Self {
        Self {
            ratio,
            prototype,
            table,
            kernels: T::kernels(level),
            jobs: Vec::new(),
            base: 0,
            row: 0,
            position: Position::default(),
            step: step(ratio, 1.0),
            correction: 1.0,
        }
    }

    /// First frame of the window of an output between frame `frame` and the next.
    fn window_start(&self, frame: i64) -> i64 {
        frame + 1 - (self.prototype.taps() / 2) as i64
    }

    fn run_exact(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        let Table::Exact(table) = &*self.table else {
            return;
        };
        if frames == 0 {
            return;
        }
        if table.grouped {
            let run = Run {
                table,
                kernels: self.kernels,
                fifo,
                base: self.base,
                half: (self.prototype.taps() / 2) as i64,
                first: self.row,
                end: self.row + frames as u64,
            };
            run.write(out, &mut self.jobs);
        } else {
            self.run_rows(table, fifo, out, frames as u64);
        }
        let row = self.row + frames as u64;
        self.base += (row / table.period * table.advance) as i64;
        self.row = row % table.period;
    }

    /// Row by row.
    fn run_rows(&self, table: &Exact<T>, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: u64) {
        let len = table.len;
        let start = self.base + self.window_start(0);
        for at in 0..frames {
            let (period, row) = (
                (self.row + at) / table.period,
                (self.row + at) % table.period,
            );
            let frame = start + (period * table.advance + table.offsets[row as usize]) as i64;
            let taps = &table.taps()[row as usize * len..][..len];
            for c in 0..fifo.channels() {
                let y = (self.kernels.dot)(fifo.window(c, frame, len), taps, len);
                out.write(c, at as usize, &[y]);
            }
        }
    }

    fn run_interpolated(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        let Table::Interpolated(table) = &*self.table else {
            return;
        };
        let (len, taps) = (table.len, table.taps());
        let channels = fifo.channels();
        for at in 0..frames {
            let (row, weights) = table.weights(self.position.fraction);
            let w = weights.map(T::nearest);
            let sum = |y: [T; 4]| (y[0] * w[0] + y[3] * w[3]) + (y[1] * w[1] + y[2] * w[2]);
            let frame = self.window_start(self.position.frame);
            let rows = &taps[row * len..][..4 * len];
            let mut c = 0;
            while c + 2 <= channels {
                let x = [fifo.window(c, frame, len), fifo.window(c + 1, frame, len)];
                let y = (self.kernels.four2)(x, rows, len);
                out.write2(c, at, &[sum(y[0]), sum(y[1])]);
                c += 2;
            }
            if c < channels {
                let y = (self.kernels.four)(fifo.window(c, frame, len), rows, len);
                out.write(c, at, &[sum(y)]);
            }
            self.position = self.position.advance(self.step);
        }
    }
}

impl<T: Sample> Engine<T> for Polyphase<T> {
    fn latency(&self) -> u64 {
        self.prototype.latency()
    }

    fn back(&self) -> usize {
        // The window of a group starts at that of its first row.
        let shift = (GROUP as u64 * self.ratio.m).div_ceil(self.ratio.l);
        (self.prototype.taps() / 2 + shift) as usize
    }

    fn slack(&self) -> usize {
        self.table.len()
    }

    fn needed_from(&self) -> i64 {
        match &*self.table {
            // The windows of a group are padded on one side or the other.
            Table::Exact(t) if t.grouped => self.frame() - (self.back() + STEP) as i64,
            Table::Exact(t) => self.window_start(self.base) + t.offsets[self.row as usize] as i64,
            Table::Interpolated(_) => self.window_start(self.position.frame),
        }
    }

    fn seek(&mut self, position: Position) {
        self.position = position;
        if let Table::Exact(table) = &*self.table {
            // Rows of one phase stand where `row * m mod l` is it; a period may repeat them.
            let phase = position.phase(self.ratio.l);
            self.row = (0..self.ratio.l)
                .find(|row| {
                    u128::from(*row) * u128::from(self.ratio.m) % u128::from(self.ratio.l)
                        == u128::from(phase)
                })
                .unwrap_or(0);
            debug_assert!(self.row < table.period);
            self.base = position.frame - (self.row * self.ratio.m / self.ratio.l) as i64;
        }
    }

    fn position(&self) -> Position {
        match &*self.table {
            Table::Exact(_) => {
                let (frame, phase) = split(self.row, self.ratio);
                Position::rational(self.base + frame as i64, phase, self.ratio.l)
            }
            Table::Interpolated(_) => self.position,
        }
    }

    fn frame(&self) -> i64 {
        match &*self.table {
            Table::Exact(_) => self.base + split(self.row, self.ratio).0 as i64,
            Table::Interpolated(_) => self.position.frame,
        }
    }

    fn available(&self, through: i64) -> u64 {
        match &*self.table {
            Table::Exact(_) => outputs_from(self.base, self.row, through, self.ratio),
            Table::Interpolated(_) => outputs_through(self.position, through, self.step),
        }
    }

    fn ready(&self, end: i64) -> u64 {
        self.available(end - 1 - self.latency() as i64)
    }

    fn run(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        match &*self.table {
            Table::Exact(_) => self.run_exact(fifo, out, frames),
            Table::Interpolated(_) => self.run_interpolated(fifo, out, frames),
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        if matches!(*self.table, Table::Exact(_)) {
            return correction == 1.0;
        }
        self.correction = correction;
        self.step = step(self.ratio, correction);
        true
    }

    fn memory(&self) -> usize {
        self.table.memory() + self.jobs.capacity() * size_of::<Job>()
    }
}

/// Whole input frames before output `n` of a grid that starts at one, and the phase beyond them.
pub fn split(n: u64, ratio: Ratio) -> (u64, u64) {
    if let Some(numerator) = n.checked_mul(ratio.m) {
        return (numerator / ratio.l, numerator % ratio.l);
    }
    let (numerator, l) = (u128::from(n) * u128::from(ratio.m), u128::from(ratio.l));
    ((numerator / l) as u64, (numerator % l) as u64)
}

/// Outputs from number `next` on that lie at or before frame `last`, where number 0 lies at frame
/// `base`.
pub fn outputs_from(base: i64, next: u64, last: i64, ratio: Ratio) -> u64 {
    let Ok(span) = u64::try_from(last - base) else {
        return 0;
    };
    let through = match span.checked_mul(ratio.l) {
        Some(numerator) => numerator / ratio.m,
        None => (u128::from(span) * u128::from(ratio.l) / u128::from(ratio.m)) as u64,
    };
    (through + 1).saturating_sub(next)
}

/// Outputs from `next` on, `step` apart, that lie at or before frame `last`.
pub fn outputs_through(next: Position, last: i64, step: u128) -> u64 {
    // What steps have too much, in days of them, must not push an output at a whole frame beyond it.
    const TOLERANCE: i128 = 1 << 40;
    let at = |frame: i64, fraction: u64| (i128::from(frame) << 64) + i128::from(fraction);
    let span = at(last, 0) + TOLERANCE - at(next.frame, next.fraction);
    if span < 0 {
        return 0;
    }
    u64::try_from(span as u128 / step.max(1) + 1).unwrap_or(u64::MAX)
}
