// SPDX-License-Identifier: MIT

//! Outputs that are made by rounds, from windows at fixed places of the input, so that any chopping of
//! it gives the same bits.

use super::grid::{outputs_from, split};
use super::ratio::{Position, Ratio};

/// Outputs that are dropped at the front of a window of `units` times the smallest stretch of `ratio`
/// which gives `hop` times that; at the end as many, or one more.
pub fn dropped(ratio: Ratio, units: u64, hop: u64) -> u64 {
    (units - hop) * ratio.l / 2
}

/// The latest frame at or before `position` that an output of its grid lies at, and how many outputs before
/// `position` that one is.
pub fn origin(position: Position, ratio: Ratio) -> (i64, u64) {
    let (l, m) = (i128::from(ratio.l), i128::from(ratio.m));
    let target = i128::from(position.frame) * l + i128::from(position.phase(ratio.l));
    let origin = (0..ratio.m as i64)
        .map(|d| position.frame - d)
        .find(|s| (target - i128::from(*s) * l).rem_euclid(m) == 0)
        .unwrap_or(position.frame);
    (origin, ((target - i128::from(origin) * l) / m) as u64)
}

/// Which round is next, and which of its outputs.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    ratio: Ratio,
    /// Input and output frames that a round moves on by.
    frames: u64,
    outputs: u64,
    /// Input frames that a round depends on before its start and after its end.
    before: u64,
    after: u64,
    /// Outputs that a round begins with before its start.
    early: u64,
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
    #[cfg(feature = "rubato")]
    pub fn new(ratio: Ratio, units: u64, around: u64) -> Self {
        let around = around * ratio.m / 2;
        Self::with(ratio, units, [around; 2], 0)
    }

    /// Rounds of `hop` times the smallest stretch from windows of `units`, of which as much is dropped
    /// at either end.
    pub fn of_windows(ratio: Ratio, units: u64, hop: u64) -> Self {
        let dropped = dropped(ratio, units, hop);
        // Windows begin at whole stretches.
        let lead = dropped.div_ceil(ratio.l);
        let around = [lead * ratio.m, (units - hop - lead) * ratio.m];
        Self::with(ratio, hop, around, lead * ratio.l - dropped)
    }

    /// Rounds of `units` times the smallest stretch, from `early` outputs before it on, which depend on so
    /// many input frames before and after it.
    pub fn with(ratio: Ratio, units: u64, [before, after]: [u64; 2], early: u64) -> Self {
        Self {
            ratio,
            frames: units * ratio.m,
            outputs: units * ratio.l,
            before,
            after,
            early,
            origin: 0,
            done: 0,
            next: 0,
        }
    }

    /// Input frames after an output's position that it waits for, at worst.
    pub fn latency(&self) -> u64 {
        let early = (self.early * self.ratio.m).div_ceil(self.ratio.l);
        self.frames + self.after - 1 + early
    }

    /// Input frames before an output's position that its round may depend on.
    pub fn back(&self) -> usize {
        (self.before + self.ratio.m) as usize
    }

    /// Input frame that the next round starts at.
    pub fn start(&self) -> i64 {
        self.origin + (self.done * self.frames) as i64
    }

    /// Input frames that a round depends on before its start.
    pub fn before(&self) -> i64 {
        self.before as i64
    }

    /// The next output is to be the one at `position`, and no round is done.
    pub fn seek(&mut self, position: Position) {
        (self.origin, self.next) = origin(position, self.ratio);
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
        let rounds = (end - self.origin - self.after as i64).max(0) as u64 / self.frames;
        (rounds.max(self.done) * self.outputs).saturating_sub(self.place())
    }

    /// Before which input frame all lie that the next `frames` outputs need, one at least.
    pub fn needed_to(&self, frames: u64) -> i64 {
        let rounds = (self.place() + frames).div_ceil(self.outputs);
        self.origin + (rounds.max(self.done) * self.frames + self.after) as i64
    }

    /// Rounds done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The next output, counted from the first of the first round.
    pub fn place(&self) -> u64 {
        self.early + self.next
    }

    /// Whether the next output belongs to the round that is next.
    pub fn is_due(&self) -> bool {
        self.done <= self.place() / self.outputs
    }

    /// The next round is done.
    pub fn turn(&mut self) {
        self.done += 1;
    }

    /// The next output's place in its round.
    pub fn offset(&self) -> usize {
        (self.place() % self.outputs) as usize
    }

    /// `frames` outputs are handed out.
    pub fn advance(&mut self, frames: usize) {
        self.next += frames as u64;
    }
}
