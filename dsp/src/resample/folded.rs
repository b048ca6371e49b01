// SPDX-License-Identifier: MIT

//! A time-domain engine with half the products of the exact one: outputs in blocks about places of
//! symmetry, from the sums and the differences of the input to either side (`shape`).
//!
//! A block waits for its last output, so this is for delays beyond half the filter. Blocks lie at fixed
//! places of the input, so any chopping of it gives the same bits.

use std::array::from_fn;
use std::ops::Range;
use std::sync::Arc;

use super::engine::{Engine, Output};
use super::fifo::View;
use super::ratio::{Position, Ratio};
use super::rounds::Rounds;
use super::shape::{Block, Shape};
use super::sharp::Sharp;
use super::table::{Aligned, Real};
use crate::shared::Shared;
use crate::simd::Level;
use crate::simd::resample::fold_kernels;
use crate::simd::resample_fold::FoldKernels;
use crate::simd::resample_pass::{GROUP, Grouped, Kernels, LANES, Pass, STEP, Words};
use crate::simd::vector::Number;

/// Windows that are made together, at most, of all channels.
const WINDOWS: usize = 6;

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
    lone: Option<usize>,
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
        let twice = block.twice_frame(ratio);
        let rows = Rows {
            lone: block.lone.then(|| place(padded)),
            window: block.window(ratio),
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
        if let Some(lone) = *lone {
            taps.fill(0.0, offset, &mut pairs);
            for (to, [even, _]) in to[lone..].iter_mut().zip(&pairs) {
                *to = T::nearest(*even);
            }
        }
    }

    /// `len` taps from `at` on.
    fn taps(&self, at: usize, len: usize) -> &[T] {
        &self.taps.get()[at..at + len]
    }
}

/// See the head of the file.
pub struct Folded<T: Grouped> {
    table: Arc<Table<T>>,
    kernels: Kernels<T>,
    fold: FoldKernels<T>,
    rounds: Rounds,
    shape: Shape,
    ratio: Ratio,
    /// Of each window the sums, then the differences, `table.padded` of them each.
    folded: Vec<T>,
    /// Of each window of a group, from the sums and from the differences.
    sums: [T; 2 * WINDOWS * GROUP],
    /// Of each window the outputs of a block about its centre, which lies at `table.lanes`.
    line: Vec<T>,
    /// Of each channel, the outputs of the rounds done last.
    outputs: Vec<Vec<T>>,
    /// The first of these rounds.
    from: u64,
}

impl<T: Folds> Folded<T> {
    pub fn new(ratio: Ratio, shape: Shape, channels: usize, level: Level) -> Self {
        let table = T::tables().get_always((ratio, shape), || Table::new(ratio, shape));
        let zeros = |n| vec![T::default(); n];
        Self {
            kernels: T::kernels(level),
            fold: fold_kernels(level),
            rounds: shape.rounds(ratio),
            shape,
            ratio,
            folded: zeros(WINDOWS * 2 * table.padded),
            sums: [T::default(); 2 * WINDOWS * GROUP],
            line: zeros(WINDOWS * (2 * table.lanes + 1)),
            outputs: vec![Vec::new(); channels],
            from: 0,
            table,
        }
    }

    /// Outputs of a round.
    fn per_round(&self) -> u64 {
        self.shape.units * self.ratio.l
    }

    /// Input frames that the next `frames` outputs need: all before which.
    pub fn needed_to(&self, frames: u64) -> i64 {
        self.rounds.needed_to(frames)
    }

    /// Writes the next `frames` outputs from frame `at` on.
    pub fn run_at(
        &mut self,
        input: &View<'_, T>,
        out: &mut Output<'_, T>,
        mut at: usize,
        frames: usize,
    ) {
        let end = at + frames;
        while at < end {
            let from = (self.rounds.place() - self.from * self.per_round()) as usize;
            let held = self.outputs[0].len();
            if from >= held {
                self.make(input, (end - at) as u64);
                continue;
            }
            let take = (held - from).min(end - at);
            let range = from..from + take;
            for (pair, outputs) in self.outputs.chunks(2).enumerate() {
                match outputs {
                    [a, b] => out.write_both(2 * pair, at, [&a[range.clone()], &b[range.clone()]]),
                    _ => out.write(2 * pair, at, &outputs[0][range.clone()]),
                }
            }
            at += take;
            self.rounds.advance(take);
        }
    }

    /// Does the next rounds, as many as `frames` more outputs need, and no more than windows.
    fn make(&mut self, input: &View<'_, T>, frames: u64) {
        let channels = self.outputs.len();
        let per_round = self.per_round() as usize;
        let needed = (self.rounds.place() + frames).div_ceil(per_round as u64) - self.rounds.done();
        let rounds = (WINDOWS / channels).max(1).min(needed as usize);
        self.from = self.rounds.done();
        for output in &mut self.outputs {
            output.resize(rounds * per_round, T::default());
        }
        for first in (0..channels).step_by(WINDOWS) {
            let channels = first..channels.min(first + WINDOWS);
            let windows = self.gather(input, channels.clone(), rounds);
            self.multiply(windows);
            self.hand_out(channels, rounds);
        }
        for _ in 0..rounds {
            self.rounds.turn();
        }
    }

