// SPDX-License-Identifier: MIT

//! Voice activity detection: front end, noise floor, scores, network, decision, segments.
//!
//! [`Vad`] takes [`Frames`](crate::Frames) of any format, layout, rate and channel count and gives
//! [`Frame`]s of 10 ms and [`Change`]s at the edges of speech segments. Time is counted in frames
//! of the input ("samples" below, to keep them apart from the 10 ms analysis frames).
//!
//! Several channels make one decision: detectors that hear take the mean of all channels; levels
//! and the energy detector take the mean square over all channels, which nothing cancels in.

mod decimate;
mod detector;
mod double;
mod energy;
mod grid;
mod look_ahead;
mod loudness;
mod math;
mod model;
pub mod neural;
mod noise;
mod opening;
mod ratio;
mod segments;
pub mod silero;
mod spectral;
mod spectrum;
mod stream;
mod timestamps;
mod tonal;
mod voicing;

#[cfg(test)]
mod tests;

pub use detector::{Detector, MOST_SCORES, Scores};
pub use energy::LevelMeter;
pub use grid::{FrameGrid, frames_of};
pub use look_ahead::LookAhead;
pub use segments::{Change, LevelClass, Rules, Segmenter};
pub use spectral::{SCORES, Spectral};
pub use spectrum::{FRAME_RATE, Plan};
pub use stream::{Config, DetectorKind, Frame, Output, Vad};
pub use timestamps::{TimestampRules, timestamps};
