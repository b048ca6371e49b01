// SPDX-License-Identifier: MIT

//! A time-domain engine with half the products of the exact one: outputs in blocks about places of
//! symmetry, from the sums and the differences of the input to either side (`shape`).
//!
//! A block waits for its last output, so this is for delays beyond half the filter. Blocks lie at fixed
//! places of the input, so any chopping of it gives the same bits.

use std::array::from_fn;
use std::ops::Range;
use std::sync::Arc;

use super::engine::{Engine, Output, Rounded};
use super::fifo::View;
use super::ratio::{Position, Ratio};
use super::rounds::Rounds;
use super::shape::{Block, Shape};
use super::sharp::Sharp;
use super::table::{Aligned, Real};
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::resample::side_kernels;
use crate::simd::resample_mirror::{self as mirror, Mirrors};
use crate::simd::resample_pass::{GROUP, Grouped, LANES, STEP};
use crate::simd::resample_sides::{self as sides, Lines, SideKernels};
use crate::simd::vector::Number;

/// Windows that are made together, at most, of all channels.
const WINDOWS: usize = 10;

/// Samples that are summed before they are added to the whole, but of the lanes next to the centre: there the peak of
/// the response comes last.
const BLOCK: usize = 32;

/// The taps of one group of lanes.
#[derive(Debug)]
struct Group {
    /// The first sample that they are for, and how many are.
    start: usize,
    len: usize,
    /// Where those of the sums and of the differences begin in the table.
    even: usize,
    odd: usize,
}

/// The block of a round.
#[derive(Debug)]
struct Rows {
    block: Block,
    /// Where the taps of its centre by itself begin, for the sums; the last of all.
    lone: Option<Range<usize>>,
    /// Samples to either side that it depends on.
    window: usize,
    /// The first sample after the centre and the last before it, counted from the start of the round.
    right: i64,
    left: i64,
}

/// The taps of a round.
#[derive(Debug)]
pub struct Table<T> {
    taps: Aligned<T>,
    rows: Rows,
    groups: Vec<Group>,
    /// Lanes in whole groups.
    lanes: usize,
    /// Samples to either side, with zeros up to what kernels take.
    padded: usize,
}

/// The tables in use.
pub type Tables<T> = Shared<(Ratio, Shape), Table<T>>;

/// `f32` and `f64`.
pub trait Folds: Real + Number {
    fn tables() -> &'static Tables<Self>;
}

macro_rules! folds {
    ($t:ty) => {
        impl Folds for $t {
            fn tables() -> &'static Tables<Self> {
                static TABLES: Tables<$t> = Shared::new();
                &TABLES
            }
        }
    };
}

folds!(f32);
folds!(f64);

/// Taps of one place to either side of a centre.
struct Taps {
    sharp: Sharp,
    /// Frames of the lower rate in an input frame.
    narrow: f64,
}

impl Taps {
    /// Of outputs `distance` input frames off the centre, for the sums and the differences of the samples
    /// that are `offset` input frames off it and so many more; both for a gain of 1 at 0 Hz.
    fn fill(&self, distance: f64, offset: f64, pairs: &mut [[f64; 2]]) {
        let mut sum = 0.0;
        for (i, pair) in pairs.iter_mut().enumerate() {
            let sample = offset + i as f64;
            let near = self.sharp.at((sample - distance) * self.narrow);
            let far = self.sharp.at((sample + distance) * self.narrow);
            *pair = [near + far, near - far];
            if sample == 0.0 {
                // The centre is both of its samples.
                *pair = [near, 0.0];
            }
            sum += pair[0];
        }
        let gain = if sum == 0.0 { 0.0 } else { 0.5 / sum };
        for tap in pairs.as_flattened_mut() {
            *tap *= gain;
        }
    }
}

impl<T: Folds> Table<T> {
    fn new(ratio: Ratio, shape: Shape) -> Self {
        let mut size = 0;
        let mut place = |taps: usize| {
            size += taps;
            size - taps
        };
        let block = shape.block(ratio);
        let groups = block.groups().map(|lanes| {
            let (start, end) = block.span(lanes, ratio);
            let len = (end - start).next_multiple_of(STEP);
            let [even, odd] = from_fn(|_| place(len * GROUP));
            Group {
                start,
                len,
                even,
                odd,
            }
        });
        let groups: Vec<Group> = groups.collect();
        let ends = groups.iter().map(|group| group.start + group.len);
        let padded = ends.max().unwrap_or(0).next_multiple_of(LANES);
        let (twice, window) = (block.twice_frame(ratio), block.window(ratio));
        let rows = Rows {
            lone: block.lone.then(|| {
                let taps = mirror::centre(&vec![0u8; window]).len();
                let at = place(taps);
                at..at + taps
            }),
            window,
            right: (twice + 1).div_euclid(2),
            left: twice.div_euclid(2),
            block,
        };
        let mut table = Self {
            taps: Aligned::zeroed(size),
            lanes: groups.len() * GROUP,
            padded,
            groups,
            rows,
        };
        table.fill(ratio);
        table
    }

