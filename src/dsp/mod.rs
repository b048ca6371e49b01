//! Signal processing on plain slices. Nothing here knows GStreamer; time is a frame count.

pub mod convert;
pub mod resample;
pub mod simd;
pub mod vad;
