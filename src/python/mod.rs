// SPDX-License-Identifier: MIT

//! Finding and loading libpython, and the nodes that run in it.
//!
//! The plugin has no link to Python. The first node that is opened finds an interpreter
//! ([`find`]), loads it and the embedded bridge (`runtime`), and talks to it through the C ABI in
//! [`abi`].

#![allow(unsafe_code)] // the dynamic linker and the C ABI of the bridge

#[path = "../../bridge/src/abi.rs"]
pub mod abi;
mod failure;
pub mod find;
mod inprocess;
mod runtime;
mod worker;

pub use failure::Failure;
pub(crate) use failure::without_nul;
pub use inprocess::{InProcess, PythonMemory};
pub use runtime::{LoadError, Runtime};
pub use worker::Worker;

use std::sync::Arc;
use std::time::Duration;

/// What a node is made from; JSON for node.py.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    pub module: Option<String>,
    pub class: Option<String>,
    pub function: Option<String>,
    /// Keyword arguments, a JSON object.
    pub kwargs: serde_json::Map<String, serde_json::Value>,
    /// Directories in front of `sys.path`, separated by `:`.
    pub python_path: Option<String>,
    /// Arrays are (channels, frames).
    pub channels_first: bool,
}

impl Spec {
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "module": self.module,
            "class": self.class,
            "function": self.function,
            "kwargs": self.kwargs,
            "python-path": self.python_path,
            "layout": if self.channels_first { "channels-first" } else { "frames-first" },
        })
        .to_string()
    }
}

/// What a loaded node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The file it comes from.
    pub file: Option<String>,
    /// It writes its input and wants a writable array always.
    pub in_place: bool,
    /// It decides on the output caps.
    pub has_output_caps: bool,
    /// It gives what it still holds when it is asked to.
    pub has_drain: bool,
    /// Its calls await: they end when they are asked to.
    pub is_cancellable: bool,
    /// What its author may not expect of the modules that it gets.
    pub surprises: Vec<String>,
}

/// Format of a stream, as node.py knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// GStreamer's name, such as `F32LE`.
    pub format: String,
    pub rate: u32,
    pub channels: u32,
    pub planar: bool,
}

/// What a node wants changed in its output caps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub format: Option<String>,
    pub rate: Option<u32>,
    pub channels: Option<u32>,
    pub planar: Option<bool>,
}

/// What the element does for a node: `ctx.post`, `ctx.log` and limits.
pub trait Callbacks: Send + Sync {
    fn post(&self, name: &str, fields: serde_json::Map<String, serde_json::Value>);
    fn log(&self, level: &str, line: &str);
    /// The stream flushes or stops: calls that can be cancelled shall end.
    fn is_interrupted(&self) -> bool;
    /// Longest call, where there is a limit.
    fn limit(&self) -> Option<Duration>;
}

/// Memory of a mapped buffer, handed to a node and taken back.
pub enum Lease {
    Writable(gst::MappedBuffer<gst::buffer::Writable>),
    ReadOnly(gst::MappedBuffer<gst::buffer::Readable>),
}

impl Lease {
    /// Maps `buffer` for writing where nobody else would see it, or where `copy` allows to copy
    /// it, and for reading otherwise.
    pub fn new(mut buffer: gst::Buffer, copy: bool) -> Result<Self, gst::Buffer> {
        if copy {
            buffer.make_mut();
        }
        let writable = buffer
            .get_mut()
            .is_some_and(|b| copy || b.is_all_memory_writable());
        if writable {
            buffer.into_mapped_buffer_writable().map(Self::Writable)
        } else {
            buffer.into_mapped_buffer_readable().map(Self::ReadOnly)
        }
    }

    pub fn is_writable(&self) -> bool {
        matches!(self, Self::Writable(_))
    }

    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Writable(map) => map.as_slice(),
            Self::ReadOnly(map) => map.as_slice(),
        }
    }

    /// The memory, if it may be written.
    pub fn as_mut_slice(&mut self) -> Option<&mut [u8]> {
        match self {
            Self::Writable(map) => Some(map.as_mut_slice()),
            Self::ReadOnly(_) => None,
        }
    }

    pub fn buffer(&self) -> &gst::BufferRef {
        match self {
            Self::Writable(map) => map.buffer(),
            Self::ReadOnly(map) => map.buffer(),
        }
    }

    pub fn into_buffer(self) -> gst::Buffer {
        match self {
            Self::Writable(map) => map.into_buffer(),
            Self::ReadOnly(map) => map.into_buffer(),
        }
    }
}

