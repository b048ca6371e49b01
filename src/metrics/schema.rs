//! The published form of the metrics: one list of fields, as `GstStructure` and as JSON.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use gst::glib::{GStr, gstr};
use gst::prelude::*;

use super::{Closed, Counters, Status, ffi};

/// Name of the element message and of its structure.
pub const MESSAGE_NAME: &str = "rustaudio-metrics";

/// Value of a field; flat by design, since embedders read nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Str(String),
    /// Counts, bytes and times in ns; a time that is not known is `u64::MAX`
    /// (`GST_CLOCK_TIME_NONE`), and `null` in JSON.
    U64(u64),
    /// Always finite.
    F64(f64),
    Bool(bool),
}

impl From<Value> for gst::glib::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Str(v) => v.into(),
            Value::U64(v) => v.into(),
            Value::F64(v) => v.into(),
            Value::Bool(v) => v.into(),
        }
    }
}

/// As [`Value`], of what a report holds already.
#[derive(Clone, Copy)]
enum Field<'a> {
    Str(&'a str),
    U64(u64),
    F64(f64),
    Bool(bool),
}

impl Field<'_> {
    /// A value of the same type that says nothing.
    fn empty(self) -> gst::glib::SendValue {
        match self {
            Self::Str(_) => None::<&str>.to_send_value(),
            Self::U64(_) => 0u64.to_send_value(),
            Self::F64(_) => 0f64.to_send_value(),
            Self::Bool(_) => false.to_send_value(),
        }
    }
}

impl From<Field<'_>> for gst::glib::Value {
    fn from(field: Field<'_>) -> Self {
        match field {
            Field::Str(v) => v.into(),
            Field::U64(v) => v.into(),
            Field::F64(v) => v.into(),
            Field::Bool(v) => v.into(),
        }
    }
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
    pub stream_time: Option<u64>,
    pub running_time: Option<u64>,
    pub window: Closed,
    pub counters: Counters,
    /// Total own work since READY, in ns.
    pub processing_time: u64,
    pub latency: u64,
    pub memory: u64,
    pub process_peak_rss: u64,
    pub status: Status,
    pub last_error: String,
    /// No buffer came for a whole `metrics-interval` while playing.
    pub stalled: bool,
    pub is_final: bool,
    /// Fields that only this kind of element has.
    pub extra: Vec<(&'static str, Value)>,
}

impl Report {
    /// Name and value of every field that all elements have, in the order they are shown. The
    /// names are C strings already, for the structure.
    fn common(&self) -> [(&'static GStr, Field<'_>); 29] {
        use Field::{Bool, F64, Str, U64};
        let time = |t: Option<u64>| U64(t.unwrap_or(u64::MAX));
        let (c, t) = (&self.counters, &self.window.times);
        let rtf = self.window.real_time_factor();
        [
            (gstr!("element"), Str(&self.element)),
            (gstr!("factory"), Str(&self.factory)),
            (gstr!("timestamp"), time(self.timestamp)),
            (gstr!("stream-time"), time(self.stream_time)),
            (gstr!("running-time"), time(self.running_time)),
            (gstr!("duration"), U64(self.window.duration)),
            (gstr!("num-buffers"), U64(c.buffers)),
            (gstr!("num-samples"), U64(c.samples)),
            (gstr!("num-bytes"), U64(c.bytes)),
            (gstr!("num-dropped"), U64(c.dropped)),
            (gstr!("num-errors"), U64(c.errors)),
            (gstr!("num-retries"), U64(c.retries)),
            (gstr!("num-timeouts"), U64(c.timeouts)),
            (gstr!("num-skipped"), U64(c.skipped)),
            (gstr!("processing-time"), U64(self.processing_time)),
            (gstr!("processing-time-min"), U64(t.min)),
            (gstr!("processing-time-avg"), U64(t.avg)),
            (gstr!("processing-time-p50"), U64(t.p50)),
            (gstr!("processing-time-p95"), U64(t.p95)),
            (gstr!("processing-time-p99"), U64(t.p99)),
            (gstr!("processing-time-max"), U64(t.max)),
            (
                gstr!("real-time-factor"),
                F64(if rtf.is_finite() { rtf } else { 0.0 }),
            ),
            (gstr!("latency"), U64(self.latency)),
            (gstr!("memory"), U64(self.memory)),
            (gstr!("process-peak-rss"), U64(self.process_peak_rss)),
            (gstr!("status"), Str(self.status.as_str())),
            (gstr!("last-error"), Str(&self.last_error)),
            (gstr!("stalled"), Bool(self.stalled)),
            (gstr!("final"), Bool(self.is_final)),
        ]
    }

