// SPDX-License-Identifier: MIT

//! One chunk after another: to the node, past it, or to what becomes of audio that fails.

use std::time::{Duration, Instant};

use gst::prelude::*;

use super::calls::Admitted;
use super::format::{output_info, sample_type};
use super::report::fail;
use super::state::{Context, Engine, Stream, stamp};
use crate::elements::pypipelinenode::chunker::{Chunk, Chunker, ROOM};
use crate::elements::pypipelinenode::messages::StreamPosition;
use crate::elements::pypipelinenode::output::{Item, Outputs};
use crate::elements::pypipelinenode::settings::Chunk as Cutting;
use crate::elements::support::frames::AudioBuffer;
use crate::elements::support::metrics::span;
use crate::elements::support::speech;
use crate::metrics::Status;
use crate::python::{Failure, Format};
use crate::resilience::Admit;

impl Engine {
    /// Takes up the input format; the output format that the node wants. `None` where it cannot be
    /// started, which has been told.
    pub fn start(
        &mut self,
        info: &gst_audio::AudioInfo,
        caps: &gst::CapsRef,
        env: &Context<'_>,
    ) -> Option<gst_audio::AudioInfo> {
        self.stream = None;
        // Caps that were not taken come again with each buffer, during a stop too.
        if self.unfit || env.interrupt.is_raised() {
            return None;
        }
        match self.start_node(info, caps, env) {
            Ok(output) => Some(output),
            // Cut short by a flush or a stop, it did not fail.
            Err(_) if env.interrupt.is_raised() => None,
            Err(failure) => {
                self.unfit = true;
                fail(env, &failure);
                None
            }
        }
    }

