// SPDX-License-Identifier: MIT

//! A wait that others can end.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Ends waits at once, and keeps new ones from starting, until it is cleared.
#[derive(Debug, Default)]
pub struct Interrupt {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.raised.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Ends waits.
    pub fn raise(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Lets waits be again.
    pub fn clear(&self) {
        *self.lock() = false;
    }

    /// Whether waits are ended.
    pub fn is_raised(&self) -> bool {
        *self.lock()
    }

    /// Waits for `time`; false if it was interrupted.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let (raised, _) = self
            .changed
            .wait_timeout_while(self.lock(), time, |raised| !*raised)
            .unwrap_or_else(|e| e.into_inner());
        !*raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_raised_one_ends_running_and_later_waits() {
        let interrupt = Arc::new(Interrupt::default());
        let waiter = std::thread::spawn({
            let interrupt = interrupt.clone();
            // Would outlast the test.
            move || interrupt.wait(Duration::from_secs(3600))
        });
        interrupt.raise();
        assert!(!waiter.join().unwrap());
        assert!(!interrupt.wait(Duration::from_secs(3600)));
        interrupt.clear();
        assert!(!interrupt.is_raised());
        assert!(interrupt.wait(Duration::from_millis(1)));
    }
}
