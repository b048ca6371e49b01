// SPDX-License-Identifier: MIT

//! Unpack, remix, quantise, pack: block by block, leaving out what a conversion does not need.

use super::quantise::{Dither, Noise};
use super::side::{ConvertError, Side};
use super::{Pack, SampleFormat, Unpack, Work};
use crate::audio::Frames;
use crate::simd::Level;
use crate::simd::convert_mix::{Fused, Mix};
use crate::simd::convert_noise::LANES;
use crate::simd::convert_shape::{Filter, Shape};

/// Samples of a block: all blocks of a conversion stay in the first cache, but for those of more than 64 channels.
const BLOCK: usize = 1024;

/// Frames of a block where samples are mixed as they are read: a stream that comes back after a while finds its
/// blocks in no cache. A multiple of what noise comes in.
const FUSED: usize = 128;

/// What becomes of the channels.
pub(super) enum Remix<W> {
    Identity,
    /// Each output channel repeats one input channel, or is silent.
    Select(Vec<Option<usize>>),
    Mix(Mix<W>),
}

impl<W> Remix<W> {
    pub fn select(identity: bool, selection: Option<Vec<Option<usize>>>) -> Self {
        match selection {
            Some(selection) if !identity => Self::Select(selection),
            _ => Self::Identity,
        }
    }
}

/// What the three kinds of native samples do differently.
pub(super) trait Blend: Work {
    /// The format whose samples these are.
    const NATIVE: SampleFormat;
    fn mix(mix: &Mix<Self>, src: &[Self], dst: &mut [Self]);
    fn shape(shape: &mut Shape, block: &mut [Self], noise: &[f32]);
    /// Kernels that take samples of `format` by `mix` as they are, where there are such.
    fn fused(_mix: &Mix<Self>, _format: SampleFormat, _level: Level) -> Option<Fused> {
        None
    }
    /// Mixes by such a kernel.
    fn mix_bytes(_fused: &Fused, _src: &[u8], _dst: &mut [Self]) {}
}

const fn native(format_le: SampleFormat, format_be: SampleFormat) -> SampleFormat {
    if cfg!(target_endian = "big") {
        format_be
    } else {
        format_le
    }
}

impl Blend for i32 {
    const NATIVE: SampleFormat = native(SampleFormat::S32LE, SampleFormat::S32BE);
    // Whole numbers are chosen only where nothing is computed.
    fn mix(_: &Mix<i32>, _: &[i32], _: &mut [i32]) {}
    fn shape(_: &mut Shape, _: &mut [i32], _: &[f32]) {}
}

impl Blend for f32 {
    const NATIVE: SampleFormat = native(SampleFormat::F32LE, SampleFormat::F32BE);
    fn mix(mix: &Mix<f32>, src: &[f32], dst: &mut [f32]) {
        mix.run(src, dst);
    }
    // Shaping is done in `f64`.
    fn shape(_: &mut Shape, _: &mut [f32], _: &[f32]) {}
    fn fused(mix: &Mix<f32>, format: SampleFormat, level: Level) -> Option<Fused> {
        Fused::new(mix, format, level)
    }
    fn mix_bytes(fused: &Fused, src: &[u8], dst: &mut [f32]) {
        fused.run(src, dst);
    }
}

impl Blend for f64 {
    const NATIVE: SampleFormat = native(SampleFormat::F64LE, SampleFormat::F64BE);
    fn mix(mix: &Mix<f64>, src: &[f64], dst: &mut [f64]) {
        mix.run(src, dst);
    }
    fn shape(shape: &mut Shape, block: &mut [f64], noise: &[f32]) {
        shape.run(block, noise);
    }
}

/// What does not depend on the kind of native samples.
pub(super) struct Shared {
    pub input: Side,
    pub output: Side,
    pub dither: Dither,
    pub filter: Option<Filter>,
    pub seed: u64,
    pub level: Level,
}

enum Quantise {
    Round,
    Dither(Noise),
    Shape(Noise, Shape),
}

