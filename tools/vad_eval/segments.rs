// SPDX-License-Identifier: MIT

//! How good segments are, with and without what levels say.

use gstrustaudio::dsp::vad::{DetectorKind, Frame, LevelClass, LevelMeter, Rules, Segmenter};

use super::corpus::Clip;

/// Edges further off than this belong to something else, in frames.
const NEAR: i64 = 50;

/// Runs of speech among labels.
fn truth(labels: &[Option<bool>]) -> Vec<(i64, i64)> {
    let mut runs = Vec::new();
    let mut start = None;
    for (i, label) in labels.iter().chain([&Some(false)]).enumerate() {
        match (label, start) {
            (Some(true), None) => start = Some(i as i64),
            (Some(false), Some(from)) => {
                runs.push((from, i as i64));
                start = None;
            }
            _ => {}
        }
    }
    runs
}

/// What the element would make of `frames`, where `see` is what it gets to know of the levels.
fn segments(
    frames: &[Frame],
    rules: Rules,
    detector: DetectorKind,
    see: fn(LevelClass) -> LevelClass,
) -> Vec<(i64, i64)> {
    let ahead = detector.look_ahead().frames();
    let mut meter = LevelMeter::default();
    let mut levels = frames.iter().map(|f| 10f32.powf(f.level / 10.0));
    let mut found = Vec::new();
    let mut segmenter = Segmenter::new(rules);
    levels.by_ref().take(ahead).for_each(|l| meter.update(l));
    for frame in frames {
        if let Some(level) = levels.next() {
            meter.update(level);
        }
        let class = match detector {
            DetectorKind::Energy { .. } => LevelClass::Open,
            _ => see(meter.classify(frame.level)),
        };
        segmenter.push(frame.probability, class, |c| {
            if !c.speech {
                found.push((c.start as i64, c.at as i64));
            }
        });
    }
    segmenter.flush(|c| {
        if !c.speech {
            found.push((c.start as i64, c.at as i64));
        }
    });
    found
}

/// Median and 5th and 95th percentile, in ms.
fn spread(errors: &mut [i64]) -> String {
    errors.sort();
    let at = |share: f64| match errors.len() {
        0 => 0,
        n => errors[((n - 1) as f64 * share).round() as usize] * 10,
    };
    format!("{:5} {:5} {:5}", at(0.5), at(0.05), at(0.95))
}

pub fn print(clips: &[Clip], frames: &[Vec<Frame>], detector: DetectorKind) {
    println!(
        "\nsegments of the clean recordings, padding included; errors in ms, late is positive"
    );
    println!(
        "{:<42}   F1   lost false  onset: median 5% 95%   end: median 5% 95%",
        "rules"
    );
    let same: fn(LevelClass) -> LevelClass = |c| c;
    let with = |silence| Rules {
        min_silence: silence,
        ..Rules::default()
    };
    let brief = Rules {
        min_speech: 3,
        min_silence: 10,
        ..Rules::default()
    };
    for (name, rules, see) in [
        ("default", Rules::default(), same),
        ("default, levels unknown", Rules::default(), |_| {
            LevelClass::Open
        }),
        (
            "default, ends not by level",
            Rules::default(),
            |c| match c {
                LevelClass::Silent => LevelClass::Open,
                other => other,
            },
        ),
        (
            "default, starts not reaching back",
            Rules::default(),
            |c| match c {
                LevelClass::Clear => LevelClass::Open,
                other => other,
            },
        ),
        ("min-speech 30 ms, min-silence 100 ms", brief, same),
        ("min-silence 200 ms (reaches back 40 ms)", with(20), same),
        ("min-silence 300 ms (reaches back 120 ms)", with(30), same),
        (
            "the same, starts not reaching back",
            with(30),
            |c| match c {
                LevelClass::Clear => LevelClass::Open,
                other => other,
            },
        ),
    ] {
        let (mut onsets, mut ends) = (Vec::new(), Vec::new());
        let (mut lost, mut wrong) = (0, 0);
        let (mut hits, mut marked, mut speech) = (0, 0, 0);
        for (clip, frames) in clips.iter().zip(frames) {
            let (found, known) = (segments(frames, rules, detector, see), truth(&clip.labels));
            let meets = |a: &(i64, i64), b: &(i64, i64)| a.0 < b.1 && b.0 < a.1;
            for k in &known {
                lost += i32::from(!found.iter().any(|f| meets(f, k)));
                let near = |edges: &mut dyn Iterator<Item = i64>| {
                    edges.filter(|e| e.abs() <= NEAR).min_by_key(|e| e.abs())
                };
                // Recordings that start in speech have no start.
                if k.0 > 0 {
                    onsets.extend(near(&mut found.iter().map(|f| f.0 - k.0)));
                }
                if k.1 < clip.labels.len() as i64 {
                    ends.extend(near(&mut found.iter().map(|f| f.1 - k.1)));
                }
            }
            wrong += found
                .iter()
                .filter(|f| !known.iter().any(|k| meets(f, k)))
                .count();
            for (i, label) in clip.labels.iter().enumerate() {
                let i = i as i64;
                let inside = found.iter().any(|f| (f.0..f.1).contains(&i));
                hits += i32::from(inside && *label == Some(true));
                marked += i32::from(inside && label.is_some());
                speech += i32::from(*label == Some(true));
            }
        }
        println!(
            "{name:<42} {:.3} {lost:5} {wrong:5}        {}      {}",
            2.0 * f64::from(hits) / f64::from(marked + speech).max(1.0),
            spread(&mut onsets),
            spread(&mut ends)
        );
    }
}
