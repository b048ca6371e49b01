// SPDX-License-Identifier: MIT

//! rubato's `Fft` as an engine: blocks of input, each filtered as one, that overlap in their output.

use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use super::engine::{Engine, Output};
use super::fifo::View;
use super::ratio::{Position, Ratio};
use super::rounds::Rounds;
use super::rubato_planes::Planes;
use super::spec::ResampleError;
use crate::simd::resample_pass::Grouped;

/// Samples that rubato's transforms bear: it panics on the NaN that an infinite sum becomes.
pub trait Bounded {
    /// `x` within some 30 (f64: 300) powers of ten of full scale; what is no number is silence.
    fn bounded(x: Self) -> Self;
}

impl Bounded for f32 {
    fn bounded(x: Self) -> Self {
        if x.is_nan() {
            0.0
        } else {
            x.clamp(-1e30, 1e30)
        }
    }
}

impl Bounded for f64 {
    fn bounded(x: Self) -> Self {
        if x.is_nan() {
            0.0
        } else {
            x.clamp(-1e300, 1e300)
        }
    }
}

/// Blocks start at fixed places of the input. The filter is as long as a block, so the block before
/// the first wanted one is fed for its overlap only.
pub struct RubatoFft<T> {
    fft: Fft<T>,
    planes: Planes<T>,
    rounds: Rounds,
    /// The block before the next one is in the overlap.
    led_in: bool,
}

impl<T: Grouped<Sum = T> + rubato::Sample + Bounded> RubatoFft<T> {
    /// Blocks of `units` times the ratio's smallest stretch. `units` is even: the peak of the filter
    /// lies on half a block, which has to be a frame.
    pub fn new(ratio: Ratio, units: u64, channels: usize) -> Result<Self, ResampleError> {
        let (frames, outputs) = (units * ratio.m, units * ratio.l);
        let fft = Fft::new_custom(
            ratio.m as usize,
            ratio.l as usize,
            frames as usize,
            1,
            channels,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|error| ResampleError::Rubato(error.to_string()))?;
        Ok(Self {
            fft,
            planes: Planes::new(channels, frames as usize, outputs as usize),
            rounds: Rounds::new(ratio, units, units),
            led_in: false,
        })
    }

    /// Filters the block that begins at frame `at`.
    fn block(&mut self, input: &View<'_, T>, at: i64) {
        let lengths = self.planes.lengths();
        self.planes
            .pass(&mut self.fft, (input, at), lengths, T::bounded);
    }
}

impl<T: Grouped<Sum = T> + rubato::Sample + Bounded> Engine<T> for RubatoFft<T> {
    fn latency(&self) -> u64 {
        self.rounds.latency()
    }

    fn back(&self) -> usize {
        self.rounds.back()
    }

    fn slack(&self) -> usize {
        0
    }

    fn needed_from(&self) -> i64 {
        let half = self.rounds.before();
        self.rounds.start() + if self.led_in { half } else { -half }
    }

    fn seek(&mut self, position: Position) {
        self.rounds.seek(position);
        self.led_in = false;
    }

    fn position(&self) -> Position {
        self.rounds.position()
    }

    fn frame(&self) -> i64 {
        self.rounds.frame()
    }

    fn available(&self, last: i64) -> u64 {
        self.rounds.available(last)
    }

    fn ready(&self, end: i64) -> u64 {
        self.rounds.ready(end)
    }

    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T>, frames: usize) {
        let half = self.rounds.before();
        let mut at = 0;
        while at < frames {
            while self.rounds.is_due() {
                if !self.led_in {
                    self.fft.reset();
                    self.block(input, self.rounds.start() - half);
                    self.led_in = true;
                }
                self.block(input, self.rounds.start() + half);
                self.rounds.turn();
            }
            let from = self.rounds.offset();
            let take = (self.planes.lengths().1 - from).min(frames - at);
            self.planes.write(out, at, from, take);
            at += take;
            self.rounds.advance(take);
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        let (input, output) = self.planes.lengths();
        // Ours, rubato's copies and overlaps, then its spectra, blocks and tables.
        let of_channels = self.planes.channels() * (3 * input + 4 * output);
        (of_channels + 10 * input + 6 * output) * size_of::<T>()
    }
}
