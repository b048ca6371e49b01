// SPDX-License-Identifier: MIT

//! A program that does not read its bus.

use std::sync::mpsc;

use gst::prelude::*;
use gstrustaudio::metrics::{MESSAGE_NAME, Report, ReportExt};

use super::common::{PATIENCE, launch};

#[test]
fn an_unread_bus_holds_one_window_and_the_final_message_of_each_element() {
    const SECONDS: u64 = 400;
    let pipeline = launch(&format!(
        "audiotestsrc wave=silence num-buffers={SECONDS} samplesperbuffer=8000 ! audio/x-raw,format=S16LE,rate=8000,channels=1 \
         ! ( rustaudioconvert ! ( rustresample ) ) ! audio/x-raw,format=F32LE,rate=16000 \
         ! rustvad ! fakesink name=sink"
    ));
    let bus = pipeline.bus().unwrap();
    let (over, at_end) = mpsc::channel();
    let sink = pipeline.by_name("sink").unwrap();
    let pad = sink.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if matches!(info.event().map(|e| e.type_()), Some(gst::EventType::Eos)) {
            over.send(()).unwrap();
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    at_end
        .recv_timeout(std::time::Duration::from(PATIENCE))
        .expect("EOS");
    let reports: Vec<Report> = std::iter::from_fn(|| bus.pop())
        .filter_map(|m| Report::from_structure(m.structure()?).ok())
        .collect();
    for factory in ["rustaudioconvert", "rustresample", "rustvad"] {
        let own: Vec<_> = reports.iter().filter(|r| r.factory == factory).collect();
        let finals: Vec<bool> = own.iter().map(|r| r.is_final).collect();
        assert_eq!(finals, [false, true], "{factory}");
        // What passes through in full seconds may lie across theirs.
        assert!(own[0].window.duration < 3_000_000_000, "{factory}");
        let seconds = (own[1].window.duration + 500_000_000) / 1_000_000_000;
        assert_eq!(seconds, SECONDS, "{factory}");
        let drained = own[1].counters.buffers - SECONDS;
        assert!(drained <= 1, "{factory}");
    }
    assert_eq!(reports.len(), 6);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn windows_that_wait_for_their_reader_come_when_it_has_read() {
    let pipeline = launch(
        "appsrc name=in format=time caps=audio/x-raw,format=F32LE,rate=8000,channels=1,layout=interleaved \
         ! rustaudioconvert metrics-interval=100000000 ! fakesink name=sink async=false",
    );
    let bus = pipeline.bus().unwrap();
    let (source, sink) = (
        pipeline.by_name("in").unwrap(),
        pipeline.by_name("sink").unwrap(),
    );
    let (passed, each) = mpsc::channel();
    sink.static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            passed.send(()).unwrap();
            gst::PadProbeReturn::Ok
        });
    pipeline.set_state(gst::State::Playing).unwrap();
    let push = |n: u64| {
        let mut buffer = gst::Buffer::with_size(800 * 4).unwrap();
        let b = buffer.get_mut().unwrap();
        b.set_pts(n * 100 * gst::ClockTime::MSECOND);
        b.set_duration(100 * gst::ClockTime::MSECOND);
        let flow = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        assert_eq!(flow, gst::FlowReturn::Ok);
        each.recv_timeout(std::time::Duration::from(PATIENCE))
            .unwrap();
    };
    // Windows with audio: a stall may be told in between.
    let mut kept = Vec::new();
    let mut n = 0;
    let mut told = 0;
    while kept.len() < 5 {
        push(n);
        n += 1;
        while let Some(message) = bus.pop() {
            let report = message
                .structure()
                .and_then(|s| Report::from_structure(s).ok());
            if let Some(report) = report.filter(|r| r.window.duration > 0) {
                // One after the other, although this program keeps what it took.
                assert_eq!(report.timestamp, Some(told * 100_000_000));
                told += report.window.duration / 100_000_000;
                assert_eq!(report.counters.buffers, told);
                kept.push(message);
            }
        }
    }
    assert_eq!(MESSAGE_NAME, kept[0].structure().unwrap().name());
    pipeline.set_state(gst::State::Null).unwrap();
}
