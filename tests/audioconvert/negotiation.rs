//! Caps: the same choice as `audioconvert` where that makes one, a clear error where it cannot be.

use gst::prelude::*;

use crate::common::{error, init, launch, play, property};

/// Source caps that `element` settles on between `from` and what `to` allows.
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
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(
            crate::common::PATIENCE,
            &[gst::MessageType::AsyncDone, gst::MessageType::Error],
        )
        .unwrap();
    let caps = pad.current_caps();
    pipeline.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(e) => Err(e.error().message().to_string()),
        _ => caps.ok_or_else(|| "no caps".into()),
    }
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

#[test]
fn errors_come_as_messages() {
    let pipeline = launch(
        "audiotestsrc num-buffers=1 ! audio/x-raw,channels=2 ! rustaudioconvert \
         ! audio/x-raw,channels=3,channel-mask=(bitmask)0 ! fakesink",
    );
    let (text, debug) = error(&play(&pipeline));
    assert!(text.contains("positions of either are undefined"), "{text}");
    assert!(debug.contains("channels=(int)3"), "{debug}");
}
