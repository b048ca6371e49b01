// SPDX-License-Identifier: MIT

//! Numbers that callers pass. One that does not fit is told by its argument's name, which an `OverflowError` of the
//! conversion itself is not.

use std::ops::RangeInclusive;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::array::type_name;

/// As `seed`.
pub fn seed(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    whole(value, "seed", 0..=u64::MAX, "")
}

/// As `dither_threshold`.
pub fn dither_threshold(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    whole(value, "dither_threshold", 0..=u32::MAX, "")
}

/// As `rate`.
pub fn rate(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    whole(value, "rate", 0..=u32::MAX, " Hz")
}

/// As `axis`, which is looked up in a shape later.
pub fn axis(value: &Bound<'_, PyAny>) -> PyResult<isize> {
    value.extract().map_err(|e| match overflows(value, &e) {
        true => PyValueError::new_err(format!(
            "axis: expected one that x has, got {}",
            shown(value)
        )),
        false => e,
    })
}

/// As `in_rate`.
pub fn in_rate(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    float(value, "in_rate")
}

/// As `out_rate`.
pub fn out_rate(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    float(value, "out_rate")
}

/// As `rate_correction`.
pub fn rate_correction(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    float(value, "rate_correction")
}

/// As `channels`, which may be left out.
pub fn channels(value: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    optional(value, "channels", 0..=usize::MAX)
}

/// As `max_latency`, which may be left out.
pub fn max_latency(value: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    optional(value, "max_latency", 0..=u64::MAX)
}

fn optional<T>(
    value: &Bound<'_, PyAny>,
    name: &str,
    range: RangeInclusive<T>,
) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObjectOwned<'a> + PartialOrd + std::fmt::Display,
{
    match value.is_none() {
        true => Ok(None),
        false => whole(value, name, range, "").map(Some),
    }
}

/// `value` as a whole number of `range`; the error names the argument, and the unit after a space.
pub fn whole<T>(
    value: &Bound<'_, PyAny>,
    name: &str,
    range: RangeInclusive<T>,
    unit: &str,
) -> PyResult<T>
where
    T: for<'a> FromPyObjectOwned<'a> + PartialOrd + std::fmt::Display,
{
    let told = || {
        let (least, most) = (range.start(), range.end());
        PyValueError::new_err(format!(
            "{name}: expected {least} to {most}{unit}, got {}",
            shown(value)
        ))
    };
    match value.extract::<T>().map_err(Into::into) {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) => Err(told()),
        Err(e) if overflows(value, &e) => Err(told()),
        Err(e) => Err(e),
    }
}

/// `value` as a number, which may be any; the error names the argument.
pub fn float(value: &Bound<'_, PyAny>, name: &str) -> PyResult<f64> {
    value.extract().map_err(|e| match overflows(value, &e) {
        true => PyValueError::new_err(format!("{name}: {} is beyond all that fits", shown(value))),
        false => PyTypeError::new_err(format!(
            "{name}: expected a number, got {}",
            type_name(value)
        )),
    })
}

/// Whether `value` is a number, but too large: what its conversion says by `error`.
pub fn overflows(value: &Bound<'_, PyAny>, error: &PyErr) -> bool {
    error.is_instance_of::<PyOverflowError>(value.py())
}

/// Digits that an error shows.
const DIGITS: usize = 40;

/// `value` as Python writes it. Of one that is too long to be read, or for Python to write, the length.
pub fn shown(value: &Bound<'_, PyAny>) -> String {
    match value.str().map(|text| text.to_string()) {
        Ok(text) if text.len() <= DIGITS => text,
        _ => match value.call_method0("bit_length") {
            Ok(bits) => format!("a number of {bits} bits"),
            Err(_) => type_name(value),
        },
    }
}
