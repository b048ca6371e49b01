// SPDX-License-Identifier: MIT

//! How the outputs of a symmetric filter are made in blocks about places that the input is symmetric about.
//!
//! Every half of `m` input frames is such a place: the outputs lie symmetrically about it, and it is a frame
//! or the middle between two. Sums and differences of the input to either side give those of the outputs to
//! either side, with half as many products, or a little more, as the outputs by themselves.

use super::ratio::Ratio;
use super::rounds::Rounds;
use super::sharp::REACH;
use crate::simd::resample_pass::GROUP;

/// What is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Outputs of a round, in times `l`.
    pub units: u64,
    /// Of those, how many lie before its start.
    pub early: u64,
}

/// Outputs about a centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Twice the number of the output that is the centre: odd between two.
    pub twice: i64,
    /// The first output, and how many there are.
    pub first: i64,
    pub count: u64,
    /// How many to either side are made together.
    pub lanes: usize,
    /// The centre by itself, beside them.
    pub lone: bool,
}

impl Block {
    fn new(twice: i64, first: i64, count: u64) -> Self {
        let last = first + count as i64 - 1;
        // To the farther side, the centre included.
        let far = (last - twice.div_euclid(2)).max(twice.div_euclid(2) - first) as usize;
        let even = twice % 2 == 0;
        let lone = even && far > 0 && far.is_multiple_of(GROUP);
        Self {
            twice,
            first,
            count,
            lanes: if even && !lone { far + 1 } else { far },
            lone,
        }
    }

    /// Twice the input frame of its centre, counted from the start of the round.
    pub fn twice_frame(&self, ratio: Ratio) -> i64 {
        self.twice / ratio.l as i64 * ratio.m as i64
    }

    /// Input frames from the centre to the outputs of lane `n`.
    pub fn distance(&self, n: usize, ratio: Ratio) -> f64 {
        let outputs = if self.twice % 2 != 0 {
            n as f64 + 0.5
        } else if self.lone {
            n as f64 + 1.0
        } else {
            n as f64
        };
        outputs * ratio.input_per_output()
    }

    /// Input frames from the centre to the first sample after it, which may be it.
    pub fn offset(&self, ratio: Ratio) -> f64 {
        if self.twice_frame(ratio) % 2 == 0 {
            0.0
        } else {
            0.5
        }
    }

    /// Samples to either side that lanes from `lanes.0` to before `lanes.1` depend on: from which to before
    /// which.
    pub fn span(&self, lanes: (usize, usize), ratio: Ratio) -> (usize, usize) {
        let (reach, offset) = (reach(ratio), self.offset(ratio));
        let nearest = self.distance(lanes.0, ratio) - reach - offset;
        let farthest = self.distance(lanes.1 - 1, ratio) + reach - offset;
        // Only from 0 on, a sum takes samples of both sides.
        (nearest.max(0.0).floor() as usize, farthest.ceil() as usize)
    }

    /// Samples to either side that it depends on.
    pub fn window(&self, ratio: Ratio) -> usize {
        self.span((0, self.lanes), ratio).1
    }

    /// The groups of its lanes: their first, and the one after their last.
    pub fn groups(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let lanes = self.lanes;
        let end = move |first| lanes.min(first + GROUP);
        (0..lanes)
            .step_by(GROUP)
            .map(move |first| (first, end(first)))
    }
}

/// Input frames that the response reaches to either side of its centre.
pub fn reach(ratio: Ratio) -> f64 {
    REACH * ratio.input_per_output().max(1.0)
}

/// Twice the place, in outputs, that a block of `count` is symmetric about.
fn about(count: u64, ratio: Ratio) -> u64 {
    if count.is_multiple_of(2) && ratio.l % 2 == 1 {
        ratio.l
    } else {
        0
    }
}

impl Shape {
    /// The outputs of a round.
    pub fn block(self, ratio: Ratio) -> Block {
        let count = self.units * ratio.l;
        Block::new(about(count, ratio) as i64, -(self.early as i64), count)
    }

    /// A block of `units` periods.
    fn of(units: u64, ratio: Ratio) -> Self {
        let count = units * ratio.l;
        Self {
            units,
            early: (count - about(count, ratio)).saturating_sub(1) / 2,
        }
    }

