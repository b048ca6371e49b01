// SPDX-License-Identifier: MIT

//! Dither and noise shaping: what is done about the bits that a shorter format loses.

use super::SampleFormat;
use crate::simd::Level;
use crate::simd::convert_noise::{Generators, LANES};
use crate::simd::convert_shape::Filter;

/// Noise added before rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dither {
    /// None.
    None,
    /// Even, half a last bit either way.
    Rpdf,
    /// Triangular, one last bit either way: makes the error independent of the signal in mean and
    /// variance.
    #[default]
    Tpdf,
    /// Triangular and rising with frequency: the difference of successive even numbers.
    TpdfHf,
}

/// Where the rounding noise is moved to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoiseShaping {
    /// Nowhere: it is white.
    #[default]
    None,
    /// First-order error feedback.
    ErrorFeedback,
    /// Second order.
    Simple,
    /// Fifth order, after the ear.
    Medium,
    /// Eighth order, after the ear.
    High,
}

/// When and how bits are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantisation {
    /// Noise added before rounding.
    pub dither: Dither,
    /// Where the noise of rounding goes.
    pub shaping: NoiseShaping,
    /// Output formats of more bits than this are only rounded.
    pub threshold: u32,
    /// Sample rate in Hz: below 32 kHz the steeper filters would move noise to where it is heard,
    /// so error feedback takes their place.
    pub rate: u32,
}

impl Default for Quantisation {
    fn default() -> Self {
        Self {
            dither: Dither::default(),
            shaping: NoiseShaping::default(),
            threshold: 20,
            rate: 48_000,
        }
    }
}

impl Quantisation {
    /// Plain rounding.
    pub const ROUND: Self = Self {
        dither: Dither::None,
        shaping: NoiseShaping::None,
        threshold: 0,
        rate: 0,
    };

    /// What of this applies: nothing to floats, to formats above the threshold, or where every bit
    /// of `input` is kept; `computed` says that the channels were mixed with fractions, which takes
    /// all bits there are.
    pub fn between(
        self,
        input: SampleFormat,
        output: SampleFormat,
        computed: bool,
    ) -> (Dither, Option<Filter>) {
        let loses = input.is_float() || computed || input.depth > output.depth;
        if output.is_float() || !loses || u32::from(output.depth) > self.threshold {
            return (Dither::None, None);
        }
        let filter = match self.shaping {
            NoiseShaping::None => None,
            NoiseShaping::Simple if self.rate >= 32_000 => Some(Filter::Simple),
            NoiseShaping::Medium if self.rate >= 32_000 => Some(Filter::Medium),
            NoiseShaping::High if self.rate >= 32_000 => Some(Filter::High),
            _ => Some(Filter::Feedback),
        };
        (self.dither, filter)
    }
}

/// Noise of one kind, block by block.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    dither: Dither,
    generators: Generators,
    block: Vec<f32>,
    /// For `TpdfHf`: the last even number of every channel, then those of the block.
    even: Vec<f32>,
    channels: usize,
}

impl Noise {
    /// For blocks of up to `samples`, of `channels` interleaved.
    pub fn new(dither: Dither, channels: usize, samples: usize, seed: u64, level: Level) -> Self {
        let samples = samples.next_multiple_of(LANES);
        let history = if dither == Dither::TpdfHf {
            channels + samples
        } else {
            0
        };
        Self {
            dither,
            generators: Generators::new(seed, level),
            block: vec![0.0; samples],
            even: vec![0.0; history],
            channels,
        }
    }

    /// The next `samples` of it, in units of the last bit.
    pub fn next(&mut self, samples: usize) -> &[f32] {
        let whole = samples.next_multiple_of(LANES);
        match self.dither {
            Dither::None => {}
            Dither::Rpdf => self.generators.uniform(&mut self.block[..whole]),
            Dither::Tpdf => self.generators.triangular(&mut self.block[..whole]),
            Dither::TpdfHf => {
                let ch = self.channels;
                self.generators.uniform(&mut self.even[ch..ch + whole]);
                for ((n, new), old) in self.block[..samples]
                    .iter_mut()
                    .zip(&self.even[ch..])
                    .zip(&self.even)
                {
                    *n = new - old;
                }
                self.even.copy_within(samples..samples + ch, 0);
            }
        }
        &self.block[..samples]
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        (self.block.len() + self.even.len()) * size_of::<f32>()
    }
}
