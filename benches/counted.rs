// SPDX-License-Identifier: MIT

//! One second of work, 100 pushes of 10 ms, for `tools/count_instructions.py` to count the instructions of.
//!
//! `counted` names its cases, `counted CASE` runs one of them: set-up and warm-up first, then the second
//! inside of [`counted_region`], which is all that is counted.

use std::hint::black_box;

use gst::prelude::*;
use gstrustaudio::dsp::convert::{
    Channels, Converter, Dither, Matrix, Position, Quantisation, SampleFormat, Side,
};
use gstrustaudio::dsp::resample::{EngineChoice, Spec, Stream};
use gstrustaudio::dsp::vad::{Config, DetectorKind, LookAhead, Rules, Vad};
use gstrustaudio::dsp::{Frames, Layout};

/// Pushes that are counted, and before them those that are not.
const PUSHES: usize = 100;

type Push = Box<dyn FnMut(usize)>;
type Case = (&'static str, fn() -> Push);

const CASES: [Case; 20] = [
    ("convert S16>F32 stereo", || {
        convert(("S16LE", 2), ("F32LE", 2), Dither::None)
    }),
    ("convert F32>S16 stereo, tpdf", || {
        convert(("F32LE", 2), ("S16LE", 2), Dither::Tpdf)
    }),
    ("convert F32>S24 stereo", || {
        convert(("F32LE", 2), ("S24LE", 2), Dither::None)
    }),
    ("convert S16BE>S16LE stereo", || {
        convert(("S16BE", 2), ("S16LE", 2), Dither::None)
    }),
    ("convert S16 stereo>mono", || {
        convert(("S16LE", 2), ("S16LE", 1), Dither::None)
    }),
    ("convert F32 5.1>stereo", || {
        convert(("F32LE", 6), ("F32LE", 2), Dither::None)
    }),
    ("resample q4 44.1>48 F32 mono", || {
        resample("F32LE", &Spec::new(44_100, 48_000, 1))
    }),
    ("resample q4 48>16 S16 stereo", || {
        resample("S16LE", &Spec::new(48_000, 16_000, 2))
    }),
    ("resample q8 polyphase 48>44.1 F64 mono", || {
        resample(
            "F64LE",
            &engine(EngineChoice::Polyphase, Spec::new(48_000, 44_100, 1)),
        )
    }),
    ("resample q8 fft 48>16 F32 mono", || {
        resample(
            "F32LE",
            &engine(EngineChoice::Fft, Spec::new(48_000, 16_000, 1)),
        )
    }),
    ("resample q8 sinc 44.1>48 F32 stereo", || {
        resample(
            "F32LE",
            &engine(EngineChoice::Sinc, Spec::new(44_100, 48_000, 2)),
        )
    }),
    ("detect speech, energy", || {
        detect(DetectorKind::Energy {
            threshold_db: -30.0,
        })
    }),
    ("detect speech, spectral", || {
        detect(DetectorKind::Spectral(LookAhead::Short))
    }),
    ("detect speech, silero", || {
        detect(DetectorKind::Silero(LookAhead::Short))
    }),
    ("detect speech, neural", || {
        detect(DetectorKind::Neural(LookAhead::Short))
    }),
    ("element identity", || {
        element("identity silent=true", ("F32LE", 48_000, 2))
    }),
    ("element rustaudioconvert F32>S16 stereo", || {
        element(
            "rustaudioconvert ! capsfilter caps=audio/x-raw,format=S16LE",
            ("F32LE", 48_000, 2),
        )
    }),
    ("element rustresample 48>44.1 F32 stereo", || {
        element(
            "rustresample ! capsfilter caps=audio/x-raw,rate=44100",
            ("F32LE", 48_000, 2),
        )
    }),
    ("element rustvad detector=silero F32 mono", || {
        element("rustvad detector=silero", ("F32LE", 16_000, 1))
    }),
    ("element pypipelinenode, in place", || {
        let module = std::env::temp_dir().join(format!("counted{}.py", std::process::id()));
        std::fs::write(&module, "def process(audio, ctx):\n    pass\n").expect("a temporary file");
        let push = element(
            &format!("pypipelinenode module={}", module.display()),
            ("F32LE", 48_000, 2),
        );
        // It was read with the caps.
        std::fs::remove_file(&module).expect("what was just written");
        push
    }),
];

/// All that is counted.
#[inline(never)]
fn counted_region(push: &mut Push) {
    for n in PUSHES..2 * PUSHES {
        push(n);
    }
}

fn main() {
    let Some(name) = std::env::args().skip(1).find(|a| !a.starts_with("--")) else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let Some((_, make)) = CASES.iter().find(|(case, _)| *case == name) else {
        eprintln!("no such case: {name}; without an argument they are named");
        std::process::exit(2);
    };
    let mut push = make();
    (0..PUSHES).for_each(&mut push);
    counted_region(black_box(&mut push));
}

/// Bursts of a sawtooth over faint noise: `frames` of `channels` each, all alike.
fn samples(frames: usize, channels: usize) -> Vec<f64> {
    let mut seed = 1u32;
    (0..frames)
        .flat_map(|i| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let on = f64::from(u8::from((i * 4 / frames).is_multiple_of(2)));
            let tooth = (i * 150 % frames) as f64 / frames as f64 - 0.5;
            let sample = on * 0.3 * tooth + f64::from(seed >> 8) * 1e-9;
            std::iter::repeat_n(sample, channels)
        })
        .collect()
}

