// SPDX-License-Identifier: MIT

//! Sample-rate conversion of arrays.

use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustaudio_dsp::convert::{SampleFormat, SampleKind};
use rustaudio_dsp::resample::{Spec, Stream};
use rustaudio_dsp::{Frames, Layout, Outside};

use crate::array::{Array, dtype_name, native, tuple};
use crate::idle;
use crate::owned::owned;
use crate::patience::Patience;
use crate::rates::{Wanted, correction, error, output_frames};
use crate::running::{Running, end};
use crate::signal::{Signal, axis, signals, too_many};
use crate::whole;

/// The most channels of a signal: python-soxr's limit.
const MOST_CHANNELS: usize = 65_536;

/// Adds the functions and classes of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ResampleStream>()?;
    module.add_function(wrap_pyfunction!(resample, module)?)
}

/// Convert a whole signal, or many, to another sample rate.
///
/// The result is aligned with the input: sample ``k`` stands for the instant ``k / out_rate``. Beyond
/// its ends the signal counts as silence.
///
/// Parameters
/// ----------
/// x : array_like of int16, int32, float32 or float64
///     Samples: ``(frames,)``, ``(frames, channels)``, or any shape with time along `axis`. Read where
///     they lie, whatever their strides; only another byte order is copied to the machine's. NaN and infinities spread over the length of
///     the filter (with the engine ``'fft'``, of a transform), within their channel.
/// in_rate, out_rate : float
///     Sample rates in Hz.
/// quality : {'QQ', 'LQ', 'MQ', 'HQ', 'VHQ'} or int, optional
///     0 to 10, or a name of libsoxr's for the lowest of these that is as good: 0, 6, 7, 8, 10.
/// axis : int, optional
///     The axis of time.
/// out : numpy.ndarray, optional
///     Written to and returned, in place of a new array: dtype of `x`, shape of the result, any
///     strides, no memory of `x`.
/// engine : {'auto', 'polyphase', 'fft', 'sinc', 'rubato-fft', 'rubato-sinc'}, optional
///     Who does the work; ``'auto'`` is the cheapest.
/// rate_correction : float, optional
///     Output frames per nominal output frame.
///
/// Returns
/// -------
/// numpy.ndarray
///     Samples of the dtype of `x`; along `axis` the nearest whole number to ``frames * out_rate /
///     in_rate``, as python-soxr. Integers of 16 bits are dithered, the same for the same input.
///
/// Raises
/// ------
/// TypeError
///     `x` is no array of these dtypes, or `out` is of another.
/// ValueError
///     A rate, quality, axis, engine or shape is none of the above.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from gstrustaudio import resample
/// >>> tone = np.sin(2 * np.pi * 1000 / 48000 * np.arange(48000), dtype=np.float32)
/// >>> y = resample(tone, 48000, 16000)
/// >>> y.shape, y.dtype
/// ((16000,), dtype('float32'))
/// >>> clips = np.zeros((20, 3, 48000), np.int16)      # 20 clips of 3 channels
/// >>> resample(clips, 48000, 8000, axis=-1).shape
/// (20, 3, 8000)
#[pyfunction]
#[pyo3(
    signature = (x, in_rate, out_rate, quality = None, axis = 0, out = None, *, engine = "auto", rate_correction = 1.0),
    text_signature = "(x, in_rate, out_rate, quality='HQ', axis=0, out=None, *, engine='auto', rate_correction=1.0)"
)]
#[expect(clippy::too_many_arguments, reason = "keyword arguments")]
fn resample<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = whole::in_rate)] in_rate: f64,
    #[pyo3(from_py_with = whole::out_rate)] out_rate: f64,
    quality: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = whole::axis)] axis: isize,
    out: Option<&Bound<'py, PyAny>>,
    engine: &str,
    #[pyo3(from_py_with = whole::rate_correction)] rate_correction: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Array::input(x, "x")?.native()?;
    check_format(x.format())?;
    let axis = self::axis(axis, x.shape())?;
    let channels = match x.shape() {
        shape if axis + 1 == shape.len() => 1,
        shape => shape[shape.len() - 1],
    };
    if channels > MOST_CHANNELS {
        return Err(too_many(channels, MOST_CHANNELS, x.shape()));
    }
    let spec = Wanted {
        in_rate,
        out_rate,
        channels,
        quality,
        engine,
        rate_correction,
        max_latency: None,
    }
    .spec()?;
    let mut shape = x.shape().to_vec();
    shape[axis] = output_frames(&spec, shape[axis] as u64);
    let mut y = match out {
        Some(out) => Array::output(out, "out", x.format(), &shape)?,
        None => Array::empty(py, x.format(), &shape)?,
    };
    if y.overlaps(&x) {
        return Err(PyValueError::new_err("out: shares memory with x"));
    }
    let work = (signals(&x, axis), signals(&y, axis));
    let (format, input, output) = (x.format(), x.memory(), y.memory_mut());
    py.detach(|| convert_all(&spec, format, work, input, output))?;
    Ok(y.into_object())
}

