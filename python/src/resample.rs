//! Sample-rate conversion of arrays.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustaudio_dsp::convert::{SampleFormat, SampleKind};
use rustaudio_dsp::resample::{Layout, Source, Spec, Stream};

use crate::array::{Array, dtype_name, native, tuple};
use crate::frames::{Frames, axis, signals};
use crate::idle;
use crate::rates::{Wanted, correction, error, output_frames};

/// Input frames that are taken and converted at a time, so that they stay in the cache.
const BLOCK: usize = 4096;

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
    in_rate: f64,
    out_rate: f64,
    quality: Option<&Bound<'py, PyAny>>,
    axis: isize,
    out: Option<&Bound<'py, PyAny>>,
    engine: &str,
    rate_correction: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Array::input(x, "x")?.native()?;
    check_format(x.format())?;
    let axis = self::axis(axis, x.shape())?;
    let spec = Wanted {
        in_rate,
        out_rate,
        channels: if axis + 1 == x.shape().len() {
            1
        } else {
            x.shape()[x.shape().len() - 1]
        },
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
        None => Array::zeros(py, x.format(), &shape)?,
    };
    if y.overlaps(&x) {
        return Err(PyValueError::new_err("out: shares memory with x"));
    }
    let work = (signals(&x, axis), signals(&y, axis));
    let (format, input, output) = (x.format(), x.memory(), y.memory_mut());
    py.detach(|| convert_all(&spec, format, work, input, output))
        .map_err(error)?;
    Ok(y.into_object())
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
    (from, to): (Vec<Frames>, Vec<Frames>),
    input: &[u8],
    output: &mut [u8],
) -> Result<(), rustaudio_dsp::resample::ResampleError> {
    let mut stream = idle::take(spec, format)?;
    let mut scratch = Scratch::default();
    for (from, to) in from.iter().zip(&to) {
        if from.channels > 0 {
            convert_signal(&mut stream, from, to, input, output, &mut scratch);
            stream.restart();
        }
    }
    idle::keep(spec, format, stream);
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
    from: &Frames,
    to: &Frames,
    input: &[u8],
    output: &mut [u8],
    scratch: &mut Scratch,
) {
    let mut done = 0;
    for start in (0..from.frames).step_by(BLOCK) {
        let end = from.frames.min(start + BLOCK);
        push(stream, from, start..end, input, &mut scratch.input);
        done = pull(stream, to, done, output, &mut scratch.output);
    }
    while done < to.frames {
        stream.push(BLOCK, Source::Silence);
        done = pull(stream, to, done, output, &mut scratch.output);
    }
}

/// Takes frames where they lie, or by way of `scratch`.
fn push(
    stream: &mut Stream,
    from: &Frames,
    range: std::ops::Range<usize>,
    input: &[u8],
    scratch: &mut Vec<u8>,
) {
    let frames = range.len();
    let frame_size = from.channels * from.size;
    if from.is_interleaved() {
        let at = from.first + range.start * frame_size;
        stream.push(
            frames,
            Source::Interleaved(&input[at..at + frames * frame_size]),
        );
    } else if from.is_planar() {
        let plane = |channel| {
            let at = from.at(range.start, channel);
            &input[at..at + frames * from.size]
        };
        stream.push(frames, Source::Planar(&plane));
    } else {
        from.gather(input, range, scratch);
        stream.push(frames, Source::Interleaved(scratch));
    }
}

