//! Kernels between the bytes of a sample format and native samples.
//!
//! One generic body per direction serves all formats; it is compiled once per instruction set and
//! left to the vectoriser. Packed three-byte containers and a few more, which the vectoriser does not manage, have
//! kernels of their own in `convert_x86`.
#![allow(unsafe_code)]

use bytemuck::Pod;

use super::Level;
use crate::dsp::convert::{Endianness, SampleFormat, SampleKind};

/// Bytes of a container as an unsigned number in the low end of a `u32`.
pub(super) trait Container {
    const BE: bool;
    type Raw: Pod;
    fn read(raw: Self::Raw) -> u32;
    fn write(bits: u32) -> Self::Raw;
}

struct One;
struct Two<const BE: bool>;
struct Three<const BE: bool>;
struct Four<const BE: bool>;

impl Container for One {
    const BE: bool = false;
    type Raw = [u8; 1];
    #[inline(always)]
    fn read(raw: [u8; 1]) -> u32 {
        raw[0] as u32
    }
    #[inline(always)]
    fn write(bits: u32) -> [u8; 1] {
        [bits as u8]
    }
}

impl<const BE: bool> Container for Two<BE> {
    const BE: bool = BE;
    type Raw = [u8; 2];
    #[inline(always)]
    fn read(raw: [u8; 2]) -> u32 {
        if BE {
            u16::from_be_bytes(raw) as u32
        } else {
            u16::from_le_bytes(raw) as u32
        }
    }
    #[inline(always)]
    fn write(bits: u32) -> [u8; 2] {
        if BE {
            (bits as u16).to_be_bytes()
        } else {
            (bits as u16).to_le_bytes()
        }
    }
}

impl<const BE: bool> Container for Three<BE> {
    const BE: bool = BE;
    type Raw = [u8; 3];
    #[inline(always)]
    fn read([a, b, c]: [u8; 3]) -> u32 {
        if BE {
            u32::from_be_bytes([0, a, b, c])
        } else {
            u32::from_le_bytes([a, b, c, 0])
        }
    }
    #[inline(always)]
    fn write(bits: u32) -> [u8; 3] {
        let [a, b, c, d] = bits.to_le_bytes();
        let _ = d;
        if BE { [c, b, a] } else { [a, b, c] }
    }
}

impl<const BE: bool> Container for Four<BE> {
    const BE: bool = BE;
    type Raw = [u8; 4];
    #[inline(always)]
    fn read(raw: [u8; 4]) -> u32 {
        if BE {
            u32::from_be_bytes(raw)
        } else {
            u32::from_le_bytes(raw)
        }
    }
    #[inline(always)]
    fn write(bits: u32) -> [u8; 4] {
        if BE {
            bits.to_be_bytes()
        } else {
            bits.to_le_bytes()
        }
    }
}

/// Rounds half to even; `HW` where the instruction set does so in one instruction. Without it,
/// adding and taking off 1.5 * 2^52 does, for anything an integer sample can hold.
#[inline(always)]
fn round<const HW: bool>(y: f64) -> f64 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    if HW {
        y.round_ties_even()
    } else {
        (y + MAGIC) - MAGIC
    }
}

/// `y` as a whole number within `depth` bits signed, NaN as 0.
#[inline(always)]
fn quantise_f64<const HW: bool>(y: f64, depth: u32) -> i32 {
    let (lo, hi) = (
        -((1i64 << (depth - 1)) as f64),
        ((1i64 << (depth - 1)) - 1) as f64,
    );
    let y = if y.is_nan() { 0.0 } else { y };
    let y = if y > lo { y } else { lo };
    let y = if y < hi { y } else { hi };
    // SAFETY: not NaN, and between -2^31 and 2^31 - 1 by the two lines above.
    unsafe { round::<HW>(y).to_int_unchecked() }
}