    /// Name and value of every field, in the order they are shown.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let common = self
            .common()
            .into_iter()
            .map(|(n, v)| (n.as_str(), v.into()));
        common.chain(self.extra.clone())
    }

    /// The fields as a structure called `name`.
    pub fn to_structure(&self, name: &str) -> gst::Structure {
        // To copy a structure and fill it in costs less than to add one field after the other.
        static FORM: OnceLock<gst::Structure> = OnceLock::new();
        let common = self.common();
        let form = FORM.get_or_init(|| {
            let mut form = gst::Structure::new_empty(MESSAGE_NAME);
            for (name, field) in common {
                form.set_with_static(name, field.empty());
            }
            form
        });
        let mut s = form.clone();
        if name != MESSAGE_NAME {
            s.set_name(name);
        }
        let mut fields = common.into_iter();
        // Fields keep the order in which they were added.
        let _ = s.map_in_place(|_, value| {
            match fields.next() {
                Some((_, Field::U64(v))) => ffi::set_u64(value, v),
                Some((_, field)) => *value = field.into(),
                None => {}
            }
            ControlFlow::Continue(())
        });
        for (field, value) in &self.extra {
            s.set(*field, value.clone());
        }
        s
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

/// A structure that is no metrics message.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SchemaError {
    #[error("field `{0}` is missing or has another type")]
    Field(&'static str),
    #[error("`{0}` is no status: ok, degraded, skipping or failed")]
    Status(String),
}

/// Reads a message or a `stats` property back; fields of single elements are left out.
impl TryFrom<&gst::StructureRef> for Report {
    type Error = SchemaError;

    fn try_from(s: &gst::StructureRef) -> Result<Self, SchemaError> {
        fn get<T>(s: &gst::StructureRef, field: &'static str) -> Result<T, SchemaError>
        where
            T: for<'a> gst::glib::value::FromValue<'a> + 'static,
        {
            s.get::<T>(field).map_err(|_| SchemaError::Field(field))
        }
        let n = |field| get::<u64>(s, field);
        let time = |field| n(field).map(|t| (t != u64::MAX).then_some(t));
        let status: String = get(s, "status")?;
        let mut window = Closed {
            start: time("timestamp")?,
            duration: n("duration")?,
            times: super::Summary {
                count: 0,
                sum: 0,
                min: n("processing-time-min")?,
                avg: n("processing-time-avg")?,
                p50: n("processing-time-p50")?,
                p95: n("processing-time-p95")?,
                p99: n("processing-time-p99")?,
                max: n("processing-time-max")?,
            },
        };
        let rtf: f64 = get(s, "real-time-factor")?;
        window.times.sum = (rtf * window.duration as f64).round() as u64;
        if window.times.avg > 0 {
            window.times.count = (window.times.sum as f64 / window.times.avg as f64).round() as u64;
        }
        Ok(Self {
            element: get(s, "element")?,
            factory: get(s, "factory")?,
            timestamp: window.start,
            stream_time: time("stream-time")?,
            running_time: time("running-time")?,
            window,
            counters: Counters {
                buffers: n("num-buffers")?,
                samples: n("num-samples")?,
                bytes: n("num-bytes")?,
                dropped: n("num-dropped")?,
                errors: n("num-errors")?,
                retries: n("num-retries")?,
                timeouts: n("num-timeouts")?,
                skipped: n("num-skipped")?,
            },
            processing_time: n("processing-time")?,
            latency: n("latency")?,
            memory: n("memory")?,
            process_peak_rss: n("process-peak-rss")?,
            status: Status::ALL
                .into_iter()
                .find(|known| known.as_str() == status)
                .ok_or(SchemaError::Status(status))?,
            last_error: get(s, "last-error")?,
            stalled: get(s, "stalled")?,
            is_final: get(s, "final")?,
            extra: Vec::new(),
        })
    }
}

/// A final report with an error in it.
#[cfg(test)]
pub(super) fn sample() -> Report {
    use super::{Recorder, Span};
    let r = Recorder::default();
    for i in 0..4 {
        r.record(
            &Span {
                pts: Some(i * 10_000_000),
                duration: 10_000_000,
                frames: 480,
                bytes: 1920,
            },
            2000,
            0,
            || None::<()>,
        );
    }
    r.add_error("it \"broke\"");
    Report {
        element: "vad0".into(),
        factory: "rustvad".into(),
        timestamp: Some(0),
        stream_time: Some(7),
        running_time: None,
        window: r.run(),
        counters: r.counters(),
        processing_time: r.processing(),
        latency: 30_000_000,
        memory: r.memory(),
        process_peak_rss: crate::metrics::process_peak_rss(),
        status: r.status(),
        last_error: r.last_error(),
        stalled: false,
        is_final: true,
        extra: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_round_trips() {
        gst::init().unwrap();
        let report = sample();
        let s = report.to_structure(MESSAGE_NAME);
        assert_eq!(Report::try_from(s.as_ref()).unwrap(), report);
        assert_eq!(s.n_fields(), report.fields().count());
        let mut broken = s.clone();
        broken.set("num-samples", 1i32);
        assert_eq!(
            Report::try_from(broken.as_ref()),
            Err(SchemaError::Field("num-samples"))
        );
        let mut broken = s;
        broken.set("status", "fine");
        assert_eq!(
            Report::try_from(broken.as_ref()),
            Err(SchemaError::Status("fine".into()))
        );
    }

    #[test]
    fn json_has_the_same_fields_and_no_nan() {
        let mut report = sample();
        report.extra = vec![("breaker-state", Value::Str("open".into()))];
        report.window.duration = 0;
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), report.fields().count());
        assert_eq!(object["last-error"], "it \"broke\"");
        assert_eq!(object["num-samples"], 1920);
        assert_eq!(object["real-time-factor"], 0.0);
        assert_eq!(object["running-time"], serde_json::Value::Null);
        assert_eq!(object["breaker-state"], "open");
    }

    #[test]
    fn peak_rss_is_plausible() {
        let rss = crate::metrics::process_peak_rss();
        assert!(rss > 1 << 20 && rss < 1 << 40, "{rss}");
    }
}
