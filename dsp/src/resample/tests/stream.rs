// SPDX-License-Identifier: MIT

//! What goes on over time: chopping, silence, resets, takeovers, corrections, counts, limits.

use super::*;
use crate::convert::SampleFormat;

#[test]
fn any_chopping_gives_the_same_bits() {
    let input = noise(9001, 1);
    for rates in [
        (48_000, 16_000),
        (44_100, 48_000),
        (48_000, 44_100),
        (8000, 48_000),
        (22_050, 16_000),
    ] {
        for &engine in ENGINES {
            for channels in [1, 2, 3] {
                let spec = spec(rates, channels, engine);
                let expected = whole::<f32>(&spec, &input);
                let frames = Ratio::new(rates.0, rates.1).unwrap().outputs_through(9000);
                assert_eq!(expected.len() as u64, frames * channels as u64);
                for seed in [1usize, 7, 480, 1021] {
                    let mut i = 0;
                    let cut = || {
                        i += 1;
                        1 + i * 7919 % seed
                    };
                    let got = run(&mut Resampler::<f32>::new(&spec).unwrap(), &input, cut);
                    assert!(got == expected, "{rates:?} {engine:?} {channels} {seed}");
                }
            }
        }
    }
}

#[test]
fn chopping_leaves_dithered_integers_alone() {
    let bytes: Vec<u8> = noise(2 * 5000, 3)
        .iter()
        .flat_map(|v| ((v * 20_000.0) as i16).to_le_bytes())
        .collect();
    for &engine in ENGINES {
        let spec = spec((44_100, 16_000), 2, engine);
        let run = |cut: usize| {
            let format = SampleFormat::S16LE;
            let mut stream = Stream::new(&spec, format, Layout::Interleaved, false).unwrap();
            let mut output = Vec::new();
            let pull = |stream: &mut Stream, output: &mut Vec<u8>| {
                let frames = stream.available();
                let at = output.len();
                output.resize(at + frames * 4, 0);
                stream.pull(frames, &mut output[at..]);
            };
            for part in bytes.chunks(4 * cut) {
                let frames = Frames::interleaved(part, part.len() / 4);
                stream.push(frames).unwrap();
                pull(&mut stream, &mut output);
            }
            stream.finish();
            pull(&mut stream, &mut output);
            output
        };
        let expected = run(5000);
        for cut in [1, 13, 441, 1000] {
            assert!(run(cut) == expected, "{engine:?} {cut}");
        }
    }
}

/// Whatever is said of how many frames there are, no room is made for more than lie there.
#[test]
fn frames_that_are_not_there_are_refused_and_nothing_is_taken() {
    for &engine in ENGINES {
        for (channels, layout) in [
            (1, Layout::Interleaved),
            (2, Layout::Interleaved),
            (2, Layout::Planar),
        ] {
            let spec = spec((44_100, 16_000), channels, engine);
            let mut stream = Stream::new(&spec, SampleFormat::F32LE, layout, false).unwrap();
            let before = (stream.memory(), stream.available());
            let bytes = [0; 80];
            for frames in [21, usize::MAX / 64, usize::MAX / 2, usize::MAX] {
                let refused = stream
                    .push(Frames::packed(layout, &bytes, frames))
                    .unwrap_err();
                assert_eq!(refused.frames, frames);
                assert_eq!(
                    (stream.memory(), stream.available()),
                    before,
                    "{engine:?} {channels}"
                );
            }
            stream.push(Frames::packed(layout, &bytes, 10)).unwrap();
        }
    }
}

