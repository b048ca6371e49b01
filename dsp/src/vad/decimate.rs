// SPDX-License-Identifier: MIT

//! From any rate to that of the plan, for the detector's ears only.
//!
//! A polyphase windowed sinc. Its transition band is wide and its stopband only 60 dB down: nothing
//! of it is heard, and the detector looks at no more than 7.6 kHz.

use std::sync::Arc;

use super::spectrum::Plan;
use crate::shared::Shared;

/// Zero crossings of the sinc on each side.
const CROSSINGS: f64 = 8.0;
const KAISER_BETA: f64 = 6.0;
/// Most filters in the table: rates in odd ratios take the nearest.
const MAX_PHASES: u64 = 256;

/// Gives one hop at the rate of the plan for each frame of input.
pub struct Decimator {
    from: u64,
    to: u64,
    phases: u64,
    taps: usize,
    /// A row of `taps` for each phase, the same for all of one ratio.
    table: Arc<Vec<f32>>,
    /// The last samples; `history[0]` is sample `first` of the input.
    history: Vec<f32>,
    first: i64,
    produced: u64,
    hop: usize,
}

impl Decimator {
    /// From `rate` Hz to that of `plan`; `None` if they are the same.
    pub fn new(rate: u32, plan: Plan) -> Option<Self> {
        if rate == plan.rate() {
            return None;
        }
        let (from, to) = (u64::from(rate), u64::from(plan.rate()));
        let exact = to / gcd(from, to);
        let phases = exact.min(MAX_PHASES);
        // Cut where both rates still have something, in cycles per input sample.
        let cutoff = 0.465 * (to as f64 / from as f64).min(1.0);
        let half = (CROSSINGS / (2.0 * cutoff)).ceil();
        let taps = (2.0 * half) as usize;
        // Whole blocks of eight for the dot product.
        let taps = taps.next_multiple_of(8);
        let centre = taps as f64 / 2.0;
        static TABLES: Shared<(u64, u64), Vec<f32>> = Shared::new();
        let table = TABLES.get_always((from, to), || {
            let mut table = Vec::with_capacity(phases as usize * taps);
            for phase in 0..phases {
                let offset = phase as f64 / phases as f64;
                let row = (0..taps).map(|i| {
                    let x = i as f64 + 1.0 - centre - offset;
                    let w = kaiser(x / (half + 1.0));
                    2.0 * cutoff * sinc(2.0 * cutoff * x) * w
                });
                let row: Vec<f64> = row.collect();
                let sum: f64 = row.iter().sum();
                table.extend(row.iter().map(|c| (c / sum) as f32));
            }
            table
        });
        let mut decimator = Self {
            from,
            to,
            phases,
            taps,
            table,
            // What a hop leaves, and the longest frame.
            history: Vec::with_capacity(
                taps + 2 + rate as usize / 100 + 1 + from.div_ceil(to) as usize,
            ),
            first: 0,
            produced: 0,
            hop: plan.hop(),
        };
        decimator.reset();
        Some(decimator)
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.history.clear();
        self.history.resize(self.taps + 2, 0.0);
        self.first = -(self.history.len() as i64);
        self.produced = 0;
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        (self.table.len() + self.history.capacity()) * 4
    }

    /// Takes the samples of one frame and gives the hop of output that it completes. The output is
    /// late by half the filter, which is below 1 ms.
    pub fn run(&mut self, frame: &[f32], out: &mut [f32]) {
        debug_assert_eq!(out.len(), self.hop);
        self.history.extend_from_slice(frame);
        for y in out.iter_mut() {
            let at = u128::from(self.produced) * u128::from(self.from);
            let whole = (at / u128::from(self.to)) as i64;
            let part = (at % u128::from(self.to)) as u64;
            let phase = (part * self.phases / self.to) as usize;
            // The newest sample of the filter: two early, so that rounding of frame lengths never
            // asks for a sample that is yet to come.
            let start = whole - 1 - self.taps as i64 - self.first;
            let start = usize::try_from(start).unwrap_or(0);
            let row = &self.table[phase * self.taps..][..self.taps];
            *y = self
                .history
                .get(start..start + self.taps)
                .map_or(0.0, |x| dot(x, row));
            self.produced += 1;
        }
        // Keep what the next output needs.
        let next = u128::from(self.produced) * u128::from(self.from) / u128::from(self.to);
        let keep_from = next as i64 - 1 - self.taps as i64;
        let drop = usize::try_from(keep_from - self.first).unwrap_or(0);
        let drop = drop.min(self.history.len());
        self.history.copy_within(drop.., 0);
        self.history.truncate(self.history.len() - drop);
        self.first += drop as i64;
    }
}

fn dot(x: &[f32], c: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    for (x, c) in x.chunks_exact(8).zip(c.chunks_exact(8)) {
        for ((lane, x), c) in lanes.iter_mut().zip(x).zip(c) {
            *lane += x * c;
        }
    }
    lanes.iter().sum()
}

fn sinc(x: f64) -> f64 {
    let x = std::f64::consts::PI * x;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

/// Kaiser window over [-1, 1].
fn kaiser(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return 0.0;
    }
    bessel_i0(KAISER_BETA * (1.0 - x * x).sqrt()) / bessel_i0(KAISER_BETA)
}

fn bessel_i0(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
