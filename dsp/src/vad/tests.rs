// SPDX-License-Identifier: MIT

//! Tests of the detector as a whole, against signals that are known.

use super::*;
use crate::audio::{Frames, Outside};
use crate::convert::SampleFormat;

fn config(rate: u32, channels: usize, format: SampleFormat) -> Config {
    Config {
        format,
        rate,
        channels,
        detector: DetectorKind::Spectral(LookAhead::Short),
    }
}

/// A voice-like sound: gliding harmonics under two formants, with 0.3 s syllables between 1 s and
/// 2 s of every 2 s, over faint noise.
fn voice(rate: u32, seconds: f32) -> Vec<f32> {
    let mut phase = 0f32;
    let mut seed = 1u32;
    (0..(rate as f32 * seconds) as usize)
        .map(|i| {
            let t = i as f32 / rate as f32;
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let place = t % 2.0;
            let hz = 140.0 + 30.0 * (std::f32::consts::TAU * 1.7 * t).sin();
            phase = (phase + hz / rate as f32).fract();
            let swell = if place < 1.0 {
                0.0
            } else {
                0.6 + 0.4 * (std::f32::consts::TAU * (place - 1.0) / 0.3).sin()
            };
            let tone: f32 = (1..24)
                .map(|h| {
                    let f = hz * h as f32;
                    let formant = |c: f32, w: f32| (-((f - c) / w).powi(2)).exp();
                    let gain = formant(500.0, 250.0) + 0.5 * formant(1500.0, 400.0) + 0.02;
                    gain * (std::f32::consts::TAU * phase * h as f32).sin()
                })
                .sum();
            0.2 * swell * tone + 0.0005 * noise
        })
        .collect()
}

fn bytes(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// What `vad` makes of interleaved `data`, so many samples of each channel at a time.
fn run(vad: &mut Vad, data: &[u8], samples: usize, chunk: usize) -> Vec<Output> {
    let per = data.len() / samples.max(1);
    let parts = data.chunks(chunk * per);
    hear(
        vad,
        parts.map(|part| Frames::interleaved(part, part.len() / per)),
    )
}

fn hear<'a>(vad: &mut Vad, parts: impl IntoIterator<Item = Frames<'a>>) -> Vec<Output> {
    let mut out = Vec::new();
    for part in parts {
        vad.push(part, |o| out.push(o)).unwrap();
    }
    vad.flush(|o| out.push(o));
    out
}

fn mono(rate: u32, x: &[f32], chunk: usize) -> Vec<Output> {
    let config = config(rate, 1, SampleFormat::F32LE);
    run(
        &mut Vad::new(config, Rules::default()),
        &bytes(x),
        x.len(),
        chunk,
    )
}

fn segments(out: &[Output]) -> Vec<(u64, u64)> {
    out.iter()
        .filter_map(|o| match o {
            Output::Change(c, _) if !c.speech => Some((c.start, c.at)),
            _ => None,
        })
        .collect()
}

fn probabilities(out: &[Output]) -> Vec<f32> {
    out.iter()
        .filter_map(|o| match o {
            Output::Frame(f) => Some(f.probability),
            Output::Change(..) => None,
        })
        .collect()
}

#[test]
fn finds_the_voice_and_nothing_else() {
    let out = mono(16_000, &voice(16_000, 10.0), 1600);
    assert_eq!(probabilities(&out).len(), 1000);
    let found = segments(&out);
    assert_eq!(found.len(), 5, "{found:?}");
    for (i, (start, end)) in found.into_iter().enumerate() {
        let (from, to) = (100 + 200 * i as u64, 200 + 200 * i as u64);
        assert!(
            start.abs_diff(from) <= 5 && end.abs_diff(to) <= 5,
            "{start}-{end}"
        );
    }
}

#[test]
fn chunks_do_not_matter() {
    let x = voice(22_050, 5.0);
    let whole = mono(22_050, &x, x.len());
    for chunk in [1, 97, 220, 4096] {
        let out = mono(22_050, &x, chunk);
        // Levels are sums, whose order shows in the last bit.
        assert_eq!(
            probabilities(&out),
            probabilities(&whole),
            "chunks of {chunk}"
        );
        assert_eq!(segments(&out), segments(&whole), "chunks of {chunk}");
    }
}

