// SPDX-License-Identifier: MIT

//! What keeps work going that fails now and then, and says what it cost: retries with exponential
//! backoff, a circuit breaker, classes of failures, and counters and percentiles in one schema.
//!
//! State machines in plain Rust: they are told the time, so none of them waits, spawns or logs.
//!
//! | type | what it does |
//! |---|---|
//! | [`RetryPolicy`], [`Attempts`] | how often and when to try again |
//! | [`Breaker`] | keeps calls away from what failed several times in a row |
//! | [`SharedBreaker`] | the same for calls of many threads |
//! | [`Caller`], [`Work`] | all of that for the calls of one function, with its figures |
//! | [`Classifier`], [`Fault`] | tells transient failures of Python code from permanent ones |
//! | [`Interrupt`] | a wait between attempts that others can end |
//! | [`metrics`] | a recorder, its histogram, and the report and JSON document that it makes |
//!
//! # Retry
//!
//! ```
//! use std::time::{Duration, Instant};
//! use rustaudio_resilience::{Attempts, GiveUp, Next, RetryPolicy};
//!
//! let now = Instant::now();
//! let mut attempts = Attempts::begin(RetryPolicy::default(), now);
//! let mut waits = Vec::new();
//! let end = loop {
//!     // Each attempt fails, in a way that may pass.
//!     match attempts.failed(now, true) {
//!         Next::Retry(wait) => waits.push(wait.as_millis()),
//!         Next::GiveUp(why) => break why,
//!     }
//! };
//! assert_eq!(waits, [100, 200, 400]);
//! assert_eq!(end, GiveUp::Exhausted);
//! ```
//!
//! # Break the circuit
//!
//! ```
//! use std::time::{Duration, Instant};
//! use rustaudio_resilience::{Admit, Breaker, BreakerState};
//!
//! let (now, cooldown) = (Instant::now(), Duration::from_secs(30));
//! let mut breaker = Breaker::new(5, cooldown);
//! for _ in 0..5 {
//!     assert_eq!(breaker.admit(now), Admit::Call);
//!     breaker.failed(now);
//! }
//! assert_eq!(breaker.admit(now), Admit::Skip);
//! assert_eq!(breaker.admit(now + cooldown), Admit::Probe);
//! breaker.succeeded();
//! assert_eq!(breaker.state(), BreakerState::Closed);
//! ```
//!
//! # Tell transient failures from permanent ones
//!
//! ```
//! use rustaudio_resilience::{Classifier, Fault};
//!
//! let reset = Fault {
//!     types: vec!["ConnectionResetError".into(), "ConnectionError".into(), "OSError".into()],
//!     ..Fault::default()
//! };
//! assert!(Classifier::default().is_transient(&reset));
//! assert!(!Classifier::new("TimeoutError, my.pkg.Busy").is_transient(&reset));
//! let not_found = Fault { status: Some(404), ..Fault::default() };
//! assert!(!Classifier::default().is_transient(&not_found));
//! ```
//!
//! # Wait, but not for ever
//!
//! ```
//! use std::time::Duration;
//! use rustaudio_resilience::Interrupt;
//!
//! let interrupt = Interrupt::default();
//! let ended_early = std::thread::scope(|threads| {
//!     let waiter = threads.spawn(|| !interrupt.wait(Duration::from_secs(3600)));
//!     interrupt.raise();
//!     waiter.join()
//! });
//! assert!(ended_early.unwrap());
//! ```

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod breaker;
mod caller;
mod classify;
mod interrupt;
pub mod metrics;
mod retry;
mod shared;
mod sync;

pub use breaker::{Admit, Breaker, BreakerState};
pub use caller::{Caller, Failed, Work};
pub use classify::{Classifier, Fault};
pub use interrupt::Interrupt;
pub use retry::{Attempts, GiveUp, Next, RetryPolicy};
pub use shared::{BreakerChange, Permit, SharedBreaker};
pub use sync::lock;
