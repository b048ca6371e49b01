// SPDX-License-Identifier: MIT

//! GStreamer elements for speech and AI audio: `rustaudioconvert`, `rustresample`, `rustvad` and
//! `pypipelinenode`.
//!
//! The signal processing ([`dsp`]) is a crate of its own, `rustaudio-dsp`, and so are retries, the
//! breaker and metrics ([`resilience`]), `rustaudio-resilience`; [`elements`] is the glue.

#![deny(unsafe_code)]

pub use rustaudio_dsp as dsp;
pub use rustaudio_resilience as resilience;

pub mod elements;
mod ffi;
pub mod logging;
pub mod metrics;
pub mod python;
pub mod tracer;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    logging::init();
    elements::register(plugin)?;
    tracer::register(plugin)
}

gst::plugin_define!(
    rustaudio,
    concat!(
        env!("CARGO_PKG_DESCRIPTION"),
        "; the tracer rustaudiometrics writes what each element of a pipeline costs as JSON, to file or standard error"
    ),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("PACKAGE_ORIGIN"),
    env!("BUILD_REL_DATE")
);