#[test]
fn formats_layouts_and_channels_agree() {
    let words: Vec<i16> = voice(48_000, 6.0)
        .iter()
        .map(|x| (x * 32767.0) as i16)
        .collect();
    let x: Vec<f32> = words.iter().map(|x| f32::from(*x) / 32768.0).collect();
    let reference = segments(&mono(48_000, &x, 480));
    assert_eq!(reference.len(), 3);
    let two: Vec<u8> = words
        .iter()
        .flat_map(|x| [*x, *x])
        .flat_map(i16::to_le_bytes)
        .collect();
    let plane: Vec<u8> = words.iter().flat_map(|x| x.to_le_bytes()).collect();
    let planar: Vec<u8> = [&plane[..], &plane[..]].concat();
    for frames in [
        Frames::interleaved(&two, x.len()),
        Frames::planar(&planar, &[], x.len()),
        Frames::planar(&planar, &[plane.len(), 0], x.len()),
        Frames::planes(&[&plane, &plane], x.len()),
    ] {
        let config = config(48_000, 2, SampleFormat::S16LE);
        let mut vad = Vad::new(config, Rules::default());
        let layout = frames.layout();
        assert_eq!(segments(&hear(&mut vad, [frames])), reference, "{layout:?}");
    }
}

/// Two channels, of which the second is half as loud as the first.
fn two_channels() -> [Vec<u8>; 3] {
    let left: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.3).sin()).collect();
    let right: Vec<f32> = left.iter().map(|x| x / 2.0).collect();
    let both = left.iter().zip(&right).flat_map(|(l, r)| [*l, *r]);
    [
        bytes(&both.collect::<Vec<_>>()),
        bytes(&left),
        bytes(&right),
    ]
}

#[test]
fn levels_are_those_of_all_channels_in_any_layout() {
    let [both, left, right] = two_channels();
    let mut vad = Vad::new(config(16_000, 2, SampleFormat::F32LE), Rules::default());
    // A sine, and one half as loud.
    let expected = 10.0 * ((0.5f32 + 0.125) / 2.0).log10();
    let joined = [&right[..], &left[..]].concat();
    for frames in [
        Frames::interleaved(&both, 1000),
        Frames::planar(&joined, &[], 1000),
        Frames::planar(&joined, &[4000, 0], 1000),
        Frames::planes(&[&left, &right], 1000),
    ] {
        let level = vad.measure(frames).unwrap();
        assert!((level - expected).abs() < 0.05, "{level} {expected}");
    }
    assert_eq!(vad.measure(Frames::silence(1000)), Ok(-120.0));
    assert_eq!(vad.position(), 0);
}

#[test]
fn samples_outside_of_their_memory_are_refused_and_nothing_is_taken() {
    let [both, left, right] = two_channels();
    let mut vad = Vad::new(config(16_000, 2, SampleFormat::F32LE), Rules::default());
    let (one, cut) = ([&left[..]], [&left[..], &right[1..]]);
    for frames in [
        Frames::interleaved(&both[..7999], 1000),
        Frames::planar(&both, &[0], 1000),
        Frames::planar(&both, &[0, 4001], 1000),
        Frames::planes(&one, 1000),
        Frames::planes(&cut, 1000),
    ] {
        let mut given = 0;
        let refused = Err(Outside { frames: 1000 });
        assert_eq!(vad.push(frames, |_| given += 1), refused, "{frames:?}");
        assert_eq!((vad.position(), vad.frames(), given), (0, 0, 0));
        assert_eq!(vad.measure(frames).map(drop), refused, "{frames:?}");
    }
    vad.push(Frames::interleaved(&both, 1000), drop).unwrap();
    assert_eq!((vad.position(), vad.frames()), (1000, 6));
}

#[test]
fn rates_agree_within_20_ms() {
    let reference = segments(&mono(16_000, &voice(16_000, 6.0), 1000));
    assert_eq!(reference.len(), 3);
    for rate in [
        8000, 11_025, 12_000, 24_000, 32_000, 44_100, 48_000, 96_000, 44_101,
    ] {
        let found = segments(&mono(rate, &voice(rate, 6.0), 1000));
        assert_eq!(found.len(), 3, "{rate} Hz: {found:?}");
        for (a, b) in found.iter().zip(&reference) {
            let near = a.0.abs_diff(b.0) <= 2 && a.1.abs_diff(b.1) <= 2;
            assert!(near, "{rate} Hz: {a:?} for {b:?}");
        }
    }
}

