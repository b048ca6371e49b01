// SPDX-License-Identifier: MIT

//! The properties.

use std::sync::LazyLock;
use std::time::Duration;

use gst::glib;

use crate::elements::support::metrics;
use crate::elements::support::properties::{Table, choice, field, property};
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
    pub backoff_jitter: f64,
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
            backoff_jitter: 0.0,
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
            jitter: self.backoff_jitter,
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
}

/// Each property once.
pub static PROPERTIES: LazyLock<Table<Settings>> = LazyLock::new(|| {
    // A time that is not given means none in GStreamer, and is no value.
    let times = 0..=u64::MAX - 1;
    Table::new(vec![
        property("module", field!(Settings.module))
            .mutable_ready("Module", "Name of a module, or path of a .py file"),
        property("class", field!(Settings.class))
            .mutable_ready("Class", "Class in the module to make the node from"),
        property("function", field!(Settings.function)).mutable_ready(
            "Function",
            "Function in the module to call, where there is no class; default: process",
        ),
        property("kwargs", field!(Settings.kwargs)).mutable_ready(
            "Keyword arguments",
            "JSON object: keyword arguments of the class, or of each call of the function",
        ),
        property("python-path", field!(Settings.python_path)).mutable_ready(
            "Python path",
            "Directories to put in front of sys.path, separated by colons",
        ),
        property("python-home", field!(Settings.python_home)).mutable_ready(
            "Python home",
            "Virtualenv or prefix of the Python to use; default: $VIRTUAL_ENV, then $CONDA_PREFIX, then \
             the system's. $RUSTAUDIO_LIBPYTHON names the library itself, before all of these",
        ),
        choice("chunk", field!(Settings.chunk))
            .mutable_ready("Chunk", "What one call of the node gets"),
        property("chunk-duration", field!(Settings.chunk_duration))
            .within(times.clone())
            .mutable_ready(
                "Chunk duration",
                "Length of a chunk in ns for chunk=duration; longest one for chunk=utterance \
                 (0 = not limited)",
            ),
        choice("layout", field!(Settings.layout))
            .mutable_ready("Layout", "Shape of the array that the node gets and returns"),
        property("max-retries", field!(Settings.max_retries)).mutable_playing(
            "Retries",
            "Most attempts after the first, at a call that fails with a transient error",
        ),
        property("initial-backoff", field!(Settings.initial_backoff))
            .within(times.clone())
            .mutable_playing("Initial backoff", "Wait before the first retry in ns"),
        property("backoff-multiplier", field!(Settings.backoff_multiplier))
            .within(1.0..=1000.0)
            .mutable_playing("Backoff multiplier", "Factor from each wait to the next"),
        property("max-backoff", field!(Settings.max_backoff))
            .within(times.clone())
            .mutable_playing("Longest backoff", "Longest wait before a retry in ns"),
        property("backoff-jitter", field!(Settings.backoff_jitter))
            .within(0.0..=1.0)
            .mutable_playing(
                "Backoff jitter",
                "Most of a wait that is left off at random, so that nodes that failed together do not \
                 come back together",
            ),
        property("retry-on", field!(Settings.retry_on)).mutable_playing(
            "Retry on",
            "Exceptions that are transient, by class name (dotted or bare, bases count), \
             separated by commas; default: time-outs, connection errors, out of memory, \
             rate limits",
        ),
        property("deadline", field!(Settings.deadline))
            .within(times.clone())
            .mutable_playing(
                "Deadline",
                "No attempt starts later than this after the first one, in ns (0 = none)",
            ),
        property("breaker-threshold", field!(Settings.breaker_threshold)).mutable_playing(
            "Breaker threshold",
            "Failed buffers in a row that open the circuit breaker (0 = never)",
        ),
        property("breaker-cooldown", field!(Settings.breaker_cooldown))
            .within(times.clone())
            .mutable_playing(
                "Breaker cooldown",
                "Time in ns for which an open breaker skips the node before it tries one call",
            ),
        choice("on-failure", field!(Settings.on_failure)).mutable_playing(
            "On failure",
            "What becomes of audio whose call failed or was skipped",
        ),
        property("reload", field!(Settings.reload)).mutable_playing(
            "Reload",
            "Load the node anew when its file changes, between two buffers",
        ),
        choice("isolation", field!(Settings.isolation))
            .mutable_ready("Isolation", "Where the node runs"),
        property("timeout", field!(Settings.timeout))
            .within(times)
            .mutable_playing(
                "Timeout",
                "Longest call in ns (0 = none): what a call awaits is cancelled, a worker process \
                 that goes on is killed; any other call in this process is only reported",
            ),
    ])
    .and(metrics::properties("pypipelinenode"))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_of_retries_is_one_of_the_policy() {
        let settings = Settings {
            max_retries: 7,
            initial_backoff: MS,
            backoff_multiplier: 3.0,
            max_backoff: 4 * MS,
            backoff_jitter: 0.25,
            deadline: 5 * MS,
            ..Settings::default()
        };
        let ms = Duration::from_millis;
        let policy = RetryPolicy {
            max_retries: 7,
            initial_backoff: ms(1),
            multiplier: 3.0,
            max_backoff: ms(4),
            jitter: 0.25,
            deadline: Some(ms(5)),
        };
        assert_eq!(settings.retry_policy(), policy);
        assert_eq!(Settings::default().retry_policy(), RetryPolicy::default());
    }
}
