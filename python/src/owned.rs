// SPDX-License-Identifier: MIT

//! State that one thread uses at a time: a second one gets an error rather than to wait, which it would
//! do with the GIL held.

use std::sync::{Mutex, MutexGuard, TryLockError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The state of an object of class `name`.
pub fn owned<'a, T>(state: &'a Mutex<T>, name: &str) -> PyResult<MutexGuard<'a, T>> {
    match state.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(format!(
            "another thread uses this {name}: give each stream one of its own"
        ))),
    }
}