#[test]
fn nothing_hostile_is_speech_or_breaks_what_follows() {
    let n = 3 * 16_000;
    let square = |i: usize| {
        if (i / 40).is_multiple_of(2) {
            1.0
        } else {
            -1.0
        }
    };
    let hostile: [(&str, Vec<f32>); 6] = [
        ("silence", vec![0.0; n]),
        ("DC", vec![1.0; n]),
        ("square", (0..n).map(square).collect()),
        ("NaN", vec![f32::NAN; n]),
        ("infinity", vec![f32::INFINITY; n]),
        ("denormals", vec![1e-40; n]),
    ];
    for (name, mut x) in hostile {
        x.extend(voice(16_000, 8.0));
        let out = mono(16_000, &x, 1000);
        let p = probabilities(&out);
        assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "{name}");
        let marked = p[50..290].iter().filter(|p| **p >= 0.5).count();
        assert!(marked <= 24, "{name}: {marked} frames of it are speech");
        // 3 s of it, then a voice from 4 s on.
        let found = segments(&out);
        let last = found.last().unwrap_or_else(|| panic!("{name}: voice lost"));
        assert!(last.0.abs_diff(1000) <= 5, "{name}: {found:?}");
    }
}

#[test]
fn a_gap_is_no_speech_and_keeps_what_was_learnt() {
    let x = voice(16_000, 4.0);
    let config = config(16_000, 1, SampleFormat::F32LE);
    let mut vad = Vad::new(config, Rules::default());
    let data = bytes(&x);
    // The voice from 3 s to 4 s, cut by a gap of 0.5 s.
    let cut = 4 * 16_000 * 35 / 10;
    let parts = [
        Frames::interleaved(&data, cut / 4),
        Frames::silence(8000),
        Frames::interleaved(&data[cut..], x.len() - cut / 4),
    ];
    let out = hear(&mut vad, parts);
    let found = segments(&out);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[1].1.abs_diff(350) <= 4 && found[2].0.abs_diff(400) <= 8,
        "{found:?}"
    );
    let p = probabilities(&out);
    assert!(p[353..396].iter().all(|p| *p < 0.1));
}

/// Each detector tells of what it has heard what it would if silence followed; nothing waits, and frames are
/// told once.
#[test]
fn what_is_settled_is_as_if_silence_followed() {
    let x = bytes(&voice(16_000, 4.0));
    // Ends in the voice, which has begun, has been there for too short, and has not begun.
    for end in [24_000, 17_000, 16_800, 8000] {
        for detector in [
            DetectorKind::Spectral(LookAhead::Long),
            DetectorKind::Silero(LookAhead::Long),
            DetectorKind::Silero(LookAhead::Short),
            DetectorKind::Neural(LookAhead::Medium),
            DetectorKind::Energy {
                threshold_db: -40.0,
            },
        ] {
            let config = Config {
                detector,
                ..config(16_000, 1, SampleFormat::F32LE)
            };
            let begun = |vad: &mut Vad| run(vad, &x[..end * 4], end, 160);
            let settle = |vad: &mut Vad| {
                let mut out = Vec::new();
                vad.settle(|o| out.push(o));
                out
            };
            let mut vad = Vad::new(config, Rules::default());
            let mut whole = begun(&mut vad);
            whole.extend(hear(&mut vad, [Frames::silence(16_000)]));
            let mut vad = Vad::new(config, Rules::default());
            let mut cut = begun(&mut vad);
            cut.extend(settle(&mut vad));
            let frames = end as u64 / 160;
            assert_eq!(probabilities(&cut).len() as u64, frames, "{detector:?}");
            if !vad.segmenter().in_speech() {
                assert_eq!(vad.segmenter().decided(), frames, "{detector:?}");
            }
            assert!(settle(&mut vad).is_empty(), "{detector:?}: told twice");
            cut.extend(hear(&mut vad, [Frames::silence(8000)]));
            cut.extend(settle(&mut vad));
            cut.extend(hear(&mut vad, [Frames::silence(8000)]));
            let told = cut.len().min(whole.len());
            assert!(told as u64 > frames + 80, "{detector:?}");
            assert_eq!(cut[..told], whole[..told], "{detector:?}, {end}");
            // The rest comes at the end, and nothing more.
            vad.flush(|o| cut.push(o));
            assert_eq!(probabilities(&cut).len() as u64, frames + 100);
        }
    }
}

