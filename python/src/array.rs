// SPDX-License-Identifier: MIT

//! Arrays as memory: inputs are read where they lie, outputs written where they stay.
//!
//! The GIL may be released while that memory is in use. As with numpy's own functions, a thread that
//! writes to an input meanwhile gets a result of old and new samples.

use numpy::npyffi::{self, NPY_ARRAY_WRITEABLE, PyArrayObject, npy_intp};
use numpy::{PY_ARRAY_API, PyArrayDescr, PyArrayDescrMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustaudio_dsp::convert::{Endianness, SampleFormat, SampleKind};

/// An array of samples, and what is known of its memory.
pub struct Array<'py> {
    object: Bound<'py, PyAny>,
    format: SampleFormat,
    shape: Vec<usize>,
    /// Bytes from one element to the next, along each axis.
    strides: Vec<isize>,
    data: *mut u8,
}

impl<'py> Array<'py> {
    /// What a caller passed as `name`: an array as it is, anything else by way of DLPack, the buffer
    /// protocol or `numpy.asarray`, which copy where they must.
    pub fn input(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        if is_array(object) {
            return Self::of(object.clone(), name);
        }
        Self::of(as_array(object, name)?, name)
    }

    /// The array that a caller passed to be written to.
    pub fn output(
        object: &Bound<'py, PyAny>,
        name: &str,
        format: SampleFormat,
        shape: &[usize],
    ) -> PyResult<Self> {
        if !is_array(object) {
            return Err(PyTypeError::new_err(format!(
                "{name}: expected a numpy array to write to, got {}",
                type_name(object)
            )));
        }
        let array = Self::of(object.clone(), name)?;
        if array.format != format {
            return Err(PyTypeError::new_err(format!(
                "{name}: expected dtype {}, got {}",
                dtype_name(format),
                dtype_name(array.format)
            )));
        }
        if array.shape != shape {
            return Err(PyValueError::new_err(format!(
                "{name}: expected shape {}, got {}",
                tuple(shape),
                tuple(&array.shape)
            )));
        }
        // SAFETY: an array, whose layout numpy's ABI fixes; the GIL is held.
        let flags = unsafe { (*object.as_ptr().cast::<PyArrayObject>()).fields.flags };
        if flags & NPY_ARRAY_WRITEABLE == 0 {
            return Err(PyValueError::new_err(format!("{name}: is read-only")));
        }
        Ok(array)
    }

    /// A new array, contiguous, of whatever lies in its memory: to be written all over.
    pub fn empty(py: Python<'py>, format: SampleFormat, shape: &[usize]) -> PyResult<Self> {
        let descr = PyArrayDescr::new(py, dtype_name(format))?;
        let mut dims: Vec<npy_intp> = shape.iter().map(|n| *n as npy_intp).collect();
        // SAFETY: numpy is imported and the GIL held; the reference to the dtype is handed over.
        let object = unsafe {
            let array = PY_ARRAY_API.PyArray_Empty(
                py,
                dims.len() as i32,
                dims.as_mut_ptr(),
                descr.into_dtype_ptr(),
                0,
            );
            Bound::from_owned_ptr_or_err(py, array)?
        };
        Self::of(object, "the new array")
    }

    /// `object` is an array.
    fn of(object: Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        // SAFETY: an array, whose layout numpy's ABI fixes; the GIL is held.
        let (shape, strides, data, descr) = unsafe {
            let fields = &(*object.as_ptr().cast::<PyArrayObject>()).fields;
            let axes = fields.nd as usize;
            let of = |start: *mut npy_intp| match axes {
                0 => &[][..],
                _ => std::slice::from_raw_parts(start, axes),
            };
            let descr = Bound::from_borrowed_ptr(object.py(), fields.descr.cast());
            (
                of(fields.dimensions).iter().map(|n| *n as usize).collect(),
                of(fields.strides).to_vec(),
                fields.data.cast::<u8>(),
                descr.cast_into_unchecked::<PyArrayDescr>(),
            )
        };
        let format = format_of(&descr).ok_or_else(|| {
            PyTypeError::new_err(format!(
                "{name}: expected samples of int8, uint8, int16, uint16, int32, uint32, float32 or \
                 float64, got dtype {descr}{}",
                advice(&descr, name)
            ))
        })?;
        Ok(Self {
            object,
            format,
            shape,
            strides,
            data,
        })
    }

    /// How its elements are held.
    pub fn format(&self) -> SampleFormat {
        self.format
    }

    /// Elements along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The same samples in the machine's byte order: itself if they are, else a copy.
    pub fn native(self) -> PyResult<Self> {
        let native = native(self.format);
        if self.format == native {
            return Ok(self);
        }
        let py = self.object.py();
        let copy = self
            .object
            .call_method1(intern!(py, "astype"), (dtype_name(native),))?;
        Self::of(copy, "the copy")
    }

