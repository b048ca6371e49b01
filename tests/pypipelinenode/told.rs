// SPDX-License-Identifier: MIT

//! What a user is told who reads warnings and errors alone, and what is told but once.

use crate::{Run, STEREO, common, run_ok};
use gst::prelude::*;

/// Texts and debug texts of the warnings.
fn warnings(messages: &[gst::Message]) -> Vec<(String, String)> {
    messages
        .iter()
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(w) => Some((
                w.error().message().to_owned(),
                w.debug().map(String::from).unwrap_or_default(),
            )),
            _ => None,
        })
        .collect()
}

fn told(run: &Run) -> Vec<String> {
    warnings(&run.messages).into_iter().map(|w| w.0).collect()
}

#[test]
fn a_run_in_which_every_call_fails_is_warned_of_twice() {
    for way in ["", "isolation=process"] {
        let run = run_ok(
            20,
            "def process(audio, ctx):\n    raise ValueError('no such thing')\n",
            way,
        );
        assert_eq!(run.failures().len(), 5);
        let all = warnings(&run.messages);
        assert_eq!(all.len(), 2, "{all:?}");
        let (first, debug) = &all[0];
        for part in [".py:2: ValueError: no such thing", "passes as it came"] {
            assert!(first.contains(part), "{first}");
        }
        assert!(debug.contains("Traceback"), "{debug}");
        for part in ["5 times in a row", "30s", "no such thing"] {
            assert!(all[1].0.contains(part), "{}", all[1].0);
        }
    }
}

#[test]
fn each_opening_of_the_breaker_is_warned_of_but_no_buffer() {
    let fails = "def process(audio, ctx):\n    raise ValueError\n";
    let opened = |run: &Run| {
        run.structures("pypipelinenode-breaker")
            .iter()
            .filter(|s| s.get::<&str>("state") == Ok("open"))
            .count()
    };
    // So short that every buffer is a trial.
    let run = run_ok(20, fails, "breaker-threshold=2 breaker-cooldown=1");
    assert_eq!(opened(&run), 19);
    assert_eq!(told(&run).len(), 1 + 19);
    // Nothing is ever skipped: this would be a warning for each buffer.
    let run = run_ok(20, fails, "breaker-threshold=2 breaker-cooldown=0");
    assert_eq!((opened(&run), told(&run).len()), (19, 2));
    let run = run_ok(20, fails, "breaker-threshold=0 on-failure=drop");
    let all = told(&run);
    assert!(all.len() == 1 && all[0].contains("is dropped"), "{all:?}");
    // The error says it.
    let run = crate::run(20, fails, "on-failure=error");
    assert!(run.has_error() && told(&run).is_empty());
}

#[test]
fn a_drain_that_fails_for_good_is_warned_of() {
    let run = run_ok(
        3,
        "class N:\n\
         \x20   def process(self, audio, ctx): pass\n\
         \x20   def drain(self): raise ValueError('late')\n",
        "class=N",
    );
    let all = told(&run);
    assert!(all.len() == 1 && all[0].contains("late"), "{all:?}");
}

#[test]
fn what_works_again_is_not_warned_of() {
    let run = run_ok(
        3,
        "def process(audio, ctx):\n    if ctx.attempt == 1: raise TimeoutError\n",
        "",
    );
    assert_eq!(run.failures().len(), 3);
    assert!(told(&run).is_empty());
}

/// A node whose `start` is as `start` says, and a log of its starts.
fn starting(start: &str, properties: &str) -> (gst::Pipeline, std::path::PathBuf) {
    let log = crate::node("").with_extension("log");
    let _ = std::fs::remove_file(&log);
    let path = crate::node(&format!(
        "class N:\n\
         \x20   def start(self, info):\n\
         \x20       with open({log:?}, 'a') as log: log.write('start\\n')\n\
         \x20       {start}\n\
         \x20   def process(self, audio, ctx): pass\n"
    ));
    // Four buffers wait in front of it; caps that were not taken come again with each.
    let p = common::launch(&format!(
        "{}8 ! {STEREO} ! queue ! pypipelinenode name=node class=N module={} {properties} \
         ! fakesink name=sink",
        crate::SOURCE,
        path.display()
    ));
    (p, log)
}

fn starts(log: &std::path::Path) -> usize {
    std::fs::read_to_string(log)
        .unwrap_or_default()
        .lines()
        .count()
}

/// Who sent the error messages.
fn errors(messages: &[gst::Message]) -> Vec<String> {
    let errors = messages
        .iter()
        .filter(|m| m.type_() == gst::MessageType::Error);
    errors
        .map(|m| m.src().unwrap().name().to_string())
        .collect()
}

