//! One chunk after another: to the node, past it, or to what becomes of audio that fails.

mod calls;
mod drain;
mod format;

use std::time::{Duration, Instant, SystemTime};

use gst::prelude::*;

pub use self::format::contradiction;
use self::format::{output_info, sample_type};
use super::chunker::{Chunk, Chunker};
use super::messages::{self, Place};
use super::output::Outputs;
use super::settings::{OnFailure, Settings};
use super::stats::Stats;
use crate::elements::support::metrics::{ElementMetrics, span};
use crate::elements::support::timeline::frames_to_time;
use crate::metrics::Status;
use crate::python::abi::NO_TIME;
use crate::python::{Failure, Format, Node};
use crate::resilience::{Admit, Breaker, BreakerState, Classifier, Interrupt};

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
    /// Where the audio ends that the node got since it was last drained.
    end: Option<Place>,
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
            end: None,
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
        self.end = None;
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
        self.end = None;
        self.node.stop()
    }

    /// Speech starts or ends, as rustvad says.
    pub fn mark(&mut self, at: Option<gst::ClockTime>, speech: bool, segment: u64) {
        if let Some(stream) = &mut self.stream {
            stream.chunker.mark(at, speech, segment);
        }
    }

    /// Drops what waits here and in the node.
    pub fn flush(&mut self, env: &Surroundings<'_>) {
        if let Some(stream) = &mut self.stream {
            stream.chunker.flush();
            stream.outputs.break_off();
        }
        self.empty_node(env);
    }

    /// Takes a buffer; `out` gets what is to be pushed.
    pub fn push(
        &mut self,
        buffer: gst::Buffer,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        if env.settings.reload {
            self.reload(env, out)?;
        }
        let stream = self.stream.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let mut chunks = std::mem::take(&mut self.chunks);
        let cut = stream.chunker.push(buffer, &mut chunks).map_err(|failure| {
            fail(env, &failure);
            gst::FlowError::Error
        });
        self.finish(cut, chunks, env, out)
    }

    /// Lets the node have all that waits, and give all that it holds.
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
        self.finish(Ok(()), chunks, env, out)?;
        self.drain_node(env, out)
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
        // What it holds comes before what goes past it, and before a break at its own time.
        let apart = !chunk.call || chunk.buffer.flags().contains(gst::BufferFlags::DISCONT);
        if apart && self.end.is_some() {
            self.drain_node(env, out)?;
        }
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
        let now = Instant::now();
        let admit = self.breaker.admit(now);
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
        self.call(chunk, &place, now, admit == Admit::Probe, env, out)
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

    fn reload(
        &mut self,
        env: &Surroundings<'_>,
        out: &mut Vec<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let Some(file) = self.node.about().file.clone() else {
            return Ok(());
        };
        let now = stamp(&file);
        if now.is_none() || now == self.file {
            return Ok(());
        }
        self.file = now;
        // The new node knows nothing of what the old one holds.
        self.drain_node(env, out)?;
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
        Ok(())
    }
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
