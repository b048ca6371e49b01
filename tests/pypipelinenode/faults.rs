// SPDX-License-Identifier: MIT

//! Failures: what is retried, what is told, and what becomes of the audio.

use crate::{Run, assert_same, common, run_ok};
use gst::prelude::*;

fn texts(run: &Run, field: &str) -> Vec<String> {
    run.failures()
        .iter()
        .map(|s| s.get::<String>(field).unwrap())
        .collect()
}

#[test]
fn each_exception_is_told_and_the_audio_passes_unharmed() {
    for (raises, class) in [
        ("raise ValueError('no')", "ValueError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\n    f()", "RecursionError"),
        ("raise StopIteration", "StopIteration"),
        ("assert False", "AssertionError"),
        ("yield audio; raise LookupError('late')", "LookupError"),
    ] {
        let run = run_ok(
            3,
            &format!("def process(audio, ctx):\n    audio[:] = 9\n    {raises}\n"),
            "",
        );
        assert_eq!(texts(&run, "exception"), [class; 3]);
        assert_eq!(texts(&run, "action"), ["pass"; 3]);
        let failure = &run.failures()[0];
        assert_eq!(failure.get::<bool>("retryable"), Ok(false));
        assert!(failure.get::<&str>("file").unwrap().ends_with(".py"));
        assert!(failure.get::<u64>("line").unwrap() >= 3);
        assert!(
            failure
                .get::<&str>("traceback")
                .unwrap()
                .contains("in process")
        );
        assert_same(&run.input, &run.output);
        assert_eq!(run.metric::<u64>("num-errors"), 3);
        assert_eq!(run.metric::<String>("status"), "degraded");
    }
}

#[test]
fn a_transient_failure_is_tried_again_on_the_audio_as_it_came() {
    let run = run_ok(
        4,
        "class N:\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       audio += 1\n\
         \x20       if ctx.attempt < 3: raise TimeoutError('busy')\n",
        "class=N",
    );
    assert_eq!(texts(&run, "action"), ["retry"; 8]);
    let attempts: Vec<u32> = run
        .failures()
        .iter()
        .map(|s| s.get("attempt").unwrap())
        .collect();
    assert_eq!(attempts, [1, 2, 1, 2, 1, 2, 1, 2]);
    assert_eq!(run.metric::<u64>("num-retries"), 8);
    for (a, b) in run.input.iter().zip(&run.output) {
        let once: Vec<f32> = a.f32().iter().map(|x| x + 1.0).collect();
        assert_eq!(b.f32(), once);
    }
}

#[test]
fn retries_are_classified() {
    for (raises, properties, attempts) in [
        ("raise ConnectionResetError", "", 3),
        ("raise OSError", "", 1),
        ("raise ValueError", "retry-on=ValueError", 3),
        ("e = ValueError(); e.retryable = True; raise e", "", 3),
        ("e = TimeoutError(); e.retryable = False; raise e", "", 1),
        ("raise RuntimeError('CUDA out of memory')", "", 3),
        ("raise MemoryError", "", 3),
    ] {
        let text = format!("def process(audio, ctx):\n    {raises}\n");
        let run = run_ok(1, &text, &format!("max-retries=2 {properties}"));
        assert_eq!(run.failures().len(), attempts, "{raises}");
        assert_eq!(texts(&run, "action").last().unwrap(), "pass");
        assert_same(&run.input, &run.output);
    }
}

#[test]
fn on_failure_decides_on_the_audio() {
    const ODD: &str = "class N:\n\
        \x20   n = 0\n\
        \x20   def process(self, audio, ctx):\n\
        \x20       self.n += 1\n\
        \x20       audio += 1\n\
        \x20       if self.n % 2: raise ValueError\n";
    let run_with = |on: &str| run_ok(6, ODD, &format!("class=N on-failure={on}"));
    let run = run_with("silence");
    assert_eq!(run.output.len(), 6);
    assert!(run.output[0].f32().iter().all(|x| *x == 0.0));
    assert!(run.output[0].flags.contains(gst::BufferFlags::GAP));
    assert_eq!(
        (run.output[0].pts, run.output[0].duration),
        (run.input[0].pts, run.input[0].duration)
    );
    assert_eq!(run.output[1].f32()[0], run.input[1].f32()[0] + 1.0);

    let run = run_with("drop");
    assert_eq!(run.output.len(), 3);
    assert_eq!(run.metric::<u64>("num-dropped"), 3);
    let pts: Vec<_> = run.output.iter().map(|s| s.pts).collect();
    assert_eq!(pts, [run.input[1].pts, run.input[3].pts, run.input[5].pts]);
    assert!(
        run.output
            .iter()
            .all(|s| s.flags.contains(gst::BufferFlags::DISCONT))
    );

    let run = crate::run(6, ODD, "class=N on-failure=error");
    let (text, debug) = common::error(&run.messages);
    assert!(
        text.contains("ValueError") && text.contains(".py:6"),
        "{text}"
    );
    assert!(debug.contains("Traceback"), "{debug}");
    assert_eq!(run.output.len(), 0);
}

