// SPDX-License-Identifier: MIT

//! The attempts at one chunk, and what comes of them.

use std::time::Instant;

use super::format::{abi_segment, shape};
use super::report::fail;
use super::state::{Context, Engine};
use crate::elements::pypipelinenode::chunker::Chunk;
use crate::elements::pypipelinenode::messages::{Circumstances, StreamPosition};
use crate::elements::pypipelinenode::output::Item;
use crate::elements::pypipelinenode::settings::OnFailure;
use crate::elements::support::metas::{copy_metas, metas_of};
use crate::elements::support::metrics::span;
use crate::metrics::Status;
use crate::python::abi::Moment;
use crate::python::{Failure, Lease, Product};
use crate::resilience::{Attempts, Next};

/// A chunk that the breaker lets through to the node.
pub(super) struct Admitted {
    pub chunk: Chunk,
    pub position: StreamPosition,
    /// Of the buffer as it came.
    pub flags: gst::BufferFlags,
    /// Its time does not go on where that of the audio before it ended.
    pub leaps: bool,
    /// The one call of a half-open breaker: it is not tried again.
    pub probe: bool,
    /// When the first attempt starts.
    pub at: Instant,
}

impl Admitted {
    fn has(&self, flag: gst::BufferFlags) -> bool {
        self.flags.contains(flag)
    }
}

/// How the attempts at one chunk ended.
enum End {
    Done(Product),
    /// For good; with the audio as it came, unless it is lost.
    Failed(Option<Lease>),
    /// The stream flushes or stops.
    Flushing,
    /// The stream cannot go on; the error was posted.
    Broken(gst::FlowError),
}

impl Engine {
    /// Has the node work on a chunk; `out` gets what is to be pushed.
    pub(super) fn call(
        &mut self,
        mut work: Admitted,
        env: &Context<'_>,
        out: &mut Vec<Item>,
    ) -> Result<(), gst::FlowError> {
        let rate = self.stream.as_ref().map_or(1, |s| s.info.rate());
        let span = span(&work.chunk.buffer, work.chunk.frames, rate);
        let buffer = std::mem::replace(&mut work.chunk.buffer, gst::Buffer::new());
        let metas = metas_of(&buffer);
        let before = self.breaker.state();
        let stopwatch = env.metrics.begin();
        // Should this call fail for good, the node holds what it got before.
        let held = self.end;
        self.remember_input_end(&work.position);
        let (end, busy) = self.attempts(buffer, &work, env);
        // Waits between attempts and for the GIL are no work.
        let timed = stopwatch.is_running();
        let busy = if timed { busy } else { 0 };
        let result = match end {
            End::Done(product) => {
                self.break_off_if_lost();
                self.breaker.succeeded();
                self.tell_breaker(before, &work.position, env);
                self.deliver(product, &work, metas, env, out)
            }
            End::Failed(audio) => {
                self.break_off_if_lost();
                self.end = held;
                // What it holds comes before what goes past it.
                let drained = self.drain_node(env, out);
                self.breaker.failed(Instant::now());
                self.tell_breaker(before, &work.position, env);
                match audio {
                    _ if drained.is_err() => drained,
                    Some(lease) => {
                        work.chunk.buffer = lease.into_buffer();
                        self.give_up(work.chunk, env, out)
                    }
                    None => Err(gst::FlowError::Error),
                }
            }
            End::Flushing => {
                self.breaker.abandoned();
                env.stats.set_breaker(&self.breaker);
                env.metrics.add_work_without_buffer(busy);
                return Err(gst::FlowError::Flushing);
            }
            End::Broken(error) => {
                env.metrics.add_work_without_buffer(busy);
                return Err(error);
            }
        };
        env.metrics.end_with(env.element, timed, busy, &span);
        result
    }

    /// Makes buffers of what a call gave.
    fn deliver(
        &mut self,
        product: Product,
        work: &Admitted,
        metas: Option<gst::Buffer>,
        env: &Context<'_>,
        out: &mut Vec<Item>,
    ) -> Result<(), gst::FlowError> {
        let Some(stream) = &mut self.stream else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let gap = work.has(gst::BufferFlags::GAP);
        let (mut buffer, changed) = match product {
            Product::Replaced(returned) => {
                let pts = gst::ClockTime::try_from(work.position.timestamp).ok();
                let discont = work.has(gst::BufferFlags::DISCONT);
                let frames = work.chunk.frames;
                let is_one = returned.len() == 1;
                stream.outputs.buffers(pts, frames, discont, returned, out);
                // Output that is counted is that of other input.
                if let (Some(metas), Some(Item::Buffer(buffer))) = (metas, out.last_mut())
                    && is_one
                    && !stream.outputs.is_counted()
                {
                    copy_metas(&metas, buffer.make_mut());
                }
                return Ok(());
            }
            Product::InPlace(_) | Product::Kept(_) if !stream.outputs.is_same() => {
                let failure = Failure::new(
                    "OutputError",
                    "the node returned None, but its output_caps differ from its input's: the \
                     input cannot stand for the output",
                );
                fail(env, &failure);
                return Err(gst::FlowError::Error);
            }
            Product::InPlace(lease) => {
                let changed = gap && lease.is_writable() && lease.as_slice() != self.snapshot;
                (lease.into_buffer(), changed)
            }
            // The node may have written to it, and GAP is but a hint.
            Product::Kept(buffer) => (buffer, gap),
        };
        // What the node wrote into silence is none.
        if changed {
            buffer.make_mut().unset_flags(gst::BufferFlags::GAP);
        }
        stream.outputs.pass(&mut buffer, work.chunk.frames);
        out.push(Item::Buffer(buffer));
        Ok(())
    }

