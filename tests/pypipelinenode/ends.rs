// SPDX-License-Identifier: MIT

//! Where audio ends: what waits and what a node holds comes out, or is dropped by a flush.

use crate::{Rig, STEREO, common, node};
use gst::prelude::*;

/// Holds the last 100 frames back.
const DELAY: &str = "\
import numpy as np
class Delay:
    def start(self, info): self.held = np.zeros((0, info.channels), info.dtype)
    def process(self, audio, ctx):
        both = np.concatenate([self.held, audio])
        self.held = both[-100:].copy()
        return both[:-100]
    def drain(self, ctx):
        ctx.post('drained', pts=ctx.pts, held=len(self.held), attempt=ctx.attempt)
        held, self.held = self.held, self.held[:0]
        return held
";

const WAYS: [&str; 2] = ["isolation=inprocess", "isolation=process"];

fn segment_at(ms: u64) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms * gst::ClockTime::MSECOND);
    segment.set_time(ms * gst::ClockTime::MSECOND);
    gst::event::Segment::new(&segment)
}

#[test]
fn a_node_gives_what_it_holds_at_the_end() {
    for way in WAYS {
        let run = crate::run_ok(5, DELAY, &format!("class=Delay {way}"));
        assert!(run.failures().is_empty(), "{:?}", run.failures());
        let joined = |s: &[crate::Seen]| s.iter().flat_map(|b| b.data.clone()).collect::<Vec<_>>();
        assert!(joined(&run.input) == joined(&run.output), "{way}");
        let mut next = gst::ClockTime::ZERO;
        for out in &run.output {
            assert!(out.pts.unwrap().nseconds().abs_diff(next.nseconds()) <= 1);
            next = out.pts.unwrap() + out.duration.unwrap();
        }
        let drained = run.structures("drained");
        assert_eq!(drained.len(), 1, "{way}");
        assert_eq!(drained[0].get::<i64>("pts"), Ok(50_000_000));
        assert_eq!(drained[0].get::<i64>("held"), Ok(100));
    }
}

#[test]
fn whatever_ends_the_audio_drains_the_chunk_and_the_node() {
    common::init();
    let other = STEREO.replace("48000", "16000");
    let ends: [(&str, gst::Event); 5] = [
        (
            "segment-done",
            gst::event::SegmentDone::new(50 * gst::ClockTime::MSECOND),
        ),
        (
            "gap",
            gst::event::Gap::new(50 * gst::ClockTime::MSECOND, None),
        ),
        ("segment", segment_at(1000)),
        ("stream-start", gst::event::StreamStart::new("next")),
        (
            "caps",
            gst::event::Caps::new(&other.parse::<gst::Caps>().unwrap()),
        ),
    ];
    for way in WAYS {
        for (name, event) in &ends {
            // 50 ms are one chunk, and 15 ms that wait.
            let mut rig = Rig::new(
                DELAY,
                &format!("class=Delay chunk=duration chunk-duration=35000000 {way}"),
                STEREO,
            );
            for i in 0..5 {
                rig.push(i, 1.0).unwrap();
            }
            assert_eq!(rig.frames(), 1680 - 100, "{name} {way}");
            assert!(rig.harness.push_event(event.clone()), "{name} {way}");
            assert_eq!(rig.frames(), 720 + 100, "{name} {way}");
            // Once: there is nothing new by then.
            assert!(rig.harness.push_event(gst::event::Eos::new()));
            assert_eq!(rig.frames(), 0, "{name} {way}");
            assert_eq!(rig.structures("drained").len(), 1, "{name} {way}");
        }
    }
}

#[test]
fn a_failing_drain_is_tried_again_and_told() {
    let text = |raises: &str| {
        format!(
            "class N:\n    def process(self, audio): self.held = audio.copy(); return []\n    \
             def drain(self, ctx):\n        {raises}\n        return self.held\n"
        )
    };
    for way in WAYS {
        let busy = "if ctx.attempt < 3: raise TimeoutError('busy')";
        let run = crate::run_ok(1, &text(busy), &format!("class=N {way}"));
        let actions: Vec<String> = run
            .failures()
            .iter()
            .map(|f| f.get("action").unwrap())
            .collect();
        assert_eq!(actions, ["retry", "retry"]);
        crate::assert_same(&run.input, &run.output);

        let run = crate::run_ok(1, &text("1 / 0"), &format!("class=N {way}"));
        assert_eq!(run.failures().len(), 1);
        assert_eq!(run.failures()[0].get::<&str>("action"), Ok("drop"));
        assert_eq!(run.output.len(), 0);

        let run = crate::run(
            1,
            &text("1 / 0"),
            &format!("class=N on-failure=error {way}"),
        );
        let (error, debug) = common::error(&run.messages);
        assert!(error.contains("ZeroDivisionError"), "{error}");
        assert!(debug.contains("in drain"), "{debug}");
    }
}

