// SPDX-License-Identifier: MIT

//! Fits the weights of the spectral detector, as in `dsp/src/vad/spectral.rs`:
//!
//! ```text
//! cargo run --release --example vad_fit -- DIR [look-ahead=0|30|100] [folds=5]
//! ```
//!
//! `DIR` holds labelled recordings of 16 kHz, as for `vad_eval`. They are scored clean, in noise of
//! six kinds at four levels, and joined to one stream: 26 conditions. What counts is the
//! order within a condition, the area under its ROC curve: a logistic regression on differences of
//! pairs finds the weights, another one scale and offset. Cross-validation leaves out one clip in `folds` at a time, in
//! all conditions, and pools the frames left out; last come the weights fitted on all clips.

#[path = "vad_eval/corpus.rs"]
mod corpus;
#[path = "vad_eval/noise.rs"]
mod noise;
#[path = "vad_eval/score.rs"]
mod score;
#[path = "vad_eval/wav.rs"]
mod wav;

use std::path::PathBuf;
use std::process::ExitCode;

use corpus::{LEVELS, alone, joined, mixed};
use gstrustaudio::dsp::vad::{Detector, LookAhead, Plan, SCORES, Spectral};
use noise::{Kind, Random};
use score::score;

const HOP: usize = 160;
/// Pairs of a frame of speech and one without that are drawn in each condition.
const PAIRS: usize = 20_000;

/// A labelled frame.
struct Row {
    scores: [f64; SCORES],
    speech: bool,
    clip: usize,
    condition: usize,
}

/// What the detector sees of each frame: the scores that decide about it, `None` before there are.
fn scores(x: &[f32], look_ahead: LookAhead) -> Vec<Option<[f64; SCORES]>> {
    let mut spectral = Spectral::new(Plan::for_rate(16_000), look_ahead);
    let all: Vec<[f64; SCORES]> = x
        .chunks_exact(HOP)
        .map(|hop| {
            let _ = spectral.push(hop);
            spectral.scores().map(f64::from)
        })
        .collect();
    // The first window is full with the fourth hop.
    let first = 3;
    (0..all.len())
        .map(|t| {
            let last = (t + look_ahead.frames()).min(all.len() - 1);
            let from = if look_ahead == LookAhead::Long {
                t
            } else {
                last
            };
            let used = all.get(from.max(first)..=last).filter(|u| !u.is_empty())?;
            let mut mean = [0.0; SCORES];
            for (i, m) in mean.iter_mut().enumerate() {
                *m = used.iter().map(|s| s[i]).sum::<f64>() / used.len() as f64;
            }
            Some(mean)
        })
        .collect()
}

/// Solves `a x = b` for a symmetric positive `a`.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        let (above, below) = a.split_at_mut(i + 1);
        let (pivot, of_pivot) = (&above[i], b[i]);
        for (row, b) in below.iter_mut().zip(&mut b[i + 1..]) {
            let factor = row[i] / pivot[i];
            for (x, p) in row.iter_mut().zip(pivot).skip(i) {
                *x -= factor * p;
            }
            *b -= factor * of_pivot;
        }
    }
    for i in (0..n).rev() {
        let rest: f64 = (i + 1..n).map(|j| a[i][j] * b[j]).sum();
        b[i] = (b[i] - rest) / a[i][i];
    }
    b
}

/// The weights that put frames of speech above the others of their condition: logistic regression on
/// differences of pairs, drawn with a fixed seed, by Newton's method.
fn rank(rows: &[&Row], conditions: usize) -> Vec<f64> {
    let mut random = Random::new(1);
    let mut pairs: Vec<[f64; SCORES]> = Vec::with_capacity(conditions * PAIRS);
    for condition in 0..conditions {
        let of = |speech: bool| -> Vec<&Row> {
            let all = rows.iter().copied();
            all.filter(|r| r.condition == condition && r.speech == speech)
                .collect()
        };
        let (speech, rest) = (of(true), of(false));
        if speech.is_empty() || rest.is_empty() {
            continue;
        }
        for _ in 0..PAIRS {
            let high = &speech[random.below(speech.len())].scores;
            let low = &rest[random.below(rest.len())].scores;
            pairs.push(std::array::from_fn(|i| high[i] - low[i]));
        }
    }
    regress(&pairs, |_| (1.0, 1.0))
}

/// Weights and offset: the weights of [`rank`], scaled and shifted so that the probability is that
/// of speech where both classes are as frequent.
fn fit(rows: &[&Row], conditions: usize) -> (Vec<f64>, f64) {
    let w = rank(rows, conditions);
    let speech = rows.iter().filter(|r| r.speech).count() as f64;
    let rest = rows.len() as f64 - speech;
    let sums: Vec<[f64; 2]> = rows.iter().map(|r| [dot(&w, &r.scores), 1.0]).collect();
    let place = regress(&sums, |i| match rows[i].speech {
        true => (1.0, 1.0 / speech),
        false => (0.0, 1.0 / rest),
    });
    (w.iter().map(|w| w * place[0]).collect(), place[1])
}

