// SPDX-License-Identifier: MIT

//! pypipelinenode in whole pipelines: what a node may do, and what may go wrong.

#[path = "../common/mod.rs"]
mod common;

mod asynchronous;
mod chunks;
mod data;
mod ends;
mod environment;
mod faults;
mod forked;
mod hostile;
mod hosts;
mod isolated;
mod lifecycle;
mod streaming;
mod texts;
mod told;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

/// Writes the text of a node to a file of its own.
pub fn node(text: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nodes");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("node_{}_{n}.py", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// A buffer as it was seen, copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub data: Vec<u8>,
    pub address: usize,
    pub pts: Option<gst::ClockTime>,
    pub duration: Option<gst::ClockTime>,
    pub flags: gst::BufferFlags,
}

impl Seen {
    pub fn f32(&self) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(&self.data)
    }
}

/// Copies what passes `pad`, so that the node still gets buffers of its own.
pub fn watch(pad: &gst::Pad) -> Arc<Mutex<Vec<Seen>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let sink = kept.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let map = buffer.map_readable().unwrap();
            sink.lock().unwrap().push(Seen {
                data: map.to_vec(),
                address: map.as_ptr() as usize,
                pts: buffer.pts(),
                duration: buffer.duration(),
                flags: buffer.flags(),
            });
        }
        gst::PadProbeReturn::Ok
    });
    kept
}

/// What went in, what came out, and all messages.
pub struct Run {
    pub input: Vec<Seen>,
    pub output: Vec<Seen>,
    pub messages: Vec<gst::Message>,
}

impl Run {
    pub fn structures(&self, name: &str) -> Vec<gst::Structure> {
        common::structures(&self.messages, name)
            .map(|s| s.to_owned())
            .collect()
    }

    pub fn failures(&self) -> Vec<gst::Structure> {
        self.structures("pypipelinenode-failure")
    }

    /// Field of the final metrics.
    pub fn metric<T: for<'a> gst::glib::value::FromValue<'a> + 'static>(&self, name: &str) -> T {
        self.structures("rustaudio-metrics")
            .into_iter()
            .rfind(|s| s.get::<bool>("final") == Ok(true))
            .unwrap()
            .get(name)
            .unwrap()
    }

    pub fn has_error(&self) -> bool {
        self.messages
            .iter()
            .any(|m| m.type_() == gst::MessageType::Error)
    }
}

pub const SOURCE: &str = "audiotestsrc wave=saw samplesperbuffer=480 num-buffers=";
pub const STEREO: &str = "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved";

/// A pipeline of `buffers` buffers of 10 ms through the node in `text`, not yet running.
pub fn pipeline(buffers: usize, caps: &str, text: &str, properties: &str) -> gst::Pipeline {
    let path = node(text);
    common::launch(&format!(
        "{SOURCE}{buffers} ! {caps} ! pypipelinenode name=node module={} \
         initial-backoff=1000000 {properties} ! fakesink name=sink",
        path.display()
    ))
}

/// Plays `pipeline` to its end.
pub fn finish(pipeline: &gst::Pipeline) -> Run {
    let element = pipeline.by_name("node").unwrap();
    let input = watch(&element.static_pad("sink").unwrap());
    let output = watch(&element.static_pad("src").unwrap());
    let messages = common::play(pipeline);
    let take = |seen: Arc<Mutex<Vec<Seen>>>| std::mem::take(&mut *seen.lock().unwrap());
    Run {
        input: take(input),
        output: take(output),
        messages,
    }
}

pub fn run(buffers: usize, text: &str, properties: &str) -> Run {
    finish(&pipeline(buffers, STEREO, text, properties))
}

/// Runs and fails on an error.
pub fn run_ok(buffers: usize, text: &str, properties: &str) -> Run {
    let run = run(buffers, text, properties);
    if run.has_error() {
        panic!("{:?}", common::error(&run.messages));
    }
    run
}

/// Same samples and times, whatever the addresses.
pub fn assert_same(input: &[Seen], output: &[Seen]) {
    assert_eq!(input.len(), output.len());
    for (i, (a, b)) in input.iter().zip(output).enumerate() {
        assert!(a.data == b.data, "buffer {i} differs");
        assert_eq!((a.pts, a.duration), (b.pts, b.duration), "buffer {i}");
    }
}

/// Starts what cannot start; its error.
pub fn refused(pipeline: &gst::Pipeline) -> (String, String) {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).ok();
    let message = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    common::error(&[message.expect("an error")])
}

/// The element alone, with its pads in the hands of the test.
pub struct Rig {
    pub harness: gst_check::Harness,
    pub element: gst::Element,
    bus: gst::Bus,
    /// Of the first buffer that the last look found.
    pub first_pts: Option<gst::ClockTime>,
}

impl Rig {
    pub fn new(text: &str, properties: &str, caps: &str) -> Self {
        common::init();
        let line = format!(
            "pypipelinenode initial-backoff=1000000 module={} {properties}",
            node(text).display()
        );
        let element = gst::parse::launch(&line).unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps_str(caps);
        Self {
            harness,
            element,
            bus,
            first_pts: None,
        }
    }

    pub fn pad(&self, name: &str) -> gst::Pad {
        self.element.static_pad(name).unwrap()
    }

    /// 10 ms of stereo at 48 kHz, all samples alike; number `i` of a stream.
    pub fn buffer(i: u64, sample: f32) -> gst::Buffer {
        let bytes: Vec<u8> = bytemuck::pod_collect_to_vec(&[sample; 960]);
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let b = buffer.get_mut().unwrap();
        b.set_pts(i * 10 * gst::ClockTime::MSECOND);
        b.set_duration(10 * gst::ClockTime::MSECOND);
        buffer
    }

    pub fn push(&mut self, i: u64, sample: f32) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.harness.push(Self::buffer(i, sample))
    }

    /// What has come out since the last look.
    pub fn samples(&mut self) -> Vec<f32> {
        self.first_pts = None;
        let mut all = Vec::new();
        while let Some(buffer) = self.harness.try_pull() {
            self.first_pts = self.first_pts.or(buffer.pts());
            let map = buffer.map_readable().unwrap();
            all.extend(bytemuck::pod_collect_to_vec::<u8, f32>(&map));
        }
        all
    }

    /// Stereo frames that have come out since the last look.
    pub fn frames(&mut self) -> usize {
        self.samples().len() / 2
    }

    /// What was posted since the last look.
    pub fn messages(&self) -> Vec<gst::Message> {
        std::iter::from_fn(|| self.bus.pop()).collect()
    }

    /// The posted structures of this name since the last look.
    pub fn structures(&self, name: &str) -> Vec<gst::Structure> {
        common::structures(&self.messages(), name)
            .map(|s| s.to_owned())
            .collect()
    }

    /// Text of the error that was posted.
    pub fn error(&self) -> String {
        common::error(&self.messages()).0
    }
}