/// What depends on silence alone is silence to the last bit, also after transforms.
#[test]
fn silence_is_exact() {
    for &engine in ENGINES {
        let spec = spec((44_100, 48_000), 1, engine);
        let format = SampleFormat::F32LE;
        let mut stream = Stream::new(&spec, format, Layout::Interleaved, false).unwrap();
        let loud: Vec<u8> = noise(4410, 5)
            .iter()
            .flat_map(|v| (*v as f32).to_le_bytes())
            .collect();
        stream.push(Frames::interleaved(&loud, 4410)).unwrap();
        let mut silent = 0;
        for _ in 0..60 {
            stream.push(Frames::silence(441)).unwrap();
            // In parts, since silence may begin within a window.
            while stream.available() > 0 {
                let frames = stream.available().min(97);
                let exact = stream.is_silent();
                let mut output = vec![0; 4 * frames];
                assert_eq!(stream.pull(frames, &mut output), exact);
                if exact {
                    assert!(output.iter().all(|b| *b == 0), "{engine:?}");
                    silent += frames;
                }
            }
        }
        assert!(silent > 10_000, "{engine:?} {silent}");
    }
}

/// What is said not to depend on the input before does not, by the sums themselves; and what is said
/// to depend on it soon does.
#[test]
fn dependence_on_the_past_ends_where_it_is_said_to() {
    for rates in [
        (44_100, 48_000),
        (48_000, 44_100),
        (48_000, 16_000),
        (22_050, 16_000),
    ] {
        for &engine in ENGINES {
            let spec = spec(rates, 1, engine);
            let transforms = matches!(engine, EngineChoice::Fft | EngineChoice::RubatoFft);
            let mut resampler = Resampler::<f64>::new(&spec).unwrap();
            let loud = noise(4410, 5);
            resampler.push(4410, |_, plane| plane.copy_from_slice(&loud));
            let (mut last_heard, mut first_free) = (0, None);
            let mut frame = [0.0];
            for k in 0.. {
                while resampler.available() == 0 {
                    resampler.push(441, |_, plane| plane.fill(0.0));
                }
                let free = resampler.depends_from() >= 4410;
                if k > 40_000 {
                    break;
                }
                resampler.pull(&mut Output::interleaved(&mut frame, 1), 1);
                // What the transforms' filter lets past its ends is below -160 dB.
                let floor = if transforms { 1e-8 } else { 1e-15 };
                let heard = frame[0].abs() > floor;
                assert!(!(free && heard), "{rates:?} {engine:?} {k}: {frame:?}");
                if heard {
                    last_heard = k;
                }
                if free && first_free.is_none() {
                    first_free = Some(k);
                }
            }
            // A group of outputs or a window of transforms is judged as a whole.
            let most = if transforms { 8192 } else { 40 };
            let late = first_free.unwrap() - last_heard;
            assert!(late < most, "{rates:?} {engine:?}: {late}");
        }
    }
}

/// A reset leaves nothing of what was before, in phase or in samples.
#[test]
fn after_a_reset_all_is_as_new() {
    let input = noise(3001, 11);
    for &engine in ENGINES {
        let spec = spec((48_000, 44_100), 2, engine);
        let expected = whole::<f32>(&spec, &input);
        let mut resampler = Resampler::<f32>::new(&spec).unwrap();
        let _ = run(&mut resampler, &noise(1234, 12), || 100);
        resampler.reset();
        assert!(
            run(&mut resampler, &input, || 333) == expected,
            "{engine:?}"
        );
    }
}

