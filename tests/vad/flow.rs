// SPDX-License-Identifier: MIT

//! Times, seeks, flushes, gaps, odd buffers: what surrounds the audio.

use gst::ClockTime;
use gst::prelude::*;

use super::common::{self, launch, structures};
use super::rig::*;
use gstrustaudio::elements::vad::VadChange;

const RATE: u64 = 16_000;

fn ms(n: u64) -> ClockTime {
    ClockTime::from_mseconds(n)
}

#[test]
fn rates_formats_and_layouts_make_the_same_segments() {
    let x = voice(48_000, 8);
    let plane: Vec<i16> = x.iter().map(|x| (x * 32_767.0).round() as i16).collect();
    let stereo = "audio/x-raw,format=S16LE,rate=48000,channels=2,channel-mask=(bitmask)3,\
                  layout=non-interleaved";
    common::init();
    let info = gst_audio::AudioInfo::from_caps(&stereo.parse::<gst::Caps>().unwrap()).unwrap();
    // Both channels hold the same.
    let run = |description: &str| {
        let mut rig = Rig::parse(description, stereo);
        for (i, part) in plane.chunks(1000).enumerate() {
            let one: Vec<u8> = part.iter().flat_map(|x| x.to_le_bytes()).collect();
            let both = [&one[..], &one[..]].concat();
            let from = 1000 * i as u64;
            let mut b = stamped(&both, ms(0), from, part.len() as u64, 48_000);
            gst_audio::AudioMeta::add(b.get_mut().unwrap(), &info, part.len(), &[]).unwrap();
            rig.push(b);
        }
        spans(&rig.finish())
    };
    let direct = run("rustvad name=vad detector=spectral");
    let converted = run("rustaudioconvert ! rustresample ! \
         audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved ! rustvad name=vad \
         detector=spectral");
    assert_eq!(direct.len(), 4, "{direct:?}");
    assert_eq!(converted.len(), 4, "{converted:?}");
    for (a, b) in direct.iter().zip(&converted) {
        let near = a.0.abs_diff(b.0) <= 20 && a.1.abs_diff(b.1) <= 20;
        assert!(near, "{a:?} for {b:?}");
    }
}

#[test]
fn drop_is_the_padded_segments_to_the_sample() {
    let data = bursts(2000, two);
    for samples in [1, 37, 160, 441, 1024, 9600, 32_000] {
        // No padding, a little, and so much that segments meet; and 0 min-speech.
        for settings in ["speech-pad=0", "", "speech-pad=70000000 min-speech=0"] {
            let settings = format!("detector=energy mode=drop {settings}");
            let mut rig = Rig::new(&settings, MONO);
            rig.feed(&data, 2, RATE, samples, ms(40));
            let got = rig.finish();
            let expected: Vec<u8> = spans(&got)
                .into_iter()
                .flat_map(|(a, b)| &data[(a as usize - 40) * 32..(b as usize - 40) * 32])
                .copied()
                .collect();
            let out = buffers(&got);
            assert!(bytes(&out) == expected, "{samples}, {settings}");
            assert_eq!(spans(&got).len(), 2);
            // Each start is marked, and lies where its timestamp says.
            let marked: Vec<u64> = out
                .iter()
                .filter(|b| b.flags().contains(gst::BufferFlags::DISCONT))
                .map(|b| b.pts().unwrap().mseconds())
                .collect();
            let starts: Vec<u64> = spans(&got).iter().map(|s| s.0).collect();
            assert_eq!(marked, starts, "{samples}, {settings}");
        }
    }
}

#[test]
fn times_are_those_of_the_segment() {
    let mut rig = Rig::new("detector=energy", MONO);
    let mut segment = gst::FormattedSegment::<gst::format::Time>::new();
    segment.set_start(ms(5000));
    segment.set_position(ms(5000));
    segment.set_time(ms(100_000));
    segment.set_base(ms(20_000));
    rig.event(gst::event::Segment::new(&segment));
    rig.feed(&bursts(2000, two), 2, RATE, 441, ms(5000));
    let found = changes(&rig.finish());
    let edges = [270, 730, 1170, 1530];
    assert_eq!(found.len(), edges.len());
    for (change, at) in found.iter().zip(edges) {
        assert_eq!(change.times.timestamp, Some(ms(5000 + at)));
        assert_eq!(change.times.stream_time, Some(ms(100_000 + at)));
        assert_eq!(change.times.running_time, Some(ms(20_000 + at)));
    }
}

