// SPDX-License-Identifier: MIT

//! A node, and the stream through it.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::elements::pypipelinenode::chunker::{Chunk, Chunker};
use crate::elements::pypipelinenode::messages::StreamPosition;
use crate::elements::pypipelinenode::output::{Item, Outputs};
use crate::elements::pypipelinenode::settings::{OnFailure, Settings};
use crate::elements::pypipelinenode::stats::Stats;
use crate::elements::support::frames::AudioBuffer;
use crate::elements::support::metrics::ElementMetrics;
use crate::elements::support::timeline::{frames_to_time, running_time};
use crate::python::Node;
use crate::python::abi::NO_TIME;
use crate::resilience::{Breaker, Classifier, Interrupt};
/// What the engine needs of the element.
pub struct Context<'a> {
    pub element: &'a gst::Element,
    pub metrics: &'a ElementMetrics,
    pub stats: &'a Stats,
    pub interrupt: &'a Interrupt,
    pub settings: &'a Settings,
    pub classifier: &'a Classifier,
}

/// A negotiated stream.
pub(super) struct Stream {
    pub(super) info: gst_audio::AudioInfo,
    pub(super) sample: i32,
    pub(super) chunker: Chunker,
    pub(super) outputs: Outputs,
    /// Whether there is a rustvad upstream was looked for, or does not matter.
    pub(super) asked: bool,
    /// That a buffer holds half a frame was said.
    pub(super) said_partial: bool,
    /// That an utterance fills the memory was said.
    pub(super) said_long: bool,
}

impl Stream {
    /// Says at the first of a stream that `input` is no whole number of frames.
    pub(super) fn tell_partial(&mut self, input: &AudioBuffer, env: &Context<'_>) {
        if let Some(partial) = &input.partial
            && !std::mem::replace(&mut self.said_partial, true)
        {
            gst::element_warning!(
                env.element,
                gst::StreamError::Format,
                ("{partial}; the node does not get them")
            );
        }
    }

    /// Says of the first utterance without end that it waits in memory for it.
    pub(super) fn tell_long(&mut self, env: &Context<'_>) {
        let frames = self.chunker.unlimited();
        let length = frames_to_time(frames, self.info.rate());
        if length < LONG || std::mem::replace(&mut self.said_long, true) {
            return;
        }
        let size = frames.saturating_mul(u64::from(self.info.bpf())) >> 20;
        gst::element_warning!(
            env.element,
            gst::ResourceError::NoSpaceLeft,
            (
                "an utterance of {} s ({size} MiB) waits for its end, and nothing limits it: set \
                 chunk-duration here, or max-speech of rustvad",
                length.seconds()
            )
        );
    }
}

/// Length of an utterance that is told of where nothing limits it.
const LONG: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// State of a file, to see that it changed.
pub(super) type Stamp = (Option<SystemTime>, u64);

pub(super) fn stamp(file: &str) -> Option<Stamp> {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok(), meta.len()))
}

/// A node and the stream through it; the streaming thread's own.
pub struct Engine {
    pub(super) node: Box<dyn Node>,
    pub(super) breaker: Breaker,
    pub(super) stream: Option<Stream>,
    pub(super) segment: gst::FormattedSegment<gst::ClockTime>,
    /// Input of the current call, as it came.
    pub(super) snapshot: Vec<u8>,
    /// What was cut, and is still to be worked on.
    pub(super) chunks: VecDeque<Chunk>,
    /// After that the node is to give what it holds.
    pub(super) draining: bool,
    pub(super) file: Option<Stamp>,
    /// Where the audio ends that the node got since it was last drained.
    pub(super) end: Option<StreamPosition>,
    /// A start failed for good: there is none until READY.
    pub(super) unfit: bool,
    /// The first failure for good has been warned of.
    pub(super) warned: bool,
    /// Audio came that would wait for a rustvad, and there is none.
    pub(super) unheard: bool,
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
            chunks: VecDeque::new(),
            draining: false,
            file,
            end: None,
            unfit: false,
            warned: false,
            unheard: false,
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
        self.chunks.clear();
        self.draining = false;
        (self.unfit, self.warned, self.unheard) = (false, false, false);
    }

    /// Whether a start failed for good.
    pub fn is_unfit(&self) -> bool {
        self.unfit
    }

    /// What the node makes of `info`, where that is what it was started for.
    pub fn output_for(&self, info: &gst_audio::AudioInfo) -> Option<gst_audio::AudioInfo> {
        let stream = self.stream.as_ref()?;
        (stream.info == *info).then(|| stream.outputs.format().clone())
    }

    pub fn set_segment(&mut self, segment: &gst::FormattedSegment<gst::ClockTime>) {
        self.segment = segment.clone();
        if let Some(stream) = &mut self.stream {
            stream.outputs.break_off();
        }
    }

    pub(super) fn position(
        &self,
        buffer: &gst::BufferRef,
        frames: u64,
        rate: u32,
    ) -> StreamPosition {
        let pts = buffer.pts();
        let ns = |t: Option<gst::ClockTime>| t.map_or(NO_TIME, |t| t.nseconds());
        StreamPosition {
            timestamp: ns(pts),
            stream_time: ns(self.segment.to_stream_time(pts)),
            running_time: ns(running_time(&self.segment, pts)),
            duration: frames_to_time(frames, rate).nseconds(),
        }
    }

    /// What becomes of audio that the node could not work on.
    pub(super) fn give_up(
        &mut self,
        chunk: Chunk,
        env: &Context<'_>,
        out: &mut Vec<Item>,
    ) -> Result<(), gst::FlowError> {
        let Some(stream) = &mut self.stream else {
            return Err(gst::FlowError::NotNegotiated);
        };
        match env.settings.on_failure {
            OnFailure::Drop => {
                env.metrics.add_dropped(1);
                stream.outputs.leave_out(&chunk, out);
            }
            OnFailure::Pass if stream.outputs.is_same() => {
                let mut buffer = chunk.buffer;
                stream.outputs.pass(&mut buffer, chunk.frames);
                out.push(Item::Buffer(buffer));
            }
            // Audio of other caps cannot pass.
            OnFailure::Pass | OnFailure::Silence | OnFailure::Error => {
                stream.outputs.silence(&chunk, out);
            }
        }
        Ok(())
    }
}
