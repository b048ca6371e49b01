//! Where the channels of a stream are heard.

/// Loudspeaker position of a channel. Numbers are bits of GStreamer's channel mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Position {
    FrontLeft = 0,
    FrontRight = 1,
    FrontCenter = 2,
    Lfe1 = 3,
    RearLeft = 4,
    RearRight = 5,
    FrontLeftOfCenter = 6,
    FrontRightOfCenter = 7,
    RearCenter = 8,
    Lfe2 = 9,
    SideLeft = 10,
    SideRight = 11,
    TopFrontLeft = 12,
    TopFrontRight = 13,
    TopFrontCenter = 14,
    TopCenter = 15,
    TopRearLeft = 16,
    TopRearRight = 17,
    TopSideLeft = 18,
    TopSideRight = 19,
    TopRearCenter = 20,
    BottomFrontCenter = 21,
    BottomFrontLeft = 22,
    BottomFrontRight = 23,
    WideLeft = 24,
    WideRight = 25,
    SurroundLeft = 26,
    SurroundRight = 27,
    TopSurroundLeft = 28,
    TopSurroundRight = 29,
    /// The only channel of a stream without a mask.
    Mono = 64,
    /// A channel of which nothing is known: it takes no part in a mix by position.
    Invalid = 65,
}

use Position::*;

/// All positions that a channel mask names, by bit.
const MASKED: [Position; 30] = [
    FrontLeft,
    FrontRight,
    FrontCenter,
    Lfe1,
    RearLeft,
    RearRight,
    FrontLeftOfCenter,
    FrontRightOfCenter,
    RearCenter,
    Lfe2,
    SideLeft,
    SideRight,
    TopFrontLeft,
    TopFrontRight,
    TopFrontCenter,
    TopCenter,
    TopRearLeft,
    TopRearRight,
    TopSideLeft,
    TopSideRight,
    TopRearCenter,
    BottomFrontCenter,
    BottomFrontLeft,
    BottomFrontRight,
    WideLeft,
    WideRight,
    SurroundLeft,
    SurroundRight,
    TopSurroundLeft,
    TopSurroundRight,
];

impl Position {
    /// Positions of the bits set in `mask`, lowest first; bits without a known position are
    /// `Invalid`.
    pub fn from_mask(mask: u64) -> Vec<Self> {
        (0..64)
            .filter(|bit| mask >> bit & 1 == 1)
            .map(|bit| MASKED.get(bit).copied().unwrap_or(Invalid))
            .collect()
    }

    /// The position of the other side; centres are their own.
    pub fn mirrored(self) -> Self {
        match self {
            FrontLeft => FrontRight,
            FrontRight => FrontLeft,
            RearLeft => RearRight,
            RearRight => RearLeft,
            FrontLeftOfCenter => FrontRightOfCenter,
            FrontRightOfCenter => FrontLeftOfCenter,
            SideLeft => SideRight,
            SideRight => SideLeft,
            TopFrontLeft => TopFrontRight,
            TopFrontRight => TopFrontLeft,
            TopRearLeft => TopRearRight,
            TopRearRight => TopRearLeft,
            TopSideLeft => TopSideRight,
            TopSideRight => TopSideLeft,
            BottomFrontLeft => BottomFrontRight,
            BottomFrontRight => BottomFrontLeft,
            WideLeft => WideRight,
            WideRight => WideLeft,
            SurroundLeft => SurroundRight,
            SurroundRight => SurroundLeft,
            TopSurroundLeft => TopSurroundRight,
            TopSurroundRight => TopSurroundLeft,
            other => other,
        }
    }

    pub fn is_lfe(self) -> bool {
        matches!(self, Lfe1 | Lfe2)
    }
}

/// Order in which channels without positions are assumed to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    #[default]
    Gst,
    Smpte,
    Cine,
    Ac3,
    Aac,
    /// All channels are mono, to be mixed as one.
    Mono,
    /// Left and right in turn, to be mixed as two.
    Alternate,
}

/// The order that film, AC-3 and AAC share after their first three channels.
const FILM: [Position; 25] = [
    RearLeft,
    RearRight,
    FrontLeftOfCenter,
    FrontRightOfCenter,
    SurroundLeft,
    SurroundRight,
    RearCenter,
    TopCenter,
    WideLeft,
    WideRight,
    TopFrontLeft,
    TopFrontRight,
    TopFrontCenter,
    TopRearLeft,
    TopRearRight,
    TopRearCenter,
    SideLeft,
    SideRight,
    TopSideLeft,
    TopSideRight,
    BottomFrontLeft,
    BottomFrontRight,
    BottomFrontCenter,
    Lfe2,
    Lfe1,
];

