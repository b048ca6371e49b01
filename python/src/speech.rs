// SPDX-License-Identifier: MIT

//! Voice activity detection of arrays.

use std::ops::Range;
use std::sync::Mutex;

use numpy::PyArray1;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use rustaudio_dsp::convert::SampleFormat;
use rustaudio_dsp::vad::{
    Config, DetectorKind, FrameGrid, LookAhead, Output, Rules, TimestampRules, Vad, timestamps,
};
use rustaudio_dsp::{Frames, Outside};

use crate::array::{Array, dtype_name, tuple, type_name};
use crate::owned::owned;
use crate::patience::Patience;
use crate::signal::{Signal, signals};
use crate::whole::{float, overflows, shown, whole};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Detector>()?;
    module.add_function(wrap_pyfunction!(probabilities, module)?)?;
    module.add_function(wrap_pyfunction!(speech_times, module)?)
}

const RATES: std::ops::RangeInclusive<u32> = 8_000..=768_000;
/// Seconds of audio between two looks at what Python wants: a Ctrl-C, a callback.
const PIECE: usize = 10;
/// The 10 ms frames that Silero's longest segment leaves room for.
const FRAMES_PER_SECOND: u32 = 100;

fn rate(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    whole(value, "rate", RATES, " Hz")
}

/// Name of a detector, look-ahead in ms, threshold of the energy detector in dBFS.
type Choice<'py> = (String, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// dBFS, as the element has them.
const ENERGY_THRESHOLDS: std::ops::RangeInclusive<f64> = -120.0..=0.0;

fn detector((name, look_ahead, energy_threshold): &Choice<'_>) -> PyResult<DetectorKind> {
    let name = name.as_str();
    let ms = look_ahead.extract::<u32>();
    let ms = match ms {
        Err(e) if !overflows(look_ahead, &e) => {
            return Err(PyTypeError::new_err(format!(
                "look_ahead_ms: expected an int, got {}",
                type_name(look_ahead)
            )));
        }
        ms => ms.ok(),
    };
    let asked = LookAhead::within(u64::from(ms.unwrap_or_default()) * 1_000_000);
    let kind = match name {
        "silero" => DetectorKind::Silero(asked),
        "neural" => DetectorKind::Neural(asked),
        "spectral" => DetectorKind::Spectral(asked),
        "energy" => {
            let db = float(energy_threshold, "energy_threshold")?;
            if !ENERGY_THRESHOLDS.contains(&db) {
                return Err(PyValueError::new_err(format!(
                    "energy_threshold: expected {} to {} dBFS, got {db}",
                    ENERGY_THRESHOLDS.start(),
                    ENERGY_THRESHOLDS.end()
                )));
            }
            return Ok(DetectorKind::Energy {
                threshold_db: db as f32,
            });
        }
        _ => {
            return Err(PyValueError::new_err(format!(
                "detector: expected 'silero', 'neural', 'spectral' or 'energy', got '{name}'"
            )));
        }
    };
    if Some(kind.look_ahead().frames() as u32 * 10) != ms {
        let known = match name {
            "spectral" => "0, 30 or 100",
            _ => "0, 30, 60 or 100",
        };
        return Err(PyValueError::new_err(format!(
            "look_ahead_ms: expected {known} for detector='{name}', got {}",
            shown(look_ahead)
        )));
    }
    Ok(kind)
}

/// Frames and channels of an array of samples.
fn dimensions(x: &Array<'_>) -> PyResult<(usize, usize)> {
    match *x.shape() {
        [frames] => Ok((frames, 1)),
        [frames, channels] if channels > 0 => Ok((frames, channels)),
        _ => Err(PyValueError::new_err(format!(
            "x: expected shape (frames,) or (frames, channels), got {}",
            tuple(x.shape())
        ))),
    }
}

/// The most channels that are heard.
const MOST_CHANNELS: usize = 1024;

/// The samples of an array, which can be read without the GIL.
struct Recording<'a> {
    memory: &'a [u8],
    signal: Signal,
    format: SampleFormat,
}

impl<'a> Recording<'a> {
    fn of(array: &'a Array<'_>) -> PyResult<Self> {
        let (_, channels) = dimensions(array)?;
        if channels > MOST_CHANNELS {
            return Err(PyValueError::new_err(format!(
                "x: expected at most {MOST_CHANNELS} channels, got {channels} by shape {}: if channels come \
                 first, pass x.T",
                tuple(array.shape())
            )));
        }
        let mut all = signals(array, 0);
        Ok(Self {
            memory: array.memory(),
            signal: all.remove(0),
            format: array.format(),
        })
    }