#[test]
fn a_reset_makes_it_new() {
    let x = voice(16_000, 4.0);
    let config = config(16_000, 1, SampleFormat::F32LE);
    let mut vad = Vad::new(config, Rules::default());
    let first = run(&mut vad, &bytes(&x), x.len(), 777);
    vad.reset();
    let second = run(&mut vad, &bytes(&x), x.len(), 777);
    assert_eq!(probabilities(&first), probabilities(&second));
    assert_eq!(segments(&first), segments(&second));
}

#[test]
fn the_energy_detector_is_exact() {
    let mut config = config(16_000, 1, SampleFormat::F32LE);
    config.detector = DetectorKind::Energy {
        threshold_db: -20.0,
    };
    let mut vad = Vad::new(config, Rules::default());
    // 0.5 s at -40 dBFS, 0.5 s at -14, 0.5 s at -40.
    let x: Vec<f32> = (0..24_000)
        .map(|i| {
            if (8000..16_000).contains(&i) {
                0.2
            } else {
                0.01
            }
        })
        .collect();
    let out = run(&mut vad, &bytes(&x), x.len(), 160);
    assert_eq!(segments(&out), [(47, 103)], "padded by 30 ms");
    for (i, p) in probabilities(&out).into_iter().enumerate() {
        assert_eq!(p, if (50..100).contains(&i) { 1.0 } else { 0.0 });
    }
    let Some(Output::Frame(f)) = out
        .iter()
        .find(|o| matches!(o, Output::Frame(f) if f.index == 60))
    else {
        panic!("no frame 60");
    };
    assert!(
        (f.level - 20.0 * 0.2f32.log10()).abs() < 0.01,
        "{}",
        f.level
    );
}

#[test]
fn changes_come_with_the_frame_at_their_edge_however_long_it_took_to_decide() {
    let mut config = config(16_000, 1, SampleFormat::F32LE);
    config.detector = DetectorKind::Energy {
        threshold_db: -20.0,
    };
    // No two frames are of one level.
    let x: Vec<f32> = (0..96_000)
        .map(|i| {
            let level = 1.0 + (i / 160) as f32 / 1000.0;
            level
                * if (16_000..64_000).contains(&i) {
                    0.2
                } else {
                    0.01
                }
        })
        .collect();
    for late in [false, true] {
        let rules = Rules {
            min_speech: 180,
            min_silence: 150,
            ..Rules::default()
        };
        let mut vad = Vad::new(config, if late { Rules::default() } else { rules });
        let (first, rest) = x.split_at(160 * if late { 99 } else { 1 });
        let mut out = run(&mut vad, &bytes(first), first.len(), 160);
        vad.set_rules(rules);
        out.extend(run(&mut vad, &bytes(rest), rest.len(), 160));
        let frames: Vec<_> = out
            .iter()
            .filter_map(|o| match o {
                Output::Frame(frame) => Some(*frame),
                Output::Change(..) => None,
            })
            .collect();
        let changes: Vec<_> = out
            .iter()
            .filter_map(|o| match o {
                Output::Change(change, at) => Some((change.edge, *at)),
                Output::Frame(_) => None,
            })
            .collect();
        assert_eq!(changes.iter().map(|c| c.0).collect::<Vec<_>>(), [100, 400]);
        for (edge, at) in changes {
            let frame = frames[edge as usize];
            assert_eq!((at.index, at.level), (edge, frame.level), "{late}");
        }
    }
}

#[test]
fn a_stream_holds_what_outlives_a_frame_and_no_more() {
    let look_ahead = LookAhead::Short;
    for (detector, most) in [
        (DetectorKind::Spectral(look_ahead), 11_000),
        (DetectorKind::Silero(look_ahead), 16_500),
        (DetectorKind::Neural(look_ahead), 20_500),
    ] {
        let config = Config {
            detector,
            ..config(16_000, 1, SampleFormat::F32LE)
        };
        let bytes = Vad::new(config, Rules::default()).memory();
        assert!(bytes <= most, "{detector:?}: {bytes}");
    }
}

