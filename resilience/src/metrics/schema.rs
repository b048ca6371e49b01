// SPDX-License-Identifier: MIT

//! The published form of the metrics: one list of fields, and its JSON.

use std::ffi::CStr;

use super::{Counters, Recorder, Status, Window, process_peak_rss};

/// Name of the element message and of its structure.
pub const MESSAGE_NAME: &str = "rustaudio-metrics";

/// Value of a field; flat by design, since embedders read nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Str(String),
    /// Counts, bytes and times in ns; a time that is not known is `u64::MAX`
    /// (`GST_CLOCK_TIME_NONE`), and `null` in JSON.
    U64(u64),
    /// Always finite.
    F64(f64),
    /// Yes or no.
    Bool(bool),
}

/// As [`Value`], of what a report holds already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// Text.
    Str(&'a str),
    /// As [`Value::U64`].
    U64(u64),
    /// As [`Value::F64`].
    F64(f64),
    /// Yes or no.
    Bool(bool),
}

impl From<Field<'_>> for Value {
    fn from(field: Field<'_>) -> Self {
        match field {
            Field::Str(v) => Self::Str(v.into()),
            Field::U64(v) => Self::U64(v),
            Field::F64(v) => Self::F64(v),
            Field::Bool(v) => Self::Bool(v),
        }
    }
}

/// One metrics message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Name of the element.
    pub element: String,
    /// Name of its factory.
    pub factory: String,
    /// Start of the window in the stream's own time, in ns.
    pub timestamp: Option<u64>,
    /// Start of the window as stream time, in ns, where known.
    pub stream_time: Option<u64>,
    /// Start of the window as running time, in ns, where known.
    pub running_time: Option<u64>,
    /// The window: what it covers, and times of the work in it.
    pub window: Window,
    /// Totals since READY.
    pub counters: Counters,
    /// Total own work since READY, in ns.
    pub processing_time: u64,
    /// Latency of the element in ns.
    pub latency: u64,
    /// Bytes that the element holds.
    pub memory: u64,
    /// Largest resident set that the process has had, in bytes.
    pub process_peak_rss: u64,
    /// Whether the element does its job.
    pub status: Status,
    /// Text of the last error; empty if there was none.
    pub last_error: String,
    /// No buffer came for a whole `metrics-interval` while playing.
    pub stalled: bool,
    /// The last report of a run; its window is all of it.
    pub is_final: bool,
    /// Fields that only this kind of element has.
    pub extra: Vec<(&'static str, Value)>,
}

impl Report {
    /// What `recorder` has to say of `window`, by an element that has no name yet and knows no
    /// stream: `element`, `factory` and the fields of streams are left to be set.
    pub fn of(recorder: &Recorder, window: Window) -> Self {
        Self {
            element: String::new(),
            factory: String::new(),
            timestamp: window.start,
            stream_time: None,
            running_time: None,
            window,
            counters: recorder.counters(),
            processing_time: recorder.processing(),
            latency: recorder.latency(),
            memory: recorder.memory(),
            process_peak_rss: process_peak_rss(),
            status: recorder.status(),
            last_error: recorder.last_error(),
            stalled: false,
            is_final: false,
            extra: Vec::new(),
        }
    }

    /// Reads a report back from its fields, which `field` gives by their names; of those that not
    /// all have, the ones that are known here.
    ///
    /// # Errors
    /// Says which field is missing or has another type.
    pub fn read(field: impl Fn(&str) -> Option<Value>) -> Result<Self, SchemaError> {
        let mut report = Self::default();
        for entry in &COMMON {
            let name = entry.name();
            let value = field(name).ok_or(SchemaError::Field(name))?;
            (entry.set)(&mut report, value).map_err(|wrong| wrong.at(name))?;
        }
        // The sum and count of a window are no fields; others give them away.
        let times = &mut report.window.times;
        if times.avg > 0 {
            times.count = (times.sum as f64 / times.avg as f64).round() as u64;
        }
        report.extra = OF_SOME
            .into_iter()
            .filter_map(|name| Some((name, field(name)?)))
            .collect();
        Ok(report)
    }

