// SPDX-License-Identifier: MIT

//! `rustvad detector=silero`, on Debian's spoken channel names: real speech with known edges.

use gst::ClockTime;
use gst::prelude::*;
use gstrustaudio::elements::vad::VadFrame;

use super::rig::{Got, Rig, buffers, bytes, changes, spans};

pub const RATE: usize = 48_000;
pub const S16: &str = "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved";
/// Silence before, between and after the words.
const PAUSE: usize = RATE;

fn recording(name: &str) -> Vec<i16> {
    let path = format!("/usr/share/sounds/alsa/{name}.wav");
    let file = std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{path}: {e}; install the package alsa-utils"));
    let data = file.windows(4).position(|w| w == b"data").unwrap() + 8;
    let samples = file[data..].as_chunks().0.iter();
    samples.map(|x| i16::from_le_bytes(*x)).collect()
}

/// Two names with pauses of faint noise, and where each is louder than -60 dBFS, in ms.
pub fn speech() -> (Vec<i16>, Vec<(u64, u64)>) {
    let mut seed = 1u32;
    let mut noise = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 30) as i16 - 2
    };
    let (mut x, mut known) = (Vec::new(), Vec::new());
    for name in ["Front_Center", "Rear_Left"] {
        x.extend((0..PAUSE).map(|_| noise()));
        let words = recording(name);
        let loud = |frame: &[i16]| {
            let power: f64 = frame.iter().map(|x| f64::from(*x).powi(2)).sum();
            power / frame.len() as f64 > 32.768f64.powi(2)
        };
        let frames: Vec<bool> = words.chunks(RATE / 100).map(loud).collect();
        let first = frames.iter().position(|l| *l).unwrap() as u64;
        let last = frames.iter().rposition(|l| *l).unwrap() as u64;
        let start = (x.len() * 1000 / RATE) as u64;
        known.push((start + 10 * first, start + 10 * (last + 1)));
        x.extend(words);
    }
    x.extend((0..PAUSE).map(|_| noise()));
    // Whole frames.
    x.truncate(x.len() / 480 * 480);
    (x, known)
}

