// SPDX-License-Identifier: MIT

//! Log-likelihood ratio of speech over noise per band: two Gaussians over the level in dB, updated
//! frame by frame.
//!
//! After the model of the WebRTC detector (J. Sohn, N. S. Kim, W. Sung, "A statistical model-based
//! voice activity detection", IEEE Signal Processing Letters 6(1), 1999, for the ratio), with
//! expectation-maximisation in place of fixed steps.

use super::math::{ln, sigmoid};
use super::spectrum::MAX_BANDS;

type Bands = [f32; MAX_BANDS];

/// The two Gaussians of each band.
#[derive(Clone, Debug, Default)]
pub struct Ratio {
    frames: u32,
    noise_mean: Bands,
    noise_var: Bands,
    speech_mean: Bands,
    speech_var: Bands,
    /// Share of speech.
    weight: Bands,
    /// Ratio of the last frame, limited to +-4.
    pub output: Bands,
}

const FORGET: f32 = 0.995;
/// Frames in which the models learn faster.
const WARM_UP: u32 = 50;

impl Ratio {
    /// Takes the smoothed level `x` and the noise floor of each band, in dB.
    #[inline(always)]
    pub fn update(&mut self, x: &Bands, floor: &Bands) {
        if self.frames == 0 {
            self.noise_mean = *x;
            self.speech_mean = x.map(|x| x + 15.0);
            self.noise_var = [16.0; MAX_BANDS];
            self.speech_var = [64.0; MAX_BANDS];
            self.weight = [0.5; MAX_BANDS];
        }
        let forget = if self.frames < WARM_UP {
            FORGET.min(1.0 - 1.0 / (self.frames as f32 / 2.0 + 8.0))
        } else {
            FORGET
        };
        self.frames = self.frames.saturating_add(1);
        let learn = 1.0 - forget;
        for b in 0..MAX_BANDS {
            let (mut mn, mut ms) = (self.noise_mean[b], self.speech_mean[b]);
            let (vn, vs) = (self.noise_var[b], self.speech_var[b]);
            let (en, es) = (x[b] - mn, x[b] - ms);
            let raw_n = -en * en / (2.0 * vn) - 0.5 * ln(vn);
            let raw_s = -es * es / (2.0 * vs) - 0.5 * ln(vs);
            // Below the noise nothing is speech, above the speech nothing is noise.
            let ds = if en < 0.0 {
                raw_s.min(raw_n - 2.0)
            } else {
                raw_s
            };
            let dn = if es > 0.0 { raw_n.min(ds - 2.0) } else { raw_n };
            let l = ds - dn;
            self.output[b] = l.clamp(-4.0, 4.0);

            let w = self.weight[b];
            // Limited, or its square would be denormal far from both.
            let p = sigmoid(l.clamp(-30.0, 30.0) + ln(w / (1.0 - w)));
            let w = (forget * w + learn * p).clamp(0.1, 0.9);
            self.weight[b] = w;
            let (gn, gs) = (learn * (1.0 - p) / (1.0 - w), learn * p / w);
            mn += gn * (x[b] - mn);
            ms += gs * (x[b] - ms);
            let (en, es) = (x[b] - mn, x[b] - ms);
            self.noise_var[b] = (vn + gn * (en * en - vn)).clamp(2.0, 100.0);
            self.speech_var[b] = (vs + gs * (es * es - vs)).clamp(64.0, 150.0);
            let f = floor[b];
            if mn > f + 5.0 {
                mn += 0.05 * (f + 5.0 - mn);
            } else if mn < f - 1.5 {
                mn += 0.2 * (f - 1.5 - mn);
            }
            self.noise_mean[b] = mn;
            self.speech_mean[b] = ms.max(mn + 5.0);
        }
    }
}