    /// Whether the elements lie side by side, the last axis fastest.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = self.format.size() as isize;
        self.shape.contains(&0)
            || self.shape.iter().zip(&self.strides).rev().all(|(n, s)| {
                let fits = *n == 1 || *s == expected;
                expected *= *n as isize;
                fits
            })
    }

    /// Bytes from one element to the next, along each axis.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// Its memory from the lowest to the highest element, for reading.
    pub fn memory(&self) -> &[u8] {
        let (below, bytes) = self.extent();
        if bytes == 0 {
            return &[];
        }
        // SAFETY: numpy keeps all elements of an array within one allocation, which lives as long as
        // the array that `self` holds.
        unsafe { std::slice::from_raw_parts(self.data.sub(below), bytes) }
    }

    /// The same for writing; only of [`output`](Self::output) and [`empty`](Self::empty), and of none
    /// that [`overlaps`](Self::overlaps) what is read.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        let (below, bytes) = self.extent();
        if bytes == 0 {
            return &mut [];
        }
        // SAFETY: as in `memory`; checked to be writable. What numpy allocated holds some bytes or others.
        unsafe { std::slice::from_raw_parts_mut(self.data.sub(below), bytes) }
    }

    /// Where in its memory the element at index 0 of all axes begins.
    pub fn first(&self) -> usize {
        self.extent().0
    }

    /// Whether an element of either may share memory with one of the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let range = |a: &Self| {
            let (below, bytes) = a.extent();
            let start = a.data as usize - below;
            start..start + bytes
        };
        let (a, b) = (range(self), range(other));
        a.start < b.end && b.start < a.end
    }

    /// Bytes below the first element, and all from the lowest to the highest.
    fn extent(&self) -> (usize, usize) {
        if self.shape.contains(&0) {
            return (0, 0);
        }
        let (mut below, mut above) = (0, self.format.size());
        for (n, stride) in self.shape.iter().zip(&self.strides) {
            let reach = (n - 1) * stride.unsigned_abs();
            if *stride < 0 {
                below += reach;
            } else {
                above += reach;
            }
        }
        (below, below + above)
    }

    /// The array itself.
    pub fn into_object(self) -> Bound<'py, PyAny> {
        self.object
    }
}

fn is_array(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: numpy is imported and the GIL held.
    unsafe { npyffi::PyArray_Check(object.py(), object.as_ptr()) != 0 }
}

/// An array of what is none.
fn as_array<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    if object.is_instance_of::<PyBytes>() {
        // As of other buffers; `asarray` would take them for text.
        return numpy.call_method1(intern!(py, "frombuffer"), (object, intern!(py, "uint8")));
    }
    let way = if object.hasattr(intern!(py, "__dlpack__"))? {
        intern!(py, "from_dlpack")
    } else {
        intern!(py, "asarray")
    };
    numpy.call_method1(way, (object,)).map_err(|cause| {
        let error = PyTypeError::new_err(format!(
            "{name}: expected a numpy array or what numpy makes one of, got {}: {}",
            type_name(object),
            cause.value(py)
        ));
        error.set_cause(py, Some(cause));
        error
    })
}

/// The name of an object's class.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "?".into(), |name| name.to_string())
}

/// The format of a dtype, `None` if its elements are no samples.
fn format_of(descr: &Bound<'_, PyArrayDescr>) -> Option<SampleFormat> {
    let kind = match descr.kind() {
        b'i' => SampleKind::Signed,
        b'u' => SampleKind::Unsigned,
        b'f' => SampleKind::Float,
        _ => return None,
    };
    let bytes = descr.itemsize();
    let known = match kind {
        SampleKind::Float => [4, 8].contains(&bytes),
        _ => [1, 2, 4].contains(&bytes),
    };
    let swapped = descr.is_native_byteorder() == Some(false);
    let endianness = match (bytes, swapped) {
        (1, _) => Endianness::Little,
        (_, false) => Endianness::NATIVE,
        (_, true) if Endianness::NATIVE == Endianness::Little => Endianness::Big,
        (_, true) => Endianness::Little,
    };
    known.then_some(SampleFormat {
        kind,
        depth: 8 * bytes as u8,
        bytes: bytes as u8,
        endianness,
    })
}

/// What makes samples of numbers that are none.
fn advice(descr: &Bound<'_, PyArrayDescr>, name: &str) -> String {
    match descr.kind() {
        b'f' => format!(": {name}.astype('float32') is of one of them"),
        b'i' | b'u' => {
            format!(": divide {name} by its full scale, which such a dtype does not tell")
        }
        _ => String::new(),
    }
}

/// The format of what a caller passed as `dtype`.
pub fn format_named(dtype: &Bound<'_, PyAny>) -> PyResult<SampleFormat> {
    let descr = PyArrayDescr::new(dtype.py(), dtype);
    let format = descr.ok().and_then(|descr| format_of(&descr));
    format.ok_or_else(|| {
        PyTypeError::new_err(format!(
            "dtype: expected int8, uint8, int16, uint16, int32, uint32, float32, float64 or, of convert, a \
             format such as 'S24LE', got {dtype}"
        ))
    })
}

/// The same format in the machine's byte order.
pub fn native(format: SampleFormat) -> SampleFormat {
    match format.bytes {
        1 => format,
        _ => SampleFormat {
            endianness: Endianness::NATIVE,
            ..format
        },
    }
}

/// numpy's name of a format that a dtype has.
pub fn dtype_name(format: SampleFormat) -> &'static str {
    let native = format.endianness == Endianness::NATIVE || format.bytes == 1;
    let names = match (format.kind, format.bytes) {
        (SampleKind::Signed, 1) => ["int8"; 3],
        (SampleKind::Signed, 2) => ["int16", "<i2", ">i2"],
        (SampleKind::Signed, _) => ["int32", "<i4", ">i4"],
        (SampleKind::Unsigned, 1) => ["uint8"; 3],
        (SampleKind::Unsigned, 2) => ["uint16", "<u2", ">u2"],
        (SampleKind::Unsigned, _) => ["uint32", "<u4", ">u4"],
        (SampleKind::Float, 8) => ["float64", "<f8", ">f8"],
        (SampleKind::Float, _) => ["float32", "<f4", ">f4"],
    };
    match format.endianness {
        _ if native => names[0],
        Endianness::Little => names[1],
        Endianness::Big => names[2],
    }
}

/// A shape as Python writes it.
pub fn tuple(shape: &[usize]) -> String {
    match shape {
        [n] => format!("({n},)"),
        _ => format!("{shape:?}").replace('[', "(").replace(']', ")"),
    }
}
