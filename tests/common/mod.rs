// SPDX-License-Identifier: MIT

//! What the integration tests share.
#![allow(dead_code)] // every test binary uses its own part

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use gst::prelude::*;

/// Longest that a test waits for a message that must come.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// Initialises GStreamer and registers the elements of this crate in the test's own process.
pub fn init() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let debug = std::env::var("G_DEBUG").unwrap_or_default();
        assert!(
            debug.replace('-', "_").contains("fatal_warnings"),
            "run with G_DEBUG=fatal_warnings, as .cargo/config.toml sets"
        );
        gst::init().unwrap();
        gstrustaudio::plugin_register_static().unwrap();
    });
}

/// A folder that holds the plugin file of this build and nothing else.
pub fn plugin_dir() -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let deps = std::env::current_exe().unwrap();
        let deps = deps.parent().unwrap();
        let dir = deps.parent().unwrap().join("plugin-under-test");
        std::fs::create_dir_all(&dir).unwrap();
        let link = dir.join("libgstrustaudio.so");
        let target = deps.join("libgstrustaudio.so");
        assert!(target.exists(), "{} is missing", target.display());
        if std::fs::read_link(&link).ok().as_ref() != Some(&target) {
            // Test binaries run side by side: make it aside, then swap it in.
            let fresh = dir.join(format!("link-{}", std::process::id()));
            std::os::unix::fs::symlink(&target, &fresh).unwrap();
            std::fs::rename(&fresh, &link).unwrap();
        }
        dir
    })
    .clone()
}

/// Root of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `program` (gst-launch-1.0, gst-inspect-1.0, a Python) as a user would run it, with this build's
/// plugin file and a registry of its own.
pub fn tool(program: &str) -> Command {
    let dir = plugin_dir();
    let mut command = Command::new(program);
    command
        .env("GST_PLUGIN_PATH", &dir)
        .env(
            "GST_REGISTRY",
            dir.with_file_name("plugin-under-test.registry"),
        )
        .env("LC_ALL", "C.UTF-8")
        .env_remove("GST_TRACERS")
        .env_remove("RUSTAUDIO_LOG")
        .env_remove("RUSTAUDIO_LOG_JSON")
        .env_remove("GST_PLUGIN_PATH_1_0")
        .env_remove("GST_DEBUG")
        .stdin(std::process::Stdio::null());
    command
}

/// Sink pads of `element` keep their buffers here.
pub type Captured = Arc<Mutex<Vec<gst::Buffer>>>;

/// Keeps every buffer that reaches the sink pad of `name` in `pipeline`.
pub fn capture(pipeline: &gst::Pipeline, name: &str) -> Captured {
    let kept = Captured::default();
    let sink = kept.clone();
    pipeline
        .by_name(name)
        .and_then(|e| e.static_pad("sink"))
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            sink.lock().unwrap().extend(info.buffer().cloned());
            gst::PadProbeReturn::Ok
        });
    kept
}

/// Parses `description` as gst-launch does.
pub fn launch(description: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(description)
        .unwrap_or_else(|e| panic!("{description}: {e}"))
        .downcast()
        .unwrap()
}

/// Plays `pipeline` to its end and stops it; all its messages, those of stopping included. The
/// error message, if there was one, is among them.
pub fn play(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).ok();
    let mut messages = Vec::new();
    // Metrics come for ever, also of what is stuck.
    let until = std::time::Instant::now() + (10 * PATIENCE).into();
    loop {
        assert!(std::time::Instant::now() < until, "it does not end");
        let message = bus
            .timed_pop(PATIENCE)
            .unwrap_or_else(|| panic!("nothing came for {PATIENCE}"));
        let over = matches!(
            message.type_(),
            gst::MessageType::Eos | gst::MessageType::Error
        );
        messages.push(message);
        if over {
            break;
        }
    }
    // NULL would flush the bus: what is posted on the way down to READY counts too.
    // After an error before preroll this repeats the failure, and works all the same.
    pipeline.set_state(gst::State::Ready).ok();
    messages.extend(std::iter::from_fn(|| bus.pop()));
    pipeline.set_state(gst::State::Null).unwrap();
    messages
}

/// Plays and fails on any error message.
pub fn play_ok(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    let messages = play(pipeline);
    for message in &messages {
        if let gst::MessageView::Error(e) = message.view() {
            panic!("{}: {:?}", e.error(), e.debug());
        }
    }
    messages
}

/// The structures called `name` among `messages`.
pub fn structures<'a>(
    messages: &'a [gst::Message],
    name: &'a str,
) -> impl Iterator<Item = &'a gst::StructureRef> {
    messages
        .iter()
        .filter_map(|m| m.structure())
        .filter(move |s| s.name() == name)
}

/// The one error message among `messages`: its text and debug text.
pub fn error(messages: &[gst::Message]) -> (String, String) {
    messages
        .iter()
        .find_map(|m| match m.view() {
            gst::MessageView::Error(e) => Some((
                e.error().message().to_string(),
                e.debug().map(|d| d.to_string()).unwrap_or_default(),
            )),
            _ => None,
        })
        .expect("an error message")
}

/// Asserts that timestamps touch to 1 ns and start at `start`; gives the total duration.
pub fn assert_continuous(buffers: &[gst::Buffer], start: gst::ClockTime) -> gst::ClockTime {
    let mut next = start;
    for (i, buffer) in buffers.iter().enumerate() {
        let pts = buffer
            .pts()
            .unwrap_or_else(|| panic!("buffer {i} has no PTS"));
        let off = pts.nseconds().abs_diff(next.nseconds());
        assert!(off <= 1, "buffer {i}: PTS {pts}, expected {next}");
        next = pts
            + buffer
                .duration()
                .unwrap_or_else(|| panic!("buffer {i}: no duration"));
    }
    next - start
}

/// What a program can see of a property, for comparison between two elements that were made anew: an
/// enumeration by its values and nicks, since each library names its types itself (and GStreamer has
/// renamed its own), any other type by its name; then the default and whether it can be written.
pub fn property(element: &gst::Element, name: &str) -> (String, String, bool) {
    let pspec = element
        .find_property(name)
        .unwrap_or_else(|| panic!("{} has no {name}", element.name()));
    let kind = match gst::glib::EnumClass::with_type(pspec.value_type()) {
        Some(class) => {
            let values = class.values().iter();
            format!(
                "{:?}",
                values.map(|v| (v.value(), v.nick())).collect::<Vec<_>>()
            )
        }
        None => pspec.value_type().to_string(),
    };
    let default = element.property_value(name).serialize().unwrap();
    let writable = pspec.flags().contains(gst::glib::ParamFlags::WRITABLE);
    (kind, default.to_string(), writable)
}