/// Makes what can be made of the rest of `to`; how many of its frames are made then.
fn pull(
    stream: &mut Stream,
    to: &Frames,
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
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from gstrustaudio import ResampleStream
/// >>> stream = ResampleStream(44100, 16000, 2, dtype='int16')
/// >>> chunks = np.split(np.zeros((44100, 2), np.int16), 100)
/// >>> parts = [stream.resample_chunk(c, last=c is chunks[-1]) for c in chunks]
/// >>> np.concatenate(parts).shape
/// (16000, 2)
#[pyclass(module = "gstrustaudio")]
struct ResampleStream {
    stream: Stream,
    spec: Spec,
    format: SampleFormat,
    /// Output frames given.
    given: usize,
    /// The last chunk has been.
    ended: bool,
    scratch: Scratch,
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
        in_rate: f64,
        out_rate: f64,
        num_channels: usize,
        dtype: Option<&Bound<'_, PyAny>>,
        quality: Option<&Bound<'_, PyAny>>,
        engine: &str,
        rate_correction: f64,
        max_latency: Option<u64>,
    ) -> PyResult<Self> {
        if num_channels == 0 {
            return Err(PyValueError::new_err(
                "num_channels: expected at least 1, got 0",
            ));
        }
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
        Ok(Self {
            stream: Stream::new(&spec, format, Layout::Interleaved, false).map_err(error)?,
            spec,
            format,
            given: 0,
            ended: false,
            scratch: Scratch::default(),
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
        &mut self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        last: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let x = Array::input(x, "x")?.native()?;
        self.check(&x)?;
        let frames = x.shape()[0];
        let from = Frames {
            first: x.first(),
            frames,
            channels: self.spec.channels,
            frame_stride: x.strides()[0],
            channel_stride: x.strides().get(1).copied().unwrap_or(0),
            size: self.format.size(),
        };
        let input = x.memory();
        let available = py.detach(|| self.take(&from, input, last));
        let mut shape = x.shape().to_vec();
        shape[0] = available;
        let mut y = Array::zeros(py, self.format, &shape)?;
        let output = y.memory_mut();
        py.detach(|| self.stream.pull(available, output));
        self.given += available;
        Ok(y.into_object())
    }

    /// Output frames that the input so far stands for and that were not returned yet.
    fn delay(&self) -> f64 {
        if self.ended {
            return 0.0;
        }
        (self.stream.frames_due() - self.given as f64).max(0.0)
    }

    /// Forget all input: the next chunk is the first of another signal.
    fn clear(&mut self) {
        self.stream.restart();
        self.given = 0;
        self.ended = false;
    }

    /// The engine that does the work: ``'polyphase'``, ``'fft'``, ``'sinc'``, ``'rubato-fft'`` or
    /// ``'rubato-sinc'``.
    #[getter]
    fn engine(&self) -> &'static str {
        self.stream.kind().name()
    }

    /// Input frames that an output waits for, at worst.
    #[getter]
    fn latency(&self) -> u64 {
        self.stream.latency()
    }

    /// Output frames per nominal output frame; may be set from chunk to chunk, to follow a clock.
    #[getter]
    fn rate_correction(&self) -> f64 {
        self.spec.rate_correction
    }

    #[setter]
    fn set_rate_correction(&mut self, value: f64) -> PyResult<()> {
        self.spec.rate_correction = correction(value)?;
        self.stream.reconfigure(&self.spec).map_err(error)
    }

    fn __repr__(&self) -> String {
        format!(
            "ResampleStream({}, {}, {}, dtype='{}', quality={})",
            self.spec.in_rate,
            self.spec.out_rate,
            self.spec.channels,
            dtype_name(self.format),
            self.spec.quality
        )
    }
}

impl ResampleStream {
    fn check(&self, x: &Array<'_>) -> PyResult<()> {
        if self.ended {
            return Err(PyRuntimeError::new_err(
                "input after the last chunk: call clear() before another signal",
            ));
        }
        if x.format() != self.format {
            return Err(PyTypeError::new_err(format!(
                "x: expected dtype {}, as this stream was made for, got {}",
                dtype_name(self.format),
                dtype_name(x.format())
            )));
        }
        let channels = self.spec.channels;
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

    /// Takes a chunk; how many output frames to pull then.
    fn take(&mut self, from: &Frames, input: &[u8], last: bool) -> usize {
        if from.frames > 0 {
            let range = 0..from.frames;
            push(
                &mut self.stream,
                from,
                range,
                input,
                &mut self.scratch.input,
            );
        }
        if !last {
            return self.stream.available();
        }
        self.ended = true;
        let rest = self.rest();
        while self.stream.available() < rest {
            self.stream.push(BLOCK, Source::Silence);
        }
        rest
    }

    /// Output frames that the input is long, and that were not returned yet.
    fn rest(&self) -> usize {
        let total = match self.spec.rate_correction {
            1.0 => output_frames(&self.spec, self.stream.frames_in()),
            _ => (self.stream.frames_due() + 0.5).floor() as usize,
        };
        total.saturating_sub(self.given)
    }
}
