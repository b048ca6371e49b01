// SPDX-License-Identifier: MIT

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
    /// Converts `input` into the front of `output`, which has at least [`room`]: samples made.
    ///
    /// The caller makes `output` once, and an implementation neither allocates nor clears anything,
    /// so that all that is timed is conversion.
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize;

    /// Worst-case delay, in seconds.
    fn latency(&self) -> f64;
}

/// Samples of an output buffer: as much as any converter here hands out after a chunk of 10 ms, which
/// may be a block that it had collected.
pub fn room(channels: usize) -> usize {
    32_768 * channels
}

/// Frames of 10 ms at `rate`.
pub fn chunk(rate: u32) -> usize {
    rate.div_ceil(100) as usize
}
