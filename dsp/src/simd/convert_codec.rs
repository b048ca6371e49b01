// SPDX-License-Identifier: MIT

//! Sample formats at compile time: the bytes of one sample to a native one and back. Kernels are built
//! from these, inlined.
#![allow(unsafe_code)]

use bytemuck::Pod;

/// Bytes of a container as an unsigned number in the low end of a `u32`.
pub(super) trait Container {
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // shuffles ask
    const BE: bool;
    type Raw: Pod;
    fn read(raw: Self::Raw) -> u32;
    fn write(bits: u32) -> Self::Raw;
}

pub(super) struct One;
pub(super) struct Two<const BE: bool>;
pub(super) struct Three<const BE: bool>;
pub(super) struct Four<const BE: bool>;

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
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // shuffles ask
    const SIGNED: bool;
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
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

pub(super) struct Int<C, const DEPTH: u32, const SIGNED: bool>(C);
pub(super) struct F32<const BE: bool>;
pub(super) struct F64<const BE: bool>;

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
