// SPDX-License-Identifier: MIT

//! The Python side of `pypipelinenode`: PyO3 and numpy behind a small C ABI.
//!
//! Built as an extension module, so it is not linked to libpython and loads into whatever
//! interpreter the process has; the plugin embeds it and opens it on first use. Knows nothing of
//! GStreamer.

mod abi;
mod array;
mod ctx;
mod gate;
mod helper;
mod node;

use std::panic::{AssertUnwindSafe, catch_unwind};

use abi::{ABI_VERSION, Api, OwnedText, Status, Text};
use pyo3::prelude::*;

/// What goes wrong inside the bridge.
pub(crate) enum Trouble {
    /// Python raised.
    Raised(PyErr),
    /// The interpreter is going away.
    Closed,
}

impl From<PyErr> for Trouble {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

pub(crate) type Answer = Result<String, Trouble>;

impl OwnedText {
    pub(crate) fn from_string(text: String) -> Self {
        let mut text = std::mem::ManuallyDrop::new(text);
        Self {
            data: text.as_mut_ptr(),
            len: text.len(),
            capacity: text.capacity(),
        }
    }
}

impl Text {
    /// # Safety
    /// The text is valid for `'a`, as the ABI promises for the duration of a call.
    pub(crate) unsafe fn as_str<'a>(self) -> &'a str {
        if self.len == 0 {
            return "";
        }
        // SAFETY: see above; the plugin only passes `&str`.
        unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.data, self.len)) }
    }
}

extern "C" fn free_text(text: OwnedText) {
    if !text.data.is_null() {
        // SAFETY: came from `OwnedText::from_string`.
        drop(unsafe { String::from_raw_parts(text.data, text.len, text.capacity) });
    }
}

/// Runs `work` attached to Python, with its panics and exceptions as a status and a text.
pub(crate) fn guarded(
    answer: &mut OwnedText,
    file: Option<&str>,
    work: impl FnOnce(Python<'_>) -> Answer,
) -> Status {
    *answer = OwnedText::EMPTY;
    let done = catch_unwind(AssertUnwindSafe(|| {
        gate::attached(|py, _| match work(py) {
            Err(Trouble::Raised(error)) => Ok((Status::Raised, node::describe(py, error, file))),
            Ok(text) => Ok((Status::Ok, text)),
            Err(other) => Err(other),
        })
        .unwrap_or(Err(Trouble::Closed))
    }));
    let (status, text) = match done {
        Ok(Ok(done)) => done,
        Ok(Err(Trouble::Closed)) => (Status::Closed, String::new()),
        Ok(Err(Trouble::Raised(_))) => (Status::Fault, "an exception got lost".into()),
        Err(panic) => (Status::Fault, panic_text(&*panic)),
    };
    *answer = OwnedText::from_string(text);
    status
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic in the Python bridge")
        .to_string()
}

static API: Api = Api {
    version: ABI_VERSION,
    free_text,
    init: node::init,
    node_new: node::new,
    node_start: node::start,
    node_call: node::call,
    node_drain: node::drain,
    node_reload: node::reload,
    node_stop: node::stop,
    node_free: node::free,
    release: array::release,
};

/// The only symbol that the plugin looks up.
#[unsafe(no_mangle)]
pub extern "C" fn rustaudio_bridge() -> *const Api {
    &API
}
