// SPDX-License-Identifier: MIT

//! What nodes do that they should not: to every hook, to memory, to the process.

use crate::{Rig, Run, STEREO, assert_same, common, node, run_ok};

const WAYS: [&str; 2] = ["isolation=inprocess", "isolation=process"];

/// Statements that raise, and the class that is told.
const RAISES: [(&str, &str); 11] = [
    ("raise ValueError('no')", "ValueError"),
    ("1 / 0", "ZeroDivisionError"),
    ("import sys; sys.exit(3)", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise GeneratorExit", "GeneratorExit"),
    ("raise StopIteration", "StopIteration"),
    ("raise MemoryError", "MemoryError"),
    (
        "raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'no')",
        "UnicodeDecodeError",
    ),
    ("raise type('Odd', (BaseException,), {})", "Odd"),
    (
        "raise type('Mute', (Exception,), {'__str__': lambda s: 1 / 0})",
        "Mute",
    ),
    ("raise OSError(2, 'gone')", "FileNotFoundError"),
];

fn exceptions(run: &Run) -> Vec<String> {
    run.failures()
        .iter()
        .map(|s| s.get("exception").unwrap())
        .collect()
}

/// A class whose hook `name` does `what`.
fn class(name: &str, what: &str) -> String {
    let process = "    def process(self, audio): pass\n";
    format!("class N:\n{process}    def {name}:\n        {what}\n")
}

#[test]
fn every_class_of_exception_in_every_hook() {
    for way in WAYS {
        for (raises, told) in RAISES {
            let play = |text: &str| crate::run(1, text, &format!("class=N max-retries=0 {way}"));
            for hook in [
                "__init__(self)",
                "start(self, info)",
                "output_caps(self, caps)",
            ] {
                let p = crate::pipeline(1, STEREO, &class(hook, raises), &format!("class=N {way}"));
                let (error, debug) = crate::refused(&p);
                assert!(error.contains(told), "{way} {hook} {raises}: {error}");
                assert!(
                    debug.contains("Traceback"),
                    "{way} {hook} {raises}: {debug}"
                );
            }
            for process in ["process(self, audio)", "process(self, audio, ctx)"] {
                let run = play(&class(process, raises));
                assert!(
                    exceptions(&run)[0].contains(told),
                    "{way} {process} {raises}"
                );
                assert_same(&run.input, &run.output);
            }
            // Raised in a generator, StopIteration is a RuntimeError.
            let run = play(&class(
                "process(self, audio)",
                &format!("yield audio; {raises}"),
            ));
            let class_told = match told {
                "StopIteration" => "RuntimeError",
                other => other,
            };
            assert!(
                exceptions(&run)[0].contains(class_told),
                "{way} generator {raises}"
            );
            assert_same(&run.input, &run.output);

            let run = play(&class("stop(self)", raises));
            let warned = run.messages.iter().any(|m| match m.view() {
                gst::MessageView::Warning(w) => w.error().message().contains(told),
                _ => false,
            });
            assert!(warned, "{way} stop {raises}");
            assert_same(&run.input, &run.output);
        }
    }
}

#[test]
fn a_worker_may_die_in_every_hook() {
    let quiet =
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); import os, ctypes; ";
    for (dies, says) in [
        ("os._exit(7)", "exit status 7"),
        ("ctypes.string_at(0)", "signal 11"),
        ("os.abort()", "signal 6"),
    ] {
        let dies = format!("{quiet}{dies}");
        for hook in ["__init__(self)", "start(self, info)"] {
            let p = crate::pipeline(1, STEREO, &class(hook, &dies), "class=N isolation=process");
            let (error, _) = crate::refused(&p);
            assert!(error.contains(says), "{hook} {dies}: {error}");
        }
        for hook in ["stop(self)", "drain(self)"] {
            let run = run_ok(
                2,
                &class(hook, &dies),
                "class=N isolation=process max-retries=0",
            );
            let told = run.messages.iter().any(|m| match m.view() {
                gst::MessageView::Warning(w) => w.error().message().contains(says),
                gst::MessageView::Element(e) => e
                    .structure()
                    .is_some_and(|s| s.get::<&str>("message").is_ok_and(|m| m.contains(says))),
                _ => false,
            });
            assert!(told, "{hook} {dies}");
            assert_same(&run.input, &run.output);
        }
    }
}

#[test]
fn an_array_of_a_gigabyte() {
    // Pages that nobody writes to take no memory.
    let mut rig = Rig::new(
        "import numpy as np\ndef process(audio): return np.zeros((1 << 27, 2), np.float32)\n",
        "",
        STEREO,
    );
    rig.push(0, 1.0).unwrap();
    let buffer = rig.harness.try_pull().unwrap();
    assert_eq!(buffer.size(), 1 << 30);
    assert_eq!(buffer.pts(), Some(gst::ClockTime::ZERO));
    // 2^27 frames at 48 kHz.
    assert_eq!(buffer.duration().unwrap().nseconds(), 2_796_202_666_667);
    drop(buffer);
    // More than any machine has.
    for way in WAYS {
        let run = run_ok(
            1,
            "import numpy as np\ndef process(audio): return np.empty((1 << 55, 2), np.float32)\n",
            &format!("{way} max-retries=1"),
        );
        assert_eq!(run.failures().len(), 2, "{way}");
        assert!(exceptions(&run)[0].contains("MemoryError"), "{way}");
        assert_same(&run.input, &run.output);
    }
}

