// SPDX-License-Identifier: MIT

//! Rates in lowest terms, and positions in the input.

use std::ops::RangeInclusive;

/// Output rate over input rate in lowest terms: `l` output frames for `m` input frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    /// Output frames.
    pub l: u64,
    /// Input frames that they stand for.
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

    /// Whether the output rate is the lower one.
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
}

/// Output frames per nominal output frame: what engines can follow.
pub const CORRECTIONS: RangeInclusive<f64> = 0.9..=1.1;

/// The places of outputs that lie `m / (l * correction)` input frames apart, as exact as the numbers
/// themselves: after any number of steps the place is off by nothing.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    ratio: Ratio,
    /// Of the next output: its frame, the fraction in units of 2^-64, rounded down, and what was
    /// rounded away, in parts of `parts` of a unit.
    frame: i64,
    fraction: u64,
    rest: u128,
    /// `l` times the correction's mantissa, less than 2^85.
    parts: u128,
    /// Binary places of the correction.
    places: u32,
    /// From one output to the next: frames, fraction and rest.
    step: (i64, u64, u128),
}

impl Walk {
    /// From frame 0 on at the nominal ratio.
    pub fn new(ratio: Ratio) -> Self {
        let mut walk = Self {
            ratio,
            frame: 0,
            fraction: 0,
            rest: 0,
            parts: 1,
            places: 0,
            step: (0, 0, 0),
        };
        walk.set_step(1, 0);
        walk
    }

    /// For corrections of `mantissa / 2^places`.
    fn set_step(&mut self, mantissa: u64, places: u32) {
        self.parts = u128::from(self.ratio.l) * u128::from(mantissa);
        self.places = places;
        let m = u128::from(self.ratio.m) << places;
        let (frames, mut rest) = (m / self.parts, m % self.parts);
        let mut fraction = 0;
        // In two halves, since a rest has up to 85 bits.
        for _ in 0..2 {
            rest <<= 32;
            fraction = fraction << 32 | (rest / self.parts) as u64;
            rest %= self.parts;
        }
        self.step = (frames as i64, fraction, rest);
    }

    /// Makes `correction` outputs per nominal one from the next output on, which stays where it is to
    /// less than 2^-64 frames. False, and nothing done, if it is none of [`CORRECTIONS`].
    pub fn set_correction(&mut self, correction: f64) -> bool {
        if !CORRECTIONS.contains(&correction) {
            return false;
        }
        // Normal numbers with an exponent of 0 or -1.
        let bits = correction.to_bits();
        let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
        let places = 1075 - (bits >> 52) as u32;
        let zeros = mantissa.trailing_zeros();
        let position = self.position();
        self.set_step(mantissa >> zeros, places - zeros);
        self.seek(position);
        true
    }

    /// The next output is to be the one at `position`.
    pub fn seek(&mut self, position: Position) {
        let l = self.ratio.l;
        let phase = position.phase(l);
        self.frame = position.frame;
        if Position::rational(position.frame, phase, l) == position {
            // A phase of the ratio, from which only rounding parts the position.
            let (exact, l) = (u128::from(phase) << 64, u128::from(l));
            self.fraction = (exact / l) as u64;
            self.rest = exact % l * (self.parts / l);
        } else {
            self.fraction = position.fraction;
            self.rest = 0;
        }
    }

    /// Place of the next output, rounded up.
    pub fn position(&self) -> Position {
        let (fraction, over) = self.fraction.overflowing_add(u64::from(self.rest > 0));
        Position {
            frame: self.frame + i64::from(over),
            fraction,
        }
    }

    /// What its fraction leaves out: a numerator and a denominator, of units.
    #[cfg(test)]
    pub fn rest(&self) -> (u128, u128) {
        (self.rest, self.parts)
    }

    /// Whole frame of the next output.
    pub fn frame(&self) -> i64 {
        self.frame
    }

    /// How far it is beyond that, in units of 2^-64 frames.
    pub fn fraction(&self) -> u64 {
        self.fraction
    }

    /// On to the output after.
    #[inline]
    pub fn advance(&mut self) {
        let (frames, fraction, rest) = self.step;
        self.rest += rest;
        let carry = self.rest >= self.parts;
        if carry {
            self.rest -= self.parts;
        }
        let sum = u128::from(self.fraction) + u128::from(fraction) + u128::from(carry);
        self.fraction = sum as u64;
        self.frame += frames + (sum >> 64) as i64;
    }

