// SPDX-License-Identifier: MIT

//! Whole numbers that callers pass. One that does not fit is told by its argument's name, which an `OverflowError`
//! of the conversion itself is not.

use std::ops::RangeInclusive;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

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
            "{name}: expected {least} to {most}{unit}, got {value}"
        ))
    };
    match value.extract::<T>().map_err(Into::into) {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) => Err(told()),
        Err(e) if PyErr::is_instance_of::<PyOverflowError>(&e, value.py()) => Err(told()),
        Err(e) => Err(e),
    }
}
