// SPDX-License-Identifier: MIT

//! The elements: glue between GStreamer and the signal processing.

pub mod audioconvert;
pub mod pypipelinenode;
pub mod resample;
pub mod support;
pub mod vad;

/// Who wrote the elements, for gst-inspect.
const AUTHOR: &str = "The gst-plugin-rustaudio developers";

/// Registers all elements with `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    audioconvert::register(plugin)?;
    resample::register(plugin)?;
    vad::register(plugin)?;
    pypipelinenode::register(plugin)?;
    Ok(())
}
