//! The time-domain engines: exact polyphase filters for rational ratios, interpolated ones for any.

use std::sync::Arc;

use super::design::Prototype;
use super::engine::{Engine, Output, Sample};
use super::fifo::Fifo;
use super::ratio::{Position, step};
use super::table::Table;
use super::{Ratio, ResampleError};
use crate::dsp::simd::Level;
use crate::dsp::simd::resample::{GROUP, Kernels};

/// A windowed-sinc filter evaluated at each output's position.
///
/// An output depends only on its own taps and on the input in its window, so any chopping of the
/// input gives the same bits.
pub struct Polyphase<T> {
    ratio: Ratio,
    prototype: Prototype,
    table: Arc<Table<T>>,
    kernels: Kernels<T>,
    /// Exact table: input frame of output 0 of the running period, and the output in it.
    base: i64,
    row: u64,
    /// Of the next output.
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

    fn run_exact(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, mut frames: usize) {
        let Table::Exact(table) = &*self.table else {
            return;
        };
        let (len, taps) = (table.len, table.taps());
        let start = self.window_start(0);
        let (mut base, mut row) = (self.base, self.row);
        let channels = fifo.channels();
        let mut at = 0;
        while frames > 0 {
            if table.grouped {
                let group = row / GROUP as u64;
                let low = (row % GROUP as u64) as usize;
                let rows = (table.period - group * GROUP as u64).min(GROUP as u64) as usize;
                let take = (rows - low).min(frames);
                // With a single group, the next one has the same taps: both in one pass.
                let single = table.period == GROUP as u64;
                let next = if single && channels == 1 {
                    (frames - take).min(GROUP)
                } else {
                    0
                };
                let frame = base + start + table.offsets[group as usize] as i64;
                let taps = &taps[group as usize * GROUP * len..][..GROUP * len];
                let paired = channels - channels % 2;
                for c in (0..paired).step_by(2) {
                    let mut y = [[T::default(); GROUP]; 2];
                    let x = [fifo.window(c, frame, len), fifo.window(c + 1, frame, len)];
                    (self.kernels.group2)(x, taps, len, &mut y);
                    out.write2(c, at, [&y[0][low..low + take], &y[1][low..low + take]]);
                }
                if paired < channels && single {
                    // Also where only one is wanted, so that both are summed in one order.
                    let advance = if next > 0 { table.advance as i64 } else { 0 };
                    let x = [frame, frame + advance].map(|f| fifo.window(paired, f, len));
                    let mut y = [[T::default(); GROUP]; 2];
                    (self.kernels.group2)(x, taps, len, &mut y);
                    out.write(paired, at, &y[0][low..low + take]);
                    if next > 0 {
                        out.write(paired, at + take, &y[1][..next]);
                    }
                } else if paired < channels {
                    let mut y = [T::default(); GROUP];
                    (self.kernels.group)(fifo.window(paired, frame, len), taps, len, &mut y);
                    out.write(paired, at, &y[low..low + take]);
                }
                at += take;
                row += take as u64;
                frames -= take;
                if next > 0 {
                    at += next;
                    row = next as u64;
                    base += table.advance as i64;
                    frames -= next;
                }
            } else {
                let frame = base + start + table.offsets[row as usize] as i64;
                let taps = &taps[row as usize * len..][..len];
                for c in 0..channels {
                    let y = (self.kernels.dot)(fifo.window(c, frame, len), taps, len);
                    out.write(c, at, &[y]);
                }
                at += 1;
                row += 1;
                frames -= 1;
            }
            if row == table.period {
                row = 0;
                base += table.advance as i64;
            }
        }
        self.base = base;
        self.row = row;
        // Once a run, since it takes a long division and is asked for many times.
        let numerator = u128::from(row) * u128::from(self.ratio.m);
        let l = u128::from(self.ratio.l);
        let (frame, phase) = (base + (numerator / l) as i64, (numerator % l) as u64);
        self.position = Position::rational(frame, phase, self.ratio.l);
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
                out.write2(c, at, [&[sum(y[0])], &[sum(y[1])]]);
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
        let shift = GROUP as f64 * self.ratio.input_per_output();
        (self.prototype.taps() / 2) as usize + shift.ceil() as usize
    }

    fn slack(&self) -> usize {
        self.table.len()
    }

    fn needed_from(&self) -> i64 {
        match &*self.table {
            Table::Exact(t) => {
                let row = if t.grouped {
                    self.row / GROUP as u64
                } else {
                    self.row
                };
                self.window_start(self.base) + t.offsets[row as usize] as i64
            }
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
        self.position
    }

    fn available(&self, through: i64) -> u64 {
        outputs_through(self.position(), through, self.step)
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
        self.table.memory()
    }
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
