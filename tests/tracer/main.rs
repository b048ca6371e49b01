// SPDX-License-Identifier: MIT

//! The tracer `rustaudiometrics`, as a user runs it.

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;

use serde_json::Value;

/// Plays `line` under the tracer: gst-launch's error output, and the document.
fn traced(name: &str, line: &str) -> (String, Value) {
    let (output, document) = traced_with(name, &["-q"], line);
    (
        String::from_utf8_lossy(&output.stderr).into_owned(),
        document,
    )
}

/// As [`traced`], with flags of gst-launch and all of its output.
fn traced_with(name: &str, flags: &[&str], line: &str) -> (std::process::Output, Value) {
    let dir = common::plugin_dir().with_file_name("tracer-test");
    std::fs::create_dir_all(&dir).unwrap();
    let pattern = dir.join(format!("{name}-{{pipeline}}.json"));
    let file = dir.join(format!("{name}-pipeline0.json"));
    written(&pattern, &file, &[flags, &words(line)].concat())
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// What gst-launch prints with `arguments`, traced to `pattern`, and the document that it leaves in `file`.
fn written(pattern: &Path, file: &Path, arguments: &[&str]) -> (std::process::Output, Value) {
    let _ = std::fs::remove_file(file);
    let output = common::tool("gst-launch-1.0")
        .env(
            "GST_TRACERS",
            format!("rustaudiometrics(file=\"{}\")", pattern.display()),
        )
        .args(arguments)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    (output, serde_json::from_str(&text).unwrap())
}

fn node<'a>(document: &'a Value, id: &str) -> &'a Value {
    document["pipeline_execution"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|n| n["id"] == id)
        .unwrap_or_else(|| panic!("no node {id} in {document:#}"))
}

#[test]
fn every_element_is_in_the_document_with_its_buffers() {
    let (errors, doc) = traced(
        "all",
        "fakesrc num-buffers=300 sizetype=fixed sizemax=100 name=a ! identity name=b ! queue name=c \
         ! tee name=t t. ! queue name=d ! fakesink name=e t. ! queue ! fakesink name=f",
    );
    assert_eq!(errors, "");
    for id in ["a", "b", "c", "t", "d", "e", "f"] {
        let n = node(&doc, id);
        assert_eq!(n["buffers"], 300, "{id}");
        assert_eq!(n["status"], "ok");
        assert!(n["execution_time_ms"].as_f64().unwrap() > 0.0, "{id}");
        assert!(n["p50_ms"].as_f64().unwrap() <= n["max_ms"].as_f64().unwrap());
    }
    let run = &doc["pipeline_execution"];
    assert_eq!(run["nodes"].as_array().unwrap().len(), 8);
    assert_eq!(run["pipeline"], "pipeline0");
    assert!(run["total_time_ms"].as_f64().unwrap() > 0.0);
    // To the microsecond and no further.
    let total = run["total_time_ms"].as_f64().unwrap() * 1000.0;
    assert!((total - total.round()).abs() < 1e-6);
}

#[test]
fn work_is_charged_to_who_does_it() {
    // identity sleeps 2 ms per buffer; its neighbours do nothing, and waiting for it is not theirs.
    let (_, doc) = traced(
        "work",
        "fakesrc num-buffers=50 name=a ! identity name=before ! identity sleep-time=2000 name=busy \
         ! identity name=after ! fakesink name=sink",
    );
    let ms = |id: &str| node(&doc, id)["execution_time_ms"].as_f64().unwrap();
    assert!(ms("busy") >= 100.0, "{}", ms("busy"));
    assert!(ms("busy") <= doc["pipeline_execution"]["total_time_ms"].as_f64().unwrap());
    for id in ["a", "before", "after", "sink"] {
        assert!(ms(id) < 0.5 * ms("busy"), "{id}: {}", ms(id));
    }
    assert!(node(&doc, "busy")["p50_ms"].as_f64().unwrap() >= 2.0);
}

#[test]
fn waiting_for_the_clock_is_no_work() {
    let (_, doc) = traced(
        "wait",
        "audiotestsrc num-buffers=20 samplesperbuffer=441 name=a ! queue name=q ! fakesink sync=true name=sink",
    );
    let total = doc["pipeline_execution"]["total_time_ms"].as_f64().unwrap();
    assert!(total >= 180.0, "{total}");
    for id in ["a", "q", "sink"] {
        let ms = node(&doc, id)["execution_time_ms"].as_f64().unwrap();
        assert!(ms < total / 4.0, "{id}: {ms} of {total}");
    }
}

#[test]
fn pull_mode_and_nested_bins_are_seen() {
    let wav = "/usr/share/sounds/alsa/Front_Center.wav";
    let (errors, doc) = traced(
        "pull",
        &format!(
            "filesrc location={wav} name=file ! decodebin ! audioconvert ! fakesink name=sink"
        ),
    );
    assert_eq!(errors, "");
    let sent = node(&doc, "sink")["buffers"].as_u64().unwrap();
    assert!(sent > 10);
    assert_eq!(node(&doc, "decodebin0/wavparse0")["buffers"], sent);
    assert!(node(&doc, "file")["buffers"].as_u64().unwrap() >= sent);
}

