//! A detector as a filter: 16 kHz mono samples in F32LE from standard input, a probability in F32LE
//! per 10 ms to standard output.
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
    let frames = wav.frames(wav::detector(&name, ms)?);
    let out: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.probability.to_le_bytes())
        .collect();
    let written = std::io::stdout().write_all(&out);
    written.map_err(|e| format!("standard output: {e}"))
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
