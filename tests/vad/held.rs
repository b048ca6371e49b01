// SPDX-License-Identifier: MIT

//! What `rustvad` holds when the stream is flushed, refused downstream or given other rules.

use std::sync::{Arc, Mutex};

use gst::ClockTime;
use gst::prelude::*;
use gstrustaudio::elements::vad::VadChange;

use super::rig::*;

const RATE: u64 = 16_000;

fn ms(n: u64) -> ClockTime {
    ClockTime::from_mseconds(n)
}

fn titled(title: &str) -> gst::Event {
    let mut tags = gst::TagList::new();
    let writable = tags.get_mut().unwrap();
    writable.add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
    gst::event::Tag::new(tags)
}

fn title(event: &gst::Event) -> Option<String> {
    match event.view() {
        gst::EventView::Tag(tag) => {
            let title = tag.tag().get::<gst::tags::Title>();
            title.map(|title| title.get().to_string())
        }
        _ => None,
    }
}

/// Events that have come downstream since the last call.
fn arrived(rig: &mut Rig) -> Vec<gst::Event> {
    std::iter::from_fn(|| rig.harness.try_pull_event()).collect()
}

fn named(events: &[gst::Event], name: &str) -> usize {
    let of = |e: &&gst::Event| e.structure().is_some_and(|s| s.name() == name);
    events.iter().filter(of).count()
}

/// What `speech` was at each notification.
fn told(rig: &Rig) -> Arc<Mutex<Vec<bool>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let keep = told.clone();
    rig.element
        .connect_notify(Some("speech"), move |element, _| {
            let speech = element.property::<bool>("speech");
            keep.lock().unwrap().push(speech);
        });
    told
}

fn flush(rig: &mut Rig) {
    rig.event(gst::event::FlushStart::new());
    rig.event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::format::Time>::new();
    rig.event(gst::event::Segment::new(&segment));
}

/// As `queue`: nobody sends them again, so that they come with what follows.
#[test]
fn sticky_events_outlive_a_flush() {
    let mut rig = Rig::new("detector=energy", MONO);
    rig.feed(&bursts(100, |_| false), 2, RATE, 160, ms(0));
    rig.take();
    let named_event = |name| gst::Structure::new_empty(name);
    rig.event(titled("first"));
    rig.event(titled("second"));
    rig.event(gst::event::CustomDownstreamSticky::new(named_event("kept")));
    rig.event(gst::event::CustomDownstream::new(named_event("passing")));
    let source = rig.element.static_pad("src").unwrap();
    assert!(source.sticky_event::<gst::event::Tag>(0).is_none(), "held");
    arrived(&mut rig);
    flush(&mut rig);
    assert!(source.sticky_event::<gst::event::Tag>(0).is_some());
    let custom = source.sticky_event::<gst::event::CustomDownstreamSticky>(0);
    assert!(custom.is_some());
    rig.feed(&bursts(200, |_| false), 2, RATE, 160, ms(5000));
    let got = rig.finish();
    assert_eq!(buffers(&got)[0].pts(), Some(ms(5000)));
    assert_eq!(buffers(&got).len(), 20);
    let events = arrived(&mut rig);
    let titles: Vec<String> = events.iter().filter_map(title).collect();
    assert_eq!(titles, ["second"]);
    assert_eq!((named(&events, "kept"), named(&events, "passing")), (1, 0));
}

/// A branch that is linked later gets what is sticky, and `speech` follows the stream meanwhile.
#[test]
fn a_refused_buffer_takes_no_event_with_it() {
    let mut rig = Rig::new("detector=energy", MONO);
    let told = told(&rig);
    let source = rig.element.static_pad("src").unwrap();
    let peer = source.peer().unwrap();
    source.unlink(&peer).unwrap();
    arrived(&mut rig);
    let data = bursts(2000, two);
    let mut refused = 0;
    for (i, part) in data.chunks(320).enumerate() {
        match i {
            10 => rig.event(titled("early")),
            50 => {
                assert_eq!(*told.lock().unwrap(), [true]);
                source.link(&peer).unwrap();
            }
            _ => {}
        }
        match rig
            .harness
            .push(stamped(part, ms(10 * i as u64), 0, 160, RATE))
        {
            Ok(_) => {}
            Err(flow) => {
                assert!(i < 50, "{i}");
                assert_eq!(flow, gst::FlowError::NotLinked);
                refused += 1;
            }
        }
    }
    // Each push that lets something leave.
    assert!(refused > 20, "{refused}");
    rig.event(gst::event::Eos::new());
    let events = arrived(&mut rig);
    let titles: Vec<String> = events.iter().filter_map(title).collect();
    assert_eq!(titles, ["early"]);
    let first = rig.harness.pull().unwrap();
    assert_eq!(first.pts(), Some(ms(500)));
    assert_eq!(rig.harness.buffers_in_queue(), 149);
    // The end of the first segment, and the second.
    assert_eq!(named(&events, "rustvad"), 3);
    assert_eq!(*told.lock().unwrap(), [true, false, true, false]);
}

