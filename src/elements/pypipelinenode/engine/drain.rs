// SPDX-License-Identifier: MIT

//! What a node still holds when the audio ends: its `drain` hook.

use std::time::Instant;

use super::format::abi_segment;
use super::report::fail;
use super::state::{Context, Engine};
use crate::elements::pypipelinenode::messages::{Circumstances, StreamPosition};
use crate::elements::pypipelinenode::output::Item;
use crate::elements::pypipelinenode::settings::OnFailure;
use crate::python::abi::{Moment, NO_TIME};
use crate::resilience::{Attempts, BreakerState, Next};

impl Engine {
    /// The node got the audio of `position`.
    pub(super) fn remember_input_end(&mut self, position: &StreamPosition) {
        if !self.node.about().has_drain {
            return;
        }
        let end = |start: u64| match start {
            NO_TIME => NO_TIME,
            start => start.saturating_add(position.duration),
        };
        self.end = Some(StreamPosition {
            timestamp: end(position.timestamp),
            stream_time: end(position.stream_time),
            running_time: end(position.running_time),
            duration: 0,
        });
    }

    /// A node that was lost with its process held audio, or knew what came before: its successor's
    /// output does not follow on that.
    pub(super) fn break_off_if_lost(&mut self) {
        if self.node.take_loss()
            && let Some(stream) = &mut self.stream
        {
            stream.outputs.break_off();
        }
    }

    /// The end of what the node got since it was last asked for the rest, if it can be asked.
    fn take_end(&mut self) -> Option<StreamPosition> {
        let end = self.end.take()?;
        // A node that fails all the time is left alone.
        (self.node.about().has_drain && self.breaker.state() != BreakerState::Open).then_some(end)
    }

    fn end_moment(&self, position: &StreamPosition, attempt: u32) -> Moment {
        Moment {
            pts: position.timestamp,
            duration: 0,
            stream_time: position.stream_time,
            running_time: position.running_time,
            speech: -1,
            utterance: 0,
            attempt,
            discont: false,
            gap: false,
            segment: abi_segment(&self.segment),
        }
    }

    /// Has the node give what it still holds, with retries; no more than once for all that it got.
    pub(super) fn drain_node(
        &mut self,
        env: &Context<'_>,
        out: &mut Vec<Item>,
    ) -> Result<(), gst::FlowError> {
        let Some(position) = self.take_end() else {
            return Ok(());
        };
        let work = env.metrics.begin();
        let mut busy = 0;
        let result = self.drain_attempts(&position, env, out, &mut busy);
        let timed = work.is_running();
        env.metrics
            .add_work_without_buffer(if timed { busy } else { 0 });
        result
    }

    fn drain_attempts(
        &mut self,
        position: &StreamPosition,
        env: &Context<'_>,
        out: &mut Vec<Item>,
        busy: &mut u64,
    ) -> Result<(), gst::FlowError> {
        let mut attempts = Attempts::begin(env.settings.retry_policy(), Instant::now());
        loop {
            let moment = self.end_moment(position, attempts.number());
            let started = Instant::now();
            let done = self.node.drain(&moment);
            self.break_off_if_lost();
            let took = started.elapsed();
            *busy += took.as_nanos() as u64;
            self.check_time(took, &attempts, position, env);
            let failure = match done {
                Ok(returned) => {
                    if let Some(stream) = &mut self.stream {
                        let at = gst::ClockTime::try_from(position.timestamp).ok();
                        stream.outputs.buffers(at, 0, false, returned, out);
                        stream.outputs.node_is_empty();
                    }
                    return Ok(());
                }
                Err(failure) => failure,
            };
            if failure.closed {
                return Ok(());
            }
            if failure.interrupted || env.interrupt.is_raised() {
                return Err(gst::FlowError::Flushing);
            }
            let strict = env.settings.on_failure == OnFailure::Error;
            let mut told = Circumstances {
                position,
                attempt: attempts.number(),
                max_attempts: attempts.limit(),
                retryable: env.classifier.is_transient(&failure.fault),
                action: "retry",
            };
            let next = attempts.failed(Instant::now(), told.retryable);
            if let Next::GiveUp(_) = next {
                // There is no input that could stand for it.
                told.action = if strict { "error" } else { "drop" };
            }
            self.report(&failure, &told, env);
            match next {
                Next::Retry(wait) => {
                    env.metrics.add_retries(1);
                    if !env.interrupt.wait(wait) {
                        return Err(gst::FlowError::Flushing);
                    }
                }
                Next::GiveUp(_) if strict => {
                    fail(env, &failure);
                    return Err(gst::FlowError::Error);
                }
                Next::GiveUp(_) => {
                    self.warn_of_first(&failure, env);
                    if let Some(stream) = &mut self.stream {
                        stream.outputs.break_off();
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Has the node give up what it holds of before a flush; nobody gets that.
    pub(super) fn empty_node(&mut self, env: &Context<'_>) {
        let Some(position) = self.take_end() else {
            return;
        };
        if env.interrupt.is_raised() {
            return;
        }
        let moment = self.end_moment(&position, 1);
        if let Err(failure) = self.node.drain(&moment)
            && !failure.closed
            && !env.interrupt.is_raised()
        {
            let told = Circumstances {
                position: &position,
                attempt: 1,
                max_attempts: 1,
                retryable: env.classifier.is_transient(&failure.fault),
                action: "drop",
            };
            self.report(&failure, &told, env);
        }
    }
}
