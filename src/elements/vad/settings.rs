//! Properties.

use gst::glib;
use gst::prelude::*;

use crate::dsp::vad::{DetectorKind, LookAhead, Rules};

/// Who tells speech from the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRustVadDetector")]
#[repr(i32)]
pub enum DetectorChoice {
    #[enum_value(
        name = "Features of the spectrum over an adaptive noise floor",
        nick = "spectral"
    )]
    Spectral,
    #[enum_value(name = "Level against a fixed threshold", nick = "energy")]
    Energy,
    #[default]
    #[enum_value(name = "Silero's neural network", nick = "silero")]
    Silero,
    #[enum_value(
        name = "Silero's network, levelled, and features of the spectrum, joined by a network",
        nick = "neural"
    )]
    Neural,
}

/// What happens to audio that is not speech.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRustVadMode")]
#[repr(i32)]
pub enum Mode {
    #[default]
    #[enum_value(name = "Passed as it is", nick = "pass")]
    Pass,
    #[enum_value(name = "Passed with the GAP flag", nick = "gap")]
    Gap,
    #[enum_value(name = "Replaced by silence", nick = "mute")]
    Mute,
    #[enum_value(name = "Dropped; the next buffer has the DISCONT flag", nick = "drop")]
    Drop,
}

/// The properties of the element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub detector: DetectorChoice,
    pub threshold: f64,
    /// Below 0: `RELEASE_BELOW` under `threshold`.
    pub release: f64,
    pub energy_db: f64,
    /// As asked for; a detector may not have it, see [`DetectorKind::look_ahead`].
    pub look_ahead: LookAhead,
    pub min_speech: u64,
    pub min_silence: u64,
    pub pad: u64,
    pub max_speech: u64,
    /// 0: none.
    pub data_timeout: u64,
    pub mode: Mode,
    pub post_messages: bool,
    pub post_frames: bool,
    pub level_meta: bool,
}

const MS: u64 = 1_000_000;
const RELEASE_BELOW: f64 = 0.15;
/// Longest time that a segment rule takes: what it asks for is held in memory.
const LONGEST_RULE: u64 = 60_000 * MS;

impl Default for Settings {
    fn default() -> Self {
        Self {
            detector: DetectorChoice::default(),
            threshold: 0.5,
            release: -1.0,
            energy_db: -30.0,
            look_ahead: LookAhead::default(),
            min_speech: 100 * MS,
            min_silence: 150 * MS,
            pad: 30 * MS,
            max_speech: u64::MAX,
            data_timeout: 2000 * MS,
            mode: Mode::default(),
            post_messages: true,
            post_frames: false,
            level_meta: false,
        }
    }
}

impl Settings {
    pub fn rules(&self) -> Rules {
        let release = if self.release < 0.0 {
            self.threshold - RELEASE_BELOW
        } else {
            self.release
        };
        Rules {
            threshold: self.threshold as f32,
            release: release.clamp(0.0, self.threshold) as f32,
            ..Rules::default()
        }
        .with_times(self.min_speech, self.min_silence, self.pad, self.max_speech)
    }

    pub fn detector_kind(&self) -> DetectorKind {
        match self.detector {
            DetectorChoice::Spectral => DetectorKind::Spectral(self.look_ahead),
            DetectorChoice::Energy => DetectorKind::Energy {
                threshold_db: self.energy_db as f32,
            },
            DetectorChoice::Silero => DetectorKind::Silero(self.look_ahead),
            DetectorChoice::Neural => DetectorKind::Neural(self.look_ahead),
        }
    }

    /// What the detector makes of the look-ahead; the one without any leaves it as it was set.
    fn look_ahead(&self) -> LookAhead {
        match self.detector {
            DetectorChoice::Energy => self.look_ahead,
            _ => self.detector_kind().look_ahead(),
        }
    }

    /// Frames of 10 ms after one that it takes at most to decide about it.
    pub fn delay_frames(&self) -> u64 {
        self.detector_kind().look_ahead().frames() as u64 + self.rules().delay()
    }

    /// Takes a property; false if `name` is none of these.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        // GObject has checked type and range.
        match name {
            "detector" => take(&mut self.detector, value),
            "threshold" => take(&mut self.threshold, value),
            "release-threshold" => take(&mut self.release, value),
            "energy-threshold" => take(&mut self.energy_db, value),
            "look-ahead" => {
                let mut ns = self.look_ahead.ns();
                take(&mut ns, value);
                self.look_ahead = LookAhead::within(ns);
            }
            "min-speech" => take(&mut self.min_speech, value),
            "min-silence" => take(&mut self.min_silence, value),
            "speech-pad" => take(&mut self.pad, value),
            "max-speech" => take(&mut self.max_speech, value),
            "data-timeout" => take(&mut self.data_timeout, value),
            "mode" => take(&mut self.mode, value),
            "post-messages" => take(&mut self.post_messages, value),
            "post-frames" => take(&mut self.post_frames, value),
            "audio-level-meta" => take(&mut self.level_meta, value),
            _ => return false,
        }
        true
    }

    /// A property; `None` if `name` is none of these.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "detector" => self.detector.to_value(),
            "threshold" => self.threshold.to_value(),
            "release-threshold" => self.release.to_value(),
            "energy-threshold" => self.energy_db.to_value(),
            "look-ahead" => self.look_ahead().ns().to_value(),
            "min-speech" => self.min_speech.to_value(),
            "min-silence" => self.min_silence.to_value(),
            "speech-pad" => self.pad.to_value(),
            "max-speech" => self.max_speech.to_value(),
            "data-timeout" => self.data_timeout.to_value(),
            "mode" => self.mode.to_value(),
            "post-messages" => self.post_messages.to_value(),
            "post-frames" => self.post_frames.to_value(),
            "audio-level-meta" => self.level_meta.to_value(),
            _ => return None,
        })
    }
}

