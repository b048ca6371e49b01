// SPDX-License-Identifier: MIT

//! Glue: pads, events, queries, states.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::engine::{Context, Engine};
use super::loading::{self, Loaded};
use super::output::Item;
use super::settings::{PROPERTIES, Settings};
use super::stats::Stats;
use crate::elements::support::metrics::ElementMetrics;
use crate::elements::support::pads;
use crate::elements::support::properties::Live;
use crate::logging::object;
use crate::python::Failure;
use crate::resilience::lock;
use crate::resilience::{Classifier, Interrupt};

const FACTORY: &str = "pypipelinenode";

/// Settings, and what is derived from them, as the streaming thread uses them.
#[derive(Clone, Default)]
struct Active {
    settings: Settings,
    classifier: Classifier,
}

impl Active {
    fn set(&mut self, name: &str, value: &glib::Value) -> Result<bool, String> {
        let known = PROPERTIES.set(&mut self.settings, name, value)?;
        let retry_on = self.settings.retry_on.as_deref();
        self.classifier = Classifier::new(retry_on.unwrap_or_default());
        Ok(known)
    }
}

pub struct PyPipelineNode {
    sink: gst::Pad,
    src: gst::Pad,
    settings: Live<Active>,
    /// Taken out while it works, so that nobody waits for Python on this lock.
    engine: Mutex<Option<Box<Engine>>>,
    loaded: Mutex<Option<Loaded>>,
    /// Room for what one call gives; the streaming thread's own.
    out: Mutex<Vec<Item>>,
    interrupt: Arc<Interrupt>,
    /// The interrupt is for good: the end of a flush does not lift it.
    stopping: AtomicBool,
    /// As the worker process reads it, in ns.
    timeout: Arc<AtomicU64>,
    metrics: ElementMetrics,
    stats: Arc<Stats>,
    /// The node decides on its output caps.
    own_caps: AtomicBool,
    latency: AtomicU64,
}

impl PyPipelineNode {
    /// Runs `work` with the engine taken out; pushes what it gives with nothing held.
    fn with_engine<R>(
        &self,
        work: impl FnOnce(&mut Engine, &Context<'_>, &mut Vec<Item>) -> R,
    ) -> Option<(R, Result<gst::FlowSuccess, gst::FlowError>)> {
        let mut engine = lock(&self.engine).take()?;
        let active = self.settings.get();
        let element = self.obj();
        let env = Context {
            element: element.upcast_ref(),
            metrics: &self.metrics,
            stats: &self.stats,
            interrupt: &self.interrupt,
            settings: &active.settings,
            classifier: &active.classifier,
        };
        let mut out = std::mem::take(&mut *lock(&self.out));
        let result = work(&mut engine, &env, &mut out);
        *lock(&self.engine) = Some(engine);
        let mut flow = Ok(gst::FlowSuccess::Ok);
        for item in out.drain(..) {
            if flow.is_ok() {
                flow = self.send(item);
            }
        }
        *lock(&self.out) = out;
        Some((result, flow))
    }

    fn send(&self, item: Item) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (at, duration) = match item {
            Item::Buffer(buffer) => return self.src.push(buffer),
            Item::Gap(at, duration) => (at, duration),
        };
        let gap = gst::event::Gap::builder(at).duration(duration).build();
        // Whoever does not want it wants the audio after it all the same.
        pads::push_made(&self.src, gap);
        Ok(gst::FlowSuccess::Ok)
    }

