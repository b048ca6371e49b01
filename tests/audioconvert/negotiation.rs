// SPDX-License-Identifier: MIT

//! Caps: the same choice as `audioconvert` where that makes one, a clear error where it cannot be.

use gst::prelude::*;

use crate::common::{PATIENCE, capture, init, launch, play_ok, property};
use crate::element::{buffer, bytes, harness};

/// Source caps that `element` settles on between `from` and what `to` allows; else what a user is
/// told, warnings and the first error.
fn negotiated(element: &str, from: &str, to: &str) -> Result<gst::Caps, String> {
    let line = format!(
        "audiotestsrc num-buffers=1 samplesperbuffer=64 ! capsfilter name=in ! {element} name=c \
         ! capsfilter name=out ! fakesink"
    );
    let pipeline = launch(&line);
    let set = |name: &str, caps: &str| {
        let filter = pipeline.by_name(name).unwrap();
        filter.set_property("caps", caps.parse::<gst::Caps>().unwrap());
    };
    set("in", from);
    set("out", to);
    let pad = pipeline.by_name("c").unwrap().static_pad("src").unwrap();
    pipeline.set_state(gst::State::Paused).ok();
    let bus = pipeline.bus().unwrap();
    let kinds = [
        gst::MessageType::AsyncDone,
        gst::MessageType::Warning,
        gst::MessageType::Error,
    ];
    let mut told = String::new();
    let error = loop {
        let message = bus.timed_pop_filtered(PATIENCE, &kinds).unwrap();
        match message.view() {
            gst::MessageView::Warning(w) => told += &format!("{}\n", w.error()),
            gst::MessageView::Error(e) => {
                told += &e.error().to_string();
                break true;
            }
            _ => break false,
        }
    };
    let caps = pad.current_caps();
    pipeline.set_state(gst::State::Null).unwrap();
    match caps {
        Some(caps) if !error => Ok(caps),
        _ => Err(told),
    }
}

/// The channels and the mask of caps that were negotiated.
fn channels(caps: &gst::CapsRef) -> (i32, Option<u64>) {
    let s = caps.structure(0).unwrap();
    let mask = s.get::<gst::Bitmask>("channel-mask");
    (s.get("channels").unwrap(), mask.ok().map(|mask| mask.0))
}

#[test]
fn choices_are_those_of_audioconvert() {
    init();
    let raw = |rest: &str| format!("audio/x-raw,rate=48000,{rest}");
    let inputs = [
        "format=S16LE,channels=2",
        "format=F32LE,channels=1",
        "format=S24LE,channels=6,channel-mask=(bitmask)0x3f",
        "format=U8,channels=2,layout=non-interleaved",
        "format=S32LE,channels=4,channel-mask=(bitmask)0x33",
        "format=S16LE,channels=3,channel-mask=(bitmask)0",
        "format=F64LE,channels=8,channel-mask=(bitmask)0xc3f",
    ];
    let outputs = [
        "audio/x-raw",
        "audio/x-raw,format={S8,S16BE,S16LE}",
        "audio/x-raw,format={F32LE,S32LE,S24LE}",
        "audio/x-raw,format={S24_32LE,F64LE,S16LE},channels=[1,2]",
        "audio/x-raw,format={U8,S8}",
        "audio/x-raw,format={F64BE,U18LE,S20LE,U24LE}",
        "audio/x-raw,channels=1",
        "audio/x-raw,channels=2",
        "audio/x-raw,channels=4",
        "audio/x-raw,channels=5",
        "audio/x-raw,channels={6,8}",
        "audio/x-raw,channels=[3,7]",
        "audio/x-raw,layout=non-interleaved",
        "audio/x-raw,channels=6,channel-mask=(bitmask)0xc0f",
        "audio/x-raw,channels=2,channel-mask=(bitmask)0x30",
        "audio/x-raw,format=S16LE,channels=1;audio/x-raw,format=F32LE,channels=2",
    ];
    for input in inputs {
        for output in outputs {
            let theirs = negotiated("audioconvert", &raw(input), output);
            let ours = negotiated("rustaudioconvert", &raw(input), output);
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert!(
                        ours.is_strictly_equal(theirs),
                        "{input} to {output}: {ours} not {theirs}"
                    )
                }
                (Err(_), Err(_)) => {}
                _ => panic!("{input} to {output}: {ours:?}, stock {theirs:?}"),
            }
        }
    }
}

