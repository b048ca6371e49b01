// SPDX-License-Identifier: MIT

//! An element that gets no data says so.

use gst::prelude::*;
use gstrustaudio::metrics::{MESSAGE_NAME, Report, ReportExt};

use super::common::{self, PATIENCE, launch};

#[test]
fn an_element_without_data_reports_a_stall_and_recovers() {
    let pipeline = launch(
        "appsrc name=src format=time caps=audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved \
         ! rustaudioconvert name=convert metrics-interval=20000000 ! fakesink async=false",
    );
    let bus = pipeline.bus().unwrap();
    let next = || -> Report {
        loop {
            let message = bus.timed_pop(PATIENCE).expect("a metrics message");
            if let gst::MessageView::Error(e) = message.view() {
                panic!("{}", e.error());
            }
            if let Some(s) = message.structure().filter(|s| s.name() == MESSAGE_NAME) {
                return Report::from_structure(s).unwrap();
            }
        }
    };
    pipeline.set_state(gst::State::Playing).unwrap();
    let stalled = next();
    assert!(stalled.stalled && !stalled.is_final, "{stalled:?}");
    assert_eq!(stalled.counters.buffers, 0);
    assert_eq!(stalled.window.duration, 0);

    let mut buffer = gst::Buffer::with_size(16_000 / 50 * 4).unwrap();
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::ZERO);
        buffer.set_duration(20 * gst::ClockTime::MSECOND);
    }
    let src = pipeline.by_name("src").unwrap();
    let flow = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    assert_eq!(flow, gst::FlowReturn::Ok);
    // The buffer fills a window, whose message tells of it; then the stall goes on.
    let window = std::iter::repeat_with(next)
        .find(|r| r.counters.buffers == 1 && r.window.duration > 0)
        .unwrap();
    assert_eq!(window.window.duration, 20_000_000);
    assert!(!window.stalled, "data flows again");
    assert!(std::iter::repeat_with(next).take(3).any(|r| r.stalled));

    // Paused, nobody expects data: after what is under way, silence.
    pipeline.set_state(gst::State::Paused).unwrap();
    while bus.pop().is_some() {}
    let quiet = bus.timed_pop_filtered(100 * gst::ClockTime::MSECOND, &[gst::MessageType::Element]);
    assert!(quiet.is_none(), "{quiet:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn buffers_that_the_segment_clips_away_are_no_stall() {
    common::init();
    for name in ["rustaudioconvert", "rustresample"] {
        let element = gst::ElementFactory::make(name)
            .property("metrics-interval", gst::ClockTime::SECOND)
            .build()
            .unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let source = gst::Pad::builder(gst::PadDirection::Src).build();
        let sink = element.static_pad("sink").unwrap();
        source.link_full(&sink, gst::PadLinkCheck::empty()).unwrap();
        source.set_active(true).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        source.push_event(gst::event::StreamStart::new("clipped"));
        let caps = "audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved";
        source.push_event(gst::event::Caps::new(&caps.parse().unwrap()));
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::SECOND);
        source.push_event(gst::event::Segment::new(&segment));
        let stats = || {
            let stats: gst::Structure = element.property("stats");
            Report::from_structure(&stats).unwrap()
        };
        let told = bus
            .timed_pop_filtered(PATIENCE, &[gst::MessageType::Element])
            .expect("a stall is told of");
        let told = Report::from_structure(told.structure().unwrap()).unwrap();
        assert!(told.stalled && stats().stalled, "{name}");

        let mut buffer = gst::Buffer::with_size(640).unwrap();
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        source.push(buffer).unwrap();
        let after = stats();
        assert_eq!(
            (after.counters.buffers, after.counters.dropped),
            (0, 1),
            "{name}"
        );
        assert!(!after.stalled, "{name}: data came");
        element.set_state(gst::State::Null).unwrap();
    }
}