#[test]
fn a_flush_drops_what_waits() {
    let tell = "def process(audio, ctx): pass\n";
    let chunks = "chunk=duration chunk-duration=35000000";
    for (text, properties) in [
        (tell, chunks.to_string()),
        (tell, format!("{chunks} isolation=process")),
        (DELAY, "class=Delay".into()),
        (DELAY, "class=Delay isolation=process".into()),
        (DELAY, format!("class=Delay {chunks}")),
    ] {
        let mut rig = Rig::new(text, &properties, STEREO);
        for i in 0..3 {
            rig.push(i, 1.0).unwrap();
        }
        rig.samples();
        rig.harness.push_event(gst::event::FlushStart::new());
        rig.harness.push_event(gst::event::FlushStop::new(true));
        rig.harness.push_event(segment_at(500));
        for i in 50..54 {
            rig.push(i, 2.0).unwrap();
        }
        rig.harness.push_event(gst::event::Eos::new());
        let after = rig.samples();
        assert_eq!(after.len(), 4 * 960, "{properties}");
        assert!(after.iter().all(|x| *x == 2.0), "{properties}");
        assert_eq!(rig.first_pts, Some(500 * gst::ClockTime::MSECOND));
    }
}

/// What came out since the last look, as PTS in ns, frames, first sample, and whether it is DISCONT.
fn came(rig: &mut Rig) -> Vec<(u64, usize, f32, bool)> {
    std::iter::from_fn(|| rig.harness.try_pull())
        .map(|buffer| {
            let map = buffer.map_readable().unwrap();
            let samples: Vec<f32> = bytemuck::pod_collect_to_vec(&map);
            let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
            let pts = buffer.pts().unwrap().nseconds();
            (pts, samples.len() / 2, samples[0], discont)
        })
        .collect()
}

/// Length of `frames` at 48 kHz.
fn ns(frames: u64) -> u64 {
    (frames * 1_000_000_000 + 24_000) / 48_000
}

#[test]
fn what_a_dead_worker_held_is_a_hole_and_nothing_moves() {
    let mark = node("").with_extension("died");
    let _ = std::fs::remove_file(&mark);
    let text = DELAY.replace(
        "        both =",
        &format!(
            "        import os\n        \
             if ctx.pts == 20_000_000 and not os.path.exists({mark:?}):\n            \
                 open({mark:?}, 'w').close()\n            os._exit(1)\n        both ="
        ),
    );
    let mut rig = Rig::new(&text, "class=Delay isolation=process", STEREO);
    for i in 0..5 {
        rig.push(i, i as f32).unwrap();
    }
    rig.harness.push_event(gst::event::Eos::new());
    let at = |ms: u64, held: u64| ms * 1_000_000 - ns(held);
    let got = came(&mut rig);
    let shape: Vec<_> = got.iter().map(|b| (b.1, b.2, b.3)).collect();
    assert_eq!(
        shape,
        [
            (380, 0.0, true),
            (480, 0.0, false),
            // The last 100 frames of the second buffer went with the worker.
            (380, 2.0, true),
            (480, 2.0, false),
            (480, 3.0, false),
            (100, 4.0, false),
        ]
    );
    let expected = [
        0,
        at(10, 100),
        20_000_000,
        at(30, 100),
        at(40, 100),
        at(50, 100),
    ];
    for (got, expected) in got.iter().zip(expected) {
        assert!(got.0.abs_diff(expected) <= 1, "{} {expected}", got.0);
    }
}

