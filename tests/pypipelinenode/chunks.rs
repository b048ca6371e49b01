// SPDX-License-Identifier: MIT

//! Pieces of a duration and utterances.

use crate::{STEREO, finish, pipeline, run_ok};
use gst::prelude::*;

fn sizes(run: &crate::Run) -> Vec<i64> {
    run.structures("got")
        .iter()
        .map(|s| s.get("frames").unwrap())
        .collect()
}

const TELL: &str = "def process(audio, ctx):\n    ctx.post('got', frames=len(audio), pts=ctx.pts, utterance=ctx.utterance or 0)\n";

#[test]
fn equal_durations_and_the_rest() {
    let run = run_ok(10, TELL, "chunk=duration chunk-duration=32000000");
    // 4800 frames in pieces of 1536.
    assert_eq!(sizes(&run), [1536, 1536, 1536, 192]);
    let joined = |s: &[crate::Seen]| s.iter().flat_map(|b| b.data.clone()).collect::<Vec<_>>();
    assert!(joined(&run.input) == joined(&run.output));
    let mut next = gst::ClockTime::ZERO;
    for out in &run.output {
        assert_eq!(out.pts, Some(next));
        next += out.duration.unwrap();
    }
    assert_eq!(next, 100 * gst::ClockTime::MSECOND);
    assert_eq!(run.metric::<u64>("latency"), 32_000_000);
}

#[test]
fn planar_audio_is_cut_plane_by_plane() {
    let caps = STEREO.replace("interleaved", "non-interleaved");
    let p = pipeline(
        4,
        &caps,
        "def process(audio, ctx):\n    return audio.copy()\n",
        "chunk=duration chunk-duration=5000000",
    );
    let run = finish(&p);
    assert!(run.failures().is_empty(), "{:?}", run.failures());
    assert_eq!(run.output.len(), 8);
    for (i, out) in run.output.iter().enumerate() {
        let (whole, part) = (run.input[i / 2].f32(), out.f32());
        let at = 240 * (i % 2);
        assert_eq!(part[..240], whole[at..at + 240]);
        assert_eq!(part[240..], whole[480 + at..480 + at + 240]);
    }
}

/// Sends rustvad's event before the buffer at which `at` ms lies.
fn announce(p: &gst::Pipeline, changes: &'static [(u64, bool)]) {
    let pad = p.by_name("node").unwrap().static_pad("sink").unwrap();
    let left = std::sync::atomic::AtomicUsize::new(0);
    let peer = pad.peer().unwrap();
    peer.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        use std::sync::atomic::Ordering::Relaxed;
        let buffer = info.buffer().unwrap();
        let end = buffer.pts().unwrap() + buffer.duration().unwrap();
        while let Some((ms, speech)) = changes.get(left.load(Relaxed))
            && *ms * gst::ClockTime::MSECOND < end
        {
            let i = left.fetch_add(1, Relaxed);
            let s = gst::Structure::builder("rustvad")
                .field("speech", speech)
                .field("timestamp", ms * 1_000_000)
                .field("segment", 1 + i as u64 / 2)
                .build();
            pad.push_event(gst::event::CustomDownstream::new(s));
        }
        gst::PadProbeReturn::Ok
    });
}

#[test]
fn utterances_are_whole_and_silence_passes_by() {
    let p = pipeline(
        20,
        STEREO,
        &format!("{TELL}    audio *= 0\n"),
        "chunk=utterance",
    );
    announce(
        &p,
        &[
            (25, true),
            (75, false),
            (100, true),
            (130, false),
            (185, true),
        ],
    );
    let run = finish(&p);
    assert!(run.failures().is_empty(), "{:?}", run.failures());
    let got: Vec<(i64, i64, i64)> = run
        .structures("got")
        .iter()
        .map(|s| {
            let get = |f: &str| s.get::<i64>(f).unwrap();
            (get("pts") / 1_000_000, get("frames"), get("utterance"))
        })
        .collect();
    // The last one ends with the stream.
    assert_eq!(got, [(25, 2400, 1), (100, 1440, 2), (185, 720, 3)]);
    let input: Vec<f32> = run.input.iter().flat_map(|s| s.f32()).collect();
    let output: Vec<f32> = run.output.iter().flat_map(|s| s.f32()).collect();
    assert_eq!(input.len(), output.len());
    for (i, (a, b)) in input.iter().zip(&output).enumerate() {
        let ms = i / 96;
        let speech = (25..75).contains(&ms) || (100..130).contains(&ms) || ms >= 185;
        assert_eq!(*b, if speech { 0.0 } else { *a }, "frame {}", i / 2);
    }
    let mut next = gst::ClockTime::ZERO;
    for out in &run.output {
        assert!(out.pts.unwrap().nseconds().abs_diff(next.nseconds()) <= 1);
        next = out.pts.unwrap() + out.duration.unwrap();
    }
}

#[test]
fn long_utterances_come_in_pieces() {
    let p = pipeline(20, STEREO, TELL, "chunk=utterance chunk-duration=40000000");
    announce(&p, &[(10, true), (120, false)]);
    let run = finish(&p);
    assert_eq!(sizes(&run), [1920, 1920, 1440]);
}

#[test]
fn speech_is_known_to_each_buffer() {
    let p = pipeline(
        6,
        STEREO,
        "def process(audio, ctx):\n    ctx.post('got', speech=str(ctx.speech))\n",
        "",
    );
    announce(&p, &[(20, true), (40, false)]);
    let run = finish(&p);
    let got: Vec<String> = run
        .structures("got")
        .iter()
        .map(|s| s.get("speech").unwrap())
        .collect();
    assert_eq!(got, ["None", "None", "True", "True", "False", "False"]);
}

#[test]
fn an_utterance_that_is_cut_off_is_delivered_at_once() {
    let mut rig = crate::Rig::new(TELL, "chunk=utterance", STEREO);
    let edge = |ms: u64, speech: bool, timed_out: bool| {
        let structure = gst::Structure::builder("rustvad")
            .field("speech", speech)
            .field("timestamp", ms * 1_000_000)
            .field("segment", 4u64)
            .field("timed-out", timed_out)
            .build();
        gst::event::CustomDownstream::new(structure)
    };
    rig.harness.push_event(edge(10, true, false));
    for i in 0..5 {
        rig.push(i, 0.5).unwrap();
    }
    assert!(rig.structures("got").is_empty(), "somebody speaks");
    // A clock that runs a little fast says later than the samples do.
    rig.harness.push_event(edge(52, false, true));
    let got = rig.structures("got");
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].get::<i64>("frames"), Ok(1920));
    assert_eq!(got[0].get::<i64>("utterance"), Ok(4));
    assert_eq!(rig.frames(), 2400);
    // What comes then lies between utterances.
    rig.push(5, 0.5).unwrap();
    assert_eq!(rig.frames(), 480);
    assert!(rig.structures("got").is_empty());
}