    /// The value of a field that not all elements have.
    pub fn extra(&self, name: &str) -> Option<&Value> {
        let mut extra = self.extra.iter();
        extra
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Name and value of every field that all elements have, in the order they are shown. The
    /// names are C strings already, as GStreamer's structures want them.
    pub fn common(&self) -> [(&'static CStr, Field<'_>); 29] {
        COMMON
            .each_ref()
            .map(|entry| (entry.name, (entry.get)(self)))
    }

    /// Name and value of every field, in the order they are shown.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let common = self
            .common()
            .into_iter()
            // They are ASCII.
            .map(|(name, value)| (name.to_str().unwrap_or_default(), value.into()));
        common.chain(self.extra.clone())
    }

    /// The fields as one JSON object.
    pub fn to_json(&self) -> String {
        const TIMES: [&str; 3] = ["timestamp", "stream-time", "running-time"];
        let object: serde_json::Map<_, _> = self
            .fields()
            .map(|(field, value)| {
                let value = match value {
                    Value::U64(u64::MAX) if TIMES.contains(&field) => serde_json::Value::Null,
                    Value::Str(v) => v.into(),
                    Value::U64(v) => v.into(),
                    Value::F64(v) => v.into(),
                    Value::Bool(v) => v.into(),
                };
                (field.to_string(), value)
            })
            .collect();
        serde_json::Value::Object(object).to_string()
    }
}

/// Fields that not all have: where an element lies in its pipeline, and what those have which call
/// something: see [`CallFigures`](super::CallFigures), the waits for Python's lock, failures that no
/// message told of.
const OF_SOME: [&str; 11] = [
    "path",
    "num-calls",
    "call-time-p50",
    "call-time-p95",
    "call-time-p99",
    "call-time-max",
    "gil-wait",
    "gil-wait-p99",
    "breaker-state",
    "consecutive-failures",
    "num-omitted",
];

/// What is no metrics message.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SchemaError {
    /// A field is missing, or has another type.
    #[error("field `{0}` is missing or has another type")]
    Field(&'static str),
    /// No [`Status`] has this name.
    #[error("`{0}` is no status: ok, degraded, skipping or failed")]
    Status(String),
}

/// A field that all elements have.
struct Entry {
    name: &'static CStr,
    get: fn(&Report) -> Field<'_>,
    set: fn(&mut Report, Value) -> Result<(), Wrong>,
}

impl Entry {
    /// Names are ASCII.
    fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }
}

/// What is wrong with a value.
enum Wrong {
    Type,
    Status(String),
}

impl Wrong {
    fn at(self, field: &'static str) -> SchemaError {
        match self {
            Self::Type => SchemaError::Field(field),
            Self::Status(name) => SchemaError::Status(name),
        }
    }
}

/// An entry whose value lies in the report as it is.
macro_rules! plain {
    ($name:literal, $kind:ident, |$report:ident| $place:expr) => {
        Entry {
            name: $name,
            get: |$report| plain!(get $kind, $place),
            set: |$report, value| match value {
                Value::$kind(v) => {
                    $place = v;
                    Ok(())
                }
                _ => Err(Wrong::Type),
            },
        }
    };
    (get Str, $place:expr) => { Field::Str(&$place) };
    (get $kind:ident, $place:expr) => { Field::$kind($place) };
}

/// An entry of a time that need not be known.
macro_rules! time {
    ($name:literal, |$report:ident| $place:expr) => {
        Entry {
            name: $name,
            get: |$report| Field::U64($place.unwrap_or(u64::MAX)),
            set: |$report, value| match value {
                Value::U64(v) => {
                    $place = Some(v).filter(|t| *t != u64::MAX);
                    Ok(())
                }
                _ => Err(Wrong::Type),
            },
        }
    };
}

