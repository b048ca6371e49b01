// SPDX-License-Identifier: MIT

//! What goes into resamplers of rubato and comes out of them, one plane per channel.

use rubato::Resampler;
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;

use super::engine::Output;
use super::fifo::View;

pub struct Planes<T> {
    input: Vec<Vec<T>>,
    output: Vec<Vec<T>>,
}

impl<T: rubato::Sample + Default> Planes<T> {
    /// For so many frames at most.
    pub fn new(channels: usize, frames: usize, outputs: usize) -> Self {
        Self {
            input: vec![vec![T::default(); frames]; channels],
            output: vec![vec![T::default(); outputs]; channels],
        }
    }

    /// Has `resampler` make `outputs` of the `frames` of `input` that begin with number `at`, each sample as
    /// `of` makes it. It was asked before whether it would.
    pub fn pass(
        &mut self,
        resampler: &mut impl Resampler<T>,
        (input, at): (&View<'_, T>, i64),
        (frames, outputs): (usize, usize),
        of: impl Fn(T) -> T,
    ) {
        for (c, to) in self.input.iter_mut().enumerate() {
            for (to, x) in to.iter_mut().zip(input.window(c, at, frames)) {
                *to = of(*x);
            }
        }
        let channels = self.input.len();
        let done = SequentialSliceOfVecs::new(&self.input, channels, frames).and_then(|input| {
            let output = SequentialSliceOfVecs::new_mut(&mut self.output, channels, outputs);
            output.map(|mut output| resampler.process_into_buffer(&input, &mut output, None))
        });
        debug_assert!(matches!(done, Ok(Ok(n)) if n == (frames, outputs)));
    }

    /// Hands out `frames` of what was made, from `from` on, as those from `at` on.
    pub fn write(&self, out: &mut Output<'_, T>, at: usize, from: usize, frames: usize) {
        for (c, output) in self.output.iter().enumerate() {
            out.write(c, at, &output[from..][..frames]);
        }
    }

    pub fn channels(&self) -> usize {
        self.input.len()
    }

    /// Frames that a plane of input holds, and one of output.
    pub fn lengths(&self) -> (usize, usize) {
        let first = |planes: &[Vec<T>]| planes.first().map_or(0, Vec::len);
        (first(&self.input), first(&self.output))
    }
}
