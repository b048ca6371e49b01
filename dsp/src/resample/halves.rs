// SPDX-License-Identifier: MIT

//! A half-band stage before a sharp filter, or after it: that one, which most of the time goes to, then works
//! between one and a half and two times the lower rate instead of the higher one.

use std::f64::consts::PI;

use super::design::kaiser_response;
use super::engine::{Engine, Output, Rounded};
use super::fifo::View;
use super::folded::Folds;
use super::grid::{outputs_from, split};
use super::ratio::{Position, Ratio};
use super::rounds::origin;
use crate::simd::Level;
use crate::simd::resample::{fold_kernels, half_kernels};
use crate::simd::resample_fold::FoldKernels;
use crate::simd::resample_half::{HalfKernels, Pairs};

/// Attenuation of a half-band filter in dB, and Kaiser's parameter for it.
const STOP: f64 = 137.0;
const BETA: f64 = 0.1102 * (STOP - 8.7);

/// Taps to one side of an equiripple filter whose gain is 2, but for the centre, from there on, as
/// `tools/resample_response.py` made them. It passes up to 31/192 of the higher rate, to 1.3e-7, and stops as far
/// from its end, 137.9 dB down. What lies up to 1/192 below, where it stops less, the sharp filter stops on its side,
/// if it begins to before that.
pub const EQUIRIPPLE: [f64; 12] = [
    0.62992152549,
    -0.19288071698,
    0.097498153742,
    -0.053629885797,
    0.029202399547,
    -0.015082774764,
    0.0071769926901,
    -0.0030600788915,
    0.0011296126545,
    -0.0003427287908,
    7.7599139401e-05,
    -1.0224825135e-05,
];

/// The narrowest transition that these are for and where their pass band ends, in parts of the higher rate.
const TRANSITION: f64 = 1.0 / 6.0;
const PASS: f64 = 31.0 / 192.0;

/// Outputs that are made at a time, so that what lies between the stages stays in the first cache.
const PIECE: usize = 512;

/// On which side of the sharp filter the rate is halved or doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The input has twice the rate that the sharp filter takes.
    Before,
    /// The output has twice the rate that it gives.
    After,
}

/// What the stage makes of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Half {
    pub side: Side,
    /// Taps to either side of the centre that are not 0.
    pub taps: u64,
    /// Those of [`EQUIRIPPLE`]; else a Kaiser window's.
    equiripple: bool,
}

impl Half {
    /// The stage for `ratio`, on the side of the higher rate; `None` where it is not twice the lower or more
    /// beyond that, so that no filter fits between.
    /// `pass` is where the sharp filter begins to stop, in parts of the lower Nyquist frequency.
    pub fn new(ratio: Ratio, pass: f64) -> Option<Self> {
        let side = if ratio.is_down() {
            Side::Before
        } else {
            Side::After
        };
        // Of the higher rate, where what counts ends; as far from a quarter, the stop band begins.
        let lower = ratio.l.min(ratio.m) as f64 / ratio.l.max(ratio.m) as f64 / 2.0;
        let transition = 0.5 - 2.0 * lower;
        if transition < 0.02 {
            return None;
        }
        let order = (STOP - 8.0) / (2.285 * 2.0 * PI * transition);
        let taps = ((order / 2.0 + 1.0) / 2.0).ceil() as u64;
        let least = EQUIRIPPLE.len() as u64;
        let equiripple = taps >= least && transition > TRANSITION - 1e-9 && pass * lower <= PASS;
        Some(Self {
            side,
            taps: if equiripple { least } else { taps },
            equiripple,
        })
    }

    /// Between which the sharp filter is.
    pub fn inner(self, ratio: Ratio) -> Ratio {
        let (l, m) = match self.side {
            Side::Before => (2 * ratio.l, ratio.m),
            Side::After => (ratio.l, 2 * ratio.m),
        };
        let two = if l % 2 == 0 && m % 2 == 0 { 2 } else { 1 };
        Ratio {
            l: l / two,
            m: m / two,
        }
    }

    /// Frames of the higher rate to either side that an output depends on.
    fn reach(self) -> u64 {
        2 * self.taps - 1
    }

    /// Input frames after an output's position that it waits for, at worst, if the sharp filter waits for
    /// `inner` of its own.
    pub fn latency(self, ratio: Ratio, inner: u64) -> u64 {
        match self.side {
            Side::Before => 2 * inner + self.reach() + 1,
            Side::After => inner + (self.reach() * ratio.m).div_ceil(ratio.l),
        }
    }