#[test]
fn no_positions_and_another_number_of_channels_is_refused_with_a_reason() {
    let refused = negotiated(
        "rustaudioconvert",
        "audio/x-raw,channels=2",
        "audio/x-raw,channels=5,channel-mask=(bitmask)0",
    );
    let text = refused.unwrap_err();
    assert!(
        text.contains("2 channels to 5") && text.contains("mix-matrix"),
        "{text}"
    );
    let refused = negotiated(
        "rustaudioconvert",
        "audio/x-raw,channels=5,channel-mask=(bitmask)0",
        "audio/x-raw,channels=2",
    );
    let text = refused.unwrap_err();
    assert!(text.contains("5 channels to 2"), "{text}");
    // Who offers the same number too, gets that.
    let same = negotiated(
        "rustaudioconvert",
        "audio/x-raw,channels=5,channel-mask=(bitmask)0",
        "audio/x-raw,channels=2;audio/x-raw,channels=5",
    );
    assert_eq!(
        same.unwrap().structure(0).unwrap().get::<i32>("channels"),
        Ok(5)
    );
}

#[test]
fn properties_are_those_of_audioconvert() {
    init();
    let theirs = gst::ElementFactory::make("audioconvert").build().unwrap();
    let ours = gst::ElementFactory::make("rustaudioconvert")
        .build()
        .unwrap();
    for pspec in theirs.list_properties() {
        let name = pspec.name();
        // Names are numbered.
        if name == "name" || name == "parent" {
            continue;
        }
        assert_eq!(property(&ours, name), property(&theirs, name), "{name}");
        assert!(ours.find_property(name).unwrap().blurb().is_some());
    }
    // In stock from 1.26 on.
    assert_eq!(
        property(&ours, "input-channels-reorder").0,
        r#"[(0, "gst"), (1, "smpte"), (2, "cine"), (3, "ac3"), (4, "aac"), (5, "mono"), (6, "alternate")]"#
    );
    assert_eq!(
        property(&ours, "input-channels-reorder-mode").0,
        r#"[(0, "none"), (1, "unpositioned"), (2, "force")]"#
    );
}

/// What remains of `filter` at the sink pad of `element` where downstream takes `caps`, and at the
/// source pad where upstream has them.
fn queries(element: &str, settings: &str, caps: &str, filter: &str) -> [gst::Caps; 2] {
    init();
    let filter: gst::Caps = filter.parse().unwrap();
    ["sink", "src"].map(|name| {
        let line = match name {
            "sink" => format!("{element} name=c {settings} ! capsfilter name=f"),
            _ => format!("capsfilter name=f ! {element} name=c {settings}"),
        };
        let bin = gst::parse::bin_from_description(&line, false).unwrap();
        let peer = bin.by_name("f").unwrap();
        peer.set_property("caps", caps.parse::<gst::Caps>().unwrap());
        let pad = bin.by_name("c").unwrap().static_pad(name).unwrap();
        pad.query_caps(Some(&filter))
    })
}

