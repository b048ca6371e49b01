// SPDX-License-Identifier: MIT

//! The runnable examples do what they say.

use std::process::Command;

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

/// What an example of this project prints, which is to succeed.
fn example(name: &str, args: &[&str]) -> String {
    // .../debug/deps/pipeline-..., say.
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().nth(2).unwrap();
    let profile = match built.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    // Of the workspace, as the tests are: alone, the package asks for other features of its dependencies, and
    // nearly everything is compiled anew.
    let cargo = ["build", "--quiet", "--locked", "--workspace"];
    let mut build = tool(env!("CARGO"));
    build
        .current_dir(root())
        .args(cargo)
        .args(["--profile", profile, "--example", name]);
    succeed(build);
    let mut run = tool(built.join("examples").join(name).to_str().unwrap());
    run.current_dir(root()).args(args);
    succeed(run)
}

/// What `command` prints.
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

#[test]
fn many_pipelines_stay_small() {
    // Bare ones use up more of the heap that reading plugins for a new registry leaves behind: of few, the
    // others would seem dear.
    let text = example("many_pipelines", &["100"]);
    assert!(text.contains("| all three |"), "{text}");
}

#[test]
fn starts_and_stops_leave_nothing() {
    let text = example("start_stop", &["1000"]);
    assert!(text.contains("after 1000 cycles"), "{text}");
    let text = example("start_stop", &["40", "isolated"]);
    assert!(text.contains("after 40 cycles"), "{text}");
}
