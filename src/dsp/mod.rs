//! Signal processing on plain slices. Nothing here knows GStreamer; time is a frame count.

pub mod convert;
pub mod resample;
mod shared;
pub mod simd;
pub mod vad;