    /// Runs `begin`, and the engine's steps as long as it has more to do, and pushes what each gives
    /// before the next.
    fn work_through(
        &self,
        begin: impl FnOnce(&mut Engine, &Context<'_>, &mut Vec<Item>) -> Result<bool, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut done = self.with_engine(begin);
        loop {
            match done {
                Some((Ok(true), Ok(_))) => done = self.with_engine(Engine::step),
                Some((Ok(more), flow)) => {
                    if more {
                        self.with_engine(|engine, env, _| engine.leave_rest(env));
                    }
                    return flow;
                }
                Some((Err(error), _)) => return Err(error),
                None => return Err(gst::FlowError::Flushing),
            }
        }
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let flow = self.work_through(|engine, env, out| engine.push(buffer, env, out));
        if flow == Err(gst::FlowError::NotNegotiated) {
            self.explain_refusal();
        }
        flow
    }

    /// Hands on all that waits.
    fn drain(&self) {
        let flow = self.work_through(|engine, env, out| engine.drain(env, out));
        // Otherwise what downstream or a stop does not take is nobody's any more.
        if flow == Err(gst::FlowError::NotNegotiated) {
            self.explain_refusal();
        }
    }

    /// As [`drain`](Self::drain), where no more audio comes that what was announced is about.
    fn end_audio(&self) {
        self.drain();
        self.with_engine(|engine, _, _| engine.take_up_marks());
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::Caps(e) => self.set_caps(e.caps_owned(), &event),
            EventView::Segment(e) => {
                self.end_audio();
                match e.segment().downcast_ref::<gst::ClockTime>() {
                    Some(segment) => {
                        self.metrics.set_segment(segment);
                        self.with_engine(|engine, _, _| engine.set_segment(segment));
                    }
                    None => {
                        gst::element_imp_error!(
                            self,
                            gst::StreamError::Format,
                            ["only segments in time are supported"]
                        );
                        return false;
                    }
                }
                self.src.push_event(event)
            }
            EventView::FlushStart(_) => {
                self.interrupt.raise();
                self.src.push_event(event)
            }
            EventView::FlushStop(_) => {
                self.interrupt.clear();
                // Looked at after the clear: a stop that comes later raises it itself.
                if self.stopping.load(SeqCst) {
                    self.interrupt.raise();
                }
                self.with_engine(|engine, env, _| engine.flush(env));
                self.src.push_event(event)
            }
            EventView::Eos(_) => {
                self.end_audio();
                self.metrics.finish(&*self.obj());
                self.src.push_event(event)
            }
            EventView::StreamStart(e) => {
                self.end_audio();
                // Not stored yet: what is stored is the last stream's.
                let last = self.sink.sticky_event::<gst::event::StreamStart>(0);
                if last.is_some_and(|last| last.stream_id() != e.stream_id()) {
                    self.with_engine(|engine, _, _| engine.leave_utterance());
                }
                self.src.push_event(event)
            }
            EventView::SegmentDone(_) => {
                self.end_audio();
                self.src.push_event(event)
            }
            EventView::Gap(_) => {
                self.drain();
                self.src.push_event(event)
            }
            EventView::CustomDownstream(e) => {
                if let Some(s) = e.structure().filter(|s| s.name() == "rustvad") {
                    let at = s
                        .get::<u64>("timestamp")
                        .ok()
                        .filter(|t| *t != u64::MAX)
                        .map(gst::ClockTime::from_nseconds);
                    let speech = s.get::<bool>("speech").unwrap_or(false);
                    let segment = s.get::<u64>("segment").unwrap_or(0);
                    self.with_engine(|engine, env, _| engine.mark(at, speech, segment, env));
                    // No audio follows that would show the utterance to be whole.
                    if s.get::<bool>("timed-out") == Ok(true) {
                        self.end_audio();
                    }
                }
                self.src.push_event(event)
            }
            _ => gst::Pad::event_default(&self.sink, Some(&*self.obj()), event),
        }
    }

