//! Weights of networks as their files hold them: matrices in half floats, read where they lie, then
//! what is kept in single precision.

use std::borrow::Cow;
use std::ops::Range;

use crate::simd::Level;
use crate::simd::network::{self, Kernels, from_half};

/// A file's bytes at an address that vectors like, and that halves can be read from in place.
#[repr(C, align(64))]
pub struct Aligned<T: ?Sized>(pub T);

/// The matrices in one form, and the kernels that read it.
pub struct Matrices<W: Clone + 'static> {
    pub kernels: Kernels<W>,
    weights: Cow<'static, [W]>,
}

impl<W: Clone> Matrices<W> {
    /// The weights in `place`, counted from the first of the file.
    pub fn weights(&self, place: Range<usize>) -> &[W] {
        &self.weights[place]
    }
}

/// A network as one level computes it; `F` is what it keeps in single precision.
pub enum Model<F> {
    /// In halves, read from the file where it lies.
    Half(Matrices<u16>, F),
    /// For who has no instruction for halves.
    Single(Matrices<f32>, F),
}

impl<F> Model<F> {
    /// With `halves`, little-endian and at an even address, as the matrices.
    pub fn new(level: Level, halves: &'static [u8], floats: F) -> Self {
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
