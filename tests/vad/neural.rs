// SPDX-License-Identifier: MIT

//! `rustvad detector=neural`, on Debian's spoken channel names: real speech with known edges.

use gst::ClockTime;
use gst::prelude::*;

use super::rig::{Rig, buffers, bytes, spans};
use super::silero::{RATE, S16, data, speech};

const F32: &str = "audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved";

/// Each found span is within 100 ms of a known one, of which there are as many.
fn assert_found(found: &[(u64, u64)], known: &[(u64, u64)], what: &str) {
    assert_eq!(found.len(), known.len(), "{what}: {found:?}");
    for (a, b) in found.iter().zip(known) {
        let near = a.0.abs_diff(b.0) <= 100 && a.1.abs_diff(b.1) <= 100;
        assert!(near, "{what}: {found:?} for {known:?}");
    }
}

#[test]
fn words_are_found_where_they_are_at_any_level_and_whatever_the_buffers() {
    let (x, known) = speech();
    for gain in [1.0f32, 0.1, 0.01] {
        let quiet: Vec<u8> = x
            .iter()
            .flat_map(|x| (gain * f32::from(*x) / 32768.0).to_le_bytes())
            .collect();
        for samples in [333, 480, 4801] {
            let mut rig = Rig::new("detector=neural min-silence=500000000", F32);
            rig.feed(&quiet, 4, RATE as u64, samples, ClockTime::ZERO);
            let got = rig.finish();
            assert_eq!(bytes(&buffers(&got)), quiet, "bit-identical");
            assert_found(
                &spans(&got),
                &known,
                &format!("{gain}, {samples} at a time"),
            );
        }
    }
}

#[test]
fn every_rate_finds_the_words() {
    let (x, known) = speech();
    for rate in [8000, 11_025, 16_000, 44_100] {
        let mut rig = Rig::parse(
            &format!(
                "audioconvert ! audioresample ! audio/x-raw,rate={rate} \
                 ! rustvad name=vad detector=neural min-silence=500000000"
            ),
            S16,
        );
        rig.feed(&data(&x), 2, RATE as u64, 480, ClockTime::ZERO);
        assert_found(&spans(&rig.finish()), &known, &format!("{rate} Hz"));
    }
}

#[test]
fn each_look_ahead_is_told_as_latency() {
    for (ms, told) in [(0, 120), (30, 150), (60, 180), (100, 220)] {
        let settings = format!("detector=neural look-ahead={}", ms * 1_000_000);
        let mut rig = Rig::new(&settings, S16);
        assert_eq!(rig.element.property::<u64>("look-ahead"), ms * 1_000_000);
        rig.feed(&[0; 9600], 2, RATE as u64, 480, ClockTime::ZERO);
        assert_eq!(rig.latency().1.mseconds(), told, "look-ahead {ms} ms");
    }
}

#[test]
fn it_is_the_default() {
    let rig = Rig::new("", S16);
    let detector = rig.element.property_value("detector");
    let (_, value) = gst::glib::EnumValue::from_value(&detector).unwrap();
    assert_eq!(value.nick(), "neural");
}

#[test]
fn the_weights_are_those_that_the_tool_wrote() {
    let weights = include_bytes!("../../dsp/src/vad/neural/weights.bin");
    let sum = gst::glib::compute_checksum_for_data(gst::glib::ChecksumType::Sha256, weights);
    // What tools/vad_train/export.py printed.
    let wanted = "9278e2ea5ae963d288c8f4c17e9b82ddcd62609817990969815c2948342ba0f6";
    assert_eq!(sum.unwrap(), wanted);
}
