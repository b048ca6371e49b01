//! The frequency-domain engine: rubato's `Fft`, in blocks of planned sizes.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::engine::{Engine, Output, Sample};
use super::fifo::Fifo;
use super::polyphase::outputs_through;
use super::ratio::{Position, step};
use super::{Ratio, ResampleError};

/// Blocks of one size go through a pair of transforms; the filter is as long as a block.
///
/// Blocks start at fixed places of the input, so any chopping of it gives the same bits.
pub struct Blocks<T> {
    ratio: Ratio,
    fft: Fft<T>,
    block_in: usize,
    block_out: usize,
    input: Vec<T>,
    output: Vec<T>,
    /// First input frame since `seek`.
    origin: i64,
    /// Blocks done since `seek`.
    blocks: u64,
    /// Next output to hand out, counted in rubato's outputs since `seek`.
    next: u64,
}

impl<T: Sample> Blocks<T> {
    /// `units` times the smallest block, `m` frames; `units * m` and `units * l` must be even, so
    /// that the delay is whole on both sides.
    pub fn new(ratio: Ratio, units: u64, channels: usize) -> Result<Self, ResampleError> {
        let (block_in, block_out) = (units * ratio.m, units * ratio.l);
        debug_assert!(block_in % 2 == 0 && block_out % 2 == 0);
        let fft = Fft::new_custom(
            ratio.m as usize,
            ratio.l as usize,
            block_in as usize,
            1,
            channels,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|e| ResampleError::Fft(e.to_string()))?;
        let (block_in, block_out) = (block_in as usize, block_out as usize);
        Ok(Self {
            ratio,
            fft,
            block_in,
            block_out,
            input: vec![T::default(); block_in * channels],
            output: vec![T::default(); block_out * channels],
            origin: 0,
            blocks: 0,
            next: (block_out / 2) as u64,
        })
    }

    /// Runs the next block into `output`.
    fn block(&mut self, fifo: &Fifo<T>) {
        let channels = fifo.channels();
        let at = self.origin + (self.blocks * self.block_in as u64) as i64;
        for (c, plane) in self.input.chunks_exact_mut(self.block_in).enumerate() {
            plane.copy_from_slice(fifo.window(c, at, self.block_in));
        }
        let done = SequentialSlice::new(&self.input, channels, self.block_in)
            .ok()
            .zip(SequentialSlice::new_mut(&mut self.output, channels, self.block_out).ok())
            .map(|(input, mut output)| self.fft.process_into_buffer(&input, &mut output, None));
        // The sizes are fixed at construction, and rubato refuses nothing else.
        debug_assert!(matches!(done, Some(Ok(_))), "{done:?}");
        self.blocks += 1;
    }

    /// Length of the window that a response is inside of, in input frames.
    fn half(&self) -> usize {
        self.block_in / 2
    }
}

impl<T: Sample> Engine<T> for Blocks<T> {
    fn latency(&self) -> u64 {
        (self.block_in + self.half()) as u64
    }

    fn back(&self) -> usize {
        self.half() + self.ratio.m as usize
    }

    fn slack(&self) -> usize {
        0
    }

    fn needed_from(&self) -> i64 {
        self.origin + (self.blocks * self.block_in as u64) as i64
    }

    fn seek(&mut self, position: Position) {
        let (l, m) = (i128::from(self.ratio.l), i128::from(self.ratio.m));
        let target = i128::from(position.frame) * l + i128::from(position.phase(self.ratio.l));
        // The latest start that the output's filter fits behind and that has it on its grid.
        let latest = position.frame - self.half() as i64;
        self.origin = (0..self.ratio.m as i64)
            .map(|d| latest - d)
            .find(|s| (target - i128::from(*s) * l).rem_euclid(m) == 0)
            .unwrap_or(latest);
        let output = (target - i128::from(self.origin) * l) / m;
        self.next = output as u64 + (self.block_out / 2) as u64;
        self.blocks = 0;
        self.fft.reset();
    }

    fn position(&self) -> Position {
        let (l, m) = (i128::from(self.ratio.l), i128::from(self.ratio.m));
        let outputs = i128::from(self.next) - (self.block_out / 2) as i128;
        let numerator = outputs * m;
        Position::rational(
            self.origin + numerator.div_euclid(l) as i64,
            numerator.rem_euclid(l) as u64,
            self.ratio.l,
        )
    }

    fn available(&self, last: i64) -> u64 {
        outputs_through(self.position(), last, step(self.ratio, 1.0))
    }

    fn ready(&self, end: i64) -> u64 {
        let blocks = (end - self.origin).max(0) as u64 / self.block_in as u64;
        (blocks.max(self.blocks) * self.block_out as u64).saturating_sub(self.next)
    }

    fn run(&mut self, fifo: &Fifo<T>, out: &mut Output<'_, T>, frames: usize) {
        let mut at = 0;
        while at < frames {
            let block = self.next / self.block_out as u64;
            while self.blocks <= block {
                self.block(fifo);
            }
            let from = (self.next % self.block_out as u64) as usize;
            let take = (self.block_out - from).min(frames - at);
            for (c, plane) in self.output.chunks_exact(self.block_out).enumerate() {
                out.write(c, at, &plane[from..from + take]);
            }
            at += take;
            self.next += take as u64;
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        // Scratch and filter of rubato: eight planes or spectra of a doubled block, and the
        // channels' overlaps.
        let planes = self.input.len() + 3 * self.output.len();
        let transforms = 8 * (self.block_in + self.block_out);
        (planes + transforms) * size_of::<T>()
    }
}
