// SPDX-License-Identifier: MIT

//! Conversion of samples, layouts and channels of arrays.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use rustaudio_dsp::convert::{
    Channels, Converter, Dither, Matrix, NoiseShaping, Position, Quantisation, SampleFormat, Side,
};
use rustaudio_dsp::{Frames, Layout};

use crate::array::{Array, dtype_name, format_named, tuple};
use crate::patience::Patience;
use crate::rates::one_of;
use crate::signal::{Signal, too_many};
use crate::whole;

const DITHERS: [(&str, Dither); 4] = [
    ("none", Dither::None),
    ("rpdf", Dither::Rpdf),
    ("tpdf", Dither::Tpdf),
    ("tpdf-hf", Dither::TpdfHf),
];

const SHAPINGS: [(&str, NoiseShaping); 5] = [
    ("none", NoiseShaping::None),
    ("error-feedback", NoiseShaping::ErrorFeedback),
    ("simple", NoiseShaping::Simple),
    ("medium", NoiseShaping::Medium),
    ("high", NoiseShaping::High),
];

/// The most channels that are mixed, put into another layout or shaped: a mix has as many coefficients for each.
const MOST_CHANNELS: usize = 1024;

/// Adds the function of this file.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // None of the names that the module has for users.
    module.setattr("_nothing", wrap_pyfunction!(nothing, module)?)?;
    module.add_function(wrap_pyfunction!(convert, module)?)
}

/// Takes what [`convert`] takes and gives `x` back: what a call costs that does nothing, for
/// `tools/bench_numpy`.
#[pyfunction]
#[pyo3(
    name = "_nothing",
    signature = (
        x, dtype, channels = None, mix_matrix = None, dither = Some("tpdf"), noise_shaping = Some("none"), *,
        axis = 0, planar = None, format = None, rate = 48000, dither_threshold = 20, seed = 0, out = None
    )
)]
#[expect(
    clippy::too_many_arguments,
    unused_variables,
    reason = "those of another function"
)]
fn nothing<'py>(
    x: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = whole::channels)] channels: Option<usize>,
    mix_matrix: Option<&Bound<'py, PyAny>>,
    dither: Option<&str>,
    noise_shaping: Option<&str>,
    #[pyo3(from_py_with = whole::axis)] axis: isize,
    planar: Option<bool>,
    format: Option<&str>,
    #[pyo3(from_py_with = whole::rate)] rate: u32,
    #[pyo3(from_py_with = whole::dither_threshold)] dither_threshold: u32,
    #[pyo3(from_py_with = whole::seed)] seed: u64,
    out: Option<&Bound<'py, PyAny>>,
) -> Bound<'py, PyAny> {
    x.clone()
}

