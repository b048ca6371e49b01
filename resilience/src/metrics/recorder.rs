// SPDX-License-Identifier: MIT

//! Collects what an element does: totals that never go backwards, and windows of media time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use super::{Histogram, Summary};
use crate::lock;

/// Whether the element does its job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Works.
    #[default]
    Ok,
    /// Works, with failures on the way.
    Degraded,
    /// Passes data on without doing its work.
    Skipping,
    /// Cannot go on.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Degraded, Self::Skipping, Self::Failed];

    /// Its name in messages and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Skipping => "skipping",
            Self::Failed => "failed",
        }
    }
}

/// Totals since READY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buffers, or other pieces of work.
    pub buffers: u64,
    /// Frames: one sample of every channel.
    pub samples: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Buffers dropped.
    pub dropped: u64,
    /// Failed calls and other errors.
    pub errors: u64,
    /// Attempts after a failed one.
    pub retries: u64,
    /// Calls that took too long.
    pub timeouts: u64,
    /// Pieces of work that were not tried.
    pub skipped: u64,
}

/// Media that one measurement covers, in ns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Timestamp in the stream's segment; `None` where the buffer had none.
    pub pts: Option<u64>,
    /// Its length.
    pub duration: u64,
    /// Samples of each channel.
    pub frames: u64,
    /// Size of the data.
    pub bytes: u64,
}

/// A window of the work: one that ended, or what a query sees of the one that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Timestamp of its start, in ns, where known.
    pub start: Option<u64>,
    /// Media it covers, in ns.
    pub duration: u64,
    /// Own work on each buffer.
    pub times: Summary,
}

impl Window {
    /// Processing time over media time; 0 where no media passed.
    pub fn real_time_factor(&self) -> f64 {
        if self.duration == 0 {
            0.0
        } else {
            self.times.sum as f64 / self.duration as f64
        }
    }
}

#[derive(Debug, Default)]
struct WindowSums {
    start: Option<u64>,
    end: Option<u64>,
    media: u64,
    times: Histogram,
}

impl WindowSums {
    fn clear(&mut self) {
        self.times.clear();
        (self.start, self.end, self.media) = (None, None, 0);
    }

    fn closed(&self) -> Window {
        Window {
            start: self.start,
            duration: self.media,
            times: self.times.summary(),
        }
    }

    fn absorb(&mut self, other: &Self) {
        self.start = self.start.or(other.start);
        self.media += other.media;
        self.times.merge(&other.times);
    }
}

#[derive(Debug, Default)]
struct Windows {
    current: WindowSums,
    /// Windows that ended and were not told yet, as one; only where there are any.
    untold: Option<Box<WindowSums>>,
    /// All windows since READY, but for the current one.
    run: WindowSums,
}

impl Windows {
    /// Ends the current window. Where `leave` is given, it is told with what was not told before.
    #[cold]
    fn close<L>(&mut self, leave: Option<L>) -> Option<(Window, L)> {
        self.run.absorb(&self.current);
        let told = match leave {
            Some(leave) => {
                let closed = match self.untold.take() {
                    Some(mut untold) => {
                        untold.absorb(&self.current);
                        untold.closed()
                    }
                    None => self.current.closed(),
                };
                Some((closed, leave))
            }
            None => {
                self.untold.get_or_insert_default().absorb(&self.current);
                None
            }
        };
        self.current.clear();
        told
    }
}

/// Recorder of one element. The three counters of the streaming path have one writer, the
/// streaming thread, so they are stored without a locked instruction; anyone may read.
#[derive(Debug, Default)]
pub struct Recorder {
    buffers: AtomicU64,
    samples: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
    retries: AtomicU64,
    timeouts: AtomicU64,
    skipped: AtomicU64,
    processing: AtomicU64,
    latency: AtomicU64,
    memory: AtomicU64,
    status: AtomicU8,
    last_error: Mutex<String>,
    windows: Mutex<Windows>,
}

#[inline]
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

impl Recorder {
    /// Zeroes everything; for READY->PAUSED.
    pub fn reset(&self) {
        for c in [
            &self.buffers,
            &self.samples,
            &self.bytes,
            &self.dropped,
            &self.errors,
            &self.retries,
            &self.timeouts,
            &self.skipped,
            &self.processing,
        ] {
            c.store(0, Relaxed);
        }
        self.status.store(Status::Ok as u8, Relaxed);
        lock(&self.last_error).clear();
        let mut w = lock(&self.windows);
        w.current.clear();
        w.untold = None;
        w.run.clear();
    }

    /// Counts a buffer without timing it; from the streaming thread.
    #[inline]
    pub fn count(&self, span: &Span) {
        bump(&self.buffers, 1);
        bump(&self.samples, span.frames);
        bump(&self.bytes, span.bytes);
    }

