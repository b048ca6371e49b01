//! The network's weights: `weights.bin`, made by `tools/silero_weights.py`.

use std::sync::Arc;

use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::network::BLOCK;
use crate::vad::model::{Aligned, Floats, Matrices, Model};

static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("weights.bin"));

/// A layer's place in the file, in halves: for each block of outputs, for each tap, a block of
/// weights.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    at: usize,
    inputs: usize,
    taps: usize,
    outputs: usize,
}

impl Layer {
    const fn first(outputs: usize, inputs: usize, taps: usize) -> Self {
        Self {
            at: 0,
            inputs,
            taps,
            outputs,
        }
    }

    const fn then(self, outputs: usize, inputs: usize, taps: usize) -> Self {
        Self {
            at: self.end(),
            ..Self::first(outputs, inputs, taps)
        }
    }

    const fn end(self) -> usize {
        self.at + self.outputs * self.inputs * self.taps
    }

    /// The weights of tap `tap` for block `block` of the outputs.
    pub fn weights<W: Clone>(self, of: &Matrices<W>, block: usize, tap: usize) -> &[W] {
        let len = self.inputs * BLOCK;
        let at = self.at + (block * self.taps + tap) * len;
        of.weights(at..at + len)
    }
}

pub const CONV1: Layer = Layer::first(128, 129, 3);
pub const CONV2: Layer = CONV1.then(64, 128, 3);
/// Without its first tap, which meets nothing but padding.
pub const CONV3: Layer = CONV2.then(64, 64, 2);
/// The middle tap, for the same reason.
pub const CONV4: Layer = CONV3.then(128, 64, 1);
/// From inputs to gates i, f, g, o.
pub const INPUT: Layer = CONV4.then(512, 128, 1);
/// From the hidden state to the gates.
pub const RECURRENT: Layer = INPUT.then(512, 128, 1);

/// What is not a matrix, in the order of the file.
pub struct Biases {
    pub conv1: [f32; 128],
    pub conv2: [f32; 64],
    pub conv3: [f32; 64],
    pub conv4: [f32; 128],
    pub gates: [f32; 512],
    /// Weights of the output.
    pub output: [f32; 128],
    pub offset: f32,
}

impl Biases {
    fn new(floats: &[u8]) -> Self {
        let mut floats = Floats::new(floats);
        Self {
            conv1: floats.take(),
            conv2: floats.take(),
            conv3: floats.take(),
            conv4: floats.take(),
            gates: floats.take(),
            output: floats.take(),
            offset: floats.one(),
        }
    }
}

const HALVES: usize = RECURRENT.end();
const _: () = assert!(FILE.0.len() == HALVES * 2 + size_of::<Biases>());

/// The network as `level` computes it. All users share what is not in the file.
pub fn model(level: Level) -> Arc<Model<Biases>> {
    static MODELS: Shared<Level, Model<Biases>> = Shared::new();
    MODELS.get_always(level, || {
        let (halves, floats) = FILE.0.split_at(HALVES * 2);
        Model::new(level, halves, Biases::new(floats))
    })
}
