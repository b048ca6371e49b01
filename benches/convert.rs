// SPDX-License-Identifier: MIT

//! `Converter` beside `GstAudioConverter`, libswresample and PipeWire's `audioconvert`, and beside a plain copy:
//! the conversions that people use, 480 frames at a time. `cargo bench --bench convert [-- PART OF A ROW'S NAME]`.
//!
//! CPU time of a thread, the least of many rounds in which all take turns; every buffer is made once, and begins at a
//! multiple of 64 bytes. `GstAudioConverter` may work in its input, as audioconvert lets it wherever a buffer is
//! its own. The libraries are those of this machine; what is missing is named and left out. A copy reads and
//! writes as many bytes as the conversion: in cache the same buffer again and again, out of it 96 MiB in turn.

use std::collections::BTreeSet;
use std::hint::black_box;

use gst_audio::{AudioDitherMethod as Dithering, AudioNoiseShapingMethod as Shaping};
use gstrustaudio::dsp::convert::{
    Channels, Converter, Dither, Matrix, NoiseShaping, Position, Quantisation, SampleFormat, Side,
};
use gstrustaudio::dsp::{Frames, Layout, Level};
use rig::{cpu, pipewire, swresample};

#[path = "../tests/common/stock.rs"]
mod stock;

mod rig;

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

type Run = Box<dyn FnMut(&mut [u8], &mut [u8])>;

/// One that converts, or copies, buffers of so many bytes in and out.
struct Way {
    run: Run,
    bytes: (usize, usize),
    /// Seconds of CPU a buffer, in cache and out of it.
    best: f64,
    far: f64,
}

impl Way {
    fn new(bytes: (usize, usize), run: Run) -> Self {
        Self {
            run,
            bytes,
            best: f64::INFINITY,
            far: f64::INFINITY,
        }
    }

    /// Goes once through `from` and `to`, buffer for buffer: seconds a buffer.
    fn pass(&mut self, from: &mut [u8], to: &mut [u8]) -> f64 {
        let (read, write) = self.bytes;
        let from = from.chunks_exact_mut(read.next_multiple_of(64));
        let to = to.chunks_exact_mut(write.next_multiple_of(64));
        let start = cpu();
        let mut count = 0;
        for (from, to) in from.zip(to) {
            (self.run)(black_box(&mut from[..read]), &mut to[..write]);
            black_box(to);
            count += 1;
        }
        (cpu() - start) / f64::from(count)
    }

    /// The same buffer again and again: seconds a buffer.
    fn again(&mut self, from: &mut [u8], to: &mut [u8]) -> f64 {
        let (read, write) = self.bytes;
        let start = cpu();
        for _ in 0..REPEATS {
            (self.run)(black_box(&mut from[..read]), &mut to[..write]);
            black_box(&mut *to);
        }
        (cpu() - start) / REPEATS as f64
    }
}

/// Buffers of one timing where the same one comes again and again.
const REPEATS: usize = 300;
/// Rounds of which the fastest counts, in cache and out of it.
const ROUNDS: (usize, usize) = (100, 20);
/// Bytes between what is read and what is written, or such that they are no multiple of 4096 apart: loads would wait
/// for stores that they have nothing to do with.
const SKEW: usize = 2112;
/// Bytes of all buffers, read and written, that are out of cache.
const FAR: usize = 96 << 20;

/// This crate's, by the row.
fn own(row: &Row) -> Run {
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
    let mut own = Converter::new(from, to, &matrix, quantisation, 1).unwrap();
    Box::new(move |from, to| own.convert(Frames::interleaved(from, FRAMES), to).unwrap())
}

fn gst(row: &Row) -> Run {
    let info = |(format, channels)| stock::info(format, 48_000, channels, mask(channels), false);
    let (from, to) = (info(row.from), info(row.to));
    let mut theirs = stock::Stock::new(&from, &to, row.dither, row.shaping, None).unwrap();
    Box::new(move |from, to| theirs.convert_using(from, to, FRAMES))
}