/// Settings change mid-stream: outputs go on at their instants, without a step.
#[test]
fn another_engine_takes_over_without_a_click() {
    let frequency = 0.05;
    let input = sine(40_000, frequency);
    for &from in ENGINES {
        for (to, quality) in ENGINES.iter().flat_map(|e| [(*e, 4), (*e, 9)]) {
            let rates = (44_100, 48_000);
            let mut resampler = Resampler::<f64>::new(&spec(rates, 1, from)).unwrap();
            let mut output = Vec::new();
            for (i, part) in input.chunks(441).enumerate() {
                if i == 40 {
                    let spec = Spec {
                        quality,
                        ..spec(rates, 1, to)
                    };
                    resampler.reconfigure(&spec).unwrap();
                }
                resampler.push(part.len(), |_, plane| plane.copy_from_slice(part));
                let frames = resampler.available();
                let at = output.len();
                output.resize(at + frames, 0.0);
                resampler.pull(&mut Output::interleaved(&mut output[at..], 1), frames);
            }
            resampler.finish();
            let frames = resampler.available();
            let at = output.len();
            output.resize(at + frames, 0.0);
            resampler.pull(&mut Output::interleaved(&mut output[at..], 1), frames);
            assert_eq!(output.len(), (39_999 * 160) / 147 + 1);
            // Every output around the change is the sine's.
            let end = output.len() - 1000;
            for (k, y) in output.iter().enumerate().take(end).skip(1000) {
                let exact = (2.0 * PI * frequency * k as f64 * 147.0 / 160.0).sin();
                // Pass-band ripple of quality 4 is what remains.
                let error = y - exact;
                assert!(error.abs() < 1e-3, "{from:?} {to:?} {k} {error}");
            }
        }
    }
}

/// The ratio follows a correction that changes all the time, and the phase with it.
#[test]
fn corrections_bend_the_ratio_smoothly() {
    let frequency = 0.02;
    let input = sine(96_000, frequency);
    let rates = [(48_000, 48_000), (48_000, 16_000), (44_100, 48_000)];
    // rubato's blocks hand over to its sincs, and those go on.
    let all = ENGINES
        .iter()
        .flat_map(|engine| rates.map(|rates| (*engine, rates)));
    for (engine, rates) in all {
        let base = spec(rates, 1, engine);
        let mut resampler = Resampler::<f64>::new(&base).unwrap();
        let mut output = Vec::new();
        // Where each output lies in the input, from the corrections alone.
        let (mut instants, mut at) = (Vec::new(), 0.0);
        let nominal = f64::from(rates.0) / f64::from(rates.1);
        for (i, part) in input.chunks(480).enumerate() {
            let rate_correction = match i {
                0..20 => 1.0,
                20..60 => 1.0005,
                60..100 => 0.99,
                100..150 => 1.0 + i as f64 * 1e-5,
                _ => 1.0,
            };
            let spec = Spec {
                rate_correction,
                ..base.clone()
            };
            resampler.reconfigure(&spec).unwrap();
            resampler.push(part.len(), |_, plane| plane.copy_from_slice(part));
            let frames = resampler.available();
            let start = output.len();
            output.resize(start + frames, 0.0);
            resampler.pull(&mut Output::interleaved(&mut output[start..], 1), frames);
            for _ in 0..frames {
                instants.push(at);
                at += nominal / rate_correction;
            }
        }
        assert!(output.len() > 1000);
        for (k, (y, at)) in output.iter().zip(&instants).enumerate().skip(200) {
            let exact = (2.0 * PI * frequency * at).sin();
            assert!(
                (y - exact).abs() < 1e-3,
                "{engine:?} {rates:?} {k}: {y} {exact}"
            );
        }
    }
}

