// SPDX-License-Identifier: MIT

//! What a start costs with `rustresample` and with `audioresample`, in CPU time: the caps; all up to the
//! first output buffer; all of the first quarter of a second of audio, in buffers of 10 ms.
//! `cargo run --release --example resample_setup`. A word after `--` chooses rows, as `full`, `44100>48000`
//! or `S16LE`; a number after it is that of the channels (1, where the filter's table counts most); what
//! follows that are other rates, as `11025>192000`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gst::prelude::*;
use nix::time::ClockId;

type Failure = Box<dyn std::error::Error>;

/// Hz, in and out.
const RATES: [(u32, u32); 5] = [
    (384_000, 44_101),
    (48_000, 191_999),
    (44_100, 47_999),
    (44_100, 48_000),
    (48_000, 16_000),
];
const QUALITIES: [u32; 3] = [4, 8, 10];
const MODES: [&str; 2] = ["full", "auto"];
const FORMATS: [(&str, usize); 3] = [("F32LE", 4), ("F64LE", 8), ("S16LE", 2)];
const ELEMENTS: [&str; 2] = ["audioresample", "rustresample"];

/// Buffers of 10 ms.
const BUFFERS: u64 = 25;
/// Starts of each element in a row, at least and at most, of which the best counts.
const ROUNDS: (usize, usize) = (15, 200);
/// Seconds for a row, where its starts are so slow.
const ENOUGH: f64 = 1.0;

/// Processor time of this thread so far, in us.
fn cpu() -> Result<f64, Failure> {
    let time = ClockId::CLOCK_THREAD_CPUTIME_ID.now()?;
    Ok(time.tv_sec() as f64 * 1e6 + time.tv_nsec() as f64 * 1e-3)
}

/// One row.
struct Config {
    quality: u32,
    mode: &'static str,
    input: gst::Caps,
    output: gst::Caps,
    buffers: Vec<gst::Buffer>,
}

impl Config {
    fn new(
        rates: (u32, u32),
        quality: u32,
        mode: &'static str,
        format: (&str, usize),
        channels: usize,
    ) -> Self {
        let caps = |rate: u32| {
            gst::Caps::builder("audio/x-raw")
                .field("format", format.0)
                .field("layout", "interleaved")
                .field("rate", rate as i32)
                .field("channels", channels as i32)
                .field_if("channel-mask", gst::Bitmask::new(3), channels > 1)
                .build()
        };
        let frames = rates.0 as usize / 100;
        let length = gst::ClockTime::from_mseconds(10);
        let sample = |i: usize| -> Vec<u8> {
            let value = (i * 7919 % 2003) as f64 / 4006.0 - 0.25;
            match format.1 {
                4 => (value as f32).to_le_bytes().into(),
                8 => value.to_le_bytes().into(),
                _ => ((value * 32_768.0) as i16).to_le_bytes().into(),
            }
        };
        let bytes: Vec<u8> = (0..frames * channels).flat_map(sample).collect();
        let buffer = |i: u64| {
            let mut buffer = gst::Buffer::from_slice(bytes.clone());
            let fields = buffer.make_mut();
            fields.set_pts(length * i);
            fields.set_duration(length);
            fields.set_offset(i * frames as u64);
            fields.set_offset_end((i + 1) * frames as u64);
            buffer
        };
        Self {
            quality,
            mode,
            input: caps(rates.0),
            output: caps(rates.1),
            buffers: (0..BUFFERS).map(buffer).collect(),
        }
    }