fn num_channels(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    whole::whole(value, "num_channels", 1..=MOST_CHANNELS, "")
}

fn check_format(format: SampleFormat) -> PyResult<()> {
    if format.kind == SampleKind::Float || (format.kind == SampleKind::Signed && format.bytes > 1) {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "x: expected dtype int16, int32, float32 or float64, got {}",
        dtype_name(format)
    )))
}

/// Each signal by itself, so that none depends on what else is in its batch.
fn convert_all(
    spec: &Spec,
    format: SampleFormat,
    (from, to): (Vec<Signal>, Vec<Signal>),
    input: &[u8],
    output: &mut [u8],
) -> PyResult<()> {
    let mut stream = idle::take(spec, format, Layout::Interleaved).map_err(error)?;
    let mut patience = Patience::default();
    let mut scratch = Scratch::default();
    for (from, to) in from.iter().zip(&to) {
        if from.channels > 0 {
            convert_signal(
                &mut stream,
                from,
                to,
                input,
                output,
                (&mut scratch, &mut patience),
            )?;
            stream.restart();
        }
    }
    idle::keep(spec, format, Layout::Interleaved, stream);
    Ok(())
}

/// Frames on their way from or to memory where they do not lie side by side.
#[derive(Default)]
struct Scratch {
    input: Vec<u8>,
    output: Vec<u8>,
}

fn convert_signal(
    stream: &mut Stream,
    from: &Signal,
    to: &Signal,
    input: &[u8],
    output: &mut [u8],
    (scratch, patience): (&mut Scratch, &mut Patience),
) -> PyResult<()> {
    let mut done = 0;
    if from.is_interleaved() && to.is_interleaved() {
        let frame = from.channels * from.size;
        let (input, output) = (from.bytes(input), to.bytes_mut(output));
        for piece in input.chunks(Patience::frames(from.channels) * frame) {
            done += stream.process(piece, &mut output[done * frame..]);
            patience.spend(piece.len() / from.size)?;
        }
    } else {
        let block = stream.piece();
        for start in (0..from.frames).step_by(block) {
            let range = start..from.frames.min(start + block);
            let samples = range.len() * from.channels;
            push(stream, from, range, input, &mut scratch.input).map_err(outside)?;
            patience.spend(samples)?;
            done = pull(stream, to, done, output, &mut scratch.output);
        }
    }
    end(stream, to.frames - done);
    pull(stream, to, done, output, &mut scratch.output);
    Ok(())
}

/// Never so: an array says truly where its samples lie.
fn outside(e: Outside) -> PyErr {
    error(e.into())
}

