// SPDX-License-Identifier: MIT

//! Folded filters, alone and with a half-band stage before or after.

use super::process::{planes, processed};
use super::*;
use crate::resample::fft::Size;
use crate::resample::halves::{EQUIRIPPLE, Half, Side};
use crate::resample::planner::Fold;
use crate::resample::sharp::Sharp;
use crate::resample::table::FromF64;
use crate::simd::Level;

/// Rates, a bound of the delay in input frames, and where the half-band stage is.
const CASES: [((u32, u32), u64, Option<Side>); 5] = [
    ((48_000, 16_000), 393, Some(Side::Before)),
    ((16_000, 48_000), 131, Some(Side::After)),
    ((44_100, 48_000), 313, None),
    ((48_000, 44_100), 330, None),
    ((24_000, 16_000), 190, None),
];

/// The same where transforms do the work between.
const STAGED: [((u32, u32), u64, Option<Side>); 2] = [
    ((44_100, 16_000), 1437, Some(Side::Before)),
    ((16_000, 44_100), 521, Some(Side::After)),
];

fn all() -> impl Iterator<Item = ((u32, u32), u64, Option<Side>)> {
    CASES.into_iter().chain(STAGED)
}

fn folded((rates, latency, _): ((u32, u32), u64, Option<Side>), channels: usize) -> Spec {
    Spec {
        quality: 8,
        max_latency: Some(latency),
        ..Spec::new(rates.0, rates.1, channels)
    }
}

fn fold_of(spec: &Spec) -> (Ratio, Fold) {
    let resampler = Resampler::<f32>::new(spec).unwrap();
    match *resampler.plan() {
        Plan::Folded(fold) => (resampler.ratio(), fold),
        ref other => panic!("{spec:?}: {other:?}"),
    }
}

#[test]
fn the_planner_takes_them_within_the_delay() {
    for case in CASES {
        let (_, fold) = fold_of(&folded(case, 1));
        assert_eq!(fold.half.map(|half| half.side), case.2, "{case:?}");
    }
    for case in STAGED {
        let resampler = Resampler::<f32>::new(&folded(case, 1)).unwrap();
        let Plan::StagedFft { half, size } = *resampler.plan() else {
            panic!("{case:?}: {:?}", resampler.plan());
        };
        assert_eq!(Some(half.side), case.2);
        assert_eq!(size, Size { units: 2, hop: 1 });
    }
    // As dear as the filter of the quality, and later.
    let spec = Spec {
        max_latency: Some(131),
        ..Spec::new(8000, 48_000, 1)
    };
    let resampler = Resampler::<f32>::new(&spec).unwrap();
    assert_eq!(*resampler.plan(), Plan::Polyphase);
}

/// The short half-band filter stops too little where a sharp filter passes up to near the Nyquist frequency.
#[test]
fn what_passes_more_has_the_longer_half_band_filter() {
    for (pass, taps) in [(0.942, 12), (0.968, 12), (0.969, 14), (1.0, 14)] {
        for ratio in [Ratio { l: 3, m: 1 }, Ratio { l: 1, m: 3 }] {
            assert_eq!(
                Half::new(ratio, pass).map(|half| half.taps),
                Some(taps),
                "{pass}"
            );
        }
    }
}

/// Of any quality and delay; on either side of transforms, of short windows and of long ones.
#[test]
fn plans_keep_to_the_delay() {
    let mut staged = Vec::new();
    let rates = [
        (48_000, 16_000),
        (16_000, 48_000),
        (44_100, 16_000),
        (16_000, 44_100),
        (96_000, 16_000),
        (44_100, 8000),
        (8000, 44_100),
        (192_000, 44_100),
        (44_100, 48_000),
        (96_000, 48_000),
    ];
    for (from, to) in rates {
        for quality in 0..=10 {
            let spec = Spec {
                quality,
                ..Spec::new(from, to, 1)
            };
            let least = Resampler::<f32>::new(&spec).unwrap().latency();
            for limit in [least, least * 3 / 2, 3 * least, 10 * least, u64::MAX] {
                let spec = Spec {
                    max_latency: Some(limit),
                    ..spec.clone()
                };
                let resampler = Resampler::<f32>::new(&spec).unwrap();
                let plan = resampler.plan();
                assert!(resampler.latency() <= limit, "{spec:?}: {plan:?}");
                if let Plan::StagedFft { half, size } = *plan {
                    staged.push((half.side, size.hop > 1));
                }
            }
        }
    }
    for kind in [Side::Before, Side::After]
        .into_iter()
        .flat_map(|side| [(side, false), (side, true)])
    {
        assert!(staged.contains(&kind), "{kind:?}");
    }
}

