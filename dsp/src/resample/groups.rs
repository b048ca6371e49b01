// SPDX-License-Identifier: MIT

//! A stretch of outputs from groups of rows.

use std::ops::Range;

use super::engine::Output;
use super::fifo::View;
use super::phases::Phases;
use crate::simd::resample_pass::{Columns, GROUP, Grouped, Pass, WINDOWS, Words};

const ROWS: u64 = GROUP as u64;

/// Where the outputs of windows begin that follow one another.
const SIDE_BY_SIDE: [usize; WINDOWS] = [0, GROUP, 2 * GROUP, 3 * GROUP];

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

/// Outputs to be made, numbered from row 0 of a period on.
pub struct Stretch<'a, T> {
    pub input: &'a View<'a, T>,
    /// Input frame of output 0.
    pub base: i64,
    /// Half the length of the response.
    pub half: i64,
    /// The first output that is wanted, less than a period.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
}

impl<T> Stretch<'_, T> {
    /// Input frame of the first tap of output 0.
    pub fn first_tap(&self) -> i64 {
        self.base + 1 - self.half
    }
}

/// Groups of rows, and what is wanted of them.
pub struct Run<'a, T: Grouped, F> {
    pub phases: &'a Phases,
    /// Those of a group.
    pub taps: F,
    /// Of 16-bit taps.
    pub words: Words,
    pub kernels: Columns<T>,
    pub stretch: &'a Stretch<'a, T>,
}

impl<'a, T: Grouped, F: Fn(usize) -> &'a [T]> Run<'a, T, F> {
    /// Writes all outputs. `jobs` is scratch.
    pub fn write(&self, out: &mut Output<'_, T::Sum>, jobs: &mut Vec<Job>) {
        let channels = self.stretch.input.channels();
        let paired = channels - channels % 2;
        let periods = (self.stretch.end - 1) / self.phases.period;
        // A job of the odd channel that no other shares its group with.
        let mut single = None;
        let mut scratch = Line([T::Sum::default(); 2 * GROUP * WINDOWS]);
        for group in 0..self.phases.offsets.len() {
            jobs.clear();
            self.collect(group, periods, jobs);
            let mut rest = &jobs[..];
            while !rest.is_empty() {
                // In parts of about the same length: two and two rather than three and one.
                let n = match rest.len() {
                    n if n <= self.kernels.windows => n,
                    n => n.div_ceil(n.div_ceil(self.kernels.windows)),
                };
                let (pass, later) = rest.split_at(n);
                rest = later;
                for channel in (0..paired).step_by(2) {
                    self.pass::<2>(out, channel, group, pass, &mut scratch.0);
                }
                if paired == channels {
                    continue;
                }
                match (pass, single) {
                    ([job], None) => single = Some((group, *job)),
                    ([job], Some((other, first))) => {
                        let both = [(other, first), (group, *job)];
                        self.two_groups(out, paired, both, &mut scratch.0);
                        single = None;
                    }
                    _ => self.pass::<1>(out, paired, group, pass, &mut scratch.0),
                }
            }
        }
        if let Some((group, job)) = single {
            self.pass::<1>(out, paired, group, &[job], &mut scratch.0);
        }
    }

    /// Appends the jobs of `group` in period 0 to `periods`, those that run forwards first.
    fn collect(&self, group: usize, periods: u64, jobs: &mut Vec<Job>) {
        let phases = self.phases;
        let (period, advance, offset) =
            (phases.period, phases.advance as i64, phases.offsets[group]);
        let low = group as u64 * ROWS;
        let high = (low + ROWS).min(phases.rows);
        let mut frame = self.stretch.first_tap() + offset as i64;
        for p in 0..=periods {
            let row = p * period + low;
            self.add(jobs, row, row..row + high - low, frame, false);
            frame += advance;
        }
        // Row `k` mirrored lies `k` before the end of the period; row 0 is there already.
        let (least, most) = (low.max(1), (high - 1).min(phases.mirrored()));
        if least > most {
            return;
        }
        let mut frame =
            self.stretch.base + self.stretch.half - phases.len as i64 + advance - offset as i64;
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
        let from = range.start.max(self.stretch.first);
        let to = range.end.min(self.stretch.end);
        if from < to {
            jobs.push(Job {
                start: self.stretch.input.index(frame),
                at: (from - self.stretch.first) as usize,
                within: (from - origin) as u8,
                count: (to - from) as u8,
                backwards,
            });
        }
    }

    /// `C` channels, one or two, from `channel` on of `jobs`, which share `group`.
    fn pass<const C: usize>(
        &self,
        out: &mut Output<'_, T::Sum>,
        channel: usize,
        group: usize,
        jobs: &[Job],
        scratch: &mut [T::Sum],
    ) {
        let (mut at, mut to) = ([0; WINDOWS], [0; WINDOWS]);
        let (mut back, mut whole) = (0, true);
        for (job, (at, to)) in jobs.iter().zip(at.iter_mut().zip(&mut to)) {
            *at = job.start;
            *to = C * job.at;
            back += usize::from(job.backwards);
            whole &= usize::from(job.count) == GROUP;
        }
        let sum = |y: &mut [T::Sum], to: &[usize]| {
            let pass = Pass {
                len: self.phases.len,
                at: &at[..jobs.len()],
                back,
                to: &to[..jobs.len()],
                words: self.words,
            };
            let (x, h) = (self.stretch.input.plane(channel), (self.taps)(group));
            if C == 2 {
                (self.kernels.stereo)([x, self.stretch.input.plane(channel + 1)], &pass, h, y);
            } else {
                (self.kernels.group)(x, &pass, h, y);
            }
        };
        if whole && let Some(y) = out.stretch::<C>(channel) {
            sum(y, &to);
            return;
        }
        sum(scratch, &SIDE_BY_SIDE.map(|w| C * w));
        for (job, y) in jobs.iter().zip(scratch.chunks_exact(C * GROUP)) {
            job.write::<C, _>(out, channel, y);
        }
    }

    /// Channel `channel` of two jobs of different groups: one alone would not keep the processor busy.
    fn two_groups(
        &self,
        out: &mut Output<'_, T::Sum>,
        channel: usize,
        mut jobs: [(usize, Job); 2],
        scratch: &mut [T::Sum],
    ) {
        // Those that run forwards come first.
        jobs.sort_by_key(|(_, job)| job.backwards);
        let pass = Pass {
            len: self.phases.len,
            at: &jobs.map(|(_, job)| job.start),
            back: jobs.iter().filter(|(_, job)| job.backwards).count(),
            to: &SIDE_BY_SIDE[..2],
            words: self.words,
        };
        let h = jobs.map(|(group, _)| (self.taps)(group));
        (self.kernels.groups)(self.stretch.input.plane(channel), &pass, h, scratch);
        for ((_, job), y) in jobs.iter().zip(scratch.chunks_exact(GROUP)) {
            job.write::<1, _>(out, channel, y);
        }
    }
}

/// At a cache line, so that no store meets two.
#[repr(align(64))]
struct Line<T>(T);

impl Job {
    /// Writes what is wanted of the group's outputs `y` for `C` channels.
    fn write<const C: usize, T: Copy>(&self, out: &mut Output<'_, T>, channel: usize, y: &[T]) {
        let y = &y[C * usize::from(self.within)..][..C * usize::from(self.count)];
        if C == 2 {
            out.write2(channel, self.at, y);
        } else {
            out.write(channel, self.at, y);
        }
    }
}
