// SPDX-License-Identifier: MIT

//! GAP events leave at once outside of speech, so that sinks which wait for data need not wait for more,
//! and DRAIN queries find nothing held.

use gst::ClockTime;
use gst::prelude::*;

use super::common;
use super::rig::*;

const RATE: u64 = 16_000;
const MODES: [&str; 4] = ["pass", "gap", "mute", "drop"];
const DETECTORS: [&str; 4] = ["energy", "spectral", "silero", "neural"];

fn ms(n: u64) -> ClockTime {
    ClockTime::from_mseconds(n)
}

fn gap(start: u64, duration: Option<u64>) -> gst::Event {
    let gap = gst::event::Gap::builder(ms(start));
    match duration {
        Some(duration) => gap.duration(ms(duration)).build(),
        None => gap.build(),
    }
}

fn gaps(got: &[Got]) -> Vec<(ClockTime, Option<ClockTime>)> {
    got.iter()
        .filter_map(|g| match g {
            Got::Gap(start, duration) => Some((*start, *duration)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_gap_outside_of_speech_leaves_with_all_before_it() {
    for mode in MODES {
        for detector in DETECTORS {
            for duration in [Some(0), None, Some(3), Some(1000)] {
                let case = format!("{mode}, {detector}, {duration:?}");
                let mut rig = Rig::new(&format!("detector={detector} mode={mode}"), MONO);
                // As the first of a stream.
                rig.event(gap(0, duration));
                let got = rig.take();
                let length = duration.map(ms);
                assert_eq!(gaps(&got), [(ms(0), length)], "{case}");
                // And behind audio that may not be speech any more.
                let from = duration.unwrap_or(0);
                rig.feed(&bursts(105, |_| false), 2, RATE, 160, ms(from));
                rig.event(gap(from + 105, duration));
                let got = rig.take();
                let last = gaps(&got).pop();
                assert_eq!(last, Some((ms(from + 105), length)), "{case}");
                let kept = if mode == "drop" { 0 } else { 105 * 32 };
                assert_eq!(bytes(&buffers(&got)).len(), kept, "{case}");
                assert!(changes(&got).is_empty(), "{case}");
            }
        }
    }
}

/// `rustvad` in a pipeline of its own, fed by the pad.
fn pipeline(line: &str, sink: &str) -> (gst::Pipeline, gst::Pad) {
    let pipeline = common::launch(line);
    let sink = pipeline.by_name(sink).unwrap().static_pad("sink").unwrap();
    (pipeline, source(&sink))
}

fn source(sink: &gst::Pad) -> gst::Pad {
    let pad = gst::Pad::new(gst::PadDirection::Src);
    // It is in no pipeline.
    pad.link_full(sink, gst::PadLinkCheck::empty()).unwrap();
    pad.set_active(true).unwrap();
    pad
}

fn begin(pad: &gst::Pad, name: &str, caps: &str) {
    pad.push_event(gst::event::StreamStart::new(name));
    pad.push_event(gst::event::Caps::new(&caps.parse().unwrap()));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    pad.push_event(gst::event::Segment::new(&segment));
}

#[test]
fn a_sink_prerolls_by_a_gap() {
    for duration in [Some(1000), None] {
        for audio in [false, true] {
            let (pipeline, pad) = pipeline("rustvad name=vad ! fakesink sync=true", "vad");
            pipeline.set_state(gst::State::Paused).unwrap();
            // A sink that has its data holds whoever brings more.
            let feeder = std::thread::spawn(move || {
                begin(&pad, "audio", MONO);
                if audio {
                    let _ = pad.push(stamped(&[0; 3200], ms(0), 0, 1600, RATE));
                }
                pad.push_event(gap(if audio { 100 } else { 0 }, duration));
            });
            let (done, state, _) = pipeline.state(common::PATIENCE);
            assert_eq!(done, Ok(gst::StateChangeSuccess::Success));
            assert_eq!(state, gst::State::Paused);
            pipeline.set_state(gst::State::Null).unwrap();
            feeder.join().unwrap();
        }
    }
}

/// As a demuxer whose audio is known to begin at 2 s, which says so once: the queue of the video has
/// room for 200 ms.
#[test]
fn audio_that_begins_late_prerolls() {
    let (pipeline, audio) = pipeline(
        "queue name=audio ! rustvad ! fakesink \
         queue name=video max-size-buffers=5 max-size-bytes=0 max-size-time=0 ! fakesink",
        "audio",
    );
    let queue = pipeline.by_name("video").unwrap();
    let video = source(&queue.static_pad("sink").unwrap());
    pipeline.set_state(gst::State::Paused).unwrap();
    let feeder = std::thread::spawn(move || {
        begin(&audio, "audio", MONO);
        begin(
            &video,
            "video",
            "video/x-raw,format=GRAY8,width=16,height=16,framerate=25/1",
        );
        audio.push_event(gap(0, Some(2000)));
        for i in 0..75 {
            let mut frame = gst::Buffer::from_slice([0; 256]);
            frame.get_mut().unwrap().set_pts(ms(40 * i));
            if video.push(frame).is_err() {
                return;
            }
            if i >= 50 {
                let _ = audio.push(stamped(&[0; 1280], ms(40 * i), 0, 640, RATE));
            }
        }
    });
    let (done, state, _) = pipeline.state(common::PATIENCE);
    assert_eq!(done, Ok(gst::StateChangeSuccess::Success));
    assert_eq!(state, gst::State::Paused);
    pipeline.set_state(gst::State::Null).unwrap();
    feeder.join().unwrap();
}

/// What was speech for long enough has started, though a GAP follows at once; what was not, has not.
#[test]
fn a_gap_decides_as_silence_does() {
    for duration in [0, 5, 100] {
        for tone in [90, 110] {
            let mut rig = Rig::new("detector=energy", MONO);
            let data = bursts(200 + tone, |at| at >= 200);
            rig.feed(&data, 2, RATE, 160, ms(0));
            let short = tone < 100;
            rig.event(gap(200 + tone, Some(duration)));
            if short {
                let got = rig.take();
                assert_eq!(bytes(&buffers(&got)), data, "{duration}");
                assert_eq!(gaps(&got).len(), 1, "{duration}");
            }
            let after = 200 + tone + duration;
            rig.feed(&bursts(300, |_| false), 2, RATE, 160, ms(after));
            // The padding after it may lie in the GAP or in the silence that follows.
            let wanted = [(170, 200 + tone + 30)];
            let wanted = if short { &[][..] } else { &wanted };
            assert_eq!(spans(&rig.finish()), wanted, "{tone}, {duration}");
        }
    }
}

/// It waits for the end of an open segment, and no longer than silence takes to make one.
#[test]
fn a_gap_in_speech_is_held_for_min_silence_at_most() {
    for detector in ["energy", "spectral"] {
        let voiced: Vec<u8> = voice(16_000, 2)
            .iter()
            .take(16 * 1500)
            .flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes())
            .collect();
        let tone = bursts(1500, |at| at >= 500);
        for (duration, parts) in [(150, 1), (500, 1), (100, 2)] {
            let mut rig = Rig::new(&format!("detector={detector}"), MONO);
            let data = if detector == "energy" { &tone } else { &voiced };
            rig.feed(data, 2, RATE, 160, ms(0));
            assert!(rig.element.property::<bool>("speech"), "{detector}");
            rig.take();
            for part in 0..parts {
                assert!(gaps(&rig.take()).is_empty());
                rig.event(gap(1500 + part * duration, Some(duration)));
            }
            let got = rig.take();
            assert_eq!(gaps(&got).len() as u64, parts, "{detector}, {duration}");
            let ends = changes(&got);
            assert!(ends.len() == 1 && !ends[0].speech, "{detector}: {ends:?}");
            let end = got.iter().position(|g| matches!(g, Got::Change(_)));
            let first = got.iter().position(|g| matches!(g, Got::Gap(..)));
            assert!(end < first, "in its place: {got:?}");
        }
    }
}

/// Padding reaches into a GAP that has left, however long it was, not into audio.
#[test]
fn edges_are_told_where_they_lie() {
    for (detector, at) in [("energy", 6000), ("energy", 300)] {
        let mut rig = Rig::new(&format!("detector={detector}"), MONO);
        rig.event(gap(0, Some(at)));
        assert_eq!(gaps(&rig.take()).len(), 1);
        let data = bursts(500, |at| at < 300);
        rig.feed(&data, 2, RATE, 160, ms(at));
        let got = rig.finish();
        assert_eq!(spans(&got), [(at - 30, at + 330)]);
        assert_eq!(changes(&got)[1].duration, ms(360));
        assert!(matches!(got[0], Got::Change(_)), "before the audio");
    }
    for length in [0, 1, 10] {
        let mut rig = Rig::new("detector=energy mode=drop", MONO);
        rig.feed(&bursts(105, |_| false), 2, RATE, 160, ms(0));
        rig.event(gap(105, Some(length)));
        let start = 105 + length;
        rig.feed(&bursts(300, |_| true), 2, RATE, 160, ms(start));
        let got = rig.finish();
        let (from, to) = spans(&got)[0];
        assert!((105..=start).contains(&from), "{from} of {start}");
        assert_eq!(to, start + 300);
        let found = changes(&got);
        assert_eq!(
            found[1].duration,
            found[1].times.timestamp.unwrap() - found[0].times.timestamp.unwrap()
        );
        assert_eq!(bytes(&buffers(&got)).len(), 300 * 32);
    }
}

#[test]
fn a_drain_query_finds_nothing_held_and_the_stream_goes_on() {
    for mode in MODES {
        let mut rig = Rig::new(&format!("detector=energy mode={mode}"), MONO);
        let sink = rig.element.static_pad("sink").unwrap();
        let drain = || assert!(sink.query(gst::query::Drain::new().query_mut()));
        let data = bursts(1000, |at| (200..700).contains(&at));
        let (silence, rest) = data.split_at(105 * 32);
        let (speech, rest) = rest.split_at(345 * 32);
        let (dip, rest) = rest.split_at(295 * 32);
        rig.feed(silence, 2, RATE, 160, ms(0));
        drain();
        let kept = if mode == "drop" { 0 } else { silence.len() };
        assert_eq!(bytes(&buffers(&rig.take())).len(), kept, "{mode}");
        rig.feed(speech, 2, RATE, 160, ms(105));
        drain();
        let got = rig.take();
        assert_eq!(changes(&got).len(), 1, "{mode}");
        let kept = if mode == "drop" { 280 } else { 345 };
        assert_eq!(bytes(&buffers(&got)).len(), kept * 32, "{mode}");
        // 45 ms of silence do not end it yet: they have left as a part of it.
        rig.feed(dip, 2, RATE, 160, ms(450));
        drain();
        let got = rig.take();
        assert!(changes(&got).is_empty(), "{mode}");
        assert_eq!(bytes(&buffers(&got)), dip, "{mode}");
        rig.feed(rest, 2, RATE, 160, ms(745));
        let got = rig.finish();
        let end = changes(&got);
        assert!(end.len() == 1 && !end[0].speech, "{mode}");
        assert_eq!(end[0].times.timestamp, Some(ms(745)), "{mode}");
        assert_eq!(end[0].duration, ms(575), "{mode}");
    }
}

#[test]
fn events_belong_to_the_segment() {
    let mut rig = Rig::new("detector=energy mode=drop", MONO);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let seqnum = gst::Seqnum::next();
    let event = gst::event::Segment::builder(&segment).seqnum(seqnum);
    rig.event(event.build());
    while rig.harness.try_pull_event().is_some() {}
    rig.feed(&bursts(1000, two), 2, RATE, 160, ms(0));
    let events: Vec<_> = std::iter::from_fn(|| rig.harness.try_pull_event()).collect();
    assert!(events.len() > 20, "{events:?}");
    assert!(events.iter().all(|e| e.seqnum() == seqnum), "{events:?}");
}
