// SPDX-License-Identifier: MIT

//! The time-domain engine for any ratio, also a varying one: taps interpolated between phases.

use std::sync::Arc;

use super::design::Prototype;
use super::engine::{Engine, Output};
use super::fifo::View;
use super::ratio::{Position, Ratio, Walk};
use super::spec::{Curve, ResampleError};
use super::table::{Interpolated, Real};
use crate::simd::Level;
use crate::simd::resample_pass::{BLOCK, Between, Kernels, PLACES, Place};

/// Bytes of a table that stay in the first cache beside the samples.
const NEAR_BYTES: usize = 20 << 10;

/// A windowed-sinc filter, interpolated at each output's position; follows rate corrections.
pub struct Sinc<T: Real> {
    prototype: Prototype,
    table: Arc<Interpolated<T>>,
    kernels: Kernels<T>,
    /// Taps of a row that are summed for all places before the next.
    block: usize,
    /// To the next output.
    walk: Walk,
}

impl<T: Real> Sinc<T> {
    /// Taps between phases lie on `curve`.
    pub fn new(
        prototype: Prototype,
        ratio: Ratio,
        curve: Curve,
        level: Level,
    ) -> Result<Self, ResampleError> {
        let table = Interpolated::shared(&prototype, ratio, curve)?;
        let rows = table.taps().len() / table.len;
        // Where outputs share no rows, nothing is read twice.
        let shared = 2 * rows <= PLACES * table.points;
        let near = NEAR_BYTES / (rows * size_of::<T>());
        let block = if shared {
            near.max(4 * BLOCK)
        } else {
            table.len
        };
        Ok(Self {
            block: block.next_multiple_of(BLOCK),
            table,
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

    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T>, frames: usize) {
        let channels = input.channels();
        let kernels = match self.table.points {
            4 => self.kernels.four,
            _ => self.kernels.six,
        };
        let mut places = [Place::default(); PLACES];
        let mut y = [T::default(); 2 * PLACES];
        for at in (0..frames).step_by(PLACES) {
            let places = &mut places[..PLACES.min(frames - at)];
            for place in &mut *places {
                let (row, weights) = self.table.weights(self.walk.fraction());
                *place = Place {
                    at: input.index(self.window_start()),
                    row,
                    weights: weights.map(T::nearest),
                };
                self.walk.advance();
            }
            let between = Between {
                rows: self.table.taps(),
                len: self.table.len,
                block: self.block,
                places,
            };
            let count = places.len();
            for c in (0..channels - channels % 2).step_by(2) {
                (kernels.stereo)([input.plane(c), input.plane(c + 1)], &between, &mut y);
                out.write2(c, at, &y[..2 * count]);
            }
            if channels % 2 == 1 {
                (kernels.mono)(input.plane(channels - 1), &between, &mut y);
                out.write(channels - 1, at, &y[..count]);
            }
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        self.walk.set_correction(correction)
    }

    fn memory(&self) -> usize {
        self.table.memory()
    }
}
