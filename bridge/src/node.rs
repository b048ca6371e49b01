// SPDX-License-Identifier: MIT

//! The functions of the ABI: a node from its construction to its end.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::abi::{Block, Host, Moment, Outcome, Output, OwnedText, Status, Text};
use crate::array::{self, View};
use crate::ctx::{Calls, Ctx, Limits, Stream};
use crate::helper::helper;
use crate::{Answer, Trouble, gate, guarded, panic_text};

/// One node; the plugin calls it from one thread at a time.
struct Node {
    object: Py<PyAny>,
    call: Py<PyAny>,
    takes_ctx: bool,
    file: Option<String>,
    /// The last `ctx`, taken again if the node did not keep it.
    stream: Arc<Stream>,
    calls: Arc<Calls>,
    planar: bool,
    sample_bytes: usize,
    outputs: Vec<Output>,
}

/// Describes an exception as JSON; falls back to its bare text.
pub fn describe(py: Python<'_>, error: PyErr, file: Option<&str>) -> String {
    let fallback = || {
        let text = error
            .to_string()
            .replace(|c: char| c.is_control() || "\"\\".contains(c), " ");
        format!(r#"{{"exception": "Exception", "types": [], "message": "{text}"}}"#)
    };
    helper(py)
        // Into a value, since only that has the traceback on Python 3.11 and older.
        .and_then(|m| m.call_method1("describe", (error.clone_ref(py).into_value(py), file)))
        .and_then(|t| t.extract())
        .unwrap_or_else(|_| fallback())
}

pub extern "C" fn init(config: Text, answer: *mut OwnedText) -> Status {
    // SAFETY: the ABI has `answer` valid and `config` alive.
    let (answer, config) = unsafe { (&mut *answer, config.as_str()) };
    guarded(answer, None, |py| {
        let json = py.import("json")?;
        let config = json.call_method1("loads", (config,))?;
        let site = py.import("site")?;
        let sys = py.import("sys")?;
        for folder in config.get_item("site")?.try_iter()? {
            let folder = folder?;
            // In front of the rest, as in the environment it belongs to.
            let path = sys.getattr("path")?;
            let before = path.len()?;
            site.call_method1("addsitedir", (folder,))?;
            let path = path.cast::<PyList>().map_err(PyErr::from)?;
            let added = path.get_slice(before, path.len());
            path.del_slice(before, path.len())?;
            path.set_slice(1.min(before), 1.min(before), &added)?;
        }
        let about = PyDict::new(py);
        about.set_item("version", sys.getattr("version")?)?;
        about.set_item("prefix", sys.getattr("prefix")?)?;
        // The numpy crate panics without numpy.
        match py.import("numpy") {
            Ok(numpy) => about.set_item("numpy", numpy.getattr("__version__")?)?,
            Err(error) => about.set_item("numpy-error", error.to_string())?,
        }
        if about.contains("numpy")? {
            helper(py)?;
            gate::install(py)?;
        }
        Ok(json.call_method1("dumps", (about,))?.extract()?)
    })
}

impl Node {
    /// Takes up what a load or reload found.
    fn refresh(&mut self, py: Python<'_>) -> PyResult<()> {
        let object = self.object.bind(py);
        self.call = object.getattr("call")?.unbind();
        self.takes_ctx = object.getattr("takes_ctx")?.extract()?;
        self.file = object.getattr("file")?.extract()?;
        Ok(())
    }

    fn start(&mut self, py: Python<'_>, info: &str) -> Answer {
        let object = self.object.bind(py).clone();
        let wanted: String = object.call_method1("start", (info,))?.extract()?;
        let output = object.getattr("output")?;
        self.planar = output.getattr("planar")?.extract()?;
        self.sample_bytes = output.getattr("dtype")?.getattr("itemsize")?.extract()?;
        let info = object.getattr("info")?;
        let text = |key: &str| -> PyResult<_> {
            Ok(Some(
                info.get_item(key)?
                    .cast_into()
                    .map_err(PyErr::from)?
                    .unbind(),
            ))
        };
        self.stream = Arc::new(Stream {
            rate: info.get_item("rate")?.extract()?,
            channels: info.get_item("channels")?.extract()?,
            format: text("format")?,
            caps: text("caps")?,
        });
        Ok(wanted)
    }

    /// One call: in place, or with the arrays that the node gave back.
    fn run(&mut self, py: Python<'_>, block: &Block, moment: &Moment) -> (PyResult<bool>, bool) {
        let (view, array) = match View::new(py, block) {
            Ok(made) => made,
            Err(error) => return (Err(error), false),
        };
        let result = self.invoke(py, array, moment);
        // The arguments are gone; what remains is what the node kept, or gave back.
        let result = result.and_then(|arrays| self.take_all(py, arrays));
        if result.is_err() {
            self.forget();
        }
        (result, view.end(py))
    }

    /// Takes the arrays that a call gave back; false if it gave none.
    fn take_all(
        &mut self,
        py: Python<'_>,
        arrays: Option<Vec<Bound<'_, PyAny>>>,
    ) -> PyResult<bool> {
        let Some(arrays) = arrays else {
            return Ok(false);
        };
        arrays
            .into_iter()
            .try_for_each(|array| self.take(py, array))?;
        Ok(true)
    }

    /// Gives back what was taken.
    fn forget(&mut self) {
        self.outputs
            .drain(..)
            .for_each(|o| array::release(o.object));
    }

    fn take(&mut self, py: Python<'_>, array: Bound<'_, PyAny>) -> PyResult<()> {
        let output = array::output(py, array, self.planar, self.sample_bytes)?;
        self.outputs.push(output);
        Ok(())
    }

    /// The arrays that the call returned; those of a generator are taken already.
    fn invoke<'py>(
        &mut self,
        py: Python<'py>,
        array: Bound<'py, PyAny>,
        moment: &Moment,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let call = self.call.bind(py);
        let result = if self.takes_ctx {
            call.call1((&array, self.ctx(py, moment)?))?
        } else {
            call.call1((&array,))?
        };
        if result.is_none() || result.is(&array) {
            return Ok(None);
        }
        self.arrays(py, result)
    }

    fn ctx<'py>(&self, py: Python<'py>, moment: &Moment) -> PyResult<Bound<'py, Ctx>> {
        Bound::new(
            py,
            Ctx {
                moment: *moment,
                stream: self.stream.clone(),
                calls: self.calls.clone(),
            },
        )
    }

    /// What the node still holds, as outputs; true if that is anything.
    fn drain(&mut self, py: Python<'_>, moment: &Moment) -> PyResult<bool> {
        let ctx = self.ctx(py, moment)?;
        let result = self
            .object
            .bind(py)
            .call_method1(intern!(py, "drain"), (ctx,))?;
        if result.is_none() {
            return Ok(false);
        }
        let arrays = self.arrays(py, result)?;
        self.take_all(py, arrays)
    }

    /// The arrays that `result` is made of; those of a generator are taken already.
    fn arrays<'py>(
        &mut self,
        py: Python<'py>,
        result: Bound<'py, PyAny>,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let outputs = self
            .object
            .bind(py)
            .call_method1(intern!(py, "outputs"), (result,))?;
        if outputs.is_none() {
            return Ok(None);
        }
        match outputs.cast_into::<PyList>() {
            // The list goes before the count of references is taken.
            Ok(list) => Ok(Some(list.iter().collect())),
            Err(lazy) => {
                for array in lazy.into_inner().try_iter()? {
                    self.take(py, array?)?;
                }
                Ok(Some(Vec::new()))
            }
        }
    }
}

