// SPDX-License-Identifier: MIT

//! The stream around an engine: input kept, outputs counted, the tail, changes on the way.

use std::convert::Infallible;

use super::build::{Design, Sample};
use super::design::{MAX_QUALITY, Method, Prototype};
use super::engine::{Engine, Output};
use super::fifo::{Fifo, View};
use super::planner::{Plan, filter, plan};
use super::ratio::{CORRECTIONS, Position, Ratio};
use super::spec::{EngineChoice, EngineKind, ResampleError, Spec};
use crate::simd::Level;

/// A running sample-rate conversion.
pub struct Resampler<T: Sample> {
    spec: Spec,
    level: Level,
    ratio: Ratio,
    plan: Plan,
    engine: Box<dyn Engine<T>>,
    fifo: Fifo<T>,
    /// Frames kept for another engine.
    history: usize,
    frames_in: u64,
    frames_out: u64,
    /// Set by `finish`: nothing lies after the last input frame.
    finished: bool,
    /// The ratio has been other than nominal since the last reset.
    corrected: bool,
}

/// Frames of a long input that are taken at a time until the rest can be read where it lies.
const LEAD: usize = 1024;

/// Frames kept behind what the engine needs, so that another engine can take over mid-stream.
fn history(ratio: Ratio, engine: &dyn Engine<impl Sample>) -> usize {
    let longest = Prototype::new(Method::Kaiser, MAX_QUALITY, ratio);
    // Bounded, since at extreme ratios this is memory rather than convenience.
    (longest.taps().min(1 << 16) as usize).max(engine.back())
}

impl<T: Sample> Resampler<T> {
    /// A stream for `spec` with the best kernels of this machine.
    pub fn new(spec: &Spec) -> Result<Self, ResampleError> {
        Self::with_level(spec, Level::best())
    }

    /// With kernels of `level`.
    pub fn with_level(spec: &Spec, level: Level) -> Result<Self, ResampleError> {
        let ratio = Ratio::new(spec.in_rate, spec.out_rate)
            .filter(|_| spec.channels > 0)
            .ok_or(ResampleError::Zero)?;
        let (plan, mut engine) = build(spec, ratio, level)?;
        engine.seek(Position::default());
        let history = history(ratio, &*engine);
        let fifo = Fifo::new(spec.channels, history, engine.slack());
        Ok(Self {
            spec: spec.clone(),
            level,
            ratio,
            plan,
            engine,
            fifo,
            history,
            frames_in: 0,
            frames_out: 0,
            finished: false,
            corrected: spec.rate_correction != 1.0,
        })
    }

    /// What was asked for, as changed since.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Output rate over input rate, corrections left out.
    pub fn ratio(&self) -> Ratio {
        self.ratio
    }

    /// What was decided.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who does the work.
    pub fn kind(&self) -> EngineKind {
        self.plan.kind()
    }

    /// Input frames that an output waits for, at worst.
    pub fn latency(&self) -> u64 {
        self.engine.latency()
    }

    /// Input frames since the last reset.
    pub fn frames_in(&self) -> u64 {
        self.frames_in
    }

    /// Output frames pulled since the last reset.
    pub fn frames_out(&self) -> u64 {
        self.frames_out
    }

    /// Output frames that stand for the input so far: those pulled and those that the rest of the
    /// input is long.
    pub fn frames_due(&self) -> f64 {
        self.frames_out as f64 + self.frames_held()
    }

    /// Output frames that stand for the input which none was pulled for yet; negative where the next
    /// lies behind the last input frame.
    pub fn frames_held(&self) -> f64 {
        let position = self.engine.position();
        let rest = (self.frames_in as i64 - position.frame) as f64
            - position.fraction as f64 / 2f64.powi(64);
        rest / self.ratio.input_per_output() * self.spec.rate_correction
    }

    /// First input frame that the next output depends on.
    pub fn depends_from(&self) -> i64 {
        self.engine.frame() - self.engine.back() as i64
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.fifo.memory() + self.engine.memory()
    }

    /// Takes `frames` of input; `fill(channel, frames)` writes each plane. Not after `finish`.
    pub fn push(&mut self, frames: usize, mut fill: impl FnMut(usize, &mut [T])) {
        let _ = self.try_push(frames, |channel, plane| {
            fill(channel, plane);
            Ok::<_, Infallible>(())
        });
    }