/// Convert samples to another format, and to other channels or another layout.
///
/// Full scale of floats is -1 to 1. Integers are rounded to nearest and clipped; NaN becomes 0.
///
/// Parameters
/// ----------
/// x : array_like
///     ``(frames,)``, ``(frames, channels)``, with ``axis=1`` ``(channels, frames)``, or any shape
///     where nothing but the format changes. Of int8, uint8, int16, uint16, int32, uint32, float32,
///     float64 in either byte order; or as `format` says.
/// dtype : dtype_like or str
///     Of the result; or a format of 3 bytes ('S24LE', 'S24BE', 'U24LE', 'S20LE', 'S18LE', …), held in
///     a last axis of 3 uint8, or of 24 bits in 4 ('S24_32LE', …), held in 4-byte integers.
/// channels : int, optional
///     Of the result, mixed by position (ITU-R BS.775) and never louder than full scale: 1, 2, 4
///     (front, rear), 6 (5.1) or 8 (7.1), from as many.
/// mix_matrix : array_like, optional
///     ``(output channels, input channels)`` of finite coefficients.
/// dither : {'tpdf', 'rpdf', 'tpdf-hf', 'none'}, optional
///     Noise added where bits are lost, to formats of up to `dither_threshold` bits.
/// noise_shaping : {'none', 'error-feedback', 'simple', 'medium', 'high'}, optional
///     Where the noise of rounding is moved to.
/// axis : {0, 1, -1, -2}, optional
///     The axis of time of `x`, and of the result unless `planar` says otherwise.
/// planar : bool, optional
///     Whether the result is ``(channels, frames)``.
/// format : str, optional
///     How samples of `x` are held, where its dtype does not tell: a format as for `dtype`.
/// rate : int, optional
///     Hz, for `noise_shaping`: below 32 kHz the steep filters give way to error feedback.
/// dither_threshold : int, optional
///     Formats of more bits are only rounded.
/// seed : int, optional
///     Of the noise; equal calls have equal results.
/// out : numpy.ndarray, optional
///     Written to and returned, in place of a new array: contiguous, no memory of `x`.
///
/// Returns
/// -------
/// numpy.ndarray
///
/// Raises
/// ------
/// TypeError
///     A dtype is none of samples.
/// ValueError
///     Shapes, channels or names do not fit.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from gstrustaudio import convert
/// >>> convert(np.array([0, 16384, -32768], np.int16), np.float32)
/// array([ 0. ,  0.5, -1. ], dtype=float32)
/// >>> convert(np.array([[0.5, -0.25], [1.0, 0.0]]), np.float64, channels=1)
/// array([[0.125],
///        [0.5  ]])
/// >>> convert(np.array([1.0, -1.0], np.float32), 'S24LE')
/// array([[255, 255, 127],
///        [  0,   0, 128]], dtype=uint8)
/// >>> convert(np.array([[255, 255, 127], [0, 0, 128]], np.uint8), np.int32, format='S24LE')
/// array([ 2147483392, -2147483648], dtype=int32)
#[pyfunction]
#[pyo3(
    signature = (
        x, dtype, channels = None, mix_matrix = None, dither = Some("tpdf"), noise_shaping = Some("none"), *,
        axis = 0, planar = None, format = None, rate = 48000, dither_threshold = 20, seed = 0, out = None
    ),
    text_signature = "(x, dtype, channels=None, mix_matrix=None, dither='tpdf', noise_shaping='none', *, axis=0, \
                      planar=None, format=None, rate=48000, dither_threshold=20, seed=0, out=None)"
)]
#[expect(clippy::too_many_arguments, reason = "keyword arguments")]
fn convert<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = whole::channels)] channels: Option<usize>,
    mix_matrix: Option<&Bound<'py, PyAny>>,
    dither: Option<&str>,
    noise_shaping: Option<&str>,
    #[pyo3(from_py_with = whole::axis)] axis: isize,
    planar: Option<bool>,
    format: Option<&str>,
    #[pyo3(from_py_with = whole::rate)] rate: u32,
    #[pyo3(from_py_with = whole::dither_threshold)] dither_threshold: u32,
    #[pyo3(from_py_with = whole::seed)] seed: u64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let x = Array::input(x, "x")?;
    let (mut from, mut channels) = (Audio::of(&x, format, axis)?, channels);
    let format = wanted(dtype)?;
    let planar = planar.unwrap_or(from.planar);
    let quantisation = Quantisation {
        threshold: dither_threshold,
        ..quantisation(dither, noise_shaping, rate)?
    };
    if from.channels > MOST_CHANNELS {
        let stays = channels.is_none_or(|n| n == from.channels) && planar == from.planar;
        if !stays || mix_matrix.is_some() || quantisation.shaping != NoiseShaping::None {
            return Err(too_many(from.channels, MOST_CHANNELS, x.shape()));
        }
        // One sample becomes one, whichever axis is time.
        from.forget_channels();
        channels = None;
    }
    let matrix = matrix(from.channels, channels, mix_matrix)?;
    let shape = from.converted(matrix.outputs(), planar, format)?;
    let mut y = match out {
        Some(out) => Array::output(out, "out", carrier(format), &shape)?,
        None => Array::empty(py, carrier(format), &shape)?,
    };
    if !y.is_contiguous() || y.overlaps(&x) {
        return Err(PyValueError::new_err(
            "out: expected a contiguous array that shares no memory with x",
        ));
    }
    let to = Side {
        format,
        channels: matrix.outputs(),
        layout: layout(planar),
    };
    let (input, output) = (x.memory(), y.memory_mut());
    py.detach(|| from.convert(to, &matrix, quantisation, seed, input, output))?;
    Ok(y.into_object())
}

/// Audio in the memory of an array.
struct Audio {
    format: SampleFormat,
    /// Of the array, without the bytes of a sample.
    shape: Vec<usize>,
    strides: Vec<isize>,
    first: usize,
    frames: usize,
    channels: usize,
    /// Time runs along the last of two axes.
    planar: bool,
    /// Two axes, of which neither is time: all samples are those of one channel.
    flat: bool,
}

