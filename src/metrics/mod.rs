// SPDX-License-Identifier: MIT

//! The metrics of [`rustaudio_resilience::metrics`] as GStreamer has them: reports as structures, the
//! document of a bin, where elements lie in it.

pub mod document;
mod path;
mod structure;

#[cfg(test)]
mod tests;

pub use crate::ffi::drop_with_message;
pub use path::path_of;
pub use rustaudio_resilience::metrics::{
    CallFigures, Counters, Field, Histogram, MESSAGE_NAME, Recorder, Report, SchemaError, Span,
    Status, Stopwatch, Summary, Value, Window, process_peak_rss,
};
pub use structure::ReportExt;
