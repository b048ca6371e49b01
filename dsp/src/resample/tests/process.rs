// SPDX-License-Identifier: MIT

//! Input that is read where it lies gives what input that is copied gives.

use super::*;
use crate::convert::SampleFormat;
use crate::resample::table::FromF64;
use crate::simd::Level;

/// All of `planes` by `process`, in parts by `cut`, never more than `most` outputs at a time.
pub(super) fn processed<T: Sample>(
    spec: &Spec,
    planes: &[Vec<T>],
    mut cut: impl FnMut() -> usize,
    most: usize,
) -> Vec<T::Sum> {
    let channels = planes.len();
    let mut resampler = Resampler::<T>::new(spec).unwrap();
    let mut output = Vec::new();
    let mut at = 0;
    while at < planes[0].len() {
        let n = cut().min(planes[0].len() - at);
        let parts: Vec<&[T]> = planes.iter().map(|p| &p[at..at + n]).collect();
        let done = output.len();
        let room = most.min(resampler.available_after(n));
        output.resize(done + room * channels, T::Sum::default());
        let out = &mut Output::interleaved(&mut output[done..], channels);
        assert_eq!(resampler.process(&parts, out, most), room);
        at += n;
        assert_eq!(resampler.frames_in(), at as u64);
    }
    resampler.finish();
    let (done, rest) = (output.len(), resampler.available());
    output.resize(done + rest * channels, T::Sum::default());
    resampler.pull(
        &mut Output::interleaved(&mut output[done..], channels),
        rest,
    );
    output
}

pub(super) fn planes<T: Sample>(input: &[f64], channels: usize, of: fn(f64) -> T) -> Vec<Vec<T>> {
    let plane = |c| input.iter().map(|v| of(v * (c + 1) as f64)).collect();
    (0..channels).map(plane).collect()
}

#[test]
fn input_read_where_it_lies_gives_the_same_bits() {
    let input = noise(20_011, 1);
    for rates in [(48_000, 16_000), (44_100, 48_000), (8000, 48_000)] {
        for &engine in ENGINES {
            for channels in [1, 2, 3] {
                let spec = spec(rates, channels, engine);
                let expected = whole::<f32>(&spec, &input);
                let planes = planes(&input, channels, f32::nearest);
                for seed in [7, 480, 3001, 20_011] {
                    for most in [1, 1000, usize::MAX] {
                        let mut i = 0;
                        let cut = || {
                            i += 1;
                            1 + i * 7919 % seed
                        };
                        let got = processed(&spec, &planes, cut, most);
                        assert!(
                            got == expected,
                            "{rates:?} {engine:?} {channels} {seed} {most}"
                        );
                    }
                    let at_once = processed(&spec, &planes, || usize::MAX, usize::MAX);
                    assert!(
                        at_once == expected,
                        "{rates:?} {engine:?} {channels} at once"
                    );
                }
            }
        }
    }
}

/// Responses of an odd number of taps among them.
#[test]
fn windows_lie_within_what_there_is_wherever_a_push_ends() {
    fn check<T: Sample<Sum: PartialEq>>(spec: &Spec, input: &[f64], of: fn(f64) -> T) {
        for level in Level::available() {
            let make = || Resampler::<T>::with_level(spec, level).unwrap();
            let whole = run_of(&mut make(), input, || usize::MAX, of);
            let one_by_one = run_of(&mut make(), input, || 1, of);
            assert!(whole == one_by_one, "{spec:?} {level:?}");
            let planes = planes(input, spec.channels, of);
            let where_they_lie = processed(spec, &planes, || 1, usize::MAX);
            assert_eq!(whole.len(), where_they_lie.len(), "{spec:?} {level:?}");
        }
    }
    for rates in [
        (48_000, 32_000),
        (44_100, 16_000),
        (44_100, 24_000),
        (22_050, 16_000),
        (48_000, 16_000),
        (44_100, 48_000),
    ] {
        for method in [
            Method::Nearest,
            Method::Linear,
            Method::Cubic,
            Method::BlackmanNuttall,
            Method::Kaiser,
        ] {
            let spec = Spec {
                method,
                ..spec(rates, 1, EngineChoice::Polyphase)
            };
            // Two periods of the longest ratio.
            let input = noise(1000, 3);
            check::<f32>(&spec, &input, f32::nearest);
            check::<i16>(&spec, &input, |v| (v * 30_000.0) as i16);
        }
    }
}

