// SPDX-License-Identifier: MIT

//! Glue between the resampler and `GstBaseTransform`.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::settings::{PROPERTIES, Settings};
use super::state::{State, StateError};
use crate::elements::support::frames::{AudioBuffer, Partial};
use crate::elements::support::metas::copy_metas;
use crate::elements::support::metrics::{self, ElementMetrics};
use crate::elements::support::pads;
use crate::elements::support::properties::Live;
use crate::elements::support::transform::{self, PanicFlag, Transform};
use crate::logging::object;
use crate::resilience::lock;

const FACTORY: &str = "rustresample";

#[derive(Default)]
pub struct RustResample {
    settings: Live<Settings>,
    /// Not locked while pushing or posting.
    running: Mutex<Running>,
    metrics: ElementMetrics,
    panic_flag: PanicFlag,
}

#[derive(Default)]
struct Running {
    /// `None`: not negotiated, or passthrough.
    state: Option<State>,
    /// Those that it was made by.
    settings: Arc<Settings>,
    infos: Option<(gst_audio::AudioInfo, gst_audio::AudioInfo)>,
    reversed: bool,
    /// What passes next does not follow what was filtered.
    discont: bool,
    /// What was last said of a latency that is exceeded.
    exceeded: Option<String>,
    /// That half a frame is left out was said.
    said_partial: bool,
    /// Why caps were refused, as it was said last.
    refused: Option<String>,
    /// That of the buffers; `None` where it has none or is not of time.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
}

#[glib::object_subclass]
impl ObjectSubclass for RustResample {
    const NAME: &'static str = "GstRustResample";
    type Type = super::RustResample;
    type ParentType = gst_base::BaseTransform;

    fn class_init(class: &mut Self::Class) {
        transform::install::<Self>(class);
    }
}

impl ObjectImpl for RustResample {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if self.metrics.set_property(value, pspec) {
            return;
        }
        let set = |settings: &mut Settings| PROPERTIES.set(settings, pspec.name(), value);
        if let Err(refused) = self.settings.change(set) {
            tracing::warn!(target: FACTORY, element = object(&*self.obj()), "{refused}");
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if let Some(value) = self.metrics.property(&*self.obj(), pspec) {
            return value;
        }
        if pspec.name() == "active-engine" {
            let running = lock(&self.running);
            return match (&running.state, &running.infos) {
                (Some(state), _) => state.engine().name(),
                (None, Some(_)) => "passthrough",
                (None, None) => "none",
            }
            .to_value();
        }
        PROPERTIES
            .get(&self.settings.get(), pspec.name())
            .unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for RustResample {}

impl ElementImpl for RustResample {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Rust audio resampler",
                "Filter/Converter/Audio",
                "Converts sample rates with exact filters, exact timestamps and metrics",
                crate::elements::AUTHOR,
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_audio::AudioCapsBuilder::new().build();
            pads::templates(&caps)
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.metrics.transition(&*self.obj(), transition);
        self.parent_change_state(transition)
    }
}

impl RustResample {
    fn set_up(
        &self,
        running: &mut Running,
        in_info: &gst_audio::AudioInfo,
        out_info: &gst_audio::AudioInfo,
    ) -> Result<(), StateError> {
        let settings = self.settings.get();
        running.settings = settings.clone();
        running.discont |= running.state.is_some();
        running.state = if in_info == out_info && settings.may_pass() {
            None
        } else {
            let (i, o) = (in_info.clone(), out_info.clone());
            Some(State::new(i, o, &settings, running.reversed)?)
        };
        running.infos = Some((in_info.clone(), out_info.clone()));
        running.said_partial = false;
        running.refused = None;
        Ok(())
    }

