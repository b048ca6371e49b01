// SPDX-License-Identifier: MIT

//! What Python's module `audioop` did until 3.12, to the last bit.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};

create_exception!(
    gstrustaudio.audioop,
    AudioopError,
    PyException,
    "A fragment is no whole number of samples or frames, or a number is out of range."
);

/// Adds the functions of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("AudioopError", module.py().get_type::<AudioopError>())?;
    module.add_function(wrap_pyfunction!(lin2lin, module)?)?;
    module.add_function(wrap_pyfunction!(byteswap, module)?)?;
    module.add_function(wrap_pyfunction!(tomono, module)?)?;
    module.add_function(wrap_pyfunction!(tostereo, module)?)?;
    module.add_function(wrap_pyfunction!(ratecv, module)?)
}

/// Bytes that Python cannot change, as they are.
struct Fragment(PyBackedBytes);

impl<'a, 'py> FromPyObject<'a, 'py> for Fragment {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.extract::<PyBackedBytes>() {
            return Ok(Self(bytes));
        }
        // Any other buffer, copied, as somebody may write to it.
        let copy = object
            .py()
            .get_type::<pyo3::types::PyMemoryView>()
            .call1((object,))
            .and_then(|view| view.call_method0("tobytes"))
            .map_err(|_| {
                PyTypeError::new_err(format!(
                    "fragment: expected bytes or another buffer, got {}",
                    crate::array::type_name(&object)
                ))
            })?;
        Ok(Self(copy.extract()?))
    }
}

fn check_width(width: i64) -> PyResult<usize> {
    match width {
        1..=4 => Ok(width as usize),
        _ => Err(AudioopError::new_err("Size should be 1, 2, 3 or 4")),
    }
}

fn check_fragment(fragment: &[u8], width: i64) -> PyResult<usize> {
    let width = check_width(width)?;
    if fragment.len().is_multiple_of(width) {
        Ok(width)
    } else {
        Err(AudioopError::new_err("not a whole number of frames"))
    }
}

/// Runs `$body` with the width of a sample as a constant.
macro_rules! with_width {
    ($width:expr, $w:ident => $body:expr) => {
        match $width {
            1 => {
                const $w: usize = 1;
                $body
            }
            2 => {
                const $w: usize = 2;
                $body
            }
            3 => {
                const $w: usize = 3;
                $body
            }
            _ => {
                const $w: usize = 4;
                $body
            }
        }
    };
}

/// A sample in the upper bytes of 32 bits.
#[inline]
fn load<const W: usize>(bytes: &[u8; W]) -> i32 {
    let mut all = [0; 4];
    if cfg!(target_endian = "little") {
        all[4 - W..].copy_from_slice(bytes);
    } else {
        all[..W].copy_from_slice(bytes);
    }
    i32::from_ne_bytes(all)
}

/// The upper bytes of 32 bits.
#[inline]
fn store<const W: usize>(value: i32) -> [u8; W] {
    let all = value.to_ne_bytes();
    let start = if cfg!(target_endian = "little") {
        4 - W
    } else {
        0
    };
    std::array::from_fn(|i| all[start + i])
}

/// New bytes, filled by `fill` without the GIL.
fn made<'py>(
    py: Python<'py>,
    len: usize,
    fill: impl FnOnce(&mut [u8]) + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, len, |to| {
        py.detach(|| fill(to));
        Ok(())
    })
}

/// Convert samples to another width, cutting off or appending bits.
///
/// Parameters
/// ----------
/// fragment : bytes-like
///     Signed samples in the machine's byte order.
/// width, newwidth : int
///     Bytes of a sample, 1 to 4.
///
/// Returns
/// -------
/// bytes
///
/// Examples
/// --------
/// >>> from gstrustaudio import audioop
/// >>> audioop.lin2lin(bytes([0x34, 0x12]), 2, 1).hex()
/// '12'
#[pyfunction]
#[pyo3(signature = (fragment, width, newwidth, /))]
fn lin2lin<'py>(
    py: Python<'py>,
    fragment: Fragment,
    width: i64,
    newwidth: i64,
) -> PyResult<Bound<'py, PyBytes>> {
    let (from, to) = (check_fragment(&fragment.0, width)?, check_width(newwidth)?);
    let input = &*fragment.0;
    made(py, input.len() / from * to, |output| {
        with_width!(from, W => with_width!(to, N => {
            let pairs = input.as_chunks::<W>().0.iter().zip(output.as_chunks_mut::<N>().0);
            pairs.for_each(|(x, y)| *y = store(load(x)));
        }));
    })
}