#[test]
fn a_quiet_talker_after_a_loud_one_is_heard() {
    let mut x = voice(16_000, 8.0);
    x.extend(voice(16_000, 8.0).iter().map(|x| x * 0.14));
    let found = segments(&mono(16_000, &x, 1000));
    assert_eq!(found.len(), 8, "17 dB down: {found:?}");
}

mod rules {
    use super::*;

    /// Segments that `rules` make of frames that are speech where `is` says so.
    fn cut(rules: Rules, frames: u64, is: impl Fn(u64) -> bool) -> Vec<(u64, u64)> {
        let mut segmenter = Segmenter::new(rules);
        let mut changes = Vec::new();
        let mut before = 0;
        for f in 0..frames {
            let p = if is(f) { 0.9 } else { 0.1 };
            let known = changes.len();
            segmenter.push(p, LevelClass::Open, |c| changes.push(c));
            let decided = segmenter.decided();
            assert!(decided >= before && decided <= f + 1, "goes forth");
            assert!(f + 1 - decided <= rules.delay(), "late at {f}: {decided}");
            for c in &changes[known..] {
                assert!(c.at >= before, "a change in what was decided before");
            }
            before = decided;
        }
        segmenter.flush(|c| changes.push(c));
        assert_eq!(segmenter.decided(), frames);
        let pairs = changes.chunks_exact(2);
        assert!(pairs.remainder().is_empty());
        pairs
            .enumerate()
            .map(|(i, pair)| {
                assert!(pair[0].speech && !pair[1].speech);
                assert_eq!(pair[0].segment, i as u64 + 1);
                assert_eq!(pair[1].segment, i as u64 + 1);
                assert_eq!(pair[0].at, pair[1].start);
                (pair[0].at, pair[1].at)
            })
            .collect()
    }

    fn rules(speech: u64, silence: u64, pad: u64, max: Option<u64>) -> Rules {
        Rules {
            min_speech: speech,
            min_silence: silence,
            pad,
            max_speech: max,
            ..Rules::default()
        }
    }

    #[test]
    fn pads_both_sides_within_the_stream() {
        let r = rules(3, 10, 5, None);
        assert_eq!(cut(r, 100, |f| (20..40).contains(&f)), [(15, 45)]);
        assert_eq!(cut(r, 100, |f| f < 40), [(0, 45)]);
        assert_eq!(cut(r, 43, |f| (20..40).contains(&f)), [(15, 43)]);
    }

    #[test]
    fn short_speech_is_ignored_and_short_silence_bridged() {
        let r = rules(3, 10, 0, None);
        assert_eq!(cut(r, 100, |f| f == 20 || f == 21), []);
        assert_eq!(cut(r, 100, |f| (20..23).contains(&f)), [(20, 23)]);
        let two = |hole: u64| move |f| (20..30).contains(&f) || (30 + hole..50).contains(&f);
        assert_eq!(cut(r, 100, two(9)), [(20, 50)]);
        assert_eq!(cut(r, 100, two(10)), [(20, 30), (40, 50)]);
    }

    #[test]
    fn paddings_touch_but_do_not_overlap() {
        let r = rules(1, 4, 3, None);
        let is = |f| (20..30).contains(&f) || (34..50).contains(&f);
        assert_eq!(cut(r, 100, is), [(17, 33), (33, 53)]);
        // Silence shorter than the padding does not end a segment.
        let r = rules(1, 2, 10, None);
        assert_eq!(cut(r, 100, is), [(10, 60)]);
    }

    #[test]
    fn long_speech_is_cut_without_a_hole() {
        let r = rules(3, 10, 2, Some(25));
        let is = |f| (20..80).contains(&f);
        assert_eq!(cut(r, 200, is), [(18, 43), (43, 68), (68, 82)]);
        let r = rules(3, 10, 50, Some(3));
        assert!(cut(r, 200, is).iter().all(|(a, b)| b - a <= 3));
    }