pub fn data(x: &[i16]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The frames of `x` in buffers of `samples`, and what came out.
fn run(settings: &str, x: &[i16], samples: usize) -> (Vec<VadFrame>, Vec<Got>) {
    let mut rig = Rig::new(&format!("detector=silero {settings}"), S16);
    rig.feed(
        &data(x),
        2,
        RATE as u64,
        samples,
        ClockTime::from_seconds(3),
    );
    let got = rig.finish();
    (rig.frames(), got)
}

#[test]
fn words_are_found_where_they_are_whatever_the_buffers() {
    let (x, known) = speech();
    let (frames, got) = run("post-frames=true min-silence=500000000", &x, 480);
    assert_eq!(frames.len(), x.len() / 480);
    for (i, f) in frames.iter().enumerate() {
        let at = ClockTime::from_seconds(3) + ClockTime::from_mseconds(10 * i as u64);
        assert_eq!((f.times.timestamp, f.duration.mseconds()), (Some(at), 10));
    }
    assert_eq!(bytes(&buffers(&got)), data(&x), "bit-identical");
    let found = spans(&got);
    assert_eq!(found.len(), known.len(), "{found:?}");
    for ((start, end), (from, to)) in found.iter().zip(&known) {
        let (start, end) = (*start as i64 - 3000, *end as i64 - 3000);
        let near = |a: i64, b: u64| (a - b as i64).abs() <= 50;
        assert!(
            near(start, *from) && near(end, *to),
            "{found:?} for {known:?}"
        );
    }
    for samples in [1, 333, 4801] {
        // The shortest buffers take long: the first word will do.
        let part = if samples == 1 { &x[..2 * RATE] } else { &x[..] };
        let (others, _) = run("post-frames=true min-silence=500000000", part, samples);
        let same = others.iter().zip(&frames).take(part.len() / 480 - 10);
        for (a, b) in same {
            // Timestamps of such buffers are rounded to ns.
            let (at, known) = (a.times.timestamp.unwrap(), b.times.timestamp.unwrap());
            assert!(
                at.absdiff(known) <= ClockTime::from_nseconds(1),
                "{samples}: {at}"
            );
            assert_eq!(a.probability, b.probability, "{samples}");
        }
    }
}

#[test]
fn a_recording_that_begins_in_a_word_begins_in_speech() {
    for (name, ms) in [
        ("Front_Left", 150),
        ("Side_Left", 200),
        ("Rear_Center", 250),
    ] {
        let mut word = recording(name);
        let loud = word.iter().position(|x| x.abs() > 66).unwrap();
        word.drain(..loud + ms * RATE / 1000);
        word.extend([0; RATE]);
        word.truncate(word.len() / 480 * 480);
        let found = spans(&run("", &word, 480).1);
        // What 64 ms told is known 10 ms later: no hop has to hear all of them again.
        let late = found[0].0 - 3000;
        assert!(late <= 10, "{name} from {ms} ms on: {found:?}");
    }
}

#[test]
fn frames_tell_what_their_probability_is_made_of() {
    let (x, _) = speech();
    for (detector, names) in [
        ("silero", &["score-logit", "score-window-logit"][..]),
        (
            "neural",
            &[
                "score-logit",
                "score-silero-logit",
                "score-flux",
                "score-under-peak",
                "score-above-floor",
            ],
        ),
        (
            "spectral",
            &[
                "score-logit",
                "score-low-ratio",
                "score-ratio",
                "score-flux",
                "score-voicing",
                "score-under-peak",
                "score-above-floor",
                "score-held-tone",
            ],
        ),
        ("energy", &[]),
    ] {
        let mut rig = Rig::new(&format!("detector={detector} post-frames=true"), S16);
        rig.feed(&data(&x), 2, RATE as u64, 480, ClockTime::ZERO);
        rig.finish();
        let messages = rig.messages();
        let frames: Vec<_> = super::common::structures(&messages, "rustvad-frame").collect();
        assert_eq!(frames.len(), x.len() / 480);
        let mut varied = vec![std::collections::BTreeSet::new(); names.len()];
        for s in &frames {
            let told: Vec<_> = s.fields().filter(|f| f.starts_with("score-")).collect();
            assert_eq!(told, names, "{detector}");
            for (name, seen) in names.iter().zip(&mut varied) {
                let score: f64 = s.get(*name).unwrap();
                assert!(score.abs() <= 100.0, "{name}: {score}");
                seen.insert(score.to_bits());
            }
            if let Ok(logit) = s.get::<f64>("score-logit") {
                let p: f64 = s.get("probability").unwrap();
                assert!(
                    (1.0 / (1.0 + (-logit).exp()) - p).abs() < 1e-3,
                    "{detector}: {logit} for {p}"
                );
            }
        }
        assert!(
            varied.iter().all(|seen| seen.len() > 20),
            "{detector}: {names:?} never change"
        );
    }
}

#[test]
fn each_look_ahead_is_told_as_latency_and_kept() {
    let (x, _) = speech();
    for (ms, told) in [(0, 120), (30, 150), (60, 180), (100, 220)] {
        let settings = format!("detector=silero look-ahead={}", ms * 1_000_000);
        let mut rig = Rig::new(&settings, S16);
        assert_eq!(rig.element.property::<u64>("look-ahead"), ms * 1_000_000);
        rig.feed(&data(&x), 2, RATE as u64, 480, ClockTime::ZERO);
        let (_, min, _) = rig.latency();
        assert_eq!(min.mseconds(), told, "look-ahead {ms} ms");
        // All but that has left.
        let out: usize = buffers(&rig.take()).iter().map(|b| b.size()).sum();
        let held = (x.len() - out / 2) * 1000 / RATE;
        assert!(held as u64 <= told, "{held} of {told} ms");
    }
}

#[test]
fn a_flush_or_other_caps_start_afresh() {
    let (x, _) = speech();
    let settings = "detector=silero post-frames=true";
    let mut rig = Rig::new(settings, S16);
    let once = |rig: &mut Rig| {
        rig.feed(&data(&x), 2, RATE as u64, 480, ClockTime::ZERO);
        rig.finish();
        let frames = rig.frames().into_iter();
        frames.map(|f| f.probability).collect::<Vec<_>>()
    };
    let first = once(&mut rig);
    assert!(first.iter().any(|p| *p > 0.9) && first.iter().any(|p| *p < 0.1));
    rig.event(gst::event::FlushStart::new());
    rig.event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<ClockTime>::new();
    rig.event(gst::event::Segment::new(&segment));
    assert_eq!(once(&mut rig), first, "after a flush");
    rig.event(gst::event::StreamStart::new("again"));
    rig.harness
        .set_src_caps_str("audio/x-raw,format=S16LE,rate=32000,channels=1,layout=interleaved");
    rig.feed(&data(&x[..3200]), 2, 32_000, 320, ClockTime::ZERO);
    rig.harness.set_src_caps_str(S16);
    rig.messages();
    assert_eq!(once(&mut rig), first, "after other caps");
}

#[test]
fn every_rate_finds_the_words() {
    let (x, _) = speech();
    let rule = "min-silence=500000000";
    let reference = spans(&run(rule, &x, 480).1);
    for rate in [8000, 11_025, 16_000, 44_100, 96_000] {
        let mut rig = Rig::parse(
            &format!(
                "audioconvert ! audioresample ! audio/x-raw,rate={rate} \
                 ! rustvad name=vad detector=silero {rule}"
            ),
            S16,
        );
        rig.feed(&data(&x), 2, RATE as u64, 480, ClockTime::from_seconds(3));
        let got = rig.finish();
        let found = spans(&got);
        assert_eq!(found.len(), reference.len(), "{rate} Hz: {found:?}");
        assert_eq!(changes(&got).len(), 2 * found.len());
        for (a, b) in found.iter().zip(&reference) {
            let near = a.0.abs_diff(b.0) <= 60 && a.1.abs_diff(b.1) <= 60;
            assert!(near, "{rate} Hz: {found:?} for {reference:?}");
        }
    }
}

#[test]
fn the_weights_are_those_that_the_tool_makes() {
    let weights = include_bytes!("../../dsp/src/vad/silero/weights.bin");
    let sum = gst::glib::compute_checksum_for_data(gst::glib::ChecksumType::Sha256, weights);
    // What tools/silero_weights.py prints.
    let wanted = "e598c6163409a3ca85211247e7f25d19e7f7a0d5e3d20c39fdee712722403bca";
    assert_eq!(sum.unwrap(), wanted);
    let notice = include_str!("../../dsp/src/vad/silero/LICENSE");
    assert!(notice.contains("Copyright (c) 2020-present Silero Team"));
}