impl Audio {
    /// `x`, whose samples are held as `format` says.
    fn of(x: &Array<'_>, format: Option<&str>, axis: isize) -> PyResult<Self> {
        let planar = match axis {
            0 | -2 => false,
            1 | -1 => true,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "axis: expected 0, 1, -1 or -2, got {axis}"
                )));
            }
        };
        let (mut shape, mut strides) = (x.shape().to_vec(), x.strides().to_vec());
        let format = format.map_or(Ok(x.format()), named_format)?;
        if carrier(format) != x.format() {
            return Err(PyTypeError::new_err(format!(
                "x: expected dtype {} for format {}, got {}",
                dtype_name(carrier(format)),
                format.name(),
                dtype_name(x.format())
            )));
        }
        if format.bytes == 3 {
            let bytes = (shape.pop(), strides.pop());
            if bytes != (Some(3), Some(1)) {
                return Err(PyValueError::new_err(format!(
                    "x: expected a last axis of 3 adjacent bytes for format {}, got shape {}",
                    format.name(),
                    tuple(x.shape())
                )));
            }
        }
        let (frames, channels) = match *shape {
            [channels, frames] if planar => (frames, channels),
            [frames, channels] => (frames, channels),
            _ => (shape.iter().product(), 1),
        };
        Ok(Self {
            planar: planar && shape.len() == 2,
            flat: false,
            format,
            shape,
            strides,
            first: x.first(),
            frames,
            channels,
        })
    }

    /// Has all samples be those of one channel.
    fn forget_channels(&mut self) {
        self.frames *= self.channels;
        self.channels = 1;
        self.planar = false;
        self.flat = true;
    }

    /// The shape of an array that holds this in `channels` of `format`.
    fn converted(
        &self,
        channels: usize,
        planar: bool,
        format: SampleFormat,
    ) -> PyResult<Vec<usize>> {
        let mut shape = match self.shape.len() {
            _ if self.flat => self.shape.clone(),
            2 if planar => vec![channels, self.frames],
            2 => vec![self.frames, channels],
            _ if channels == 1 => self.shape.clone(),
            1 if planar => vec![channels, self.frames],
            1 => vec![self.frames, channels],
            _ => {
                return Err(PyValueError::new_err(format!(
                    "x: expected (frames,) or (frames, channels) where channels are mixed, got {}",
                    tuple(&self.shape)
                )));
            }
        };
        if format.bytes == 3 {
            shape.push(3);
        }
        Ok(shape)
    }

    /// Converts all of it to `output`, piece by piece. The error may be what a signal's handler raised.
    fn convert(
        &self,
        to: Side,
        matrix: &Matrix,
        quantisation: Quantisation,
        seed: u64,
        input: &[u8],
        output: &mut [u8],
    ) -> PyResult<()> {
        if self.frames * self.channels * to.channels == 0 {
            return Ok(());
        }
        let from = Side {
            format: self.format,
            channels: self.channels,
            layout: layout(self.planar),
        };
        let (mut copy, mut patience) = (Vec::new(), Patience::default());
        let frames = self.signal();
        let in_place = self.shape.len() == 2 && self.planar && frames.is_planar();
        let data = if self.is_contiguous() {
            &input[self.first..][..self.frames * from.frame_size()]
        } else if in_place {
            input
        } else {
            self.copy(input, &mut copy, &mut patience)?;
            &copy
        };
        let plane = |c| match in_place && !self.is_contiguous() {
            true => frames.at(0, c),
            false => c * self.frames * self.format.size(),
        };
        let planes: Vec<_> = match self.planar {
            true => (0..self.channels).map(plane).collect(),
            false => Vec::new(),
        };
        let made = |from, to, matrix: &Matrix| {
            Converter::new(from, to, matrix, quantisation, seed).map_err(refused)
        };
        let pieces = Pieces {
            data,
            planes: &planes,
            frames: self.frames,
        };
        let mut converter = made(from, to, matrix)?;
        if converter.is_by_plane() {
            let (from, to) = (mono(from), mono(to));
            let mut converter = made(from, to, &Matrix::identity(1, 1))?;
            let plane = self.frames * to.frame_size();
            for (at, output) in planes.iter().zip(output.chunks_exact_mut(plane)) {
                let data = &data[*at..][..self.frames * from.frame_size()];
                let pieces = Pieces {
                    data,
                    planes: &[],
                    frames: self.frames,
                };
                pieces.convert(&mut converter, (from, to), output, &mut patience)?;
            }
            return Ok(());
        }
        pieces.convert(&mut converter, (from, to), output, &mut patience)
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = self.format.size() as isize;
        let mut axes = self.shape.iter().zip(&self.strides).rev();
        axes.all(|(n, stride)| {
            let fits = *n == 1 || *stride == expected;
            expected *= *n as isize;
            fits
        })
    }

    /// Its frames, if it has one or two axes.
    fn signal(&self) -> Signal {
        let (time, channel) = match *self.strides {
            [channel, time] if self.planar => (time, channel),
            [time, channel] => (time, channel),
            [time] => (time, 0),
            _ => (0, 0),
        };
        Signal {
            first: self.first,
            frames: self.frames,
            channels: self.channels,
            frame_stride: time,
            channel_stride: channel,
            size: self.format.size(),
        }
    }

    /// All samples side by side, in the order of the array.
    fn copy(&self, input: &[u8], to: &mut Vec<u8>, patience: &mut Patience) -> PyResult<()> {
        // The last two axes, of which the last runs fastest; that alone where it is long.
        let long = self.shape.last().is_some_and(|n| *n > Patience::frames(1));
        let inner = if long { 1 } else { 2 };
        let (outer, inner) = self.shape.split_at(self.shape.len().saturating_sub(inner));
        let (steps, strides) = self.strides.split_at(outer.len());
        let part = Signal {
            first: self.first,
            frames: inner[0],
            channels: inner.get(1).copied().unwrap_or(1),
            frame_stride: strides[0],
            channel_stride: strides.get(1).copied().unwrap_or(0),
            size: self.format.size(),
        };
        let parts = outer.iter().product::<usize>();
        to.resize(parts * part.frames * part.channels * part.size, 0);
        let piece = Patience::frames(part.channels);
        let mut rest = &mut to[..];
        for mut index in 0..parts {
            let mut first = part.first;
            for (length, step) in outer.iter().zip(steps).rev() {
                first = first.wrapping_add_signed((index % length) as isize * step);
                index /= length;
            }
            for from in (0..part.frames).step_by(piece) {
                let range = from..part.frames.min(from + piece);
                let count = range.len() * part.channels;
                let samples = rest.split_off_mut(..count * part.size).unwrap_or_default();
                Signal { first, ..part }.gather_into(input, range, samples);
                patience.spend(count)?;
            }
        }
        Ok(())
    }
}