    /// As [`push`](Self::push). Where `fill` cannot write a plane, nothing is taken.
    pub(super) fn try_push<E>(
        &mut self,
        frames: usize,
        mut fill: impl FnMut(usize, &mut [T]) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!(!self.finished);
        self.fifo.push(frames, &mut fill)?;
        self.frames_in += frames as u64;
        Ok(())
    }

    /// As [`push`](Self::push) for two channels, which `fill` writes together. False, and nothing
    /// done, if there are not two.
    pub fn push2(&mut self, frames: usize, fill: impl FnOnce([&mut [T]; 2])) -> bool {
        debug_assert!(!self.finished);
        let done = self.fifo.push2(frames, fill);
        self.frames_in += if done { frames as u64 } else { 0 };
        done
    }

    /// Output frames that can be pulled now.
    pub fn available(&self) -> usize {
        let ready = self.engine.ready(self.fifo.end());
        let frames = if self.finished {
            ready.min(self.engine.available(self.frames_in as i64 - 1))
        } else {
            ready
        };
        usize::try_from(frames).unwrap_or(usize::MAX)
    }

    /// Output frames that `frames` more of input would make available.
    pub fn available_after(&self, frames: usize) -> usize {
        let ready = self.engine.ready(self.fifo.end() + frames as i64);
        usize::try_from(ready).unwrap_or(usize::MAX)
    }

    /// Makes `frames` of output, no more than [`available`](Self::available).
    ///
    /// # Panics
    /// If `out` is too short for that.
    pub fn pull(&mut self, out: &mut Output<'_, T::Sum>, frames: usize) {
        let frames = frames.min(self.available());
        self.engine.run(&self.fifo.view(), out, frames);
        self.frames_out += frames as u64;
        let read = self.engine.needed_from();
        self.fifo.release(self.kept_from(), read);
    }

    /// First frame that is kept.
    fn kept_from(&self) -> i64 {
        let keep = self.history as i64;
        (self.engine.frame() - keep).min(self.engine.needed_from())
    }

    /// Takes all of `planes`, one per channel and as long as each other, and makes what outputs there are
    /// then, `most` at most; how many. The same as a [`push`](Self::push) and a [`pull`](Self::pull), but
    /// input is read where it lies, except for its ends.
    ///
    /// # Panics
    /// If there are not as many planes as channels, or `out` is too short.
    pub fn process(&mut self, planes: &[&[T]], out: &mut Output<'_, T::Sum>, most: usize) -> usize {
        assert_eq!(planes.len(), self.spec.channels, "one plane per channel");
        let (base, mut done) = (self.frames_in as i64, 0);
        let mut rest = planes[0].len();
        let push = |stream: &mut Self, at: usize, frames: usize| {
            stream.push(frames, |c, plane| {
                plane.copy_from_slice(&planes[c][at..at + frames])
            });
        };
        // Until nothing is needed that came before.
        while self.engine.needed_from() < base && rest > 0 && done < most {
            let at = planes[0].len() - rest;
            let lead = rest.min(LEAD);
            push(self, at, lead);
            rest -= lead;
            done += self.pull_next(out, most - done);
        }
        let end = base + planes[0].len() as i64;
        if rest > 0 && self.engine.needed_from() >= base {
            let frames = usize::try_from(self.engine.ready(end - self.engine.slack() as i64));
            let frames = frames.unwrap_or(usize::MAX).min(most - done);
            self.engine.run(&View::of(planes, base), out, frames);
            out.skip(frames);
            self.frames_out += frames as u64;
            done += frames;
            let from = self.kept_from().min(end);
            if from >= self.fifo.end() {
                self.frames_in = from as u64;
                self.fifo.restart_at(from);
                rest = (end - from) as usize;
            }
        }
        push(self, planes[0].len() - rest, rest);
        done + self.pull_next(out, most - done)
    }

    /// Pulls what there is, `most` at most, and has `out` go on after it; how many.
    fn pull_next(&mut self, out: &mut Output<'_, T::Sum>, most: usize) -> usize {
        let frames = self.available().min(most);
        self.pull(out, frames);
        out.skip(frames);
        frames
    }