    /// Has `vad` take the frames of `range`, where they lie or else copied: `copy` is room for them.
    fn push(
        &self,
        vad: &mut Vad,
        range: Range<usize>,
        copy: &mut Vec<u8>,
        give: impl FnMut(Output),
    ) -> Result<(), Outside> {
        let (samples, signal) = (range.len(), &self.signal);
        if signal.is_interleaved() {
            let data = self.memory.get(signal.at(range.start, 0)..);
            vad.push(Frames::interleaved(data.unwrap_or_default(), samples), give)
        } else if signal.is_planar() {
            let starts = (0..signal.channels).map(|channel| signal.at(range.start, channel));
            let offsets: Vec<_> = starts.collect();
            vad.push(Frames::planar(self.memory, &offsets, samples), give)
        } else {
            signal.gather(self.memory, range, copy);
            vad.push(Frames::interleaved(copy, samples), give)
        }
    }
}

/// Probabilities of a whole recording; `progress`, if it is not None, is called with percents.
fn hear(
    py: Python<'_>,
    recording: &Recording<'_>,
    rate: u32,
    detector: DetectorKind,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<f32>> {
    let config = Config {
        format: recording.format,
        rate,
        channels: recording.signal.channels,
        detector,
    };
    let (piece, all) = (rate as usize * PIECE, recording.signal.frames);
    let mut vad = py.detach(|| Vad::new(config, Rules::default()));
    let mut heard = Vec::with_capacity(all / (rate / FRAMES_PER_SECOND) as usize + 1);
    let mut copy = Vec::new();
    for from in (0..all).step_by(piece) {
        let range = from..all.min(from + piece);
        let take = |output| heard.extend(probability(output));
        let taken = py.detach(|| recording.push(&mut vad, range.clone(), &mut copy, take));
        taken.map_err(outside)?;
        py.check_signals()?;
        if let Some(progress) = progress {
            progress.call1((100.0 * range.end as f64 / all as f64,))?;
        }
    }
    py.detach(|| vad.flush(|output| heard.extend(probability(output))));
    Ok(heard)
}

/// Never so: an array says truly where its samples lie.
fn outside(e: Outside) -> PyErr {
    PyValueError::new_err(format!("x: {e}"))
}

fn probability(output: Output) -> Option<f32> {
    match output {
        Output::Frame(frame) => Some(frame.probability),
        Output::Change(..) => None,
    }
}

/// Probability of speech in each 10 ms: what `gstrustaudio.probabilities` calls.
#[pyfunction]
#[pyo3(signature = (x, rate, choice, /))]
fn probabilities<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = rate)] rate: u32,
    choice: Choice<'_>,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let kind = detector(&choice)?;
    let x = Array::input(x, "x")?;
    let recording = Recording::of(&x)?;
    let heard = hear(py, &recording, rate, kind, None)?;
    Ok(PyArray1::from_vec(py, heard))
}

/// Rules of [`timestamps`] as Silero has them: thresholds, and lengths in seconds.
type SpokenRules = (f32, f32, f64, f64, f64, f64, f64, bool);

/// Length of the recording; first sample of each segment and of what follows it.
#[pyfunction]
#[pyo3(signature = (x, rate, choice, rules, progress, /))]
fn speech_times(
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = rate)] rate: u32,
    choice: Choice<'_>,
    rules: SpokenRules,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(u64, Vec<(u64, u64)>)> {
    let kind = detector(&choice)?;
    let x = Array::input(x, "x")?;
    let recording = Recording::of(&x)?;
    let heard = hear(py, &recording, rate, kind, progress)?;
    let samples = |seconds: f64| seconds * f64::from(rate);
    let (threshold, release, min_speech, max_speech, min_silence, pad, min_cut, cut_at_longest) =
        rules;
    let rules = TimestampRules {
        threshold,
        release,
        min_speech: samples(min_speech),
        max_speech: samples(max_speech),
        min_silence: samples(min_silence),
        pad: samples(pad),
        min_cut: samples(min_cut),
        cut_at_longest,
    };
    let grid = FrameGrid::new(rate);
    let frames = (0..).map(|n| grid.start(n)).zip(heard);
    let length = recording.signal.frames as u64;
    let frame = u64::from(rate / FRAMES_PER_SECOND);
    let found = timestamps(frames, frame, length, &rules);
    Ok((
        length,
        found.into_iter().map(|s| (s.start, s.end)).collect(),
    ))
}

