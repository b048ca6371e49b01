// SPDX-License-Identifier: MIT

//! Samples by turns, as the half-band stage has those that its taps meet beside those that they do not.
#![allow(unsafe_code)]

use super::vector::{Number, Set};

type Split<T> = fn(x: &[T], even: &mut [T], odd: &mut [T]);
type Join<T> = fn(even: &[T], odd: &[T], x: &mut [T]);

/// The kernels of one sample type at one level.
#[derive(Clone, Copy)]
pub struct FoldKernels<T> {
    /// Samples by turns.
    pub split: Split<T>,
    /// Samples of both by turns, as many as `x` has room for.
    pub join: Join<T>,
}

/// The kernels, compiled for `S`. Only for machines that have it.
pub fn kernels<S: Set, T: Number>() -> FoldKernels<T> {
    FoldKernels {
        // SAFETY: chosen only where the machine has the set.
        split: |x, even, odd| unsafe {
            S::call(
                #[inline(always)]
                |x, even, odd, (), ()| split(x, even, odd),
                x,
                even,
                odd,
                (),
                (),
            )
        },
        // SAFETY: as above.
        join: |even, odd, x| unsafe {
            S::call(
                #[inline(always)]
                |even, odd, x, (), ()| join(even, odd, x),
                even,
                odd,
                x,
                (),
                (),
            )
        },
    }
}

/// [`FoldKernels::split`].
#[inline(always)]
fn split<T: Number>(x: &[T], even: &mut [T], odd: &mut [T]) {
    let (pairs, last) = x.as_chunks::<2>();
    let n = pairs.len();
    let (to, odd) = (&mut even[..n + last.len()], &mut odd[..n]);
    for i in 0..n {
        to[i] = pairs[i][0];
        odd[i] = pairs[i][1];
    }
    to[n..].copy_from_slice(last);
}

/// [`FoldKernels::join`].
#[inline(always)]
fn join<T: Number>(even: &[T], odd: &[T], x: &mut [T]) {
    let (pairs, last) = x.as_chunks_mut::<2>();
    let n = pairs.len();
    let (from, odd) = (&even[..n + last.len()], &odd[..n]);
    for i in 0..n {
        pairs[i] = [from[i], odd[i]];
    }
    last.copy_from_slice(&from[n..]);
}

#[cfg(test)]
mod tests {
    use crate::simd::Level;
    use crate::simd::resample::fold_kernels;
    use crate::simd::resample::tests::noise;

    #[test]
    fn kernels_do_what_they_say_alike_at_every_level() {
        for n in [1, 2, 15, 16, 33, 100, 161] {
            let x: Vec<f32> = noise(2 * n + 1, 7).iter().map(|v| *v as f32).collect();
            for level in Level::available() {
                let kernels = fold_kernels::<f32>(level);
                for last in 0..2 {
                    let (mut even, mut odd) = (vec![9.0; n + 1], vec![9.0; n]);
                    (kernels.split)(&x[..2 * n + last], &mut even, &mut odd);
                    for i in 0..n {
                        assert_eq!((even[i], odd[i]), (x[2 * i], x[2 * i + 1]));
                    }
                    assert_eq!(even[n], if last == 1 { x[2 * n] } else { 9.0 });
                    let mut joined = vec![0.0; 2 * n + last];
                    (kernels.join)(&even, &odd, &mut joined);
                    assert_eq!(joined, x[..2 * n + last]);
                }
            }
        }
    }
}
