// SPDX-License-Identifier: MIT

//! A report as a `GstStructure`.

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use gst::glib::{self, GStr};
use gst::prelude::*;

use super::{Field, MESSAGE_NAME, Report, SchemaError, Value};
use crate::ffi;

/// [`Report`] to and from the structure of a message or of the property `stats`.
pub trait ReportExt: Sized {
    /// The fields as a structure called `name`.
    fn to_structure(&self, name: &str) -> gst::Structure;

    /// Reads a message or a `stats` property back.
    ///
    /// # Errors
    /// As [`Report::read`].
    fn from_structure(structure: &gst::StructureRef) -> Result<Self, SchemaError>;
}

/// A value of the same type that says nothing.
fn empty(field: Field<'_>) -> glib::SendValue {
    match field {
        Field::Str(_) => None::<&str>.to_send_value(),
        Field::U64(_) => 0u64.to_send_value(),
        Field::F64(_) => 0f64.to_send_value(),
        Field::Bool(_) => false.to_send_value(),
    }
}

/// `text` up to its first NUL, at which a text of GStreamer ends.
fn text(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

fn of_field(field: Field<'_>) -> glib::Value {
    match field {
        Field::Str(v) => text(v).into(),
        Field::U64(v) => v.into(),
        Field::F64(v) => v.into(),
        Field::Bool(v) => v.into(),
    }
}

fn set(structure: &mut gst::Structure, name: &'static str, value: Value) {
    match value {
        Value::Str(v) => structure.set(name, text(&v)),
        Value::U64(v) => structure.set(name, v),
        Value::F64(v) => structure.set(name, v),
        Value::Bool(v) => structure.set(name, v),
    }
}

/// `None` for what is no field of ours.
fn value(value: &glib::Value) -> Option<Value> {
    match value.type_() {
        glib::Type::STRING => value.get().ok().map(Value::Str),
        glib::Type::U64 => value.get().ok().map(Value::U64),
        glib::Type::F64 => value.get().ok().map(Value::F64),
        glib::Type::BOOL => value.get().ok().map(Value::Bool),
        _ => None,
    }
}

/// Names of fields are ASCII.
fn gstr(name: &'static CStr) -> &'static GStr {
    GStr::from_utf8_with_nul(name.to_bytes_with_nul()).unwrap_or_default()
}

impl ReportExt for Report {
    fn to_structure(&self, name: &str) -> gst::Structure {
        // To copy a structure and fill it in costs less than to add one field after the other.
        static FORM: OnceLock<gst::Structure> = OnceLock::new();
        let common = self.common();
        let form = FORM.get_or_init(|| {
            let mut form = gst::Structure::new_empty(MESSAGE_NAME);
            for (name, field) in common {
                form.set_with_static(gstr(name), empty(field));
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
                Some((_, field)) => *value = of_field(field),
                None => {}
            }
            ControlFlow::Continue(())
        });
        for (field, value) in &self.extra {
            set(&mut s, field, value.clone());
        }
        s
    }

    fn from_structure(structure: &gst::StructureRef) -> Result<Self, SchemaError> {
        Self::read(|name| value(structure.value(name).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Recorder;

    #[test]
    fn structure_round_trips() {
        gst::init().unwrap();
        let recorder = Recorder::default();
        recorder.add_error("it \"broke\"");
        recorder.set_latency(30_000_000);
        let report = Report {
            element: "node0".into(),
            factory: "pypipelinenode".into(),
            stream_time: Some(7),
            is_final: true,
            extra: vec![
                ("num-calls", Value::U64(3)),
                ("breaker-state", Value::Str("open".into())),
            ],
            ..Report::of(&recorder, recorder.run())
        };
        let s = report.to_structure(MESSAGE_NAME);
        assert_eq!(Report::from_structure(&s), Ok(report.clone()));
        assert_eq!(s.n_fields(), report.fields().count());
        let names: Vec<_> = s.fields().map(|name| name.to_string()).collect();
        let wanted: Vec<_> = report.fields().map(|(name, _)| name).collect();
        assert_eq!(names, wanted);
        let mut broken = s.clone();
        broken.set("num-samples", 1i32);
        assert_eq!(
            Report::from_structure(&broken),
            Err(SchemaError::Field("num-samples"))
        );
        let mut broken = s;
        broken.set("status", None::<&str>);
        assert_eq!(
            Report::from_structure(&broken),
            Err(SchemaError::Field("status"))
        );
    }
}
