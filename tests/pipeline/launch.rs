// SPDX-License-Identifier: MIT

//! The demo's line through gst-launch-1.0 -m, on a recording with known speech.

use std::path::PathBuf;
use std::process::Command;

use super::common::{plugin_dir, root, tool};

/// Fields of each element message called `name` in what gst-launch-1.0 -m printed.
fn messages(text: &str, name: &str) -> Vec<gst::Structure> {
    let start = format!("(element): {name}, ");
    text.lines()
        .filter_map(|line| line.split_once(&start))
        .map(|(_, fields)| format!("{name}, {fields}").parse().unwrap())
        .collect()
}

fn work_dir() -> PathBuf {
    let dir = plugin_dir().with_file_name("launch-test");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn the_demo_line_finds_the_speech_and_counts_every_sample() {
    gst::init().unwrap();
    let dir = work_dir();
    let (wav, csv, out) = (
        dir.join("speech.wav"),
        dir.join("speech.csv"),
        dir.join("out.wav"),
    );
    let made = Command::new("/usr/bin/python3")
        .arg(root().join("scripts/make_speech.py"))
        .args([&wav, &csv])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");

    let output = tool("gst-launch-1.0")
        .arg("-m")
        .args(["filesrc", &format!("location={}", wav.display())])
        .args(["!", "decodebin", "!", "rustaudioconvert"])
        .args([
            "!",
            "audio/x-raw,format=F32LE,channels=1",
            "!",
            "rustresample",
        ])
        .args(["!", "audio/x-raw,rate=16000"])
        .args(["!", "rustvad", "min-silence=500000000"])
        .args(["!", "pypipelinenode"])
        .arg(format!(
            "module={}",
            root().join("examples/nodes/gain.py").display()
        ))
        .args(["class=Gain", "kwargs={\"db\": 6}"])
        .args([
            "!",
            "wavenc",
            "!",
            "filesink",
            &format!("location={}", out.display()),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");

    // Speech is where it is known to be, within 50 ms at either end.
    let known: Vec<(f64, f64)> = std::fs::read_to_string(&csv)
        .unwrap()
        .lines()
        .map(|line| {
            let (a, b) = line.split_once(',').unwrap();
            (a.parse().unwrap(), b.parse().unwrap())
        })
        .collect();
    let changes = messages(&text, "rustvad");
    assert_eq!(changes.len(), 2 * known.len(), "{changes:#?}");
    for (i, (pair, known)) in changes.chunks(2).zip(&known).enumerate() {
        let at = |s: &gst::Structure| s.get::<u64>("stream-time").unwrap() as f64 / 1e9;
        assert!(pair[0].get::<bool>("speech").unwrap());
        assert!(!pair[1].get::<bool>("speech").unwrap());
        assert_eq!(pair[1].get::<u64>("segment").unwrap(), i as u64 + 1);
        let (start, end) = (at(&pair[0]), at(&pair[1]));
        assert!(
            (start - known.0).abs() <= 0.06,
            "{i}: starts at {start}, known {known:?}"
        );
        // The last weak consonant of a word may lie outside.
        assert!(
            (end - known.1).abs() <= 0.1,
            "{i}: ends at {end}, known {known:?}"
        );
        let length = pair[1].get::<u64>("duration").unwrap() as f64 / 1e9;
        assert!((length - (end - start)).abs() < 1e-6);
    }

    // One final message per element, with every sample in it.
    let frames_in = (std::fs::metadata(&wav).unwrap().len() - 44) / 2;
    let frames_out = frames_in.div_ceil(3);
    let metrics = messages(&text, "rustaudio-metrics");
    for (factory, frames) in [
        ("rustaudioconvert", frames_in),
        ("rustresample", frames_in),
        ("rustvad", frames_out),
        ("pypipelinenode", frames_out),
    ] {
        let finals: Vec<_> = metrics
            .iter()
            .filter(|m| m.get::<&str>("factory") == Ok(factory) && m.get("final") == Ok(true))
            .collect();
        assert_eq!(finals.len(), 1, "{factory}");
        let samples = finals[0].get::<u64>("num-samples").unwrap();
        assert!(
            samples.abs_diff(frames) <= 1,
            "{factory}: {samples}, not {frames}"
        );
        assert_eq!(finals[0].get::<&str>("status"), Ok("ok"));
    }
    // 16 kHz F32 in the WAV's data chunk: the same length, to a sample.
    let written = std::fs::read(&out).unwrap();
    let data = written.windows(4).position(|w| w == b"data").unwrap() + 4;
    let bytes = u32::from_le_bytes(written[data..data + 4].try_into().unwrap());
    assert!(
        u64::from(bytes / 4).abs_diff(frames_out) <= 1,
        "{bytes} bytes"
    );
}
