// SPDX-License-Identifier: MIT

//! `rustaudioconvert`: any raw audio format, layout and channel set to any other.
//!
//! ```text
//! gst-launch-1.0 audiotestsrc num-buffers=100 ! audio/x-raw,format=F32LE,channels=2 \
//!   ! rustaudioconvert ! audio/x-raw,format=S16LE,channels=1 ! wavenc ! filesink location=a.wav
//! ```
//!
//! A drop-in for `audioconvert`: same properties, values, defaults and negotiation. What is computed
//! differently, and why, is in `docs/convert.md`, properties are in `docs/properties.md`.
//!
//! Since: 0.1.0

use gst::glib;
use gst::prelude::*;

mod active;
mod imp;
mod mixing;
mod negotiate;
mod settings;

pub use mixing::{ChannelsReorder, ChannelsReorderMode};

glib::wrapper! {
    /// The element.
    pub struct AudioConvert(ObjectSubclass<imp::AudioConvert>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element with `plugin`, below the stock one in rank: it is chosen by name.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "rustaudioconvert",
        gst::Rank::NONE,
        AudioConvert::static_type(),
    )
}