    /// Its rounds.
    pub fn rounds(self, ratio: Ratio) -> Rounds {
        let block = self.block(ratio);
        let (twice, window) = (block.twice_frame(ratio), block.window(ratio) as i64);
        let before = (window - 1 - twice.div_euclid(2)).max(0);
        let end = (twice + 1).div_euclid(2) + window;
        let after = (end - (self.units * ratio.m) as i64).max(0);
        Rounds::with(ratio, self.units, [before as u64, after as u64], self.early)
    }

    /// Input frames after an output's position that it waits for, at worst.
    pub fn latency(self, ratio: Ratio) -> u64 {
        self.rounds(ratio).latency()
    }

    /// Time for an output frame of one channel of `f32`, in ns on an AVX2 machine of 2023.
    pub fn cost(self, ratio: Ratio) -> f64 {
        let block = self.block(ratio);
        let groups = block.groups().count() as f64;
        let cost = 0.2 * block.window(ratio) as f64 + 50.0 + 20.0 * groups;
        let cost = cost + 2.0 * 0.3 * self.rows(ratio) as f64;
        cost / (self.units * ratio.l) as f64 + 0.3
    }

    /// Samples that its groups depend on, those to one side, all together.
    fn rows(self, ratio: Ratio) -> usize {
        let block = self.block(ratio);
        let spans = block.groups().map(|lanes| block.span(lanes, ratio));
        spans.map(|(start, end)| end - start).sum()
    }

    /// The cheapest that waits for no more than `max_latency` input frames.
    pub fn cheapest(ratio: Ratio, max_latency: u64) -> Option<Self> {
        if ratio.l > MOST_OUTPUTS || reach(ratio) > MOST_REACH {
            return None;
        }
        let most_units = (4 * GROUP as u64 / ratio.l).max(1);
        (1..=most_units)
            .map(|units| Self::of(units, ratio))
            .filter(|shape| shape.rows(ratio) <= MOST_ROWS)
            .filter(|shape| shape.latency(ratio) <= max_latency)
            .min_by(|a, b| a.cost(ratio).total_cmp(&b.cost(ratio)))
    }
}

/// Outputs of a period, and input frames that the response reaches, at most.
const MOST_OUTPUTS: u64 = 640;
const MOST_REACH: f64 = 2000.0;
/// Rows of taps to one side, at most: 128 KiB in `f32`. Of more, where no two windows share a load of them,
/// loads cost more than products save.
const MOST_ROWS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_blocks_about_places_of_symmetry() {
        for (l, m) in [(160, 147), (147, 160), (2, 3), (3, 2), (1, 1), (7, 5)] {
            let ratio = Ratio { l, m };
            for latency in [200, 300, 500, u64::MAX] {
                let Some(shape) = Shape::cheapest(ratio, latency) else {
                    continue;
                };
                let block = shape.block(ratio);
                assert_eq!(block.first, -(shape.early as i64), "{ratio:?} {shape:?}");
                assert_eq!(block.count, shape.units * l);
                assert_eq!(block.twice % l as i64, 0);
                // The outputs about the centre are made, to both sides.
                let (lanes, odd) = (block.lanes as i64, block.twice % 2);
                let far = lanes - 1 + i64::from(block.lone);
                let centre = block.twice.div_euclid(2);
                assert!(centre - far <= block.first, "{ratio:?} {shape:?}");
                assert!(block.first + block.count as i64 - 1 <= centre + odd + far);
                assert!(shape.latency(ratio) <= latency);
            }
        }
    }

    #[test]
    fn groups_are_full_or_nearly() {
        let lanes = |l, m| {
            let ratio = Ratio { l, m };
            let block = Shape::cheapest(ratio, u64::MAX)?.block(ratio);
            Some((block.lanes, block.lone))
        };
        assert_eq!(lanes(160, 147), Some((80, true)));
        assert_eq!(lanes(147, 160), Some((74, false)));
        assert_eq!(lanes(3, 2), Some((32, false)));
        // The table is too large.
        assert_eq!(lanes(320, 441), None);
    }
}
