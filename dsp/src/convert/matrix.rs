// SPDX-License-Identifier: MIT

//! Which input channels make up which output channel, and how loud.

use std::borrow::Cow;

use super::position::Position::{self, *};

/// Why channels cannot be mixed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// Channels would be mixed by position, and one side has none.
    #[error(
        "cannot mix {inputs} channels to {outputs} when the positions of either are undefined; \
         set a channel-mask, mix-matrix or input-channels-reorder-mode"
    )]
    Unpositioned {
        /// Input channels.
        inputs: usize,
        /// Output channels.
        outputs: usize,
    },
    /// The matrix is for other channel counts.
    #[error(
        "the mix matrix has {rows} rows of {columns} columns where {outputs} output channels of \
         {inputs} input channels are mixed"
    )]
    Shape {
        /// Rows given.
        rows: usize,
        /// Columns given.
        columns: usize,
        /// Output channels: the rows expected.
        outputs: usize,
        /// Input channels: the columns expected.
        inputs: usize,
    },
    /// Rows differ in length.
    #[error("row {row} of the mix matrix has {columns} columns where the first has {expected}")]
    Ragged {
        /// The row, counted from 0.
        row: usize,
        /// Columns that the matrix has: one per input channel.
        columns: usize,
        /// Columns of the first row.
        expected: usize,
    },
    /// A coefficient is NaN or infinite.
    #[error("the mix matrix holds a coefficient that is not a finite number")]
    NotFinite,
}

/// Channels of one side of a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One position for each channel, in the order of the samples.
    Positioned(Vec<Position>),
    /// So many channels of which no position is known.
    Unpositioned(usize),
}

impl Channels {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Positioned(p) => p.len(),
            Self::Unpositioned(n) => *n,
        }
    }
}

/// Mixing coefficients, one row per output channel, one column per input channel.
#[derive(Clone, Debug)]
pub struct Matrix {
    inputs: usize,
    rows: Rows,
}

#[derive(Clone, Debug)]
enum Rows {
    /// So many rows, each of which is 1 in the column of its own number: channels whose positions are not
    /// known may be many thousands.
    Identity(usize),
    Given(Vec<Vec<f64>>),
}

impl PartialEq for Matrix {
    fn eq(&self, other: &Self) -> bool {
        let shape = |m: &Self| (m.inputs, m.outputs());
        shape(self) == shape(other)
            && match (&self.rows, &other.rows) {
                (Rows::Identity(_), Rows::Identity(_)) => true,
                (Rows::Given(a), Rows::Given(b)) => a == b,
                _ => (0..self.outputs()).all(|o| self.row(o) == other.row(o)),
            }
    }
}

