//! The head's weights: `weights.bin`, made by `tools/vad_train/export.py`.

use std::borrow::Cow;
use std::sync::Arc;

use super::front::FEATURES;
use crate::dsp::shared::Shared;
use crate::dsp::simd::Level;
use crate::dsp::simd::network::{self, BLOCK, Kernels, from_half};
use crate::dsp::vad::silero;

/// At an address that vectors like, and that halves can be read from in place.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

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
        let mut floats = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x));
        Self {
            dense: next(&mut floats),
            gates: next(&mut floats),
            heads: std::array::from_fn(|_| Head {
                memory: next(&mut floats),
                inputs: next(&mut floats),
                offset: floats.next().unwrap_or_default(),
            }),
        }
    }
}

fn next<const N: usize>(floats: &mut impl Iterator<Item = f32>) -> [f32; N] {
    std::array::from_fn(|_| floats.next().unwrap_or_default())
}

/// The matrices in one form, and the kernels that read it.
pub struct Matrices<W: Clone + 'static> {
    pub kernels: Kernels<W>,
    weights: Cow<'static, [W]>,
}

impl<W: Clone> Matrices<W> {
    /// The blocks of `matrix`.
    pub fn blocks(&self, matrix: Matrix) -> impl Iterator<Item = &[W]> {
        self.weights[matrix.at..matrix.end()].chunks_exact(matrix.inputs * BLOCK)
    }
}

/// The head as one level computes it.
pub enum Model {
    /// In halves, read from the file where it lies.
    Half(Matrices<u16>, Floats),
    /// For who has no instruction for halves.
    Single(Matrices<f32>, Floats),
}

impl Model {
    /// The model for `level`, which this machine must have. All users share what is not in the
    /// file.
    pub fn at(level: Level) -> Arc<Self> {
        static MODELS: Shared<Level, Model> = Shared::new();
        MODELS.get_always(level, || Self::new(level))
    }

    fn new(level: Level) -> Self {
        let (halves, floats) = FILE.0.split_at(HALVES * 2);
        let floats = Floats::new(floats);
        if let Some(kernels) = network::half(level) {
            let weights = Cow::Borrowed(bytemuck::cast_slice(halves));
            return Self::Half(Matrices { kernels, weights }, floats);
        }
        let (halves, _) = halves.as_chunks();
        let exact = |half: &[u8; 2]| from_half(u16::from_le_bytes(*half));
        let matrices = Matrices {
            kernels: network::single(level),
            weights: halves.iter().map(exact).collect(),
        };
        Self::Single(matrices, floats)
    }
}