#[test]
fn speech_is_told_where_it_is_forgotten() {
    let mut rig = Rig::new("detector=energy", MONO);
    let told = told(&rig);
    let told = || std::mem::take(&mut *told.lock().unwrap());
    let speech = bursts(500, |at| at >= 200);
    rig.feed(&speech, 2, RATE, 160, ms(0));
    assert_eq!(told(), [true]);
    flush(&mut rig);
    assert_eq!(told(), [false]);
    flush(&mut rig);
    assert!(told().is_empty(), "no news");
    rig.feed(&speech, 2, RATE, 160, ms(0));
    assert_eq!(told(), [true]);
    rig.element.set_state(gst::State::Ready).unwrap();
    assert_eq!(told(), [false]);
    assert!(!rig.element.property::<bool>("speech"));
    rig.element.set_state(gst::State::Paused).unwrap();
    assert!(told().is_empty(), "no news");
}

#[test]
fn a_stop_ends_an_open_segment_where_its_audio_does() {
    let mut rig = Rig::new("detector=energy", MONO);
    let posted = |rig: &Rig| -> Vec<String> {
        let messages = rig.messages();
        let posted = messages
            .iter()
            .filter(|m| m.type_() == gst::MessageType::Element);
        let told = posted
            .filter_map(|m| m.structure())
            .map(|s| match VadChange::try_from(s) {
                Ok(c) => format!("{} {} {}", c.speech, c.times.timestamp.unwrap(), c.duration),
                Err(_) => format!("{} {:?}", s.name(), s.get::<bool>("final").ok()),
            });
        told.collect()
    };
    rig.feed(&bursts(500, |at| at >= 200), 2, RATE, 160, ms(0));
    rig.element.set_state(gst::State::Ready).unwrap();
    assert_eq!(
        posted(&rig),
        [
            "true 0:00:00.170000000 0:00:00.000000000",
            "false 0:00:00.500000000 0:00:00.330000000",
            "rustaudio-metrics Some(true)"
        ]
    );
    // Nothing is open in silence.
    rig.element.set_state(gst::State::Paused).unwrap();
    rig.element.set_state(gst::State::Ready).unwrap();
    assert_eq!(posted(&rig), ["rustaudio-metrics Some(true)"]);
}

/// A shorter `max-speech` cuts where the stream is, and says so: what has left is cut no more.
#[test]
fn a_shorter_max_speech_cuts_what_has_not_left() {
    for detector in ["energy", "spectral"] {
        let mut rig = Rig::new(&format!("detector={detector}"), MONO);
        let data: Vec<u8> = match detector {
            "energy" => bursts(2000, |_| true),
            _ => voice(16_000, 4)
                .iter()
                .flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes())
                .collect(),
        };
        for (i, part) in data.chunks(320).enumerate() {
            if i % 40 == 39 && rig.element.property::<bool>("speech") {
                let now = rig.element.property::<u64>("max-speech");
                let next = if now == u64::MAX {
                    100_000_000
                } else {
                    u64::MAX
                };
                rig.element.set_property("max-speech", next);
            }
            rig.push(stamped(
                part,
                ms(10 * i as u64),
                0,
                part.len() as u64 / 2,
                RATE,
            ));
        }
        let got = rig.finish();
        let found = spans(&got);
        assert!(found.len() > 8, "{detector}: {found:?}");
        if detector == "energy" {
            // In force for 400 ms at a time, from 390, 1190 and 1990 ms on.
            let cuts = [390, 490, 590, 690, 1190, 1290, 1390, 1490, 1990];
            let mut expected = vec![(0, cuts[0])];
            expected.extend(cuts.windows(2).map(|pair| (pair[0], pair[1])));
            expected.push((1990, 2000));
            assert_eq!(found, expected);
        }
        // Each edge is told where it lies in the stream, and how long what ends there was.
        let mut start = None;
        let mut end = ms(0);
        for item in &got {
            match item {
                Got::Buffer(buffer) => end = buffer.pts().unwrap() + buffer.duration().unwrap(),
                Got::Change(change) => {
                    let at = change.times.timestamp.unwrap();
                    assert_eq!(at, end, "{detector}: {change:?}");
                    let length = start.map_or(ms(0), |start| at - start);
                    let length = if change.speech { ms(0) } else { length };
                    assert_eq!(change.duration, length, "{detector}: {change:?}");
                    start = Some(at);
                }
                _ => {}
            }
        }
    }
}