#[test]
fn the_breaker_opens_skips_tries_and_closes() {
    // The first five calls fail, and the trials after a cooldown of 0 work.
    let run = run_ok(
        20,
        "class N:\n\
         \x20   n = 0\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       self.n += 1\n\
         \x20       if self.n <= 5: raise ValueError\n\
         \x20       audio += 1\n",
        "class=N breaker-threshold=3 breaker-cooldown=0",
    );
    let states: Vec<String> = run
        .structures("pypipelinenode-breaker")
        .iter()
        .map(|s| s.get("state").unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "open",
            "half-open",
            "open",
            "half-open",
            "open",
            "half-open",
            "closed"
        ]
    );
    assert_eq!(run.metric::<String>("breaker-state"), "closed");
    assert_same(&run.input[..5], &run.output[..5]);
    assert_eq!(run.output[5].f32()[0], run.input[5].f32()[0] + 1.0);

    let run = run_ok(
        20,
        "def process(audio, ctx):\n    raise ValueError\n",
        "breaker-threshold=3 breaker-cooldown=3600000000000",
    );
    assert_eq!(run.failures().len(), 3);
    assert_eq!(run.metric::<u64>("num-skipped"), 17);
    assert_eq!(run.metric::<u64>("num-buffers"), 20);
    assert_eq!(run.metric::<String>("status"), "skipping");
    assert_eq!(run.metric::<u64>("consecutive-failures"), 3);
    assert_same(&run.input, &run.output);
}

#[test]
fn what_cannot_work_is_an_error_with_file_line_and_cause() {
    for (text, properties, expected) in [
        ("class N:\n    pass\n", "class=N", "no method `process`"),
        (
            "class N:\n    def process(self): pass\n",
            "class=N",
            "process(audio, ctx)",
        ),
        (
            "class N:\n    def __init__(self, a): pass\n    def process(self, x): pass\n",
            "class=N",
            "does not take",
        ),
        ("class N: pass\n", "class=M", "has no class 'M'; it has N"),
        (
            "def f(a): pass\n",
            "function=g",
            "has no function 'g'; it has f",
        ),
        ("def process(a):\n  pass\n x\n", "", ".py:3"),
        ("import nothing_of_the_kind\n", "", "nothing_of_the_kind"),
        ("def process(a): pass\n", "kwargs=[1]", "kwargs"),
        (
            "class N:\n    def __init__(self): 1/0\n    def process(self, a): pass\n",
            "class=N",
            ".py:2",
        ),
        (
            "class N:\n    def start(self, info): raise ValueError('bad start')\n    def process(self, a): pass\n",
            "class=N",
            "bad start",
        ),
    ] {
        let p = crate::pipeline(2, crate::STEREO, text, properties);
        let (message, _) = crate::refused(&p);
        assert!(message.contains(expected), "{text}: {message}");
    }
    let p =
        common::launch("audiotestsrc num-buffers=1 ! pypipelinenode module=/no/such.py ! fakesink");
    let (message, _) = crate::refused(&p);
    assert!(
        message.contains("/no/such.py") && message.contains("No such file"),
        "{message}"
    );
    let p = common::launch("audiotestsrc num-buffers=1 ! pypipelinenode ! fakesink");
    let (message, _) = crate::refused(&p);
    assert!(message.contains("`module` is not set"), "{message}");
}

#[test]
fn a_failing_stop_is_a_warning() {
    let run = run_ok(
        1,
        "class N:\n    def process(self, a): pass\n    def stop(self): raise ValueError('bad stop')\n",
        "class=N",
    );
    let warned = run.messages.iter().any(|m| match m.view() {
        gst::MessageView::Warning(w) => w.error().message().contains("bad stop"),
        _ => false,
    });
    assert!(warned);
}

