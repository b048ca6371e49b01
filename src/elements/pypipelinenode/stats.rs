//! Figures that only this element has.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::metrics::{Histogram, Value};
use crate::resilience::{Breaker, BreakerState};

/// Written by the streaming thread, read by anyone.
#[derive(Debug, Default)]
pub struct Stats {
    gil_wait: AtomicU64,
    waits: Mutex<Histogram>,
    breaker: AtomicU8,
    failures: AtomicU32,
}

impl Stats {
    /// For READY->PAUSED.
    pub fn reset(&self) {
        self.gil_wait.store(0, Relaxed);
        self.waits.lock().unwrap_or_else(|e| e.into_inner()).clear();
        self.breaker.store(BreakerState::Closed as u8, Relaxed);
        self.failures.store(0, Relaxed);
    }

    /// A call waited `ns` for the GIL.
    pub fn waited(&self, ns: u64) {
        self.gil_wait.fetch_add(ns, Relaxed);
        self.waits
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .record(ns);
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
        let waits = self.waits.lock().unwrap_or_else(|e| e.into_inner());
        let p99 = waits.summary().p99;
        vec![
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