    /// Counts a buffer that took `ns` of the element's own work; from the streaming thread. Gives
    /// the window that this buffer completed (`interval` ns of media, 0 = never) or cut off (the
    /// stream jumped), with what `leave` gave, which is asked whether it may be told now; else it
    /// becomes part of the next one that is told. `leave` is called with the windows locked.
    #[inline]
    pub fn record<L>(
        &self,
        span: &Span,
        ns: u64,
        interval: u64,
        leave: impl FnOnce() -> Option<L>,
    ) -> Option<(Window, L)> {
        self.count(span);
        bump(&self.processing, ns);
        let mut guard = lock(&self.windows);
        let windows = &mut *guard;
        let current = &windows.current;
        let jumped = interval > 0
            && matches!((span.pts, current.end), (Some(pts), Some(end))
                if pts.saturating_add(JUMP) < end || pts > end.saturating_add(JUMP));
        let mut leave = Some(leave);
        let mut told = None;
        if jumped && let Some(leave) = leave.take() {
            told = windows.close(leave());
        }
        let current = &mut windows.current;
        current.times.record(ns);
        current.start = current.start.or(span.pts);
        let end = span.pts.map(|p| p.saturating_add(span.duration));
        current.media += match (current.end, end) {
            // Where buffers touch, differences of timestamps add up without rounding.
            (Some(last), Some(end)) if last.abs_diff(end - span.duration) <= 1 => {
                end.saturating_sub(last)
            }
            _ => span.duration,
        };
        current.end = end;
        if interval > 0
            && current.media >= interval
            && let Some(leave) = leave
        {
            told = windows.close(leave());
            // The next window begins where this one ended.
            windows.current.end = end;
        }
        told
    }

    /// Adds `ns` of own work that belongs to no buffer; from the streaming thread.
    pub fn add_work(&self, ns: u64) {
        bump(&self.processing, ns);
    }

    /// Ends the window that runs now, however short it is; as [`record`](Self::record).
    pub fn cut<L>(&self, leave: impl FnOnce() -> Option<L>) -> Option<(Window, L)> {
        lock(&self.windows).close(leave())
    }

    /// What was not told yet of windows that ended, if `leave` gives leave to tell it.
    pub fn take_untold<L>(&self, leave: impl FnOnce() -> Option<L>) -> Option<(Window, L)> {
        let mut windows = lock(&self.windows);
        windows.untold.as_ref()?;
        let leave = leave()?;
        let untold = windows.untold.take()?;
        Some((untold.closed(), leave))
    }

    /// Forgets what was not told yet: something that covers it is.
    pub fn forget_untold(&self) {
        lock(&self.windows).untold = None;
    }

    /// The window that runs now.
    pub fn current(&self) -> Window {
        lock(&self.windows).current.closed()
    }

    /// Everything since READY, as one window.
    pub fn run(&self) -> Window {
        let mut guard = lock(&self.windows);
        let Windows { current, run, .. } = &mut *guard;
        run.absorb(current);
        current.clear();
        run.closed()
    }

    /// Totals since READY.
    pub fn counters(&self) -> Counters {
        Counters {
            buffers: self.buffers.load(Relaxed),
            samples: self.samples.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            errors: self.errors.load(Relaxed),
            retries: self.retries.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
        }
    }

    /// Total own work since READY, in ns.
    pub fn processing(&self) -> u64 {
        self.processing.load(Relaxed)
    }

    /// Counts buffers dropped.
    pub fn add_dropped(&self, n: u64) {
        self.dropped.fetch_add(n, Relaxed);
    }

    /// Counts attempts after a failed one.
    pub fn add_retries(&self, n: u64) {
        self.retries.fetch_add(n, Relaxed);
    }

    /// Counts calls that took too long.
    pub fn add_timeouts(&self, n: u64) {
        self.timeouts.fetch_add(n, Relaxed);
    }

    /// Counts pieces of work that were not tried.
    pub fn add_skipped(&self, n: u64) {
        self.skipped.fetch_add(n, Relaxed);
    }

    /// Counts an error and keeps its text; an element that was `Ok` becomes `Degraded`.
    pub fn add_error(&self, text: &str) {
        self.errors.fetch_add(1, Relaxed);
        let mut last = lock(&self.last_error);
        last.clear();
        last.push_str(text);
        drop(last);
        let _ = self.status.compare_exchange(
            Status::Ok as u8,
            Status::Degraded as u8,
            Relaxed,
            Relaxed,
        );
    }

    /// Text of the last error since READY; empty if there was none.
    pub fn last_error(&self) -> String {
        lock(&self.last_error).clone()
    }

    /// Says how the element does.
    pub fn set_status(&self, status: Status) {
        self.status.store(status as u8, Relaxed);
    }

    /// How the element does.
    pub fn status(&self) -> Status {
        let code = self.status.load(Relaxed);
        Status::ALL
            .into_iter()
            .find(|s| *s as u8 == code)
            .unwrap_or_default()
    }

    /// Latency of the element in ns.
    pub fn set_latency(&self, ns: u64) {
        self.latency.store(ns, Relaxed);
    }

    /// Latency of the element in ns.
    pub fn latency(&self) -> u64 {
        self.latency.load(Relaxed)
    }

