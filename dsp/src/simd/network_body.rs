//! What the kernels of small neural networks share, and their plain form: matrices of weights
//! against one vector of inputs at a time.
//!
//! A *block* is a matrix of [`BLOCK`] outputs: the weights of all of them for the first input, then
//! those for the second, and so on. So each lane of a vector is an output, and no sum runs across
//! lanes. An output is summed over its inputs in their order at every level; levels with fused
//! multiply-add agree to the bit, the portable one rounds each product.

use rustfft::num_complex::Complex32;

/// Samples of a frame that is transformed, and what it has of bins.
pub const FRAME: usize = 256;
pub const BINS: usize = FRAME / 2 + 1;
/// Outputs of a block.
pub const BLOCK: usize = 64;
/// Most inputs that a list of [`Inputs`] holds.
pub const INPUTS: usize = 128;

/// Inputs of a block, each with its row in it. Rectified ones are zero most of the time: those are
/// left out, and their weights are never read.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub(super) values: [f32; INPUTS],
    /// Each below `rows`.
    pub(super) at: [u16; INPUTS],
    pub(super) len: usize,
    pub(super) rows: usize,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            values: [0.0; INPUTS],
            at: [0; INPUTS],
            len: 0,
            rows: 0,
        }
    }
}

impl Inputs {
    /// Takes up `x`, at most [`INPUTS`], its zeros left out.
    pub fn set(&mut self, x: &[f32]) {
        // In a register: each step waits for the count of the one before it.
        let mut len = 0;
        for (i, x) in x.iter().take(INPUTS).enumerate() {
            // Without a branch, which nobody could foretell: a zero is overwritten by what follows.
            self.values[len % INPUTS] = *x;
            self.at[len % INPUTS] = i as u16;
            len += usize::from(*x != 0.0);
        }
        (self.rows, self.len) = (x.len().min(INPUTS), len);
    }
}

/// What a block gives, or adds to.
pub type Outputs = [f32; BLOCK];
/// A block against a list of inputs.
type Add<W> = fn(w: &[W], x: &Inputs, y: &mut Outputs);
/// The three blocks of a convolution's taps against two columns of inputs.
type Columns<W> = fn(w: [&[W]; 3], x: [&[f32]; 2], y: [&mut Outputs; 3]);
/// The magnitudes of two real frames' bins, of which the transform of one plus i times the other is `z`.
type Magnitudes = fn(z: &[Complex32; FRAME], y: &mut [[f32; BINS]; 2]);
/// A long short-term memory's gates.
type Gates = fn(z: [&[f32]; 4], cell: &mut [f32], hidden: &mut [f32]);

/// The kernels at one level, over weights stored as `W`: `f32`, or `u16` that hold IEEE 754 half
/// floats.
#[derive(Clone, Copy)]
pub struct Kernels<W> {
    /// `y[o] += sum_i x[i] * w[i * BLOCK + o]`.
    pub add: Add<W>,
    /// Adds what two neighbouring columns of inputs give to three of outputs, in a convolution of
    /// three taps where nothing lies before the first: `y[0] += w[1] x[0] + w[2] x[1]`,
    /// `y[1] += w[0] x[0] + w[1] x[1]`, `y[2] += w[0] x[1]`. Taps and columns the other way round
    /// make it the end of the convolution.
    pub columns: Columns<W>,
    /// `y[0][k] = |z[k] + conj(z[-k])| / 2`, `y[1][k] = |z[k] - conj(z[-k])| / 2`; the bits are the same
    /// at every level.
    pub magnitudes: Magnitudes,
    /// From the sums `z` of the gates i, f, g, o to the next state: `cell = sigmoid(f) cell +
    /// sigmoid(i) tanh(g)`, `hidden = sigmoid(o) tanh(cell)`. All of one length.
    pub gates: Gates,
}

/// The plain form of the kernels; the yardstick of all others. With `FUSED`, products are added
/// without rounding; only where the instruction set has that.
pub mod generic {
    use super::{BINS, BLOCK, Complex32, FRAME, Inputs, Outputs};

    /// Outputs that are summed at a time: as many as registers hold.
    const PART: usize = 32;
    /// Units of a pass over gates.
    const LANES: usize = 16;