#[test]
fn elements_of_one_name_in_different_bins_have_ids_of_their_own() {
    let (_, doc) = traced(
        "names",
        "bin.( name=a fakesrc num-buffers=3 ! identity name=same ! fakesink ) \
         bin.( name=b audiotestsrc num-buffers=5 ! rustaudioconvert name=same ! fakesink )",
    );
    assert_eq!(node(&doc, "a/same")["buffers"], 3);
    assert_eq!(node(&doc, "b/same")["type"], "rustaudioconvert");
    assert_eq!(node(&doc, "b/same")["buffers"], 5);
}

#[test]
fn the_name_of_a_pipeline_leads_nowhere_else() {
    let dir = common::plugin_dir().with_file_name("tracer-test");
    let inner = dir.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    for (name, pattern, file) in [
        ("../escaped", "{pipeline}.json", ".._escaped.json"),
        (
            "no/such/folder",
            "m-{pipeline}.json",
            "m-no_such_folder.json",
        ),
        ("..", "{pipeline}", "__"),
    ] {
        let line = format!("-q pipeline.( name={name} fakesrc num-buffers=1 ! fakesink )");
        let (_, document) = written(&inner.join(pattern), &inner.join(file), &words(&line));
        assert_eq!(document["pipeline_execution"]["pipeline"], name);
    }
    assert!(!dir.join("escaped.json").exists());
}

#[test]
fn an_error_marks_its_element() {
    let (errors, doc) = traced(
        "error",
        "fakesrc num-buffers=10 ! identity error-after=3 name=bad ! fakesink name=sink",
    );
    assert!(errors.contains("Failed after iterations"), "{errors}");
    assert_eq!(node(&doc, "bad")["status"], "failed");
    assert_eq!(node(&doc, "bad")["failures"], 1);
    assert_eq!(node(&doc, "sink")["status"], "ok");
}

#[test]
fn a_pipeline_that_does_not_start_has_a_document_too() {
    let (errors, doc) = traced(
        "start",
        "filesrc location=/nonexistent/file name=file ! fakesink",
    );
    assert!(errors.contains("No such file"), "{errors}");
    assert_eq!(node(&doc, "file")["status"], "failed");
}

#[test]
fn elements_of_this_plugin_are_told_in_their_own_figures() {
    let dir = common::plugin_dir().with_file_name("tracer-test");
    std::fs::create_dir_all(&dir).unwrap();
    let module = dir.join("waits.py");
    let text = "class N:\n    def process(self, audio, ctx):\n        \
                if ctx.attempt == 1: raise TimeoutError('busy')\n";
    std::fs::write(&module, text).unwrap();
    let (output, doc) = traced_with(
        "own",
        &["-m"],
        &format!(
            "audiotestsrc num-buffers=3 ! audio/x-raw,format=F32LE ! rustaudioconvert name=c \
             ! pypipelinenode name=n module={} class=N initial-backoff=400000000 ! fakesink",
            module.display()
        ),
    );
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    for id in ["c", "n"] {
        let own = messages
            .lines()
            .rfind(|l| {
                l.contains(&format!("element=(string){id},")) && l.contains("final=(boolean)true")
            })
            .unwrap_or_else(|| panic!("no final message of {id}: {messages}"));
        let field = |name: &str| -> f64 {
            let (_, rest) = own.split_once(&format!(" {name}=(guint64)")).unwrap();
            rest.split([',', ';']).next().unwrap().parse().unwrap()
        };
        let n = node(&doc, id);
        assert_eq!(n["buffers"], 3);
        for (key, name) in [
            ("execution_time_ms", "processing-time"),
            ("p50_ms", "processing-time-p50"),
            ("p99_ms", "processing-time-p99"),
            ("max_ms", "processing-time-max"),
        ] {
            let ms = n[key].as_f64().unwrap();
            assert!(
                (ms - field(name) / 1e6).abs() <= 0.00051,
                "{id} {key}: {ms}"
            );
        }
        if id == "n" {
            assert_eq!(n["calls"], 6);
            let longest = field("call-time-max") / 1e6;
            assert!((n["call_max_ms"].as_f64().unwrap() - longest).abs() <= 0.00051);
            assert!(longest < 400.0, "waits are no work");
        }
    }
    assert!(doc["pipeline_execution"]["total_time_ms"].as_f64().unwrap() >= 1200.0);
}

#[test]
fn an_unknown_parameter_is_named() {
    let output = common::tool("gst-inspect-1.0")
        .env("GST_TRACERS", "rustaudiometrics(fyle=\"x\")")
        .env_remove("G_DEBUG")
        .arg("identity")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("property 'fyle' not found"), "{errors}");
}