#[test]
fn what_a_node_holds_comes_before_what_goes_past_it() {
    for way in WAYS {
        // A failed call.
        let text = DELAY.replace(
            "        both =",
            "        if ctx.pts == 20_000_000: 1 / 0\n        both =",
        );
        let mut rig = Rig::new(&text, &format!("class=Delay {way}"), STEREO);
        for i in 0..4 {
            rig.push(i, 1.0 + i as f32).unwrap();
        }
        let got = came(&mut rig);
        let frames: Vec<_> = got.iter().map(|b| (b.1, b.2)).collect();
        assert_eq!(
            frames,
            [(380, 1.0), (480, 1.0), (100, 2.0), (480, 3.0), (380, 4.0)],
            "{way}"
        );
        let mut next = 0;
        for (pts, frames, _, discont) in got {
            assert!(pts.abs_diff(next) <= 1, "{way} {pts} {next}");
            assert_eq!(discont, pts == 0, "{way} {pts}");
            next = pts + ns(frames as u64);
        }

        // A break.
        let mut rig = Rig::new(DELAY, &format!("class=Delay {way}"), STEREO);
        rig.push(0, 1.0).unwrap();
        let mut buffer = Rig::buffer(100, 2.0);
        buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        rig.harness.push(buffer).unwrap();
        assert_eq!(
            came(&mut rig),
            [
                (0, 380, 1.0, true),
                (ns(380), 100, 1.0, false),
                (1_000_000_000, 380, 2.0, true)
            ],
            "{way}"
        );

        // Silence after an utterance.
        let mut rig = Rig::new(DELAY, &format!("class=Delay chunk=utterance {way}"), STEREO);
        for i in 0..6 {
            if i == 1 || i == 3 {
                let s = gst::Structure::builder("rustvad")
                    .field("speech", i == 1)
                    .field("timestamp", i * 10_000_000)
                    .field("segment", 1u64)
                    .build();
                rig.harness.push_event(gst::event::CustomDownstream::new(s));
            }
            rig.push(i, i as f32).unwrap();
        }
        rig.harness.push_event(gst::event::Eos::new());
        let got = came(&mut rig);
        let mut next = 0;
        let mut all = Vec::new();
        for (pts, frames, first, _) in got {
            assert!(pts.abs_diff(next) <= 1, "{way} {pts} {next}");
            next = pts + ns(frames as u64);
            all.push((frames, first));
        }
        assert!(
            all.windows(2).any(|w| w == [(860, 1.0), (100, 2.0)]),
            "{way} {all:?}"
        );
        assert_eq!(all.iter().map(|b| b.0).sum::<usize>(), 6 * 480, "{way}");
    }
}

