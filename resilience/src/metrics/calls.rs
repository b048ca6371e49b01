// SPDX-License-Identifier: MIT

//! Figures of what is called by name: a Python node, a function.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use super::{Histogram, Value};
use crate::{Breaker, BreakerState, lock};

/// How many calls there were, what each took, and how the breaker before them stands: the fields of a
/// report that only such elements have.
#[derive(Debug, Default)]
pub struct CallFigures {
    times: Mutex<Histogram>,
    breaker: AtomicU8,
    failures: AtomicU32,
}

impl CallFigures {
    /// Zeroes everything.
    pub fn reset(&self) {
        lock(&self.times).clear();
        self.breaker.store(BreakerState::Closed as u8, Relaxed);
        self.failures.store(0, Relaxed);
    }

    /// A call took `ns`; each attempt is one.
    pub fn called(&self, ns: u64) {
        lock(&self.times).record(ns);
    }

    /// Takes over the state of `breaker`.
    pub fn set_breaker(&self, breaker: &Breaker) {
        self.breaker.store(breaker.state() as u8, Relaxed);
        self.failures.store(breaker.failures(), Relaxed);
    }

    /// `num-calls` and `call-time-*`.
    pub fn call_fields(&self) -> [(&'static str, Value); 5] {
        let calls = lock(&self.times).summary();
        [
            ("num-calls", Value::U64(calls.count)),
            ("call-time-p50", Value::U64(calls.p50)),
            ("call-time-p95", Value::U64(calls.p95)),
            ("call-time-p99", Value::U64(calls.p99)),
            ("call-time-max", Value::U64(calls.max)),
        ]
    }

    /// `breaker-state` and `consecutive-failures`.
    pub fn breaker_fields(&self) -> [(&'static str, Value); 2] {
        let code = self.breaker.load(Relaxed);
        let state = BreakerState::ALL
            .into_iter()
            .find(|s| *s as u8 == code)
            .unwrap_or_default();
        [
            ("breaker-state", Value::Str(state.as_str().into())),
            (
                "consecutive-failures",
                Value::U64(self.failures.load(Relaxed).into()),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn calls_and_the_breaker_are_told_and_forgotten() {
        let figures = CallFigures::default();
        let mut breaker = Breaker::new(2, Duration::from_secs(1));
        breaker.failed(Instant::now());
        breaker.failed(Instant::now());
        figures.called(5);
        figures.called(7);
        figures.set_breaker(&breaker);
        let told = figures.call_fields().map(|(_, v)| v);
        assert_eq!(told, [2, 5, 7, 7, 7].map(Value::U64));
        let told = figures.breaker_fields().map(|(_, v)| v);
        assert_eq!(told, [Value::Str("open".into()), Value::U64(2)]);
        figures.reset();
        assert_eq!(
            figures.call_fields().map(|(_, v)| v),
            [0; 5].map(Value::U64)
        );
        let told = figures.breaker_fields().map(|(_, v)| v);
        assert_eq!(told, [Value::Str("closed".into()), Value::U64(0)]);
    }
}
