// SPDX-License-Identifier: MIT

//! How long tones stay where they are: music holds its partials, a voice moves them.

/// Bins that are compared: 94 Hz to 4 kHz.
const FIRST: usize = 3;
const END: usize = 128;
const WIDTH: usize = END - FIRST;
/// Bins on each side that a bin is compared with.
const AROUND: usize = 5;
/// Frames between the two spectra: their windows do not overlap, so noise does not resemble itself.
const APART: usize = 8;
/// Sums that run side by side, so that the compiler vectorises; divides `WIDTH`.
const LANES: usize = 25;

/// Resemblance of the fine structure of the spectrum to that of 80 ms before.
pub struct Tonal {
    rows: [[f32; WIDTH]; APART],
    /// Sum of squares of each row.
    squares: [f32; APART],
    next: usize,
}

impl Default for Tonal {
    fn default() -> Self {
        Self {
            rows: [[0.0; WIDTH]; APART],
            squares: [0.0; APART],
            next: 0,
        }
    }
}

impl Tonal {
    /// Correlation of this frame's spectrum, of which this is the power, with that of 80 ms before, -1 to 1.
    #[inline(always)]
    pub fn update(&mut self, power: &[f32]) -> f32 {
        let mut amplitude = [0f32; END];
        for (a, p) in amplitude.iter_mut().zip(power) {
            *a = p.sqrt();
        }
        let (mut sum, mut sums) = (0.0, [0f32; END + 1]);
        for (s, a) in sums[1..].iter_mut().zip(&amplitude) {
            sum += a;
            *s = sum;
        }
        // Each bin over the mean around it: peaks and valleys without level or envelope.
        let mut fine = [0f32; WIDTH];
        for (i, f) in fine.iter_mut().enumerate() {
            let bin = i + FIRST;
            let (low, high) = (
                bin.saturating_sub(AROUND).max(1),
                (bin + AROUND + 1).min(END),
            );
            let mean = (sums[high] - sums[low]) / (high - low) as f32;
            *f = (amplitude[bin] / (mean + 1e-9)).min(3.0) - 1.0;
        }
        let before = &mut self.rows[self.next];
        let product = dot(&fine, before);
        let square = dot(&fine, &fine);
        let norm = ((square + 1e-6) * (self.squares[self.next] + 1e-6)).sqrt();
        *before = fine;
        self.squares[self.next] = square;
        self.next = (self.next + 1) % APART;
        product / norm
    }
}

fn dot(a: &[f32; WIDTH], b: &[f32; WIDTH]) -> f32 {
    let mut lanes = [0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}
