// SPDX-License-Identifier: MIT

//! `docs/properties.md`, which is made of what the elements say.

use std::fmt::Write;

use super::common;
use gst::glib;
use gst::prelude::*;

const HEAD: &str = "\
# Properties

What `gst-inspect-1.0` shows, for reading. Made by

```bash
RUSTAUDIO_UPDATE=1 cargo test --workspace --test pipeline -- properties_md
```

Elements and properties are there since version 0.1.0, unless their description ends in another. *always*: in any
state; what plays takes it up at the next buffer. *ready*: in READY and below. *never*: it only tells.
";

const ELEMENTS: [&str; 4] = [
    "rustaudioconvert",
    "rustresample",
    "rustvad",
    "pypipelinenode",
];

/// The first of the properties that all of them have.
const OF_ALL: &str = "post-metrics";

#[test]
fn properties_md_says_what_the_elements_say() {
    common::init();
    let mut text = HEAD.to_string();
    for factory in ELEMENTS {
        let specs = own_specs(factory);
        let shared = specs.iter().position(|p| p.name() == OF_ALL).unwrap();
        section(&mut text, factory, &specs[..shared]);
    }
    let specs = own_specs(ELEMENTS[0]);
    let shared = specs.iter().position(|p| p.name() == OF_ALL).unwrap();
    section(&mut text, "All four", &specs[shared..]);
    let file = common::root().join("docs/properties.md");
    if std::env::var_os("RUSTAUDIO_UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written == text,
        "docs/properties.md is another than it is made: see its first lines.\n{text}"
    );
}

/// Those that the element adds to its parents', in their order.
fn own_specs(factory: &str) -> Vec<glib::ParamSpec> {
    let factory = gst::ElementFactory::find(factory).unwrap();
    let class = glib::object::ObjectClass::from_type(factory.load().unwrap().element_type());
    let specs = class.unwrap().list_properties();
    let own = |spec: &&glib::ParamSpec| spec.owner_type() == factory.element_type();
    specs.iter().filter(own).cloned().collect()
}

fn section(text: &mut String, title: &str, specs: &[glib::ParamSpec]) {
    write!(
        text,
        "\n## {title}\n\n| property | type | default | may be set | |\n|---|---|---|---|---|\n"
    )
    .unwrap();
    for spec in specs {
        let (kind, default) = kind(spec);
        let when = match spec.flags() {
            flags if !flags.contains(glib::ParamFlags::WRITABLE) => "never",
            flags if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) => "always",
            flags if flags.contains(gst::PARAM_FLAG_MUTABLE_READY) => "ready",
            flags => panic!("{}: {flags:?}", spec.name()),
        };
        let default = if when == "never" { "" } else { &default };
        let blurb = spec.blurb().unwrap().replace('|', "\\|");
        writeln!(
            text,
            "| `{}` | {kind} | {default} | {when} | {blurb} |",
            spec.name()
        )
        .unwrap();
    }
}

fn range<T: PartialEq + std::fmt::Display>((least, most): (T, T), whole: (T, T)) -> String {
    match (least == whole.0, most == whole.1) {
        (true, true) => String::new(),
        (false, true) => format!(" from {least}"),
        (true, false) => format!(" to {most}"),
        (false, false) => format!(" {least} to {most}"),
    }
}

/// Type with range, and default.
fn kind(spec: &glib::ParamSpec) -> (String, String) {
    if let Some(s) = spec.downcast_ref::<glib::ParamSpecEnum>() {
        let class = s.enum_class();
        let nicks = class.values().iter().map(|v| format!("`{}`", v.nick()));
        let default = s.default_value_as_i32();
        let default = class.value(default).unwrap().nick();
        return (nicks.collect::<Vec<_>>().join(", "), default.to_string());
    }
    if let Some(s) = spec.downcast_ref::<glib::ParamSpecBoolean>() {
        return ("bool".into(), s.default_value().to_string());
    }
    if let Some(s) = spec.downcast_ref::<glib::ParamSpecInt>() {
        let range = range((s.minimum(), s.maximum()), (i32::MIN, i32::MAX));
        return (format!("int{range}"), s.default_value().to_string());
    }
    if let Some(s) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        let range = range((s.minimum(), s.maximum()), (0, u32::MAX));
        return (format!("uint{range}"), s.default_value().to_string());
    }
    if let Some(s) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        let range = range((s.minimum(), s.maximum()), (0, u64::MAX));
        return (format!("uint64{range}"), s.default_value().to_string());
    }
    if let Some(s) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        let range = range((s.minimum(), s.maximum()), (f64::MIN, f64::MAX));
        return (format!("double{range}"), s.default_value().to_string());
    }
    if spec.is::<glib::ParamSpecString>() {
        return ("string".into(), String::new());
    }
    if spec.is::<gst::ParamSpecArray>() {
        return ("array of arrays of float".into(), String::new());
    }
    assert_eq!(spec.value_type(), gst::Structure::static_type());
    ("GstStructure".into(), String::new())
}
