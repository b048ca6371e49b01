// SPDX-License-Identifier: MIT

//! Pieces of a duration and utterances.

use crate::{Rig, STEREO, finish, pipeline, run_ok};
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

/// rustvad's event for a change at `at` ns.
fn edge(at: u64, speech: bool, segment: u64, timed_out: bool) -> gst::Event {
    let structure = gst::Structure::builder("rustvad")
        .field("speech", speech)
        .field("timestamp", at)
        .field("segment", segment)
        .field("timed-out", timed_out)
        .build();
    gst::event::CustomDownstream::new(structure)
}

#[test]
fn an_utterance_that_is_cut_off_is_delivered_at_once() {
    let mut rig = Rig::new(TELL, "chunk=utterance", STEREO);
    let edge = |ms: u64, speech, timed_out| edge(ms * 1_000_000, speech, 4, timed_out);
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

const STATE: &str = "def process(audio, ctx):\n    ctx.post('got', frames=len(audio), pts=ctx.pts, speech=str(ctx.speech), utterance=ctx.utterance or 0)\n";

/// What the node was given since the last look: PTS in ms, frames, speech, utterance.
fn calls(rig: &Rig) -> Vec<(i64, i64, String, i64)> {
    let calls = rig.structures("got").into_iter().map(|s| {
        let get = |field: &str| s.get::<i64>(field).unwrap();
        let speech = s.get("speech").unwrap();
        assert_eq!(get("pts") % 1_000_000, 0);
        (
            get("pts") / 1_000_000,
            get("frames"),
            speech,
            get("utterance"),
        )
    });
    calls.collect()
}

/// What came out since the last look: PTS in ms, and frames.
fn output(rig: &mut Rig) -> Vec<(u64, usize)> {
    std::iter::from_fn(|| rig.harness.try_pull())
        .map(|b| (b.pts().unwrap().nseconds(), b.size() / 8))
        .inspect(|(pts, _)| assert_eq!(pts % 1_000_000, 0))
        .map(|(pts, frames)| (pts / 1_000_000, frames))
        .collect()
}

const CUTS: [&str; 3] = [
    "chunk=buffer",
    "chunk=duration chunk-duration=20000000",
    "chunk=utterance",
];

/// Speech from 1010 ms on that is over, at `end` ns, where time goes back to 0 at 1050 ms `how`;
/// more of it from `again` ms to 40 ms.
fn goes_back(cut: &str, how: &str, end: u64, again: u64) -> Rig {
    let mut rig = Rig::new(STATE, cut, STEREO);
    for i in 100..105 {
        if i == 101 {
            rig.harness.push_event(edge(1_010_000_000, true, 1, false));
        }
        rig.push(i, 0.5).unwrap();
    }
    rig.harness.push_event(edge(end, false, 1, false));
    let segment = gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
    match how {
        "segment" => {
            rig.harness.push_event(segment);
        }
        "segment-done" => {
            let at = 1050 * gst::ClockTime::MSECOND;
            rig.harness.push_event(gst::event::SegmentDone::new(at));
        }
        "stream-start" => {
            rig.harness.push_event(gst::event::StreamStart::new("next"));
        }
        _ => {}
    }
    for i in 0..6 {
        if i == again / 10 {
            rig.harness
                .push_event(edge(again * 1_000_000, true, 2, false));
        } else if i == 4 {
            rig.harness.push_event(edge(40_000_000, false, 2, false));
        }
        let mut buffer = Rig::buffer(i, 0.5);
        if i == 0 && how == "discont" {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        rig.harness.push(buffer).unwrap();
    }
    rig.harness.push_event(gst::event::Eos::new());
    rig
}

#[test]
fn speech_is_over_where_time_goes_back() {
    let call = |pts, frames, speech: &str, utterance| (pts, frames, speech.to_string(), utterance);
    // By the last timestamp, and a frame later, by a clock that is a little off.
    for end in [1_050_000_000, 1_050_020_834] {
        for how in ["segment", "segment-done", "stream-start", "discont", "jump"] {
            for again in [20, 0] {
                let name = format!("{how} {end} {again}");
                let (from, to) = (again as i64, 40);
                let at = |pts: i64| match pts {
                    1000 => ("None", 0),
                    1010.. => ("True", 1),
                    _ if (from..to).contains(&pts) => ("True", 2),
                    _ => ("False", 0),
                };
                let times = [1000, 1010, 1020, 1030, 1040, 0, 10, 20, 30, 40, 50];

                let mut rig = goes_back(CUTS[0], how, end, again);
                let expected = times.map(|pts| call(pts, 480, at(pts).0, at(pts).1));
                assert_eq!(calls(&rig), expected, "{name}");
                assert_eq!(
                    output(&mut rig),
                    times.map(|pts| (pts as u64, 480)),
                    "{name}"
                );

                let mut rig = goes_back(CUTS[1], how, end, again);
                let state = at(0);
                let expected = [
                    call(1000, 960, "True", 1),
                    call(1020, 960, "True", 1),
                    call(1040, 480, "True", 1),
                    call(0, 960, state.0, state.1),
                    call(20, 960, "True", 2),
                    call(40, 960, "False", 0),
                ];
                assert_eq!(calls(&rig), expected, "{name}");
                let expected = expected.map(|c| (c.0 as u64, c.1 as usize));
                assert_eq!(output(&mut rig), expected, "{name}");

                let mut rig = goes_back(CUTS[2], how, end, again);
                let frames = 48 * (to - from);
                let expected = [call(1010, 1920, "True", 1), call(from, frames, "True", 2)];
                assert_eq!(calls(&rig), expected, "{name}");
                let mut expected = vec![(1000, 480), (1010, 1920)];
                expected.extend([(0, 480), (10, 480)].iter().filter(|b| b.0 < again));
                expected.extend([(again, frames as usize), (40, 480), (50, 480)]);
                assert_eq!(output(&mut rig), expected, "{name}");
            }
        }
    }
}

/// Behind an `input-selector` each stream has a detector of its own, which says nothing of the others'.
#[test]
fn an_open_utterance_ends_with_its_stream() {
    let call = |pts, frames, speech: &str, utterance| (pts, frames, speech.to_string(), utterance);
    // The harness's own stream, told again, goes on.
    let own = |rig: &Rig| {
        let start = rig.pad("sink").sticky_event::<gst::event::StreamStart>(0);
        start.unwrap().stream_id().to_string()
    };
    for cut in CUTS {
        for goes_on in [false, true] {
            let mut rig = Rig::new(STATE, cut, STEREO);
            rig.harness.push_event(edge(0, true, 7, false));
            rig.push(0, 0.5).unwrap();
            rig.push(1, 0.5).unwrap();
            let id = if goes_on { own(&rig) } else { "other".into() };
            rig.harness.push_event(gst::event::StreamStart::new(&id));
            let mut expected = match cut {
                "chunk=buffer" => vec![call(0, 480, "True", 7), call(10, 480, "True", 7)],
                _ => vec![call(0, 960, "True", 7)],
            };
            assert_eq!(calls(&rig), expected, "{cut} {goes_on}");
            rig.push(2, 0.5).unwrap();
            rig.push(3, 0.5).unwrap();
            rig.harness.push_event(edge(40_000_000, false, 3, false));
            rig.harness.push_event(gst::event::Eos::new());
            let (speech, utterance) = if goes_on { ("True", 7) } else { ("None", 0) };
            expected = match cut {
                "chunk=buffer" => [(20, 480), (30, 480)]
                    .map(|(pts, frames)| call(pts, frames, speech, utterance))
                    .into(),
                "chunk=utterance" if !goes_on => vec![],
                _ => vec![call(20, 960, speech, utterance)],
            };
            assert_eq!(calls(&rig), expected, "{cut} {goes_on}");
            let frames: usize = output(&mut rig).iter().map(|b| b.1).sum();
            assert_eq!(frames, 4 * 480, "{cut} {goes_on}");
        }
    }
}

#[test]
fn what_is_left_of_a_duration_has_the_speech_of_its_first_half() {
    let mut rig = Rig::new(STATE, "chunk=duration chunk-duration=1000000000", STEREO);
    rig.harness.push_event(edge(10_000_000, true, 1, false));
    for i in 0..5 {
        rig.push(i, 0.5).unwrap();
    }
    rig.harness.push_event(gst::event::Eos::new());
    assert_eq!(calls(&rig), [(0, 2400, "True".to_string(), 1)]);
    assert_eq!(output(&mut rig), [(0, 2400)]);
}