pub extern "C" fn new(
    spec: Text,
    host: Host,
    node: *mut *mut c_void,
    answer: *mut OwnedText,
) -> Status {
    // SAFETY: the ABI has `answer` valid and `spec` alive.
    let (answer, spec) = unsafe { (&mut *answer, spec.as_str()) };
    let calls = Arc::new(Calls(host));
    let mut made = None;
    let status = guarded(answer, None, |py| {
        let limits = Bound::new(py, Limits(calls.clone()))?;
        let object = helper(py)?.call_method1("Node", (spec, limits))?;
        let about: String = object.call_method0("describe")?.extract()?;
        let mut node = Node {
            call: object.clone().unbind(),
            object: object.unbind(),
            takes_ctx: false,
            file: None,
            stream: Arc::default(),
            calls,
            planar: false,
            sample_bytes: 1,
            outputs: Vec::new(),
        };
        node.refresh(py)?;
        made = Some(node);
        Ok(about)
    });
    if let Some(made) = made {
        // SAFETY: `node` is valid.
        unsafe { *node = Box::into_raw(Box::new(made)).cast() };
    }
    status
}

/// # Safety
/// `node` came from [`new`] and is used by this thread alone.
unsafe fn borrow<'a>(node: *mut c_void) -> &'a mut Node {
    // SAFETY: see above.
    unsafe { &mut *node.cast::<Node>() }
}

