// SPDX-License-Identifier: MIT

//! Weights of networks as their files hold them: matrices in 16-bit words, read where they lie, then
//! what is kept in single precision, the scales of the words among it.

use std::borrow::Cow;
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
    words: Cow<'static, [i16]>,
}

impl<F> Model<F> {
    /// Of a file that begins, at an even address, with as many words, little-endian; `floats` reads the rest.
    pub fn new(
        level: Level,
        file: &'static Aligned<[u8]>,
        words: usize,
        floats: impl FnOnce(&[u8]) -> F,
    ) -> Self {
        let (words, rest) = file.0.split_at(2 * words);
        let words = if cfg!(target_endian = "little") {
            Cow::Borrowed(bytemuck::cast_slice(words))
        } else {
            let words = words.as_chunks().0.iter();
            words.map(|word| i16::from_le_bytes(*word)).collect()
        };
        Self {
            kernels: network::kernels(level),
            floats: floats(rest),
            words,
        }
    }

    /// Adds what `inputs` give to all outputs of a tap of `matrix`, a block of them after the other.
    #[inline(always)]
    pub fn add(&self, matrix: Matrix, tap: usize, inputs: &Inputs, sums: &mut [i32]) {
        debug_assert!(tap < matrix.taps && sums.len() == matrix.outputs);
        for (block, sums) in sums.as_chunks_mut().0.iter_mut().enumerate() {
            (self.kernels.add)(self.words(matrix, block, tap), inputs, sums);
        }
    }

    /// Adds to `y` what `inputs` give to all outputs of a matrix of one tap, whose words have these
    /// scales.
    #[inline(always)]
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
    pub fn words(&self, of: Matrix, block: usize, tap: usize) -> &[i16] {
        &self.words[of.place(block, tap)]
    }
}

#[cfg(test)]
impl<F> Model<F> {
    /// Asserts that no sum of `matrix` over words of inputs, all taps of it, can end beyond 32 bits;
    /// inputs that are not `signed` are never below zero. And that there are words to speak of.
    pub fn assert_sums_fit(&self, matrix: Matrix, signed: bool) {
        for output in 0..matrix.outputs {
            let (block, lane) = (output / BLOCK, output % BLOCK);
            let taps = (0..matrix.taps).map(|tap| self.words(matrix, block, tap));
            let words = taps.flat_map(|w| w.chunks(2).skip(lane).step_by(BLOCK));
            let (mut up, mut down) = (0i64, 0i64);
            for word in words.flatten().map(|word| i64::from(*word)) {
                up += word.max(0);
                down -= word.min(0);
            }
            let most = if signed { up + down } else { up.max(down) };
            assert!(
                most * 32_767 <= i64::from(i32::MAX),
                "{matrix:?}, output {output}"
            );
            assert!(most > 1000, "{matrix:?}, output {output}: {most}");
        }
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
        self.at + self.outputs * self.taps * self.words()
    }

    /// Words of an output of a tap: one for each input, and one that pairs with an odd one.
    const fn words(self) -> usize {
        self.inputs.next_multiple_of(2)
    }

    fn place(self, block: usize, tap: usize) -> Range<usize> {
        let len = self.words() * BLOCK;
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
