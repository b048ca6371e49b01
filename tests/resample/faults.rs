// SPDX-License-Identifier: MIT

//! What `audioresample` (1.22) gets wrong, each with a test that it would fail.

use super::common;
use super::rig::*;

/// Residual of a least-squares sine fit, in dB against the sine.
fn thd_n(samples: &[f64], w: f64) -> f64 {
    let (mut ss, mut sc, mut cc, mut sy, mut cy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, y) in samples.iter().enumerate() {
        let (s, c) = (w * n as f64).sin_cos();
        ss += s * s;
        sc += s * c;
        cc += c * c;
        sy += s * y;
        cy += c * y;
    }
    let d = ss * cc - sc * sc;
    let (a, b) = ((sy * cc - cy * sc) / d, (cy * ss - sy * sc) / d);
    let residual: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, y)| {
            let (s, c) = (w * n as f64).sin_cos();
            (y - a * s - b * c).powi(2)
        })
        .sum();
    10.0 * (residual / samples.len() as f64 / ((a * a + b * b) / 2.0)).log10()
}

fn s16_thd_n(factory: &str, quality: u32) -> f64 {
    let (from, to) = (48_000, 44_100);
    let c = |rate| caps("S16LE", rate, 1, "interleaved");
    let rig = Rig::new(factory, &format!("quality={quality}"), &c(from), &c(to));
    let input: Vec<u8> = sine(from as usize, 1000.0, from, 0.9)
        .iter()
        .flat_map(|v| ((v * 32_767.0).round() as i16).to_le_bytes())
        .collect();
    for (i, part) in input.chunks(960).enumerate() {
        rig.push(raw(
            part.to_vec(),
            part.len() as u64 / 2,
            480 * i as u64,
            from,
        ));
    }
    let output: Vec<f64> = rig
        .finish()
        .iter()
        .flat_map(|b| {
            let map = b.map_readable().unwrap();
            map.chunks_exact(2)
                .map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0)
                .collect::<Vec<f64>>()
        })
        .collect();
    thd_n(
        &output[2000..40_000],
        2.0 * std::f64::consts::PI * 1000.0 / f64::from(to),
    )
}

/// 16-bit samples keep 16 bits: the rounding of the input (1/12 of a squared step) and the dithered
/// rounding of the output (3/12) are -91.2 dB at this level.
#[test]
fn s16_is_as_good_as_its_bits() {
    for quality in [4, 10] {
        let ours = s16_thd_n("rustresample", quality);
        assert!(ours < -90.5, "quality {quality}: {ours}");
    }
    assert!(s16_thd_n("audioresample", 4) > -90.5);
}

/// After a discontinuity the output is what a fresh element makes of the input, bit for bit.
#[test]
fn discont_starts_afresh() {
    let (from, to) = (48_000, 44_100);
    let input = noise(4800, 7);
    let fresh = {
        let rig = Rig::new("rustresample", "", &mono(from), &mono(to));
        feed(&rig, &input, 480, 0, from);
        samples(&rig.finish())
    };
    let rig = Rig::new("rustresample", "", &mono(from), &mono(to));
    feed(&rig, &noise(1001, 8), 100, 0, from);
    let mut first = f32s(&input[..480], 1, 100_000, from);
    first
        .get_mut()
        .unwrap()
        .set_flags(gst::BufferFlags::DISCONT);
    rig.push(first);
    feed(&rig, &input[480..], 480, 100_480, from);
    let buffers = rig.finish();
    let cut = (1..buffers.len())
        .find(|i| buffers[*i].flags().contains(gst::BufferFlags::DISCONT))
        .unwrap();
    // The tail of the stream before is out, to the frame: floor(1000 * 147 / 160) + 1.
    assert_eq!(samples(&buffers[..cut]).len(), 919);
    assert_eq!(buffers[cut].pts(), Some(time(100_000, from)));
    assert!(samples(&buffers[cut..]) == fresh);
}

/// No frame too many or too few in 100 000 gaps, and every timestamp true to the frame.
#[test]
fn gaps_add_nothing() {
    let (from, to) = (4800, 4410);
    let rig = Rig::new("rustresample", "post-metrics=false", &mono(from), &mono(to));
    let tone = sine(48, 100.0, from, 0.5);
    let count = 100_000;
    for i in 0..count {
        let mut buffer = f32s(&tone, 1, i * 48, from);
        if i % 3 != 0 {
            buffer.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
        }
        rig.push(buffer);
    }
    let buffers = rig.finish();
    let (mut frames, mut gaps) = (0, 0);
    for buffer in &buffers {
        assert_eq!(buffer.pts(), Some(time(frames, to)));
        frames += buffer.size() as u64 / 4;
        let silent = samples(std::slice::from_ref(buffer))
            .iter()
            .all(|v| *v == 0.0);
        if buffer.flags().contains(gst::BufferFlags::GAP) {
            gaps += 1;
            assert!(silent);
        }
    }
    assert_eq!(frames, (count * 48 - 1) * 147 / 160 + 1);
    // The window reaches over most of a gap of two buffers here, so few are silent throughout.
    assert!(gaps < buffers.len());

    let long = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    feed(&long, &noise(4800, 3), 480, 0, 48_000);
    for i in 10..30 {
        let mut buffer = f32s(&[1.0; 480], 1, i * 480, 48_000);
        buffer.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
        long.push(buffer);
    }
    let buffers = long.finish();
    let silent = |b: &&gst::Buffer| b.flags().contains(gst::BufferFlags::GAP);
    assert!(buffers[..10].iter().all(|b| !silent(&b)));
    assert!(buffers[11..].iter().all(|b| silent(&b)), "{buffers:?}");
}

