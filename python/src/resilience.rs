// SPDX-License-Identifier: MIT

//! Retries and the breaker of `rustaudio-resilience`, for `gstrustaudio.resilience` to call and wait
//! by.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use rustaudio_resilience::{
    BreakerChange, Classifier, Fault, GiveUp, Next, RetryPolicy, SharedBreaker, lock,
};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Breaker>()?;
    module.add_class::<Caller>()?;
    module.add_class::<Work>()
}

/// Previous state, state, failures in a row.
type Change = (&'static str, &'static str, u32);

fn told(change: Option<BreakerChange>) -> Option<Change> {
    change.map(|c| (c.from.as_str(), c.to.as_str(), c.failures))
}

/// A time of Python's, which checked that it is one.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}

/// What a clock of Python's shows, or else now.
fn instant(now: Option<f64>) -> Instant {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    match now {
        None => Instant::now(),
        Some(now) => ORIGIN.checked_add(seconds(now)).unwrap_or(*ORIGIN),
    }
}

/// A circuit breaker that any number of threads go by.
#[pyclass(frozen, module = "gstrustaudio._native")]
struct Breaker(Arc<SharedBreaker>);

#[pymethods]
impl Breaker {
    #[new]
    fn new(threshold: u32, cooldown: f64) -> Self {
        Self(Arc::new(SharedBreaker::new(threshold, seconds(cooldown))))
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.0.state().as_str()
    }

    #[getter]
    fn failures(&self) -> u32 {
        self.0.failures()
    }

    fn retry_after(&self, now: Option<f64>) -> f64 {
        self.0.retry_after(instant(now)).as_secs_f64()
    }

    fn reset(&self) -> Option<Change> {
        told(self.0.reset())
    }
}

/// Calls of one function.
#[pyclass(frozen, module = "gstrustaudio._native")]
struct Caller(Arc<rustaudio_resilience::Caller>);

#[pymethods]
impl Caller {
    /// `waits` are the first, their growth, the longest, and their jitter.
    #[new]
    #[pyo3(signature = (max_retries, waits, deadline, retry_on, breaker, /))]
    fn new(
        max_retries: u32,
        waits: (f64, f64, f64, f64),
        deadline: Option<f64>,
        retry_on: &str,
        breaker: Option<&Bound<'_, Breaker>>,
    ) -> Self {
        let (initial_backoff, multiplier, max_backoff, jitter) = waits;
        let policy = RetryPolicy {
            max_retries,
            initial_backoff: seconds(initial_backoff),
            multiplier,
            max_backoff: seconds(max_backoff),
            jitter,
            deadline: deadline.map(seconds),
        };
        let breaker = breaker.map(|breaker| breaker.get().0.clone());
        let caller = rustaudio_resilience::Caller::new(policy, Classifier::new(retry_on), breaker);
        Self(Arc::new(caller))
    }

    /// Starts a piece of work; `None` where the breaker skips it.
    fn begin(&self, now: Option<f64>) -> (Option<Work>, Option<Change>) {
        let (work, change) = self.0.begin(instant(now));
        let work = work.map(|work| Work(Mutex::new(Some(work))));
        (work, told(change))
    }

    #[pyo3(signature = (types, message, retryable, status, /))]
    fn is_transient(
        &self,
        types: Vec<String>,
        message: String,
        retryable: Option<bool>,
        status: Option<i64>,
    ) -> bool {
        self.0.is_transient(&Fault {
            types,
            message,
            retryable,
            status,
        })
    }

    #[getter]
    fn last_error(&self) -> String {
        self.0.last_error()
    }

    /// The fields of the elements' metrics as one JSON object.
    fn metrics(&self, element: &str, factory: &str) -> String {
        self.0.report(element, factory).to_json()
    }
}

/// A piece of work with the attempts at it; `None` once it is over.
#[pyclass(frozen, module = "gstrustaudio._native")]
struct Work(Mutex<Option<rustaudio_resilience::Work>>);

/// Attempt, limit, seconds since the first one started, wait before the next in seconds, or why there
/// is none, and what it did to the breaker.
type Failed = (
    u32,
    u32,
    f64,
    Option<f64>,
    Option<&'static str>,
    Option<Change>,
);

#[pymethods]
impl Work {
    #[getter]
    fn number(&self) -> u32 {
        lock(&self.0).as_ref().map_or(0, |work| work.number())
    }

    /// The next attempt starts.
    fn again(&self) {
        if let Some(work) = &mut *lock(&self.0) {
            work.again();
        }
    }

    fn succeeded(&self) -> Option<Change> {
        let work = lock(&self.0).take()?;
        told(work.succeeded())
    }

    #[pyo3(signature = (text, transient, now, /))]
    fn failed(&self, text: &str, transient: bool, now: Option<f64>) -> Failed {
        let mut guard = lock(&self.0);
        let Some(work) = &mut *guard else {
            return (0, 0, 0.0, None, None, None);
        };
        let failed = work.failed(text, transient, instant(now));
        let (wait, reason) = match failed.next {
            Next::Retry(wait) => (Some(wait.as_secs_f64()), None),
            Next::GiveUp(GiveUp::Permanent) => (None, Some("permanent")),
            Next::GiveUp(GiveUp::Exhausted) => (None, Some("exhausted")),
            Next::GiveUp(GiveUp::Deadline) => (None, Some("deadline")),
        };
        let elapsed = failed.elapsed.as_secs_f64();
        let change = told(failed.change);
        (failed.attempt, failed.limit, elapsed, wait, reason, change)
    }

    /// Breaks it off, unless it is over: it says nothing about the function.
    fn abandon(&self) {
        drop(lock(&self.0).take());
    }
}
