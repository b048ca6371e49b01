// SPDX-License-Identifier: MIT

//! What the implementation of an element calls: around its work, and as its stream and state change.

use std::sync::{Arc, Mutex};

use gst::glib;
use gst::prelude::*;

use super::publisher::{PACE, Publisher};
use super::segments::Segment;
use crate::elements::support::timeline::frames_to_time;
use crate::elements::support::watch::Watch;
use crate::logging::object;
use crate::metrics::{self, Recorder, ReportExt, Span, Value};
use crate::resilience::lock;

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
    pub(super) publisher: Arc<Publisher>,
    /// Name of the element, for the log.
    name: Mutex<String>,
}

impl std::ops::Deref for ElementMetrics {
    type Target = Recorder;

    /// Counters, status, latency and memory are set on the recorder itself.
    fn deref(&self) -> &Recorder {
        &self.publisher.recorder
    }
}

impl Drop for ElementMetrics {
    fn drop(&mut self) {
        self.publisher.stall.end_watch();
    }
}

impl ElementMetrics {
    /// Adds `extra` to every report; at construction.
    pub fn set_extra(
        &self,
        extra: impl Fn() -> Vec<(&'static str, Value)> + Send + Sync + 'static,
    ) {
        let _ = self.publisher.extra.set(Box::new(extra));
    }

    /// Sets a shared property; false if `pspec` is none of them.
    pub fn set_property(&self, value: &glib::Value, pspec: &glib::ParamSpec) -> bool {
        self.publisher.switches.set(pspec.name(), value)
    }

    /// Value of a shared property; `None` if `pspec` is none of them.
    pub fn property(
        &self,
        element: &impl IsA<gst::Element>,
        pspec: &glib::ParamSpec,
    ) -> Option<glib::Value> {
        let now = || self.publisher.now(element.upcast_ref());
        match pspec.name() {
            "stats" => {
                let report = now();
                let name = format!("application/x-{}-stats", report.factory);
                Some(report.to_structure(&name).to_value())
            }
            "stats-json" => Some(now().to_json().to_value()),
            name => self.publisher.switches.get(name),
        }
    }

    /// Zeroes everything and takes up changed log levels; at READY->PAUSED.
    pub fn start(&self) {
        crate::logging::refresh();
        self.publisher.start();
        self.set_segment(&Segment::new());
    }

    /// Starts and ends the watch for stalls as the element's state changes; at the start of
    /// `ElementImpl::change_state`. It runs in PLAYING: where no buffer comes for a whole
    /// `metrics-interval` of clock time (100 ms at least) and none is being worked on, a message says
    /// `stalled`, every interval.
    pub fn transition(&self, element: &impl IsA<gst::Element>, transition: gst::StateChange) {
        let publisher = &self.publisher;
        match transition {
            gst::StateChange::ReadyToPaused => {
                publisher.element.set(Some(element.as_ref()));
                *lock(&self.name) = element.as_ref().name().into();
            }
            gst::StateChange::PausedToPlaying => {
                publisher.stall.begin_watch();
                Watch::start(publisher);
            }
            // The second one where going to PLAYING failed.
            gst::StateChange::PlayingToPaused | gst::StateChange::PausedToReady => {
                publisher.stall.end_watch();
                publisher.post_untold(element.upcast_ref());
            }
            _ => {}
        }
    }

    /// Segment that timestamps of the following spans are in; at each SEGMENT event. A window of
    /// another segment ends here. No lock of the element may be held: that window is posted.
    pub fn set_segment(&self, segment: &Segment) {
        let publisher = &self.publisher;
        if publisher.recorder.counters().buffers == 0 {
            publisher.segments.begin(segment);
        } else if !publisher.segments.is(segment)
            && publisher.switches.post_windows()
            && let Some(element) = publisher.element.upgrade()
        {
            publisher.post_cut(&element);
        }
        publisher.segments.go_on(segment);
    }

    /// Starts timing the own work on a buffer.
    #[inline]
    pub fn begin(&self) -> Stopwatch {
        Stopwatch(self.publisher.switches.post().then(|| {
            self.publisher.stall.begin_work();
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
        let name = lock(&self.name);
        tracing::trace_span!(target: "rustaudio", "buffer", element = name.as_str()).entered()
    }

    /// Counts a buffer and posts the window that it completed.
    #[inline]
    pub fn end(&self, element: &impl IsA<gst::Element>, work: Stopwatch, span: &Span) {
        match work.0 {
            None => self.publisher.recorder.count(span),
            Some(_) => self.end_with(element, true, work.elapsed(), span),
        }
    }

    /// As [`end`](Self::end), for work that was not done in one go: `ns` of it, where `timed`.
    #[inline]
    pub fn end_with(&self, element: &impl IsA<gst::Element>, timed: bool, ns: u64, span: &Span) {
        let publisher = &*self.publisher;
        if !timed {
            publisher.recorder.count(span);
            return;
        }
        publisher.stall.end_work();
        let element = element.upcast_ref();
        if tracing::enabled!(target: "rustaudio", tracing::Level::TRACE) {
            log_done(element, ns, span);
        }
        let leave = || publisher.leave(element, PACE);
        let interval = publisher.switches.interval();
        if let Some((window, permit)) = publisher.recorder.record(span, ns, interval, leave) {
            publisher.post(element, window, permit);
        }
    }

    /// Counts a buffer of which nothing is worked on as dropped; for the watch it is data that came.
    pub fn drop_unread(&self) {
        self.publisher.stall.come();
        self.add_dropped(1);
    }

    /// Adds work that has no buffer to show, of a drain or a failure, to the total; percentiles are
    /// of buffers.
    pub fn end_without_buffer(&self, work: Stopwatch) {
        self.add_work_without_buffer(work.elapsed());
    }

    /// As [`end_without_buffer`](Self::end_without_buffer), for work that was not done in one go.
    pub fn add_work_without_buffer(&self, ns: u64) {
        self.publisher.stall.end_work();
        self.publisher.recorder.add_work(ns);
    }

    /// Posts the final message, which covers all since READY, unless nothing happened since the
    /// last one.
    pub fn finish(&self, element: &impl IsA<gst::Element>) {
        self.publisher.post_final(element.upcast_ref());
    }
}

#[cold]
fn log_done(element: &gst::Element, ns: u64, span: &Span) {
    tracing::trace!(
        target: "rustaudio",
        element = object(element),
        pts = span.pts,
        frames = span.frames,
        processing_time = ns,
        "buffer done"
    );
}

/// The span of `buffer`, whose audio is `frames` long at `rate` Hz.
pub fn span(buffer: &gst::BufferRef, frames: u64, rate: u32) -> Span {
    Span {
        pts: buffer.pts().map(|t| t.nseconds()),
        duration: frames_to_time(frames, rate).nseconds(),
        frames,
        bytes: buffer.size() as u64,
    }
}
