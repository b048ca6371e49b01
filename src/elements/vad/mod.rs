// SPDX-License-Identifier: MIT

//! `rustvad`: voice activity detection on raw audio of any format, rate and channel count.
//!
//! ```text
//! gst-launch-1.0 -m filesrc location=speech.wav ! decodebin ! rustvad ! fakesink
//! ```
//!
//! Posts a `rustvad` message at each start and end of speech and sends an event of that name in
//! band; what is not speech is passed, flagged, muted or dropped. `docs/vad.md` shows what each
//! property does and how good the detector is; all of them are in `docs/properties.md`.
//!
//! Since: 0.1.0

use gst::glib;
use gst::prelude::*;

mod active;
mod events;
mod idle;
mod imp;
mod message;
mod queue;
mod settings;
mod shown;

pub use message::{CHANGE_NAME, FRAME_NAME, MessageError, Times, VadChange, VadFrame};
pub use settings::{DetectorChoice, Mode};

glib::wrapper! {
    /// The element.
    pub struct Vad(ObjectSubclass<imp::Vad>)
        @extends gst::Element, gst::Object;
}

/// Registers the element with `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "rustvad", gst::Rank::NONE, Vad::static_type())
}
