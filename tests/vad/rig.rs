// SPDX-License-Identifier: MIT

//! One `rustvad` between a harness that pushes and a probe that keeps what comes out, in order.

use std::sync::{Arc, Mutex};

use gst::ClockTime;
use gst::prelude::*;
use gstrustaudio::elements::vad::{VadChange, VadFrame};

use super::common;
pub use super::voice::voice;

/// What left the element.
#[derive(Clone, Debug)]
pub enum Got {
    Buffer(gst::Buffer),
    Change(VadChange),
    /// GAP event: start and duration.
    Gap(ClockTime, Option<ClockTime>),
    Caps,
}

pub struct Rig {
    pub harness: gst_check::Harness,
    pub element: gst::Element,
    bus: gst::Bus,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Rig {
    /// `description` as for gst-launch, with a `rustvad` called `vad` in it.
    pub fn parse(description: &str, caps: &str) -> Self {
        common::init();
        let bin = gst::parse::bin_from_description(description, true).unwrap();
        let element = bin.by_name("vad").unwrap();
        Self::around(bin.upcast_ref(), element, caps)
    }

    /// One `rustvad` with `settings` ("name=value ...").
    pub fn new(settings: &str, caps: &str) -> Self {
        Self::parse(&format!("rustvad name=vad {settings}"), caps)
    }

    fn around(outer: &gst::Element, element: gst::Element, caps: &str) -> Self {
        let bus = gst::Bus::new();
        outer.set_bus(Some(&bus));
        let got = Arc::new(Mutex::new(Vec::new()));
        let keep = got.clone();
        let which = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        let source = element.static_pad("src").unwrap();
        source.add_probe(which, move |_, info| {
            let item = match &info.data {
                Some(gst::PadProbeData::Buffer(b)) => Some(Got::Buffer(b.clone())),
                Some(gst::PadProbeData::Event(e)) => match e.view() {
                    gst::EventView::CustomDownstream(c) => {
                        let change = c.structure().map(VadChange::try_from);
                        change.and_then(Result::ok).map(Got::Change)
                    }
                    gst::EventView::Gap(g) => Some(Got::Gap(g.get().0, g.get().1)),
                    gst::EventView::Caps(_) => Some(Got::Caps),
                    _ => None,
                },
                _ => None,
            };
            keep.lock().unwrap().extend(item);
            gst::PadProbeReturn::Ok
        });
        let mut harness = gst_check::Harness::with_element(outer, Some("sink"), Some("src"));
        harness.set_src_caps_str(caps);
        Self {
            harness,
            element,
            bus,
            got,
        }
    }

    /// Pushes `data` of `bytes` a sample and `rate` in buffers of `samples`, from `start` on.
    pub fn feed(&mut self, data: &[u8], bytes: usize, rate: u64, samples: usize, start: ClockTime) {
        for (i, part) in data.chunks(samples * bytes).enumerate() {
            let from = (i * samples) as u64;
            let n = (part.len() / bytes) as u64;
            self.push(stamped(part, start, from, n, rate));
        }
    }

    pub fn push(&mut self, buffer: gst::Buffer) {
        self.harness.push(buffer).unwrap();
    }

    pub fn event(&mut self, event: gst::Event) {
        assert!(self.harness.push_event(event));
    }

    /// Ends the stream; all that came out.
    pub fn finish(&mut self) -> Vec<Got> {
        self.event(gst::event::Eos::new());
        self.take()
    }

    /// What has come out since the last call.
    pub fn take(&mut self) -> Vec<Got> {
        std::mem::take(&mut self.got.lock().unwrap())
    }

    /// The next start or end of speech, whenever it comes.
    pub fn next_change(&self) -> VadChange {
        let until = std::time::Instant::now() + common::PATIENCE.into();
        loop {
            let message = self.bus.timed_pop(common::PATIENCE).expect("a message");
            // Others, as the metrics, come for ever.
            assert!(std::time::Instant::now() < until, "no change");
            let found = message.structure().map(VadChange::try_from);
            if let Some(Ok(change)) = found {
                return change;
            }
        }
    }

    /// Waits until nothing is under way in the element.
    pub fn settle(&self) {
        drop(self.element.static_pad("sink").unwrap().stream_lock());
    }

    /// Messages since the last call.
    pub fn messages(&self) -> Vec<gst::Message> {
        std::iter::from_fn(|| self.bus.pop()).collect()
    }

    pub fn frames(&self) -> Vec<VadFrame> {
        let messages = self.messages();
        common::structures(&messages, "rustvad-frame")
            .map(|s| VadFrame::try_from(s).unwrap())
            .collect()
    }

    /// Latency as a sink would ask for it: live, smallest, largest.
    pub fn latency(&self) -> (bool, ClockTime, Option<ClockTime>) {
        let mut query = gst::query::Latency::new();
        let source = self.element.static_pad("src").unwrap();
        assert!(source.query(&mut query));
        query.result()
    }
}

/// A buffer whose first sample is `from` samples after `start`.
pub fn stamped(data: &[u8], start: ClockTime, from: u64, samples: u64, rate: u64) -> gst::Buffer {
    let at = |n: u64| start + ClockTime::from_nseconds(n * 1_000_000_000 / rate);
    let mut buffer = gst::Buffer::from_slice(data.to_vec());
    let b = buffer.get_mut().unwrap();
    b.set_pts(at(from));
    b.set_duration(at(from + samples) - at(from));
    buffer
}

pub fn changes(got: &[Got]) -> Vec<VadChange> {
    got.iter()
        .filter_map(|g| match g {
            Got::Change(c) => Some(*c),
            _ => None,
        })
        .collect()
}

pub fn buffers(got: &[Got]) -> Vec<gst::Buffer> {
    got.iter()
        .filter_map(|g| match g {
            Got::Buffer(b) => Some(b.clone()),
            _ => None,
        })
        .collect()
}

pub fn bytes(buffers: &[gst::Buffer]) -> Vec<u8> {
    let each = buffers.iter().map(|b| b.map_readable().unwrap().to_vec());
    each.flatten().collect()
}

/// Start and end of each segment, in ms of the timestamps.
pub fn spans(got: &[Got]) -> Vec<(u64, u64)> {
    changes(got)
        .chunks(2)
        .map(|pair| {
            assert!(pair[0].speech && !pair[1].speech, "{pair:?}");
            let ms = |c: &VadChange| c.times.timestamp.unwrap().mseconds();
            (ms(&pair[0]), ms(&pair[1]))
        })
        .collect()
}

/// Two bursts that are longer than any rule asks for.
pub fn two(at: u64) -> bool {
    (300..700).contains(&at) || (1200..1500).contains(&at)
}

/// Square wave of S16 at 16 kHz that is on where `on` says so of the ms, each sample of it known by
/// its low bits.
pub fn bursts(ms: u64, on: impl Fn(u64) -> bool) -> Vec<u8> {
    (0..ms * 16)
        .map(|i| {
            let mark = (i % 97) as i16;
            match (on(i / 16), i / 20 % 2) {
                (false, _) => mark,
                (true, 0) => 16_000 + mark,
                (true, _) => -16_000 + mark,
            }
        })
        .flat_map(i16::to_le_bytes)
        .collect()
}

pub const MONO: &str = "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved";
