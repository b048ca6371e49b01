// SPDX-License-Identifier: MIT

//! Any caps, asked about and played.

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::common;

const ELEMENTS: [&str; 4] = [
    "rustaudioconvert",
    "rustresample",
    "rustvad",
    "pypipelinenode",
];

/// A field of caps, as caps are written; much of it makes no sense.
fn field(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let some = select(values).prop_map(move |value| format!(", {name}={value}"));
    prop_oneof![1 => Just(String::new()), 8 => some]
}

fn structure() -> impl Strategy<Value = String> {
    let format = field(
        "format",
        &[
            "S16LE",
            "F32LE",
            "S24BE",
            "{ U8, S24_32BE, F64LE }",
            "ENCODED",
            "(int)7",
            "{ }",
        ],
    );
    let layout = field(
        "layout",
        &[
            "interleaved",
            "non-interleaved",
            "{ interleaved, non-interleaved }",
            "odd",
        ],
    );
    let rate = field(
        "rate",
        &[
            "48000",
            "44100",
            "7999",
            "[ 8000, 96000 ]",
            "{ 16000, 22050 }",
            "0",
            "-1",
            "(string)fast",
        ],
    );
    // GStreamer itself warns where it reads caps of more channels than the mask has.
    let channels = select(
        &[
            "",
            ", channels=1",
            ", channels=2",
            ", channels=2, channel-mask=(bitmask)0x3",
            ", channels=6, channel-mask=(bitmask)0x3f",
            ", channels=6, channel-mask=(bitmask)0x0",
            ", channels=64, channel-mask=(bitmask)0x0",
            ", channels=[ 1, 8 ]",
            ", channels={ 1, 3 }, channel-mask=(bitmask)0x0",
            ", channels=1, channel-mask=(bitmask)0x3",
            ", channels=2, channel-mask=(int)3",
            ", channels=0",
            ", channels=(string)two",
        ][..],
    );
    let name = prop_oneof![
        8 => Just("audio/x-raw"),
        1 => Just("audio/x-raw(memory:DMABuf)"),
        1 => Just("video/x-raw"),
    ];
    (name, format, layout, rate, channels)
        .prop_map(|(name, f, l, r, c)| format!("{name}{f}{l}{r}{c}"))
}

fn caps() -> impl Strategy<Value = gst::Caps> {
    vec(structure(), 1..4).prop_filter_map("no caps", |all| {
        common::init();
        all.join("; ").parse::<gst::Caps>().ok()
    })
}

fn pad(direction: gst::PadDirection, caps: &gst::Caps) -> gst::PadBuilder<gst::Pad> {
    let always = gst::PadPresence::Always;
    let template = gst::PadTemplate::new("peer", direction, always, caps).unwrap();
    gst::Pad::builder_from_template(&template)
}

fn link(source: &gst::Pad, sink: &gst::Pad) {
    source.link_full(sink, gst::PadLinkCheck::empty()).unwrap();
}

/// `caps` whatever the rate, as far as `template` has them.
fn at_any_rate(caps: &gst::Caps, template: &gst::Caps) -> gst::Caps {
    let mut caps = caps.clone();
    for structure in caps.make_mut().iter_mut() {
        structure.remove_field("rate");
    }
    caps.intersect(template)
}

/// What `element` sends of `frames` that have the caps `from` to a pad that takes `to`, and what is said.
struct Played {
    flow: Result<gst::FlowSuccess, gst::FlowError>,
    caps: Option<gst::Caps>,
    sizes: Vec<usize>,
    errors: Vec<String>,
}

