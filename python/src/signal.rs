// SPDX-License-Identifier: MIT

//! Signals of an array: where the samples of their frames lie, in whatever order and direction.

use std::ops::Range;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::array::{Array, tuple};

/// Frames of one signal in the memory of an array.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Where sample 0 of frame 0 begins.
    pub first: usize,
    /// How many there are.
    pub frames: usize,
    /// Samples of each.
    pub channels: usize,
    /// Bytes from one frame to the next.
    pub frame_stride: isize,
    /// Bytes from one channel to the next.
    pub channel_stride: isize,
    /// Bytes of a sample.
    pub size: usize,
}

impl Signal {
    /// Where a sample begins.
    pub fn at(&self, frame: usize, channel: usize) -> usize {
        let offset = frame as isize * self.frame_stride + channel as isize * self.channel_stride;
        self.first.wrapping_add_signed(offset)
    }

    /// Whether samples and frames follow each other without gaps.
    pub fn is_interleaved(&self) -> bool {
        (self.channels <= 1 || self.channel_stride == self.size as isize)
            && (self.frames <= 1 || self.frame_stride == (self.channels * self.size) as isize)
    }

    /// Whether the samples of each channel follow each other without gaps.
    pub fn is_planar(&self) -> bool {
        self.frames <= 1 || self.frame_stride == self.size as isize
    }

    /// Its memory, if it [is interleaved](Self::is_interleaved).
    pub fn bytes<'a>(&self, memory: &'a [u8]) -> &'a [u8] {
        &memory[self.range()]
    }

    /// The same for writing.
    pub fn bytes_mut<'a>(&self, memory: &'a mut [u8]) -> &'a mut [u8] {
        &mut memory[self.range()]
    }

    fn range(&self) -> Range<usize> {
        match self.frames * self.channels * self.size {
            // Of no frames the first may lie anywhere.
            0 => 0..0,
            bytes => self.first..self.first + bytes,
        }
    }

    /// Frames of `range`, interleaved, to `to`.
    pub fn gather(&self, memory: &[u8], range: Range<usize>, to: &mut Vec<u8>) {
        to.resize(range.len() * self.channels * self.size, 0);
        self.gather_into(memory, range, to);
    }

    /// The same to as many bytes as they are.
    pub fn gather_into(&self, memory: &[u8], range: Range<usize>, to: &mut [u8]) {
        let pairs = self.samples(range).zip(to.chunks_exact_mut(self.size));
        match self.size {
            1 => pairs.for_each(|(at, to)| to.copy_from_slice(&memory[at..at + 1])),
            2 => pairs.for_each(|(at, to)| to.copy_from_slice(&memory[at..at + 2])),
            4 => pairs.for_each(|(at, to)| to.copy_from_slice(&memory[at..at + 4])),
            8 => pairs.for_each(|(at, to)| to.copy_from_slice(&memory[at..at + 8])),
            n => pairs.for_each(|(at, to)| to.copy_from_slice(&memory[at..at + n])),
        }
    }

    /// Interleaved frames to those of `range`.
    pub fn scatter(&self, from: &[u8], range: Range<usize>, memory: &mut [u8]) {
        for (at, from) in self.samples(range).zip(from.chunks_exact(self.size)) {
            memory[at..at + self.size].copy_from_slice(from);
        }
    }

    /// Where the samples of frames lie, frame by frame.
    fn samples(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        range.flat_map(move |frame| (0..self.channels).map(move |channel| self.at(frame, channel)))
    }
}

/// The error of an array that has more channels than `most`, most likely since time runs along another axis.
pub fn too_many(channels: usize, most: usize, shape: &[usize]) -> PyErr {
    PyValueError::new_err(format!(
        "x: expected at most {most} channels, got {channels} by shape {}: is time the other axis? Name it by \
         axis=, or transpose x",
        tuple(shape)
    ))
}

/// The axis that a caller named, counted from the front.
pub fn axis(axis: isize, shape: &[usize]) -> PyResult<usize> {
    let axes = shape.len() as isize;
    if shape.is_empty() {
        return Err(PyValueError::new_err(
            "x: expected an array of at least one axis, got a single number",
        ));
    }
    if !(-axes..axes).contains(&axis) {
        return Err(PyValueError::new_err(format!(
            "axis: expected one of {} to {} for x of shape {}, got {axis}",
            -axes,
            axes - 1,
            tuple(shape)
        )));
    }
    Ok(axis.rem_euclid(axes) as usize)
}

/// The signals of `array` whose time runs along `axis`. The last axis, if it is another, holds their
/// channels; any further axis holds signals of their own.
pub fn signals(array: &Array<'_>, axis: usize) -> Vec<Signal> {
    let (shape, strides) = (array.shape(), array.strides());
    let last = shape.len() - 1;
    let (channels, channel_stride) = if axis == last {
        (1, 0)
    } else {
        (shape[last], strides[last])
    };
    let template = Signal {
        first: array.first(),
        frames: shape[axis],
        channels,
        frame_stride: strides[axis],
        channel_stride,
        size: array.format().size(),
    };
    let mut found = vec![template];
    for other in (0..last.max(axis)).filter(|other| *other != axis) {
        found = found
            .iter()
            .flat_map(|signal| {
                (0..shape[other]).map(|i| Signal {
                    first: signal
                        .first
                        .wrapping_add_signed(i as isize * strides[other]),
                    ..*signal
                })
            })
            .collect();
    }
    found
}