    /// Input frames before an output's position that it depends on, if the sharp filter depends on `inner`.
    fn back(self, ratio: Ratio, inner: usize) -> usize {
        match self.side {
            Side::Before => 2 * inner + self.reach() as usize + 3,
            Side::After => inner + (2 * self.taps * ratio.m).div_ceil(ratio.l) as usize + 1,
        }
    }

    /// Time for a frame of the higher rate divided by two, of one channel of `f32`, in ns on an AVX2 machine
    /// of 2023.
    fn frame_cost(self) -> f64 {
        0.045 * self.taps as f64 + 0.25
    }

    /// Time for an output frame beside the sharp filter's.
    pub fn cost(self, ratio: Ratio) -> f64 {
        match self.side {
            Side::Before => self.frame_cost() * ratio.input_per_output() / 2.0,
            Side::After => self.frame_cost() / 2.0,
        }
    }

    /// The taps: those beside the centre come to as much as it, to 1 before the sharp filter. After it, the
    /// centre counts for nothing.
    fn pairs<T: Folds>(self) -> Pairs<T> {
        let whole = match self.side {
            Side::Before => 0.5,
            Side::After => 1.0,
        };
        let n = self.taps as usize;
        let of = |tap: &f64| T::nearest(tap * whole);
        let taps = if self.equiripple {
            EQUIRIPPLE.iter().map(of).collect()
        } else {
            let mut all = vec![0.0; 2 * n];
            kaiser_response(0.5, BETA, 2.0 * n as f64).fill(1.0, &mut all);
            let sum: f64 = all.iter().step_by(2).sum();
            let odd = all.iter().step_by(2).map(|tap| tap * 0.5 / sum);
            odd.map(|tap| of(&tap)).collect()
        };
        Pairs::new(taps, T::nearest(1.0 - whole))
    }
}

/// What both orders of the stages have.
struct Stages<T, E> {
    ratio: Ratio,
    half: Half,
    sharp: E,
    pairs: Pairs<T>,
    fold: FoldKernels<T>,
    kernels: HalfKernels<T>,
    /// An input frame that an output lies at, and the next output counted from it.
    base: i64,
    next: u64,
}

impl<T: Folds, E: Rounded<T>> Stages<T, E> {
    fn new(ratio: Ratio, half: Half, sharp: E, level: Level) -> Self {
        Self {
            ratio,
            half,
            sharp,
            pairs: half.pairs(),
            fold: fold_kernels(level),
            kernels: half_kernels(level),
            base: 0,
            next: 0,
        }
    }

    fn position(&self) -> Position {
        let (frame, phase) = split(self.next, self.ratio);
        Position::rational(self.base + frame as i64, phase, self.ratio.l)
    }

    fn frame(&self) -> i64 {
        self.base + split(self.next, self.ratio).0 as i64
    }

    fn available(&self, last: i64) -> u64 {
        outputs_from(self.base, self.next, last, self.ratio)
    }

    fn latency(&self) -> u64 {
        self.half.latency(self.ratio, self.sharp.latency())
    }

    fn back(&self) -> usize {
        self.half.back(self.ratio, self.sharp.back())
    }

    fn memory(&self) -> usize {
        self.sharp.memory() + self.pairs.bytes()
    }
}

/// Half the input rate, then the sharp filter.
pub struct Halved<T, E> {
    stages: Stages<T, E>,
    /// What the sharp filter takes, one plane per channel.
    planes: Vec<Vec<T>>,
    /// The first frame of it that is held, counted from `base` on, and how many are.
    first: i64,
    len: usize,
    /// Input by turns: what the taps meet, and what the centre does.
    turns: [Vec<T>; 2],
}

/// The sharp filter, then twice its output rate.
pub struct Doubled<T, E> {
    stages: Stages<T, E>,
    /// What the sharp filter gave, one channel after another, `held` frames each.
    planes: Vec<T>,
    held: usize,
    /// The first frame of it that is held, counted as outputs are, and how many are.
    first: i64,
    len: usize,
    /// Between what the sharp filter gave.
    between: Vec<T>,
    /// Of two channels, outputs.
    lines: [Vec<T>; 2],
}

/// Keeps of `len` frames held in `planes`, of which `first` is the first, those from `from` on.
fn keep<'a, T: Copy + 'a>(
    from: i64,
    first: &mut i64,
    len: &mut usize,
    planes: impl Iterator<Item = &'a mut [T]>,
) {
    let unneeded = (from - *first).clamp(0, *len as i64) as usize;
    for plane in planes {
        plane.copy_within(unneeded..*len, 0);
    }
    *first += unneeded as i64;
    *len -= unneeded;
}

