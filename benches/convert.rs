// SPDX-License-Identifier: MIT

//! `Converter` beside `GstAudioConverter`: the conversions that people use, 480 frames at a time.
//!
//! `GstAudioConverter` may work in its input, as audioconvert lets it wherever a buffer is its own.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gst_audio::{AudioDitherMethod as Dithering, AudioNoiseShapingMethod as Shaping};
use gstrustaudio::dsp::convert::{
    Channels, Converter, Dither, Matrix, NoiseShaping, Position, Quantisation, SampleFormat, Side,
};
use gstrustaudio::dsp::{Frames, Layout};

#[path = "../tests/common/stock.rs"]
mod stock;

const FRAMES: usize = 480;

struct Row {
    name: &'static str,
    from: (&'static str, u32),
    to: (&'static str, u32),
    dither: Dithering,
    shaping: Shaping,
}

const fn row(
    name: &'static str,
    from: (&'static str, u32),
    to: (&'static str, u32),
    dither: Dithering,
) -> Row {
    Row {
        name,
        from,
        to,
        dither,
        shaping: Shaping::None,
    }
}

const TPDF: Dithering = Dithering::Tpdf;

const ROWS: [Row; 17] = [
    row("S16>F32 stereo", ("S16LE", 2), ("F32LE", 2), TPDF),
    row(
        "F32>S16 no dither",
        ("F32LE", 2),
        ("S16LE", 2),
        Dithering::None,
    ),
    row("F32>S16 tpdf", ("F32LE", 2), ("S16LE", 2), TPDF),
    Row {
        name: "F32>S16 tpdf, high shaping",
        from: ("F32LE", 2),
        to: ("S16LE", 2),
        dither: TPDF,
        shaping: Shaping::High,
    },
    row("S24>F32", ("S24LE", 2), ("F32LE", 2), TPDF),
    row("F32>S24", ("F32LE", 2), ("S24LE", 2), TPDF),
    row("S32>F32", ("S32LE", 2), ("F32LE", 2), TPDF),
    row("S16>S32", ("S16LE", 2), ("S32LE", 2), TPDF),
    row("F64>F32", ("F64LE", 2), ("F32LE", 2), TPDF),
    row("U8>F32 stereo", ("U8", 2), ("F32LE", 2), TPDF),
    row("F32 stereo>mono", ("F32LE", 2), ("F32LE", 1), TPDF),
    row("S16 stereo>F32 mono", ("S16LE", 2), ("F32LE", 1), TPDF),
    row("S16 stereo>S16 mono", ("S16LE", 2), ("S16LE", 1), TPDF),
    row("S16 mono>S16 stereo", ("S16LE", 1), ("S16LE", 2), TPDF),
    row("F32 5.1>stereo", ("F32LE", 6), ("F32LE", 2), TPDF),
    row("S16 5.1>S16 stereo", ("S16LE", 6), ("S16LE", 2), TPDF),
    row("S16BE>S16LE", ("S16BE", 2), ("S16LE", 2), TPDF),
];

fn mask(channels: u32) -> Option<u64> {
    match channels {
        2 => Some(0x3),
        6 => Some(0x3f),
        _ => None,
    }
}

fn side(format: &str, channels: u32) -> (Side, Channels) {
    let positions = match mask(channels) {
        Some(mask) => Position::from_mask(mask),
        None => vec![Position::Mono],
    };
    let side = Side {
        format: SampleFormat::from_name(format).unwrap(),
        channels: channels as usize,
        layout: Layout::Interleaved,
    };
    (side, Channels::Positioned(positions))
}

fn bench(c: &mut Criterion) {
    gst::init().unwrap();
    for row in ROWS {
        let (from, from_channels) = side(row.from.0, row.from.1);
        let (to, to_channels) = side(row.to.0, row.to.1);
        let quantisation = Quantisation {
            dither: match row.dither {
                Dithering::None => Dither::None,
                _ => Dither::Tpdf,
            },
            shaping: match row.shaping {
                Shaping::High => NoiseShaping::High,
                _ => NoiseShaping::None,
            },
            ..Quantisation::default()
        };
        let matrix = Matrix::between(&from_channels, &to_channels).unwrap();
        let mut ours = Converter::new(from, to, &matrix, quantisation, 1).unwrap();
        let info =
            |(format, channels)| stock::info(format, 48_000, channels, mask(channels), false);
        let mut theirs = stock::Stock::new(
            &info(row.from),
            &info(row.to),
            row.dither,
            row.shaping,
            None,
        )
        .unwrap();

        // A sine at -6 dB in the input format.
        let wave: Vec<f64> = (0..FRAMES * from.channels)
            .map(|i| 0.5 * (i as f64 * 0.05).sin())
            .collect();
        let mut src = vec![0; FRAMES * from.frame_size()];
        gstrustaudio::dsp::convert::Pack::<f64>::new(from.format).run(&wave, &mut src);
        let mut dst = vec![0; FRAMES * to.frame_size()];

        let mut group = c.benchmark_group(format!("convert/{}", row.name));
        group.throughput(Throughput::Elements((FRAMES * from.channels) as u64));
        group.bench_function("rustaudio", |b| {
            b.iter(|| {
                let source = Frames::interleaved(std::hint::black_box(&src), FRAMES);
                ours.convert(source, &mut dst).unwrap();
                std::hint::black_box(&mut dst);
            });
        });
        let mut own_src = src.clone();
        group.bench_function("audioconvert", |b| {
            b.iter(|| {
                theirs.convert_using(std::hint::black_box(&mut own_src), &mut dst, FRAMES);
                std::hint::black_box(&mut dst);
            });
        });
        group.finish();
        // Else it would have been timed on something else than the sine.
        assert!(own_src == src, "{}: the input was written to", row.name);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = bench
}
criterion_main!(benches);
