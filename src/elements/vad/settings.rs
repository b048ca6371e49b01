// SPDX-License-Identifier: MIT

//! The properties.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use crate::dsp::vad::{DetectorKind, LookAhead, Rules};
use crate::elements::support::metrics;
use crate::elements::support::properties::{Property, Table, choice, field, property};

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
    #[enum_value(name = "Silero's neural network", nick = "silero")]
    Silero,
    #[default]
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
}

/// Each property once; those at the end are the element's to tell.
pub static PROPERTIES: LazyLock<Table<Settings>> = LazyLock::new(|| {
    Table::new(vec![
        choice("detector", field!(Settings.detector))
            .mutable_ready("Detector", "Who tells speech from the rest"),
        property("threshold", field!(Settings.threshold))
            .within(0.0..=1.0)
            .mutable_playing(
                "Threshold",
                "Speech at or above this probability (0 to 1)",
            ),
        property("release-threshold", field!(Settings.release))
            .within(-1.0..=1.0)
            .mutable_playing(
                "Release threshold",
                "Silence below this probability (0 to 1; -1 = threshold - 0.15)",
            ),
        property("energy-threshold", field!(Settings.energy_db))
            .within(-120.0..=0.0)
            .mutable_playing(
                "Energy threshold",
                "With detector=energy: speech at or above this RMS level, in dBFS",
            ),
        look_ahead(),
        property("min-speech", field!(Settings.min_speech))
            .within(0..=LONGEST_RULE)
            .mutable_playing(
                "Shortest speech",
                "Speech shorter than this is ignored, in ns; part of the latency",
            ),
        property("min-silence", field!(Settings.min_silence))
            .within(0..=LONGEST_RULE)
            .mutable_playing(
                "Shortest silence",
                "Silence shorter than this does not end a segment, in ns; at least speech-pad; part \
                 of the latency",
            ),
        property("speech-pad", field!(Settings.pad))
            .within(0..=LONGEST_RULE)
            .mutable_playing(
                "Padding",
                "Segments are extended by this on both sides, in ns; part of the latency",
            ),
        property("max-speech", field!(Settings.max_speech)).mutable_playing(
            "Longest speech",
            "Segments longer than this are cut, in ns (18446744073709551615 = never)",
        ),
        property("data-timeout", field!(Settings.data_timeout)).mutable_playing(
            "Data timeout",
            "While playing, a segment ends where no data has come for this long by the clock, in \
             ns, or half as long again (0 = never)",
        ),
        choice("mode", field!(Settings.mode))
            .mutable_playing("Mode", "What happens to audio that is not speech"),
        property("post-messages", field!(Settings.post_messages)).mutable_playing(
            "Post messages",
            "Post a rustvad message at each start and end of speech",
        ),
        property("post-frames", field!(Settings.post_frames)).mutable_playing(
            "Post frames",
            "Post a rustvad-frame message per frame of 10 ms",
        ),
        property("audio-level-meta", field!(Settings.level_meta)).mutable_playing(
            "Audio level meta",
            "Put a GstAudioLevelMeta on each buffer: level in -dBov and the decision",
        ),
        Property::told(
            glib::ParamSpecBoolean::builder("speech")
                .nick("Speech")
                .blurb("Whether there is speech now; notified at each change")
                .read_only()
                .build(),
        ),
        Property::told(
            glib::ParamSpecDouble::builder("probability")
                .nick("Probability")
                .blurb("Probability of speech in the last frame (0 to 1)")
                .minimum(0.0)
                .maximum(1.0)
                .read_only()
                .build(),
        ),
        Property::told(
            glib::ParamSpecDouble::builder("noise-floor")
                .nick("Noise floor")
                .blurb("Noise floor now, in dBFS")
                .minimum(-120.0)
                .maximum(60.0)
                .default_value(-120.0)
                .read_only()
                .build(),
        ),
    ])
    .and(metrics::properties("rustvad"))
});

/// What is told is what the detector makes of what was set.
fn look_ahead() -> Property<Settings> {
    let spec = glib::ParamSpecUInt64::builder("look-ahead")
        .nick("Look-ahead")
        .blurb(
            "How far ahead the detector hears before it decides, in ns: 0, 30, 60 (not \
             spectral) or 100 ms, others round down; part of the latency",
        )
        .maximum(LookAhead::Long.ns())
        .default_value(LookAhead::default().ns())
        .mutable_ready()
        .build();
    Property::by(
        spec,
        |settings: &Settings| settings.look_ahead().ns().to_value(),
        |settings, value| {
            let ns = value.get().unwrap_or(settings.look_ahead.ns());
            settings.look_ahead = LookAhead::within(ns);
            Ok(())
        },
    )
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
            let value = (asked * MS).to_value();
            assert_eq!(PROPERTIES.set(&mut s, "look-ahead", &value), Ok(true));
            for (detector, given) in [
                (DetectorChoice::Spectral, spectral),
                (DetectorChoice::Silero, silero),
                (DetectorChoice::Neural, silero),
            ] {
                s.detector = detector;
                let told = PROPERTIES.get(&s, "look-ahead").unwrap();
                assert_eq!(told.get(), Ok(given * MS), "{detector:?}");
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