pub extern "C" fn start(node: *mut c_void, info: Text, answer: *mut OwnedText) -> Status {
    // SAFETY: the ABI has all of them valid.
    let (node, info, answer) = unsafe { (borrow(node), info.as_str(), &mut *answer) };
    let file = node.file.clone();
    guarded(answer, file.as_deref(), |py| node.start(py, info))
}

pub extern "C" fn reload(node: *mut c_void, answer: *mut OwnedText) -> Status {
    // SAFETY: the ABI has both of them valid.
    let (node, answer) = unsafe { (borrow(node), &mut *answer) };
    let file = node.file.clone();
    guarded(answer, file.as_deref(), |py| {
        let about: String = node.object.call_method0(py, "reload")?.extract(py)?;
        node.refresh(py)?;
        Ok(about)
    })
}

pub extern "C" fn stop(node: *mut c_void, answer: *mut OwnedText) -> Status {
    // SAFETY: the ABI has both of them valid.
    let (node, answer) = unsafe { (borrow(node), &mut *answer) };
    let file = node.file.clone();
    guarded(answer, file.as_deref(), |py| {
        node.object.call_method0(py, "stop")?;
        Ok(String::new())
    })
}

pub extern "C" fn free(node: *mut c_void) {
    // SAFETY: came from `new`, freed once.
    let node = unsafe { Box::from_raw(node.cast::<Node>()) };
    let mut node = ManuallyDrop::new(node);
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // With the GIL, so that the node's `__del__` runs now. Of a dying interpreter nothing is
        // freed.
        gate::attached(|py, _| {
            if let Err(error) = node.object.call_method0(py, "close") {
                error.print(py);
            }
            // SAFETY: not touched again.
            unsafe { ManuallyDrop::drop(&mut node) }
        })
    }));
}

pub extern "C" fn call(
    node: *mut c_void,
    block: *const Block,
    moment: *const Moment,
    outcome: *mut Outcome,
) -> Status {
    // SAFETY: the ABI has all of them valid.
    let (node, block, moment, outcome) =
        unsafe { (borrow(node), &*block, &*moment, &mut *outcome) };
    let mut kept = false;
    let status = finish(node, outcome, |node, py| {
        let (result, still) = node.run(py, block, moment);
        kept = still;
        result
    });
    outcome.kept = kept;
    status
}

pub extern "C" fn drain(node: *mut c_void, moment: *const Moment, outcome: *mut Outcome) -> Status {
    // SAFETY: the ABI has all of them valid.
    let (node, moment, outcome) = unsafe { (borrow(node), &*moment, &mut *outcome) };
    finish(node, outcome, |node, py| {
        node.drain(py, moment).inspect_err(|_| node.forget())
    })
}

/// Has the node `work`, and tells what came of it.
fn finish(
    node: &mut Node,
    outcome: &mut Outcome,
    work: impl FnOnce(&mut Node, Python<'_>) -> PyResult<bool>,
) -> Status {
    node.outputs.clear();
    *outcome = Outcome {
        kept: false,
        replaced: false,
        outputs: std::ptr::null(),
        num_outputs: 0,
        gil_wait: 0,
        failure: OwnedText::EMPTY,
    };
    let done = catch_unwind(AssertUnwindSafe(|| {
        gate::attached(|py, waited| {
            outcome.gil_wait = waited;
            work(node, py).map_err(|error| describe(py, error, node.file.as_deref()))
        })
    }));
    match done {
        Ok(None) => Status::Closed,
        Ok(Some(Ok(replaced))) => {
            outcome.replaced = replaced;
            outcome.outputs = node.outputs.as_ptr();
            outcome.num_outputs = node.outputs.len();
            Status::Ok
        }
        Ok(Some(Err(text))) => {
            outcome.failure = OwnedText::from_string(text);
            Status::Raised
        }
        Err(panic) => {
            outcome.failure = OwnedText::from_string(panic_text(&*panic));
            Status::Fault
        }
    }
}

impl From<pyo3::CastError<'_, '_>> for Trouble {
    fn from(error: pyo3::CastError<'_, '_>) -> Self {
        Self::Raised(error.into())
    }
}
