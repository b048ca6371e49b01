// SPDX-License-Identifier: MIT

//! Where the taps of many phases come from.

use super::design::{Evaluator, Prototype};
use super::lagrange;
use super::ratio::Ratio;
use crate::simd::Level;
use crate::simd::resample::blend_taps;
use crate::simd::resample_pass::POINTS;
use crate::simd::resample_taps::Blend;

/// Rows a frame at full bandwidth: what is interpolated is off by up to -269 dB of the largest tap.
const OVERSAMPLE: u64 = 160;

/// The taps of any phase: from the formula or, of many phases, from rows that it gave.
#[derive(Debug)]
pub struct TapSource {
    evaluator: Evaluator,
    dense: Option<Dense>,
}

/// Rows at `oversample` fractions of an input frame; row `j` holds fraction `(j - 2) / oversample`.
#[derive(Debug)]
struct Dense {
    rows: Vec<f64>,
    oversample: u64,
    blend: Blend,
}

impl TapSource {
    /// For about `count` phases of `ratio`.
    pub fn new(prototype: &Prototype, ratio: Ratio, count: u64) -> Self {
        let evaluator = prototype.evaluator();
        // A narrower filter is smoother.
        let oversample = (OVERSAMPLE * ratio.l.min(ratio.m)).div_ceil(ratio.m).max(2);
        let pays = prototype.is_smooth() && count > oversample + POINTS as u64;
        Self {
            dense: pays.then(|| Dense::new(&evaluator, oversample)),
            evaluator,
        }
    }

    /// Taps of one phase.
    pub fn taps(&self) -> u64 {
        self.evaluator.taps()
    }

    /// Whether the taps at `1 - fraction` are those at `fraction` in reverse.
    pub fn is_symmetric(&self) -> bool {
        self.evaluator.is_symmetric()
    }

    /// As [`Evaluator::phase`], of a fraction from 0 to less than 1.
    pub fn phase(&self, fraction: f64, taps: &mut [f64]) {
        match &self.dense {
            Some(dense) => dense.phase(fraction, taps),
            None => self.evaluator.phase(fraction, taps),
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let rows = self.dense.as_ref().map_or(0, |dense| dense.rows.len());
        rows * size_of::<f64>()
    }
}

impl Dense {
    fn new(evaluator: &Evaluator, oversample: u64) -> Self {
        let n = evaluator.taps() as usize;
        let last = oversample as usize + POINTS - 2;
        let mut rows = vec![0.0; (last + 1) * n];
        // The second half is the first mirrored.
        for j in 0..=last / 2 {
            let fraction = (j as f64 - 2.0) / oversample as f64;
            evaluator.phase(fraction, &mut rows[j * n..][..n]);
            rows.copy_within(j * n..(j + 1) * n, (last - j) * n);
            if j < last - j {
                rows[(last - j) * n..][..n].reverse();
            }
        }
        Self {
            rows,
            oversample,
            blend: blend_taps(Level::best()),
        }
    }

    fn phase(&self, fraction: f64, taps: &mut [f64]) {
        let n = taps.len();
        let at = fraction * self.oversample as f64;
        let row = at as usize;
        let rows = std::array::from_fn(|r| &self.rows[(row + r) * n..][..n]);
        // They count 1 in all, so a gain of 1 stays one.
        (self.blend)(rows, &lagrange::six(at - row as f64), taps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::Method;

    #[test]
    fn many_phases_are_those_of_the_formula() {
        for (rates, method, quality) in [
            ((44_100, 47_999), Method::Kaiser, 0),
            ((44_100, 47_999), Method::Kaiser, 10),
            ((384_000, 44_101), Method::Kaiser, 4),
            ((44_100, 32_000), Method::BlackmanNuttall, 8),
        ] {
            let ratio = Ratio::new(rates.0, rates.1).unwrap();
            let prototype = Prototype::new(method, quality, ratio);
            let source = TapSource::new(&prototype, ratio, ratio.l);
            assert!(source.memory() > 0);
            let n = source.taps() as usize;
            let (mut taps, mut exact) = (vec![0.0; n], vec![0.0; n]);
            for fraction in [0.0, 1e-9, 0.123, 0.5, 0.777, 1.0 - 1e-9] {
                source.phase(fraction, &mut taps);
                prototype.evaluator().phase(fraction, &mut exact);
                for (i, (a, b)) in taps.iter().zip(&exact).enumerate() {
                    assert!((a - b).abs() < 4e-14, "{rates:?} {fraction} {i}: {a} {b}");
                }
                assert!((taps.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            }
        }
        // Few phases are not worth the rows.
        let ratio = Ratio::new(44_100, 48_000).unwrap();
        let prototype = Prototype::new(Method::Kaiser, 4, ratio);
        assert_eq!(TapSource::new(&prototype, ratio, 80).memory(), 0);
    }
}
