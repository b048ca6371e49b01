//! Figures that only this element has.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::elements::support::unread::Unread;
use crate::metrics::{Histogram, Value};
use crate::resilience::{Breaker, BreakerState};
use crate::sync::lock;

/// Written by the streaming thread, read by anyone.
#[derive(Debug, Default)]
pub struct Stats {
    gil_wait: AtomicU64,
    waits: Mutex<Histogram>,
    /// Time in each call of `process`, waits for the GIL left out.
    calls: Mutex<Histogram>,
    breaker: AtomicU8,
    failures: AtomicU32,
    /// Failure messages that nobody has read yet, and failures that were not posted for that.
    pub unread: Unread,
    omitted: AtomicU64,
}

impl Stats {
    /// For READY->PAUSED.
    pub fn reset(&self) {
        self.gil_wait.store(0, Relaxed);
        lock(&self.waits).clear();
        lock(&self.calls).clear();
        self.omitted.store(0, Relaxed);
        self.breaker.store(BreakerState::Closed as u8, Relaxed);
        self.failures.store(0, Relaxed);
    }

    /// A call waited `waited` ns for the GIL and then took `took` ns.
    pub fn called(&self, waited: u64, took: u64) {
        self.gil_wait.fetch_add(waited, Relaxed);
        lock(&self.waits).record(waited);
        lock(&self.calls).record(took);
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
        self.breaker.store(breaker.state() as u8, Relaxed);
        self.failures.store(breaker.failures(), Relaxed);
    }

    /// The fields, for the metrics of the element.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        let code = self.breaker.load(Relaxed);
        let state = [
            BreakerState::Closed,
            BreakerState::Open,
            BreakerState::HalfOpen,
        ]
        .into_iter()
        .find(|s| *s as u8 == code)
        .unwrap_or_default();
        let p99 = lock(&self.waits).summary().p99;
        let calls = lock(&self.calls).summary();
        vec![
            ("num-calls", Value::U64(calls.count)),
            ("call-time-p50", Value::U64(calls.p50)),
            ("call-time-p95", Value::U64(calls.p95)),
            ("call-time-p99", Value::U64(calls.p99)),
            ("call-time-max", Value::U64(calls.max)),
            ("gil-wait", Value::U64(self.gil_wait.load(Relaxed))),
            ("gil-wait-p99", Value::U64(p99)),
            ("breaker-state", Value::Str(state.as_str().into())),
            (
                "consecutive-failures",
                Value::U64(self.failures.load(Relaxed).into()),
            ),
        ]
    }
}