/// Swap the bytes of each sample.
///
/// Parameters
/// ----------
/// fragment : bytes-like
///     Samples.
/// width : int
///     Bytes of a sample, 1 to 4.
///
/// Returns
/// -------
/// bytes
///
/// Examples
/// --------
/// >>> from gstrustaudio import audioop
/// >>> audioop.byteswap(bytes([1, 2, 3, 4]), 2)
/// b'\x02\x01\x04\x03'
#[pyfunction]
#[pyo3(signature = (fragment, width, /))]
fn byteswap<'py>(py: Python<'py>, fragment: Fragment, width: i64) -> PyResult<Bound<'py, PyBytes>> {
    let width = check_fragment(&fragment.0, width)?;
    let input = &*fragment.0;
    made(py, input.len(), |output| {
        with_width!(width, W => {
            let pairs = input.as_chunks::<W>().0.iter().zip(output.as_chunks_mut::<W>().0);
            pairs.for_each(|(x, y)| {
                *y = *x;
                y.reverse();
            });
        });
    })
}

/// `value`, in units of the last bit, rounded down and clipped to `W` bytes.
#[inline]
fn bound<const W: usize>(value: f64) -> i32 {
    let shift = 32 - 8 * W as u32;
    let (least, most) = (i32::MIN >> shift, i32::MAX >> shift);
    let value = if value > f64::from(most) {
        most
    } else if value < f64::from(least) + 1.0 {
        least
    } else {
        // `floor` is a call where the compiler may not assume SSE4.1.
        let whole = value as i32;
        whole - i32::from(f64::from(whole) > value)
    };
    value << shift
}

/// A sample in units of its last bit.
#[inline]
fn raw<const W: usize>(bytes: &[u8; W]) -> f64 {
    f64::from(load(bytes) >> (32 - 8 * W as u32))
}

/// Mix the two channels of a stereo fragment.
///
/// Parameters
/// ----------
/// fragment : bytes-like
///     Signed samples, left and right by turns.
/// width : int
///     Bytes of a sample, 1 to 4.
/// lfactor, rfactor : float
///     What each channel is multiplied by.
///
/// Returns
/// -------
/// bytes
///     Rounded down and clipped.
///
/// Examples
/// --------
/// >>> from gstrustaudio import audioop
/// >>> audioop.tomono(bytes([100, 50, 0, 255]), 1, 0.5, 0.5)
/// b'K\xff'
#[pyfunction]
#[pyo3(signature = (fragment, width, lfactor, rfactor, /))]
fn tomono<'py>(
    py: Python<'py>,
    fragment: Fragment,
    width: i64,
    lfactor: f64,
    rfactor: f64,
) -> PyResult<Bound<'py, PyBytes>> {
    let width = check_fragment(&fragment.0, width)?;
    let input = &*fragment.0;
    if !(input.len() / width).is_multiple_of(2) {
        return Err(AudioopError::new_err("not a whole number of frames"));
    }
    made(py, input.len() / 2, |output| {
        with_width!(width, W => {
            let frames = input.as_chunks::<W>().0.as_chunks::<2>().0;
            for ([l, r], y) in frames.iter().zip(output.as_chunks_mut::<W>().0) {
                *y = store(bound::<W>(raw(l) * lfactor + raw(r) * rfactor));
            }
        });
    })
}

