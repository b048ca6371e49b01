// SPDX-License-Identifier: MIT

//! The resampler against GStreamer's `GstAudioResampler` and libsoxr, in one run, with the quality
//! of each measured beside its time: `cargo bench --bench resample`.
//!
//! Times are of one second of audio in chunks of 10 ms. `RUSTAUDIO_SIMD=avx2` holds this crate back
//! to AVX2; a word after `--` chooses rows as usual with criterion, and the tables are printed when
//! all have run. rubato's resamplers are there by
//! themselves, as fast as they go, and as engines of this crate.

mod rig;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use gstrustaudio::dsp::Level;
use gstrustaudio::dsp::resample::{EngineChoice, Spec};
use rig::meter::{Quality, cell, measure};
use rig::peers::{Gst, Own, Soxr, engine, free, like_soxr};
use rig::rubato::Rubato;
use rig::{Converter, PAIRS, chunk, room};
use rubato::WindowFunction;

type Make = fn((u32, u32), usize) -> Option<Box<dyn Converter>>;

/// What is timed. `max-latency` is free for the `free` ones.
const CONVERTERS: [(&str, Make); 16] = [
    ("audioresample q4", |r, c| Some(Box::new(Gst::new(r, c, 4)))),
    ("rustresample q4", |r, c| {
        Some(Box::new(Own::new(&Spec::new(r.0, r.1, c))))
    }),
    ("audioresample q10", |r, c| {
        Some(Box::new(Gst::new(r, c, 10)))
    }),
    ("rustresample q10 free", |r, c| {
        Some(Box::new(Own::new(&free(r, c, 10))))
    }),
    ("libsoxr HQ", |r, c| {
        let soxr = Soxr::new(r, c).ok()?;
        Some(Box::new(soxr))
    }),
    // The quality whose pass band is as wide as libsoxr's.
    ("rustresample q8 free", |r, c| {
        Some(Box::new(Own::new(&free(r, c, 8))))
    }),
    // Filters as long as the pass bands of q8 and q10 need.
    ("rubato Fft q8", |r, c| {
        Some(Box::new(Rubato::fft(r, c, 360)))
    }),
    ("rubato Fft q10", |r, c| {
        Some(Box::new(Rubato::fft(r, c, 560)))
    }),
    ("rustresample sinc q4", |r, c| {
        Some(Box::new(Own::new(&engine(r, c, 4, EngineChoice::Sinc))))
    }),
    ("rubato Async 128 Blackman", |r, c| {
        let window = WindowFunction::Blackman;
        Some(Box::new(Rubato::sinc(r, c, 128, window)))
    }),
    ("rustresample sinc q8", |r, c| {
        Some(Box::new(Own::new(&engine(r, c, 8, EngineChoice::Sinc))))
    }),
    ("rubato Async 256 BlackmanHarris2", |r, c| {
        let window = WindowFunction::BlackmanHarris2;
        Some(Box::new(Rubato::sinc(r, c, 256, window)))
    }),
    ("polyphase q8", |r, c| {
        Some(Box::new(Own::new(&engine(
            r,
            c,
            8,
            EngineChoice::Polyphase,
        ))))
    }),
    ("rubato-fft q8", |r, c| {
        Some(Box::new(Own::new(&engine(
            r,
            c,
            8,
            EngineChoice::RubatoFft,
        ))))
    }),
    ("rubato-sinc q8", |r, c| {
        Some(Box::new(Own::new(&engine(
            r,
            c,
            8,
            EngineChoice::RubatoSinc,
        ))))
    }),
    ("rustresample q8 at libsoxr's delay", |r, c| {
        Some(Box::new(Own::new(&like_soxr(r, c))))
    }),
];

/// Columns of each table.
const TABLES: [&[usize]; 4] = [
    &[0, 1, 2, 3, 4, 5, 15],
    &[5, 6, 3, 7],
    &[8, 9, 10, 11],
    // All engines at one quality.
    &[12, 5, 10, 13, 14],
];

/// Whose time is divided by whose.
const RATIOS: [(usize, usize); 9] = [
    (0, 1),
    (2, 3),
    (4, 1),
    (4, 5),
    (4, 15),
    (6, 5),
    (7, 3),
    (9, 8),
    (11, 10),
];

