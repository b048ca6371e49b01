// SPDX-License-Identifier: MIT

//! Taps of windowed sincs, sixteen side by side.
//!
//! Products are rounded before they are added, at every level, so that tables do not depend on the
//! machine.
#![allow(unsafe_code)]

use super::resample_pass::POINTS;
use super::vector::Set;

/// Taps side by side.
const LANES: usize = 16;
/// Blocks of taps after which an angle is taken anew; within them it is turned on.
const BLOCKS: usize = 4;

/// All taps of a response, those near the centre with a loss of digits.
pub type Fill = fn(response: &Response, first: f64, taps: &mut [f64]);

/// `taps[i] = sum_r weights[r] * rows[r][i]`, of rows that are no shorter.
pub type Blend = fn(rows: [&[f64]; POINTS], weights: &[f64; POINTS], taps: &mut [f64]);

/// [`Fill`], compiled for `S`. Only for machines that have it.
pub fn filling<S: Set>() -> Fill {
    // SAFETY: chosen only where the machine has the set.
    |response, first, taps| unsafe {
        S::run(
            #[inline(always)]
            move || fill(response, first, taps),
        )
    }
}

/// [`Blend`], compiled for `S`. Only for machines that have it.
pub fn blending<S: Set>() -> Blend {
    // SAFETY: chosen only where the machine has the set.
    |rows, weights, taps| unsafe {
        S::run(
            #[inline(always)]
            move || blend(rows, weights, taps),
        )
    }
}

/// [`Blend`].
#[inline(always)]
fn blend(rows: [&[f64]; POINTS], weights: &[f64; POINTS], taps: &mut [f64]) {
    let [a, b, c, d, e, f] = rows.map(|row| &row[..taps.len()]);
    let w = weights;
    // In three sums, none of which waits for another.
    for (i, tap) in taps.iter_mut().enumerate() {
        *tap =
            (a[i] * w[0] + f[i] * w[5]) + (b[i] * w[1] + e[i] * w[4]) + (c[i] * w[2] + d[i] * w[3]);
    }
}

/// `sin(turn * x) / x` under a window that is a polynomial.
#[derive(Clone, Debug)]
pub struct Response {
    /// Per input frame.
    turn: Turn,
    window: Window,
    /// Of the window, the lowest power first: even powers beside the odd ones after them.
    series: Vec<[f64; 2]>,
    fill: Fill,
}

/// What the window is a polynomial of.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // One of each filter: its size is of no account.
enum Window {
    /// `1 - (x * scale)^2`.
    Parabola { scale: f64 },
    /// `cos(turn * x)`.
    Cosine(Turn),
}

/// The sine and the cosine of an angle.
type SinCos = (f64, f64);

/// An angle, with what sines and cosines of its multiples are made from.
#[derive(Clone, Debug)]
struct Turn {
    /// Radians.
    angle: f64,
    /// Sines of 0, 1 and so on times the angle.
    sines: [f64; LANES],
    cosines: [f64; LANES],
    /// Of `LANES` times the angle.
    block: SinCos,
}

impl Turn {
    fn new(angle: f64) -> Self {
        Self {
            angle,
            sines: std::array::from_fn(|i| (angle * i as f64).sin()),
            cosines: std::array::from_fn(|i| (angle * i as f64).cos()),
            block: (angle * LANES as f64).sin_cos(),
        }
    }

    #[inline(always)]
    fn at(&self, x: f64) -> SinCos {
        (self.angle * x).sin_cos()
    }

    /// A block after `from`.
    #[inline(always)]
    fn next(&self, (sin, cos): SinCos) -> SinCos {
        let (s, c) = self.block;
        (sin * c + cos * s, cos * c - sin * s)
    }
}

impl Response {
    fn new(turn: f64, window: Window, series: &[f64], fill: Fill) -> Self {
        let pair = |terms: &[f64]| [terms[0], terms.get(1).copied().unwrap_or(0.0)];
        Self {
            turn: Turn::new(turn),
            window,
            series: series.chunks(2).map(pair).collect(),
            fill,
        }
    }

    /// Under `sum_k series[k] * (1 - (x * scale)^2)^k`.
    pub fn under_parabola(turn: f64, scale: f64, series: &[f64], fill: Fill) -> Self {
        Self::new(turn, Window::Parabola { scale }, series, fill)
    }

    /// Under `sum_k series[k] * cos(window * x)^k`.
    pub fn under_cosine(turn: f64, window: f64, series: &[f64], fill: Fill) -> Self {
        Self::new(turn, Window::Cosine(Turn::new(window)), series, fill)
    }

