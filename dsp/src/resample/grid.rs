// SPDX-License-Identifier: MIT

//! Where the outputs of a rational ratio lie.

use super::ratio::{Position, Ratio};

/// The next of the outputs that lie a constant number of input frames apart.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    ratio: Ratio,
    /// Outputs after which the phases repeat, and the input frames that they span.
    period: u64,
    advance: u64,
    /// Input frame of output 0 of the running period.
    pub base: i64,
    /// The next output in it.
    pub row: u64,
}

impl Grid {
    /// From input frame 0 on, with `period` outputs to a period, a multiple of the phases of `ratio`.
    pub fn new(ratio: Ratio, period: u64) -> Self {
        Self {
            ratio,
            period,
            advance: period / ratio.l * ratio.m,
            base: 0,
            row: 0,
        }
    }

    /// The next output is to be the one at `position`.
    pub fn seek(&mut self, position: Position) {
        // Rows of one phase stand where `row * m mod l` is it; a period may repeat them.
        let l = self.ratio.l;
        let row =
            u128::from(position.phase(l)) * u128::from(inverse(self.ratio.m, l)) % u128::from(l);
        self.row = row as u64;
        debug_assert!(self.row < self.period);
        self.base = position.frame - split(self.row, self.ratio).0 as i64;
    }

    /// `frames` outputs are made.
    pub fn advance(&mut self, frames: u64) {
        let row = self.row + frames;
        self.base += (row / self.period * self.advance) as i64;
        self.row = row % self.period;
    }

    /// Position of the next output.
    pub fn position(&self) -> Position {
        let (frame, phase) = split(self.row, self.ratio);
        Position::rational(self.base + frame as i64, phase, self.ratio.l)
    }

    /// The whole frame of it.
    pub fn frame(&self) -> i64 {
        self.base + split(self.row, self.ratio).0 as i64
    }

    /// Outputs that lie at or before frame `last`.
    pub fn available(&self, last: i64) -> u64 {
        outputs_from(self.base, self.row, last, self.ratio)
    }
}

/// Whole input frames before output `n` of a grid that starts at one, and the phase beyond them.
pub fn split(n: u64, ratio: Ratio) -> (u64, u64) {
    if let Some(numerator) = n.checked_mul(ratio.m) {
        return (numerator / ratio.l, numerator % ratio.l);
    }
    let (numerator, l) = (u128::from(n) * u128::from(ratio.m), u128::from(ratio.l));
    ((numerator / l) as u64, (numerator % l) as u64)
}

/// Outputs from number `next` on that lie at or before frame `last`, where number 0 lies at frame
/// `base`.
pub fn outputs_from(base: i64, next: u64, last: i64, ratio: Ratio) -> u64 {
    let Ok(span) = u64::try_from(i128::from(last) - i128::from(base)) else {
        return 0;
    };
    if let Some(numerator) = span.checked_mul(ratio.l) {
        return (numerator / ratio.m + 1).saturating_sub(next);
    }
    let through = u128::from(span) * u128::from(ratio.l) / u128::from(ratio.m) + 1;
    u64::try_from(through.saturating_sub(u128::from(next))).unwrap_or(u64::MAX)
}

/// What `m`, which has no factor in common with `l`, must be multiplied by to be 1 modulo `l`.
fn inverse(m: u64, l: u64) -> u64 {
    let (mut a, mut b) = (i128::from(l), i128::from(m % l));
    let (mut x, mut y) = (0i128, 1i128);
    while b != 0 {
        let quotient = a / b;
        (a, b) = (b, a - quotient * b);
        (x, y) = (y, x - quotient * y);
    }
    x.rem_euclid(i128::from(l)) as u64
}
