// SPDX-License-Identifier: MIT

//! `rustaudiometrics`: what every element of a pipeline costs, stock ones included.
//!
//! ```text
//! GST_TRACERS='rustaudiometrics(file="metrics.json")' gst-launch-1.0 …
//! ```
//!
//! When a pipeline goes back to READY, its [document](crate::metrics::document) is written to
//! `file`, in which `{pipeline}` stands for the pipeline's name, with `_` for each `/`; without `file` it
//! goes to standard error. `execution_time_ms` is an element's own work: what it pushes to or pulls from is counted
//! there. Elements of this plugin say themselves what they did, so that each figure is the one of their
//! messages. Others that wait inside their chain function (sinks, queues, clocksync) and the
//! threads of sources are measured by their thread's CPU time, so that waiting does not count.

mod imp;
mod ledger;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The tracer.
    pub struct RustAudioMetrics(ObjectSubclass<imp::RustAudioMetrics>)
        @extends gst::Tracer, gst::Object;
}

/// Registers the tracer with `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Tracer::register(
        Some(plugin),
        "rustaudiometrics",
        RustAudioMetrics::static_type(),
    )
}
