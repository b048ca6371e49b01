// SPDX-License-Identifier: MIT

//! What callers say of a sample-rate conversion: rates, quality, engine.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use rustaudio_dsp::resample::{CORRECTIONS, EngineChoice, MAX_QUALITY, ResampleError, Spec};

use crate::array::type_name;
use crate::whole::{overflows, shown};

/// libsoxr's names, and the lowest quality here whose pass band and stop band are as good; for `VHQ`,
/// whose stop band is beyond 32-bit samples, the highest there is.
const QUALITIES: [(&str, u8); 5] = [("QQ", 0), ("LQ", 6), ("MQ", 7), ("HQ", 8), ("VHQ", 10)];

const ENGINES: [(&str, EngineChoice); 6] = [
    ("auto", EngineChoice::Auto),
    ("polyphase", EngineChoice::Polyphase),
    ("fft", EngineChoice::Fft),
    ("sinc", EngineChoice::Sinc),
    ("rubato-fft", EngineChoice::RubatoFft),
    ("rubato-sinc", EngineChoice::RubatoSinc),
];

/// Adds libsoxr's names as constants.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    QUALITIES
        .iter()
        .try_for_each(|(name, quality)| module.add(*name, *quality))
}

/// Arguments that all resampling takes.
pub struct Wanted<'a, 'py> {
    pub in_rate: f64,
    pub out_rate: f64,
    pub channels: usize,
    pub quality: Option<&'a Bound<'py, PyAny>>,
    pub engine: &'a str,
    pub rate_correction: f64,
    pub max_latency: Option<u64>,
}

impl Wanted<'_, '_> {
    pub fn spec(&self) -> PyResult<Spec> {
        let (in_rate, out_rate) = rates(self.in_rate, self.out_rate)?;
        Ok(Spec {
            quality: quality(self.quality)?,
            engine: one_of("engine", self.engine, &ENGINES)?,
            rate_correction: correction(self.rate_correction)?,
            max_latency: Some(self.max_latency.unwrap_or(u64::MAX)),
            ..Spec::new(in_rate, out_rate, self.channels.max(1))
        })
    }
}

/// Frames that `frames` of input become: the nearest whole number. A half is up or down as rounding of
/// the ratio has it in libsoxr, so that no length differs from its.
pub fn output_frames(spec: &Spec, frames: u64) -> usize {
    let ratio = f64::from(spec.in_rate) / f64::from(spec.out_rate) / spec.rate_correction;
    (frames as f64 / ratio + 0.5).floor() as usize
}

/// The one of `table` that a caller named.
pub fn one_of<T: Copy>(argument: &str, name: &str, table: &[(&str, T)]) -> PyResult<T> {
    let known = table.iter().find(|(n, _)| *n == name);
    known.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(n, _)| format!("'{n}'")).collect();
        PyValueError::new_err(format!(
            "{argument}: expected one of {}, got '{name}'",
            names.join(", ")
        ))
    })
}

pub fn correction(value: f64) -> PyResult<f64> {
    if CORRECTIONS.contains(&value) {
        return Ok(value);
    }
    Err(PyValueError::new_err(format!(
        "rate_correction: expected a number from {} to {}, got {value}",
        CORRECTIONS.start(),
        CORRECTIONS.end()
    )))
}

/// What makes whole numbers of rates such as 44100.5, tried in this order.
const FACTORS: [f64; 7] = [1.0, 2.0, 3.0, 10.0, 100.0, 1000.0, 1001.0];

/// Whole numbers of the same ratio.
fn rates(in_rate: f64, out_rate: f64) -> PyResult<(u32, u32)> {
    for (name, rate) in [("in_rate", in_rate), ("out_rate", out_rate)] {
        if !(rate > 0.0 && rate <= f64::from(u32::MAX)) {
            return Err(PyValueError::new_err(format!(
                "{name}: expected Hz from above 0 to {}, got {rate}",
                u32::MAX
            )));
        }
    }
    let whole = |rate: f64| {
        let near = rate.round();
        ((rate - near).abs() < 1e-9 * near && near >= 1.0 && near <= f64::from(u32::MAX))
            .then_some(near as u32)
    };
    FACTORS
        .iter()
        .find_map(|f| Some((whole(in_rate * f)?, whole(out_rate * f)?)))
        .ok_or_else(|| {
            PyValueError::new_err(format!(
                "in_rate, out_rate: expected whole numbers of Hz, or of thousandths, got {in_rate} and \
                 {out_rate}; their nearest whole ratio and rate_correction do the rest"
            ))
        })
}

fn quality(quality: Option<&Bound<'_, PyAny>>) -> PyResult<u8> {
    let Some(quality) = quality else {
        return Ok(8);
    };
    if let Ok(name) = quality.extract::<&str>() {
        let known = QUALITIES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        return known.map(|(_, quality)| *quality).ok_or_else(|| {
            PyValueError::new_err(format!(
                "quality: expected one of 'QQ', 'LQ', 'MQ', 'HQ', 'VHQ' or a number from 0 to \
                 {MAX_QUALITY}, got '{name}'"
            ))
        });
    }
    let told = || {
        PyValueError::new_err(format!(
            "quality: expected a number from 0 to {MAX_QUALITY}, got {}",
            shown(quality)
        ))
    };
    let number: i64 = quality
        .extract()
        .map_err(|e| match overflows(quality, &e) {
            true => told(),
            false => PyTypeError::new_err(format!(
                "quality: expected a str or an int, got {}",
                type_name(quality)
            )),
        })?;
    let known = u8::try_from(number).ok().filter(|n| *n <= MAX_QUALITY);
    known.ok_or_else(told)
}

pub fn error(error: ResampleError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
