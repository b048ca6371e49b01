// SPDX-License-Identifier: MIT

//! The one table of sample formats.

/// Byte order of a sample in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endianness {
    /// The lowest byte first.
    Little,
    /// The highest byte first.
    Big,
}

impl Endianness {
    /// Byte order of the machine that runs this.
    pub const NATIVE: Self = if cfg!(target_endian = "big") {
        Self::Big
    } else {
        Self::Little
    };
}

/// How the bits of a sample are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleKind {
    /// Two's complement; full scale is `[-2^(depth-1), 2^(depth-1) - 1]`.
    Signed,
    /// Offset binary; silence is `2^(depth-1)`.
    Unsigned,
    /// IEEE 754; full scale is `[-1, 1]`.
    Float,
}

/// One of the 30 sample formats of `audio/x-raw`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SampleFormat {
    /// How its bits are read.
    pub kind: SampleKind,
    /// Significant bits, in the low end of the container.
    pub depth: u8,
    /// Bytes of the container: 1, 2, 3, 4 or 8.
    pub bytes: u8,
    /// Meaningless for one-byte containers, where it is `Little`.
    pub endianness: Endianness,
}

impl SampleFormat {
    const fn new(kind: SampleKind, depth: u8, bytes: u8, endianness: Endianness) -> Self {
        Self {
            kind,
            depth,
            bytes,
            endianness,
        }
    }

    /// 16-bit signed integer as this machine holds it.
    pub const S16: Self = native(Self::S16LE);
    /// 32-bit signed integer as this machine holds it.
    pub const S32: Self = native(Self::S32LE);
    /// 32-bit float as this machine holds it.
    pub const F32: Self = native(Self::F32LE);
    /// 64-bit float as this machine holds it.
    pub const F64: Self = native(Self::F64LE);

    /// The format with this name in `audio/x-raw` caps, such as `S16LE`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
    }

    /// The format's name in GStreamer's `audio/x-raw` caps, as `S16LE`.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, f)| *f == self)
            .map_or("?", |(n, _)| n)
    }

    /// Whether it holds IEEE 754 numbers.
    pub const fn is_float(self) -> bool {
        matches!(self.kind, SampleKind::Float)
    }

    /// Bytes of one sample.
    pub const fn size(self) -> usize {
        self.bytes as usize
    }
}

const fn native(format: SampleFormat) -> SampleFormat {
    SampleFormat {
        endianness: Endianness::NATIVE,
        ..format
    }
}

/// The table: constants of [`SampleFormat`], and all of them by name.
macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $kind:ident, $depth:expr, $bytes:expr, $order:ident;)*) => {
        impl SampleFormat {
            $($(#[$doc])*
            pub const $name: Self = Self::new(SampleKind::$kind, $depth, $bytes, Endianness::$order);)*

            /// Every format, by its name in `audio/x-raw` caps.
            pub const ALL: [(&'static str, Self); 30] = [$((stringify!($name), Self::$name)),*];
        }
    };
}

formats! {
    /// 8-bit signed integer.
    S8 = Signed, 8, 1, Little;
    /// 8-bit offset binary.
    U8 = Unsigned, 8, 1, Little;
    /// 16-bit signed integer, little endian.
    S16LE = Signed, 16, 2, Little;
    /// 16-bit signed integer, big endian.
    S16BE = Signed, 16, 2, Big;
    /// 16-bit offset binary, little endian.
    U16LE = Unsigned, 16, 2, Little;
    /// 16-bit offset binary, big endian.
    U16BE = Unsigned, 16, 2, Big;
    /// 24-bit signed integer in 4 bytes, little endian.
    S24_32LE = Signed, 24, 4, Little;
    /// 24-bit signed integer in 4 bytes, big endian.
    S24_32BE = Signed, 24, 4, Big;
    /// 24-bit offset binary in 4 bytes, little endian.
    U24_32LE = Unsigned, 24, 4, Little;
    /// 24-bit offset binary in 4 bytes, big endian.
    U24_32BE = Unsigned, 24, 4, Big;
    /// 32-bit signed integer, little endian.
    S32LE = Signed, 32, 4, Little;
    /// 32-bit signed integer, big endian.
    S32BE = Signed, 32, 4, Big;
    /// 32-bit offset binary, little endian.
    U32LE = Unsigned, 32, 4, Little;
    /// 32-bit offset binary, big endian.
    U32BE = Unsigned, 32, 4, Big;
    /// 24-bit signed integer, little endian.
    S24LE = Signed, 24, 3, Little;
    /// 24-bit signed integer, big endian.
    S24BE = Signed, 24, 3, Big;
    /// 24-bit offset binary, little endian.
    U24LE = Unsigned, 24, 3, Little;
    /// 24-bit offset binary, big endian.
    U24BE = Unsigned, 24, 3, Big;
    /// 20-bit signed integer in 3 bytes, little endian.
    S20LE = Signed, 20, 3, Little;
    /// 20-bit signed integer in 3 bytes, big endian.
    S20BE = Signed, 20, 3, Big;
    /// 20-bit offset binary in 3 bytes, little endian.
    U20LE = Unsigned, 20, 3, Little;
    /// 20-bit offset binary in 3 bytes, big endian.
    U20BE = Unsigned, 20, 3, Big;
    /// 18-bit signed integer in 3 bytes, little endian.
    S18LE = Signed, 18, 3, Little;
    /// 18-bit signed integer in 3 bytes, big endian.
    S18BE = Signed, 18, 3, Big;
    /// 18-bit offset binary in 3 bytes, little endian.
    U18LE = Unsigned, 18, 3, Little;
    /// 18-bit offset binary in 3 bytes, big endian.
    U18BE = Unsigned, 18, 3, Big;
    /// 32-bit float, little endian.
    F32LE = Float, 32, 4, Little;
    /// 32-bit float, big endian.
    F32BE = Float, 32, 4, Big;
    /// 64-bit float, little endian.
    F64LE = Float, 64, 8, Little;
    /// 64-bit float, big endian.
    F64BE = Float, 64, 8, Big;
}
