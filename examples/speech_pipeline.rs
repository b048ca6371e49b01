// SPDX-License-Identifier: MIT

//! Runs recorded speech through all four elements and prints what they say on the bus.
//!
//! `cargo run --release --example speech_pipeline [FILE]`; the elements are linked in, so nothing
//! has to be installed.

use gst::prelude::*;
use gstrustaudio::metrics::{MESSAGE_NAME, Report, ReportExt};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    let recording = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "/usr/share/sounds/alsa/Front_Center.wav".into());
    let node = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/nodes/gain.py");
    let pipeline = gst::parse::launch(&format!(
        "filesrc location=\"{recording}\" ! decodebin \
         ! rustaudioconvert ! audio/x-raw,format=F32LE,channels=1 \
         ! rustresample ! audio/x-raw,rate=16000 ! rustvad \
         ! pypipelinenode module={node} class=Gain kwargs=\"{{\\\"db\\\":6}}\" ! fakesink"
    ))?;
    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    // Where this fails, the bus says why.
    let _ = pipeline.set_state(gst::State::Playing);
    let played = follow(&bus);
    pipeline.set_state(gst::State::Null)?;
    played
}

/// Prints what comes until the end of the stream or an error.
fn follow(bus: &gst::Bus) -> Result<(), Box<dyn std::error::Error>> {
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Element(e) => {
                let Some(s) = e.structure() else { continue };
                if s.name() == "rustvad" {
                    let at = s.get::<u64>("stream-time")? as f64 / 1e9;
                    let what = if s.get("speech")? {
                        "speech"
                    } else {
                        "silence"
                    };
                    println!("{what} from {at}");
                } else if s.name() == MESSAGE_NAME {
                    let report = Report::from_structure(s)?;
                    if report.is_final {
                        let p99 = report.window.times.p99 as f64 / 1e3;
                        println!(
                            "{}: {} samples, p99 {p99:.0} us",
                            report.factory, report.counters.samples
                        );
                    }
                }
            }
            gst::MessageView::Error(e) => {
                // The traceback of a node is in the debug text.
                let debug = e.debug().unwrap_or_default();
                return Err(format!("{}\n{debug}", e.error()).into());
            }
            gst::MessageView::Eos(_) => break,
            _ => {}
        }
    }
    Ok(())
}
