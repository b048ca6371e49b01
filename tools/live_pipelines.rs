// SPDX-License-Identifier: MIT

//! Many live pipelines in one process: what a stream costs a media server, and when it is full.
//!
//! `cargo run --release --example live_pipelines [SECONDS] [COUNT...]` plays 1, 10, 100 and 400 live
//! streams of 48 kHz stereo S16 in buffers of 10 ms, each through conversion to mono, resampling to 16 kHz and
//! voice activity detection: with these elements, with GStreamer's own (webrtcdsp with nothing but its
//! detector), and with `identity` in their place. For each it prints, over 5 s after 2 s of start: CPU
//! time a stream, memory, threads, how often a stream's threads went to sleep for each buffer, how late
//! buffers came out beyond the chain's latency (median, 99 of 100, worst), and how many were later than
//! the 10 ms that a buffer lasts. Every row is a process of its own.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

type Failure = Box<dyn std::error::Error>;

const WARM: Duration = Duration::from_secs(2);
/// How long a buffer lasts, in ns.
const BUFFER: u64 = 10_000_000;

/// Name, elements in the middle, the detector among them.
const KINDS: [(&str, &str, &str); 3] = [
    ("identity", "identity", "identity"),
    (
        "ours",
        "rustaudioconvert ! rustresample ! audio/x-raw,format=F32LE,rate=16000,channels=1 ! rustvad detector=silero",
        "rustvad",
    ),
    (
        "stock",
        "audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=16000,channels=1 \
         ! webrtcdsp echo-cancel=false noise-suppression=false gain-control=false \
         high-pass-filter=false voice-detection=true",
        "webrtcdsp",
    ),
];

/// What the process has used: seconds of CPU, and sleeps of all its threads.
fn used() -> (f64, u64) {
    // Fields 14 and 15 in ticks of 10 ms, counted from behind the name, which may hold anything.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).flat_map(str::parse::<u64>).sum();
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let sleeps = tasks.map(|task| status(&task.path().join("status"), "voluntary_ctxt_switches:"));
    (ticks as f64 / 100.0, sleeps.sum())
}

/// A figure of a status file of /proc, in its own unit.
fn status(file: &std::path::Path, field: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(field));
    let figure = line.and_then(|l| l.split_whitespace().next());
    figure.and_then(|f| f.parse().ok()).unwrap_or(0)
}

type Lateness = Arc<Mutex<Vec<u64>>>;

/// A live stream that notes, in ns, how long after its end each buffer comes out.
fn stream(middle: &str, lateness: &Lateness) -> Result<gst::Pipeline, Failure> {
    let line = format!(
        "audiotestsrc is-live=true samplesperbuffer=480 wave=red-noise \
         ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! {middle} \
         ! fakesink name=sink sync=false async=false"
    );
    let pipeline = gst::parse::launch(&line)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "no pipeline")?;
    let sink = pipeline.by_name("sink").ok_or("no sink")?;
    let pad = sink.static_pad("sink").ok_or("no pad")?;
    let (clock, lateness) = (gst::SystemClock::obtain(), lateness.clone());
    pipeline.use_clock(Some(&clock));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let pts = info.buffer().and_then(|b| b.pts());
        let base = sink.base_time();
        if let (Some(pts), Some(base)) = (pts, base) {
            let late = clock.time().saturating_sub(base + pts);
            let mut all = lateness.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(late.nseconds());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(pipeline)
}

/// Plays `count` streams of one kind, and prints the rest of its row.
fn play(kind: &str, count: usize, seconds: u64) -> Result<(), Failure> {
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    let found = KINDS.iter().find(|(name, ..)| *name == kind);
    let (_, middle, detector) = found.ok_or("no such kind")?;
    if gst::ElementFactory::find(detector).is_none() {
        return Err(format!("no element {detector}: install gstreamer1.0-plugins-bad").into());
    }
    let lateness = Lateness::default();
    let streams: Vec<_> = (0..count)
        .map(|_| stream(middle, &lateness))
        .collect::<Result<_, _>>()?;
    for stream in &streams {
        stream.set_state(gst::State::Playing)?;
        // As streams come: not all in the same moment.
        std::thread::sleep(Duration::from_nanos(BUFFER / count as u64 + 1));
    }
    std::thread::sleep(WARM);
    lateness
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
    let (start, before) = (Instant::now(), used());
    std::thread::sleep(Duration::from_secs(seconds));
    let (took, after) = (start.elapsed().as_secs_f64(), used());
    let mut late = std::mem::take(&mut *lateness.lock().unwrap_or_else(PoisonError::into_inner));
    let own = std::path::Path::new("/proc/self/status");
    let (memory, threads) = (status(own, "VmRSS:"), status(own, "Threads:"));
    for stream in &streams {
        for message in stream.bus().ok_or("no bus")?.iter() {
            if let gst::MessageView::Error(e) = message.view() {
                return Err(e.error().into());
            }
        }
        stream.set_state(gst::State::Null)?;
    }
    late.sort_unstable();
    // What comes out soonest came in time: the chain's own latency.
    let [first, ..] = late[..] else {
        return Err("no buffer came".into());
    };
    let at = |share: f64| (late[((late.len() - 1) as f64 * share) as usize] - first) as f64 / 1e6;
    let missed = late.iter().filter(|l| **l - first > BUFFER).count();
    println!(
        "{:.2} | {:.1} | {:.2} | {:.1} | {:.1}, {:.1}, {:.1} | {:.2} |",
        (after.0 - before.0) * 1e6 / late.len() as f64,
        memory as f64 / 1024.0,
        threads as f64 / count as f64,
        (after.1 - before.1) as f64 / late.len() as f64,
        at(0.5),
        at(0.99),
        at(1.0),
        100.0 * missed as f64 / late.len() as f64,
    );
    eprintln!(
        "{kind}, {count}: {} buffers of {} in {took:.1} s",
        late.len(),
        (took * 100.0) as usize * count
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [seconds, count, kind] = &args[..]
        && KINDS.iter().any(|(name, ..)| name == kind)
    {
        return play(kind, count.parse()?, seconds.parse()?);
    }
    let seconds: u64 = args.first().map_or(Ok(5), |a| a.parse())?;
    let counts = args.iter().skip(1).map(|a| a.parse());
    let mut counts = counts.collect::<Result<Vec<usize>, _>>()?;
    if counts.is_empty() {
        counts = vec![1, 10, 100, 400];
    }
    println!(
        "| streams | elements | us of CPU a buffer | MB | threads a stream | sleeps a buffer \
         | ms late: median, 99 %, worst | % over 10 ms late |\n|---|---|---|---|---|---|---|---|"
    );
    for count in counts {
        for (kind, ..) in KINDS {
            // A process each, so that neither finds the other's memory.
            let output = Command::new(std::env::current_exe()?)
                .args([&seconds.to_string(), &count.to_string(), kind])
                .output()?;
            let row = String::from_utf8(output.stdout)?;
            if row.is_empty() {
                let why = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{kind}, {count} streams: {why}").into());
            }
            print!("| {count} | {kind} | {row}");
        }
    }
    Ok(())
}
