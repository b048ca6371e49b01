//! The resampler against GStreamer's `GstAudioResampler` and libsoxr, in one run, with the quality
//! of each measured beside its time: `cargo bench --bench resample`.
//!
//! Times are of one second of audio in chunks of 10 ms. `RUSTAUDIO_SIMD=avx2` holds this crate back
//! to AVX2; a word after `--` chooses rows as usual with criterion.

mod rig;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use criterion::Criterion;
use gstrustaudio::dsp::resample::Spec;
use gstrustaudio::dsp::simd::Level;
use rig::meter::{Quality, measure};
use rig::peers::{Gst, Own, Soxr, free};
use rig::{Converter, PAIRS, chunk};

type Make = fn((u32, u32), usize) -> Option<Box<dyn Converter>>;

/// Columns of the tables. `max-latency` is free for the `free` ones.
const CONVERTERS: [(&str, Make); 6] = [
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
        Soxr::new(r, c).map(|s| Box::new(s) as Box<dyn Converter>)
    }),
    // The quality whose pass band is as wide as libsoxr's.
    ("rustresample q8 free", |r, c| {
        Some(Box::new(Own::new(&free(r, c, 8))))
    }),
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
    if Soxr::new(PAIRS[0], 1).is_none() {
        println!("libsoxr.so.0 is missing (apt install libsoxr0): its rows are left out");
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
                let mut output = Vec::new();
                let best = times.entry((p, channels, c)).or_insert(f64::INFINITY);
                group.bench_function(*name, |b| {
                    b.iter_custom(|iterations| {
                        let start = Instant::now();
                        for _ in 0..iterations {
                            for part in input.chunks(chunk(pair.0) * channels) {
                                output.clear();
                                converter.process(part, &mut output);
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
    println!("us per second of audio (best of the samples)\n");
    print!("| rates | ch ");
    for (name, _) in CONVERTERS {
        print!("| {name} ");
    }
    println!("|\n|---|---{}|", "|---".repeat(CONVERTERS.len()));
    let time = |p, ch, c| times.get(&(p, ch, c)).copied();
    for (p, pair) in PAIRS.iter().enumerate() {
        for ch in [1, 2] {
            print!("| {}>{} | {ch} ", pair.0, pair.1);
            for c in 0..CONVERTERS.len() {
                match time(p, ch, c) {
                    Some(t) => print!("| {:.0} ", t * 1e6),
                    None => print!("| - "),
                }
            }
            println!("|");
        }
    }
    for (theirs, ours) in [(0, 1), (2, 3), (4, 1), (4, 5)] {
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
            "\n{} / {}: geometric mean {mean:.2}, least {least:.2}",
            CONVERTERS[theirs].0, CONVERTERS[ours].0
        );
    }
    println!(
        "\nquality: -1 dB edge in % of the lower Nyquist frequency / worst SNR up to 80 % in dB"
    );
    println!("/ worst alias or image in dB / latency in ms\n");
    print!("| rates ");
    for (name, _) in CONVERTERS {
        print!("| {name} ");
    }
    println!("|\n|---{}|", "|---".repeat(CONVERTERS.len()));
    for pair in PAIRS {
        print!("| {}>{} ", pair.0, pair.1);
        for (_, make) in CONVERTERS {
            let Some(mut converter) = make(pair, 1) else {
                print!("| - ");
                continue;
            };
            let q: Quality = measure(pair, &mut || make(pair, 1).unwrap());
            converter.process(&noise(pair.0 as usize / 10), &mut Vec::new());
            print!(
                "| {:.0} / {:.0} / {:.0} / {:.1} ",
                q.edge(),
                q.worst_snr(),
                q.worst_alias(),
                converter.latency() * 1e3
            );
        }
        println!("|");
    }
}