    /// Takes over changed properties in the streaming thread.
    #[cold]
    fn take_up_settings(&self, mut running: MutexGuard<'_, Running>) -> Result<(), StateError> {
        let before = running.state.as_ref().map(State::latency);
        let settings = self.settings.get();
        running.settings = settings.clone();
        match &mut running.state {
            Some(state) => state.apply(&settings)?,
            None => {
                if let Some((in_info, out_info)) = running.infos.clone() {
                    self.set_up(&mut running, &in_info, &out_info)?;
                }
            }
        }
        let after = running.state.as_ref().map(State::latency);
        drop(running);
        self.publish(before != after);
        Ok(())
    }

    /// Tells passthrough, latency and memory to whom they concern, and of a bound that is exceeded
    /// once.
    fn publish(&self, latency_changed: bool) {
        let (latency, memory, active, exceeded) = {
            let mut running = lock(&self.running);
            let said = running.exceeded.take();
            let state = running.state.as_ref();
            running.exceeded = state.and_then(|state| state.exceeds(&running.settings));
            let exceeded = running
                .exceeded
                .clone()
                .filter(|_| running.exceeded != said);
            let state = running.state.as_ref();
            (
                state.map_or(gst::ClockTime::ZERO, State::latency),
                state.map_or(0, State::memory),
                state.is_some(),
                exceeded,
            )
        };
        let element = self.obj();
        element.set_passthrough(!active);
        self.metrics.set_latency(latency.nseconds());
        self.metrics.set_memory(memory as u64);
        if latency_changed {
            pads::tell_latency(&*element);
        }
        if let Some(text) = exceeded {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{text}"));
        }
    }

    /// Whether new caps leave the tail to the stream that follows: downstream, which may be another
    /// peer than before, does not take the old rate any more.
    fn goes_on(&self, in_info: &gst_audio::AudioInfo, out_info: &gst_audio::AudioInfo) -> bool {
        let running = lock(&self.running);
        let Some(state) = &running.state else {
            return false;
        };
        if !state.differs_in_out_rate(in_info, out_info) {
            return false;
        }
        let old = state.out_info.to_caps();
        drop(running);
        let pad = self.obj().src_pad().clone();
        old.is_ok_and(|old| pad.peer().is_some() && !pad.peer_query_accept_caps(&old))
    }

    /// Sends out the tail of the stream.
    #[cold]
    fn drain(&self) {
        let work = self.metrics.begin();
        let tail = lock(&self.running).state.as_mut().map(State::drain);
        self.metrics.end_without_buffer(work);
        match tail {
            Some(Ok(Some(buffer))) => {
                let lost = buffer.duration().unwrap_or_default();
                match self.obj().src_pad().push(buffer) {
                    Ok(_) => {}
                    // Whoever flushes, has seen the end, failed or is gone wants no tail.
                    Err(
                        gst::FlowError::Flushing
                        | gst::FlowError::Eos
                        | gst::FlowError::Error
                        | gst::FlowError::NotLinked,
                    ) => {}
                    Err(flow) => {
                        self.metrics.add_dropped(1);
                        gst::element_imp_warning!(
                            self,
                            gst::CoreError::Negotiation,
                            ("downstream did not take the last {lost} of the stream"),
                            ["pushing the tail at the old caps: {flow}"]
                        );
                    }
                }
            }
            Some(Err(error)) => self.fail(&error),
            _ => {}
        }
    }

    /// Posts `error` as an element error.
    #[cold]
    fn fail(&self, error: &StateError) {
        self.metrics.add_error(&error.to_string());
        match error {
            StateError::Resample(_) | StateError::Format(_) => {
                gst::element_imp_error!(self, gst::LibraryError::Settings, ("{}", error));
            }
            _ => gst::element_imp_error!(self, gst::StreamError::Failed, ("{}", error)),
        }
    }

    /// As [`fail`](Self::fail), unless it was the last that was posted: caps come again with every
    /// buffer.
    fn refuse(&self, error: &StateError) {
        let text = error.to_string();
        let said = lock(&self.running).refused.replace(text.clone());
        if said != Some(text) {
            self.fail(error);
        }
    }

