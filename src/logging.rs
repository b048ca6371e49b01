// SPDX-License-Identifier: MIT

//! `tracing` events of this plugin, forwarded to GStreamer's debug log.
//!
//! The target of an event is the name of a debug category: the factory name of an element, or
//! `rustaudio` for the rest. `GST_DEBUG=rustvad:5` shows them as for any other element.
//!
//! `RUSTAUDIO_LOG_JSON=FILE` (or `stderr`) writes them as JSON lines too, those that
//! `RUSTAUDIO_LOG` names: a level, or `target=level,…`; `info` by default. Where the host
//! application has a `tracing` subscriber of its own (a Rust host with static registration), that
//! one gets everything instead. The cargo feature `no-log` removes all of it from the build.

use std::error::Error;
use std::fmt::{self, Write};
use std::sync::{Mutex, OnceLock};

use gst::prelude::*;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};

/// Debug categories, with what each one covers.
const CATEGORIES: [(&str, &str); 5] = [
    ("rustaudio", "Rust audio plugin"),
    ("rustaudioconvert", "Rust audio converter"),
    ("rustresample", "Rust audio resampler"),
    ("rustvad", "Rust voice activity detector"),
    ("pypipelinenode", "Python pipeline node"),
];

fn categories() -> &'static [(&'static str, gst::DebugCategory)] {
    static ALL: OnceLock<Vec<(&'static str, gst::DebugCategory)>> = OnceLock::new();
    ALL.get_or_init(|| {
        CATEGORIES
            .iter()
            .map(|(name, about)| {
                let category =
                    gst::DebugCategory::new(name, gst::DebugColorFlags::empty(), Some(about));
                (*name, category)
            })
            .collect()
    })
}

fn category(target: &str) -> gst::DebugCategory {
    let all = categories();
    all.iter()
        .find(|(name, _)| *name == target)
        .unwrap_or(&all[0])
        .1
}

fn to_gst(level: &Level) -> gst::DebugLevel {
    match *level {
        Level::ERROR => gst::DebugLevel::Error,
        Level::WARN => gst::DebugLevel::Warning,
        Level::INFO => gst::DebugLevel::Info,
        Level::DEBUG => gst::DebugLevel::Debug,
        Level::TRACE => gst::DebugLevel::Trace,
    }
}

fn to_tracing(level: gst::DebugLevel) -> LevelFilter {
    use gst::DebugLevel as L;
    match level {
        L::None => LevelFilter::OFF,
        L::Error => LevelFilter::ERROR,
        L::Warning | L::Fixme => LevelFilter::WARN,
        L::Info => LevelFilter::INFO,
        L::Debug => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// What an event is about, as a value of its field: JSON lines and other subscribers get the name, the
/// debug log the object itself, which it shows as `<rustvad0>`.
#[derive(Debug)]
struct About(gst::Object);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())
    }
}

/// Of the values that an event may have, errors alone can be cast back to what they were.
impl Error for About {}

/// `object` as the field `element` of an event, which every line of an element has:
/// `tracing::debug!(target: "rustvad", element = object(&*self.obj()), "…")`.
pub fn object(object: &impl IsA<gst::Object>) -> Box<dyn Error> {
    Box::new(About(object.clone().upcast()))
}

/// Writes an event as `message, field=value, …`.
#[derive(Default)]
struct Line {
    object: Option<gst::Object>,
    message: String,
    fields: String,
}

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, ", {}={value:?}", field.name())
        };
    }

    fn record_error(&mut self, field: &tracing::field::Field, value: &(dyn Error + 'static)) {
        match value.downcast_ref::<About>() {
            Some(about) => self.object = Some(about.0.clone()),
            None => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        let _ = write!(self.fields, ", {}={value}", field.name());
    }
}

/// Forwards events to the debug log.
struct DebugLog;

impl<S: Subscriber> Layer<S> for DebugLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line::default();
        event.record(&mut line);
        let file = gst::glib::GString::from(metadata.file().unwrap_or("?"));
        category(metadata.target()).log(
            line.object.as_ref(),
            to_gst(metadata.level()),
            file.as_gstr(),
            metadata.module_path().unwrap_or("?"),
            metadata.line().unwrap_or(0),
            format_args!("{}{}", line.message, line.fields),
        );
    }
}

