//! The runnable examples do what they say.

use super::common::{root, tool};

#[test]
fn the_pygobject_example_prints_segments_and_metrics() {
    let output = tool("/usr/bin/python3")
        .arg(root().join("examples/speech_pipeline.py"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    // 1.428 s at 48 kHz.
    for line in [
        "rustaudioconvert: 68545 samples",
        "rustresample: 68545 samples",
        "rustvad: 22849 samples",
        "pypipelinenode: 22849 samples",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let starts = text
        .lines()
        .filter(|l| l.starts_with("speech from"))
        .count();
    let ends = text
        .lines()
        .filter(|l| l.starts_with("silence from"))
        .count();
    assert!(starts > 0 && starts == ends, "{text}");
}

#[test]
fn many_pipelines_stay_small() {
    let mut cargo = tool(env!("CARGO"));
    let output = cargo
        .current_dir(root())
        .args([
            "run",
            "--quiet",
            "--locked",
            "--example",
            "many_pipelines",
            "20",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("| all three |"), "{text}");
}