/// As [`quantise_f64`], in `f32`: its 24 bits hold every bound up to that depth.
#[inline(always)]
fn quantise_f32<const HW: bool>(y: f32, depth: u32) -> i32 {
    if depth > 24 {
        // 2^31 - 1 is no `f32`; the cast saturates to it, and takes NaN to 0.
        return if HW {
            y.round_ties_even() as i32
        } else {
            quantise_f64::<HW>(y as f64, depth)
        };
    }
    let (lo, hi) = (
        -((1i32 << (depth - 1)) as f32),
        ((1i32 << (depth - 1)) - 1) as f32,
    );
    let y = if y.is_nan() { 0.0 } else { y };
    let y = if y > lo { y } else { lo };
    let y = if y < hi { y } else { hi };
    if HW {
        // SAFETY: not NaN, and within 24 bits by the two lines above.
        unsafe { y.round_ties_even().to_int_unchecked() }
    } else if depth <= 20 {
        const MAGIC: f32 = 12_582_912.0;
        // SAFETY: as above; adding 1.5 * 2^23 rounds half to even below 2^22.
        unsafe { ((y + MAGIC) - MAGIC).to_int_unchecked() }
    } else {
        // SAFETY: as above.
        unsafe { round::<HW>(y as f64).to_int_unchecked() }
    }
}

/// A sample format at compile time. Whole numbers are 32 bits, left-aligned; floats have full scale
/// 1.
pub(super) trait Codec {
    type Raw: Pod;
    const SIGNED: bool;
    const BE: bool;
    /// Significant bits of an integer format; 0 for floats.
    const DEPTH: u32;
    fn to_i32<const HW: bool>(raw: Self::Raw) -> i32;
    fn to_f32(raw: Self::Raw) -> f32;
    fn to_f64(raw: Self::Raw) -> f64;
    /// Rounds half up where bits are lost, and saturates.
    fn from_i32(v: i32) -> Self::Raw;
    fn from_f32<const HW: bool>(v: f32) -> Self::Raw;
    fn from_f64<const HW: bool>(v: f64) -> Self::Raw;
    /// From units of the last bit, for integer formats.
    fn from_lsb_f32<const HW: bool>(v: f32) -> Self::Raw;
    fn from_lsb_f64<const HW: bool>(v: f64) -> Self::Raw;
}

struct Int<C, const DEPTH: u32, const SIGNED: bool>(C);
struct F32<const BE: bool>;
struct F64<const BE: bool>;

impl<C: Container, const DEPTH: u32, const SIGNED: bool> Int<C, DEPTH, SIGNED> {
    /// Of a whole number within `DEPTH` bits.
    #[inline(always)]
    fn write(q: i32) -> C::Raw {
        if SIGNED {
            C::write(q as u32)
        } else {
            let mask = (((1u64) << DEPTH) - 1) as u32;
            C::write((q as u32 ^ (1 << (DEPTH - 1))) & mask)
        }
    }
}

impl<C: Container, const DEPTH: u32, const SIGNED: bool> Codec for Int<C, DEPTH, SIGNED> {
    type Raw = C::Raw;
    const SIGNED: bool = SIGNED;
    const BE: bool = C::BE;
    const DEPTH: u32 = DEPTH;

    #[inline(always)]
    fn to_i32<const HW: bool>(raw: C::Raw) -> i32 {
        let bits = C::read(raw) << (32 - DEPTH);
        (if SIGNED { bits } else { bits ^ (1 << 31) }) as i32
    }
    #[inline(always)]
    fn to_f32(raw: C::Raw) -> f32 {
        Self::to_i32::<false>(raw) as f32 * (1.0 / 2_147_483_648.0)
    }
    #[inline(always)]
    fn to_f64(raw: C::Raw) -> f64 {
        Self::to_i32::<false>(raw) as f64 * (1.0 / 2_147_483_648.0)
    }
    #[inline(always)]
    fn from_i32(v: i32) -> C::Raw {
        Self::write(if DEPTH == 32 {
            v
        } else {
            let q = ((v >> ((32 - DEPTH).wrapping_sub(1) & 31)) + 1) >> 1;
            q.min(((1i64 << (DEPTH - 1)) - 1) as i32)
        })
    }
    #[inline(always)]
    fn from_f32<const HW: bool>(v: f32) -> C::Raw {
        Self::from_lsb_f32::<HW>(v * (1u64 << (DEPTH - 1)) as f32)
    }
    #[inline(always)]
    fn from_f64<const HW: bool>(v: f64) -> C::Raw {
        Self::from_lsb_f64::<HW>(v * (1u64 << (DEPTH - 1)) as f64)
    }
    #[inline(always)]
    fn from_lsb_f32<const HW: bool>(v: f32) -> C::Raw {
        Self::write(quantise_f32::<HW>(v, DEPTH))
    }
    #[inline(always)]
    fn from_lsb_f64<const HW: bool>(v: f64) -> C::Raw {
        Self::write(quantise_f64::<HW>(v, DEPTH))
    }
}

