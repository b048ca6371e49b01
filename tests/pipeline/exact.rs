// SPDX-License-Identifier: MIT

//! Samples, timestamps and metrics of the four elements in one pipeline.

use gst::prelude::*;
use gstrustaudio::metrics::{MESSAGE_NAME, Report, ReportExt};

use super::common::{assert_continuous, capture, launch, play_ok, root, structures};

const FACTORIES: [&str; 4] = [
    "rustaudioconvert",
    "rustresample",
    "rustvad",
    "pypipelinenode",
];

fn gain_node() -> String {
    format!(
        "pypipelinenode name=node module={} class=Gain kwargs=\"{{\\\"db\\\":0}}\"",
        root().join("examples/nodes/gain.py").display()
    )
}

/// The final report of each element, in the order of `FACTORIES`.
fn finals(messages: &[gst::Message]) -> Vec<Report> {
    let reports: Vec<Report> = structures(messages, MESSAGE_NAME)
        .map(|s| Report::from_structure(s).unwrap())
        .filter(|r| r.is_final)
        .collect();
    FACTORIES
        .iter()
        .map(|f| {
            let mut own = reports.iter().filter(|r| r.factory == *f);
            let report = own
                .next()
                .unwrap_or_else(|| panic!("no final message of {f}"));
            assert!(own.next().is_none(), "{f} posted two final messages");
            report.clone()
        })
        .collect()
}

fn frames(buffers: &[gst::Buffer], bytes_per_frame: usize) -> u64 {
    buffers
        .iter()
        .map(|b| (b.size() / bytes_per_frame) as u64)
        .sum()
}

#[test]
fn nothing_is_lost_added_or_moved_in_time() {
    // An odd number of frames in odd buffers, at rates with an awkward ratio, to S16 planar.
    let pipeline = launch(&format!(
        "audiotestsrc wave=saw num-buffers=217 samplesperbuffer=1023 ! audio/x-raw,format=S16LE,rate=44100,channels=2 \
         ! rustaudioconvert ! audio/x-raw,format=F32LE,channels=1 ! rustresample ! audio/x-raw,rate=16000 \
         ! rustvad ! {} ! fakesink name=sink",
        gain_node()
    ));
    let kept = capture(&pipeline, "sink");
    let messages = play_ok(&pipeline);

    let input = 217u64 * 1023;
    let expected = input as f64 * 16_000.0 / 44_100.0;
    let buffers = kept.lock().unwrap();
    let got = frames(&buffers, 4);
    assert!(
        (got as f64 - expected).abs() <= 1.0,
        "{got} frames, expected {expected}"
    );
    let duration = assert_continuous(&buffers, gst::ClockTime::ZERO);
    let one_sample = 1e9 / 16_000.0;
    assert!((duration.nseconds() as f64 - input as f64 * 1e9 / 44_100.0).abs() <= one_sample);

    let reports = finals(&messages);
    for (report, want) in reports.iter().zip([input, input, got, got]) {
        assert_eq!(report.counters.samples, want, "{}", report.factory);
        assert_eq!(report.counters.errors, 0);
        assert_eq!(report.status.as_str(), "ok");
        assert!(report.processing_time > 0 && report.window.real_time_factor() < 1.0);
        assert!(report.memory > 0);
    }
}

#[test]
fn at_equal_rate_and_format_the_samples_are_the_input_bit_for_bit() {
    let pipeline = launch(&format!(
        "audiotestsrc wave=white-noise num-buffers=50 samplesperbuffer=441 ! audio/x-raw,format=F32LE,rate=48000,channels=1 \
         ! tee name=t ! queue ! fakesink name=before \
         t. ! queue ! rustaudioconvert ! rustresample ! rustvad ! {} ! fakesink name=after",
        gain_node()
    ));
    let (before, after) = (capture(&pipeline, "before"), capture(&pipeline, "after"));
    play_ok(&pipeline);
    let bytes = |buffers: &[gst::Buffer]| -> Vec<u8> {
        buffers
            .iter()
            .flat_map(|b| b.map_readable().unwrap().to_vec())
            .collect()
    };
    let (before, after) = (before.lock().unwrap(), after.lock().unwrap());
    assert_eq!(frames(&before, 4), 50 * 441);
    assert_eq!(bytes(&before), bytes(&after));
    assert_continuous(&after, gst::ClockTime::ZERO);
}

#[test]
fn stopping_early_still_gives_each_final_message() {
    let pipeline = launch(&format!(
        "audiotestsrc is-live=true samplesperbuffer=480 ! audio/x-raw,rate=48000 ! rustaudioconvert \
         ! rustresample ! audio/x-raw,rate=16000 ! rustvad ! {} ! fakesink name=sink",
        gain_node()
    ));
    let (tx, rx) = std::sync::mpsc::channel();
    pipeline
        .by_name("sink")
        .and_then(|e| e.static_pad("sink"))
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = tx.send(());
            gst::PadProbeReturn::Ok
        });
    pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..5 {
        rx.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    }
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Ready).unwrap();
    let messages: Vec<_> = std::iter::from_fn(|| bus.pop()).collect();
    for report in finals(&messages) {
        assert!(report.counters.samples > 0, "{}", report.factory);
        assert!(report.counters.buffers > 0, "{}", report.factory);
    }
    pipeline.set_state(gst::State::Null).unwrap();
}
