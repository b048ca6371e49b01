// SPDX-License-Identifier: MIT

//! `pypipelinenode`: a Python class or function as a pipeline element.
//!
//! ```text
//! gst-launch-1.0 audiotestsrc num-buffers=100 ! audio/x-raw,format=F32LE \
//!   ! pypipelinenode module=examples/nodes/gain.py class=Gain 'kwargs={"db": -6}' \
//!   ! wavenc ! filesink location=a.wav
//! ```
//!
//! The node protocol, the failure handling and the messages are described in
//! `docs/pypipelinenode.md`, its properties in `docs/properties.md`.
//!
//! Since: 0.1.0

use gst::glib;
use gst::prelude::*;

mod chunker;
mod engine;
mod imp;
mod loading;
mod messages;
mod output;
mod planes;
mod settings;
mod stats;

pub use settings::{Chunk, Isolation, Layout, OnFailure};

glib::wrapper! {
    /// The element.
    pub struct PyPipelineNode(ObjectSubclass<imp::PyPipelineNode>)
        @extends gst::Element, gst::Object;
}

/// Registers the element with `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "pypipelinenode",
        gst::Rank::NONE,
        PyPipelineNode::static_type(),
    )
}