    /// Bytes that the element holds for its work (filters, queues), beside this recorder.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Relaxed);
    }

    /// Bytes held by the element, this recorder included.
    pub fn memory(&self) -> u64 {
        let w = lock(&self.windows);
        let untold = w.untold.as_ref().map_or(0, |u| u.times.memory());
        let own = size_of::<Self>() + w.current.times.memory() + w.run.times.memory() + untold;
        self.memory.load(Relaxed) + own as u64
    }
}

/// A gap or step back in time longer than this ends a window early, in ns.
const JUMP: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn span(pts_ms: u64) -> Span {
        Span {
            pts: Some(pts_ms * MS),
            duration: 10 * MS,
            frames: 480,
            bytes: 960,
        }
    }

    /// As [`Recorder::record`], where each window may be told at once.
    fn record(r: &Recorder, span: &Span, ns: u64, interval: u64) -> Option<Window> {
        r.record(span, ns, interval, || Some(()))
            .map(|(closed, ())| closed)
    }

    #[test]
    fn windows_close_on_media_time_and_add_up() {
        let r = Recorder::default();
        let mut closed = Vec::new();
        for i in 0..25 {
            closed.extend(record(&r, &span(i * 10), 1000 + i, 100 * MS));
        }
        assert_eq!(closed.len(), 2);
        assert_eq!(closed[0].start, Some(0));
        assert_eq!(closed[1].start, Some(100 * MS));
        assert!(closed.iter().all(|c| c.duration == 100 * MS));
        assert_eq!((closed[0].times.min, closed[0].times.max), (1000, 1009));
        assert_eq!(r.current().duration, 50 * MS);
        let run = r.run();
        assert_eq!((run.start, run.duration), (Some(0), 250 * MS));
        assert_eq!(run.times.count, 25);
        assert_eq!(run.times.sum, r.processing());
        assert_eq!(
            r.counters(),
            Counters {
                buffers: 25,
                samples: 25 * 480,
                bytes: 25 * 960,
                ..Default::default()
            }
        );
    }

    #[test]
    fn rounded_durations_do_not_add_up() {
        // 1024 frames at 48 kHz are 21 333 333.3 ns.
        let r = Recorder::default();
        let at = |n: u64| (n * 1024 * 1_000_000_000 + 24_000) / 48_000;
        let windows: Vec<_> = (0..4500)
            .filter_map(|n| {
                let span = Span {
                    pts: Some(at(n)),
                    duration: 21_333_333,
                    ..span(0)
                };
                record(&r, &span, 1, 1_000_000_000)
            })
            .collect();
        assert_eq!(windows.len(), 4500 / 47);
        assert!(r.run().duration.abs_diff(at(4500)) <= 1);
    }

    #[test]
    fn a_jump_cuts_the_window() {
        let r = Recorder::default();
        assert_eq!(record(&r, &span(5000), 1, 100 * MS), None);
        let cut = record(&r, &span(0), 1, 100 * MS).unwrap();
        assert_eq!((cut.start, cut.duration), (Some(5000 * MS), 10 * MS));
        assert_eq!(r.current().start, Some(0));
    }

    #[test]
    fn windows_that_may_not_be_told_are_told_as_one() {
        let r = Recorder::default();
        let (mut asked, mut told) = (0, Vec::new());
        for i in 0..100 {
            let leave = || {
                asked += 1;
                (asked % 4 == 0).then_some(asked)
            };
            told.extend(r.record(&span(i * 10), i, 100 * MS, leave));
        }
        assert_eq!(asked, 10, "once a window");
        let seen: Vec<_> = told
            .iter()
            .map(|(w, n)| (*n, w.start.unwrap() / MS, w.duration / MS, w.times.max))
            .collect();
        assert_eq!(seen, [(4, 0, 400, 39), (8, 400, 400, 79)]);
        assert_eq!(told[1].0.times.p50, 59);
        let held = r.memory();
        assert_eq!(r.take_untold(|| None::<()>), None);
        let (rest, ()) = r.take_untold(|| Some(())).unwrap();
        assert_eq!((rest.start, rest.duration), (Some(800 * MS), 200 * MS));
        assert!(r.memory() < held, "its histogram is freed");
        assert_eq!(r.take_untold(|| Some(())), None);
        assert_eq!(r.run().duration, 1000 * MS);
    }

    #[test]
    fn interval_zero_and_one_under_a_buffer_terminate() {
        let r = Recorder::default();
        assert_eq!(record(&r, &span(0), 1, 0), None);
        assert!(record(&r, &span(10), 1, 1).is_some());
        assert!(record(&r, &span(20), 1, 1).is_some());
    }

    #[test]
    fn reset_zeroes_and_errors_degrade() {
        let r = Recorder::default();
        record(&r, &span(0), 5, 0);
        r.add_error("boom");
        r.add_error("bang");
        assert_eq!((r.status(), r.counters().errors), (Status::Degraded, 2));
        assert_eq!(r.last_error(), "bang");
        r.set_status(Status::Skipping);
        r.add_error("again");
        assert_eq!(r.status(), Status::Skipping);
        r.reset();
        assert_eq!(r.counters(), Counters::default());
        assert_eq!(r.run(), Window::default());
        assert_eq!((r.status(), r.last_error()), (Status::Ok, String::new()));
    }
}
