//! What the resampler bench and the quality meter share: the converters that are compared, all
//! behind one trait, and the meter.
#![allow(dead_code)]

pub mod meter;
pub mod peers;
pub mod rubato;

/// Rate pairs of the tables, in Hz.
pub const PAIRS: [(u32, u32); 8] = [
    (48_000, 16_000),
    (44_100, 48_000),
    (16_000, 48_000),
    (48_000, 44_100),
    (44_100, 16_000),
    (96_000, 48_000),
    (8_000, 48_000),
    (22_050, 16_000),
];

/// A converter of interleaved `f32`, fed chunk by chunk.
pub trait Converter {
    /// Converts `input`; appends what came out to `output`.
    fn process(&mut self, input: &[f32], output: &mut Vec<f32>);

    /// Worst-case delay, in seconds.
    fn latency(&self) -> f64;
}

/// Frames of 10 ms at `rate`.
pub fn chunk(rate: u32) -> usize {
    rate.div_ceil(100) as usize
}