    fn set_caps(&self, caps: gst::Caps, event: &gst::Event) -> bool {
        let info = gst_audio::AudioInfo::from_caps(&caps);
        // The same again is nothing new: the node goes on over it.
        if let Ok(info) = &info
            && let Some((Some(output), _)) =
                self.with_engine(|engine, _, _| engine.output_for(info))
        {
            return self.push_caps(info, &output, event);
        }
        self.drain();
        let Ok(info) = info else {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ["bad caps {caps}"]);
            return false;
        };
        let started = self.with_engine(|engine, env, _| {
            let output = engine.start(&info, &caps, env);
            output.ok_or(engine.is_unfit())
        });
        let output = match started {
            Some((Ok(output), _)) => output,
            // The error is told. Refused caps would have the source tell another, of its own, so they
            // are taken, and the audio is turned away as at a stop.
            Some((Err(unfit), _)) => return unfit,
            None => return false,
        };
        self.push_caps(&info, &output, event)
    }

    /// Tells downstream of the `output` that the node makes of `info`, which `event` brought.
    fn push_caps(
        &self,
        info: &gst_audio::AudioInfo,
        output: &gst_audio::AudioInfo,
        event: &gst::Event,
    ) -> bool {
        if output == info {
            return self.src.push_event(event.clone());
        }
        match output.to_caps() {
            Ok(caps) => self.src.push_event(
                gst::event::Caps::builder(&caps)
                    .seqnum(event.seqnum())
                    .build(),
            ),
            Err(error) => {
                gst::element_imp_error!(self, gst::CoreError::Negotiation, ["{error}"]);
                false
            }
        }
    }

    /// Says what was not negotiated, where nobody else knows: caps that the node decides on do not
    /// come from the source, and a refusal of them shows at the first buffer.
    fn explain_refusal(&self) {
        if self.sink.current_caps().is_none() {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ["no caps yet"]);
            return;
        }
        let takes = self.src.peer_query_caps(None);
        let made = self.src.sticky_event::<gst::event::Caps>(0);
        if let Some(made) = made.filter(|made| !takes.can_intersect(made.caps())) {
            gst::element_imp_error!(
                self,
                gst::CoreError::Negotiation,
                (
                    "the node makes {} of its input, and what comes next takes only {takes}: put \
                     `rustaudioconvert ! rustresample` between them",
                    made.caps()
                )
            );
        }
    }

    fn sink_query(&self, query: &mut gst::QueryRef) -> bool {
        if matches!(query.view(), gst::QueryView::Drain(_)) {
            self.drain();
        }
        self.query(&self.sink, query)
    }

    fn src_query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(q) = query.view_mut() {
            let own = gst::ClockTime::from_nseconds(self.latency.load(Relaxed));
            return pads::answer_latency(q, &self.sink, own);
        }
        self.query(&self.src, query)
    }

    /// Where the node makes other caps of its input, neither side has a say in what the other takes.
    fn query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if self.own_caps.load(Relaxed) {
            let own = pad.pad_template_caps();
            match query.view_mut() {
                gst::QueryViewMut::Caps(q) => {
                    let first = gst::CapsIntersectMode::First;
                    let caps = q.filter().map(|f| f.intersect_with_mode(&own, first));
                    q.set_result(&caps.unwrap_or(own));
                    return true;
                }
                gst::QueryViewMut::AcceptCaps(q) => {
                    let accepted = q.caps().is_subset(&own);
                    q.set_result(accepted);
                    return true;
                }
                _ => {}
            }
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    /// Loads the interpreter and the node.
    fn open(&self) -> Result<(), (Failure, String)> {
        let loaded = Loaded::of(&self.settings.get().settings).map_err(loading::misconfigured)?;
        let node = loading::node(&self.obj(), &loaded, &self.interrupt, &self.timeout)?;
        self.own_caps.store(node.about().has_output_caps, Relaxed);
        *lock(&self.engine) = Some(Box::new(Engine::new(node)));
        *lock(&self.loaded) = Some(loaded);
        Ok(())
    }

    /// As [`open`](Self::open); what goes wrong is told.
    fn load(&self) -> Result<(), gst::StateChangeError> {
        self.open().map_err(|(failure, text)| {
            self.metrics.add_error(&text);
            gst::element_imp_error!(
                self,
                gst::LibraryError::Init,
                ("{text}"),
                ["{}", failure.traceback]
            );
            gst::StateChangeError
        })
    }

    /// Loads the node again where in READY it became another one.
    fn load_if_changed(&self, settings: &Settings) -> Result<(), gst::StateChangeError> {
        let is_same =
            Loaded::of(settings).is_ok_and(|wanted| lock(&self.loaded).as_ref() == Some(&wanted));
        if is_same {
            return Ok(());
        }
        self.unload();
        self.load()
    }

    fn unload(&self) {
        *lock(&self.loaded) = None;
        let engine = lock(&self.engine).take();
        drop(engine);
    }

    fn stop(&self) {
        let mut engine = lock(&self.engine).take();
        if let Some(Err(failure)) = engine.as_mut().map(|e| e.stop())
            && !failure.closed
        {
            self.metrics.add_error(&failure.to_string());
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Shutdown,
                ("the node's stop failed: {failure}"),
                ["{}", failure.traceback]
            );
        }
        *lock(&self.engine) = engine;
    }
}

