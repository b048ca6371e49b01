// SPDX-License-Identifier: MIT

//! Where the channels of a stream are heard.

/// Loudspeaker position of a channel. Numbers are bits of GStreamer's channel mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Position {
    /// Front left.
    FrontLeft = 0,
    /// Front right.
    FrontRight = 1,
    /// Front center.
    FrontCenter = 2,
    /// Low-frequency effects.
    Lfe1 = 3,
    /// Rear left.
    RearLeft = 4,
    /// Rear right.
    RearRight = 5,
    /// Front left of center.
    FrontLeftOfCenter = 6,
    /// Front right of center.
    FrontRightOfCenter = 7,
    /// Rear center.
    RearCenter = 8,
    /// Second low-frequency effects.
    Lfe2 = 9,
    /// Side left.
    SideLeft = 10,
    /// Side right.
    SideRight = 11,
    /// Top front left.
    TopFrontLeft = 12,
    /// Top front right.
    TopFrontRight = 13,
    /// Top front center.
    TopFrontCenter = 14,
    /// Top center.
    TopCenter = 15,
    /// Top rear left.
    TopRearLeft = 16,
    /// Top rear right.
    TopRearRight = 17,
    /// Top side left.
    TopSideLeft = 18,
    /// Top side right.
    TopSideRight = 19,
    /// Top rear center.
    TopRearCenter = 20,
    /// Bottom front center.
    BottomFrontCenter = 21,
    /// Bottom front left.
    BottomFrontLeft = 22,
    /// Bottom front right.
    BottomFrontRight = 23,
    /// Wide left.
    WideLeft = 24,
    /// Wide right.
    WideRight = 25,
    /// Surround left.
    SurroundLeft = 26,
    /// Surround right.
    SurroundRight = 27,
    /// Top surround left.
    TopSurroundLeft = 28,
    /// Top surround right.
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

    /// Whether it carries low frequencies only.
    pub fn is_lfe(self) -> bool {
        matches!(self, Lfe1 | Lfe2)
    }
}

/// Order in which channels without positions are assumed to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    /// GStreamer's own.
    #[default]
    Gst,
    /// SMPTE 2036-2-2008.
    Smpte,
    /// The order of digital cinema: fronts, centre, LFE, surrounds.
    Cine,
    /// AC-3's.
    Ac3,
    /// AAC's.
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
