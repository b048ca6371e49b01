// SPDX-License-Identifier: MIT

//! Worker processes: how they come to be, what they share, and what they leave when they crash.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Run, STEREO, common, run_ok};

const IN: &str = "isolation=process";

fn text(run: &Run, field: &str) -> String {
    run.failures()[0].get(field).unwrap()
}

#[test]
fn a_crash_and_a_hang_leave_their_stack() {
    for (how, class, begins) in [
        (
            "ctypes.string_at(0)",
            "WorkerDied",
            "Fatal Python error: Segmentation fault",
        ),
        ("os.abort()", "WorkerDied", "Fatal Python error: Aborted"),
        ("time.sleep(3600)", "WorkerTimeout", "Current thread"),
        ("while True: pass", "WorkerTimeout", "Current thread"),
    ] {
        let run = run_ok(
            2,
            &format!(
                "import ctypes, os, resource, time\n\
                 resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n\
                 def deeper():\n    {how}\n\
                 def process(audio, ctx):\n    if ctx.pts == 0: deeper()\n"
            ),
            &format!("{IN} max-retries=0 timeout=2000000000"),
        );
        assert_eq!(run.failures().len(), 1, "{how}");
        assert_eq!(text(&run, "exception"), class, "{how}");
        let traceback = text(&run, "traceback");
        assert!(traceback.starts_with(begins), "{how}: {traceback}");
        for part in [".py\", line 4 in deeper", ".py\", line 6 in process"] {
            assert!(traceback.contains(part), "{how}: {traceback}");
        }
        assert!(!traceback.contains("rustaudio>"), "{traceback}");
        assert_eq!(run.failures()[0].get::<u64>("line"), Ok(4), "{how}");
        assert!(text(&run, "file").ends_with(".py"));
    }
}

/// What a field of the `at` messages says, once each.
fn told(messages: &[gst::Message], field: &str) -> BTreeSet<String> {
    common::structures(messages, "at")
        .map(|s| s.get(field).unwrap())
        .collect()
}

#[test]
fn nodes_that_start_alike_are_forked_from_one_process() {
    let path = crate::node(
        "import os, numpy as np\n\
         def process(audio, ctx):\n\
         \x20   ctx.post('at', pid=str(os.getpid()), ppid=str(os.getppid()), pgid=str(os.getpgid(0)),\n\
         \x20            drawn=str(np.random.random()))\n",
    );
    let one = format!("! pypipelinenode {IN} module={} ", path.display());
    let p = common::launch(&format!(
        "{}1 ! {STEREO} {} ! fakesink",
        crate::SOURCE,
        one.repeat(8)
    ));
    let messages = common::play_ok(&p);
    for (field, count) in [("pid", 8), ("ppid", 1), ("drawn", 8)] {
        assert_eq!(told(&messages, field).len(), count, "{field}");
    }
    assert_eq!(told(&messages, "pid"), told(&messages, "pgid"));
    // It leaves with the last of them, unless another test has workers too.
    let server: i64 = told(&messages, "ppid").first().unwrap().parse().unwrap();
    assert_ne!(server, i64::from(std::process::id()));
}

#[test]
fn what_a_node_registered_for_its_exit_runs() {
    let log = crate::node("").with_extension("exit");
    let _ = std::fs::remove_file(&log);
    run_ok(
        1,
        &format!(
            "import atexit\n\
             atexit.register(lambda: open({log:?}, 'w').write('left'))\n\
             def process(audio, ctx): pass\n"
        ),
        IN,
    );
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "left");
}

#[test]
fn a_server_that_dies_is_replaced_like_its_workers() {
    let mark = crate::node("").with_extension("killed");
    let _ = std::fs::remove_file(&mark);
    // In a process of its own, as other tests have workers of this one's server.
    let path = crate::node(&format!(
        "import os, signal, time\n\
         def process(audio, ctx):\n\
         \x20   audio *= 0\n\
         \x20   if not os.path.exists({mark:?}):\n\
         \x20       open({mark:?}, 'w').close()\n\
         \x20       os.kill(os.getppid(), signal.SIGKILL)\n\
         \x20       time.sleep(3600)\n"
    ));
    let mut launch = common::tool("gst-launch-1.0");
    launch
        .args([
            "-m",
            "audiotestsrc",
            "num-buffers=3",
            "!",
            "pypipelinenode",
            IN,
        ])
        .arg(format!("module={}", path.display()))
        .args(["!", "fakesink"]);
    let out = launch.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}");
    assert_eq!(said.matches("pypipelinenode-failure").count(), 1, "{said}");
    assert!(said.contains("WorkerDied") && said.contains("action=(string)retry"));
    assert!(said.contains("status=(string)degraded"), "{said}");
}

