//! One call after another: attempts, breaker, and what becomes of audio that fails.

use std::time::{Duration, Instant, SystemTime};

use gst::prelude::*;

use super::chunker::{Chunk, Chunker};
use super::messages::{self, Place};
use super::output::Outputs;
use super::settings::{OnFailure, Settings};
use super::stats::Stats;
use crate::elements::support::metrics::{ElementMetrics, span};
use crate::elements::support::timeline::frames_to_time;
use crate::metrics::Status;
use crate::python::abi::{Moment, NO_TIME, Segment, sample};
use crate::python::{Failure, Format, Lease, Node, Product, Shape, Wanted};
use crate::resilience::{Admit, Attempts, Breaker, BreakerState, Classifier, Interrupt, Next};

/// What the engine needs of the element.
pub struct Surroundings<'a> {
    pub element: &'a gst::Element,
    pub metrics: &'a ElementMetrics,
    pub stats: &'a Stats,
    pub interrupt: &'a Interrupt,
    pub settings: &'a Settings,
    pub classifier: &'a Classifier,
}

impl Surroundings<'_> {
    fn post(&self, structure: gst::Structure) {
        // Without a bus nobody listens.
        let _ = self.element.post_message(
            gst::message::Element::builder(structure)
                .src(self.element)
                .build(),
        );
    }
}

/// A negotiated stream.
struct Stream {
    info: gst_audio::AudioInfo,
    sample: i32,
    chunker: Chunker,
    outputs: Outputs,
}

/// State of a file, to see that it changed.
type Stamp = (Option<SystemTime>, u64);

fn stamp(file: &str) -> Option<Stamp> {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok(), meta.len()))
}

/// A node and the stream through it; the streaming thread's own.
pub struct Engine {
    node: Box<dyn Node>,
    breaker: Breaker,
    stream: Option<Stream>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    /// Input of the current call, as it came.
    snapshot: Vec<u8>,
    chunks: Vec<Chunk>,
    file: Option<Stamp>,
}

/// How the attempts at one chunk ended.
enum End {
    Done(Product),
    /// With the audio as it came.
    Failed(Option<Lease>),
    Flushing,
}

fn sample_type(info: &gst_audio::AudioInfo) -> Option<i32> {
    let f = info.format_info();
    Some(match (f.is_float(), f.is_signed(), f.width()) {
        (true, _, 32) => sample::F32,
        (true, _, 64) => sample::F64,
        (false, true, 8) => sample::I8,
        (false, false, 8) => sample::U8,
        (false, true, 16) => sample::I16,
        (false, false, 16) => sample::U16,
        (false, true, 32) => sample::I32,
        (false, false, 32) => sample::U32,
        _ => return None,
    })
}

impl Engine {
    pub fn new(node: Box<dyn Node>) -> Self {
        let file = node.about().file.as_deref().and_then(stamp);
        Self {
            node,
            breaker: Breaker::new(0, Duration::ZERO),
            stream: None,
            segment: gst::FormattedSegment::new(),
            snapshot: Vec::new(),
            chunks: Vec::new(),
            file,
        }
    }

    /// Forgets the last stream; for READY->PAUSED.
    pub fn reset(&mut self, settings: &Settings) {
        self.breaker = Breaker::new(
            settings.breaker_threshold,
            Duration::from_nanos(settings.breaker_cooldown),
        );
        self.stream = None;
        self.segment = gst::FormattedSegment::new();
    }

    pub fn set_segment(&mut self, segment: &gst::FormattedSegment<gst::ClockTime>) {
        self.segment = segment.clone();
        if let Some(stream) = &mut self.stream {
            stream.outputs.break_off();
        }
    }

