// SPDX-License-Identifier: MIT

//! Sample-rate conversion: a planner, three engines of our own, and rubato's two.
//!
//! [`Resampler`] is a stream: frames go in with [`push`](Resampler::push), come out with
//! [`pull`](Resampler::pull), and [`finish`](Resampler::finish) makes the tail available. Output
//! frame `k` stands for the instant `k * in_rate / out_rate` of the input, in frames; `n` input
//! frames give the outputs at instants 0 to `n - 1`, `floor((n - 1) * out_rate / in_rate) + 1` of
//! them, as GStreamer's `audioresample` does.

mod build;
mod dense;
mod design;
mod edge;
mod engine;
mod fft;
mod fifo;
mod fixed;
mod floats;
mod folded;
mod grid;
mod groups;
mod halves;
mod lagrange;
mod phases;
mod planner;
mod polyphase;
mod ratio;
mod rounds;
#[cfg(feature = "rubato")]
mod rubato_fft;
#[cfg(feature = "rubato")]
mod rubato_planes;
#[cfg(feature = "rubato")]
mod rubato_sinc;
mod shape;
mod sharp;
mod sinc;
mod spec;
mod stream;
mod table;

pub use build::Sample;
pub use design::{MAX_QUALITY, Method};
pub use edge::Stream;
pub use engine::Output;
pub use planner::Plan;
pub use ratio::{CORRECTIONS, Ratio};
pub use spec::{Curve, EngineChoice, EngineKind, FilterMode, Interpolation, ResampleError, Spec};
pub use stream::Resampler;

#[cfg(test)]
mod tests;
