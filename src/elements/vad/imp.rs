// SPDX-License-Identifier: MIT

//! Glue between pads and the detector.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::active::Active;
use super::idle::Idle;
use super::message::VadChange;
use super::queue::{Out, Outs, Way};
use super::settings::{PROPERTIES, Settings};
use super::shown::Shown;
use crate::elements::support::frames::{AudioBuffer, Partial, ReadError};
use crate::elements::support::metrics::{ElementMetrics, span};
use crate::elements::support::pads;
use crate::elements::support::properties::Live;
use crate::elements::support::speech;
use crate::elements::support::timeline::frames_to_time;
use crate::elements::support::transform::{PanicFlag, guarded};
use crate::elements::support::unread::post;
use crate::logging::object;
use crate::resilience::lock;

pub(super) const TARGET: &str = "rustvad";

#[derive(Default)]
pub(super) struct State {
    pub(super) active: Option<Active>,
    pub(super) segment: gst::FormattedSegment<gst::ClockTime>,
    pub(super) leaving: Leaving,
}

/// What is to be sent once the lock is released.
#[derive(Default)]
pub(super) struct Leaving {
    pub(super) out: Outs,
    pub(super) messages: Vec<gst::Structure>,
}

pub struct Vad {
    sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) settings: Live<Settings>,
    pub(super) state: Mutex<State>,
    shown: Shown,
    pub(super) idle: Arc<Idle>,
    /// Reported, in ns.
    latency: AtomicU64,
    pub(super) metrics: ElementMetrics,
    panic_flag: PanicFlag,
}

#[glib::object_subclass]
impl ObjectSubclass for Vad {
    const NAME: &'static str = "GstRustVad";
    type Type = super::Vad;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let pad = |name: &str| match class.pad_template(name) {
            Some(template) => gst::Pad::builder_from_template(&template),
            // Never so: `pad_templates` names both.
            None => gst::Pad::builder(gst::PadDirection::Unknown),
        };
        let sinkpad = pad("sink")
            .chain_function(|_, parent, buffer| {
                let element = parent.and_then(|parent| parent.downcast_ref::<super::Vad>());
                let vad = element.ok_or(gst::FlowError::Error)?.imp();
                guarded(vad, &vad.panic_flag, || vad.chain(buffer))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |vad| vad.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |vad| vad.sink_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        let srcpad = pad("src")
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |vad| vad.src_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Live::default(),
            state: Mutex::default(),
            shown: Shown::default(),
            idle: Arc::default(),
            latency: AtomicU64::new(0),
            metrics: ElementMetrics::default(),
            panic_flag: PanicFlag::default(),
        }
    }
}

impl ObjectImpl for Vad {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.shown.reset();
        self.update_latency(None);
        let element = self.obj();
        self.idle.set_element(&element);
        Idle::set_timeout(&self.idle, self.settings.get().data_timeout);
        pads::add(&*element, [&self.sinkpad, &self.srcpad]);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if self.metrics.set_property(value, pspec) {
            return;
        }
        let set = |settings: &mut Settings| PROPERTIES.set(settings, pspec.name(), value);
        if self.settings.change(set) == Ok(true) {
            Idle::set_timeout(&self.idle, self.settings.get().data_timeout);
            // Before there is a stream, so that whoever asks then is told the truth.
            if self.obj().current_state() <= gst::State::Ready {
                self.update_latency(None);
            }
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if let Some(value) = self.metrics.property(&*self.obj(), pspec) {
            return value;
        }
        let name = pspec.name();
        self.shown
            .get(name)
            .or_else(|| PROPERTIES.get(&self.settings.get(), name))
            .unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for Vad {}

impl ElementImpl for Vad {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Rust voice activity detector",
                "Filter/Analyzer/Audio",
                "Finds speech; passes, flags, mutes or drops the rest",
                crate::elements::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_audio::AudioCapsBuilder::new()
                .layout_list([
                    gst_audio::AudioLayout::Interleaved,
                    gst_audio::AudioLayout::NonInterleaved,
                ])
                .rate_range(8000..)
                .build();
            pads::templates(&caps)
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.metrics.transition(&*self.obj(), transition);
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.metrics.start();
                self.forget_shown();
                self.update_latency(None);
            }
            gst::StateChange::PausedToPlaying => Idle::play(&self.idle),
            // The second one where going to PLAYING failed.
            gst::StateChange::PlayingToPaused | gst::StateChange::PausedToReady => {
                self.idle.pause();
            }
            _ => {}
        }
        let result = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.stop();
            self.metrics.finish(&*self.obj());
        }
        Ok(result)
    }
}

