// SPDX-License-Identifier: MIT

//! An element between two pads of the test, with everything that it sends out recorded.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::common;

/// What left the element, in order.
#[derive(Clone, Debug)]
pub enum Out {
    Buffer(gst::Buffer),
    Event(gst::Event),
}

pub struct Rig {
    pub element: gst::Element,
    src: gst::Pad,
    /// The last is the peer downstream.
    sinks: Mutex<Vec<gst::Pad>>,
    pub out: Arc<Mutex<Vec<Out>>>,
    pub bus: gst::Bus,
}

pub fn caps(format: &str, rate: u32, channels: u32, layout: &str) -> gst::Caps {
    common::init();
    let mut builder = gst::Caps::builder("audio/x-raw")
        .field("format", format)
        .field("rate", rate as i32)
        .field("channels", channels as i32)
        .field("layout", layout);
    if channels > 2 {
        builder = builder.field("channel-mask", gst::Bitmask::new(0));
    }
    builder.build()
}

pub fn mono(rate: u32) -> gst::Caps {
    caps("F32LE", rate, 1, "interleaved")
}

impl Rig {
    /// `factory` between pads that take `from` and offer `to`.
    pub fn new(factory: &str, properties: &str, from: &gst::Caps, to: &gst::Caps) -> Self {
        common::init();
        let element = gst::parse::launch(&format!("{factory} {properties}")).unwrap();
        Self::with(element, from, to)
    }

    fn with(element: gst::Element, from: &gst::Caps, to: &gst::Caps) -> Self {
        let out = Arc::new(Mutex::new(Vec::new()));
        let (buffers, events) = (out.clone(), out.clone());
        let sink_template = gst::PadTemplate::new(
            "sink",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            to,
        )
        .unwrap();
        let sink = gst::Pad::builder_from_template(&sink_template)
            .chain_function(move |_, _, buffer| {
                buffers.lock().unwrap().push(Out::Buffer(buffer));
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(move |_, _, event| {
                events.lock().unwrap().push(Out::Event(event));
                true
            })
            .build();
        let live = 20 * gst::ClockTime::MSECOND;
        let src = gst::Pad::builder(gst::PadDirection::Src)
            .name("src")
            .query_function(move |pad, parent, query| match query.view_mut() {
                gst::QueryViewMut::Latency(q) => {
                    q.set(true, live, Some(2 * live));
                    true
                }
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .build();
        src.link(&element.static_pad("sink").unwrap()).unwrap();
        element.static_pad("src").unwrap().link(&sink).unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        src.set_active(true).unwrap();
        sink.set_active(true).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        let rig = Self {
            element,
            src,
            sinks: Mutex::new(vec![sink]),
            out,
            bus,
        };
        rig.event(gst::event::StreamStart::new("test"));
        rig.event(gst::event::Caps::new(from));
        rig.segment(&gst::FormattedSegment::<gst::ClockTime>::new());
        rig
    }

    pub fn event(&self, event: gst::Event) {
        assert!(self.src.push_event(event.clone()), "{event:?}");
    }

    pub fn segment(&self, segment: &gst::FormattedSegment<gst::ClockTime>) {
        self.event(gst::event::Segment::new(segment));
    }

    pub fn push(&self, buffer: gst::Buffer) {
        self.src.push(buffer).unwrap();
    }

    pub fn try_push(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.src.push(buffer)
    }

    /// Asks the element to negotiate for `caps` from its next buffer on.
    pub fn want(&self, caps: &gst::Caps) {
        // The element asks the pad, the pad its template: so a new pad takes the old one's place.
        let out = self.out.clone();
        let events = out.clone();
        let template = gst::PadTemplate::new(
            "sink",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            caps,
        )
        .unwrap();
        let pad = gst::Pad::builder_from_template(&template)
            .name("other")
            .chain_function(move |_, _, buffer| {
                out.lock().unwrap().push(Out::Buffer(buffer));
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(move |_, _, event| {
                events.lock().unwrap().push(Out::Event(event));
                true
            })
            .build();
        let src = self.element.static_pad("src").unwrap();
        let mut sinks = self.sinks.lock().unwrap();
        src.unlink(sinks.last().unwrap()).unwrap();
        pad.set_active(true).unwrap();
        src.link(&pad).unwrap();
        sinks.push(pad);
    }

    /// Sends EOS; all buffers that have come out.
    pub fn finish(&self) -> Vec<gst::Buffer> {
        self.event(gst::event::Eos::new());
        self.buffers()
    }

    pub fn buffers(&self) -> Vec<gst::Buffer> {
        let out = self.out.lock().unwrap();
        out.iter()
            .filter_map(|o| match o {
                Out::Buffer(b) => Some(b.clone()),
                Out::Event(_) => None,
            })
            .collect()
    }

    /// Minimum latency as downstream sees it, less the 20 ms of the source.
    pub fn latency(&self) -> gst::ClockTime {
        let mut query = gst::query::Latency::new();
        assert!(self.element.static_pad("src").unwrap().query(&mut query));
        let (live, min, max) = query.result();
        assert!(live);
        let own = min - 20 * gst::ClockTime::MSECOND;
        assert_eq!(max, Some(own + 40 * gst::ClockTime::MSECOND));
        own
    }

    /// Messages of one kind since the last time.
    pub fn messages(&self, kind: gst::MessageType) -> usize {
        std::iter::from_fn(|| self.bus.pop())
            .filter(|m| m.type_() == kind)
            .count()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.element.set_state(gst::State::Null);
    }
}

/// A buffer of F32 samples that starts `at` frames into a stream of `rate`.
pub fn f32s(samples: &[f32], channels: usize, at: u64, rate: u32) -> gst::Buffer {
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    raw(bytes, (samples.len() / channels) as u64, at, rate)
}

/// A buffer of `frames` that starts `at` frames into a stream of `rate`.
pub fn raw(bytes: Vec<u8>, frames: u64, at: u64, rate: u32) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(bytes);
    let b = buffer.get_mut().unwrap();
    b.set_pts(time(at, rate));
    b.set_duration(time(at + frames, rate) - time(at, rate));
    b.set_offset(at);
    b.set_offset_end(at + frames);
    buffer
}

pub fn time(frames: u64, rate: u32) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(frames.mul_div_round(1_000_000_000, rate.into()).unwrap())
}

/// Samples of `buffers`, one after another.
pub fn samples(buffers: &[gst::Buffer]) -> Vec<f32> {
    buffers
        .iter()
        .flat_map(|b| {
            let map = b.map_readable().unwrap();
            map.chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect::<Vec<f32>>()
        })
        .collect()
}

/// Noise in [-0.5, 0.5).
pub fn noise(n: usize, mut seed: u32) -> Vec<f32> {
    (0..n)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect()
}

pub fn sine(n: usize, hz: f64, rate: u32, amplitude: f64) -> Vec<f32> {
    (0..n)
        .map(|n| {
            let phase = 2.0 * std::f64::consts::PI * hz * n as f64 / f64::from(rate);
            (amplitude * phase.sin()) as f32
        })
        .collect()
}

/// Pushes `input` in pieces of `chunk` samples, mono, from frame `at` on.
pub fn feed(rig: &Rig, input: &[f32], chunk: usize, at: u64, rate: u32) {
    let mut position = at;
    for part in input.chunks(chunk) {
        rig.push(f32s(part, 1, position, rate));
        position += part.len() as u64;
    }
}
