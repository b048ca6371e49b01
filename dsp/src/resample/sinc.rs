//! The time-domain engine for any ratio, also a varying one: taps interpolated between phases.

use std::sync::Arc;

use super::design::Prototype;
use super::engine::{Engine, Output};
use super::fifo::Fifo;
use super::ratio::{Position, Ratio, Walk};
use super::spec::ResampleError;
use super::table::{Interpolated, Real};
use crate::simd::Level;
use crate::simd::resample_pass::Kernels;

/// A windowed-sinc filter, interpolated at each output's position; follows rate corrections.
pub struct Sinc<T: Real> {
    prototype: Prototype,
    table: Arc<Interpolated<T>>,
    kernels: Kernels<T>,
    /// To the next output.
    walk: Walk,
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
            table: Interpolated::shared(&prototype, ratio, cubic)?,
            prototype,
            kernels: T::kernels(level),
            walk: Walk::new(ratio),
        })
    }

    /// First frame of the window of the next output.
    fn window_start(&self) -> i64 {
        self.walk.frame() + 1 - (self.prototype.taps() / 2) as i64
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
        self.walk.seek(position);
    }

    fn position(&self) -> Position {
        self.walk.position()
    }

    fn frame(&self) -> i64 {
        self.walk.frame()
    }

    fn available(&self, through: i64) -> u64 {
        self.walk.outputs_through(through)
    }

    fn ready(&self, end: i64) -> u64 {
        self.available(end - 1 - self.latency() as i64)
    }

    fn run(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        let (len, taps) = (self.table.len, self.table.taps());
        let channels = fifo.channels();
        for at in 0..frames {
            let (row, weights) = self.table.weights(self.walk.fraction());
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
            self.walk.advance();
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        self.walk.set_correction(correction)
    }

    fn memory(&self) -> usize {
        self.table.memory()
    }
}
