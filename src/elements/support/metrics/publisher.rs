// SPDX-License-Identifier: MIT

//! From what is recorded to messages on the bus.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

use super::segments::{Segment, Segments};
use super::settings::{DEFAULT_INTERVAL, Switches};
use super::stall::Stall;
use crate::elements::support::timeline::running_time;
use crate::elements::support::unread::{self, Leave, PATH, Unread};
use crate::elements::support::watch::{Watch, Watched};
use crate::metrics::{MESSAGE_NAME, Recorder, Report, ReportExt, Value, Window, path_of};
use crate::resilience::lock;

/// Fields that one kind of element adds to the schema.
pub type Extra = Box<dyn Fn() -> Vec<(&'static str, Value)> + Send + Sync>;

/// Between two looks of the stall watch, at least; shorter intervals are no reason to wake up.
const SHORTEST_LOOK: u64 = 100_000_000;
/// Between two periodic messages, at least. A pipeline that reads a file a thousand times as fast as
/// it plays completes a window each millisecond, and to be woken costs an application ten times what
/// a message does.
pub const PACE: Duration = Duration::from_millis(20);
const NEVER: u64 = u64::MAX;

/// What an element records, and when it is told; the clock's thread sees it too.
#[derive(Default)]
pub struct Publisher {
    pub recorder: Recorder,
    pub switches: Switches,
    pub stall: Stall,
    pub segments: Segments,
    /// Whose metrics these are, from READY->PAUSED on.
    pub element: glib::WeakRef<gst::Element>,
    pub extra: OnceLock<Extra>,
    /// Buffers counted when the last final message was posted; `NEVER` before it.
    finished_at: AtomicU64,
    /// Periodic messages that nobody has read yet: one at most.
    unread: Unread,
    /// When the last one was posted.
    pub(super) posted: Mutex<Option<Instant>>,
}

/// Leave to tell a window, and the segment that it began in where that is not the present one.
pub type Permit = (Leave, Option<Segment>);

impl Publisher {
    /// Zeroes everything.
    pub fn start(&self) {
        self.recorder.reset();
        *lock(&self.posted) = None;
        self.segments.take_untold();
        self.finished_at.store(NEVER, Relaxed);
        self.stall.clear();
    }

    /// Leave to post a periodic message, where the last one has been read and is `pace` old.
    pub fn leave(&self, element: &gst::Element, pace: Duration) -> Option<Permit> {
        let now = Instant::now();
        let mut posted = lock(&self.posted);
        let due = posted.is_none_or(|last| now.saturating_duration_since(last) >= pace);
        let Some(leave) = due.then(|| self.unread.leave(element, 1)).flatten() else {
            self.segments.keep_untold();
            return None;
        };
        // After a stall nothing comes in quick succession.
        if !pace.is_zero() {
            *posted = Some(now);
        }
        Some((leave, self.segments.take_untold()))
    }

    #[cold]
    pub fn post(&self, element: &gst::Element, window: Window, (leave, segment): Permit) {
        let report = self.report(element, window, false, segment);
        leave.post(element, report.to_structure(MESSAGE_NAME));
    }

    /// Ends the window that runs now, if there is anything in it.
    pub fn post_cut(&self, element: &gst::Element) {
        if self.recorder.current().times.count > 0
            && let Some((window, permit)) = self.recorder.cut(|| self.leave(element, PACE))
        {
            self.post(element, window, permit);
        }
    }

    /// Posts what waits for a message to be read, if it has been, and unless messages were switched
    /// off meanwhile.
    pub fn post_untold(&self, element: &gst::Element) {
        let leave = || self.leave(element, Duration::ZERO);
        if self.switches.post()
            && let Some((window, permit)) = self.recorder.take_untold(leave)
        {
            self.post(element, window, permit);
        }
    }

    /// Posts the final message, which covers all since READY, unless nothing happened since the last
    /// one.
    pub fn post_final(&self, element: &gst::Element) {
        let buffers = self.recorder.counters().buffers;
        let before = self.finished_at.swap(buffers, Relaxed);
        if before == buffers || !self.switches.post() {
            return;
        }
        self.post_untold(element);
        // The final message covers what nobody was told.
        self.recorder.forget_untold();
        self.segments.take_untold();
        let report = self.report(element, self.recorder.run(), true, None);
        unread::post(element, report.to_structure(MESSAGE_NAME));
    }

    /// What `stats` says: the open window or, once the run is over, what the final message said.
    pub fn now(&self, element: &gst::Element) -> Report {
        let over = self.recorder.counters().buffers > 0 && self.is_over();
        let window = if over {
            self.recorder.run()
        } else {
            self.recorder.current()
        };
        self.report(element, window, over, None)
    }

    /// No buffer came since the last final message.
    fn is_over(&self) -> bool {
        self.finished_at.load(Relaxed) == self.recorder.counters().buffers
    }

    /// The report of `window`, which began in `segment`, or else in that of the last buffer.
    fn report(
        &self,
        element: &gst::Element,
        window: Window,
        is_final: bool,
        segment: Option<Segment>,
    ) -> Report {
        let segment = segment.unwrap_or_else(|| self.segments.of(is_final));
        let start = window.start.map(gst::ClockTime::from_nseconds);
        let path = (PATH, Value::Str(path_of(element)));
        let of_its_kind = self.extra.get().map(|f| f()).unwrap_or_default();
        Report {
            element: element.name().into(),
            factory: element
                .factory()
                .map(|f| f.name().into())
                .unwrap_or_default(),
            stream_time: segment.to_stream_time(start).map(|t| t.nseconds()),
            running_time: running_time(&segment, start).map(|t| t.nseconds()),
            stalled: self.stall.is_stalled(),
            is_final,
            extra: std::iter::once(path).chain(of_its_kind).collect(),
            ..Report::of(&self.recorder, window)
        }
    }
}

impl Watched for Publisher {
    fn watch(&self) -> &Watch {
        &self.stall.watch
    }

    fn wait(&self) -> u64 {
        match self.switches.interval() {
            0 => DEFAULT_INTERVAL,
            ns => ns.max(SHORTEST_LOOK),
        }
    }

    fn look(&self) -> bool {
        let matters = || !self.is_over() && self.switches.post_windows();
        self.stall.look(matters)
    }

    fn act(&self) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        let leave = || self.leave(&element, Duration::ZERO);
        if let Some((window, permit)) = self.recorder.cut(leave) {
            self.post(&element, window, permit);
        }
        // The clock's thread is no place to take an element apart.
        if element.ref_count() == 1 {
            element.call_async(|_| {});
        }
    }
}
