// SPDX-License-Identifier: MIT

//! The network's weights: `weights.bin`, made by `tools/silero_weights.py`.

use std::sync::Arc;

use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::network::BINS;
use crate::vad::model::{Aligned, Floats, Matrix, Model};

static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("weights.bin"));

pub const CONV1: Matrix = Matrix::first(128, BINS, 3);
pub const CONV2: Matrix = CONV1.then(64, 128, 3);
/// The third convolution, without its first tap, which meets nothing but padding.
pub const CONV3: Matrix = CONV2.then(64, 64, 2);
/// The middle tap of the fourth convolution; the others meet nothing but padding.
pub const CONV4: Matrix = CONV3.then(128, 64, 1);
/// From inputs to gates i, f, g, o.
pub const INPUT: Matrix = CONV4.then(512, 128, 1);
/// From the hidden state to the gates.
pub const RECURRENT: Matrix = INPUT.then(512, 128, 1);

/// What each output of a layer begins with, and what 1 in its weights stands for.
pub struct Outputs<const N: usize> {
    pub biases: [f32; N],
    pub scales: [f32; N],
}

impl<const N: usize> Outputs<N> {
    fn new(floats: &mut Floats) -> Self {
        Self {
            biases: floats.take(),
            scales: floats.take(),
        }
    }
}

/// What is not a matrix, in the order of the file.
pub struct Rest {
    /// What the magnitude of each bin is multiplied by before it is rounded to a word; the first layer's
    /// weights are divided by it, which makes them alike in size.
    pub gains: [f32; BINS],
    pub conv1: Outputs<128>,
    pub conv2: Outputs<64>,
    pub conv3: Outputs<64>,
    pub conv4: Outputs<128>,
    /// From inputs to gates; its biases are all that the gates have.
    pub input: Outputs<512>,
    pub recurrent: [f32; 512],
    /// Weights of the output.
    pub output: [f32; 128],
    pub offset: f32,
}

impl Rest {
    fn new(floats: &[u8]) -> Self {
        let mut floats = Floats::new(floats);
        Self {
            gains: floats.take(),
            conv1: Outputs::new(&mut floats),
            conv2: Outputs::new(&mut floats),
            conv3: Outputs::new(&mut floats),
            conv4: Outputs::new(&mut floats),
            input: Outputs::new(&mut floats),
            recurrent: floats.take(),
            output: floats.take(),
            offset: floats.one(),
        }
    }
}

const WORDS: usize = RECURRENT.end();
const _: () = assert!(FILE.0.len() == WORDS * 2 + size_of::<Rest>());

/// The network as `level` computes it. All users share what is not in the file.
pub fn model(level: Level) -> Arc<Model<Rest>> {
    static MODELS: Shared<Level, Model<Rest>> = Shared::new();
    MODELS.get_always(level, || Model::new(level, FILE, WORDS, Rest::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sum_ends_beyond_32_bits() {
        for (matrix, signed) in [
            (CONV1, false),
            (CONV2, false),
            (CONV3, false),
            (CONV4, false),
            (INPUT, false),
            (RECURRENT, true),
        ] {
            model(Level::best()).assert_sums_fit(matrix, signed);
        }
    }
}
