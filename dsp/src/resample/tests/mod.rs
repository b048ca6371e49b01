// SPDX-License-Identifier: MIT

//! All engines together.

use std::f64::consts::PI;

use super::*;
use crate::audio::{Frames, Layout};
use crate::resample::table::Real;
use crate::simd::resample::tests::noise;

mod channels;
mod fixed;
mod folded;
mod process;
mod ratio;
mod signal;
mod stream;

const ENGINES: &[EngineChoice] = &[
    EngineChoice::Polyphase,
    EngineChoice::Fft,
    EngineChoice::Sinc,
    #[cfg(feature = "rubato")]
    EngineChoice::RubatoFft,
    #[cfg(feature = "rubato")]
    EngineChoice::RubatoSinc,
];

fn spec(rates: (u32, u32), channels: usize, engine: EngineChoice) -> Spec {
    Spec {
        engine,
        ..Spec::new(rates.0, rates.1, channels)
    }
}

/// Whether integers are wanted, whatever the specification.
fn whether(integers: bool) -> fn(&Spec) -> bool {
    if integers { |_| true } else { |_| false }
}

fn sine(n: usize, cycles_per_frame: f64) -> Vec<f64> {
    (0..n)
        .map(|n| (2.0 * PI * cycles_per_frame * n as f64).sin())
        .collect()
}

/// All of `input` (one channel, copied to all; channel `c` is scaled by `c + 1`) through
/// `resampler`, cut by `cut`; interleaved.
fn run<T: Real + Sample>(
    resampler: &mut Resampler<T>,
    input: &[f64],
    cut: impl FnMut() -> usize,
) -> Vec<T> {
    run_of(resampler, input, cut, T::nearest)
}

/// The same with samples by `of`.
fn run_of<T: Sample>(
    resampler: &mut Resampler<T>,
    input: &[f64],
    mut cut: impl FnMut() -> usize,
    of: fn(f64) -> T,
) -> Vec<T::Sum> {
    let channels = resampler.spec().channels;
    let mut output = Vec::new();
    let mut rest = input;
    let take = |resampler: &mut Resampler<T>, output: &mut Vec<T::Sum>| {
        let frames = resampler.available();
        let at = output.len();
        output.resize(at + frames * channels, T::Sum::default());
        resampler.pull(
            &mut Output::interleaved(&mut output[at..], channels),
            frames,
        );
    };
    while !rest.is_empty() {
        let n = cut().min(rest.len());
        resampler.push(n, |c, plane| {
            for (to, from) in plane.iter_mut().zip(rest) {
                *to = of(*from * (c + 1) as f64);
            }
        });
        rest = &rest[n..];
        take(resampler, &mut output);
    }
    resampler.finish();
    take(resampler, &mut output);
    output
}

fn whole<T: Real + Sample>(spec: &Spec, input: &[f64]) -> Vec<T> {
    run(&mut Resampler::new(spec).unwrap(), input, || usize::MAX)
}
