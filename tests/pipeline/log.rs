// SPDX-License-Identifier: MIT

//! What the plugin logs: to GStreamer's debug log, and as JSON lines.

use super::common::{plugin_dir, tool};

#[test]
fn json_lines_name_the_element_and_its_buffers() {
    let file = plugin_dir().with_file_name("log-test.jsonl");
    let _ = std::fs::remove_file(&file);
    let output = tool("gst-launch-1.0")
        .env("RUSTAUDIO_LOG_JSON", &file)
        .env("RUSTAUDIO_LOG", "rustaudio=trace")
        .args("-q audiotestsrc num-buffers=7 ! rustaudioconvert name=this".split(' '))
        .args("! audio/x-raw,channels=3 ! fakesink".split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let done: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["fields"]["message"] == "buffer done")
        .collect();
    assert_eq!(done.len(), 7, "{text}");
    for line in &done {
        assert_eq!(line["fields"]["element"], "this");
        assert_eq!(line["fields"]["frames"], 1024);
        assert_eq!(line["span"]["element"], "this");
    }
}

/// Lines of the debug log of one category, as `(line, shown object)`.
fn lines<'a>(log: &'a str, category: &str) -> Vec<(&'a str, &'a str)> {
    // TIME PID THREAD LEVEL CATEGORY FILE:LINE:MODULE:<OBJECT> MESSAGE
    let of_category = |line: &&str| line.split_whitespace().nth(4) == Some(category);
    log.lines()
        .filter(of_category)
        .map(|line| {
            let place = line.split_whitespace().nth(5).unwrap_or_default();
            let object = place
                .rsplit_once(":<")
                .map(|(_, o)| o.trim_end_matches('>'));
            (line, object.unwrap_or_default())
        })
        .collect()
}

#[test]
fn lines_of_the_debug_log_show_their_element() {
    let node = super::common::root().join("examples/nodes/gain.py");
    let pipeline = format!(
        "audiotestsrc num-buffers=5 ! rustaudioconvert name=a ! audio/x-raw,channels=3,rate=44100 \
         ! rustresample name=b ! audio/x-raw,rate=16000 ! rustvad name=c ! audioconvert \
         ! pypipelinenode name=d isolation=process class=Gain module={} ! fakesink",
        node.display()
    );
    let categories = "rustaudioconvert:7,rustresample:7,rustvad:7,pypipelinenode:7,rustaudio:7";
    let output = tool("gst-launch-1.0")
        .env("GST_DEBUG", categories)
        .env("GST_DEBUG_NO_COLOR", "1")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    for (category, name) in [
        ("rustaudioconvert", "a"),
        ("rustresample", "b"),
        ("rustvad", "c"),
    ] {
        let lines = lines(&log, category);
        assert!(!lines.is_empty(), "{category} says nothing:\n{log}");
        for (line, object) in lines {
            assert_eq!(object, name, "{line}");
        }
    }
    // The server that workers are forked from is no element's.
    let node: Vec<_> = lines(&log, "pypipelinenode")
        .into_iter()
        .filter(|(line, _)| !line.contains("fork server started"))
        .collect();
    assert!(!node.is_empty(), "{log}");
    for (line, object) in node {
        assert_eq!(object, "d", "{line}");
    }
    let done = lines(&log, "rustaudio");
    let of = |name: &str| done.iter().filter(|(_, object)| *object == name).count();
    assert!(
        ["a", "b", "c", "d"].iter().all(|name| of(name) >= 5),
        "{log}"
    );
    assert_eq!(of(""), 0, "{log}");
}
