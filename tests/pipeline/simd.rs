// SPDX-License-Identifier: MIT

//! One line at every level of SIMD that `RUSTAUDIO_SIMD` can ask for.

use super::common::{plugin_dir, tool};

/// What the converter makes of a sine, in its own process.
fn converted(level: &str, from: &str, to: &str) -> Vec<u8> {
    let dir = plugin_dir().with_file_name("simd-test");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("out.raw");
    let output = tool("gst-launch-1.0")
        .env("RUSTAUDIO_SIMD", level)
        .args([
            "-q",
            "audiotestsrc",
            "num-buffers=3",
            "samplesperbuffer=1021",
        ])
        .args(["freq=997", "volume=0.9", "!"])
        .arg(format!("audio/x-raw,rate=48000,format={from}"))
        .args(["!", "rustaudioconvert", "dithering=none", "!"])
        .arg(format!("audio/x-raw,format={to}"))
        .args(["!", "filesink", &format!("location={}", path.display())])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(path).unwrap()
}

#[test]
fn every_level_converts_alike() {
    gst::init().unwrap();
    const SURROUND: &str = "F32LE,channels=6,channel-mask=(bitmask)0x3f";
    for (from, to, lossless) in [
        ("S16LE,channels=2", "S32LE", true),
        ("S16LE,channels=2", "F32LE", true),
        ("U8,channels=1", "S24BE", true),
        ("F32LE,channels=2", "S16LE", false),
        (SURROUND, "S16LE,channels=2", false),
    ] {
        let plain = converted("portable", from, to);
        assert!(plain.iter().any(|b| *b != 0));
        for level in ["avx2", "avx2-vnni", "avx512", "avx512-vnni", "neon", ""] {
            let other = converted(level, from, to);
            assert_eq!(plain.len(), other.len());
            if lossless {
                assert!(plain == other, "{from} to {to}: {level:?} differs");
                continue;
            }
            let samples = |bytes: &[u8]| -> Vec<i32> {
                let (pairs, _) = bytes.as_chunks::<2>();
                pairs
                    .iter()
                    .map(|b| i16::from_le_bytes(*b).into())
                    .collect()
            };
            let far = samples(&plain)
                .iter()
                .zip(samples(&other))
                .map(|(a, b)| (a - b).abs())
                .max();
            assert!(far <= Some(1), "{from} to {to}: {level:?} is {far:?} off");
        }
    }
}