    /// Ends the input: what follows counts as silence, and the outputs up to the last input frame
    /// become available.
    pub fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            self.fifo.push_zeros(self.engine.latency() as usize + 1);
        }
    }

    /// Forgets all input; the next frame is frame 0.
    pub fn reset(&mut self) {
        self.frames_in = 0;
        self.frames_out = 0;
        self.finished = false;
        self.fifo.reset(self.history, self.engine.slack());
        self.engine.seek(Position::default());
        self.corrected = self.spec.rate_correction != 1.0;
    }

    /// Goes on at another output rate, with what the filter has of the input: from the first whole
    /// input frame on that no output was made for. That becomes frame 0; its number until now.
    pub fn change_out_rate(&mut self, out_rate: u32) -> Result<u64, ResampleError> {
        let spec = Spec {
            out_rate,
            ..self.spec.clone()
        };
        let ratio = Ratio::new(spec.in_rate, out_rate).ok_or(ResampleError::Zero)?;
        let (plan, mut engine) = build::<T>(&spec, ratio, self.level)?;
        let position = self.engine.position();
        let next = position.frame + i64::from(position.fraction > 0);
        let start = next.clamp(0, self.frames_in as i64);
        engine.seek(Position::default());
        self.fifo.renumber(start);
        self.fifo.set_slack(engine.slack());
        self.fifo.extend_back(engine.needed_from());
        self.history = history(ratio, &*engine);
        self.frames_in -= start as u64;
        self.frames_out = 0;
        self.corrected = spec.rate_correction != 1.0;
        self.plan = plan;
        self.engine = engine;
        self.ratio = ratio;
        self.spec = spec;
        Ok(start as u64)
    }

    /// Takes over another `spec` of the same rates and channels from the next output on, without a
    /// gap: the new engine filters the input anew from where it needs it.
    pub fn reconfigure(&mut self, spec: &Spec) -> Result<(), ResampleError> {
        let spec = spec.between(&self.spec);
        let corrected = self.corrected || spec.rate_correction != 1.0;
        if spec == self.spec {
            return Ok(());
        }
        // Only the ratio changes: an engine that can follow it does.
        let same = Spec {
            rate_correction: spec.rate_correction,
            ..self.spec.clone()
        };
        if same == spec && self.engine.set_correction(spec.rate_correction) {
            // It may read some of the input anew.
            self.fifo.extend_back(self.engine.needed_from());
            self.spec = spec;
            self.corrected = corrected;
            return Ok(());
        }
        let mut wanted = spec.clone();
        if corrected && spec.rate_correction == 1.0 {
            // The outputs are off the grid of the exact engines until the next reset.
            wanted.engine = match spec.engine {
                EngineChoice::RubatoFft | EngineChoice::RubatoSinc => EngineChoice::RubatoSinc,
                _ => EngineChoice::Sinc,
            };
        }
        let (plan, mut engine) = build::<T>(&wanted, self.ratio, self.level)?;
        engine.seek(self.engine.position());
        self.fifo.set_slack(engine.slack());
        self.fifo.extend_back(engine.needed_from());
        self.history = history(self.ratio, &*engine);
        self.plan = plan;
        self.engine = engine;
        self.spec = spec;
        self.corrected = corrected;
        Ok(())
    }
}

impl Resampler<i16> {
    /// The same stream in floating point: from the next output on it goes on as if it had been so from
    /// the start, with what `spec` says of all but rates and channels.
    pub(super) fn to_floats(&self, spec: &Spec) -> Result<Resampler<f32>, ResampleError> {
        let spec = spec.between(&self.spec);
        let (plan, mut engine) = build::<f32>(&spec, self.ratio, self.level)?;
        engine.seek(self.engine.position());
        let mut fifo = self.fifo.convert(|v| f32::from(v) * (1.0 / 32_768.0));
        fifo.set_slack(engine.slack());
        fifo.extend_back(engine.needed_from());
        Ok(Resampler {
            // Integers follow no correction.
            corrected: spec.rate_correction != 1.0,
            spec,
            level: self.level,
            ratio: self.ratio,
            plan,
            history: history(self.ratio, &*engine),
            engine,
            fifo,
            frames_in: self.frames_in,
            frames_out: self.frames_out,
            finished: self.finished,
        })
    }
}

/// The plan for `spec`, and its engine, which makes as many outputs as the correction says.
fn build<T: Sample>(
    spec: &Spec,
    ratio: Ratio,
    level: Level,
) -> Result<(Plan, Box<dyn Engine<T>>), ResampleError> {
    if !CORRECTIONS.contains(&spec.rate_correction) {
        return Err(ResampleError::Correction);
    }
    let prototype = filter(spec, ratio);
    let plan = plan(spec, ratio, &prototype, size_of::<T::Sum>());
    let mut engine = T::engine(Design {
        plan: &plan,
        prototype,
        spec,
        ratio,
        level,
    })?;
    engine.set_correction(spec.rate_correction);
    Ok((plan, engine))
}