#[test]
fn words_read_where_they_lie_give_the_same_bits() {
    let input = noise(20_011, 1);
    let word = |v: f64| (v * 8000.0) as i16;
    for rates in [(48_000, 16_000), (44_100, 48_000)] {
        for channels in [1, 2] {
            let spec = spec(rates, channels, EngineChoice::Polyphase);
            let mut resampler = Resampler::<i16>::new(&spec).unwrap();
            let expected = run_of(&mut resampler, &input, || usize::MAX, word);
            let planes = planes(&input, channels, word);
            for part in [999, 6000, usize::MAX] {
                let got = processed(&spec, &planes, || part, usize::MAX);
                assert!(got == expected, "{rates:?} {channels} {part}");
            }
        }
    }
}

/// Another engine finds the history that it needs behind input that was never copied as a whole.
#[test]
fn a_takeover_after_a_long_input_is_without_a_gap() {
    let input = noise(30_000, 4);
    let plane: Vec<f64> = input.clone();
    let run = |at_once: bool| {
        let mut resampler = Resampler::<f64>::new(&spec((48_000, 16_000), 1, ENGINES[1])).unwrap();
        let mut output = vec![0.0; 10_000];
        let mut done = 0;
        if at_once {
            let out = &mut Output::interleaved(&mut output, 1);
            done += resampler.process(&[&plane[..20_000]], out, usize::MAX);
        } else {
            resampler.push(20_000, |_, to| to.copy_from_slice(&plane[..20_000]));
            let frames = resampler.available();
            resampler.pull(&mut Output::interleaved(&mut output, 1), frames);
            done += frames;
        }
        let another = Spec {
            quality: 10,
            ..spec((48_000, 16_000), 1, EngineChoice::Polyphase)
        };
        resampler.reconfigure(&another).unwrap();
        resampler.push(10_000, |_, to| to.copy_from_slice(&plane[20_000..]));
        resampler.finish();
        let frames = resampler.available();
        resampler.pull(&mut Output::interleaved(&mut output[done..], 1), frames);
        assert_eq!(done + frames, 10_000);
        output
    };
    assert!(run(true) == run(false));
}

/// Bytes of every way through a stream: floats alone, words, frames of several, the dithered, in pieces.
#[test]
fn streams_process_as_they_push_and_pull() {
    let samples = noise(3 * 50_001, 6);
    for (format, channels) in [
        (SampleFormat::F32LE, 1),
        (SampleFormat::F64LE, 1),
        (SampleFormat::F32LE, 3),
        (SampleFormat::S16LE, 1),
        (SampleFormat::S16LE, 2),
        (SampleFormat::S32LE, 1),
        (SampleFormat::F32BE, 1),
    ] {
        let frame = channels * format.size();
        let mut bytes = vec![0; 50_001 * frame];
        crate::convert::Pack::<f64>::new(format).run(&samples[..50_001 * channels], &mut bytes);
        let spec = Spec {
            quality: 8,
            max_latency: Some(u64::MAX),
            ..Spec::new(44_100, 16_000, channels)
        };
        let stream = || Stream::new(&spec, format, Layout::Interleaved, false).unwrap();
        let mut expected = vec![0; 20_000 * frame];
        let mut pushed = stream();
        pushed.push(Frames::interleaved(&bytes, 50_001)).unwrap();
        let frames = pushed.available();
        pushed.pull(frames, &mut expected[..frames * frame]);
        pushed.finish();
        let rest = pushed.available();
        pushed.pull(rest, &mut expected[frames * frame..][..rest * frame]);

        for (cut, room) in [
            (50_001, 20_000),
            (50_001, 5000),
            (441, 300),
            (20_000, 20_000),
        ] {
            let mut got = vec![0; 20_000 * frame];
            let (mut processed, mut done) = (stream(), 0);
            for part in bytes.chunks(cut * frame) {
                let end = (done + room).min(20_000) * frame;
                done += processed.process(part, &mut got[done * frame..end]);
            }
            assert_eq!(processed.process(&[], &mut []), 0);
            assert!(!processed.is_silent());
            processed.finish();
            let last = processed.available();
            processed.pull(last, &mut got[done * frame..][..last * frame]);
            assert_eq!(
                done + last,
                frames + rest,
                "{format:?} {channels} {cut} {room}"
            );
            assert!(got == expected, "{format:?} {channels} {cut} {room}");
        }
    }
}
