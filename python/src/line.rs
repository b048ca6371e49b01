// SPDX-License-Identifier: MIT

//! Frames of PyAV on their way: converted, resampled and converted again, from their planes to those of
//! the frames that come out.

use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rustaudio_dsp::convert::{ConvertError, Converter, Matrix, Quantisation, SampleFormat, Side};
use rustaudio_dsp::resample::Spec;
use rustaudio_dsp::{Frames, Layout};

use crate::array::{Array, dtype_name, format_named, native};
use crate::convert::{layout, matrix, quantisation};
use crate::idle;
use crate::owned::owned;
use crate::rates::{Wanted, error};
use crate::running::Running;

/// Adds the class of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Line>()
}

/// Frames that are converted and resampled at a time, so that what is between stays near.
const BLOCK: usize = 4096;

/// What threads that meet in one are told.
const NAME: &str = "stream of frames";

/// One side as Python tells it: dtype, channels, planar.
type Told<'py> = (Bound<'py, PyAny>, usize, bool);
/// Rates of input and output, quality, engine, and the dtype that is resampled.
type Rates<'py> = (f64, f64, Bound<'py, PyAny>, String, Bound<'py, PyAny>);

/// One signal, made of frames of one kind: what `gstrustaudio.pyav` calls.
///
/// `push` takes the planes of a frame and tells how many frames of output `pull` then writes.
#[pyclass(frozen, module = "gstrustaudio._native")]
struct Line {
    source: Side,
    target: Side,
    state: Mutex<State>,
}

struct State {
    /// From the source to what is resampled, or to the target.
    before: Option<Converter>,
    resampling: Option<Resampling>,
}

struct Resampling {
    running: Running,
    /// What is resampled, as it comes out.
    work: Side,
    after: Option<Converter>,
    /// Room for what is resampled: on its way in, and out.
    scratch: [Vec<u8>; 2],
}

#[pymethods]
impl Line {
    #[new]
    #[pyo3(signature = (source, target, mix_matrix, noise, rates, /))]
    fn new(
        source: Told<'_>,
        target: Told<'_>,
        mix_matrix: Option<&Bound<'_, PyAny>>,
        noise: (Option<String>, Option<String>, u32),
        rates: Option<Rates<'_>>,
    ) -> PyResult<Self> {
        let (source, target) = (side(&source)?, side(&target)?);
        let matrix = matrix(source.channels, Some(target.channels), mix_matrix)?;
        let noise = quantisation(noise.0.as_deref(), noise.1.as_deref(), noise.2)?;
        let Some((in_rate, out_rate, quality, engine, work)) = rates else {
            let before = Some(converter(source, target, &matrix, noise, 1)?);
            return Ok(Self::of(source, target, before, None));
        };
        let spec = Wanted {
            in_rate,
            out_rate,
            channels: target.channels,
            quality: Some(&quality),
            engine: &engine,
            rate_correction: 1.0,
            max_latency: None,
        }
        .spec()?;
        let format = native(format_named(&work)?);
        let resampled = |layout| Side {
            format,
            channels: target.channels,
            layout,
        };
        let taken = resampled(source.layout);
        let before = match taken == source && matrix.is_identity() {
            true => None,
            false => Some(converter(source, taken, &matrix, noise, 1)?),
        };
        let resampling = Resampling::new(spec, resampled(target.layout), target, noise)?;
        Ok(Self::of(source, target, before, Some(resampling)))
    }

    /// Converts the planes of a frame to `out`.
    fn convert(
        &self,
        py: Python<'_>,
        planes: Vec<Bound<'_, PyAny>>,
        out: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let planes = arrays(&planes, self.source)?;
        let mut out = output(out, self.target)?;
        if planes.iter().any(|plane| plane.overlaps(&out)) {
            return Err(PyValueError::new_err("out: shares memory with the planes"));
        }
        let planes: Vec<&[u8]> = planes.iter().map(Array::memory).collect();
        let output = out.memory_mut();
        let frames = output.len() / self.target.frame_size();
        let mut state = owned(&self.state, NAME)?;
        let State { before, resampling } = &mut *state;
        match (before, resampling) {
            (Some(before), None) => py
                .detach(|| before.convert(view(self.source, &planes, frames), output))
                .map_err(short),
            _ => Err(PyValueError::new_err("rates are given: push and pull")),
        }
    }

    /// Takes the planes of a frame; how many frames are to be pulled.
    fn push(&self, py: Python<'_>, planes: Vec<Bound<'_, PyAny>>) -> PyResult<usize> {
        let planes = arrays(&planes, self.source)?;
        let planes: Vec<&[u8]> = planes.iter().map(Array::memory).collect();
        let mut state = owned(&self.state, NAME)?;
        let State { before, resampling } = &mut *state;
        let resampling = resampling.as_mut().ok_or_else(no_rates)?;
        py.detach(|| resampling.push(self.source, before.as_mut(), &planes))
            .map_err(short)?;
        Ok(resampling.running.stream.available())
    }

    /// Ends the signal; how many frames are to be pulled.
    fn finish(&self, py: Python<'_>) -> PyResult<usize> {
        let mut state = owned(&self.state, NAME)?;
        let resampling = state.resampling.as_mut().ok_or_else(no_rates)?;
        Ok(py.detach(|| resampling.running.end()))
    }

    /// Writes so many frames as `push` or `finish` told to `out`.
    fn pull(&self, py: Python<'_>, out: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut out = output(out, self.target)?;
        let output = out.memory_mut();
        let frames = output.len() / self.target.frame_size();
        let mut state = owned(&self.state, NAME)?;
        let resampling = state.resampling.as_mut().ok_or_else(no_rates)?;
        if frames > resampling.running.stream.available() {
            return Err(PyValueError::new_err("out: longer than what there is"));
        }
        py.detach(|| resampling.pull(output, frames)).map_err(short)
    }
}

