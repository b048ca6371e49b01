// SPDX-License-Identifier: MIT

//! A node in this process's interpreter.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::abi::{Api, Block, Host, Moment, Outcome, OwnedText, Status, Text, over};
use super::runtime::take_text;
use super::{
    About, Call, Failure, Format, Lease, Memory, Node, Product, Returned, Runtime, Shape,
    SharedCallbacks, Spec, Wanted, info_json, parse_about, parse_wanted,
};

/// A node that runs in the threads of the pipeline.
pub struct InProcess {
    api: &'static Api,
    node: *mut c_void,
    about: About,
}

// SAFETY: the bridge lets any thread use a node, one at a time, which `&mut self` ensures.
unsafe impl Send for InProcess {}

fn failure(status: Status, text: &str) -> Failure {
    match status {
        Status::Closed => Failure::closed(),
        Status::Fault => Failure::new("BridgeError", text),
        _ => Failure::from_json(text),
    }
}

/// # Safety
/// `data` is a box of callbacks that [`host`] made and that has not been dropped.
unsafe fn callbacks<'a>(data: *mut c_void) -> &'a SharedCallbacks {
    // SAFETY: see above.
    unsafe { &*data.cast::<SharedCallbacks>() }
}

/// # Safety
/// The text is alive for `'a`.
unsafe fn text<'a>(text: Text) -> &'a str {
    if text.len == 0 {
        return "";
    }
    // SAFETY: see above; the bridge passes only `&str`.
    unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(text.data, text.len)) }
}

extern "C" fn post(data: *mut c_void, name: Text, fields: Text) {
    // SAFETY: the bridge passes what `host` gave it and texts that live during the call.
    let (to, name, fields) = unsafe { (callbacks(data), text(name), text(fields)) };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        to.post(name, serde_json::from_str(fields).unwrap_or_default());
    }));
}

extern "C" fn log(data: *mut c_void, level: Text, line: Text) {
    // SAFETY: as in `post`.
    let (to, level, line) = unsafe { (callbacks(data), text(level), text(line)) };
    let _ = catch_unwind(AssertUnwindSafe(|| to.log(level, line)));
}

extern "C" fn is_over(data: *mut c_void, elapsed: u64, least: u64) -> i32 {
    // SAFETY: as in `post`.
    let to = unsafe { callbacks(data) };
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let least = Duration::from_nanos(least);
        let limit = to.limit().map(|limit| limit.max(least));
        if to.is_interrupted() {
            over::INTERRUPTED
        } else if limit.is_some_and(|limit| Duration::from_nanos(elapsed) > limit) {
            over::TOO_LATE
        } else {
            over::GOES_ON
        }
    }));
    answer.unwrap_or(over::GOES_ON)
}

extern "C" fn drop_host(data: *mut c_void) {
    // SAFETY: the box that `host` made, dropped once.
    let callbacks = unsafe { Box::from_raw(data.cast::<SharedCallbacks>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(callbacks)));
}

fn host(callbacks: SharedCallbacks) -> Host {
    Host {
        data: Box::into_raw(Box::new(callbacks)).cast(),
        post,
        log,
        over: is_over,
        drop: drop_host,
    }
}

extern "C" fn drop_lease(owner: *mut c_void) {
    // SAFETY: the share that `call` made; the bridge is done with it.
    let lease = unsafe { Arc::from_raw(owner.cast_const().cast::<Lease>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(lease)));
}

/// The buffer of a lease that the node keeps: what may yet be written to is copied, so that what
/// the node does later cannot reach the stream.
fn detached(kept: &Lease) -> Option<gst::Buffer> {
    if kept.is_writable() {
        kept.buffer().copy_deep().ok()
    } else {
        Some(kept.buffer().copy())
    }
}

fn no_outcome() -> Outcome {
    Outcome {
        kept: false,
        replaced: false,
        outputs: std::ptr::null(),
        num_outputs: 0,
        gil_wait: 0,
        failure: OwnedText::EMPTY,
    }
}

fn no_memory() -> Failure {
    Failure::new(
        "MemoryError",
        "no memory to copy a buffer that the node keeps",
    )
}

/// An array of Python's, as memory of a buffer.
pub struct PythonMemory {
    api: &'static Api,
    object: *mut c_void,
    data: *mut u8,
    len: usize,
    writable: bool,
}

impl PythonMemory {
    /// A buffer over this memory, without a copy.
    pub fn into_buffer(self) -> gst::Buffer {
        if self.writable {
            gst::Buffer::from_mut_slice(self)
        } else {
            gst::Buffer::from_slice(self)
        }
    }
}

// SAFETY: nobody else can reach the memory, and giving it back needs no particular thread.
unsafe impl Send for PythonMemory {}
// SAFETY: as above.
unsafe impl Sync for PythonMemory {}

impl AsRef<[u8]> for PythonMemory {
    fn as_ref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the array holds this much as long as its object lives.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl AsMut<[u8]> for PythonMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as above; `into_buffer` hands out writable memory only where the array is.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }
}

impl Drop for PythonMemory {
    fn drop(&mut self) {
        (self.api.release)(self.object);
    }
}

