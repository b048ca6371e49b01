// SPDX-License-Identifier: MIT

//! What every element lets be set of its metrics, and what it lets be asked.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use gst::glib;
use gst::prelude::*;

use crate::elements::support::properties::{Live, Property, Table, field, property};

/// Between two periodic messages, in ns of media time, unless set otherwise.
pub const DEFAULT_INTERVAL: u64 = 1_000_000_000;

#[derive(Clone)]
struct Settings {
    post: bool,
    interval: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            post: true,
            interval: DEFAULT_INTERVAL,
        }
    }
}

static PROPERTIES: LazyLock<Table<Settings>> = LazyLock::new(table);

/// Made anew for each kind of element: GObject lets a class have no specification of another's.
fn table() -> Table<Settings> {
    Table::new(vec![
        property("post-metrics", field!(Settings.post)).mutable_playing(
            "Post metrics",
            "Time every buffer and post `rustaudio-metrics` element messages; without it only the \
             counters are kept",
        ),
        property("metrics-interval", field!(Settings.interval)).mutable_playing(
            "Metrics interval",
            "Window of one metrics message in ns of media time (0 = only at the end)",
        ),
    ])
}

/// The properties that every element has, for the end of its table: `ElementMetrics` knows their values.
pub fn properties<S>(factory: &str) -> Vec<Property<S>> {
    let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb(&format!(
            "The fields of the metrics message now, as application/x-{factory}-stats; times in ns, \
             sizes in bytes"
        ))
        .read_only()
        .build();
    let json = glib::ParamSpecString::builder("stats-json")
        .nick("Statistics as JSON")
        .blurb(
            "The fields of the metrics message now, as a JSON object; times in ns, sizes in bytes",
        )
        .read_only()
        .build();
    let settable = table();
    let all = settable.specs().iter().cloned().chain([stats, json]);
    all.map(Property::told).collect()
}

/// What is set, to be read for each buffer without a lock.
pub struct Switches {
    post: AtomicBool,
    interval: AtomicU64,
    settings: Live<Settings>,
}

impl Default for Switches {
    fn default() -> Self {
        let Settings { post, interval } = Settings::default();
        Self {
            post: AtomicBool::new(post),
            interval: AtomicU64::new(interval),
            settings: Live::default(),
        }
    }
}

impl Switches {
    /// Whether buffers are timed and messages posted.
    #[inline]
    pub fn post(&self) -> bool {
        self.post.load(Relaxed)
    }

    /// Media time of a window in ns; 0: only the final message is posted.
    #[inline]
    pub fn interval(&self) -> u64 {
        self.interval.load(Relaxed)
    }

    /// Whether messages come before the end too.
    pub fn post_windows(&self) -> bool {
        self.post() && self.interval() > 0
    }

    /// Sets a property; false where none of that name can be set.
    pub fn set(&self, name: &str, value: &glib::Value) -> bool {
        let known = self.settings.change(|settings| {
            let known = PROPERTIES.set(settings, name, value)?;
            self.post.store(settings.post, Relaxed);
            self.interval.store(settings.interval, Relaxed);
            Ok::<_, String>(known)
        });
        known == Ok(true)
    }

    /// The value of a property; `None` where none of that name can be set.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        PROPERTIES.get(&self.settings.get(), name)
    }
}
