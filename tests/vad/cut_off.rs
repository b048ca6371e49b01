// SPDX-License-Identifier: MIT

//! Segments whose data stops coming, and what is told of whole segments.

use gst::ClockTime;
use gst::prelude::*;

use super::rig::*;

const RATE: u64 = 16_000;

fn ms(n: u64) -> ClockTime {
    ClockTime::from_mseconds(n)
}

/// Root mean square of S16 samples in dBFS.
fn level(data: &[u8]) -> f64 {
    let samples = data.as_chunks::<2>().0.iter();
    let squares = samples.map(|b| (f64::from(i16::from_le_bytes(*b)) / 32_768.0).powi(2));
    10.0 * (squares.sum::<f64>() / (data.len() / 2) as f64).log10()
}

#[test]
fn a_segment_that_no_data_follows_ends_with_its_audio() {
    let mut rig = Rig::new("detector=energy data-timeout=3600000000000", MONO);
    let sound = bursts(500, |ms| ms >= 200);
    rig.feed(&sound, 2, RATE, 160, ms(0));
    let start = rig.next_change();
    assert!(start.speech && !start.timed_out);
    rig.element.set_property("data-timeout", 20_000_000u64);
    let end = rig.next_change();
    assert!(!end.speech && end.timed_out);
    assert_eq!((end.segment, end.times.timestamp), (1, Some(ms(500))));
    assert_eq!(end.duration, ms(330));
    rig.settle();
    let got = rig.take();
    assert_eq!(spans(&got), [(170, 500)]);
    assert!(matches!(got.last(), Some(Got::Change(last)) if *last == end));
    assert_eq!(bytes(&buffers(&got)), sound);
    assert!(!rig.element.property::<bool>("speech"));

    // Where it goes on, it goes on.
    rig.element.set_property("data-timeout", 0u64);
    let more = bursts(300, |ms| ms < 100);
    rig.feed(&more, 2, RATE, 160, ms(500));
    let got = rig.finish();
    assert_eq!(spans(&got), [(500, 630)]);
    assert_eq!(changes(&got)[1].segment, 2);
    assert!(!changes(&got)[1].timed_out);
    assert_eq!(bytes(&buffers(&got)), more);
}

#[test]
fn nobody_waits_for_data_while_paused() {
    let mut rig = Rig::new("detector=energy data-timeout=20000000", MONO);
    rig.element.set_state(gst::State::Paused).unwrap();
    rig.feed(&bursts(500, |ms| ms >= 200), 2, RATE, 160, ms(0));
    assert!(rig.next_change().speech);
    // Long enough for ten looks.
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(changes(&rig.take()).iter().all(|c| c.speech));
    rig.element.set_state(gst::State::Playing).unwrap();
    assert!(rig.next_change().timed_out);
}

#[test]
fn the_level_and_the_probability_of_a_segment_are_those_of_all_its_audio() {
    let loud = |ms: u64| (300..700).contains(&ms) || (1200..1500).contains(&ms);
    let data = bursts(2000, loud);
    // A dip that belongs to the segment, a cut by length, and changes that come late.
    for settings in [
        "",
        "min-silence=900000000",
        "max-speech=150000000",
        "min-silence=20000000000 speech-pad=200000000",
        "min-speech=290000000",
    ] {
        let mut rig = Rig::new(
            &format!("detector=energy post-frames=true {settings}"),
            MONO,
        );
        rig.feed(&data, 2, RATE, 441, ms(0));
        let got = rig.finish();
        let frames = rig.frames();
        assert!(!spans(&got).is_empty(), "{settings}");
        let ends: Vec<_> = changes(&got).into_iter().filter(|c| !c.speech).collect();
        for ((from, to), end) in spans(&got).into_iter().zip(ends) {
            let expected = level(&data[from as usize * 32..to as usize * 32]);
            let told = end.segment_level.unwrap();
            assert!(
                (told - expected).abs() < 0.01,
                "{settings}: {told} for {expected}"
            );
            let inside = frames.iter().filter(|f| {
                let at = f.times.running_time.unwrap().mseconds();
                (from..to).contains(&at)
            });
            let (sum, count) = inside.fold((0.0, 0.0), |(s, n), f| (s + f.probability, n + 1.0));
            let told = end.segment_probability.unwrap();
            assert!(
                (told - sum / count).abs() < 1e-6,
                "{settings}: {told} for {sum} / {count}"
            );
        }
        for start in changes(&got).iter().filter(|c| c.speech) {
            assert_eq!(
                (start.segment_level, start.segment_probability),
                (None, None)
            );
        }
    }
}

#[test]
fn segments_are_counted_on_over_new_caps() {
    let mut rig = Rig::new("detector=energy min-speech=30000000", MONO);
    let sound = bursts(500, |ms| (100..300).contains(&ms));
    let mut numbers = Vec::new();
    for (i, rate) in [16_000u64, 8000, 48_000].into_iter().enumerate() {
        let caps = MONO.replace("16000", &rate.to_string());
        rig.event(gst::event::Caps::new(&caps.parse().unwrap()));
        // As many samples, so it lasts as long as the rate says.
        let length = 500 * RATE / rate;
        rig.feed(&sound, 2, rate, 160, ms(4000 * i as u64));
        rig.feed(
            &bursts(500, |_| false),
            2,
            rate,
            160,
            ms(4000 * i as u64 + length),
        );
        numbers.extend(changes(&rig.take()).iter().map(|c| c.segment));
    }
    numbers.extend(changes(&rig.finish()).iter().map(|c| c.segment));
    assert_eq!(numbers, [1, 1, 2, 2, 3, 3]);
}
