// SPDX-License-Identifier: MIT

//! Starting, stopping, reloading, and many at once.

use crate::{STEREO, common, run_ok};
use gst::prelude::*;
use std::sync::{Arc, Mutex};

#[test]
fn hooks_are_called_in_order() {
    let path = crate::node(
        "class N:\n\
         \x20   def __init__(self, log): self.log = open(log, 'a')\n\
         \x20   def start(self, info): print('start', info.rate, info.channels, info.dtype, file=self.log)\n\
         \x20   def process(self, audio, ctx): print('process', file=self.log)\n\
         \x20   def stop(self): print('stop', file=self.log); self.log.flush()\n",
    );
    let log = path.with_extension("log");
    let _ = std::fs::remove_file(&log);
    let p = common::launch(&format!(
        "{}2 ! {STEREO} ! pypipelinenode module={} class=N kwargs=\"{{\\\"log\\\": \\\"{}\\\"}}\" ! fakesink",
        crate::SOURCE,
        path.display(),
        log.display()
    ));
    for _ in 0..2 {
        common::play_ok(&p);
    }
    let once = "start 48000 2 float32\nprocess\nprocess\nstop\n";
    assert_eq!(std::fs::read_to_string(&log).unwrap(), once.repeat(2));
}

#[test]
fn a_class_with_initialize_and_cleanup_works() {
    let run = run_ok(
        1,
        "class N:\n    def initialize(self): self.x = 1\n    def process(self, data): data[:] = self.x\n    def cleanup(self): assert self.x == 1\n",
        "class=N",
    );
    assert_eq!(run.output[0].f32()[5], 1.0);
}

