//! The one table of sample formats.

/// Byte order of a sample in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endianness {
    Little,
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

    pub const S8: Self = Self::new(SampleKind::Signed, 8, 1, Endianness::Little);
    pub const U8: Self = Self::new(SampleKind::Unsigned, 8, 1, Endianness::Little);
    pub const S16LE: Self = Self::new(SampleKind::Signed, 16, 2, Endianness::Little);
    pub const S16BE: Self = Self::new(SampleKind::Signed, 16, 2, Endianness::Big);
    pub const U16LE: Self = Self::new(SampleKind::Unsigned, 16, 2, Endianness::Little);
    pub const U16BE: Self = Self::new(SampleKind::Unsigned, 16, 2, Endianness::Big);
    pub const S24_32LE: Self = Self::new(SampleKind::Signed, 24, 4, Endianness::Little);
    pub const S24_32BE: Self = Self::new(SampleKind::Signed, 24, 4, Endianness::Big);
    pub const U24_32LE: Self = Self::new(SampleKind::Unsigned, 24, 4, Endianness::Little);
    pub const U24_32BE: Self = Self::new(SampleKind::Unsigned, 24, 4, Endianness::Big);
    pub const S32LE: Self = Self::new(SampleKind::Signed, 32, 4, Endianness::Little);
    pub const S32BE: Self = Self::new(SampleKind::Signed, 32, 4, Endianness::Big);
    pub const U32LE: Self = Self::new(SampleKind::Unsigned, 32, 4, Endianness::Little);
    pub const U32BE: Self = Self::new(SampleKind::Unsigned, 32, 4, Endianness::Big);
    pub const S24LE: Self = Self::new(SampleKind::Signed, 24, 3, Endianness::Little);
    pub const S24BE: Self = Self::new(SampleKind::Signed, 24, 3, Endianness::Big);
    pub const U24LE: Self = Self::new(SampleKind::Unsigned, 24, 3, Endianness::Little);
    pub const U24BE: Self = Self::new(SampleKind::Unsigned, 24, 3, Endianness::Big);
    pub const S20LE: Self = Self::new(SampleKind::Signed, 20, 3, Endianness::Little);
    pub const S20BE: Self = Self::new(SampleKind::Signed, 20, 3, Endianness::Big);
    pub const U20LE: Self = Self::new(SampleKind::Unsigned, 20, 3, Endianness::Little);
    pub const U20BE: Self = Self::new(SampleKind::Unsigned, 20, 3, Endianness::Big);
    pub const S18LE: Self = Self::new(SampleKind::Signed, 18, 3, Endianness::Little);
    pub const S18BE: Self = Self::new(SampleKind::Signed, 18, 3, Endianness::Big);
    pub const U18LE: Self = Self::new(SampleKind::Unsigned, 18, 3, Endianness::Little);
    pub const U18BE: Self = Self::new(SampleKind::Unsigned, 18, 3, Endianness::Big);
    pub const F32LE: Self = Self::new(SampleKind::Float, 32, 4, Endianness::Little);
    pub const F32BE: Self = Self::new(SampleKind::Float, 32, 4, Endianness::Big);
    pub const F64LE: Self = Self::new(SampleKind::Float, 64, 8, Endianness::Little);
    pub const F64BE: Self = Self::new(SampleKind::Float, 64, 8, Endianness::Big);

    /// Every format, by its name in `audio/x-raw` caps.
    pub const ALL: [(&'static str, Self); 30] = [
        ("S8", Self::S8),
        ("U8", Self::U8),
        ("S16LE", Self::S16LE),
        ("S16BE", Self::S16BE),
        ("U16LE", Self::U16LE),
        ("U16BE", Self::U16BE),
        ("S24_32LE", Self::S24_32LE),
        ("S24_32BE", Self::S24_32BE),
        ("U24_32LE", Self::U24_32LE),
        ("U24_32BE", Self::U24_32BE),
        ("S32LE", Self::S32LE),
        ("S32BE", Self::S32BE),
        ("U32LE", Self::U32LE),
        ("U32BE", Self::U32BE),
        ("S24LE", Self::S24LE),
        ("S24BE", Self::S24BE),
        ("U24LE", Self::U24LE),
        ("U24BE", Self::U24BE),
        ("S20LE", Self::S20LE),
        ("S20BE", Self::S20BE),
        ("U20LE", Self::U20LE),
        ("U20BE", Self::U20BE),
        ("S18LE", Self::S18LE),
        ("S18BE", Self::S18BE),
        ("U18LE", Self::U18LE),
        ("U18BE", Self::U18BE),
        ("F32LE", Self::F32LE),
        ("F32BE", Self::F32BE),
        ("F64LE", Self::F64LE),
        ("F64BE", Self::F64BE),
    ];

    /// The format with this name in `audio/x-raw` caps, such as `S16LE`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
    }

    /// Its name in `audio/x-raw` caps.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, f)| *f == self)
            .map_or("?", |(n, _)| n)
    }

    pub const fn is_float(self) -> bool {
        matches!(self.kind, SampleKind::Float)
    }

    /// Bytes of one sample.
    pub const fn size(self) -> usize {
        self.bytes as usize
    }
}