    /// Says at the first of a stream what is left out of such buffers.
    #[cold]
    fn lose(&self, partial: &Partial) {
        self.metrics.add_dropped(1);
        if !std::mem::replace(&mut lock(&self.running).said_partial, true) {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("{partial}; here they are left out")
            );
        }
    }

    /// The output of `input`, if there is any.
    fn process(
        &self,
        mut running: MutexGuard<'_, Running>,
        input: &AudioBuffer,
    ) -> Result<Option<gst::Buffer>, StateError> {
        let Some(state) = running.state.as_mut() else {
            let mut output = input.buffer.clone();
            if std::mem::take(&mut running.discont) {
                output.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
            return Ok(Some(output));
        };
        state.push(input)?;
        let mut output = state.pull()?;
        drop(running);
        if let Some(output) = output.as_mut().and_then(gst::Buffer::get_mut) {
            copy_metas(&input.buffer, output);
        }
        Ok(output)
    }
}

impl BaseTransformImpl for RustResample {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        self.metrics.start();
        *lock(&self.running) = Running::default();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.metrics.finish(&*self.obj());
        *lock(&self.running) = Running::default();
        Ok(())
    }

    fn transform_caps(
        &self,
        _direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let all = at_any_rate(caps);
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&all, gst::CapsIntersectMode::First),
            None => all,
        })
    }

    fn fixate_caps(
        &self,
        _direction: gst::PadDirection,
        caps: &gst::Caps,
        mut othercaps: gst::Caps,
    ) -> gst::Caps {
        let rate = caps.structure(0).and_then(|s| s.get::<i32>("rate").ok());
        othercaps.truncate();
        if let (Some(rate), Some(structure)) = (rate, othercaps.make_mut().structure_mut(0)) {
            structure.fixate_field_nearest_int("rate", rate);
        }
        othercaps.fixate();
        othercaps
    }

    fn set_caps(&self, incaps: &gst::Caps, outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let parse = |caps| {
            gst_audio::AudioInfo::from_caps(caps).map_err(|_| {
                gst::loggable_error!(gst::CAT_RUST, "caps are not raw audio: {}", caps)
            })
        };
        let (in_info, out_info) = (parse(incaps)?, parse(outcaps)?);
        let infos = Some((in_info.clone(), out_info.clone()));
        if lock(&self.running).infos == infos {
            return Ok(());
        }
        let done = if self.goes_on(&in_info, &out_info) {
            let mut running = lock(&self.running);
            let state = running.state.as_mut();
            let changed = state.map_or(Ok(()), |state| state.change_out_rate(&out_info));
            if changed.is_ok() {
                running.infos = infos;
            }
            changed
        } else {
            self.drain();
            self.set_up(&mut lock(&self.running), &in_info, &out_info)
        };
        if let Err(error) = done {
            self.refuse(&error);
            return Err(gst::loggable_error!(gst::CAT_RUST, "{}", error));
        }
        self.publish(true);
        let running = lock(&self.running);
        if let Some(state) = &running.state {
            tracing::info!(
                target: "rustresample", element = object(&*self.obj()), engine = state.engine().name(),
                in_rate = in_info.rate(), out_rate = out_info.rate(), channels = in_info.channels(),
                latency = state.latency().nseconds(), memory = state.memory(), "negotiated"
            );
        }
        Ok(())
    }

    fn unit_size(&self, caps: &gst::Caps) -> Option<usize> {
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        Some(info.bpf() as usize)
    }

    fn transform_size(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        size: usize,
        othercaps: &gst::Caps,
    ) -> Option<usize> {
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        let other = gst_audio::AudioInfo::from_caps(othercaps).ok()?;
        let frames = (size / info.bpf() as usize) as u64;
        let (to, from) = (u64::from(other.rate()), u64::from(info.rate()));
        let frames = match direction {
            gst::PadDirection::Sink => frames.mul_div_ceil(to, from)?,
            _ => frames.mul_div_floor(to, from)?,
        };
        Some(frames as usize * other.bpf() as usize)
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let own = lock(&self.running).state.as_ref().map(State::latency);
        if let (gst::PadDirection::Src, gst::QueryViewMut::Latency(q), Some(own)) =
            (direction, query.view_mut(), own)
        {
            return pads::answer_latency(q, self.obj().sink_pad(), own);
        }
        BaseTransformImplExt::parent_query(self, direction, query)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStop(_) => {
                let mut running = lock(&self.running);
                let reversed = running.reversed;
                running.segment = None;
                if let Some(state) = &mut running.state {
                    state.reset(reversed);
                }
            }
            gst::EventView::Segment(e) => {
                self.drain();
                let reversed = e.segment().rate() < 0.0;
                if let Some(segment) = e.segment().downcast_ref::<gst::ClockTime>() {
                    self.metrics.set_segment(segment);
                }
                let mut running = lock(&self.running);
                running.reversed = reversed;
                running.segment = e.segment().downcast_ref().cloned();
                if let Some(state) = &mut running.state {
                    state.reset(reversed);
                }
            }
            // What is between here and the next buffer is no audio: the stream ends here, and the
            // next buffer starts at its own timestamp.
            gst::EventView::StreamStart(_) | gst::EventView::Gap(_) => self.drain(),
            gst::EventView::Eos(_) => {
                self.drain();
                self.metrics.finish(&*self.obj());
            }
            _ => {}
        }
        self.parent_sink_event(event)
    }
}

