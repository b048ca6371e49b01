// SPDX-License-Identifier: MIT

//! One buffer through each element by itself.

use gst::prelude::*;
use gst_check::Harness;

use super::common::{self, root};

const CAPS: &str = "audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved";

/// Pushes 100 ms of a ramp at 1 s, then EOS: everything that comes out, and the ramp.
fn run(line: &str, out: &str) -> (Vec<gst::Buffer>, Vec<f32>) {
    common::init();
    let mut h = Harness::new_parse(line);
    h.set_src_caps_str(CAPS);
    h.set_sink_caps_str(out);
    let ramp: Vec<f32> = (0..4800).map(|n| n as f32 / 4800.0 - 0.5).collect();
    let bytes: Vec<u8> = ramp.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::SECOND);
        buffer.set_duration(100 * gst::ClockTime::MSECOND);
    }
    assert_eq!(h.push(buffer), Ok(gst::FlowSuccess::Ok));
    assert!(h.push_event(gst::event::Eos::new()));
    let kept = std::iter::from_fn(|| h.try_pull()).collect();
    (kept, ramp)
}

fn f32s(buffers: &[gst::Buffer]) -> Vec<f32> {
    let bytes: Vec<u8> = buffers
        .iter()
        .flat_map(|b| b.map_readable().unwrap().to_vec())
        .collect();
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

#[test]
fn rustaudioconvert() {
    let (out, ramp) = run(
        "rustaudioconvert dithering=none",
        "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved",
    );
    common::assert_continuous(&out, gst::ClockTime::SECOND);
    let samples: Vec<i16> = out[0]
        .map_readable()
        .unwrap()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|b| i16::from_le_bytes(*b))
        .collect();
    let expected: Vec<i16> = ramp
        .iter()
        .map(|x| (x * 32768.0).round_ties_even() as i16)
        .collect();
    assert_eq!(samples, expected);
}

#[test]
fn rustresample() {
    let (out, ramp) = run(
        "rustresample",
        "audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved",
    );
    let duration = common::assert_continuous(&out, gst::ClockTime::SECOND);
    assert_eq!(duration, 100 * gst::ClockTime::MSECOND);
    let samples = f32s(&out);
    assert_eq!(samples.len(), 1600);
    // Away from the edges a ramp stays a ramp.
    for n in 200..1400 {
        assert!((samples[n] - ramp[3 * n]).abs() < 1e-4, "{n}");
    }
}

#[test]
fn rustvad() {
    let (out, ramp) = run("rustvad", CAPS);
    let duration = common::assert_continuous(&out, gst::ClockTime::SECOND);
    assert_eq!(duration, 100 * gst::ClockTime::MSECOND);
    assert_eq!(f32s(&out), ramp);
}

#[test]
fn pypipelinenode() {
    let node = root().join("examples/nodes/gain.py");
    let (out, ramp) = run(
        &format!(
            "pypipelinenode module={} class=Gain kwargs=\"{{\\\"db\\\":20}}\"",
            node.display()
        ),
        CAPS,
    );
    common::assert_continuous(&out, gst::ClockTime::SECOND);
    let expected: Vec<f32> = ramp.iter().map(|x| x * 10.0).collect();
    assert_eq!(f32s(&out), expected);
}

#[test]
fn what_the_end_of_a_stream_takes_is_work_too() {
    common::init();
    for (name, rate) in [("rustresample", 8000), ("rustvad", 16000)] {
        let caps =
            |rate| format!("audio/x-raw,format=F32LE,layout=interleaved,rate={rate},channels=1");
        let mut h = gst_check::Harness::new(name);
        h.set_caps_str(&caps(16000), &caps(rate));
        let work = |h: &gst_check::Harness| {
            let stats = h.element().unwrap().property::<gst::Structure>("stats");
            (
                stats.get::<u64>("num-buffers").unwrap(),
                stats.get::<u64>("processing-time").unwrap(),
            )
        };
        let mut buffer = gst::Buffer::with_size(4 * 1600).unwrap();
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        h.push(buffer).unwrap();
        let (buffers, before) = work(&h);
        assert!(h.push_event(gst::event::Eos::new()));
        let (all, after) = work(&h);
        assert_eq!((buffers, all), (1, 1), "{name}");
        assert!(after > before, "{name}: {before} {after}");
    }
}