impl<T: Folds, E: Rounded<T>> Halved<T, E> {
    /// `sharp` is between what is left of `ratio`, [`Half::inner`].
    pub fn new(ratio: Ratio, half: Half, sharp: E, channels: usize, level: Level) -> Self {
        Self {
            stages: Stages::new(ratio, half, sharp, level),
            planes: vec![Vec::new(); channels],
            first: 0,
            len: 0,
            turns: [Vec::new(), Vec::new()],
        }
    }

    /// Makes what the sharp filter takes up to before frame `end`.
    fn halve(&mut self, input: &View<'_, T>, end: i64) {
        let Stages {
            pairs,
            fold,
            kernels,
            ..
        } = &self.stages;
        let k = pairs.len();
        let next = self.first + self.len as i64;
        let Ok(frames @ 1..) = usize::try_from(end - next) else {
            return;
        };
        let centres = frames + 2 * k - 2;
        let [met, centre] = &mut self.turns;
        // What lies beyond is whatever was there, so that nothing is filled twice.
        for turn in [&mut *met, &mut *centre] {
            if turn.len() <= centres {
                turn.resize(centres + 1, T::default());
            }
        }
        let (met, centre) = (&mut met[..=centres], &mut centre[..centres]);
        for (channel, plane) in self.planes.iter_mut().enumerate() {
            let at = self.stages.base + 2 * (next - k as i64) + 1;
            (fold.split)(input.window(channel, at, 2 * centres + 1), met, centre);
            let end = self.len + frames;
            if plane.len() < end {
                plane.resize(end, T::default());
            }
            (kernels.around)(met, &centre[k - 1..], pairs, &mut plane[self.len..end]);
        }
        self.len += frames;
    }

    /// Forgets what the sharp filter needs no more, once that is worth moving the rest.
    fn forget(&mut self) {
        let from = self.stages.sharp.needed_from();
        if 2 * (from - self.first) < self.len as i64 {
            return;
        }
        let planes = self.planes.iter_mut().map(Vec::as_mut_slice);
        keep(from, &mut self.first, &mut self.len, planes);
    }
}

impl<T: Folds, E: Rounded<T>> Engine<T> for Halved<T, E> {
    fn latency(&self) -> u64 {
        self.stages.latency()
    }

    fn back(&self) -> usize {
        self.stages.back()
    }

    fn slack(&self) -> usize {
        0
    }

    fn needed_from(&self) -> i64 {
        let next = self.first + self.len as i64;
        self.stages.base + 2 * next - self.stages.half.reach() as i64
    }

    fn seek(&mut self, position: Position) {
        let stages = &mut self.stages;
        (stages.base, stages.next) = origin(position, stages.ratio);
        let inner = stages.half.inner(stages.ratio);
        let (frame, phase) = split(stages.next, inner);
        let position = Position::rational(frame as i64, phase, inner.l);
        stages.sharp.seek(position);
        self.first = stages.sharp.needed_from();
        self.len = 0;
    }

    fn position(&self) -> Position {
        self.stages.position()
    }

    fn frame(&self) -> i64 {
        self.stages.frame()
    }

    fn available(&self, last: i64) -> u64 {
        self.stages.available(last)
    }

    fn ready(&self, end: i64) -> u64 {
        let stages = &self.stages;
        let whole = end - 1 - stages.half.reach() as i64 - stages.base;
        stages.sharp.ready(whole.div_euclid(2) + 1)
    }

    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T>, frames: usize) {
        for at in (0..frames).step_by(PIECE) {
            let piece = PIECE.min(frames - at);
            self.halve(input, self.stages.sharp.needed_to(piece as u64));
            let halved = View::held(&self.planes, self.first, self.len);
            self.stages.sharp.run_at(&halved, out, at, piece);
            self.stages.next += piece as u64;
            self.forget();
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        let planes = self.planes.iter().chain(&self.turns);
        let samples: usize = planes.map(Vec::capacity).sum();
        self.stages.memory() + samples * size_of::<T>()
    }
}

