// SPDX-License-Identifier: MIT

//! Audio in memory, as conversions see it: what one side looks like, and where its samples lie.

use super::SampleFormat;

/// Samples of one side of a conversion, in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// How a sample is held.
    pub format: SampleFormat,
    /// Samples of a frame, at least 1.
    pub channels: usize,
    /// Each channel by itself, rather than frame by frame. With one channel the two are the same.
    pub planar: bool,
}

impl Side {
    /// Bytes of one frame.
    pub fn frame_size(&self) -> usize {
        self.format.size() * self.channels
    }

    pub(super) fn is_planar(&self) -> bool {
        self.planar && self.channels > 1
    }
}

/// Input samples: interleaved, or planes that start at `offsets`, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Samples in the format of the [`Side`] that they belong to.
    pub data: &'a [u8],
    /// One per channel; empty where planes follow each other without gaps, and for interleaved
    /// data.
    pub offsets: &'a [usize],
}

/// Input samples, wherever they lie.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// In one piece of memory.
    Together(Source<'a>),
    /// Each plane in its own; interleaved data is one.
    Apart(&'a [&'a [u8]]),
}

impl<'a> Input<'a> {
    pub fn plane(&self, channel: usize, bytes: usize) -> Result<&'a [u8], ConvertError> {
        let found = match self {
            Self::Apart(planes) => planes.get(channel).and_then(|plane| plane.get(..bytes)),
            Self::Together(source) => {
                let start = source.offsets.get(channel).copied();
                let start = start.unwrap_or(channel * bytes);
                let end = start.checked_add(bytes);
                end.and_then(|end| source.data.get(start..end))
            }
        };
        found.ok_or(ConvertError::Short)
    }
}

/// Why samples could not be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// Input or output holds fewer frames than asked for.
    #[error("the buffers are shorter than the frames that were to be converted")]
    Short,
    /// Samples change size or mix: see [`Converter::is_in_place`](super::Converter::is_in_place).
    #[error("this conversion cannot be done in place")]
    NotInPlace,
}
