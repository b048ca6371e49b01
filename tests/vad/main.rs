// SPDX-License-Identifier: MIT

//! `rustvad` in pipelines, against exact expectations: the energy detector tells tone from silence
//! to the frame.

#[path = "../common/mod.rs"]
mod common;
mod cut_off;
mod flow;
mod gaps;
mod held;
mod neural;
mod planes;
mod rig;
mod silero;
#[path = "../../dsp/tests/vad/voice.rs"]
mod voice;

use common::{assert_continuous, capture, launch, play_ok, structures};
use gst::ClockTime;
use gst::prelude::*;
use gstrustaudio::elements::vad::VadChange;

const RATE: u64 = 48_000;
/// Tone between these, in ms; silence before and after.
const TONE: std::ops::Range<u64> = 500..1000;
const END: u64 = 2000;

fn samples() -> Vec<u8> {
    (0..RATE * END / 1000)
        .flat_map(|i| {
            let on = TONE.contains(&(i * 1000 / RATE));
            let x = (0.5 * (i as f64 * 0.1).sin() * 32767.0) as i16;
            // Silence that is told from digital silence.
            let x = if on { x } else { (i % 3) as i16 };
            [x, x]
        })
        .flat_map(i16::to_le_bytes)
        .collect()
}

/// Plays the signal through `rustvad` with `settings` in buffers of `frames`, starting at `pts`.
fn run(settings: &str, frames: u64, pts: ClockTime) -> (Vec<gst::Buffer>, Vec<gst::Message>) {
    let pipeline = launch(&format!(
        "appsrc name=in format=time caps=audio/x-raw,format=S16LE,rate=48000,channels=2,\
         layout=interleaved,channel-mask=(bitmask)3 ! rustvad name=vad detector=energy {settings} \
         ! fakesink name=out sync=false"
    ));
    let kept = capture(&pipeline, "out");
    let source = pipeline.by_name("in").unwrap();
    let data = samples();
    let all: Vec<gst::Buffer> = data
        .chunks(frames as usize * 4)
        .enumerate()
        .map(|(i, part)| {
            let at = |n: u64| pts + ClockTime::from_nseconds(n * 1_000_000_000 / RATE);
            let start = i as u64 * frames;
            let mut buffer = gst::Buffer::from_slice(part.to_vec());
            let b = buffer.get_mut().unwrap();
            b.set_pts(at(start));
            b.set_duration(at(start + part.len() as u64 / 4) - at(start));
            buffer
        })
        .collect();
    let feeder = std::thread::spawn(move || {
        for buffer in all {
            let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        }
        let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    });
    let messages = play_ok(&pipeline);
    feeder.join().unwrap();
    let buffers = kept.lock().unwrap().clone();
    (buffers, messages)
}

fn bytes(buffers: &[gst::Buffer]) -> Vec<u8> {
    buffers
        .iter()
        .flat_map(|b| b.map_readable().unwrap().to_vec())
        .collect()
}

fn changes(messages: &[gst::Message]) -> Vec<VadChange> {
    structures(messages, "rustvad")
        .map(|s| VadChange::try_from(s).unwrap())
        .collect()
}

fn ms(t: Option<ClockTime>) -> u64 {
    t.unwrap().mseconds()
}

#[test]
fn tells_the_time_of_the_change_itself_whatever_the_buffers() {
    let pts = ClockTime::from_seconds(7);
    for frames in [480, 1024, 4801, 48_000] {
        let (buffers, messages) = run("", frames, pts);
        let found = changes(&messages);
        assert_eq!(found.len(), 2, "{frames}: {found:?}");
        assert!(found[0].speech && !found[1].speech);
        // Padded by 30 ms.
        assert_eq!(ms(found[0].times.timestamp), 7470);
        assert_eq!(ms(found[1].times.timestamp), 8030);
        assert_eq!(found[1].duration.mseconds(), 560);
        assert_eq!((found[0].segment, found[1].segment), (1, 1));
        assert_eq!((found[0].probability, found[1].probability), (1.0, 0.0));
        assert!((found[0].level + 9.03).abs() < 0.1, "{}", found[0].level);
        assert_eq!(bytes(&buffers), samples(), "bit-identical");
        assert_eq!(assert_continuous(&buffers, pts).mseconds(), END);
        assert!(buffers.iter().any(|b| b.pts() == found[0].times.timestamp));
    }
}

