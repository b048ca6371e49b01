// SPDX-License-Identifier: MIT

//! A detector as a filter: 16 kHz mono samples in F32LE from standard input; to standard output, for
//! each 10 ms, four numbers in F32LE: probability of speech, level and noise floor in dBFS, number of
//! the segment that the frame lies in at the default rules, 0 outside of any.
//!
//! ```text
//! cargo run --release --example vad_pipe -- spectral|silero|neural [LOOK_AHEAD_MS] < IN > OUT
//! ```
//!
//! `tools/vad_train/evaluate.py` compares our detectors with others by it.

#[path = "vad_eval/wav.rs"]
mod wav;

use std::io::{Read, Write};
use std::process::ExitCode;

use gstrustaudio::dsp::convert::SampleFormat;
use gstrustaudio::dsp::vad::{Output, Rules};
use wav::Wav;

fn run() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("which detector?")?;
    let ms = match args.next() {
        Some(ms) => ms.parse().map_err(|e| format!("{ms} ms: {e}"))?,
        None => 30,
    };
    let mut data = Vec::new();
    let read = std::io::stdin().read_to_end(&mut data);
    read.map_err(|e| format!("standard input: {e}"))?;
    let wav = Wav {
        format: SampleFormat::F32LE,
        rate: 16_000,
        channels: 1,
        data,
    };
    let out: Vec<u8> = heard(&wav, wav::detector(&name, ms)?)
        .iter()
        .flatten()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let written = std::io::stdout().write_all(&out);
    written.map_err(|e| format!("standard output: {e}"))
}

/// Probability, level, noise floor and segment of each frame.
fn heard(wav: &Wav, detector: gstrustaudio::dsp::vad::DetectorKind) -> Vec<[f32; 4]> {
    let (mut frames, mut segments) = (Vec::new(), Vec::new());
    wav.run(&mut wav.detector(detector, Rules::default()), |o| match o {
        Output::Frame(f) => frames.push([f.probability, f.level, f.noise_floor, 0.0]),
        Output::Change(c, _) if !c.speech => segments.push((c.start, c.at, c.segment)),
        Output::Change(..) => {}
    });
    for (start, end, segment) in segments {
        for frame in &mut frames[start as usize..end as usize] {
            frame[3] = segment as f32;
        }
    }
    frames
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("vad_pipe: {message}");
            ExitCode::FAILURE
        }
    }
}
