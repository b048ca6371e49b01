// SPDX-License-Identifier: MIT

//! What the element tells about failures on the bus.

use crate::python::{Failure, without_nul};
use crate::resilience::BreakerState;

/// Name of the message about a failed call.
pub const FAILURE: &str = "pypipelinenode-failure";
/// Name of the message about a change of the breaker.
pub const BREAKER: &str = "pypipelinenode-breaker";
/// Name of the message about a reload.
pub const RELOAD: &str = "pypipelinenode-reload";

/// Where in the stream something happened; `u64::MAX` where not known, as in all messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    pub timestamp: u64,
    pub stream_time: u64,
    pub running_time: u64,
    pub duration: u64,
}

impl Default for StreamPosition {
    fn default() -> Self {
        Self {
            timestamp: u64::MAX,
            stream_time: u64::MAX,
            running_time: u64::MAX,
            duration: u64::MAX,
        }
    }
}

impl StreamPosition {
    fn add(&self, s: &mut gst::Structure) {
        s.set("timestamp", self.timestamp);
        s.set("stream-time", self.stream_time);
        s.set("running-time", self.running_time);
        s.set("duration", self.duration);
    }
}

/// What a failure message says beside the failure itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub position: &'a StreamPosition,
    /// From 1.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Another attempt may succeed.
    pub retryable: bool,
    /// `retry`, the nick of an `OnFailure`, or `report`.
    pub action: &'static str,
}

/// A failed call: its cause and what was done about it.
pub fn failure(failure: &Failure, told: &Circumstances<'_>) -> gst::Structure {
    let mut s = gst::Structure::builder(FAILURE)
        .field("attempt", told.attempt)
        .field("max-attempts", told.max_attempts)
        .field("retryable", told.retryable)
        .field("exception", &failure.exception)
        .field("message", failure.message())
        .field("traceback", &failure.traceback)
        .field("file", failure.file.as_deref().unwrap_or_default())
        .field("line", failure.line.unwrap_or(0))
        .field("action", told.action)
        .build();
    told.position.add(&mut s);
    s
}

/// The breaker went from one state to another.
pub fn breaker(
    from: BreakerState,
    to: BreakerState,
    failures: u32,
    position: &StreamPosition,
) -> gst::Structure {
    let mut s = gst::Structure::builder(BREAKER)
        .field("state", to.as_str())
        .field("previous", from.as_str())
        .field("consecutive-failures", failures)
        .build();
    position.add(&mut s);
    s
}

/// The node's file changed, and the new one runs, or the old one still does.
pub fn reload(file: &str, error: Option<&Failure>) -> gst::Structure {
    gst::Structure::builder(RELOAD)
        .field("file", file)
        .field("success", error.is_none())
        .field("message", error.map(|e| e.to_string()).unwrap_or_default())
        .field(
            "traceback",
            error.map(|e| e.traceback.as_str()).unwrap_or_default(),
        )
        .build()
}

/// A structure for `ctx.post`: numbers, texts and booleans as they are, nested values as JSON; from
/// the fields as `posted` of texts.py writes them.
pub fn from_node(
    name: &str,
    fields: serde_json::Map<String, serde_json::Value>,
) -> Option<gst::Structure> {
    use serde_json::Value;
    // A structure's name is checked by GStreamer with an assertion.
    let valid = |n: &str| {
        n.starts_with(|c: char| c.is_ascii_alphabetic())
            && n.chars()
                .all(|c| c.is_ascii_alphanumeric() || "/-_.:+".contains(c))
    };
    if !valid(name) {
        return None;
    }
    let mut s = gst::Structure::new_empty(name);
    for (key, value) in fields {
        if !valid(&key) {
            continue;
        }
        match value {
            Value::Null => s.set(key, None::<String>),
            Value::Bool(v) => s.set(key, v),
            Value::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(v), _) => s.set(key, v),
                (None, Some(v)) => s.set(key, v),
                _ => s.set(key, n.as_f64().unwrap_or(0.0)),
            },
            Value::String(v) => s.set(key, without_nul(&v)),
            nested => match not_finite(&nested) {
                Some(v) => s.set(key, v),
                None => s.set(key, nested.to_string()),
            },
        }
    }
    Some(s)
}

/// NaN or an infinity, which JSON cannot say.
fn not_finite(value: &serde_json::Value) -> Option<f64> {
    value.get("double")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_posts_keeps_its_types() {
        gst::init().unwrap();
        let serde_json::Value::Object(fields) = serde_json::json!({
            "count": -3, "big": u64::MAX, "score": 0.5, "text": "äh", "yes": true,
            "none": null, "list": [1, 2], "not a name": 1, "nul": "a\0b",
            "silence": {"double": "-inf"}, "what": {"double": "nan"}
        }) else {
            unreachable!()
        };
        let s = from_node("transcript", fields).unwrap();
        assert_eq!(s.get::<i64>("count"), Ok(-3));
        assert_eq!(s.get::<u64>("big"), Ok(u64::MAX));
        assert_eq!(s.get::<f64>("score"), Ok(0.5));
        assert_eq!(s.get::<&str>("text"), Ok("äh"));
        assert_eq!(s.get::<bool>("yes"), Ok(true));
        assert_eq!(s.get::<&str>("list"), Ok("[1,2]"));
        assert_eq!(s.get::<&str>("nul"), Ok("a\u{fffd}b"));
        assert_eq!(s.get::<Option<String>>("none"), Ok(None));
        assert_eq!(s.get::<f64>("silence"), Ok(f64::NEG_INFINITY));
        assert!(s.get::<f64>("what").unwrap().is_nan());
        assert_eq!(s.n_fields(), 10);
        assert_eq!(from_node("no spaces", Default::default()), None);
        assert_eq!(from_node("", Default::default()), None);
    }
}
