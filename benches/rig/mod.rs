// SPDX-License-Identifier: MIT

//! What the resampler bench and the quality meter share: the converters that are compared, all
//! behind one trait, and the meter.
#![allow(dead_code)]

pub mod library;
pub mod meter;
pub mod peers;
pub mod pipewire;
pub mod rubato;
pub mod samplerate;
pub mod speex;
pub mod swresample;
pub mod zita;

use nix::time::ClockId;

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

/// A converter of samples, interleaved unless its type says otherwise, fed chunk by chunk.
pub trait Converter<T = f32> {
    /// Converts `input` into the front of `output`, which has at least [`room`]: samples made.
    ///
    /// The caller makes `output` once, and an implementation neither allocates nor clears anything,
    /// so that all that is timed is conversion.
    fn process(&mut self, input: &[T], output: &mut [T]) -> usize;

    /// Worst-case delay, in seconds.
    fn latency(&self) -> f64;
}

/// CPU time of this thread, in seconds.
pub fn cpu() -> f64 {
    let now = ClockId::CLOCK_THREAD_CPUTIME_ID.now();
    let now = now.expect("a clock that Linux has");
    now.tv_sec() as f64 + now.tv_nsec() as f64 * 1e-9
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
