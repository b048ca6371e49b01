// SPDX-License-Identifier: MIT

//! What is told of what the head says: where Silero is right by itself, the head may not exceed it.

use super::leveller;

/// Log odds by which the head may exceed Silero: all of it where the sound is no further than `NOISY`
/// dB over the noise, none from `CLEAR` dB on.
const MOST_OVER: f32 = 6.0;
const NOISY: f32 = 10.0;
const CLEAR: f32 = 20.0;
/// And all of it where the mean log-likelihood ratio of the bands was `AUDIBLE` or more in one of the
/// newest `RECENT` frames, none where it was `INAUDIBLE` or less in all of them.
const INAUDIBLE: f32 = -2.0;
const AUDIBLE: f32 = 0.0;
const RECENT: usize = 8;
/// Silero's share in what is told: none up to `SHARED` dB, `MOST_SHARE` from `ALL_SHARED` dB on.
const MOST_SHARE: f32 = 0.5;
const SHARED: f32 = 25.0;
const ALL_SHARED: f32 = 40.0;

/// What a frame was like.
pub struct Frame {
    /// How many dB the tracked level lies over the noise floor.
    pub clear: f32,
    /// Mean log-likelihood ratio of speech over noise in the bands.
    pub ratio: f32,
    /// By how many dB it was raised before Silero.
    pub raised: f32,
}

/// The newest ratios, in any order.
pub struct Told {
    ratios: [f32; RECENT],
    next: usize,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            ratios: [INAUDIBLE; RECENT],
            next: 0,
        }
    }
}

impl Told {
    /// The logit that is told of a frame where the head says `logit` and Silero's greater one of the two
    /// newest windows is `silero`.
    pub fn settle(&mut self, logit: f32, silero: f32, frame: &Frame) -> f32 {
        let clear = frame.clear;
        self.remember(frame.ratio);
        let recent = self.ratios.iter().copied().fold(f32::MIN, f32::max);
        let noisy = part(CLEAR - clear, CLEAR - NOISY);
        let audible = part(recent - INAUDIBLE, AUDIBLE - INAUDIBLE);
        // What was raised as far as it may be is no surer than Silero says.
        let trusted = 1.0 - part(frame.raised, leveller::MOST);
        let share = MOST_SHARE * part(clear - SHARED, ALL_SHARED - SHARED);
        (logit + share * (silero - logit)).min(silero + MOST_OVER * noisy * audible * trusted)
    }

    /// Takes a frame of no audio, in which no band shows speech.
    pub fn pass(&mut self) {
        self.remember(INAUDIBLE);
    }

    fn remember(&mut self, ratio: f32) {
        self.ratios[self.next] = ratio;
        self.next = (self.next + 1) % RECENT;
    }
}

/// `x` as a part of `whole`, from none to all of it.
fn part(x: f32, whole: f32) -> f32 {
    (x / whole).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(clear: f32, ratio: f32, raised: f32) -> Frame {
        Frame {
            clear,
            ratio,
            raised,
        }
    }

    fn first(logit: f32, silero: f32, frame: Frame) -> f32 {
        Told::default().settle(logit, silero, &frame)
    }

    #[test]
    fn the_clearer_the_sound_the_less_the_head_may_exceed_silero() {
        // In noise by 6, from 20 dB on not at all, half way by half of it.
        assert_eq!(first(7.0, 0.0, of(10.0, 1.0, 0.0)), 6.0);
        assert_eq!(first(7.0, 0.0, of(15.0, 1.0, 0.0)), 3.0);
        assert_eq!(first(7.0, 0.0, of(40.0, 1.0, 0.0)), 0.0);
        assert_eq!(first(-1.0, 0.0, of(-5.0, 1.0, 0.0)), -1.0);
        // From 25 dB on Silero raises it, too, by half of what is between them at most.
        assert_eq!(first(-4.0, 4.0, of(25.0, 1.0, 0.0)), -4.0);
        assert_eq!(first(-4.0, 4.0, of(32.5, 1.0, 0.0)), -2.0);
        assert_eq!(first(-4.0, 4.0, of(60.0, 1.0, 0.0)), 0.0);
    }

    #[test]
    fn the_further_a_frame_was_raised_the_less_the_head_may_exceed_silero() {
        assert_eq!(first(7.0, 0.0, of(10.0, 1.0, 10.0)), 3.0);
        assert_eq!(first(7.0, 0.0, of(10.0, 1.0, 20.0)), 0.0);
    }

    #[test]
    fn where_the_bands_show_no_speech_the_head_may_not_exceed_silero() {
        assert_eq!(first(7.0, 0.0, of(10.0, -2.5, 0.0)), 0.0);
        assert_eq!(first(7.0, 0.0, of(10.0, -1.0, 0.0)), 3.0);
        // What they showed is remembered for 80 ms.
        let mut told = Told::default();
        assert_eq!(told.settle(7.0, 0.0, &of(10.0, 0.5, 0.0)), 6.0);
        for _ in 0..7 {
            assert_eq!(told.settle(7.0, 0.0, &of(10.0, -3.0, 0.0)), 6.0);
        }
        assert_eq!(told.settle(7.0, 0.0, &of(10.0, -3.0, 0.0)), 0.0);
        // Frames of no audio are time, too.
        told.settle(7.0, 0.0, &of(10.0, 0.5, 0.0));
        (0..6).for_each(|_| told.pass());
        assert_eq!(told.settle(7.0, 0.0, &of(10.0, -3.0, 0.0)), 6.0);
        told.pass();
        assert_eq!(told.settle(7.0, 0.0, &of(10.0, -3.0, 0.0)), 0.0);
    }
}