/// Lets pass what the debug categories let pass.
struct ByCategory;

impl<S> Filter<S> for ByCategory {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.is_event()
            && to_tracing(category(metadata.target()).threshold()) >= *metadata.level()
    }

    // Thresholds change while the program runs: the answer for a callsite is never final, but the
    // level hint, which `refresh` renews, keeps what is off at the cost of one load.
    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        categories()
            .iter()
            .map(|(_, c)| to_tracing(c.threshold()))
            .max()
    }
}

/// Where JSON lines go, as `RUSTAUDIO_LOG_JSON` says.
fn json_sink() -> Option<Box<dyn std::io::Write + Send>> {
    let path = std::env::var("RUSTAUDIO_LOG_JSON").ok()?;
    if path == "stderr" {
        return Some(Box::new(std::io::stderr()));
    }
    match std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
    {
        Ok(file) => Some(Box::new(file)),
        Err(error) => {
            eprintln!("RUSTAUDIO_LOG_JSON: cannot write {path}: {error}");
            None
        }
    }
}

/// Which events become JSON lines, as `RUSTAUDIO_LOG` says: a level, or `target=level,…`.
fn json_filter() -> Targets {
    let wish = std::env::var("RUSTAUDIO_LOG").unwrap_or_else(|_| "info".into());
    wish.parse().unwrap_or_else(|error| {
        eprintln!("RUSTAUDIO_LOG={wish}: {error}; expected a level or target=level,…; using info");
        Targets::new().with_default(Level::INFO)
    })
}

/// Installs the bridge; later calls do nothing.
pub fn init() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        categories();
        let json = json_sink().map(|sink| {
            tracing_subscriber::fmt::layer()
                .json()
                .with_writer(Mutex::new(sink))
                .with_filter(json_filter())
        });
        let subscriber = tracing_subscriber::registry()
            .with(DebugLog.with_filter(ByCategory))
            .with(json);
        // An error means that the host has a subscriber of its own.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

/// Takes up thresholds that were changed at run time; elements call it on READY->PAUSED, so that
/// events which are off cost one load.
pub fn refresh() {
    tracing::callsite::rebuild_interest_cache();
}

#[cfg(all(test, not(feature = "no-log")))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn events_reach_the_debug_log_at_their_level() {
        gst::init().unwrap();
        init();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        gst::log::add_log_function(move |category, level, _, _, _, object, message| {
            if category.name() == "rustvad" {
                let text = message.get().map(|m| m.to_string()).unwrap_or_default();
                sink.lock()
                    .unwrap()
                    .push((level, object.map(|o| o.to_string()), text));
            }
        });
        let bin = gst::Bin::with_name("vad0");
        let emit = || {
            tracing::debug!(target: "rustvad", element = object(&bin), frames = 3, "segment starts");
            let error: &dyn Error = &fmt::Error;
            tracing::debug!(target: "rustvad", error, "of no element");
            tracing::trace!(target: "rustvad", "too fine");
        };
        category("rustvad").set_threshold(gst::DebugLevel::Warning);
        refresh();
        emit();
        assert!(lines.lock().unwrap().is_empty());
        category("rustvad").set_threshold(gst::DebugLevel::Debug);
        refresh();
        emit();
        assert_eq!(
            *lines.lock().unwrap(),
            [
                (
                    gst::DebugLevel::Debug,
                    Some("vad0".to_string()),
                    "segment starts, frames=3".to_string()
                ),
                (
                    gst::DebugLevel::Debug,
                    None,
                    format!("of no element, error={}", fmt::Error)
                )
            ]
        );
    }
}
