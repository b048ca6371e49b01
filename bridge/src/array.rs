// SPDX-License-Identifier: MIT

//! Arrays over mapped buffers, and buffers over returned arrays: nothing is copied either way.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use numpy::PY_ARRAY_API;
use numpy::npyffi::{self, NPY_ARRAY_WRITEABLE, PyArrayObject, npy_intp};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::abi::{Block, Output};

const OWNER: &CStr = c"rustaudio.buffer";

/// Context of the capsule at the base of an array: who frees the mapping.
struct Lease {
    owner: *mut c_void,
    release: extern "C" fn(*mut c_void),
    /// The call is running: the mapping still belongs to the plugin.
    lent: bool,
    /// The capsule went during the call.
    gone: bool,
}

unsafe extern "C" fn capsule_gone(capsule: *mut ffi::PyObject) {
    // SAFETY: called once by Python, with the GIL, for a capsule that `View::new` made.
    unsafe {
        let lease = ffi::PyCapsule_GetPointer(capsule, OWNER.as_ptr()).cast::<Lease>();
        if lease.is_null() {
            ffi::PyErr_Clear();
            return;
        }
        if (*lease).lent {
            (*lease).gone = true;
        } else {
            let lease = Box::from_raw(lease);
            (lease.release)(lease.owner);
        }
    }
}

/// The array of one call, and what became of its memory.
pub struct View {
    lease: *mut Lease,
}

impl View {
    /// An array over `block`, whose base keeps the memory mapped for as long as any view of it
    /// lives.
    pub fn new<'py>(py: Python<'py>, block: &Block) -> PyResult<(Self, Bound<'py, PyAny>)> {
        let (mut dims, mut strides) = (
            [block.frames as npy_intp, block.channels as npy_intp],
            [
                block.frame_stride as npy_intp,
                block.channel_stride as npy_intp,
            ],
        );
        if block.channels_first {
            dims.swap(0, 1);
            strides.swap(0, 1);
        }
        let flags: c_int = if block.writable {
            NPY_ARRAY_WRITEABLE
        } else {
            0
        };
        let lease = Box::into_raw(Box::new(Lease {
            owner: block.owner,
            release: block.release,
            lent: true,
            gone: false,
        }));
        // SAFETY: numpy is imported and the GIL held. The block describes memory that `owner`
        // keeps mapped, and the capsule, which the array refers to, keeps `owner`. A capsule
        // whose lease is `lent` frees nothing, so that the plugin still owns it on failure.
        unsafe {
            let free = |error: PyErr| {
                drop(Box::from_raw(lease));
                error
            };
            let capsule = ffi::PyCapsule_New(lease.cast(), OWNER.as_ptr(), Some(capsule_gone));
            if capsule.is_null() {
                return Err(free(PyErr::fetch(py)));
            }
            let capsule = Bound::from_owned_ptr(py, capsule);
            let descr = PY_ARRAY_API.PyArray_DescrFromType(py, block.sample);
            if descr.is_null() {
                drop(capsule);
                return Err(free(PyErr::fetch(py)));
            }
            let array = PY_ARRAY_API.PyArray_NewFromDescr(
                py,
                npyffi::get_type_object(py, npyffi::NpyTypes::PyArray_Type),
                descr,
                2,
                dims.as_mut_ptr(),
                strides.as_mut_ptr(),
                block.data,
                flags,
                ptr::null_mut(),
            );
            if array.is_null() {
                drop(capsule);
                return Err(free(PyErr::fetch(py)));
            }
            let array = Bound::from_owned_ptr(py, array);
            // Takes the reference to the capsule, whatever comes of it.
            if PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), capsule.into_ptr())
                != 0
            {
                let error = PyErr::fetch(py);
                drop(array);
                return Err(free(error));
            }
            Ok((Self { lease }, array))
        }
    }

    /// Ends the loan; true if the node kept a view, to which the memory belongs from now on. All
    /// own references to the array are gone by now.
    pub fn end(self, _py: Python<'_>) -> bool {
        // SAFETY: only the capsule and we know the lease, and both run with the GIL held.
        unsafe {
            if (*self.lease).gone {
                drop(Box::from_raw(self.lease));
                return false;
            }
            (*self.lease).lent = false;
            true
        }
    }
}

/// Whether nothing but the one reference in our hands leads to the memory of `array`.
fn is_exclusive(py: Python<'_>, array: *mut ffi::PyObject) -> bool {
    let mut object = array;
    // SAFETY: arrays have the layout that numpy's ABI fixes; bases are alive as long as the array
    // is, and the GIL is held.
    unsafe {
        loop {
            if ffi::Py_REFCNT(object) != 1 {
                return false;
            }
            if npyffi::PyArray_Check(py, object) == 0 {
                // A mapping of ours. Any other owner may have handed its memory to others too.
                return ffi::PyCapsule_IsValid(object, OWNER.as_ptr()) != 0;
            }
            let base = (*object.cast::<PyArrayObject>()).fields.base;
            if base.is_null() {
                return true;
            }
            object = base;
        }
    }
}

/// Whether the memory can never change: it is that of a `bytes` object.
fn is_frozen(py: Python<'_>, array: *mut ffi::PyObject) -> bool {
    let mut object = array;
    // SAFETY: as in `is_exclusive`.
    unsafe {
        while npyffi::PyArray_Check(py, object) != 0 {
            object = (*object.cast::<PyArrayObject>()).fields.base;
            if object.is_null() {
                return false;
            }
        }
        ffi::PyBytes_Check(object) != 0
    }
}

/// The memory of a C-contiguous array as an output; takes the reference. Memory that others can
/// reach is copied.
pub fn output(
    py: Python<'_>,
    array: Bound<'_, PyAny>,
    planar: bool,
    sample_bytes: usize,
) -> PyResult<Output> {
    // SAFETY: checked to be an array before its fields are read; the output owns the reference.
    unsafe {
        if npyffi::PyArray_Check(py, array.as_ptr()) == 0 {
            return Err(PyTypeError::new_err("not an array"));
        }
        let fields = &(*array.as_ptr().cast::<PyArrayObject>()).fields;
        let dims = std::slice::from_raw_parts(fields.dimensions, fields.nd as usize);
        if dims.len() != 2 {
            return Err(PyTypeError::new_err("not an array of two dimensions"));
        }
        let samples = dims.iter().product::<npy_intp>() as usize;
        let writable = fields.flags & NPY_ARRAY_WRITEABLE != 0;
        let data = fields.data.cast();
        let frames = if planar { dims[1] } else { dims[0] } as usize;
        let frozen = is_frozen(py, array.as_ptr());
        if !frozen && !is_exclusive(py, array.as_ptr()) {
            // Now, with the GIL: once it is released, somebody may write to the memory.
            let copy = array.call_method1(pyo3::intern!(py, "copy"), ("C",))?;
            drop(array);
            return output(py, copy, planar, sample_bytes);
        }
        Ok(Output {
            data,
            bytes: samples * sample_bytes,
            frames,
            writable: writable && !frozen,
            object: Box::into_raw(Box::new(array.unbind())).cast(),
        })
    }
}

/// Gives an output's array back, from any thread. PyO3 keeps the reference until some thread is
/// attached, so that nobody waits for the GIL to free a buffer.
pub extern "C" fn release(object: *mut c_void) {
    if !object.is_null() {
        // SAFETY: a box from `output`, given back once.
        drop(unsafe { Box::from_raw(object.cast::<Py<PyAny>>()) });
    }
}
