// SPDX-License-Identifier: MIT

//! Tables that all users of one configuration share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

/// Locks `mutex`. What is guarded here is still good after a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What `place` holds, or else what `make` gives. Threads that come at once each make one, and the first is kept: none
/// waits while another makes its own, since in a process that was forked meanwhile that one is never ready.
#[inline]
pub fn get_or_make<T>(place: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(made) = place.get() {
        return made;
    }
    let made = make();
    // Nothing is left to do but to move it there, which takes no longer than some stores.
    place.get_or_init(|| made)
}

/// The place of one table. It has a lock of its own, so that a table that takes long to make holds
/// up nobody but those who want the same one.
type Slot<V> = Arc<Mutex<Weak<V>>>;

/// Tables of one process. Another one, forked from it, has its own: a thread that it does not have may have held
/// the locks when it was forked, and would never let go of them.
///
/// Systems give the number of a process that has ended to another one. One that gets the number of an ancestor uses
/// the copies of that one's tables, which are as good as its own, and waits for ever only where a lock among them was
/// held when that ancestor forked.
struct Process<K, V> {
    id: u32,
    slots: Mutex<HashMap<K, Slot<V>>>,
    forked: OnceLock<Box<Self>>,
}

/// Tables by the exact configuration that they were made for. A table lives as long as somebody
/// uses it, and is made once for all who do at the same time.
pub struct Shared<K, V> {
    first: OnceLock<Box<Process<K, V>>>,
}

/// The number of this process, where processes fork.
fn process() -> u32 {
    match cfg!(unix) {
        true => std::process::id(),
        false => 0,
    }
}

impl<K: Eq + Hash, V> Shared<K, V> {
    /// Empty; for a `static`.
    pub const fn new() -> Self {
        Self {
            first: OnceLock::new(),
        }
    }

    /// The tables of the process numbered `id`.
    fn slots(&self, id: u32) -> MutexGuard<'_, HashMap<K, Slot<V>>> {
        let mut place = &self.first;
        loop {
            let found = get_or_make(place, || {
                Box::new(Process {
                    id,
                    slots: Mutex::default(),
                    forked: OnceLock::new(),
                })
            });
            if found.id == id {
                return lock(&found.slots);
            }
            place = &found.forked;
        }
    }

    /// The table for `key`: the one in use, or else what `make` gives.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        self.get_of(process(), key, make)
    }

    /// The same in the process numbered `id`.
    fn get_of<E>(&self, id: u32, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let slot = {
            let mut slots = self.slots(id);
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
        let slots = self.slots(process());
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
        assert!(!cache.slots(process()).contains_key(&3));
    }

    #[test]
    fn a_failure_is_passed_on_and_leaves_nothing() {
        let cache: Shared<u32, u8> = Shared::new();
        assert_eq!(cache.get(1, || Err("no")), Err("no"));
        assert_eq!(cache.get(1, || Ok::<_, &str>(7)).as_deref(), Ok(&7));
    }

    #[test]
    fn a_forked_process_waits_for_no_lock_of_its_parent() {
        let cache: Shared<u32, u8> = Shared::new();
        let get = |id, make: &dyn Fn() -> u8| match cache.get_of(id, 5, || Ok::<_, &str>(make())) {
            Ok(table) => table,
            Err(e) => panic!("{e}"),
        };
        // While the parent makes a table, and looks for its place.
        let (made, _looking) = (
            get(1, &|| {
                let child = get(2, &|| 2);
                assert!(Arc::ptr_eq(&child, &get(2, &|| 3)));
                *child - 1
            }),
            cache.slots(1),
        );
        assert_eq!((*made, *get(2, &|| 7), *get(3, &|| 8)), (1, 7, 8));
    }

    #[test]
    fn what_is_being_made_elsewhere_is_made_again_and_not_waited_for() {
        let place = OnceLock::new();
        // As in a process that was forked while the parent made it.
        let made = get_or_make(&place, || *get_or_make(&place, || 1) + 1);
        assert_eq!((*made, place.get()), (1, Some(&1)));
        assert_eq!(*get_or_make(&place, || 3), 1);
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
