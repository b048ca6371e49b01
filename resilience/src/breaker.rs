// SPDX-License-Identifier: MIT

//! Circuit breaker: after failures in a row it keeps calls away for a while, then tries one.

use std::time::{Duration, Instant};

/// What a [`Breaker`] does with calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum BreakerState {
    /// Calls go through.
    #[default]
    Closed,
    /// Calls are skipped.
    Open,
    /// One call is on trial.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Its name in messages and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Any call.
    Call,
    /// One call on trial, without retries.
    Probe,
    /// None, for now.
    Skip,
}

/// Counts failures in a row. A call is one piece of work, with all its retries.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    threshold: u32,
    cooldown: Duration,
    state: BreakerState,
    failures: u32,
    opened: Option<Instant>,
}

impl Breaker {
    /// Opens after `threshold` failures in a row (0 = never), for `cooldown`.
    pub fn new(threshold: u32, cooldown: Duration) -> Self {
        Self {
            threshold,
            cooldown,
            state: BreakerState::Closed,
            failures: 0,
            opened: None,
        }
    }

    /// Takes new settings without forgetting what happened.
    pub fn configure(&mut self, threshold: u32, cooldown: Duration) {
        (self.threshold, self.cooldown) = (threshold, cooldown);
        if threshold == 0 {
            self.state = BreakerState::Closed;
        }
    }

    /// What it does with calls now.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// To be asked before each call.
    pub fn admit(&mut self, now: Instant) -> Admit {
        match self.state {
            BreakerState::Closed => Admit::Call,
            BreakerState::HalfOpen => Admit::Probe,
            BreakerState::Open => {
                let open_for = self.opened.map(|t| now.saturating_duration_since(t));
                if open_for.is_none_or(|t| t >= self.cooldown) {
                    self.state = BreakerState::HalfOpen;
                    Admit::Probe
                } else {
                    Admit::Skip
                }
            }
        }
    }

    /// Time until a call may be tried; zero unless it is open.
    pub fn retry_after(&self, now: Instant) -> Duration {
        match (self.state, self.opened) {
            (BreakerState::Open, Some(opened)) => {
                let open_for = now.saturating_duration_since(opened);
                self.cooldown.saturating_sub(open_for)
            }
            _ => Duration::ZERO,
        }
    }

    /// An admitted call went well.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.state = BreakerState::Closed;
    }

    /// An admitted call failed for good.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let probe = self.state == BreakerState::HalfOpen;
        if probe || (self.threshold > 0 && self.failures >= self.threshold) {
            self.state = BreakerState::Open;
            self.opened = Some(now);
        }
    }

    /// What failed was changed: the next call is on trial, whatever is left of the cooldown.
    pub fn try_now(&mut self) {
        if self.state == BreakerState::Open {
            self.state = BreakerState::HalfOpen;
        }
    }

    /// An admitted call was broken off and says nothing: a trial remains to be made.
    pub fn abandoned(&mut self) {
        if self.state == BreakerState::HalfOpen {
            self.state = BreakerState::Open;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);

    #[test]
    fn opens_tries_once_and_closes() {
        let t = Instant::now();
        let mut breaker = Breaker::new(3, COOLDOWN);
        for failures in 1..=3 {
            assert_eq!(breaker.admit(t), Admit::Call);
            breaker.failed(t);
            assert_eq!(breaker.failures(), failures);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.retry_after(t + COOLDOWN / 3), COOLDOWN * 2 / 3);
        assert_eq!(
            breaker.admit(t + COOLDOWN - Duration::from_nanos(1)),
            Admit::Skip
        );
        assert_eq!(breaker.admit(t + COOLDOWN), Admit::Probe);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        // The trial fails: the whole cooldown again.
        breaker.failed(t + COOLDOWN);
        assert_eq!(breaker.admit(t + COOLDOWN + COOLDOWN / 2), Admit::Skip);
        assert_eq!(breaker.admit(t + 2 * COOLDOWN), Admit::Probe);
        breaker.succeeded();
        assert_eq!(
            (breaker.state(), breaker.failures()),
            (BreakerState::Closed, 0)
        );
        assert_eq!(breaker.admit(t), Admit::Call);
    }

    #[test]
    fn a_success_starts_the_count_anew() {
        let t = Instant::now();
        let mut breaker = Breaker::new(2, COOLDOWN);
        for _ in 0..10 {
            breaker.failed(t);
            breaker.succeeded();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_threshold_of_0_never_opens() {
        let t = Instant::now();
        let mut breaker = Breaker::new(0, COOLDOWN);
        for _ in 0..1000 {
            breaker.failed(t);
            assert_eq!(breaker.admit(t), Admit::Call);
        }
        let mut breaker = Breaker::new(1, COOLDOWN);
        breaker.failed(t);
        breaker.configure(0, COOLDOWN);
        assert_eq!(breaker.admit(t), Admit::Call);
    }

    #[test]
    fn a_change_of_what_failed_brings_the_trial_forward() {
        let t = Instant::now();
        let mut breaker = Breaker::new(1, COOLDOWN);
        breaker.try_now();
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.failed(t);
        breaker.try_now();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(t), Admit::Probe);
        // It failed all the same: the whole cooldown again.
        breaker.failed(t);
        assert_eq!(breaker.admit(t), Admit::Skip);
    }

    #[test]
    fn a_trial_that_is_broken_off_is_made_again() {
        let t = Instant::now();
        let mut breaker = Breaker::new(1, COOLDOWN);
        breaker.failed(t);
        assert_eq!(breaker.admit(t + COOLDOWN), Admit::Probe);
        breaker.abandoned();
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(t + COOLDOWN), Admit::Probe);
    }
}
