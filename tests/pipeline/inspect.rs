// SPDX-License-Identifier: MIT

//! What gst-inspect-1.0 shows of the plugin file.

use super::common::{self, tool};
use gst::prelude::*;

const ELEMENTS: [&str; 4] = [
    "rustaudioconvert",
    "rustresample",
    "rustvad",
    "pypipelinenode",
];

#[test]
fn plugin_and_elements_are_shown_without_a_warning() {
    for what in ["rustaudio"].iter().chain(&ELEMENTS) {
        let output = tool("gst-inspect-1.0").arg(what).output().unwrap();
        let (text, errors) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{what}: {errors}");
        assert_eq!(errors, "", "{what}");
        assert!(text.contains("MIT/X11"), "{what}");
        for element in ELEMENTS.iter().filter(|_| *what == "rustaudio") {
            assert!(text.contains(element), "{element} is not in {text}");
        }
    }
}

#[test]
fn elements_are_of_one_author_and_chosen_by_name_alone() {
    common::init();
    for element in ELEMENTS {
        let factory = gst::ElementFactory::find(element).unwrap();
        // Drop-ins that stand in nobody's way: nothing is plugged in place of stock unasked.
        assert_eq!(factory.rank(), gst::Rank::NONE, "{element}");
        assert_eq!(
            factory.metadata("author"),
            Some("The gst-plugin-rustaudio developers"),
            "{element}"
        );
    }
}

#[test]
fn the_plugin_tells_of_its_tracer_and_where_it_is_from() {
    let output = tool("gst-inspect-1.0").arg("rustaudio").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |name: &str| {
        let line = text.lines().find_map(|l| l.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim()
    };
    // Up to GStreamer 1.26 a tracer has no words of its own.
    assert!(
        line("Description").contains("tracer rustaudiometrics"),
        "{text}"
    );
    let origin = line("Origin URL");
    assert!(
        origin.starts_with("https://") || origin == "Unknown package origin",
        "{origin}"
    );
}

#[test]
fn every_property_says_what_it_is_and_in_which_unit() {
    common::init();
    let inherited: Vec<String> = gst::ElementFactory::make("identity")
        .build()
        .unwrap()
        .list_properties()
        .iter()
        .filter(|p| {
            p.owner_type()
                != gst::ElementFactory::find("identity")
                    .unwrap()
                    .element_type()
        })
        .map(|p| p.name().to_string())
        .collect();
    for factory in ELEMENTS {
        let element = gst::ElementFactory::make(factory).build().unwrap();
        for pspec in element.list_properties().iter() {
            if inherited.iter().any(|i| i == pspec.name()) {
                continue;
            }
            let blurb = pspec.blurb().map(|b| b.to_string()).unwrap_or_default();
            assert!(blurb.len() > 10, "{factory}.{}: {blurb}", pspec.name());
            assert!(!blurb.contains("no unit"), "{factory}.{}", pspec.name());
            // 64-bit numbers are times or sizes.
            if pspec.value_type() == u64::static_type() {
                let said = blurb.split(|c: char| !c.is_alphanumeric());
                assert!(
                    said.into_iter().any(|w| ["ns", "bytes"].contains(&w)),
                    "{factory}.{}: no unit in {blurb:?}",
                    pspec.name()
                );
            }
        }
    }
}

/// As documentation tools ask: what is not marked is taken for a type that a library documents.
#[test]
fn own_enumerations_are_marked_as_the_plugins() {
    common::init();
    let mut marked = 0;
    for factory in ELEMENTS {
        let element = gst::ElementFactory::make(factory).build().unwrap();
        for pspec in element.list_properties().iter() {
            let kind = pspec.value_type();
            let own = ["GstRust", "GstPyPipelineNode"];
            if kind.is_a(gst::glib::Type::ENUM)
                && own.iter().any(|own| kind.name().starts_with(own))
            {
                assert!(kind.plugin_api_flags().is_some(), "{factory}: {kind}");
                marked += 1;
            }
        }
    }
    assert_eq!(marked, 9);
}

#[test]
fn python_home_names_all_that_decides_on_the_python() {
    common::init();
    let node = gst::ElementFactory::make("pypipelinenode").build().unwrap();
    let pspec = node.find_property("python-home").unwrap();
    let blurb = pspec.blurb().unwrap();
    for name in ["$VIRTUAL_ENV", "$CONDA_PREFIX", "$RUSTAUDIO_LIBPYTHON"] {
        assert!(blurb.contains(name), "no {name} in {blurb}");
    }
}
