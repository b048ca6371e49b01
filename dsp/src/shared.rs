// SPDX-License-Identifier: MIT

//! Tables that all users of one configuration share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Weak};

/// Locks `mutex`. What is guarded here is still good after a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The place of one table. It has a lock of its own, so that a table that takes long to make holds
/// up nobody but those who want the same one.
type Slot<V> = Arc<Mutex<Weak<V>>>;

/// Tables by the exact configuration that they were made for. A table lives as long as somebody
/// uses it, and is made once for all who do at the same time.
pub struct Shared<K, V> {
    slots: LazyLock<Mutex<HashMap<K, Slot<V>>>>,
}

impl<K: Eq + Hash, V> Shared<K, V> {
    /// Empty; for a `static`.
    pub const fn new() -> Self {
        Self {
            slots: LazyLock::new(Mutex::default),
        }
    }

    /// The table for `key`: the one in use, or else what `make` gives.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let slot = {
            let mut slots = lock(&self.slots);
            // Whoever is about to fill a slot holds it, too.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
            slots.entry(key).or_default().clone()
        };
        let mut table = lock(&slot);
        if let Some(table) = table.upgrade() {
            return Ok(table);
        }
        let made = Arc::new(make()?);
        *table = Arc::downgrade(&made);
        Ok(made)
    }

    /// [`get`](Self::get) of a table that can always be made.
    pub fn get_always(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let made: Result<_, std::convert::Infallible> = self.get(key, || Ok(make()));
        let Ok(table) = made;
        table
    }

    /// Tables in use.
    #[cfg(test)]
    fn in_use(&self) -> usize {
        let slots = lock(&self.slots);
        slots
            .values()
            .filter(|s| lock(s).strong_count() > 0)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn equal_keys_share_and_the_last_user_frees() {
        let cache: Shared<u32, Vec<u8>> = Shared::new();
        let make = |n: u32| cache.get_always(n, || vec![0; n as usize]);
        let (a, b, other) = (make(3), make(3), make(4));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &other));
        assert_eq!((other.len(), cache.in_use()), (4, 2));
        let gone = Arc::downgrade(&a);
        drop(a);
        assert_eq!(cache.in_use(), 2);
        drop(b);
        assert_eq!((cache.in_use(), gone.strong_count()), (1, 0));
        // The next table clears away what is left of the dead one.
        make(5);
        assert!(!lock(&cache.slots).contains_key(&3));
    }

    #[test]
    fn a_failure_is_passed_on_and_leaves_nothing() {
        let cache: Shared<u32, u8> = Shared::new();
        assert_eq!(cache.get(1, || Err("no")), Err("no"));
        assert_eq!(cache.get(1, || Ok::<_, &str>(7)).as_deref(), Ok(&7));
    }

    #[test]
    fn threads_that_come_at_once_make_one() {
        let cache: Shared<u32, usize> = Shared::new();
        let made = AtomicUsize::new(0);
        let barrier = std::sync::Barrier::new(8);
        let keep = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    let table = cache.get_always(1, || made.fetch_add(1, Relaxed));
                    lock(&keep).push(table);
                });
            }
        });
        assert_eq!(made.load(Relaxed), 1);
    }
}