const H: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// One way to let a position be heard elsewhere.
enum Route {
    /// All of these at these gains, if the output has them all.
    To(&'static [(Position, f64)]),
    /// A position that stands in fully where the input does not use it itself, and at -3 dB where
    /// it does.
    Twin(Position),
}
use Route::{To, Twin};

/// Ways of a left or central position, best first; of a right one, mirrored. Fronts, centre and
/// surrounds as ITU-R BS.775-3, annex 4: centre and surrounds at -3 dB into the fronts, a single
/// surround at -6 dB into each, all at another -3 dB into mono, LFE not at all. Heights at -3 dB
/// into the layer below, -6 dB where they skip the surrounds.
fn routes(p: Position) -> &'static [Route] {
    match p {
        Mono => &[
            To(&[(FrontCenter, 1.0)]),
            To(&[(FrontLeft, 1.0), (FrontRight, 1.0)]),
        ],
        FrontLeft => &[
            To(&[(FrontLeftOfCenter, 1.0)]),
            To(&[(WideLeft, 1.0)]),
            To(&[(FrontCenter, H)]),
            To(&[(SideLeft, H)]),
            To(&[(RearLeft, H)]),
        ],
        FrontCenter => &[
            To(&[(FrontLeft, H), (FrontRight, H)]),
            To(&[(FrontLeftOfCenter, H), (FrontRightOfCenter, H)]),
            To(&[(SideLeft, 0.5), (SideRight, 0.5)]),
            To(&[(RearLeft, 0.5), (RearRight, 0.5)]),
        ],
        FrontLeftOfCenter => &[To(&[(FrontLeft, 1.0)]), To(&[(FrontCenter, H)])],
        WideLeft => &[
            To(&[(FrontLeft, 1.0)]),
            Twin(SideLeft),
            To(&[(FrontCenter, H)]),
        ],
        RearLeft => &[
            Twin(SideLeft),
            Twin(SurroundLeft),
            To(&[(RearCenter, H)]),
            To(&[(FrontLeft, H)]),
            To(&[(FrontCenter, 0.5)]),
        ],
        SideLeft => &[
            Twin(RearLeft),
            Twin(SurroundLeft),
            To(&[(RearCenter, H)]),
            To(&[(FrontLeft, H)]),
            To(&[(FrontCenter, 0.5)]),
        ],
        SurroundLeft => &[
            Twin(SideLeft),
            Twin(RearLeft),
            To(&[(RearCenter, H)]),
            To(&[(FrontLeft, H)]),
            To(&[(FrontCenter, 0.5)]),
        ],
        RearCenter => &[
            To(&[(RearLeft, H), (RearRight, H)]),
            To(&[(SideLeft, H), (SideRight, H)]),
            To(&[(SurroundLeft, H), (SurroundRight, H)]),
            To(&[(FrontLeft, 0.5), (FrontRight, 0.5)]),
            To(&[(FrontCenter, H)]),
        ],
        Lfe1 => &[Twin(Lfe2)],
        Lfe2 => &[Twin(Lfe1)],
        TopFrontLeft => &[
            Twin(TopSideLeft),
            To(&[(FrontLeft, H)]),
            To(&[(FrontCenter, 0.5)]),
        ],
        TopSideLeft => &[
            Twin(TopFrontLeft),
            Twin(TopRearLeft),
            To(&[(SideLeft, H)]),
            To(&[(RearLeft, H)]),
            To(&[(FrontLeft, 0.5)]),
            To(&[(FrontCenter, 0.5 * H)]),
        ],
        TopRearLeft => &[
            Twin(TopSideLeft),
            Twin(TopSurroundLeft),
            Twin(TopFrontLeft),
            To(&[(RearLeft, H)]),
            To(&[(SideLeft, H)]),
            To(&[(FrontLeft, 0.5)]),
            To(&[(FrontCenter, 0.5 * H)]),
        ],
        TopSurroundLeft => &[
            Twin(TopSideLeft),
            Twin(TopRearLeft),
            To(&[(SideLeft, H)]),
            To(&[(RearLeft, H)]),
            To(&[(FrontLeft, 0.5)]),
            To(&[(FrontCenter, 0.5 * H)]),
        ],
        TopFrontCenter => &[
            To(&[(TopFrontLeft, H), (TopFrontRight, H)]),
            To(&[(FrontCenter, H)]),
            To(&[(FrontLeft, 0.5), (FrontRight, 0.5)]),
        ],
        TopCenter => &[
            To(&[
                (TopFrontLeft, 0.5),
                (TopFrontRight, 0.5),
                (TopRearLeft, 0.5),
                (TopRearRight, 0.5),
            ]),
            To(&[(TopSideLeft, H), (TopSideRight, H)]),
            To(&[(TopFrontLeft, H), (TopFrontRight, H)]),
            To(&[(FrontLeft, 0.5), (FrontRight, 0.5)]),
            To(&[(FrontCenter, H)]),
        ],
        TopRearCenter => &[
            To(&[(TopRearLeft, H), (TopRearRight, H)]),
            To(&[(TopSideLeft, H), (TopSideRight, H)]),
            To(&[(RearCenter, H)]),
            To(&[(RearLeft, 0.5), (RearRight, 0.5)]),
            To(&[(SideLeft, 0.5), (SideRight, 0.5)]),
            To(&[(FrontLeft, 0.5 * H), (FrontRight, 0.5 * H)]),
            To(&[(FrontCenter, 0.5)]),
        ],
        BottomFrontCenter => &[
            To(&[(BottomFrontLeft, H), (BottomFrontRight, H)]),
            To(&[(FrontCenter, H)]),
            To(&[(FrontLeft, 0.5), (FrontRight, 0.5)]),
        ],
        BottomFrontLeft => &[To(&[(FrontLeft, H)]), To(&[(FrontCenter, 0.5)])],
        // Right positions are asked for by their mirror image.
        _ => &[],
    }
}

fn is_right(p: Position) -> bool {
    p.mirrored() < p
}

