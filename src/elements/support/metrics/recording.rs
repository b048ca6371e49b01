// SPDX-License-Identifier: MIT

//! The metrics of an element: its four shared properties and its bus messages.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

use super::timeline::running_time;
use super::unread::{self, Leave, Unread};
use super::watch::{Watch, Watched};
use crate::logging::object;
use crate::metrics::{self, MESSAGE_NAME, Recorder, Report, ReportExt, Span, Value, Window};
use crate::resilience::lock;

/// Fields that one kind of element adds to the schema.
type Extra = Box<dyn Fn() -> Vec<(&'static str, Value)> + Send + Sync>;

/// Started by [`ElementMetrics::begin`]; empty where nothing is timed. What is logged while it
/// runs is in a `buffer` span that names the element.
#[derive(Debug)]
#[must_use]
pub struct Stopwatch(Option<Running>);

#[derive(Debug)]
struct Running {
    since: metrics::Stopwatch,
    _span: Option<tracing::span::EnteredSpan>,
}

impl Stopwatch {
    /// Work is timed, as messages or the tracer want.
    pub fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// Own work so far, in ns; 0 where nothing is timed.
    pub fn elapsed(&self) -> u64 {
        self.0.as_ref().map_or(0, |t| t.since.elapsed())
    }
}

/// Records what an element does and publishes it; one per element, in its implementation struct.
///
/// Call order: [`transition`](Self::transition) at each change of state; [`start`](Self::start) at
/// READY->PAUSED; [`begin`](Self::begin) and
/// [`end`](Self::end) around the own work on a buffer, pushes downstream excluded;
/// [`finish`](Self::finish) at EOS and at PAUSED->READY. No lock of the element may be held in
/// `end` and `finish`: they post messages.
#[derive(Default)]
pub struct ElementMetrics {
    shared: Arc<Shared>,
}

/// What the clock's thread sees too.
struct Shared {
    recorder: Recorder,
    post: AtomicBool,
    interval: AtomicU64,
    /// Buffers counted when the last final message was posted; `NEVER` before it.
    finished_at: AtomicU64,
    /// Name of the element, for the log.
    name: Mutex<String>,
    /// The element started to work on a buffer since the last look of the stall watch.
    active: AtomicBool,
    /// It is at work now.
    working: AtomicBool,
    stalled: AtomicBool,
    watch: Watch,
    /// Periodic messages that nobody has read yet: one at most.
    unread: Unread,
    /// When the last one was posted.
    posted: Mutex<Option<Instant>>,
    /// Whose metrics these are, from READY->PAUSED on.
    element: glib::WeakRef<gst::Element>,
    /// Where the run began: the segment of the first buffer.
    first_segment: Mutex<gst::FormattedSegment<gst::ClockTime>>,
    /// Where the windows lie: the segment of the last buffer.
    segment: Mutex<gst::FormattedSegment<gst::ClockTime>>,
    /// Where the first of those lies that were not told yet.
    untold_segment: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>>,
    extra: OnceLock<Extra>,
}

/// Between two looks of the stall watch, at least; shorter intervals are no reason to wake up.
const SHORTEST_LOOK: u64 = 100_000_000;
/// Between two periodic messages, at least. A pipeline that reads a file a thousand times as fast as
/// it plays completes a window each millisecond, and to be woken costs an application ten times what
/// a message does.
const PACE: Duration = Duration::from_millis(20);
const NEVER: u64 = u64::MAX;
const DEFAULT_INTERVAL: u64 = 1_000_000_000;

impl Default for Shared {
    fn default() -> Self {
        Self {
            recorder: Recorder::default(),
            post: AtomicBool::new(true),
            interval: AtomicU64::new(DEFAULT_INTERVAL),
            finished_at: AtomicU64::new(0),
            name: Mutex::default(),
            active: AtomicBool::new(false),
            working: AtomicBool::new(false),
            watch: Watch::default(),
            unread: Unread::default(),
            posted: Mutex::default(),
            element: glib::WeakRef::new(),
            first_segment: Mutex::new(gst::FormattedSegment::new()),
            stalled: AtomicBool::new(false),
            segment: Mutex::new(gst::FormattedSegment::new()),
            untold_segment: Mutex::default(),
            extra: OnceLock::new(),
        }
    }
}

impl std::ops::Deref for ElementMetrics {
    type Target = Recorder;

    /// Counters, status, latency and memory are set on the recorder itself.
    fn deref(&self) -> &Recorder {
        &self.shared.recorder
    }
}

impl Drop for ElementMetrics {
    fn drop(&mut self) {
        self.pause();
    }
}

impl ElementMetrics {
    /// The shared properties, to be added to those of the element.
    pub fn properties(factory: &str) -> Vec<glib::ParamSpec> {
        vec![
            glib::ParamSpecBoolean::builder("post-metrics")
                .nick("Post metrics")
                .blurb(
                    "Time every buffer and post `rustaudio-metrics` element messages; without it \
                     only the counters are kept",
                )
                .default_value(true)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt64::builder("metrics-interval")
                .nick("Metrics interval")
                .blurb("Window of one metrics message in ns of media time (0 = only at the end)")
                .default_value(DEFAULT_INTERVAL)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb(&format!(
                    "The fields of the metrics message now, as application/x-{factory}-stats; \
                     times in ns, sizes in bytes"
                ))
                .read_only()
                .build(),
            glib::ParamSpecString::builder("stats-json")
                .nick("Statistics as JSON")
                .blurb("The fields of the metrics message now, as a JSON object; times in ns, sizes in bytes")
                .read_only()
                .build(),
        ]
    }

    /// Adds `extra` to every report; at construction.
    pub fn set_extra(
        &self,
        extra: impl Fn() -> Vec<(&'static str, Value)> + Send + Sync + 'static,
    ) {
        let _ = self.shared.extra.set(Box::new(extra));
    }

    /// Sets a shared property; false if `pspec` is none of them.
    pub fn set_property(&self, value: &glib::Value, pspec: &glib::ParamSpec) -> bool {
        match pspec.name() {
            "post-metrics" => {
                if let Ok(on) = value.get() {
                    self.shared.post.store(on, Relaxed);
                }
            }
            "metrics-interval" => {
                if let Ok(ns) = value.get() {
                    self.shared.interval.store(ns, Relaxed);
                }
            }
            _ => return false,
        }
        true
    }

    /// Value of a shared property; `None` if `pspec` is none of them.
    pub fn property(
        &self,
        element: &impl IsA<gst::Element>,
        pspec: &glib::ParamSpec,
    ) -> Option<glib::Value> {
        Some(match pspec.name() {
            "post-metrics" => self.shared.post.load(Relaxed).to_value(),
            "metrics-interval" => self.shared.interval.load(Relaxed).to_value(),
            "stats" => {
                let report = self.shared.now(element.upcast_ref());
                report
                    .to_structure(&format!("application/x-{}-stats", report.factory))
                    .to_value()
            }
            "stats-json" => self.shared.now(element.upcast_ref()).to_json().to_value(),
            _ => return None,
        })
    }

    /// Zeroes everything and takes up changed log levels; at READY->PAUSED.
    pub fn start(&self) {
        crate::logging::refresh();
        self.shared.recorder.reset();
        *lock(&self.shared.posted) = None;
        *lock(&self.shared.untold_segment) = None;
        self.shared.finished_at.store(NEVER, Relaxed);
        self.shared.stalled.store(false, Relaxed);
        self.set_segment(&gst::FormattedSegment::new());
    }

    /// Starts and ends the watch for stalls as the element's state changes; at the start of
    /// `ElementImpl::change_state`.
    pub fn transition(&self, element: &impl IsA<gst::Element>, transition: gst::StateChange) {
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.shared.element.set(Some(element.as_ref()));
                *lock(&self.shared.name) = element.as_ref().name().into();
            }
            gst::StateChange::PausedToPlaying => self.play(),
            // The second one where going to PLAYING failed.
            gst::StateChange::PlayingToPaused | gst::StateChange::PausedToReady => {
                self.pause();
                self.shared.post_untold(element.upcast_ref());
            }
            _ => {}
        }
    }

    /// Watches for stalls from now on: where no buffer comes for a whole `metrics-interval` of clock
    /// time (100 ms at least) and none is being worked on, a message says `stalled`, every
    /// interval.
    fn play(&self) {
        self.shared.active.store(true, Relaxed);
        Watch::start(&self.shared);
    }

    /// Ends the watch for stalls.
    fn pause(&self) {
        self.shared.watch.stop();
        self.shared.stalled.store(false, Relaxed);
    }

    /// Segment that timestamps of the following spans are in; at each SEGMENT event. A window of
    /// another segment ends here. No lock of the element may be held: that window is posted.
    pub fn set_segment(&self, segment: &gst::FormattedSegment<gst::ClockTime>) {
        let shared = &self.shared;
        if shared.recorder.counters().buffers == 0 {
            *lock(&shared.first_segment) = segment.clone();
        } else if *lock(&shared.segment) != *segment
            && shared.post.load(Relaxed)
            && shared.interval.load(Relaxed) > 0
            && let Some(element) = shared.element.upgrade()
        {
            shared.post_cut(&element);
        }
        *lock(&shared.segment) = segment.clone();
    }

    /// Starts timing the own work on a buffer.
    #[inline]
    pub fn begin(&self) -> Stopwatch {
        Stopwatch(self.shared.post.load(Relaxed).then(|| {
            self.shared.active.store(true, Relaxed);
            self.shared.working.store(true, Relaxed);
            if self.shared.stalled.load(Relaxed) {
                self.shared.stalled.store(false, Relaxed);
            }
            let traced = tracing::enabled!(target: "rustaudio", tracing::Level::TRACE);
            let _span = traced.then(|| self.buffer_span());
            Running {
                _span,
                since: metrics::Stopwatch::start(),
            }
        }))
    }

    #[cold]
    fn buffer_span(&self) -> tracing::span::EnteredSpan {
        let name = lock(&self.shared.name);
        tracing::trace_span!(target: "rustaudio", "buffer", element = name.as_str()).entered()
    }

    /// Counts a buffer and posts the window that it completed.
    #[inline]
    pub fn end(&self, element: &impl IsA<gst::Element>, work: Stopwatch, span: &Span) {
        match work.0 {
            None => self.shared.recorder.count(span),
            Some(_) => self.end_with(element, true, work.elapsed(), span),
        }
    }

    /// As [`end`](Self::end), for work that was not done in one go: `ns` of it, where `timed`.
    #[inline]
    pub fn end_with(&self, element: &impl IsA<gst::Element>, timed: bool, ns: u64, span: &Span) {
        if !timed {
            self.shared.recorder.count(span);
            return;
        }
        self.shared.working.store(false, Relaxed);
        tracing::trace!(
            target: "rustaudio",
            element = object(element.as_ref()),
            pts = span.pts,
            frames = span.frames,
            processing_time = ns,
            "buffer done"
        );
        let (shared, element) = (&*self.shared, element.upcast_ref());
        let interval = shared.interval.load(Relaxed);
        let leave = || shared.leave(element, PACE);
        if let Some(told) = shared.recorder.record(span, ns, interval, leave) {
            shared.post(element, told);
        }
    }

    /// Adds work that has no buffer to show, of a drain or a failure, to the total; percentiles are
    /// of buffers.
    pub fn end_without_buffer(&self, work: Stopwatch) {
        self.add_work_without_buffer(work.elapsed());
    }

    /// As [`end_without_buffer`](Self::end_without_buffer), for work that was not done in one go.
    pub fn add_work_without_buffer(&self, ns: u64) {
        self.shared.working.store(false, Relaxed);
        self.shared.recorder.add_work(ns);
    }

    /// Posts the final message, which covers all since READY, unless nothing happened since the
    /// last one.
    pub fn finish(&self, element: &impl IsA<gst::Element>) {
        let buffers = self.shared.recorder.counters().buffers;
        let before = self.shared.finished_at.swap(buffers, Relaxed);
        if before != buffers && self.shared.post.load(Relaxed) {
            let element = element.upcast_ref();
            self.shared.post_untold(element);
            // The final message covers what nobody was told.
            self.shared.recorder.forget_untold();
            *lock(&self.shared.untold_segment) = None;
            let window = self.shared.recorder.run();
            let report = self.shared.report(element, window, true, None);
            unread::post(element, report.to_structure(MESSAGE_NAME));
        }
    }
}