impl Quantise {
    /// What the next `samples` are dithered with as they are packed.
    #[inline(always)]
    fn noise(&mut self, samples: usize) -> Option<&[f32]> {
        match self {
            Self::Dither(noise) => Some(noise.next(samples)),
            // Shaping has added its own.
            Self::Round | Self::Shape(..) => None,
        }
    }
}

pub(super) struct Pipeline<W> {
    input: Side,
    output: Side,
    unpack: Unpack<W>,
    pack: Pack<W>,
    remix: Remix<W>,
    /// Samples are mixed as they are read.
    fused: Option<Fused>,
    quantise: Quantise,
    /// Samples are treated one by one, in the order of memory.
    flat: bool,
    /// What comes out of the last stage is the output.
    direct: bool,
    /// Frames of a block.
    frames: usize,
    /// Blocks are empty where both ends can be worked on as they lie, until there is a buffer whose samples
    /// are not aligned.
    unpacked: Vec<W>,
    remixed: Vec<W>,
    plane: Vec<W>,
    noise_plane: Vec<f32>,
}

impl<W: Blend> Pipeline<W> {
    pub fn new(shared: Shared, remix: Remix<W>) -> Self {
        let Shared {
            input,
            output,
            dither,
            filter,
            seed,
            level,
        } = shared;
        let widest = input.channels.max(output.channels).max(1);
        let fused = match &remix {
            Remix::Mix(mix) if !input.is_planar() && !output.is_planar() => {
                W::fused(mix, input.format, level)
            }
            _ => None,
        };
        let frames = match fused {
            Some(_) => FUSED,
            // Whole rounds of noise, which so is the same in blocks of any length.
            None => (BLOCK / widest / LANES).max(1) * LANES,
        };
        let flat = matches!(remix, Remix::Identity)
            && input.is_planar() == output.is_planar()
            // These two know their channels.
            && filter.is_none()
            && (dither != Dither::TpdfHf || !output.is_planar());
        // Planes that are treated one by one have blocks of the same length.
        let least = if flat { BLOCK } else { 0 };
        let length = |side: Side| (frames * side.channels).max(least);
        let noise = |dither| Noise::new(dither, output.channels, length(output), seed, level);
        let quantise = match (dither, filter) {
            (dither, Some(filter)) => Quantise::Shape(
                noise(dither),
                Shape::new(filter, output.channels, output.format.depth, level),
            ),
            (Dither::None, None) => Quantise::Round,
            (dither, None) => Quantise::Dither(noise(dither)),
        };
        let rounds = matches!(quantise, Quantise::Round);
        let identity = matches!(remix, Remix::Identity);
        let from_native = input.format == W::NATIVE && !input.is_planar();
        let direct = rounds && output.format == W::NATIVE && (flat || !output.is_planar());
        let needs_unpacked = match flat {
            true => input.format != W::NATIVE && !direct,
            false => fused.is_none() && (!from_native || filter.is_some() && identity),
        };
        let block = |needed, side| vec![W::default(); if needed { length(side) } else { 0 }];
        let needs_plane = !flat && (input.is_planar() || output.is_planar());
        Self {
            input,
            output,
            unpack: Unpack::with_level(input.format, level),
            pack: Pack::with_level(output.format, level),
            flat,
            direct,
            frames,
            unpacked: block(needs_unpacked, input),
            remixed: block(!identity && !direct, output),
            remix,
            fused,
            plane: vec![W::default(); if needs_plane { frames } else { 0 }],
            noise_plane: vec![0.0; if needs_plane { frames } else { 0 }],
            quantise,
        }
    }

    /// Whether samples are treated one by one, in the order of memory.
    pub fn is_flat(&self) -> bool {
        self.flat
    }

    pub fn memory(&self) -> usize {
        let noise = match &self.quantise {
            Quantise::Round => 0,
            Quantise::Dither(noise) | Quantise::Shape(noise, _) => noise.memory(),
        };
        let noise = noise + size_of_val(&*self.noise_plane);
        (self.unpacked.len() + self.remixed.len() + self.plane.len()) * size_of::<W>() + noise
    }

