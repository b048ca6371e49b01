// SPDX-License-Identifier: MIT

//! Whole conversions: format, layout, channels, dither and shaping in one object.

use super::matrix::{Matrix, MatrixError};
use super::pipeline::{Pipeline, Remix, Shared};
use super::quantise::{Dither, Quantisation};
use super::side::{ConvertError, Side};
use super::{Endianness, SampleFormat};
use crate::audio::Frames;
use crate::simd::Level;
use crate::simd::convert_mix::{Double, Mix, Swap};

/// How the work is done: the least that gives an exact result.
enum Engine {
    /// Nothing changes.
    Copy,
    /// Only the byte order changes.
    Swap(Swap),
    /// Mono to stereo in the same format.
    Double(Double),
    I32(Box<Pipeline<i32>>),
    F32(Box<Pipeline<f32>>),
    F64(Box<Pipeline<f64>>),
}

impl Engine {
    /// Samples of one plane, where they do not change but in the order or number of their bytes.
    fn copy(&self, src: &[u8], dst: &mut [u8]) {
        match self {
            Self::Swap(swap) => swap.copy(src, dst),
            Self::Double(double) => double.run(src, dst),
            _ => dst.copy_from_slice(src),
        }
    }
}

/// Converts a stream; keeps the state of dither and noise shaping.
pub struct Converter {
    input: Side,
    output: Side,
    engine: Engine,
    silence: [u8; 8],
}

impl Converter {
    /// With the best instructions of this machine. `seed` starts the dither noise.
    pub fn new(
        input: Side,
        output: Side,
        matrix: &Matrix,
        quantisation: Quantisation,
        seed: u64,
    ) -> Result<Self, MatrixError> {
        Self::with_level(input, output, matrix, quantisation, seed, Level::best())
    }

    /// With the instructions of `level`.
    pub fn with_level(
        input: Side,
        output: Side,
        matrix: &Matrix,
        quantisation: Quantisation,
        seed: u64,
        level: Level,
    ) -> Result<Self, MatrixError> {
        matrix.check(input.channels, output.channels)?;
        let mut silence = [0; 8];
        super::Pack::<i32>::new(output.format).run(&[0], &mut silence[..output.format.size()]);
        Ok(Self {
            input,
            output,
            engine: engine(input, output, matrix, quantisation, seed, level),
            silence,
        })
    }

    /// Whether the output is the input, byte by byte.
    pub fn is_passthrough(&self) -> bool {
        matches!(self.engine, Engine::Copy)
    }

    /// Whether [`convert_in_place`](Self::convert_in_place) works.
    pub fn is_in_place(&self) -> bool {
        matches!(self.engine, Engine::Copy | Engine::Swap(_))
    }

    /// Whether planes are converted one after the other, as one channel each: so is noise drawn.
    pub fn is_by_plane(&self) -> bool {
        let flat = match &self.engine {
            Engine::Copy | Engine::Swap(_) => true,
            Engine::Double(_) => false,
            Engine::I32(p) => p.is_flat(),
            Engine::F32(p) => p.is_flat(),
            Engine::F64(p) => p.is_flat(),
        };
        flat && self.input.is_planar()
    }

    /// Bytes held for blocks and state.
    pub fn memory(&self) -> usize {
        match &self.engine {
            Engine::I32(p) => p.memory(),
            Engine::F32(p) => p.memory(),
            Engine::F64(p) => p.memory(),
            _ => 0,
        }
    }

    /// Converts `src` to the start of `dst`, planes of the output one after the other. Silence is
    /// exact: no dither.
    ///
    /// # Errors
    /// `dst` is too short, or samples of `src` lie outside of their memory or in another layout than
    /// that of the input.
    pub fn convert(&mut self, src: Frames<'_>, dst: &mut [u8]) -> Result<(), ConvertError> {
        let frames = src.count();
        let dst = dst
            .get_mut(..frames.saturating_mul(self.output.frame_size()))
            .ok_or(ConvertError::Short)?;
        if frames == 0 {
            return Ok(());
        }
        let Some(got) = src.layout() else {
            self.silence(dst);
            return Ok(());
        };
        let expected = self.input.layout;
        if got != expected && self.input.channels > 1 {
            return Err(ConvertError::Layout { got, expected });
        }
        match &mut self.engine {
            Engine::I32(p) => p.run(&src, dst),
            Engine::F32(p) => p.run(&src, dst),
            Engine::F64(p) => p.run(&src, dst),
            simple if self.input.is_planar() => {
                let width = self.input.format.size();
                let bytes = dst.len() / self.input.channels;
                for (c, dst) in dst.chunks_exact_mut(bytes).enumerate() {
                    simple.copy(src.plane(c, width)?, dst);
                }
                Ok(())
            }
            simple => {
                simple.copy(src.plane(0, self.input.frame_size())?, dst);
                Ok(())
            }
        }
    }