/// A second of those in `format`, by 10 ms.
fn sound(format: SampleFormat, rate: usize, channels: usize) -> Vec<Vec<u8>> {
    let samples = samples(rate, channels);
    let mut bytes = vec![0; samples.len() * format.size()];
    gstrustaudio::dsp::convert::Pack::<f64>::new(format).run(&samples, &mut bytes);
    let chunk = rate / 100 * channels * format.size();
    bytes.chunks(chunk).map(<[u8]>::to_vec).collect()
}

fn format(name: &str) -> SampleFormat {
    SampleFormat::from_name(name).expect("a format")
}

fn convert(from: (&str, usize), to: (&str, usize), dither: Dither) -> Push {
    let side = |(name, channels)| Side {
        format: format(name),
        channels,
        layout: Layout::Interleaved,
    };
    let channels = |channels| match channels {
        1 => Channels::Positioned(vec![Position::Mono]),
        n => Channels::Positioned(Position::from_mask((1 << n) - 1)),
    };
    let (from, to) = (side(from), side(to));
    let mix = Matrix::between(&channels(from.channels), &channels(to.channels)).expect("a mix");
    let quantisation = Quantisation {
        dither,
        ..Quantisation::default()
    };
    let mut converter = Converter::new(from, to, &mix, quantisation, 1).expect("a converter");
    let input = sound(from.format, 48_000, from.channels);
    let mut output = vec![0; 480 * to.frame_size()];
    Box::new(move |n| {
        let source = Frames::interleaved(&input[n % input.len()], 480);
        converter
            .convert(source, &mut output)
            .expect("room for all");
        black_box(&mut output);
    })
}

fn engine(engine: EngineChoice, spec: Spec) -> Spec {
    Spec {
        engine,
        quality: 8,
        ..spec
    }
}

fn resample(name: &str, spec: &Spec) -> Push {
    let mut stream = Stream::new(spec, format(name), Layout::Interleaved, false).expect("a stream");
    let input = sound(format(name), spec.in_rate as usize, spec.channels);
    let frame = spec.channels * format(name).size();
    let mut output = vec![0; 8192 * frame];
    Box::new(move |n| {
        let part = &input[n % input.len()];
        let part = Frames::interleaved(part, part.len() / frame);
        stream.push(part).expect("all of them");
        let frames = stream.available();
        stream.pull(frames, &mut output[..frames * frame]);
        black_box(&mut output);
    })
}

fn detect(detector: DetectorKind) -> Push {
    let config = Config {
        format: SampleFormat::F32LE,
        rate: 16_000,
        channels: 1,
        detector,
    };
    let mut vad = Vad::new(config, Rules::default());
    let input = sound(SampleFormat::F32LE, 16_000, 1);
    Box::new(move |n| {
        let data = &input[n % input.len()];
        let frames = Frames::interleaved(data, 160);
        let pushed = vad.push(frames, |o| {
            black_box(o);
        });
        pushed.expect("all of them");
    })
}

/// A push of 10 ms into the elements of `description`, until what comes out is dropped.
fn element(description: &str, (name, rate, channels): (&str, usize, usize)) -> Push {
    gst::init().expect("GStreamer");
    gstrustaudio::plugin_register_static().expect("the elements");
    let mut harness = gst_check::Harness::new_parse(description);
    harness.set_src_caps_str(&format!(
        "audio/x-raw,format={name},rate={rate},channels={channels},layout=interleaved"
    ));
    let bin = harness.element().expect("what was parsed");
    let source = bin.static_pad("src").expect("its end");
    source.add_probe(gst::PadProbeType::BUFFER, |_, _| gst::PadProbeReturn::Drop);
    let input: Vec<gst::Buffer> = sound(format(name), rate, channels)
        .into_iter()
        .map(gst::Buffer::from_slice)
        .collect();
    Box::new(move |n| {
        let mut buffer = input[n % input.len()].copy();
        let b = buffer.make_mut();
        b.set_pts(gst::ClockTime::from_mseconds(10 * n as u64));
        b.set_duration(gst::ClockTime::from_mseconds(10));
        harness.push(buffer).expect("a push");
    })
}
