// SPDX-License-Identifier: MIT

//! Calls of one function: retries, breaker and figures together.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::classify::{Classifier, Fault};
use crate::metrics::{CallFigures, Recorder, Report, Span, Status, Stopwatch};
use crate::retry::{Attempts, Next, RetryPolicy};
use crate::shared::{BreakerChange, Permit, SharedBreaker};
use crate::sync::lock;

/// Whoever calls a function that may fail; any number of threads at the same time. It neither calls
/// nor waits itself.
///
/// ```
/// use std::sync::Arc;
/// use std::time::{Duration, Instant};
/// use rustaudio_resilience::{Caller, Classifier, Fault, Next, RetryPolicy, SharedBreaker};
///
/// let breaker = Arc::new(SharedBreaker::new(5, Duration::from_secs(30)));
/// let caller = Arc::new(Caller::new(RetryPolicy::default(), Classifier::default(), Some(breaker)));
/// let (work, _) = caller.begin(Instant::now());
/// let mut work = work.expect("the breaker is closed");
/// // … the call …
/// let fault = Fault { types: vec!["TimeoutError".into()], ..Fault::default() };
/// let failed = work.failed("TimeoutError: no answer", caller.is_transient(&fault), Instant::now());
/// assert_eq!(failed.next, Next::Retry(Duration::from_millis(100)));
/// // … the wait …
/// work.again();
/// // … the call …
/// work.succeeded();
///
/// let report = caller.report("ask", "my-kind");
/// assert_eq!((report.counters.buffers, report.counters.retries), (1, 1));
/// ```
#[derive(Debug)]
pub struct Caller {
    policy: RetryPolicy,
    classifier: Classifier,
    breaker: Option<Arc<SharedBreaker>>,
    recorder: Recorder,
    figures: CallFigures,
    /// Held by whoever writes to the recorder, which takes one writer at a time.
    writing: Mutex<()>,
}

/// What comes of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its number, from 1.
    pub attempt: u32,
    /// Most attempts that there can be.
    pub limit: u32,
    /// Since the first one started.
    pub elapsed: Duration,
    /// Try again, or not.
    pub next: Next,
    /// What it did to the breaker.
    pub change: Option<BreakerChange>,
}

impl Caller {
    /// Tries by `policy` what `classifier` takes for transient, unless `breaker` is open.
    pub fn new(
        policy: RetryPolicy,
        classifier: Classifier,
        breaker: Option<Arc<SharedBreaker>>,
    ) -> Self {
        Self {
            policy,
            classifier,
            breaker,
            recorder: Recorder::default(),
            figures: CallFigures::default(),
            writing: Mutex::default(),
        }
    }

    /// Whether another attempt may succeed.
    pub fn is_transient(&self, fault: &Fault) -> bool {
        self.classifier.is_transient(fault)
    }

    /// Starts the first attempt at a piece of work at `now`; `None` where the breaker skips it.
    pub fn begin(self: &Arc<Self>, now: Instant) -> (Option<Work>, Option<BreakerChange>) {
        let (permit, change) = match &self.breaker {
            None => (None, None),
            Some(breaker) => match breaker.admit(now) {
                (Some(permit), change) => (Some(permit), change),
                (None, change) => {
                    self.skip();
                    return (None, change);
                }
            },
        };
        let mut policy = self.policy;
        if permit.as_ref().is_some_and(Permit::is_probe) {
            policy.max_retries = 0;
        }
        let work = Work {
            caller: self.clone(),
            permit,
            attempts: Attempts::begin(policy, now),
            attempt: Some(Stopwatch::start()),
            busy: 0,
        };
        (Some(work), change)
    }

    fn skip(&self) {
        let _writing = lock(&self.writing);
        self.recorder.add_skipped(1);
        self.recorder.set_status(Status::Skipping);
        self.recorder.record(&Span::default(), 0, 0, || None::<()>);
    }

    /// Text of the last failure; empty if there was none.
    pub fn last_error(&self) -> String {
        self.recorder.last_error()
    }

    /// Zeroes the figures.
    pub fn reset(&self) {
        let _writing = lock(&self.writing);
        self.recorder.reset();
        self.figures.reset();
    }

    /// What there is to say of all calls, by the name of the function and of what kind it is. A piece
    /// of work, with all its attempts, counts as a buffer; waits are no work.
    pub fn report(&self, element: &str, factory: &str) -> Report {
        if let Some(breaker) = &self.breaker {
            self.figures.set_breaker(&breaker.snapshot());
        }
        let mut extra = self.figures.call_fields().to_vec();
        if self.breaker.is_some() {
            extra.extend(self.figures.breaker_fields());
        }
        Report {
            element: element.into(),
            factory: factory.into(),
            extra,
            ..Report::of(&self.recorder, self.recorder.run())
        }
    }
}

/// A piece of work with the attempts at it. One that is dropped was broken off, and says nothing
/// about the function.
#[derive(Debug)]
#[must_use]
pub struct Work {
    caller: Arc<Caller>,
    permit: Option<Permit>,
    attempts: Attempts,
    /// Runs during an attempt.
    attempt: Option<Stopwatch>,
    /// In attempts, in ns.
    busy: u64,
}

