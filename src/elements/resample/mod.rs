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

/// Impulse response of the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstRustResampleMethod")]
pub enum Method {
    #[enum_value(name = "The last sample", nick = "nearest")]
    Nearest,
    #[enum_value(name = "Linear interpolation", nick = "linear")]
    Linear,
    #[enum_value(name = "Cubic B-spline", nick = "cubic")]
    Cubic,
    #[enum_value(name = "Sinc, Blackman-Nuttall window", nick = "blackman-nuttall")]
    BlackmanNuttall,
    #[default]
    #[enum_value(name = "Sinc, Kaiser window", nick = "kaiser")]
    Kaiser,
}

/// How the taps of a sinc filter are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstRustResampleFilterMode")]
pub enum FilterMode {
    #[enum_value(name = "Interpolated between phases", nick = "interpolated")]
    Interpolated,
    #[enum_value(name = "Exact for every phase", nick = "full")]
    Full,
    #[default]
    #[enum_value(name = "Exact up to sinc-filter-auto-threshold", nick = "auto")]
    Auto,
}

/// How taps between stored phases are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstRustResampleFilterInterpolation")]
pub enum FilterInterpolation {
    #[enum_value(
        name = "As cubic, where there is something to interpolate",
        nick = "none"
    )]
    None,
    #[enum_value(name = "Linear", nick = "linear")]
    Linear,
    #[default]
    #[enum_value(name = "Cubic", nick = "cubic")]
    Cubic,
}

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

impl From<Method> for dsp::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Nearest => Self::Nearest,
            Method::Linear => Self::Linear,
            Method::Cubic => Self::Cubic,
            Method::BlackmanNuttall => Self::BlackmanNuttall,
            Method::Kaiser => Self::Kaiser,
        }
    }
}

impl From<FilterMode> for dsp::FilterMode {
    fn from(mode: FilterMode) -> Self {
        match mode {
            FilterMode::Interpolated => Self::Interpolated,
            FilterMode::Full => Self::Full,
            FilterMode::Auto => Self::Auto,
        }
    }
}

impl From<FilterInterpolation> for dsp::Interpolation {
    fn from(interpolation: FilterInterpolation) -> Self {
        match interpolation {
            FilterInterpolation::None => Self::None,
            FilterInterpolation::Linear => Self::Linear,
            FilterInterpolation::Cubic => Self::Cubic,
        }
    }
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
    for t in [
        Method::static_type(),
        FilterMode::static_type(),
        FilterInterpolation::static_type(),
        Engine::static_type(),
    ] {
        t.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    gst::Element::register(
        Some(plugin),
        "rustresample",
        gst::Rank::NONE,
        RustResample::static_type(),
    )
}
