//! The properties.

use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use crate::elements::support::timeline::time_to_frames;
use crate::python::Spec;
use crate::resilience::RetryPolicy;

/// What one call of the node gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstPyPipelineNodeChunk")]
#[repr(i32)]
pub enum Chunk {
    #[default]
    #[enum_value(name = "Each buffer as it comes", nick = "buffer")]
    Buffer,
    #[enum_value(name = "Pieces of chunk-duration", nick = "duration")]
    Duration,
    #[enum_value(
        name = "Speech from its start to its end, as a rustvad upstream says",
        nick = "utterance"
    )]
    Utterance,
}

/// Shape of the array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstPyPipelineNodeLayout")]
#[repr(i32)]
pub enum Layout {
    #[default]
    #[enum_value(name = "(frames, channels)", nick = "frames-first")]
    FramesFirst,
    #[enum_value(name = "(channels, frames)", nick = "channels-first")]
    ChannelsFirst,
}

/// What becomes of audio whose call failed or was skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstPyPipelineNodeOnFailure")]
#[repr(i32)]
pub enum OnFailure {
    #[default]
    #[enum_value(name = "Pass it on as it came", nick = "pass")]
    Pass,
    #[enum_value(name = "Drop it", nick = "drop")]
    Drop,
    #[enum_value(name = "Silence of the same length", nick = "silence")]
    Silence,
    #[enum_value(name = "Stop the pipeline with an error", nick = "error")]
    Error,
}

impl OnFailure {
    pub fn nick(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Silence => "silence",
            Self::Error => "error",
        }
    }
}

/// Where the node runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstPyPipelineNodeIsolation")]
#[repr(i32)]
pub enum Isolation {
    #[default]
    #[enum_value(name = "In this process", nick = "inprocess")]
    InProcess,
    #[enum_value(name = "In a worker process of its own", nick = "process")]
    Process,
}

/// What one call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Buffer,
    /// This many frames.
    Frames(u64),
    /// From a start of speech to its end, in pieces of at most this many frames (0 = whole).
    Utterance(u64),
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub module: Option<String>,
    pub class: Option<String>,
    pub function: Option<String>,
    pub kwargs: Option<String>,
    pub python_path: Option<String>,
    pub python_home: Option<String>,
    pub chunk: Chunk,
    pub chunk_duration: u64,
    pub layout: Layout,
    pub max_retries: u32,
    pub initial_backoff: u64,
    pub backoff_multiplier: f64,
    pub max_backoff: u64,
    pub retry_on: Option<String>,
    pub deadline: u64,
    pub breaker_threshold: u32,
    pub breaker_cooldown: u64,
    pub on_failure: OnFailure,
    pub reload: bool,
    pub isolation: Isolation,
    pub timeout: u64,
}

const MS: u64 = 1_000_000;

impl Default for Settings {
    fn default() -> Self {
        Self {
            module: None,
            class: None,
            function: None,
            kwargs: None,
            python_path: None,
            python_home: None,
            chunk: Chunk::default(),
            chunk_duration: 0,
            layout: Layout::default(),
            max_retries: 3,
            initial_backoff: 100 * MS,
            backoff_multiplier: 2.0,
            max_backoff: 800 * MS,
            retry_on: None,
            deadline: 0,
            breaker_threshold: 5,
            breaker_cooldown: 30_000 * MS,
            on_failure: OnFailure::default(),
            reload: false,
            isolation: Isolation::default(),
            timeout: 0,
        }
    }
}