/// Every field that all elements have, in the order they are shown: what is written and read, in structures
/// and in JSON, comes from here.
static COMMON: [Entry; 29] = [
    plain!(c"element", Str, |r| r.element),
    plain!(c"factory", Str, |r| r.factory),
    Entry {
        name: c"timestamp",
        get: |r| Field::U64(r.timestamp.unwrap_or(u64::MAX)),
        set: |r, value| {
            let Value::U64(v) = value else {
                return Err(Wrong::Type);
            };
            r.timestamp = Some(v).filter(|t| *t != u64::MAX);
            r.window.start = r.timestamp;
            Ok(())
        },
    },
    time!(c"stream-time", |r| r.stream_time),
    time!(c"running-time", |r| r.running_time),
    plain!(c"duration", U64, |r| r.window.duration),
    plain!(c"num-buffers", U64, |r| r.counters.buffers),
    plain!(c"num-samples", U64, |r| r.counters.samples),
    plain!(c"num-bytes", U64, |r| r.counters.bytes),
    plain!(c"num-dropped", U64, |r| r.counters.dropped),
    plain!(c"num-errors", U64, |r| r.counters.errors),
    plain!(c"num-retries", U64, |r| r.counters.retries),
    plain!(c"num-timeouts", U64, |r| r.counters.timeouts),
    plain!(c"num-skipped", U64, |r| r.counters.skipped),
    plain!(c"processing-time", U64, |r| r.processing_time),
    plain!(c"processing-time-min", U64, |r| r.window.times.min),
    plain!(c"processing-time-avg", U64, |r| r.window.times.avg),
    plain!(c"processing-time-p50", U64, |r| r.window.times.p50),
    plain!(c"processing-time-p95", U64, |r| r.window.times.p95),
    plain!(c"processing-time-p99", U64, |r| r.window.times.p99),
    plain!(c"processing-time-max", U64, |r| r.window.times.max),
    Entry {
        name: c"real-time-factor",
        get: |r| {
            let rtf = r.window.real_time_factor();
            Field::F64(if rtf.is_finite() { rtf } else { 0.0 })
        },
        // Of times of work, over the duration, which has been read.
        set: |r, value| {
            let Value::F64(rtf) = value else {
                return Err(Wrong::Type);
            };
            r.window.times.sum = (rtf * r.window.duration as f64).round() as u64;
            Ok(())
        },
    },
    plain!(c"latency", U64, |r| r.latency),
    plain!(c"memory", U64, |r| r.memory),
    plain!(c"process-peak-rss", U64, |r| r.process_peak_rss),
    Entry {
        name: c"status",
        get: |r| Field::Str(r.status.as_str()),
        set: |r, value| {
            let Value::Str(name) = value else {
                return Err(Wrong::Type);
            };
            let known = Status::ALL.into_iter().find(|s| s.as_str() == name);
            r.status = known.ok_or(Wrong::Status(name))?;
            Ok(())
        },
    },
    plain!(c"last-error", Str, |r| r.last_error),
    plain!(c"stalled", Bool, |r| r.stalled),
    plain!(c"final", Bool, |r| r.is_final),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Span;

    /// With an error in it, of an element that calls.
    fn sample() -> Report {
        let recorder = Recorder::default();
        for i in 0..4 {
            let span = Span {
                pts: Some(i * 10_000_000),
                duration: 10_000_000,
                frames: 480,
                bytes: 1920,
            };
            recorder.record(&span, 2000, 0, || None::<()>);
        }
        recorder.add_error("it \"broke\"");
        Report {
            element: "node0".into(),
            factory: "pypipelinenode".into(),
            stream_time: Some(7),
            is_final: true,
            extra: vec![
                ("gil-wait", Value::U64(5)),
                ("breaker-state", Value::Str("open".into())),
            ],
            ..Report::of(&recorder, recorder.run())
        }
    }

    fn field(report: &Report, name: &str) -> Option<Value> {
        let mut fields = report.fields();
        fields.find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    #[test]
    fn a_report_is_read_back_from_its_fields() {
        let report = sample();
        assert_eq!(
            Report::read(|name| field(&report, name)),
            Ok(report.clone())
        );
        assert_eq!(report.extra("gil-wait"), Some(&Value::U64(5)));
        assert_eq!(report.extra("latency"), None);
        let read = |name, value: Option<Value>| {
            Report::read(|n| {
                if n == name {
                    value.clone()
                } else {
                    field(&report, n)
                }
            })
        };
        assert_eq!(read("latency", None), Err(SchemaError::Field("latency")));
        let text = Some(Value::Str("1".into()));
        assert_eq!(
            read("num-samples", text),
            Err(SchemaError::Field("num-samples"))
        );
        let odd = Some(Value::Str("fine".into()));
        assert_eq!(read("status", odd), Err(SchemaError::Status("fine".into())));
    }

    #[test]
    fn json_has_the_same_fields_and_no_nan() {
        let mut report = sample();
        report.window.duration = 0;
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        let object = json.as_object().unwrap();
        let names: Vec<_> = report.fields().map(|(name, _)| name).collect();
        assert_eq!(object.keys().collect::<Vec<_>>(), names);
        assert_eq!(object["last-error"], "it \"broke\"");
        assert_eq!(object["num-samples"], 1920);
        assert_eq!(object["real-time-factor"], 0.0);
        assert_eq!(object["running-time"], serde_json::Value::Null);
        assert_eq!(object["breaker-state"], "open");
    }
}