    fn fill(&mut self, ratio: Ratio) {
        let taps = Taps {
            sharp: Sharp::new(),
            narrow: 1.0 / ratio.input_per_output().max(1.0),
        };
        let Rows {
            block,
            window,
            lone,
            ..
        } = &self.rows;
        let mut pairs = vec![[0.0; 2]; *window];
        let offset = block.offset(ratio);
        let to = self.taps.get_mut();
        for (group, (first, end)) in self.groups.iter().zip(block.groups()) {
            for lane in first..end {
                taps.fill(block.distance(lane, ratio), offset, &mut pairs);
                let pairs = &pairs[group.start.min(*window)..];
                for (i, [even, odd]) in pairs.iter().take(group.len).enumerate() {
                    let at = i * GROUP + lane - first;
                    to[group.even + at] = T::nearest(*even);
                    to[group.odd + at] = T::nearest(*odd);
                }
            }
        }
        if let Some(lone) = lone.clone() {
            taps.fill(0.0, offset, &mut pairs);
            let taps: Vec<T> = pairs.iter().map(|[even, _]| T::nearest(*even)).collect();
            to[lone].copy_from_slice(&mirror::centre(&taps));
        }
    }

    /// Samples of a line: so many lanes to either side of a centre.
    fn line(&self) -> usize {
        2 * self.lanes + 1
    }

    /// `len` taps from `at` on.
    fn taps(&self, at: usize, len: usize) -> &[T] {
        &self.taps.get()[at..at + len]
    }
}

/// See the head of the file.
pub struct Folded<T: Grouped> {
    table: Arc<Table<T>>,
    kernels: SideKernels<T>,
    rounds: Rounds,
    shape: Shape,
    ratio: Ratio,
    channels: usize,
    /// Of each window the sums, then the differences, `table.padded` of them each.
    folded: Aligned<T>,
    /// The outputs of the rounds done last, a line for each, channel by channel: of a block about its centre,
    /// which lies at `table.lanes`.
    lines: Vec<T>,
    /// How many these rounds are, and of which round which output is the next.
    held: usize,
    round: usize,
    place: usize,
}

impl<T: Folds> Folded<T> {
    pub fn new(ratio: Ratio, shape: Shape, channels: usize, level: Level) -> Self {
        let table = T::tables().get_always((ratio, shape), || Table::new(ratio, shape));
        Self {
            kernels: side_kernels(level),
            rounds: shape.rounds(ratio),
            shape,
            ratio,
            channels,
            folded: Aligned::zeroed(WINDOWS * 2 * table.padded),
            lines: vec![T::default(); WINDOWS.max(channels) * table.line()],
            held: 0,
            round: 0,
            place: 0,
            table,
        }
    }

    /// Outputs of a round.
    fn per_round(&self) -> u64 {
        self.shape.units * self.ratio.l
    }

    /// Does the next rounds, as many as `frames` more outputs need, and no more than windows.
    fn make(&mut self, input: &View<'_, T>, frames: u64) {
        let place = self.rounds.place();
        let needed = (place + frames).div_ceil(self.per_round()) - self.rounds.done();
        let from = place - self.rounds.done() * self.per_round();
        self.round = (from / self.per_round()) as usize;
        self.place = (from % self.per_round()) as usize;
        self.held = (WINDOWS / self.channels).max(1).min(needed as usize);
        for first in (0..self.channels).step_by(WINDOWS) {
            let channels = first..self.channels.min(first + WINDOWS);
            let windows = self.gather(input, channels, self.held);
            self.multiply(first * self.held, windows);
        }
        for _ in 0..self.held {
            self.rounds.turn();
        }
    }

    /// Folds the windows of `channels` for the next `rounds`; how many there are. What lies in a line's centre by
    /// itself goes there.
    fn gather(&mut self, input: &View<'_, T>, channels: Range<usize>, rounds: usize) -> usize {
        let table = &*self.table;
        let rows = &table.rows;
        let mirrors = Mirrors {
            len: rows.window,
            right: (rows.right - rows.left - 1 + rows.window as i64) as usize,
            step: (self.shape.units * self.ratio.m) as usize,
            padded: table.padded,
            line: table.line(),
            at: table.lanes,
        };
        let centre = rows.lone.clone().map(|lone| &table.taps.get()[lone]);
        let start = self.rounds.start() + rows.left + 1 - rows.window as i64;
        let len = (rounds - 1) * mirrors.step + mirrors.right + mirrors.len;
        let lines = rounds * mirrors.line;
        let lines = self.lines[channels.start * lines..].chunks_exact_mut(lines);
        let folded = self.folded.get_mut();
        let folded = folded.chunks_exact_mut(rounds * 2 * mirrors.padded);
        for (channel, (folded, lines)) in channels.clone().zip(folded.zip(lines)) {
            let x = input.window(channel, start, len);
            (self.kernels.fold)(x, &mirrors, centre.unwrap_or_default(), folded, lines);
        }
        channels.len() * rounds
    }

