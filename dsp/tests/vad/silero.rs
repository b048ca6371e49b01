// SPDX-License-Identifier: MIT

//! Silero's network beside the package that it is from, on Debian's spoken channel names.
//! `tools/silero_expected.py` makes the sound in the same way, and `silero.csv` from it.

use rustaudio_dsp::vad::silero::Network;

const NAMES: [&str; 8] = [
    "Front_Center",
    "Front_Left",
    "Front_Right",
    "Rear_Center",
    "Rear_Left",
    "Rear_Right",
    "Side_Left",
    "Side_Right",
];
const PAUSE: usize = 4800;

/// 16 kHz, each sample the mean of three at 48.
fn spoken(name: &str) -> Vec<i32> {
    let path = format!("/usr/share/sounds/alsa/{name}.wav");
    let file = std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{path}: {e}; install the package alsa-utils"));
    let data = file.windows(4).position(|w| w == b"data").unwrap();
    let size = u32::from_le_bytes(file[data + 4..data + 8].try_into().unwrap());
    let samples = file[data + 8..][..size as usize].as_chunks::<6>().0;
    samples
        .iter()
        .map(|s| {
            let three = s.as_chunks().0.iter();
            three.map(|x| i32::from(i16::from_le_bytes(*x))).sum()
        })
        .collect()
}

fn sound() -> Vec<f32> {
    let (mut seed, mut x) = (1u32, Vec::new());
    for name in NAMES {
        x.extend((0..PAUSE).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 25) as i32 - 64
        }));
        x.extend(spoken(name));
    }
    x.into_iter().map(|x| x as f32 * (1.0 / 98_304.0)).collect()
}

#[test]
fn probabilities_are_those_of_the_package() {
    let lines: Vec<Vec<f32>> = include_str!("silero.csv")
        .lines()
        .map(|l| l.split(',').map(|x| x.parse().unwrap()).collect())
        .collect();
    let (hidden, expected) = lines.split_last().unwrap();
    let sound = sound();
    let windows = sound.as_chunks().0;
    assert_eq!(windows.len(), expected.len());
    let mut network = Network::new();
    let mut off = [const { Vec::new() }; 2];
    for (window, p) in windows.iter().zip(expected) {
        let probability = 1.0 / (1.0 + (-network.window(window)).exp());
        for (off, p) in off.iter_mut().zip(p) {
            off.push((probability - p).abs());
        }
    }
    let [package, rounded] = off.map(|off| {
        let mean = off.iter().sum::<f32>() / off.len() as f32;
        (off.into_iter().fold(0.0, f32::max), mean)
    });
    assert!(
        package.0 < 0.01 && package.1 < 2e-4,
        "with the package's weights: {package:?}"
    );
    // What goes from layer to layer is rounded as well.
    assert!(
        rounded.0 < 5e-3 && rounded.1 < 4e-5,
        "with the same weights: {rounded:?}"
    );
    assert_eq!(hidden.len(), Network::UNITS);
    for (a, b) in network.hidden().iter().zip(hidden) {
        assert!((a - b).abs() < 2e-3, "{a} for {b}");
    }
    let speech = expected.iter().filter(|p| p[0] >= 0.5).count();
    assert!(speech > 100 && expected.len() - speech > 100, "{speech}");
}
