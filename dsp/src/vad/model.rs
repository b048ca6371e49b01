//! Weights of networks as their files hold them: matrices in 16-bit words, read where they lie, then
//! what is kept in single precision, the scales of the words among it.

use std::ops::Range;

use crate::simd::Level;
use crate::simd::network::{self, BLOCK, Inputs, Kernels, add_sums};

/// A file's bytes at an address that vectors like, and that words can be read from in place.
#[repr(C, align(64))]
pub struct Aligned<T: ?Sized>(pub T);

/// A network as one level computes it; `F` is what it keeps in single precision.
pub struct Model<F> {
    pub kernels: Kernels,
    pub floats: F,
    words: &'static [i16],
}

impl<F> Model<F> {
    /// With `words`, little-endian and at an even address, as the matrices.
    pub fn new(level: Level, words: &'static [u8], floats: F) -> Self {
        Self {
            kernels: network::kernels(level),
            floats,
            words: bytemuck::cast_slice(words),
        }
    }

    /// Adds what `inputs` give to all outputs of a tap of `matrix`, a block of them after the other.
    pub fn add(&self, matrix: Matrix, tap: usize, inputs: &Inputs, sums: &mut [i32]) {
        for (block, sums) in sums.as_chunks_mut().0.iter_mut().enumerate() {
            (self.kernels.add)(self.words(matrix, block, tap), inputs, sums);
        }
    }

    /// Adds to `y` what `inputs` give to all outputs of a matrix of one tap, whose words have these
    /// scales.
    pub fn add_to<const N: usize>(
        &self,
        matrix: Matrix,
        inputs: &Inputs,
        scales: &[f32; N],
        y: &mut [f32; N],
    ) {
        let mut sums = [0; N];
        self.add(matrix, 0, inputs, &mut sums);
        add_sums(&sums, inputs.unit(), scales, y);
    }

    /// The words of tap `tap` for block `block` of the outputs.
    pub fn words(&self, of: Matrix, block: usize, tap: usize) -> &'static [i16] {
        &self.words[of.place(block, tap)]
    }
}

/// A matrix's place in the file, in words: for each block of outputs, for each tap, a block.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    at: usize,
    inputs: usize,
    taps: usize,
    outputs: usize,
}

impl Matrix {
    /// The first of a file.
    pub const fn first(outputs: usize, inputs: usize, taps: usize) -> Self {
        Self {
            at: 0,
            inputs,
            taps,
            outputs,
        }
    }

    /// The one after this.
    pub const fn then(self, outputs: usize, inputs: usize, taps: usize) -> Self {
        Self {
            at: self.end(),
            ..Self::first(outputs, inputs, taps)
        }
    }

    /// Words up to the end of this.
    pub const fn end(self) -> usize {
        self.at + self.outputs * self.taps * self.rows()
    }

    /// Words of an output of a tap: inputs, and one that pairs with an odd one.
    const fn rows(self) -> usize {
        self.inputs.next_multiple_of(2)
    }

    fn place(self, block: usize, tap: usize) -> Range<usize> {
        let len = self.rows() * BLOCK;
        let at = self.at + (block * self.taps + tap) * len;
        at..at + len
    }
}

/// Numbers in single precision, little-endian, taken one after the other; zeros after the last.
pub struct Floats<'a>(std::slice::Iter<'a, [u8; 4]>);

impl<'a> Floats<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0.iter())
    }

    /// The next one.
    pub fn one(&mut self) -> f32 {
        self.0
            .next()
            .map_or(0.0, |float| f32::from_le_bytes(*float))
    }

    /// The next `N`.
    pub fn take<const N: usize>(&mut self) -> [f32; N] {
        std::array::from_fn(|_| self.one())
    }
}
