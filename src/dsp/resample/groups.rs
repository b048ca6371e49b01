//! A stretch of outputs from the groups of an exact table.

use std::ops::Range;

use super::engine::{Output, Sample};
use super::fifo::Fifo;
use super::table::Exact;
use crate::dsp::simd::resample::{GROUP, Kernels, WINDOWS};

const ROWS: u64 = GROUP as u64;

/// The outputs of a group in one period, as far as they are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Where its window begins in the planes.
    start: usize,
    /// Number of its first wanted output in the stretch.
    at: usize,
    /// First that is wanted, of the group's outputs in the order of time, and how many are.
    within: u8,
    count: u8,
    backwards: bool,
}

/// A stretch of outputs, numbered from row 0 of a period on.
pub struct Run<'a, T> {
    pub table: &'a Exact<T>,
    pub kernels: Kernels<T>,
    pub fifo: &'a Fifo<T>,
    /// Input frame of output 0.
    pub base: i64,
    /// Half the length of the filter.
    pub half: i64,
    /// The first output that is wanted, less than a period.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
}

impl<T: Sample> Run<'_, T> {
    /// Writes all outputs. `jobs` is scratch.
    pub fn write(&self, out: &mut Output<'_, T>, jobs: &mut Vec<Job>) {
        let channels = self.fifo.channels();
        let paired = channels - channels % 2;
        let periods = (self.end - 1) / self.table.period;
        // A job of the odd channel that no other shares its group with.
        let mut single = None;
        let mut scratch = Line([T::default(); 2 * GROUP * WINDOWS]);
        for group in 0..self.table.offsets.len() {
            jobs.clear();
            self.collect(group, periods, jobs);
            let mut rest = &jobs[..];
            while !rest.is_empty() {
                // Two and two rather than three and one.
                let n = match rest.len() {
                    4 => 2,
                    n => n.min(WINDOWS),
                };
                let (pass, later) = rest.split_at(n);
                rest = later;
                for channel in (0..paired).step_by(2) {
                    self.pairs(out, channel, group, pass, &mut scratch.0);
                }
                if paired == channels {
                    continue;
                }
                match (pass, single) {
                    ([job], None) => single = Some((group, *job)),
                    ([job], Some((other, first))) => {
                        self.two_groups(out, paired, [(other, &first), (group, job)]);
                        single = None;
                    }
                    _ => self.ones(out, paired, group, pass, &mut scratch.0),
                }
            }
        }
        if let Some((group, job)) = single {
            self.ones(out, paired, group, &[job], &mut scratch.0);
        }
        if self.table.lone {
            self.lone(out);
        }
    }

    /// Appends the jobs of `group` in period 0 to `periods`, those that run forwards first.
    fn collect(&self, group: usize, periods: u64, jobs: &mut Vec<Job>) {
        let table = self.table;
        let (period, advance, offset) = (table.period, table.advance as i64, table.offsets[group]);
        let low = group as u64 * ROWS;
        let high = (low + ROWS).min(table.rows);
        let mut frame = self.base + 1 - self.half + offset as i64;
        for p in 0..=periods {
            let row = p * period + low;
            self.add(jobs, row, row..row + high - low, frame, false);
            frame += advance;
        }
        // Row `k` mirrored lies `k` before the end of the period; row 0 is there already.
        let (least, most) = (low.max(1), (high - 1).min(table.mirrored()));
        if least > most {
            return;
        }
        let mut frame = self.base + self.half - table.len as i64 + advance - offset as i64;
        for p in 1..=periods + 1 {
            let row = p * period;
            let origin = row - low - (ROWS - 1);
            self.add(jobs, origin, row - most..row - least + 1, frame, true);
            frame += advance;
        }
    }

    /// Appends a job for the wanted ones among the outputs `range`, if there are any. The group's
    /// first in time is `origin`, its window begins at `frame`.
    #[inline(always)]
    fn add(
        &self,
        jobs: &mut Vec<Job>,
        origin: u64,
        range: Range<u64>,
        frame: i64,
        backwards: bool,
    ) {
        let from = range.start.max(self.first);
        let to = range.end.min(self.end);
        if from < to {
            jobs.push(Job {
                start: self.fifo.index(frame),
                at: (from - self.first) as usize,
                within: (from - origin) as u8,
                count: (to - from) as u8,
                backwards,
            });
        }
    }

    fn taps(&self, group: usize) -> &[T] {
        let size = GROUP * self.table.len;
        &self.table.taps()[group * size..][..size]
    }

    /// Channels `channel` and `channel + 1` of `pass`, jobs of `group`.
    fn pairs(
        &self,
        out: &mut Output<'_, T>,
        channel: usize,
        group: usize,
        pass: &[Job],
        scratch: &mut [T],
    ) {
        let x = [channel, channel + 1].map(|c| self.fifo.plane(c));
        let (taps, len) = (self.taps(group), self.table.len);
        let Windows { n, at, to, back } = windows(pass, out.pairs().is_some());
        if let (Some(to), Some(y)) = (to, out.pairs()) {
            let to = to.map(|to| 2 * to);
            (self.kernels.stereo)(x, &at[..n], back, taps, len, y, &to[..n]);
            return;
        }
        let to: [usize; WINDOWS] = std::array::from_fn(|w| w * 2 * GROUP);
        (self.kernels.stereo)(x, &at[..n], back, taps, len, scratch, &to[..n]);
        for (job, y) in pass.iter().zip(scratch.chunks_exact(2 * GROUP)) {
            let y = &y[2 * usize::from(job.within)..][..2 * usize::from(job.count)];
            out.write2(channel, job.at, y);
        }
    }

    /// Channel `channel` of `pass`, jobs of `group`.
    fn ones(
        &self,
        out: &mut Output<'_, T>,
        channel: usize,
        group: usize,
        pass: &[Job],
        scratch: &mut [T],
    ) {
        let x = self.fifo.plane(channel);
        let (taps, len) = (self.taps(group), self.table.len);
        let Windows { n, at, to, back } = windows(pass, out.plane(channel).is_some());
        if let (Some(to), Some(y)) = (to, out.plane(channel)) {
            (self.kernels.group)(x, &at[..n], back, taps, len, y, &to[..n]);
            return;
        }
        let to: [usize; WINDOWS] = std::array::from_fn(|w| w * GROUP);
        (self.kernels.group)(x, &at[..n], back, taps, len, scratch, &to[..n]);
        for (job, y) in pass.iter().zip(scratch.chunks_exact(GROUP)) {
            job.write(out, channel, y);
        }
    }

    /// Channel `channel` of two jobs of different groups: one alone would not keep the processor busy.
    fn two_groups(&self, out: &mut Output<'_, T>, channel: usize, jobs: [(usize, &Job); 2]) {
        let [a, b] = jobs;
        let [a, b] = if a.1.backwards { [b, a] } else { [a, b] };
        let x = self.fifo.plane(channel);
        let h = [self.taps(a.0), self.taps(b.0)];
        let (a, b) = (a.1, b.1);
        let back = usize::from(a.backwards) + usize::from(b.backwards);
        let mut y = [[T::default(); GROUP]; 2];
        (self.kernels.groups)(x, [a.start, b.start], back, h, self.table.len, &mut y);
        a.write(out, channel, &y[0]);
        b.write(out, channel, &y[1]);
    }

    /// All channels of the row by itself.
    fn lone(&self, out: &mut Output<'_, T>) {
        let table = self.table;
        let taps = table.lone_taps();
        let offset = table.rows * table.advance / table.period;
        for p in 0..=(self.end - 1) / table.period {
            let row = p * table.period + table.rows;
            if row < self.first || row >= self.end {
                continue;
            }
            let frame = self.base + 1 - self.half + (p * table.advance + offset) as i64;
            for c in 0..self.fifo.channels() {
                let y =
                    (self.kernels.dot)(self.fifo.window(c, frame, taps.len()), taps, taps.len());
                out.write(c, (row - self.first) as usize, &[y]);
            }
        }
    }
}

/// At a cache line, so that no store meets two.
#[repr(align(64))]
struct Line<T>(T);

impl Job {
    /// Writes what is wanted of the group's outputs.
    fn write<T: Copy>(&self, out: &mut Output<'_, T>, channel: usize, y: &[T]) {
        out.write(
            channel,
            self.at,
            &y[self.within.into()..][..self.count.into()],
        );
    }
}

/// What jobs of one group are to a kernel.
struct Windows {
    n: usize,
    at: [usize; WINDOWS],
    /// Where all of their outputs are wanted: where each goes.
    to: Option<[usize; WINDOWS]>,
    back: usize,
}

fn windows(pass: &[Job], direct: bool) -> Windows {
    let (mut at, mut to) = ([0; WINDOWS], [0; WINDOWS]);
    let (mut back, mut whole) = (0, direct);
    for (job, (at, to)) in pass.iter().zip(at.iter_mut().zip(&mut to)) {
        *at = job.start;
        *to = job.at;
        back += usize::from(job.backwards);
        whole &= usize::from(job.count) == GROUP;
    }
    Windows {
        n: pass.len(),
        at,
        to: whole.then_some(to),
        back,
    }
}
