//! Outputs that are made by rounds, from windows at fixed places of the input, so that any chopping of
//! it gives the same bits.

use super::grid::{outputs_from, split};
use super::ratio::{Position, Ratio};

/// Which round is next, and which of its outputs.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    ratio: Ratio,
    /// Input and output frames that a round moves on by.
    frames: u64,
    outputs: u64,
    /// Input frames that a round depends on before its first output and after its end.
    around: u64,
    /// Input frame of output 0, the first of the first round.
    origin: i64,
    /// Rounds done since `seek`.
    done: u64,
    /// Next output to hand out, counted from `origin`.
    next: u64,
}

impl Rounds {
    /// Rounds of `units` times the ratio's smallest stretch, which depend on `around` such stretches
    /// halved on either side.
    pub fn new(ratio: Ratio, units: u64, around: u64) -> Self {
        Self {
            ratio,
            frames: units * ratio.m,
            outputs: units * ratio.l,
            around: around * ratio.m / 2,
            origin: 0,
            done: 0,
            next: 0,
        }
    }

    /// Input frames after an output's position that it waits for, at worst.
    pub fn latency(&self) -> u64 {
        self.frames + self.around - 1
    }

    /// Input frames before an output's position that its round may depend on.
    pub fn back(&self) -> usize {
        (self.around + self.ratio.m) as usize
    }

    /// Input frame of the first output of the next round.
    pub fn start(&self) -> i64 {
        self.origin + (self.done * self.frames) as i64
    }

    /// Input frames that a round depends on before its first output.
    pub fn around(&self) -> i64 {
        self.around as i64
    }

    /// The next output is to be the one at `position`, and no round is done.
    pub fn seek(&mut self, position: Position) {
        let (l, m) = (i128::from(self.ratio.l), i128::from(self.ratio.m));
        let target = i128::from(position.frame) * l + i128::from(position.phase(self.ratio.l));
        // The latest frame that has the output on its grid.
        self.origin = (0..self.ratio.m as i64)
            .map(|d| position.frame - d)
            .find(|s| (target - i128::from(*s) * l).rem_euclid(m) == 0)
            .unwrap_or(position.frame);
        self.next = ((target - i128::from(self.origin) * l) / m) as u64;
        self.done = 0;
    }

    /// Position of the next output.
    pub fn position(&self) -> Position {
        let (frame, phase) = split(self.next, self.ratio);
        Position::rational(self.origin + frame as i64, phase, self.ratio.l)
    }

    /// The whole frame of it.
    pub fn frame(&self) -> i64 {
        self.origin + split(self.next, self.ratio).0 as i64
    }

    /// Outputs that lie at or before frame `last`.
    pub fn available(&self, last: i64) -> u64 {
        outputs_from(self.origin, self.next, last, self.ratio)
    }

    /// Outputs that can be made from the input before frame `end`.
    pub fn ready(&self, end: i64) -> u64 {
        let rounds = (end - self.origin - self.around()).max(0) as u64 / self.frames;
        (rounds.max(self.done) * self.outputs).saturating_sub(self.next)
    }

    /// Whether the next output belongs to the round that is next.
    pub fn is_due(&self) -> bool {
        self.done <= self.next / self.outputs
    }

    /// The next round is done.
    pub fn turn(&mut self) {
        self.done += 1;
    }

    /// The next output's place in its round.
    pub fn offset(&self) -> usize {
        (self.next % self.outputs) as usize
    }

    /// `frames` outputs are handed out.
    pub fn advance(&mut self, frames: usize) {
        self.next += frames as u64;
    }
}