fn play(element: &gst::Element, from: &gst::Caps, to: &gst::Caps, size: usize) -> Played {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let keep = sizes.clone();
    let source = pad(gst::PadDirection::Src, from).build();
    let sink = pad(gst::PadDirection::Sink, to)
        .chain_function(move |_, _, buffer| {
            keep.lock().unwrap().push(buffer.size());
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(|_, _, _| true)
        .build();
    link(&source, &element.static_pad("sink").unwrap());
    link(&element.static_pad("src").unwrap(), &sink);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    source.set_active(true).unwrap();
    sink.set_active(true).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    source.push_event(gst::event::StreamStart::new("any"));
    source.push_event(gst::event::Caps::new(from));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    source.push_event(gst::event::Segment::new(&segment));
    let mut buffer = gst::Buffer::from_slice(vec![0; size]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    let flow = source.push(buffer);
    source.push_event(gst::event::Eos::new());
    let caps = sink.current_caps();
    element.set_state(gst::State::Null).unwrap();
    element.set_bus(None::<&gst::Bus>);
    source.set_active(false).unwrap();
    sink.set_active(false).unwrap();
    let errors = std::iter::from_fn(|| bus.pop())
        .filter_map(|m| match m.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        })
        .collect();
    let sizes = std::mem::take(&mut *sizes.lock().unwrap());
    Played {
        flow,
        caps,
        sizes,
        errors,
    }
}

proptest! {
    #[test]
    fn queries_leave_what_was_asked_for_and_can_be_done(
        name in select(&ELEMENTS[..]), peer in caps(), filter in caps(), downstream in any::<bool>(),
    ) {
        let element = gst::ElementFactory::make(name).build().unwrap();
        let (sink, source) = (element.static_pad("sink"), element.static_pad("src"));
        let (sink, source) = (sink.unwrap(), source.unwrap());
        // A pad that is linked is kept by nobody else.
        let (asked, _peer) = if downstream {
            let peer = pad(gst::PadDirection::Sink, &peer).build();
            link(&source, &peer);
            (sink, peer)
        } else {
            let peer = pad(gst::PadDirection::Src, &peer).build();
            link(&peer, &sink);
            (source, peer)
        };
        let template = asked.pad_template_caps();
        let all = asked.query_caps(None);
        prop_assert!(all.is_subset(&template), "{all}");
        let met = asked.query_caps(Some(&filter));
        prop_assert!(met.is_subset(&filter) && met.is_subset(&template), "{met} of {filter}");
        // Without a filter rustaudioconvert does not say which positions can be had.
        let (can, vague) = (all.can_intersect(&filter), name == "rustaudioconvert");
        prop_assert!(met.is_empty() != can || met.is_empty() && vague, "{all} and {filter}");
        let possible = match name {
            "rustvad" => peer.intersect(&template),
            "rustresample" => at_any_rate(&peer, &template),
            _ => template,
        };
        prop_assert!(all.is_subset(&possible), "{all} of {possible}");
    }

    #[test]
    fn what_is_negotiated_plays_and_what_fails_says_why(
        name in select(&ELEMENTS[..3]), from in caps(), to in caps(), frames in 0..600usize,
    ) {
        let element = gst::ElementFactory::make(name).build().unwrap();
        let template = element.static_pad("sink").unwrap().pad_template_caps();
        let mut from = from.intersect(&template);
        if from.is_empty() {
            return Ok(());
        }
        from.fixate();
        let info = gst_audio::AudioInfo::from_caps(&from);
        let size = info.as_ref().map_or(64, |info| frames * info.bpf() as usize);
        let played = play(&element, &from, &to, size);
        let texts = played.errors.join("; ").to_lowercase();
        prop_assert!(!texts.contains("panic"), "{from} to {to}: {texts}");
        if played.flow == Err(gst::FlowError::Error) {
            prop_assert!(!texts.is_empty(), "{from} to {to}");
        }
        if played.flow.is_err() {
            return Ok(());
        }
        if let Some(caps) = &played.caps {
            prop_assert!(caps.is_fixed() && caps.is_subset(&to), "{caps} of {to}");
            let sent = gst_audio::AudioInfo::from_caps(caps).unwrap();
            let frame = sent.bpf() as usize;
            prop_assert!(played.sizes.iter().all(|size| size % frame == 0), "{caps}");
            let got = played.sizes.iter().sum::<usize>() / frame;
            let (rate, out) = (info.unwrap().rate() as usize, sent.rate() as usize);
            let all = frames.checked_sub(1).map_or(0, |last| last * out / rate + 1);
            prop_assert_eq!(got, all, "{} frames of {} as {}", frames, from, caps);
            let same = match name {
                "rustvad" => *caps == from,
                "rustresample" => at_any_rate(caps, &template).can_intersect(&at_any_rate(&from, &template)),
                _ => true,
            };
            prop_assert!(same, "{from} became {caps}");
        } else {
            prop_assert!(played.sizes.is_empty() && frames == 0, "{frames} frames of {from} to {to}");
        }
    }
}