#[test]
fn a_day_passes_without_drift() {
    // The ratio of 44.1 and 48 kHz at a hundredth of the rates.
    let spec = spec((441, 480), 1, EngineChoice::Polyphase);
    let mut resampler = Resampler::<f32>::new(&spec).unwrap();
    let period: Vec<f32> = sine(441, 10.0 / 441.0).iter().map(|v| *v as f32).collect();
    let mut second = vec![0.0; 1000];
    let mut day = Vec::new();
    for s in 0..86_400u64 {
        resampler.push(441, |_, plane| plane.copy_from_slice(&period));
        let frames = resampler.available();
        assert_eq!(
            resampler.frames_out() + frames as u64,
            (441 * (s + 1) - 33) * 160 / 147 + 1
        );
        resampler.pull(&mut Output::interleaved(&mut second[..frames], 1), frames);
        if s == 10 {
            day = second[..frames].to_vec();
        }
    }
    // A day later the same second comes out bit for bit.
    assert_eq!(second[..day.len()], day[..]);
    assert_eq!(resampler.spec().in_rate, 441);
    let mut corrected = Resampler::<f32>::new(&Spec {
        engine: EngineChoice::Sinc,
        ..Spec::new(441, 480, 1)
    })
    .unwrap();
    for _ in 0..86_400 {
        corrected.push(441, |_, plane| plane.copy_from_slice(&period));
        let frames = corrected.available();
        corrected.pull(&mut Output::interleaved(&mut second[..frames], 1), frames);
    }
    assert_eq!(corrected.frames_out(), resampler.frames_out());
    for (a, b) in second.iter().zip(&day) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn extreme_rates_work_or_say_why_not() {
    for rates in [
        (1, 8),
        (8, 1),
        (1, 1_500_000),
        (1_500_000, 48_000),
        (192_000, 1),
        (1_499_999, 8000),
    ] {
        let mut resampler = Resampler::<f32>::new(&Spec::new(rates.0, rates.1, 1)).unwrap();
        let frames = if rates.1 > 1000 * rates.0 {
            8
        } else {
            400.max(2 * rates.0 as usize)
        };
        let output = run(&mut resampler, &vec![0.5; frames], || 4096);
        let expected = Ratio::new(rates.0, rates.1)
            .unwrap()
            .outputs_through(frames as u64 - 1);
        assert_eq!(output.len() as u64, expected, "{rates:?}");
        let middle = output[output.len() / 2];
        let settled = frames > 130 * rates.0.div_ceil(rates.1) as usize;
        assert!(
            !settled || (middle - 0.5).abs() < 1e-3,
            "{rates:?} {middle}"
        );
    }
    let error = Resampler::<f64>::new(&Spec::new(1_500_000, 1, 1))
        .err()
        .unwrap();
    assert!(error.to_string().contains("MiB"), "{error}");
    assert_eq!(
        Resampler::<f32>::new(&Spec::new(0, 1, 1)).err(),
        Some(ResampleError::Zero)
    );
}

#[test]
fn latency_is_a_bound() {
    for &engine in [EngineChoice::Auto].iter().chain(ENGINES) {
        for max in [10, 40, 200, 2000] {
            let spec = Spec {
                quality: 10,
                max_latency: Some(max),
                ..spec((48_000, 44_100), 1, engine)
            };
            let resampler = Resampler::<f32>::new(&spec).unwrap();
            assert!(resampler.latency() <= max, "{engine:?} {max}");
        }
    }
    // And a true one: no output waits longer, and one waits as long.
    let rates = [(48_000, 44_100), (22_050, 16_000), (16_000, 48_000)];
    let all = ENGINES
        .iter()
        .flat_map(|engine| rates.map(|rates| (*engine, rates)));
    for (engine, rates) in all {
        let step = f64::from(rates.0) / f64::from(rates.1);
        let mut resampler = Resampler::<f32>::new(&spec(rates, 1, engine)).unwrap();
        let mut most = 0.0f64;
        let mut out = [0.0; 8192];
        for _ in 0..3000 + 2 * resampler.latency() {
            resampler.push(1, |_, plane| plane.fill(0.0));
            let due = resampler.frames_due() - resampler.frames_out() as f64;
            let frames = resampler.available();
            let lag = (due - frames as f64) * step;
            assert!(lag <= resampler.latency() as f64 + 2.0, "{engine:?} {lag}");
            most = most.max(lag);
            resampler.pull(&mut Output::interleaved(&mut out, 1), frames);
        }
        // rubato's sincs are told to wait for a whole piece at the fastest correction.
        let slack = if engine == EngineChoice::Fft {
            3.0
        } else {
            700.0
        };
        let told = resampler.latency() as f64;
        assert!(most > told - slack, "{engine:?} {rates:?}: {most} {told}");
    }
}

/// What the engines that follow no number may be given is no number, and passes.
#[cfg(feature = "rubato")]
#[test]
fn rubato_bears_whatever_comes() {
    for engine in [EngineChoice::RubatoFft, EngineChoice::RubatoSinc] {
        let mut resampler = Resampler::<f32>::new(&spec((48_000, 44_100), 1, engine)).unwrap();
        let mut out = vec![0.0; 100_000];
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.5] {
            resampler.push(20_000, |_, plane| plane.fill(value));
            let frames = resampler.available();
            resampler.pull(&mut Output::interleaved(&mut out, 1), frames);
        }
        // It recovers.
        let last = resampler.frames_out() - 1;
        resampler.push(20_000, |_, plane| plane.fill(0.5));
        let frames = resampler.available();
        resampler.pull(&mut Output::interleaved(&mut out, 1), frames);
        assert!(
            last > 50_000 && (out[frames - 1] - 0.5).abs() < 1e-3,
            "{engine:?}"
        );
    }
}