static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
    use gst_audio::{AudioFormat as F, AudioLayout};
    // What numpy has a type for.
    let formats = [
        gst_audio::AUDIO_FORMAT_F32,
        gst_audio::AUDIO_FORMAT_F64,
        gst_audio::AUDIO_FORMAT_S16,
        gst_audio::AUDIO_FORMAT_S32,
        F::S8,
        F::U8,
        gst_audio::AUDIO_FORMAT_U16,
        gst_audio::AUDIO_FORMAT_U32,
    ];
    let caps = gst_audio::AudioCapsBuilder::new()
        .format_list(formats)
        .layout_list([AudioLayout::Interleaved, AudioLayout::NonInterleaved])
        .build();
    pads::templates(&caps)
});

#[glib::object_subclass]
impl ObjectSubclass for PyPipelineNode {
    const NAME: &'static str = "GstPyPipelineNode";
    type Type = super::PyPipelineNode;
    type ParentType = gst::Element;

    fn with_class(klass: &Self::Class) -> Self {
        let template = |name: &str| klass.pad_template(name);
        let sink = match template("sink") {
            Some(t) => gst::Pad::builder_from_template(&t),
            None => gst::Pad::builder(gst::PadDirection::Sink).name("sink"),
        };
        let src = match template("src") {
            Some(t) => gst::Pad::builder_from_template(&t),
            None => gst::Pad::builder(gst::PadDirection::Src).name("src"),
        };
        let sink = sink
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| this.chain(buffer),
                )
            })
            .event_function(|_, parent, event| {
                // What a stop keeps from passing is no fault, which the source would tell.
                let event = |this: &Self| this.sink_event(event) || this.stopping.load(SeqCst);
                Self::catch_panic_pad_function(parent, || false, event)
            })
            .query_function(|_, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_query(query))
            })
            .flags(gst::PadFlags::PROXY_CAPS | gst::PadFlags::ACCEPT_TEMPLATE)
            .build();
        let src = src
            .query_function(|_, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_query(query))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        Self {
            sink,
            src,
            settings: Live::default(),
            engine: Mutex::default(),
            loaded: Mutex::default(),
            out: Mutex::default(),
            interrupt: Arc::default(),
            stopping: AtomicBool::new(false),
            timeout: Arc::default(),
            metrics: ElementMetrics::default(),
            stats: Arc::default(),
            own_caps: AtomicBool::new(false),
            latency: AtomicU64::new(0),
        }
    }
}

impl ObjectImpl for PyPipelineNode {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let stats = self.stats.clone();
        self.metrics.set_extra(move || stats.fields());
        pads::add(&*self.obj(), [&self.sink, &self.src]);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if self.metrics.set_property(value, pspec) {
            return;
        }
        let set = |active: &mut Active| {
            let known = active.set(pspec.name(), value);
            self.timeout.store(active.settings.timeout, Relaxed);
            known
        };
        if let Err(refused) = self.settings.change(set) {
            tracing::warn!(target: FACTORY, element = object(&*self.obj()), "{refused}");
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.metrics
            .property(&*self.obj(), pspec)
            .or_else(|| PROPERTIES.get(&self.settings.get().settings, pspec.name()))
            .unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for PyPipelineNode {}

impl ElementImpl for PyPipelineNode {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Python pipeline node",
                "Filter/Effect/Audio",
                "Runs a Python class or function on numpy views of the audio, with retries, a \
                 circuit breaker and metrics",
                crate::elements::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.metrics.transition(&*self.obj(), transition);
        match transition {
            gst::StateChange::NullToReady => {
                crate::logging::refresh();
                self.stopping.store(false, SeqCst);
                self.interrupt.clear();
                self.load()?;
            }
            gst::StateChange::ReadyToPaused => {
                let active = self.settings.get();
                self.stopping.store(false, SeqCst);
                self.interrupt.clear();
                self.load_if_changed(&active.settings)?;
                self.stats.reset();
                self.metrics.start();
                self.latency.store(active.settings.latency(), Relaxed);
                self.metrics.set_latency(active.settings.latency());
                if let Some(engine) = lock(&self.engine).as_mut() {
                    engine.reset(&active.settings);
                }
            }
            // Ends a wait for the next attempt, which holds the stream lock.
            gst::StateChange::PausedToReady => {
                self.stopping.store(true, SeqCst);
                self.interrupt.raise();
            }
            _ => {}
        }
        let done = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => {
                self.stop();
                self.metrics.finish(&*self.obj());
            }
            gst::StateChange::ReadyToNull => {
                self.unload();
            }
            _ => {}
        }
        Ok(done)
    }
}
