// SPDX-License-Identifier: MIT

//! Pushes of 10 ms of conversion and resampling, for whatever counts or times them, on any architecture.
//!
//! `pushes` names its cases. `pushes CASE COUNT` runs so many pushes of one, by the kernels that
//! `RUSTAUDIO_SIMD` names: what is to be counted, as `tools/count_arm.py` does. `pushes CASE COUNT hash` prints a
//! hash of all that came out, and `pushes CASE COUNT ROUNDS` the nanoseconds of a push in the best of so
//! many rounds.

use std::hint::black_box;
use std::time::Instant;

use rustaudio_dsp::convert::{
    Channels, Converter, Dither, Matrix, Pack, Position, Quantisation, SampleFormat, Side,
};
use rustaudio_dsp::resample::{EngineChoice, Spec, Stream};
use rustaudio_dsp::{Frames, Layout};

/// Push `n`, whose output is given to what follows.
type Push = Box<dyn FnMut(usize, &mut dyn FnMut(&[u8]))>;
type Case = (&'static str, fn() -> Push);

const CASES: [Case; 36] = [
    ("resample q4 48>16 F32 mono", || {
        resample("F32LE", 4, Polyphase, (48_000, 16_000, 1))
    }),
    ("resample q4 48>16 F32 stereo", || {
        resample("F32LE", 4, Polyphase, (48_000, 16_000, 2))
    }),
    ("resample q4 44.1>48 F32 mono", || {
        resample("F32LE", 4, Polyphase, (44_100, 48_000, 1))
    }),
    ("resample q4 44.1>48 F32 stereo", || {
        resample("F32LE", 4, Polyphase, (44_100, 48_000, 2))
    }),
    ("resample q10 44.1>48 F32 stereo", || {
        resample("F32LE", 10, Polyphase, (44_100, 48_000, 2))
    }),
    ("resample q4 48>16 S16 mono", || {
        resample("S16LE", 4, Polyphase, (48_000, 16_000, 1))
    }),
    ("resample q4 48>16 S16 stereo", || {
        resample("S16LE", 4, Polyphase, (48_000, 16_000, 2))
    }),
    ("resample q4 44.1>48 S16 stereo", || {
        resample("S16LE", 4, Polyphase, (44_100, 48_000, 2))
    }),
    ("resample q8 48>44.1 F64 mono", || {
        resample("F64LE", 8, Polyphase, (48_000, 44_100, 1))
    }),
    ("resample q8 48>44.1 F64 stereo", || {
        resample("F64LE", 8, Polyphase, (48_000, 44_100, 2))
    }),
    ("resample q4 sinc 44.1>48 F32 mono", || {
        resample("F32LE", 4, Sinc, (44_100, 48_000, 1))
    }),
    ("resample q4 sinc 44.1>48 F32 stereo", || {
        resample("F32LE", 4, Sinc, (44_100, 48_000, 2))
    }),
    ("resample q8 sinc 44.1>48 F64 stereo", || {
        resample("F64LE", 8, Sinc, (44_100, 48_000, 2))
    }),
    ("resample q8 fft 48>16 F32 mono", || {
        resample("F32LE", 8, Fft, (48_000, 16_000, 1))
    }),
    ("resample q4 free 44.1>48 F32 stereo", || {
        free("F32LE", (44_100, 48_000, 2))
    }),
    ("resample q8 within 8.2 ms 48>16 F32 mono", || {
        within(8.2, (48_000, 16_000, 1))
    }),
    ("resample q8 within 8.2 ms 48>16 F32 stereo", || {
        within(8.2, (48_000, 16_000, 2))
    }),
    ("resample q8 within 8.2 ms 16>48 F32 mono", || {
        within(8.2, (16_000, 48_000, 1))
    }),
    ("resample q8 within 8.2 ms 16>48 F32 stereo", || {
        within(8.2, (16_000, 48_000, 2))
    }),
    ("resample q8 within 7.1 ms 44.1>48 F32 mono", || {
        within(7.1, (44_100, 48_000, 1))
    }),
    ("resample q8 within 32.6 ms 44.1>16 F32 mono", || {
        within(32.6, (44_100, 16_000, 1))
    }),
    ("resample q8 within 32.6 ms 44.1>16 F32 stereo", || {
        within(32.6, (44_100, 16_000, 2))
    }),
    ("resample q4 22.05>16 F32 mono", || {
        resample("F32LE", 4, Polyphase, (22_050, 16_000, 1))
    }),
    ("convert S16>F32 stereo", || {
        convert("S16LE", "F32LE", Dither::None)
    }),
    ("convert F32>S16 stereo", || {
        convert("F32LE", "S16LE", Dither::None)
    }),
    ("convert F32>S16 stereo, tpdf", || {
        convert("F32LE", "S16LE", Dither::Tpdf)
    }),
    ("convert S24>F32 stereo", || {
        convert("S24LE", "F32LE", Dither::None)
    }),
    ("convert F32>S24 stereo", || {
        convert("F32LE", "S24LE", Dither::None)
    }),
    ("convert F64>S32 stereo", || {
        convert("F64LE", "S32LE", Dither::None)
    }),
    ("convert S16BE>S16LE stereo", || {
        convert("S16BE", "S16LE", Dither::None)
    }),
    ("convert S32>S16 stereo, tpdf", || {
        convert("S32LE", "S16LE", Dither::Tpdf)
    }),
    ("convert S16 stereo>F32 mono", || {
        mono("S16LE", "F32LE", Dither::None)
    }),
    ("convert S16 stereo>S16 mono, tpdf", || {
        mono("S16LE", "S16LE", Dither::Tpdf)
    }),
    ("convert F32 stereo>S16 mono, tpdf", || {
        mono("F32LE", "S16LE", Dither::Tpdf)
    }),
    ("convert S16 5.1>F32 stereo", || {
        converted(("S16LE", FIVE_ONE), ("F32LE", STEREO), Dither::None)
    }),
    ("convert S16 5.1>S16 stereo, tpdf", || {
        converted(("S16LE", FIVE_ONE), ("S16LE", STEREO), Dither::Tpdf)
    }),
];

use EngineChoice::{Fft, Polyphase, Sinc};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let [name, numbers @ ..] = &arguments[..] else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let Some((_, make)) = CASES.iter().find(|(case, _)| case == name) else {
        eprintln!("no such case: {name}; without an argument they are named");
        std::process::exit(2);
    };
    let count: usize = numbers.first().and_then(|n| n.parse().ok()).unwrap_or(100);
    let mut push = make();
    let run = |push: &mut Push, round: usize| {
        for n in round * count..(round + 1) * count {
            push(n, &mut |out| {
                black_box(out);
            });
        }
    };
    match numbers.get(1).map(String::as_str) {
        None => run(&mut push, 0),
        Some("hash") => println!("{:016x}", hash(&mut push, count)),
        Some(rounds) => {
            let mut best = f64::INFINITY;
            for round in 0..rounds.parse().unwrap_or(1) {
                let start = Instant::now();
                run(&mut push, round);
                best = best.min(start.elapsed().as_secs_f64() / count as f64);
            }
            println!("{:.1}", best * 1e9);
        }
    }
}

