// SPDX-License-Identifier: MIT

//! Nodes in a process of their own.

use crate::{Run, assert_same, run_ok};

const IN: &str = "isolation=process";

fn exceptions(run: &Run) -> Vec<String> {
    run.failures()
        .iter()
        .map(|s| s.get("exception").unwrap())
        .collect()
}

#[test]
fn works_as_in_the_pipeline_s_own_process() {
    let run = run_ok(
        10,
        "import os\n\
         class N:\n\
         \x20   def start(self, info): self.rate = info.rate\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       assert ctx.rate == self.rate == 48000 and ctx.format == 'F32LE'\n\
         \x20       assert ctx.segment['rate'] == 1.0 and ctx.speech is None\n\
         \x20       ctx.post('at', pid=os.getpid(), pts=ctx.pts)\n\
         \x20       audio *= 0.5\n",
        &format!("{IN} class=N"),
    );
    assert!(run.failures().is_empty(), "{:?}", run.failures());
    let posts = run.structures("at");
    assert_eq!(posts.len(), 10);
    assert_ne!(
        posts[0].get::<i64>("pid").unwrap(),
        i64::from(std::process::id())
    );
    assert_eq!(posts[9].get::<i64>("pts"), Ok(90_000_000));
    for (a, b) in run.input.iter().zip(&run.output) {
        let half: Vec<f32> = a.f32().iter().map(|x| x * 0.5).collect();
        assert_eq!(b.f32(), half);
        assert_eq!((a.pts, a.duration), (b.pts, b.duration));
    }
}

#[test]
fn returned_arrays_kept_arrays_and_failures() {
    let run = run_ok(
        6,
        "class N:\n\
         \x20   def __init__(self): self.kept = []\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       self.kept.append((audio, audio.copy()))\n\
         \x20       for a, b in self.kept: assert (a == b).all()\n\
         \x20       yield audio[:100]\n\
         \x20       if len(self.kept) == 3: raise ValueError('three')\n\
         \x20       yield audio[100:].tobytes()\n",
        &format!("{IN} class=N"),
    );
    assert_eq!(exceptions(&run), ["ValueError"]);
    let traceback: String = run.failures()[0].get("traceback").unwrap();
    assert!(
        traceback.contains("in process") && !traceback.contains("<string>"),
        "{traceback}"
    );
    assert_eq!(run.output.len(), 11);
    let joined = |s: &[crate::Seen]| s.iter().flat_map(|b| b.data.clone()).collect::<Vec<_>>();
    assert!(joined(&run.input) == joined(&run.output));
}

/// Dies in the third call, once.
fn dying(how: &str) -> Run {
    let path = crate::node("");
    let mark = path.with_extension("died");
    let _ = std::fs::remove_file(&mark);
    run_ok(
        6,
        &format!(
            "import ctypes, os, sys, time\n\
             import resource\n\
             resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n\
             class N:\n\
             \x20   n = 0\n\
             \x20   def process(self, audio, ctx):\n\
             \x20       self.n += 1\n\
             \x20       audio += 1\n\
             \x20       if self.n == 3 and not os.path.exists({mark:?}):\n\
             \x20           open({mark:?}, 'w').close()\n\
             \x20           {how}\n"
        ),
        &format!("{IN} class=N timeout=3000000000"),
    )
}

#[test]
fn a_dying_worker_is_replaced_and_nothing_is_lost() {
    for (how, class, says) in [
        ("os._exit(7)", "WorkerDied", "exit status 7"),
        ("ctypes.string_at(0)", "WorkerDied", "signal 11"),
        ("while True: pass", "WorkerTimeout", "killed"),
        ("time.sleep(3600)", "WorkerTimeout", "killed"),
    ] {
        let run = dying(how);
        assert_eq!(exceptions(&run), [class], "{how}");
        let failure = &run.failures()[0];
        assert!(
            failure.get::<&str>("message").unwrap().contains(says),
            "{failure}"
        );
        assert_eq!(failure.get::<bool>("retryable"), Ok(true));
        assert_eq!(run.metric::<u64>("num-retries"), 1);
        assert_eq!(
            run.metric::<u64>("num-timeouts"),
            u64::from(class == "WorkerTimeout")
        );
        assert_eq!(run.output.len(), 6);
        for (a, b) in run.input.iter().zip(&run.output) {
            let once: Vec<f32> = a.f32().iter().map(|x| x + 1.0).collect();
            assert_eq!(b.f32(), once, "{how}");
        }
    }
}