#[test]
fn stream_time_is_right_after_a_seek() {
    let pipeline = launch(
        "audiotestsrc samplesperbuffer=441 ! audio/x-raw,format=S16LE,rate=44100,channels=1 ! \
         rustvad detector=energy ! fakesink",
    );
    let bus = pipeline.bus().unwrap();
    let wait = |kind| {
        let types = [kind, gst::MessageType::Error, gst::MessageType::Element];
        let mut found = Vec::new();
        loop {
            let m = bus.timed_pop_filtered(common::PATIENCE, &types).unwrap();
            assert_ne!(m.type_(), gst::MessageType::Error, "{m:?}");
            let over = m.type_() == kind;
            found.push(m);
            if over {
                return found;
            }
        }
    };
    pipeline.set_state(gst::State::Paused).unwrap();
    wait(gst::MessageType::AsyncDone);
    let seek = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let (start, stop) = (ms(7_345), ms(7_845));
    pipeline
        .seek(
            1.0,
            seek,
            gst::SeekType::Set,
            start,
            gst::SeekType::Set,
            stop,
        )
        .unwrap();
    // What was posted before the seek is known; all after it belongs to the new place.
    let mut messages = wait(gst::MessageType::AsyncDone);
    pipeline.set_state(gst::State::Playing).unwrap();
    messages.extend(wait(gst::MessageType::Eos));
    pipeline.set_state(gst::State::Null).unwrap();
    let found: Vec<VadChange> = structures(&messages, "rustvad")
        .map(|s| VadChange::try_from(s).unwrap())
        .filter(|c| c.times.timestamp >= Some(ms(7_000)))
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for (change, at) in found.iter().zip([start, stop]) {
        let off = |t: Option<ClockTime>, at: ClockTime| t.unwrap().absdiff(at);
        // To the sample; the source rounds where it seeks to.
        assert!(off(change.times.timestamp, at) < ms(1), "{change:?}");
        assert!(off(change.times.stream_time, at) < ms(1), "{change:?}");
        assert!(
            off(change.times.running_time, at - start) < ms(1),
            "{change:?}"
        );
    }
}

#[test]
fn nothing_stale_follows_a_flush() {
    let mut rig = Rig::new("detector=energy", MONO);
    // Whether the silence at the end is one is not known yet.
    let on = |at: u64| (200..450).contains(&at);
    rig.feed(&bursts(500, on), 2, RATE, 160, ms(0));
    let before = rig.take();
    assert_eq!(changes(&before).len(), 1);
    assert!(rig.element.property::<bool>("speech"));
    assert!(buffers(&before).len() < 50, "something is held");
    rig.messages();
    rig.event(gst::event::FlushStart::new());
    rig.event(gst::event::FlushStop::new(true));
    assert!(!rig.element.property::<bool>("speech"));
    assert_eq!(rig.element.property::<f64>("probability"), 0.0);
    assert!(rig.take().is_empty() && rig.messages().is_empty());
    let segment = gst::FormattedSegment::<gst::format::Time>::new();
    rig.event(gst::event::Segment::new(&segment));
    let quiet = bursts(500, |_| false);
    rig.feed(&quiet, 2, RATE, 160, ms(9000));
    let got = rig.finish();
    assert!(changes(&got).is_empty(), "{got:?}");
    assert_eq!(bytes(&buffers(&got)), quiet);
    assert_eq!(buffers(&got)[0].pts(), Some(ms(9000)));
    assert!(!rig.element.property::<bool>("speech"));
}

