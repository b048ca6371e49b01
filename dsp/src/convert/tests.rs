// SPDX-License-Identifier: MIT

//! The kernels against a plain reading of the format table, on every level of this machine.

use super::*;
use crate::audio::{Frames, Layout, Outside};
use crate::simd::Level;

/// Left-aligned 32-bit value or float of one sample, read bit by bit.
enum Plain {
    Int(i64),
    Float(f64),
}

fn bits(format: SampleFormat, raw: &[u8]) -> u64 {
    let mut v = 0u64;
    for i in 0..format.size() {
        let byte = match format.endianness {
            Endianness::Big => raw[format.size() - 1 - i],
            Endianness::Little => raw[i],
        };
        v |= u64::from(byte) << (8 * i);
    }
    v
}

fn read(format: SampleFormat, raw: &[u8]) -> Plain {
    let v = bits(format, raw);
    let depth = u32::from(format.depth);
    let v = if depth < 64 {
        v & ((1 << depth) - 1)
    } else {
        v
    };
    match (format.kind, format.bytes) {
        (SampleKind::Float, 4) => Plain::Float(f32::from_bits(v as u32).into()),
        (SampleKind::Float, _) => Plain::Float(f64::from_bits(v)),
        (SampleKind::Unsigned, _) => Plain::Int((v as i64 - (1 << (depth - 1))) << (32 - depth)),
        (SampleKind::Signed, _) => {
            let sign = 1i64 << (depth - 1);
            Plain::Int(((v as i64 ^ sign) - sign) << (32 - depth))
        }
    }
}

/// A whole number within the depth of `format`, or a float, written bit by bit.
fn write(format: SampleFormat, value: &Plain) -> Vec<u8> {
    let v = match (value, format.kind, format.bytes) {
        (Plain::Float(x), _, 4) => u64::from((*x as f32).to_bits()),
        (Plain::Float(x), _, _) => x.to_bits(),
        (Plain::Int(q), SampleKind::Unsigned, _) => (q + (1 << (format.depth - 1))) as u64,
        (Plain::Int(q), _, _) => *q as u64,
    };
    let mut raw = v.to_le_bytes()[..format.size()].to_vec();
    if format.endianness == Endianness::Big {
        raw.reverse();
    }
    raw
}

/// Edges of every depth, halves between steps, beyond full scale, denormals, NaN, infinities.
fn awkward() -> Vec<f64> {
    let mut v = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        1.5,
        -1.5,
        1e30,
        -1e30,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e-310,
        f64::from(f32::MIN_POSITIVE) / 2.0,
    ];
    for depth in [8, 16, 18, 20, 24, 32] {
        let lsb = 1.0 / (1u64 << (depth - 1)) as f64;
        for k in [0.5, 1.0, 1.5, 2.5, 3.5, 100.5] {
            v.extend([k * lsb, -k * lsb, 1.0 - k * lsb, -1.0 + k * lsb]);
        }
    }
    let mut state = 7u64;
    while v.len() < 1021 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        v.push((state >> 32) as u32 as i32 as f64 / 2_000_000_000.0);
    }
    v
}

/// Rounded half to even into the depth of `format`, saturated, NaN as 0.
fn quantised(format: SampleFormat, x: f64) -> i64 {
    let full = (1i64 << (format.depth - 1)) as f64;
    if x.is_nan() {
        0
    } else {
        (x * full).round_ties_even().clamp(-full, full - 1.0) as i64
    }
}

