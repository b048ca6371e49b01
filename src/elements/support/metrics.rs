//! The metrics of an element: its four shared properties and its bus messages.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use gst::glib;
use gst::prelude::*;

use crate::metrics::{
    self, Closed, MESSAGE_NAME, Outbox, Recorder, Report, Span, Value, process_peak_rss,
};
use crate::sync::lock;

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
    watch: Mutex<Watch>,
    /// Reports that were not posted yet, and whether there are any.
    outbox: Mutex<Outbox>,
    held: AtomicBool,
    /// Whose metrics these are, from READY->PAUSED on.
    element: glib::WeakRef<gst::Element>,
    /// Where the run began: the segment of the first buffer.
    first_segment: Mutex<gst::FormattedSegment<gst::ClockTime>>,
    /// Where the windows lie: the segment of the last buffer.
    segment: Mutex<gst::FormattedSegment<gst::ClockTime>>,
    extra: OnceLock<Extra>,
}

/// The wait for the next look at whether data still comes.
#[derive(Default)]
struct Watch {
    /// Raised by every start and end, so that a look that was under way then does nothing more.
    generation: u64,
    id: Option<gst::SingleShotClockId>,
}

/// Between two looks of the stall watch, at least; shorter intervals are no reason to wake up.
const SHORTEST_LOOK: u64 = 100_000_000;
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
            watch: Mutex::default(),
            outbox: Mutex::default(),
            held: AtomicBool::new(false),
            element: glib::WeakRef::new(),
            first_segment: Mutex::new(gst::FormattedSegment::new()),
            stalled: AtomicBool::new(false),
            segment: Mutex::new(gst::FormattedSegment::new()),
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
        lock(&self.shared.outbox).take();
        self.shared.held.store(false, Relaxed);
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
                self.shared.send_held(element.upcast_ref(), Outbox::take);
            }
            _ => {}
        }
    }

    /// Watches for stalls from now on: where no buffer comes for a whole `metrics-interval` of clock
    /// time (100 ms at least) and none is being worked on, a message says `stalled`, every
    /// interval. The wait is the system clock's own, so it takes no thread.
    fn play(&self) {
        let mut watch = lock(&self.shared.watch);
        watch.generation += 1;
        self.shared.active.store(true, Relaxed);
        Shared::arm(&self.shared, &mut watch);
    }

    /// Ends the watch for stalls.
    fn pause(&self) {
        let mut watch = lock(&self.shared.watch);
        watch.generation += 1;
        let id = watch.id.take();
        drop(watch);
        if let Some(id) = id {
            id.unschedule();
        }
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
            let window = shared.recorder.cut();
            if window.times.count > 0 {
                shared.post(&element, window, false);
            }
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
            element = %element.as_ref().name(),
            pts = span.pts,
            frames = span.frames,
            processing_time = ns,
            "buffer done"
        );
        let closed = self
            .shared
            .recorder
            .record(span, ns, self.shared.interval.load(Relaxed));
        if let Some(closed) = closed {
            self.shared.post(element.upcast_ref(), closed, false);
        } else if self.shared.held.load(Relaxed) {
            let now = Instant::now();
            self.shared
                .send_held(element.upcast_ref(), |outbox| outbox.due(now));
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
            self.shared
                .post(element.upcast_ref(), self.shared.recorder.run(), true);
        }
    }
}

impl Shared {
    /// Waits for the next look. Each wait starts from now, so that a clock thread that was held up
    /// has no backlog to go through.
    fn arm(this: &Arc<Self>, watch: &mut Watch) {
        let interval = match this.interval.load(Relaxed) {
            0 => DEFAULT_INTERVAL,
            ns => ns.clamp(SHORTEST_LOOK, u64::MAX / 4),
        };
        let clock = gst::SystemClock::obtain();
        let id = clock.new_single_shot_id(clock.time() + gst::ClockTime::from_nseconds(interval));
        let (shared, generation) = (Arc::downgrade(this), watch.generation);
        let waiting = id.wait_async(move |_, _, _| {
            if let Some(shared) = shared.upgrade() {
                Self::look(&shared, generation);
            }
        });
        watch.id = waiting.is_ok().then_some(id);
    }

    /// One look of the stall watch.
    fn look(this: &Arc<Self>, generation: u64) {
        let Some(element) = this.element.upgrade() else {
            return;
        };
        let mut watch = lock(&this.watch);
        if watch.generation != generation {
            return;
        }
        let stalled = !this.active.swap(false, Relaxed)
            && !this.working.load(Relaxed)
            && this.finished_at.load(Relaxed) != this.recorder.counters().buffers
            && this.post.load(Relaxed)
            && this.interval.load(Relaxed) > 0;
        this.stalled.store(stalled, Relaxed);
        Self::arm(this, &mut watch);
        drop(watch);
        if stalled {
            this.post(&element, this.recorder.cut(), false);
        }
        // The clock's thread is no place to take an element apart.
        if element.ref_count() == 1 {
            element.call_async(|_| {});
        }
    }

    fn post(&self, element: &gst::Element, window: Closed, is_final: bool) {
        let report = self.report(element, window, is_final);
        self.send_held(element, |outbox| outbox.push(report, Instant::now()));
    }

