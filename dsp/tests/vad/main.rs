// SPDX-License-Identifier: MIT

//! The detector without GStreamer: what it allocates, and what hostile input does to it.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;

mod silero;
mod voice;

use rustaudio_dsp::convert::SampleFormat;
use rustaudio_dsp::vad::{Config, DetectorKind, LookAhead, Output, Rules, Vad};
use rustaudio_dsp::{Frames, Layout};
use voice::voice;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's, counted by thread.
struct Counting;

fn count() {
    // Gone at the end of a thread, when nothing is counted any more.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: all work is the system allocator's, whose contract callers keep.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Memory) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Memory, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn detector(rate: u32, channels: usize, detector: DetectorKind) -> Vad {
    let config = Config {
        format: SampleFormat::F32LE,
        rate,
        channels,
        detector,
    };
    // Cut often, so that changes are many.
    let rules = Rules {
        max_speech: Some(20),
        ..Rules::default()
    };
    Vad::new(config, rules)
}

const SPECTRAL: DetectorKind = DetectorKind::Spectral(LookAhead::Short);
const SILERO: DetectorKind = DetectorKind::Silero(LookAhead::Medium);
const NEURAL: DetectorKind = DetectorKind::Neural(LookAhead::Medium);

/// A gliding sawtooth in bursts of a quarter of a second, over noise.
fn sound(rate: u32, seconds: f32) -> Vec<f32> {
    let (mut seed, mut phase) = (1u32, 0f32);
    (0..(rate as f32 * seconds) as usize)
        .map(|i| {
            let t = i as f32 / rate as f32;
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            phase = (phase + (140.0 + 40.0 * (9.0 * t).sin()) / rate as f32).fract();
            let on = f32::from(u8::from(t % 0.5 < 0.25));
            on * (phase - 0.5) * 0.4 + (seed >> 8) as f32 * 1e-10
        })
        .collect()
}

fn frames(x: &[f32], layout: Layout, channels: usize) -> Frames<'_> {
    Frames::packed(layout, bytemuck::cast_slice(x), x.len() / channels)
}

#[test]
fn frames_allocate_nothing() {
    let kinds = [
        DetectorKind::Spectral(LookAhead::None),
        SPECTRAL,
        DetectorKind::Spectral(LookAhead::Long),
        DetectorKind::Silero(LookAhead::None),
        SILERO,
        DetectorKind::Silero(LookAhead::Long),
        DetectorKind::Neural(LookAhead::None),
        NEURAL,
        DetectorKind::Neural(LookAhead::Long),
        DetectorKind::Energy {
            threshold_db: -30.0,
        },
    ];
    for kind in kinds {
        for (rate, channels, layout) in [
            (16_000, 1, Layout::Interleaved),
            (8000, 1, Layout::Interleaved),
            (44_100, 2, Layout::Planar),
            (48_000, 6, Layout::Interleaved),
        ] {
            let mut vad = detector(rate, channels, kind);
            let x = sound(rate, 2.0);
            let (mut given, mut changes) = (0, 0);
            let before = ALLOCATIONS.get();
            let mut give = |o| match o {
                Output::Frame(_) => given += 1,
                Output::Change(..) => changes += 1,
            };
            for part in x.chunks(channels * 137) {
                vad.push(frames(part, layout, channels), &mut give).unwrap();
            }
            vad.push(Frames::silence(4000), &mut give).unwrap();
            vad.flush(&mut give);
            let made = ALLOCATIONS.get() - before;
            // Another recording may: it has an opening of its own.
            vad.reset();
            let before = ALLOCATIONS.get();
            let again = frames(&x[..channels * 1000], layout, channels);
            vad.push(again, &mut give).unwrap();
            let made = made + ALLOCATIONS.get() - before;
            assert_eq!(made, 0, "{kind:?}, {rate} Hz, {channels} channels");
            assert!(
                given > 30 && (changes > 0 || kind != SPECTRAL),
                "{given} {changes}"
            );
        }
    }
    let before = ALLOCATIONS.get();
    std::hint::black_box(vec![1u8; 100]);
    assert_eq!(ALLOCATIONS.get() - before, 1, "counts at all");
}

#[test]
fn rules_may_ask_for_any_time() {
    let config = Config {
        format: SampleFormat::F32LE,
        rate: 8000,
        channels: 1,
        detector: DetectorKind::Energy {
            threshold_db: -30.0,
        },
    };
    let frames_asked = Rules {
        min_speech: u64::MAX,
        min_silence: u64::MAX,
        pad: u64::MAX,
        max_speech: Some(u64::MAX),
        ..Rules::default()
    };
    let times_asked = Rules::default().with_times(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    for rules in [frames_asked, times_asked] {
        let mut vad = Vad::new(config, rules);
        let mut heard = 0;
        let mut give = |output| heard += u64::from(matches!(output, Output::Frame(_)));
        vad.push(frames(&sound(8000, 1.0), Layout::Interleaved, 1), &mut give)
            .unwrap();
        vad.flush(&mut give);
        assert_eq!((heard, vad.segmenter().in_speech()), (100, false));
        assert!(vad.delay() > 1 << 40 && vad.memory() < 1 << 20);
    }
}

/// What comes 10 s after anything hostile is heard as if that had never been: the same decisions, or
/// at least nearly the same probabilities.
#[test]
fn nothing_poisons_later_frames() {
    let after = voice(16_000, 14);
    let probabilities = |lead: &[f32], kind| -> Vec<f32> {
        let mut vad = detector(16_000, 1, kind);
        let mut all = Vec::new();
        let mut give = |o| {
            if let Output::Frame(f) = o {
                assert!((0.0..=1.0).contains(&f.probability), "{f:?}");
                assert!((-120.0..=200.0).contains(&f.level), "{f:?}");
                assert!((-120.0..=200.0).contains(&f.noise_floor), "{f:?}");
                all.push(f.probability);
            }
        };
        for part in [lead, &after] {
            vad.push(frames(part, Layout::Interleaved, 1), &mut give)
                .unwrap();
        }
        vad.flush(&mut give);
        all.split_off(lead.len() / 160 + 1000)
    };
    let n = 16_000;
    let cases = [
        ("digital silence", vec![0.0; n]),
        ("DC", vec![1.0; n]),
        (
            "square",
            (0..n)
                .map(|i| if i / 40 % 2 == 0 { 1.0 } else { -1.0 })
                .collect(),
        ),
        ("NaN", vec![f32::NAN; n]),
        (
            "one NaN",
            (0..n)
                .map(|i| if i == 7777 { f32::NAN } else { 0.0 })
                .collect(),
        ),
        ("infinity", vec![f32::NEG_INFINITY; n]),
        ("largest", vec![f32::MAX; n]),
        ("denormals", vec![1e-40; n]),
    ];
    for kind in [
        SPECTRAL,
        SILERO,
        NEURAL,
        DetectorKind::Energy {
            threshold_db: -30.0,
        },
    ] {
        let fresh = probabilities(&[], kind);
        for (name, lead) in &cases {
            let found = probabilities(lead, kind);
            assert_eq!(found.len(), fresh.len());
            let same = found
                .iter()
                .zip(&fresh)
                .filter(|(a, b)| (**a >= 0.5) == (**b >= 0.5) || (**a - **b).abs() < 0.1)
                .count();
            let all = fresh.len();
            assert!(same * 100 >= 98 * all, "{name}: {same} of {all}");
        }
    }
}