/// Shape of the audio in a [`Lease`].
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub frames: usize,
    pub channels: usize,
    /// Bytes from the start of the memory to the first sample.
    pub offset: usize,
    /// Bytes from one frame to the next, and from one channel to the next.
    pub frame_stride: usize,
    pub channel_stride: usize,
    /// One of [`abi::sample`].
    pub sample: i32,
    pub channels_first: bool,
}

/// Memory that a node gave back.
pub struct Returned {
    pub frames: usize,
    pub memory: Memory,
}

/// Where returned samples are.
pub enum Memory {
    /// An array that nobody else can reach; may be written if so marked.
    Array(PythonMemory),
    /// A copy.
    Copied(Vec<u8>),
}

/// What a call gave.
pub enum Product {
    /// The input, changed or not.
    InPlace(Lease),
    /// The node changed its input in place and kept hold of it: this buffer is out of its reach.
    Kept(gst::Buffer),
    /// Other audio takes the place of the input.
    Replaced(Vec<Returned>),
}

/// One call and what it cost.
pub struct Call {
    /// The failed input comes back too, unless the node kept it.
    pub result: Result<Product, (Failure, Option<Lease>)>,
    /// Time spent waiting for the GIL, in ns.
    pub gil_wait: u64,
}

/// A node, wherever it runs. Used by one thread at a time.
pub trait Node: Send {
    fn about(&self) -> &About;
    /// Tells the node the format of the stream and its caps as text.
    fn start(&mut self, format: &Format, caps: &str, element: &str) -> Result<Wanted, Failure>;
    fn call(&mut self, lease: Lease, shape: &Shape, moment: &abi::Moment) -> Call;
    /// Has the node give what it still holds; `moment` is the end of the audio that it got.
    fn drain(&mut self, moment: &abi::Moment) -> Result<Vec<Returned>, Failure>;
    /// Loads the file anew; the old node stays on failure.
    fn reload(&mut self) -> Result<(), Failure>;
    fn stop(&mut self) -> Result<(), Failure>;
    /// Bytes held for the node by this side.
    fn memory(&self) -> u64 {
        0
    }
    /// Calls that take too long are ended.
    fn enforces_timeout(&self) -> bool {
        false
    }
    /// Whether what it held is lost, as the process died that it ran in; once for each death.
    fn take_loss(&mut self) -> bool {
        false
    }
}

/// Handle to the callbacks of an element.
pub type SharedCallbacks = Arc<dyn Callbacks>;

pub(crate) fn parse_about(json: &str) -> About {
    let v: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    About {
        file: v["file"].as_str().map(str::to_owned),
        in_place: v["in-place"].as_bool().unwrap_or(false),
        has_output_caps: v["output-caps"].as_bool().unwrap_or(false),
        has_drain: v["drain"].as_bool().unwrap_or(false),
        is_cancellable: v["cancellable"].as_bool().unwrap_or(false),
        surprises: v["surprises"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str().map(without_nul))
            .collect(),
    }
}

pub(crate) fn parse_wanted(json: &str) -> Wanted {
    let v: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let number = |key: &str| v[key].as_u64().and_then(|n| u32::try_from(n).ok());
    Wanted {
        format: v["format"].as_str().map(str::to_owned),
        rate: number("rate"),
        channels: number("channels"),
        planar: v["layout"].as_str().map(|l| l == "non-interleaved"),
    }
}

pub(crate) fn info_json(format: &Format, caps: &str, element: &str) -> String {
    serde_json::json!({
        "format": format.format,
        "rate": format.rate,
        "channels": format.channels,
        "layout": if format.planar { "non-interleaved" } else { "interleaved" },
        "caps": caps,
        "element": element,
    })
    .to_string()
}
