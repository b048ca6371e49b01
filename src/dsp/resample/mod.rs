//! Sample-rate conversion: a planner and three engines.
//!
//! [`Resampler`] is a stream: frames go in with [`push`](Resampler::push), come out with
//! [`pull`](Resampler::pull), and [`finish`](Resampler::finish) makes the tail available. Output
//! frame `k` stands for the instant `k * in_rate / out_rate` of the input, in frames; `n` input
//! frames give the outputs at instants 0 to `n - 1`, `floor((n - 1) * out_rate / in_rate) + 1` of
//! them, as GStreamer's `audioresample` does.

mod design;
mod edge;
mod engine;
mod fft;
mod fifo;
mod fixed;
mod floats;
mod grid;
mod groups;
mod planner;
mod polyphase;
mod ratio;
mod sinc;
mod stream;
mod table;

pub use design::{MAX_QUALITY, Method};
pub use edge::{Layout, Source, Stream};
pub use engine::{Output, Real, Sample};
pub use planner::Plan;
pub use ratio::{CORRECTIONS, Ratio};
pub use stream::Resampler;

/// Why rates cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResampleError {
    #[error("rates and channel counts must be at least 1")]
    Zero,
    #[error(
        "rate_correction must be a number from {} to {}",
        CORRECTIONS.start(),
        CORRECTIONS.end()
    )]
    Correction,
    #[error(
        "the filter for these rates takes {} MiB, more than the {} MiB allowed; \
         convert in two steps or lower the quality",
        bytes >> 20,
        table::MAX_TABLE_BYTES >> 20
    )]
    TooLarge { bytes: u64 },
    #[error(
        "16-bit samples are filtered in integers only by exact taps, up to quality {} and a table of \
         1 MiB; use f32",
        fixed::MAX_QUALITY
    )]
    NoIntegers,
}

/// Who does the work, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineChoice {
    /// The cheapest that meets quality and latency.
    #[default]
    Auto,
    Polyphase,
    Fft,
    Sinc,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    Polyphase,
    Fft,
    Sinc,
}

impl EngineKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Polyphase => "polyphase",
            Self::Fft => "fft",
            Self::Sinc => "sinc",
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
    /// As `Cubic`, where there is something to interpolate.
    None,
    Linear,
    #[default]
    Cubic,
}

/// What is wanted of a resampler.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Hz.
    pub in_rate: u32,
    /// Hz.
    pub out_rate: u32,
    pub channels: usize,
    /// 0 to [`MAX_QUALITY`], as in GStreamer.
    pub quality: u8,
    pub method: Method,
    pub engine: EngineChoice,
    pub filter_mode: FilterMode,
    /// Largest exact table with [`FilterMode::Auto`], in bytes.
    pub auto_threshold: u32,
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

    /// The same with the rates and channels of `other`.
    fn between(&self, other: &Self) -> Self {
        Self {
            in_rate: other.in_rate,
            out_rate: other.out_rate,
            channels: other.channels,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
