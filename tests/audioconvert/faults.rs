// SPDX-License-Identifier: MIT

//! What `audioconvert` 1.22 gets wrong, right here.

use gst::prelude::*;
use gst_audio::{AudioDitherMethod, AudioNoiseShapingMethod};
use gst_check::Harness;

use crate::element::{buffer, bytes, harness};
use crate::stock::{Stock, info};

const FRAMES: usize = 4800;

fn caps(format: &str, channels: u32, mask: u64, layout: &str) -> String {
    format!(
        "audio/x-raw,format={format},rate=48000,channels={channels},channel-mask=(bitmask){mask:#x},layout={layout}"
    )
}

fn stereo(format: &str) -> String {
    caps(format, 2, 3, "interleaved")
}

fn sine(channels: usize, level: f32) -> Vec<f32> {
    (0..FRAMES * channels)
        .map(|i| level * ((i / channels) as f32 * 0.03 + (i % channels) as f32).sin())
        .collect()
}

fn raw(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn samples(raw: &[u8]) -> Vec<i16> {
    raw.chunks(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect()
}

fn convert(h: &mut Harness, x: &[f32]) -> Vec<i16> {
    samples(&bytes(&h.push_and_pull(buffer(&raw(x), 0)).unwrap()))
}

/// Rounding errors of `out` in last bits.
fn errors(x: &[f32], out: &[i16]) -> Vec<f64> {
    x.iter()
        .zip(out)
        .map(|(x, y)| f64::from(*y) - f64::from(*x) * 32768.0)
        .collect()
}

fn power(e: &[f64]) -> f64 {
    e.iter().map(|e| e * e).sum::<f64>() / e.len() as f64
}

/// Power of what is left after a moving sum of two: small for noise at high frequencies.
fn low(e: &[f64], channels: usize) -> f64 {
    let summed: Vec<f64> = e.iter().zip(&e[channels..]).map(|(a, b)| a + b).collect();
    power(&summed)
}

#[test]
fn dither_and_shaping_change_while_playing() {
    let mut h = harness(
        "rustaudioconvert dithering=none",
        &stereo("F32LE"),
        &stereo("S16LE"),
    );
    let element = h.element().unwrap();
    let x = sine(2, 0.25);
    let plain = power(&errors(&x, &convert(&mut h, &x)));
    assert!((plain - 1.0 / 12.0).abs() < 0.01, "{plain}");
    for (dithering, added) in [
        ("rpdf", 1.0 / 12.0),
        ("tpdf", 1.0 / 6.0),
        ("tpdf-hf", 1.0 / 6.0),
    ] {
        element.set_property_from_str("dithering", dithering);
        let e = errors(&x, &convert(&mut h, &x));
        assert!(
            (power(&e) - 1.0 / 12.0 - added).abs() < 0.02,
            "{dithering}: {}",
            power(&e)
        );
        let mean = e.iter().sum::<f64>() / e.len() as f64;
        assert!(mean.abs() < 0.03, "{dithering}: {mean}");
        // High-passed noise cancels out between neighbours, the others add up.
        let low = low(&e, 2) / power(&e);
        assert!(
            (low < 1.4) == (dithering == "tpdf-hf"),
            "{dithering}: {low}"
        );
    }
    element.set_property_from_str("dithering", "none");
    element.set_property_from_str("noise-shaping", "error-feedback");
    let e = errors(&x, &convert(&mut h, &x));
    assert!(low(&e, 2) / power(&e) < 1.2, "{}", low(&e, 2) / power(&e));
    assert!(power(&e) > plain * 1.5);
    element.set_property("dithering-threshold", 15u32);
    let again = power(&errors(&x, &convert(&mut h, &x)));
    assert_eq!(again, plain);
}

#[test]
fn shaped_planes_are_shaped_frames() {
    for shaping in ["error-feedback", "simple", "medium", "high"] {
        let line = format!("rustaudioconvert dithering=none noise-shaping={shaping}");
        let x = sine(2, 0.3);
        let mut h = harness(&line, &stereo("F32LE"), &stereo("S16LE"));
        let frames = convert(&mut h, &x);
        let mut h = harness(
            &line,
            &stereo("F32LE"),
            &caps("S16LE", 2, 3, "non-interleaved"),
        );
        let planes = convert(&mut h, &x);
        for (f, frame) in frames.chunks(2).enumerate() {
            assert_eq!(frame, [planes[f], planes[FRAMES + f]], "{shaping} {f}");
        }
    }
}

#[test]
fn integer_mixes_are_exact_to_a_bit() {
    let surround = caps("S16LE", 6, 0x3f, "interleaved");
    let mut h = harness(
        "rustaudioconvert dithering=none",
        &surround,
        &stereo("S16LE"),
    );
    let x: Vec<i16> = (0..FRAMES * 6).map(|i| (i * 7919 % 65521) as i16).collect();
    let data: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    let out = samples(&bytes(&h.push_and_pull(buffer(&data, 0)).unwrap()));
    let h = std::f64::consts::FRAC_1_SQRT_2;
    let off = |x: &[i16], y: &[i16], k: [f64; 4]| {
        let sum = k[0] * f64::from(x[0])
            + k[1] * f64::from(x[2])
            + k[2] * f64::from(x[3])
            + k[3] * f64::from(x[4]);
        (f64::from(y[0]) - sum).abs()
    };
    let top = 1.0 + 2.0 * h;
    let worst = x
        .chunks(6)
        .zip(out.chunks(2))
        .map(|(x, y)| off(x, y, [1.0 / top, h / top, 0.0, h / top]))
        .fold(0.0, f64::max);
    assert!(worst <= 0.51, "{worst}");

    // The stock mixer, by its own coefficients: 1, 0.7071, 1 (LFE), 0.5, turned down to no clipping.
    let mut theirs = vec![0; FRAMES * 4];
    Stock::new(
        &info("S16LE", 48_000, 6, Some(0x3f), false),
        &info("S16LE", 48_000, 2, Some(3), false),
        AudioDitherMethod::None,
        AudioNoiseShapingMethod::None,
        None,
    )
    .unwrap()
    .convert(&data, &mut theirs, FRAMES);
    let top = 1.0 + h + 1.0 + 0.5;
    let stock = x
        .chunks(6)
        .zip(samples(&theirs).chunks(2))
        .map(|(x, y)| off(x, y, [1.0 / top, h / top, 1.0 / top, 0.5 / top]))
        .fold(0.0, f64::max);
    assert!(stock > 10.0, "the stock mixer has been mended: {stock}");
}

#[test]
fn a_mix_that_loses_bits_is_dithered() {
    let run = |line: &str| {
        let mut h = harness(line, &stereo("S16LE"), &caps("S16LE", 1, 0, "interleaved"));
        // One left, nothing right: a half, which rounding alone would make 0 for ever.
        let data: Vec<u8> = [1i16, 0]
            .repeat(FRAMES)
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let out = samples(&bytes(&h.push_and_pull(buffer(&data, 0)).unwrap()));
        out.iter().map(|v| f64::from(*v)).sum::<f64>() / FRAMES as f64
    };
    assert!((run("rustaudioconvert") - 0.5).abs() < 0.05);
    assert_eq!(run("rustaudioconvert dithering=none"), 0.0);
}

#[test]
fn heights_are_heard_in_stereo_and_lfe_is_not() {
    let mask = 0x3_3c3f;
    let positions = 12;
    let from = caps("F32LE", positions, mask, "interleaved");
    let mut h = harness("rustaudioconvert", &from, &stereo("F32LE"));
    for c in 0..positions as usize {
        let mut frame = vec![0f32; positions as usize];
        frame[c] = 1.0;
        let out = bytes(&h.push_and_pull(buffer(&raw(&frame), 0)).unwrap());
        let level: f32 = out
            .chunks(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .sum();
        assert_eq!(level > 0.1, c != 3, "channel {c}: {level}");
    }
}

#[test]
fn noise_differs_between_channels_and_elements() {
    let silence = vec![0f32; FRAMES * 2];
    let run = || {
        let mut h = harness("rustaudioconvert", &stereo("F32LE"), &stereo("S16LE"));
        convert(&mut h, &silence)
    };
    let (a, b) = (run(), run());
    let correlation = |x: Vec<i16>, y: Vec<i16>| {
        let sum = |a: &[i16], b: &[i16]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        sum(&x, &y) / (sum(&x, &x) * sum(&y, &y)).sqrt()
    };
    let channel = |x: &[i16], c: usize| x.iter().skip(c).step_by(2).copied().collect::<Vec<_>>();
    let limit = 5.0 / (FRAMES as f64).sqrt();
    assert!(correlation(channel(&a, 0), channel(&a, 1)).abs() < limit);
    assert!(correlation(channel(&a, 0), channel(&b, 0)).abs() < limit);
    assert!(correlation(channel(&a, 0), channel(&a, 0)) > 0.99);
}

#[test]
fn numbers_that_are_none_become_silence() {
    let mut h = harness("rustaudioconvert", &stereo("F32LE"), &stereo("S16LE"));
    for shaping in ["none", "high"] {
        h.element()
            .unwrap()
            .set_property_from_str("noise-shaping", shaping);
        let out = convert(&mut h, &[f32::NAN; 64]);
        assert!(out.iter().all(|v| v.unsigned_abs() < 64), "{out:?}");
        let out = convert(&mut h, &[f32::INFINITY; 64]);
        assert_eq!(out, [i16::MAX; 64]);
    }
}
