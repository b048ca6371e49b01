// SPDX-License-Identifier: MIT

//! Looks after something now and then, on the system clock's thread: a watch takes no thread.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::resilience::lock;

/// What is looked after.
pub trait Watched: Send + Sync + 'static {
    fn watch(&self) -> &Watch;

    /// Clock time until the next look, in ns.
    fn wait(&self) -> u64;

    /// One look; true where [`act`](Self::act) is to follow. No start or end of the watch comes in
    /// between, so it must not wait for anything.
    fn look(&self) -> bool;

    /// Called with nothing held, on a thread that all waits of the process share.
    fn act(&self);
}

/// The wait for the next look.
#[derive(Default)]
pub struct Watch(Mutex<Wait>);

#[derive(Default)]
struct Wait {
    /// Raised by every start and end, so that a look that was under way then does nothing more.
    generation: u64,
    id: Option<gst::SingleShotClockId>,
}

impl Watch {
    /// Looks after `what` from now on.
    pub fn start<T: Watched>(what: &Arc<T>) {
        let mut wait = lock(&what.watch().0);
        wait.generation += 1;
        Self::arm(what, &mut wait);
    }

    /// Ends the watch.
    pub fn stop(&self) {
        let mut wait = lock(&self.0);
        wait.generation += 1;
        let id = wait.id.take();
        drop(wait);
        if let Some(id) = id {
            id.unschedule();
        }
    }

    /// Each wait starts from now, so that a clock thread that was held up has no backlog to go
    /// through.
    fn arm<T: Watched>(what: &Arc<T>, wait: &mut Wait) {
        let clock = gst::SystemClock::obtain();
        let time = gst::ClockTime::from_nseconds(what.wait().min(u64::MAX / 4));
        let id = clock.new_single_shot_id(clock.time() + time);
        let (weak, generation) = (Arc::downgrade(what), wait.generation);
        let waiting = id.wait_async(move |_, _, _| {
            if let Some(what) = weak.upgrade() {
                Self::look(&what, generation);
            }
        });
        wait.id = waiting.is_ok().then_some(id);
    }

    fn look<T: Watched>(what: &Arc<T>, generation: u64) {
        let mut wait = lock(&what.watch().0);
        if wait.generation != generation {
            return;
        }
        let act = what.look();
        Self::arm(what, &mut wait);
        drop(wait);
        if act {
            what.act();
        }
    }
}