    #[inline(always)]
    fn mul_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
        if FUSED { a.mul_add(b, c) } else { a * b + c }
    }

    pub fn add<const FUSED: bool>(w: &[f32], x: &Inputs, y: &mut Outputs) {
        let (w, _) = w[..x.rows * BLOCK].as_chunks::<PART>();
        for (part, y) in y.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
            let mut sum = *y;
            for (x, at) in x.values[..x.len].iter().zip(&x.at) {
                let w = &w[usize::from(*at) * (BLOCK / PART) + part];
                for (s, w) in sum.iter_mut().zip(w) {
                    *s = mul_add::<FUSED>(*w, *x, *s);
                }
            }
            *y = sum;
        }
    }

    pub fn columns<const FUSED: bool>(w: [&[f32]; 3], x: [&[f32]; 2], y: [&mut Outputs; 3]) {
        const PART: usize = 16;
        let rows = x[0].len();
        let w = w.map(|w| w[..rows * BLOCK].as_chunks::<PART>().0);
        let y = y.map(|y| y.as_chunks_mut::<PART>().0);
        for part in 0..BLOCK / PART {
            let mut sum = [0, 1, 2].map(|c: usize| y[c][part]);
            for (i, (a, b)) in x[0].iter().zip(&x[1][..rows]).enumerate() {
                let w = w.map(|w| &w[i * (BLOCK / PART) + part]);
                let mut add = |c: usize, tap: usize, x: f32| {
                    for (s, w) in sum[c].iter_mut().zip(w[tap]) {
                        *s = mul_add::<FUSED>(*w, x, *s);
                    }
                };
                add(1, 0, *a);
                add(2, 0, *b);
                add(0, 1, *a);
                add(1, 1, *b);
                add(0, 2, *b);
            }
            for c in 0..3 {
                y[c][part] = sum[c];
            }
        }
    }

    #[inline(always)]
    pub fn magnitudes(z: &[Complex32; FRAME], y: &mut [[f32; BINS]; 2]) {
        let halves = |z: Complex32, m: Complex32| {
            let half = |re: f32, im: f32| 0.5 * (re * re + im * im).sqrt();
            (
                half(z.re + m.re, z.im - m.im),
                half(z.re - m.re, z.im + m.im),
            )
        };
        let [one, two] = y;
        for k in [0, FRAME / 2] {
            (one[k], two[k]) = halves(z[k], z[k]);
        }
        let (up, down) = (&z[1..FRAME / 2], z[FRAME / 2 + 1..].iter().rev());
        let to = one[1..].iter_mut().zip(&mut two[1..]);
        for ((z, m), (one, two)) in up.iter().zip(down).zip(to) {
            (*one, *two) = halves(*z, *m);
        }
    }

    /// e^x to 2e-7, for `x` between -30 and 30 (beyond: of those).
    #[inline(always)]
    fn exp<const FUSED: bool>(x: f32) -> f32 {
        // Adding this leaves the nearest whole number in the low bits of the mantissa.
        const WHOLE: f32 = 12_582_912.0;
        let x = x.clamp(-30.0, 30.0);
        let shifted = mul_add::<FUSED>(x, std::f32::consts::LOG2_E, WHOLE);
        let n = shifted - WHOLE;
        // ln 2 in two parts, the first of few bits.
        let r = mul_add::<FUSED>(n, -355.0 / 512.0, x);
        let r = mul_add::<FUSED>(n, 2.121_944_4e-4, r);
        // The Taylor series, |r| below 0.35.
        let mut p = 1.0 / 5040.0;
        for k in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0] {
            p = mul_add::<FUSED>(p, r, k);
        }
        p = mul_add::<FUSED>(p, r, 1.0);
        p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
    }

    #[inline(always)]
    fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
        1.0 / (1.0 + exp::<FUSED>(-x))
    }

    #[inline(always)]
    fn tanh<const FUSED: bool>(x: f32) -> f32 {
        mul_add::<FUSED>(2.0, sigmoid::<FUSED>(2.0 * x), -1.0)
    }

    #[inline(always)]
    pub fn gates<const FUSED: bool>(z: [&[f32]; 4], cell: &mut [f32], hidden: &mut [f32]) {
        let [i, f, g, o] = z.map(|z| z.as_chunks::<LANES>().0);
        let cell = cell.as_chunks_mut::<LANES>().0;
        let hidden = hidden.as_chunks_mut::<LANES>().0;
        let z = i.iter().zip(f).zip(g.iter().zip(o));
        for (((i, f), (g, o)), (c, h)) in z.zip(cell.iter_mut().zip(hidden)) {
            for k in 0..LANES {
                let new = sigmoid::<FUSED>(i[k]) * tanh::<FUSED>(g[k]);
                c[k] = mul_add::<FUSED>(sigmoid::<FUSED>(f[k]), c[k], new);
                h[k] = sigmoid::<FUSED>(o[k]) * tanh::<FUSED>(c[k]);
            }
        }
    }
}