    /// `dst` is as long as `src` needs.
    pub fn run(&mut self, src: &Frames<'_>, dst: &mut [u8]) -> Result<(), ConvertError> {
        if self.fused.is_some() {
            self.run_fused(src.plane(0, self.input.frame_size())?, dst);
            return Ok(());
        }
        if !self.flat {
            return self.run_frames(src, dst);
        }
        if !self.input.is_planar() {
            self.run_flat(src.plane(0, self.input.frame_size())?, dst);
            return Ok(());
        }
        let width = self.input.format.size();
        let bytes = dst.len() / self.input.channels;
        for (c, dst) in dst.chunks_exact_mut(bytes).enumerate() {
            self.run_flat(src.plane(c, width)?, dst);
        }
        Ok(())
    }

    /// One pass where either end is native, else two by blocks.
    fn run_flat(&mut self, src: &[u8], dst: &mut [u8]) {
        if self.direct
            && let Ok(dst) = bytemuck::try_cast_slice_mut(dst)
        {
            return self.unpack.run(src, dst);
        }
        let (from, to) = (self.input.format.size(), self.output.format.size());
        let whole: Option<&[W]> = (self.input.format == W::NATIVE)
            .then(|| bytemuck::try_cast_slice(src).ok())
            .flatten();
        if matches!(self.quantise, Quantise::Round)
            && let Some(src) = whole
        {
            return self.pack.run(src, dst);
        }
        // Noise that knows its channels needs whole frames in a block.
        let block = if self.input.is_planar() {
            BLOCK
        } else {
            self.frames * self.input.channels
        };
        for (k, (src, dst)) in src
            .chunks(block * from)
            .zip(dst.chunks_mut(block * to))
            .enumerate()
        {
            let n = dst.len() / to;
            let samples = match whole {
                Some(all) => &all[k * block..k * block + n],
                None => {
                    let unpacked = &mut filled(&mut self.unpacked, block)[..n];
                    self.unpack.run(src, unpacked);
                    unpacked
                }
            };
            pack(&self.pack, samples, self.quantise.noise(n), dst);
        }
    }

    /// One pass where the output is native, else two by blocks.
    fn run_fused(&mut self, src: &[u8], dst: &mut [u8]) {
        let Some(fused) = &self.fused else { return };
        if self.direct
            && let Ok(dst) = bytemuck::try_cast_slice_mut(dst)
        {
            return W::mix_bytes(fused, src, dst);
        }
        let (from, to) = (self.input.frame_size(), self.output.frame_size());
        let blocks = src.chunks(self.frames * from);
        for (src, dst) in blocks.zip(dst.chunks_mut(self.frames * to)) {
            let (n, outs) = (dst.len() / self.output.format.size(), self.output.channels);
            let remixed = &mut filled(&mut self.remixed, self.frames * outs)[..n];
            W::mix_bytes(fused, src, remixed);
            pack(&self.pack, remixed, self.quantise.noise(n), dst);
        }
    }

