//! The attempts at one chunk, and what comes of them.

use std::time::{Duration, Instant};

use gst::prelude::*;

use super::format::{abi_segment, shape};
use super::{Engine, Surroundings, fail};
use crate::elements::pypipelinenode::chunker::Chunk;
use crate::elements::pypipelinenode::messages::{self, Place};
use crate::elements::pypipelinenode::settings::OnFailure;
use crate::elements::support::metrics::span;
use crate::metrics::Status;
use crate::python::abi::Moment;
use crate::python::{Failure, Lease, Product};
use crate::resilience::{Attempts, Next};

/// How the attempts at one chunk ended.
enum End {
    Done(Product),
    /// With the audio as it came.
    Failed(Option<Lease>),
    Flushing,
}

impl Engine {
    pub(super) fn call(
        &mut self,
        mut chunk: Chunk,
        place: &Place,
        now: Instant,
        probe: bool,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let span = span(
            &chunk.buffer,
            chunk.frames,
            self.stream.as_ref().map_or(1, |s| s.info.rate()),
        );
        let (pts, flags) = (chunk.buffer.pts(), chunk.buffer.flags());
        let discont = flags.contains(gst::BufferFlags::DISCONT);
        let buffer = std::mem::replace(&mut chunk.buffer, gst::Buffer::new());
        let before = self.breaker.state();
        let work = env.metrics.begin();
        let mut busy = 0;
        // Should this call fail for good, the node holds what it got before.
        let held = self.end;
        self.fed(place);
        let end = self.attempts(buffer, &chunk, place, flags, now, probe, env, &mut busy);
        // Waits between attempts and for the GIL are no work.
        let timed = work.elapsed() > 0;
        let end = match end {
            Ok(End::Flushing) => {
                self.breaker.abandoned();
                env.stats.set_breaker(&self.breaker);
                Err(gst::FlowError::Flushing)
            }
            other => other,
        };
        let end = end.inspect_err(|_| {
            env.metrics
                .add_work_without_buffer(if timed { busy } else { 0 });
        })?;
        let result = match end {
            End::Flushing => Err(gst::FlowError::Flushing),
            End::Done(product) => {
                self.note_loss();
                self.breaker.succeeded();
                self.tell_breaker(before, place, env);
                let Some(stream) = &mut self.stream else {
                    return Err(gst::FlowError::NotNegotiated);
                };
                match product {
                    Product::Replaced(returned) => {
                        stream
                            .outputs
                            .buffers(pts, chunk.frames, discont, returned, out);
                        Ok(())
                    }
                    Product::InPlace(_) | Product::Kept(_) if !stream.outputs.is_same() => {
                        let failure = Failure::new(
                            "OutputError",
                            "the node returned None, but its output_caps differ from its input's: \
                             the input cannot stand for the output",
                        );
                        fail(env, &failure);
                        Err(gst::FlowError::Error)
                    }
                    Product::InPlace(lease) => {
                        let changed = lease.is_writable();
                        let same = changed
                            && flags.contains(gst::BufferFlags::GAP)
                            && lease.as_slice() == self.snapshot;
                        let mut buffer = lease.into_buffer();
                        // What the node wrote into silence is none.
                        if changed && !same && flags.contains(gst::BufferFlags::GAP) {
                            buffer.make_mut().unset_flags(gst::BufferFlags::GAP);
                        }
                        stream.outputs.pass(&mut buffer);
                        out.push(buffer);
                        Ok(())
                    }
                    Product::Kept(mut buffer) => {
                        // The node may have written to it, and GAP is but a hint.
                        if flags.contains(gst::BufferFlags::GAP) {
                            buffer.make_mut().unset_flags(gst::BufferFlags::GAP);
                        }
                        stream.outputs.pass(&mut buffer);
                        out.push(buffer);
                        Ok(())
                    }
                }
            }
            End::Failed(lease) => {
                self.note_loss();
                self.end = held;
                // What it holds comes before what goes past it.
                let drained = self.drain_node(env, out);
                self.breaker.failed(Instant::now());
                self.tell_breaker(before, place, env);
                match lease {
                    _ if drained.is_err() => drained,
                    Some(lease) => {
                        chunk.buffer = lease.into_buffer();
                        self.give_up(chunk, env, out)
                    }
                    None => Err(gst::FlowError::Error),
                }
            }
        };
        env.metrics.end_with(env.element, timed, busy, &span);
        result
    }

