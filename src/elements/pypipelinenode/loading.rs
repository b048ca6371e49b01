// SPDX-License-Identifier: MIT

//! Where a node comes from, and what it may ask of its element.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use super::PyPipelineNode;
use super::messages;
use super::settings::{Isolation, Settings};
use crate::logging::object;
use crate::python::{Callbacks, Failure, InProcess, Node, Runtime, SharedCallbacks, Spec, Worker};
use crate::resilience::Interrupt;

/// What a node was loaded from.
#[derive(PartialEq)]
pub struct Loaded {
    spec: Spec,
    isolation: Isolation,
    python_home: Option<String>,
}

impl Loaded {
    pub fn of(settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            spec: settings.spec()?,
            isolation: settings.isolation,
            python_home: settings.python_home.clone(),
        })
    }
}

/// What keeps a node from being loaded, before it was asked for.
pub fn misconfigured(text: String) -> (Failure, String) {
    (Failure::new("ConfigurationError", &text), text)
}

/// The node for `element`, with the interpreter that it runs in; what keeps it from being one, also as a
/// text. `interrupt` and `timeout`, in ns, are those of its calls.
pub fn node(
    element: &PyPipelineNode,
    from: &Loaded,
    interrupt: &Arc<Interrupt>,
    timeout: &Arc<AtomicU64>,
) -> Result<Box<dyn Node>, (Failure, String)> {
    let callbacks: SharedCallbacks = Arc::new(ToElement {
        element: element.downgrade(),
        interrupt: interrupt.clone(),
        timeout: timeout.clone(),
    });
    let home = from.python_home.as_deref();
    let failed = |failure: Failure| (failure.clone(), failure.to_string());
    let node: Box<dyn Node> = match from.isolation {
        Isolation::Process => {
            let (interrupt, timeout) = (interrupt.clone(), timeout.clone());
            let node = Worker::new(home, &from.spec, callbacks, interrupt, timeout);
            Box::new(node.map_err(failed)?)
        }
        Isolation::InProcess => {
            let runtime = Runtime::get(home).map_err(|e| misconfigured(e.to_string()))?;
            if let Some(text) = runtime.unheeded(home) {
                gst::element_warning!(element, gst::LibraryError::Settings, ("{text}"));
            }
            Box::new(InProcess::new(runtime, &from.spec, callbacks).map_err(failed)?)
        }
    };
    for text in &node.about().surprises {
        gst::element_warning!(element, gst::LibraryError::Settings, ("{text}"));
    }
    Ok(node)
}

/// What the element does for a node, which may outlive it.
struct ToElement {
    element: glib::WeakRef<PyPipelineNode>,
    interrupt: Arc<Interrupt>,
    timeout: Arc<AtomicU64>,
}

impl Callbacks for ToElement {
    fn post(&self, name: &str, fields: serde_json::Map<String, serde_json::Value>) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        match messages::from_node(name, fields) {
            Some(structure) => {
                let message = gst::message::Element::builder(structure)
                    .src(&element)
                    .build();
                let _ = element.post_message(message);
            }
            None => tracing::warn!(
                target: "pypipelinenode", element = object(&element),
                "{name:?} cannot be the name of a message"
            ),
        }
    }

    fn log(&self, level: &str, line: &str) {
        let element = self.element.upgrade();
        let element = element.as_ref().map(object);
        match level {
            "error" => tracing::error!(target: "pypipelinenode", element, "{line}"),
            "warning" => tracing::warn!(target: "pypipelinenode", element, "{line}"),
            "info" => tracing::info!(target: "pypipelinenode", element, "{line}"),
            "debug" => tracing::debug!(target: "pypipelinenode", element, "{line}"),
            _ => tracing::trace!(target: "pypipelinenode", element, "{line}"),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }

    fn limit(&self) -> Option<Duration> {
        match self.timeout.load(Relaxed) {
            0 => None,
            ns => Some(Duration::from_nanos(ns)),
        }
    }
}