#[test]
fn drop_lets_through_exactly_the_padded_segments() {
    let (buffers, messages) = run("mode=drop", 1024, ClockTime::ZERO);
    let (from, to) = (
        RATE as usize * 470 / 1000 * 4,
        RATE as usize * 1030 / 1000 * 4,
    );
    assert_eq!(bytes(&buffers), &samples()[from..to]);
    assert_eq!(ms(buffers[0].pts()), 470);
    assert!(buffers[0].flags().contains(gst::BufferFlags::DISCONT));
    for later in &buffers[1..] {
        assert!(!later.flags().contains(gst::BufferFlags::DISCONT));
    }
    assert_continuous(&buffers, ClockTime::from_mseconds(470));
    let last = structures(&messages, "rustaudio-metrics")
        .find(|s| s.get::<bool>("final") == Ok(true))
        .expect("a final message");
    assert_eq!(last.get::<u64>("num-samples"), Ok(RATE * END / 1000));
    assert!(last.get::<u64>("num-dropped").unwrap() > 0);
}

#[test]
fn gap_flags_and_mute_silences_what_is_no_speech() {
    let (buffers, _) = run("mode=gap", 1024, ClockTime::ZERO);
    assert_eq!(bytes(&buffers), samples());
    let (muted, _) = run("mode=mute", 1024, ClockTime::ZERO);
    for (b, m) in buffers.iter().zip(&muted) {
        let at = ms(b.pts());
        let speech = (470..1030).contains(&at);
        assert_eq!(b.flags().contains(gst::BufferFlags::GAP), !speech, "{at}");
        let silent = m.map_readable().unwrap().iter().all(|x| *x == 0);
        assert_eq!(silent, !speech, "{at}");
    }
    assert_eq!(bytes(&muted).len(), samples().len());
}

#[test]
fn level_meta_is_one_and_right() {
    let (buffers, _) = run("audio-level-meta=true", 480, ClockTime::ZERO);
    for b in &buffers {
        let metas: Vec<_> = b.iter_meta::<gst_audio::AudioLevelMeta>().collect();
        assert_eq!(metas.len(), 1);
        let at = ms(b.pts());
        assert_eq!(metas[0].voice_activity(), (470..1030).contains(&at), "{at}");
        if TONE.contains(&at) {
            assert_eq!(metas[0].level(), 9, "{at}");
        }
    }
}

#[test]
fn the_event_is_between_the_buffers_of_the_change() {
    let mut harness = {
        common::init();
        gst_check::Harness::new("rustvad")
    };
    harness
        .element()
        .unwrap()
        .set_property_from_str("detector", "energy");
    harness.set_src_caps_str("audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved");
    for (i, part) in samples().chunks(480 * 4).enumerate() {
        let mut b = gst::Buffer::from_slice(part.to_vec());
        b.get_mut()
            .unwrap()
            .set_pts(ClockTime::from_mseconds(10 * i as u64));
        b.get_mut()
            .unwrap()
            .set_duration(ClockTime::from_mseconds(10));
        harness.push(b).unwrap();
    }
    // Each sample waits at most for the latency.
    let latency = harness.query_latency().unwrap();
    let held = END / 10 - u64::from(harness.buffers_received());
    assert_eq!(latency.mseconds(), 120, "min-speech and padding");
    assert!(held * 10 <= latency.mseconds(), "{held}");
    harness.push_event(gst::event::Eos::new());
    assert_eq!(u64::from(harness.buffers_received()), END / 10);
    let events: Vec<bool> = std::iter::from_fn(|| harness.try_pull_event())
        .filter_map(|e| VadChange::try_from(e.structure()?).ok())
        .map(|c| c.speech)
        .collect();
    assert_eq!(events, [true, false]);
}