impl Watched for Shared {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn wait(&self) -> u64 {
        match self.interval.load(Relaxed) {
            0 => DEFAULT_INTERVAL,
            ns => ns.max(SHORTEST_LOOK),
        }
    }

    fn look(&self) -> bool {
        let stalled = !self.active.swap(false, Relaxed)
            && !self.working.load(Relaxed)
            && self.finished_at.load(Relaxed) != self.recorder.counters().buffers
            && self.post.load(Relaxed)
            && self.interval.load(Relaxed) > 0;
        self.stalled.store(stalled, Relaxed);
        stalled
    }

    fn act(&self) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        let leave = || self.leave(&element, Duration::ZERO);
        if let Some(told) = self.recorder.cut(leave) {
            self.post(&element, told);
        }
        // The clock's thread is no place to take an element apart.
        if element.ref_count() == 1 {
            element.call_async(|_| {});
        }
    }
}

/// What is told: a window, where it lies, and the leave to tell it.
type Told = (
    Window,
    (Leave, Option<gst::FormattedSegment<gst::ClockTime>>),
);

impl Shared {
    /// Leave to post a periodic message, where the last one has been read and is `pace` old. Comes
    /// with the segment that the window to be told began in, where that is not the present one.
    fn leave(
        &self,
        element: &gst::Element,
        pace: Duration,
    ) -> Option<(Leave, Option<gst::FormattedSegment<gst::ClockTime>>)> {
        let now = Instant::now();
        let mut posted = lock(&self.posted);
        let due = posted.is_none_or(|last| now.saturating_duration_since(last) >= pace);
        let leave = due.then(|| self.unread.leave(element, 1)).flatten();
        let mut began = lock(&self.untold_segment);
        let Some(leave) = leave else {
            began.get_or_insert_with(|| lock(&self.segment).clone());
            return None;
        };
        // After a stall nothing comes in quick succession.
        if !pace.is_zero() {
            *posted = Some(now);
        }
        Some((leave, began.take()))
    }

