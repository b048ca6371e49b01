// SPDX-License-Identifier: MIT

//! Every format and layout, against the F64 output.

use gstrustaudio::dsp::convert::{Pack, SampleFormat, Unpack};

use super::rig::*;

const FRAMES: usize = 2000;

/// `values` as samples of `format`.
fn pack(format: SampleFormat, values: &[f64]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * format.size()];
    Pack::<f64>::new(format).run(values, &mut bytes);
    bytes
}

fn unpack(format: SampleFormat, bytes: &[u8]) -> Vec<f64> {
    let mut values = vec![0.0; bytes.len() / format.size()];
    Unpack::<f64>::new(format).run(bytes, &mut values);
    values
}

/// Runs `values` (frames of `channels`) through the element; frames again.
fn run(format: SampleFormat, channels: usize, planar: bool, values: &[f64]) -> Vec<f64> {
    let layout = if planar {
        "non-interleaved"
    } else {
        "interleaved"
    };
    let c = |rate| caps(format.name(), rate, channels as u32, layout);
    let rig = Rig::new("rustresample", "", &c(44_100), &c(48_000));
    let info = gst_audio::AudioInfo::from_caps(&c(44_100)).unwrap();
    let mut at = 0;
    for part in values.chunks(441 * channels) {
        let frames = part.len() / channels;
        let mut samples = part.to_vec();
        if planar {
            samples = (0..channels)
                .flat_map(|c| part.iter().skip(c).step_by(channels).copied())
                .collect();
        }
        let mut buffer = raw(pack(format, &samples), frames as u64, at, 44_100);
        if planar {
            gst_audio::AudioMeta::add(buffer.get_mut().unwrap(), &info, frames, &[]).unwrap();
        }
        rig.push(buffer);
        at += frames as u64;
    }
    let info = gst_audio::AudioInfo::from_caps(&c(48_000)).unwrap();
    let mut output = Vec::new();
    for buffer in rig.finish() {
        let mapped = gst_audio::AudioBuffer::from_buffer_readable(buffer, &info).unwrap();
        let planes: Vec<Vec<f64>> = (0..mapped.n_planes())
            .map(|p| unpack(format, mapped.plane_data(p).unwrap()))
            .collect();
        if planar {
            for n in 0..mapped.n_samples() {
                output.extend(planes.iter().map(|p| p[n]));
            }
        } else {
            output.extend(&planes[0]);
        }
    }
    assert_eq!(output.len(), ((FRAMES - 1) * 160 / 147 + 1) * channels);
    output
}

#[test]
fn every_format_layout_and_channel_count() {
    for (name, format) in SampleFormat::ALL {
        for (channels, planar) in [(1, false), (2, false), (2, true), (5, false), (5, true)] {
            let values: Vec<f64> = noise(FRAMES * channels, channels as u32)
                .iter()
                .map(|v| f64::from(*v))
                .collect();
            // What the format makes of the input is what is to be resampled.
            let exact = run(
                SampleFormat::F64LE,
                channels,
                false,
                &unpack(format, &pack(format, &values)),
            );
            let got = run(format, channels, planar, &values);
            // Half a step of rounding and one of dither, or the precision of f32.
            let step = if format.is_float() {
                0.0
            } else {
                2f64.powi(1 - i32::from(format.depth))
            };
            let single = if format.is_float() && format.bytes == 8 {
                1e-12
            } else {
                1e-6
            };
            for (a, b) in got.iter().zip(&exact) {
                let error = (a - b).abs();
                assert!(
                    error <= 1.51 * step + single,
                    "{name} {channels} {planar}: {error}"
                );
            }
        }
    }
}

/// Planes without a meta lie one after the other, whatever is cut off and however large they are.
#[test]
fn planes_need_no_meta() {
    let c = |rate| caps("F32LE", rate, 2, "non-interleaved");
    let info = gst_audio::AudioInfo::from_caps(&c(48_000)).unwrap();
    let input = noise(2 * 4800, 3);
    let run = |with_meta: bool| {
        let rig = Rig::new("rustresample", "", &c(48_000), &c(16_000));
        // Starts within a buffer.
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(time(100, 48_000));
        rig.segment(&segment);
        for (i, part) in input.chunks(2 * 480).enumerate() {
            let mut buffer = f32s(part, 2, 480 * i as u64, 48_000);
            if with_meta {
                gst_audio::AudioMeta::add(buffer.get_mut().unwrap(), &info, 480, &[]).unwrap();
            }
            rig.push(buffer);
        }
        let buffers = rig.finish();
        assert_eq!(rig.messages(gst::MessageType::Error), 0);
        samples(&buffers)
    };
    let with = run(true);
    // 4700 frames are left, a third of them in each of two planes.
    assert_eq!(with.len(), 2 * 1567);
    assert!(run(false) == with);
}