    fn start_node(
        &mut self,
        info: &gst_audio::AudioInfo,
        caps: &gst::CapsRef,
        env: &Context<'_>,
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
            asked: env.settings.chunk != Cutting::Utterance,
            said_partial: false,
            said_long: false,
        });
        Ok(output)
    }

    pub fn stop(&mut self) -> Result<(), Failure> {
        self.stream = None;
        self.end = None;
        self.node.stop()
    }

    /// Speech starts or ends, as rustvad says.
    pub fn mark(
        &mut self,
        at: Option<gst::ClockTime>,
        speech: bool,
        segment: u64,
        env: &Context<'_>,
    ) {
        if std::mem::take(&mut self.unheard) {
            env.metrics.set_status(Status::Ok);
        }
        if let Some(stream) = &mut self.stream {
            stream.asked = true;
            stream.chunker.mark(at, speech, segment);
        }
    }

    /// Warns where the audio of `stream` would wait for speech for ever.
    fn look_for_rustvad(&mut self, env: &Context<'_>) {
        match &mut self.stream {
            Some(stream) if !stream.asked => stream.asked = true,
            _ => return,
        }
        let sink = env.element.static_pad("sink");
        if self.unheard || sink.is_some_and(|pad| speech::is_announced(&pad)) {
            return;
        }
        self.unheard = true;
        env.metrics.set_status(Status::Degraded);
        gst::element_warning!(
            env.element,
            gst::LibraryError::Settings,
            ("chunk=utterance, but there is no rustvad upstream that says where speech is: the \
                 node gets no audio. Put rustvad before this element, or set another chunk")
        );
    }

    /// What is announced holds for all that comes, whatever its time.
    pub fn take_up_marks(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.chunker.take_up_changes();
        }
    }

    /// Another stream follows, whose detector has not announced what the last one's has: behind an
    /// `input-selector` there is one for each.
    pub fn leave_utterance(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.chunker.leave_utterance();
        }
    }

    /// Drops what waits here and in the node.
    pub fn flush(&mut self, env: &Context<'_>) {
        self.leave_rest(env);
        if let Some(stream) = &mut self.stream {
            stream.chunker.flush();
            stream.outputs.flush();
        }
        self.empty_node(env);
    }

    /// Takes a buffer, and works on the first chunk that it completes; `out` gets what is to be pushed.
    /// Whether [`step`](Self::step) has more to do.
    pub fn push(
        &mut self,
        buffer: gst::Buffer,
        env: &Context<'_>,
        out: &mut Vec<Item>,
    ) -> Result<bool, gst::FlowError> {
        if self.unfit {
            return Err(gst::FlowError::Flushing);
        }
        let stream = self.stream.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let input = AudioBuffer::new(buffer, &stream.info);
        if env.settings.reload {
            self.reload(&input, env, out)?;
        }
        self.look_for_rustvad(env);
        let stream = self.stream.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        stream.tell_partial(&input, env);
        if let Err(failure) = stream.chunker.push(input, &mut self.chunks) {
            fail(env, &failure);
            return Err(gst::FlowError::Error);
        }
        stream.tell_long(env);
        self.step(env, out)
    }

    /// Cuts off all that waits, for the node to have it, and then to give all that it holds; whether
    /// [`step`](Self::step) has more to do.
    pub fn drain(
        &mut self,
        env: &Context<'_>,
        out: &mut Vec<Item>,
    ) -> Result<bool, gst::FlowError> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        stream.chunker.drain(&mut self.chunks);
        self.draining = true;
        self.step(env, out)
    }

    /// Works on one of the chunks that were cut, or drains the node after the last; whether there is
    /// more to do. What `out` gets is to be pushed before that: a buffer may hold an hour of them.
    pub fn step(&mut self, env: &Context<'_>, out: &mut Vec<Item>) -> Result<bool, gst::FlowError> {
        let result = self.next(env, out);
        if result.is_err() {
            self.leave_rest(env);
        }
        self.snapshot.clear();
        self.snapshot.shrink_to(ROOM);
        let waiting = self.stream.as_ref().map_or(0, |s| s.chunker.memory());
        let held = waiting + self.snapshot.capacity();
        env.metrics.set_memory(held as u64 + self.node.memory());
        result.map(|()| self.draining || !self.chunks.is_empty())
    }

    fn next(&mut self, env: &Context<'_>, out: &mut Vec<Item>) -> Result<(), gst::FlowError> {
        if env.interrupt.is_raised() {
            return Err(gst::FlowError::Flushing);
        }
        match self.chunks.pop_front() {
            Some(chunk) => self.chunk(chunk, env, out),
            None if std::mem::take(&mut self.draining) => self.drain_node(env, out),
            None => Ok(()),
        }
    }

    /// Nobody takes what is still to be worked on, nor what the node would give of it.
    pub fn leave_rest(&mut self, env: &Context<'_>) {
        let draining = std::mem::take(&mut self.draining);
        if (draining || !self.chunks.is_empty())
            && let Some(stream) = &mut self.stream
        {
            stream.chunker.break_off();
            stream.outputs.break_off();
        }
        self.chunks.clear();
        // After a flush it is asked for what it holds anyway.
        if draining && !env.interrupt.is_raised() {
            self.empty_node(env);
        }
    }

    fn chunk(
        &mut self,
        chunk: Chunk,
        env: &Context<'_>,
        out: &mut Vec<Item>,
    ) -> Result<(), gst::FlowError> {
        // What it holds comes before what goes past it, and before a break at its own time.
        let outputs = self.stream.as_ref().map(|s| &s.outputs);
        let leaps = outputs.is_some_and(|o| o.is_leap(chunk.buffer.pts()));
        let mut counted = outputs.is_some_and(|o| o.is_counted());
        let discont = chunk.buffer.flags().contains(gst::BufferFlags::DISCONT);
        if (!chunk.call || discont || leaps) && self.end.is_some() {
            let before = out.len();
            self.drain_node(env, out)?;
            counted |= out.len() > before;
        }
        let Some(stream) = &mut self.stream else {
            return Err(gst::FlowError::NotNegotiated);
        };
        match (leaps, counted) {
            (true, true) => stream.outputs.break_off(),
            (true, false) => stream.outputs.anchor_anew(),
            (false, _) => {}
        }
        let rate = stream.info.rate();
        if !chunk.call {
            let span = span(&chunk.buffer, chunk.frames, rate);
            let work = env.metrics.begin();
            if stream.outputs.is_same() {
                let mut buffer = chunk.buffer;
                stream.outputs.pass(&mut buffer, chunk.frames);
                out.push(Item::Buffer(buffer));
            } else {
                stream.outputs.silence(&chunk, out);
            }
            env.metrics.end(env.element, work, &span);
            return Ok(());
        }
        let position = self.position(&chunk.buffer, chunk.frames, rate);
        let before = self.breaker.state();
        self.breaker.configure(
            env.settings.breaker_threshold,
            Duration::from_nanos(env.settings.breaker_cooldown),
        );
        let now = Instant::now();
        let admit = self.breaker.admit(now);
        self.tell_breaker(before, &position, env);
        if admit == Admit::Skip {
            env.metrics.add_skipped(1);
            env.metrics.set_status(Status::Skipping);
            let span = span(&chunk.buffer, chunk.frames, rate);
            let work = env.metrics.begin();
            let result = self.give_up(chunk, env, out);
            env.metrics.end(env.element, work, &span);
            return result;
        }
        let work = Admitted {
            flags: chunk.buffer.flags(),
            leaps,
            chunk,
            position,
            probe: admit == Admit::Probe,
            at: now,
        };
        self.call(work, env, out)
    }

    /// Loads the node anew where its file has changed since; before `input` is worked on.
    fn reload(
        &mut self,
        input: &AudioBuffer,
        env: &Context<'_>,
        out: &mut Vec<Item>,
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
        self.tell_reload(&file, done.as_ref().err(), env);
        if done.is_ok() {
            self.warned = false;
            let before = self.breaker.state();
            self.breaker.try_now();
            let position = self
                .stream
                .as_ref()
                .map_or_else(StreamPosition::default, |s| {
                    self.position(&input.buffer, input.frames, s.info.rate())
                });
            self.tell_breaker(before, &position, env);
        }
        Ok(())
    }
}