impl Matrix {
    /// Each output channel is the input channel of the same index, or silent.
    pub fn identity(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            rows: Rows::Identity(outputs),
        }
    }

    /// Given coefficients: `rows[output][input]`.
    pub fn from_rows(rows: &[Vec<f32>]) -> Result<Self, MatrixError> {
        let inputs = rows.first().map_or(0, Vec::len);
        for (row, r) in rows.iter().enumerate() {
            if r.len() != inputs {
                return Err(MatrixError::Ragged {
                    row,
                    columns: r.len(),
                    expected: inputs,
                });
            }
        }
        if rows.iter().flatten().any(|c| !c.is_finite()) {
            return Err(MatrixError::NotFinite);
        }
        let wide = |r: &Vec<f32>| r.iter().map(|c| f64::from(*c)).collect();
        Ok(Self {
            inputs,
            rows: Rows::Given(rows.iter().map(wide).collect()),
        })
    }

    /// The default mix between two sets of channels. A channel that the output has too goes there
    /// at full level; one that it lacks goes to its neighbours (see `routes`); an output channel
    /// that no input channel leads to is silent. The whole is turned down, never up, so that full
    /// scale on all input channels does not clip.
    pub fn between(input: &Channels, output: &Channels) -> Result<Self, MatrixError> {
        let (inputs, outputs) = (input.count(), output.count());
        match (input, output) {
            (Channels::Positioned(i), Channels::Positioned(o)) => Ok(Self::by_position(i, o)),
            _ if inputs == outputs => Ok(Self::identity(inputs, outputs)),
            _ => Err(MatrixError::Unpositioned { inputs, outputs }),
        }
    }

    fn by_position(input: &[Position], output: &[Position]) -> Self {
        // Channels that share a position are heard as one, their mean.
        let share = |p: Position| 1.0 / input.iter().filter(|q| **q == p).count() as f64;
        let mut rows = vec![vec![0.0; input.len()]; output.len()];
        for (i, p) in input.iter().enumerate() {
            for (o, gain) in destinations(*p, input, output) {
                rows[o][i] += gain * share(*p);
            }
        }
        let top = rows
            .iter()
            .map(|r| r.iter().sum::<f64>())
            .fold(1.0, f64::max);
        rows.iter_mut().flatten().for_each(|c| *c /= top);
        Self {
            inputs: input.len(),
            rows: Rows::Given(rows),
        }
    }

    /// Checks that this mixes `inputs` channels to `outputs`.
    pub fn check(&self, inputs: usize, outputs: usize) -> Result<(), MatrixError> {
        if self.inputs == inputs && self.outputs() == outputs {
            Ok(())
        } else {
            Err(MatrixError::Shape {
                rows: self.outputs(),
                columns: self.inputs,
                outputs,
                inputs,
            })
        }
    }

    /// Input channels.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Output channels.
    pub fn outputs(&self) -> usize {
        match &self.rows {
            Rows::Identity(outputs) => *outputs,
            Rows::Given(rows) => rows.len(),
        }
    }

    /// Coefficients of output channel `output`.
    pub fn row(&self, output: usize) -> Cow<'_, [f64]> {
        match &self.rows {
            Rows::Identity(_) => {
                let own = |i| f64::from(u8::from(i == output));
                (0..self.inputs).map(own).collect()
            }
            Rows::Given(rows) => Cow::Borrowed(&rows[output]),
        }
    }

    /// Whether every output is the input of the same number, unchanged.
    pub fn is_identity(&self) -> bool {
        self.inputs == self.outputs()
            && match &self.rows {
                Rows::Identity(_) => true,
                Rows::Given(_) => self
                    .selection()
                    .is_some_and(|s| s.iter().enumerate().all(|(i, c)| *c == Some(i))),
            }
    }

    /// For each output channel the one input channel that it repeats, `None` for silence; `None` if
    /// anything has to be computed.
    pub fn selection(&self) -> Option<Vec<Option<usize>>> {
        let rows = match &self.rows {
            Rows::Identity(outputs) => {
                let own = |o| Some((o < self.inputs).then_some(o));
                return (0..*outputs).map(own).collect();
            }
            Rows::Given(rows) => rows,
        };
        rows.iter()
            .map(|r| {
                let mut used = r.iter().enumerate().filter(|(_, c)| **c != 0.0);
                match (used.next(), used.next()) {
                    (None, _) => Some(None),
                    (Some((i, 1.0)), None) => Some(Some(i)),
                    _ => None,
                }
            })
            .collect()
    }
}

