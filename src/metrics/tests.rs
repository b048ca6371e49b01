// SPDX-License-Identifier: MIT

//! Reports of any names, texts and figures: as structures, as text of these, as JSON.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{MESSAGE_NAME, Report, ReportExt, Status, Value};

fn text() -> impl Strategy<Value = String> {
    let special = select(&['"', '\\', '\n', '\0', ';', ',', '{', '=', ' ', 'é', '𝄞'][..]);
    let characters = prop_oneof![special, any::<char>()];
    vec(characters, 0..16).prop_map(String::from_iter)
}

/// Any value of the type of `like`.
fn any_value(name: &str, like: &Value) -> BoxedStrategy<Value> {
    match like {
        Value::Str(_) if name == "status" => select(&Status::ALL[..])
            .prop_map(|status| Value::Str(status.as_str().into()))
            .boxed(),
        Value::Str(_) => text().prop_map(Value::Str).boxed(),
        Value::U64(_) => any::<u64>().prop_map(Value::U64).boxed(),
        Value::F64(_) => (0.0..1e9).prop_map(Value::F64).boxed(),
        Value::Bool(_) => any::<bool>().prop_map(Value::Bool).boxed(),
    }
}

fn report() -> impl Strategy<Value = Report> {
    let of_calls = [
        ("num-calls", Value::U64(0)),
        ("breaker-state", Value::Str(String::new())),
    ];
    let like = Report::default();
    let fields = like.fields().chain(of_calls);
    let any: Vec<_> = fields
        .map(|(name, like)| any_value(name, &like).prop_map(move |value| (name, value)))
        .collect();
    any.prop_map(|all| {
        let value = |name: &str| Some(all.iter().find(|(known, _)| *known == name)?.1.clone());
        Report::read(value).unwrap()
    })
}

/// Fails where `got` differs from `told`: in more than the last digits of a quotient, and in what
/// follows a NUL, which ends a text of GStreamer.
fn assert_same(got: &Report, told: &Report) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.fields().count(), told.fields().count());
    for ((name, got), (wanted_name, told)) in got.fields().zip(told.fields()) {
        prop_assert_eq!(name, wanted_name);
        match (got, told) {
            (Value::F64(got), Value::F64(told)) => {
                prop_assert!(
                    (got - told).abs() <= 1e-9 * told.max(1.0),
                    "{name}: {got} {told}"
                );
            }
            (Value::Str(got), Value::Str(told)) => {
                prop_assert_eq!(Some(&got[..]), told.split('\0').next(), "{}", name);
            }
            (got, told) => prop_assert_eq!(got, told, "{}", name),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn structures_and_their_text_tell_any_report(report in report()) {
        gst::init().unwrap();
        let structure = report.to_structure(MESSAGE_NAME);
        assert_same(&Report::from_structure(&structure).unwrap(), &report)?;
        let text = structure.to_string();
        let read: gst::Structure = text.parse().unwrap();
        assert_same(&Report::from_structure(&read).unwrap(), &report)?;
    }

    #[test]
    fn json_tells_any_report(report in report()) {
        let read: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        let read = read.as_object().unwrap();
        prop_assert!(read.keys().eq(report.fields().map(|(name, _)| name)));
        for (name, told) in report.fields() {
            let got = &read[name];
            let unknown = told == Value::U64(u64::MAX) && got.is_null();
            match told {
                Value::Str(told) => prop_assert_eq!(got.as_str(), Some(&told[..])),
                Value::U64(told) => prop_assert!(unknown || got.as_u64() == Some(told), "{name}"),
                Value::F64(told) => {
                    let got = got.as_f64().unwrap();
                    prop_assert!((got - told).abs() <= 1e-12 * told.max(1.0), "{name}: {got} {told}");
                }
                Value::Bool(told) => prop_assert_eq!(got.as_bool(), Some(told)),
            }
        }
    }
}
