// SPDX-License-Identifier: MIT

//! Sample formats, conversion kernels, channel mixing, dither and noise shaping.
//!
//! [`Unpack`] and [`Pack`] take samples of any format to native ones and back.

mod converter;
pub(crate) mod format;
mod matrix;
mod pipeline;
mod position;
mod quantise;
mod side;

pub use crate::simd::convert::{Pack, Unpack, Work};
pub use converter::Converter;
pub use format::{Endianness, SampleFormat, SampleKind};
pub use matrix::{Channels, Matrix, MatrixError};
pub use position::{ChannelOrder, Position};
pub use quantise::{Dither, NoiseShaping, Quantisation};
pub use side::{ConvertError, Side};

#[cfg(test)]
mod tests;
