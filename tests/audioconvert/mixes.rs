// SPDX-License-Identifier: MIT

//! Channel mixes against a plain sum in `f64`.

use gstrustaudio::dsp::convert::{
    Channels, Converter, Matrix, Pack, Position, Quantisation, SampleFormat, Side, Unpack,
};
use gstrustaudio::dsp::{Frames, Layout};

const FRAMES: usize = 700;

fn noise(n: usize) -> Vec<f64> {
    let mut state = 5u64;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            f64::from((state >> 32) as u32 as i32) / 2f64.powi(31)
        })
        .collect()
}

fn channels(mask: u64) -> Channels {
    Channels::Positioned(match mask {
        0 => vec![Position::Mono],
        mask => Position::from_mask(mask),
    })
}

/// Largest distance from the plain sum, in last bits of the output (2^-23 for floats).
fn worst(from: SampleFormat, to: SampleFormat, matrix: &Matrix, layouts: (bool, bool)) -> f64 {
    let (ins, outs) = (matrix.inputs(), matrix.outputs());
    let mut raw = vec![0; FRAMES * ins * from.size()];
    Pack::<f64>::new(from).run(&noise(FRAMES * ins), &mut raw);
    // What is in memory, whichever way it lies there.
    let mut x = vec![0.0; FRAMES * ins];
    Unpack::<f64>::new(from).run(&raw, &mut x);
    let layout = |planar| match planar {
        true => Layout::Planar,
        false => Layout::Interleaved,
    };
    let side = |format, channels, planar| Side {
        format,
        channels,
        layout: layout(planar),
    };
    let mut converter = Converter::new(
        side(from, ins, layouts.0),
        side(to, outs, layouts.1),
        matrix,
        Quantisation::ROUND,
        0,
    )
    .unwrap();
    let mut out = vec![0; FRAMES * outs * to.size()];
    let source = Frames::packed(layout(layouts.0), &raw, FRAMES);
    converter.convert(source, &mut out).unwrap();
    let mut y = vec![0.0; FRAMES * outs];
    Unpack::<f64>::new(to).run(&out, &mut y);
    let at = |planar, channels: usize, f: usize, c: usize| {
        if planar && channels > 1 {
            c * FRAMES + f
        } else {
            f * channels + c
        }
    };
    let depth = if to.is_float() { 24 } else { to.depth };
    let lsb = 1.0 / (1u64 << (depth - 1)) as f64;
    let mut worst = 0f64;
    for f in 0..FRAMES {
        for o in 0..outs {
            let sum: f64 = matrix
                .row(o)
                .iter()
                .enumerate()
                .map(|(i, m)| m * x[at(layouts.0, ins, f, i)])
                .sum();
            let top = if to.is_float() { f64::MAX } else { 1.0 - lsb };
            let want = sum.clamp(-top - lsb, top);
            worst = worst.max((y[at(layouts.1, outs, f, o)] - want).abs() / lsb);
        }
    }
    worst
}

const FORMATS: [SampleFormat; 10] = [
    SampleFormat::U8,
    SampleFormat::S16LE,
    SampleFormat::U16BE,
    SampleFormat::S18LE,
    SampleFormat::S20BE,
    SampleFormat::S24LE,
    SampleFormat::S24_32LE,
    SampleFormat::S32LE,
    SampleFormat::F32LE,
    SampleFormat::F64BE,
];

const LAYOUTS: [u64; 9] = [0, 0x3, 0x7, 0x33, 0x3f, 0xc0f, 0xc3f, 0x3f3f, 0x3_ff3f];

#[test]
fn every_mix_is_within_a_bit_of_the_exact_one() {
    for input in LAYOUTS {
        for output in LAYOUTS {
            let matrix = Matrix::between(&channels(input), &channels(output)).unwrap();
            for (k, from) in FORMATS.into_iter().enumerate() {
                for (l, to) in FORMATS.into_iter().enumerate() {
                    // Layouts in turn: every pair of formats meets every one of them.
                    let turn = k + l + input.count_ones() as usize + output.count_ones() as usize;
                    let layouts = (turn & 1 == 1, turn & 2 == 2);
                    let off = worst(from, to, &matrix, layouts);
                    assert!(
                        off <= 1.0,
                        "{} {input:x} to {} {output:x}, planar {layouts:?}: {off} last bits",
                        from.name(),
                        to.name()
                    );
                }
            }
        }
    }
}

#[test]
fn any_matrix_is_within_a_bit_of_the_exact_one() {
    for (ins, outs) in [
        (1, 1),
        (2, 2),
        (3, 1),
        (5, 17),
        (40, 33),
        (200, 2),
        (2, 200),
    ] {
        let m = noise(ins * outs);
        let rows: Vec<Vec<f32>> = m
            .chunks(ins)
            .map(|r| r.iter().map(|c| (*c / ins as f64) as f32).collect())
            .collect();
        let matrix = Matrix::from_rows(&rows).unwrap();
        for from in FORMATS {
            for to in FORMATS {
                for layouts in [(false, false), (true, false), (false, true), (true, true)] {
                    let off = worst(from, to, &matrix, layouts);
                    assert!(off <= 1.0, "{ins} to {outs}: {off}");
                }
            }
        }
    }
}