    /// Writes the next `frames` outputs, which are in lines, from frame `at` on.
    fn hand_out(&self, out: &mut Output<'_, T>, at: usize, frames: usize) {
        // The centre, or the output after it, lies in the middle of a line.
        let block = self.table.rows.block;
        let middle = (block.twice + 1).div_euclid(2);
        let first = (self.table.lanes as i64 + block.first - middle) as usize;
        let (line, per_round) = (self.table.line(), self.per_round() as usize);
        let mut channel = 0;
        while channel < self.channels {
            let next = self.held * line;
            let mut at_line = channel * next + self.round * line + first;
            let (mut done, mut from) = (0, self.place);
            while done < frames {
                let take = (per_round - from).min(frames - done);
                let left = &self.lines[at_line + from..][..take];
                if channel + 1 < self.channels {
                    let right = &self.lines[at_line + next + from..][..take];
                    out.write_both(channel, at + done, [left, right]);
                } else {
                    out.write(channel, at + done, left);
                }
                (done, from) = (done + take, 0);
                at_line += line;
            }
            channel += 2;
        }
    }

    /// The outputs of `windows` from what they are folded to, in lines from number `to` on.
    fn multiply(&mut self, to: usize, windows: usize) {
        let table = &self.table;
        let line = table.line();
        let lines = &mut self.lines[to * line..][..windows * line];
        let block = &table.rows.block;
        // Lane 0 is the centre itself, the one after it, or half of that.
        let (after, before) = match (block.lone, block.twice % 2 != 0) {
            (true, _) => (1, 1),
            (_, true) => (0, 1),
            _ => (0, 0),
        };
        for (g, group) in table.groups.iter().enumerate() {
            let rows = sides::Rows {
                taps: [group.even, group.odd].map(|at| table.taps(at, group.len * GROUP)),
                len: group.len,
                start: group.start,
                block: if g == 0 { group.len } else { BLOCK },
            };
            let left = table.lanes + 1 - before - (g + 1) * GROUP;
            let right = table.lanes + after + g * GROUP;
            let places = Lines {
                padded: table.padded,
                line,
                to: [left, right],
            };
            (self.kernels.sides)(self.folded.get(), &rows, lines, &places);
        }
    }
}

impl<T: Folds> Engine<T> for Folded<T> {
    fn latency(&self) -> u64 {
        self.rounds.latency()
    }

    fn back(&self) -> usize {
        self.rounds.back() + (self.shape.units * self.ratio.m) as usize
    }

    fn slack(&self) -> usize {
        0
    }

    fn needed_from(&self) -> i64 {
        self.rounds.start() - self.rounds.before()
    }

    fn seek(&mut self, position: Position) {
        self.rounds.seek(position);
        self.held = 0;
        self.round = 0;
    }

    fn position(&self) -> Position {
        self.rounds.position()
    }

    fn frame(&self) -> i64 {
        self.rounds.frame()
    }

    fn available(&self, last: i64) -> u64 {
        self.rounds.available(last)
    }

    fn ready(&self, end: i64) -> u64 {
        self.rounds.ready(end)
    }

    fn run(&mut self, input: &View<'_, T>, out: &mut Output<'_, T>, frames: usize) {
        self.run_at(input, out, 0, frames);
    }

    fn set_correction(&mut self, correction: f64) -> bool {
        correction == 1.0
    }

    fn memory(&self) -> usize {
        self.folded.bytes() + self.lines.len() * size_of::<T>() + self.table.taps.bytes()
    }
}

impl<T: Folds> Rounded<T> for Folded<T> {
    fn needed_to(&self, frames: u64) -> i64 {
        self.rounds.needed_to(frames)
    }

    fn run_at(
        &mut self,
        input: &View<'_, T>,
        out: &mut Output<'_, T>,
        mut at: usize,
        frames: usize,
    ) {
        let end = at + frames;
        let per_round = self.per_round() as usize;
        while at < end {
            if self.round >= self.held {
                self.make(input, (end - at) as u64);
                continue;
            }
            // Of all the rounds that are there.
            let left = (self.held - self.round) * per_round - self.place;
            let take = left.min(end - at);
            self.hand_out(out, at, take);
            at += take;
            self.rounds.advance(take);
            let place = self.place + take;
            self.round += place / per_round;
            self.place = place % per_round;
        }
    }
}
