// SPDX-License-Identifier: MIT

//! Draws waveform, probability and segments of a WAV file as SVG:
//!
//! ```text
//! cargo run --release --example vad_plot -- FILE.wav [OUT.svg] [detector=silero] [look-ahead=MS]
//!   [threshold=P] [min-speech=MS] [min-silence=MS] [speech-pad=MS] [max-speech=MS] [from=S] [to=S]
//! ```

#[path = "vad_eval/wav.rs"]
mod wav;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gstrustaudio::dsp::vad::{Output, Rules, frames_of};
use wav::Wav;

const WIDTH: f64 = 1200.0;
const WAVE: f64 = 120.0;
const CURVE: f64 = 120.0;

fn run() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let file = PathBuf::from(args.next().ok_or("which file?")?);
    let mut out = file.with_extension("svg");
    let mut rules = Rules::default();
    let (mut detector, mut look_ahead) = ("silero".to_owned(), 30);
    let (mut from, mut to) = (0.0, f64::MAX);
    for arg in args {
        let Some((key, value)) = arg.split_once('=') else {
            out = PathBuf::from(arg);
            continue;
        };
        if key == "detector" {
            detector = value.to_owned();
            continue;
        }
        let number: f64 = value.parse().map_err(|e| format!("{key}: {e}"))?;
        let frames = frames_of((number.max(0.0) * 1e6) as u64);
        match key {
            "threshold" => {
                rules.threshold = number as f32;
                rules.release = (number as f32 - 0.15).max(0.0);
            }
            "look-ahead" => look_ahead = number as u64,
            "min-speech" => rules.min_speech = frames,
            "min-silence" => rules.min_silence = frames,
            "speech-pad" => rules.pad = frames,
            "max-speech" => rules.max_speech = Some(frames),
            "from" => from = number,
            "to" => to = number,
            _ => return Err(format!("no setting called {key}")),
        }
    }
    let wav = Wav::read(&file)?;
    let mut vad = wav.detector(wav::detector(&detector, look_ahead)?, rules);
    let (mut frames, mut segments) = (Vec::new(), Vec::new());
    wav.run(&mut vad, |o| match o {
        Output::Frame(frame) => frames.push(frame),
        Output::Change(c, _) if !c.speech => segments.push((c.start, c.at)),
        Output::Change(..) => {}
    });
    let total = wav.samples() as f64 / f64::from(wav.rate);
    let (from, to) = (from.clamp(0.0, total), to.clamp(0.0, total));
    let x = |s: f64| (s - from) / (to - from).max(1e-3) * WIDTH;
    let inside = |s: f64| s >= from && s <= to;

    let bottom = WAVE + CURVE + 20.0;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{}' \
         font-family='sans-serif' font-size='11'>\n<rect width='100%' height='100%' fill='white'/>\n",
        bottom + 20.0
    );
    let mut add = |line: std::fmt::Arguments| {
        let _ = writeln!(svg, "{line}"); // a String takes everything
    };
    for (start, end) in &segments {
        let (a, b) = (*start as f64 / 100.0, *end as f64 / 100.0);
        if b < from || a > to {
            continue;
        }
        let (a, b) = (x(a.max(from)), x(b.min(to)));
        let h = WAVE + CURVE + 10.0;
        add(format_args!(
            "<rect x='{a:.1}' y='0' width='{:.1}' height='{h}' fill='#cfe8cf'/>",
            b - a
        ));
    }
    let mono = wav.mono();
    let peak = mono.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    let mut path = String::new();
    for column in 0..WIDTH as usize {
        let at = |c: f64| ((from + c / WIDTH * (to - from)) * f64::from(wav.rate)) as usize;
        let (a, b) = (at(column as f64), at(column as f64 + 1.0));
        let part = mono.get(a..b.clamp(a, mono.len())).unwrap_or_default();
        let high = part.iter().fold(0f32, |m, x| m.max(*x)) / peak;
        let low = part.iter().fold(0f32, |m, x| m.min(*x)) / peak;
        let y = |v: f32| WAVE / 2.0 * (1.0 - f64::from(v));
        let _ = write!(path, "M{column} {:.1}V{:.1}", y(high), y(low) + 0.5);
    }
    add(format_args!("<path d='{path}' stroke='#335' fill='none'/>"));
    let y = |p: f32| WAVE + 10.0 + CURVE * (1.0 - f64::from(p));
    for (p, colour) in [(rules.threshold, "#b00"), (rules.release, "#e90")] {
        let y = y(p);
        add(format_args!(
            "<path d='M0 {y:.1}H{WIDTH}' stroke='{colour}' stroke-dasharray='4 3'/>\
             <text x='2' y='{:.1}' fill='{colour}'>{p:.2}</text>",
            y - 2.0
        ));
    }
    let points: String = frames
        .iter()
        .map(|f| (f.index as f64 / 100.0 + 0.005, f.probability))
        .filter(|(t, _)| inside(*t))
        .map(|(t, p)| format!("{:.1},{:.1} ", x(t), y(p)))
        .collect();
    add(format_args!(
        "<polyline points='{points}' fill='none' stroke='#06c'/>"
    ));
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]
        .into_iter()
        .find(|s| (to - from) / s <= 20.0)
        .unwrap_or(600.0);
    let mut tick = (from / step).ceil() * step;
    while tick <= to {
        add(format_args!(
            "<path d='M{0:.1} {1}v5' stroke='#333'/><text x='{0:.1}' y='{2}'>{tick:.1} s</text>",
            x(tick),
            bottom - 10.0,
            bottom + 8.0
        ));
        tick += step;
    }
    svg.push_str("</svg>\n");
    write(&out, &svg)?;
    for (i, (start, end)) in segments.iter().enumerate() {
        let (a, b) = (*start as f64 / 100.0, *end as f64 / 100.0);
        println!("segment {:3}  {a:8.2} - {b:8.2} s", i + 1);
    }
    println!("{}", out.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vad_plot: {e}");
            ExitCode::FAILURE
        }
    }
}