impl<const BE: bool> Codec for F32<BE> {
    type Raw = [u8; 4];
    const SIGNED: bool = true;
    const BE: bool = BE;
    const DEPTH: u32 = 0;

    #[inline(always)]
    fn to_i32<const HW: bool>(raw: [u8; 4]) -> i32 {
        quantise_f32::<HW>(Self::to_f32(raw) * 2_147_483_648.0, 32)
    }
    #[inline(always)]
    fn to_f32(raw: [u8; 4]) -> f32 {
        if BE {
            f32::from_be_bytes(raw)
        } else {
            f32::from_le_bytes(raw)
        }
    }
    #[inline(always)]
    fn to_f64(raw: [u8; 4]) -> f64 {
        Self::to_f32(raw) as f64
    }
    #[inline(always)]
    fn from_i32(v: i32) -> [u8; 4] {
        Self::from_f32::<false>(v as f32 * (1.0 / 2_147_483_648.0))
    }
    #[inline(always)]
    fn from_f32<const HW: bool>(v: f32) -> [u8; 4] {
        if BE { v.to_be_bytes() } else { v.to_le_bytes() }
    }
    #[inline(always)]
    fn from_f64<const HW: bool>(v: f64) -> [u8; 4] {
        Self::from_f32::<HW>(v as f32)
    }
    #[inline(always)]
    fn from_lsb_f32<const HW: bool>(v: f32) -> [u8; 4] {
        Self::from_f32::<HW>(v)
    }
    #[inline(always)]
    fn from_lsb_f64<const HW: bool>(v: f64) -> [u8; 4] {
        Self::from_f64::<HW>(v)
    }
}

impl<const BE: bool> Codec for F64<BE> {
    type Raw = [u8; 8];
    const SIGNED: bool = true;
    const BE: bool = BE;
    const DEPTH: u32 = 0;

    #[inline(always)]
    fn to_i32<const HW: bool>(raw: [u8; 8]) -> i32 {
        quantise_f64::<HW>(Self::to_f64(raw) * 2_147_483_648.0, 32)
    }
    #[inline(always)]
    fn to_f32(raw: [u8; 8]) -> f32 {
        Self::to_f64(raw) as f32
    }
    #[inline(always)]
    fn to_f64(raw: [u8; 8]) -> f64 {
        if BE {
            f64::from_be_bytes(raw)
        } else {
            f64::from_le_bytes(raw)
        }
    }
    #[inline(always)]
    fn from_i32(v: i32) -> [u8; 8] {
        Self::from_f64::<false>(v as f64 * (1.0 / 2_147_483_648.0))
    }
    #[inline(always)]
    fn from_f32<const HW: bool>(v: f32) -> [u8; 8] {
        Self::from_f64::<HW>(v as f64)
    }
    #[inline(always)]
    fn from_f64<const HW: bool>(v: f64) -> [u8; 8] {
        if BE { v.to_be_bytes() } else { v.to_le_bytes() }
    }
    #[inline(always)]
    fn from_lsb_f32<const HW: bool>(v: f32) -> [u8; 8] {
        Self::from_f32::<HW>(v)
    }
    #[inline(always)]
    fn from_lsb_f64<const HW: bool>(v: f64) -> [u8; 8] {
        Self::from_f64::<HW>(v)
    }
}

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

pub(super) trait Coded: Pod {
    fn decode<C: Codec, const HW: bool>(raw: C::Raw) -> Self;
    fn encode<C: Codec, const HW: bool>(self) -> C::Raw;
    /// In units of the last bit of `C`, with `noise` of that unit added.
    fn encode_with<C: Codec, const HW: bool>(self, noise: f32) -> C::Raw;
}

