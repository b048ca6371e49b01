// SPDX-License-Identifier: MIT

//! Glue: GStreamer's tracing hooks feed the [ledger](super::ledger).

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::ledger::{self, Account, Clock, Crossing, Link};
use crate::metrics::document::{self, Node};
use crate::metrics::{Status, path_of};
use crate::resilience::lock;

/// Elements that wait inside their chain function, beside sinks.
const WAITING: [&str; 4] = ["queue", "queue2", "multiqueue", "clocksync"];

struct Known {
    element: glib::WeakRef<gst::Element>,
    account: Arc<Account>,
}

#[derive(Default)]
struct State {
    /// By address of the element; a dead weak reference means that the address was used again.
    accounts: HashMap<usize, Known>,
    /// So many accounts are a reason to look for dead ones.
    prune_at: usize,
    /// When each running pipeline went to PAUSED, in the tracer's ns.
    started: HashMap<usize, u64>,
    /// What the run of each pipeline that is stopping took, in ns, and the elements it had, with where
    /// they lay: bins may drop theirs on the way down.
    stopping: HashMap<usize, (u64, Vec<(gst::Element, String)>)>,
}

impl State {
    /// Drops the accounts of elements that are gone. The others are returned, to be dropped when
    /// the lock on this state is released.
    fn forget_the_dead(&mut self) -> Vec<gst::Element> {
        let mut alive = Vec::with_capacity(self.accounts.len());
        self.accounts.retain(|_, known| {
            let element = known.element.upgrade();
            let lives = element.is_some();
            alive.extend(element);
            lives
        });
        self.prune_at = 64.max(2 * alive.len());
        alive
    }
}

#[derive(Default)]
pub struct RustAudioMetrics {
    file: Mutex<Option<String>>,
    state: Mutex<State>,
    nobody: std::sync::OnceLock<Arc<Account>>,
}

fn address(object: &impl IsA<glib::Object>) -> usize {
    object.as_ref().as_ptr() as usize
}

/// `name` in the name of a file: it may hold separators, which would lead elsewhere, or lead elsewhere as a whole.
fn as_file_name(name: &str) -> String {
    match name {
        "." | ".." => "_".repeat(name.len()),
        _ => name.replace('/', "_"),
    }
}

/// The element that `pad` works for; a ghost pad's inner half belongs to the bin.
fn owner(pad: &gst::Pad) -> Option<gst::Element> {
    let parent = pad.parent()?;
    match parent.downcast::<gst::Element>() {
        Ok(element) => Some(element),
        Err(parent) => owner(parent.downcast_ref()?),
    }
}

fn clock_of(element: &gst::Element) -> Clock {
    let waits = element
        .factory()
        .is_some_and(|f| WAITING.contains(&f.name().as_str()));
    if element.is::<gst::Bin>() {
        Clock::Off
    } else if waits || element.element_flags().contains(gst::ElementFlags::SINK) {
        Clock::Cpu
    } else {
        Clock::Wall
    }
}

impl RustAudioMetrics {
    fn account(&self, element: Option<gst::Element>) -> Arc<Account> {
        let Some(element) = element else {
            return self
                .nobody
                .get_or_init(|| Arc::new(Account::new(Clock::Off)))
                .clone();
        };
        let mut state = lock(&self.state);
        if let Some(known) = state.accounts.get(&address(&element))
            && known.element.upgrade().as_ref() == Some(&element)
        {
            return known.account.clone();
        }
        let alive = if state.accounts.len() >= state.prune_at {
            state.forget_the_dead()
        } else {
            Vec::new()
        };
        let account = Arc::new(Account::new(clock_of(&element)));
        let known = Known {
            element: element.downgrade(),
            account: account.clone(),
        };
        state.accounts.insert(address(&element), known);
        drop(state);
        drop(alive);
        account
    }

