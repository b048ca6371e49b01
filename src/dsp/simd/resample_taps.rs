//! Taps of windowed sincs, sixteen side by side.
//!
//! Products are rounded before they are added, at every level, so that tables do not depend on the
//! machine.

/// Taps side by side.
pub const LANES: usize = 16;

/// A kernel: [`fill`], compiled for some instruction set.
pub type Fill = fn(response: &Response, first: f64, taps: &mut [f64]);

/// `sin(turn * x) / x` under a window that is a polynomial.
#[derive(Clone, Debug)]
pub struct Response {
    /// Radians per input frame.
    turn: f64,
    /// Sine and cosine of `turn` times each lane.
    turns: [[f64; LANES]; 2],
    window: Window,
    /// Of the window, the lowest power first.
    series: Vec<f64>,
    fill: Fill,
}

/// What the window is a polynomial of. One of each filter: its size is of no account.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
enum Window {
    /// `1 - (x * scale)^2`.
    Parabola { scale: f64 },
    /// `cos(turn * x)`, with the sine and cosine of `turn` times each lane.
    Cosine { turn: f64, turns: [[f64; LANES]; 2] },
}

/// Sine and cosine of `turn` times each lane.
fn turns(turn: f64) -> [[f64; LANES]; 2] {
    [
        std::array::from_fn(|i| (turn * i as f64).sin()),
        std::array::from_fn(|i| (turn * i as f64).cos()),
    ]
}

impl Response {
    fn new(turn: f64, window: Window, series: Vec<f64>, fill: Fill) -> Self {
        Self {
            turn,
            turns: turns(turn),
            window,
            series,
            fill,
        }
    }

    /// Under `sum_k series[k] * (1 - (x * scale)^2)^k`.
    pub fn under_parabola(turn: f64, scale: f64, series: Vec<f64>, fill: Fill) -> Self {
        Self::new(turn, Window::Parabola { scale }, series, fill)
    }

    /// Under `sum_k series[k] * cos(window * x)^k`.
    pub fn under_cosine(turn: f64, window: f64, series: Vec<f64>, fill: Fill) -> Self {
        let of = Window::Cosine {
            turn: window,
            turns: turns(window),
        };
        Self::new(turn, of, series, fill)
    }

    /// The response at `first`, `first + 1` and so on.
    pub fn fill(&self, first: f64, taps: &mut [f64]) {
        (self.fill)(self, first, taps);
        // The one nearest the centre would be a small number over another.
        let nearest = -first.round();
        if nearest >= 0.0 && nearest < taps.len() as f64 {
            let x = first + nearest;
            let sinc = if x == 0.0 {
                self.turn
            } else {
                (self.turn * x).sin() / x
            };
            taps[nearest as usize] = sinc * self.window(x);
        }
    }

    /// The window at `x`.
    fn window(&self, x: f64) -> f64 {
        let u = match self.window {
            Window::Parabola { scale } => 1.0 - (x * scale) * (x * scale),
            Window::Cosine { turn, .. } => (turn * x).cos(),
        };
        self.series
            .iter()
            .rev()
            .fold(0.0, |sum, term| sum * u + term)
    }
}

/// All taps, those near the centre with a loss of digits; portable.
#[inline(always)]
pub fn fill(response: &Response, first: f64, taps: &mut [f64]) {
    for (block, taps) in taps.chunks_mut(LANES).enumerate() {
        let start = first + (block * LANES) as f64;
        let (sin, cos) = (response.turn * start).sin_cos();
        let [sins, coss] = &response.turns;
        let mut u = [0.0; LANES];
        match &response.window {
            Window::Parabola { scale } => {
                for (i, u) in u.iter_mut().enumerate() {
                    let w = (start + i as f64) * scale;
                    *u = 1.0 - w * w;
                }
            }
            Window::Cosine { turn, turns } => {
                let (sin, cos) = (turn * start).sin_cos();
                for i in 0..LANES {
                    u[i] = cos * turns[1][i] - sin * turns[0][i];
                }
            }
        }
        let mut window = [0.0; LANES];
        for term in response.series.iter().rev() {
            for i in 0..LANES {
                window[i] = window[i] * u[i] + term;
            }
        }
        let mut y = [0.0; LANES];
        for i in 0..LANES {
            let sine = sin * coss[i] + cos * sins[i];
            y[i] = sine / (start + i as f64) * window[i];
        }
        let len = taps.len();
        taps.copy_from_slice(&y[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_those_of_the_formula() {
        let (turn, scale) = (2.7, 1.0 / 32.0);
        let series = vec![0.5, 1.5, -0.25];
        let response = Response::under_parabola(turn, scale, series, fill);
        for first in [-31.0, -30.5, -30.75, -31.0 + 1e-9, 2.0] {
            let mut taps = vec![0.0; 64];
            response.fill(first, &mut taps);
            for (i, tap) in taps.iter().enumerate() {
                let x = first + i as f64;
                let u = 1.0 - (x * scale).powi(2);
                let sinc = if x == 0.0 { turn } else { (turn * x).sin() / x };
                let exact = sinc * (0.5 + u * (1.5 - 0.25 * u));
                assert!((tap - exact).abs() < 1e-14, "{first} {i}: {tap} {exact}");
            }
        }
    }
}
