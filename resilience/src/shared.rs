// SPDX-License-Identifier: MIT

//! A breaker that many threads go by.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::breaker::{Admit, Breaker, BreakerState};
use crate::sync::lock;

/// A [`Breaker`] for calls that run at the same time.
///
/// While a trial runs, other calls are skipped. What comes of a call that was admitted before the
/// breaker's last change of state says nothing about the state since, and does not count.
///
/// ```
/// use std::sync::Arc;
/// use std::time::{Duration, Instant};
/// use rustaudio_resilience::{BreakerState, SharedBreaker};
///
/// let (now, cooldown) = (Instant::now(), Duration::from_secs(30));
/// let breaker = Arc::new(SharedBreaker::new(1, cooldown));
/// let permit = breaker.admit(now).0.unwrap();
/// let change = permit.failed(now).unwrap();
/// assert_eq!((change.from, change.to), (BreakerState::Closed, BreakerState::Open));
/// assert!(breaker.admit(now).0.is_none());
/// assert_eq!(breaker.retry_after(now), cooldown);
///
/// let trial = breaker.admit(now + cooldown).0.unwrap();
/// assert!(trial.is_probe());
/// assert!(breaker.admit(now + cooldown).0.is_none(), "one at a time");
/// trial.succeeded();
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// ```
#[derive(Debug)]
pub struct SharedBreaker(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    breaker: Breaker,
    /// Changes of state so far.
    epoch: u64,
    /// A trial runs.
    trial: bool,
}

/// A change of a breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerChange {
    /// Its state before.
    pub from: BreakerState,
    /// Its state now.
    pub to: BreakerState,
    /// Failures in a row.
    pub failures: u32,
}

impl Inner {
    /// Does something to the breaker; how its state changed.
    fn change<T>(&mut self, what: impl FnOnce(&mut Breaker) -> T) -> (T, Option<BreakerChange>) {
        let from = self.breaker.state();
        let done = what(&mut self.breaker);
        let to = self.breaker.state();
        if from == to {
            return (done, None);
        }
        self.epoch += 1;
        self.trial = false;
        let failures = self.breaker.failures();
        (done, Some(BreakerChange { from, to, failures }))
    }
}

impl SharedBreaker {
    /// Opens after `threshold` failures in a row (0 = never), for `cooldown`.
    pub fn new(threshold: u32, cooldown: Duration) -> Self {
        Self(Mutex::new(Inner {
            breaker: Breaker::new(threshold, cooldown),
            epoch: 0,
            trial: false,
        }))
    }

    /// A permit for one call, or `None` where it is to be skipped.
    pub fn admit(self: &Arc<Self>, now: Instant) -> (Option<Permit>, Option<BreakerChange>) {
        let mut inner = lock(&self.0);
        let (admit, change) = inner.change(|breaker| breaker.admit(now));
        let probe = admit == Admit::Probe;
        if admit == Admit::Skip || (probe && inner.trial) {
            return (None, change);
        }
        inner.trial = probe;
        let permit = Permit {
            breaker: self.clone(),
            epoch: inner.epoch,
            probe,
            settled: false,
        };
        (Some(permit), change)
    }

    /// What it does with calls now.
    pub fn state(&self) -> BreakerState {
        lock(&self.0).breaker.state()
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        lock(&self.0).breaker.failures()
    }

    /// The breaker as it stands.
    pub fn snapshot(&self) -> Breaker {
        lock(&self.0).breaker
    }

    /// Time until a call may be tried; zero unless it is open.
    pub fn retry_after(&self, now: Instant) -> Duration {
        lock(&self.0).breaker.retry_after(now)
    }

    /// Closes it, as a success would.
    pub fn reset(&self) -> Option<BreakerChange> {
        lock(&self.0).change(Breaker::succeeded).1
    }
}

/// Leave to make one call. One that is dropped says nothing: a trial remains to be made.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    breaker: Arc<SharedBreaker>,
    epoch: u64,
    probe: bool,
    settled: bool,
}

impl Permit {
    /// The call is on trial, and is not to be tried again.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// The call went well.
    pub fn succeeded(mut self) -> Option<BreakerChange> {
        self.settle(Breaker::succeeded)
    }

    /// The call failed for good.
    pub fn failed(mut self, now: Instant) -> Option<BreakerChange> {
        self.settle(|breaker| breaker.failed(now))
    }

    fn settle(&mut self, what: impl FnOnce(&mut Breaker)) -> Option<BreakerChange> {
        if std::mem::replace(&mut self.settled, true) {
            return None;
        }
        let mut inner = lock(&self.breaker.0);
        if inner.epoch != self.epoch {
            return None;
        }
        inner.trial = false;
        inner.change(what).1
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(Breaker::abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);

    fn admit(breaker: &Arc<SharedBreaker>, now: Instant) -> Permit {
        breaker.admit(now).0.unwrap()
    }

    #[test]
    fn what_was_admitted_before_a_change_does_not_count() {
        let now = Instant::now();
        let breaker = Arc::new(SharedBreaker::new(2, COOLDOWN));
        let slow: Vec<_> = (0..4).map(|_| admit(&breaker, now)).collect();
        for _ in 0..2 {
            admit(&breaker, now).failed(now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        let mut slow = slow.into_iter();
        // Neither does a late success close it, nor does a late failure prolong the cooldown.
        assert_eq!(slow.next().unwrap().succeeded(), None);
        assert_eq!(slow.next().unwrap().failed(now + COOLDOWN / 2), None);
        assert_eq!(breaker.failures(), 2);
        let trial = admit(&breaker, now + COOLDOWN);
        assert_eq!(slow.next().unwrap().succeeded(), None);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        let change = trial.succeeded().unwrap();
        assert_eq!(change.to, BreakerState::Closed);
        assert_eq!(slow.next().unwrap().failed(now), None);
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn one_trial_at_a_time_and_a_dropped_one_is_made_again() {
        let now = Instant::now();
        let breaker = Arc::new(SharedBreaker::new(1, COOLDOWN));
        admit(&breaker, now).failed(now);
        let later = now + COOLDOWN;
        let trial = admit(&breaker, later);
        assert!(trial.is_probe());
        assert!(breaker.admit(later).0.is_none());
        drop(trial);
        assert_eq!(breaker.state(), BreakerState::Open);
        let trial = admit(&breaker, later);
        trial.failed(later);
        assert_eq!(breaker.retry_after(later), COOLDOWN);
        assert_eq!(breaker.reset().unwrap().to, BreakerState::Closed);
        assert!(!admit(&breaker, later).is_probe());
    }

    #[test]
    fn of_many_threads_one_makes_the_trial() {
        let now = Instant::now();
        let breaker = Arc::new(SharedBreaker::new(1, COOLDOWN));
        admit(&breaker, now).failed(now);
        for round in 1..100 {
            let now = now + round * COOLDOWN;
            let made: Vec<_> = std::thread::scope(|s| {
                let all: Vec<_> = (0..4).map(|_| s.spawn(|| breaker.admit(now).0)).collect();
                all.into_iter()
                    .filter_map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert_eq!(made.len(), 1);
            for trial in made {
                trial.failed(now);
            }
        }
    }
}