    fn enter(&self, ts: u64, pad: &gst::Pad, crossing: Crossing) {
        ledger::enter(self.id(), address(pad), ts, crossing, || Link {
            caller: self.account(owner(pad)),
            callee: self.account(pad.peer().as_ref().and_then(owner)),
        });
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// A run of `pipeline` starts: its elements' accounts are cleared.
    fn started(&self, ts: u64, pipeline: &gst::Bin) {
        let elements = document::elements(pipeline);
        let mut state = lock(&self.state);
        let alive = state.forget_the_dead();
        for element in &elements {
            if let Some(known) = state.accounts.get(&address(element)) {
                known.account.clear();
            }
        }
        state.started.insert(address(pipeline), ts);
        // Only after the lock: this may be the last reference to an element.
        drop(state);
        drop(alive);
    }

    /// The run of `pipeline` is over; its elements are about to stop.
    fn ended(&self, ts: u64, pipeline: &gst::Bin) {
        let Some(start) = lock(&self.state).started.remove(&address(pipeline)) else {
            return;
        };
        let elements = document::elements(pipeline).into_iter();
        let elements = elements.filter(|e| !e.is::<gst::Bin>());
        let placed = elements.map(|e| {
            let path = path_of(&e);
            (e, path)
        });
        let run = (ts.saturating_sub(start), placed.collect());
        lock(&self.state).stopping.insert(address(pipeline), run);
    }

    /// The elements of `pipeline` have stopped, so their own figures are those of the whole run.
    fn stopped(&self, pipeline: &gst::Bin) {
        let Some((took, elements)) = lock(&self.state).stopping.remove(&address(pipeline)) else {
            return;
        };
        let nodes: Vec<Node> = elements
            .into_iter()
            .map(|(element, path)| Node {
                id: path,
                ..self.node(&element)
            })
            .collect();
        let name = pipeline.name();
        let text = format!("{:#}\n", document::document(&name, took, &nodes));
        let file = lock(&self.file).clone();
        match file {
            // A closed standard error is nobody's fault, and no reason to panic.
            None => {
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
            Some(pattern) => {
                let path = pattern.replace("{pipeline}", &as_file_name(&name));
                if let Err(error) = std::fs::write(&path, text) {
                    tracing::error!(target: "rustaudio", path, %error, "cannot write metrics");
                    let _ = writeln!(
                        std::io::stderr(),
                        "rustaudiometrics: cannot write {path}: {error}"
                    );
                }
            }
        }
    }

    fn node(&self, element: &gst::Element) -> Node {
        let account = self.account(Some(element.clone()));
        let (buffers, execution, times, errors, status) = account.read();
        let mut node = Node {
            factory: element
                .factory()
                .map(|f| f.name().into())
                .unwrap_or_default(),
            status,
            failures: errors,
            ..Node::default()
        };
        let seen = (buffers, execution, times);
        let Some(own) = document::own_node(element) else {
            (node.buffers, node.execution, node.times) = seen;
            return node;
        };
        // What an element knows of itself goes beyond what can be seen from outside: a node that
        // waits before it tries again does not work. Without its metrics it knows no times.
        node = own;
        if element.property_value("post-metrics").get::<bool>() == Ok(false) {
            (node.buffers, node.execution, node.times) = seen;
        }
        node.failures = node.failures.max(errors);
        if status != Status::Ok {
            node.status = status;
        }
        node
    }
}

#[glib::object_subclass]
impl ObjectSubclass for RustAudioMetrics {
    const NAME: &'static str = "GstRustAudioMetricsTracer";
    type Type = super::RustAudioMetrics;
    type ParentType = gst::Tracer;
}

impl ObjectImpl for RustAudioMetrics {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: std::sync::OnceLock<Vec<glib::ParamSpec>> = std::sync::OnceLock::new();
        PROPERTIES.get_or_init(|| {
            vec![
                glib::ParamSpecString::builder("file")
                    .nick("File")
                    .blurb(
                        "Path of the JSON document; {pipeline} stands for the pipeline's name, \
                         with _ for each / (unset = standard error)",
                    )
                    .build(),
            ]
        })
    }

    fn set_property(&self, _: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if pspec.name() == "file" {
            *lock(&self.file) = value.get().ok().flatten();
        }
    }

    fn property(&self, _: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "file" => lock(&self.file).to_value(),
            _ => pspec.default_value().clone(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        for hook in [
            TracerHook::PadPushPre,
            TracerHook::PadPushPost,
            TracerHook::PadPushListPre,
            TracerHook::PadPushListPost,
            TracerHook::PadPullRangePre,
            TracerHook::PadPullRangePost,
            TracerHook::PadLinkPost,
            TracerHook::PadUnlinkPost,
            TracerHook::ElementPostMessagePre,
            TracerHook::ElementChangeStatePre,
            TracerHook::ElementChangeStatePost,
        ] {
            self.register_hook(hook);
        }
    }
}

impl GstObjectImpl for RustAudioMetrics {}

impl TracerImpl for RustAudioMetrics {
    const USE_STRUCTURE_PARAMS: bool = true;

    fn pad_push_pre(&self, ts: u64, pad: &gst::Pad, _: &gst::Buffer) {
        self.enter(ts, pad, Crossing::Push(1));
    }

    fn pad_push_post(&self, ts: u64, _: &gst::Pad, _: Result<gst::FlowSuccess, gst::FlowError>) {
        ledger::leave(self.id(), ts);
    }

    fn pad_push_list_pre(&self, ts: u64, pad: &gst::Pad, list: &gst::BufferList) {
        self.enter(ts, pad, Crossing::Push(list.len() as u64));
    }

    fn pad_push_list_post(
        &self,
        ts: u64,
        _: &gst::Pad,
        _: Result<gst::FlowSuccess, gst::FlowError>,
    ) {
        ledger::leave(self.id(), ts);
    }

    fn pad_pull_range_pre(&self, ts: u64, pad: &gst::Pad, _: u64, _: u32) {
        self.enter(ts, pad, Crossing::Pull);
    }

    fn pad_pull_range_post(&self, ts: u64, _: &gst::Pad, _: Result<&gst::Buffer, gst::FlowError>) {
        ledger::leave(self.id(), ts);
    }

    fn pad_link_post(
        &self,
        _: u64,
        _: &gst::Pad,
        _: &gst::Pad,
        _: Result<gst::PadLinkSuccess, gst::PadLinkError>,
    ) {
        ledger::links_changed();
    }

    fn pad_unlink_post(&self, _: u64, _: &gst::Pad, _: &gst::Pad, _: bool) {
        ledger::links_changed();
    }

    fn element_post_message_pre(&self, _: u64, element: &gst::Element, message: &gst::Message) {
        let status = match message.type_() {
            gst::MessageType::Error => Status::Failed,
            gst::MessageType::Warning => Status::Degraded,
            _ => return,
        };
        // Bins pass on what their children post.
        if message.src() == Some(element.upcast_ref()) {
            self.account(Some(element.clone())).note(status);
        }
    }

    fn element_change_state_pre(&self, ts: u64, element: &gst::Element, change: gst::StateChange) {
        let Some(pipeline) = element.downcast_ref::<gst::Pipeline>() else {
            return;
        };
        match change {
            gst::StateChange::ReadyToPaused => self.started(ts, pipeline.upcast_ref()),
            // The second one where the pipeline never got to PAUSED.
            gst::StateChange::PausedToReady | gst::StateChange::ReadyToNull => {
                self.ended(ts, pipeline.upcast_ref());
            }
            _ => {}
        }
    }

    fn element_change_state_post(
        &self,
        _: u64,
        element: &gst::Element,
        _: gst::StateChange,
        _: Result<gst::StateChangeSuccess, gst::StateChangeError>,
    ) {
        if let Some(pipeline) = element.downcast_ref::<gst::Pipeline>() {
            self.stopped(pipeline.upcast_ref());
        }
    }
}
