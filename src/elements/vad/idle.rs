// SPDX-License-Identifier: MIT

//! Notices that no more data comes while somebody speaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::elements::support::watch::{Watch, Watched};

/// Looks at an element per timeout: data has come in neither of so many, and it is over.
const LOOKS: u32 = 2;
/// Between two looks, at least and where there is no timeout, in ns.
const SHORTEST_LOOK: u64 = 10_000_000;
const NO_TIMEOUT_LOOK: u64 = 1_000_000_000;

/// What an element knows of its data, and the watch over it.
#[derive(Default)]
pub struct Idle {
    watch: Watch,
    element: glib::WeakRef<super::Vad>,
    /// In ns; 0 = none.
    timeout: AtomicU64,
    playing: AtomicBool,
    /// Data came since the last look.
    came: AtomicBool,
    /// Data is under way, here or further down.
    busy: AtomicBool,
    /// A segment is open.
    open: AtomicBool,
    /// Looks since the last one that saw data.
    quiet: AtomicU32,
}

/// As long as it lives, data is under way.
#[must_use]
pub struct Busy<'a>(&'a Idle);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Relaxed);
    }
}

impl Idle {
    /// Whose data this is; at construction.
    pub fn set_element(&self, element: &super::Vad) {
        self.element.set(Some(element));
    }

    /// Takes effect at once.
    pub fn set_timeout(this: &Arc<Self>, ns: u64) {
        if this.timeout.swap(ns, Relaxed) != ns && this.playing.load(Relaxed) {
            Watch::start(this);
        }
    }

    pub fn set_open(&self, open: bool) {
        self.open.store(open, Relaxed);
    }

    /// Data comes.
    pub fn busy(&self) -> Busy<'_> {
        self.came.store(true, Relaxed);
        self.busy.store(true, Relaxed);
        Busy(self)
    }

    /// Data came since the last look.
    pub fn data_came(&self) -> bool {
        self.came.load(Relaxed)
    }

    /// The element starts to play.
    pub fn play(this: &Arc<Self>) {
        this.came.store(true, Relaxed);
        this.playing.store(true, Relaxed);
        Watch::start(this);
    }

    /// It no longer plays: nobody expects data.
    pub fn pause(&self) {
        self.playing.store(false, Relaxed);
        self.watch.stop();
    }
}

impl Watched for Idle {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn wait(&self) -> u64 {
        match self.timeout.load(Relaxed) {
            0 => NO_TIMEOUT_LOOK,
            ns => (ns / u64::from(LOOKS)).max(SHORTEST_LOOK),
        }
    }

    fn look(&self) -> bool {
        let came = self.came.swap(false, Relaxed) || self.busy.load(Relaxed);
        if came || !self.open.load(Relaxed) || self.timeout.load(Relaxed) == 0 {
            self.quiet.store(0, Relaxed);
            return false;
        }
        let over = self.quiet.fetch_add(1, Relaxed) + 1 >= LOOKS;
        if over {
            self.quiet.store(0, Relaxed);
        }
        over
    }

    /// What is held goes downstream, which may take long: not on the clock's thread.
    fn act(&self) {
        if let Some(element) = self.element.upgrade() {
            element.call_async(|element| element.imp().end_cut_off_segment());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks<const N: usize>(idle: &Idle) -> [bool; N] {
        std::array::from_fn(|_| idle.look())
    }

    #[test]
    fn only_an_open_segment_without_data_is_over() {
        let idle = Arc::new(Idle::default());
        Idle::set_timeout(&idle, 2_000_000_000);
        assert_eq!(idle.wait(), 1_000_000_000);
        assert_eq!(looks(&idle), [false; 5], "nobody speaks");
        drop(idle.busy());
        idle.set_open(true);
        // The look that still sees the data does not count.
        assert_eq!(looks(&idle), [false, false, true, false, true]);
        drop(idle.busy());
        assert_eq!(looks(&idle), [false, false]);
        drop(idle.busy());
        assert_eq!(looks(&idle), [false, false, true]);
        let held_up = idle.busy();
        assert_eq!(looks(&idle), [false; 5], "who comes after takes its time");
        drop(held_up);
        assert_eq!(looks(&idle), [false, true]);
        Idle::set_timeout(&idle, 0);
        assert_eq!(looks(&idle), [false; 5], "never");
    }
}