impl Transform for RustResample {
    fn panic_flag(&self) -> &PanicFlag {
        &self.panic_flag
    }

    fn transform_buffer(&self, buffer: gst::Buffer) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let mut running = lock(&self.running);
        if !self.settings.is(&running.settings) {
            if let Err(error) = self.take_up_settings(running) {
                self.fail(&error);
                return Err(gst::FlowError::Error);
            }
            running = lock(&self.running);
        }
        // Buffers come after caps: without them `submit_input_buffer` refuses.
        let (info, _) = running
            .infos
            .as_ref()
            .ok_or(gst::FlowError::NotNegotiated)?;
        let rate = info.rate();
        let input = AudioBuffer::new(buffer, info);
        let Some(input) = input.clip(running.segment.as_ref(), info) else {
            self.metrics.drop_unread();
            return Ok(None);
        };
        if let Some(partial) = &input.partial
            && running.state.is_some()
        {
            drop(running);
            self.lose(partial);
            running = lock(&self.running);
        }
        let state = running.state.as_ref();
        if state.is_some_and(|state| state.jumps(&input)) {
            // Pushed rather than returned: the base class would mark it as discontinuous in place
            // of the buffer after it.
            drop(running);
            self.drain();
            running = lock(&self.running);
        }
        let work = self.metrics.begin();
        let span = metrics::span(&input.buffer, input.frames, rate);
        match self.process(running, &input) {
            Ok(output) => {
                self.metrics.end(&*self.obj(), work, &span);
                Ok(output)
            }
            Err(error) => {
                self.metrics.end_without_buffer(work);
                self.fail(&error);
                Err(gst::FlowError::Error)
            }
        }
    }
}

/// `caps` at every rate, as `audioresample` has them: a structure whose rate is no range comes first as
/// it is, since that is a rate that the other side would rather have.
fn at_any_rate(caps: &gst::Caps) -> gst::Caps {
    let mut all = gst::Caps::new_empty();
    let list = all.make_mut();
    for (structure, features) in caps.iter_with_features() {
        if list.is_subset_structure_full(structure, Some(features)) {
            continue;
        }
        let mut any = structure.to_owned();
        if let Ok(rate) = structure.value("rate")
            && !rate.is::<gst::IntRange<i32>>()
        {
            list.append_structure_full(any.clone(), Some(features.to_owned()));
        }
        any.set("rate", gst::IntRange::new(1, i32::MAX));
        list.append_structure_full(any, Some(features.to_owned()));
    }
    all
}
