// SPDX-License-Identifier: MIT

//! Draws what each property does to segments, on one made-up course of probability:
//!
//! ```text
//! cargo run --example vad_rules -- docs/img/vad-rules.svg
//! ```

use std::fmt::Write;
use std::process::ExitCode;

use gstrustaudio::dsp::vad::{LevelClass, Rules, Segmenter};

/// Frames of 10 ms.
const FRAMES: usize = 260;
/// Pixels per frame, width of the names, height of the curve and of a row.
const STEP: f64 = 2.5;
const LEFT: f64 = 170.0;
const CURVE: f64 = 90.0;
const ROW: f64 = 22.0;

/// Probability of each frame: (frame, value) joined by straight lines.
fn course() -> Vec<f32> {
    #[rustfmt::skip]
    let points = [
        (0, 0.05), (18, 0.05), (19, 0.9), (22, 0.9), (23, 0.05), // a click
        (45, 0.05), (52, 0.95), (85, 0.9), (88, 0.4), (97, 0.4), (100, 0.9), // a dip between thresholds
        (120, 0.9), (123, 0.1), (139, 0.1), (142, 0.9), // a pause of some 180 ms
        (165, 0.85), (170, 0.1), (200, 0.1), (206, 0.62), (230, 0.62), (236, 0.05), // a mumble
        (FRAMES, 0.05),
    ];
    (0..FRAMES)
        .map(|f| {
            let after = points.iter().position(|p| p.0 > f).unwrap_or(1).max(1);
            let ((a, from), (b, to)) = (points[after - 1], points[after]);
            from + (to - from) * (f - a) as f32 / (b - a) as f32
        })
        .collect()
}

fn segments(course: &[f32], rules: Rules) -> Vec<(u64, u64)> {
    let mut segmenter = Segmenter::new(rules);
    let mut found = Vec::new();
    for p in course {
        segmenter.push(*p, LevelClass::Open, |c| {
            if !c.speech {
                found.push((c.start, c.at));
            }
        });
    }
    segmenter.flush(|c| {
        if !c.speech {
            found.push((c.start, c.at));
        }
    });
    found
}

fn draw() -> String {
    let course = course();
    let d = Rules::default();
    #[rustfmt::skip]
    let rows = [
        ("defaults", d),
        ("threshold=0.7", Rules { threshold: 0.7, release: 0.55, ..d }),
        ("release-threshold=0.45", Rules { release: 0.45, min_silence: 5, ..d }),
        ("min-speech=30 ms", Rules { min_speech: 3, ..d }),
        ("min-silence=300 ms", Rules { min_silence: 30, ..d }),
        ("speech-pad=0", Rules { pad: 0, ..d }),
        ("speech-pad=90 ms", Rules { pad: 9, ..d }),
        ("max-speech=300 ms", Rules { max_speech: Some(30), ..d }),
    ];
    let width = LEFT + FRAMES as f64 * STEP + 10.0;
    let bottom = CURVE + 20.0 + rows.len() as f64 * ROW;
    let x = |frame: f64| LEFT + frame * STEP;
    let y = |p: f32| 8.0 + CURVE * (1.0 - f64::from(p));
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{}' \
         font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='white'/>\n<text x='6' y='50'>probability</text>\n",
        bottom + 24.0
    );
    let mut add = |line: std::fmt::Arguments| {
        let _ = writeln!(svg, "{line}"); // a String takes everything
    };
    for (p, colour) in [(d.threshold, "#b00"), (d.release, "#c70")] {
        add(format_args!(
            "<path d='M{LEFT} {0:.1}H{1}' stroke='{colour}' stroke-dasharray='4 3'/>\
             <text x='{2}' y='{3:.1}' fill='{colour}' text-anchor='end'>{p:.2}</text>",
            y(p),
            width - 10.0,
            LEFT - 4.0,
            y(p) + 4.0
        ));
    }
    let points: String = course
        .iter()
        .enumerate()
        .map(|(i, p)| format!("{:.1},{:.1} ", x(i as f64 + 0.5), y(*p)))
        .collect();
    add(format_args!(
        "<polyline points='{points}' fill='none' stroke='#06c' stroke-width='1.5'/>"
    ));
    for (i, (name, rules)) in rows.into_iter().enumerate() {
        let top = CURVE + 20.0 + i as f64 * ROW;
        add(format_args!(
            "<text x='6' y='{:.1}'>{name}</text>",
            top + 14.0
        ));
        for (start, end) in segments(&course, rules) {
            add(format_args!(
                "<rect x='{:.1}' y='{top:.1}' width='{:.1}' height='{}' fill='#9c9' \
                 stroke='#363'/>",
                x(start as f64),
                (end - start) as f64 * STEP,
                ROW - 6.0
            ));
        }
    }
    for tick in (0..=FRAMES).step_by(50) {
        add(format_args!(
            "<path d='M{0:.1} {bottom:.1}v5' stroke='#333'/>\
             <text x='{0:.1}' y='{1:.1}' text-anchor='middle'>{2:.1} s</text>",
            x(tick as f64),
            bottom + 18.0,
            tick as f64 / 100.0
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("vad_rules: where to?");
        return ExitCode::FAILURE;
    };
    match std::fs::write(&path, draw()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vad_rules: {path}: {e}");
            ExitCode::FAILURE
        }
    }
}