/// Takes frames where they lie, or by way of `scratch`.
fn push(
    stream: &mut Stream,
    from: &Signal,
    range: std::ops::Range<usize>,
    input: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<(), Outside> {
    let frames = range.len();
    if from.is_interleaved() {
        let at = from.first + range.start * from.channels * from.size;
        stream.push(Frames::interleaved(&input[at..], frames))
    } else if from.is_planar() {
        let plane = |channel| from.at(range.start, channel);
        let planes: Vec<_> = (0..from.channels).map(plane).collect();
        stream.push(Frames::planar(input, &planes, frames))
    } else {
        from.gather(input, range, scratch);
        stream.push(Frames::interleaved(scratch, frames))
    }
}

/// Makes what can be made of the rest of `to`; how many of its frames are made then.
fn pull(
    stream: &mut Stream,
    to: &Signal,
    done: usize,
    output: &mut [u8],
    scratch: &mut Vec<u8>,
) -> usize {
    let frames = stream.available().min(to.frames - done);
    let frame_size = to.channels * to.size;
    if to.is_interleaved() {
        let at = to.first + done * frame_size;
        stream.pull(frames, &mut output[at..at + frames * frame_size]);
    } else {
        scratch.resize(frames * frame_size, 0);
        stream.pull(frames, scratch);
        to.scatter(scratch, done..done + frames, output);
    }
    done + frames
}

/// Convert a signal to another sample rate chunk by chunk.
///
/// The chunks' results one after the other are what `resample` makes of the whole, bit for bit, however
/// it is cut.
///
/// Parameters
/// ----------
/// in_rate, out_rate : float
///     Sample rates in Hz.
/// num_channels : int
///     Samples of a frame.
/// dtype : dtype_like, optional
///     Of the chunks: int16, int32, float32 or float64.
/// quality, engine, rate_correction
///     As for `resample`.
/// max_latency : int, optional
///     Input frames that an output may wait for. None lets the engine take what makes it fastest, as
///     `resample` does.
///
/// Raises
/// ------
/// TypeError, ValueError
///     For a dtype, rate, quality or engine that there is none of.
///
/// Notes
/// -----
/// One signal has one stream: a second thread that uses it at the same time gets a RuntimeError.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from gstrustaudio import ResampleStream
/// >>> stream = ResampleStream(44100, 16000, 2, dtype='int16')
/// >>> chunks = np.split(np.zeros((44100, 2), np.int16), 100)
/// >>> parts = [stream.resample_chunk(c, last=c is chunks[-1]) for c in chunks]
/// >>> np.concatenate(parts).shape
/// (16000, 2)
#[pyclass(frozen, module = "gstrustaudio")]
struct ResampleStream {
    format: SampleFormat,
    channels: usize,
    state: Mutex<State>,
}

struct State {
    running: Running,
    /// Room for frames that do not lie side by side.
    scratch: Vec<u8>,
}

#[pymethods]
impl ResampleStream {
    #[new]
    #[pyo3(
        signature = (in_rate, out_rate, num_channels, dtype = None, quality = None, *, engine = "auto", rate_correction = 1.0, max_latency = None),
        text_signature = "(in_rate, out_rate, num_channels, dtype='float32', quality='HQ', *, engine='auto', rate_correction=1.0, max_latency=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = whole::in_rate)] in_rate: f64,
        #[pyo3(from_py_with = whole::out_rate)] out_rate: f64,
        #[pyo3(from_py_with = num_channels)] num_channels: usize,
        dtype: Option<&Bound<'_, PyAny>>,
        quality: Option<&Bound<'_, PyAny>>,
        engine: &str,
        #[pyo3(from_py_with = whole::rate_correction)] rate_correction: f64,
        #[pyo3(from_py_with = whole::max_latency)] max_latency: Option<u64>,
    ) -> PyResult<Self> {
        let format = match dtype {
            Some(dtype) => crate::array::format_named(dtype)?,
            None => crate::array::format_named(PyString::new(py, "float32").as_any())?,
        };
        let format = native(format);
        check_format(format)?;
        let spec = Wanted {
            in_rate,
            out_rate,
            channels: num_channels,
            quality,
            engine,
            rate_correction,
            max_latency,
        }
        .spec()?;
        let stream = Stream::new(&spec, format, Layout::Interleaved, false).map_err(error)?;
        let state = State {
            running: Running::new(stream, spec),
            scratch: Vec::new(),
        };
        Ok(Self {
            format,
            channels: num_channels,
            state: Mutex::new(state),
        })
    }

    /// Convert the next chunk.
    ///
    /// Parameters
    /// ----------
    /// x : array_like
    ///     ``(frames,)`` for one channel, else ``(frames, channels)``, of the stream's dtype; any number
    ///     of frames.
    /// last : bool, optional
    ///     No other chunk follows until `clear`: what is held back is returned too.
    ///
    /// Returns
    /// -------
    /// numpy.ndarray
    ///     What can be made by now, in as many dimensions as `x`.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     `x` is of another dtype.
    /// ValueError
    ///     `x` has other channels.
    /// RuntimeError
    ///     A chunk after the last one, or two threads at once.
    #[pyo3(signature = (x, last = false))]
    fn resample_chunk<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        last: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let x = Array::input(x, "x")?.native()?;
        self.check(&x)?;
        let from = Signal {
            first: x.first(),
            frames: x.shape()[0],
            channels: self.channels,
            frame_stride: x.strides()[0],
            channel_stride: x.strides().get(1).copied().unwrap_or(0),
            size: self.format.size(),
        };
        let mut guard = self.state()?;
        let state = &mut *guard;
        if state.running.has_ended() {
            return Err(PyRuntimeError::new_err(
                "input after the last chunk: call clear() before another signal",
            ));
        }
        let input = x.memory();
        let available = py
            .detach(|| state.take(&from, input, last))
            .map_err(outside)?;
        let mut shape = x.shape().to_vec();
        shape[0] = available;
        let mut y = Array::empty(py, self.format, &shape)?;
        let output = y.memory_mut();
        py.detach(|| state.running.pull(available, output));
        Ok(y.into_object())
    }

    /// Output frames that the input so far stands for and that were not returned yet.
    ///
    /// Returns
    /// -------
    /// float
    fn delay(&self) -> PyResult<f64> {
        Ok(self.state()?.running.delay())
    }

    /// Forget all input: the next chunk is the first of another signal.
    fn clear(&self) -> PyResult<()> {
        self.state()?.running.restart();
        Ok(())
    }

    /// The engine that does the work: ``'polyphase'``, ``'fft'``, ``'sinc'``, ``'rubato-fft'`` or
    /// ``'rubato-sinc'``.
    #[getter]
    fn engine(&self) -> PyResult<&'static str> {
        Ok(self.state()?.running.stream.kind().name())
    }

    /// Input frames that an output waits for, at worst.
    #[getter]
    fn latency(&self) -> PyResult<u64> {
        Ok(self.state()?.running.stream.latency())
    }

    /// Output frames per nominal output frame; may be set from chunk to chunk, to follow a clock.
    #[getter]
    fn rate_correction(&self) -> PyResult<f64> {
        Ok(self.state()?.running.spec.rate_correction)
    }

    #[setter]
    fn set_rate_correction(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = correction(whole::rate_correction(value)?)?;
        self.state()?.running.correct(value).map_err(error)
    }

    fn __repr__(&self) -> PyResult<String> {
        let state = self.state()?;
        let spec = &state.running.spec;
        Ok(format!(
            "ResampleStream({}, {}, {}, dtype='{}', quality={})",
            spec.in_rate,
            spec.out_rate,
            spec.channels,
            dtype_name(self.format),
            spec.quality
        ))
    }
}

impl ResampleStream {
    fn state(&self) -> PyResult<MutexGuard<'_, State>> {
        owned(&self.state, "ResampleStream")
    }

    fn check(&self, x: &Array<'_>) -> PyResult<()> {
        if x.format() != self.format {
            return Err(PyTypeError::new_err(format!(
                "x: expected dtype {}, as this stream was made for, got {}",
                dtype_name(self.format),
                dtype_name(x.format())
            )));
        }
        let channels = self.channels;
        match x.shape() {
            [_] if channels == 1 => Ok(()),
            [_, found] if *found == channels => Ok(()),
            shape => Err(PyValueError::new_err(format!(
                "x: expected shape (frames, {channels}){}, got {}",
                if channels == 1 { " or (frames,)" } else { "" },
                tuple(shape)
            ))),
        }
    }
}

impl State {
    /// Takes a chunk; how many output frames to pull then.
    fn take(&mut self, from: &Signal, input: &[u8], last: bool) -> Result<usize, Outside> {
        let stream = &mut self.running.stream;
        if from.frames > 0 {
            push(stream, from, 0..from.frames, input, &mut self.scratch)?;
        }
        Ok(match last {
            true => self.running.end(),
            false => self.running.stream.available(),
        })
    }
}