#[test]
fn a_start_that_failed_is_the_one_error_and_is_not_tried_again_until_ready() {
    for way in ["", "isolation=process"] {
        let (p, log) = starting("raise ValueError('unfit')", way);
        for round in 1..=2 {
            let bus = p.bus().unwrap();
            p.set_state(gst::State::Playing).ok();
            let first = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Error]);
            let mut messages = vec![first.unwrap()];
            let node = p.by_name("node").unwrap();
            // Refused caps or another flow would have the source tell an error of its own.
            for _ in 0..3 {
                let caps = STEREO.parse::<gst::Caps>().unwrap();
                let pad = node.static_pad("sink").unwrap();
                assert!(pad.send_event(gst::event::Caps::new(&caps)));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                assert!(pad.send_event(gst::event::Segment::new(&segment)));
                let flow = pad.chain(gst::Buffer::from_slice([0; 64]));
                assert_eq!(flow, Err(gst::FlowError::Flushing));
            }
            p.set_state(gst::State::Ready).ok();
            messages.extend(std::iter::from_fn(|| bus.pop()));
            p.set_state(gst::State::Null).unwrap();
            assert_eq!(errors(&messages), ["node"], "{messages:?}");
            assert_eq!(starts(&log), round, "{way}");
        }
    }
}

#[test]
fn a_start_that_hangs_is_waited_for_once_by_a_stop() {
    let (p, log) = starting("while True: pass", "isolation=process");
    p.set_state(gst::State::Playing).ok();
    while starts(&log) == 0 {
        std::thread::yield_now();
    }
    p.set_state(gst::State::Ready).ok();
    let bus = p.bus().unwrap();
    let messages: Vec<_> = std::iter::from_fn(|| bus.pop()).collect();
    p.set_state(gst::State::Null).unwrap();
    // Cut short, it did not fail.
    assert!(errors(&messages).is_empty(), "{messages:?}");
    assert_eq!(starts(&log), 1);
}

#[test]
fn a_reload_brings_the_trial_forward_and_says_so() {
    for way in ["", "isolation=process"] {
        let mut rig = crate::Rig::new(
            "def process(audio, ctx): raise ValueError\n",
            &format!("{way} reload=true breaker-threshold=1 breaker-cooldown=3600000000000"),
            STEREO,
        );
        rig.push(0, 1.0).unwrap();
        rig.push(1, 1.0).unwrap();
        assert_eq!(rig.samples(), [1.0; 1920]);
        let stats: gst::Structure = rig.element.property("stats");
        assert_eq!(stats.get::<&str>("breaker-state"), Ok("open"));
        let module: String = rig.element.property("module");
        // It does not compile: the breaker stays.
        std::fs::write(&module, "def process(audio, ctx): a b\n").unwrap();
        rig.push(2, 1.0).unwrap();
        let messages = rig.messages();
        let states = |messages: &[gst::Message]| -> Vec<(String, u64)> {
            common::structures(messages, "pypipelinenode-breaker")
                .map(|s| (s.get("state").unwrap(), s.get("timestamp").unwrap()))
                .collect()
        };
        assert_eq!(states(&messages), [("open".to_owned(), 0)]);
        let all: Vec<String> = warnings(&messages).into_iter().map(|w| w.0).collect();
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(
            all[2].contains("SyntaxError") && all[2].contains("the old one stays"),
            "{all:?}"
        );
        std::fs::write(&module, "def process(audio, ctx): audio += 1\n").unwrap();
        rig.push(3, 1.0).unwrap();
        rig.push(4, 1.0).unwrap();
        assert_eq!(rig.samples()[960..], [2.0; 1920]);
        let told = states(&rig.messages());
        let expected = [("half-open", 30_000_000), ("closed", 30_000_000)];
        assert_eq!(told, expected.map(|(s, t)| (s.to_owned(), t)));
    }
}

#[test]
fn the_first_failure_after_a_reload_is_warned_of_again() {
    let mut rig = crate::Rig::new(
        "def process(audio, ctx): raise ValueError('one')\n",
        "reload=true",
        STEREO,
    );
    rig.push(0, 1.0).unwrap();
    rig.push(1, 1.0).unwrap();
    let module: String = rig.element.property("module");
    std::fs::write(
        &module,
        "def process(audio, ctx): raise ValueError('other')\n",
    )
    .unwrap();
    rig.push(2, 1.0).unwrap();
    rig.push(3, 1.0).unwrap();
    let all = warnings(&rig.messages());
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].0.contains("one") && all[1].0.contains("other"));
}

const SILENCE: &str = "audiotestsrc wave=silence samplesperbuffer=160 num-buffers=50 \
    ! audio/x-raw,format=F32LE,rate=16000,channels=1";