#[test]
fn times_that_leap_are_followed_by_what_is_counted() {
    let leaping = |rig: &mut Rig, at: [u64; 5]| {
        for (i, ms) in at.into_iter().enumerate() {
            let mut buffer = Rig::buffer(0, i as f32);
            buffer.make_mut().set_pts(ms * gst::ClockTime::MSECOND);
            rig.harness.push(buffer).unwrap();
        }
        rig.harness.push_event(gst::event::Eos::new());
        (came(rig), rig.messages())
    };
    let drained = |messages: &[gst::Message]| {
        common::structures(messages, "drained")
            .map(|s| s.get::<i64>("pts").unwrap() / 1_000_000)
            .collect::<Vec<_>>()
    };
    let close =
        |got: Vec<(u64, usize, f32, bool)>, expected: &[(u64, usize, f32, bool)], name: &str| {
            assert_eq!(got.len(), expected.len(), "{name} {got:?}");
            for (got, expected) in got.iter().zip(expected) {
                assert_eq!(
                    (got.1, got.2, got.3),
                    (expected.1, expected.2, expected.3),
                    "{name}"
                );
                assert!(
                    got.0.abs_diff(expected.0) <= 1,
                    "{name} {got:?} {expected:?}"
                );
            }
        };
    const MS: u64 = 1_000_000;
    for way in WAYS {
        // To and fro.
        for to in [5000, 100] {
            let name = format!("{way} {to}");
            let mut rig = Rig::new(DELAY, &format!("class=Delay {way}"), STEREO);
            let (got, messages) = leaping(&mut rig, [1000, 1010, to, to + 10, to + 20]);
            let expected = [
                (1000 * MS, 380, 0.0, true),
                (1000 * MS + ns(380), 480, 0.0, false),
                (1000 * MS + ns(860), 100, 1.0, false),
                (to * MS, 380, 2.0, true),
                (to * MS + ns(380), 480, 2.0, false),
                (to * MS + ns(860), 480, 3.0, false),
                (to * MS + ns(1340), 100, 4.0, false),
            ];
            close(got, &expected, &name);
            assert_eq!(drained(&messages), [1020, to as i64 + 30], "{name}");
        }

        // 40 ms in all are jitter, more are not; by the count, not from one buffer to the next.
        let mut rig = Rig::new(DELAY, &format!("class=Delay {way}"), STEREO);
        let (got, messages) = leaping(&mut rig, [0, 30, 60, 81, 91]);
        let expected = [
            (0, 380, 0.0, true),
            (ns(380), 480, 0.0, false),
            (ns(860), 480, 1.0, false),
            (ns(1340), 100, 2.0, false),
            (81 * MS, 380, 3.0, true),
            (81 * MS + ns(380), 480, 3.0, false),
            (81 * MS + ns(860), 100, 4.0, false),
        ];
        close(got, &expected, way);
        assert_eq!(drained(&messages), [70, 101], "{way}");

        // Output that is where its input is stays there, and is no more marked than that.
        for returns in ["return audio.copy()", "return None"] {
            let text = format!(
                "def process(audio, ctx):\n    ctx.post('got', discont=ctx.discont)\n    {returns}\n"
            );
            let mut rig = Rig::new(&text, way, STEREO);
            let (got, messages) = leaping(&mut rig, [0, 30, 60, 5000, 100]);
            let told: Vec<bool> = common::structures(&messages, "got")
                .map(|s| s.get("discont").unwrap())
                .collect();
            assert_eq!(told, [false, false, false, true, true], "{way} {returns}");
            let times = [0, 30, 60, 5000, 100].map(|ms| ms * MS);
            assert_eq!(got.iter().map(|b| b.0).collect::<Vec<_>>(), times);
            let marked: Vec<bool> = got.iter().map(|b| b.3).collect();
            assert_eq!(
                marked,
                [true, false, false, false, false],
                "{way} {returns}"
            );
        }
    }

    // A node that makes less of it, and has no drain.
    let half = "def process(audio): return audio[::2].copy()\n";
    let mut rig = Rig::new(half, "", STEREO);
    let (got, _) = leaping(&mut rig, [0, 10, 5000, 5010, 5020]);
    let expected = [
        (0, 240, 0.0, true),
        (ns(240), 240, 1.0, false),
        (5000 * MS, 240, 2.0, true),
        (5000 * MS + ns(240), 240, 3.0, false),
        (5000 * MS + ns(480), 240, 4.0, false),
    ];
    close(got, &expected, "half");
}

/// A node that was asked for what it held is asked for nothing more at the leap that follows; its
/// output breaks off there all the same.
#[test]
fn a_leap_after_a_drain_is_marked() {
    let lost = gst::Structure::builder("rustvad")
        .field("speech", false)
        .field("timestamp", 20_000_000u64)
        .field("timed-out", true)
        .build();
    let ends = [
        gst::event::CustomDownstream::new(lost),
        gst::event::Gap::new(20 * gst::ClockTime::MSECOND, None),
    ];
    for (way, end) in WAYS
        .iter()
        .flat_map(|way| ends.iter().map(move |e| (way, e)))
    {
        for (next, marked) in [(2, false), (100, true)] {
            let mut rig = Rig::new(DELAY, &format!("class=Delay {way}"), STEREO);
            rig.push(0, 0.0).unwrap();
            rig.push(1, 1.0).unwrap();
            rig.harness.push_event(end.clone());
            rig.push(next, 2.0).unwrap();
            let got: Vec<_> = came(&mut rig).iter().map(|b| (b.1, b.2, b.3)).collect();
            let expected = [
                (380, 0.0, true),
                (480, 0.0, false),
                (100, 1.0, false),
                (380, 2.0, marked),
            ];
            assert_eq!(got, expected, "{way} {next} {end:?}");
        }
    }
}

