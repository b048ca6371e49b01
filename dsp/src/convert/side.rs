// SPDX-License-Identifier: MIT

//! What one side of a conversion looks like.

use super::SampleFormat;
use crate::audio::{Layout, Outside};

/// Samples of one side of a conversion, in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// How a sample is held.
    pub format: SampleFormat,
    /// Samples of a frame, at least 1.
    pub channels: usize,
    /// How the samples of its channels lie. With one channel both layouts are the same.
    pub layout: Layout,
}

impl Side {
    /// Bytes of one frame.
    pub fn frame_size(&self) -> usize {
        self.format.size() * self.channels
    }

    /// Whether each channel is a plane of its own. Where there is only one, it never is.
    pub fn is_planar(&self) -> bool {
        self.layout == Layout::Planar && self.channels > 1
    }
}

/// Why samples could not be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The output has no room for as many frames as there are.
    #[error("the output is shorter than the frames that were to be converted")]
    Short,
    /// The input has fewer samples than its frames are.
    #[error(transparent)]
    Outside(#[from] Outside),
    /// Frames of several channels lie otherwise than the [`Side`] says that they belong to.
    #[error("frames that lie {got:?} were given to a conversion from {expected:?} ones")]
    Layout {
        /// That of the frames.
        got: Layout,
        /// That of the side.
        expected: Layout,
    },
    /// Samples change size or mix: see [`Converter::is_in_place`](super::Converter::is_in_place).
    #[error("this conversion cannot be done in place")]
    NotInPlace,
}
