// SPDX-License-Identifier: MIT

//! An independent quality meter: sines in, least-squares sines out.
//!
//! Nothing of the converters is used but their input and output. A tone of known frequency is
//! fitted to the output (sine, cosine and constant); what the fit leaves is noise and distortion.

use std::f64::consts::PI;

use super::{Converter, chunk, room};

/// What was measured of one converter.
#[derive(Clone, Debug, Default)]
pub struct Quality {
    /// Frequency in % of the lower Nyquist frequency, gain in dB: the pass band.
    pub gain: Vec<(f64, f64)>,
    /// Frequency in % of the lower Nyquist frequency, level of all that comes out in dB against
    /// the tone that went in: tones that must not come out (downsampling), or the images of those
    /// that must (upsampling).
    pub alias: Vec<(f64, f64)>,
    /// The same next to the lower Nyquist frequency, from 100 to 110 %.
    pub near: Vec<(f64, f64)>,
    /// Frequency in %, signal to residual in dB.
    pub snr: Vec<(f64, f64)>,
}

impl Quality {
    /// Lowest frequency whose gain is off by more than 1 dB, in % of the lower Nyquist frequency, to a tenth.
    pub fn edge(&self) -> f64 {
        self.gain
            .iter()
            .find(|(_, gain)| gain.abs() > 1.0)
            .map_or(100.0, |(f, _)| *f)
    }

    /// Worst signal-to-residual ratio up to 80 %, in dB.
    pub fn worst_snr(&self) -> f64 {
        let within = self.snr.iter().filter(|(f, _)| *f <= 80.0);
        within.map(|(_, snr)| *snr).fold(f64::INFINITY, f64::min)
    }

    /// Worst alias of a tone from 100.2 to 110 %, or worst image of one from 91 to 99 %, in dB.
    pub fn worst_near(&self) -> f64 {
        worst(&self.near)
    }

    /// Worst alias of a tone from 110 % up, or worst image of one up to 90 %, in dB.
    pub fn worst_alias(&self) -> f64 {
        worst(&self.alias)
    }
}

fn worst(levels: &[(f64, f64)]) -> f64 {
    let levels = levels.iter().map(|(_, level)| *level);
    levels.fold(f64::NEG_INFINITY, f64::max)
}

/// Pass band to -1 dB in % of the lower Nyquist frequency, worst SNR up to 80 %, worst alias or image from
/// 110 % up and next to 100 %, all in dB, and `delay` in ms.
pub fn cell(quality: &Quality, delay: f64) -> String {
    let level = |level: f64| match level.is_finite() {
        true => format!("{level:.0}"),
        false => "none".into(),
    };
    format!(
        "{:.1} / {:.0} / {} / {} / {delay:.1}",
        quality.edge(),
        quality.worst_snr(),
        level(quality.worst_alias()),
        level(quality.worst_near()),
    )
}

/// Least-squares fit of `a sin + b cos + c` at `w` radians a sample: amplitude and the root mean
/// square of the residual.
pub fn fit(samples: &[f32], w: f64) -> (f64, f64) {
    // Normal equations of three unknowns.
    let mut m = [[0.0; 4]; 3];
    let basis = |n: usize| {
        let (sin, cos) = (w * n as f64).sin_cos();
        [sin, cos, 1.0]
    };
    for (n, y) in samples.iter().enumerate() {
        let b = basis(n);
        for i in 0..3 {
            for j in 0..3 {
                m[i][j] += b[i] * b[j];
            }
            m[i][3] += b[i] * f64::from(*y);
        }
    }
    for i in 0..3 {
        let pivot = (i..3)
            .max_by(|a, b| m[*a][i].abs().total_cmp(&m[*b][i].abs()))
            .unwrap();
        m.swap(i, pivot);
        for k in 0..3 {
            if k != i {
                let factor = m[k][i] / m[i][i];
                let row = m[i];
                for (to, from) in m[k].iter_mut().zip(&row).skip(i) {
                    *to -= factor * from;
                }
            }
        }
    }
    let x = [m[0][3] / m[0][0], m[1][3] / m[1][1], m[2][3] / m[2][2]];
    let residual: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, y)| {
            let b = basis(n);
            (f64::from(*y) - x[0] * b[0] - x[1] * b[1] - x[2] * b[2]).powi(2)
        })
        .sum();
    (x[0].hypot(x[1]), (residual / samples.len() as f64).sqrt())
}

