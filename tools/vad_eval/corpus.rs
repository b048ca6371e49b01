// SPDX-License-Identifier: MIT

//! Labelled recordings, and what is made of them: mixes with noise, one stream, half the rate.
#![allow(dead_code)] // each example uses its own part

use std::path::{Path, PathBuf};

use super::noise::{self, Kind};
use super::wav::{self, Wav};

pub struct Clip {
    pub path: PathBuf,
    pub rate: u32,
    pub mono: Vec<f32>,
    /// Of each 10 ms frame; `None` where nobody said anything.
    pub labels: Vec<Option<bool>>,
}

/// Signal to noise of the mixes, in dB.
pub const LEVELS: [f32; 4] = [20.0, 10.0, 5.0, 0.0];

/// All recordings of `dir`, which have one rate.
pub fn clips(dir: &Path) -> Result<Vec<Clip>, String> {
    let read = |path: PathBuf| {
        let wav = Wav::read(&path)?;
        let frames = wav.samples() * 100 / wav.rate.max(1) as usize;
        let labels = wav::labels(&path, frames)
            .ok_or_else(|| format!("{}: no labels beside it", path.display()))?;
        Ok(Clip {
            rate: wav.rate,
            mono: wav.mono(),
            path,
            labels,
        })
    };
    let clips: Vec<Clip> = wav::files(dir)?
        .into_iter()
        .map(read)
        .collect::<Result<_, String>>()?;
    if clips.iter().any(|c| c.rate != clips[0].rate) {
        return Err("recordings of one rate, please".into());
    }
    Ok(clips)
}

/// Clip `i` in noise that lies `db` under it. The seed is fixed by kind and clip.
pub fn mixed(clips: &[Clip], i: usize, kind: Kind, db: f32) -> Vec<f32> {
    let clip = &clips[i];
    // Babble of other people than the one who speaks.
    let mut others: Vec<Vec<f32>> = match kind {
        Kind::Babble => clips.iter().map(|c| c.mono.clone()).collect(),
        _ => Vec::new(),
    };
    if others.len() > 1 {
        others.swap_remove(i);
    }
    let place = Kind::ALL.iter().position(|k| *k == kind).unwrap_or(0);
    let seed = (place * 1000 + i) as u64;
    let mut n = noise::make(kind, clip.mono.len(), clip.rate as f32, seed, &others);
    let power: f64 = clip.mono.iter().map(|x| f64::from(x * x)).sum();
    let rms = (power / clip.mono.len().max(1) as f64).sqrt() as f32;
    noise::scale(&mut n, rms * 10f32.powf(-db / 20.0));
    for (n, x) in n.iter_mut().zip(&clip.mono) {
        *n += x;
    }
    n
}

/// 30 s of noise alone at -26 dBFS; not babble, which is speech.
pub fn alone(kind: Kind, rate: u32, seed: u64) -> Vec<f32> {
    let mut n = noise::make(kind, 30 * rate as usize, rate as f32, seed, &[]);
    noise::scale(&mut n, 0.05);
    n
}

/// All clips one after the other, with their labels: whole frames of each, so that labels stay where
/// they are.
pub fn joined(clips: &[Clip]) -> (Vec<f32>, Vec<Option<bool>>) {
    let (mut stream, mut labels) = (Vec::new(), Vec::new());
    for clip in clips {
        let whole = clip.labels.len() * clip.rate as usize / 100;
        stream.extend_from_slice(&clip.mono[..whole.min(clip.mono.len())]);
        labels.extend_from_slice(&clip.labels);
    }
    (stream, labels)
}

/// At half the rate: a Blackman-windowed sinc that ends where the band does.
pub fn halved(x: &[f32]) -> Vec<f32> {
    use std::f64::consts::PI;
    let half = 48isize;
    let taps: Vec<f32> = (-half..=half)
        .map(|n| {
            let t = PI * n as f64 * 0.46;
            let sinc = if n == 0 { 1.0 } else { t.sin() / t };
            let u = PI * n as f64 / (half + 1) as f64;
            (0.46 * sinc * (0.42 + 0.5 * u.cos() + 0.08 * (2.0 * u).cos())) as f32
        })
        .collect();
    let at = |i: isize| usize::try_from(i).ok().and_then(|i| x.get(i)).copied();
    (0..x.len() as isize / 2)
        .map(|i| {
            let values = (-half..=half).map(|n| at(2 * i + n).unwrap_or(0.0));
            values.zip(&taps).map(|(x, t)| x * t).sum()
        })
        .collect()
}
