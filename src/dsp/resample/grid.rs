//! Where the outputs of a rational ratio lie.

use super::Ratio;
use super::ratio::Position;

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
        let phase = position.phase(self.ratio.l);
        self.row = (0..self.ratio.l)
            .find(|row| {
                u128::from(*row) * u128::from(self.ratio.m) % u128::from(self.ratio.l)
                    == u128::from(phase)
            })
            .unwrap_or(0);
        debug_assert!(self.row < self.period);
        self.base = position.frame - (self.row * self.ratio.m / self.ratio.l) as i64;
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
    let Ok(span) = u64::try_from(last - base) else {
        return 0;
    };
    let through = match span.checked_mul(ratio.l) {
        Some(numerator) => numerator / ratio.m,
        None => (u128::from(span) * u128::from(ratio.l) / u128::from(ratio.m)) as u64,
    };
    (through + 1).saturating_sub(next)
}