impl InProcess {
    /// Imports and constructs the node.
    pub fn new(
        runtime: &'static Runtime,
        spec: &Spec,
        callbacks: SharedCallbacks,
    ) -> Result<Self, Failure> {
        let api = runtime.api();
        let spec = spec.to_json();
        let mut node = std::ptr::null_mut();
        let host = host(callbacks);
        let about = Runtime::invoke(api, |answer| {
            (api.node_new)(Text::new(&spec), host, &mut node, answer)
        })
        .map_err(|(status, text)| failure(status, &text))?;
        Ok(Self {
            api,
            node,
            about: parse_about(&about),
        })
    }

    fn outputs(&self, outcome: &Outcome) -> Vec<Returned> {
        if outcome.num_outputs == 0 {
            return Vec::new();
        }
        // SAFETY: valid until the next call of this node.
        let outputs = unsafe { std::slice::from_raw_parts(outcome.outputs, outcome.num_outputs) };
        outputs
            .iter()
            .map(|output| {
                let memory = PythonMemory {
                    api: self.api,
                    object: output.object,
                    data: output.data.cast(),
                    len: output.bytes,
                    writable: output.writable,
                };
                Returned {
                    frames: output.frames,
                    memory: Memory::Array(memory),
                }
            })
            .collect()
    }
}

impl Node for InProcess {
    fn about(&self) -> &About {
        &self.about
    }

    fn start(&mut self, format: &Format, caps: &str, element: &str) -> Result<Wanted, Failure> {
        let info = info_json(format, caps, element);
        Runtime::invoke(self.api, |answer| {
            (self.api.node_start)(self.node, Text::new(&info), answer)
        })
        .map(|json| parse_wanted(&json))
        .map_err(|(status, text)| failure(status, &text))
    }

    fn call(&mut self, mut lease: Lease, shape: &Shape, moment: &Moment) -> Call {
        let len = lease.as_slice().len();
        let writable = lease.is_writable();
        let start = match lease.as_mut_slice() {
            Some(memory) => memory.as_mut_ptr(),
            None => lease.as_slice().as_ptr().cast_mut(),
        };
        // Two owners: an array that the node keeps may go at any moment after the call.
        let lease = Arc::new(lease);
        let owner = Arc::into_raw(lease.clone());
        let block = Block {
            // SAFETY: the caller has checked the shape against the memory.
            data: unsafe { start.add(shape.offset.min(len)) }.cast(),
            frames: shape.frames,
            channels: shape.channels,
            frame_stride: shape.frame_stride as isize,
            channel_stride: shape.channel_stride as isize,
            sample: shape.sample,
            writable,
            channels_first: shape.channels_first,
            owner: owner.cast_mut().cast(),
            release: drop_lease,
        };
        let mut outcome = no_outcome();
        let status = (self.api.node_call)(self.node, &block, moment, &mut outcome);
        if !outcome.kept {
            // SAFETY: the share made above, which the bridge has given back untouched.
            drop(unsafe { Arc::from_raw(owner) });
        }
        let text = take_text(
            self.api,
            std::mem::replace(&mut outcome.failure, OwnedText::EMPTY),
        );
        let result = match status {
            Status::Ok if outcome.replaced => Ok(Product::Replaced(self.outputs(&outcome))),
            Status::Ok => match Arc::try_unwrap(lease) {
                Ok(lease) => Ok(Product::InPlace(lease)),
                Err(kept) => detached(&kept)
                    .map(Product::Kept)
                    .ok_or_else(|| (no_memory(), None)),
            },
            other => Err((
                failure(other, &text),
                match Arc::try_unwrap(lease) {
                    Ok(lease) => Some(lease),
                    // As writable as it was: what was shared is still not the node's to write to.
                    Err(kept) => {
                        detached(&kept).and_then(|b| Lease::new(b, kept.is_writable()).ok())
                    }
                },
            )),
        };
        Call {
            result,
            gil_wait: outcome.gil_wait,
        }
    }

    fn drain(&mut self, moment: &Moment) -> Result<Vec<Returned>, Failure> {
        let mut outcome = no_outcome();
        let status = (self.api.node_drain)(self.node, moment, &mut outcome);
        let text = take_text(
            self.api,
            std::mem::replace(&mut outcome.failure, OwnedText::EMPTY),
        );
        match status {
            Status::Ok => Ok(self.outputs(&outcome)),
            other => Err(failure(other, &text)),
        }
    }

    fn reload(&mut self) -> Result<(), Failure> {
        let about = Runtime::invoke(self.api, |answer| (self.api.node_reload)(self.node, answer))
            .map_err(|(status, text)| failure(status, &text))?;
        self.about = parse_about(&about);
        Ok(())
    }

    fn enforces_timeout(&self) -> bool {
        self.about.is_cancellable
    }

    fn stop(&mut self) -> Result<(), Failure> {
        Runtime::invoke(self.api, |answer| (self.api.node_stop)(self.node, answer))
            .map(drop)
            .map_err(|(status, text)| failure(status, &text))
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        (self.api.node_free)(self.node);
    }
}