#[test]
fn sys_exit_and_interrupts_are_failures_like_any_other() {
    for (raises, class) in [
        ("import sys; sys.exit(1)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ] {
        let run = run_ok(2, &format!("def process(audio, ctx):\n    {raises}\n"), IN);
        assert_eq!(exceptions(&run), [class; 2]);
        assert_same(&run.input, &run.output);
    }
}

#[test]
fn an_array_much_larger_than_the_input() {
    let run = run_ok(
        2,
        "import numpy as np\ndef process(audio, ctx):\n    return np.tile(audio, (1000, 1))\n",
        IN,
    );
    assert!(run.failures().is_empty(), "{:?}", run.failures());
    assert_eq!(run.output[1].data, run.input[1].data.repeat(1000));
}

#[test]
fn an_endless_call_does_not_keep_the_pipeline_from_stopping() {
    use gst::prelude::*;
    let path =
        crate::node("def process(audio, ctx):\n    ctx.post('inside')\n    while True: pass\n");
    let p = crate::common::launch(&format!(
        "audiotestsrc ! pypipelinenode module={} {IN} ! fakesink",
        path.display()
    ));
    let bus = p.bus().unwrap();
    // A stop empties the bus.
    let actions = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = actions.clone();
    bus.set_sync_handler(move |_, message| {
        if let Some(s) = message.structure()
            && s.name() == "pypipelinenode-failure"
        {
            let action: String = s.get("action").unwrap();
            heard.lock().unwrap().push(action);
        }
        gst::BusSyncReply::Pass
    });
    p.set_state(gst::State::Playing).unwrap();
    bus.timed_pop_filtered(crate::common::PATIENCE, &[gst::MessageType::Element])
        .unwrap();
    p.set_state(gst::State::Null).unwrap();
    assert_eq!(
        *actions.lock().unwrap(),
        ["drop"],
        "the end of the call is told"
    );
}

#[test]
fn what_cannot_work_is_an_error() {
    for (text, expected) in [
        ("def process(): pass\n", "process(audio, ctx)"),
        ("1/0\n", ".py:1: ZeroDivisionError"),
    ] {
        let p = crate::pipeline(1, crate::STEREO, text, IN);
        let (message, _) = crate::refused(&p);
        assert!(message.contains(expected), "{message}");
    }
}

/// A process that is no more, or waits for its parent to notice.
fn is_gone(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with(['Z', 'X']))
}

