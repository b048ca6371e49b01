// SPDX-License-Identifier: MIT

//! Whether an element gets no more buffers.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::elements::support::watch::Watch;

/// What a look at an element now and then sees of its work.
#[derive(Default)]
pub struct Stall {
    /// A buffer came since the last look.
    active: AtomicBool,
    /// It is at work now.
    working: AtomicBool,
    stalled: AtomicBool,
    pub watch: Watch,
}

impl Stall {
    #[inline]
    pub fn begin_work(&self) {
        self.come();
        self.working.store(true, Relaxed);
    }

    /// A buffer came.
    #[inline]
    pub fn come(&self) {
        self.active.store(true, Relaxed);
        if self.stalled.load(Relaxed) {
            self.stalled.store(false, Relaxed);
        }
    }

    #[inline]
    pub fn end_work(&self) {
        self.working.store(false, Relaxed);
    }

    /// No look before the next whole wait finds a stall.
    pub fn begin_watch(&self) {
        self.active.store(true, Relaxed);
    }

    pub fn end_watch(&self) {
        self.watch.stop();
        self.clear();
    }

    pub fn clear(&self) {
        self.stalled.store(false, Relaxed);
    }

    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Relaxed)
    }

    /// Whether no buffer came since the last look and none is under way, where `matters` says that there
    /// should be some.
    pub fn look(&self, matters: impl FnOnce() -> bool) -> bool {
        let idle = !self.active.swap(false, Relaxed) && !self.working.load(Relaxed);
        let stalled = idle && matters();
        self.stalled.store(stalled, Relaxed);
        stalled
    }
}
