// SPDX-License-Identifier: MIT

//! 16-bit samples in integers, beside the same in floating point.

use super::edge::Stream;
use super::*;
use crate::convert::SampleFormat;
use crate::resample::fixed::is_fast;
use crate::simd::Level;

const RATES: [(u32, u32); 11] = [
    (48_000, 16_000),
    (44_100, 48_000),
    (16_000, 48_000),
    (48_000, 44_100),
    (44_100, 16_000),
    (22_050, 16_000),
    (8000, 48_000),
    (96_000, 48_000),
    // Long filters, the words of which must be finer.
    (48_000, 8000),
    (96_000, 8000),
    (192_000, 11_025),
];

/// The nearest 16-bit sample; 1 is full scale.
fn sample(v: f64) -> i16 {
    (v * 32_768.0).round() as i16
}

/// `input` as 16-bit samples in floating point.
fn rounded(input: &[f64]) -> Vec<f64> {
    let of = |v: &f64| f64::from(sample(*v)) / 32_768.0;
    input.iter().map(of).collect()
}

fn decibels(errors: &[f64], of: &[f64]) -> f64 {
    let power = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64;
    10.0 * (power(errors) / power(of)).log10()
}

/// As exact as is said, the same at every level and however the input is cut.
#[test]
fn words_are_the_taps_but_for_99_decibels() {
    // Channel `c` is scaled by `c + 1`.
    let input: Vec<f64> = noise(4001, 9).iter().map(|v| v / 3.1).collect();
    for rates in RATES {
        for (method, quality) in [
            (Method::Kaiser, 0),
            (Method::Kaiser, 4),
            (Method::BlackmanNuttall, 4),
            (Method::Cubic, 4),
            (Method::Linear, 4),
            (Method::Nearest, 4),
        ] {
            for channels in [1, 2, 3] {
                let spec = Spec {
                    quality,
                    method,
                    ..spec(rates, channels, EngineChoice::Polyphase)
                };
                let at = |level, cut: fn(usize) -> usize| {
                    let mut resampler = Resampler::<i16>::with_level(&spec, level).unwrap();
                    let mut i = 0;
                    let cut = || {
                        i += 1;
                        cut(i)
                    };
                    run_of(&mut resampler, &input, cut, sample)
                };
                let portable = at(Level::PORTABLE, |_| 480);
                for level in Level::available() {
                    assert!(at(level, |_| 480) == portable, "{rates:?} {level:?}");
                    assert!(at(level, |i| 1 + i * 7919 % 97) == portable, "{rates:?}");
                }
                for c in 0..channels {
                    let scaled: Vec<f64> = input.iter().map(|v| v * (c + 1) as f64).collect();
                    let scaled = rounded(&scaled);
                    let mono = Spec {
                        channels: 1,
                        ..spec.clone()
                    };
                    let exact = whole::<f64>(&mono, &scaled);
                    let got = portable.iter().skip(c).step_by(channels);
                    assert_eq!(portable.len(), channels * exact.len());
                    let errors: Vec<f64> =
                        got.zip(&exact).map(|(a, b)| f64::from(*a) - b).collect();
                    let error = decibels(&errors, &scaled);
                    assert!(error < -99.0, "{rates:?} {method:?} {quality} {c}: {error}");
                }
            }
        }
    }
}

/// Samples that meet every tap of a phase with its own sign give the largest sum that there is. A sum
/// that left its bits would be off by twice full scale.
#[test]
fn the_largest_sums_stay_within_their_bits() {
    for rates in RATES {
        let ratio = Ratio::new(rates.0, rates.1).unwrap();
        for quality in [0, 2, 4] {
            let spec = Spec {
                quality,
                ..spec(rates, 1, EngineChoice::Polyphase)
            };
            let prototype = design::Prototype::new(Method::Kaiser, quality, ratio);
            let evaluator = prototype.evaluator();
            let mut taps = vec![0.0; prototype.taps() as usize];
            let mut input = vec![0.0; 40 * taps.len()];
            let mut targets = Vec::new();
            for sign in [1.0, -1.0] {
                for part in 0..15 {
                    let at = (2 * targets.len() as u64 + 1) * taps.len() as u64 * ratio.l / ratio.m;
                    let k = at + part;
                    let (frame, phase) = (k * ratio.m / ratio.l, k * ratio.m % ratio.l);
                    evaluator.phase(phase as f64 / ratio.l as f64, &mut taps);
                    let first = frame as usize + 1 - taps.len() / 2;
                    let Some(window) = input.get_mut(first..first + taps.len()) else {
                        break;
                    };
                    for (x, tap) in window.iter_mut().zip(&taps) {
                        *x = if tap * sign < 0.0 {
                            -1.0
                        } else {
                            32_767.0 / 32_768.0
                        };
                    }
                    targets.push(k as usize);
                }
            }
            assert!(targets.len() > 15);
            let exact = whole::<f64>(&spec, &input);
            let mut resampler = Resampler::<i16>::new(&spec).unwrap();
            let got = run_of(&mut resampler, &input, || 480, sample);
            let largest = targets.iter().map(|k| exact[*k].abs()).fold(0.0, f64::max);
            assert!(largest > 1.15, "{rates:?} {quality} {largest}");
            for (k, (a, b)) in got.iter().zip(&exact).enumerate() {
                let error = (f64::from(*a) - b).abs();
                assert!(error < 4e-4, "{rates:?} {quality} {k}: {a} {b}");
            }
        }
    }
}