    /// Whole frames: unpacked and interleaved, remixed, shaped, packed.
    fn run_frames(&mut self, src: &Frames<'_>, dst: &mut [u8]) -> Result<(), ConvertError> {
        let frames = src.count();
        let (from, ins) = (self.input.format.size(), self.input.channels);
        let (to, outs) = (self.output.format.size(), self.output.channels);
        let identity = matches!(self.remix, Remix::Identity);
        let shapes = matches!(self.quantise, Quantise::Shape(..));
        let interleaved = match self.input.is_planar() {
            false => Some(src.plane(0, ins * from)?),
            true => None,
        };
        // Shaping works in place, which must not be on the input itself.
        let native: Option<&[W]> = interleaved
            .filter(|_| self.input.format == W::NATIVE && !(shapes && identity))
            .and_then(|all| bytemuck::try_cast_slice(all).ok());
        if native.is_none() {
            filled(&mut self.unpacked, self.frames * ins);
        }
        for at in (0..frames).step_by(self.frames) {
            let n = (frames - at).min(self.frames);
            let unpacked = match native {
                Some(_) => &mut [][..],
                None => &mut self.unpacked[..n * ins],
            };
            match (native, interleaved) {
                (Some(_), _) => {}
                (None, Some(all)) => self
                    .unpack
                    .run(&all[at * ins * from..(at + n) * ins * from], unpacked),
                (None, None) => {
                    for c in 0..ins {
                        let plane = src.plane(c, from)?;
                        let plane = &plane[at * from..(at + n) * from];
                        self.unpack.run(plane, &mut self.plane[..n]);
                        interleave(&self.plane[..n], unpacked, c, ins);
                    }
                }
            }
            let samples: &[W] = match native {
                Some(all) => &all[at * ins..(at + n) * ins],
                None => unpacked,
            };
            if self.direct
                && let Ok(dst) = bytemuck::try_cast_slice_mut(&mut *dst)
            {
                let dst = &mut dst[at * outs..(at + n) * outs];
                remix(&self.remix, samples, dst, ins, outs);
                continue;
            }
            if !identity {
                let remixed = filled(&mut self.remixed, self.frames * outs);
                remix(&self.remix, samples, &mut remixed[..n * outs], ins, outs);
            }
            if let Quantise::Shape(noise, shape) = &mut self.quantise {
                let block = if identity {
                    &mut self.unpacked
                } else {
                    &mut self.remixed
                };
                W::shape(shape, &mut block[..n * outs], noise.next(n * outs));
            }
            let block: &[W] = match (identity, native) {
                (true, Some(all)) => &all[at * ins..(at + n) * ins],
                (true, None) => &self.unpacked[..n * outs],
                (false, _) => &self.remixed[..n * outs],
            };
            let noise = self.quantise.noise(n * outs);
            if !self.output.is_planar() {
                let dst = &mut dst[at * outs * to..(at + n) * outs * to];
                pack(&self.pack, block, noise, dst);
                continue;
            }
            for (c, dst) in dst.chunks_exact_mut(frames * to).enumerate() {
                deinterleave(block, &mut self.plane[..n], c, outs);
                let noise = noise.map(|noise| {
                    deinterleave(noise, &mut self.noise_plane[..n], c, outs);
                    &self.noise_plane[..n]
                });
                let dst = &mut dst[at * to..(at + n) * to];
                pack(&self.pack, &self.plane[..n], noise, dst);
            }
        }
        Ok(())
    }
}

/// `block` to the format of the output, with `noise` where there is any.
#[inline(always)]
fn pack<W: Blend>(pack: &Pack<W>, block: &[W], noise: Option<&[f32]>, dst: &mut [u8]) {
    match noise {
        Some(noise) => pack.run_dithered(block, noise, dst),
        None => pack.run(block, dst),
    }
}

/// `block` with `samples` in it.
fn filled<W: Clone + Default>(block: &mut Vec<W>, samples: usize) -> &mut [W] {
    if block.is_empty() {
        block.resize(samples, W::default());
    }
    block
}

fn remix<W: Blend>(remix: &Remix<W>, src: &[W], dst: &mut [W], ins: usize, outs: usize) {
    match remix {
        Remix::Identity => dst.copy_from_slice(src),
        Remix::Mix(mix) => W::mix(mix, src, dst),
        Remix::Select(selection) => {
            for (x, y) in src.chunks_exact(ins).zip(dst.chunks_exact_mut(outs)) {
                for (y, i) in y.iter_mut().zip(selection) {
                    *y = i.map_or(W::default(), |i| x[i]);
                }
            }
        }
    }
}

/// `plane` to channel `c` of the frames in `dst`.
fn interleave<W: Copy>(plane: &[W], dst: &mut [W], c: usize, channels: usize) {
    match channels {
        2 => {
            for (d, s) in dst.as_chunks_mut::<2>().0.iter_mut().zip(plane) {
                d[c] = *s;
            }
        }
        _ => {
            for (d, s) in dst.chunks_exact_mut(channels).zip(plane) {
                d[c] = *s;
            }
        }
    }
}

/// Channel `c` of the frames in `src` to `plane`.
fn deinterleave<W: Copy>(src: &[W], plane: &mut [W], c: usize, channels: usize) {
    match channels {
        2 => {
            for (d, s) in plane.iter_mut().zip(src.as_chunks::<2>().0) {
                *d = s[c];
            }
        }
        _ => {
            for (d, s) in plane.iter_mut().zip(src.chunks_exact(channels)) {
                *d = s[c];
            }
        }
    }
}
