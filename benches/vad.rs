//! What a 10 ms frame of 16 kHz mono costs: `cargo bench --bench vad`.

use criterion::{Criterion, criterion_group, criterion_main};
use gstrustaudio::dsp::convert::SampleFormat;
use gstrustaudio::dsp::vad::{Config, DetectorKind, Layout, LookAhead, Planes, Rules, Vad};

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("vad per 10 ms");
    let spectral = DetectorKind::Spectral(LookAhead::Short);
    let energy = DetectorKind::Energy {
        threshold_db: -30.0,
    };
    // Bursts of a sawtooth over noise; and digital silence after them.
    let mut seed = 1u32;
    let mut sound = |rate: usize| -> Vec<u8> {
        (0..rate)
            .map(|i| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let on = f32::from(u8::from((i * 4 / rate).is_multiple_of(2)));
                on * (i * 150 % rate) as f32 / rate as f32 * 0.3 + (seed >> 8) as f32 * 1e-10
            })
            .flat_map(f32::to_le_bytes)
            .collect()
    };
    for (name, rate, detector, silence) in [
        ("spectral", 16_000, spectral, false),
        (
            "spectral, digital silence after sound",
            16_000,
            spectral,
            true,
        ),
        ("spectral, 48 kHz", 48_000, spectral, false),
        ("spectral, 8 kHz", 8000, spectral, false),
        ("energy", 16_000, energy, false),
    ] {
        let config = Config {
            format: SampleFormat::F32LE,
            layout: Layout::Interleaved,
            rate,
            channels: 1,
            detector,
        };
        let mut vad = Vad::new(config, Rules::default());
        let mut data = sound(rate as usize);
        let hop = rate as usize / 100;
        let mut push = |part: &[u8]| {
            let planes = Planes {
                data: part,
                offsets: &[],
            };
            vad.push(planes, part.len() / 4, |o| {
                std::hint::black_box(o);
            });
        };
        push(&data);
        if silence {
            data.fill(0);
        }
        let mut parts = (0..100).cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let at = parts.next().unwrap_or(0) * hop * 4;
                push(&data[at..at + hop * 4]);
            })
        });
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
