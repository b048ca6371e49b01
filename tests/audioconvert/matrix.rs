// SPDX-License-Identifier: MIT

//! Every format to every format in both layouts, against `GstAudioConverter`.

use gst_audio::{AudioDitherMethod, AudioNoiseShapingMethod};
use gstrustaudio::dsp::convert::{
    Converter, Matrix, Pack, Quantisation, SampleFormat, SampleKind, Side, Unpack,
};
use gstrustaudio::dsp::{Frames, Layout};

use crate::stock::{Stock, info};

const FRAMES: usize = 331;
const CHANNELS: usize = 2;

/// Full scale and beyond, edges of every depth, quiet, and a lot of everything.
fn wave(format: SampleFormat) -> Vec<u8> {
    let mut x = vec![0.0, 1.0, -1.0, 0.5, -0.5, 0.999_999, -0.999_999];
    if format.is_float() {
        x.extend([1.25, -1.25, 1e9, -1e9, 1e-30]);
    }
    for depth in [8, 16, 18, 20, 24, 32] {
        let lsb = 1.0 / (1u64 << (depth - 1)) as f64;
        x.extend([lsb, -lsb, 1.0 - lsb, -1.0 + lsb, 0.3 * lsb, -0.3 * lsb]);
    }
    let mut state = 17u64;
    while x.len() < FRAMES * CHANNELS {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let wide = f64::from((state >> 32) as u32 as i32) / 2f64.powi(31);
        x.push(if x.len() % 3 == 0 { wide } else { wide * 1e-3 });
    }
    let mut raw = vec![0; x.len() * format.size()];
    Pack::<f64>::new(format).run(&x, &mut raw);
    raw
}

/// The same samples, one channel after the other.
fn planes(raw: &[u8], size: usize) -> Vec<u8> {
    (0..CHANNELS)
        .flat_map(|c| raw.chunks(size).skip(c).step_by(CHANNELS).flatten())
        .copied()
        .collect()
}

fn interleaved(planar: &[u8], size: usize) -> Vec<u8> {
    let plane = planar.len() / CHANNELS;
    (0..plane / size)
        .flat_map(|f| (0..CHANNELS).flat_map(move |c| &planar[c * plane + f * size..][..size]))
        .copied()
        .collect()
}

/// Whether every value of `a` is one of `b`.
fn holds(a: SampleFormat, b: SampleFormat) -> bool {
    match (a.is_float(), b.is_float()) {
        (false, false) => a.depth <= b.depth,
        (false, true) => b.depth == 64 || a.depth <= 24,
        (true, true) => a.depth <= b.depth,
        (true, false) => false,
    }
}

fn values(format: SampleFormat, raw: &[u8]) -> Vec<f64> {
    let mut x = vec![0.0; raw.len() / format.size()];
    Unpack::<f64>::new(format).run(raw, &mut x);
    x
}

/// Bits that a format leaves undefined are of no account.
fn significant(format: SampleFormat, raw: &[u8]) -> Vec<u64> {
    values(format, raw).iter().map(|v| v.to_bits()).collect()
}

#[test]
fn every_pair_agrees_with_audioconvert_to_the_last_bit_of_the_output() {
    crate::common::init();
    let mut exact = 0;
    for (from_name, from) in SampleFormat::ALL {
        let frames = wave(from);
        let taken_apart = planes(&frames, from.size());
        for (to_name, to) in SampleFormat::ALL {
            let lsb = match to.kind {
                // A float is as good as 24 bits, or as 53.
                SampleKind::Float => 2f64.powi(if to.bytes == 4 { -23 } else { -31 }),
                _ => 1.0 / (1u64 << (to.depth - 1)) as f64,
            };
            let mut reference = vec![0; FRAMES * CHANNELS * to.size()];
            let stereo = Some(0x3);
            Stock::new(
                &info(from_name, 48_000, 2, stereo, false),
                &info(to_name, 48_000, 2, stereo, false),
                AudioDitherMethod::None,
                AudioNoiseShapingMethod::None,
                None,
            )
            .unwrap()
            .convert(&frames, &mut reference, FRAMES);
            for (from_planar, to_planar) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let layout = |planar| match planar {
                    true => Layout::Planar,
                    false => Layout::Interleaved,
                };
                let side = |format, planar| Side {
                    format,
                    channels: CHANNELS,
                    layout: layout(planar),
                };
                let mut ours = Converter::new(
                    side(from, from_planar),
                    side(to, to_planar),
                    &Matrix::identity(CHANNELS, CHANNELS),
                    Quantisation::ROUND,
                    0,
                )
                .unwrap();
                let data = if from_planar { &taken_apart } else { &frames };
                let mut got = vec![0; reference.len()];
                let source = Frames::packed(layout(from_planar), data, FRAMES);
                ours.convert(source, &mut got).unwrap();
                if to_planar {
                    got = interleaved(&got, to.size());
                }
                let context = format!("{from_name} to {to_name}, {from_planar} to {to_planar}");
                if holds(from, to) {
                    assert_eq!(
                        significant(to, &got),
                        significant(to, &reference),
                        "{context}"
                    );
                    assert_eq!(
                        significant(from, &frames),
                        significant(to, &got),
                        "{context}: nothing is lost"
                    );
                    exact += 1;
                    continue;
                }
                let (got, want) = (values(to, &got), values(to, &reference));
                let input = values(from, &frames);
                for ((got, want), x) in got.iter().zip(&want).zip(&input) {
                    // It cuts floats off where the format between has its end.
                    if to.is_float() && x.abs() > 1.0 {
                        assert_eq!(*got as f32, *x as f32, "{context}");
                        continue;
                    }
                    assert!(
                        (got - want).abs() <= lsb * 1.0001,
                        "{context}: {x} gives {got}, not {want}"
                    );
                }
            }
        }
    }
    // 26 integer formats of six depths, two float ones of two depths, in four layouts each.
    assert_eq!(exact, 4 * exact_pairs());
}

fn exact_pairs() -> usize {
    let all = SampleFormat::ALL.map(|(_, f)| f);
    all.iter()
        .flat_map(|a| all.iter().map(move |b| (a, b)))
        .filter(|(a, b)| holds(**a, **b))
        .count()
}
