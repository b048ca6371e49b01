// SPDX-License-Identifier: MIT

//! A sound that is speech to a detector.

/// Gliding harmonics under two formants, swelling every 0.3 s in the second half of every 2 s, over
/// faint noise.
pub fn voice(rate: u32, seconds: u32) -> Vec<f32> {
    let (mut phase, mut seed) = (0f32, 1u32);
    (0..rate * seconds)
        .map(|i| {
            let t = i as f32 / rate as f32;
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let turn = |hz: f32, t: f32| (std::f32::consts::TAU * hz * t).sin();
            let hz = 140.0 + 30.0 * turn(1.7, t);
            phase = (phase + hz / rate as f32).fract();
            let place = t % 2.0 - 1.0;
            let swell = if place < 0.0 {
                0.0
            } else {
                0.6 + 0.4 * turn(1.0 / 0.3, place)
            };
            let tone: f32 = (1..24)
                .map(|h| {
                    let f = hz * h as f32;
                    let formant = |c: f32, w: f32| (-((f - c) / w).powi(2)).exp();
                    let gain = formant(500.0, 250.0) + 0.5 * formant(1500.0, 400.0) + 0.02;
                    gain * turn(1.0, phase * h as f32)
                })
                .sum();
            0.2 * swell * tone + 0.0005 * noise
        })
        .collect()
}