#[test]
fn a_function_with_kwargs_works() {
    let path = crate::node("def scale(audio, ctx, by=1):\n    audio *= by\n");
    let p = common::launch(&format!(
        "{}1 ! {STEREO} ! pypipelinenode name=node function=scale module={} ! fakesink",
        crate::SOURCE,
        path.display()
    ));
    p.by_name("node")
        .unwrap()
        .set_property("kwargs", r#"{"by": 0.25}"#);
    let run = crate::finish(&p);
    assert_eq!(run.output[0].f32()[99], run.input[0].f32()[99] * 0.25);
}

/// What is set in READY is what plays next, whatever was loaded before.
#[test]
fn what_is_set_in_ready_plays_next() {
    let path = crate::node(
        "class A:\n    def __init__(self, by=1): self.by = by\n    def process(self, audio, ctx):\n        \
             ctx.post('played', what=f'A {self.by} {audio.shape}')\n\
         class B(A):\n    def process(self, audio, ctx):\n        \
             ctx.post('played', what=f'B {self.by} {audio.shape}')\n        return audio.copy()\n",
    );
    for way in ["inprocess", "process"] {
        let p = common::launch(&format!(
            "{}1 ! {STEREO} ! pypipelinenode name=node class=A isolation={way} module={} ! fakesink",
            crate::SOURCE,
            path.display()
        ));
        let node = p.by_name("node").unwrap();
        let play = |name: &str, value: &str| {
            p.set_state(gst::State::Ready).unwrap();
            if !name.is_empty() {
                node.set_property_from_str(name, value);
            }
            p.set_state(gst::State::Playing).unwrap();
            let bus = p.bus().unwrap();
            let mut messages = Vec::new();
            let ends = [gst::MessageType::Eos, gst::MessageType::Error];
            while messages
                .last()
                .is_none_or(|m: &gst::Message| !ends.contains(&m.type_()))
            {
                messages.push(bus.timed_pop(common::PATIENCE).expect("it ends"));
            }
            let played = common::structures(&messages, "played");
            let played: Vec<String> = played.map(|s| s.get("what").unwrap()).collect();
            assert!(
                messages
                    .iter()
                    .all(|m| m.type_() != gst::MessageType::Error),
                "{messages:?}"
            );
            played
        };
        assert_eq!(play("", ""), ["A 1 (480, 2)"], "{way}");
        assert_eq!(play("kwargs", r#"{"by": 3}"#), ["A 3 (480, 2)"], "{way}");
        assert_eq!(play("class", "B"), ["B 3 (480, 2)"], "{way}");
        assert_eq!(play("layout", "channels-first"), ["B 3 (2, 480)"], "{way}");
        let other = if way == "process" {
            "inprocess"
        } else {
            "process"
        };
        assert_eq!(play("isolation", other), ["B 3 (2, 480)"], "{way}");

        // What cannot be loaded is told there, each time, and what can be is then.
        p.set_state(gst::State::Ready).unwrap();
        for (name, value) in [("class", "Missing"), ("kwargs", "{bad")] {
            node.set_property(name, value);
            for _ in 0..2 {
                assert!(p.set_state(gst::State::Paused).is_err(), "{way} {name}");
                let errors = std::iter::from_fn(|| p.bus().unwrap().pop());
                let errors: Vec<_> = errors
                    .filter(|m| m.type_() == gst::MessageType::Error)
                    .collect();
                assert!(common::error(&errors).0.contains(value), "{way} {name}");
            }
        }
        node.set_property("kwargs", r#"{"by": 3}"#);
        assert_eq!(play("class", "A"), ["A 3 (2, 480)"], "{way}");
        p.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn one_thread_state_for_the_whole_stream() {
    let run = run_ok(
        50,
        "import threading\n\
         local = threading.local()\n\
         def process(audio, ctx):\n\
         \x20   local.n = getattr(local, 'n', 0) + 1\n\
         \x20   ctx.post('local', n=local.n)\n",
        "",
    );
    let counts: Vec<i64> = run
        .structures("local")
        .iter()
        .map(|s| s.get("n").unwrap())
        .collect();
    assert_eq!(counts, (1..=50).collect::<Vec<_>>());
}

#[test]
fn a_changed_file_takes_effect_and_a_broken_one_does_not() {
    let text = |n: &str| format!("def process(audio, ctx):\n    ctx.post('version', n={n})\n");
    let path = crate::node(&text("1"));
    let p = common::launch(&format!(
        "{}9 ! {STEREO} ! pypipelinenode name=node reload=true module={} ! fakesink",
        crate::SOURCE,
        path.display()
    ));
    // The file changes between two buffers.
    let count = std::sync::atomic::AtomicUsize::new(1);
    let file = path.clone();
    let pad = p.by_name("node").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            4 => std::fs::write(&file, text("2222")).unwrap(),
            7 => std::fs::write(&file, "def process(audio, ctx:\n").unwrap(),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    let messages = common::play_ok(&p);
    let versions: Vec<i64> = common::structures(&messages, "version")
        .map(|s| s.get("n").unwrap())
        .collect();
    assert_eq!(versions, [1, 1, 1, 2222, 2222, 2222, 2222, 2222, 2222]);
    let reloads: Vec<(bool, String)> = common::structures(&messages, "pypipelinenode-reload")
        .map(|s| (s.get("success").unwrap(), s.get("message").unwrap()))
        .collect();
    assert_eq!(reloads.len(), 2);
    assert!(reloads[0].0 && !reloads[1].0);
    assert!(reloads[1].1.contains("SyntaxError"), "{}", reloads[1].1);
}

#[test]
fn fifty_in_one_pipeline() {
    let path = crate::node("def process(audio, ctx):\n    audio += 1\n");
    let one = format!("! pypipelinenode module={} ", path.display());
    let p = common::launch(&format!(
        "{}20 ! {STEREO} ! identity name=node {} ! fakesink name=sink",
        crate::SOURCE,
        one.repeat(50)
    ));
    let before = crate::watch(&p.by_name("node").unwrap().static_pad("src").unwrap());
    let after = crate::watch(&p.by_name("sink").unwrap().static_pad("sink").unwrap());
    let messages = common::play_ok(&p);
    let finals = common::structures(&messages, "rustaudio-metrics")
        .filter(|s| s.get::<bool>("final") == Ok(true))
        .count();
    assert_eq!(finals, 50);
    let (before, after) = (before.lock().unwrap(), after.lock().unwrap());
    assert_eq!(after.len(), 20);
    for (a, b) in before.iter().zip(after.iter()) {
        let mut expected = a.f32();
        for x in &mut expected {
            for _ in 0..50 {
                *x += 1.0;
            }
        }
        assert_eq!(b.f32(), expected);
    }
}

type Times = Arc<Mutex<Vec<(gst::ClockTime, gst::ClockTime)>>>;

/// Times and durations of the buffers that reached `sink` after the last flush.
fn seen_since_the_last_flush(sink: &gst::Element) -> Times {
    let times = Times::default();
    let kept = times.clone();
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH;
    let pad = sink.static_pad("sink").unwrap();
    pad.add_probe(kinds, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(b)) => kept
                .lock()
                .unwrap()
                .push((b.pts().unwrap(), b.duration().unwrap())),
            Some(gst::PadProbeData::Event(e)) if e.type_() == gst::EventType::FlushStop => {
                kept.lock().unwrap().clear();
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    times
}

#[test]
fn a_storm_of_seeks() {
    let path = crate::node("def process(audio, ctx):\n    return audio.copy()\n");
    let p = common::launch(&format!(
        "audiotestsrc ! pypipelinenode name=node module={} chunk=duration chunk-duration=7000000 ! fakesink name=sink",
        path.display()
    ));
    let after = seen_since_the_last_flush(&p.by_name("sink").unwrap());
    p.set_state(gst::State::Playing).unwrap();
    for i in 0..100 {
        p.state(common::PATIENCE).0.unwrap();
        p.seek_simple(gst::SeekFlags::FLUSH, i * 10 * gst::ClockTime::MSECOND)
            .unwrap();
    }
    // The last one has an end: all of it comes out, and nothing of what was before.
    let (from, to) = (300 * gst::ClockTime::MSECOND, 500 * gst::ClockTime::MSECOND);
    p.seek(
        1.0,
        gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE,
        gst::SeekType::Set,
        from,
        gst::SeekType::Set,
        to,
    )
    .unwrap();
    let bus = p.bus().unwrap();
    let last = bus.timed_pop_filtered(
        common::PATIENCE,
        &[gst::MessageType::Error, gst::MessageType::Eos],
    );
    assert_eq!(last.unwrap().type_(), gst::MessageType::Eos);
    p.set_state(gst::State::Null).unwrap();
    let after = after.lock().unwrap();
    let mut next = from;
    for (pts, duration) in after.iter() {
        assert!(
            pts.nseconds().abs_diff(next.nseconds()) <= 1,
            "{pts}, expected {next}"
        );
        next = *pts + *duration;
    }
    assert!(
        next.nseconds().abs_diff(to.nseconds()) < 1_000_000,
        "{next}"
    );
}

#[test]
fn stats_are_answered_while_a_call_runs() {
    // The call ends only when the file appears, which is made after the query.
    let path = crate::node(
        "import os, time\n\
         def process(audio, ctx, go):\n\
         \x20   ctx.post('inside')\n\
         \x20   while not os.path.exists(go): time.sleep(0.001)\n",
    );
    let go = path.with_extension("go");
    let _ = std::fs::remove_file(&go);
    let p = common::launch(&format!(
        "audiotestsrc num-buffers=1 ! pypipelinenode name=node module={} function=process ! fakesink",
        path.display()
    ));
    let element = p.by_name("node").unwrap();
    element.set_property(
        "kwargs",
        format!("{{\"go\": {:?}}}", go.display().to_string()),
    );
    p.set_state(gst::State::Playing).unwrap();
    let bus = p.bus().unwrap();
    bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Element])
        .unwrap();
    let stats: gst::Structure = element.property("stats");
    assert_eq!(stats.get::<&str>("breaker-state"), Ok("closed"));
    let mut latency = gst::query::Latency::new();
    assert!(element.query(&mut latency));
    std::fs::write(&go, "").unwrap();
    bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Eos])
        .unwrap();
    p.set_state(gst::State::Null).unwrap();
}

#[test]
fn the_same_caps_again_leave_the_node_running() {
    let text = "\
class N:
    def start(self, info): self.held = None; self.tell('start')
    def output_caps(self, caps): return dict(caps, format='F64') if OTHER else caps
    def process(self, audio, ctx):
        held, self.held = self.held, audio.astype('f8' if OTHER else 'f4')
        return [] if held is None else held
    def drain(self, ctx):
        ctx.post('drained')
        held, self.held = self.held, None
        return held
    def stop(self): self.tell('stop')
    def tell(self, name): open(LOG, 'a').write(name + '\\n')
";
    for (way, other) in [
        ("isolation=inprocess", "False"),
        ("isolation=process", "False"),
        ("isolation=inprocess", "True"),
    ] {
        let log = crate::node("").with_extension("starts");
        let _ = std::fs::remove_file(&log);
        let head = format!("LOG = {:?}\nOTHER = {other}\n", log.display().to_string());
        let mut rig = crate::Rig::new(&(head + text), &format!("class=N {way}"), STEREO);
        let caps = |caps: &str| gst::event::Caps::new(&caps.parse::<gst::Caps>().unwrap());
        let told = || std::fs::read_to_string(&log).unwrap();
        // Spelled out otherwise, too.
        let spelled = format!("{STEREO},channel-mask=(bitmask)0x3");
        for (i, again) in [STEREO, &spelled, STEREO].into_iter().enumerate() {
            rig.push(i as u64, i as f32).unwrap();
            assert!(rig.harness.push_event(caps(again)));
        }
        let pts = |rig: &mut crate::Rig| {
            std::iter::from_fn(|| rig.harness.try_pull())
                .map(|b| b.pts().unwrap().nseconds() / 1_000_000)
                .collect::<Vec<_>>()
        };
        assert_eq!(pts(&mut rig), [0, 10], "{way} {other}");
        assert!(rig.structures("drained").is_empty(), "{way} {other}");
        assert_eq!(told(), "start\n", "{way} {other}");
        let out = rig.pad("src").current_caps().unwrap();
        let format = if other == "True" { "F64LE" } else { "F32LE" };
        assert_eq!(out.structure(0).unwrap().get::<&str>("format"), Ok(format));

        // Another format is a new start, after what was held.
        let mono = STEREO.replace("channels=2", "channels=1");
        assert!(rig.harness.push_event(caps(&mono)));
        assert_eq!(pts(&mut rig), [20], "{way} {other}");
        assert_eq!(rig.structures("drained").len(), 1, "{way} {other}");
        assert!(told().ends_with("start\n"), "{way} {other}");
        assert_eq!(told().matches("start").count(), 2, "{way} {other}");

        // And so is the same after READY.
        rig.element.set_state(gst::State::Ready).unwrap();
        assert!(told().ends_with("stop\n"), "{way} {other}");
        rig.element.set_state(gst::State::Playing).unwrap();
        let first = gst::event::StreamStart::new("next");
        assert!(rig.harness.push_event(first));
        assert!(rig.harness.push_event(caps(&mono)));
        assert_eq!(told().matches("start").count(), 3, "{way} {other}");
    }
}