fn take<T: for<'a> glib::value::FromValue<'a>>(slot: &mut T, value: &glib::Value) {
    if let Ok(value) = value.get() {
        *slot = value;
    }
}

/// Specifications of the properties, the shared ones of metrics aside.
pub fn properties() -> Vec<glib::ParamSpec> {
    let d = Settings::default();
    let time = |name, nick, blurb, default: u64, most: u64| {
        glib::ParamSpecUInt64::builder(name)
            .nick(nick)
            .blurb(blurb)
            .maximum(most)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        glib::ParamSpecEnum::builder_with_default("detector", d.detector)
            .nick("Detector")
            .blurb("Who tells speech from the rest")
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("threshold")
            .nick("Threshold")
            .blurb("Speech at or above this probability (0 to 1)")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(d.threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("release-threshold")
            .nick("Release threshold")
            .blurb("Silence below this probability (0 to 1; -1 = threshold - 0.15)")
            .minimum(-1.0)
            .maximum(1.0)
            .default_value(d.release)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("energy-threshold")
            .nick("Energy threshold")
            .blurb("With detector=energy: speech at or above this RMS level, in dBFS")
            .minimum(-120.0)
            .maximum(0.0)
            .default_value(d.energy_db)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("look-ahead")
            .nick("Look-ahead")
            .blurb(
                "How far ahead the detector hears before it decides, in ns: 0, 30, 60 (not \
                 spectral) or 100 ms, others round down; part of the latency",
            )
            .maximum(LookAhead::Long.ns())
            .default_value(d.look_ahead.ns())
            .mutable_ready()
            .build(),
        time(
            "min-speech",
            "Shortest speech",
            "Speech shorter than this is ignored, in ns; part of the latency",
            d.min_speech,
            LONGEST_RULE,
        ),
        time(
            "min-silence",
            "Shortest silence",
            "Silence shorter than this does not end a segment, in ns; at least speech-pad; part \
             of the latency",
            d.min_silence,
            LONGEST_RULE,
        ),
        time(
            "speech-pad",
            "Padding",
            "Segments are extended by this on both sides, in ns; part of the latency",
            d.pad,
            LONGEST_RULE,
        ),
        time(
            "max-speech",
            "Longest speech",
            "Segments longer than this are cut, in ns (18446744073709551615 = never)",
            d.max_speech,
            u64::MAX,
        ),
        time(
            "data-timeout",
            "Data timeout",
            "While playing, a segment ends where no data has come for this long by the clock, in \
             ns, or half as long again (0 = never)",
            d.data_timeout,
            u64::MAX,
        ),
        glib::ParamSpecEnum::builder_with_default("mode", d.mode)
            .nick("Mode")
            .blurb("What happens to audio that is not speech")
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("post-messages")
            .nick("Post messages")
            .blurb("Post a rustvad message at each start and end of speech")
            .default_value(d.post_messages)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("post-frames")
            .nick("Post frames")
            .blurb("Post a rustvad-frame message per frame of 10 ms")
            .default_value(d.post_frames)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("audio-level-meta")
            .nick("Audio level meta")
            .blurb("Put a GstAudioLevelMeta on each buffer: level in -dBov and the decision")
            .default_value(d.level_meta)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("speech")
            .nick("Speech")
            .blurb("Whether there is speech now; notified at each change")
            .read_only()
            .build(),
        glib::ParamSpecDouble::builder("probability")
            .nick("Probability")
            .blurb("Probability of speech in the last frame (0 to 1)")
            .minimum(0.0)
            .maximum(1.0)
            .read_only()
            .build(),
        glib::ParamSpecDouble::builder("noise-floor")
            .nick("Noise floor")
            .blurb("Noise floor now, in dBFS")
            .minimum(-120.0)
            .maximum(60.0)
            .default_value(-120.0)
            .read_only()
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ahead_rounds_down_and_tells_so() {
        let mut s = Settings::default();
        for (asked, spectral, silero) in [
            (0, 0, 0),
            (29, 0, 0),
            (30, 30, 30),
            (59, 30, 30),
            (60, 30, 60),
            (99, 30, 60),
            (100, 100, 100),
        ] {
            assert!(s.set("look-ahead", &(asked * MS).to_value()));
            for (detector, given) in [
                (DetectorChoice::Spectral, spectral),
                (DetectorChoice::Silero, silero),
                (DetectorChoice::Neural, silero),
            ] {
                s.detector = detector;
                let told = s.get("look-ahead").unwrap().get::<u64>().unwrap();
                assert_eq!(told, given * MS, "{detector:?}");
                assert_eq!(s.delay_frames() - s.rules().delay(), given / 10);
            }
        }
    }

    #[test]
    fn release_follows_the_threshold() {
        let mut s = Settings::default();
        assert!((s.rules().release - 0.35).abs() < 1e-6);
        s.threshold = 0.1;
        assert_eq!(s.rules().release, 0.0);
        s.release = 0.4;
        assert_eq!(s.rules().release, 0.1, "never above the threshold");
    }
}
