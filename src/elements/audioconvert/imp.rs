// SPDX-License-Identifier: MIT

//! Glue between `BaseTransform` and the converter.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::PadDirection;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::active::{Active, BufferError};
use super::mixing::{InUse, Mixes};
use super::negotiate;
use super::settings::{PROPERTIES, Settings, SetupError};
use crate::dsp::convert::MatrixError;
use crate::elements::support::frames::AudioBuffer;
use crate::elements::support::metas;
use crate::elements::support::metrics::{ElementMetrics, span};
use crate::elements::support::pads;
use crate::elements::support::properties::Live;
use crate::elements::support::transform::{self, PanicFlag, Transform, aligned_buffer};
use crate::logging::object;
use crate::resilience::lock;

const TARGET: &str = "rustaudioconvert";

#[derive(Default)]
struct State {
    active: Option<Active>,
    /// Why caps were refused, as it was said last: in an error, in a warning.
    refused: Option<String>,
    hinted: Option<String>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
}

pub struct AudioConvert {
    settings: Live<Settings>,
    /// The mix of the stream that plays.
    in_use: Mutex<Option<InUse>>,
    state: Mutex<State>,
    /// Downstream wants no memory of its own kind.
    plain_memory: AtomicBool,
    metrics: ElementMetrics,
    panic_flag: PanicFlag,
    seed: u64,
}

impl Default for AudioConvert {
    fn default() -> Self {
        // Elements differ, runs of a program do not.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            settings: Live::default(),
            in_use: Mutex::default(),
            state: Mutex::default(),
            plain_memory: AtomicBool::new(true),
            metrics: ElementMetrics::default(),
            panic_flag: PanicFlag::default(),
            seed: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for AudioConvert {
    const NAME: &'static str = "GstRustAudioConvert";
    type Type = super::AudioConvert;
    type ParentType = gst_base::BaseTransform;

    fn class_init(class: &mut Self::Class) {
        transform::install::<Self>(class);
    }
}

impl ObjectImpl for AudioConvert {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_gap_aware(true);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if !self.metrics.set_property(value, pspec) {
            self.set(pspec.name(), value);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if let Some(value) = self.metrics.property(&*self.obj(), pspec) {
            return value;
        }
        PROPERTIES
            .get(&self.settings.get(), pspec.name())
            .unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for AudioConvert {}

impl ElementImpl for AudioConvert {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Rust audio converter",
                "Filter/Converter/Audio",
                "Converts raw audio between all formats, layouts and channel sets",
                crate::elements::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| pads::templates(&negotiate::template()));
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.metrics.transition(&*self.obj(), transition);
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for AudioConvert {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::Both;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        self.metrics.start();
        self.parent_start()
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = State::default();
        *lock(&self.in_use) = None;
        self.metrics.finish(&*self.obj());
        self.parent_stop()
    }

    fn transform_caps(
        &self,
        direction: PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let result = self.mixes(|mixes| negotiate::transform(mixes, direction, caps, filter));
        if result.is_empty()
            && let Some(filter) = filter
        {
            self.hint(direction, caps, filter);
        }
        Some(result)
    }

    fn fixate_caps(
        &self,
        direction: PadDirection,
        caps: &gst::Caps,
        othercaps: gst::Caps,
    ) -> gst::Caps {
        let fixed = self.mixes(|mixes| negotiate::fixate(mixes, direction, caps, othercaps));
        tracing::debug!(target: TARGET, element = object(&*self.obj()), %caps, %fixed, "fixated");
        fixed
    }

    fn unit_size(&self, caps: &gst::Caps) -> Option<usize> {
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        Some(info.bpf() as usize)
    }

    fn set_caps(&self, incaps: &gst::Caps, outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let parse = |caps: &gst::Caps| {
            gst_audio::AudioInfo::from_caps(caps)
                .map_err(|e| gst::loggable_error!(gst::CAT_RUST, "invalid caps {caps}: {e}"))
        };
        let (input, output) = (parse(incaps)?, parse(outcaps)?);
        self.activate(input, output, self.settings.get())
            .map_err(|e| {
                self.refuse(&e, incaps, outcaps);
                gst::loggable_error!(gst::CAT_RUST, "{e}")
            })
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(e) => {
                let caps = e.caps_owned();
                let taken = self.parent_sink_event(event);
                if !taken {
                    self.explain(&caps);
                }
                return taken;
            }
            gst::EventView::Segment(e) => {
                let segment = e.segment().downcast_ref::<gst::ClockTime>();
                if let Some(time) = segment {
                    self.metrics.set_segment(time);
                }
                lock(&self.state).segment = segment.cloned();
            }
            gst::EventView::Eos(_) => self.metrics.finish(&*self.obj()),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        if let gst::EventView::CustomUpstream(e) = event.view()
            && let Some(s) = e.structure()
            && s.name() == "GstRequestAudioMixMatrix"
        {
            let matrix = s.value("matrix");
            let taken = matrix.is_ok_and(|matrix| self.set("mix-matrix", matrix));
            if taken {
                self.obj().notify("mix-matrix");
            }
            return taken;
        }
        self.parent_src_event(event)
    }

    fn decide_allocation(
        &self,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_decide_allocation(query)?;
        let plain = query.allocation_pools().all(|(pool, ..)| pool.is_none())
            && query.allocation_params().all(|(allocator, params)| {
                allocator.is_none() && params.prefix() == 0 && params.padding() == 0
            });
        self.plain_memory.store(plain, Ordering::Relaxed);
        Ok(())
    }

    fn transform_meta<'a>(
        &self,
        _outbuf: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        _inbuf: &'a gst::BufferRef,
    ) -> bool {
        metas::stays(&meta)
    }
}

impl Transform for AudioConvert {
    fn panic_flag(&self) -> &PanicFlag {
        &self.panic_flag
    }

    // One that cannot be written to is converted out of place rather than copied first.
    fn transform_buffer(&self, inbuf: gst::Buffer) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let mut state = lock(&self.state);
        let current = |active: &Active| self.settings.is(&active.settings);
        if !state.active.as_ref().is_none_or(current) {
            drop(state);
            let work = self.metrics.begin();
            let ready = self.rebuild();
            self.metrics.end_without_buffer(work);
            ready?;
            state = lock(&self.state);
        }
        // Buffers come after caps: without them `submit_input_buffer` refuses.
        let State {
            active, segment, ..
        } = &mut *state;
        let active = active.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let passes = active.converter.is_passthrough() && self.obj().is_passthrough();
        let input = AudioBuffer::new(inbuf, &active.input);
        let Some(input) = input.clip(segment.as_ref(), &active.input) else {
            self.metrics.drop_unread();
            return Ok(None);
        };
        let work = self.metrics.begin();
        let frames = input.frames;
        let span = span(&input.buffer, frames, active.input.rate());
        let converted = match input.partial {
            _ if passes => Ok(input.buffer),
            None => self.convert(active, input),
            Some(partial) => Err(partial.into()),
        };
        let overdue = active.overdue(frames);
        // An application may ask for a property while it gets the message or the error.
        drop(state);
        if let Some(reason) = overdue {
            self.warn(&reason);
        }
        match converted {
            Ok(outbuf) => {
                self.metrics.end(&*self.obj(), work, &span);
                Ok(Some(outbuf))
            }
            Err(e) => {
                self.metrics.end_without_buffer(work);
                Err(self.fail(e))
            }
        }
    }
}

impl AudioConvert {
    /// The output of one buffer; that itself where it can be done in place.
    fn convert(
        &self,
        active: &mut Active,
        mut input: AudioBuffer,
    ) -> Result<gst::Buffer, BufferError> {
        let silent = input.is_silence();
        if active.converter.is_in_place()
            && !input.is_described()
            && let Some(buffer) = input.buffer.get_mut()
        {
            let mut map = buffer.map_writable()?;
            if silent {
                active.converter.silence(&mut map);
            } else {
                active.converter.convert_in_place(&mut map)?;
            }
            drop(map);
            return Ok(input.buffer);
        }
        let size = input.frames as usize * active.output.bpf() as usize;
        let mut outbuf = self.output_buffer(&input.buffer, size)?;
        active.write(&input, outbuf.make_mut())?;
        Ok(outbuf)
    }

