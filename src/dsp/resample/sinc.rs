//! The time-domain engine for any ratio, also a varying one: taps interpolated between phases.

use std::sync::Arc;

use super::design::Prototype;
use super::engine::{Engine, Output, Real};
use super::fifo::Fifo;
use super::ratio::{Position, step};
use super::table::Interpolated;
use super::{Ratio, ResampleError};
use crate::dsp::simd::Level;
use crate::dsp::simd::resample_pass::Kernels;

/// A windowed-sinc filter, interpolated at each output's position; follows rate corrections.
pub struct Sinc<T: Real> {
    ratio: Ratio,
    prototype: Prototype,
    table: Arc<Interpolated<T>>,
    kernels: Kernels<T>,
    /// Of the next output.
    position: Position,
    /// From one output to the next.
    step: u128,
}

impl<T: Real> Sinc<T> {
    /// Taps between phases lie on cubics or, else, straight lines.
    pub fn new(
        prototype: Prototype,
        ratio: Ratio,
        cubic: bool,
        level: Level,
    ) -> Result<Self, ResampleError> {
        Ok(Self {
            ratio,
            table: Interpolated::shared(&prototype, ratio, cubic)?,
            prototype,
            kernels: T::kernels(level),
            position: Position::default(),
            step: step(ratio, 1.0),
        })
    }

    /// First frame of the window of the next output.
    fn window_start(&self) -> i64 {
        self.position.frame + 1 - (self.prototype.taps() / 2) as i64
    }
}

impl<T: Real> Engine<T> for Sinc<T> {
    fn latency(&self) -> u64 {
        self.prototype.latency()
    }

    fn back(&self) -> usize {
        (self.prototype.taps() / 2) as usize
    }

    fn slack(&self) -> usize {
        self.table.len
    }

    fn needed_from(&self) -> i64 {
        self.window_start()
    }

    fn seek(&mut self, position: Position) {
        self.position = position;
    }

    fn position(&self) -> Position {
        self.position
    }

    fn available(&self, through: i64) -> u64 {
        outputs_through(self.position, through, self.step)
    }

    fn ready(&self, end: i64) -> u64 {
        self.available(end - 1 - self.latency() as i64)
    }

    fn run(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        let (len, taps) = (self.table.len, self.table.taps());
        let channels = fifo.channels();
        for at in 0..frames {
            let (row, weights) = self.table.weights(self.position.fraction);
            let w = weights.map(T::nearest);
            let sum = |y: [T; 4]| (y[0] * w[0] + y[3] * w[3]) + (y[1] * w[1] + y[2] * w[2]);
            let frame = self.window_start();
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

    fn set_correction(&mut self, correction: f64) -> bool {
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
