//! What the plugin logs, as JSON lines.

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