    /// Starts `factory` once: us of CPU time up to the end of the caps, of the first output buffer and
    /// of all input.
    fn start(&self, factory: &str) -> Result<[f64; 3], Failure> {
        let element = gst::ElementFactory::make(factory)
            .property("quality", self.quality as i32)
            .property_from_str("sinc-filter-mode", self.mode)
            .build()?;
        // So that messages are made, as in a pipeline.
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let made = Arc::new(AtomicU64::new(0));
        let template = gst::PadTemplate::new(
            "sink",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            &self.output,
        )?;
        let sink = gst::Pad::builder_from_template(&template)
            .chain_function({
                let made = made.clone();
                move |_, _, _| {
                    made.fetch_add(1, Relaxed);
                    Ok(gst::FlowSuccess::Ok)
                }
            })
            .build();
        let source = gst::Pad::builder(gst::PadDirection::Src).build();
        let pad = |name| element.static_pad(name).ok_or("no such pad");
        sink.set_active(true)?;
        source.set_active(true)?;
        pad("src")?.link(&sink)?;
        source.link(&pad("sink")?)?;
        element.set_state(gst::State::Playing)?;
        source.push_event(gst::event::StreamStart::new("start"));

        let before = cpu()?;
        let mut times = [0.0; 3];
        if !source.push_event(gst::event::Caps::new(&self.input)) {
            return Err(format!("{factory} refuses {} to {}", self.input, self.output).into());
        }
        times[0] = cpu()? - before;
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        source.push_event(gst::event::Segment::new(&segment));
        for buffer in &self.buffers {
            source.push(buffer.clone())?;
            if times[1] == 0.0 && made.load(Relaxed) > 0 {
                times[1] = cpu()? - before;
            }
        }
        times[2] = cpu()? - before;
        element.set_state(gst::State::Null)?;
        source.set_active(false)?;
        sink.set_active(false)?;
        // Messages that nobody took would keep the element, and its table with it.
        bus.set_flushing(true);
        Ok(times)
    }

    /// The best of many starts of each of `ELEMENTS`.
    fn best(&self) -> Result<[[f64; 3]; 2], Failure> {
        let mut best = [[f64::INFINITY; 3]; 2];
        let started = std::time::Instant::now();
        for round in 0..ROUNDS.1 {
            if round >= ROUNDS.0 && started.elapsed().as_secs_f64() > ENOUGH {
                break;
            }
            // In turn, so that what else the machine does meets both.
            for (factory, best) in ELEMENTS.iter().zip(&mut best) {
                let times = self.start(factory)?;
                for (best, time) in best.iter_mut().zip(times) {
                    *best = best.min(time);
                }
            }
        }
        Ok(best)
    }
}

fn main() -> Result<(), Failure> {
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    let mut args = std::env::args().skip(1);
    let chosen = args.next().unwrap_or_default();
    let channels = args.next().map_or(Ok(1), |n| n.parse())?;
    let mut all = Vec::new();
    for pair in args {
        let (input, output) = pair.split_once('>').ok_or("rates are `IN>OUT`")?;
        all.push((input.parse()?, output.parse()?));
    }
    if all.is_empty() {
        all.extend(RATES);
    }

    println!(
        "us of CPU, {channels} channel(s), of audioresample / of rustresample = how much of it\n"
    );
    println!("| rates | quality | mode | format | caps | first output | 0.25 s |");
    println!("|---|---|---|---|---|---|---|");
    let (mut rows, mut slower) = (0, [0; 3]);
    for rates in all {
        for mode in MODES {
            for quality in QUALITIES {
                for format in FORMATS {
                    let name = format!(
                        "{}>{} | {quality} | {mode} | {}",
                        rates.0, rates.1, format.0
                    );
                    if !name.contains(&chosen) {
                        continue;
                    }
                    let config = Config::new(rates, quality, mode, format, channels);
                    let [theirs, ours] = config.best()?;
                    print!("| {name} |");
                    for i in 0..3 {
                        slower[i] += usize::from(ours[i] > theirs[i]);
                        print!(
                            " {:.0} / {:.0} = {:.2} |",
                            theirs[i],
                            ours[i],
                            ours[i] / theirs[i]
                        );
                    }
                    println!();
                    rows += 1;
                }
            }
        }
    }
    let [caps, first, quarter] = slower;
    println!(
        "\nrustresample slower, of {rows} rows: caps {caps}, first output {first}, 0.25 s {quarter}"
    );
    Ok(())
}