fn channels(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    whole(value, "channels", 1..=MOST_CHANNELS, "")
}

/// What a [`Detector`] was made for.
#[derive(Clone, Copy)]
struct Wanted {
    rate: u32,
    channels: usize,
    detector: DetectorKind,
    rules: Rules,
}

struct Hearing {
    vad: Vad,
    /// The samples of a frame of 10 ms that is not whole yet. The detector gets whole ones: sums of
    /// squares would depend on how a stream is cut, if only in their last bit.
    rest: Vec<u8>,
    /// Nothing came since the start or a reset: another dtype may.
    fresh: bool,
}

/// A detector for chunks of any size.
#[pyclass(frozen, module = "gstrustaudio._native")]
struct Detector {
    wanted: Wanted,
    hearing: Mutex<Hearing>,
}

/// Whether speech starts, sample and frame of the edge, number, first sample and level of the segment,
/// probability, level and noise floor of the frame.
type Edge = (bool, u64, u64, u64, Option<f32>, f32, f32, f32);
type Heard<'py> = (Bound<'py, PyArray1<f32>>, Vec<Edge>);

impl Wanted {
    fn vad(&self, format: SampleFormat) -> Vad {
        let config = Config {
            format,
            rate: self.rate,
            channels: self.channels,
            detector: self.detector,
        };
        Vad::new(config, self.rules)
    }
}

impl Hearing {
    /// Takes `data`, the samples of whole audio frames that are `size` bytes each.
    fn push(&mut self, data: &[u8], size: usize, told: &mut Told) {
        let missing = self.room(0) * size - self.rest.len();
        if data.len() < missing {
            self.rest.extend_from_slice(data);
            return;
        }
        let (mut from, mut frames) = (0, 0);
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(&data[..missing]);
            let rest = std::mem::take(&mut self.rest);
            self.take(&rest, rest.len() / size, told);
            self.rest = rest;
            self.rest.clear();
            from = missing;
        }
        let left = (data.len() - from) / size;
        while self.room(frames) <= left {
            frames += 1;
        }
        let whole = match frames {
            0 => 0,
            _ => self.room(frames - 1),
        };
        self.take(&data[from..], whole, told);
        self.rest.extend_from_slice(&data[from + whole * size..]);
    }

    /// Samples from the detector's position to the end of the frame of 10 ms that comes `frames`
    /// after the next one.
    fn room(&self, frames: u64) -> usize {
        let grid = self.vad.grid();
        (grid.start(self.vad.frames() + frames + 1) - self.vad.position()) as usize
    }

    fn take(&mut self, data: &[u8], samples: usize, told: &mut Told) {
        let grid = self.vad.grid();
        let frames = Frames::interleaved(data, samples);
        let take = |output| told.take(output, grid, None);
        // There are as many as were counted in the data.
        let _ = self.vad.push(frames, take);
    }

    fn flush(&mut self, size: usize) -> Told {
        let rest = std::mem::take(&mut self.rest);
        let mut told = Told::default();
        self.take(&rest, rest.len() / size, &mut told);
        let vad = &mut self.vad;
        let (grid, end) = (vad.grid(), (vad.frames(), vad.position()));
        vad.flush(|output| told.take(output, grid, Some(end)));
        vad.reset();
        self.fresh = true;
        told
    }

    /// Bytes of a sample of each channel.
    fn size(&self) -> usize {
        self.vad.config().format.size() * self.vad.config().channels
    }
}

/// What a piece of audio gave.
#[derive(Default)]
struct Told {
    probabilities: Vec<f32>,
    edges: Vec<Edge>,
}

impl Told {
    /// `end`: the number of frames and of samples at the end of the stream, once it is there.
    fn take(&mut self, output: Output, grid: FrameGrid, end: Option<(u64, u64)>) {
        let at = |frame| match end {
            // A last piece shorter than a frame belongs to the frame before it.
            Some((frames, samples)) if frame >= frames => samples,
            _ => grid.start(frame),
        };
        match output {
            Output::Frame(frame) => self.probabilities.push(frame.probability),
            Output::Change(change, frame) => self.edges.push((
                change.speech,
                at(change.at),
                change.segment,
                at(change.start),
                change.level,
                frame.probability,
                frame.level,
                frame.noise_floor,
            )),
        }
    }
}

