// SPDX-License-Identifier: MIT

//! `gstrustaudio._native`: the signal processing of `rustaudio-dsp` on numpy arrays, and the retries
//! of `rustaudio-resilience`.
//!
//! Each file registers what it defines; nothing here knows of GStreamer.

mod array;
mod audioop;
mod convert;
mod idle;
mod line;
mod owned;
mod patience;
mod rates;
mod resample;
mod resilience;
mod running;
mod signal;
mod speech;
mod whole;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // The numpy crate panics where it cannot be imported; this is an ImportError.
    module.py().import("numpy")?;
    audioop::register(module)?;
    convert::register(module)?;
    line::register(module)?;
    rates::register(module)?;
    resample::register(module)?;
    resilience::register(module)?;
    speech::register(module)?;
    Ok(())
}
