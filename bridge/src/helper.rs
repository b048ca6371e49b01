// SPDX-License-Identifier: MIT

//! The Python side of the bridge: what nodes are made, called and described with.

use std::ffi::{CStr, CString};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

const SOURCE: &str = concat!(
    include_str!("faults.py"),
    include_str!("texts.py"),
    include_str!("event_loop.py"),
    include_str!("node.py")
);

/// The helper module that these files become.
static HELPER: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// The module, made at the first call.
pub fn helper(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    let module = HELPER.get_or_try_init(py, || -> PyResult<_> {
        let source = CString::new(SOURCE).map_err(|e| {
            pyo3::exceptions::PyValueError::new_err(format!("the helper has a NUL: {e}"))
        })?;
        let file: &CStr = c"<rustaudio>/node.py";
        Ok(PyModule::from_code(py, &source, file, c"_rustaudio_node")?.unbind())
    })?;
    Ok(module.bind(py))
}