impl Line {
    fn of(
        source: Side,
        target: Side,
        before: Option<Converter>,
        resampling: Option<Resampling>,
    ) -> Self {
        Self {
            source,
            target,
            state: Mutex::new(State { before, resampling }),
        }
    }
}

impl Resampling {
    fn new(spec: Spec, work: Side, target: Side, noise: Quantisation) -> PyResult<Self> {
        let stream = idle::take(&spec, work.format, work.layout).map_err(error)?;
        let same = Matrix::identity(work.channels, work.channels);
        let after = match work.format == target.format {
            true => None,
            false => Some(converter(work, target, &same, noise, 2)?),
        };
        Ok(Self {
            running: Running::new(stream, spec),
            work,
            after,
            scratch: Default::default(),
        })
    }

    /// Takes planes of `source`, by way of `before` where samples are to be converted.
    fn push(
        &mut self,
        source: Side,
        mut before: Option<&mut Converter>,
        planes: &[&[u8]],
    ) -> Result<(), ConvertError> {
        let size = match source.is_planar() {
            true => source.format.size(),
            false => source.frame_size(),
        };
        let all = planes.first().map_or(0, |plane| plane.len() / size);
        for start in (0..all).step_by(BLOCK) {
            let frames = BLOCK.min(all - start);
            let bytes = start * size..(start + frames) * size;
            let block: Vec<&[u8]> = planes.iter().map(|plane| &plane[bytes.clone()]).collect();
            let block = view(source, &block, frames);
            let stream = &mut self.running.stream;
            let Some(before) = &mut before else {
                stream.push(block)?;
                continue;
            };
            let [scratch, _] = &mut self.scratch;
            scratch.resize(frames * self.work.frame_size(), 0);
            before.convert(block, scratch)?;
            stream.push(Frames::packed(source.layout, scratch, frames))?;
        }
        Ok(())
    }

    fn pull(&mut self, output: &mut [u8], frames: usize) -> Result<(), ConvertError> {
        let Some(after) = &mut self.after else {
            self.running.pull(frames, output);
            return Ok(());
        };
        // Planes of the output have no gaps where a block could end.
        let most = if self.work.is_planar() { frames } else { BLOCK };
        let [_, scratch] = &mut self.scratch;
        for start in (0..frames).step_by(most.max(1)) {
            let block = most.min(frames - start);
            scratch.resize(block * self.work.frame_size(), 0);
            self.running.pull(block, scratch);
            let size = output.len() / frames;
            let to = &mut output[start * size..(start + block) * size];
            after.convert(Frames::packed(self.work.layout, scratch, block), to)?;
        }
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(Resampling { running, work, .. }) = self.resampling.take() {
            let (mut stream, spec) = (running.stream, running.spec);
            stream.restart();
            idle::keep(&spec, work.format, work.layout, stream);
        }
    }
}

/// `count` frames of `side`, of which each channel is a plane, or all are one.
fn view<'a>(side: Side, planes: &'a [&'a [u8]], count: usize) -> Frames<'a> {
    match (side.layout, planes) {
        (Layout::Interleaved, [all]) => Frames::interleaved(all, count),
        _ => Frames::planes(planes, count),
    }
}

fn no_rates() -> PyErr {
    PyValueError::new_err("no rates are given: convert")
}

fn short(error: ConvertError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn converter(
    from: Side,
    to: Side,
    matrix: &Matrix,
    noise: Quantisation,
    seed: u64,
) -> PyResult<Converter> {
    Converter::new(from, to, matrix, noise, seed).map_err(|e| PyValueError::new_err(e.to_string()))
}

fn side((dtype, channels, planar): &Told<'_>) -> PyResult<Side> {
    if *channels == 0 {
        return Err(PyValueError::new_err(
            "channels: expected at least 1, got 0",
        ));
    }
    Ok(Side {
        format: native(format_named(dtype)?),
        channels: *channels,
        layout: layout(*planar && *channels > 1),
    })
}

/// The planes of a frame, or the one array of packed samples: as many of the right kind, equally long.
fn arrays<'py>(planes: &[Bound<'py, PyAny>], side: Side) -> PyResult<Vec<Array<'py>>> {
    let expected = if side.is_planar() { side.channels } else { 1 };
    let planes: Vec<_> = planes
        .iter()
        .map(|plane| samples(Array::input(plane, "planes")?, "planes", side.format))
        .collect::<PyResult<_>>()?;
    let length = planes.first().map_or(0, |plane| plane.memory().len());
    if planes.len() != expected || planes.iter().any(|plane| plane.memory().len() != length) {
        return Err(PyValueError::new_err(format!(
            "planes: expected {expected} of equal length, got {}",
            planes.len()
        )));
    }
    Ok(planes)
}

/// The array that frames of `side` are written to, planes one after the other.
fn output<'py>(out: &Bound<'py, PyAny>, side: Side) -> PyResult<Array<'py>> {
    let length = [out.len()?];
    let out = Array::output(out, "out", side.format, &length)?;
    samples(out, "out", side.format)
}

fn samples<'py>(array: Array<'py>, name: &str, format: SampleFormat) -> PyResult<Array<'py>> {
    if array.format() != format || array.shape().len() != 1 || !array.is_contiguous() {
        return Err(PyValueError::new_err(format!(
            "{name}: expected one axis of adjacent {}",
            dtype_name(format)
        )));
    }
    Ok(array)
}