fn rms(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|v| f64::from(*v).powi(2)).sum();
    (sum / samples.len() as f64).sqrt()
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-12).log10()
}

/// Amplitude of the test tones.
const LEVEL: f64 = 0.8;

/// The steady middle of what `converter` makes of a tone at `hz`.
fn tone(converter: &mut dyn Converter, rates: (u32, u32), hz: f64) -> Vec<f32> {
    // Long enough for the longest filter and block to pass, and for what is kept.
    let frames = (rates.0 / 2) as usize;
    let input: Vec<f32> = (0..frames)
        .map(|n| (LEVEL * (2.0 * PI * hz * n as f64 / f64::from(rates.0)).sin()) as f32)
        .collect();
    let (mut output, mut buffer) = (Vec::new(), vec![0.0; room(1)]);
    for part in input.chunks(chunk(rates.0)) {
        let made = converter.process(part, &mut buffer);
        output.extend_from_slice(&buffer[..made]);
    }
    let keep = (rates.1 / 10) as usize;
    let end = output.len() - (rates.1 as usize / 20).min(output.len() / 4);
    output[end - keep..end].to_vec()
}

/// Measures mono converters that `make` makes.
pub fn measure(rates: (u32, u32), make: &mut dyn FnMut() -> Box<dyn Converter>) -> Quality {
    let nyquist = f64::from(rates.0.min(rates.1)) / 2.0;
    let mut quality = Quality::default();
    // Off the grid, so that no tone repeats within the fit.
    let hz_of = |percent: f64| nyquist * percent / 100.0 + 0.137;
    let mut pass = |percent: f64| {
        let hz = hz_of(percent);
        let output = tone(&mut *make(), rates, hz);
        let (amplitude, residual) = fit(&output, 2.0 * PI * hz / f64::from(rates.1));
        (db(amplitude / LEVEL), residual)
    };
    for percent in 1..=99 {
        let percent = f64::from(percent);
        let (gain, residual) = pass(percent);
        quality.gain.push((percent, gain));
        let ratio = residual * std::f64::consts::SQRT_2 / LEVEL;
        quality.snr.push((percent, -db(ratio)));
        if rates.1 > rates.0 {
            let images = match percent <= 90.0 {
                true => &mut quality.alias,
                false => &mut quality.near,
            };
            images.push((200.0 - percent, db(ratio)));
        }
    }
    // The edge to a tenth of a percent.
    let edge = quality.edge();
    let last = (1..10).map(|tenths| edge - 1.0 + f64::from(tenths) / 10.0);
    let fine: Vec<_> = last.map(|percent| (percent, pass(percent).0)).collect();
    quality.gain.extend(fine);
    quality.gain.sort_by(|a, b| a.0.total_cmp(&b.0));
    if rates.0 > rates.1 {
        let top = (f64::from(rates.0) / 2.0 - 1.0) / nyquist * 100.0;
        let mut level = |percent: f64| {
            let output = tone(&mut *make(), rates, hz_of(percent));
            (percent, db(rms(&output) * std::f64::consts::SQRT_2 / LEVEL))
        };
        let steps = 48;
        let far =
            (0..=steps).map(|i| 110.0 + (top - 110.0).max(0.0) * f64::from(i) / f64::from(steps));
        quality.alias = far.filter(|p| *p < top).map(&mut level).collect();
        let near = (0..20).map(|i| 100.2 + 0.5 * f64::from(i));
        quality.near = near.filter(|p| *p < top).map(&mut level).collect();
    }
    quality
}
