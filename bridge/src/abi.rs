// SPDX-License-Identifier: MIT

//! The C ABI between the plugin and the bridge; compiled into both.
//!
//! What happens once per stream travels as JSON in [`Text`]; what happens once per buffer as plain
//! structs. No function panics across the boundary, and every one may be called from any thread
//! that does not need the GIL itself.

#![allow(dead_code)] // each side uses its part

use std::ffi::c_void;

/// Raised whenever a struct or the meaning of a function changes; the library is embedded in the
/// plugin, so both always agree and this guards against stale builds only.
pub const ABI_VERSION: u32 = 3;

/// The one exported symbol: `extern "C" fn() -> *const Api`.
pub const ENTRY: &str = "rustaudio_bridge";

/// A time that is not known, as in `GST_CLOCK_TIME_NONE`.
pub const NO_TIME: u64 = u64::MAX;

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    Ok = 0,
    /// Python raised; the text is a JSON object that describes the exception.
    Raised = 1,
    /// The interpreter is shutting down: no call is possible any more.
    Closed = 2,
    /// A fault of the bridge itself; the text says which.
    Fault = 3,
}

/// Borrowed UTF-8, valid during the call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text {
    pub data: *const u8,
    pub len: usize,
}

impl Text {
    pub fn new(text: &str) -> Self {
        Self {
            data: text.as_ptr(),
            len: text.len(),
        }
    }
}

/// UTF-8 that belongs to whom it is handed, to be given back to [`Api::free_text`].
#[derive(Debug)]
#[repr(C)]
pub struct OwnedText {
    pub data: *mut u8,
    pub len: usize,
    pub capacity: usize,
}

impl OwnedText {
    pub const EMPTY: Self = Self {
        data: std::ptr::null_mut(),
        len: 0,
        capacity: 0,
    };
}

/// What the plugin does for a node. The bridge calls these without holding the GIL, where nothing
/// else is said.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Host {
    pub data: *mut c_void,
    /// `ctx.post`: name of the message and its fields as a JSON object.
    pub post: extern "C" fn(data: *mut c_void, name: Text, fields: Text),
    /// `ctx.log`: level (`error`, `warning`, `info`, `debug`, `trace`) and line.
    pub log: extern "C" fn(data: *mut c_void, level: Text, line: Text),
    /// Whether a call that has been running for `elapsed` ns shall end, which may take `least` ns in
    /// any case: one of [`over`]. Asked while a call waits for what it awaits; called with the GIL.
    pub over: extern "C" fn(data: *mut c_void, elapsed: u64, least: u64) -> i32,
    /// Called once, when nothing can call the others any more.
    pub drop: extern "C" fn(data: *mut c_void),
}

/// Answers of [`Host::over`].
pub mod over {
    pub const GOES_ON: i32 = 0;
    /// The stream flushes or stops.
    pub const INTERRUPTED: i32 = 1;
    /// It takes longer than the element allows.
    pub const TOO_LATE: i32 = 2;
}

/// Number types of samples, in numpy's numbering (`NPY_TYPES`), which is part of its ABI.
pub mod sample {
    pub const I8: i32 = 1;
    pub const U8: i32 = 2;
    pub const I16: i32 = 3;
    pub const U16: i32 = 4;
    pub const I32: i32 = 5;
    pub const U32: i32 = 6;
    pub const F32: i32 = 11;
    pub const F64: i32 = 12;
}

/// The array of one call: memory of a mapped buffer.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Block {
    pub data: *mut c_void,
    pub frames: usize,
    pub channels: usize,
    /// Bytes from one frame to the next, and from one channel to the next.
    pub frame_stride: isize,
    pub channel_stride: isize,
    /// One of [`sample`].
    pub sample: i32,
    pub writable: bool,
    /// Shape is (channels, frames) rather than (frames, channels).
    pub channels_first: bool,
    /// Keeps the memory mapped.
    pub owner: *mut c_void,
    /// Frees `owner`; called with the GIL held, and only if [`Outcome::kept`] was reported.
    pub release: extern "C" fn(owner: *mut c_void),
}

/// Where the array lies in the stream; times in ns.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Moment {
    pub pts: u64,
    pub duration: u64,
    pub stream_time: u64,
    pub running_time: u64,
    /// 1 speech, 0 silence, -1 not known.
    pub speech: i32,
    /// Number of the speech segment, from 1; 0 outside of one.
    pub utterance: u64,
    /// From 1; above 1 for a retry.
    pub attempt: u32,
    pub discont: bool,
    pub gap: bool,
    pub segment: Segment,
}

/// The stream's segment, in ns.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Segment {
    pub rate: f64,
    pub start: u64,
    pub stop: u64,
    pub time: u64,
    pub base: u64,
}

/// One array that a call gave back: C-contiguous, in the memory order of the output caps. Nobody
/// else can reach its memory, so it may become a buffer as it is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Output {
    pub data: *mut c_void,
    pub bytes: usize,
    pub frames: usize,
    /// Keeps `data` alive; goes back to [`Api::release`].
    pub object: *mut c_void,
    /// May be written to.
    pub writable: bool,
}

/// What came of a call.
#[derive(Debug)]
#[repr(C)]
pub struct Outcome {
    /// The node kept the array, or a view of it: the memory is Python's now, which calls
    /// [`Block::release`] when it is done.
    pub kept: bool,
    /// The node gave arrays back; otherwise it changed its input in place.
    pub replaced: bool,
    /// Valid until the next call of this node; each to be released.
    pub outputs: *const Output,
    pub num_outputs: usize,
    /// Time spent waiting for the GIL, in ns.
    pub gil_wait: u64,
    /// Of [`Status::Raised`] and [`Status::Fault`].
    pub failure: OwnedText,
}

type Node = *mut c_void;

/// The function table.
#[repr(C)]
pub struct Api {
    pub version: u32,
    pub free_text: extern "C" fn(OwnedText),
    /// Once per process, with the interpreter running and the GIL free. `config` is a JSON object
    /// (`site`: directories to add as site directories); answers with `version`, `prefix`,
    /// `numpy`.
    pub init: extern "C" fn(config: Text, answer: *mut OwnedText) -> Status,
    /// Imports and constructs a node from a JSON specification; answers with what it can do.
    pub node_new:
        extern "C" fn(spec: Text, host: Host, node: *mut Node, answer: *mut OwnedText) -> Status,
    /// Tells the node the format (JSON); answers with the output format it wants, or `null`.
    pub node_start: extern "C" fn(node: Node, info: Text, answer: *mut OwnedText) -> Status,
    pub node_call: extern "C" fn(
        node: Node,
        block: *const Block,
        moment: *const Moment,
        outcome: *mut Outcome,
    ) -> Status,
    /// Has the node give what it still holds.
    pub node_drain:
        extern "C" fn(node: Node, moment: *const Moment, outcome: *mut Outcome) -> Status,
    /// Loads the node's file anew and takes the place of the old one, which stays on failure.
    pub node_reload: extern "C" fn(node: Node, answer: *mut OwnedText) -> Status,
    /// Calls the node's `stop` and flushes the standard streams.
    pub node_stop: extern "C" fn(node: Node, answer: *mut OwnedText) -> Status,
    pub node_free: extern "C" fn(node: Node),
    /// Gives back [`Output::object`]; needs no GIL.
    pub release: extern "C" fn(object: *mut c_void),
}