#[test]
fn queries_leave_what_can_be_converted() {
    let raw = |channels: &str| format!("audio/x-raw,{channels}");
    let (stereo, mono) = ("channels=2", "channels=1");
    let five = "channels=5,channel-mask=(bitmask)0";
    let surround = "channels=5,channel-mask=(bitmask)0x37";
    let matrix = "mix-matrix=<<(float)1,(float)0>,<(float)0,(float)1>,<(float)0,(float)0>,\
                  <(float)0,(float)0>,<(float)0,(float)0>>";
    let order = "input-channels-reorder-mode=unpositioned";
    // Settings, caps beyond, caps on this side; whether something is left at the sink and the source.
    let cases = [
        ("", five, stereo, [false, false]),
        ("", stereo, five, [false, false]),
        ("", five, mono, [false, false]),
        ("", mono, five, [false, false]),
        ("", five, "channels=[1,4]", [false, false]),
        ("", "channels=[1,4]", five, [false, false]),
        ("", five, five, [true, true]),
        // One to one.
        ("", five, surround, [true, true]),
        ("", surround, five, [true, true]),
        ("", stereo, surround, [true, true]),
        ("", "channels=[1,8]", five, [true, true]),
        ("", five, "channels=[1,8]", [true, true]),
        // Mono needs no mask.
        (
            "",
            "channels=1,channel-mask=(bitmask)0",
            stereo,
            [true, true],
        ),
        (
            "",
            stereo,
            "channels=1,channel-mask=(bitmask)0",
            [true, true],
        ),
        // Two in, five out.
        (matrix, five, stereo, [true, false]),
        (matrix, stereo, five, [false, true]),
        // Input without positions is given some; output is not.
        (order, stereo, five, [true, false]),
        (order, five, stereo, [false, true]),
    ];
    for (settings, beyond, here, want) in cases {
        let got = queries("rustaudioconvert", settings, &raw(beyond), &raw(here));
        let left = got.each_ref().map(|caps| !caps.is_empty());
        assert_eq!(left, want, "{settings} {beyond} beside {here}: {got:?}");
        // The stock element (1.22 has no orders) leaves no more than that.
        if settings != order {
            let stock = queries("audioconvert", settings, &raw(beyond), &raw(here));
            for (ours, stock) in got.iter().zip(&stock) {
                let more = !stock.is_empty() && ours.is_empty();
                // It says yes where `set_caps` says no.
                let known = here == five && beyond != five;
                assert!(!more || known, "{settings} {beyond} beside {here}: {stock}");
            }
        }
    }
    // Of several alternatives those that work are left.
    let both = format!("{};{}", raw(five), raw(stereo));
    for beyond in [stereo, mono, "channels=4,channel-mask=(bitmask)0x33"] {
        for left in queries("rustaudioconvert", "", &raw(beyond), &both) {
            assert_eq!((left.size(), channels(&left).0), (1, 2), "{beyond}: {left}");
        }
    }
}

#[test]
fn what_cannot_be_mixed_is_refused_while_linking() {
    init();
    for element in ["audioconvert", "rustaudioconvert"] {
        let line = format!(
            "audiotestsrc ! audio/x-raw,channels=4,channel-mask=(bitmask)0 ! {element} \
             ! audio/x-raw,channels=2 ! fakesink"
        );
        let error = gst::parse::launch(&line).unwrap_err();
        assert!(error.matches(gst::ParseError::Link), "{line}: {error}");
    }
}

#[test]
fn upstream_offers_another_where_one_cannot_be_mixed() {
    let offers = "audio/x-raw,channels=4,channel-mask=(bitmask)0;audio/x-raw,channels=2";
    for to in ["audio/x-raw,channels=2", "audio/x-raw,channels=1"] {
        assert!(negotiated("rustaudioconvert", offers, to).is_ok(), "{to}");
    }
    let to = "audio/x-raw,channels=6,channel-mask=(bitmask)0;audio/x-raw,channels=2";
    let caps = negotiated("rustaudioconvert", "audio/x-raw,channels=1", to).unwrap();
    assert_eq!(channels(&caps), (2, Some(3)));
}