    /// Outputs from the next on that lie at or before frame `last`.
    pub fn outputs_through(&self, last: i64) -> u64 {
        let frames = match u128::try_from(i128::from(last) - i128::from(self.frame)) {
            Ok(0) if self.fraction > 0 || self.rest > 0 => return 0,
            Ok(frames) => frames,
            Err(_) => return 0,
        };
        // In parts of a unit, a step is `m * 2^(64 + places)` long.
        let units = (frames << 64) - u128::from(self.fraction);
        let steps = product_shifted(units, self.parts, self.rest, 64 + self.places);
        u64::try_from(steps / u128::from(self.ratio.m) + 1).unwrap_or(u64::MAX)
    }
}

/// `(a * b - c) / 2^shift`, rounded down, of an `a` of 128 bits and a `b` of less than 2^85, where
/// `c` is at most `a * b`, `shift` from 64 to 127 and the result less than 2^128.
fn product_shifted(a: u128, b: u128, c: u128, shift: u32) -> u128 {
    let split = |v: u128| (v >> 64, v & u128::from(u64::MAX));
    let ((a1, a0), (b1, b0)) = (split(a), split(b));
    let (middle, carried) = (a1 * b0).overflowing_add(a0 * b1);
    let (low, carry) = (a0 * b0).overflowing_add(middle << 64);
    let (low, borrow) = low.overflowing_sub(c);
    let high = a1 * b1 + (middle >> 64) + (u128::from(carried) << 64) + u128::from(carry)
        - u128::from(borrow);
    high << (128 - shift) | low >> shift
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

    /// Numbers that random ones do not hit upon: `a` times `b` just meets, or just misses, 128 bits.
    #[test]
    fn products_keep_every_carry_and_borrow() {
        let whole = 1u128 << 64;
        for (a, b, c, shift, expected) in [
            (whole, whole, 0, 64, whole),
            // 2^128 - 1: what is taken away is more than the low half has.
            (whole, whole, 1, 64, whole - 1),
            (whole, whole, whole, 64, whole - 1),
            (whole, whole, whole + 1, 64, whole - 2),
            // The two products in the middle are more than 128 bits: 2^213 - 2^128 - 2^85 + 1.
            (u128::MAX, (1 << 85) - 1, 0, 127, (1 << 86) - 3),
            // The halves carry into the high one: 2^129 - 2^65 - 2 and so on.
            (u128::MAX, 2, 0, 64, (whole - 1) << 1 | 1),
            (u128::MAX, 2, u128::MAX, 64, whole - 1),
        ] {
            let product = product_shifted(a, b, c, shift);
            assert_eq!(product, expected, "({a} * {b} - {c}) >> {shift}");
        }
    }

    #[test]
    fn a_day_of_steps_comes_back_to_a_whole_frame() {
        let mut walk = Walk::new(Ratio::new(44_100, 48_000).unwrap());
        for _ in 0..86_400 * 48 {
            walk.advance();
        }
        let frame = 86_400 * 441 / 10;
        assert_eq!(walk.position(), Position { frame, fraction: 0 });
        assert_eq!(walk.outputs_through(frame - 1), 0);
        assert_eq!(walk.outputs_through(frame), 1);
    }

    #[test]
    fn corrections_divide_the_step() {
        let mut walk = Walk::new(Ratio::new(44_100, 48_000).unwrap());
        assert!(walk.set_correction(0.91875));
        // The step that 0.91875 gives is one frame but for the rounding of 0.91875 itself.
        walk.advance();
        let off = walk
            .position()
            .fraction
            .wrapping_neg()
            .min(walk.position().fraction);
        assert!(off < 1 << 12, "{off}");
        assert!(walk.set_correction(1.05));
        assert!((walk.step.1 as f64 / 2f64.powi(64) - 0.875).abs() < 1e-15);
    }

    #[test]
    fn what_is_no_correction_changes_nothing() {
        let mut walk = Walk::new(Ratio::new(44_100, 48_000).unwrap());
        let before = walk.step;
        for bad in [
            0.0,
            -1.0,
            0.89,
            1.11,
            f64::INFINITY,
            f64::NAN,
            f64::MIN_POSITIVE,
        ] {
            assert!(!walk.set_correction(bad), "{bad}");
        }
        assert_eq!(walk.step, before);
    }
}
