// SPDX-License-Identifier: MIT

//! Counters, percentiles of windows, and the one schema that they are published in.
//!
//! A [`Recorder`] counts and times pieces of work; a [`Report`] is what it has to say, as named fields
//! ([`Report::fields`]) and as one JSON object; [`document`](document::document) makes of reports the JSON
//! document of a run.
//!
//! ```
//! use rustaudio_resilience::metrics::{Recorder, Report, Span, Stopwatch, document};
//!
//! let recorder = Recorder::default();
//! for n in 0..100 {
//!     let work = Stopwatch::start();
//!     // … 10 ms of audio at 48 kHz …
//!     let span = Span { pts: Some(n * 10_000_000), duration: 10_000_000, frames: 480, bytes: 1920 };
//!     recorder.record(&span, work.elapsed(), 0, || None::<()>);
//! }
//! recorder.add_error("the connection was reset");
//!
//! let report = Report {
//!     element: "denoiser".into(),
//!     factory: "my-kind".into(),
//!     ..Report::of(&recorder, recorder.run())
//! };
//! let fields: Vec<_> = report.fields().collect();
//! assert_eq!(fields[0].0, "element");
//! assert!(report.to_json().contains(r#""num-samples":48000,"#));
//!
//! let node = document::Node::from_report(&report);
//! let document = document::document("my run", 1_000_000_000, &[node]);
//! let execution = &document["pipeline_execution"];
//! assert_eq!(execution["total_time_ms"], 1000.0);
//! assert_eq!(execution["nodes"][0]["status"], "degraded");
//! ```

mod calls;
pub mod document;
mod histogram;
mod recorder;
mod schema;
mod stopwatch;
mod usage;

pub use calls::CallFigures;
pub use histogram::{Histogram, Summary};
pub use recorder::{Counters, Recorder, Span, Status, Window};
pub use schema::{Field, MESSAGE_NAME, Report, SchemaError, Value};
pub use stopwatch::Stopwatch;
pub use usage::process_peak_rss;