/// FNV-1a of what so many pushes give.
fn hash(push: &mut Push, count: usize) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for n in 0..count {
        push(n, &mut |out| {
            for byte in out {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
        });
    }
    hash
}

/// A second of noise and a sawtooth in `format`, by 10 ms.
fn sound(format: SampleFormat, rate: usize, channels: usize) -> Vec<Vec<u8>> {
    let mut seed = 1u32;
    let samples: Vec<f64> = (0..rate * channels)
        .map(|i| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let tooth = (i * 150 % rate) as f64 / rate as f64 - 0.5;
            0.3 * tooth + f64::from(seed >> 8) * 1e-8
        })
        .collect();
    let mut bytes = vec![0; samples.len() * format.size()];
    Pack::<f64>::new(format).run(&samples, &mut bytes);
    let chunk = rate / 100 * channels * format.size();
    bytes.chunks(chunk).map(<[u8]>::to_vec).collect()
}

fn format(name: &str) -> SampleFormat {
    SampleFormat::from_name(name).expect("a format")
}

/// Positions as a mask, as GStreamer has them.
const STEREO: u64 = 0x3;
const FIVE_ONE: u64 = 0x3f;
/// Of one channel there is none.
const MONO: u64 = 0;

fn convert(from: &str, to: &str, dither: Dither) -> Push {
    converted((from, STEREO), (to, STEREO), dither)
}

fn mono(from: &str, to: &str, dither: Dither) -> Push {
    converted((from, STEREO), (to, MONO), dither)
}

fn converted(from: (&str, u64), to: (&str, u64), dither: Dither) -> Push {
    let positions = |mask| match mask {
        MONO => vec![Position::Mono],
        mask => Position::from_mask(mask),
    };
    let [ins, outs] = [from.1, to.1].map(positions);
    let side = |name, positions: &[Position]| Side {
        format: format(name),
        channels: positions.len(),
        layout: Layout::Interleaved,
    };
    let (from, to) = (side(from.0, &ins), side(to.0, &outs));
    let [ins, outs] = [ins, outs].map(Channels::Positioned);
    let mix = Matrix::between(&ins, &outs).expect("a mix");
    let quantisation = Quantisation {
        dither,
        ..Quantisation::default()
    };
    let mut converter = Converter::new(from, to, &mix, quantisation, 1).expect("a converter");
    let input = sound(from.format, 48_000, from.channels);
    let mut output = vec![0; 480 * to.frame_size()];
    Box::new(move |n, done| {
        let source = Frames::interleaved(&input[n % input.len()], 480);
        converter
            .convert(source, &mut output)
            .expect("room for all");
        done(&output);
    })
}

fn resample(format: &str, quality: u8, engine: EngineChoice, rates: (u32, u32, usize)) -> Push {
    let (from, to, channels) = rates;
    push(
        format,
        Spec {
            engine,
            quality,
            ..Spec::new(from, to, channels)
        },
    )
}

/// What `auto` takes where latency is free.
fn free(format: &str, (from, to, channels): (u32, u32, usize)) -> Push {
    push(
        format,
        Spec {
            quality: 4,
            max_latency: Some(1_000_000_000),
            ..Spec::new(from, to, channels)
        },
    )
}

/// What `auto` takes where `ms` of latency are allowed.
fn within(ms: f64, (from, to, channels): (u32, u32, usize)) -> Push {
    push(
        "F32LE",
        Spec {
            quality: 8,
            max_latency: Some((ms * f64::from(from) / 1e3) as u64),
            ..Spec::new(from, to, channels)
        },
    )
}

fn push(name: &str, spec: Spec) -> Push {
    let format = format(name);
    let mut stream = Stream::new(&spec, format, Layout::Interleaved, false).expect("a stream");
    let input = sound(format, spec.in_rate as usize, spec.channels);
    let frame = spec.channels * format.size();
    let mut output = vec![0; 8192 * frame];
    Box::new(move |n, done| {
        let part = &input[n % input.len()];
        stream
            .push(Frames::interleaved(part, part.len() / frame))
            .expect("all of them");
        let frames = stream.available();
        stream.pull(frames, &mut output[..frames * frame]);
        done(&output[..frames * frame]);
    })
}
