// SPDX-License-Identifier: MIT

//! Kernels of small neural networks at each level; [`network_body`](super::network_body) says what they
//! do.

pub use super::network_body::{
    BINS, BLOCK, COLUMNS, FRAME, Inputs, Kernels, PAIRS, greatest, words_of,
};
use super::{Isa, Level};

/// The kernels at `level`.
pub fn kernels(level: Level) -> Kernels {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        Isa::Portable => super::network_x86::sse2(),
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Portable => plain::<false>(),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => plain::<true>(),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { vnni: true } => super::network_x86::avx512(),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 { .. } | Isa::Avx512 { .. } => super::network_x86::avx2(),
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn plain<const FUSED: bool>() -> Kernels {
    use super::network_body::{generic, plain};
    Kernels {
        add: plain::add,
        columns: plain::columns,
        magnitudes: generic::magnitudes,
        gates: generic::gates::<FUSED>,
    }
}

/// Adds to `y` what `sums` stand for: `unit`, of inputs, times the weight of each output.
#[inline(always)]
pub fn add_sums(sums: &[i32], unit: f32, scales: &[f32], y: &mut [f32]) {
    for ((y, sum), scale) in y.iter_mut().zip(sums).zip(scales) {
        *y += *sum as f32 * (unit * scale);
    }
}

#[cfg(test)]
mod tests {
    use super::super::network_body::Pair;
    use super::*;
    use rustfft::num_complex::Complex32;

    fn random(mut seed: u32) -> impl FnMut() -> u32 {
        move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        }
    }

    fn noise(len: usize, seed: u32) -> Vec<f32> {
        let mut random = random(seed);
        std::iter::repeat_with(|| random() as f32 / (1 << 23) as f32 - 1.0)
            .take(len)
            .collect()
    }

    /// Words of every size, the greatest among them; none is -32768.
    fn words(len: usize, seed: u32) -> Vec<i16> {
        let mut random = random(seed);
        let word = |x: u32| (x % 65_535) as i32 - 32_767;
        std::iter::repeat_with(|| word(random()) as i16)
            .take(len)
            .collect()
    }

    fn halves(pair: Pair) -> [i64; 2] {
        [i64::from(pair as i16), i64::from(pair >> 16)]
    }

    /// Output `o` of a block against pairs, in 32 bits that wrap.
    fn sum(w: &[i16], x: &[Pair], o: usize) -> i32 {
        let product = |(i, x): (usize, &Pair)| {
            let [a, b] = halves(*x);
            let w = &w[(i * BLOCK + o) * 2..];
            i64::from(w[0]) * a + i64::from(w[1]) * b
        };
        x.iter().enumerate().map(product).sum::<i64>() as i32
    }

    fn pairs(len: usize, seed: u32) -> Vec<Pair> {
        let words = words(2 * len, seed);
        let pair = |[a, b]: &[i16; 2]| i32::from(*a) & 0xffff | i32::from(*b) << 16;
        words.as_chunks().0.iter().map(pair).collect()
    }

    fn all() -> Vec<(String, Kernels)> {
        let mut all = vec![("plain".to_owned(), plain::<false>())];
        all.extend(
            Level::available()
                .iter()
                .map(|level| (format!("{level:?}"), kernels(*level))),
        );
        all
    }

    #[test]
    fn inputs_are_rounded_to_words_and_pairs_of_zeros_left_out() {
        let mut inputs = Inputs::default();
        inputs.set(&[1.0, -0.5, 0.0, 1e-5, -1.0, 0.25, 0.1], 1.0);
        assert_eq!(inputs.rows, 4);
        assert_eq!(inputs.at[..inputs.len], [0, 2, 3]);
        let found = inputs.pairs[..3].iter().map(|pair| halves(*pair));
        let wanted = [[32_767, -16_384], [-32_767, 8192], [3277, 0]];
        assert!(found.eq(wanted), "{inputs:?}");
        assert_eq!(inputs.unit(), 1.0 / 32_767.0);
        for nothing in [0.0, 1e-40, 1e-24] {
            inputs.set(&[nothing; 3], nothing);
            assert_eq!((inputs.len, inputs.unit()), (0, 0.0));
        }
        // The greatest one may be next to anything.
        inputs.set(&[1e-23, -3e-24], 1e-23);
        assert_eq!(halves(inputs.pairs[0]), [32_767, -9830]);
        inputs.set(&[3e38, -3e38], 3e38);
        assert_eq!(halves(inputs.pairs[0]), [32_767, -32_767]);
        assert_eq!((inputs.len, inputs.at[0]), (1, 0));
        assert_eq!(
            greatest(&noise(40, 1)[..33]),
            noise(33, 1).iter().fold(0.0, |a: f32, b| a.max(b.abs()))
        );
    }

    #[test]
    fn sums_are_exact_at_every_level() {
        let w = words(PAIRS * BLOCK * 2 + 4, 3);
        for (name, kernels) in all() {
            for rows in [0, 1, 32, 64, 65] {
                let mut x = noise(2 * rows, 5);
                x.chunks_mut(2).step_by(3).for_each(|x| x.fill(0.0));
                let mut inputs = Inputs::default();
                inputs.set(&x, 1.0);
                let mut dense = vec![0; rows];
                for (x, at) in inputs.pairs[..inputs.len].iter().zip(&inputs.at) {
                    dense[usize::from(*at)] = *x;
                }
                let mut y = [i32::MAX; BLOCK];
                (kernels.add)(&w, &inputs, &mut y);
                for (o, y) in y.iter().enumerate() {
                    let wanted = i32::MAX.wrapping_add(sum(&w, &dense, o));
                    assert_eq!(*y, wanted, "{name}, {rows} rows, output {o}");
                }
            }
        }
    }

    #[test]
    fn columns_are_exact_at_every_level() {
        let w = words(PAIRS * BLOCK * 2 + 4, 3);
        let taps = [&w[..], &w[2..], &w[4..]];
        let x: Vec<[Pair; PAIRS]> = (7..11)
            .map(|seed| pairs(PAIRS, seed).try_into().unwrap())
            .collect();
        let x: [[Pair; PAIRS]; COLUMNS] = x.try_into().unwrap();
        for (name, kernels) in all() {
            let before = [5, -5, 0, i32::MAX];
            let mut y = before.map(|y| [y; BLOCK]);
            (kernels.columns)(taps, &x, &mut y);
            for (column, (y, before)) in y.iter().zip(before).enumerate() {
                for (o, y) in y.iter().enumerate() {
                    // Tap 1 meets the column itself.
                    let met = (0..3).filter_map(|tap| {
                        let x = x.get((column + tap).checked_sub(1)?)?;
                        Some(sum(taps[tap], x, o))
                    });
                    let wanted = met.fold(before, i32::wrapping_add);
                    assert_eq!(*y, wanted, "{name}, column {column}, output {o}");
                }
            }
        }
    }

    #[test]
    fn magnitudes_are_those_of_the_two_frames() {
        let (re, im) = (noise(FRAME, 11), noise(FRAME, 12));
        let z: [Complex32; FRAME] = std::array::from_fn(|k| Complex32::new(re[k], im[k]));
        let gains: [f32; BINS] = std::array::from_fn(|k| 1.0 / (1.0 + k as f32));
        let mut first = None;
        for (name, kernels) in all() {
            let mut of = [[0.0; BINS]; 2];
            let most = (kernels.magnitudes)(&z, &gains, &mut of);
            for k in 0..BINS {
                let mirrored = z[(FRAME - k) % FRAME].conj();
                for (found, bin) in [(of[0][k], z[k] + mirrored), (of[1][k], z[k] - mirrored)] {
                    let wanted = bin.norm() / 2.0 * gains[k];
                    assert!((found - wanted).abs() < 1e-6, "{name}, bin {k}: {found}");
                }
            }
            assert_eq!(most, greatest(of.as_flattened()), "{name}");
            assert_eq!(*first.get_or_insert(of), of, "{name}");
        }
        let mut of = [[1.0; BINS]; 2];
        let nothing = [Complex32::default(); FRAME];
        let most = (plain::<false>().magnitudes)(&nothing, &gains, &mut of);
        assert_eq!((most, of), (0.0, [[0.0; BINS]; 2]));
    }

    #[test]
    fn gates_are_what_their_formulas_say() {
        let z: Vec<f32> = noise(4 * 128, 9).iter().map(|z| 20.0 * z).collect();
        let before = noise(128, 10);
        let sigmoid = |x: f32| 1.0 / (1.0 + f64::from(-x).exp());
        for (name, kernels) in all() {
            let (mut cell, mut hidden) = (before.clone(), vec![0.0; 128]);
            let by_gate = std::array::from_fn(|g| &z[g * 128..][..128]);
            (kernels.gates)(by_gate, &mut cell, &mut hidden);
            for k in 0..128 {
                let kept = sigmoid(z[128 + k]) * f64::from(before[k]);
                let wanted = kept + sigmoid(z[k]) * f64::from(z[256 + k]).tanh();
                let shown = sigmoid(z[384 + k]) * wanted.tanh();
                for (found, wanted) in [(cell[k], wanted), (hidden[k], shown)] {
                    assert!(
                        (f64::from(found) - wanted).abs() < 1e-6,
                        "{name}, unit {k}: {found}"
                    );
                }
            }
        }
    }
}
