// SPDX-License-Identifier: MIT

//! Rows of `f32` and `f64`.

use std::sync::Arc;

use super::design::Prototype;
use super::engine::Output;
use super::fifo::View;
use super::groups::{Job, Run, Stretch};
use super::phases::Phases;
use super::polyphase::Rows;
use super::ratio::Ratio;
use super::spec::ResampleError;
use super::table::{Exact, Real};
use crate::simd::Level;
use crate::simd::resample_pass::{Kernels, Words};

/// An exact table and its kernels.
pub struct Floats<T: Real> {
    table: Arc<Exact<T>>,
    kernels: Kernels<T>,
}

impl<T: Real> Floats<T> {
    pub fn new(prototype: &Prototype, ratio: Ratio, level: Level) -> Result<Self, ResampleError> {
        Ok(Self {
            table: Exact::shared(prototype, ratio)?,
            kernels: T::kernels(level),
        })
    }

    /// Output `at` of all channels, from the window that begins at `frame`.
    fn row(&self, input: &View<'_, T>, out: &mut Output<'_, T>, taps: &[T], frame: i64, at: u64) {
        let len = taps.len();
        for c in 0..input.channels() {
            let y = (self.kernels.dot)(input.window(c, frame, len), taps, len);
            out.write(c, at as usize, &[y]);
        }
    }

    /// Row by row.
    fn run_rows(&self, stretch: &Stretch<'_, T>, out: &mut Output<'_, T>) {
        let phases = &self.table.phases;
        for at in stretch.first..stretch.end {
            let (period, row) = (at / phases.period, at % phases.period);
            let frame = period * phases.advance + phases.offsets[row as usize];
            let frame = stretch.first_tap() + frame as i64;
            let taps = self.table.block(row as usize);
            self.row(stretch.input, out, taps, frame, at - stretch.first);
        }
    }

    /// The outputs of the row by itself.
    fn run_lone(&self, stretch: &Stretch<'_, T>, out: &mut Output<'_, T>) {
        let phases = &self.table.phases;
        let offset = phases.rows * phases.advance / phases.period;
        for period in 0..=(stretch.end - 1) / phases.period {
            let at = period * phases.period + phases.rows;
            if (stretch.first..stretch.end).contains(&at) {
                let frame = stretch.first_tap() + (period * phases.advance + offset) as i64;
                let taps = self.table.lone();
                self.row(stretch.input, out, taps, frame, at - stretch.first);
            }
        }
    }
}

impl<T: Real> Rows for Floats<T> {
    type Sample = T;

    fn phases(&self) -> &Phases {
        &self.table.phases
    }

    fn run(&self, stretch: &Stretch<'_, T>, out: &mut Output<'_, T>, jobs: &mut Vec<Job>) {
        let phases = &self.table.phases;
        if !phases.grouped {
            self.run_rows(stretch, out);
            return;
        }
        let run = Run {
            phases,
            taps: |group| self.table.block(group),
            words: Words::default(),
            kernels: self.kernels.columns,
            stretch,
        };
        run.write(out, jobs);
        if phases.lone {
            self.run_lone(stretch, out);
        }
    }

    fn memory(&self) -> usize {
        self.table.memory()
    }
}
