//! Rates in lowest terms, and positions in the input.

/// Output rate over input rate in lowest terms: `l` output frames for `m` input frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    pub l: u64,
    pub m: u64,
}

impl Ratio {
    /// `None` if a rate is 0.
    pub fn new(in_rate: u32, out_rate: u32) -> Option<Self> {
        if in_rate == 0 || out_rate == 0 {
            return None;
        }
        let (mut a, mut b) = (u64::from(in_rate), u64::from(out_rate));
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Some(Self {
            l: u64::from(out_rate) / a,
            m: u64::from(in_rate) / a,
        })
    }

    pub fn is_down(self) -> bool {
        self.m > self.l
    }

    /// Input frames per output frame.
    pub fn input_per_output(self) -> f64 {
        self.m as f64 / self.l as f64
    }

    /// Outputs at positions from 0 to frame `last` inclusive.
    pub fn outputs_through(self, last: u64) -> u64 {
        let n = u128::from(last) * u128::from(self.l) / u128::from(self.m) + 1;
        u64::try_from(n).unwrap_or(u64::MAX)
    }
}

/// A place in the input: a frame and a fraction of the way to the next, in units of 2^-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub frame: i64,
    pub fraction: u64,
}

impl Position {
    /// Frame plus `phase / l`.
    pub fn rational(frame: i64, phase: u64, l: u64) -> Self {
        // Rounded up, so that the phase comes back out of `phase`.
        let fraction = ((u128::from(phase) << 64).div_ceil(u128::from(l.max(1)))) as u64;
        Self { frame, fraction }
    }

    /// Largest `p` with `p / l` at or before the fraction.
    pub fn phase(self, l: u64) -> u64 {
        ((u128::from(self.fraction) * u128::from(l)) >> 64) as u64
    }

    /// Moved on by `step` units of 2^-64 frames.
    pub fn advance(self, step: u128) -> Self {
        let sum = u128::from(self.fraction) + (step & u128::from(u64::MAX));
        Self {
            frame: self.frame + (step >> 64) as i64 + (sum >> 64) as i64,
            fraction: sum as u64,
        }
    }
}

/// Step of `input_per_output` frames in units of 2^-64, rounded up by less than a unit for the ratio
/// itself: a position that should be a whole frame is never a hair before it, where the filter would
/// be cut off on the other side.
pub fn step(ratio: Ratio, correction: f64) -> u128 {
    let exact = (u128::from(ratio.m) << 64).div_ceil(u128::from(ratio.l));
    if correction == 1.0 {
        return exact;
    }
    // The whole range of an f64's mantissa is kept: 2^64 / correction has 53 good bits.
    let scale = ((1u128 << 64) as f64 / correction) as u128;
    (exact >> 64) * scale + (((exact & u128::from(u64::MAX)) * scale) >> 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_return_their_phase() {
        for l in [1, 3, 147, 160, 47_999] {
            for phase in (0..l).step_by(1 + l as usize / 97) {
                assert_eq!(Position::rational(-5, phase, l).phase(l), phase);
            }
        }
    }

    #[test]
    fn a_day_of_steps_stays_on_the_grid() {
        let ratio = Ratio::new(44_100, 48_000).unwrap();
        let day = 86_400u128 * 48_000;
        let total = step(ratio, 1.0) * day;
        let error = total.abs_diff((86_400u128 * 44_100) << 64);
        // A ten-millionth of a frame.
        assert!(error < 1u128 << 41, "{error}");
    }

    #[test]
    fn correction_divides_the_step() {
        let ratio = Ratio::new(48_000, 16_000).unwrap();
        let frames = step(ratio, 1.001) as f64 / 2f64.powi(64);
        assert!((frames - 3.0 / 1.001).abs() < 1e-15);
    }
}
