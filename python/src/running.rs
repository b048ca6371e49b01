// SPDX-License-Identifier: MIT

//! A signal on its way through a resampler: what it was given, and what it gave.

use rustaudio_dsp::Frames;
use rustaudio_dsp::resample::{ResampleError, Spec, Stream};

use crate::rates::output_frames;

/// Frames of silence that are taken at a time.
const SILENCE: usize = 1024;

/// Has `stream` take silence until `frames` can be pulled.
pub fn end(stream: &mut Stream, frames: usize) {
    while stream.available() < frames {
        // Silence lies nowhere, so that it cannot lie outside.
        let _ = stream.push(Frames::silence(SILENCE));
    }
}

/// A [`Stream`], with the counts that make its output as long as its input says.
pub struct Running {
    pub stream: Stream,
    pub spec: Spec,
    /// Output frames given.
    given: usize,
    /// No input comes any more.
    ended: bool,
    /// Some of the input was, or may have been, taken at another rate than the nominal one.
    corrected: bool,
}

impl Running {
    /// `stream` is at its beginning.
    pub fn new(stream: Stream, spec: Spec) -> Self {
        let corrected = spec.rate_correction != 1.0;
        Self {
            stream,
            spec,
            given: 0,
            ended: false,
            corrected,
        }
    }

    /// Whether [`end`](Self::end) has been.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Ends the input; how many output frames are still to be pulled.
    pub fn end(&mut self) -> usize {
        self.ended = true;
        let rest = self.total().saturating_sub(self.given);
        end(&mut self.stream, rest);
        rest
    }

    /// Makes `frames` of output, no more than there are.
    pub fn pull(&mut self, frames: usize, output: &mut [u8]) {
        self.stream.pull(frames, output);
        self.given += frames;
    }

    /// Output frames that the input so far stands for and that were not given yet.
    pub fn delay(&self) -> f64 {
        if self.ended {
            return 0.0;
        }
        (self.stream.frames_due() - self.given as f64).max(0.0)
    }

    /// Goes on with another `correction` of the ratio.
    pub fn correct(&mut self, correction: f64) -> Result<(), ResampleError> {
        self.spec.rate_correction = correction;
        self.corrected |= correction != 1.0;
        self.stream.reconfigure(&self.spec)
    }

    /// Forgets all input.
    pub fn restart(&mut self) {
        self.stream.restart();
        self.given = 0;
        self.ended = false;
        self.corrected = self.spec.rate_correction != 1.0;
    }

    /// Output frames that the input is long.
    fn total(&self) -> usize {
        match self.corrected {
            false => output_frames(&self.spec, self.stream.frames_in()),
            true => (self.stream.frames_due() + 0.5).floor() as usize,
        }
    }
}
