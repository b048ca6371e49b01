// SPDX-License-Identifier: MIT

//! Many pipelines in one process: what an element costs a server.
//!
//! `cargo run --release --example many_pipelines [COUNT]` builds COUNT (500) pipelines of
//! `audiotestsrc ! rustaudioconvert ! rustresample ! rustvad ! fakesink`, plays all to their end,
//! and compares memory, threads and start-up time with as many of
//! `audiotestsrc ! identity ! identity ! identity ! fakesink`, and with each of the elements in the
//! place of one identity; every row in a process of its own. It fails if the three elements take more
//! than 50 kB each on average, beside audio held back, if one starts a thread, or if a final metrics
//! message is missing or wrong.

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use gst::prelude::*;
use gstrustaudio::metrics::{MESSAGE_NAME, Report, ReportExt};

type Failure = Box<dyn std::error::Error>;

const BUFFERS: u64 = 200;
const FRAMES: u64 = 480;
/// Pipelines before those that are measured.
const WARM: usize = 20;
/// Bytes that an element of all three may take beside tables that it shares with its equals and audio that it
/// holds back.
const MOST_BYTES: f64 = 50_000.0;

/// Name, elements in the middle, and the frames that each of ours is to have seen.
type Kind = (&'static str, &'static str, &'static [(&'static str, u64)]);

/// The pipelines that are compared.
const KINDS: [Kind; 5] = [
    ("identity", "identity ! identity ! identity", &[]),
    (
        "rustaudioconvert",
        "rustaudioconvert ! audio/x-raw,format=F32LE,channels=1 ! identity ! identity",
        &[("rustaudioconvert", BUFFERS * FRAMES)],
    ),
    (
        "rustresample",
        "rustresample ! audio/x-raw,rate=16000 ! identity ! identity",
        &[("rustresample", BUFFERS * FRAMES)],
    ),
    (
        "rustvad",
        "rustvad detector=silero ! identity ! identity",
        &[("rustvad", BUFFERS * FRAMES)],
    ),
    (
        "all three",
        "rustaudioconvert ! audio/x-raw,format=F32LE,channels=1 ! rustresample \
         ! audio/x-raw,rate=16000 ! rustvad detector=silero",
        &[
            ("rustaudioconvert", BUFFERS * FRAMES),
            ("rustresample", BUFFERS * FRAMES),
            ("rustvad", BUFFERS * FRAMES / 3),
        ],
    ),
];

fn line(middle: &str) -> String {
    format!(
        "audiotestsrc num-buffers={BUFFERS} samplesperbuffer={FRAMES} is-live=false \
         ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! {middle} ! fakesink"
    )
}

/// A figure of /proc/self/status, in its own unit.
fn status(field: &str) -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|l| {
            l.strip_prefix(field)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

/// Plays `count` pipelines of one kind: bytes and threads per pipeline, seconds to start all, and
/// how many of the bytes are audio that `rustvad` holds back until it has decided.
fn play(kind: &str, count: usize) -> Result<[f64; 4], Failure> {
    let (_, middle, expected) = KINDS
        .iter()
        .find(|(name, ..)| *name == kind)
        .ok_or("no such kind")?;
    let line = line(middle);
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    // What is loaded once, for all pipelines, is loaded by first ones: plugins, types, tables, and the
    // heap that reading them for a new registry leaves behind, which these use up.
    let warm = (0..WARM).map(|_| {
        let pipeline = gst::parse::launch(&line)?;
        pipeline.set_state(gst::State::Paused)?;
        pipeline.state(gst::ClockTime::NONE).0?;
        Ok(pipeline)
    });
    let warm = warm.collect::<Result<Vec<_>, Failure>>()?;
    let (rss, threads) = (status("VmRSS:"), status("Threads:"));

    let start = Instant::now();
    let mut pipelines = Vec::with_capacity(count);
    for _ in 0..count {
        let pipeline = gst::parse::launch(&line)?;
        pipeline.set_state(gst::State::Paused)?;
        pipelines.push(pipeline);
    }
    for pipeline in &pipelines {
        pipeline.state(gst::ClockTime::NONE).0?;
    }
    let started = start.elapsed().as_secs_f64();
    let memory = status("VmRSS:").saturating_sub(rss) as f64 * 1024.0 / count as f64;
    let threads = status("Threads:").saturating_sub(threads) as f64 / count as f64;

    let mut delayed = 0.0;
    for pipeline in &pipelines {
        pipeline.set_state(gst::State::Playing)?;
    }
    for pipeline in &pipelines {
        let bus = pipeline.bus().ok_or("no bus")?;
        let mut finals = HashMap::new();
        loop {
            let message = bus
                .timed_pop(gst::ClockTime::from_seconds(60))
                .ok_or("a pipeline does not end")?;
            match message.view() {
                gst::MessageView::Eos(_) => break,
                gst::MessageView::Error(e) => return Err(e.error().into()),
                gst::MessageView::Element(e) => {
                    if let Some(s) = e.structure().filter(|s| s.name() == MESSAGE_NAME) {
                        let report = Report::from_structure(s)?;
                        if report.is_final {
                            finals.insert(report.factory.clone(), report);
                        }
                    }
                }
                _ => {}
            }
        }
        delayed = finals.get("rustvad").map_or(0.0, |report| {
            let seconds = (BUFFERS * FRAMES) as f64 / 48_000.0;
            report.counters.bytes as f64 / seconds * report.latency as f64 / 1e9
        });
        for (factory, frames) in *expected {
            let report = finals.get(*factory).ok_or("a final message is missing")?;
            if report.counters.samples != *frames {
                return Err(format!("{factory}: {} samples", report.counters.samples).into());
            }
        }
        pipeline.set_state(gst::State::Null)?;
    }
    for pipeline in &warm {
        pipeline.set_state(gst::State::Null)?;
    }
    Ok([memory, threads, started, delayed])
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let count: usize = args.next().map_or(Ok(500), |a| a.parse())?;
    if let Some(kind) = args.next() {
        let [memory, threads, started, delayed] = play(&kind, count)?;
        println!("{memory} {threads} {started} {delayed}");
        return Ok(());
    }
    println!("{count} pipelines of each kind, per pipeline:\n");
    println!(
        "| elements | kB | of it held back audio | kB per element | threads | start ms |\n|---|---|---|---|---|---|"
    );
    let mut bare = (0.0, 0.0);
    let mut faults = Vec::new();
    for (kind, _, elements) in KINDS {
        // A process each, so that neither finds the other's memory.
        let output = Command::new(std::env::current_exe()?)
            .args([&count.to_string(), kind])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let figures: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
        let [bytes, threads, started, delayed] = figures[..] else {
            return Err(format!("{kind}: {}", String::from_utf8_lossy(&output.stderr)).into());
        };
        let own = match elements.len() {
            0 => {
                bare = (bytes, threads);
                0.0
            }
            n => (bytes - bare.0 - delayed) / n as f64,
        };
        println!(
            "| {kind} | {:.1} | {:.1} | {:.1} | {threads:.2} | {:.2} |",
            bytes / 1e3,
            delayed / 1e3,
            own / 1e3,
            started * 1e3 / count as f64
        );
        if elements.len() == 3 && own > MOST_BYTES {
            faults.push(format!("{kind}: an element takes {:.1} kB", own / 1e3));
        }
        if threads > bare.1 {
            faults.push(format!("{kind}: {threads:.2} threads a pipeline"));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(faults.join("; ").into())
}