/// Make a stereo fragment of a mono one.
///
/// Parameters
/// ----------
/// fragment : bytes-like
///     Signed samples.
/// width : int
///     Bytes of a sample, 1 to 4.
/// lfactor, rfactor : float
///     What the sample is multiplied by for each channel.
///
/// Returns
/// -------
/// bytes
///     Rounded down and clipped.
///
/// Examples
/// --------
/// >>> from gstrustaudio import audioop
/// >>> audioop.tostereo(bytes([10, 20]), 1, 1, 0.5)
/// b'\n\x05\x14\n'
#[pyfunction]
#[pyo3(signature = (fragment, width, lfactor, rfactor, /))]
fn tostereo<'py>(
    py: Python<'py>,
    fragment: Fragment,
    width: i64,
    lfactor: f64,
    rfactor: f64,
) -> PyResult<Bound<'py, PyBytes>> {
    let width = check_fragment(&fragment.0, width)?;
    let input = &*fragment.0;
    made(py, input.len() * 2, |output| {
        with_width!(width, W => {
            let frames = output.as_chunks_mut::<W>().0.as_chunks_mut::<2>().0;
            for (x, [l, r]) in input.as_chunks::<W>().0.iter().zip(frames) {
                *l = store(bound::<W>(raw(x) * lfactor));
                *r = store(bound::<W>(raw(x) * rfactor));
            }
        });
    })
}

/// The running state of `ratecv`: the phase, and of each channel the last two samples.
type State = (i32, Vec<(i32, i32)>);

/// What `ratecv` returns: a fragment, and the state after it.
type Converted<'py> = (Bound<'py, PyBytes>, (i32, Bound<'py, PyTuple>));

/// Numbers of `ratecv` in their lowest terms.
#[derive(Clone, Copy)]
struct Rates {
    input: i64,
    output: i64,
    weights: [f64; 2],
}

/// Convert the sample rate by lines between samples.
///
/// Kept for programs that need its results; `gstrustaudio.resample` sounds better and is faster.
///
/// Parameters
/// ----------
/// fragment : bytes-like
///     Signed samples, frame by frame.
/// width : int
///     Bytes of a sample, 1 to 4.
/// nchannels : int
///     Samples of a frame.
/// inrate, outrate : int
///     Rates.
/// state : tuple or None
///     What the call for the fragment before returned.
/// weightA, weightB : int, optional
///     Of a sample and the one before, in a simple filter.
///
/// Returns
/// -------
/// fragment : bytes
/// state : tuple
///
/// Examples
/// --------
/// >>> from gstrustaudio import audioop
/// >>> audioop.ratecv(bytes([0, 10, 20, 30]), 1, 1, 1, 2, None)
/// (b'\x00\x05\n\x0f\x14\x19\x1e', (-1, ((335544320, 503316480),)))
#[pyfunction]
#[pyo3(name = "ratecv", signature = (fragment, width, nchannels, inrate, outrate, state, weightA = 1, weightB = 0, /))]
#[expect(
    clippy::too_many_arguments,
    non_snake_case,
    reason = "those of audioop"
)]
fn ratecv<'py>(
    py: Python<'py>,
    fragment: Fragment,
    width: i64,
    nchannels: i32,
    inrate: i32,
    outrate: i32,
    state: Option<&Bound<'py, PyAny>>,
    weightA: i32,
    weightB: i32,
) -> PyResult<Converted<'py>> {
    let width = check_width(width)?;
    if nchannels < 1 {
        return Err(AudioopError::new_err("# of channels should be >= 1"));
    }
    let channels = nchannels as usize;
    if weightA < 1 || weightB < 0 {
        return Err(AudioopError::new_err(
            "weightA should be >= 1, weightB should be >= 0",
        ));
    }
    let input = &*fragment.0;
    if !input.len().is_multiple_of(width * channels) {
        return Err(AudioopError::new_err("not a whole number of frames"));
    }
    if inrate <= 0 || outrate <= 0 {
        return Err(AudioopError::new_err("sampling rate not > 0"));
    }
    let common = i64::from(gcd(inrate, outrate));
    let rates = Rates {
        input: i64::from(inrate) / common,
        output: i64::from(outrate) / common,
        weights: [weightA, weightB].map(|w| f64::from(w / gcd(weightA, weightB))),
    };
    let (phase, mut samples) = match state {
        None => (-(rates.output as i32), vec![(0, 0); channels]),
        Some(state) => parse(state, channels)?,
    };
    let mut phase = i64::from(phase);
    let output = py.detach(
        || with_width!(width, W => interpolate::<W>(input, &rates, &mut phase, &mut samples)),
    );
    let samples = PyTuple::new(py, samples)?;
    Ok((PyBytes::new(py, &output), (phase as i32, samples)))
}

