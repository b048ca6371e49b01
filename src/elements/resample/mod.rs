// SPDX-License-Identifier: MIT

//! `rustresample`: sample-rate conversion, a drop-in for `audioresample`.
//!
//! ```text
//! gst-launch-1.0 audiotestsrc num-buffers=100 ! audio/x-raw,rate=44100 ! rustresample ! \
//!     audio/x-raw,rate=16000 ! wavenc ! filesink location=out.wav
//! ```
//!
//! Which engine when, and what each costs, is in `docs/resample.md`, properties are in
//! `docs/properties.md`.
//!
//! Since: 0.1.0

use gst::glib;
use gst::prelude::*;

use crate::dsp::resample as dsp;

mod imp;
mod settings;
mod state;

/// Who does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstRustResampleEngine")]
pub enum Engine {
    #[default]
    #[enum_value(
        name = "The cheapest that meets quality and max-latency",
        nick = "auto"
    )]
    Auto,
    #[enum_value(name = "Polyphase filter in the time domain", nick = "polyphase")]
    Polyphase,
    #[enum_value(name = "Blocks in the frequency domain", nick = "fft")]
    Fft,
    #[enum_value(
        name = "Interpolated sinc, for any and for varying ratios",
        nick = "sinc"
    )]
    Sinc,
    #[enum_value(
        name = "Blocks in the frequency domain, by rubato",
        nick = "rubato-fft"
    )]
    RubatoFft,
    #[enum_value(
        name = "Interpolated sinc, for any and for varying ratios, by rubato",
        nick = "rubato-sinc"
    )]
    RubatoSinc,
}

impl From<Engine> for dsp::EngineChoice {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Auto => Self::Auto,
            Engine::Polyphase => Self::Polyphase,
            Engine::Fft => Self::Fft,
            Engine::Sinc => Self::Sinc,
            Engine::RubatoFft => Self::RubatoFft,
            Engine::RubatoSinc => Self::RubatoSinc,
        }
    }
}

glib::wrapper! {
    pub struct RustResample(ObjectSubclass<imp::RustResample>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element with `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "rustresample",
        gst::Rank::NONE,
        RustResample::static_type(),
    )
}