impl Work {
    /// Number of the attempt that runs or comes next, from 1.
    pub fn number(&self) -> u32 {
        self.attempts.number()
    }

    /// The next attempt starts.
    pub fn again(&mut self) {
        self.attempt = Some(Stopwatch::start());
    }

    /// The attempt went well, and the work is done.
    pub fn succeeded(mut self) -> Option<BreakerChange> {
        self.stop();
        let change = self.permit.take().and_then(Permit::succeeded);
        self.count(change.is_some().then_some(Status::Degraded));
        change
    }

    /// The attempt failed at `now` with this `text`, in a way that may pass or not.
    pub fn failed(&mut self, text: &str, transient: bool, now: Instant) -> Failed {
        self.stop();
        let (attempt, limit) = (self.attempts.number(), self.attempts.limit());
        self.caller.recorder.add_error(text);
        let next = self.attempts.failed(now, transient);
        let change = match next {
            Next::Retry(_) => {
                self.caller.recorder.add_retries(1);
                None
            }
            Next::GiveUp(_) => {
                let change = self.permit.take().and_then(|permit| permit.failed(now));
                self.count(change.is_some().then_some(Status::Skipping));
                change
            }
        };
        Failed {
            attempt,
            limit,
            elapsed: self.attempts.elapsed(now),
            next,
            change,
        }
    }

    fn stop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            let ns = attempt.elapsed();
            self.busy += ns;
            self.caller.figures.called(ns);
        }
    }

    /// Counts the work, which is over.
    fn count(&mut self, status: Option<Status>) {
        let caller = &self.caller;
        let _writing = lock(&caller.writing);
        let busy = std::mem::take(&mut self.busy);
        caller
            .recorder
            .record(&Span::default(), busy, 0, || None::<()>);
        if let Some(status) = status {
            caller.recorder.set_status(status);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop();
        if self.busy > 0 {
            let _writing = lock(&self.caller.writing);
            self.caller.recorder.add_work(self.busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BreakerState, GiveUp};

    fn caller(threshold: u32) -> Arc<Caller> {
        let breaker = SharedBreaker::new(threshold, Duration::from_secs(30));
        let (policy, classifier) = (RetryPolicy::default(), Classifier::default());
        Arc::new(Caller::new(policy, classifier, Some(Arc::new(breaker))))
    }

    #[test]
    fn figures_tell_work_attempts_and_the_breaker() {
        let now = Instant::now();
        let caller = caller(2);
        let mut work = caller.begin(now).0.unwrap();
        for (n, wait) in [(1, 100), (2, 200), (3, 400)] {
            let failed = work.failed("no answer", true, now);
            assert_eq!(
                (failed.attempt, failed.limit, failed.next),
                (n, 4, Next::Retry(Duration::from_millis(wait)))
            );
            work.again();
        }
        let failed = work.failed("no answer", true, now);
        assert_eq!(failed.next, Next::GiveUp(GiveUp::Exhausted));
        assert_eq!(failed.change, None);
        drop(work);

        let mut work = caller.begin(now).0.unwrap();
        let failed = work.failed("no", false, now);
        assert_eq!(failed.next, Next::GiveUp(GiveUp::Permanent));
        assert_eq!(failed.change.unwrap().to, BreakerState::Open);
        drop(work);
        assert!(caller.begin(now).0.is_none());

        let told = caller.report("ask", "python-function");
        assert_eq!(told.counters.buffers, 3);
        assert_eq!((told.counters.errors, told.counters.retries), (5, 3));
        assert_eq!((told.counters.skipped, told.status), (1, Status::Skipping));
        let json: serde_json::Value = serde_json::from_str(&told.to_json()).unwrap();
        assert_eq!(json["num-calls"], 5);
        assert_eq!(json["last-error"], "no");
        assert_eq!(json["breaker-state"], "open");
        assert_eq!(json["consecutive-failures"], 2);
        caller.reset();
        assert_eq!(caller.report("ask", "").counters.buffers, 0);
    }

    #[test]
    fn a_trial_is_not_tried_again_and_closes_the_breaker() {
        let now = Instant::now();
        let caller = caller(1);
        let mut work = caller.begin(now).0.unwrap();
        work.failed("no", false, now);
        let later = now + Duration::from_secs(30);
        let (trial, change) = caller.begin(later);
        assert_eq!(change.unwrap().to, BreakerState::HalfOpen);
        let failed = trial.unwrap().failed("no answer", true, later);
        assert_eq!(failed.next, Next::GiveUp(GiveUp::Exhausted));
        assert_eq!(failed.limit, 1);
        let later = later + Duration::from_secs(30);
        let change = caller.begin(later).0.unwrap().succeeded();
        assert_eq!(change.unwrap().to, BreakerState::Closed);
        assert_eq!(caller.report("", "").status, Status::Degraded);
    }

    #[test]
    fn what_is_broken_off_is_neither_a_success_nor_a_failure() {
        let now = Instant::now();
        let caller = caller(1);
        drop(caller.begin(now).0.unwrap());
        let report = caller.report("", "");
        assert_eq!(report.counters.buffers, 0);
        assert_eq!(
            report.extra("num-calls"),
            Some(&crate::metrics::Value::U64(1))
        );
        assert!(report.processing_time > 0);
        assert_eq!(report.status, Status::Ok);
    }
}