/// What is learnt of one stream does not reach over a discontinuity: the rest is as from anew.
#[test]
fn a_discontinuity_ends_the_segment_and_starts_afresh() {
    let data: Vec<u8> = voice(16_000, 4)
        .iter()
        .flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes())
        .collect();
    let fresh = {
        let mut rig = Rig::new("detector=spectral post-frames=true", MONO);
        rig.feed(&data, 2, RATE, 160, ms(60_000));
        rig.finish();
        rig.frames()
    };
    // By the flag, or by its timestamp alone.
    for flagged in [true, false] {
        let mut rig = Rig::new("detector=spectral post-frames=true", MONO);
        // Ends in the voice.
        rig.feed(&data[..3 * 32_000 + 16_000], 2, RATE, 160, ms(0));
        assert!(rig.element.property::<bool>("speech"));
        rig.frames();
        let mut b = stamped(&data[..320], ms(60_000), 0, 160, RATE);
        if flagged {
            let b = b.get_mut().unwrap();
            b.set_flags(gst::BufferFlags::DISCONT);
        }
        rig.push(b);
        rig.feed(&data[320..], 2, RATE, 160, ms(60_010));
        let got = rig.finish();
        let found = spans(&got);
        assert_eq!(found[1].1, 3500, "ends where the audio does: {found:?}");
        assert_eq!(found.len(), 4);
        assert_eq!(buffers(&got).len(), 750);
        let frames = rig.frames();
        let later: Vec<f64> = frames
            .iter()
            .filter(|f| f.times.timestamp >= Some(ms(60_000)))
            .map(|f| f.probability)
            .collect();
        let alone: Vec<f64> = fresh.iter().map(|f| f.probability).collect();
        assert_eq!(later, alone);
    }
}

#[test]
fn gaps_are_no_speech() {
    for event in [false, true] {
        let mut rig = Rig::new("detector=energy post-frames=true", MONO);
        let tone = bursts(400, |_| true);
        rig.feed(&tone, 2, RATE, 160, ms(0));
        if event {
            let gap = gst::event::Gap::builder(ms(400)).duration(ms(300));
            rig.event(gap.build());
        } else {
            // What it holds does not count.
            let mut b = stamped(&tone[..300 * 32], ms(400), 0, 4800, RATE);
            b.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
            rig.push(b);
        }
        rig.feed(&tone, 2, RATE, 160, ms(700));
        let got = rig.finish();
        assert_eq!(spans(&got), [(0, 430), (670, 1100)], "event: {event}");
        let quiet: Vec<u64> = rig
            .frames()
            .iter()
            .filter(|f| f.probability == 0.0)
            .map(|f| f.times.timestamp.unwrap().mseconds() / 10)
            .collect();
        assert_eq!(quiet, (40..70).collect::<Vec<u64>>(), "event: {event}");
        // A GAP event goes on as it came, a buffer in pieces that keep the flag.
        let gaps: Vec<_> = got
            .iter()
            .filter_map(|g| match g {
                Got::Gap(pts, duration) => Some((*pts, *duration)),
                _ => None,
            })
            .collect();
        let flagged: u64 = buffers(&got)
            .iter()
            .filter(|b| b.flags().contains(gst::BufferFlags::GAP))
            .map(|b| b.size() as u64 / 32)
            .sum();
        if event {
            assert_eq!(gaps, [(ms(400), Some(ms(300)))]);
        } else {
            assert!(gaps.is_empty());
        }
        assert_eq!(flagged, if event { 0 } else { 300 });
        // In its place: behind all of the first tone.
        let place = got.iter().position(|g| matches!(g, Got::Gap(..)));
        if let Some(place) = place {
            assert_eq!(bytes(&buffers(&got[..place])).len(), tone.len());
        }
    }
}

#[test]
fn the_latency_is_what_buffers_wait() {
    let data: Vec<u8> = voice(16_000, 6)
        .iter()
        .flat_map(|x| ((x * 32_767.0) as i16).to_le_bytes())
        .collect();
    for (look_ahead, least) in [(0, 120), (30, 150), (100, 220)] {
        for samples in [160, 441, 320, 1000] {
            let settings = format!("detector=spectral look-ahead={}", look_ahead * 1_000_000);
            let mut rig = Rig::new(&settings, MONO);
            rig.harness.set_upstream_latency(ms(20));
            let (mut pushed, mut out, mut longest) = (0, 0, 0);
            for part in data.chunks(samples * 2) {
                let n = part.len() as u64 / 2;
                rig.push(stamped(part, ms(0), pushed, n, RATE));
                pushed += n;
                let got = rig.take();
                out += bytes(&buffers(&got)).len() as u64 / 2;
                // The oldest sample held has waited since its buffer came, which was when all of
                // it was there.
                longest = longest.max(pushed - out);
            }
            let told = rig.latency().1 - ms(20);
            let held = ClockTime::from_nseconds(longest * 1_000_000_000 / RATE);
            assert!(held <= told, "{look_ahead}, {samples}: {held} of {told}");
            // It is no more than it must be.
            let buffer = ClockTime::from_nseconds(samples as u64 * 1_000_000_000 / RATE);
            assert!(
                told <= held + buffer + ms(10),
                "{look_ahead}, {samples}: {told} for {held}"
            );
            if samples == 160 {
                assert_eq!(told, ms(least));
            }
        }
    }
}