    /// A buffer of `size` bytes with what else there is in `inbuf`.
    fn output_buffer(
        &self,
        inbuf: &gst::BufferRef,
        size: usize,
    ) -> Result<gst::Buffer, BufferError> {
        use gst_base::subclass::base_transform::{InputBuffer, PrepareOutputBufferSuccess};
        if !self.plain_memory.load(Ordering::Relaxed)
            && let PrepareOutputBufferSuccess::Buffer(mut buffer) = self
                .parent_prepare_output_buffer(InputBuffer::Readable(inbuf))
                .map_err(BufferError::Allocate)?
            && buffer.size() >= size
        {
            buffer.make_mut().set_size(size);
            return Ok(buffer);
        }
        let mut buffer = aligned_buffer(size)?;
        let out = buffer.make_mut();
        if inbuf.iter_meta::<gst::Meta>().next().is_none() {
            out.set_flags(inbuf.flags() - gst::BufferFlags::TAG_MEMORY);
            out.set_pts(inbuf.pts());
            out.set_dts(inbuf.dts());
            out.set_duration(inbuf.duration());
            out.set_offset(inbuf.offset());
            out.set_offset_end(inbuf.offset_end());
        } else {
            self.parent_copy_metadata(inbuf, out).map_err(|e| {
                tracing::warn!(
                    target: TARGET, element = object(&*self.obj()), "metadata not copied: {e}"
                );
                BufferError::Allocate(gst::FlowError::Error)
            })?;
        }
        Ok(buffer)
    }

