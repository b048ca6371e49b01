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

/// One of `from` by a generator as of [`noise`].
fn pick<'a>(seed: &mut u32, from: &[&'a str]) -> &'a str {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    from[(*seed >> 16) as usize % from.len()]
}

/// Caps of one structure or more, most fields of which are open, fixed, a list or a range.
fn any_caps(seed: &mut u32) -> String {
    let fields: [(&str, &[&str]); 4] = [
        (
            "rate",
            &[
                "",
                "48000",
                "44100",
                "16000",
                "[8000,24000]",
                "[8000,48000]",
                "{16000,44100}",
                "[1,2147483647]",
            ],
        ),
        (
            "format",
            &[
                "",
                "",
                "S16LE",
                "F32LE",
                "{S32LE,F32LE}",
                "{U8,S24LE,F64LE}",
            ],
        ),
        (
            "channels",
            &["", "", "1", "2", "[1,8]", "{1,3}", "[1,2147483647]"],
        ),
        ("layout", &["", "", "interleaved", "non-interleaved"]),
    ];
    let count = pick(seed, &["a", "aa", "aaa"]).len();
    let structures = (0..count).map(|_| {
        let mut caps = "audio/x-raw".to_string();
        for (name, values) in fields {
            let value = pick(seed, values);
            if !value.is_empty() {
                caps += &format!(",{name}={value}");
            }
        }
        caps
    });
    structures.collect::<Vec<_>>().join(";")
}

/// What upstream is told that `factory` takes before a sink of `to`, unasked and with a filter. (What
/// `audioresample` tells downstream is its template, whatever there is upstream.) As a list of structures: their order counts.
fn told(factory: &str, to: &gst::Caps, filter: &gst::Caps) -> [Vec<gst::Structure>; 2] {
    let element = gst::ElementFactory::make(factory).build().unwrap();
    let (direction, always) = (gst::PadDirection::Sink, gst::PadPresence::Always);
    let template = gst::PadTemplate::new("to", direction, always, to).unwrap();
    let sink = gst::Pad::from_template(&template);
    let source = element.static_pad("src").unwrap();
    let unchecked = gst::PadLinkCheck::empty();
    source.link_full(&sink, unchecked).unwrap();
    let asked = element.static_pad("sink").unwrap();
    [None, Some(filter)].map(|filter| {
        let caps = asked.query_caps(filter);
        caps.iter().map(|s| s.to_owned()).collect()
    })
}

/// Caps of both sides of `factory` between a source of `from` and a sink of `to`; `None` where they do
/// not meet.
fn negotiated(factory: &str, from: &str, to: &str) -> Option<[gst::Caps; 2]> {
    let line = format!(
        "audiotestsrc num-buffers=1 ! capsfilter caps=\"{from}\" ! {factory} name=element \
         ! capsfilter caps=\"{to}\" ! fakesink"
    );
    let pipeline: gst::Pipeline = gst::parse::launch(&line).ok()?.downcast().unwrap();
    let _ = pipeline.set_state(gst::State::Paused);
    let over = [gst::MessageType::AsyncDone, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(common::PATIENCE, &over).unwrap();
    let element = pipeline.by_name("element").unwrap();
    let caps = ["sink", "src"].map(|pad| element.static_pad(pad).unwrap().current_caps());
    pipeline.set_state(gst::State::Null).unwrap();
    let met = message.type_() == gst::MessageType::AsyncDone;
    met.then(|| caps.map(|caps| caps.expect("caps of what plays")))
}

/// Caps are told of and negotiated the same, whatever the neighbours want: among others as an encoder
/// that takes five rates, which has the source's own in the midst of them.
#[test]
fn caps_are_those_of_audioresample_between_any_two() {
    common::init();
    let opus = "audio/x-raw,rate=48000,format=S16LE,layout=interleaved,channels=[1,8]; \
                audio/x-raw,format=S16LE,layout=interleaved,rate={8000,12000,16000,24000},\
                channels=[1,8]";
    let mut seed = 1;
    let mut pairs: Vec<(String, String)> = ["8000", "16000", "44100", "48000", "[8000,24000]"]
        .map(|rate| (format!("audio/x-raw,rate={rate}"), opus.to_string()))
        .to_vec();
    pairs.extend((0..600).map(|_| (any_caps(&mut seed), any_caps(&mut seed))));
    let mut met = 0;
    for (i, (from, to)) in pairs.iter().enumerate() {
        let caps = |text: &str| text.parse::<gst::Caps>().unwrap();
        let filter = any_caps(&mut seed);
        let tell = |factory| told(factory, &caps(to), &caps(&filter));
        let (ours, theirs) = (tell("rustresample"), tell("audioresample"));
        assert_eq!(ours, theirs, "{to}, filter {filter}");
        let ours = negotiated("rustresample", from, to);
        assert_eq!(
            ours,
            negotiated("audioresample", from, to),
            "{from} to {to}"
        );
        met += usize::from(ours.is_some());
        if i == 1 {
            let rate = |caps: &gst::Caps| caps.structure(0).unwrap().get::<i32>("rate").unwrap();
            assert_eq!(
                ours.unwrap().each_ref().map(rate),
                [16_000; 2],
                "as it comes"
            );
        }
    }
    assert!(met > 150, "{met}");
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

/// Who sets values of GStreamer's own enumerations sets ours: programs, and bindings that check types.
#[test]
fn enumerations_are_gstreamers() {
    common::init();
    let ours = gst::ElementFactory::make("rustresample").build().unwrap();
    let theirs = gst::ElementFactory::make("audioresample").build().unwrap();
    for name in [
        "resample-method",
        "sinc-filter-mode",
        "sinc-filter-interpolation",
    ] {
        let kind = |element: &gst::Element| element.find_property(name).unwrap().value_type();
        assert_eq!(kind(&ours), kind(&theirs), "{name}");
        let class = gst::glib::EnumClass::with_type(kind(&theirs)).unwrap();
        for value in class.values() {
            ours.set_property_from_value(name, &value.to_value(&class));
            let held = ours.property_value(name);
            let (_, held) = gst::glib::EnumValue::from_value(&held).unwrap();
            assert_eq!(held.nick(), value.nick(), "{name}");
            ours.set_property_from_str(name, value.nick());
        }
    }
    let cubic = gst_audio::AudioResamplerMethod::Cubic;
    ours.set_property("resample-method", cubic);
    assert_eq!(
        ours.property::<gst_audio::AudioResamplerMethod>("resample-method"),
        cubic
    );
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
