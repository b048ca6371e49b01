// SPDX-License-Identifier: MIT

//! Entering and leaving the interpreter.
//!
//! Each streaming thread keeps one thread state from its first call to its end: making one per
//! call costs microseconds and would reset `threading.local` on every buffer. A gate keeps calls
//! out once the interpreter has begun to shut down, and lets those inside finish first: a thread
//! that asks for the GIL of a dying interpreter takes the process down.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::prelude::*;

static CLOSED: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Longest that shutdown waits for calls in flight.
const PATIENCE: Duration = Duration::from_secs(5);

/// A thread state of ours, parked between calls.
struct Kept {
    state: Cell<*mut ffi::PyThreadState>,
    /// Calls that are nested on this thread right now.
    depth: Cell<usize>,
}

thread_local! {
    static KEPT: Kept = const {
        Kept { state: Cell::new(std::ptr::null_mut()), depth: Cell::new(0) }
    };
}

impl Drop for Kept {
    fn drop(&mut self) {
        let state = self.state.get();
        if state.is_null() || !pass() {
            return;
        }
        // SAFETY: the state is ours, parked, of this thread, and the interpreter is alive as long
        // as we are inside the gate. The release undoes the one `Ensure` that made it.
        unsafe {
            ffi::PyEval_RestoreThread(state);
            ffi::PyGILState_Release(ffi::PyGILState_STATE::PyGILState_UNLOCKED);
        }
        INSIDE.fetch_sub(1, SeqCst);
    }
}

/// Steps inside unless the gate is closed; whoever got in counts `INSIDE` down.
fn pass() -> bool {
    INSIDE.fetch_add(1, SeqCst);
    if CLOSED.load(SeqCst) {
        INSIDE.fetch_sub(1, SeqCst);
        return false;
    }
    true
}

/// How this thread got the GIL, and so how it gives it back.
enum Way {
    Kept,
    Ensured(ffi::PyGILState_STATE),
}

struct Inside(Way);

impl Inside {
    fn enter() -> Option<Self> {
        if !pass() {
            return None;
        }
        let way = KEPT
            .try_with(|kept| {
                let nested = kept.depth.replace(kept.depth.get() + 1) > 0;
                let state = kept.state.get();
                // SAFETY: the interpreter runs, since we passed the gate. A parked state of ours
                // is current again only here, where no call of ours is on this thread's stack.
                unsafe {
                    if !state.is_null() && !nested {
                        ffi::PyEval_RestoreThread(state);
                        return Way::Kept;
                    }
                    let foreign = !ffi::PyGILState_GetThisThreadState().is_null();
                    let ensured = ffi::PyGILState_Ensure();
                    if foreign {
                        // A Python thread's own state, which dies with that thread: not ours to
                        // keep.
                        return Way::Ensured(ensured);
                    }
                    kept.state.set(ffi::PyThreadState_Get());
                    Way::Kept
                }
            })
            // The thread is being torn down: nothing can be kept any more.
            // SAFETY: as above.
            .unwrap_or_else(|_| Way::Ensured(unsafe { ffi::PyGILState_Ensure() }));
        Some(Self(way))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = KEPT.try_with(|kept| kept.depth.set(kept.depth.get().saturating_sub(1)));
        // SAFETY: undoes what `enter` did on this thread.
        unsafe {
            match self.0 {
                Way::Kept => {
                    ffi::PyEval_SaveThread();
                }
                Way::Ensured(state) => ffi::PyGILState_Release(state),
            }
        }
        INSIDE.fetch_sub(1, SeqCst);
    }
}

/// Runs `work` with the GIL, telling it how long that took to get, in ns; `None` once the
/// interpreter is shutting down.
pub fn attached<R>(work: impl FnOnce(Python<'_>, u64) -> R) -> Option<R> {
    let asked = Instant::now();
    let inside = Inside::enter()?;
    let waited = asked.elapsed().as_nanos() as u64;
    // PyO3 keeps a count of its own; this nests within what `enter` took.
    let result = Python::attach(|py| work(py, waited));
    drop(inside);
    Some(result)
}

/// Closes the gate and waits, without the GIL, until all calls are out.
#[pyfunction]
fn close_gate(py: Python<'_>) {
    CLOSED.store(true, SeqCst);
    py.detach(|| {
        let since = Instant::now();
        while INSIDE.load(SeqCst) > 0 && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Has the interpreter close the gate first thing when it shuts down. Callbacks run last in, first
/// out: a node's own, registered later, still finds the gate open.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let callback = wrap_pyfunction!(close_gate, py)?;
    py.import("atexit")?.call_method1("register", (callback,))?;
    Ok(())
}