/// Samples that are converted a piece at a time. A piece is whole blocks of the crate's, so that noise is the same as
/// in one.
struct Pieces<'a> {
    data: &'a [u8],
    /// Where its planes begin; none if it is interleaved.
    planes: &'a [usize],
    frames: usize,
}

impl Pieces<'_> {
    fn convert(
        &self,
        converter: &mut Converter,
        (from, to): (Side, Side),
        output: &mut [u8],
        patience: &mut Patience,
    ) -> PyResult<()> {
        let (size, frame) = (to.format.size(), to.frame_size());
        let usual = Patience::frames(from.channels);
        // Planes of a piece lie apart, and come there by way of memory that is at hand, which takes a tenth longer: only
        // where all at once would be too long.
        let apart = to.is_planar() && self.frames > IN_ONE * usual;
        let piece = match apart {
            true => APART.div_ceil(to.channels).next_multiple_of(1024),
            false if to.is_planar() => self.frames,
            false => usual,
        };
        let (mut planes, mut made) = (Vec::new(), Vec::new());
        for start in (0..self.frames).step_by(piece) {
            let count = piece.min(self.frames - start);
            let source = if self.planes.is_empty() {
                Frames::interleaved(&self.data[start * from.frame_size()..], count)
            } else {
                planes.clear();
                planes.extend(self.planes.iter().map(|at| at + start * from.format.size()));
                Frames::planar(self.data, &planes, count)
            };
            if apart {
                made.resize(count * frame, 0);
                converter.convert(source, &mut made).map_err(refused)?;
                let whole = output.chunks_exact_mut(self.frames * size);
                for (to, from) in whole.zip(made.chunks_exact(count * size)) {
                    to[start * size..][..from.len()].copy_from_slice(from);
                }
            } else {
                let to = &mut output[start * frame..][..count * frame];
                converter.convert(source, to).map_err(refused)?;
            }
            patience.spend(count * from.channels)?;
        }
        Ok(())
    }
}