    /// Tries until it works or there is no point in going on; also the time in calls, in ns.
    fn attempts(&mut self, buffer: gst::Buffer, work: &Admitted, env: &Context<'_>) -> (End, u64) {
        let Some(stream) = &self.stream else {
            return (End::Broken(gst::FlowError::NotNegotiated), 0);
        };
        let frames = work.chunk.frames as usize;
        let shape = shape(&buffer, frames, stream, env.settings);
        let prepared = shape.and_then(|shape| {
            Lease::new(buffer, self.node.about().in_place)
                .map(|lease| (shape, lease))
                .map_err(|_| Failure::new("BufferError", "the buffer cannot be mapped"))
        });
        let (shape, mut lease) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => {
                fail(env, &failure);
                return (End::Broken(gst::FlowError::Error), 0);
            }
        };
        let mut policy = env.settings.retry_policy();
        if work.probe {
            policy.max_retries = 0;
        }
        let undo = lease.is_writable()
            && (policy.max_retries > 0
                || env.settings.on_failure == OnFailure::Pass
                || work.has(gst::BufferFlags::GAP));
        if undo {
            self.snapshot.clear();
            self.snapshot.extend_from_slice(lease.as_slice());
        }
        // A look at the clock is a thirtieth of what a small call costs: one is saved here.
        let mut started = work.at;
        let mut attempts = Attempts::begin(policy, work.at);
        let mut busy = 0;
        let end = loop {
            let moment = self.moment(work, attempts.number());
            let call = self.node.call(lease, &shape, &moment);
            let took = started.elapsed();
            let own = (took.as_nanos() as u64).saturating_sub(call.gil_wait);
            busy += own;
            env.stats.called(call.gil_wait, own);
            self.check_time(took, &attempts, &work.position, env);
            let (failure, mut audio) = match call.result {
                Ok(product) => break End::Done(product),
                Err(failed) => failed,
            };
            if undo && let Some(memory) = audio.as_mut().and_then(Lease::as_mut_slice) {
                memory.copy_from_slice(&self.snapshot);
            }
            match self.failed(&failure, audio, &mut attempts, &work.position, env) {
                Ok(again) => lease = again,
                Err(end) => break end,
            }
            started = Instant::now();
        };
        (end, busy)
    }

    /// Tells of a failed attempt and waits for the next; the audio for that, or the end.
    fn failed(
        &mut self,
        failure: &Failure,
        audio: Option<Lease>,
        attempts: &mut Attempts,
        position: &StreamPosition,
        env: &Context<'_>,
    ) -> Result<Lease, End> {
        if failure.closed {
            // The process is ending: nothing failed, and nobody is left to call.
            env.metrics.set_status(Status::Skipping);
            return Err(End::Failed(audio));
        }
        let on_failure = env.settings.on_failure;
        let mut told = Circumstances {
            position,
            attempt: attempts.number(),
            max_attempts: attempts.limit(),
            retryable: env.classifier.is_transient(&failure.fault),
            action: on_failure.nick(),
        };
        if failure.interrupted {
            return Err(End::Flushing);
        }
        if env.interrupt.is_raised() {
            // The buffer goes with the flush or the stop; what went wrong does not.
            told.action = "drop";
            self.report(failure, &told, env);
            return Err(End::Flushing);
        }
        let next = attempts.failed(Instant::now(), told.retryable);
        match (next, audio) {
            (Next::Retry(wait), Some(audio)) => {
                told.action = "retry";
                self.report(failure, &told, env);
                env.metrics.add_retries(1);
                if env.interrupt.wait(wait) {
                    Ok(audio)
                } else {
                    Err(End::Flushing)
                }
            }
            (_, audio) => {
                self.report(failure, &told, env);
                if on_failure == OnFailure::Error {
                    fail(env, failure);
                    return Err(End::Broken(gst::FlowError::Error));
                }
                self.warn_of_first(failure, env);
                Err(End::Failed(audio))
            }
        }
    }

    fn moment(&self, work: &Admitted, attempt: u32) -> Moment {
        Moment {
            pts: work.position.timestamp,
            duration: work.position.duration,
            stream_time: work.position.stream_time,
            running_time: work.position.running_time,
            speech: work.chunk.speech.map_or(-1, i32::from),
            utterance: work.chunk.utterance,
            attempt,
            discont: work.leaps || work.has(gst::BufferFlags::DISCONT),
            gap: work.has(gst::BufferFlags::GAP),
            segment: abi_segment(&self.segment),
        }
    }
}
