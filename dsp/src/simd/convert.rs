// SPDX-License-Identifier: MIT

//! Kernels between the bytes of a sample format and native samples.
//!
//! One generic body per direction serves all formats; it is compiled once per instruction set and
//! left to the vectoriser. Packed three-byte containers and a few more, which the vectoriser does not manage, have
//! kernels of their own in `convert_x86`.
#![allow(unsafe_code)]

use bytemuck::Pod;

#[cfg(target_arch = "x86_64")]
use super::Isa;
use super::Level;
use super::convert_body::{DitherFn, PackFn, UnpackFn, dither_body, pack_body, unpack_body};
use super::convert_codec::{Codec, Coded, F32, F64, Four, Int, One, Three, Two};
use crate::convert::format::{Endianness, SampleFormat, SampleKind};

mod sealed {
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Native samples that formats are unpacked to: `i32` (left-aligned), `f32` and `f64` (full scale
/// 1).
pub trait Work: sealed::Sealed + Pod + Default {
    #[doc(hidden)]
    fn unpacker(format: SampleFormat, level: Level) -> Unpack<Self>;
    #[doc(hidden)]
    fn packer(format: SampleFormat, level: Level) -> Pack<Self>;
}

/// The bodies for one instruction set; `$attr` names it.
macro_rules! level {
    ($name:ident, $hw:expr, $(#[$attr:meta])*) => {
        mod $name {
            use super::*;
            $(#[$attr])*
            pub(super) fn unpack<C: Codec, W: Coded>(src: &[u8], dst: &mut [W]) {
                unpack_body::<C, W, $hw>(src, dst)
            }
            $(#[$attr])*
            pub(super) fn pack<C: Codec, W: Coded>(src: &[W], dst: &mut [u8]) {
                pack_body::<C, W, $hw>(src, dst)
            }
            $(#[$attr])*
            pub(super) fn dither<C: Codec, W: Coded>(src: &[W], noise: &[f32], dst: &mut [u8]) {
                dither_body::<C, W, $hw>(src, noise, dst)
            }
        }
    };
}

// On 64-bit Arm the compile target itself has vectors and rounds in one instruction.
level!(portable, { cfg!(target_arch = "aarch64") },);
#[cfg(target_arch = "x86_64")]
level!(avx2, true, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
level!(avx512, true, #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]);

#[cfg(target_arch = "x86_64")]
use super::convert_x86::{self as x86, Lanes as Best};
#[cfg(not(target_arch = "x86_64"))]
use Coded as Best;

fn unpack_fn<C: Codec, W: Best>(level: Level) -> UnpackFn<W> {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } | Isa::Avx512 { .. } if size_of::<C::Raw>() == 3 => x86::unpack24::<C, W>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } => avx2::unpack::<C, W>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { .. } => avx512::unpack::<C, W>,
        _ => portable::unpack::<C, W>,
    }
}

fn pack_fns<C: Codec, W: Best>(level: Level) -> (PackFn<W>, DitherFn<W>) {
    #[cfg(target_arch = "x86_64")]
    if let Isa::Avx2 { .. } | Isa::Avx512 { .. } = level.0
        && C::DEPTH == 16
        && let Some(fns) = W::pack16::<C>(matches!(level.0, Isa::Avx512 { .. }))
    {
        return fns;
    }
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } | Isa::Avx512 { .. } if size_of::<C::Raw>() == 3 => {
            (x86::pack24::<C, W>, x86::dither24::<C, W>)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } => (avx2::pack::<C, W>, avx2::dither::<C, W>),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { .. } => (avx512::pack::<C, W>, avx512::dither::<C, W>),
        _ => (portable::pack::<C, W>, portable::dither::<C, W>),
    }
}

/// Calls `$f::<codec>($($arg),*)` with the codec of `$format`.
macro_rules! with_codec {
    ($format:expr, $f:ident, $w:ty, $level:expr) => {{
        let format: SampleFormat = $format;
        let be = format.endianness == Endianness::Big;
        let signed = format.kind == SampleKind::Signed;
        match (format.kind, format.bytes, format.depth, signed, be) {
            (SampleKind::Float, 4, _, _, false) => $f::<F32<false>, $w>($level),
            (SampleKind::Float, 4, _, _, true) => $f::<F32<true>, $w>($level),
            (SampleKind::Float, _, _, _, false) => $f::<F64<false>, $w>($level),
            (SampleKind::Float, _, _, _, true) => $f::<F64<true>, $w>($level),
            (_, 1, _, true, _) => $f::<Int<One, 8, true>, $w>($level),
            (_, 1, _, false, _) => $f::<Int<One, 8, false>, $w>($level),
            (_, 2, _, true, false) => $f::<Int<Two<false>, 16, true>, $w>($level),
            (_, 2, _, true, true) => $f::<Int<Two<true>, 16, true>, $w>($level),
            (_, 2, _, false, false) => $f::<Int<Two<false>, 16, false>, $w>($level),
            (_, 2, _, false, true) => $f::<Int<Two<true>, 16, false>, $w>($level),
            (_, 3, 24, true, false) => $f::<Int<Three<false>, 24, true>, $w>($level),
            (_, 3, 24, true, true) => $f::<Int<Three<true>, 24, true>, $w>($level),
            (_, 3, 24, false, false) => $f::<Int<Three<false>, 24, false>, $w>($level),
            (_, 3, 24, false, true) => $f::<Int<Three<true>, 24, false>, $w>($level),
            (_, 3, 20, true, false) => $f::<Int<Three<false>, 20, true>, $w>($level),
            (_, 3, 20, true, true) => $f::<Int<Three<true>, 20, true>, $w>($level),
            (_, 3, 20, false, false) => $f::<Int<Three<false>, 20, false>, $w>($level),
            (_, 3, 20, false, true) => $f::<Int<Three<true>, 20, false>, $w>($level),
            (_, 3, _, true, false) => $f::<Int<Three<false>, 18, true>, $w>($level),
            (_, 3, _, true, true) => $f::<Int<Three<true>, 18, true>, $w>($level),
            (_, 3, _, false, false) => $f::<Int<Three<false>, 18, false>, $w>($level),
            (_, 3, _, false, true) => $f::<Int<Three<true>, 18, false>, $w>($level),
            (_, _, 24, true, false) => $f::<Int<Four<false>, 24, true>, $w>($level),
            (_, _, 24, true, true) => $f::<Int<Four<true>, 24, true>, $w>($level),
            (_, _, 24, false, false) => $f::<Int<Four<false>, 24, false>, $w>($level),
            (_, _, 24, false, true) => $f::<Int<Four<true>, 24, false>, $w>($level),
            (_, _, _, true, false) => $f::<Int<Four<false>, 32, true>, $w>($level),
            (_, _, _, true, true) => $f::<Int<Four<true>, 32, true>, $w>($level),
            (_, _, _, false, false) => $f::<Int<Four<false>, 32, false>, $w>($level),
            (_, _, _, false, true) => $f::<Int<Four<true>, 32, false>, $w>($level),
        }
    }};
}

macro_rules! work {
    ($w:ty) => {
        impl Work for $w {
            fn unpacker(format: SampleFormat, level: Level) -> Unpack<Self> {
                Unpack {
                    run: with_codec!(format, unpack_fn, $w, level),
                    size: format.size(),
                }
            }
            fn packer(format: SampleFormat, level: Level) -> Pack<Self> {
                let (plain, dithered) = with_codec!(format, pack_fns, $w, level);
                Pack {
                    plain,
                    dithered,
                    size: format.size(),
                }
            }
        }
    };
}
work!(i32);
work!(f32);
work!(f64);

/// Samples of one format to native ones.
#[derive(Clone, Copy, Debug)]
pub struct Unpack<W> {
    run: UnpackFn<W>,
    size: usize,
}

impl<W: Work> Unpack<W> {
    /// With the best instructions of this machine.
    pub fn new(format: SampleFormat) -> Self {
        W::unpacker(format, Level::best())
    }

    /// With those of `level`.
    pub fn with_level(format: SampleFormat, level: Level) -> Self {
        W::unpacker(format, level)
    }

    /// Unpacks `dst.len()` samples. Floats beyond full scale stay so; to `i32` they round half to
    /// even and saturate, and NaN becomes 0.
    ///
    /// # Panics
    /// If `src` is not `dst.len()` samples long.
    #[inline]
    pub fn run(&self, src: &[u8], dst: &mut [W]) {
        assert_eq!(src.len(), dst.len() * self.size);
        // SAFETY: the constructors choose only kernels whose instructions this machine has.
        unsafe { (self.run)(src, dst) }
    }
}

/// Native samples to those of one format.
#[derive(Clone, Copy, Debug)]
pub struct Pack<W> {
    plain: PackFn<W>,
    dithered: DitherFn<W>,
    size: usize,
}

impl<W: Work> Pack<W> {
    /// With the best instructions of this machine.
    pub fn new(format: SampleFormat) -> Self {
        W::packer(format, Level::best())
    }

    /// With those of `level`.
    pub fn with_level(format: SampleFormat, level: Level) -> Self {
        W::packer(format, level)
    }

    /// Packs `src`. Floats to integers round half to even, integers to shorter ones half up; both
    /// saturate, and NaN becomes 0.
    ///
    /// # Panics
    /// If `dst` is not `src.len()` samples long.
    #[inline]
    pub fn run(&self, src: &[W], dst: &mut [u8]) {
        assert_eq!(dst.len(), src.len() * self.size);
        // SAFETY: the constructors choose only kernels whose instructions this machine has.
        unsafe { (self.plain)(src, dst) }
    }

    /// Packs `src` with `noise`, in units of the last bit of the format, added to it; integer
    /// formats from floats only.
    ///
    /// # Panics
    /// If the lengths differ.
    #[inline]
    pub fn run_dithered(&self, src: &[W], noise: &[f32], dst: &mut [u8]) {
        assert_eq!(dst.len(), src.len() * self.size);
        assert_eq!(noise.len(), src.len());
        // SAFETY: the constructors choose only kernels whose instructions this machine has.
        unsafe { (self.dithered)(src, noise, dst) }
    }
}