fn noise(n: usize) -> Vec<f32> {
    let mut seed = 1u32;
    (0..n)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn main() {
    gst::init().unwrap();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(240))
        .sample_size(10)
        .without_plots()
        .configure_from_args();
    let quick = std::env::args().any(|a| a == "--test");
    if let Err(why) = Soxr::new(PAIRS[0], 1) {
        println!("{why}: its rows are left out");
    }
    let mut times: BTreeMap<(usize, usize, usize), f64> = BTreeMap::new();
    for (p, pair) in PAIRS.iter().enumerate() {
        for channels in [1, 2] {
            let mut group =
                criterion.benchmark_group(format!("{}-{} {channels} ch", pair.0, pair.1));
            for (c, (name, make)) in CONVERTERS.iter().enumerate() {
                let Some(mut converter) = make(*pair, channels) else {
                    continue;
                };
                let input = noise(pair.0 as usize * channels);
                let mut output = vec![0.0; room(channels)];
                let best = times.entry((p, channels, c)).or_insert(f64::INFINITY);
                group.bench_function(*name, |b| {
                    b.iter_custom(|iterations| {
                        let start = Instant::now();
                        for _ in 0..iterations {
                            for part in input.chunks(chunk(pair.0) * channels) {
                                black_box(converter.process(part, &mut output));
                            }
                        }
                        let time = start.elapsed();
                        *best = best.min(time.as_secs_f64() / iterations as f64);
                        time
                    })
                });
            }
            group.finish();
        }
    }
    if quick || times.values().any(|t| !t.is_finite()) {
        return;
    }
    report(&times);
}

/// Prints tables of the best times and of the quality.
fn report(times: &BTreeMap<(usize, usize, usize), f64>) {
    println!("\nSIMD level: {:?}\n", Level::best());
    let time = |p, ch, c| times.get(&(p, ch, c)).copied();
    for table in TABLES {
        println!("us per second of audio (best of the samples)\n");
        header("| rates | ch ", table);
        for (p, pair) in PAIRS.iter().enumerate() {
            for ch in [1, 2] {
                print!("| {}>{} | {ch} ", pair.0, pair.1);
                for c in table {
                    match time(p, ch, *c) {
                        Some(t) => print!("| {:.0} ", t * 1e6),
                        None => print!("| - "),
                    }
                }
                println!("|");
            }
        }
        println!();
    }
    for (theirs, ours) in RATIOS {
        let ratios: Vec<f64> = (0..PAIRS.len())
            .flat_map(|p| [1, 2].map(|ch| (p, ch)))
            .filter_map(|(p, ch)| Some(time(p, ch, theirs)? / time(p, ch, ours)?))
            .collect();
        if ratios.is_empty() {
            continue;
        }
        let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{} / {}: geometric mean {mean:.2}, least {least:.2}\n",
            CONVERTERS[theirs].0, CONVERTERS[ours].0
        );
    }
    println!(
        "quality: -1 dB edge in % of the lower Nyquist frequency / worst SNR up to 80 % in dB"
    );
    println!("/ worst alias or image in dB, from 110 % up / from 100 % up / latency in ms\n");
    for table in TABLES {
        header("| rates ", table);
        for pair in PAIRS {
            print!("| {}>{} ", pair.0, pair.1);
            for c in table {
                print!("| {} ", quality(pair, CONVERTERS[*c].1));
            }
            println!("|");
        }
        println!();
    }
}

fn header(first: &str, table: &[usize]) {
    print!("{first}");
    for c in table {
        print!("| {} ", CONVERTERS[*c].0);
    }
    let columns = first.matches('|').count() + table.len();
    println!("|\n{}|", "|---".repeat(columns));
}

/// One cell: the figures of what `make` makes, in mono.
fn quality(pair: (u32, u32), make: Make) -> String {
    let Some(mut converter) = make(pair, 1) else {
        return "-".into();
    };
    let q: Quality = measure(pair, &mut || make(pair, 1).unwrap());
    // libsoxr tells its delay only once it has begun.
    for part in noise(pair.0 as usize / 10).chunks(chunk(pair.0)) {
        converter.process(part, &mut vec![0.0; room(1)]);
    }
    cell(&q, converter.latency() * 1e3)
}
