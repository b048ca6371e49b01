// SPDX-License-Identifier: MIT

//! What comes out for what goes in: instants, sums, bands, precision.

use super::*;
use crate::simd::Level;

/// Output `k` of a sine is the sine at `k` output frames: no engine shifts by a fraction of a frame.
#[test]
fn outputs_lie_at_their_instants() {
    for rates in [
        (48_000, 16_000),
        (44_100, 48_000),
        (48_000, 44_100),
        (8000, 48_000),
        (44_100, 47_999),
    ] {
        for &engine in ENGINES {
            let frequency = 0.1 * f64::from(rates.0.min(rates.1)) / f64::from(rates.0);
            let spec = Spec {
                quality: 8,
                ..spec(rates, 1, engine)
            };
            let output = whole::<f64>(&spec, &sine(20_000, frequency));
            let step = f64::from(rates.0) / f64::from(rates.1);
            let middle = output.len() / 3..output.len() / 2;
            for (k, y) in output
                .iter()
                .enumerate()
                .take(middle.end)
                .skip(middle.start)
            {
                let exact = (2.0 * PI * frequency * k as f64 * step).sin();
                assert!(
                    (y - exact).abs() < 1e-5,
                    "{rates:?} {engine:?} {k}: {y} {exact}"
                );
            }
        }
    }
}