/// Starts a thread that never ends, and uses what it was lent.
const THREADS: &str = "\
import os, threading, time
class N:
    def start(self, info):
        self.ctx = None
        threading.Thread(target=self.work, daemon=DAEMON).start()
    def work(self):
        while True:
            time.sleep(0.001)
            if self.ctx is not None:
                self.ctx.post('late')
                self.ctx.log('trace', 'late')
                self.audio.sum()
    def process(self, audio, ctx):
        self.audio, self.ctx = audio, ctx
        ctx.post('at', pid=os.getpid())
";

#[test]
fn threads_that_a_node_leaves_running_do_no_harm() {
    // A host that lives on: the element is gone, the thread and what it holds are not.
    let text = THREADS.replace("DAEMON", "True");
    for _ in 0..3 {
        let run = run_ok(5, &text, "class=N");
        assert_same(&run.input, &run.output);
    }
    // A process that ends with the thread running.
    for daemon in ["True", "False"] {
        let path = node(&THREADS.replace("DAEMON", daemon));
        let mut launch = common::tool("gst-launch-1.0");
        launch
            .args(["audiotestsrc", "num-buffers=5", "!", "pypipelinenode"])
            .arg(format!("module={}", path.display()))
            .args(["class=N", "!", "fakesink"]);
        let out = launch.output().unwrap();
        assert!(out.status.success(), "{out:?}");
    }
    // A worker whose thread keeps it alive is ended.
    let run = run_ok(
        5,
        &THREADS.replace("DAEMON", "False"),
        "class=N isolation=process",
    );
    assert_same(&run.input, &run.output);
    let pid: i64 = run.structures("at")[0].get("pid").unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn nothing_is_lost_isolated_whoever_sleeps() {
    let mut rig = Rig::new(
        "class N:\n\
         \x20   n = 0\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       self.n += 1\n\
         \x20       ctx.post('n', n=self.n)\n\
         \x20       audio += 1\n\
         \x20       if self.n % 20 == 0: raise ConnectionError\n",
        "class=N isolation=process initial-backoff=0",
        STEREO,
    );
    let count: u32 = 4000;
    let mut posts = 0;
    for i in 0..count {
        rig.push(i.into(), i as f32).unwrap();
        let samples = rig.samples();
        assert_eq!(samples.len(), 960);
        assert!(samples.iter().all(|x| *x == i as f32 + 1.0), "buffer {i}");
        // What was posted in a call has arrived when it ends.
        posts += rig.structures("n").len();
        assert_eq!(
            posts as u32,
            i + 1 + (i + posts as u32 - i) / 20,
            "buffer {i}"
        );
        // Gaps around the time that the worker watches for the next request.
        let gap = std::time::Duration::from_micros(u64::from(i * 7 % 140));
        let until = std::time::Instant::now() + gap;
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn many_isolated_calls_back_to_back() {
    let mut rig = Rig::new(
        "def process(audio): audio += 1\n",
        "isolation=process",
        STEREO,
    );
    // As many packets as calls would have filled the socket many times over.
    let mut buffer = Some(Rig::buffer(0, 0.0));
    let count = 100_000;
    for _ in 0..count {
        rig.harness.push(buffer.take().unwrap()).unwrap();
        buffer = rig.harness.try_pull();
    }
    let map = buffer.as_ref().unwrap().map_readable().unwrap();
    let samples: Vec<f32> = bytemuck::pod_collect_to_vec(&map);
    assert!(samples.iter().all(|x| *x == count as f32));
}

#[test]
fn another_home_of_the_same_python_is_told() {
    let text = "def process(audio): pass\n";
    // Decides on the environment, unless another test has.
    run_ok(1, text, "");
    let home = node(text).with_extension("venv");
    std::fs::create_dir_all(&home).unwrap();
    let version = std::process::Command::new("/usr/bin/python3")
        .arg("-V")
        .output()
        .unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let version = version.trim().trim_start_matches("Python ");
    std::fs::write(
        home.join("pyvenv.cfg"),
        format!("home = /usr/bin\nversion = {version}\n"),
    )
    .unwrap();
    let run = run_ok(1, text, &format!("python-home={}", home.display()));
    let warnings: Vec<String> = run
        .messages
        .iter()
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(w) => Some(w.error().message().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains(&*home.to_string_lossy()) && warnings[0].contains("/usr"),
        "{warnings:?}"
    );
}
