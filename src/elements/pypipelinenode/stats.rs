// SPDX-License-Identifier: MIT

//! Figures that only this element has.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::elements::support::unread::Unread;
use crate::metrics::{CallFigures, Histogram, Value};
use crate::resilience::{Breaker, lock};

/// Written by the streaming thread, read by anyone.
#[derive(Debug, Default)]
pub struct Stats {
    gil_wait: AtomicU64,
    waits: Mutex<Histogram>,
    /// Time in each call of `process`, waits for the GIL left out, and the breaker.
    figures: CallFigures,
    /// Failure messages that nobody has read yet, and failures that were not posted for that.
    pub unread: Unread,
    omitted: AtomicU64,
}

impl Stats {
    /// For READY->PAUSED.
    pub fn reset(&self) {
        self.gil_wait.store(0, Relaxed);
        lock(&self.waits).clear();
        self.figures.reset();
        self.omitted.store(0, Relaxed);
    }

    /// A call waited `waited` ns for the GIL and then took `took` ns.
    pub fn called(&self, waited: u64, took: u64) {
        self.gil_wait.fetch_add(waited, Relaxed);
        lock(&self.waits).record(waited);
        self.figures.called(took);
    }

    /// A failure was not posted.
    pub fn omit(&self) {
        self.omitted.fetch_add(1, Relaxed);
    }

    /// Failures not posted since the last call.
    pub fn take_omitted(&self) -> u64 {
        self.omitted.swap(0, Relaxed)
    }

    pub fn set_breaker(&self, breaker: &Breaker) {
        self.figures.set_breaker(breaker);
    }

    /// The fields, for the metrics of the element.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        let p99 = lock(&self.waits).summary().p99;
        let waits = [
            ("gil-wait", Value::U64(self.gil_wait.load(Relaxed))),
            ("gil-wait-p99", Value::U64(p99)),
        ];
        let calls = self.figures.call_fields().into_iter();
        calls
            .chain(waits)
            .chain(self.figures.breaker_fields())
            .chain([("num-omitted", Value::U64(self.omitted.load(Relaxed)))])
            .collect()
    }
}