#[test]
fn a_stop_ends_the_wait_for_the_next_attempt() {
    let path = crate::node("def process(audio, ctx):\n    raise TimeoutError\n");
    let p = common::launch(&format!(
        "audiotestsrc ! pypipelinenode module={} initial-backoff=3600000000000 \
         max-backoff=3600000000000 ! fakesink",
        path.display()
    ));
    let bus = p.bus().unwrap();
    // The best of some, since other processes take time too: the wait itself would be an hour.
    let stop = || {
        p.set_state(gst::State::Playing).unwrap();
        let first = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Element]);
        assert_eq!(
            first.unwrap().structure().unwrap().name(),
            "pypipelinenode-failure"
        );
        let since = std::time::Instant::now();
        p.set_state(gst::State::Null).unwrap();
        since.elapsed().as_millis()
    };
    let best = (0..10).map(|_| stop()).min().unwrap();
    assert!(best < 50, "{best} ms");
}

#[test]
fn a_flush_ends_the_wait_too() {
    let path = crate::node("def process(audio, ctx):\n    raise TimeoutError\n");
    let p = common::launch(&format!(
        "audiotestsrc ! pypipelinenode module={} initial-backoff=3600000000000 \
         max-backoff=3600000000000 ! fakesink",
        path.display()
    ));
    let bus = p.bus().unwrap();
    p.set_state(gst::State::Playing).unwrap();
    for _ in 0..3 {
        let failed = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Element]);
        assert_eq!(
            failed.unwrap().structure().unwrap().name(),
            "pypipelinenode-failure"
        );
        p.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)
            .unwrap();
    }
    p.set_state(gst::State::Null).unwrap();
}

#[test]
fn nothing_is_lost_with_one_call_in_twenty_failing() {
    let count = 20_000;
    let path = crate::node(
        "class N:\n\
         \x20   n = 0\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       self.n += 1\n\
         \x20       if self.n % 20 == 0:\n\
         \x20           audio[:] = 0\n\
         \x20           raise ConnectionError\n",
    );
    let p = common::launch(&format!(
        "audiotestsrc wave=white-noise samplesperbuffer=16 num-buffers={count} \
         ! audio/x-raw,format=S16LE,rate=48000,channels=1 \
         ! pypipelinenode name=node class=N module={} initial-backoff=0 ! fakesink",
        path.display()
    ));
    let run = crate::finish(&p);
    assert_eq!(run.output.len(), count);
    assert_same(&run.input, &run.output);
    let retries = run.metric::<u64>("num-retries");
    assert_eq!(retries, run.metric::<u64>("num-errors"));
    assert!((1000..1100).contains(&retries), "{retries}");
}

#[test]
fn failures_that_nobody_reads_are_counted_and_told_later() {
    let mut rig = crate::Rig::new(
        "def process(audio, ctx):\n    raise ValueError('no')\n",
        "breaker-threshold=0 metrics-interval=0",
        crate::STEREO,
    );
    for i in 0..150 {
        rig.push(i, 0.5).unwrap();
    }
    let omitted = |all: &[gst::Structure]| -> Vec<u64> {
        all.iter().map(|s| s.get("num-omitted").unwrap()).collect()
    };
    assert_eq!(omitted(&rig.structures("pypipelinenode-failure")), [0; 100]);
    rig.push(150, 0.5).unwrap();
    rig.push(151, 0.5).unwrap();
    assert_eq!(omitted(&rig.structures("pypipelinenode-failure")), [50, 0]);
    let stats = rig.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("num-errors"), Ok(152));
}

#[test]
fn percentiles_of_calls_are_of_calls_alone() {
    // Three calls of 30 ms among buffers that pass by, one of them tried twice.
    let run = run_ok(
        4,
        "import time\n\
         class N:\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       time.sleep(.03)\n\
         \x20       if ctx.pts == 0 and ctx.attempt == 1: raise TimeoutError('busy')\n",
        "class=N initial-backoff=200000000",
    );
    assert_eq!(run.metric::<u64>("num-calls"), 5);
    let time = |name: &str| run.metric::<u64>(&format!("call-time-{name}")) / 1_000_000;
    assert!(time("p50") >= 30 && time("max") >= time("p99"));
    assert!(time("p50") < 200, "a wait is no call");
    // The buffer that was tried twice took two calls.
    assert!(run.metric::<u64>("processing-time-max") >= 60_000_000);
    assert!(
        run.metric::<u64>("processing-time") < 5 * run.metric::<u64>("call-time-max") + 50_000_000
    );
}