    /// Posts what `due` takes out, unless messages were switched off meanwhile.
    fn send_held(&self, element: &gst::Element, due: impl FnOnce(&mut Outbox) -> Vec<Report>) {
        let mut outbox = lock(&self.outbox);
        let reports = due(&mut outbox);
        self.held.store(!outbox.is_empty(), Relaxed);
        drop(outbox);
        if self.post.load(Relaxed) {
            send(element, reports);
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
        self.report(element, window, over)
    }

    fn report(&self, element: &gst::Element, window: Closed, is_final: bool) -> Report {
        let segment = if is_final {
            lock(&self.first_segment).clone()
        } else {
            lock(&self.segment).clone()
        };
        let start = window.start.map(gst::ClockTime::from_nseconds);
        Report {
            element: element.name().into(),
            factory: element
                .factory()
                .map(|f| f.name().into())
                .unwrap_or_default(),
            timestamp: window.start,
            stream_time: segment.to_stream_time(start).map(|t| t.nseconds()),
            running_time: segment.to_running_time(start).map(|t| t.nseconds()),
            window,
            counters: self.recorder.counters(),
            processing_time: self.recorder.processing(),
            latency: self.recorder.latency(),
            memory: self.recorder.memory(),
            process_peak_rss: process_peak_rss(),
            status: self.recorder.status(),
            last_error: self.recorder.last_error(),
            stalled: self.stalled.load(Relaxed),
            is_final,
            extra: self.extra.get().map(|f| f()).unwrap_or_default(),
        }
    }
}

/// Posts `reports`, with no lock held: whoever hears of them may ask or stop the element.
fn send(element: &gst::Element, reports: Vec<Report>) {
    for report in reports {
        let structure = report.to_structure(MESSAGE_NAME);
        // Without a bus nobody listens, which is no error.
        let _ = element.post_message(
            gst::message::Element::builder(structure)
                .src(element)
                .build(),
        );
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
mod tests {
    use super::*;

    /// An element, its metrics, and the bus that they are posted on.
    fn heard() -> (gst::Element, gst::Bus, ElementMetrics) {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("identity").build().unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        (element, bus, ElementMetrics::default())
    }

    #[test]
    fn processing_time_is_what_the_work_took() {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("identity").build().unwrap();
        let metrics = ElementMetrics::default();
        metrics.start();
        let mut known = 0;
        for n in 0..50 {
            let work = metrics.begin();
            let start = Instant::now();
            while start.elapsed().as_micros() < 200 {
                std::hint::spin_loop();
            }
            known += start.elapsed().as_nanos() as u64;
            let span = Span {
                pts: Some(n * 10_000_000),
                duration: 10_000_000,
                frames: 480,
                bytes: 1920,
            };
            metrics.end(&element, work, &span);
            // Downstream's time is not the element's.
            std::thread::yield_now();
        }
        let measured = metrics.processing();
        assert!(measured >= known, "{measured} {known}");
        assert!(measured as f64 <= known as f64 * 1.05, "{measured} {known}");
        let stats = metrics.current();
        assert_eq!((stats.duration, stats.times.count), (500_000_000, 50));
        assert_eq!(stats.times.sum, measured);
    }

    #[test]
    fn switched_off_only_counts() {
        let (element, bus, metrics) = heard();
        let properties = ElementMetrics::properties("identity");
        assert!(metrics.set_property(&false.to_value(), &properties[0]));
        metrics.start();
        let work = metrics.begin();
        assert_eq!(work.elapsed(), 0);
        let span = Span {
            pts: None,
            duration: 2_000_000_000,
            frames: 7,
            bytes: 14,
        };
        metrics.end(&element, work, &span);
        metrics.finish(&element);
        assert!(bus.pop().is_none());
        assert_eq!((metrics.counters().samples, metrics.processing()), (7, 0));
    }

    #[test]
    fn windows_in_quick_succession_all_come_in_order() {
        let (element, bus, metrics) = heard();
        let properties = ElementMetrics::properties("identity");
        assert!(metrics.set_property(&10_000_000u64.to_value(), &properties[1]));
        metrics.start();
        for n in 0..40 {
            let span = Span {
                pts: Some(n * 10_000_000),
                duration: 10_000_000,
                ..Span::default()
            };
            metrics.end(&element, metrics.begin(), &span);
        }
        metrics.finish(&element);
        let buffers: Vec<u64> = std::iter::from_fn(|| bus.pop())
            .map(|message| message.structure().unwrap().get("num-buffers").unwrap())
            .collect();
        assert_eq!(buffers, (1..=40).chain([40]).collect::<Vec<_>>());
    }

    #[test]
    fn the_final_message_comes_once_for_what_happened() {
        let (element, bus, metrics) = heard();
        let finals = || std::iter::from_fn(|| bus.pop()).count();
        metrics.finish(&element);
        assert_eq!(finals(), 0, "it never started");
        metrics.start();
        metrics.finish(&element);
        assert_eq!(finals(), 1, "EOS without a buffer");
        metrics.finish(&element);
        assert_eq!(finals(), 0, "stopped after that");
        metrics.end(&element, metrics.begin(), &Span::default());
        metrics.finish(&element);
        assert_eq!(finals(), 1, "played on after a seek");
    }
}
