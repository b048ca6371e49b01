//! The published form of the metrics: one list of fields, and its JSON.

use std::ffi::CStr;

use super::{Closed, Counters, Recorder, Status, Summary, process_peak_rss};

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
#[derive(Clone, Debug, PartialEq)]
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
    pub window: Closed,
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
    pub fn of(recorder: &Recorder, window: Closed) -> Self {
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
    /// all elements have, the ones of calls.
    ///
    /// # Errors
    /// Says which field is missing or has another type.
    pub fn read(field: impl Fn(&str) -> Option<Value>) -> Result<Self, SchemaError> {
        let fields = Reader(field);
        let window = fields.window()?;
        Ok(Self {
            element: fields.text("element")?,
            factory: fields.text("factory")?,
            timestamp: window.start,
            stream_time: fields.time("stream-time")?,
            running_time: fields.time("running-time")?,
            window,
            counters: fields.counters()?,
            processing_time: fields.u64("processing-time")?,
            latency: fields.u64("latency")?,
            memory: fields.u64("memory")?,
            process_peak_rss: fields.u64("process-peak-rss")?,
            status: fields.status()?,
            last_error: fields.text("last-error")?,
            stalled: fields.bool("stalled")?,
            is_final: fields.bool("final")?,
            extra: fields.extra(),
        })
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
        use Field::{Bool, F64, Str, U64};
        let time = |t: Option<u64>| U64(t.unwrap_or(u64::MAX));
        let (c, t) = (&self.counters, &self.window.times);
        let rtf = self.window.real_time_factor();
        [
            (c"element", Str(&self.element)),
            (c"factory", Str(&self.factory)),
            (c"timestamp", time(self.timestamp)),
            (c"stream-time", time(self.stream_time)),
            (c"running-time", time(self.running_time)),
            (c"duration", U64(self.window.duration)),
            (c"num-buffers", U64(c.buffers)),
            (c"num-samples", U64(c.samples)),
            (c"num-bytes", U64(c.bytes)),
            (c"num-dropped", U64(c.dropped)),
            (c"num-errors", U64(c.errors)),
            (c"num-retries", U64(c.retries)),
            (c"num-timeouts", U64(c.timeouts)),
            (c"num-skipped", U64(c.skipped)),
            (c"processing-time", U64(self.processing_time)),
            (c"processing-time-min", U64(t.min)),
            (c"processing-time-avg", U64(t.avg)),
            (c"processing-time-p50", U64(t.p50)),
            (c"processing-time-p95", U64(t.p95)),
            (c"processing-time-p99", U64(t.p99)),
            (c"processing-time-max", U64(t.max)),
            (
                c"real-time-factor",
                F64(if rtf.is_finite() { rtf } else { 0.0 }),
            ),
            (c"latency", U64(self.latency)),
            (c"memory", U64(self.memory)),
            (c"process-peak-rss", U64(self.process_peak_rss)),
            (c"status", Str(self.status.as_str())),
            (c"last-error", Str(&self.last_error)),
            (c"stalled", Bool(self.stalled)),
            (c"final", Bool(self.is_final)),
        ]
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

/// Fields that only elements have which call something: see [`CallFigures`](super::CallFigures), and
/// the waits for Python's lock.
const OF_CALLS: [&str; 9] = [
    "num-calls",
    "call-time-p50",
    "call-time-p95",
    "call-time-p99",
    "call-time-max",
    "gil-wait",
    "gil-wait-p99",
    "breaker-state",
    "consecutive-failures",
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

/// Reads fields by name.
struct Reader<F>(F);

impl<F: Fn(&str) -> Option<Value>> Reader<F> {
    fn u64(&self, field: &'static str) -> Result<u64, SchemaError> {
        match (self.0)(field) {
            Some(Value::U64(v)) => Ok(v),
            _ => Err(SchemaError::Field(field)),
        }
    }

    fn time(&self, field: &'static str) -> Result<Option<u64>, SchemaError> {
        Ok(Some(self.u64(field)?).filter(|t| *t != u64::MAX))
    }

    fn f64(&self, field: &'static str) -> Result<f64, SchemaError> {
        match (self.0)(field) {
            Some(Value::F64(v)) => Ok(v),
            _ => Err(SchemaError::Field(field)),
        }
    }

    fn bool(&self, field: &'static str) -> Result<bool, SchemaError> {
        match (self.0)(field) {
            Some(Value::Bool(v)) => Ok(v),
            _ => Err(SchemaError::Field(field)),
        }
    }

    fn text(&self, field: &'static str) -> Result<String, SchemaError> {
        match (self.0)(field) {
            Some(Value::Str(v)) => Ok(v),
            _ => Err(SchemaError::Field(field)),
        }
    }

    fn status(&self) -> Result<Status, SchemaError> {
        let name = self.text("status")?;
        Status::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or(SchemaError::Status(name))
    }

    /// The window; sum and count as well as the other fields give them away.
    fn window(&self) -> Result<Closed, SchemaError> {
        let mut window = Closed {
            start: self.time("timestamp")?,
            duration: self.u64("duration")?,
            times: Summary {
                count: 0,
                sum: 0,
                min: self.u64("processing-time-min")?,
                avg: self.u64("processing-time-avg")?,
                p50: self.u64("processing-time-p50")?,
                p95: self.u64("processing-time-p95")?,
                p99: self.u64("processing-time-p99")?,
                max: self.u64("processing-time-max")?,
            },
        };
        let rtf = self.f64("real-time-factor")?;
        let times = &mut window.times;
        times.sum = (rtf * window.duration as f64).round() as u64;
        if times.avg > 0 {
            times.count = (times.sum as f64 / times.avg as f64).round() as u64;
        }
        Ok(window)
    }

    fn counters(&self) -> Result<Counters, SchemaError> {
        Ok(Counters {
            buffers: self.u64("num-buffers")?,
            samples: self.u64("num-samples")?,
            bytes: self.u64("num-bytes")?,
            dropped: self.u64("num-dropped")?,
            errors: self.u64("num-errors")?,
            retries: self.u64("num-retries")?,
            timeouts: self.u64("num-timeouts")?,
            skipped: self.u64("num-skipped")?,
        })
    }

    fn extra(&self) -> Vec<(&'static str, Value)> {
        let found = OF_CALLS
            .into_iter()
            .map(|name| Some((name, (self.0)(name)?)));
        found.flatten().collect()
    }
}

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
