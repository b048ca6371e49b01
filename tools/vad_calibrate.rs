// SPDX-License-Identifier: MIT

//! Finds the threshold for a wished rate of false alarms on recordings of one's own:
//!
//! ```text
//! cargo run --release --example vad_calibrate -- PATH [false-alarms=0.05] [detector=silero]
//!   [look-ahead=30] [plot=calibration.svg]
//! ```
//!
//! `PATH` is a WAV file or a folder of them. Where there are labels beside a file (`vad_eval` says
//! which), its frames without speech are taken, and those with speech tell the recall; a file
//! without labels counts as holding no speech at all: record the room with nobody talking.

#[path = "vad_eval/wav.rs"]
mod wav;

use std::path::PathBuf;
use std::process::ExitCode;

use wav::Wav;

/// Share of `sorted` (falling) at or above `p`.
fn share(sorted: &[f32], p: f32) -> f64 {
    sorted.partition_point(|x| *x >= p) as f64 / sorted.len().max(1) as f64
}

fn run() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let path = PathBuf::from(args.next().ok_or("which recordings?")?);
    let (mut wish, mut detector, mut look_ahead) = (0.05f64, "silero".to_owned(), 30);
    let mut plot = PathBuf::from("calibration.svg");
    for arg in args {
        match arg.split_once('=') {
            Some(("false-alarms", v)) => wish = v.parse().map_err(|e| format!("{arg}: {e}"))?,
            Some(("detector", v)) => detector = v.to_owned(),
            Some(("look-ahead", v)) => {
                look_ahead = v.parse().map_err(|e| format!("{arg}: {e}"))?;
            }
            Some(("plot", v)) => plot = PathBuf::from(v),
            _ => return Err(format!("what is {arg}?")),
        }
    }
    let detector = wav::detector(&detector, look_ahead)?;
    let (mut silence, mut speech) = (Vec::new(), Vec::new());
    for file in wav::files(&path)? {
        let frames = Wav::read(&file)?.frames(detector);
        let labels = wav::labels(&file, frames.len());
        for frame in &frames {
            match labels.as_ref().map(|l| l[frame.index as usize]) {
                None | Some(Some(false)) => silence.push(frame.probability),
                Some(Some(true)) => speech.push(frame.probability),
                Some(None) => {}
            }
        }
    }
    if silence.is_empty() {
        return Err("nothing here is known to hold no speech".into());
    }
    for frames in [&mut silence, &mut speech] {
        frames.sort_by(|a, b| b.total_cmp(a));
    }
    // The lowest threshold that keeps to the wish, on a grid that one would type.
    let steps = 1..=1000;
    let threshold = steps
        .map(|i| i as f32 / 1000.0)
        .find(|t| share(&silence, *t) <= wish)
        .unwrap_or(1.0);
    println!(
        "{} frames without speech, {} with; wished false alarms {wish}",
        silence.len(),
        speech.len()
    );
    println!(
        "threshold={threshold:.3} release-threshold={:.3}",
        (threshold - 0.15).max(0.0)
    );
    println!("  false alarms {:.4}", share(&silence, threshold));
    if !speech.is_empty() {
        println!("  recall       {:.4}", share(&speech, threshold));
    }

    let (width, height, left) = (600.0, 300.0, 40.0);
    let x = |t: f32| left + f64::from(t) * width;
    let y = |share: f64| 10.0 + height * (1.0 - share);
    let curve = |frames: &[f32], colour: &str| -> String {
        let points: String = (0..=200)
            .map(|i| i as f32 / 200.0)
            .map(|t| format!("{:.1},{:.1} ", x(t), y(share(frames, t))))
            .collect();
        format!("<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>\n")
    };
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='sans-serif' \
         font-size='11'>\n<rect width='100%' height='100%' fill='white'/>\n",
        left + width + 20.0,
        height + 50.0
    );
    for i in 0..=10 {
        let v = f64::from(i) / 10.0;
        svg += &format!(
            "<path d='M{left} {0:.1}H{1}' stroke='#ddd'/><text x='10' y='{2:.1}'>{v:.1}</text>\
             <text x='{3:.1}' y='{4}'>{v:.1}</text>\n",
            y(v),
            left + width,
            y(v) + 4.0,
            x(v as f32) - 8.0,
            height + 25.0
        );
    }
    svg += &curve(&silence, "#b00");
    if !speech.is_empty() {
        svg += &curve(&speech, "#080");
    }
    svg += &format!(
        "<path d='M{0:.1} 10V{1}' stroke='#06c' stroke-dasharray='4 3'/>\n\
         <text x='{left}' y='{2}'>share of frames at or above the threshold: red without speech, \
         green with; blue: threshold {threshold:.3}</text>\n</svg>\n",
        x(threshold),
        height + 10.0,
        height + 42.0
    );
    std::fs::write(&plot, svg).map_err(|e| format!("{}: {e}", plot.display()))?;
    println!("{}", plot.display());
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vad_calibrate: {e}");
            ExitCode::FAILURE
        }
    }
}
