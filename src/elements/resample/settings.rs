// SPDX-License-Identifier: MIT

//! The properties.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use gst_audio::{AudioResamplerMethod, ffi as audio};

use super::Engine;
use crate::dsp::resample::{FilterMode, Interpolation, MAX_QUALITY, Method, Spec};
use crate::elements::support::metrics;
use crate::elements::support::properties::{
    Foreign, Property, Table, choice, field, foreign_choice, property,
};
use crate::elements::support::timeline::{frames_to_time, time_to_frames};
use crate::ffi;

/// `max-latency` that stands for what `audioresample` has.
const AS_AUDIORESAMPLE: u64 = u64::MAX;

#[derive(Clone, Debug)]
pub struct Settings {
    quality: i32,
    method: AudioResamplerMethod,
    filter_mode: FilterMode,
    auto_threshold: u32,
    interpolation: Interpolation,
    engine: Engine,
    /// ns.
    max_latency: u64,
    rate_correction: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quality: 4,
            method: AudioResamplerMethod::Kaiser,
            filter_mode: FilterMode::default(),
            auto_threshold: 1 << 20,
            interpolation: Interpolation::default(),
            engine: Engine::default(),
            max_latency: AS_AUDIORESAMPLE,
            rate_correction: 1.0,
        }
    }
}

impl Foreign for FilterMode {
    fn kind() -> glib::Type {
        ffi::resampler_filter_mode()
    }
    const VALUES: &'static [(i32, Self)] = &[
        (
            audio::GST_AUDIO_RESAMPLER_FILTER_MODE_INTERPOLATED,
            Self::Interpolated,
        ),
        (audio::GST_AUDIO_RESAMPLER_FILTER_MODE_FULL, Self::Full),
        (audio::GST_AUDIO_RESAMPLER_FILTER_MODE_AUTO, Self::Auto),
    ];
}

impl Foreign for Interpolation {
    fn kind() -> glib::Type {
        ffi::resampler_filter_interpolation()
    }
    const VALUES: &'static [(i32, Self)] = &[
        (
            audio::GST_AUDIO_RESAMPLER_FILTER_INTERPOLATION_NONE,
            Self::None,
        ),
        (
            audio::GST_AUDIO_RESAMPLER_FILTER_INTERPOLATION_LINEAR,
            Self::Linear,
        ),
        (
            audio::GST_AUDIO_RESAMPLER_FILTER_INTERPOLATION_CUBIC,
            Self::Cubic,
        ),
    ];
}

/// Each property once.
pub static PROPERTIES: LazyLock<Table<Settings>> =
    LazyLock::new(|| {
        Table::new(vec![
        property("quality", field!(Settings.quality))
            .within(0..=i32::from(MAX_QUALITY))
            .mutable_playing(
                "Quality",
                "Filter quality, 0 the lowest and 10 the best, as audioresample's",
            ),
        choice("resample-method", field!(Settings.method))
            .mutable_playing("Resample method", "Impulse response of the filter"),
        foreign_choice(
            "sinc-filter-mode",
            field!(Settings.filter_mode),
            "Sinc filter table mode",
            "How the taps of a sinc filter are stored",
        ),
        property("sinc-filter-auto-threshold", field!(Settings.auto_threshold)).mutable_playing(
            "Sinc filter auto mode threshold",
            "Largest exact filter table with sinc-filter-mode=auto, in bytes",
        ),
        foreign_choice(
            "sinc-filter-interpolation",
            field!(Settings.interpolation),
            "Sinc filter interpolation",
            "How taps between the stored phases are found",
        ),
        choice("engine", field!(Settings.engine)).mutable_playing("Engine", "Who does the work"),
        property("max-latency", field!(Settings.max_latency)).mutable_playing(
            "Maximum latency",
            "Upper bound of the element's latency in ns; quality gives way to it, down to 0. \
             Where that filter (4 frames of the lower rate; resample-method=nearest: 1 input \
             frame) is still longer, a warning names the least. Default: as audioresample at \
             this quality. 1000000000 frees engine=auto to choose fft",
        ),
        property("rate-correction", field!(Settings.rate_correction))
            .within(0.9..=1.1)
            .mutable_playing(
                "Rate correction",
                "Output frames made per nominal output frame, to follow a drifting clock (ratio)",
            ),
        Property::told(
            glib::ParamSpecString::builder("active-engine")
                .nick("Active engine")
                .blurb(
                    "Engine in use: polyphase, fft, sinc, rubato-fft, rubato-sinc, passthrough, or \
                     none before caps",
                )
                .default_value("none")
                .read_only()
                .build(),
        ),
    ])
        .and(metrics::properties("rustresample"))
    });

impl Settings {
    /// The bound of the latency, where there is one.
    pub fn max_latency(&self) -> Option<gst::ClockTime> {
        (self.max_latency != AS_AUDIORESAMPLE)
            .then(|| gst::ClockTime::from_nseconds(self.max_latency))
    }

    /// Whether equal rates may pass untouched. `engine=sinc` keeps the filter in line, so that a
    /// later correction finds its history.
    pub fn may_pass(&self) -> bool {
        self.rate_correction == 1.0 && self.engine != Engine::Sinc
    }

    fn method(&self) -> Method {
        match self.method {
            AudioResamplerMethod::Nearest => Method::Nearest,
            AudioResamplerMethod::Linear => Method::Linear,
            AudioResamplerMethod::Cubic => Method::Cubic,
            AudioResamplerMethod::BlackmanNuttall => Method::BlackmanNuttall,
            _ => Method::Kaiser,
        }
    }

    /// What this asks of a resampler between these rates.
    pub fn spec(&self, in_rate: u32, out_rate: u32, channels: u32) -> Spec {
        Spec {
            quality: self.quality.clamp(0, i32::from(MAX_QUALITY)) as u8,
            method: self.method(),
            engine: self.engine.into(),
            filter_mode: self.filter_mode,
            auto_threshold: self.auto_threshold,
            interpolation: self.interpolation,
            max_latency: self.max_latency().map(|max| frames_within(max, in_rate)),
            rate_correction: self.rate_correction,
            ..Spec::new(in_rate, out_rate, channels as usize)
        }
    }
}

/// Most frames that last no longer than `time` at `rate` Hz, to the ns that they are told in.
fn frames_within(time: gst::ClockTime, rate: u32) -> u64 {
    let nearest = time_to_frames(time, rate);
    nearest - u64::from(nearest > 0 && frames_to_time(nearest, rate) > time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_fit_their_time() {
        for rate in [1, 8000, 44_100, 48_000, 384_000] {
            for frames in [1, 2, 3, 147, 4801] {
                let time = frames_to_time(frames, rate);
                assert_eq!(frames_within(time, rate), frames, "{rate}");
                let less = time - gst::ClockTime::NSECOND;
                assert_eq!(frames_within(less, rate), frames - 1, "{rate}");
            }
            assert_eq!(frames_within(gst::ClockTime::ZERO, rate), 0);
        }
    }
}
