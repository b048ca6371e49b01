// SPDX-License-Identifier: MIT

//! What a node raised.

use std::ops::{Deref, DerefMut};

use crate::resilience::Fault;

/// A failed call, load or start of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure(Box<Details>);

/// What there is to know of a [`Failure`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Class of the exception, with its module unless it is a builtin.
    pub exception: String,
    pub traceback: String,
    pub file: Option<String>,
    pub line: Option<u64>,
    /// What retrying is decided on.
    pub fault: Fault,
    /// The node is not fit for its settings: no call can help.
    pub configuration: bool,
    /// There is no interpreter any more: the process is ending.
    pub closed: bool,
    /// The call took too long and was ended.
    pub timed_out: bool,
    /// The call was ended by a flush or a stop: nothing went wrong.
    pub interrupted: bool,
}

impl Deref for Failure {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Failure {
    /// One that is not an exception of the node.
    pub fn new(exception: &str, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            exception: exception.into(),
            fault: Fault {
                types: vec![exception.into()],
                message: message.into(),
                ..Fault::default()
            },
            ..Details::default()
        }))
    }

    /// The interpreter is shutting down.
    pub fn closed() -> Self {
        let mut failure = Self::new(
            "InterpreterClosed",
            "the Python interpreter is shutting down",
        );
        failure.closed = true;
        failure
    }

    /// From the JSON object of node.py.
    pub fn from_json(json: &str) -> Self {
        let Ok(v) = serde_json::from_str::<serde_json::Value>(json) else {
            return Self::new("BridgeError", without_nul(json));
        };
        let text = |key: &str| v[key].as_str().map(without_nul);
        Self(Box::new(Details {
            exception: text("exception").unwrap_or_default(),
            traceback: text("traceback").unwrap_or_default(),
            file: text("file"),
            line: v["line"].as_u64(),
            fault: Fault {
                types: v["types"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|t| t.as_str().map(without_nul))
                    .collect(),
                message: text("message").unwrap_or_default(),
                retryable: v["retryable"].as_bool(),
                status: v["status"].as_i64(),
            },
            configuration: v["configuration"].as_bool().unwrap_or(false),
            timed_out: v["timed-out"].as_bool().unwrap_or(false),
            interrupted: v["interrupted"].as_bool().unwrap_or(false),
            ..Details::default()
        }))
    }

    pub fn message(&self) -> &str {
        &self.fault.message
    }

    /// `file:line`, where known.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_deref()?;
        Some(match self.line {
            Some(line) => format!("{file}:{line}"),
            None => file.to_owned(),
        })
    }
}

/// A text as GStreamer takes it: one with a NUL in it would be a panic.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        if self.configuration {
            write!(f, "{}", self.message())
        } else {
            write!(f, "{}: {}", self.exception, self.message())
        }
    }
}
