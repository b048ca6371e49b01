// SPDX-License-Identifier: MIT

//! What the kernels of small neural networks share, and their plain form: matrices of 16-bit words
//! against one vector of inputs at a time, in whole numbers.
//!
//! A *block* is a matrix of [`BLOCK`] outputs. Its inputs come in pairs: for the first pair the words
//! of all outputs, two each, then those of the next pair. So each lane of a vector is an output, no
//! sum runs across lanes, and one instruction adds two products to each. Sums wrap in the midst; who
//! makes the words sees to it that none ends beyond 32 bits.
//!
//! Whole numbers add up to the same in any order: all levels agree to the bit in all but the gates,
//! whose products are rounded where there is no fused multiply-add.

use rustfft::num_complex::Complex32;

/// Columns of a convolution that are computed at once: its weights are read once for all of them.
pub const COLUMNS: usize = 4;
/// Samples of a frame that is transformed, and what it has of bins.
pub const FRAME: usize = 256;
pub const BINS: usize = FRAME / 2 + 1;
/// Outputs of a block.
pub const BLOCK: usize = 64;
/// Most pairs of inputs of a block.
pub const PAIRS: usize = BINS.div_ceil(2);
/// Room for pairs in a list: a power of two, by which places are cheaply bounded.
const ROOM: usize = PAIRS.next_power_of_two();
/// The greatest word.
const FULL: f32 = 32_767.0;
/// Adding this leaves the nearest whole number in the low bits of the mantissa.
const WHOLE: f32 = 12_582_912.0;
/// What is no greater than this is nothing: its products with scales would be denormal.
const NOTHING: f32 = 1e-24;

/// Two words, the first in the lower half.
pub type Pair = i32;
/// Sums of a block.
pub type Sums = [i32; BLOCK];

/// All rows in their order.
const ALL: [u16; PAIRS] = {
    let mut all = [0; PAIRS];
    let mut i = 0;
    while i < PAIRS {
        all[i] = i as u16;
        i += 1;
    }
    all
};

/// Inputs of a block as words, with the pair of rows that each two have in it. Rectified ones are zero
/// most of the time: pairs of zeros are left out, and their weights are never read.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub(super) pairs: [Pair; ROOM],
    /// Each below `rows`.
    pub(super) at: [u16; ROOM],
    pub(super) len: usize,
    pub(super) rows: usize,
    unit: f32,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            pairs: [0; ROOM],
            at: [0; ROOM],
            len: 0,
            rows: 0,
            unit: 0.0,
        }
    }
}

impl Inputs {
    /// Takes up `x`, at most 2 [`PAIRS`] numbers (those beyond are left out), none of which exceeds
    /// `greatest` in magnitude.
    #[inline(always)]
    pub fn set(&mut self, x: &[f32], greatest: f32) {
        let mut words = [0; PAIRS];
        self.unit = words_of(x, greatest, &mut words);
        self.rows = x.len().div_ceil(2).min(PAIRS);
        let zeros = words[..self.rows].iter().filter(|pair| **pair == 0);
        if zeros.count() == 0 {
            self.pairs[..PAIRS].copy_from_slice(&words);
            self.at[..PAIRS].copy_from_slice(&ALL);
            self.len = self.rows;
            return;
        }
        // In a register: each step waits for the count of the one before it.
        let mut len = 0;
        for (i, pair) in words[..self.rows].iter().enumerate() {
            // Without a branch, which nobody could foretell: a zero is overwritten by what follows.
            self.pairs[len % ROOM] = *pair;
            self.at[len % ROOM] = i as u16;
            len += usize::from(*pair != 0);
        }
        self.len = len;
    }

    /// What 1 in a word stands for.
    pub fn unit(&self) -> f32 {
        self.unit
    }
}

/// `x`, none of which exceeds `greatest`, as words, so that `greatest` is the greatest word; what 1
/// stands for.
#[inline(always)]
pub fn words_of(x: &[f32], greatest: f32, words: &mut [Pair; PAIRS]) -> f32 {
    debug_assert!(
        x.iter().all(|x| x.abs() <= greatest),
        "{greatest} is not the greatest"
    );
    if !(greatest > NOTHING && greatest < f32::INFINITY) {
        *words = [0; PAIRS];
        return 0.0;
    }
    let factor = FULL / greatest;
    let word = |x: &f32| (x * factor + WHOLE).to_bits() as i32;
    let (pairs, rest) = x.as_chunks::<2>();
    for (y, [a, b]) in words.iter_mut().zip(pairs) {
        *y = word(a) & 0xffff | word(b) << 16;
    }
    if let ([last], Some(y)) = (rest, words.get_mut(pairs.len())) {
        *y = word(last) & 0xffff;
    }
    greatest / FULL
}

/// The greatest magnitude in `x`, which holds numbers only.
#[inline(always)]
pub fn greatest(x: &[f32]) -> f32 {
    // Not `f32::max`, whose care for NaN takes three times as long.
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [0f32; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = greater(*lane, x.abs());
        }
    }
    let all = lanes.into_iter().chain(rest.iter().map(|x| x.abs()));
    all.fold(0.0, greater)
}