    /// What is known to be one segment stays one, however short they are to be from now on.
    #[test]
    fn a_shorter_max_speech_cuts_nothing_that_is_known() {
        for (from, to) in [(None, 10), (Some(30), 4), (None, 1)] {
            for turn in 0..120 {
                let mut segmenter = Segmenter::new(rules(3, 6, 2, from));
                let mut changes: Vec<Change> = Vec::new();
                for f in 0..120 {
                    if f == turn {
                        segmenter.set_rules(rules(3, 6, 2, Some(to)));
                    }
                    let (told, known) = (changes.len(), segmenter.decided());
                    let p = if (10..90).contains(&f) { 0.9 } else { 0.1 };
                    segmenter.push(p, LevelClass::Open, |c| changes.push(c));
                    assert!(changes[told..].iter().all(|c| c.at >= known), "{turn} {f}");
                }
                segmenter.flush(|c| changes.push(c));
                let segments: Vec<(u64, u64)> = changes
                    .chunks(2)
                    .map(|pair| (pair[0].at, pair[1].at))
                    .collect();
                let bounds = (segments[0].0, segments[segments.len() - 1].1);
                assert_eq!(bounds, (8, 92), "{turn}");
                for (n, (start, end)) in segments.iter().enumerate() {
                    assert!(start < end, "{turn}: {segments:?}");
                    assert!(
                        n == 0 || segments[n - 1].1 == *start,
                        "{turn}: {segments:?}"
                    );
                    // Those that begin under the new rule keep to it.
                    let longest = if *start > turn { to.max(3) } else { 84 };
                    assert!(end - start <= longest, "{turn}: {segments:?}");
                }
            }
        }
    }

