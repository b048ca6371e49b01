// SPDX-License-Identifier: MIT

//! The plugin file in the programs that people run it from.

use std::process::Command;

use crate::common;

const PYTHON: &str = "/usr/bin/python3";

fn output(mut command: Command) -> (bool, String) {
    let out = command.output().unwrap();
    let text = [out.stdout, out.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
    (out.status.success(), text.concat())
}

#[test]
fn the_plugin_needs_nothing_of_python_to_load() {
    let mut nm = Command::new("nm");
    nm.arg("-D")
        .arg(common::plugin_dir().join("libgstrustaudio.so"));
    let (ok, symbols) = output(nm);
    assert!(ok, "{symbols}");
    let python: Vec<_> = symbols
        .lines()
        .filter(|l| {
            l.split_whitespace()
                .last()
                .is_some_and(|s| s.starts_with("Py") || s.starts_with("_Py"))
        })
        .collect();
    assert!(python.is_empty(), "{python:?}");
    assert!(symbols.contains("gst_plugin_rustaudio"));
}

#[test]
fn without_python_only_this_element_fails_and_says_why() {
    let mut inspect = common::tool("gst-inspect-1.0");
    inspect
        .arg("rustvad")
        .env("RUSTAUDIO_LIBPYTHON", "/nowhere/libpython.so");
    assert!(output(inspect).0);
    let path = crate::node("def process(audio, ctx): pass\n");
    let mut launch = common::tool("gst-launch-1.0");
    launch
        .args(["audiotestsrc", "num-buffers=1", "!", "pypipelinenode"])
        .arg(format!("module={}", path.display()))
        .args(["!", "fakesink"])
        .env("RUSTAUDIO_LIBPYTHON", "/nowhere/libpython.so");
    let (ok, text) = output(launch);
    assert!(!ok);
    assert!(
        text.contains("no Python library found") && text.contains("/nowhere/libpython.so"),
        "{text}"
    );
}

#[test]
fn what_a_node_prints_arrives_under_gst_launch() {
    let path = crate::node("def process(audio, ctx):\n    print('printed', len(audio))\n");
    let mut launch = common::tool("gst-launch-1.0");
    launch
        // Unbuffered, a line is written in pieces, and gst-launch writes in between.
        .env_remove("PYTHONUNBUFFERED")
        .args(["audiotestsrc", "num-buffers=3", "!", "pypipelinenode"])
        .arg(format!("module={}", path.display()))
        .args(["!", "fakesink"]);
    let (ok, text) = output(launch);
    assert!(ok, "{text}");
    assert_eq!(text.matches("printed 1024").count(), 3, "{text}");
}

fn script(name: &str) -> Command {
    let mut python = common::tool(PYTHON);
    python.arg(common::root().join("tests/python").join(name));
    python
}

#[test]
fn a_pygobject_host_shares_its_interpreter() {
    let (ok, text) = output(script("test_host.py"));
    assert!(ok, "{text}");
    assert!(text.contains("all good"), "{text}");
}

#[test]
fn a_host_that_exits_cancels_what_is_awaited() {
    let (ok, text) = output(script("exit_in_await.py"));
    assert!(ok && text.contains("cleaned up"), "{text}");
}

#[test]
fn a_host_may_exit_in_mid_call() {
    // Two at a time, a hundred in all.
    let fifty = || {
        for round in 0..50 {
            let (ok, text) = output(script("exit_in_call.py"));
            assert!(ok, "round {round}: {text}");
        }
    };
    std::thread::scope(|s| {
        s.spawn(fifty);
        s.spawn(fifty);
    });
}
