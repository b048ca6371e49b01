// SPDX-License-Identifier: MIT

//! Streams that are played backwards.

use gst::prelude::*;
use gst_check::Harness;

use super::common::{self, root};

const CAPS: &str = "audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved";

/// A second of buffers from its end to its start, in a segment with or without a stop: the running
/// times that the messages of `line` have.
fn running_times(line: &str, stop: Option<gst::ClockTime>) -> Vec<u64> {
    common::init();
    let element = gst::parse::launch(line).unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str(CAPS);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(stop);
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    for n in (0..10).rev() {
        let samples = [0.5f32; 4800];
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let b = buffer.get_mut().unwrap();
        b.set_pts(n * 100 * gst::ClockTime::MSECOND);
        b.set_duration(100 * gst::ClockTime::MSECOND);
        // Each is a step back, which ends what was open.
        harness.push(buffer).unwrap();
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    std::iter::from_fn(|| bus.pop())
        .filter_map(|m| m.structure()?.get("running-time").ok())
        .collect()
}

#[test]
fn without_a_stop_there_is_no_running_time_and_no_complaint() {
    // The tests run with fatal warnings: a complaint of GStreamer ends this one.
    let node = format!(
        "pypipelinenode module={} class=Gain",
        root().join("examples/nodes/gain.py").display()
    );
    for line in [
        "rustaudioconvert",
        "rustresample",
        "rustvad detector=energy post-frames=true",
        &node,
    ] {
        let times = running_times(line, None);
        assert!(!times.is_empty());
        assert!(times.iter().all(|t| *t == u64::MAX), "{line}: {times:?}");
        let known = running_times(line, Some(gst::ClockTime::SECOND));
        assert!(
            known.iter().all(|t| *t <= 1_000_000_000),
            "{line}: {known:?}"
        );
    }
}