#[test]
fn a_death_is_seen_and_reaches_what_the_node_started() {
    for (starts, ends) in [
        (
            "pid = os.fork()\n            if not pid: time.sleep(3600); os._exit(0)",
            "os._exit(3)",
        ),
        (
            "pid = subprocess.Popen(['sleep', '3600']).pid",
            "os._exit(3)",
        ),
        (
            "pid = subprocess.Popen(['sleep', '3600']).pid",
            "time.sleep(3600)",
        ),
    ] {
        let mark = crate::node("").with_extension("died");
        let _ = std::fs::remove_file(&mark);
        let run = run_ok(
            4,
            &format!(
                "import os, subprocess, time\n\
                 def process(audio, ctx):\n    \
                     audio += 1\n    \
                     if not os.path.exists({mark:?}):\n        \
                         open({mark:?}, 'w').close()\n        \
                         if True:\n            \
                             {starts}\n            \
                             ctx.post('child', pid=pid)\n            \
                             {ends}\n"
            ),
            &format!("{IN} timeout=2000000000"),
        );
        assert_eq!(run.failures().len(), 1, "{starts}");
        if ends == "os._exit(3)" {
            assert_eq!(exceptions(&run), ["WorkerDied"]);
            let message: String = run.failures()[0].get("message").unwrap();
            assert!(message.contains("exit status 3"), "{message}");
        }
        assert_eq!(run.output.len(), 4);
        for (a, b) in run.input.iter().zip(&run.output) {
            let once: Vec<f32> = a.f32().iter().map(|x| x + 1.0).collect();
            assert_eq!(b.f32(), once, "{starts}");
        }
        let pid = run.structures("child")[0].get::<i64>("pid").unwrap();
        // A signal that was sent takes a moment.
        while !is_gone(pid) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_nul_in_a_text_is_harmless() {
    for way in [IN, "isolation=inprocess"] {
        let run = run_ok(
            1,
            "def process(audio, ctx):\n    ctx.post('with', text='a\\0b')\n    \
             ctx.log('info', 'a\\0b')\n    raise ValueError('a\\0b')\n",
            way,
        );
        assert_eq!(exceptions(&run), ["ValueError"]);
        let told = |name: &str, field: &str| run.structures(name)[0].get::<String>(field);
        assert_eq!(told("with", "text").as_deref(), Ok("a\u{fffd}b"));
        let message = told("pypipelinenode-failure", "message");
        assert_eq!(message.as_deref(), Ok("a\u{fffd}b"));
        assert_same(&run.input, &run.output);
    }
}

#[test]
fn what_is_too_long_for_a_packet_is_told_or_cut() {
    for (does, class, says) in [
        ("raise ValueError('é' * 100_000)", "ValueError", "ééé"),
        (
            "raise ValueError('\\U0001f600' * 100_000)",
            "ValueError",
            "\u{1f600}",
        ),
        ("raise ValueError('\\0' * 100_000)", "ValueError", ""),
        (
            "raise type('E' * 300_000, (Exception,), {})('long')",
            "EEEEEEEE",
            "long",
        ),
        (
            "ctx.post('much', text='é' * 100_000)",
            "ValueError",
            "a message of",
        ),
        ("return [audio[:0]] * 10_000", "OutputError", "10000 arrays"),
        ("ctx.log('info', 'é' * 100_000)", "", ""),
        ("ctx.post('much', text='e' * 190_000)", "", ""),
    ] {
        let run = run_ok(1, &format!("def process(audio, ctx):\n    {does}\n"), IN);
        assert_same(&run.input, &run.output);
        if class.is_empty() {
            assert!(run.failures().is_empty(), "{does}: {:?}", run.failures());
            continue;
        }
        let got = exceptions(&run);
        assert!(got.len() == 1 && got[0].contains(class), "{does}: {got:?}");
        let failure = &run.failures()[0];
        let message: String = failure.get("message").unwrap();
        let traceback: String = failure.get("traceback").unwrap();
        assert!(
            message.contains(says) || traceback.contains(says),
            "{does}: {message}"
        );
    }
}

#[test]
fn a_python_home_without_a_python_is_an_error_that_names_it() {
    let p = crate::pipeline(
        1,
        crate::STEREO,
        "def process(audio): pass\n",
        &format!("{IN} python-home=/no/such/home"),
    );
    let (message, _) = crate::refused(&p);
    assert!(message.contains("/no/such/home"), "{message}");
}

#[test]
fn a_reload_where_no_process_runs_starts_one() {
    let text = "import os\ndef process(audio, ctx): os._exit(1)\n";
    let mut rig = crate::Rig::new(
        text,
        &format!("{IN} reload=true max-retries=0"),
        crate::STEREO,
    );
    rig.push(0, 1.0).unwrap();
    assert_eq!(rig.samples(), [1.0; 960]);
    let module: String = gst::prelude::ObjectExt::property(&rig.element, "module");
    std::fs::write(module, "def process(audio, ctx): audio += 1\n").unwrap();
    rig.push(1, 1.0).unwrap();
    assert_eq!(rig.samples(), [2.0; 960]);
    let reloads = rig.structures("pypipelinenode-reload");
    assert_eq!(reloads.len(), 1);
    assert_eq!(reloads[0].get::<bool>("success"), Ok(true), "{reloads:?}");
}
