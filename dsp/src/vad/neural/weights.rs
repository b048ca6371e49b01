// SPDX-License-Identifier: MIT

//! The head's weights: `weights.bin`, made by `tools/vad_train/export.py`.

use std::sync::Arc;

use super::front::FEATURES;
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::network::BLOCK;
use crate::vad::model::{self, Aligned, Matrix, Model};
use crate::vad::silero;

static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("weights.bin"));

/// Inputs of a frame: the features, Silero's logit, the one before it, its age.
pub const INPUTS: usize = FEATURES + 3;
/// Units of the dense layer: one block.
pub const DENSE: usize = BLOCK;
/// Units of the memory.
pub const MEMORY: usize = 48;
/// Sums of its four gates.
pub const GATES: usize = 4 * MEMORY;
/// Heads, one for each look-ahead.
pub const HEADS: usize = 4;

/// From the inputs of a frame to the dense layer.
pub const OF_FRAME: Matrix = Matrix::first(DENSE, INPUTS, 1);
/// From Silero's hidden state to the dense layer.
pub const OF_WINDOW: Matrix = OF_FRAME.then(DENSE, silero::Network::UNITS, 1);
/// From the dense layer to the gates of the memory.
pub const INPUT: Matrix = OF_WINDOW.then(GATES, DENSE, 1);
/// From the memory's last output to its gates.
pub const RECURRENT: Matrix = INPUT.then(GATES, MEMORY, 1);

const WORDS: usize = RECURRENT.end();
const _: () = assert!(FILE.0.len() == WORDS * 2 + size_of::<Floats>());

/// A head: the logit is a sum over the memory's output and the inputs of the frame.
pub struct Head {
    pub memory: [f32; MEMORY],
    pub inputs: [f32; INPUTS],
    pub offset: f32,
}

/// What 1 in the words of each matrix stands for, by output.
pub struct Scales {
    pub of_frame: [f32; DENSE],
    pub of_window: [f32; DENSE],
    pub input: [f32; GATES],
    pub recurrent: [f32; GATES],
}

/// What is kept in single precision.
pub struct Floats {
    pub dense: [f32; DENSE],
    pub gates: [f32; GATES],
    pub scales: Scales,
    pub heads: [Head; HEADS],
}

impl Floats {
    fn new(bytes: &[u8]) -> Self {
        let mut floats = model::Floats::new(bytes);
        Self {
            dense: floats.take(),
            gates: floats.take(),
            scales: Scales {
                of_frame: floats.take(),
                of_window: floats.take(),
                input: floats.take(),
                recurrent: floats.take(),
            },
            heads: std::array::from_fn(|_| Head {
                memory: floats.take(),
                inputs: floats.take(),
                offset: floats.one(),
            }),
        }
    }
}

/// The head as `level` computes it. All users share what is not in the file.
pub fn model(level: Level) -> Arc<Model<Floats>> {
    static MODELS: Shared<Level, Model<Floats>> = Shared::new();
    MODELS.get_always(level, || Model::new(level, FILE, WORDS, Floats::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sum_ends_beyond_32_bits() {
        for (matrix, signed) in [
            (OF_FRAME, true),
            (OF_WINDOW, true),
            (INPUT, false),
            (RECURRENT, true),
        ] {
            model(Level::best()).assert_sums_fit(matrix, signed);
        }
    }
}
