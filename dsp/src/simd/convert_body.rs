// SPDX-License-Identifier: MIT

//! The plain conversion between the bytes of a sample format and native samples, one generic body per
//! direction, and the shape of its kernels.

use super::convert_codec::{Codec, Coded};

pub(super) type UnpackFn<W> = unsafe fn(&[u8], &mut [W]);
pub(super) type PackFn<W> = unsafe fn(&[W], &mut [u8]);
pub(super) type DitherFn<W> = unsafe fn(&[W], &[f32], &mut [u8]);

/// Samples of `C` in `src` to native ones in `dst`. `HW`: the machine rounds in one instruction.
#[inline(always)]
pub(super) fn unpack_body<C: Codec, W: Coded, const HW: bool>(src: &[u8], dst: &mut [W]) {
    let src: &[C::Raw] = bytemuck::cast_slice(src);
    for (d, s) in dst.iter_mut().zip(src) {
        *d = W::decode::<C, HW>(*s);
    }
}

/// Native samples to those of `C`.
#[inline(always)]
pub(super) fn pack_body<C: Codec, W: Coded, const HW: bool>(src: &[W], dst: &mut [u8]) {
    let dst: &mut [C::Raw] = bytemuck::cast_slice_mut(dst);
    for (d, s) in dst.iter_mut().zip(src) {
        *d = s.encode::<C, HW>();
    }
}

/// Native samples with noise, in steps of the output, to those of `C`.
#[inline(always)]
pub(super) fn dither_body<C: Codec, W: Coded, const HW: bool>(
    src: &[W],
    noise: &[f32],
    dst: &mut [u8],
) {
    let dst: &mut [C::Raw] = bytemuck::cast_slice_mut(dst);
    for ((d, s), n) in dst.iter_mut().zip(src).zip(noise) {
        *d = s.encode_with::<C, HW>(*n);
    }
}