/// A day of stream time: the last timestamp is as exact as the first.
#[test]
fn a_day_of_timestamps() {
    let (from, to) = (441, 480);
    let rig = Rig::new("rustresample", "metrics-interval=0", &mono(from), &mono(to));
    let second = vec![0.25; 441];
    for s in 0..86_400u64 {
        rig.push(f32s(&second, 1, s * 441, from));
    }
    let buffers = rig.finish();
    let mut frames = 0;
    for buffer in &buffers {
        assert_eq!(buffer.pts(), Some(time(frames, to)));
        frames += buffer.size() as u64 / 4;
        assert_eq!(
            buffer.pts().unwrap() + buffer.duration().unwrap(),
            time(frames, to)
        );
    }
    assert_eq!(frames, (86_400 * 441 - 1) * 160 / 147 + 1);
    let last = buffers.last().unwrap();
    let end = last.pts().unwrap() + last.duration().unwrap();
    assert!(end >= gst::ClockTime::from_seconds(86_400) - 3 * gst::ClockTime::MSECOND);
}

/// Timestamps that jitter are none of the stream's business until they are off by 1/32 s.
#[test]
fn jitter_is_ignored_and_jumps_are_not() {
    let (from, to) = (48_000, 16_000);
    let rig = Rig::new("rustresample", "", &mono(from), &mono(to));
    for i in 0..200u64 {
        let mut buffer = f32s(&[0.1; 480], 1, i * 480, from);
        // Up to 30 ms late, then early.
        let jitter = (i * 7919 % 30) * gst::ClockTime::MSECOND;
        let pts = buffer.pts().unwrap();
        let pts = if i % 2 == 0 || i < 5 {
            pts + jitter
        } else {
            pts - jitter
        };
        buffer
            .get_mut()
            .unwrap()
            .set_pts(if i == 0 { gst::ClockTime::ZERO } else { pts });
        rig.push(buffer);
    }
    let calm = rig.buffers();
    common::assert_continuous(&calm, gst::ClockTime::ZERO);
    let disconts = |b: &[gst::Buffer]| {
        b.iter()
            .filter(|b| b.flags().contains(gst::BufferFlags::DISCONT))
            .count()
    };
    assert_eq!(disconts(&calm), 1);
    // 40 ms off: the stream starts anew there.
    feed(&rig, &[0.1; 4800], 480, 200 * 480 + 1920, from);
    let all = rig.finish();
    assert_eq!(disconts(&all), 2);
    let restart = all
        .iter()
        .rposition(|b| b.flags().contains(gst::BufferFlags::DISCONT));
    let restart = &all[restart.unwrap()];
    assert_eq!(restart.pts(), Some(time(200 * 480 + 1920, from)));
}

/// Played backwards, a stream comes out as the forward one, last frame first.
#[test]
fn reverse_playback_is_forward_playback_reversed() {
    let (from, to) = (48_000, 16_000);
    let input = noise(4801, 5);
    // Backwards, the same filter runs over the reversed signal.
    let reversed: Vec<f32> = input.iter().rev().copied().collect();
    let mut expected = {
        let rig = Rig::new("rustresample", "", &mono(from), &mono(to));
        feed(&rig, &reversed, 480, 0, from);
        samples(&rig.finish())
    };
    expected.reverse();
    let rig = Rig::new("rustresample", "", &mono(from), &mono(to));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(gst::ClockTime::SECOND);
    rig.segment(&segment);
    let base = 9600;
    let parts: Vec<&[f32]> = input.chunks(480).collect();
    for (i, part) in parts.iter().enumerate().rev() {
        rig.push(f32s(part, 1, base + 480 * i as u64, from));
    }
    let buffers = rig.finish();
    let mut forward: Vec<gst::Buffer> = buffers.clone();
    forward.reverse();
    assert!(samples(&forward) == expected);
    // Timestamps fall, touch, and end where the stream begins.
    assert_eq!(forward[0].pts(), Some(time(base, from)));
    for pair in forward.windows(2) {
        let end = pair[0].pts().unwrap() + pair[0].duration().unwrap();
        assert!(end.nseconds().abs_diff(pair[1].pts().unwrap().nseconds()) <= 1);
    }
}
