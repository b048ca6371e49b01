// SPDX-License-Identifier: MIT

//! What a 10 ms frame of 16 kHz mono costs: `cargo bench --bench vad`.

use criterion::{Criterion, criterion_group, criterion_main};
use gst::prelude::*;
use gstrustaudio::dsp::convert::SampleFormat;
use gstrustaudio::dsp::vad::silero::Network;
use gstrustaudio::dsp::vad::{Config, DetectorKind, LookAhead, Rules, Vad};
use gstrustaudio::dsp::{Frames, Level};

/// One second of bursts of a sawtooth over noise, as F32LE.
fn sound(rate: usize) -> Vec<u8> {
    let mut seed = 1u32;
    (0..rate)
        .map(|i| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let on = f32::from(u8::from((i * 4 / rate).is_multiple_of(2)));
            on * (i * 150 % rate) as f32 / rate as f32 * 0.3 + (seed >> 8) as f32 * 1e-10
        })
        .flat_map(f32::to_le_bytes)
        .collect()
}

fn mono(rate: u32, detector: DetectorKind) -> Vad {
    let config = Config {
        format: SampleFormat::F32LE,
        rate,
        channels: 1,
        detector,
    };
    Vad::new(config, Rules::default())
}

fn push(vad: &mut Vad, part: &[u8]) {
    let frames = Frames::interleaved(part, part.len() / 4);
    let pushed = vad.push(frames, |o| {
        std::hint::black_box(o);
    });
    pushed.unwrap();
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("vad per 10 ms");
    let spectral = DetectorKind::Spectral(LookAhead::Short);
    let silero = DetectorKind::Silero(LookAhead::Short);
    let neural = DetectorKind::Neural(LookAhead::Short);
    let energy = DetectorKind::Energy {
        threshold_db: -30.0,
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
        ("silero", 16_000, silero, false),
        ("silero, digital silence after sound", 16_000, silero, true),
        ("silero, 48 kHz", 48_000, silero, false),
        ("silero, 8 kHz", 8000, silero, false),
        ("neural", 16_000, neural, false),
        ("neural, digital silence after sound", 16_000, neural, true),
        ("neural, 48 kHz", 48_000, neural, false),
        ("neural, 8 kHz", 8000, neural, false),
        ("energy", 16_000, energy, false),
    ] {
        let mut vad = mono(rate, detector);
        let mut data = sound(rate as usize);
        let hop = rate as usize / 100;
        push(&mut vad, &data);
        if silence {
            data.fill(0);
        }
        let mut parts = (0..100).cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let at = parts.next().unwrap_or(0) * hop * 4;
                push(&mut vad, &data[at..at + hop * 4]);
            })
        });
    }
    group.finish();
}

/// How the work is spread over the frames of a stream, each by the best of many streams: criterion tells
/// means alone.
fn costliest(_: &mut Criterion) {
    const STREAMS: usize = 400;
    let data = sound(16_000);
    for (name, detector) in [
        ("spectral", DetectorKind::Spectral(LookAhead::Short)),
        ("silero", DetectorKind::Silero(LookAhead::Short)),
        ("neural", DetectorKind::Neural(LookAhead::Short)),
    ] {
        let mut best = vec![f64::INFINITY; 100];
        let mut vad = mono(16_000, detector);
        for _ in 0..STREAMS {
            vad.reset();
            for (best, part) in best.iter_mut().zip(data.chunks(640)) {
                let start = std::time::Instant::now();
                push(&mut vad, part);
                *best = best.min(start.elapsed().as_secs_f64() * 1e6);
            }
        }
        best.sort_by(f64::total_cmp);
        let at = |share: usize| best[share * (best.len() - 1) / 100];
        let shares = [50, 75, 90, 95, 100].map(at);
        println!("{name}: 50, 75, 90, 95 and all of 100 frames take at most {shares:.1?} us");
    }
}

fn samples() -> Vec<f32> {
    let data = sound(16_000);
    let samples = data.as_chunks().0.iter();
    samples.map(|x| f32::from_le_bytes(*x)).collect()
}

/// Silero's network by itself at each level, a window of 32 ms at a time; `tools/silero_onnx.py`
/// times the same in onnxruntime.
fn network(c: &mut Criterion) {
    let samples = samples();
    let mut group = c.benchmark_group("Silero's network per window of 32 ms");
    for level in Level::available() {
        let mut network = Network::at(level);
        let mut windows = samples.as_chunks().0.iter().cycle();
        group.bench_function(level.name(), |b| {
            b.iter(|| windows.next().map(|window| network.window(window)))
        });
    }
    group.finish();
}

/// A neural detector in plain Rust that is made to be fast.
fn earshot(c: &mut Criterion) {
    let samples = samples();
    let mut detector = earshot::Detector::default();
    let mut frames = samples.chunks_exact(256).cycle();
    c.bench_function("earshot per 16 ms", |b| {
        b.iter(|| frames.next().map(|frame| detector.predict_f32(frame)))
    });
}

/// The WebRTC detector, in C: the classic that others are measured against.
fn webrtc(c: &mut Criterion) {
    use webrtc_vad::{SampleRate, Vad, VadMode};
    let mut vad = Vad::new_with_rate_and_mode(SampleRate::Rate16kHz, VadMode::VeryAggressive);
    let samples: Vec<i16> = samples().iter().map(|x| (x * 32_767.0) as i16).collect();
    let mut parts = samples.chunks_exact(160).cycle();
    c.bench_function("vad per 10 ms/WebRTC (C)", |b| {
        b.iter(|| parts.next().map(|part| vad.is_voice_segment(part)))
    });
}

/// Whole elements, buffer in to buffer out; `identity` is what pushing a buffer costs.
fn elements(c: &mut Criterion) {
    gst::init().unwrap();
    gstrustaudio::plugin_register_static().unwrap();
    let mut group = c.benchmark_group("element per 10 ms of 16 kHz mono");
    for (name, factory, detector) in [
        ("identity", "identity", None),
        ("rustvad, energy", "rustvad", Some("energy")),
        ("rustvad, spectral", "rustvad", Some("spectral")),
        ("rustvad, silero", "rustvad", Some("silero")),
        ("rustvad, neural", "rustvad", Some("neural")),
    ] {
        let element = gst::ElementFactory::make(factory).build().unwrap();
        if let Some(detector) = detector {
            element.set_property_from_str("detector", detector);
        }
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness
            .set_src_caps_str("audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved");
        // Nothing is kept of what comes out.
        let drop = gst::PadProbeType::BUFFER;
        let source = element.static_pad("src").unwrap();
        source.add_probe(drop, |_, _| gst::PadProbeReturn::Drop);
        let parts: Vec<gst::Buffer> = sound(16_000)
            .chunks_exact(640)
            .map(|part| gst::Buffer::from_slice(part.to_vec()))
            .collect();
        let mut count = 0u64;
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut buffer = parts[count as usize % parts.len()].copy();
                let b = buffer.make_mut();
                b.set_pts(gst::ClockTime::from_mseconds(10 * count));
                b.set_duration(gst::ClockTime::from_mseconds(10));
                count += 1;
                harness.push(buffer)
            })
        });
    }
    group.finish();
}

criterion_group!(
    benches, frames, costliest, network, earshot, webrtc, elements
);
criterion_main!(benches);
