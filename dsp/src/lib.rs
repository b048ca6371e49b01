// SPDX-License-Identifier: MIT

//! Audio for speech and machine learning in plain Rust: exact and fast, on slices, without a sound
//! server, a runtime or a C library.
//!
//! | module | what it does |
//! |---|---|
//! | [`convert`] | 30 sample formats, planes and interleaved frames, channel mixing, dither, noise shaping |
//! | [`resample`] | sample rates: a planner over three engines, streaming, the same bits however the input is cut |
//! | [`vad`] | voice activity: probabilities per 10 ms and the edges of segments |
//!
//! Kernels are chosen at run time from what the machine has ([`Level`]); each has a portable twin. No
//! type keeps global state but for tables that equal configurations share. Time is counted in frames:
//! one sample of each channel.
//!
//! # Convert
//!
//! ```
//! use rustaudio_dsp::convert::{Converter, Matrix, Quantisation, SampleFormat, Side};
//! use rustaudio_dsp::{Frames, Layout};
//!
//! // 16-bit stereo to mono f32.
//! let stereo = Side { format: SampleFormat::S16, channels: 2, layout: Layout::Interleaved };
//! let mono = Side { format: SampleFormat::F32, channels: 1, layout: Layout::Interleaved };
//! let mix = Matrix::from_rows(&[vec![0.5, 0.5]])?;
//! let mut converter = Converter::new(stereo, mono, &mix, Quantisation::default(), 0)?;
//!
//! let input: Vec<u8> = [16_384i16, 0, -32_768, -32_768].iter().flat_map(|s| s.to_ne_bytes()).collect();
//! let mut output = vec![0; 2 * mono.frame_size()];
//! converter.convert(Frames::interleaved(&input, 2), &mut output)?;
//! let samples: Vec<f32> = output.chunks(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect();
//! assert_eq!(samples, [0.25, -1.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Resample
//!
//! ```
//! use rustaudio_dsp::resample::{Output, Resampler, Spec};
//!
//! // A second of 1 kHz at 48 kHz, by 10 ms, to 16 kHz; times stay what they are.
//! let input: Vec<f32> = (0..48_000).map(|n| (n as f32 * std::f32::consts::TAU / 48.0).sin()).collect();
//! let mut resampler = Resampler::<f32>::new(&Spec::new(48_000, 16_000, 1))?;
//! let mut output = Vec::new();
//! let mut pull = |resampler: &mut Resampler<f32>| {
//!     let (done, frames) = (output.len(), resampler.available());
//!     output.resize(done + frames, 0.0);
//!     resampler.pull(&mut Output::interleaved(&mut output[done..], 1), frames);
//! };
//! for chunk in input.chunks(480) {
//!     resampler.push(chunk.len(), |_channel, plane| plane.copy_from_slice(chunk));
//!     pull(&mut resampler);
//! }
//! resampler.finish();
//! pull(&mut resampler);
//! assert_eq!(output.len(), 16_000);
//! assert!((output[8001] - (8001.0 * std::f32::consts::TAU / 16.0).sin()).abs() < 1e-4);
//! # Ok::<(), rustaudio_dsp::resample::ResampleError>(())
//! ```
//!
//! # Detect speech
//!
//! ```
//! use rustaudio_dsp::convert::SampleFormat;
//! use rustaudio_dsp::vad::{Config, DetectorKind, LookAhead, Output, Rules, Vad};
//! use rustaudio_dsp::Frames;
//!
//! let config = Config {
//!     format: SampleFormat::S16,
//!     rate: 16_000,
//!     channels: 1,
//!     detector: DetectorKind::Silero(LookAhead::Short),
//! };
//! let mut vad = Vad::new(config, Rules::default());
//! let second = vec![0; 16_000 * 2];
//! let mut probabilities = Vec::new();
//! let mut take = |output| match output {
//!     Output::Frame(frame) => probabilities.push(frame.probability),
//!     Output::Change(change, _) => println!("speech: {} from frame {} on", change.speech, change.at),
//! };
//! vad.push(Frames::interleaved(&second, 16_000), &mut take)?;
//! vad.flush(&mut take);
//! assert_eq!(probabilities.len(), 100);
//! assert!(probabilities.iter().all(|p| *p < 0.5));
//! # Ok::<(), rustaudio_dsp::Outside>(())
//! ```

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod audio;
pub mod convert;
pub mod resample;
mod shared;
mod simd;
pub mod vad;

pub use audio::{Frames, Layout, Outside};
pub use simd::Level;