impl Coded for i32 {
    #[inline(always)]
    fn decode<C: Codec, const HW: bool>(raw: C::Raw) -> i32 {
        C::to_i32::<HW>(raw)
    }
    #[inline(always)]
    fn encode<C: Codec, const HW: bool>(self) -> C::Raw {
        C::from_i32(self)
    }
    #[inline(always)]
    fn encode_with<C: Codec, const HW: bool>(self, _: f32) -> C::Raw {
        C::from_i32(self)
    }
}

impl Coded for f32 {
    #[inline(always)]
    fn decode<C: Codec, const HW: bool>(raw: C::Raw) -> f32 {
        C::to_f32(raw)
    }
    #[inline(always)]
    fn encode<C: Codec, const HW: bool>(self) -> C::Raw {
        C::from_f32::<HW>(self)
    }
    #[inline(always)]
    fn encode_with<C: Codec, const HW: bool>(self, noise: f32) -> C::Raw {
        C::from_lsb_f32::<HW>(self * (1u64 << C::DEPTH.saturating_sub(1)) as f32 + noise)
    }
}

impl Coded for f64 {
    #[inline(always)]
    fn decode<C: Codec, const HW: bool>(raw: C::Raw) -> f64 {
        C::to_f64(raw)
    }
    #[inline(always)]
    fn encode<C: Codec, const HW: bool>(self) -> C::Raw {
        C::from_f64::<HW>(self)
    }
    #[inline(always)]
    fn encode_with<C: Codec, const HW: bool>(self, noise: f32) -> C::Raw {
        C::from_lsb_f64::<HW>(self * (1u64 << C::DEPTH.saturating_sub(1)) as f64 + noise as f64)
    }
}

#[inline(always)]
pub(super) fn unpack_body<C: Codec, W: Coded, const HW: bool>(src: &[u8], dst: &mut [W]) {
    let src: &[C::Raw] = bytemuck::cast_slice(src);
    for (d, s) in dst.iter_mut().zip(src) {
        *d = W::decode::<C, HW>(*s);
    }
}

#[inline(always)]
pub(super) fn pack_body<C: Codec, W: Coded, const HW: bool>(src: &[W], dst: &mut [u8]) {
    let dst: &mut [C::Raw] = bytemuck::cast_slice_mut(dst);
    for (d, s) in dst.iter_mut().zip(src) {
        *d = s.encode::<C, HW>();
    }
}

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

pub(super) type UnpackFn<W> = unsafe fn(&[u8], &mut [W]);
pub(super) type PackFn<W> = unsafe fn(&[W], &mut [u8]);
pub(super) type DitherFn<W> = unsafe fn(&[W], &[f32], &mut [u8]);

#[cfg(target_arch = "x86_64")]
use super::convert_x86::{self as x86, Lanes as Best};
#[cfg(not(target_arch = "x86_64"))]
use Coded as Best;

fn unpack_fn<C: Codec, W: Best>(level: Level) -> UnpackFn<W> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512 if size_of::<C::Raw>() == 3 => x86::unpack24::<C, W>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::unpack::<C, W>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::unpack::<C, W>,
        _ => portable::unpack::<C, W>,
    }
}

fn pack_fns<C: Codec, W: Best>(level: Level) -> (PackFn<W>, DitherFn<W>) {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512 if size_of::<C::Raw>() == 3 => {
            (x86::pack24::<C, W>, x86::dither24::<C, W>)
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512
            if C::DEPTH == 16
                && let Some(fns) = W::pack16::<C>(level == Level::Avx512) =>
        {
            fns
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => (avx2::pack::<C, W>, avx2::dither::<C, W>),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => (avx512::pack::<C, W>, avx512::dither::<C, W>),
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

/// The level itself if this machine runs it: what makes calling its kernels sound.
pub(super) fn checked(level: Level) -> Level {
    if Level::available().contains(&level) {
        level
    } else {
        Level::Portable
    }
}

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

    /// With those of `level`, or portable ones if this machine lacks them.
    pub fn with_level(format: SampleFormat, level: Level) -> Self {
        W::unpacker(format, checked(level))
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

    /// With those of `level`, or portable ones if this machine lacks them.
    pub fn with_level(format: SampleFormat, level: Level) -> Self {
        W::packer(format, checked(level))
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
