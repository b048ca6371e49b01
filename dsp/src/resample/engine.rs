// SPDX-License-Identifier: MIT

//! What every engine does.

use super::fifo::View;
use super::ratio::Position;
use crate::simd::resample_pass::Grouped;

/// Where output goes: sample `frame` of `channel` is at `channel * channel_stride + frame *
/// frame_stride`.
pub struct Output<'a, T> {
    samples: &'a mut [T],
    channel_stride: usize,
    frame_stride: usize,
    offset: usize,
}

impl<'a, T: Copy> Output<'a, T> {
    /// `samples` with the channels of a frame side by side.
    pub fn interleaved(samples: &'a mut [T], channels: usize) -> Self {
        Self {
            samples,
            channel_stride: 1,
            frame_stride: channels,
            offset: 0,
        }
    }

    /// `samples` with one channel after another, each `frames` long.
    pub fn planar(samples: &'a mut [T], frames: usize) -> Self {
        Self {
            samples,
            channel_stride: frames,
            frame_stride: 1,
            offset: 0,
        }
    }

    /// From here on, frame 0 is what was frame `frames`.
    pub fn skip(&mut self, frames: usize) {
        self.offset += frames;
    }

    /// The samples of `C` channels, one or two, from `channel` on, from frame 0 on, where they are all
    /// that lies there.
    #[inline]
    pub fn stretch<const C: usize>(&mut self, channel: usize) -> Option<&mut [T]> {
        let at = channel * self.channel_stride + self.offset * self.frame_stride;
        let alone = self.frame_stride == C && (C == 1 || self.channel_stride == 1);
        alone.then(|| &mut self.samples[at..])
    }

    /// Writes consecutive frames of one channel.
    #[inline]
    pub fn write(&mut self, channel: usize, frame: usize, y: &[T]) {
        let at = channel * self.channel_stride + (self.offset + frame) * self.frame_stride;
        if self.frame_stride == 1 {
            self.samples[at..at + y.len()].copy_from_slice(y);
        } else {
            let to = self.samples[at..].iter_mut().step_by(self.frame_stride);
            for (to, y) in to.zip(y) {
                *to = *y;
            }
        }
    }

    /// Writes consecutive frames of channels `channel` and `channel + 1`, which alternate in `y`.
    #[inline]
    pub fn write2(&mut self, channel: usize, frame: usize, y: &[T]) {
        if self.channel_stride == 1 && self.frame_stride == 2 {
            let at = (self.offset + frame) * 2;
            self.samples[at..at + y.len()].copy_from_slice(y);
            return;
        }
        for part in 0..2 {
            let at =
                (channel + part) * self.channel_stride + (self.offset + frame) * self.frame_stride;
            let to = self.samples[at..].iter_mut().step_by(self.frame_stride);
            for (to, y) in to.zip(y[part..].iter().step_by(2)) {
                *to = *y;
            }
        }
    }

    /// Writes consecutive frames of channels `channel` and `channel + 1`, one in each of `y`.
    #[inline]
    pub fn write_both(&mut self, channel: usize, frame: usize, y: [&[T]; 2]) {
        if self.channel_stride != 1 || self.frame_stride != 2 {
            self.write(channel, frame, y[0]);
            self.write(channel + 1, frame, y[1]);
            return;
        }
        let at = (self.offset + frame) * 2;
        let to = self.samples[at..at + 2 * y[0].len()].as_chunks_mut().0;
        for (to, (a, b)) in to.iter_mut().zip(y[0].iter().zip(y[1])) {
            *to = [*a, *b];
        }
    }
}

/// A sample-rate converter that reads a [`View`] from a position of its own on.
pub trait Engine<T: Grouped>: Send + Sync {
    /// Input frames after an output's position that it waits for, at worst.
    fn latency(&self) -> u64;

    /// Input frames before an output's position that it depends on.
    fn back(&self) -> usize;

    /// Frames after the end of the input that may be read (and count for nothing).
    fn slack(&self) -> usize;

    /// First input frame that is still needed.
    fn needed_from(&self) -> i64;

    /// The next output is to be the one at `position`.
    fn seek(&mut self, position: Position);

    /// Position of the next output.
    fn position(&self) -> Position;

    /// The whole frame of [`position`](Self::position).
    fn frame(&self) -> i64 {
        self.position().frame
    }

    /// Outputs that lie at or before frame `last`.
    fn available(&self, last: i64) -> u64;

    /// Outputs that can be made from the input before frame `end`.
    fn ready(&self, end: i64) -> u64;

    /// Makes the next `frames` outputs, no more than [`ready`](Self::ready).
    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T::Sum>, frames: usize);

    /// Makes `correction` output frames per nominal one from the next output on. False if this
    /// engine cannot.
    fn set_correction(&mut self, correction: f64) -> bool;

    /// Bytes held.
    fn memory(&self) -> usize;
}

/// An engine that works by rounds, so that another stage can stand before it or after it: from when on which
/// input is needed does not depend on how outputs are asked for.
pub trait Rounded<T: Grouped>: Engine<T> {
    /// Input frames that the next `frames` outputs need: all before which.
    fn needed_to(&self, frames: u64) -> i64;

    /// Writes the next `frames` outputs from frame `at` on.
    fn run_at(
        &mut self,
        input: &View<'_, T>,
        out: &mut Output<'_, T::Sum>,
        at: usize,
        frames: usize,
    );
}