fn utterances(way: &str) -> (Vec<gst::Message>, String) {
    let path = crate::node("def process(audio, ctx): ctx.post('called')\n");
    let node = format!(
        "pypipelinenode name=node chunk=utterance module={}",
        path.display()
    );
    let messages = common::play_ok(&common::launch(&way.replace("NODE", &node)));
    let last = common::structures(&messages, "rustaudio-metrics")
        .filter(|s| s.get::<bool>("final") == Ok(true))
        .find(|s| s.get::<&str>("element") == Ok("node"));
    let status = last.unwrap().get("status").unwrap();
    (messages, status)
}

#[test]
fn utterances_without_a_rustvad_upstream_are_warned_of_once() {
    for way in [
        format!("{SILENCE} ! NODE ! fakesink"),
        format!("{SILENCE} ! NODE ! rustvad ! fakesink"),
        format!(
            "{SILENCE} ! tee name=t t. ! queue ! NODE ! fakesink t. ! queue ! rustvad ! fakesink"
        ),
    ] {
        let (messages, status) = utterances(&way);
        let all = warnings(&messages);
        assert_eq!(all.len(), 1, "{way}: {all:?}");
        assert!(all[0].0.contains("no rustvad upstream"), "{all:?}");
        assert_eq!(status, "degraded", "{way}");
    }
}

#[test]
fn a_rustvad_that_has_heard_no_speech_yet_is_seen_through_all_that_passes_queries_on() {
    for way in [
        "SRC ! rustvad ! NODE ! fakesink",
        "SRC ! rustvad mode=mute post-messages=false ! NODE ! fakesink",
        "SRC ! rustvad ! tee name=t t. ! queue ! NODE ! fakesink t. ! queue ! fakesink",
        "SRC ! rustvad ! queue ! rustaudioconvert ! rustresample ! audio/x-raw,rate=48000 \
         ! audioconvert ! identity ! multiqueue ! valve ! NODE ! fakesink",
        "SRC ! rustvad ! pypipelinenode module=PASS ! NODE ! fakesink",
        "SRC ! rustvad ! input-selector ! capsfilter ! NODE ! fakesink",
        "SRC ! rustvad ! funnel ! level ! volume ! NODE ! fakesink",
    ] {
        let pass = crate::node("def process(audio): pass\n");
        let way = way
            .replace("SRC", SILENCE)
            .replace("PASS", &pass.display().to_string());
        let (messages, status) = utterances(&way);
        let all = warnings(&messages);
        assert!(all.is_empty(), "{way}: {all:?}");
        assert_eq!(status, "ok", "{way}");
    }
}

#[test]
fn an_application_that_sends_the_events_itself_is_believed() {
    let mut rig = crate::Rig::new(
        "def process(audio, ctx): ctx.post('called')\n",
        "chunk=utterance",
        STEREO,
    );
    let speech = |speech: bool, at: u64| {
        let s = gst::Structure::builder("rustvad")
            .field("speech", speech)
            .field("timestamp", at)
            .field("segment", 1u64)
            .build();
        gst::event::CustomDownstream::new(s)
    };
    let status = |rig: &crate::Rig| -> String {
        let stats: gst::Structure = rig.element.property("stats");
        stats.get("status").unwrap()
    };
    // The first one comes late, which nobody could know of.
    rig.push(0, 0.0).unwrap();
    assert_eq!(status(&rig), "degraded");
    rig.harness.push_event(speech(true, 10_000_000));
    rig.push(1, 0.0).unwrap();
    rig.harness.push_event(speech(false, 20_000_000));
    rig.push(2, 0.0).unwrap();
    assert_eq!(status(&rig), "ok");
    let messages = rig.messages();
    assert_eq!(warnings(&messages).len(), 1);
    assert_eq!(common::structures(&messages, "called").count(), 1);
}

#[test]
fn half_a_frame_is_warned_of_once() {
    let whole = "def process(audio, ctx):\n    assert audio.shape == (480, 2)\n";
    let pipeline = crate::pipeline(4, STEREO, whole, "");
    let pad = pipeline.by_name("node").unwrap().static_pad("sink");
    pad.unwrap()
        .add_probe(gst::PadProbeType::BUFFER, |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
                let rest = gst::Memory::from_slice([0; 3]);
                buffer.make_mut().append_memory(rest);
            }
            gst::PadProbeReturn::Ok
        });
    let run = crate::finish(&pipeline);
    assert!(!run.has_error() && run.failures().is_empty());
    let all = told(&run);
    assert!(
        all.len() == 1 && all[0].contains("3843 bytes") && all[0].contains("frames of 8 bytes"),
        "{all:?}"
    );
}