impl Vad {
    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = lock(&self.state);
        let active = state.active.as_mut();
        let active = active.ok_or(gst::FlowError::NotNegotiated)?;
        let input = AudioBuffer::new(buffer, &active.info);
        let partial = active.first_partial(&input);
        let jump = active.vad.position() > 0 && active.is_jump(&input.buffer);
        let _busy = self.idle.busy();
        if jump || partial.is_some() {
            drop(state);
            self.prepare(&input, partial, jump)?;
            state = lock(&self.state);
        }
        let work = self.metrics.begin();
        let (span, latency) = match self.take(&mut state, input) {
            Ok(taken) => taken,
            Err(refused) => {
                drop(state);
                self.metrics.end_without_buffer(work);
                return Err(self.refuse(refused));
            }
        };
        let leaving = std::mem::take(&mut state.leaving);
        drop(state);
        if let Some(latency) = latency {
            self.update_latency(Some(latency));
        }
        self.metrics.end(&*self.obj(), work, &span);
        self.send(leaving)
    }

    /// What is seldom to be done before `input` is taken in.
    #[cold]
    fn prepare(
        &self,
        input: &AudioBuffer,
        partial: Option<Partial>,
        jump: bool,
    ) -> Result<(), gst::FlowError> {
        if let Some(partial) = partial {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("{partial}; the detector leaves them out")
            );
        }
        if jump {
            tracing::debug!(
                target: TARGET, element = object(&*self.obj()), pts = input.buffer.pts().display().to_string(),
                "the stream jumps: the detector starts afresh"
            );
            self.drain(false)?;
        }
        Ok(())
    }

    /// Takes a buffer in, and finds what may leave; the latency if that has changed.
    fn take(
        &self,
        state: &mut State,
        input: AudioBuffer,
    ) -> Result<(crate::metrics::Span, Option<gst::ClockTime>), Refused> {
        let State {
            active,
            segment,
            leaving,
        } = state;
        let active = active.as_mut().ok_or(Refused::Unnegotiated)?;
        let rate = active.info.rate();
        let samples = input.frames;
        let span = span(&input.buffer, samples, rate);
        active.take_up(&self.settings);
        // A second reference, so that the queue can tell the times of what is in it.
        active.enqueue(input.buffer.clone(), samples, segment);
        // Told only where it changes.
        let latency = Some(frames_to_time(active.wait(), rate));
        let heard = input.read(|frames| {
            let heard = active.hear(frames, &mut leaving.messages, segment);
            heard.map_err(|e| input.outside(e))
        });
        if let Err(e) = heard {
            active.queue.take_back();
            return Err(e.into());
        }
        drop(input);
        let limit = active.vad.decided();
        self.release(active, limit, &mut leaving.out)?;
        Ok((span, latency))
    }

    /// Lets go what is decided before `limit`.
    pub(super) fn release(
        &self,
        active: &mut Active,
        limit: u64,
        out: &mut Outs,
    ) -> Result<(), ReadError> {
        let mut way = Way {
            info: &active.info,
            mode: active.settings.mode,
            level: active.settings.level_meta.then_some(&mut active.vad),
        };
        let released = active.queue.release(limit, &mut way, out);
        let dropped = active.queue.take_dropped();
        if dropped > 0 {
            self.metrics.add_dropped(dropped);
        }
        self.metrics
            .set_memory(active.memory + active.queue.bytes());
        self.shown.set_frame(&active.frame);
        self.idle.set_open(active.vad.segmenter().in_speech());
        if let Some(heard) = active.heard.take_line() {
            active.memory = active.vad.memory() as u64;
            tracing::debug!(
                target: TARGET, element = object(&*self.obj()), frames = heard.frames,
                max_probability = heard.probability, max_level = heard.level,
                noise_floor = active.frame.noise_floor, speech = active.frame.speech, "heard"
            );
        }
        released
    }

    /// Forgets the stream, whose threads have stopped. A segment that is open ends where its audio does; what
    /// was found is posted, and nothing is sent.
    fn stop(&self) {
        let mut state = std::mem::take(&mut *lock(&self.state));
        if let Some(active) = &mut state.active
            && active.vad.segmenter().in_speech()
        {
            active.end(false, &mut state.leaving.messages, &state.segment);
        }
        self.idle.set_open(false);
        self.forget_shown();
        for structure in state.leaving.messages {
            post(self.obj().upcast_ref(), structure);
        }
    }

    /// Ends a segment that no data follows, for the watch.
    pub(super) fn end_cut_off_segment(&self) {
        let _stream = self.sinkpad.stream_lock();
        let flushing = self.sinkpad.pad_flags().contains(gst::PadFlags::FLUSHING);
        let open = |active: &Active| active.vad.segmenter().in_speech();
        // What held the lock may have been data.
        if flushing || self.idle.data_came() || !lock(&self.state).active.as_ref().is_some_and(open)
        {
            return;
        }
        tracing::debug!(
            target: TARGET, element = object(&*self.obj()), "no data comes: the segment ends"
        );
        let _ = self.drain(true);
    }

    /// Decides about all that is held, and sends it.
    pub(super) fn drain(&self, timed_out: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        let work = self.metrics.begin();
        let rest = self.take_rest(timed_out);
        self.metrics.end_without_buffer(work);
        rest.map_err(|e| self.fail(&e))?;
        self.send_rest()
    }

    /// Decides about all that is held.
    fn take_rest(&self, timed_out: bool) -> Result<(), ReadError> {
        let mut state = lock(&self.state);
        let State {
            active,
            segment,
            leaving,
        } = &mut *state;
        let Some(active) = active else {
            return Ok(());
        };
        active.take_up(&self.settings);
        active.end(timed_out, &mut leaving.messages, segment);
        self.release(active, u64::MAX, &mut leaving.out)?;
        active.reset();
        self.idle.set_open(false);
        Ok(())
    }

    /// Sends what was found and not sent yet.
    pub(super) fn send_rest(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        let leaving = std::mem::take(&mut lock(&self.state).leaving);
        self.send(leaving)
    }

    /// Posts and pushes what has been found, with no lock held.
    fn send(&self, leaving: Leaving) -> Result<gst::FlowSuccess, gst::FlowError> {
        for structure in leaving.messages {
            post(self.obj().upcast_ref(), structure);
        }
        let mut flow = Ok(gst::FlowSuccess::Ok);
        for item in leaving.out {
            match item {
                // Events go on where a buffer is refused, as they would had they not been held: the
                // pad keeps the sticky ones, which nobody sends again.
                Out::Buffer(buffer) if flow.is_ok() => flow = self.srcpad.push(buffer),
                Out::Buffer(_) => {}
                Out::Event(event) => {
                    self.show_speech(&event);
                    self.srcpad.push_event(event);
                }
                Out::Made(event) => {
                    self.show_speech(&event);
                    pads::push_made(&self.srcpad, event);
                }
            }
        }
        flow
    }

    /// Keeps the `speech` property at what has been sent.
    fn show_speech(&self, event: &gst::Event) {
        let change = event.structure().and_then(|s| VadChange::try_from(s).ok());
        let Some(change) = change else {
            return;
        };
        let element = self.obj();
        tracing::debug!(
            target: TARGET, element = object(&*element), speech = change.speech,
            segment = change.segment, probability = change.probability,
            timed_out = change.timed_out, "change"
        );
        if self.shown.set_speech(change.speech) {
            element.notify("speech");
        }
    }

    /// Has the read-only properties show that nothing was heard yet.
    pub(super) fn forget_shown(&self) {
        if self.shown.reset() {
            self.obj().notify("speech");
        }
    }

    /// Takes up the latency of the stream, or what it will be without one, and tells of a change.
    pub(super) fn update_latency(&self, stream: Option<gst::ClockTime>) {
        let latency = stream.unwrap_or_else(|| {
            gst::ClockTime::from_mseconds(10) * self.settings.get().delay_frames()
        });
        let latency = latency.nseconds();
        if self.latency.swap(latency, Relaxed) == latency && stream.is_some() {
            return;
        }
        self.metrics.set_latency(latency);
        if stream.is_some() {
            pads::tell_latency(&*self.obj());
        }
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let element = self.obj();
        if let gst::QueryViewMut::Latency(q) = query.view_mut() {
            let own = gst::ClockTime::from_nseconds(self.latency.load(Relaxed));
            return pads::answer_latency(q, &self.sinkpad, own);
        }
        speech::answer(query) || gst::Pad::query_default(pad, Some(&*element), query)
    }

    fn refuse(&self, refused: Refused) -> gst::FlowError {
        match refused {
            Refused::Unnegotiated => gst::FlowError::NotNegotiated,
            Refused::Unreadable(error) => self.fail(&error),
        }
    }

    /// Posts `error`. Whoever hears of it may send what takes the lock of the state: it is not held here.
    pub(super) fn fail(&self, error: &ReadError) -> gst::FlowError {
        self.metrics.add_error(&error.to_string());
        gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}"));
        gst::FlowError::Error
    }
}

/// Why a buffer was not taken.
enum Refused {
    Unnegotiated,
    Unreadable(ReadError),
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}
