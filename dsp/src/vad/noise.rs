// SPDX-License-Identifier: MIT

//! Noise floor per band: minimum statistics.
//!
//! R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum
//! statistics", IEEE Trans. Speech and Audio Processing 9(5), 2001, without its optimal smoothing.

/// Frames of one block of the minimum search.
const BLOCK: usize = 15;
/// Full blocks that are searched besides the current one.
const BLOCKS: usize = 6;
/// A minimum lies below the mean: what to multiply it with.
const BIAS: f32 = 1.4;

/// Smoothed energy and noise floor of each band.
#[derive(Clone, Debug)]
pub struct NoiseFloor<const N: usize> {
    started: bool,
    /// Smoothed energy.
    pub smooth: [f32; N],
    /// Estimated noise energy.
    pub floor: [f32; N],
    current: [f32; N],
    blocks: [[f32; N]; BLOCKS],
    /// Minimum over `blocks`.
    oldest: [f32; N],
    in_block: usize,
    next: usize,
}

impl<const N: usize> Default for NoiseFloor<N> {
    fn default() -> Self {
        Self {
            started: false,
            smooth: [0.0; N],
            floor: [0.0; N],
            current: [f32::MAX; N],
            blocks: [[f32::MAX; N]; BLOCKS],
            oldest: [f32::MAX; N],
            in_block: 0,
            next: 0,
        }
    }
}

impl<const N: usize> NoiseFloor<N> {
    /// Takes the band energies of one frame.
    #[inline(always)]
    pub fn update(&mut self, energy: &[f32; N]) {
        let keep = if self.started { 0.6 } else { 0.0 };
        self.started = true;
        for (b, e) in energy.iter().enumerate() {
            self.smooth[b] = keep * self.smooth[b] + (1.0 - keep) * e;
            self.current[b] = self.current[b].min(self.smooth[b]);
            self.floor[b] = BIAS * self.current[b].min(self.oldest[b]);
        }
        self.in_block += 1;
        if self.in_block == BLOCK {
            self.in_block = 0;
            self.blocks[self.next] = self.current;
            self.next = (self.next + 1) % BLOCKS;
            self.current = [f32::MAX; N];
            self.oldest = [f32::MAX; N];
            for block in &self.blocks {
                for (m, x) in self.oldest.iter_mut().zip(block) {
                    *m = m.min(*x);
                }
            }
        }
    }
}