#[test]
fn positions_are_given_up_and_taken_on_one_to_one() {
    let raw = |mask: u32| {
        format!(
            "audio/x-raw,format=S16LE,rate=48000,channels=4,layout=interleaved,\
             channel-mask=(bitmask){mask:#x}"
        )
    };
    let data: Vec<u8> = (0..64).collect();
    let run = |settings: &str, from: u32, to: u32| {
        let line = format!("rustaudioconvert {settings}");
        let mut h = harness(&line, &raw(from), &raw(to));
        let out = h.push_and_pull(buffer(&data, 0)).unwrap();
        let src = h.element().unwrap().static_pad("src").unwrap();
        assert_eq!(channels(&src.current_caps().unwrap()), (4, Some(to.into())));
        bytes(&out)
    };
    for (from, to) in [(0x33, 0), (0, 0x33), (0, 0)] {
        assert_eq!(run("", from, to), data, "{from:#x} to {to:#x}");
        assert_eq!(run("mix-matrix=<>", from, to), data);
    }
    // Channels in reverse.
    let rows = (0..4).map(|o| {
        let row = (0..4).map(|i| format!("(float){}", u8::from(i == 3 - o)));
        format!("<{}>", row.collect::<Vec<_>>().join(","))
    });
    let matrix = format!("mix-matrix=<{}>", rows.collect::<Vec<_>>().join(","));
    let frame = |f: &[u8]| f.chunks(2).rev().flatten().copied().collect::<Vec<_>>();
    let reversed: Vec<u8> = data.chunks(8).flat_map(frame).collect();
    for (from, to) in [(0x33, 0), (0, 0x33), (0, 0), (0x33, 0x107)] {
        assert_eq!(run(&matrix, from, to), reversed, "{from:#x} to {to:#x}");
    }
    // As devices of many channels want it.
    let pipeline = launch(
        "audiotestsrc num-buffers=2 ! audio/x-raw,format=S16LE,channels=8,channel-mask=(bitmask)0xc3f \
         ! rustaudioconvert ! audio/x-raw,channels=8,channel-mask=(bitmask)0 ! fakesink name=sink",
    );
    let kept = capture(&pipeline, "sink");
    play_ok(&pipeline);
    assert_eq!(kept.lock().unwrap().len(), 2);
}

#[test]
fn one_refusal_is_one_error_with_the_ways_out() {
    init();
    let element = gst::ElementFactory::make("rustaudioconvert")
        .build()
        .unwrap();
    let mut h = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let raw = "audio/x-raw,format=S16LE,rate=48000,layout=interleaved";
    h.set_sink_caps_str(&format!("{raw},channels=2,channel-mask=(bitmask)3"));
    h.set_src_caps_str(&format!("{raw},channels=4,channel-mask=(bitmask)0"));
    // Sticky events are sent anew with each.
    for _ in 0..8 {
        assert!(h.push(buffer(&[0; 64], 0)).is_err());
    }
    let errors = || -> Vec<String> {
        std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]))
            .map(|m| match m.view() {
                gst::MessageView::Error(e) => {
                    format!("{} {}", e.error(), e.debug().unwrap_or_default())
                }
                _ => String::new(),
            })
            .collect()
    };
    let told = errors();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in [
        "4 channels to 2",
        "channel-mask",
        "mix-matrix",
        "reorder",
        "channels=(int)4",
    ] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    let stats = element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("num-errors"), Ok(1));
    // Told anew where it is a refusal of its own.
    h.set_src_caps_str(&format!("{raw},channels=6,channel-mask=(bitmask)0"));
    assert!(h.push(buffer(&[0; 48], 0)).is_err());
    let told = errors();
    assert!(
        told.len() == 1 && told[0].contains("6 channels to 2"),
        "{told:?}"
    );
    // The stream goes on with caps that can be mixed.
    h.set_src_caps_str(&format!("{raw},channels=1"));
    assert_eq!(h.push_and_pull(buffer(&[1, 0], 0)).unwrap().size(), 4);
    assert_eq!(errors(), [""; 0]);
}