/// What a gst-launch says of two buffers through `elements`; `begin` is the start of its line of sh.
fn launched(begin: &str, elements: &str, environment: &[(&str, &Path)]) -> String {
    let line = format!("{begin} audiotestsrc num-buffers=2 ! {elements} ! fakesink");
    let mut shell = common::tool("sh");
    shell.args(["-c", &line]);
    shell.envs(environment.iter().copied());
    let out = shell.output().unwrap();
    let said = [out.stdout, out.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
    let said = said.concat();
    assert!(out.status.success(), "{begin}: {said}");
    said
}

#[test]
fn a_worker_gets_no_descriptor_but_its_own() {
    let path = crate::node(
        "import os\n\
         def process(audio, ctx):\n\
         \x20   fds = [int(n) for n in os.listdir('/proc/self/fd')]\n\
         \x20   there = [(n, f'/proc/self/fd/{n}') for n in fds if n > 2]\n\
         \x20   others = [os.readlink(at) for _, at in there if os.path.islink(at)]\n\
         \x20   kinds = [at.split(':')[0] for at in others if 'memfd' not in at and 'libffi' not in at]\n\
         \x20   ctx.post('open', others='/'.join(kinds))\n",
    );
    let node = format!("pypipelinenode {IN} module={}", path.display());
    let site = threaded_site();
    for environment in [&[][..], &[("PYTHONPATH", &*site)]] {
        let said = launched("exec 7</dev/zero; gst-launch-1.0 -m", &node, environment);
        // Its socket; newer libffi opens its own file.
        let own = "open, others=(string)socket;";
        assert_eq!(said.matches(own).count(), 2, "{environment:?}: {said}");
    }
}

#[test]
fn a_program_that_ignores_the_ends_of_its_children_has_workers() {
    let path = crate::node(
        "import os\ndef process(audio, ctx):\n    if ctx.pts: os.kill(os.getpid(), 9)\n",
    );
    let node = format!(
        "pypipelinenode {IN} module={} max-retries=0",
        path.display()
    );
    let said = launched("env --ignore-signal=CHLD gst-launch-1.0 -m", &node, &[]);
    assert!(said.contains(r"died:\ killed\ by\ signal\ 9"), "{said}");
}

#[test]
fn a_program_with_closed_streams_has_workers() {
    let log = crate::node("").with_extension("seen");
    let _ = std::fs::remove_file(&log);
    let path = crate::node(&format!(
        "def process(audio, ctx):\n    print(1)\n    open({log:?}, 'a').write(f'{{audio.max() > 0}} ')\n"
    ));
    let node = format!("pypipelinenode {IN} module={}", path.display());
    launched("exec <&- >&- 2>&-; gst-launch-1.0 -q", &node, &[]);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "True True ");
}

/// A folder with a site customisation that starts a thread.
fn threaded_site() -> PathBuf {
    let site = crate::node("").with_extension("site");
    std::fs::create_dir_all(&site).unwrap();
    std::fs::write(
        site.join("sitecustomize.py"),
        "import threading, time\n\
         threading.Thread(target=time.sleep, args=(3600,), daemon=True, name='of-the-site').start()\n",
    )
    .unwrap();
    site
}

#[test]
fn where_other_threads_run_workers_are_started_not_forked() {
    let site = threaded_site();
    let path = crate::node(
        "import threading\n\
         def process(audio, ctx):\n\
         \x20   ctx.post('threads', names=' '.join(t.name for t in threading.enumerate()))\n\
         \x20   audio *= 0\n",
    );
    let node = format!("pypipelinenode {IN} module={}", path.display());
    let said = launched("gst-launch-1.0 -m", &node, &[("PYTHONPATH", &*site)]);
    // A fork would know of it no more.
    assert_eq!(said.matches("of-the-site").count(), 2, "{said}");
    assert!(said.contains("status=(string)ok"), "{said}");
}

#[test]
fn a_worker_has_the_environment_and_the_streams_of_its_start() {
    let mut host = common::tool("/usr/bin/python3");
    host.arg(common::root().join("tests/python/environment.py"));
    let out = host.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && said.contains("all good"),
        "{said}{errors}"
    );
}

#[test]
fn nothing_is_imported_from_the_current_directory() {
    let dir = crate::node("").with_extension("here");
    std::fs::create_dir_all(&dir).unwrap();
    for library in ["json", "gc", "struct"] {
        std::fs::write(
            dir.join(format!("{library}.py")),
            "import os; os._exit(77)\n",
        )
        .unwrap();
    }
    let code = |text: &str| {
        let python = Command::new("python3")
            .args(["-c", text])
            .current_dir(&dir)
            .stderr(std::process::Stdio::null())
            .status();
        python.unwrap().code()
    };
    assert_eq!(code("import json"), Some(77));
    // They end for want of arguments.
    for text in [
        include_str!("../../src/python/worker/worker.py"),
        include_str!("../../src/python/worker/forkserver.py"),
    ] {
        assert_eq!(code(text), Some(1));
    }
}
