// SPDX-License-Identifier: MIT

//! Just enough of WAV and of label files.
#![allow(dead_code)] // each example uses its own part

use std::fs;
use std::path::Path;

use gstrustaudio::dsp::Frames;
use gstrustaudio::dsp::convert::{SampleFormat, Unpack};
use gstrustaudio::dsp::vad::{Config, DetectorKind, Frame, LookAhead, Output, Rules, Vad};

/// The detector called `name` in the element's property, with `ms` of look-ahead.
pub fn detector(name: &str, ms: u64) -> Result<DetectorKind, String> {
    let look_ahead = LookAhead::within(ms * 1_000_000);
    let kind = match name {
        "spectral" => DetectorKind::Spectral(look_ahead),
        "silero" => DetectorKind::Silero(look_ahead),
        "neural" => DetectorKind::Neural(look_ahead),
        _ => {
            return Err(format!(
                "no detector called {name} here: spectral, silero or neural"
            ));
        }
    };
    let given = kind.look_ahead().ns() / 1_000_000;
    if given != ms {
        return Err(format!(
            "detector={name} has no look-ahead of {ms} ms; {given} is the next"
        ));
    }
    Ok(kind)
}

/// A recording in memory.
pub struct Wav {
    pub format: SampleFormat,
    pub rate: u32,
    pub channels: usize,
    pub data: Vec<u8>,
}

impl Wav {
    /// Reads PCM of 16, 24 or 32 bits and floats of 32 or 64.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(&bytes)
            .ok_or_else(|| format!("{}: no WAV file that I can read", path.display()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if bytes.get(..4)? != b"RIFF" || bytes.get(8..12)? != b"WAVE" {
            return None;
        }
        let (mut at, mut head) = (12, None);
        loop {
            let size = u32_at(at + 4)? as usize;
            let body = at + 8;
            match bytes.get(at..at + 4)? {
                b"fmt " => {
                    let mut tag = u16_at(body)?;
                    if tag == 0xfffe {
                        tag = u16_at(body + 24)?;
                    }
                    let format = match (tag, u16_at(body + 14)?) {
                        (1, 16) => SampleFormat::S16LE,
                        (1, 24) => SampleFormat::S24LE,
                        (1, 32) => SampleFormat::S32LE,
                        (3, 32) => SampleFormat::F32LE,
                        (3, 64) => SampleFormat::F64LE,
                        _ => return None,
                    };
                    head = Some((format, u32_at(body + 4)?, u16_at(body + 2)? as usize));
                }
                b"data" => {
                    let (format, rate, channels) = head?;
                    // Written by programs that were stopped: as much as there is.
                    let end = (body + size).min(bytes.len());
                    return Some(Self {
                        format,
                        rate,
                        channels,
                        data: bytes[body..end].to_vec(),
                    });
                }
                _ => {}
            }
            at = body + size + size % 2;
        }
    }

    /// Samples per channel.
    pub fn samples(&self) -> usize {
        self.data.len() / (self.format.size() * self.channels.max(1))
    }

    /// The mean of all channels.
    pub fn mono(&self) -> Vec<f32> {
        let values = self.samples() * self.channels;
        let mut x = vec![0f32; values];
        Unpack::<f32>::new(self.format).run(&self.data[..values * self.format.size()], &mut x);
        let channels = self.channels.max(1);
        let mean = |c: &[f32]| c.iter().sum::<f32>() / channels as f32;
        x.chunks_exact(channels).map(mean).collect()
    }

    /// A detector for this recording.
    pub fn detector(&self, detector: DetectorKind, rules: Rules) -> Vad {
        let config = Config {
            format: self.format,
            rate: self.rate,
            channels: self.channels,
            detector,
        };
        Vad::new(config, rules)
    }

    /// What `vad` says about this recording.
    pub fn run(&self, vad: &mut Vad, mut give: impl FnMut(Output)) {
        let frames = Frames::interleaved(&self.data, self.samples());
        // As many as there are.
        let _ = vad.push(frames, &mut give);
        vad.flush(&mut give);
    }

    /// All frames.
    pub fn frames(&self, detector: DetectorKind) -> Vec<Frame> {
        let mut frames = Vec::new();
        self.run(&mut self.detector(detector, Rules::default()), |o| {
            if let Output::Frame(frame) = o {
                frames.push(frame);
            }
        });
        frames
    }
}

/// Labels of 10 ms frames beside a recording: `None` where nobody said anything about them.
///
/// Reads `.scv` (one line: name, then start, end, 0 or 1, in s) and `.txt` (Audacity's labels: a
/// line of start and end in s for each stretch of speech).
pub fn labels(wav: &Path, frames: usize) -> Option<Vec<Option<bool>>> {
    let mut out = vec![None; frames];
    let mut mark = |start: f64, end: f64, speech: bool| {
        for (i, l) in out.iter_mut().enumerate() {
            let middle = (i as f64 + 0.5) * 0.01;
            if middle >= start && middle < end {
                *l = Some(speech);
            }
        }
    };
    if let Ok(text) = fs::read_to_string(wav.with_extension("scv")) {
        let fields: Vec<&str> = text.trim().split(',').skip(1).collect();
        for f in fields.chunks_exact(3) {
            let (start, end) = (f[0].trim().parse().ok()?, f[1].trim().parse().ok()?);
            mark(start, end, f[2].trim() == "1");
        }
        return Some(out);
    }
    let text = fs::read_to_string(wav.with_extension("txt")).ok()?;
    mark(0.0, f64::MAX, false);
    for line in text.lines() {
        let mut f = line.split_whitespace();
        let (start, end) = (f.next()?.parse().ok()?, f.next()?.parse().ok()?);
        mark(start, end, true);
    }
    Some(out)
}

/// The WAV files of a folder, or the one file.
pub fn files(path: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let read = fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut files: Vec<_> = read
        .flatten()
        .map(|f| f.path())
        .filter(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav")))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no WAV files", path.display()));
    }
    Ok(files)
}
