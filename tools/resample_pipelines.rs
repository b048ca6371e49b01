// SPDX-License-Identifier: MIT

//! CPU time of whole pipelines with `rustresample` and with `audioresample`, less that of the same
//! pipeline with the capsfilter alone: `cargo run --release --example resample_pipelines`. A word after `--`
//! chooses rows, as `S16LE`, `4096` or `48000>16000`.

use gst::prelude::*;

/// Processor time of this process so far, in seconds.
fn cpu() -> f64 {
    // SAFETY: getrusage only writes the structure that it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Seconds of audio of one run.
const LENGTH: u32 = 120;

/// Runs of each pipeline, the best of which counts.
const ROUNDS: usize = 40;

/// Plays `line`; CPU time per second of audio in us.
fn run(line: &str) -> f64 {
    let pipeline = gst::parse::launch(line).expect(line);
    let bus = pipeline.bus().expect("a pipeline has a bus");
    pipeline.set_state(gst::State::Paused).expect(line);
    pipeline.state(gst::ClockTime::NONE).0.expect(line);
    let before = cpu();
    pipeline.set_state(gst::State::Playing).expect(line);
    let message = bus.timed_pop_filtered(
        gst::ClockTime::NONE,
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    let time = cpu() - before;
    let message = message.expect("waits for ever");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).expect(line);
    time / f64::from(LENGTH) * 1e6
}

fn main() {
    gst::init().expect("GStreamer");
    gstrustaudio::plugin_register_static().expect("the plugin");
    println!(
        "us of CPU per second of audio, stereo, defaults, pipeline without either taken off\n"
    );
    println!(
        "| format | frames per buffer | rates | audioresample | rustresample | times |\n|---|---|---|---|---|---|"
    );
    let chosen = std::env::args().nth(1).unwrap_or_default();
    let mut ratios = Vec::new();
    for (format, length) in [
        ("F32LE", None),
        ("S16LE", None),
        ("F32LE", Some(4096)),
        ("S16LE", Some(4096)),
    ] {
        for (from, to) in [
            (48_000, 16_000),
            (44_100, 48_000),
            (16_000, 48_000),
            (48_000, 44_100),
        ] {
            // 10 ms
            let frames = length.unwrap_or(from / 100);
            if !format!("{format} {frames} {from}>{to}").contains(&chosen) {
                continue;
            }
            let source = format!(
                "audiotestsrc wave=square num-buffers={} samplesperbuffer={frames} \
                 ! audio/x-raw,format={format},rate={from},channels=2",
                (LENGTH * from).div_ceil(frames)
            );
            let with = |factory: &str| {
                format!("{source} ! {factory} ! audio/x-raw,rate={to} ! fakesink sync=false")
            };
            let lines = [
                format!("{source} ! capsfilter ! fakesink sync=false"),
                with("audioresample"),
                with("rustresample"),
            ];
            // In turn, so that what else the machine does meets all alike.
            let mut best = [f64::INFINITY; 3];
            for _ in 0..ROUNDS {
                for (best, line) in best.iter_mut().zip(&lines) {
                    *best = best.min(run(line));
                }
            }
            let [baseline, theirs, ours] = best;
            let (theirs, ours) = (theirs - baseline, ours - baseline);
            println!(
                "| {format} | {frames} | {from} to {to} | {theirs:.0} | {ours:.0} | {:.2} |",
                theirs / ours
            );
            ratios.push((theirs / ours).ln());
        }
    }
    let mean = (ratios.iter().sum::<f64>() / ratios.len() as f64).exp();
    println!("\ngeometric mean: {mean:.2}");
}