impl Settings {
    /// What the node is made from; the message says what is wrong with `kwargs`.
    pub fn spec(&self) -> Result<Spec, String> {
        let kwargs = match self.kwargs.as_deref().map(str::trim) {
            None | Some("") => serde_json::Map::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|e| format!("kwargs is no JSON object ({e}): {text}"))?,
        };
        Ok(Spec {
            module: self.module.clone(),
            class: self.class.clone(),
            function: self.function.clone(),
            kwargs,
            python_path: self.python_path.clone(),
            channels_first: self.layout == Layout::ChannelsFirst,
        })
    }

    pub fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            max_retries: self.max_retries,
            initial_backoff: Duration::from_nanos(self.initial_backoff),
            multiplier: self.backoff_multiplier,
            max_backoff: Duration::from_nanos(self.max_backoff),
            deadline: (self.deadline > 0).then(|| Duration::from_nanos(self.deadline)),
        }
    }

    pub fn cut(&self, rate: u32) -> Cut {
        let frames = time_to_frames(gst::ClockTime::from_nseconds(self.chunk_duration), rate);
        match self.chunk {
            Chunk::Buffer => Cut::Buffer,
            // Without a duration there is nothing to cut by.
            Chunk::Duration if self.chunk_duration == 0 => Cut::Buffer,
            Chunk::Duration => Cut::Frames(frames.max(1)),
            Chunk::Utterance if self.chunk_duration == 0 => Cut::Utterance(0),
            Chunk::Utterance => Cut::Utterance(frames.max(1)),
        }
    }

    /// What cutting adds to the latency, in ns.
    pub fn latency(&self) -> u64 {
        match self.chunk {
            Chunk::Buffer => 0,
            Chunk::Duration | Chunk::Utterance => self.chunk_duration,
        }
    }

    pub fn properties() -> Vec<glib::ParamSpec> {
        let d = Self::default();
        let text = |name: &str, nick: &str, blurb: &str| {
            glib::ParamSpecString::builder(name)
                .nick(nick)
                .blurb(blurb)
                .mutable_ready()
                .build()
        };
        let time = |name: &str, nick: &str, blurb: &str, default: u64| {
            glib::ParamSpecUInt64::builder(name)
                .nick(nick)
                .blurb(blurb)
                .maximum(u64::MAX - 1)
                .default_value(default)
                .mutable_playing()
                .build()
        };
        vec![
            text(
                "module",
                "Module",
                "Name of a module, or path of a .py file",
            ),
            text(
                "class",
                "Class",
                "Class in the module to make the node from",
            ),
            text(
                "function",
                "Function",
                "Function in the module to call, where there is no class; default: process",
            ),
            text(
                "kwargs",
                "Keyword arguments",
                "JSON object: keyword arguments of the class, or of each call of the function",
            ),
            text(
                "python-path",
                "Python path",
                "Directories to put in front of sys.path, separated by colons",
            ),
            text(
                "python-home",
                "Python home",
                "Virtualenv or prefix of the Python to use; default: $VIRTUAL_ENV, then $CONDA_PREFIX, then \
                 the system's. $RUSTAUDIO_LIBPYTHON names the library itself, before all of these",
            ),
            glib::ParamSpecEnum::builder_with_default("chunk", d.chunk)
                .nick("Chunk")
                .blurb("What one call of the node gets")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("chunk-duration")
                .nick("Chunk duration")
                .blurb(
                    "Length of a chunk in ns for chunk=duration; longest one for chunk=utterance \
                     (0 = not limited)",
                )
                .maximum(u64::MAX - 1)
                .default_value(d.chunk_duration)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("layout", d.layout)
                .nick("Layout")
                .blurb("Shape of the array that the node gets and returns")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("max-retries")
                .nick("Retries")
                .blurb("Most attempts after the first, at a call that fails with a transient error")
                .default_value(d.max_retries)
                .mutable_playing()
                .build(),
            time(
                "initial-backoff",
                "Initial backoff",
                "Wait before the first retry in ns",
                d.initial_backoff,
            ),
            glib::ParamSpecDouble::builder("backoff-multiplier")
                .nick("Backoff multiplier")
                .blurb("Factor from each wait to the next")
                .minimum(1.0)
                .maximum(1000.0)
                .default_value(d.backoff_multiplier)
                .mutable_playing()
                .build(),
            time(
                "max-backoff",
                "Longest backoff",
                "Longest wait before a retry in ns",
                d.max_backoff,
            ),
            glib::ParamSpecString::builder("retry-on")
                .nick("Retry on")
                .blurb(
                    "Exceptions that are transient, by class name (dotted or bare, bases count), \
                     separated by commas; default: time-outs, connection errors, out of memory, \
                     rate limits",
                )
                .mutable_playing()
                .build(),
            time(
                "deadline",
                "Deadline",
                "No attempt starts later than this after the first one, in ns (0 = none)",
                d.deadline,
            ),
            glib::ParamSpecUInt::builder("breaker-threshold")
                .nick("Breaker threshold")
                .blurb("Failed buffers in a row that open the circuit breaker (0 = never)")
                .default_value(d.breaker_threshold)
                .mutable_playing()
                .build(),
            time(
                "breaker-cooldown",
                "Breaker cooldown",
                "Time in ns for which an open breaker skips the node before it tries one call",
                d.breaker_cooldown,
            ),
            glib::ParamSpecEnum::builder_with_default("on-failure", d.on_failure)
                .nick("On failure")
                .blurb("What becomes of audio whose call failed or was skipped")
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("reload")
                .nick("Reload")
                .blurb("Load the node anew when its file changes, between two buffers")
                .default_value(d.reload)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("isolation", d.isolation)
                .nick("Isolation")
                .blurb("Where the node runs")
                .mutable_ready()
                .build(),
            time(
                "timeout",
                "Timeout",
                "Longest call in ns (0 = none): what a call awaits is cancelled, a worker process \
                 that goes on is killed; any other call in this process is only reported",
                d.timeout,
            ),
        ]
    }

    /// Takes a property; false if it is none of these.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        fn take<T: for<'a> glib::value::FromValue<'a>>(into: &mut T, value: &glib::Value) {
            if let Ok(v) = value.get() {
                *into = v;
            }
        }
        match name {
            "module" => take(&mut self.module, value),
            "class" => take(&mut self.class, value),
            "function" => take(&mut self.function, value),
            "kwargs" => take(&mut self.kwargs, value),
            "python-path" => take(&mut self.python_path, value),
            "python-home" => take(&mut self.python_home, value),
            "chunk" => take(&mut self.chunk, value),
            "chunk-duration" => take(&mut self.chunk_duration, value),
            "layout" => take(&mut self.layout, value),
            "max-retries" => take(&mut self.max_retries, value),
            "initial-backoff" => take(&mut self.initial_backoff, value),
            "backoff-multiplier" => take(&mut self.backoff_multiplier, value),
            "max-backoff" => take(&mut self.max_backoff, value),
            "retry-on" => take(&mut self.retry_on, value),
            "deadline" => take(&mut self.deadline, value),
            "breaker-threshold" => take(&mut self.breaker_threshold, value),
            "breaker-cooldown" => take(&mut self.breaker_cooldown, value),
            "on-failure" => take(&mut self.on_failure, value),
            "reload" => take(&mut self.reload, value),
            "isolation" => take(&mut self.isolation, value),
            "timeout" => take(&mut self.timeout, value),
            _ => return false,
        }
        true
    }

    /// Value of a property; `None` if it is none of these.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "module" => self.module.to_value(),
            "class" => self.class.to_value(),
            "function" => self.function.to_value(),
            "kwargs" => self.kwargs.to_value(),
            "python-path" => self.python_path.to_value(),
            "python-home" => self.python_home.to_value(),
            "chunk" => self.chunk.to_value(),
            "chunk-duration" => self.chunk_duration.to_value(),
            "layout" => self.layout.to_value(),
            "max-retries" => self.max_retries.to_value(),
            "initial-backoff" => self.initial_backoff.to_value(),
            "backoff-multiplier" => self.backoff_multiplier.to_value(),
            "max-backoff" => self.max_backoff.to_value(),
            "retry-on" => self.retry_on.to_value(),
            "deadline" => self.deadline.to_value(),
            "breaker-threshold" => self.breaker_threshold.to_value(),
            "breaker-cooldown" => self.breaker_cooldown.to_value(),
            "on-failure" => self.on_failure.to_value(),
            "reload" => self.reload.to_value(),
            "isolation" => self.isolation.to_value(),
            "timeout" => self.timeout.to_value(),
            _ => return None,
        })
    }
}