/// Logistic regression without an offset; `target` gives class and weight of a row.
fn regress<const N: usize>(rows: &[[f64; N]], target: impl Fn(usize) -> (f64, f64)) -> Vec<f64> {
    let mut w = vec![0.0; N];
    for _ in 0..15 {
        let (mut hessian, mut gradient) = (vec![vec![0.0; N]; N], vec![0.0; N]);
        for (at, x) in rows.iter().enumerate() {
            let (class, weight) = target(at);
            let p = 1.0 / (1.0 + (-dot(&w, x)).exp());
            for i in 0..N {
                gradient[i] += weight * (class - p) * x[i];
                for j in 0..N {
                    hessian[i][j] += weight * p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        for (w, step) in w.iter_mut().zip(solve(hessian, gradient)) {
            *w += step;
        }
    }
    w
}

fn dot(w: &[f64], x: &[f64]) -> f64 {
    w.iter().zip(x).map(|(w, x)| w * x).sum()
}

fn run() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("which directory?")?);
    let (mut look_ahead, mut folds) = (LookAhead::Short, 5);
    for arg in args {
        match arg.split_once('=') {
            Some(("look-ahead", "0")) => look_ahead = LookAhead::None,
            Some(("look-ahead", "30")) => look_ahead = LookAhead::Short,
            Some(("look-ahead", "100")) => look_ahead = LookAhead::Long,
            Some(("folds", v)) => folds = v.parse().map_err(|e| format!("{arg}: {e}"))?,
            _ => return Err(format!("what is {arg}?")),
        }
    }
    let clips = corpus::clips(&dir)?;
    if clips[0].rate != 16_000 {
        return Err("recordings of 16 kHz, please".into());
    }
    let mut rows = Vec::new();
    let mut add = |x: &[f32], labels: &[Option<bool>], clip: usize, condition: usize| {
        for (scores, label) in scores(x, look_ahead).into_iter().zip(labels) {
            if let (Some(scores), Some(speech)) = (scores, *label) {
                rows.push(Row {
                    scores,
                    speech,
                    clip,
                    condition,
                });
            }
        }
    };
    let mut names = vec!["clean".to_string()];
    for (i, clip) in clips.iter().enumerate() {
        add(&clip.mono, &clip.labels, i, 0);
    }
    for kind in Kind::ALL {
        for db in LEVELS {
            for (i, clip) in clips.iter().enumerate() {
                add(&mixed(&clips, i, kind, db), &clip.labels, i, names.len());
            }
            names.push(format!("{} {db} dB", kind.name()));
        }
    }
    let (stream, labels) = joined(&clips);
    let owner = clips
        .iter()
        .enumerate()
        .flat_map(|(i, c)| vec![i; c.labels.len()]);
    for ((s, label), clip) in scores(&stream, look_ahead)
        .into_iter()
        .zip(labels)
        .zip(owner)
    {
        if let (Some(scores), Some(speech)) = (s, label) {
            rows.push(Row {
                scores,
                speech,
                clip,
                condition: names.len(),
            });
        }
    }
    names.push("one stream".into());
    let music: Vec<[f64; SCORES]> = (3..9)
        .flat_map(|i| {
            let n = alone(Kind::Music, 16_000, 777 + i * 13 + 500);
            scores(&n, look_ahead).into_iter().skip(300).flatten()
        })
        .collect();

    let mut left_out = vec![Vec::new(); names.len()];
    let mut alarms = 0;
    for fold in 0..folds {
        let kept: Vec<&Row> = rows.iter().filter(|r| r.clip % folds != fold).collect();
        let (w, c) = fit(&kept, names.len());
        for r in rows.iter().filter(|r| r.clip % folds == fold) {
            left_out[r.condition].push(((dot(&w, &r.scores) + c) as f32, r.speech));
        }
        alarms += music.iter().filter(|s| dot(&w, *s) + c >= 0.0).count();
    }
    println!("{} clips, {folds} folds, {look_ahead:?}", clips.len());
    println!("condition                   AUC  rec@5%  rec@10%");
    let mut noisy = 0.0;
    for (i, (name, frames)) in names.iter().zip(&mut left_out).enumerate() {
        let s = score(frames);
        if i > 0 && i + 1 < names.len() {
            noisy += s.auc;
        }
        println!(
            "{name:<24} {:6.3} {:8.3} {:8.3}",
            s.auc, s.recall_5, s.recall_10
        );
    }
    println!(
        "{:<24} {:6.3}",
        "mean in noise",
        noisy / (names.len() - 2) as f64
    );
    let share = alarms as f64 / (music.len() * folds).max(1) as f64;
    println!(
        "{:<24} {share:6.3} of frames at or above 0.5",
        "music alone"
    );

    let (w, c) = fit(&rows.iter().collect::<Vec<_>>(), names.len());
    println!("\nfitted on all: offset {c:.3}, weights {w:.4?}");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vad_fit: {e}");
            ExitCode::FAILURE
        }
    }
}