fn parse(state: &Bound<'_, PyAny>, channels: usize) -> PyResult<State> {
    let Ok(tuple) = state.cast::<PyTuple>() else {
        return Err(PyTypeError::new_err(format!(
            "state must be a tuple or None, not {}",
            crate::array::type_name(state)
        )));
    };
    let illegal = || PyTypeError::new_err("ratecv(): illegal state argument");
    let (phase, samples) = pair(tuple).ok_or_else(illegal)?;
    let phase = int(&phase)?;
    let samples = samples.cast::<PyTuple>().map_err(|_| illegal())?;
    if samples.len() != channels {
        return Err(AudioopError::new_err("illegal state argument"));
    }
    let last = |sample: Bound<'_, PyAny>| {
        let two = sample.cast::<PyTuple>().ok().and_then(pair);
        let (previous, current) = two.ok_or_else(illegal)?;
        Ok((int(&previous)?, int(&current)?))
    };
    Ok((phase, samples.iter().map(last).collect::<PyResult<_>>()?))
}

/// Both items of a tuple that has two.
fn pair<'py>(tuple: &Bound<'py, PyTuple>) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    match tuple.len() {
        2 => Some((tuple.get_item(0).ok()?, tuple.get_item(1).ok()?)),
        _ => None,
    }
}

/// A C int, with the errors of one.
fn int(value: &Bound<'_, PyAny>) -> PyResult<i32> {
    let long: i64 = value.extract()?;
    i32::try_from(long).map_err(|_| {
        PyOverflowError::new_err(match long < 0 {
            true => "signed integer is less than minimum",
            false => "signed integer is greater than maximum",
        })
    })
}

fn gcd(mut a: i32, mut b: i32) -> i32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn interpolate<const W: usize>(
    input: &[u8],
    rates: &Rates,
    phase: &mut i64,
    state: &mut [(i32, i32)],
) -> Vec<u8> {
    let [a, b] = rates.weights;
    let frames = input.as_chunks::<W>().0.chunks_exact(state.len());
    let expected = input.len() as i64 / rates.input * rates.output;
    let mut output = Vec::with_capacity(usize::try_from(expected).unwrap_or(0).min(64 << 20));
    emit::<W>(rates, phase, state, &mut output);
    for frame in frames {
        for ((previous, current), sample) in state.iter_mut().zip(frame) {
            *previous = *current;
            *current = match b {
                // What the sum comes to, but divisions are what takes the time.
                0.0 => load(sample),
                _ => {
                    let sum = a * f64::from(load(sample)) + b * f64::from(*previous);
                    (sum / (a + b)) as i32
                }
            };
        }
        *phase += rates.output;
        emit::<W>(rates, phase, state, &mut output);
    }
    output
}

/// The frames up to the current input frame.
fn emit<const W: usize>(rates: &Rates, phase: &mut i64, state: &[(i32, i32)], to: &mut Vec<u8>) {
    while *phase >= 0 {
        for (previous, current) in state {
            let (old, new) = (*phase as f64, (rates.output - *phase) as f64);
            let sample = f64::from(*previous) * old + f64::from(*current) * new;
            to.extend_from_slice(&store::<W>((sample / rates.output as f64) as i32));
        }
        *phase -= rates.input;
    }
}
