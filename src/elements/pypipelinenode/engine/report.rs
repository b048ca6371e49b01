// SPDX-License-Identifier: MIT

//! What the user is told: failures, changes of the breaker, reloads.

use std::time::Duration;

use super::state::{Context, Engine};
use crate::elements::pypipelinenode::messages::{self, Circumstances, StreamPosition};
use crate::elements::pypipelinenode::settings::OnFailure;
use crate::elements::support::unread;
use crate::logging::object;
use crate::metrics::Status;
use crate::python::Failure;
use crate::resilience::{Attempts, BreakerState};

/// Failure messages of one element that lie unread, at most: a node that fails now and then, each
/// time with a traceback, would fill the memory of a program that does not read its bus.
const UNREAD_FAILURES: usize = 100;

impl Context<'_> {
    pub(super) fn post(&self, structure: gst::Structure) {
        unread::post(self.element, structure);
    }

    /// Posts a failure, or only counts it where so many are unread that nobody seems to read them.
    fn post_failure(&self, mut structure: gst::Structure) {
        match self.stats.unread.leave(self.element, UNREAD_FAILURES) {
            Some(leave) => {
                structure.set("num-omitted", self.stats.take_omitted());
                leave.post(self.element, structure);
            }
            None => self.stats.omit(),
        }
    }
}

/// Posts an error that ends the stream, with the traceback in its debug text.
pub fn fail(env: &Context<'_>, failure: &Failure) {
    env.metrics.set_status(Status::Failed);
    gst::element_error!(
        env.element,
        gst::LibraryError::Failed,
        ("{failure}"),
        ["{}", failure.traceback]
    );
}

impl Engine {
    pub(super) fn report(
        &mut self,
        failure: &Failure,
        told: &Circumstances<'_>,
        env: &Context<'_>,
    ) {
        let text = failure.to_string();
        env.metrics.add_error(&text);
        if failure.timed_out {
            env.metrics.add_timeouts(1);
        }
        tracing::warn!(
            target: "pypipelinenode", element = object(env.element), attempt = told.attempt,
            limit = told.max_attempts, action = told.action, "{text}\n{}", failure.traceback
        );
        env.post_failure(messages::failure(failure, told));
    }

    /// Tells of a call in this process that took too long: it cannot be ended.
    pub(super) fn check_time(
        &mut self,
        took: Duration,
        attempts: &Attempts,
        position: &StreamPosition,
        env: &Context<'_>,
    ) {
        let limit = Duration::from_nanos(env.settings.timeout);
        if limit.is_zero() || took <= limit || self.node.enforces_timeout() {
            return;
        }
        env.metrics.add_timeouts(1);
        let failure = Failure::new(
            "Timeout",
            format!("the call took {took:?}, longer than {limit:?}"),
        );
        tracing::warn!(
            target: "pypipelinenode", element = object(env.element), "{}", failure.message()
        );
        let told = Circumstances {
            position,
            attempt: attempts.number(),
            max_attempts: attempts.limit(),
            retryable: false,
            action: "report",
        };
        env.post_failure(messages::failure(&failure, &told));
    }

    /// Warns of the first failure for good since READY or since a reload: who reads nothing but
    /// warnings and errors would not know that the node does nothing.
    pub(super) fn warn_of_first(&mut self, failure: &Failure, env: &Context<'_>) {
        if std::mem::replace(&mut self.warned, true) {
            return;
        }
        let becomes = match env.settings.on_failure {
            OnFailure::Drop => "its audio is dropped",
            OnFailure::Silence => "silence takes the place of its audio",
            OnFailure::Pass | OnFailure::Error => "its audio passes as it came",
        };
        gst::element_warning!(
            env.element,
            gst::LibraryError::Failed,
            (
                "{failure} ({becomes}, see on-failure; this is the first failure, {} messages tell \
                 of each)",
                messages::FAILURE
            ),
            ["{}", failure.traceback]
        );
    }

    /// Tells of a change of the breaker since it was in state `before`.
    pub(super) fn tell_breaker(
        &mut self,
        before: BreakerState,
        position: &StreamPosition,
        env: &Context<'_>,
    ) {
        let now = self.breaker.state();
        env.stats.set_breaker(&self.breaker);
        if now == before {
            return;
        }
        let failures = self.breaker.failures();
        tracing::warn!(
            target: "pypipelinenode", element = object(env.element), failures,
            "breaker {} -> {}", before.as_str(), now.as_str()
        );
        match now {
            BreakerState::Closed => env.metrics.set_status(Status::Degraded),
            BreakerState::Open => env.metrics.set_status(Status::Skipping),
            BreakerState::HalfOpen => {}
        }
        env.post(messages::breaker(before, now, failures, position));
        if now == BreakerState::Open {
            warn_of_open_breaker(before, failures, env);
        }
    }

    /// Tells how a reload of `file` went.
    pub(super) fn tell_reload(&mut self, file: &str, failure: Option<&Failure>, env: &Context<'_>) {
        env.post(messages::reload(file, failure));
        let Some(failure) = failure else {
            tracing::info!(target: "pypipelinenode", element = object(env.element), file, "reloaded");
            return;
        };
        env.metrics.add_error(&failure.to_string());
        gst::element_warning!(
            env.element,
            gst::LibraryError::Failed,
            ("{failure} (the node was not reloaded: the old one stays)"),
            ["{}", failure.traceback]
        );
    }
}

fn warn_of_open_breaker(before: BreakerState, failures: u32, env: &Context<'_>) {
    let cooldown = Duration::from_nanos(env.settings.breaker_cooldown);
    // Without a cooldown nothing is skipped, and every buffer is a trial.
    if before == BreakerState::HalfOpen && cooldown.is_zero() {
        return;
    }
    gst::element_warning!(
        env.element,
        gst::LibraryError::Failed,
        (
            "the node failed {failures} times in a row and is skipped for {cooldown:?}, then tried \
             again (see breaker-threshold, breaker-cooldown); last: {}",
            env.metrics.last_error()
        )
    );
}