    /// Takes up the input format; the output format that the node wants.
    pub fn start(
        &mut self,
        info: &gst_audio::AudioInfo,
        caps: &gst::CapsRef,
        env: &Surroundings<'_>,
    ) -> Result<gst_audio::AudioInfo, Failure> {
        let unsupported = |what: String| Failure::new("FormatError", what);
        let sample = sample_type(info)
            .ok_or_else(|| unsupported(format!("no numpy type for {}", info.format().to_str())))?;
        let format = Format {
            format: info.format().to_str().to_string(),
            rate: info.rate(),
            channels: info.channels(),
            planar: info.layout() == gst_audio::AudioLayout::NonInterleaved,
        };
        let wanted = self
            .node
            .start(&format, &caps.to_string(), &env.element.name())?;
        let output = output_info(info, &wanted)
            .ok_or_else(|| unsupported(format!("the node asks for impossible caps: {wanted:?}")))?;
        self.stream = Some(Stream {
            sample,
            chunker: Chunker::new(env.settings.cut(info.rate()), info.clone()),
            outputs: Outputs::new(info.clone(), output.clone()),
            info: info.clone(),
        });
        Ok(output)
    }

    pub fn stop(&mut self) -> Result<(), Failure> {
        self.stream = None;
        self.node.stop()
    }

    /// Speech starts or ends, as rustvad says.
    pub fn mark(&mut self, at: Option<gst::ClockTime>, speech: bool, segment: u64) {
        if let Some(stream) = &mut self.stream {
            stream.chunker.mark(at, speech, segment);
        }
    }