    /// Starts converting between two kinds of buffers.
    fn activate(
        &self,
        input: gst_audio::AudioInfo,
        output: gst_audio::AudioInfo,
        settings: Arc<Settings>,
    ) -> Result<(), SetupError> {
        let mut in_use = lock(&self.in_use);
        let (converter, reason) =
            settings.converter(in_use.as_ref(), &input, &output, self.seed)?;
        if reason.is_none() {
            *in_use = Some(InUse {
                mixing: settings.mixing.clone(),
                inputs: input.channels().cast_signed(),
                outputs: output.channels().cast_signed(),
            });
        }
        drop(in_use);
        let element = self.obj();
        if let Some(reason) = &reason {
            tracing::warn!(
                target: TARGET, element = object(&*element),
                "the mix that was set waits for caps that it fits: {reason}"
            );
        }
        let (passthrough, in_place) = (converter.is_passthrough(), converter.is_in_place());
        self.metrics.set_memory(converter.memory() as u64);
        let mut state = lock(&self.state);
        state.refused = None;
        state.hinted = None;
        state.active = Some(Active::new(settings, converter, reason, input, output));
        drop(state);
        element.set_in_place(in_place);
        element.set_passthrough(passthrough);
        tracing::debug!(
            target: TARGET, element = object(&*element), passthrough, in_place, "converter made"
        );
        Ok(())
    }

    /// Takes up changed settings, from the streaming thread.
    #[cold]
    fn rebuild(&self) -> Result<(), gst::FlowError> {
        let settings = self.settings.get();
        let infos = lock(&self.state).active.as_mut().map(|active| {
            // An error is told once, and what was before goes on.
            active.settings = settings.clone();
            (active.input.clone(), active.output.clone())
        });
        let Some((input, output)) = infos else {
            return Ok(());
        };
        self.activate(input, output, settings).map_err(|e| {
            self.metrics.add_error(&e.to_string());
            gst::element_imp_error!(self, gst::StreamError::Format, ("{e}"));
            gst::FlowError::NotNegotiated
        })
    }

    /// Negotiates by the mix that was set, and the one that plays.
    fn mixes<R>(&self, f: impl FnOnce(&Mixes<'_>) -> R) -> R {
        let settings = self.settings.get();
        let in_use = lock(&self.in_use);
        f(&Mixes::new(&settings.mixing, in_use.as_ref()))
    }

    /// Sets a property; false where the value is refused.
    fn set(&self, name: &str, value: &glib::Value) -> bool {
        let set = |settings: &mut Settings| PROPERTIES.set(settings, name, value);
        let element = self.obj();
        match self.settings.change(set) {
            Ok(true) if name == "mix-matrix" || name.starts_with("input-channels") => {
                // Whether something is left to do is known when the next buffer comes.
                element.set_passthrough(false);
                element.reconfigure_sink();
                element.reconfigure_src();
            }
            Ok(_) => {}
            Err(e) => {
                tracing::warn!(target: TARGET, element = object(&*element), "{name}: {e}");
                return false;
            }
        }
        true
    }

    /// Says why downstream takes nothing that `caps` could become, if that is for the channels.
    fn explain(&self, caps: &gst::Caps) {
        let peer = self.obj().src_pad().peer_query_caps(None);
        let refusal =
            self.mixes(|mixes| negotiate::refusal(mixes, PadDirection::Sink, caps, &peer));
        if let Some(refusal) = refusal {
            self.refuse(&refusal.into(), caps, &peer);
        }
    }

    /// Posts `error`, unless it was the last that was posted: caps come again with every buffer.
    fn refuse(&self, error: &SetupError, incaps: &gst::Caps, outcaps: &gst::Caps) {
        let text = error.to_string();
        let said = lock(&self.state).refused.replace(text.clone());
        if said.as_ref() == Some(&text) {
            return;
        }
        self.metrics.add_error(&text);
        gst::element_imp_error!(
            self,
            gst::CoreError::Negotiation,
            ("{text}"),
            ["input {incaps}, output {outcaps}"]
        );
    }

    /// Says why `caps` leave nothing of the `filter` of a query: who asks tells only that nothing is
    /// left, and may have others to offer.
    fn hint(&self, direction: PadDirection, caps: &gst::Caps, filter: &gst::Caps) {
        let element = self.obj();
        let pad = match direction {
            PadDirection::Sink => element.sink_pad(),
            _ => element.src_pad(),
        };
        if !pad.is_active() {
            return;
        }
        // The peer may have been asked only for what the filter can become.
        let caps = if caps.is_empty() {
            &pad.peer_query_caps(None)
        } else {
            caps
        };
        let refusal = self.mixes(|mixes| negotiate::refusal(mixes, direction, caps, filter));
        let Some(text) = refusal.map(|refusal| refusal.to_string()) else {
            return;
        };
        let said = lock(&self.state).hinted.replace(text.clone());
        if said.as_ref() != Some(&text) {
            gst::element_imp_warning!(self, gst::CoreError::Negotiation, ("{text}"));
        }
    }

    /// Says that a mix has not found its caps.
    #[cold]
    fn warn(&self, reason: &MatrixError) {
        gst::element_imp_warning!(
            self,
            gst::LibraryError::Settings,
            ("what was set last has no effect, the mix is as it was before: {reason}")
        );
    }

    #[cold]
    fn fail(&self, error: BufferError) -> gst::FlowError {
        self.metrics.add_error(&error.to_string());
        match error {
            BufferError::Allocate(flow) => flow,
            error => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                gst::FlowError::Error
            }
        }
    }
}