/// SMPTE ST 2036-2 order.
const SMPTE: [Position; 28] = [
    FrontLeft,
    FrontRight,
    FrontCenter,
    Lfe1,
    RearLeft,
    RearRight,
    FrontLeftOfCenter,
    FrontRightOfCenter,
    SurroundLeft,
    SurroundRight,
    RearCenter,
    SideLeft,
    SideRight,
    WideLeft,
    WideRight,
    TopFrontLeft,
    TopFrontRight,
    TopFrontCenter,
    TopRearLeft,
    TopRearRight,
    TopRearCenter,
    TopSideLeft,
    TopSideRight,
    TopCenter,
    Lfe2,
    BottomFrontLeft,
    BottomFrontRight,
    BottomFrontCenter,
];

impl ChannelOrder {
    /// Positions of `channels` channels in this order. Film, AC-3 and AAC put the LFE last from
    /// three channels on; channels that an order does not reach are `Invalid`.
    pub fn positions(self, channels: usize) -> Vec<Position> {
        if channels == 1 {
            return vec![Mono];
        }
        if channels == 2 && self != Self::Mono {
            return vec![FrontLeft, FrontRight];
        }
        let film = |first: [Position; 3]| -> Vec<Position> {
            let mut all: Vec<_> = first.into_iter().chain(FILM).collect();
            all.resize(channels, Invalid);
            if channels == 3 {
                all = vec![FrontLeft, FrontRight, Lfe1];
            } else {
                all[channels - 1] = Lfe1;
            }
            all
        };
        let mut all = match self {
            Self::Gst => MASKED[..28].to_vec(),
            Self::Smpte => SMPTE.to_vec(),
            Self::Cine => film([FrontLeft, FrontRight, FrontCenter]),
            Self::Ac3 => film([FrontLeft, FrontCenter, FrontRight]),
            Self::Aac => film([FrontCenter, FrontLeft, FrontRight]),
            Self::Mono => vec![Mono; channels],
            Self::Alternate => [FrontLeft, FrontRight]
                .into_iter()
                .cycle()
                .take(channels)
                .collect(),
        };
        all.resize(channels, Invalid);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_name_the_positions_of_their_bits() {
        assert_eq!(Position::from_mask(0x3), [FrontLeft, FrontRight]);
        assert_eq!(
            Position::from_mask(0x3f),
            [
                FrontLeft,
                FrontRight,
                FrontCenter,
                Lfe1,
                RearLeft,
                RearRight
            ]
        );
        assert_eq!(Position::from_mask(1 << 40), [Invalid]);
        for (bit, p) in MASKED.iter().enumerate() {
            assert_eq!(*p as usize, bit);
            assert_eq!(p.mirrored().mirrored(), *p);
        }
    }

    #[test]
    fn orders_are_those_of_audioconvert() {
        use ChannelOrder::*;
        for order in [Gst, Smpte, Cine, Ac3, Aac, Mono, Alternate] {
            assert_eq!(order.positions(1), [Position::Mono]);
            assert_eq!(order.positions(100).len(), 100);
            if order != Mono {
                assert_eq!(order.positions(2), [FrontLeft, FrontRight]);
            }
        }
        assert_eq!(Mono.positions(3), [Position::Mono; 3]);
        assert_eq!(Alternate.positions(3), [FrontLeft, FrontRight, FrontLeft]);
        assert_eq!(
            Smpte.positions(6),
            [
                FrontLeft,
                FrontRight,
                FrontCenter,
                Lfe1,
                RearLeft,
                RearRight
            ]
        );
        assert_eq!(Aac.positions(3), [FrontLeft, FrontRight, Lfe1]);
        assert_eq!(
            Aac.positions(6),
            [
                FrontCenter,
                FrontLeft,
                FrontRight,
                RearLeft,
                RearRight,
                Lfe1
            ]
        );
        assert_eq!(
            Ac3.positions(5),
            [FrontLeft, FrontCenter, FrontRight, RearLeft, Lfe1]
        );
        assert_eq!(Cine.positions(40)[39], Lfe1);
        assert_eq!(Cine.positions(40)[30], Invalid);
    }
}