    /// Drops what waits.
    pub fn flush(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.chunker.flush();
            stream.outputs.break_off();
        }
    }

    /// Takes a buffer; `out` gets what is to be pushed.
    pub fn push(
        &mut self,
        buffer: gst::Buffer,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        if env.settings.reload {
            self.reload(env);
        }
        let stream = self.stream.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let mut chunks = std::mem::take(&mut self.chunks);
        let cut = stream.chunker.push(buffer, &mut chunks);
        self.finish(cut, chunks, env, out)
    }

    /// Lets the node have all that waits.
    pub fn drain(
        &mut self,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let mut chunks = std::mem::take(&mut self.chunks);
        stream.chunker.drain(&mut chunks);
        self.finish(Ok(()), chunks, env, out)
    }

    fn finish(
        &mut self,
        cut: Result<(), gst::FlowError>,
        mut chunks: Vec<Chunk>,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let mut result = cut;
        for chunk in chunks.drain(..) {
            if result.is_ok() {
                result = self.chunk(chunk, env, out);
            }
        }
        self.chunks = chunks;
        let waiting = self.stream.as_ref().map_or(0, |s| s.chunker.memory());
        let held = waiting + self.snapshot.capacity();
        env.metrics.set_memory(held as u64 + self.node.memory());
        result
    }

    fn chunk(
        &mut self,
        chunk: Chunk,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let Some(stream) = &mut self.stream else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let rate = stream.info.rate();
        if !chunk.call {
            let span = span(&chunk.buffer, chunk.frames, rate);
            let work = env.metrics.begin();
            if stream.outputs.is_same() {
                let mut buffer = chunk.buffer;
                stream.outputs.pass(&mut buffer);
                out.push(buffer);
            } else {
                stream.outputs.silence(&chunk, out);
            }
            env.metrics.end(env.element, work, &span);
            return Ok(());
        }
        let place = self.place(&chunk, rate);
        let before = self.breaker.state();
        self.breaker.configure(
            env.settings.breaker_threshold,
            Duration::from_nanos(env.settings.breaker_cooldown),
        );
        let admit = self.breaker.admit(Instant::now());
        self.tell_breaker(before, &place, env);
        if admit == Admit::Skip {
            env.metrics.add_skipped(1);
            env.metrics.set_status(Status::Skipping);
            let span = span(&chunk.buffer, chunk.frames, rate);
            let work = env.metrics.begin();
            let result = self.give_up(chunk, env, out);
            env.metrics.end(env.element, work, &span);
            return result;
        }
        self.call(chunk, &place, admit == Admit::Probe, env, out)
    }

    fn place(&self, chunk: &Chunk, rate: u32) -> Place {
        let pts = chunk.buffer.pts();
        let ns = |t: Option<gst::ClockTime>| t.map_or(NO_TIME, |t| t.nseconds());
        Place {
            timestamp: ns(pts),
            stream_time: ns(self.segment.to_stream_time(pts)),
            running_time: ns(self.segment.to_running_time(pts)),
            duration: frames_to_time(chunk.frames, rate).nseconds(),
        }
    }

    fn tell_breaker(&mut self, before: BreakerState, place: &Place, env: &Surroundings<'_>) {
        let now = self.breaker.state();
        env.stats.set_breaker(&self.breaker);
        if now == before {
            return;
        }
        match now {
            BreakerState::Closed => env.metrics.set_status(Status::Degraded),
            BreakerState::Open => env.metrics.set_status(Status::Skipping),
            BreakerState::HalfOpen => {}
        }
        let failures = self.breaker.failures();
        tracing::warn!(
            target: "pypipelinenode", element = %env.element.name(), failures,
            "breaker {} -> {}", before.as_str(), now.as_str()
        );
        env.post(messages::breaker(before, now, failures, place));
    }

    fn call(
        &mut self,
        mut chunk: Chunk,
        place: &Place,
        probe: bool,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let span = span(&chunk.buffer, chunk.frames, place_rate(&self.stream));
        let (pts, flags) = (chunk.buffer.pts(), chunk.buffer.flags());
        let discont = flags.contains(gst::BufferFlags::DISCONT);
        let buffer = std::mem::replace(&mut chunk.buffer, gst::Buffer::new());
        let before = self.breaker.state();
        let work = env.metrics.begin();
        let mut busy = 0;
        let end = self.attempts(buffer, &chunk, place, flags, probe, env, &mut busy);
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
                self.breaker.failed(Instant::now());
                self.tell_breaker(before, place, env);
                match lease {
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

    /// Tries until it works or there is no point in going on. `busy` gets the time in calls.
    #[allow(clippy::too_many_arguments)]
    fn attempts(
        &mut self,
        buffer: gst::Buffer,
        chunk: &Chunk,
        place: &Place,
        flags: gst::BufferFlags,
        probe: bool,
        env: &Surroundings<'_>,
        busy: &mut u64,
    ) -> Result<End, gst::FlowError> {
        let Some(stream) = &self.stream else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let shape = shape(&buffer, &stream.info, stream.sample, env.settings)
            .ok_or(gst::FlowError::Error)?;
        let mut lease =
            Lease::new(buffer, self.node.about().in_place).map_err(|_| gst::FlowError::Error)?;
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
        let mut attempts = Attempts::begin(policy, Instant::now());
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
            let started = Instant::now();
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
            if env.interrupt.is_raised() {
                return Ok(End::Flushing);
            }
            let number = attempts.number();
            let transient = env.classifier.is_transient(&failure.fault);
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
    fn check_time(
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
    fn report(
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

    /// What becomes of audio that the node could not work on.
    fn give_up(
        &mut self,
        chunk: Chunk,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let Some(stream) = &mut self.stream else {
            return Err(gst::FlowError::NotNegotiated);
        };
        match env.settings.on_failure {
            OnFailure::Drop => {
                env.metrics.add_dropped(1);
                stream.outputs.break_off();
            }
            OnFailure::Pass if stream.outputs.is_same() => {
                let mut buffer = chunk.buffer;
                stream.outputs.pass(&mut buffer);
                out.push(buffer);
            }
            // Audio of other caps cannot pass.
            OnFailure::Pass | OnFailure::Silence | OnFailure::Error => {
                stream.outputs.silence(&chunk, out);
            }
        }
        Ok(())
    }

    fn reload(&mut self, env: &Surroundings<'_>) {
        let Some(file) = self.node.about().file.clone() else {
            return;
        };
        let now = stamp(&file);
        if now.is_none() || now == self.file {
            return;
        }
        self.file = now;
        let done = self.node.reload();
        match &done {
            Ok(()) => {
                tracing::info!(target: "pypipelinenode", element = %env.element.name(), file, "reloaded");
            }
            Err(failure) => {
                env.metrics.add_error(&failure.to_string());
                tracing::warn!(
                    target: "pypipelinenode", element = %env.element.name(), file,
                    "the old node stays: {failure}\n{}", failure.traceback
                );
            }
        }
        env.post(messages::reload(&file, done.as_ref().err()));
    }
}

fn place_rate(stream: &Option<Stream>) -> u32 {
    stream.as_ref().map_or(1, |s| s.info.rate())
}

/// Posts an error that ends the stream, with the traceback in its debug text.
pub fn fail(env: &Surroundings<'_>, failure: &Failure) {
    env.metrics.set_status(Status::Failed);
    gst::element_error!(
        env.element,
        gst::LibraryError::Failed,
        ("{failure}"),
        ["{}", failure.traceback]
    );
}

fn output_info(input: &gst_audio::AudioInfo, wanted: &Wanted) -> Option<gst_audio::AudioInfo> {
    if *wanted == Wanted::default() {
        return Some(input.clone());
    }
    let format = match &wanted.format {
        Some(name) => gst_audio::AudioFormat::from_string(&native(name)),
        None => input.format(),
    };
    let channels = wanted.channels.unwrap_or(input.channels());
    let planar = wanted
        .planar
        .unwrap_or(input.layout() == gst_audio::AudioLayout::NonInterleaved);
    let layout = if planar {
        gst_audio::AudioLayout::NonInterleaved
    } else {
        gst_audio::AudioLayout::Interleaved
    };
    let positions = input
        .positions()
        .filter(|_| channels == input.channels())
        .map(<[_]>::to_vec);
    let mut builder =
        gst_audio::AudioInfo::builder(format, wanted.rate.unwrap_or(input.rate()), channels)
            .layout(layout);
    if let Some(positions) = &positions {
        builder = builder.positions(positions);
    }
    builder.build().ok()
}

/// GStreamer's name of a format, where a node left out the byte order.
fn native(name: &str) -> String {
    let bare = ["S16", "U16", "S32", "U32", "F32", "F64"].contains(&name);
    let order = if cfg!(target_endian = "big") {
        "BE"
    } else {
        "LE"
    };
    if bare {
        format!("{name}{order}")
    } else {
        name.to_owned()
    }
}

fn abi_segment(s: &gst::FormattedSegment<gst::ClockTime>) -> Segment {
    let ns = |t: Option<gst::ClockTime>| t.map_or(NO_TIME, |t| t.nseconds());
    Segment {
        rate: s.rate(),
        start: ns(s.start()),
        stop: ns(s.stop()),
        time: ns(s.time()),
        base: ns(s.base()),
    }
}

/// Where the samples of `buffer` are; `None` where it contradicts itself, or its planes are not
/// evenly spaced.
fn shape(
    buffer: &gst::BufferRef,
    info: &gst_audio::AudioInfo,
    sample: i32,
    settings: &Settings,
) -> Option<Shape> {
    let (bps, bpf) = (info.bps() as usize, info.bpf() as usize);
    let channels = info.channels() as usize;
    let size = buffer.size();
    let mut shape = Shape {
        frames: size / bpf.max(1),
        channels,
        offset: 0,
        frame_stride: bpf,
        channel_stride: bps,
        sample,
        channels_first: settings.layout == super::Layout::ChannelsFirst,
    };
    if info.layout() == gst_audio::AudioLayout::NonInterleaved {
        shape.frame_stride = bps;
        shape.channel_stride = shape.frames * bps;
        if let Some(meta) = buffer.meta::<gst_audio::AudioMeta>() {
            let offsets = meta.offsets();
            shape.frames = meta.samples();
            shape.offset = *offsets.first()?;
            shape.channel_stride = match offsets {
                [first, second, ..] => second.checked_sub(*first)?,
                _ => 0,
            };
            let even = offsets
                .windows(2)
                .all(|o| o[1].checked_sub(o[0]) == Some(shape.channel_stride));
            let end = offsets
                .last()?
                .checked_add(shape.frames.checked_mul(bps)?)?;
            if !even || offsets.len() != channels || end > size {
                return None;
            }
        }
    }
    Some(shape)
}
