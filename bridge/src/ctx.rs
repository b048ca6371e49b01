// SPDX-License-Identifier: MIT

//! What a node learns about the audio it was given: `ctx`.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::abi::{Host, Moment, NO_TIME, Text};

/// The plugin's callbacks of one node; dropped with the last `ctx` that a node may have kept.
pub struct Calls(pub Host);

// SAFETY: the ABI lets any thread call these.
unsafe impl Send for Calls {}
// SAFETY: as above.
unsafe impl Sync for Calls {}

impl Drop for Calls {
    fn drop(&mut self) {
        (self.0.drop)(self.0.data);
    }
}

/// Tells the event loop of a node when a call shall end.
#[pyclass(frozen, module = "rustaudio")]
pub struct Limits(pub Arc<Calls>);

#[pymethods]
impl Limits {
    /// 0, or why a call of `elapsed` ns shall end, which may take `least` ns in any case.
    fn over(&self, elapsed: u64, least: u64) -> i32 {
        let host = &self.0.0;
        (host.over)(host.data, elapsed, least)
    }
}

/// The stream as a node sees it; set at each start.
#[derive(Default)]
pub struct Stream {
    pub rate: u32,
    pub channels: u32,
    pub format: Option<Py<PyString>>,
    pub caps: Option<Py<PyString>>,
}

/// Passed to `process` with every array. Times are ints in ns, or None where not known.
#[pyclass(frozen, module = "rustaudio")]
pub struct Ctx {
    pub moment: Moment,
    pub stream: Arc<Stream>,
    pub calls: Arc<Calls>,
}

fn time(ns: u64) -> Option<u64> {
    (ns != NO_TIME).then_some(ns)
}

#[pymethods]
impl Ctx {
    #[getter]
    fn pts(&self) -> Option<u64> {
        time(self.moment.pts)
    }
    #[getter]
    fn duration(&self) -> Option<u64> {
        time(self.moment.duration)
    }
    #[getter]
    fn stream_time(&self) -> Option<u64> {
        time(self.moment.stream_time)
    }
    #[getter]
    fn running_time(&self) -> Option<u64> {
        time(self.moment.running_time)
    }
    #[getter]
    fn rate(&self) -> u32 {
        self.stream.rate
    }
    #[getter]
    fn channels(&self) -> u32 {
        self.stream.channels
    }
    #[getter]
    fn format(&self, py: Python<'_>) -> Option<Py<PyString>> {
        self.stream.format.as_ref().map(|s| s.clone_ref(py))
    }
    #[getter]
    fn caps(&self, py: Python<'_>) -> Option<Py<PyString>> {
        self.stream.caps.as_ref().map(|s| s.clone_ref(py))
    }
    /// True in speech, False in silence, None without a rustvad upstream.
    #[getter]
    fn speech(&self) -> Option<bool> {
        (self.moment.speech >= 0).then_some(self.moment.speech > 0)
    }
    /// Number of the speech segment, from 1; None outside of one.
    #[getter]
    fn utterance(&self) -> Option<u64> {
        (self.moment.utterance > 0).then_some(self.moment.utterance)
    }
    /// 1, or more for a retry.
    #[getter]
    fn attempt(&self) -> u32 {
        self.moment.attempt
    }
    /// The audio does not follow on what came before.
    #[getter]
    fn discont(&self) -> bool {
        self.moment.discont
    }
    /// The audio stands for a gap.
    #[getter]
    fn gap(&self) -> bool {
        self.moment.gap
    }
    /// The stream's segment: a dict of rate, start, stop, time and base.
    #[getter]
    fn segment<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let s = &self.moment.segment;
        let dict = PyDict::new(py);
        dict.set_item("rate", s.rate)?;
        dict.set_item("start", time(s.start))?;
        dict.set_item("stop", time(s.stop))?;
        dict.set_item("time", time(s.time))?;
        dict.set_item("base", time(s.base))?;
        Ok(dict)
    }

    /// Posts an element message `name` with `fields` on the pipeline's bus.
    #[pyo3(signature = (name, **fields))]
    fn post(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        fields: Option<Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let fields = fields.unwrap_or_else(|| PyDict::new(py));
        let json: String = crate::helper::helper(py)?
            .call_method1("posted", (name, fields))?
            .extract()?;
        let name: String = name.extract()?;
        let host = self.calls.clone();
        py.detach(|| (host.0.post)(host.0.data, Text::new(&name), Text::new(&json)));
        Ok(())
    }

    /// Writes to GStreamer's debug log: level `error`, `warning`, `info`, `debug` or `trace`.
    fn log(&self, py: Python<'_>, level: &str, text: &Bound<'_, PyAny>) -> PyResult<()> {
        if !["error", "warning", "info", "debug", "trace"].contains(&level) {
            return Err(PyTypeError::new_err(format!(
                "log level {level:?}; expected error, warning, info, debug or trace"
            )));
        }
        let line: String = crate::helper::helper(py)?
            .call_method1("clean", (text.str()?,))?
            .extract()?;
        let host = self.calls.clone();
        py.detach(|| (host.0.log)(host.0.data, Text::new(level), Text::new(&line)));
        Ok(())
    }
}
