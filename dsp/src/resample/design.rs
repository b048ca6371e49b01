// SPDX-License-Identifier: MIT

//! Filter design: what each `quality` and method means in taps, and the taps themselves, in `f64`.
//!
//! The parameters are those of GStreamer's `GstAudioResampler` (1.22), so that latency and frame
//! counts agree with `audioresample`; the taps are evaluated exactly at every phase instead of
//! being interpolated from a prototype. Kaiser's formulas: J. F. Kaiser, "Nonrecursive digital
//! filter design using the I0-sinh window function", ISCAS 1974.

use std::f64::consts::PI;

use super::ratio::Ratio;
use crate::simd::Level;
use crate::simd::resample::fill_taps;
use crate::simd::resample_taps::Response;

/// Impulse response that the filter is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// The last sample at or before the output's position.
    Nearest,
    /// Triangle over two input (when downsampling: output) frames.
    Linear,
    /// Cubic B-spline over four.
    Cubic,
    /// Sinc under a Blackman-Nuttall window.
    BlackmanNuttall,
    /// Sinc under a Kaiser window.
    #[default]
    Kaiser,
}

/// Highest `quality`.
pub const MAX_QUALITY: u8 = 10;

/// Of one quality with the Kaiser window.
struct Kaiser {
    /// Centre of the transition as a fraction of the lower Nyquist frequency.
    cutoff: f64,
    /// Factor to it when downsampling.
    down: f64,
    /// dB.
    stop_band: f64,
    /// Width of the transition in cycles per input frame.
    transition: f64,
}

const fn kaiser(cutoff: f64, down: f64, stop_band: f64, transition: f64) -> Kaiser {
    Kaiser {
        cutoff,
        down,
        stop_band,
        transition,
    }
}

const KAISER: [Kaiser; MAX_QUALITY as usize + 1] = [
    kaiser(0.860, 0.96511, 60.0, 0.7),
    kaiser(0.880, 0.96591, 65.0, 0.29),
    kaiser(0.910, 0.96923, 70.0, 0.145),
    kaiser(0.920, 0.97600, 80.0, 0.105),
    kaiser(0.940, 0.97979, 85.0, 0.087),
    kaiser(0.940, 0.98085, 95.0, 0.077),
    kaiser(0.945, 0.99471, 100.0, 0.068),
    kaiser(0.950, 1.0, 105.0, 0.055),
    kaiser(0.960, 1.0, 110.0, 0.045),
    kaiser(0.968, 1.0, 115.0, 0.039),
    kaiser(0.975, 1.0, 120.0, 0.0305),
];

/// Taps and cutoff of one quality with the Blackman-Nuttall window.
const BLACKMAN_NUTTALL: [(u64, f64); MAX_QUALITY as usize + 1] = [
    (8, 0.5),
    (16, 0.6),
    (24, 0.72),
    (32, 0.8),
    (48, 0.85),
    (64, 0.90),
    (80, 0.92),
    (96, 0.933),
    (128, 0.950),
    (148, 0.955),
    (160, 0.960),
];

/// A continuous, finite impulse response, from which the taps of every phase are taken.
#[derive(Clone, Debug)]
pub struct Prototype {
    method: Method,
    taps: u64,
    /// As a fraction of the input's Nyquist frequency.
    cutoff: f64,
    beta: f64,
}

/// What a [`Prototype`] is told apart by.
pub type PrototypeKey = (Method, u64, u64, u64);

impl Prototype {
    /// The filter of `quality` (0 to [`MAX_QUALITY`]; more counts as that) for `ratio`.
    pub fn new(method: Method, quality: u8, ratio: Ratio) -> Self {
        let quality = usize::from(quality.min(MAX_QUALITY));
        let mut beta = 0.0;
        let (mut taps, mut cutoff) = match method {
            Method::Nearest => (2, 1.0),
            Method::Linear => (2, 1.0),
            Method::Cubic => (4, 1.0),
            Method::BlackmanNuttall => BLACKMAN_NUTTALL[quality],
            Method::Kaiser => {
                let k = &KAISER[quality];
                beta = 0.1102 * (k.stop_band - 8.7);
                let order = (k.stop_band - 8.0) / (2.285 * 2.0 * PI * k.transition);
                let down = if ratio.is_down() { k.down } else { 1.0 };
                (order as u64 + 1, k.cutoff * down)
            }
        };
        if ratio.is_down() && method != Method::Nearest {
            taps = (u128::from(taps) * u128::from(ratio.m) / u128::from(ratio.l)) as u64;
            cutoff /= ratio.input_per_output();
        }
        if matches!(method, Method::Kaiser | Method::BlackmanNuttall) {
            taps = taps.next_multiple_of(8);
        }
        Self {
            method,
            taps,
            cutoff,
            beta,
        }
    }