/// Output channels that input position `p` goes to, with their gains.
fn destinations(p: Position, input: &[Position], output: &[Position]) -> Vec<(usize, f64)> {
    if p == Invalid {
        return Vec::new();
    }
    let find = |q: Position| output.iter().position(|o| *o == q);
    if let Some(o) = find(p) {
        return vec![(o, 1.0)];
    }
    // A stream of one channel without a mask is heard in the centre.
    let find = |q: Position| find(q).or_else(|| (q == FrontCenter).then(|| find(Mono))?);
    if p == FrontCenter
        && let Some(o) = find(FrontCenter)
    {
        return vec![(o, 1.0)];
    }
    let right = is_right(p);
    let side = |q: Position| if right { q.mirrored() } else { q };
    for route in routes(side(p)) {
        match route {
            To(targets) => {
                let found: Option<Vec<_>> = targets
                    .iter()
                    .map(|(q, gain)| Some((find(side(*q))?, *gain)))
                    .collect();
                if let Some(found) = found {
                    return found;
                }
            }
            Twin(q) => {
                if let Some(o) = find(side(*q)) {
                    let alone = !input.contains(&side(*q));
                    return vec![(o, if alone { 1.0 } else { H })];
                }
            }
        }
    }
    if p.is_lfe() {
        return Vec::new();
    }
    // An odd output layout: rather heard in the wrong place than lost.
    let rest: Vec<_> = (0..output.len())
        .filter(|o| !output[*o].is_lfe() && output[*o] != Invalid)
        .collect();
    let gain = 1.0 / (rest.len() as f64).sqrt();
    rest.into_iter().map(|o| (o, gain)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(input: u64, output: u64) -> Matrix {
        let side = |mask| match mask {
            0 => Channels::Positioned(vec![Mono]),
            mask => Channels::Positioned(Position::from_mask(mask)),
        };
        Matrix::between(&side(input), &side(output)).unwrap()
    }

    fn assert_rows(m: &Matrix, want: &[&[f64]]) {
        assert_eq!(m.outputs(), want.len());
        for (o, row) in want.iter().enumerate() {
            let top = want
                .iter()
                .map(|r| r.iter().sum::<f64>())
                .fold(1.0, f64::max);
            for (got, want) in m.row(o).iter().zip(*row) {
                assert!(
                    (got - want / top).abs() < 1e-12,
                    "{:?} vs {row:?}",
                    m.row(o)
                );
            }
        }
    }

    /// So many coefficients would not fit any memory.
    #[test]
    fn an_identity_takes_no_memory() {
        let most = usize::MAX / 8;
        assert!(Matrix::identity(most, most).is_identity());
        let fewer = Matrix::identity(most, 2);
        assert!(!fewer.is_identity());
        assert_eq!(fewer.selection(), Some(vec![Some(0), Some(1)]));
        fewer.check(most, 2).unwrap();
        let channels = |n| Channels::Unpositioned(n);
        let same = Matrix::between(&channels(most), &channels(most)).unwrap();
        assert_eq!(same, Matrix::identity(most, most));
        let small = Matrix::identity(2, 3);
        assert_eq!(small.selection(), Some(vec![Some(0), Some(1), None]));
        let rows = [vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 0.0]];
        assert_eq!(small, Matrix::from_rows(&rows).unwrap());
        assert_eq!(*small.row(1), [0.0, 1.0]);
        assert_ne!(small, Matrix::identity(3, 2));
    }

    #[test]
    fn downmixes_of_5_1_are_those_of_bs_775() {
        assert_rows(
            &mix(0x3f, 0x3),
            &[&[1.0, 0.0, H, 0.0, H, 0.0], &[0.0, 1.0, H, 0.0, 0.0, H]],
        );
        assert_rows(&mix(0x3f, 0), &[&[H, H, 1.0, 0.0, 0.5, 0.5]]);
        // A centre surround, 3/1 to 2/0.
        assert_rows(
            &mix(0x107, 0x3),
            &[&[1.0, 0.0, H, 0.5], &[0.0, 1.0, H, 0.5]],
        );
    }

    #[test]
    fn mono_and_stereo_keep_their_level() {
        assert_rows(&mix(0, 0x3), &[&[1.0], &[1.0]]);
        assert_rows(&mix(0x3, 0), &[&[0.5, 0.5]]);
        assert_eq!(mix(0, 0x3).selection(), Some(vec![Some(0), Some(0)]));
    }

    #[test]
    fn lfe_is_no_louder_than_nothing_in_a_downmix() {
        for output in [0, 0x3, 0x7, 0x33, 0xc03] {
            let m = mix(0x3f, output);
            assert!((0..m.outputs()).all(|o| m.row(o)[3] == 0.0), "{output:x}");
        }
        assert_eq!(mix(0x3f, 0xc0f).row(3)[3], 1.0);
    }

    #[test]
    fn heights_of_7_1_4_are_heard() {
        // FL FR FC LFE RL RR SL SR TFL TFR TRL TRR
        let mask = 0x3f | 0xc00 | 0x3000 | 0x3_0000;
        let l = [1.0, 0.0, H, 0.0, H, 0.0, H, 0.0, H, 0.0, 0.5, 0.0];
        let r = [0.0, 1.0, H, 0.0, 0.0, H, 0.0, H, 0.0, H, 0.0, 0.5];
        assert_rows(&mix(mask, 0x3), &[&l, &r]);
        // Into 7.1, the heights join the layer below them.
        let m = mix(mask, 0xc3f);
        assert!(m.row(0)[8] > 0.5 * m.row(0)[0] && m.row(4)[10] > 0.5 * m.row(4)[4]);
    }

    #[test]
    fn back_and_side_surrounds_stand_in_for_each_other() {
        assert!(mix(0x3f, 0xc0f).selection().is_some());
        // 7.1 to 5.1: both at -3 dB and full.
        let m = mix(0xc3f, 0x3f);
        assert!((m.row(4)[4] / m.row(4)[6] - 1.0 / H).abs() < 1e-12);
    }

    #[test]
    fn nothing_but_lfe_is_lost_and_nothing_clips_between_any_layouts() {
        let masks = [
            0,
            0x3,
            0x4,
            0x7,
            0x33,
            0x3f,
            0x107,
            0x137,
            0xc0f,
            0xc3f,
            0xff,
            0x13f,
            0xd3f,
            0x303f,
            0x33f3f,
            0x3f_ffff,
            0x3fff_ffff,
            0x1,
            0x2,
            0x30,
            0xc00_0003,
        ];
        for input in masks {
            for output in masks {
                let m = mix(input, output);
                for (i, p) in match input {
                    0 => vec![Mono],
                    mask => Position::from_mask(mask),
                }
                .iter()
                .enumerate()
                {
                    let heard: f64 = (0..m.outputs()).map(|o| m.row(o)[i].abs()).sum();
                    assert!(heard > 0.0 || p.is_lfe(), "{input:x} {output:x} {p:?}");
                }
                for o in 0..m.outputs() {
                    assert!(m.row(o).iter().sum::<f64>() <= 1.0 + 1e-12);
                }
                assert!(m.is_identity() || input != output);
            }
        }
    }

    #[test]
    fn channels_of_one_position_are_heard_as_their_mean() {
        let m = Matrix::between(
            &Channels::Positioned(vec![FrontLeft, FrontRight, FrontLeft]),
            &Channels::Positioned(vec![FrontLeft, FrontRight]),
        )
        .unwrap();
        assert_rows(&m, &[&[0.5, 0.0, 0.5], &[0.0, 1.0, 0.0]]);
        let m = Matrix::between(
            &Channels::Positioned(vec![Mono; 4]),
            &Channels::Positioned(vec![Mono]),
        )
        .unwrap();
        assert_rows(&m, &[&[0.25; 4]]);
    }

    #[test]
    fn undefined_positions_are_passed_on_or_refused() {
        let none = Channels::Unpositioned;
        let stereo = Channels::Positioned(vec![FrontLeft, FrontRight]);
        assert!(Matrix::between(&none(9), &none(9)).unwrap().is_identity());
        assert!(Matrix::between(&none(2), &stereo).unwrap().is_identity());
        for (i, o) in [
            (none(9), stereo.clone()),
            (stereo, none(3)),
            (none(300), none(2)),
        ] {
            let e = Matrix::between(&i, &o).unwrap_err();
            assert_eq!(
                e,
                MatrixError::Unpositioned {
                    inputs: i.count(),
                    outputs: o.count()
                }
            );
        }
    }

    #[test]
    fn given_matrices_are_checked() {
        assert!(matches!(
            Matrix::from_rows(&[vec![1.0, 0.0], vec![1.0]]),
            Err(MatrixError::Ragged { row: 1, .. })
        ));
        assert_eq!(
            Matrix::from_rows(&[vec![f32::NAN]]),
            Err(MatrixError::NotFinite)
        );
        let m = Matrix::from_rows(&[vec![1.0, 0.0, 0.0]]).unwrap();
        assert!(m.check(3, 1).is_ok());
        assert!(matches!(m.check(1, 3), Err(MatrixError::Shape { .. })));
    }
}
