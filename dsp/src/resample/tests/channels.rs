// SPDX-License-Identifier: MIT

//! What is in one channel never reaches another.

use super::*;
use crate::convert::SampleFormat;

/// What a sample of the disturbed channel becomes.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    /// From the middle on, for a frame.
    Once(f64),
    /// All of the channel is as loud as the format allows.
    Loud,
}

/// `samples` in `format`, of which full scale is 1.
fn bytes(samples: &[f64], format: &str) -> Vec<u8> {
    let of = |v: &f64| -> Vec<u8> {
        match format {
            "S16LE" => ((v * 32_767.0) as i16).to_le_bytes().into(),
            "S32LE" => ((v * 2_147_483_647.0) as i32).to_le_bytes().into(),
            "F32LE" => (*v as f32).to_le_bytes().into(),
            _ => v.to_le_bytes().into(),
        }
    };
    samples.iter().flat_map(of).collect()
}

/// All of `planes` through a stream in pieces; each channel's bytes.
fn resample(spec: &Spec, format: &str, integers: bool, planes: &[Vec<f64>]) -> Vec<Vec<u8>> {
    let of = SampleFormat::from_name(format).unwrap();
    let layout = Layout::Interleaved;
    let mut stream = Stream::with_integers(spec, of, layout, false, whether(integers)).unwrap();
    let (frames, width) = (planes[0].len(), of.bytes as usize);
    let frame = |i: usize| planes.iter().map(move |plane| plane[i]);
    let input = bytes(&(0..frames).flat_map(frame).collect::<Vec<_>>(), format);
    let mut output = Vec::new();
    let mut pull = |stream: &mut Stream| {
        let frames = stream.available();
        let at = output.len();
        output.resize(at + frames * width * planes.len(), 0);
        stream.pull(frames, &mut output[at..]);
    };
    for part in input.chunks(441 * width * planes.len()) {
        let frames = part.len() / (width * planes.len());
        stream.push(Frames::interleaved(part, frames)).unwrap();
        pull(&mut stream);
    }
    stream.finish();
    pull(&mut stream);
    let samples = |channel| {
        let samples = output.chunks_exact(width).skip(channel);
        samples.step_by(planes.len()).flatten().copied().collect()
    };
    (0..planes.len()).map(samples).collect()
}

/// Every engine, precision and number of channels: whatever one channel holds, the others come out bit
/// for bit as without.
#[test]
fn channels_are_independent() {
    let filters = [
        // Groups, mirrored; rows by themselves; a table made as it is used.
        ((44_100, 48_000), FilterMode::Auto),
        ((48_000, 1000), FilterMode::Auto),
        ((44_100, 47_999), FilterMode::Full),
    ];
    for (rates, filter_mode) in filters {
        for &engine in ENGINES {
            for (format, integers) in [
                ("F32LE", false),
                ("F64LE", false),
                ("S16LE", false),
                ("S16LE", true),
                ("S32LE", false),
            ] {
                let disturbances: &[Disturbance] = if format.starts_with('F') {
                    &[
                        Disturbance::Once(f64::NAN),
                        Disturbance::Once(f64::INFINITY),
                        Disturbance::Once(1e38),
                        Disturbance::Loud,
                    ]
                } else {
                    &[Disturbance::Loud]
                };
                for channels in [2, 3, 4] {
                    let spec = Spec {
                        filter_mode,
                        ..spec(rates, channels, engine)
                    };
                    let planes: Vec<_> = (0..channels)
                        .map(|c| noise(6000, c as u64 + 1).iter().map(|v| v * 1e-3).collect())
                        .collect();
                    let run = |planes: &[Vec<f64>]| resample(&spec, format, integers, planes);
                    let calm = run(&planes);
                    for disturbance in disturbances {
                        let disturbed = channels / 2;
                        let mut planes = planes.clone();
                        match disturbance {
                            Disturbance::Once(value) => planes[disturbed][3000] = *value,
                            Disturbance::Loud => planes[disturbed] = noise(6000, 9),
                        }
                        let got = run(&planes);
                        for c in 0..channels {
                            let same = got[c] == calm[c];
                            assert_eq!(
                                same,
                                c != disturbed,
                                "{rates:?} {engine:?} {format} {channels} {c} {disturbance:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}