/// The pads of an element that stops are closed one after the other. A flush that ends in between
/// must not let a wait begin anew, which would keep the stop waiting for it.
#[test]
fn the_end_of_a_flush_does_not_undo_a_stop() {
    let mut rig = Rig::new(
        "def process(audio, ctx):\n    raise TimeoutError\n",
        "initial-backoff=3600000000000 max-backoff=3600000000000",
        STEREO,
    );
    let (sink, src) = (rig.pad("sink"), rig.pad("src"));
    rig.harness.push_event(gst::event::FlushStart::new());
    // The source pad, which is closed first, cannot be as long as this is held.
    let open = src.stream_lock();
    let stopper = std::thread::spawn({
        let element = rig.element.clone();
        move || element.set_state(gst::State::Ready).is_ok()
    });
    while src.mode() != gst::PadMode::None {
        std::thread::yield_now();
    }
    rig.harness.push_event(gst::event::FlushStop::new(true));
    // It took the segment with it, and a new one would not get past the closed source pad.
    sink.store_sticky_event(&segment_at(0)).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(sink.chain(Rig::buffer(0, 1.0))));
    let patience = std::time::Duration::from_nanos(common::PATIENCE.nseconds());
    let flow = told.recv_timeout(patience);
    if flow.is_err() {
        // Frees the stop, so that the test can end.
        rig.harness.push_event(gst::event::FlushStart::new());
    }
    drop(open);
    assert_eq!(flow, Ok(Err(gst::FlowError::Flushing)), "the wait goes on");
    assert!(stopper.join().unwrap());
}

/// A named pipe: whoever opens it waits for the other end.
fn fifo(path: &std::path::Path) {
    let _ = std::fs::remove_file(path);
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn a_flush_during_a_long_isolated_start_is_no_error() {
    let path = node("");
    let (pipe, mark) = (path.with_extension("fifo"), path.with_extension("mark"));
    let _ = std::fs::remove_file(&mark);
    fifo(&pipe);
    let text = format!(
        "import os, time\n\
         class N:\n\
         \x20   def start(self, info):\n\
         \x20       if os.path.exists({mark:?}): return\n\
         \x20       open({mark:?}, 'w').close()\n\
         \x20       open({pipe:?}, 'w').close()\n\
         \x20       time.sleep(3600)\n\
         \x20   def process(self, audio): audio += 1\n"
    );
    let p = crate::pipeline(20, STEREO, &text, "class=N isolation=process");
    let bus = p.bus().unwrap();
    p.set_state(gst::State::Playing).unwrap();
    // Returns when the node is in its start.
    std::fs::read(&pipe).unwrap();
    p.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)
        .unwrap();
    let end = bus.timed_pop_filtered(
        common::PATIENCE,
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    p.set_state(gst::State::Null).unwrap();
    assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
}

#[test]
fn an_isolated_start_that_hangs_is_ended() {
    let p = crate::pipeline(
        1,
        STEREO,
        "import time\nclass N:\n    def start(self): time.sleep(3600)\n    def process(self, a): pass\n",
        "class=N isolation=process timeout=1000000",
    );
    // However short the calls: models take long to load.
    let (message, _) = crate::refused(&p);
    assert!(message.contains("no answer within 10s"), "{message}");
}

#[test]
fn planes_that_make_no_array_are_an_error_that_says_what_helps() {
    common::init();
    let caps = STEREO
        .replace("interleaved", "non-interleaved")
        .replace("channels=2", "channels=3,channel-mask=(bitmask)0x7");
    let info = gst_audio::AudioInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
    let buffer = |cut: usize| {
        let mut buffer = gst::Buffer::from_mut_slice(vec![0u8; 8192]);
        let b = buffer.get_mut().unwrap();
        b.set_pts(gst::ClockTime::ZERO);
        gst_audio::AudioMeta::add(b, &info, 480, &[0, 1920, 6000]).unwrap();
        b.set_size(8192 - cut);
        buffer
    };
    let text = "def process(audio): pass\n";
    let mut rig = Rig::new(text, "", &caps);
    assert_eq!(rig.harness.push(buffer(0)), Err(gst::FlowError::Error));
    let error = rig.error();
    assert!(
        error.contains("[0, 1920, 6000]") && error.contains("chunk=duration"),
        "{error}"
    );
    for properties in ["", "chunk=duration chunk-duration=5000000"] {
        let mut rig = Rig::new(text, properties, &caps);
        assert_eq!(rig.harness.push(buffer(4000)), Err(gst::FlowError::Error));
        let error = rig.error();
        assert!(error.contains("contradicts"), "{error}");
    }
    // What the message advises.
    let mut rig = Rig::new(text, "chunk=duration chunk-duration=5000000", &caps);
    rig.harness.push(buffer(0)).unwrap();
    assert_eq!(rig.samples().len(), 3 * 480);
}