    /// Equal for responses that are equal to the last bit.
    pub fn key(&self) -> PrototypeKey {
        (
            self.method,
            self.taps,
            self.cutoff.to_bits(),
            self.beta.to_bits(),
        )
    }

    /// Taps of one phase.
    pub fn taps(&self) -> u64 {
        self.taps
    }

    /// Input frames after an output's position that it depends on.
    pub fn latency(&self) -> u64 {
        self.taps / 2
    }

    /// Whether the response is smooth enough to be interpolated between phases.
    pub fn is_smooth(&self) -> bool {
        matches!(self.method, Method::Kaiser | Method::BlackmanNuttall)
    }

    /// What gives the taps of each phase.
    pub fn evaluator(&self) -> Evaluator {
        let n = self.taps as f64;
        let turn = PI * self.cutoff;
        let response = match self.method {
            Method::Kaiser => Some(kaiser_response(self.cutoff, self.beta, n / 2.0)),
            Method::BlackmanNuttall => {
                let [a, b, c, d] = [0.3635819, 0.4891775, 0.1365995, 0.0106411];
                // Cosines of multiples as powers of the cosine.
                let series = [a - c, b - 3.0 * d, 2.0 * c, 4.0 * d];
                let window = 2.0 * PI / n;
                Some(Response::under_cosine(
                    turn,
                    window,
                    &series,
                    fill_taps(Level::best()),
                ))
            }
            _ => None,
        };
        Evaluator {
            prototype: self.clone(),
            response,
        }
    }

    /// The response `x` input frames off its centre, but for a factor, of the simple ones.
    fn at(&self, x: f64, n: f64) -> f64 {
        match self.method {
            // The frame itself; its one neighbour is never nearer.
            Method::Nearest => {
                if x > -1.0 && x <= 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Method::Linear => ((n / 2.0).ceil() - x.abs()).max(0.0),
            Method::Cubic => {
                let a = (4.0 * x).abs() / n;
                if a <= 1.0 {
                    (4.0 + a * a * (3.0 * a - 6.0)) / 6.0
                } else if a <= 2.0 {
                    (2.0 - a).powi(3) / 6.0
                } else {
                    0.0
                }
            }
            // By their `Response`.
            Method::BlackmanNuttall | Method::Kaiser => 0.0,
        }
    }
}

/// Taps of a [`Prototype`] at any phase.
#[derive(Clone, Debug)]
pub struct Evaluator {
    prototype: Prototype,
    /// Of the smooth ones.
    response: Option<Response>,
}

impl Evaluator {
    /// Taps of one phase.
    pub fn taps(&self) -> u64 {
        self.prototype.taps
    }

    /// Whether the taps at `1 - fraction` are those at `fraction` in reverse.
    pub fn is_symmetric(&self) -> bool {
        self.prototype.is_smooth()
    }

    /// Writes the taps of the output `fraction` of an input frame after frame `p`, for the input
    /// frames from `p - taps/2 + 1` on, normalised to a gain of 1 at 0 Hz.
    pub fn phase(&self, fraction: f64, taps: &mut [f64]) {
        let n = self.prototype.taps;
        let first = 1.0 - fraction - (n / 2) as f64;
        match &self.response {
            Some(response) => response.fill(first, taps),
            None => {
                for (i, tap) in taps.iter_mut().enumerate() {
                    *tap = self.prototype.at(first + i as f64, n as f64);
                }
            }
        }
        let sum = sum(taps);
        if sum != 0.0 {
            let gain = 1.0 / sum;
            taps.iter_mut().for_each(|tap| *tap *= gain);
        }
    }
}

/// The sum of `values`, by eights.
fn sum(values: &[f64]) -> f64 {
    let (blocks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += value;
        }
    }
    sums.iter().chain(rest).sum()
}

/// A sinc of `cutoff`, a fraction of the Nyquist frequency, under a Kaiser window that reaches `half`
/// frames to either side; but for a factor. Interpolation between phases looks a little beyond its ends.
pub fn kaiser_response(cutoff: f64, beta: f64, half: f64) -> Response {
    Response::under_parabola(
        PI * cutoff,
        1.0 / half,
        &economical(bessel_series(beta)),
        fill_taps(Level::best()),
    )
}