    /// Converts all of `data`, where [`is_in_place`](Self::is_in_place).
    pub fn convert_in_place(&mut self, data: &mut [u8]) -> Result<(), ConvertError> {
        match &self.engine {
            Engine::Copy => Ok(()),
            Engine::Swap(swap) => {
                let whole = data.len() - data.len() % self.input.format.size();
                swap.in_place(&mut data[..whole]);
                Ok(())
            }
            _ => Err(ConvertError::NotInPlace),
        }
    }

    /// Fills `dst` with silence in the output format.
    pub fn silence(&self, dst: &mut [u8]) {
        let size = self.output.format.size();
        let pattern = &self.silence[..size];
        if pattern.iter().all(|b| *b == pattern[0]) {
            dst.fill(pattern[0]);
        } else {
            dst.chunks_exact_mut(size)
                .for_each(|s| s.copy_from_slice(pattern));
        }
    }
}

fn engine(
    input: Side,
    output: Side,
    matrix: &Matrix,
    quantisation: Quantisation,
    seed: u64,
    level: Level,
) -> Engine {
    let identity = matrix.is_identity();
    let selection = matrix.selection();
    let computed = selection.is_none();
    let (dither, filter) = quantisation.between(input.format, output.format, computed);
    let same_layout = input.is_planar() == output.is_planar();
    if identity && same_layout {
        if input.format == output.format {
            return Engine::Copy;
        }
        let swapped = SampleFormat {
            endianness: match output.format.endianness {
                Endianness::Little => Endianness::Big,
                Endianness::Big => Endianness::Little,
            },
            ..output.format
        };
        if swapped == input.format {
            return Engine::Swap(Swap::new(input.format.size(), level));
        }
    }
    if input.format == output.format
        && !output.is_planar()
        && selection.as_deref() == Some(&[Some(0), Some(0)][..])
        && input.channels == 1
    {
        return Engine::Double(Double::new(input.format.size(), level));
    }
    let shared = Shared {
        input,
        output,
        dither,
        filter,
        seed,
        level,
    };
    // The narrowest arithmetic whose error stays below the last bit of the output.
    let terms = if computed { input.channels } else { 0 };
    let shaped = filter.is_some();
    match work(input.format, output.format, terms, dither, shaped) {
        Working::I32 => Engine::I32(Box::new(Pipeline::new(
            shared,
            Remix::select(identity, selection),
        ))),
        Working::F32 => Engine::F32(Box::new(Pipeline::new(
            shared,
            remix(matrix, identity, selection, level),
        ))),
        Working::F64 => Engine::F64(Box::new(Pipeline::new(
            shared,
            remix(matrix, identity, selection, level),
        ))),
    }
}

fn remix<W: crate::simd::convert_mix::Mixed>(
    matrix: &Matrix,
    identity: bool,
    selection: Option<Vec<Option<usize>>>,
    level: Level,
) -> Remix<W> {
    if selection.is_some() {
        Remix::select(identity, selection)
    } else {
        Remix::Mix(Mix::new(
            matrix.inputs(),
            matrix.outputs(),
            level,
            |o, i| matrix.row(o)[i],
        ))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Working {
    I32,
    F32,
    F64,
}

/// Channels that are mixed in `f32` without losing its last bit.
const LONGEST_SUM: usize = 24;

/// `terms`: channels that each output channel is computed from, 0 if they are only reordered.
fn work(
    input: SampleFormat,
    output: SampleFormat,
    terms: usize,
    dither: Dither,
    shaped: bool,
) -> Working {
    let wide = |f: SampleFormat| f.is_float() && f.bytes == 8;
    if shaped {
        return Working::F64;
    }
    if terms > 0 || dither != Dither::None {
        // Sixteen bits and noise of 2^-8 of the last of them fit 24; so does a sum that is short.
        let fits = !wide(input)
            && !wide(output)
            && (output.is_float() || output.depth <= 16)
            && terms <= LONGEST_SUM;
        return if fits { Working::F32 } else { Working::F64 };
    }
    match (input.is_float(), output.is_float()) {
        (false, false) => Working::I32,
        // Only reordered: the format at the float end holds every value there is.
        (_, true) if wide(output) => Working::F64,
        (true, _) if wide(input) && !output.is_float() => Working::F64,
        _ => Working::F32,
    }
}