#[test]
fn a_constant_comes_out_as_it_is() {
    for rates in RATES {
        let spec = spec(rates, 1, EngineChoice::Polyphase);
        let mut resampler = Resampler::<i16>::new(&spec).unwrap();
        let output = run_of(&mut resampler, &[0.75; 4000], || 480, sample);
        let third = output.len() / 3;
        for v in &output[third..2 * third] {
            assert!((v - 0.75).abs() < 1e-6, "{rates:?}: {v}");
        }
    }
}

#[test]
fn other_filters_are_refused() {
    let base = Spec::new(44_100, 48_000, 2);
    for spec in [
        // Two taps in each of 32767 rows of nine thousand zeros.
        Spec {
            method: Method::Nearest,
            ..Spec::new(20_000_003, 32_767, 2)
        },
        Spec {
            quality: 5,
            ..base.clone()
        },
        Spec {
            engine: EngineChoice::Sinc,
            ..base.clone()
        },
        Spec {
            engine: EngineChoice::Fft,
            ..base.clone()
        },
        Spec {
            rate_correction: 1.001,
            ..base.clone()
        },
        // A table that is too large, and rows that come in no groups.
        Spec {
            filter_mode: FilterMode::Full,
            ..Spec::new(44_100, 47_999, 2)
        },
    ] {
        let error = Resampler::<i16>::new(&spec).err();
        assert_eq!(error, Some(ResampleError::NoIntegers), "{spec:?}");
    }
    let text = ResampleError::NoIntegers.to_string();
    assert!(text.contains("quality 4") && text.contains("f32"), "{text}");
}

/// What is done to two streams alike, one in integers as long as it can, one in floating point.
struct Pair {
    streams: [Stream; 2],
    channels: usize,
    output: [Vec<u8>; 2],
}

impl Pair {
    fn new(spec: &Spec, layout: Layout, reversed: bool) -> Self {
        let stream = |integers| {
            let wanted = whether(integers);
            Stream::with_integers(spec, SampleFormat::S16LE, layout, reversed, wanted).unwrap()
        };
        let streams = [stream(true), stream(false)];
        assert!(streams[0].is_in_integers() && !streams[1].is_in_integers());
        Self {
            streams,
            channels: spec.channels,
            output: [Vec::new(), Vec::new()],
        }
    }

    fn push(&mut self, bytes: &[u8], layout: Layout) {
        let frames = bytes.len() / (2 * self.channels);
        for stream in &mut self.streams {
            stream.push(Frames::packed(layout, bytes, frames)).unwrap();
        }
        self.pull();
    }

    fn pull(&mut self) {
        for (stream, output) in self.streams.iter_mut().zip(&mut self.output) {
            let frames = stream.available();
            let at = output.len();
            output.resize(at + frames * 2 * self.channels, 0);
            stream.pull(frames, &mut output[at..]);
        }
    }

    /// Both came to the same but for a last bit, after all.
    fn finish(mut self, what: &str) {
        self.streams.iter_mut().for_each(Stream::finish);
        self.pull();
        let [integers, floats] = self.output.map(|bytes| {
            let samples = bytes.as_chunks().0.iter();
            samples.map(|b| i16::from_le_bytes(*b)).collect::<Vec<_>>()
        });
        assert_eq!(integers.len(), floats.len(), "{what}");
        assert!(floats.iter().any(|v| v.abs() > 5000), "{what}");
        for (i, (a, b)) in integers.iter().zip(&floats).enumerate() {
            assert!(a.abs_diff(*b) <= 1, "{what} {i}: {a} {b}");
        }
    }
}

fn bytes(n: usize, seed: u64) -> Vec<u8> {
    let samples = noise(n, seed).into_iter();
    samples
        .flat_map(|v| sample(v * 0.6).to_le_bytes())
        .collect()
}

#[test]
fn every_layout_is_read_and_written() {
    for channels in [1, 2, 3, 66] {
        for layout in [Layout::Interleaved, Layout::Planar] {
            for reversed in [false, true] {
                let mut pair = Pair::new(&Spec::new(48_000, 44_100, channels), layout, reversed);
                let input = bytes(1500 * channels, 5);
                let mut rest = &input[..];
                for frames in [480, 0, 1, 7, 300, 712] {
                    let (part, later) = rest.split_at(frames * 2 * channels);
                    rest = later;
                    pair.push(part, layout);
                }
                assert!(rest.is_empty() && pair.streams[0].is_in_integers());
                pair.finish(&format!("{channels} {layout:?} {reversed}"));
            }
        }
    }
}

