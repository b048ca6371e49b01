// SPDX-License-Identifier: MIT

//! A plugin file with one element that does nothing, written like any other in Rust: what the
//! benchmarks of Python elements count from.
//!
//! `cargo build --release --example empty_element`, then load `libempty_element.so`.

use gst::glib;

#[path = "../benches/empty/mod.rs"]
mod empty;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    empty::register(Some(plugin))
}

gst::plugin_define!(
    empty_element,
    "An element that does nothing",
    plugin_init,
    "1.0",
    "MIT/X11",
    "gst-plugin-rustaudio",
    "gst-plugin-rustaudio",
    "gst-plugin-rustaudio"
);