fn patterns(format: SampleFormat) -> Vec<u8> {
    let mut raw: Vec<u8> = Vec::new();
    for x in awkward() {
        raw.extend(write(
            format,
            &if format.is_float() {
                Plain::Float(x)
            } else {
                Plain::Int(quantised(format, x))
            },
        ));
    }
    // Padding bits may hold anything.
    let mut state = 99u32;
    while !format.is_float() && raw.len() < 2000 * format.size() {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        raw.push((state >> 24) as u8);
    }
    raw
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

#[test]
fn unpacking_is_exact_in_every_format() {
    for level in Level::available() {
        for (name, format) in SampleFormat::ALL {
            let raw = patterns(format);
            let n = raw.len() / format.size();
            let (mut i, mut f, mut d) = (vec![1i32; n], vec![1f32; n], vec![1f64; n]);
            Unpack::with_level(format, level).run(&raw, &mut i);
            Unpack::with_level(format, level).run(&raw, &mut f);
            Unpack::with_level(format, level).run(&raw, &mut d);
            for (k, raw) in raw.chunks(format.size()).enumerate() {
                let (wi, wd) = match read(format, raw) {
                    Plain::Int(q) => (q as i32, q as f64 / 2f64.powi(31)),
                    Plain::Float(x) => (quantised(SampleFormat::S32LE, x) as i32, x),
                };
                assert_eq!(i[k], wi, "{name} {level:?} {raw:?}");
                assert!(same(d[k], wd), "{name} {level:?} {raw:?} {}", d[k]);
                assert!(
                    same(f[k].into(), (wd as f32).into()),
                    "{name} {level:?} {raw:?}"
                );
            }
        }
    }
}

#[test]
fn packing_rounds_and_saturates_in_every_format() {
    let values = awkward();
    let f32s: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    let i32s: Vec<i32> = values
        .iter()
        .map(|x| quantised(SampleFormat::S32LE, *x) as i32)
        .collect();
    for level in Level::available() {
        for (name, format) in SampleFormat::ALL {
            let size = format.size();
            let mut raw = vec![0xaa; values.len() * size];
            let check = |raw: &[u8], k: usize, x: f64| {
                let want = if format.is_float() {
                    match read(format, &write(format, &Plain::Float(x))) {
                        Plain::Float(x) => x,
                        Plain::Int(_) => 0.0,
                    }
                } else {
                    let want = write(format, &Plain::Int(quantised(format, x)));
                    assert_eq!(&raw[k * size..][..size], want, "{name} {level:?} {x}");
                    return;
                };
                let Plain::Float(got) = read(format, &raw[k * size..]) else {
                    unreachable!()
                };
                assert!(same(got, want), "{name} {level:?} {x}: {got}");
            };
            Pack::with_level(format, level).run(&values, &mut raw);
            for (k, x) in values.iter().enumerate() {
                check(&raw, k, *x);
            }
            Pack::with_level(format, level).run(&f32s, &mut raw);
            for (k, x) in f32s.iter().enumerate() {
                check(&raw, k, (*x).into());
            }
            Pack::with_level(format, level).run(&i32s, &mut raw);
            for (k, x) in i32s.iter().enumerate() {
                if format.is_float() {
                    check(&raw, k, f64::from(*x) / 2f64.powi(31));
                } else {
                    // Half up, as the sign of an integer gives no reason to do otherwise.
                    let step = 1i64 << (32 - format.depth);
                    let max = (1i64 << (format.depth - 1)) - 1;
                    let want = (i64::from(*x) + step / 2).div_euclid(step).min(max);
                    let want = write(format, &Plain::Int(want));
                    assert_eq!(&raw[k * size..][..size], want, "{name} {level:?} {x}");
                }
            }
        }
    }
}

#[test]
fn noise_is_added_before_rounding() {
    let values: Vec<f64> = awkward();
    let f32s: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    let noise: Vec<f32> = (0..values.len())
        .map(|i| ((i * 37) % 101) as f32 / 50.5 - 1.0)
        .collect();
    for (name, format) in SampleFormat::ALL {
        if format.is_float() {
            continue;
        }
        let lsb = 1.0 / (1u64 << (format.depth - 1)) as f64;
        for level in Level::available() {
            let mut raw = vec![0; values.len() * format.size()];
            let context = format!("{name} {level:?}");
            Pack::with_level(format, level).run_dithered(&values, &noise, &mut raw);
            for (k, x) in values.iter().enumerate() {
                let want = quantised(format, x + f64::from(noise[k]) * lsb);
                let want = write(format, &Plain::Int(want));
                assert_eq!(
                    &raw[k * format.size()..][..format.size()],
                    want,
                    "{context}"
                );
            }
            if format.depth > 16 {
                continue;
            }
            Pack::with_level(format, level).run_dithered(&f32s, &noise, &mut raw);
            for (k, x) in f32s.iter().enumerate() {
                let y = x * (1u64 << (format.depth - 1)) as f32 + noise[k];
                let want = quantised(format, f64::from(y) * lsb);
                let want = write(format, &Plain::Int(want));
                assert_eq!(
                    &raw[k * format.size()..][..format.size()],
                    want,
                    "{context}"
                );
            }
        }
    }
}

#[test]
fn planes_may_lie_apart() {
    let side = |format, channels, layout| Side {
        format,
        channels,
        layout,
    };
    let planes: Vec<Vec<u8>> = (0..2)
        .map(|c| (0..3000u32).map(|i| (i * 7 + c) as u8).collect())
        .collect();
    let apart: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    let together = planes.concat();
    let input = side(SampleFormat::S16LE, 2, Layout::Planar);
    for (output, matrix) in [
        (
            side(SampleFormat::F32LE, 2, Layout::Interleaved),
            Matrix::identity(2, 2),
        ),
        (
            side(SampleFormat::S32LE, 2, Layout::Planar),
            Matrix::identity(2, 2),
        ),
        (
            side(SampleFormat::S16LE, 2, Layout::Planar),
            Matrix::identity(2, 2),
        ),
        (
            side(SampleFormat::F32LE, 1, Layout::Interleaved),
            Matrix::from_rows(&[vec![0.5, 0.5]]).unwrap(),
        ),
    ] {
        let new = || Converter::new(input, output, &matrix, Quantisation::default(), 1).unwrap();
        let room = vec![0; 1500 * output.frame_size()];
        let (mut expected, mut got) = (room.clone(), room);
        let source = Frames::planar(&together, &[], 1500);
        new().convert(source, &mut expected).unwrap();
        let source = Frames::planes(&apart, 1500);
        new().convert(source, &mut got).unwrap();
        assert_eq!(got, expected, "{output:?}");
        assert_ne!(got, vec![0; got.len()]);
        let short = new().convert(source, &mut got[1..]);
        assert_eq!(short, Err(ConvertError::Short));
        let outside = new().convert(Frames::planes(&apart[..1], 1500), &mut got);
        assert_eq!(outside, Err(Outside { frames: 1500 }.into()));
        let mixed = new().convert(Frames::interleaved(&together, 1500), &mut got);
        let (got, expected) = (Layout::Interleaved, Layout::Planar);
        assert_eq!(mixed, Err(ConvertError::Layout { got, expected }));
    }
}

#[test]
fn silence_is_no_dither() {
    let side = |format| Side {
        format,
        channels: 2,
        layout: Layout::Interleaved,
    };
    for (format, silence) in [(SampleFormat::S16LE, 0), (SampleFormat::U8, 128)] {
        let (input, matrix) = (side(SampleFormat::F32LE), Matrix::identity(2, 2));
        let dithered = Quantisation {
            dither: Dither::Tpdf,
            ..Quantisation::default()
        };
        let mut converter = Converter::new(input, side(format), &matrix, dithered, 1).unwrap();
        let mut out = vec![7; 10 * side(format).frame_size()];
        let (whole, rest) = out.split_at_mut(9 * side(format).frame_size());
        converter.convert(Frames::silence(9), whole).unwrap();
        assert!(whole.iter().all(|b| *b == silence));
        assert!(rest.iter().all(|b| *b == 7));
        let loud = vec![0; 9 * input.frame_size()];
        converter
            .convert(Frames::interleaved(&loud, 9), whole)
            .unwrap();
        assert!(whole.iter().any(|b| *b != silence), "dither of zeros");
    }
}

/// A converter of stereo to `outs` channels.
fn stereo(from: &str, to: &str, outs: usize, dither: Dither, shaping: NoiseShaping) -> Converter {
    let side = |name: &str, channels| Side {
        format: SampleFormat::from_name(name).unwrap(),
        channels,
        layout: Layout::Interleaved,
    };
    let positions = [Position::Mono, Position::FrontLeft, Position::FrontRight];
    let to_channels = match outs {
        1 => &positions[..1],
        _ => &positions[1..],
    };
    let channels = |positions: &[Position]| Channels::Positioned(positions.to_vec());
    let matrix = Matrix::between(&channels(&positions[1..]), &channels(to_channels)).unwrap();
    let quantisation = Quantisation {
        dither,
        shaping,
        ..Quantisation::default()
    };
    Converter::new(side(from, 2), side(to, outs), &matrix, quantisation, 7).unwrap()
}

#[test]
fn samples_at_odd_addresses_become_the_same() {
    let (none, high) = (NoiseShaping::None, NoiseShaping::High);
    for (from, to, outs, dither, shaping) in [
        ("F32LE", "S16LE", 2, Dither::None, none),
        ("F32LE", "S16LE", 2, Dither::Tpdf, none),
        ("F32LE", "S16LE", 2, Dither::Tpdf, high),
        ("F64LE", "S16LE", 2, Dither::Tpdf, high),
        ("S16LE", "F32LE", 2, Dither::None, none),
        ("S16LE", "S32LE", 2, Dither::None, none),
        ("F32LE", "F32LE", 1, Dither::None, none),
        ("S16LE", "F32LE", 1, Dither::None, none),
        ("F32LE", "S16LE", 1, Dither::Tpdf, none),
        ("S16LE", "S16LE", 1, Dither::None, none),
    ] {
        let make = || stereo(from, to, outs, dither, shaping);
        let size = |name| SampleFormat::from_name(name).unwrap();
        // Several blocks, and a part of one.
        let frames = 1500;
        let wave: Vec<f64> = (0..2 * frames)
            .map(|n| 0.7 * (n as f64 * 0.013).sin())
            .collect();
        let mut bytes = vec![0; 2 * frames * size(from).size() + 8];
        let out = frames * outs * size(to).size();
        let mut made = [vec![0; out + 8], vec![0; out + 8]];
        for (shift, made) in made.iter_mut().enumerate() {
            let at = bytes.as_ptr().align_offset(8) + shift;
            let input = &mut bytes[at..][..2 * frames * size(from).size()];
            Pack::<f64>::new(size(from)).run(&wave, input);
            let to = made.as_ptr().align_offset(8) + shift;
            make()
                .convert(Frames::interleaved(input, frames), &mut made[to..])
                .unwrap();
            *made = made[to..][..out].to_vec();
        }
        assert_eq!(
            made[0], made[1],
            "{from} to {outs} of {to}, {dither:?}, {shaping:?}"
        );
    }
}

#[test]
fn scratch_is_held_where_neither_end_can_be_worked_on_as_it_lies() {
    let held = |from, to, outs, dither| stereo(from, to, outs, dither, NoiseShaping::None).memory();
    for (from, to, outs) in [
        ("S16LE", "F32LE", 2),
        ("F32LE", "S24LE", 2),
        ("F32LE", "F32LE", 1),
        ("S16LE", "F32LE", 1),
    ] {
        assert_eq!(
            held(from, to, outs, Dither::None),
            0,
            "{from} to {outs} of {to}"
        );
    }
    let frames = |frames| frames * size_of::<f32>();
    assert_eq!(held("S24LE", "F32LE", 1, Dither::None), frames(2 * 512));
    assert_eq!(held("S24LE", "S16LE", 1, Dither::None), frames(3 * 512));
    assert_eq!(held("S16LE", "S16LE", 1, Dither::None), frames(128));
    assert_eq!(held("S16LE", "S16LE", 1, Dither::Tpdf), frames(2 * 128));
}

/// What interleaved `bytes` of `from` become in `to`, dithered as it is by default.
fn mixed(from: &str, to: &str, matrix: &Matrix, level: Level, bytes: &[u8]) -> Vec<u8> {
    let side = |name, channels| Side {
        format: SampleFormat::from_name(name).unwrap(),
        channels,
        layout: Layout::Interleaved,
    };
    let (from, to) = (side(from, matrix.inputs()), side(to, matrix.outputs()));
    let frames = bytes.len() / from.frame_size();
    let quantisation = Quantisation::default();
    let mut converter = Converter::with_level(from, to, matrix, quantisation, 7, level).unwrap();
    let mut made = vec![0; frames * to.frame_size()];
    let input = Frames::interleaved(bytes, frames);
    converter.convert(input, &mut made).unwrap();
    made
}

/// Little-endian ones are mixed as they lie, others are unpacked first.
#[test]
fn samples_of_16_bits_are_mixed_alike_in_either_byte_order() {
    let mut state = 9u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16
    };
    for (ins, outs) in [(2, 1), (2, 2), (6, 1), (6, 2), (8, 1), (8, 2), (3, 2)] {
        let mut row = || (0..ins).map(|_| f32::from(random()) / 5e4 - 0.7).collect();
        let rows: Vec<Vec<f32>> = (0..outs).map(|_| row()).collect();
        let matrix = Matrix::from_rows(&rows).unwrap();
        for frames in [0, 1, 2, 15, 33, 480, 1500] {
            let edges = [0x8000, 0x7fff, 0xffff, 0];
            let samples =
                (0..ins * frames).map(|i| edges.get(i).copied().unwrap_or_else(&mut random));
            let samples: Vec<u16> = samples.collect();
            let little: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
            let big: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
            for (level, to) in Level::available()
                .into_iter()
                .flat_map(|l| [(l, "F32LE"), (l, "S16LE")])
            {
                let straight = mixed("S16LE", to, &matrix, level, &little);
                let unpacked = mixed("S16BE", to, &matrix, level, &big);
                assert_eq!(
                    straight, unpacked,
                    "{level:?}: {frames} frames of {ins} to {outs} of {to}"
                );
            }
        }
    }
}