/// The modified Bessel function of the first kind, order 0, of `x` times a root: its power series in
/// what is under the root. All terms are positive, so it converges without cancellation.
fn bessel_series(x: f64) -> Vec<f64> {
    let (mut series, mut sum, mut term, mut k) = (Vec::new(), 0.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        series.push(term);
        sum += term;
        term *= x * x / 4.0 / (k * k);
        k += 1.0;
    }
    series
}

/// The power series `series` of positive terms with fewer of them (Lanczos's economization): the highest
/// is replaced by what of its Chebyshev polynomial lies below it, as long as that moves no value from 0
/// to 1 by more than the last digit of the largest.
fn economical(mut series: Vec<f64>) -> Vec<f64> {
    let mut allowed = series.iter().sum::<f64>() * 1e-17;
    while let Some(highest) = series.len().checked_sub(1).filter(|n| *n > 0) {
        let n = highest as f64;
        // The polynomial is `2^(2n - 1) x^n` and less, and at most 1.
        let mut term = series[highest];
        let moved = term / 2f64.powf(2.0 * n - 1.0);
        if moved > allowed {
            break;
        }
        allowed -= moved;
        for k in (0..highest).rev() {
            let (k, to) = (k as f64, &mut series[k]);
            term *= -(k + 1.0) * (2.0 * k + 1.0) / (2.0 * (n - k) * (n + k));
            *to -= term;
        }
        series.pop();
    }
    series
}

/// Kaiser's window at `x` of its half width, but for a factor.
#[cfg(test)]
pub fn kaiser_window(beta: f64, x: f64) -> f64 {
    let series = bessel_series(beta);
    series
        .iter()
        .rev()
        .fold(0.0, |sum, term| sum * (1.0 - x * x) + term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_agrees_with_published_values() {
        // Abramowitz & Stegun, table 9.8 (times e^x) and 9.11.
        for (x, y) in [
            (0.0, 1.0),
            (1.0, 1.266_065_877_752_008_4),
            (5.0, 27.239_871_823_604_44),
            (12.0, 18_948.925_349_296_31),
        ] {
            let sum: f64 = bessel_series(x).iter().sum();
            assert!((sum / y - 1.0).abs() < 1e-14, "{x}");
        }
    }

    #[test]
    fn economical_series_are_the_same_with_fewer_terms() {
        for (beta, terms) in [(3.0, 12), (8.4, 16), (12.3, 18)] {
            let (long, short) = (bessel_series(beta), economical(bessel_series(beta)));
            assert!(
                short.len() <= terms && short.len() + 3 <= long.len(),
                "{}",
                short.len()
            );
            let at = |series: &[f64], u: f64| series.iter().rev().fold(0.0, |sum, t| sum * u + t);
            let largest = at(&long, 1.0);
            // Interpolation between phases looks a little beyond the ends of the window.
            for i in -20..=1000 {
                let u = f64::from(i) / 1000.0;
                let error = (at(&short, u) - at(&long, u)).abs() / largest;
                assert!(error < 1e-15, "{beta} {u}: {error}");
            }
        }
    }

    #[test]
    fn tap_counts_are_those_of_audioresample() {
        let taps = |q, i, o| Prototype::new(Method::Kaiser, q, Ratio::new(i, o).unwrap()).taps();
        let up: Vec<u64> = (0..=10).map(|q| taps(q, 44_100, 48_000)).collect();
        assert_eq!(up, [8, 16, 32, 48, 64, 80, 96, 128, 160, 192, 256]);
        // round_up_8(62 * 48 / 16), round_up_8(floor(62 * 441 / 160))
        assert_eq!(taps(4, 48_000, 16_000), 192);
        assert_eq!(taps(4, 44_100, 16_000), 176);
        assert_eq!(taps(10, 96_000, 48_000), 512);
    }

    #[test]
    fn every_phase_passes_dc() {
        let ratio = Ratio::new(48_000, 44_100).unwrap();
        for method in [
            Method::Nearest,
            Method::Linear,
            Method::Cubic,
            Method::BlackmanNuttall,
            Method::Kaiser,
        ] {
            let prototype = Prototype::new(method, 4, ratio);
            let evaluator = prototype.evaluator();
            let mut taps = vec![0.0; prototype.taps() as usize];
            for phase in 0..147 {
                evaluator.phase(f64::from(phase) / 147.0, &mut taps);
                let sum: f64 = taps.iter().sum();
                assert!((sum - 1.0).abs() < 1e-14, "{method:?} {phase}");
            }
        }
    }
}
