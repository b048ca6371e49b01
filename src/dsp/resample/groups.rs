//! A stretch of outputs from the groups of an exact table.

use super::engine::{Output, Sample};
use super::fifo::Fifo;
use super::table::Exact;
use crate::dsp::simd::resample::{Frames, GROUP, Kernels, WINDOWS};

const ROWS: u64 = GROUP as u64;

/// The outputs of a group in one period, as far as they are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    group: usize,
    /// Where its window begins in the planes.
    start: usize,
    backwards: bool,
    /// First that is wanted, of the group's outputs in the order of time.
    within: usize,
    /// Its number in the stretch.
    at: usize,
    count: usize,
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
        // A job of the odd channel that no other shares its group with.
        let mut single = None;
        let mut two = Line([[T::default(); 2 * GROUP]; WINDOWS]);
        let mut one = Line([[T::default(); GROUP]; WINDOWS]);
        for group in 0..self.table.offsets.len() {
            jobs.clear();
            self.collect(group, jobs);
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
                    self.pairs(out, channel, pass, &mut two.0);
                }
                if paired == channels {
                    continue;
                }
                match (pass, single) {
                    ([job], None) => single = Some(*job),
                    ([job], Some(other)) => {
                        self.two_groups(out, paired, [&other, job]);
                        single = None;
                    }
                    _ => self.ones(out, paired, pass, &mut one.0),
                }
            }
        }
        if let Some(job) = single {
            self.ones(out, paired, &[job], &mut one.0);
        }
        if self.table.lone {
            self.lone(out);
        }
    }

    /// Appends the jobs of `group`, those that run forwards first.
    fn collect(&self, group: usize, jobs: &mut Vec<Job>) {
        let table = self.table;
        let (period, offset) = (table.period, table.offsets[group] as i64);
        let low = group as u64 * ROWS;
        let high = (low + ROWS).min(table.rows);
        // Row 0 is there already.
        let (least, most) = (low.max(1), (high - 1).min(table.mirrored()));
        let last = (self.end - 1) / period;
        for p in 0..=last {
            let row = p * period;
            let frame = self.base + 1 - self.half + (p * table.advance) as i64 + offset;
            let job = self.job(row + low, row + low..row + high, group, frame);
            jobs.extend(job);
        }
        if least > most {
            return;
        }
        for p in 1..=last + 1 {
            // Row `k` mirrored lies `k` before this one.
            let row = p * period;
            let frame =
                self.base + self.half - table.len as i64 + (p * table.advance) as i64 - offset;
            let origin = row - low - (ROWS - 1);
            let range = row - most..row - least + 1;
            if let Some(mut job) = self.job(origin, range, group, frame) {
                job.backwards = true;
                jobs.push(job);
            }
        }
    }

    /// The wanted ones among the outputs `range`, where the group's first in time is `origin`.
    fn job(
        &self,
        origin: u64,
        range: std::ops::Range<u64>,
        group: usize,
        frame: i64,
    ) -> Option<Job> {
        let from = range.start.max(self.first);
        let to = range.end.min(self.end);
        (from < to).then(|| Job {
            group,
            start: self.fifo.index(frame),
            backwards: false,
            within: (from - origin) as usize,
            at: (from - self.first) as usize,
            count: (to - from) as usize,
        })
    }

    fn taps(&self, group: usize) -> &[T] {
        let size = GROUP * self.table.len;
        &self.table.taps()[group * size..][..size]
    }

    fn windows(&self, pass: &[Job]) -> Windows<'_, T> {
        let mut at = [0; WINDOWS];
        for (at, job) in at.iter_mut().zip(pass) {
            *at = job.start;
        }
        Windows {
            taps: self.taps(pass.first().map_or(0, |job| job.group)),
            at,
            back: pass.iter().filter(|job| job.backwards).count(),
        }
    }

    /// Channels `channel` and `channel + 1` of `pass`, jobs of one group.
    fn pairs(
        &self,
        out: &mut Output<'_, T>,
        channel: usize,
        pass: &[Job],
        y: &mut [Frames<T>; WINDOWS],
    ) {
        let x = [channel, channel + 1].map(|c| self.fifo.plane(c));
        let Windows { taps, at, back } = self.windows(pass);
        let len = self.table.len;
        (self.kernels.stereo)(x, &at[..pass.len()], back, taps, len, y);
        for (job, y) in pass.iter().zip(y) {
            out.write2(channel, job.at, &y[2 * job.within..][..2 * job.count]);
        }
    }

    /// Channel `channel` of `pass`, jobs of one group.
    fn ones(
        &self,
        out: &mut Output<'_, T>,
        channel: usize,
        pass: &[Job],
        y: &mut [[T; GROUP]; WINDOWS],
    ) {
        let x = self.fifo.plane(channel);
        let Windows { taps, at, back } = self.windows(pass);
        let len = self.table.len;
        (self.kernels.group)(x, &at[..pass.len()], back, taps, len, y);
        for (job, y) in pass.iter().zip(y) {
            out.write(channel, job.at, &y[job.within..][..job.count]);
        }
    }

    /// Channel `channel` of two jobs of different groups: one alone would not keep the processor busy.
    fn two_groups(&self, out: &mut Output<'_, T>, channel: usize, jobs: [&Job; 2]) {
        let [a, b] = jobs;
        let [a, b] = if a.backwards { [b, a] } else { [a, b] };
        let x = self.fifo.plane(channel);
        let h = [self.taps(a.group), self.taps(b.group)];
        let back = usize::from(a.backwards) + usize::from(b.backwards);
        let mut y = [[T::default(); GROUP]; 2];
        (self.kernels.groups)(x, [a.start, b.start], back, h, self.table.len, &mut y);
        for (job, y) in [a, b].into_iter().zip(&y) {
            out.write(channel, job.at, &y[job.within..][..job.count]);
        }
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

/// What jobs of one group are to a kernel.
struct Windows<'a, T> {
    taps: &'a [T],
    at: [usize; WINDOWS],
    back: usize,
}