/// Pieces that are converted in one where their planes would lie apart: up to half a second.
const IN_ONE: usize = 8;

/// Samples of a piece whose planes lie apart: they stay in the cache.
const APART: usize = 1 << 15;

/// One channel of `side`.
fn mono(side: Side) -> Side {
    Side {
        channels: 1,
        ..side
    }
}

fn refused(e: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(e.to_string())
}

/// What becomes of bits that are lost, as a caller asked for it.
pub fn quantisation(
    dither: Option<&str>,
    shaping: Option<&str>,
    rate: u32,
) -> PyResult<Quantisation> {
    Ok(Quantisation {
        dither: one_of("dither", dither.unwrap_or("none"), &DITHERS)?,
        shaping: one_of("noise_shaping", shaping.unwrap_or("none"), &SHAPINGS)?,
        rate,
        ..Quantisation::default()
    })
}

/// The mix of `inputs` channels that a caller asked for.
pub fn matrix(
    inputs: usize,
    channels: Option<usize>,
    mix_matrix: Option<&Bound<'_, PyAny>>,
) -> PyResult<Matrix> {
    let Some(mix) = mix_matrix else {
        let outputs = channels.unwrap_or(inputs);
        if outputs == inputs {
            return Ok(Matrix::identity(inputs, inputs));
        }
        let mixed = Matrix::between(&positions(inputs)?, &positions(outputs)?);
        return mixed.map_err(|e| PyValueError::new_err(e.to_string()));
    };
    let numpy = mix.py().import("numpy")?;
    let rows: Vec<Vec<f32>> = numpy
        .call_method1("asarray", (mix, "float64"))
        .and_then(|array| array.call_method0("tolist")?.extract())
        .map_err(|e| {
            PyTypeError::new_err(format!(
                "mix_matrix: expected rows of numbers, one per output channel: {}",
                e.value(mix.py())
            ))
        })?;
    let matrix = Matrix::from_rows(&rows)
        .and_then(|matrix| {
            matrix.check(inputs, channels.unwrap_or(matrix.outputs()))?;
            Ok(matrix)
        })
        .map_err(|e| PyValueError::new_err(format!("mix_matrix: {e}")))?;
    if matrix.outputs() > MOST_CHANNELS {
        return Err(PyValueError::new_err(format!(
            "mix_matrix: expected at most {MOST_CHANNELS} rows, one per output channel, got {}",
            matrix.outputs()
        )));
    }
    Ok(matrix)
}

/// Where the channels of so many are heard, by the usual channel masks.
fn positions(channels: usize) -> PyResult<Channels> {
    let mask = match channels {
        1 => return Ok(Channels::Positioned(vec![Position::Mono])),
        2 => 0x3,
        4 => 0x33,
        6 => 0x3f,
        8 => 0xc3f,
        _ => {
            return Err(PyValueError::new_err(format!(
                "channels: expected 1, 2, 4, 6 or 8 on both sides, got {channels}; any others by mix_matrix"
            )));
        }
    };
    Ok(Channels::Positioned(Position::from_mask(mask)))
}

/// The format that a caller wants: by its name, or as a dtype.
fn wanted(dtype: &Bound<'_, PyAny>) -> PyResult<SampleFormat> {
    let named = dtype.extract::<&str>().ok().map(named_format);
    match named {
        Some(Ok(format)) => Ok(format),
        _ => format_named(dtype),
    }
}

fn named_format(name: &str) -> PyResult<SampleFormat> {
    SampleFormat::from_name(name).ok_or_else(|| {
        PyValueError::new_err(format!(
            "format: expected a name such as 'S16LE', 'S24LE', 'S24_32LE' or 'F32LE', got '{name}'"
        ))
    })
}

/// The format of the array's elements that hold samples of `format`.
fn carrier(format: SampleFormat) -> SampleFormat {
    match format.bytes {
        3 => SampleFormat::U8,
        4 if format.depth == 24 => SampleFormat {
            depth: 32,
            ..format
        },
        _ => format,
    }
}

/// How channels lie, as Python tells it.
pub fn layout(planar: bool) -> Layout {
    match planar {
        true => Layout::Planar,
        false => Layout::Interleaved,
    }
}