    /// The response at `first`, `first + 1` and so on.
    pub fn fill(&self, first: f64, taps: &mut [f64]) {
        (self.fill)(self, first, taps);
        // The one nearest the centre would be a small number over another.
        let nearest = -first.round();
        if nearest >= 0.0 && nearest < taps.len() as f64 {
            let x = first + nearest;
            let turn = self.turn.angle;
            let sinc = if x == 0.0 { turn } else { (turn * x).sin() / x };
            taps[nearest as usize] = sinc * self.window(x);
        }
    }

    /// The window at `x`.
    fn window(&self, x: f64) -> f64 {
        let u = match &self.window {
            Window::Parabola { scale } => 1.0 - (x * scale) * (x * scale),
            Window::Cosine(turn) => turn.at(x).1,
        };
        let (mut even, mut odd) = (0.0, 0.0);
        for terms in self.series.iter().rev() {
            even = even * (u * u) + terms[0];
            odd = odd * (u * u) + terms[1];
        }
        even + odd * u
    }
}

/// [`Fill`].
#[inline(always)]
fn fill(response: &Response, first: f64, taps: &mut [f64]) {
    let mut start = first;
    for taps in taps.chunks_mut(BLOCKS * LANES) {
        let mut sinc = response.turn.at(start);
        let mut window = match &response.window {
            Window::Parabola { .. } => (0.0, 0.0),
            Window::Cosine(turn) => turn.at(start),
        };
        let (blocks, rest) = taps.as_chunks_mut::<LANES>();
        for taps in blocks {
            fill_block(response, start, sinc, window, taps);
            start += LANES as f64;
            sinc = response.turn.next(sinc);
            if let Window::Cosine(turn) = &response.window {
                window = turn.next(window);
            }
        }
        if !rest.is_empty() {
            let mut last = [0.0; LANES];
            fill_block(response, start, sinc, window, &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// The taps from `start` on, where `sinc` is of the sinc's angle, and `window` of the window's.
///
/// Plain loops: closures would not be compiled for the caller's instruction set.
#[inline(always)]
fn fill_block(
    response: &Response,
    start: f64,
    sinc: SinCos,
    window: SinCos,
    taps: &mut [f64; LANES],
) {
    let mut u = [0.0; LANES];
    match &response.window {
        Window::Parabola { scale } => {
            for (i, u) in u.iter_mut().enumerate() {
                let w = (start + i as f64) * scale;
                *u = 1.0 - w * w;
            }
        }
        Window::Cosine(turn) => {
            for (i, u) in u.iter_mut().enumerate() {
                *u = window.1 * turn.cosines[i] - window.0 * turn.sines[i];
            }
        }
    }
    let mut square = [0.0; LANES];
    for i in 0..LANES {
        square[i] = u[i] * u[i];
    }
    // Two sums, as neither has to wait for the other.
    let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
    for terms in response.series.iter().rev() {
        for i in 0..LANES {
            even[i] = even[i] * square[i] + terms[0];
            odd[i] = odd[i] * square[i] + terms[1];
        }
    }
    let turn = &response.turn;
    for i in 0..LANES {
        let sine = sinc.0 * turn.cosines[i] + sinc.1 * turn.sines[i];
        taps[i] = sine / (start + i as f64) * (even[i] + odd[i] * u[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where an angle is taken anew, and in the last, short block.
    #[test]
    fn taps_are_those_of_the_formula() {
        let (turn, scale, angle) = (2.7, 1.0 / 76.0, 0.04);
        let series = [0.5, 1.5, -0.25];
        let responses = [
            Response::under_parabola(turn, scale, &series, fill),
            Response::under_cosine(turn, angle, &series, fill),
        ];
        for first in [-75.0, -74.5, -74.75, -75.0 + 1e-9, -0.25, 2.0] {
            for (kind, response) in responses.iter().enumerate() {
                let mut taps = vec![0.0; 151];
                response.fill(first, &mut taps);
                for (i, tap) in taps.iter().enumerate() {
                    let x = first + i as f64;
                    let u = [1.0 - (x * scale).powi(2), (angle * x).cos()][kind];
                    let sinc = if x == 0.0 { turn } else { (turn * x).sin() / x };
                    let exact = sinc * (0.5 + u * (1.5 - 0.25 * u));
                    let error = (tap - exact).abs();
                    assert!(error < 1e-14, "{kind} {first} {i}: {tap} {exact}");
                }
            }
        }
    }
}
