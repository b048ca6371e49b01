// SPDX-License-Identifier: MIT

//! Brings quiet speech up to where Silero's network hears it best, and takes offsets away.

use crate::vad::math::exp;

/// Speech whose tracked level is below this, in the dB of [`Heard`](super::front::Heard), is
/// brought up to it, and by so many dB at most: further, a silent room becomes noise.
const TARGET: f32 = -46.0;
pub const MOST: f32 = 20.0;
/// No frame is raised further than this over the target: what comes suddenly is not amplified as
/// what was before it.
const HEADROOM: f32 = 12.0;
/// Where Silero's logit has not exceeded `SIGN` within so many frames, nothing is raised: what is quiet there
/// is a room, and raised it would be noise to Silero's memory, which then hears late who talks.
const SIGN: f32 = -3.0;
const PATIENCE: u32 = 300;
/// Share of the past in the mean that is subtracted.
const KEEP: f32 = 0.95;
/// An offset below this is none.
const NO_OFFSET: f32 = 1e-9;
/// A mean so far from the offset is followed at once: samples beyond full scale came or went.
const JUMP: f32 = 1.0;

/// Gain and offset move along straight lines from frame to frame.
#[derive(Default)]
pub struct Leveller {
    offset: f32,
    /// Of the last frame, as a factor; 0 before the first.
    gain: f32,
    /// Frames since Silero's logit exceeded `SIGN`, or since the start.
    since: u32,
}

impl Leveller {
    /// Changes `frame` in place, whose level and tracked level are these; by how many dB it is raised
    /// at its end, 0 to `MOST`.
    #[inline(always)]
    pub fn run(&mut self, frame: &mut [f32], level: f32, tracked: f32) -> f32 {
        let samples = frame.len().max(1) as f32;
        let db = (TARGET - tracked).min(TARGET + HEADROOM - level);
        let most = if self.since <= PATIENCE { MOST } else { 0.0 };
        let db = db.clamp(0.0, most);
        self.since = self.since.saturating_add(1);
        let gain = exp(db * (std::f32::consts::LN_10 / 20.0));
        let from = if self.gain == 0.0 { gain } else { self.gain };
        let mean = sum(frame) / samples;
        let keep = if (mean - self.offset).abs() > JUMP {
            0.0
        } else {
            KEEP
        };
        let offset = keep * self.offset + (1.0 - keep) * mean;
        let offset = if offset.abs() < NO_OFFSET {
            0.0
        } else {
            offset
        };
        let (up, shift) = ((gain - from) / samples, (offset - self.offset) / samples);
        for (i, x) in (1i32..).zip(frame) {
            let at = i as f32;
            *x = (*x - (self.offset + shift * at)) * (from + up * at);
        }
        (self.gain, self.offset) = (gain, offset);
        db
    }

    /// Takes up what Silero said of a window.
    pub fn heard(&mut self, logit: f32) {
        if logit > SIGN {
            self.since = 0;
        }
    }

    /// Writes what `from` is at the gain and the offset of the last frame.
    #[inline(always)]
    pub fn again(&self, from: &[f32], to: &mut [f32]) {
        for (y, x) in to.iter_mut().zip(from) {
            *y = (x - self.offset) * self.gain;
        }
    }
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_speech_comes_up_to_the_target_and_loud_speech_stays_as_it_is() {
        let mut leveller = Leveller::default();
        let tone: Vec<f32> = (0..160).map(|i| [0.001, -0.001][i % 2]).collect();
        for (tracked, gain) in [(-62.0, 16.0), (-46.0, 0.0), (-20.0, 0.0), (-100.0, 20.0)] {
            let mut frame = tone.clone();
            assert_eq!(leveller.run(&mut frame, tracked, tracked), gain);
            // The gain is reached at the end of the frame.
            let found = 20.0 * (frame[159].abs() / 0.001).log10();
            assert!((found - gain).abs() < 0.01, "{tracked}: {found}");
        }
    }

    #[test]
    fn what_silero_shows_no_sign_of_speech_in_is_not_raised_after_three_seconds() {
        let mut leveller = Leveller::default();
        let mut raised = |heard: f32, frames: u32| {
            leveller.heard(heard);
            (0..frames)
                .map(|_| leveller.run(&mut [0.0; 160], -80.0, -80.0))
                .collect::<Vec<_>>()
        };
        // At the start there may be speech.
        assert_eq!(raised(-9.0, 301), [20.0; 301]);
        assert_eq!(raised(-3.0, 100), [0.0; 100]);
        assert_eq!(raised(-2.9, 301), [20.0; 301]);
        assert_eq!(raised(-9.0, 1), [0.0]);
    }

    #[test]
    fn what_is_heard_again_is_at_the_last_gain_all_along() {
        let mut leveller = Leveller::default();
        for tracked in [-70.0, -56.0] {
            leveller.run(&mut [0.0; 160], tracked, tracked);
        }
        let mut again = [0.0; 4];
        leveller.again(&[0.5, -0.5, 0.0, 1.0], &mut again);
        let gain = 10f32.sqrt();
        for (found, x) in again.iter().zip([0.5, -0.5, 0.0, 1.0]) {
            assert!((found - gain * x).abs() < 1e-4, "{again:?}");
        }
    }

    #[test]
    fn what_comes_suddenly_is_not_raised() {
        let mut leveller = Leveller::default();
        let mut frame = [0.5; 160];
        leveller.run(&mut frame, -80.0, -80.0);
        let mut frame: Vec<f32> = (0..160).map(|i| [0.5, -0.5][i % 2]).collect();
        leveller.run(&mut frame, -20.0, -80.0);
        assert!((frame[159].abs() - 0.5).abs() < 0.1, "{}", frame[159]);
    }

    #[test]
    fn an_offset_fades_within_a_second() {
        let mut leveller = Leveller::default();
        let mut last = 1.0;
        for _ in 0..100 {
            let mut frame = [0.25; 160];
            leveller.run(&mut frame, -20.0, -20.0);
            last = frame[159];
        }
        assert!(last.abs() < 0.002, "{last}");
        // One beyond full scale goes at once.
        for offset in [-16.0, 0.0] {
            let mut frame = [offset; 160];
            leveller.run(&mut frame, -20.0, -20.0);
            assert!(frame[159].abs() < 1e-4, "{offset}: {}", frame[159]);
        }
    }
}