/// `x` around `place`, in its frames, under the sharp response of a lower rate that is `narrow` of its own.
fn sharpened(sharp: &Sharp, x: &dyn Fn(i64) -> f64, place: f64, narrow: f64) -> f64 {
    let reach = (90.0 / narrow) as i64;
    let (mut sum, mut gain) = (0.0, 0.0);
    for i in place as i64 - reach..=place as i64 + reach {
        let tap = sharp.at((i as f64 - place) * narrow);
        sum += tap * x(i);
        gain += tap;
    }
    sum / gain
}

/// By its formula or its table, what a half-band filter counts beside a place, those of one side.
fn half_taps(half: Half) -> Vec<f64> {
    let beta = 0.1102 * (137.0 - 8.7);
    let tap = |k: u64| {
        let x = k as f64 + 0.5;
        (PI * x).sin() / x * design::kaiser_window(beta, x / half.taps as f64)
    };
    let taps: Vec<f64> = (0..half.taps).map(tap).collect();
    if taps.len() == EQUIRIPPLE.len() {
        return EQUIRIPPLE.to_vec();
    }
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| tap * 0.5 / sum).collect()
}

/// Every output by the definition of its filters.
fn by_definition(input: &[f64], ratio: Ratio, half: Option<Half>) -> Vec<f64> {
    let sharp = Sharp::new();
    let x = |i: i64| {
        let at = usize::try_from(i).ok();
        at.and_then(|i| input.get(i)).copied().unwrap_or(0.0)
    };
    let outputs = ratio.outputs_through(input.len() as u64 - 1) as i64;
    let step = ratio.input_per_output();
    let narrow = |step: f64| 1.0 / step.max(1.0);
    let Some(half) = half else {
        let at = |k: i64| sharpened(&sharp, &x, k as f64 * step, narrow(step));
        return (0..outputs).map(at).collect();
    };
    let taps = half_taps(half);
    let between = |frame: &dyn Fn(i64) -> f64| {
        let pairs = taps.iter().zip(0..);
        pairs
            .map(|(tap, k)| tap * (frame(-1 - k) + frame(k)))
            .sum::<f64>()
    };
    match half.side {
        Side::Before => {
            let count = input.len() as i64 / 2 + 400;
            let halved: Vec<f64> = (-400..count)
                .map(|j| (x(2 * j) + between(&|k| x(2 * (j + k) + 1))) / 2.0)
                .collect();
            let step = step / 2.0;
            let x = |j: i64| halved.get((j + 400) as usize).copied().unwrap_or(0.0);
            let at = |k: i64| sharpened(&sharp, &x, k as f64 * step, narrow(step));
            (0..outputs).map(at).collect()
        }
        Side::After => {
            let step = 2.0 * step;
            let given: Vec<f64> = (-40..outputs / 2 + 40)
                .map(|j| sharpened(&sharp, &x, j as f64 * step, narrow(step)))
                .collect();
            let given = |j: i64| given[(j + 40) as usize];
            let at = |k: i64| match k % 2 {
                0 => given(k / 2),
                _ => between(&|i| given(k / 2 + 1 + i)),
            };
            (0..outputs).map(at).collect()
        }
    }
}

/// Of the filter that is a table: what it passes and what it stops, of the higher rate.
#[test]
fn the_half_band_passes_and_stops_what_it_says() {
    let response = |cycles: f64| {
        let taps = EQUIRIPPLE.iter().zip(0..);
        let cosines = taps.map(|(tap, k)| tap * (2.0 * PI * cycles * f64::from(2 * k + 1)).cos());
        0.5 + cosines.sum::<f64>()
    };
    for i in 0..=1000 {
        let passed = response(f64::from(i) / 1000.0 * 31.0 / 192.0);
        assert!((passed - 1.0).abs() < 1.3e-7, "{i}: {passed}");
        let stopped = response(0.5 - f64::from(i) / 1000.0 * 31.0 / 192.0).abs();
        assert!(20.0 * stopped.log10() < -137.7, "{i}: {stopped}");
    }
}