/// Where rubato would take more memory, or wait longer, than is allowed, it is not taken.
#[cfg(feature = "rubato")]
#[test]
fn rubato_keeps_to_the_limits() {
    let steep = Spec {
        quality: 10,
        ..spec((384_000, 1000), 1, EngineChoice::RubatoSinc)
    };
    let refused = Resampler::<f64>::new(&steep).err();
    assert!(
        matches!(refused, Some(ResampleError::TooLarge { .. })),
        "{refused:?}"
    );
    // No transform of 384000 points twice, but the filter in the time domain.
    let prime = spec((384_000, 44_101), 1, EngineChoice::RubatoFft);
    assert_eq!(
        Resampler::<f32>::new(&prime).unwrap().kind(),
        EngineKind::Sinc
    );
    let soon = |engine, max| {
        let spec = Spec {
            max_latency: Some(max),
            ..spec((44_100, 48_000), 1, engine)
        };
        Resampler::<f32>::new(&spec).unwrap().kind()
    };
    assert_eq!(soon(EngineChoice::RubatoFft, 700), EngineKind::RubatoFft);
    assert_eq!(soon(EngineChoice::RubatoFft, 300), EngineKind::Polyphase);
    assert_eq!(soon(EngineChoice::RubatoSinc, 160), EngineKind::RubatoSinc);
    assert_eq!(soon(EngineChoice::RubatoSinc, 100), EngineKind::Polyphase);
}

/// Without the feature the choice is refused, not ignored.
#[cfg(not(feature = "rubato"))]
#[test]
fn rubato_is_refused_where_it_is_not_built() {
    for engine in [EngineChoice::RubatoFft, EngineChoice::RubatoSinc] {
        let refused = Resampler::<f32>::new(&spec((48_000, 44_100), 1, engine)).err();
        assert_eq!(refused, Some(ResampleError::NoRubato));
    }
}

/// Of frames whose samples are not all there none is taken, and the stream goes on.
#[test]
fn frames_outside_of_their_memory_are_refused() {
    let bytes = [0u8; 40];
    for format in [SampleFormat::S16LE, SampleFormat::S16BE] {
        let mut stream = Stream::new(
            &Spec::new(44_100, 48_000, 2),
            format,
            Layout::Interleaved,
            false,
        )
        .unwrap();
        for frames in [
            Frames::interleaved(&bytes, 11),
            Frames::planar(&bytes, &[], 11),
            Frames::planar(&bytes, &[0, 21], 10),
            Frames::planes(&[&bytes], 10),
        ] {
            let outside = stream.push(frames).unwrap_err();
            assert_eq!(outside.frames, frames.count());
            assert_eq!(stream.frames_in(), 0);
        }
        for frames in [
            Frames::interleaved(&bytes, 10),
            Frames::planar(&bytes, &[20, 0], 10),
            Frames::planes(&[&bytes, &bytes[20..]], 10),
        ] {
            stream.push(frames).unwrap();
        }
        assert_eq!(stream.frames_in(), 30);
    }
}