/// libswresample's, where it knows the formats and is not to shape noise, which it does by other filters.
fn swresample(row: &Row) -> Result<Option<Run>, String> {
    fn known((format, channels): (&str, u32)) -> Option<swresample::Side<'static>> {
        Some(swresample::Side {
            format: match format {
                "U8" => "u8",
                "S16LE" => "s16",
                "S32LE" => "s32",
                "F32LE" => "flt",
                "F64LE" => "dbl",
                _ => return None,
            },
            rate: 48_000,
            layout: match channels {
                1 => "mono",
                2 => "stereo",
                _ => "5.1",
            },
        })
    }
    let (Some(from), Some(to), Shaping::None) = (known(row.from), known(row.to), row.shaping)
    else {
        return Ok(None);
    };
    let dither: &[_] = match row.dither {
        Dithering::None => &[],
        _ => &[("dither_method", "triangular")],
    };
    let mut theirs = swresample::Context::new(from, to, dither)?;
    Ok(Some(Box::new(move |from, to| {
        assert_eq!(theirs.run(from, to), FRAMES);
    })))
}

/// PipeWire's `audioconvert`, as `swresample`.
fn pipewire(row: &Row) -> Result<Option<Run>, String> {
    fn known((format, channels): (&str, u32)) -> Option<pipewire::Side<'static>> {
        Some(pipewire::Side {
            format: pipewire::Side::format(format)?,
            rate: 48_000,
            channels: match channels {
                1 => pipewire::MONO,
                2 => pipewire::STEREO,
                _ => pipewire::FIVE_ONE,
            },
        })
    }
    let (Some(from), Some(to), Shaping::None) = (known(row.from), known(row.to), row.shaping)
    else {
        return Ok(None);
    };
    let dither: &[_] = match row.dither {
        Dithering::None => &[],
        _ => &[(c"dither.method", c"triangular")],
    };
    let mut theirs = pipewire::AudioConvert::new(from, to, dither)?;
    Ok(Some(Box::new(move |from, to| {
        assert_eq!(theirs.run(from, to), to.len());
    })))
}

/// The row's ways: ours, a copy, and the peers', `None` where one does not do it.
fn ways(row: &Row, missing: &mut BTreeSet<String>) -> [Option<Way>; 5] {
    let (from, to) = (side(row.from.0, row.from.1).0, side(row.to.0, row.to.1).0);
    let bytes = (FRAMES * from.frame_size(), FRAMES * to.frame_size());
    // Reads and writes as many bytes, all in all.
    let half = (bytes.0 + bytes.1) / 2;
    let copy: Run = Box::new(|from, to| to.copy_from_slice(from));
    let mut peer = |made: Result<Option<Run>, String>| match made {
        Ok(run) => run.map(|run| Way::new(bytes, run)),
        Err(why) => {
            missing.insert(why);
            None
        }
    };
    [
        Some(Way::new(bytes, own(row))),
        Some(Way::new((half, half), copy)),
        Some(Way::new(bytes, gst(row))),
        peer(swresample(row)),
        peer(pipewire(row)),
    ]
}