/// However rows are grouped, mirrored or by themselves, each output is the sum of its own taps over
/// the input around it, at every level.
#[test]
fn outputs_are_the_sums_of_their_taps() {
    let input = noise(5000, 9);
    for rates in [
        (48_000, 16_000),
        (48_000, 44_100),
        (44_100, 48_000),
        (22_050, 16_000),
        (16_000, 44_100),
        (44_100, 24_000),
        (44_100, 44_096),
    ] {
        let ratio = Ratio::new(rates.0, rates.1).unwrap();
        let spec = |channels| Spec {
            filter_mode: FilterMode::Full,
            ..spec(rates, channels, EngineChoice::Polyphase)
        };
        let prototype = design::Prototype::new(Method::Kaiser, spec(1).quality, ratio);
        let evaluator = prototype.evaluator();
        let mut taps = vec![0.0; prototype.taps() as usize];
        let mut exact = Vec::new();
        for k in 0..ratio.outputs_through(input.len() as u64 - 1) {
            let (frame, phase) = (k * ratio.m / ratio.l, k * ratio.m % ratio.l);
            evaluator.phase(phase as f64 / ratio.l as f64, &mut taps);
            let first = frame as i64 + 1 - taps.len() as i64 / 2;
            let sum: f64 = taps
                .iter()
                .zip(first..)
                .filter_map(|(tap, i)| Some(tap * input.get(usize::try_from(i).ok()?)?))
                .sum();
            exact.push(sum);
        }
        for level in Level::available() {
            for channels in 1..=4 {
                let mut single = Resampler::<f32>::with_level(&spec(channels), level).unwrap();
                let single = run(&mut single, &input, || 480);
                let mut double = Resampler::<f64>::with_level(&spec(channels), level).unwrap();
                let double = run(&mut double, &input, || 480);
                assert_eq!(double.len(), channels * exact.len());
                for (i, (a, b)) in single.iter().zip(&double).enumerate() {
                    let gain = (i % channels + 1) as f64;
                    let exact = exact[i / channels] * gain;
                    let error = (b - exact).abs();
                    assert!(error < 1e-13 * gain, "{rates:?} {level:?} {i}: {b} {exact}");
                    let error = (f64::from(*a) - exact).abs();
                    assert!(error < 1e-6 * gain, "{rates:?} {level:?} {i}: {a} {exact}");
                }
                // Planes hold the same, and nothing is written around them.
                let mut planar = Resampler::<f32>::with_level(&spec(channels), level).unwrap();
                planar.push(input.len(), |c, plane| {
                    for (to, from) in plane.iter_mut().zip(&input) {
                        *to = (*from * (c + 1) as f64) as f32;
                    }
                });
                planar.finish();
                let (frames, space) = (planar.available(), planar.available() + 40);
                let mut planes = vec![7.0; channels * space];
                let mut out = Output::planar(&mut planes, space);
                out.skip(20);
                planar.pull(&mut out, frames);
                for (c, plane) in planes.chunks_exact(space).enumerate() {
                    assert_eq!(plane[..20], [7.0; 20]);
                    assert_eq!(plane[20 + frames..], [7.0; 20]);
                    let side_by_side = single.iter().skip(c).step_by(channels);
                    assert!(
                        plane[20..20 + frames].iter().eq(side_by_side),
                        "{rates:?} {level:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_level_gives_the_same_but_for_rounding() {
    let input = noise(3000, 5);
    let spec = spec((44_100, 48_000), 2, EngineChoice::Polyphase);
    let level = |l| {
        run(
            &mut Resampler::<f32>::with_level(&spec, l).unwrap(),
            &input,
            || 441,
        )
    };
    let portable = level(Level::PORTABLE);
    for l in Level::available() {
        for (a, b) in level(l).iter().zip(&portable) {
            assert!((a - b).abs() < 2e-6, "{l:?}: {a} {b}");
        }
    }
}

/// The transforms' filter: -1 dB at the edge that its quality promises, nothing from the lower
/// Nyquist frequency on.
#[test]
fn transforms_keep_their_band() {
    for rates in [
        (48_000, 16_000),
        (44_100, 48_000),
        (44_100, 16_000),
        (22_050, 16_000),
    ] {
        let lower = f64::from(rates.0.min(rates.1)) / 2.0 / f64::from(rates.0);
        for quality in [0, 4, 8, 10] {
            for channels in [1, 2] {
                let spec = Spec {
                    quality,
                    ..spec(rates, channels, EngineChoice::Fft)
                };
                let level = |frequency: f64| {
                    let output = whole::<f64>(&spec, &sine(60_000, frequency));
                    let third = output.len() / 3 / channels * channels;
                    let middle = &output[third..2 * third];
                    let power: f64 = middle.iter().step_by(channels).map(|v| v * v).sum();
                    10.0 * (2.0 * power / (middle.len() / channels) as f64).log10()
                };
                let edge = level(super::planner::EDGES[usize::from(quality)] * lower);
                assert!((-1.0..0.1).contains(&edge), "{rates:?} {quality}: {edge}");
                if rates.0 > rates.1 {
                    for (at, most) in [(1.001, -133.0), (1.05, -140.0)] {
                        let stop = level(at * lower);
                        assert!(stop < most, "{rates:?} {quality} {at}: {stop}");
                    }
                }
            }
        }
    }
}

/// Upwards, nothing of a tone is mirrored at the input's Nyquist frequency.
#[test]
fn transforms_leave_no_images() {
    for rates in [(44_100, 48_000), (16_000, 48_000)] {
        let step = f64::from(rates.0) / f64::from(rates.1);
        for (quality, tone) in [(0, 0.3), (4, 0.4), (10, 0.45)] {
            let spec = Spec {
                quality,
                ..spec(rates, 1, EngineChoice::Fft)
            };
            let output = whole::<f64>(&spec, &sine(60_000, tone));
            let middle = &output[output.len() / 4..output.len() / 4 * 3];
            // Amplitude at `frequency` cycles an input frame under a window that hides what is
            // a thousandth of the rate away at -180 dB.
            let amplitude = |frequency: f64| {
                let n = middle.len() as f64;
                let (mut re, mut im, mut sum) = (0.0, 0.0, 0.0);
                for (k, y) in middle.iter().enumerate() {
                    let x = 2.0 * (k as f64 + 0.5) / n - 1.0;
                    let window = design::kaiser_window(22.0, x);
                    let phase = 2.0 * PI * frequency * step * k as f64;
                    re += window * y * phase.cos();
                    im += window * y * phase.sin();
                    sum += window;
                }
                20.0 * (2.0 * re.hypot(im) / sum).log10()
            };
            assert!(
                amplitude(tone).abs() < 0.1,
                "{rates:?}: {}",
                amplitude(tone)
            );
            let image = amplitude(1.0 - tone);
            assert!(image < -135.0, "{rates:?} {quality}: {image}");
        }
    }
}

/// Interpolated tables against exact ones.
#[test]
fn interpolation_is_below_the_noise_of_its_precision() {
    let input = noise(6000, 9);
    let rates = (44_100, 48_000);
    let exact = whole::<f64>(&spec(rates, 1, EngineChoice::Polyphase), &input);
    let worst = |got: &[f64]| {
        let pairs = got.iter().zip(&exact);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    let single = |spec: &Spec| -> Vec<f64> {
        let output = whole::<f32>(spec, &input);
        output.iter().map(|v| f64::from(*v)).collect()
    };
    let smooth = spec(rates, 1, EngineChoice::Sinc);
    let full = Spec {
        filter_mode: FilterMode::Full,
        ..smooth.clone()
    };
    for (spec, most) in [(&smooth, 1e-10), (&full, 1e-13)] {
        let double = worst(&whole::<f64>(spec, &input));
        assert!(double < most, "{double}");
        let single = worst(&single(spec));
        assert!(single < 2e-6, "{single}");
    }
    let linear = Spec {
        interpolation: Interpolation::Linear,
        ..spec(rates, 1, EngineChoice::Sinc)
    };
    let linear = worst(&whole::<f64>(&linear, &input));
    assert!((1e-9..3e-6).contains(&linear), "{linear}");
}