/// Has `hearing` take the whole of `recording`, whose frames are `size` bytes each. What a signal interrupts is
/// taken as far as it was.
fn hear_all(hearing: &mut Hearing, recording: &Recording<'_>, size: usize) -> PyResult<Told> {
    let (mut told, mut copy) = (Told::default(), Vec::new());
    let mut patience = Patience::default();
    let signal = &recording.signal;
    let piece = hearing.vad.config().rate as usize * PIECE;
    for from in (0..signal.frames).step_by(piece) {
        let range = from..signal.frames.min(from + piece);
        let samples = range.len() * signal.channels;
        if signal.is_interleaved() {
            let data = &recording.memory[signal.at(from, 0)..][..range.len() * size];
            hearing.push(data, size, &mut told);
        } else {
            signal.gather(recording.memory, range, &mut copy);
            hearing.push(&copy, size, &mut told);
        }
        patience.spend(samples)?;
    }
    Ok(told)
}

impl Detector {
    /// Does something with the detector, without the GIL.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Hearing) -> T + Send,
    ) -> PyResult<T> {
        let mut hearing = owned(&self.hearing, "SpeechDetector")?;
        let hearing = &mut *hearing;
        Ok(py.detach(|| work(hearing)))
    }
}

#[pymethods]
impl Detector {
    #[new]
    #[pyo3(signature = (rate, channels, choice, thresholds, times, /))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = rate)] rate: u32,
        #[pyo3(from_py_with = channels)] channels: usize,
        choice: Choice<'_>,
        thresholds: (f32, f32),
        times: (u64, u64, u64, u64),
    ) -> PyResult<Self> {
        let rules = Rules {
            threshold: thresholds.0,
            release: thresholds.1,
            ..Rules::default()
        };
        let wanted = Wanted {
            rate,
            channels,
            detector: detector(&choice)?,
            rules: rules.with_times(times.0, times.1, times.2, times.3),
        };
        let vad = py.detach(|| wanted.vad(SampleFormat::F32));
        let hearing = Mutex::new(Hearing {
            vad,
            rest: Vec::new(),
            fresh: true,
        });
        Ok(Self { wanted, hearing })
    }

    fn push<'py>(&self, py: Python<'py>, x: &Bound<'py, PyAny>) -> PyResult<Heard<'py>> {
        let array = Array::input(x, "x")?;
        let (frames, channels) = dimensions(&array)?;
        if channels != self.wanted.channels {
            return Err(PyValueError::new_err(format!(
                "x: expected {} channel{}, got shape {}",
                self.wanted.channels,
                if self.wanted.channels == 1 { "" } else { "s" },
                tuple(array.shape())
            )));
        }
        let recording = Recording::of(&array)?;
        let (format, wanted) = (recording.format, self.wanted);
        let size = format.size() * channels;
        let told = self.with(py, |hearing| {
            let now = hearing.vad.config().format;
            if hearing.fresh && now != format {
                let segment = hearing.vad.segmenter().segment();
                hearing.vad = wanted.vad(format);
                hearing.vad.count_on(segment);
            } else if now != format {
                return Err(now);
            }
            hearing.fresh &= frames == 0;
            Ok(hear_all(hearing, &recording, size))
        })?;
        let told = told.map_err(|now| {
            PyTypeError::new_err(format!(
                "x: expected dtype {} as before, got {}; reset() starts another recording",
                dtype_name(now),
                dtype_name(format)
            ))
        })?;
        let told = told?;
        Ok((PyArray1::from_vec(py, told.probabilities), told.edges))
    }

    fn flush<'py>(&self, py: Python<'py>) -> PyResult<Heard<'py>> {
        let told = self.with(py, |hearing| hearing.flush(hearing.size()))?;
        Ok((PyArray1::from_vec(py, told.probabilities), told.edges))
    }

    /// Starts again at sample 0; segments are counted from 1.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |hearing| {
            hearing.vad.reset();
            hearing.vad.count_on(0);
            hearing.rest.clear();
            hearing.fresh = true;
        })
    }

    /// Samples taken and decided, whether in speech, samples of delay.
    fn state(&self, py: Python<'_>) -> PyResult<(u64, u64, bool, u64)> {
        self.with(py, |hearing| {
            let vad = &hearing.vad;
            let waiting = hearing.rest.len() / hearing.size();
            (
                vad.position() + waiting as u64,
                vad.decided(),
                vad.segmenter().in_speech(),
                vad.delay(),
            )
        })
    }
}