    fn post(&self, element: &gst::Element, (window, (leave, segment)): Told) {
        let report = self.report(element, window, false, segment);
        leave.post(element, report.to_structure(MESSAGE_NAME));
    }

    /// Ends the window that runs now, if there is anything in it.
    fn post_cut(&self, element: &gst::Element) {
        if self.recorder.current().times.count > 0
            && let Some(told) = self.recorder.cut(|| self.leave(element, PACE))
        {
            self.post(element, told);
        }
    }

    /// Posts what waits for a message to be read, if it has been, and unless messages were switched
    /// off meanwhile.
    fn post_untold(&self, element: &gst::Element) {
        if self.post.load(Relaxed)
            && let Some(told) = self
                .recorder
                .take_untold(|| self.leave(element, Duration::ZERO))
        {
            self.post(element, told);
        }
    }

    /// What `stats` says: the open window or, once the run is over, what the final message said.
    fn now(&self, element: &gst::Element) -> Report {
        let buffers = self.recorder.counters().buffers;
        let over = buffers > 0 && self.finished_at.load(Relaxed) == buffers;
        let window = if over {
            self.recorder.run()
        } else {
            self.recorder.current()
        };
        self.report(element, window, over, None)
    }

    /// The report of `window`, which began in `segment`, or else in that of the last buffer.
    fn report(
        &self,
        element: &gst::Element,
        window: Window,
        is_final: bool,
        segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    ) -> Report {
        let segment = match segment {
            Some(segment) => segment,
            None if is_final => lock(&self.first_segment).clone(),
            None => lock(&self.segment).clone(),
        };
        let start = window.start.map(gst::ClockTime::from_nseconds);
        Report {
            element: element.name().into(),
            factory: element
                .factory()
                .map(|f| f.name().into())
                .unwrap_or_default(),
            stream_time: segment.to_stream_time(start).map(|t| t.nseconds()),
            running_time: running_time(&segment, start).map(|t| t.nseconds()),
            stalled: self.stalled.load(Relaxed),
            is_final,
            extra: self.extra.get().map(|f| f()).unwrap_or_default(),
            ..Report::of(&self.recorder, window)
        }
    }
}

/// The span of `buffer`, whose audio is `frames` long at `rate` Hz.
pub fn span(buffer: &gst::BufferRef, frames: u64, rate: u32) -> Span {
    Span {
        pts: buffer.pts().map(|t| t.nseconds()),
        duration: super::timeline::frames_to_time(frames, rate).nseconds(),
        frames,
        bytes: buffer.size() as u64,
    }
}

#[cfg(test)]
mod tests;