    /// Folds the windows of `channels` for the next `rounds`; how many there are.
    fn gather(&mut self, input: &View<'_, T>, channels: Range<usize>, rounds: usize) -> usize {
        let period = (self.shape.units * self.ratio.m) as i64;
        let (rows, padded) = (&self.table.rows, self.table.padded);
        let window = rows.window;
        let mut windows = self.folded.chunks_exact_mut(2 * self.table.padded);
        let mut count = 0;
        for channel in channels {
            for round in 0..rounds {
                let start = self.rounds.start() + round as i64 * period;
                let right = input.window(channel, start + rows.right, window);
                let left = start + rows.left + 1 - window as i64;
                let left = input.window(channel, left, window);
                let Some(folded) = windows.next() else {
                    return count;
                };
                let (even, odd) = folded.split_at_mut(self.table.padded);
                (self.fold.fold)(right, left, even, odd);
                even[window..padded].fill(T::default());
                odd[window..padded].fill(T::default());
                count += 1;
            }
        }
        count
    }

    /// The outputs of `windows` from what they are folded to.
    fn multiply(&mut self, windows: usize) {
        let table = &self.table;
        let rows = &table.rows;
        let (stride, line) = (2 * table.padded, 2 * table.lanes + 1);
        // Lane 0 is the centre itself, the one after it, or half of that.
        let (after, before) = match (rows.block.lone, rows.block.twice % 2 != 0) {
            (true, _) => (1, 1),
            (_, true) => (0, 1),
            _ => (0, 0),
        };
        for (g, group) in table.groups.iter().enumerate() {
            sum(
                &self.kernels,
                table,
                group,
                &self.folded,
                windows,
                &mut self.sums,
            );
            let (even, odd) = self.sums.split_at(WINDOWS * GROUP);
            let lines = self.line.chunks_exact_mut(line);
            let sums = even
                .as_chunks::<GROUP>()
                .0
                .iter()
                .zip(odd.as_chunks::<GROUP>().0);
            for (line, (even, odd)) in lines.zip(sums).take(windows) {
                let right: [T; GROUP] = from_fn(|i| even[i] + odd[i]);
                let left: [T; GROUP] = from_fn(|i| even[GROUP - 1 - i] - odd[GROUP - 1 - i]);
                let to_left = table.lanes + 1 - before - (g + 1) * GROUP;
                line[to_left..][..GROUP].copy_from_slice(&left);
                line[table.lanes + after + g * GROUP..][..GROUP].copy_from_slice(&right);
            }
        }
        if let Some(lone) = rows.lone {
            let taps = table.taps(lone, table.padded);
            for w in 0..windows {
                let even = &self.folded[w * stride..][..table.padded];
                self.line[w * line + table.lanes] = (self.kernels.dot)(even, taps, table.padded);
            }
        }
    }

    /// Moves what the lines hold of a block to the outputs of `channels` in `rounds`.
    fn hand_out(&mut self, channels: Range<usize>, rounds: usize) {
        let (block, per_round) = (self.table.rows.block, self.per_round() as usize);
        let count = block.count as usize;
        // The centre, or the output after it, lies in the middle of the line.
        let middle = (block.twice + 1).div_euclid(2);
        let from = (self.table.lanes as i64 + block.first - middle) as usize;
        let to = (block.first + self.shape.early as i64) as usize;
        let mut lines = self.line.chunks_exact(2 * self.table.lanes + 1);
        for output in &mut self.outputs[channels] {
            for round in output.chunks_exact_mut(per_round).take(rounds) {
                if let Some(line) = lines.next() {
                    round[to..to + count].copy_from_slice(&line[from..from + count]);
                }
            }
        }
    }
}

/// Windows of `len` samples, in order of time.
fn pass<'a>(len: usize, at: &'a [usize], to: &'a [usize]) -> Pass<'a> {
    Pass {
        len,
        at,
        back: 0,
        to,
        words: Words::default(),
    }
}

/// What `windows` of `folded` come to with the taps of `group`: of each, of the sums and, from the middle
/// on, of the differences.
fn sum<T: Folds>(
    kernels: &Kernels<T>,
    table: &Table<T>,
    group: &Group,
    folded: &[T],
    windows: usize,
    sums: &mut [T],
) {
    let taps = [group.even, group.odd].map(|at| table.taps(at, group.len * GROUP));
    let place = |part: usize, w: usize| (2 * w + part) * table.padded + group.start;
    let slot = |part: usize, w: usize| (part * WINDOWS + w) * GROUP;
    let columns = &kernels.columns;
    let parts = windows.div_ceil(columns.windows);
    for part in 0..parts {
        let range = part * windows / parts..(part + 1) * windows / parts;
        if range.len() == 1 {
            let (at, to): ([_; 2], [_; 2]) = (
                from_fn(|part| place(part, range.start)),
                from_fn(|part| slot(part, range.start)),
            );
            (columns.groups)(folded, &pass(group.len, &at, &to), taps, sums);
            continue;
        }
        for (part, taps) in taps.into_iter().enumerate() {
            let at: [_; WINDOWS] = from_fn(|w| place(part, range.start + w));
            let to: [_; WINDOWS] = from_fn(|w| slot(part, range.start + w));
            let n = range.len();
            (columns.group)(folded, &pass(group.len, &at[..n], &to[..n]), taps, sums);
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
        self.from = 0;
        self.outputs.iter_mut().for_each(Vec::clear);
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
        let outputs: usize = self.outputs.iter().map(Vec::capacity).sum();
        let samples = self.folded.len() + self.line.len() + outputs;
        samples * size_of::<T>() + self.table.taps.bytes()
    }
}