#[test]
fn a_live_source_is_told_of_the_latency() {
    let pipeline = launch(
        "audiotestsrc is-live=true samplesperbuffer=160 num-buffers=20 ! \
         audio/x-raw,format=S16LE,rate=16000,channels=1 ! rustvad name=vad look-ahead=100000000 ! \
         fakesink name=out",
    );
    common::play_ok(&pipeline);
    pipeline.set_state(gst::State::Paused).unwrap();
    let mut query = gst::query::Latency::new();
    let pad = |name: &str, pad| pipeline.by_name(name).unwrap().static_pad(pad).unwrap();
    assert!(pad("vad", "sink").peer_query(&mut query));
    let (live, source, _) = query.result();
    assert!(live);
    let mut query = gst::query::Latency::new();
    assert!(pad("out", "sink").peer_query(&mut query));
    assert_eq!(
        (query.result().0, query.result().1),
        (true, source + ms(220))
    );
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_short_last_buffer_changes_no_latency() {
    let mut rig = Rig::new("detector=energy", MONO);
    rig.feed(&bursts(205, |_| true), 2, RATE, 160, ms(0));
    assert_eq!(rig.latency().1, ms(120));
    // One more shows that it was not the last.
    rig.feed(&bursts(10, |_| true), 2, RATE, 160, ms(205));
    assert!(rig.latency().1 > ms(120));
}

#[test]
fn a_stream_without_timestamps_is_counted() {
    let data = bursts(2000, two);
    let mut rig = Rig::new("detector=energy", MONO);
    let mut segment = gst::FormattedSegment::<gst::format::Time>::new();
    segment.set_start(ms(5000));
    segment.set_time(ms(0));
    rig.event(gst::event::Segment::new(&segment));
    for (i, part) in data.chunks(441 * 2).enumerate() {
        let mut b = gst::Buffer::from_slice(part.to_vec());
        if i == 30 {
            // A hole of unknown length: the count goes on.
            b.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
        }
        rig.push(b);
    }
    let got = rig.finish();
    // The 30th buffer starts at 826.9 ms, and frames with it.
    let found = changes(&got);
    assert_eq!(found.len(), 4, "{found:?}");
    for (change, at) in found.iter().zip([270u64, 730, 1170, 1530]) {
        let time = change.times.stream_time.unwrap();
        assert!(time.absdiff(ms(at)) <= ms(10), "{change:?}");
        assert_eq!(change.times.timestamp, Some(time + ms(5000)));
        assert_eq!(change.times.running_time, Some(time));
    }
    let out = buffers(&got);
    assert!(out.iter().all(|b| b.pts().is_none()), "none are made up");
    assert_eq!(bytes(&out), data);
}

#[test]
fn a_level_meta_is_replaced() {
    let mut rig = Rig::new("detector=energy audio-level-meta=true", MONO);
    let data = bursts(1000, |at| at >= 500);
    for (i, part) in data.chunks(320).enumerate() {
        let mut b = stamped(part, ms(10 * i as u64), 0, 160, RATE);
        gst_audio::AudioLevelMeta::add(b.get_mut().unwrap(), 77, i % 2 == 0);
        rig.push(b);
    }
    let out = buffers(&rig.finish());
    assert_eq!(out.len(), 100);
    for b in &out {
        let metas: Vec<_> = b.iter_meta::<gst_audio::AudioLevelMeta>().collect();
        assert_eq!(metas.len(), 1);
        let voice = b.pts().unwrap() >= ms(470);
        assert_eq!(metas[0].voice_activity(), voice, "{b:?}");
        if b.pts().unwrap() >= ms(500) {
            assert_eq!(metas[0].level(), 6);
        }
    }
}

#[test]
fn buffers_of_any_size_pass() {
    let data = bursts(2000, two);
    let mut rig = Rig::new("detector=energy", MONO);
    let mut from = 0;
    for n in [0, 1, 0, 159, 161, 3, 0, 4801, 7, 1].into_iter().cycle() {
        let to = (from + n).min(data.len() / 2);
        let part = &data[from * 2..to * 2];
        rig.push(stamped(part, ms(0), from as u64, (to - from) as u64, RATE));
        from = to;
        if from == data.len() / 2 {
            break;
        }
    }
    let got = rig.finish();
    assert_eq!(spans(&got), [(270, 730), (1170, 1530)]);
    assert!(bytes(&buffers(&got)) == data);
}

#[test]
fn one_of_64_channels_is_heard() {
    let caps = "audio/x-raw,format=S16LE,rate=16000,channels=64,channel-mask=(bitmask)0,\
                layout=interleaved";
    let data: Vec<u8> = bursts(2000, two)
        .chunks(2)
        .flat_map(|x| {
            let mut frame = [0; 128];
            frame[42..44].copy_from_slice(x);
            frame
        })
        .collect();
    let mut rig = Rig::new("detector=energy", caps);
    rig.feed(&data, 128, RATE, 441, ms(0));
    let got = rig.finish();
    assert_eq!(spans(&got), [(270, 730), (1170, 1530)]);
    let level = changes(&got)[0].level;
    // A 64th of the power of one.
    assert!((level + 6.2 + 18.06).abs() < 0.2, "{level}");
    assert!(bytes(&buffers(&got)) == data);
}

#[test]
fn new_caps_end_a_segment_and_the_same_do_not() {
    let data = bursts(500, |at| at >= 200);
    let mut rig = Rig::new("detector=energy", MONO);
    rig.feed(&data, 2, RATE, 160, ms(0));
    let same: gst::Caps = MONO.parse().unwrap();
    rig.event(gst::event::Caps::new(&same));
    rig.feed(&bursts(100, |_| true), 2, RATE, 160, ms(500));
    assert_eq!(changes(&rig.take()).len(), 1, "the segment goes on");
    let other = MONO.replace("16000", "8000");
    rig.event(gst::event::Caps::new(&other.parse().unwrap()));
    let before = rig.take();
    let end = changes(&before);
    assert_eq!(end.len(), 1);
    assert_eq!(end[0].times.timestamp, Some(ms(600)));
    // All that was held left before the caps did.
    assert!(matches!(before.last(), Some(Got::Caps)), "{before:?}");
    rig.feed(&bursts(250, |_| false), 2, 8000, 80, ms(600));
    rig.feed(&bursts(250, |_| true), 2, 8000, 80, ms(1100));
    assert_eq!(spans(&rig.finish()), [(1070, 1600)]);
}

#[test]
fn any_order_of_states_works() {
    common::init();
    let element = gst::ElementFactory::make("rustvad").build().unwrap();
    use gst::State::{Null, Paused, Playing, Ready};
    for state in [
        Ready, Null, Paused, Ready, Paused, Playing, Null, Playing, Paused, Null,
    ] {
        element.set_state(state).unwrap();
        // No caps were seen: refused, not lost.
        if state == Paused || state == Playing {
            let pad = element.static_pad("sink").unwrap();
            pad.send_event(gst::event::StreamStart::new("one"));
            let segment = gst::FormattedSegment::<gst::format::Time>::new();
            pad.send_event(gst::event::Segment::new(&segment));
            let flow = pad.chain(gst::Buffer::from_slice([0u8; 320]));
            assert_eq!(flow, Err(gst::FlowError::NotNegotiated));
        }
    }
    // Stopped in a segment, a pipeline starts again as if new.
    let pipeline = launch(
        "audiotestsrc num-buffers=30 samplesperbuffer=160 ! \
         audio/x-raw,format=S16LE,rate=16000,channels=1 ! rustvad detector=energy ! fakesink",
    );
    for _ in 0..3 {
        let messages = common::play_ok(&pipeline);
        let times: Vec<u64> = structures(&messages, "rustvad")
            .map(|s| s.get::<u64>("timestamp").unwrap() / 1_000_000)
            .collect();
        assert_eq!(times, [0, 300]);
    }
}

#[test]
fn half_a_frame_passes_and_is_told_of_once() {
    let mut rig = Rig::new("detector=energy", MONO);
    for (i, rest) in [0, 1, 1, 0].into_iter().enumerate() {
        let data = vec![1; 320 + rest];
        rig.push(stamped(&data, ms(0), 160 * i as u64, 160, RATE));
    }
    let warnings: Vec<String> = rig
        .messages()
        .iter()
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(w) => Some(w.error().to_string()),
            _ => None,
        })
        .collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("321 bytes"),
        "{warnings:?}"
    );
    let sizes: Vec<usize> = rig
        .finish()
        .iter()
        .filter_map(|got| match got {
            Got::Buffer(b) => Some(b.size()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [320, 321, 321, 320]);
}
