//! The head's weights: `weights.bin`, made by `tools/vad_train/export.py`.

use std::sync::Arc;

use super::front::FEATURES;
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::network::BLOCK;
use crate::vad::model::{self, Aligned, Matrices, Model};
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

/// A matrix's place in the file, in halves: blocks of outputs one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    at: usize,
    inputs: usize,
    outputs: usize,
}

impl Matrix {
    const fn after(at: usize, inputs: usize, outputs: usize) -> Self {
        Self {
            at,
            inputs,
            outputs,
        }
    }

    const fn end(self) -> usize {
        self.at + self.inputs * self.outputs
    }

    /// Its blocks.
    pub fn blocks<W: Clone>(self, of: &Matrices<W>) -> impl Iterator<Item = &[W]> {
        of.weights(self.at..self.end())
            .chunks_exact(self.inputs * BLOCK)
    }
}

/// From the inputs of a frame to the dense layer.
pub const OF_FRAME: Matrix = Matrix::after(0, INPUTS, DENSE);
/// From Silero's hidden state to the dense layer.
pub const OF_WINDOW: Matrix = Matrix::after(OF_FRAME.end(), silero::Network::UNITS, DENSE);
/// From the dense layer to the gates of the memory.
pub const INPUT: Matrix = Matrix::after(OF_WINDOW.end(), DENSE, GATES);
/// From the memory's last output to its gates.
pub const RECURRENT: Matrix = Matrix::after(INPUT.end(), MEMORY, GATES);

const HALVES: usize = RECURRENT.end();
const _: () = assert!(FILE.0.len() == HALVES * 2 + size_of::<Floats>());

/// A head: the logit is a sum over the memory's output and the inputs of the frame.
pub struct Head {
    pub memory: [f32; MEMORY],
    pub inputs: [f32; INPUTS],
    pub offset: f32,
}

/// What is kept in single precision.
pub struct Floats {
    pub dense: [f32; DENSE],
    pub gates: [f32; GATES],
    pub heads: [Head; HEADS],
}

impl Floats {
    fn new(bytes: &[u8]) -> Self {
        let mut floats = model::Floats::new(bytes);
        Self {
            dense: floats.take(),
            gates: floats.take(),
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
    MODELS.get_always(level, || {
        let (halves, floats) = FILE.0.split_at(HALVES * 2);
        Model::new(level, halves, Floats::new(floats))
    })
}