/// A block against a list of inputs.
type Add = fn(w: &[i16], x: &Inputs, y: &mut Sums);
/// The three blocks of a convolution's taps against four columns of inputs.
type Columns = fn(w: [&[i16]; 3], x: &[[Pair; PAIRS]; COLUMNS], y: &mut [Sums; COLUMNS]);
/// Two real frames' magnitudes, of which the transform of one plus i times the other is `z`.
type Magnitudes = fn(z: &[Complex32; FRAME], gains: &[f32; BINS], of: &mut [[f32; BINS]; 2]) -> f32;
/// A long short-term memory's gates.
type Gates = fn(z: [&[f32]; 4], cell: &mut [f32], hidden: &mut [f32]);

/// The kernels at one level.
#[derive(Clone, Copy)]
pub struct Kernels {
    /// `y[o] += sum_i x[2 i] * w[(i * BLOCK + o) * 2] + x[2 i + 1] * w[(i * BLOCK + o) * 2 + 1]`.
    pub add: Add,
    /// Adds what all columns of inputs give to all of outputs, in a convolution of three taps where
    /// nothing lies beyond either end: `y[i] += w[0] x[i - 1] + w[1] x[i] + w[2] x[i + 1]`.
    pub columns: Columns,
    /// `|z[k] + conj(z[-k])| / 2` and `|z[k] - conj(z[-k])| / 2`, times `gains[k]`; the greatest of them.
    pub magnitudes: Magnitudes,
    /// From the sums `z` of the gates i, f, g, o to the next state: `cell = sigmoid(f) cell +
    /// sigmoid(i) tanh(g)`, `hidden = sigmoid(o) tanh(cell)`. All of one length, a multiple of 16.
    pub gates: Gates,
}

/// What is the same at all levels but for the compiler's choice of instructions. With `FUSED`, products
/// are added without rounding; only where the instruction set has that.
pub mod generic {
    use super::{BINS, Complex32, FRAME, WHOLE, greatest};

    /// Units of a pass over gates.
    const LANES: usize = 16;

    #[inline(always)]
    fn mul_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
        if FUSED { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline(always)]
    pub fn magnitudes(
        z: &[Complex32; FRAME],
        gains: &[f32; BINS],
        of: &mut [[f32; BINS]; 2],
    ) -> f32 {
        let halves = |z: Complex32, m: Complex32, gain: f32| {
            let half = |re: f32, im: f32| (re * re + im * im).sqrt() * (0.5 * gain);
            (
                half(z.re + m.re, z.im - m.im),
                half(z.re - m.re, z.im + m.im),
            )
        };
        let [one, two] = of;
        for k in [0, FRAME / 2] {
            (one[k], two[k]) = halves(z[k], z[k], gains[k]);
        }
        let (up, down) = (&z[1..FRAME / 2], z[FRAME / 2 + 1..].iter().rev());
        let to = one[1..].iter_mut().zip(&mut two[1..]);
        for (((z, m), gain), (one, two)) in up.iter().zip(down).zip(&gains[1..]).zip(to) {
            (*one, *two) = halves(*z, *m, *gain);
        }
        greatest(one).max(greatest(two))
    }

    /// e^x to 2e-7, for `x` between -30 and 30 (beyond: of those).
    #[inline(always)]
    fn exp<const FUSED: bool>(x: f32) -> f32 {
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

/// Sums of products in plain Rust, where there are no others; the yardstick of those.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub mod plain {
    use super::{BLOCK, COLUMNS, Inputs, PAIRS, Pair, Sums};

    /// What the two words of `w` and of `x` give.
    #[inline(always)]
    fn products([a, b]: [i16; 2], x: Pair) -> i32 {
        let (low, high) = (x << 16 >> 16, x >> 16);
        (i32::from(a) * low).wrapping_add(i32::from(b) * high)
    }

    /// `w` by pairs of rows, for each output its two words.
    #[inline(always)]
    fn rows(w: &[i16], rows: usize) -> &[[[i16; 2]; BLOCK]] {
        w[..rows * BLOCK * 2].as_chunks().0.as_chunks().0
    }

    #[inline(always)]
    fn add_row(y: &mut Sums, w: &[[i16; 2]; BLOCK], x: Pair) {
        for (y, w) in y.iter_mut().zip(w) {
            *y = y.wrapping_add(products(*w, x));
        }
    }

    pub fn add(w: &[i16], x: &Inputs, y: &mut Sums) {
        let w = rows(w, x.rows);
        for (x, at) in x.pairs[..x.len].iter().zip(&x.at) {
            add_row(y, &w[usize::from(*at)], *x);
        }
    }

    pub fn columns(w: [&[i16]; 3], x: &[[Pair; PAIRS]; COLUMNS], y: &mut [Sums; COLUMNS]) {
        for (tap, w) in w.map(|w| rows(w, PAIRS)).iter().enumerate() {
            for (at, y) in y.iter_mut().enumerate() {
                // Beyond the ends there is nothing.
                let column = (at + tap).checked_sub(1).and_then(|at| x.get(at));
                for (w, x) in w.iter().zip(column.into_iter().flatten()) {
                    add_row(y, w, *x);
                }
            }
        }
    }
}
