// SPDX-License-Identifier: MIT

//! The elements: glue between GStreamer and the signal processing.

use gst::prelude::*;

pub mod audioconvert;
pub mod pypipelinenode;
pub mod resample;
pub mod support;
pub mod vad;

/// Who wrote the elements, for gst-inspect.
const AUTHOR: &str = "The gst-plugin-rustaudio developers";

/// Marks the enumerations of properties that are this plugin's own: others are documented by their
/// libraries.
fn mark_enumerations() {
    for kind in [
        audioconvert::ChannelsReorder::static_type(),
        audioconvert::ChannelsReorderMode::static_type(),
        resample::Engine::static_type(),
        vad::DetectorChoice::static_type(),
        vad::Mode::static_type(),
        pypipelinenode::Chunk::static_type(),
        pypipelinenode::Isolation::static_type(),
        pypipelinenode::Layout::static_type(),
        pypipelinenode::OnFailure::static_type(),
    ] {
        kind.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}

/// Registers all elements with `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    audioconvert::register(plugin)?;
    resample::register(plugin)?;
    vad::register(plugin)?;
    pypipelinenode::register(plugin)?;
    mark_enumerations();
    Ok(())
}
