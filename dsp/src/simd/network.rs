//! Kernels of small neural networks at each level; [`network_body`](super::network_body) says what they
//! do.

use super::network_body::generic;
pub use super::network_body::{BINS, BLOCK, FRAME, Inputs, Kernels, Outputs};
use super::{Isa, Level};

/// The kernels for weights in `f32` at `level`: those of NEON, or else the portable ones.
pub fn single(level: Level) -> Kernels<f32> {
    match level.0 {
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => plain::<true>(),
        _ => plain::<false>(),
    }
}

/// The kernels for weights in half floats at `level`; `None` where the machine does not convert
/// them by itself.
pub fn half(level: Level) -> Option<Kernels<u16>> {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } if is_x86_feature_detected!("f16c") => Some(super::network_x86::avx2()),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { .. } if is_x86_feature_detected!("f16c") => {
            Some(super::network_x86::avx512())
        }
        _ => None,
    }
}

fn plain<const FUSED: bool>() -> Kernels<f32> {
    Kernels {
        add: generic::add::<FUSED>,
        columns: generic::columns::<FUSED>,
        magnitudes: generic::magnitudes,
        gates: generic::gates::<FUSED>,
    }
}

/// A half float, which is neither infinite nor NaN, as `f32`.
pub fn from_half(h: u16) -> f32 {
    // Shifted into place, the exponent is too low by the difference of the two biases.
    let magnitude = f32::from_bits(u32::from(h & 0x7fff) << 13) * 2f32.powi(112);
    f32::from_bits(magnitude.to_bits() | u32::from(h & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustfft::num_complex::Complex32;

    fn noise(len: usize, mut seed: u32) -> Vec<f32> {
        std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(len)
        .collect()
    }

    /// Halves of about `x`: its upper bits.
    fn to_half(x: f32) -> u16 {
        let scaled = (x.abs() * 2f32.powi(-112)).to_bits() >> 13;
        (scaled | x.to_bits() >> 16 & 0x8000) as u16
    }

    #[test]
    fn halves_are_read_as_they_are_written() {
        for (half, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x7bff, 65_504.0),
        ] {
            assert_eq!(from_half(half), value);
            assert_eq!(to_half(value), half);
        }
    }

    /// All kernels at `kernels` on fixed numbers.
    fn results<W>(kernels: &Kernels<W>, w: &[W]) -> Vec<f32> {
        let mut all = Vec::new();
        for rows in [1, 64, 128] {
            let mut x = noise(rows, 5);
            x.iter_mut().step_by(3).for_each(|x| *x = 0.0);
            let mut inputs = Inputs::default();
            inputs.set(&x);
            let mut y = [0.25; BLOCK];
            (kernels.add)(w, &inputs, &mut y);
            all.extend(y);
        }
        for rows in [1, 129] {
            let (a, b) = (noise(rows, 7), noise(rows, 8));
            let mut y = [[0.5; BLOCK], [-0.5; BLOCK], [0.0; BLOCK]];
            let [y0, y1, y2] = &mut y;
            let taps = [w, &w[1..], &w[2..]];
            (kernels.columns)(taps, [&a, &b], [y0, y1, y2]);
            all.extend(y.as_flattened());
        }
        let z: Vec<f32> = noise(4 * 128, 9).iter().map(|z| 20.0 * z).collect();
        let (mut cell, mut hidden) = (noise(128, 10), vec![0.0; 128]);
        let z = std::array::from_fn(|g| &z[g * 128..][..128]);
        (kernels.gates)(z, &mut cell, &mut hidden);
        all.extend(cell);
        all.extend(hidden);
        let (re, im) = (noise(FRAME, 11), noise(FRAME, 12));
        let z = std::array::from_fn(|k| Complex32::new(re[k], im[k]));
        let mut y = [[0.0; BINS]; 2];
        (kernels.magnitudes)(&z, &mut y);
        for k in 0..BINS {
            let mirrored = z[(FRAME - k) % FRAME].conj();
            for (y, bin) in [(y[0][k], z[k] + mirrored), (y[1][k], z[k] - mirrored)] {
                assert!((y - bin.norm() / 2.0).abs() < 1e-6, "bin {k}: {y}");
            }
        }
        all.extend(y.as_flattened());
        all
    }

    #[test]
    fn every_level_gives_the_bits_of_the_plain_kernels_or_their_values() {
        let half: Vec<u16> = noise(131 * BLOCK, 3).into_iter().map(to_half).collect();
        let exact: Vec<f32> = half.iter().map(|h| from_half(*h)).collect();
        let fused = results(&plain::<true>(), &exact);
        for level in Level::available() {
            let own = results(&single(level), &exact);
            for (a, b) in own.iter().zip(&fused) {
                assert!(
                    (a - b).abs() < 2e-6 * b.abs().max(8.0),
                    "{level:?}: {a} for {b}"
                );
            }
            if let Some(kernels) = super::half(level) {
                assert_eq!(results(&kernels, &half), fused, "{level:?}");
            }
        }
    }

    #[test]
    fn the_plain_kernels_are_what_their_formulas_say() {
        let w: Vec<f32> = noise(131 * BLOCK, 3);
        let found = results(&plain::<false>(), &w);
        let mut found = found.chunks_exact(BLOCK);
        let mut check = |wanted: &dyn Fn(usize) -> f64| {
            let found = found.next().expect("a block");
            for (o, y) in found.iter().enumerate() {
                let off = (f64::from(*y) - wanted(o)).abs();
                assert!(off < 2e-6 * wanted(o).abs().max(8.0), "{o}: {y}");
            }
        };
        let sum = |shift: usize, x: &[f32], o: usize| -> f64 {
            let product = |(i, x): (usize, &f32)| f64::from(w[shift + i * BLOCK + o] * x);
            x.iter().enumerate().map(product).sum()
        };
        for rows in [1, 64, 128] {
            let mut x = noise(rows, 5);
            x.iter_mut().step_by(3).for_each(|x| *x = 0.0);
            check(&|o| 0.25 + sum(0, &x, o));
        }
        for rows in [1, 129] {
            let (a, b) = (noise(rows, 7), noise(rows, 8));
            check(&|o| 0.5 + sum(1, &a, o) + sum(2, &b, o));
            check(&|o| -0.5 + sum(0, &a, o) + sum(1, &b, o));
            check(&|o| sum(0, &b, o));
        }
        let z: Vec<f64> = noise(4 * 128, 9)
            .iter()
            .map(|z| f64::from(20.0 * z))
            .collect();
        let before = noise(128, 10);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let cell = |k: usize| {
            sigmoid(z[128 + k]) * f64::from(before[k]) + sigmoid(z[k]) * z[256 + k].tanh()
        };
        check(&|k| cell(k));
        check(&|k| cell(64 + k));
        check(&|k| sigmoid(z[384 + k]) * cell(k).tanh());
        check(&|k| sigmoid(z[448 + k]) * cell(64 + k).tanh());
    }
}
