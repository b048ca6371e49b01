// SPDX-License-Identifier: MIT

//! What is asked of a resampler.

use super::design::Method;
use super::ratio::CORRECTIONS;
use crate::audio::Outside;

/// Largest table of taps, in bytes.
pub const MAX_TABLE_BYTES: u64 = 512 << 20;
/// Highest quality that 16-bit integers are good enough for.
pub const INTEGER_QUALITY: u8 = 4;

/// Why samples or rates cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// A rate or the channel count is 0.
    #[error("rates and channel counts must be at least 1")]
    Zero,
    /// [`Spec::rate_correction`] is none of [`CORRECTIONS`].
    #[error(
        "rate_correction must be a number from {} to {}",
        CORRECTIONS.start(),
        CORRECTIONS.end()
    )]
    Correction,
    /// The table of taps would be too large.
    #[error(
        "the filter for these rates takes {} MiB, more than the {} MiB allowed; \
         convert in two steps or lower the quality",
        bytes >> 20,
        MAX_TABLE_BYTES >> 20
    )]
    TooLarge {
        /// What it would take.
        bytes: u64,
    },
    /// Frames have samples where there is no memory.
    #[error(transparent)]
    Outside(#[from] Outside),
    /// A [`Resampler`](super::Resampler) of `i16` would be asked for more than it does.
    #[error(
        "16-bit samples are filtered in integers only by exact taps, up to quality {}, 320 phases and a \
         table of 1 MiB; use f32",
        INTEGER_QUALITY
    )]
    NoIntegers,
    /// rubato refuses what was planned for it.
    #[error("rubato cannot convert these rates: {0}; choose another engine")]
    Rubato(String),
    /// This build is without rubato.
    #[error("this build is without rubato's engines (feature `rubato`); choose another")]
    NoRubato,
}

/// Who does the work, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineChoice {
    /// The cheapest that meets quality and latency.
    #[default]
    Auto,
    /// Exact taps for every phase of the ratio.
    Polyphase,
    /// Overlap-save with Fourier transforms.
    Fft,
    /// Taps interpolated between phases: any ratio, also one that varies.
    Sinc,
    /// rubato's `Fft`: blocks, half the delay of [`Fft`](Self::Fft) where latency is free.
    RubatoFft,
    /// rubato's `Async`: windowed sincs interpolated between phases.
    RubatoSinc,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// Exact taps for every phase of the ratio.
    Polyphase,
    /// Overlap-save with Fourier transforms.
    Fft,
    /// Taps interpolated between phases.
    Sinc,
    /// rubato's `Fft`.
    RubatoFft,
    /// rubato's `Async`.
    RubatoSinc,
}

impl EngineKind {
    /// `polyphase`, `fft`, `sinc`, `rubato-fft` or `rubato-sinc`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Polyphase => "polyphase",
            Self::Fft => "fft",
            Self::Sinc => "sinc",
            Self::RubatoFft => "rubato-fft",
            Self::RubatoSinc => "rubato-sinc",
        }
    }
}

/// How the taps of a sinc filter are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FilterMode {
    /// Interpolated from an oversampled prototype.
    Interpolated,
    /// Exactly, for every phase.
    Full,
    /// Exactly up to [`Spec::auto_threshold`].
    #[default]
    Auto,
}

/// How taps between stored phases are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// No wish: taps that have to be interpolated are so as with [`Cubic`](Self::Cubic).
    None,
    /// On straight lines.
    Linear,
    /// On polynomials: in `f32` on cubics.
    #[default]
    Cubic,
}

/// What taps between stored phases lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// Straight lines.
    Straight,
    /// Polynomials, as good as the precision that samples are summed with.
    Smooth,
    /// Polynomials, as good as the precision that taps are stored with.
    Exact,
}

/// What is wanted of a resampler.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Rate of the input in Hz, at least 1.
    pub in_rate: u32,
    /// Rate of the output in Hz, at least 1.
    pub out_rate: u32,
    /// Samples of a frame, at least 1.
    pub channels: usize,
    /// 0 to [`MAX_QUALITY`](super::MAX_QUALITY), as in GStreamer.
    pub quality: u8,
    /// Kind of filter.
    pub method: Method,
    /// Who does the work.
    pub engine: EngineChoice,
    /// How taps are stored.
    pub filter_mode: FilterMode,
    /// Largest exact table with [`FilterMode::Auto`], in bytes.
    pub auto_threshold: u32,
    /// How taps between stored phases are found.
    pub interpolation: Interpolation,
    /// Input frames; `None`: with [`EngineChoice::Auto`] what GStreamer's resampler has at this
    /// quality, else any.
    pub max_latency: Option<u64>,
    /// Output frames per nominal output frame, one of [`CORRECTIONS`].
    pub rate_correction: f64,
}

impl Spec {
    /// With GStreamer's defaults.
    pub fn new(in_rate: u32, out_rate: u32, channels: usize) -> Self {
        Self {
            in_rate,
            out_rate,
            channels,
            quality: 4,
            method: Method::default(),
            engine: EngineChoice::default(),
            filter_mode: FilterMode::default(),
            auto_threshold: 1 << 20,
            interpolation: Interpolation::default(),
            max_latency: None,
            rate_correction: 1.0,
        }
    }

    /// A copy that has the rates and channels of `other`, and all else of `self`.
    pub(super) fn between(&self, other: &Self) -> Self {
        Self {
            in_rate: other.in_rate,
            out_rate: other.out_rate,
            channels: other.channels,
            ..self.clone()
        }
    }
}
