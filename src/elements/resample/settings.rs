//! The properties that the user sets.

use gst::glib;
use gst::prelude::*;

use super::{Engine, FilterInterpolation, FilterMode, Method};
use crate::dsp::resample::{MAX_QUALITY, Spec};
use crate::elements::support::timeline::{frames_to_time, time_to_frames};

/// `max-latency` that stands for what `audioresample` has.
const AS_AUDIORESAMPLE: u64 = u64::MAX;

#[derive(Clone, Debug)]
pub struct Settings {
    quality: i32,
    method: Method,
    filter_mode: FilterMode,
    auto_threshold: u32,
    interpolation: FilterInterpolation,
    engine: Engine,
    /// ns.
    max_latency: u64,
    rate_correction: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quality: 4,
            method: Method::default(),
            filter_mode: FilterMode::default(),
            auto_threshold: 1 << 20,
            interpolation: FilterInterpolation::default(),
            engine: Engine::default(),
            max_latency: AS_AUDIORESAMPLE,
            rate_correction: 1.0,
        }
    }
}

impl Settings {
    pub fn properties() -> Vec<glib::ParamSpec> {
        let default = Self::default();
        vec![
            glib::ParamSpecInt::builder("quality")
                .nick("Quality")
                .blurb("Filter quality, 0 the lowest and 10 the best, as audioresample's")
                .minimum(0)
                .maximum(i32::from(MAX_QUALITY))
                .default_value(default.quality)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("resample-method", default.method)
                .nick("Resample method")
                .blurb("Impulse response of the filter")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("sinc-filter-mode", default.filter_mode)
                .nick("Sinc filter table mode")
                .blurb("How the taps of a sinc filter are stored")
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("sinc-filter-auto-threshold")
                .nick("Sinc filter auto mode threshold")
                .blurb("Largest exact filter table with sinc-filter-mode=auto, in bytes")
                .default_value(default.auto_threshold)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default(
                "sinc-filter-interpolation",
                default.interpolation,
            )
            .nick("Sinc filter interpolation")
            .blurb("How taps between the stored phases are found")
            .mutable_playing()
            .build(),
            glib::ParamSpecEnum::builder_with_default("engine", default.engine)
                .nick("Engine")
                .blurb("Who does the work")
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt64::builder("max-latency")
                .nick("Maximum latency")
                .blurb(
                    "Upper bound of the element's latency in ns; quality gives way to it, down to 0. \
                     Where that filter (4 frames of the lower rate; resample-method=nearest: 1 input \
                     frame) is still longer, a warning names the least. Default: as audioresample at \
                     this quality. 1000000000 frees engine=auto to choose fft",
                )
                .default_value(default.max_latency)
                .mutable_playing()
                .build(),
            glib::ParamSpecDouble::builder("rate-correction")
                .nick("Rate correction")
                .blurb("Output frames made per nominal output frame, to follow a drifting clock (ratio)")
                .minimum(0.9)
                .maximum(1.1)
                .default_value(default.rate_correction)
                .mutable_playing()
                .build(),
        ]
    }

    /// Sets the property of `pspec`; false if it is none of these.
    pub fn set(&mut self, value: &glib::Value, pspec: &glib::ParamSpec) -> bool {
        // The types are those that the properties were declared with.
        fn put<'a, T: glib::value::FromValue<'a>>(to: &mut T, value: &'a glib::Value) {
            if let Ok(value) = value.get() {
                *to = value;
            }
        }
        match pspec.name() {
            "quality" => put(&mut self.quality, value),
            "resample-method" => put(&mut self.method, value),
            "sinc-filter-mode" => put(&mut self.filter_mode, value),
            "sinc-filter-auto-threshold" => put(&mut self.auto_threshold, value),
            "sinc-filter-interpolation" => put(&mut self.interpolation, value),
            "engine" => put(&mut self.engine, value),
            "max-latency" => put(&mut self.max_latency, value),
            "rate-correction" => put(&mut self.rate_correction, value),
            _ => return false,
        }
        true
    }

    /// Value of the property called `name`.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "quality" => self.quality.to_value(),
            "resample-method" => self.method.to_value(),
            "sinc-filter-mode" => self.filter_mode.to_value(),
            "sinc-filter-auto-threshold" => self.auto_threshold.to_value(),
            "sinc-filter-interpolation" => self.interpolation.to_value(),
            "engine" => self.engine.to_value(),
            "max-latency" => self.max_latency.to_value(),
            "rate-correction" => self.rate_correction.to_value(),
            _ => return None,
        })
    }

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

    /// What this asks of a resampler between these rates.
    pub fn spec(&self, in_rate: u32, out_rate: u32, channels: u32) -> Spec {
        Spec {
            quality: self.quality.clamp(0, i32::from(MAX_QUALITY)) as u8,
            method: self.method.into(),
            engine: self.engine.into(),
            filter_mode: self.filter_mode.into(),
            auto_threshold: self.auto_threshold,
            interpolation: self.interpolation.into(),
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