/// Times all ways of a row in turn, in cache and, the first two, out of it. `memory` has room for twice
/// [`FAR`] bytes and begins at a multiple of 64.
fn time(row: &Row, ways: &mut [Option<Way>], memory: &mut [u8]) {
    let from = side(row.from.0, row.from.1).0;
    // A sine at -6 dB in the input format.
    let wave: Vec<f64> = (0..FRAMES * from.channels)
        .map(|i| 0.5 * (i as f64 * 0.05).sin())
        .collect();
    let mut source = vec![0; FRAMES * from.frame_size()];
    gstrustaudio::dsp::convert::Pack::<f64>::new(from.format).run(&wave, &mut source);

    let (near_from, rest) = memory.split_at_mut(1 << 16);
    let near_to = &mut rest[SKEW..][..1 << 16];
    near_from[..source.len()].copy_from_slice(&source);
    for _ in 0..ROUNDS.0 {
        for way in ways.iter_mut().flatten() {
            way.best = way.best.min(way.again(near_from, near_to));
        }
    }
    // Else it would have been timed on something else than the sine.
    assert!(
        near_from[..source.len()] == source,
        "{}: the input was written to",
        row.name
    );

    // Each has memory of its own, so that what it reads stays what it was.
    let mut far: Vec<_> = ways.iter_mut().take(2).flatten().collect();
    let mut parts: Vec<_> = far
        .iter()
        .zip(memory.chunks_exact_mut(FAR))
        .map(|(way, memory)| {
            let (read, write) = (way.bytes.0 as f64, way.bytes.1 as f64);
            let at = (FAR as f64 * read / (read + write)) as usize / 64 * 64;
            let (from, to) = memory.split_at_mut(at);
            (from, &mut to[SKEW..])
        })
        .collect();
    for (way, (from, _)) in far.iter().zip(&mut parts) {
        for part in from.chunks_exact_mut(way.bytes.0.next_multiple_of(64)) {
            let length = source.len().min(part.len());
            part[..length].copy_from_slice(&source[..length]);
        }
    }
    for _ in 0..ROUNDS.1 {
        for (way, (from, to)) in far.iter_mut().zip(&mut parts) {
            way.far = way.far.min(way.pass(from, to));
        }
    }
}

fn main() {
    gst::init().unwrap();
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    let mut memory = vec![1u8; 2 * FAR + 64];
    let begin = memory.as_ptr().align_offset(64);
    let mut missing = BTreeSet::new();
    let timed: Vec<_> = ROWS
        .iter()
        .filter(|row| row.name.contains(&wanted))
        .map(|row| {
            let mut ways = ways(row, &mut missing);
            time(row, &mut ways, &mut memory[begin..]);
            (row, ways)
        })
        .collect();
    missing.iter().for_each(|why| println!("Left out: {why}\n"));
    println!("SIMD level: {:?}\n", Level::best());
    peers(&timed);
    roofline(&timed);
}

type Timed<'a> = (&'a Row, [Option<Way>; 5]);

/// Us per million samples beside the peers.
fn peers(timed: &[Timed]) {
    println!("us per million input samples, {FRAMES} frames at a time\n");
    println!(
        "| conversion | rustaudioconvert | GstAudioConverter | times | libswresample | times | PipeWire | times |"
    );
    println!("|{}", "---|".repeat(8));
    let mut means = [const { Vec::new() }; 3];
    for (row, ways) in timed {
        let us = |way: &Way| way.best * 1e12 / (FRAMES as f64 * f64::from(row.from.1));
        let [Some(own), _, peers @ ..] = ways else {
            continue;
        };
        print!("| {} | {:.0} ", row.name, us(own));
        for (peer, mean) in peers.iter().zip(&mut means) {
            match peer {
                Some(peer) => {
                    let times = peer.best / own.best;
                    mean.push(times);
                    print!("| {:.0} | {times:.1} ", us(peer));
                }
                None => print!("| - | - "),
            }
        }
        println!("|");
    }
    print!("| geometric mean | ");
    for mean in means {
        let log = mean.iter().map(|t: &f64| t.ln()).sum::<f64>() / mean.len() as f64;
        print!("| | {:.1} ", log.exp());
    }
    println!("|\n");
}

/// Bytes a second beside those of a copy.
fn roofline(timed: &[Timed]) {
    println!(
        "GB/s, read and written; `copy`: memcpy of half as many bytes as are read and written\n"
    );
    println!(
        "| conversion | in cache | copy | copy over it | out of cache | copy | copy over it |\n|{}",
        "---|".repeat(7)
    );
    for (row, ways) in timed {
        let [Some(own), Some(copy), ..] = ways else {
            continue;
        };
        let speed = |seconds: f64| (own.bytes.0 + own.bytes.1) as f64 * 1e-9 / seconds;
        print!("| {} ", row.name);
        for (own, copy) in [(own.best, copy.best), (own.far, copy.far)] {
            print!(
                "| {:.1} | {:.1} | {:.2} ",
                speed(own),
                speed(copy),
                own / copy
            );
        }
        println!("|");
    }
}