#[test]
fn outputs_are_those_of_their_filters() {
    let input = noise(4000, 9);
    for case in CASES {
        let (ratio, fold) = fold_of(&folded(case, 1));
        let exact = by_definition(&input, ratio, fold.half);
        for level in Level::available() {
            for channels in [1, 2, 3, 7] {
                let spec = folded(case, channels);
                let single = run(
                    &mut Resampler::<f32>::with_level(&spec, level).unwrap(),
                    &input,
                    || 480,
                );
                let double = run(
                    &mut Resampler::<f64>::with_level(&spec, level).unwrap(),
                    &input,
                    || 480,
                );
                assert_eq!(double.len(), channels * exact.len());
                for (i, (a, b)) in single.iter().zip(&double).enumerate() {
                    let gain = (i % channels + 1) as f64;
                    let exact = exact[i / channels] * gain;
                    let errors = [(f64::from(*a) - exact).abs(), (b - exact).abs()];
                    assert!(
                        errors[1] < 1e-11 * gain,
                        "{case:?} {level:?} {i}: {errors:?}"
                    );
                    assert!(
                        errors[0] < 1e-6 * gain,
                        "{case:?} {level:?} {i}: {errors:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn any_chopping_and_any_reading_gives_the_same_bits() {
    let input = noise(9001, 1);
    for case in all() {
        for channels in [1, 2, 3, 7] {
            let spec = folded(case, channels);
            let expected = whole::<f32>(&spec, &input);
            let planes = planes(&input, channels, f32::nearest);
            for seed in [1usize, 7, 480, 1021] {
                let cuts = || {
                    let mut i = 0;
                    move || {
                        i += 1;
                        1 + i * 7919 % seed
                    }
                };
                let mut resampler = Resampler::<f32>::new(&spec).unwrap();
                let got = run(&mut resampler, &input, cuts());
                assert!(got == expected, "{case:?} {channels} {seed}");
                resampler.reset();
                let again = run(&mut resampler, &input, cuts());
                assert!(again == expected, "{case:?} {channels} {seed} anew");
                for most in [1, 1000, usize::MAX] {
                    let got = processed(&spec, &planes, cuts(), most);
                    assert!(got == expected, "{case:?} {channels} {seed} {most}");
                }
            }
            let at_once = processed(&spec, &planes, || usize::MAX, usize::MAX);
            assert!(at_once == expected, "{case:?} {channels} at once");
        }
    }
}

/// No output waits longer than is said, and one waits as long or nearly; none needs what is said to be
/// behind it.
#[test]
fn latency_and_history_are_what_is_said() {
    for case in all() {
        let spec = folded(case, 1);
        let mut resampler = Resampler::<f64>::new(&spec).unwrap();
        let latency = resampler.latency() as i64;
        assert!(latency <= case.1 as i64, "{case:?}: {latency}");
        let step = resampler.ratio().input_per_output();
        let (mut made, mut most) = (0i64, 0);
        for last in 0..4000i64 {
            resampler.push(1, |_, plane| plane.fill(0.0));
            let frames = resampler.available();
            for _ in 0..frames {
                most = most.max(last - (made as f64 * step).ceil() as i64);
                made += 1;
            }
            resampler.pull(&mut Output::interleaved(&mut vec![0.0; frames], 1), frames);
            // The next one is not overdue.
            let waits = last - (made as f64 * step).ceil() as i64;
            assert!(waits < latency, "{case:?}: {waits} {latency}");
        }
        assert!(
            most <= latency && most >= latency - 3,
            "{case:?}: {most} {latency}"
        );

        let mut resampler = Resampler::<f64>::new(&spec).unwrap();
        resampler.push(1001, |_, plane| plane.fill(1.0));
        for _ in 0..6000 {
            while resampler.available() == 0 {
                resampler.push(100, |_, plane| plane.fill(0.0));
            }
            let free = resampler.depends_from() > 1000;
            let mut frame = [0.0];
            resampler.pull(&mut Output::interleaved(&mut frame, 1), 1);
            assert!(!free || frame[0] == 0.0, "{case:?}: {frame:?}");
        }
    }
}

/// Another engine takes over and hands back mid-stream, at any place of the output grid.
#[test]
fn takeovers_go_on_where_the_outputs_were() {
    let frequency = 0.03;
    let input = sine(30_000, frequency);
    for case in all() {
        let spec = folded(case, 1);
        let plain = Spec {
            max_latency: None,
            ..spec.clone()
        };
        let corrected = Spec {
            rate_correction: 1.0 + 1e-6,
            ..spec.clone()
        };
        for (a, b) in [(&spec, &plain), (&plain, &spec), (&spec, &corrected)] {
            let mut resampler = Resampler::<f64>::new(a).unwrap();
            let mut output = Vec::new();
            for (i, part) in input.chunks(311).enumerate() {
                if i == 33 {
                    resampler.reconfigure(b).unwrap();
                }
                resampler.push(part.len(), |_, plane| plane.copy_from_slice(part));
                let (frames, at) = (resampler.available(), output.len());
                output.resize(at + frames, 0.0);
                resampler.pull(&mut Output::interleaved(&mut output[at..], 1), frames);
            }
            let step = resampler.ratio().input_per_output();
            let end = output.len() - 1000;
            for (k, y) in output.iter().enumerate().take(end).skip(1000) {
                let error = y - (2.0 * PI * frequency * k as f64 * step).sin();
                // The ripple of the pass bands, and where a correction moves the outputs to.
                assert!(error.abs() < 6e-3, "{case:?} {k}: {error}");
            }
        }
    }
}

/// A tone of `cycles` a frame through a fresh stream: its gain and what else comes out, both in dB.
fn tone(spec: &Spec, cycles: f64) -> (f64, f64) {
    let output = whole::<f32>(spec, &sine(12_000, cycles));
    let settled = &output[1500..output.len() - 1500];
    let turn = 2.0 * PI * cycles * f64::from(spec.in_rate) / f64::from(spec.out_rate);
    // Of sine and cosine, by least squares.
    let (mut ss, mut sc, mut cc, mut ys, mut yc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (k, y) in settled.iter().enumerate() {
        let (s, c) = (turn * k as f64).sin_cos();
        let y = f64::from(*y);
        (ss, sc, cc) = (ss + s * s, sc + s * c, cc + c * c);
        (ys, yc) = (ys + y * s, yc + y * c);
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = (
        (ys * cc - yc * sc) / determinant,
        (yc * ss - ys * sc) / determinant,
    );
    let rest = settled.iter().enumerate().map(|(k, y)| {
        let (s, c) = (turn * k as f64).sin_cos();
        (f64::from(*y) - a * s - b * c).powi(2)
    });
    let rest = rest.sum::<f64>() / settled.len() as f64;
    (10.0 * (a * a + b * b).log10(), 10.0 * (2.0 * rest).log10())
}

/// As wide as libsoxr's HQ passes, and what is beyond the lower Nyquist frequency, from there on, is below the
/// noise of `f32` or little above.
#[test]
fn the_band_ends_at_the_nyquist_frequency() {
    for case in all() {
        let spec = folded(case, 1);
        let ratio = Ratio::new(spec.in_rate, spec.out_rate).unwrap();
        let lower = ratio.l.min(ratio.m) as f64 / ratio.m as f64 / 2.0;
        let (mut flat, mut noise) = (0.0f64, -200.0f64);
        for i in 1..60 {
            // Images of these are the first that the filter stops.
            let (gain, rest) = tone(&spec, lower * 0.99 * f64::from(i) / 59.0 + 1e-5);
            if i <= 54 {
                flat = flat.max(gain.abs());
            }
            noise = noise.max(rest);
        }
        let (edge, _) = tone(&spec, lower * 0.942);
        let mut alias = -200.0f64;
        for i in 0..60 {
            let cycles = lower * (1.002 + 0.3 * f64::from(i) / 59.0);
            if cycles < 0.5 {
                // It comes out where its alias is.
                let (folded, rest) = tone(&spec, cycles);
                alias = alias.max(folded).max(rest);
            }
        }
        assert!(flat < 0.015, "{case:?}: {flat}");
        assert!(edge > -1.0, "{case:?}: {edge}");
        assert!(noise < -122.0, "{case:?}: {noise}");
        assert!(alias < -122.0, "{case:?}: {alias}");
    }
}
