// SPDX-License-Identifier: MIT

//! At the defaults, all that can be asserted on is as with `audioresample`.

use gst::prelude::*;

use super::common;
use super::rig::*;

const RATES: [(u32, u32); 10] = [
    (44_100, 48_000),
    (48_000, 44_100),
    (48_000, 16_000),
    (16_000, 48_000),
    (8000, 48_000),
    (96_000, 48_000),
    (22_050, 16_000),
    (44_100, 16_000),
    (44_100, 47_999),
    (11_025, 8000),
];

/// Buffer by buffer: sizes, timestamps, durations, offsets, flags, and the latency.
#[test]
fn latency_and_every_buffer_are_audioresamples() {
    for (from, to) in RATES {
        for quality in 0..=10 {
            let quality = format!("quality={quality}");
            let run = |factory: &str| {
                let rig = Rig::new(factory, &quality, &mono(from), &mono(to));
                feed(
                    &rig,
                    &noise(from as usize / 5, 1),
                    from as usize / 100 + 3,
                    1000,
                    from,
                );
                (rig.latency(), rig.finish())
            };
            let (their_latency, theirs) = run("audioresample");
            let (our_latency, ours) = run("rustresample");
            assert_eq!(our_latency, their_latency, "{from} {to} {quality}");
            let what = |b: &gst::Buffer| {
                let marks = gst::BufferFlags::DISCONT | gst::BufferFlags::GAP;
                (b.size(), b.offset(), b.offset_end(), b.flags() & marks)
            };
            assert_eq!(
                ours.iter().map(what).collect::<Vec<_>>(),
                theirs.iter().map(what).collect::<Vec<_>>(),
                "{from} {to} {quality}"
            );
            for (a, b) in ours.iter().zip(&theirs) {
                let distance = |a: Option<gst::ClockTime>, b: Option<gst::ClockTime>| {
                    a.unwrap().nseconds().abs_diff(b.unwrap().nseconds())
                };
                assert!(distance(a.pts(), b.pts()) <= 1);
                assert!(distance(a.duration(), b.duration()) <= 2);
            }
        }
    }
}

/// Caps are negotiated the same, whatever the neighbours want.
#[test]
fn caps_are_fixated_alike() {
    common::init();
    for to in [
        "audio/x-raw",
        "audio/x-raw,rate=[8000,24000]",
        "audio/x-raw,rate={8000,32000,96000}",
        "audio/x-raw,rate=[50000,100000],format=S16LE",
    ] {
        let run = |factory: &str| {
            let pipeline = common::launch(&format!(
                "audiotestsrc num-buffers=2 ! audio/x-raw,format=S16LE,rate=44100,channels=2 \
                 ! {factory} ! capsfilter caps=\"{to}\" ! fakesink name=sink"
            ));
            let caps = common::capture(&pipeline, "sink");
            let pad = pipeline
                .by_name("sink")
                .unwrap()
                .static_pad("sink")
                .unwrap();
            pipeline.set_state(gst::State::Paused).unwrap();
            pipeline.state(common::PATIENCE).0.unwrap();
            let current = pad.current_caps().unwrap();
            pipeline.set_state(gst::State::Null).unwrap();
            drop(caps);
            current
        };
        assert_eq!(run("rustresample"), run("audioresample"), "{to}");
    }
    let caps = |factory: &str| {
        let element = gst::ElementFactory::make(factory).build().unwrap();
        let pad = element.static_pad("sink").unwrap();
        let filter: gst::Caps = "audio/x-raw,rate=8000,format=S16LE,channels=1"
            .parse()
            .unwrap();
        (pad.query_caps(None), pad.query_caps(Some(&filter)))
    };
    let (ours, theirs) = (caps("rustresample"), caps("audioresample"));
    assert_eq!(ours, theirs);
}

#[test]
fn properties_have_the_names_nicks_and_defaults_of_audioresample() {
    common::init();
    let ours = gst::ElementFactory::make("rustresample").build().unwrap();
    let theirs = gst::ElementFactory::make("audioresample").build().unwrap();
    for pspec in theirs.list_properties() {
        let name = pspec.name();
        // Names are numbered.
        if name == "name" || name == "parent" {
            continue;
        }
        let property = common::property;
        assert_eq!(property(&ours, name), property(&theirs, name), "{name}");
    }
}

/// On the same input the output is the same signal, to the accuracy of audioresample's filter at
/// its best quality.
#[test]
fn the_signal_is_the_same() {
    for (from, to) in [(48_000, 16_000), (16_000, 48_000)] {
        let input = sine(from as usize, 440.0, from, 0.8);
        let run = |factory: &str| {
            let rig = Rig::new(factory, "quality=10", &mono(from), &mono(to));
            feed(&rig, &input, 480, 0, from);
            samples(&rig.finish())
        };
        let (ours, theirs) = (run("rustresample"), run("audioresample"));
        assert_eq!(ours.len(), theirs.len());
        for (k, (a, b)) in ours.iter().zip(&theirs).enumerate() {
            let exact = 0.8 * (2.0 * std::f64::consts::PI * 440.0 * k as f64 / f64::from(to)).sin();
            if k > 1000 && k < ours.len() - 1000 {
                assert!((f64::from(*a) - exact).abs() < 1e-5, "{k}: {a} {exact}");
                // Theirs lies up to a part of a frame beside it.
                assert!((a - b).abs() < 0.03, "{k}: {a} {b}");
            }
        }
    }
}
