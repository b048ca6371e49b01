// SPDX-License-Identifier: MIT

//! rubato's `Async` as an engine: windowed sincs interpolated between phases, in pieces of a fixed
//! number of outputs. They are counted from the last seek or change of the correction, so any chopping
//! of the input gives the same bits.

use std::sync::{Mutex, PoisonError};

use rubato::{
    Adjustable, Async, FixedAsync, Resampler, Resizable, SincInterpolationParameters,
    SincInterpolationType, WindowFunction,
};

use super::engine::{Engine, Output};
use super::fifo::View;
use super::planner::{RUBATO_PIECE as PIECE, rubato_ahead, rubato_latency, rubato_taps};
use super::ratio::{Position, Ratio, Walk};
use super::rubato_planes::Planes;
use super::spec::{Interpolation, MAX_TABLE_BYTES, ResampleError};
use crate::simd::resample_pass::Grouped;

/// How far from nominal a ratio may be: [`CORRECTIONS`](super::CORRECTIONS) and what the way to a
/// fractional position takes.
const RELATIVE: f64 = 1.25;

/// Up to this quality sincs are under Blackman's window, which leaves -75 dB of what must go, above it
/// under one that leaves -120.
const LAST_BLACKMAN: u8 = 4;

/// Positions are counted exactly; those that rubato works at are sums in `f64`, which stray from them
/// by some 1e-13 of a frame a piece.
pub struct RubatoSinc<T> {
    /// Never locked: it lets what rubato keeps to one thread at a time be seen from several.
    sinc: Mutex<Async<T>>,
    /// Length of the sinc, in input frames.
    taps: u64,
    /// Phases of a frame that it has taps for.
    phases: usize,
    ratio: Ratio,
    /// Output frames per nominal one.
    correction: f64,
    planes: Planes<T>,
    /// Outputs of the running piece that are handed out; all of them where there is none.
    used: usize,
    /// The input that rubato takes next; `None` before the first piece.
    fed: Option<i64>,
    /// To the next output.
    walk: Walk,
}

impl<T: Grouped<Sum = T> + rubato::Sample> RubatoSinc<T> {
    pub fn new(
        ratio: Ratio,
        quality: u8,
        interpolation: Interpolation,
        channels: usize,
    ) -> Result<Self, ResampleError> {
        let taps = rubato_taps(quality, ratio);
        let phases = if quality > 8 { 512 } else { 256 };
        let bytes = taps * phases as u64 * size_of::<T>() as u64;
        if bytes > MAX_TABLE_BYTES {
            return Err(ResampleError::TooLarge { bytes });
        }
        let window = if quality > LAST_BLACKMAN {
            WindowFunction::BlackmanHarris2
        } else {
            WindowFunction::Blackman
        };
        let parameters = SincInterpolationParameters::new(taps as usize, window)
            .oversampling_factor(phases)
            .interpolation(match interpolation {
                Interpolation::Linear => SincInterpolationType::Linear,
                _ => SincInterpolationType::Cubic,
            });
        let most = PIECE.max((RELATIVE * taps as f64 / ratio.input_per_output()) as usize + 2);
        let sinc = Async::new_sinc(
            1.0 / ratio.input_per_output(),
            RELATIVE,
            &parameters,
            most,
            channels,
            FixedAsync::Output,
        )
        .map_err(|error| ResampleError::Rubato(error.to_string()))?;
        Ok(Self {
            planes: Planes::new(channels, sinc.input_frames_max(), most),
            sinc: Mutex::new(sinc),
            taps,
            phases,
            ratio,
            correction: 1.0,
            used: PIECE,
            fed: None,
            walk: Walk::new(ratio),
        })
    }

    /// Input frames from one output to the next.
    fn step(&self) -> f64 {
        self.ratio.input_per_output() / self.correction
    }

    /// Lets rubato make `outputs` from frame `at` on, at `ratio`. The frame after those that it took.
    fn feed(&mut self, input: &View<'_, T>, at: i64, outputs: usize, ratio: f64) -> i64 {
        let sinc = self.sinc.get_mut().unwrap_or_else(PoisonError::into_inner);
        let set = sinc.set_chunk_size(outputs);
        let set = set.and_then(|()| sinc.set_resample_ratio(ratio, false));
        debug_assert!(set.is_ok());
        let frames = sinc.input_frames_next();
        self.planes
            .pass(sinc, (input, at), (frames, outputs), |x| x);
        at + frames as i64
    }

    /// Makes the next piece.
    fn piece(&mut self, input: &View<'_, T>) {
        let at = match self.fed {
            Some(at) => at,
            None => self.approach(input),
        };
        let fed = self.feed(input, at, PIECE, 1.0 / self.step());
        self.fed = Some(fed);
        self.used = 0;
    }

    /// Starts afresh so that the next output is that at the walk's position, wherever between frames it
    /// lies: outputs that nobody hears lead there, at a ratio that fits a whole number of them in. The
    /// frame to be fed next.
    fn approach(&mut self, input: &View<'_, T>) -> i64 {
        let sinc = self.sinc.get_mut().unwrap_or_else(PoisonError::into_inner);
        sinc.reset();
        let fraction = self.walk.fraction() as f64 / 2f64.powi(64);
        // rubato counts from `1 - taps` on, where its first output would be a step further, and its
        // table is off by one phase.
        let way = self.taps as f64 + fraction - self.step() - 1.0 / self.phases as f64;
        let outputs = (way / self.step()).round().max(1.0);
        let start = self.walk.frame() - self.reach();
        self.feed(input, start, outputs as usize, outputs / way)
    }

    /// Input frames before an output's frame that its window begins at, or a little later.
    fn reach(&self) -> i64 {
        self.taps as i64 / 2
    }
}

impl<T: Grouped<Sum = T> + rubato::Sample> Engine<T> for RubatoSinc<T> {
    fn latency(&self) -> u64 {
        rubato_latency(self.taps, self.ratio)
    }

    fn back(&self) -> usize {
        self.reach() as usize
    }

    fn slack(&self) -> usize {
        0
    }

    fn needed_from(&self) -> i64 {
        self.fed.unwrap_or(self.walk.frame() - self.reach())
    }

    fn seek(&mut self, position: Position) {
        self.walk.seek(position);
        (self.used, self.fed) = (PIECE, None);
    }

    fn position(&self) -> Position {
        self.walk.position()
    }

    fn frame(&self) -> i64 {
        self.walk.frame()
    }

    fn available(&self, last: i64) -> u64 {
        self.walk.outputs_through(last)
    }

    fn ready(&self, end: i64) -> u64 {
        let (made, piece) = ((PIECE - self.used) as u64, PIECE as u64);
        let within = self.available(end - 1 - rubato_ahead(self.taps) as i64);
        made + within.saturating_sub(made) / piece * piece
    }

    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T>, frames: usize) {
        let mut at = 0;
        while at < frames {
            if self.used == PIECE {
                self.piece(input);
            }
            let take = (PIECE - self.used).min(frames - at);
            self.planes.write(out, at, self.used, take);
            (0..take).for_each(|_| self.walk.advance());
            self.used += take;
            at += take;
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        let can = self.walk.set_correction(correction);
        if can && correction != self.correction {
            // What is left of the piece was made at the old ratio.
            (self.used, self.fed) = (PIECE, None);
            self.correction = correction;
        }
        can
    }

    fn memory(&self) -> usize {
        let (channels, (input, output)) = (self.planes.channels(), self.planes.lengths());
        let buffers = channels * (2 * input + output);
        let table = self.taps as usize * self.phases;
        (buffers + 2 * channels * self.taps as usize + table) * size_of::<T>()
    }
}
