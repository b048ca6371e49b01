// SPDX-License-Identifier: MIT

//! Levels, and the detector that compares them with a fixed threshold.

use super::math::decibel;
use super::noise::NoiseFloor;
use super::segments::LevelClass;

/// Levels below this are reported as this, in dBFS.
pub const SILENCE_DB: f32 = -120.0;

/// Mean square as a level in dBFS, where a full-scale square is 0.
pub fn level_db(mean_square: f32) -> f32 {
    decibel(mean_square.max(1e-12)).max(SILENCE_DB)
}

/// How fast the loudest level is forgotten: 5 dB per second.
const LOUDEST_DECAY: f32 = 0.05;
/// Where the loudest is this far above the noise floor in dB, levels tell silence.
const CONTRAST: f32 = 20.0;
/// Silence is less than this above the noise floor, or further than `DEEP` under the loudest.
const NEAR_FLOOR: f32 = 6.0;
const DEEP: f32 = 45.0;
/// Clear of the noise is what is so far above its floor.
const WELL_ABOVE: f32 = 15.0;

/// Level and noise floor of the signal over its whole band, frame by frame.
#[derive(Clone, Debug)]
pub struct LevelMeter {
    floor: NoiseFloor<1>,
    loudest: f32,
    /// Level of the last frame, in dBFS.
    pub level: f32,
    /// Noise floor after the last frame, in dBFS.
    pub noise_floor: f32,
}

impl Default for LevelMeter {
    fn default() -> Self {
        Self {
            floor: NoiseFloor::default(),
            loudest: SILENCE_DB,
            level: SILENCE_DB,
            noise_floor: SILENCE_DB,
        }
    }
}

impl LevelMeter {
    /// Takes the mean square of one frame.
    pub fn update(&mut self, mean_square: f32) {
        // -120 dBFS more, so that nothing decays to denormals.
        self.floor.update(&[mean_square + 1e-12]);
        self.level = level_db(mean_square);
        self.noise_floor = level_db(self.floor.floor[0]);
        self.loudest = self.level.max(self.loudest - LOUDEST_DECAY);
    }

    /// What `level`, that of a frame, says by itself. Only where speech stands far above the noise
    /// does it say anything: the scores of the spectral detector look back 100 ms, which is too
    /// long to find the end of speech in a quiet room, and they hear voices better than consonants.
    pub fn classify(&self, level: f32) -> LevelClass {
        let contrast = self.loudest - self.noise_floor >= CONTRAST;
        let deep = level < self.loudest - DEEP;
        if deep || contrast && level < self.noise_floor + NEAR_FLOOR {
            LevelClass::Silent
        } else if contrast && level >= self.noise_floor + WELL_ABOVE {
            LevelClass::Clear
        } else {
            LevelClass::Open
        }
    }
}

/// Sum of squares over `samples`, those not numbers left out.
pub fn sum_squares(samples: &[f32]) -> f32 {
    // Lanes let the compiler vectorise.
    let mut lanes = [0f32; 16];
    let chunks = samples.chunks_exact(16);
    let rest: f32 = chunks
        .remainder()
        .iter()
        .map(|x| super::math::sane(*x).powi(2))
        .sum();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            let x = super::math::sane(*x);
            *lane += x * x;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
