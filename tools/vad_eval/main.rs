// SPDX-License-Identifier: MIT

//! How good the detector is on labelled recordings, clean and in noise:
//!
//! ```text
//! cargo run --release --example vad_eval -- DIR [--detector silero|spectral] [--look-ahead 0|30|60|100] \
//!   [--energy DBFS] [--csv OUT_DIR]
//! cargo run --release --example vad_eval -- --share PATH... [--detector ...] [--look-ahead ...]
//! ```
//!
//! `DIR` holds WAV files of one rate, each with labels beside it (see `wav.rs` for their format).
//! Noise is made from a fixed seed. `--csv` writes `time,probability` lines per clean file. `--share`
//! tells, for each WAV file without labels (or all of a folder), which share of its frames is speech
//! by the detector, and how many segments a minute.

mod corpus;
mod noise;
mod score;
mod segments;
mod wav;

use std::path::PathBuf;
use std::process::ExitCode;

use corpus::{LEVELS, alone, halved, joined, mixed};
use gstrustaudio::dsp::convert::SampleFormat;
use gstrustaudio::dsp::vad::{DetectorKind, Frame, Output, Rules};
use noise::Kind;
use score::{Score, score};
use wav::Wav;

struct Options {
    paths: Vec<PathBuf>,
    detector: DetectorKind,
    csv: Option<PathBuf>,
    share: bool,
}

fn options() -> Result<Options, String> {
    let mut args = std::env::args().skip(1);
    let (mut paths, mut csv, mut share) = (Vec::new(), None, false);
    let (mut name, mut look_ahead, mut energy) = ("silero".to_owned(), 30, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--detector" => name = value()?,
            "--look-ahead" => {
                look_ahead = value()?.parse().map_err(|e| format!("--look-ahead: {e}"))?;
            }
            "--energy" => {
                energy = Some(value()?.parse().map_err(|e| format!("--energy: {e}"))?);
            }
            "--csv" => csv = Some(PathBuf::from(value()?)),
            "--share" => share = true,
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    if paths.is_empty() || !share && paths.len() > 1 {
        return Err("which directory?".into());
    }
    let detector = match energy {
        Some(threshold_db) => DetectorKind::Energy { threshold_db },
        None => wav::detector(&name, look_ahead)?,
    };
    Ok(Options {
        paths,
        detector,
        csv,
        share,
    })
}

/// How much of recordings without labels is speech to the detector.
fn shares(options: &Options) -> Result<(), String> {
    println!("{:?}", options.detector);
    println!("recording                     s  share >= .5  segments/min");
    for path in &options.paths {
        for file in wav::files(path)? {
            let wav = Wav::read(&file)?;
            let (mut frames, mut speech, mut segments) = (0u32, 0u32, 0u32);
            let mut vad = wav.detector(options.detector, Rules::default());
            wav.run(&mut vad, |o| match o {
                Output::Frame(frame) => {
                    frames += 1;
                    speech += u32::from(frame.probability >= 0.5);
                }
                Output::Change(change, _) => segments += u32::from(change.speech),
            });
            let seconds = f64::from(frames.max(1)) / 100.0;
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let share = f64::from(speech) / (100.0 * seconds);
            let rate = 60.0 * f64::from(segments) / seconds;
            println!("{name:<26} {seconds:5.0} {share:12.4} {rate:13.2}");
        }
    }
    Ok(())
}

fn detect(x: &[f32], rate: u32, detector: DetectorKind) -> Vec<Frame> {
    let wav = Wav {
        format: SampleFormat::F32LE,
        rate,
        channels: 1,
        data: x.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    wav.frames(detector)
}

fn labelled(frames: &[Frame], labels: &[Option<bool>], out: &mut Vec<(f32, bool)>) {
    let pairs = frames.iter().zip(labels);
    out.extend(pairs.filter_map(|(f, l)| Some((f.probability, (*l)?))));
}

fn print(name: &str, s: Score) {
    println!(
        "{name:<24} {:6.3} {:8.3} {:8.3}",
        s.auc, s.recall_5, s.recall_10
    );
}

fn run() -> Result<(), String> {
    let options = options()?;
    if options.share {
        return shares(&options);
    }
    let clips = corpus::clips(&options.paths[0])?;
    let (rate, detector) = (clips[0].rate, options.detector);
    println!("{} recordings, {detector:?}", clips.len());
    println!("condition                   AUC  rec@5%  rec@10%");

    let mut all = Vec::new();
    let (mut hits, mut marked, mut truth) = (0, 0, 0);
    for clip in &clips {
        let frames = detect(&clip.mono, rate, detector);
        if let Some(dir) = &options.csv {
            let lines: String = frames
                .iter()
                .map(|f| format!("{:.2},{}\n", f.index as f64 / 100.0, f.probability))
                .collect();
            let name = clip.path.with_extension("csv");
            let path = dir.join(name.file_name().unwrap_or_default());
            std::fs::create_dir_all(dir)
                .and_then(|()| std::fs::write(&path, lines))
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        labelled(&frames, &clip.labels, &mut all);
    }
    for (p, speech) in &all {
        hits += i32::from(*p >= 0.5 && *speech);
        marked += i32::from(*p >= 0.5);
        truth += i32::from(*speech);
    }
    print("clean", score(&mut all));
    println!(
        "  at threshold 0.5: F1 {:.3}, false alarms {:.3}",
        2.0 * f64::from(hits) / f64::from(marked + truth).max(1.0),
        f64::from(marked - hits) / (all.len() as f64 - f64::from(truth)).max(1.0)
    );

    let (mut sum, mut count) = (0.0, 0.0);
    for kind in Kind::ALL {
        for db in LEVELS {
            all.clear();
            for (i, clip) in clips.iter().enumerate() {
                let n = mixed(&clips, i, kind, db);
                labelled(&detect(&n, rate, detector), &clip.labels, &mut all);
            }
            let s = score(&mut all);
            sum += s.auc;
            count += 1.0;
            print(&format!("{} {db} dB", kind.name()), s);
        }
    }
    println!("{:<24} {:6.3}", "mean in noise", sum / count);

    let (stream, labels) = joined(&clips);
    all.clear();
    labelled(&detect(&stream, rate, detector), &labels, &mut all);
    print("one stream", score(&mut all));
    if rate == 16_000 {
        all.clear();
        for clip in &clips {
            let frames = detect(&halved(&clip.mono), 8000, detector);
            labelled(&frames, &clip.labels, &mut all);
        }
        print("clean, at 8 kHz", score(&mut all));
    }

    let frames: Vec<Vec<Frame>> = clips
        .iter()
        .map(|clip| detect(&clip.mono, rate, detector))
        .collect();
    segments::print(&clips, &frames, detector);

    println!("\nnoise only, -26 dBFS: share of frames at or above 0.5 after 3 s");
    for (k, kind) in Kind::ALL.into_iter().enumerate() {
        if kind == Kind::Babble {
            continue; // is speech
        }
        let (mut marked, mut frames) = (0, 0);
        for i in 3..9 {
            let n = alone(kind, rate, 777 + i * 13 + k as u64 * 100);
            for f in detect(&n, rate, detector).iter().skip(300) {
                marked += u32::from(f.probability >= 0.5);
                frames += 1;
            }
        }
        println!(
            "{:<24} {:6.3}",
            kind.name(),
            f64::from(marked) / f64::from(frames.max(1))
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vad_eval: {e}");
            ExitCode::FAILURE
        }
    }
}