/// Settings that integers are not for are taken over from the next output on, as in floating point.
#[test]
fn changes_lead_out_of_integers_without_a_gap() {
    type Change = fn(&mut Stream, &Spec) -> Result<(), ResampleError>;
    let changes: [(&str, bool, Change); 5] = [
        ("higher quality", false, |stream, spec| {
            stream.reconfigure(&Spec {
                quality: 8,
                ..spec.clone()
            })
        }),
        ("lower quality", true, |stream, spec| {
            stream.reconfigure(&Spec {
                quality: 1,
                ..spec.clone()
            })
        }),
        ("drift", false, |stream, spec| {
            stream.reconfigure(&Spec {
                rate_correction: 1.0005,
                ..spec.clone()
            })
        }),
        ("rate", true, |stream, _| {
            stream.change_out_rate(16_000).map(drop)
        }),
        ("rate with a large table", false, |stream, _| {
            stream.change_out_rate(47_999).map(drop)
        }),
    ];
    for (what, stays, change) in changes {
        for (channels, layout, reversed) in [
            (2, Layout::Interleaved, false),
            (3, Layout::Interleaved, true),
            (1, Layout::Planar, false),
        ] {
            let base = Spec::new(44_100, 48_000, channels);
            let mut pair = Pair::new(&base, layout, reversed);
            let size = 2 * channels;
            for (i, part) in bytes(channels * 4410, 7).chunks(size * 441).enumerate() {
                if i == 5 {
                    for stream in &mut pair.streams {
                        change(stream, &base).unwrap();
                    }
                    assert_eq!(pair.streams[0].is_in_integers(), stays, "{what}");
                    let [a, b] = &pair.streams;
                    assert_eq!(a.kind(), b.kind());
                    assert_eq!(a.latency(), b.latency());
                    assert_eq!(a.is_silent(), b.is_silent());
                }
                pair.push(part, layout);
            }
            pair.finish(&format!("{what} {channels} {layout:?}"));
        }
    }
}

/// What floating point refuses as well leaves the stream as it is.
#[test]
fn a_refused_change_changes_nothing() {
    let mut pair = Pair::new(&Spec::new(44_100, 48_000, 2), Layout::Interleaved, false);
    pair.push(&bytes(2 * 4410, 7), Layout::Interleaved);
    for stream in &mut pair.streams {
        let error = stream.change_out_rate(0).unwrap_err();
        assert_eq!(error, ResampleError::Zero);
    }
    assert!(pair.streams[0].is_in_integers());
    pair.push(&bytes(2 * 4410, 8), Layout::Interleaved);
    pair.finish("refused");
}

/// With settings that they are for, integers are used where they are fast, also after others were.
#[test]
fn integers_are_used_where_they_are_fast_and_will_do() {
    let format = SampleFormat::S16LE;
    let base = Spec::new(44_100, 48_000, 2);
    let layout = Layout::Interleaved;
    let stream = Stream::new(&base, format, layout, false).unwrap();
    assert_eq!(stream.is_in_integers(), is_fast(&base, Level::best()));
    let swapped = SampleFormat::from_name("S16BE").unwrap();
    for format in [SampleFormat::F32LE, swapped] {
        let stream = Stream::with_integers(&base, format, layout, false, |_| true).unwrap();
        assert!(!stream.is_in_integers(), "{format:?}");
    }

    let mut pair = Pair::new(&base, layout, false);
    let with = |quality| Spec {
        quality,
        ..base.clone()
    };
    // After a reset the streams begin anew, but for the noise, so that both must have had the same.
    for (qualities, integers) in [(vec![8, 4], true), (vec![8], false), (vec![4], true)] {
        for stream in &mut pair.streams {
            for quality in &qualities {
                stream.reconfigure(&with(*quality)).unwrap();
            }
        }
        pair.push(&bytes(2 * 441, 3), layout);
        for stream in &mut pair.streams {
            stream.reset();
        }
        assert_eq!(pair.streams[0].is_in_integers(), integers, "{qualities:?}");
        pair.push(&bytes(2 * 4410, 4), layout);
    }
    pair.finish("back");

    // What they are faster for is asked anew.
    let base = with(10);
    let wanted = |spec: &Spec| spec.quality <= 4;
    let mut stream = Stream::with_integers(&base, format, layout, false, wanted).unwrap();
    for (quality, integers) in [(10, false), (4, true), (10, false), (3, true)] {
        stream.reconfigure(&with(quality)).unwrap();
        stream.reset();
        assert_eq!(stream.is_in_integers(), integers, "{quality}");
    }
}
