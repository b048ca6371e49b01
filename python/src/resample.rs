//! Sample-rate conversion of arrays.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use rustaudio_dsp::resample::{Layout, ResampleError, Source, Spec, Stream};

use crate::array::{Array, tuple};

/// Adds the functions and classes of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(resample, module)?)
}

/// Converts a whole signal to another sample rate.
///
/// Parameters
/// ----------
/// x : array_like of int16, int32, float32 or float64
///     Samples: ``(frames,)`` or ``(frames, channels)``.
/// in_rate, out_rate : int
///     Sample rates in Hz.
/// out : numpy.ndarray, optional
///     Written to and returned, in place of a new array: of the dtype of `x` and the shape of the
///     result, contiguous, apart from `x`.
///
/// Returns
/// -------
/// numpy.ndarray
///     Samples of the dtype of `x`.
#[pyfunction]
#[pyo3(signature = (x, in_rate, out_rate, *, out = None))]
fn resample<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    in_rate: u32,
    out_rate: u32,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Array::input(x, "x")?.contiguous()?;
    let (frames, channels) = match *x.shape() {
        [frames] => (frames, 1),
        [frames, channels] => (frames, channels),
        _ => {
            return Err(PyValueError::new_err(format!(
                "x: expected shape (frames,) or (frames, channels), got {}",
                tuple(x.shape())
            )));
        }
    };
    let spec = Spec::new(in_rate, out_rate, channels);
    let mut stream = Stream::new(&spec, x.format(), Layout::Interleaved, false).map_err(error)?;
    let input = x.memory();
    let available = py.detach(|| {
        stream.push(frames, Source::Interleaved(input));
        stream.finish();
        stream.available()
    });
    let mut shape = x.shape().to_vec();
    shape[0] = available;
    let mut y = match out {
        Some(out) => Array::output(out, "out", x.format(), &shape)?,
        None => Array::zeros(py, x.format(), &shape)?,
    };
    if !y.is_contiguous() || y.overlaps(&x) {
        return Err(PyValueError::new_err(
            "out: expected a contiguous array that shares no memory with x",
        ));
    }
    let output = y.memory_mut();
    py.detach(|| stream.pull(available, output));
    Ok(y.into_object())
}

fn error(error: ResampleError) -> PyErr {
    match error {
        ResampleError::NoIntegers => PyTypeError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}
