//! What a node still holds when the audio ends: its `drain` hook.

use std::time::Instant;

use super::format::abi_segment;
use super::report::fail;
use super::state::{Engine, Surroundings};
use crate::elements::pypipelinenode::messages::{Circumstances, Place};
use crate::elements::pypipelinenode::settings::OnFailure;
use crate::python::abi::{Moment, NO_TIME};
use crate::resilience::{Attempts, BreakerState, Next};

impl Engine {
    /// The node got the audio of `place`.
    pub(super) fn fed(&mut self, place: &Place) {
        if !self.node.about().has_drain {
            return;
        }
        let end = |start: u64| match start {
            NO_TIME => NO_TIME,
            start => start.saturating_add(place.duration),
        };
        self.end = Some(Place {
            timestamp: end(place.timestamp),
            stream_time: end(place.stream_time),
            running_time: end(place.running_time),
            duration: 0,
        });
    }

    /// A node that was lost with its process held audio, or knew what came before: its successor's
    /// output does not follow on that.
    pub(super) fn note_loss(&mut self) {
        if self.node.take_loss()
            && let Some(stream) = &mut self.stream
        {
            stream.outputs.break_off();
        }
    }

    /// The end of what the node got since it was last asked for the rest, if it can be asked.
    fn take_end(&mut self) -> Option<Place> {
        let end = self.end.take()?;
        // A node that fails all the time is left alone.
        (self.node.about().has_drain && self.breaker.state() != BreakerState::Open).then_some(end)
    }

    fn end_moment(&self, place: &Place, attempt: u32) -> Moment {
        Moment {
            pts: place.timestamp,
            duration: 0,
            stream_time: place.stream_time,
            running_time: place.running_time,
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
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let Some(place) = self.take_end() else {
            return Ok(());
        };
        let work = env.metrics.begin();
        let mut busy = 0;
        let result = self.drain_attempts(&place, env, out, &mut busy);
        let timed = work.is_running();
        env.metrics
            .add_work_without_buffer(if timed { busy } else { 0 });
        result
    }

    fn drain_attempts(
        &mut self,
        place: &Place,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
        busy: &mut u64,
    ) -> Result<(), gst::FlowError> {
        let mut attempts = Attempts::begin(env.settings.retry_policy(), Instant::now());
        loop {
            let moment = self.end_moment(place, attempts.number());
            let started = Instant::now();
            let done = self.node.drain(&moment);
            self.note_loss();
            let took = started.elapsed();
            *busy += took.as_nanos() as u64;
            self.check_time(took, &attempts, place, env);
            let failure = match done {
                Ok(returned) => {
                    if let Some(stream) = &mut self.stream {
                        let at = gst::ClockTime::try_from(place.timestamp).ok();
                        stream.outputs.buffers(at, 0, false, returned, out);
                        stream.outputs.anchor_anew();
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
                place,
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
    pub(super) fn empty_node(&mut self, env: &Surroundings<'_>) {
        let Some(place) = self.take_end() else {
            return;
        };
        if env.interrupt.is_raised() {
            return;
        }
        let moment = self.end_moment(&place, 1);
        if let Err(failure) = self.node.drain(&moment)
            && !failure.closed
            && !env.interrupt.is_raised()
        {
            let told = Circumstances {
                place: &place,
                attempt: 1,
                max_attempts: 1,
                retryable: env.classifier.is_transient(&failure.fault),
                action: "drop",
            };
            self.report(&failure, &told, env);
        }
    }
}
