// SPDX-License-Identifier: MIT

//! One million buffers through a node whose every twentieth call fails, with retries: all arrive,
//! in order and unharmed.
//!
//! `cargo run --release --example soak [BUFFERS]`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gst::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u64 = match std::env::args().nth(1) {
        Some(n) => n.parse()?,
        None => 1_000_000,
    };
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    let path = std::env::temp_dir().join("rustaudio-soak.py");
    std::fs::write(
        &path,
        "class Flaky:\n    n = 0\n    def process(self, audio, ctx):\n        self.n += 1\n        \
         if self.n % 20 == 0:\n            audio[:] = 0\n            raise ConnectionError\n",
    )?;
    let pipeline = gst::parse::launch(&format!(
        "audiotestsrc wave=white-noise samplesperbuffer=16 num-buffers={count} \
         ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! identity name=before \
         ! pypipelinenode name=node class=Flaky module={} initial-backoff=0 ! fakesink name=after",
        path.display()
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    // A running hash over samples and timestamps, on both sides.
    let hash = |element: &str, pad: &str| -> Option<Arc<AtomicU64>> {
        let sum = Arc::new(AtomicU64::new(0));
        let to = sum.clone();
        let pad = pipeline.by_name(element)?.static_pad(pad)?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer()
                && let Ok(map) = buffer.map_readable()
            {
                let mut h = to.load(Relaxed) ^ buffer.pts().map_or(0, |t| t.nseconds());
                for b in map.iter() {
                    h = (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
                }
                to.store(h, Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        Some(sum)
    };
    let before = hash("before", "src").ok_or("no pad")?;
    let after = hash("after", "sink").ok_or("no pad")?;
    let bus = pipeline.bus().ok_or("no bus")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut failure = None;
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(e) => {
                failure = Some(e.error().to_string());
                break;
            }
            _ => {}
        }
    }
    let stats = pipeline
        .by_name("node")
        .ok_or("no node")?
        .property::<gst::Structure>("stats");
    pipeline.set_state(gst::State::Null)?;
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    println!("{stats}");
    let buffers: u64 = stats.get("num-buffers")?;
    if buffers != count || before.load(Relaxed) != after.load(Relaxed) {
        return Err(format!("{buffers} of {count} buffers, or other ones, arrived").into());
    }
    println!("{count} buffers arrived in order and unharmed");
    Ok(())
}