    /// Tries from `now` on until it works or there is no point in going on. `busy` gets the time in
    /// calls.
    #[allow(clippy::too_many_arguments)]
    fn attempts(
        &mut self,
        buffer: gst::Buffer,
        chunk: &Chunk,
        place: &Place,
        flags: gst::BufferFlags,
        now: Instant,
        probe: bool,
        env: &Surroundings<'_>,
        busy: &mut u64,
    ) -> Result<End, gst::FlowError> {
        let Some(stream) = &self.stream else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let unusable = |failure: Failure| {
            fail(env, &failure);
            gst::FlowError::Error
        };
        let shape = shape(&buffer, &stream.info, stream.sample, env.settings).map_err(unusable)?;
        let mut lease = Lease::new(buffer, self.node.about().in_place)
            .map_err(|_| unusable(Failure::new("BufferError", "the buffer cannot be mapped")))?;
        let mut policy = env.settings.retry_policy();
        if probe {
            policy.max_retries = 0;
        }
        let undo = lease.is_writable()
            && (policy.max_retries > 0
                || env.settings.on_failure == OnFailure::Pass
                || flags.contains(gst::BufferFlags::GAP));
        if undo {
            self.snapshot.clear();
            self.snapshot.extend_from_slice(lease.as_slice());
        }
        // A look at the clock is a thirtieth of what a small call costs: one is saved here.
        let mut started = now;
        let mut attempts = Attempts::begin(policy, now);
        loop {
            let moment = Moment {
                pts: place.timestamp,
                duration: place.duration,
                stream_time: place.stream_time,
                running_time: place.running_time,
                speech: chunk.speech.map_or(-1, i32::from),
                utterance: chunk.utterance,
                attempt: attempts.number(),
                discont: flags.contains(gst::BufferFlags::DISCONT),
                gap: flags.contains(gst::BufferFlags::GAP),
                segment: abi_segment(&self.segment),
            };
            let call = self.node.call(lease, &shape, &moment);
            let took = started.elapsed();
            *busy += (took.as_nanos() as u64).saturating_sub(call.gil_wait);
            env.stats.waited(call.gil_wait);
            self.check_time(took, &attempts, place, env);
            let (failure, back) = match call.result {
                Ok(product) => return Ok(End::Done(product)),
                Err(failed) => failed,
            };
            let mut restored = back;
            if undo && let Some(memory) = restored.as_mut().and_then(Lease::as_mut_slice) {
                memory.copy_from_slice(&self.snapshot);
            }
            if failure.closed {
                // The process is ending: nothing failed, and nobody is left to call.
                env.metrics.set_status(Status::Skipping);
                return Ok(End::Failed(restored));
            }
            let number = attempts.number();
            let transient = env.classifier.is_transient(&failure.fault);
            if env.interrupt.is_raised() {
                // The buffer goes with the flush or the stop; what went wrong does not.
                let limit = attempts.limit();
                self.report(&failure, place, number, limit, transient, "drop", env);
                return Ok(End::Flushing);
            }
            let next = attempts.failed(Instant::now(), transient);
            let action = match (next, &restored) {
                (Next::Retry(_), Some(_)) => "retry",
                _ => env.settings.on_failure.nick(),
            };
            self.report(
                &failure,
                place,
                number,
                attempts.limit(),
                transient,
                action,
                env,
            );
            match (next, restored) {
                (Next::Retry(wait), Some(again)) => {
                    env.metrics.add_retries(1);
                    if !env.interrupt.wait(wait) {
                        return Ok(End::Flushing);
                    }
                    lease = again;
                    started = Instant::now();
                }
                (_, restored) => {
                    if env.settings.on_failure == OnFailure::Error {
                        fail(env, &failure);
                        return Err(gst::FlowError::Error);
                    }
                    return Ok(End::Failed(restored));
                }
            }
        }
    }

    /// A call in this process cannot be ended, only reported.
    pub(super) fn check_time(
        &mut self,
        took: Duration,
        attempts: &Attempts,
        place: &Place,
        env: &Surroundings<'_>,
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
            target: "pypipelinenode", element = %env.element.name(), "{}", failure.message()
        );
        env.post(messages::failure(
            &failure,
            place,
            attempts.number(),
            attempts.limit(),
            false,
            "report",
        ));
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn report(
        &mut self,
        failure: &Failure,
        place: &Place,
        attempt: u32,
        limit: u32,
        transient: bool,
        action: &str,
        env: &Surroundings<'_>,
    ) {
        let text = failure.to_string();
        env.metrics.add_error(&text);
        if failure.timed_out {
            env.metrics.add_timeouts(1);
        }
        tracing::warn!(
            target: "pypipelinenode", element = %env.element.name(), attempt, limit, action,
            "{text}\n{}", failure.traceback
        );
        env.post(messages::failure(
            failure, place, attempt, limit, transient, action,
        ));
    }
}
