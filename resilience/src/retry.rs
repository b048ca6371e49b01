// SPDX-License-Identifier: MIT

//! Exponential backoff.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How often and how long to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first.
    pub max_retries: u32,
    /// Wait before the first retry.
    pub initial_backoff: Duration,
    /// Growth of the wait from one retry to the next; at least 1.
    pub multiplier: f64,
    /// Longest wait.
    pub max_backoff: Duration,
    /// Most of a wait that is left off at random, from 0 to 1 of it, so that callers that failed together
    /// do not come back together.
    pub jitter: f64,
    /// No attempt starts later than this after the first one.
    pub deadline: Option<Duration>,
}

impl Default for RetryPolicy {
    /// Three retries, after 100, 200 and 400 ms.
    fn default() -> Self {
        Self {
            max_retries: 3,
            initial_backoff: Duration::from_millis(100),
            multiplier: 2.0,
            max_backoff: Duration::from_millis(800),
            jitter: 0.0,
            deadline: None,
        }
    }
}

impl RetryPolicy {
    /// Wait before retry `n`, from 1; with jitter the longest.
    pub fn backoff(&self, n: u32) -> Duration {
        let growth = self
            .multiplier
            .max(1.0)
            .powi(i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX));
        let wait = self.initial_backoff.as_secs_f64() * growth;
        // Also takes care of an infinite growth, and of 0 times one.
        if wait.is_finite() && wait < self.max_backoff.as_secs_f64() {
            Duration::from_secs_f64(wait)
        } else if self.initial_backoff.is_zero() {
            Duration::ZERO
        } else {
            self.max_backoff
        }
    }

    /// `wait` less up to `jitter` of it.
    fn shorten(&self, wait: Duration) -> Duration {
        if self.jitter.is_nan() || self.jitter <= 0.0 {
            return wait;
        }
        // Forked processes have the same keys, and each its number. Of 53 bits, as many as a double has.
        let drawn = RandomState::new().hash_one((std::process::id(), wait)) >> 11;
        let random = drawn as f64 / (1u64 << 53) as f64;
        wait.mul_f64(1.0 - self.jitter.min(1.0) * random)
    }
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after a wait.
    Retry(Duration),
    /// Not again, and why.
    GiveUp(GiveUp),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// The failure would only come back.
    Permanent,
    /// All retries are used up.
    Exhausted,
    /// The next attempt would start after the deadline.
    Deadline,
}

/// The attempts at one piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    policy: RetryPolicy,
    first: Instant,
    made: u32,
}

impl Attempts {
    /// The first attempt starts now.
    pub fn begin(policy: RetryPolicy, now: Instant) -> Self {
        Self {
            policy,
            first: now,
            made: 1,
        }
    }

    /// Number of the attempt that runs, from 1.
    pub fn number(&self) -> u32 {
        self.made
    }

    /// Time since the first attempt started.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.first)
    }

    /// Most attempts that there can be.
    pub fn limit(&self) -> u32 {
        self.policy.max_retries.saturating_add(1)
    }

    /// The attempt failed at `now`; `Retry` counts the next one as made.
    pub fn failed(&mut self, now: Instant, transient: bool) -> Next {
        if !transient {
            return Next::GiveUp(GiveUp::Permanent);
        }
        if self.made >= self.limit() {
            return Next::GiveUp(GiveUp::Exhausted);
        }
        let wait = self.policy.shorten(self.policy.backoff(self.made));
        if let Some(deadline) = self.policy.deadline
            && self.elapsed(now).saturating_add(wait) > deadline
        {
            return Next::GiveUp(GiveUp::Deadline);
        }
        self.made += 1;
        Next::Retry(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_retries: 5,
            initial_backoff: 100 * MS,
            multiplier: 2.0,
            max_backoff: 800 * MS,
            jitter: 0.0,
            deadline: None,
        }
    }

    #[test]
    fn jitter_spreads_waits_below_their_length() {
        let now = Instant::now();
        for (jitter, least) in [(0.5, 50), (1.0, 0), (7.0, 0)] {
            let policy = RetryPolicy { jitter, ..policy() };
            let waits: Vec<Duration> = (0..1000)
                .map(|_| match Attempts::begin(policy, now).failed(now, true) {
                    Next::Retry(wait) => wait,
                    Next::GiveUp(why) => panic!("{why:?}"),
                })
                .collect();
            let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*shortest >= least * MS && *longest <= 100 * MS);
            // Even: of a thousand, the mean is this near to the middle but for once in 10^9.
            let mean = waits.iter().sum::<Duration>().as_secs_f64() / 1000.0;
            let middle = f64::from(least + 100) / 2000.0;
            assert!(
                (mean - middle).abs() < 0.2 * (0.1 - middle),
                "{mean} {middle}"
            );
        }
        for jitter in [0.0, -1.0, f64::NAN] {
            let policy = RetryPolicy { jitter, ..policy() };
            let next = Attempts::begin(policy, now).failed(now, true);
            assert_eq!(next, Next::Retry(100 * MS));
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut attempts = Attempts::begin(policy(), Instant::now());
        let now = Instant::now();
        for wait in [100, 200, 400, 800, 800] {
            assert_eq!(attempts.failed(now, true), Next::Retry(wait * MS));
        }
        assert_eq!(attempts.number(), 6);
        assert_eq!(attempts.failed(now, true), Next::GiveUp(GiveUp::Exhausted));
    }

    #[test]
    fn a_permanent_failure_ends_it() {
        let now = Instant::now();
        let mut attempts = Attempts::begin(policy(), now);
        assert_eq!(attempts.failed(now, false), Next::GiveUp(GiveUp::Permanent));
        assert_eq!(attempts.number(), 1);
    }

    #[test]
    fn no_attempt_starts_after_the_deadline() {
        let start = Instant::now();
        let policy = RetryPolicy {
            deadline: Some(250 * MS),
            ..policy()
        };
        let mut attempts = Attempts::begin(policy, start);
        assert_eq!(
            attempts.failed(start + 10 * MS, true),
            Next::Retry(100 * MS)
        );
        // 60 + 200 ms would be too late: no point in waiting for it.
        let next = attempts.failed(start + 60 * MS, true);
        assert_eq!(next, Next::GiveUp(GiveUp::Deadline));
        let mut attempts = Attempts::begin(policy, start);
        assert_eq!(
            attempts.failed(start + 150 * MS, true),
            Next::Retry(100 * MS)
        );
    }

    #[test]
    fn odd_settings_do_no_harm() {
        let zero = RetryPolicy {
            initial_backoff: Duration::ZERO,
            multiplier: f64::MAX,
            ..policy()
        };
        assert_eq!(zero.backoff(1), Duration::ZERO);
        assert_eq!(zero.backoff(u32::MAX), Duration::ZERO);
        let steep = RetryPolicy {
            multiplier: f64::INFINITY,
            ..policy()
        };
        assert_eq!(steep.backoff(2), 800 * MS);
        let shrinking = RetryPolicy {
            multiplier: 0.1,
            ..policy()
        };
        assert_eq!(shrinking.backoff(4), 100 * MS);
        let none = RetryPolicy {
            max_retries: 0,
            ..policy()
        };
        let now = Instant::now();
        assert_eq!(
            Attempts::begin(none, now).failed(now, true),
            Next::GiveUp(GiveUp::Exhausted)
        );
    }
}
