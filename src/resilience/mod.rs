//! Retry policy, circuit breaker and error classes: state machines with injected time.

mod breaker;
mod classify;
mod interrupt;
mod retry;

pub use breaker::{Admit, Breaker, BreakerState};
pub use classify::{Classifier, Fault};
pub use interrupt::Interrupt;
pub use retry::{Attempts, GiveUp, Next, RetryPolicy};