    #[test]
    fn any_rules_on_any_speech_keep_their_promises() {
        let mut seed = 7u64;
        let mut random = move |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % n
        };
        for _ in 0..500 {
            let r = rules(random(6), random(15), random(8), None);
            let speech: Vec<bool> = (0..300)
                .map(|f| (f / (1 + random(9)) + random(2)).is_multiple_of(3))
                .collect();
            let found = cut(r, 300, |f| speech[f as usize]);
            for pair in found.windows(2) {
                assert!(pair[0].1 <= pair[1].0, "{r:?}: {found:?}");
            }
        }
    }

    #[test]
    fn hysteresis_holds_between_the_thresholds() {
        let mut s = Segmenter::new(rules(1, 1, 0, None));
        let mut changes = Vec::new();
        for p in [0.4, 0.49, 0.5, 0.4, 0.36, 0.34, 0.4, 0.49] {
            s.push(p, LevelClass::Open, |c| changes.push((c.speech, c.at)));
        }
        assert_eq!(changes, [(true, 2), (false, 5)]);
    }

    fn level_of(silent: bool) -> LevelClass {
        if silent {
            LevelClass::Silent
        } else {
            LevelClass::Open
        }
    }

    #[test]
    fn a_start_goes_back_over_a_clear_onset_but_not_into_a_tail() {
        // Room for five frames: 9 frames of silence are waited for, less the 3 that a start takes.
        let rules = rules(3, 9, 1, None);
        let reach = rules.delay() - 3;
        assert_eq!(reach, 4);
        let mut s = Segmenter::new(rules);
        let mut changes = Vec::new();
        let mut released = 0;
        for f in 0..80u64 {
            // Probable speech at 20..30 and 60..70; clear of the noise a little before, and long after
            // the first one.
            let p = if (20..30).contains(&f) || (60..70).contains(&f) {
                0.9
            } else {
                0.1
            };
            let clear = (17..56).contains(&f) || (59..70).contains(&f);
            let class = if clear {
                LevelClass::Clear
            } else {
                LevelClass::Open
            };
            s.push(p, class, |c| {
                assert!(c.at >= released);
                changes.push((c.speech, c.at, c.edge));
            });
            assert!(f + 1 - s.decided() <= rules.delay());
            released = s.decided();
        }
        assert_eq!(
            changes,
            [
                (true, 16, 20),
                (false, 43, 42),
                (true, 58, 60),
                (false, 71, 70)
            ]
        );
        // A long noise before it does not make the segment any longer than that.
        let mut s = Segmenter::new(rules);
        let mut starts = Vec::new();
        for f in 0..40u64 {
            let p = if f >= 20 { 0.9 } else { 0.1 };
            let class = if f == 0 {
                LevelClass::Open
            } else {
                LevelClass::Clear
            };
            s.push(p, class, |c| starts.push(c.at));
        }
        assert_eq!(starts, [20 - reach - 1]);
    }

    /// Edges that `rules` make of probabilities and levels, each checked against what was decided
    /// before it.
    fn edges(
        rules: Rules,
        frames: impl Iterator<Item = (f32, LevelClass)>,
    ) -> Vec<(bool, u64, u64)> {
        let mut s = Segmenter::new(rules);
        let mut changes = Vec::new();
        for (f, (p, level)) in frames.enumerate() {
            let released = s.decided();
            s.push(p, level, |c| {
                assert!(c.at >= released, "{rules:?}: a change in what was decided");
                changes.push((c.speech, c.at, c.edge));
            });
            let late = f as u64 + 1 - s.decided();
            assert!(late <= rules.delay(), "{rules:?}: {late} late at {f}");
        }
        s.flush(|c| changes.push((c.speech, c.at, c.edge)));
        changes
    }

    #[test]
    fn nothing_starts_where_the_level_is_silent() {
        let frames = (0..12).map(|f| (0.9, level_of(f < 4)));
        let found = edges(rules(1, 2, 0, None), frames);
        assert_eq!(found, [(true, 4, 4), (false, 12, 12)]);
    }

    #[test]
    fn silent_parts_of_words_end_nothing_and_ends_lie_where_the_level_fell() {
        let r = rules(3, 10, 2, None);
        // Silent at 30..50 and from 70 on. The probability stays high over the first, falls late after
        // the second.
        let silent = |f| level_of((30..50).contains(&f) || f >= 70);
        let frames = (0..100).map(|f| ([0.1, 0.9][usize::from((10..77).contains(&f))], silent(f)));
        assert_eq!(edges(r, frames), [(true, 8, 10), (false, 73, 70)]);
        // One frame short of what makes an end certain.
        let dip = |f: u64| (47..50).contains(&f);
        let frames = (0..100).map(|f| {
            let p = if (10..77).contains(&f) && !dip(f) {
                0.9
            } else {
                0.1
            };
            (p, silent(f))
        });
        assert_eq!(edges(r, frames), [(true, 8, 10), (false, 73, 70)]);
    }

    #[test]
    fn ends_go_on_to_a_last_consonant_but_not_into_other_noise() {
        let r = rules(3, 15, 1, None);
        let course = |clear: std::ops::Range<u64>| {
            (0..100).map(move |f| {
                let (p, loud) =
                    [(0.1, clear.contains(&f)), (0.9, true)][usize::from((10..40).contains(&f))];
                (
                    p,
                    [LevelClass::Silent, LevelClass::Clear][usize::from(loud)],
                )
            })
        };
        assert_eq!(edges(r, course(47..50)), [(true, 9, 10), (false, 51, 50)]);
        assert_eq!(edges(r, course(40..80)), [(true, 9, 10), (false, 53, 52)]);
        assert_eq!(edges(r, course(53..80)), [(true, 9, 10), (false, 41, 40)]);
    }

    #[test]
    fn any_rules_on_any_levels_keep_their_promises() {
        let mut seed = 11u64;
        let mut random = move |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % n
        };
        for _ in 0..500 {
            let max = [None, Some(1 + random(40))][random(2) as usize];
            let r = rules(random(6), random(15), random(8), max);
            let levels = [LevelClass::Silent, LevelClass::Open, LevelClass::Clear];
            let (mut p, mut level) = (0, 0);
            let frames: Vec<(f32, LevelClass)> = (0..300)
                .map(|_| {
                    // Each stays for a while.
                    p = [p, random(3) as usize][usize::from(random(4) == 0)];
                    level = [level, random(3) as usize][usize::from(random(6) == 0)];
                    ([0.1, 0.4, 0.9][p], levels[level])
                })
                .collect();
            let found = edges(r, frames.into_iter());
            assert!(
                found
                    .windows(2)
                    .all(|c| c[0].1 <= c[1].1 && c[0].0 != c[1].0)
            );
        }
    }
}
