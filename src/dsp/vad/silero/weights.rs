//! The network's weights: `weights.bin`, made by `tools/silero_weights.py`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::dsp::shared::Shared;
use crate::dsp::simd::Level;
use crate::dsp::simd::network::{self, BLOCK, Kernels, from_half};

/// At an address that vectors like, and that halves can be read from in place.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

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
        let mut floats = floats
            .as_chunks()
            .0
            .iter()
            .map(|float| f32::from_le_bytes(*float));
        Self {
            conv1: next(&mut floats),
            conv2: next(&mut floats),
            conv3: next(&mut floats),
            conv4: next(&mut floats),
            gates: next(&mut floats),
            output: next(&mut floats),
            offset: floats.next().unwrap_or_default(),
        }
    }
}

fn next<const N: usize>(floats: &mut impl Iterator<Item = f32>) -> [f32; N] {
    std::array::from_fn(|_| floats.next().unwrap_or_default())
}

const HALVES: usize = RECURRENT.end();
const _: () = assert!(FILE.0.len() == HALVES * 2 + size_of::<Biases>());

/// The matrices in one form, and the kernels that read it.
pub struct Matrices<W: Clone + 'static> {
    pub kernels: Kernels<W>,
    weights: Cow<'static, [W]>,
}

impl<W: Clone> Matrices<W> {
    /// Weights of tap `tap` for block `block` of the outputs of `layer`.
    pub fn block(&self, layer: Layer, block: usize, tap: usize) -> &[W] {
        let len = layer.inputs * BLOCK;
        &self.weights[layer.at + (block * layer.taps + tap) * len..][..len]
    }
}

/// The network as one level computes it.
pub enum Model {
    /// In halves, read from the file where it lies.
    Half(Matrices<u16>, Biases),
    /// For who has no instruction for halves.
    Single(Matrices<f32>, Biases),
}

impl Model {
    /// The model for `level`. All users share what is not in the file.
    pub fn at(level: Level) -> Arc<Self> {
        static MODELS: Shared<Level, Model> = Shared::new();
        MODELS.get_always(level, || Self::new(level))
    }

    fn new(level: Level) -> Self {
        let (halves, floats) = FILE.0.split_at(HALVES * 2);
        let biases = Biases::new(floats);
        if let Some(kernels) = network::half(level) {
            let weights = Cow::Borrowed(bytemuck::cast_slice(halves));
            return Self::Half(Matrices { kernels, weights }, biases);
        }
        let (halves, _) = halves.as_chunks();
        let exact = |half: &[u8; 2]| from_half(u16::from_le_bytes(*half));
        let matrices = Matrices {
            kernels: network::single(level),
            weights: halves.iter().map(exact).collect(),
        };
        Self::Single(matrices, biases)
    }
}