impl<T: Folds, E: Rounded<T>> Doubled<T, E> {
    /// `sharp` is between what is left of `ratio`, [`Half::inner`].
    pub fn new(ratio: Ratio, half: Half, sharp: E, channels: usize, level: Level) -> Self {
        let held = PIECE / 2 + 2 * half.taps as usize + 2;
        let zeros = |n| vec![T::default(); n];
        Self {
            stages: Stages::new(ratio, half, sharp, level),
            planes: zeros(held * channels),
            held,
            first: 0,
            len: 0,
            between: zeros(PIECE / 2 + 1),
            lines: [zeros(PIECE + 2), zeros(PIECE + 2)],
        }
    }

    /// Taps to either side of a frame between two.
    fn taps(&self) -> i64 {
        self.stages.half.taps as i64
    }

    /// The first frame of what the sharp filter gives that output `n` may need.
    fn first_for(&self, n: u64) -> i64 {
        n as i64 / 2 - self.taps() + 1
    }

    /// Has the sharp filter make its frames up to before `end`.
    fn fetch(&mut self, input: &View<'_, T>, end: i64) {
        if let Ok(frames) = usize::try_from(end - self.first - self.len as i64) {
            let mut out = Output::planar(&mut self.planes, self.held);
            self.stages.sharp.run_at(input, &mut out, self.len, frames);
            self.len += frames;
        }
    }

    /// The next `frames` outputs of `channel`, in line `line` from the returned place on.
    fn double(&mut self, channel: usize, line: usize, frames: usize) -> usize {
        let next = self.stages.next;
        let skip = (next % 2) as usize;
        let plane = &self.planes[channel * self.held..][..self.len];
        let met = &plane[(self.first_for(next) - self.first) as usize..];
        let Stages {
            pairs,
            fold,
            kernels,
            ..
        } = &self.stages;
        let between = &mut self.between[..(skip + frames) / 2];
        (kernels.between)(met, pairs, between);
        let line = &mut self.lines[line][..skip + frames];
        (fold.join)(&met[pairs.len() - 1..], between, line);
        skip
    }

    /// Forgets what no output needs any more.
    fn forget(&mut self) {
        let from = self.first_for(self.stages.next);
        let planes = self.planes.chunks_exact_mut(self.held);
        keep(from, &mut self.first, &mut self.len, planes);
    }
}

impl<T: Folds, E: Rounded<T>> Engine<T> for Doubled<T, E> {
    fn latency(&self) -> u64 {
        self.stages.latency()
    }

    fn back(&self) -> usize {
        self.stages.back()
    }

    fn slack(&self) -> usize {
        0
    }

    fn needed_from(&self) -> i64 {
        self.stages.sharp.needed_from()
    }

    fn seek(&mut self, position: Position) {
        (self.stages.base, self.stages.next) = origin(position, self.stages.ratio);
        self.first = self.first_for(self.stages.next);
        self.len = 0;
        let inner = self.stages.half.inner(self.stages.ratio);
        let parts = i128::from(self.first) * i128::from(inner.m);
        let l = i128::from(inner.l);
        let frame = self.stages.base + parts.div_euclid(l) as i64;
        let phase = parts.rem_euclid(l) as u64;
        let position = Position::rational(frame, phase, inner.l);
        self.stages.sharp.seek(position);
    }

    fn position(&self) -> Position {
        self.stages.position()
    }

    fn frame(&self) -> i64 {
        self.stages.frame()
    }

    fn available(&self, last: i64) -> u64 {
        self.stages.available(last)
    }

    fn ready(&self, end: i64) -> u64 {
        let given = self.first + self.len as i64 + self.stages.sharp.ready(end) as i64;
        let outputs = 2 * (given - self.taps()) + 1;
        (outputs - self.stages.next as i64).max(0) as u64
    }

    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T>, frames: usize) {
        let channels = input.channels();
        for at in (0..frames).step_by(PIECE) {
            let piece = PIECE.min(frames - at);
            let end = (self.stages.next as i64 + piece as i64) / 2 + self.taps();
            self.fetch(input, end);
            for channel in (0..channels - channels % 2).step_by(2) {
                let from = self.double(channel, 0, piece);
                self.double(channel + 1, 1, piece);
                let [a, b] = &self.lines;
                out.write_both(channel, at, [&a[from..][..piece], &b[from..][..piece]]);
            }
            if channels % 2 == 1 {
                let from = self.double(channels - 1, 0, piece);
                out.write(channels - 1, at, &self.lines[0][from..][..piece]);
            }
            self.stages.next += piece as u64;
            self.forget();
        }
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        let lines: usize = self.lines.iter().map(Vec::capacity).sum();
        let samples = self.planes.capacity() + self.between.capacity() + lines;
        self.stages.memory() + samples * size_of::<T>()
    }
}
