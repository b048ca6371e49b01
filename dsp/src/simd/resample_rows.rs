// SPDX-License-Identifier: MIT

//! The resampler's rows by themselves over vectors of whatever instruction set.
#![allow(unsafe_code)]
#![expect(clippy::needless_range_loop, reason = "several arrays move along")]

use super::resample_pass::{Between, LANES, PLACES, Weighted, check, check_between};
use super::vector::{Set, Vector};

/// The kernels of outputs between `P` rows. Only for machines that have the instruction set.
pub fn weighted<V: Vector, const P: usize>() -> Weighted<V::Element> {
    Weighted {
        mono: |x, b, y| {
            check_between([x], b, P, y);
            // SAFETY: chosen only where the machine has the set; the check establishes the lengths.
            unsafe {
                V::Set::run(
                    #[inline(always)]
                    move || between::<V, P, 1>([x], b, y),
                )
            }
        },
        stereo: |x, b, y| {
            check_between(x, b, P, y);
            // SAFETY: as above.
            unsafe {
                V::Set::run(
                    #[inline(always)]
                    move || between::<V, P, 2>(x, b, y),
                )
            }
        },
    }
}

/// One long row. Only for machines that have the instruction set.
pub fn dot<V: Vector>(x: &[V::Element], h: &[V::Element], len: usize) -> V::Element {
    check([x], h, len, 1, LANES);
    // SAFETY: chosen only where the machine has the set; `check` establishes the lengths.
    unsafe {
        V::Set::run(
            #[inline(always)]
            move || quarters::<V>(x.as_ptr(), h.as_ptr(), len),
        )
    }
}

// SAFETY of all below: the caller has the instruction set, and the check has passed.

/// The first `count` taps of `R` rows of `len` by `C` windows, one accumulator each.
#[inline(always)]
unsafe fn rows<V: Vector, const R: usize, const C: usize>(
    x: [*const V::Element; C],
    h: *const V::Element,
    len: usize,
    count: usize,
) -> [[V; R]; C] {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [[V::zero(); R]; C];
        let mut i = 0;
        while i + V::LANES <= count {
            let mut w = [V::zero(); C];
            for c in 0..C {
                w[c] = V::load(x[c].add(i));
            }
            for r in 0..R {
                let taps = V::load(h.add(r * len + i));
                for c in 0..C {
                    acc[c][r] = w[c].mul_add(taps, acc[c][r]);
                }
            }
            i += V::LANES;
        }
        if V::LANES > LANES && i < count {
            let mut w = [V::zero(); C];
            for c in 0..C {
                w[c] = V::load_half(x[c].add(i));
            }
            for r in 0..R {
                let taps = V::load_half(h.add(r * len + i));
                for c in 0..C {
                    acc[c][r] = w[c].mul_add(taps, acc[c][r]);
                }
            }
        }
        acc
    }
}

/// Outputs between `P` rows: block by block for all places, then added up by fours.
#[inline(always)]
unsafe fn between<V: Vector, const P: usize, const C: usize>(
    x: [&[V::Element]; C],
    between: &Between<'_, V::Element>,
    y: &mut [V::Element],
) {
    const { assert!(LANES.is_multiple_of(V::LANES) || V::LANES == 2 * LANES) };
    let Between {
        rows: h,
        len,
        block,
        places,
    } = *between;
    let y = y.as_mut_ptr();
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[V::zero(); C]; PLACES];
        for from in (0..len).step_by(block) {
            let count = block.min(len - from);
            for (sums, place) in sums.iter_mut().zip(places) {
                let x = x.map(|x| x.as_ptr().add(place.at + from));
                let h = h.as_ptr().add(place.row * len + from);
                let acc = rows::<V, P, C>(x, h, len, count);
                for c in 0..C {
                    for p in 0..P {
                        sums[c] = acc[c][p].mul_add(V::splat(place.weights[p]), sums[c]);
                    }
                }
            }
        }
        let sums = sums.as_flattened();
        let (done, rest) = sums[..places.len() * C].as_chunks::<4>();
        for (i, sums) in done.iter().enumerate() {
            V::store_sums(*sums, y.add(4 * i));
        }
        if !rest.is_empty() {
            let mut four = [V::zero(); 4];
            four[..rest.len()].copy_from_slice(rest);
            let mut last = [V::Element::default(); 4];
            V::store_sums(four, last.as_mut_ptr());
            let y = y.add(4 * done.len());
            y.copy_from_nonoverlapping(last.as_ptr(), rest.len());
        }
    }
}

/// One long row, four accumulators: the sum of four interleaved quarter rows.
#[inline(always)]
unsafe fn quarters<V: Vector>(
    x: *const V::Element,
    h: *const V::Element,
    len: usize,
) -> V::Element {
    const { assert!(LANES.is_multiple_of(V::LANES)) };
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [V::zero(); 4];
        let mut i = 0;
        while i + 4 * V::LANES <= len {
            for (q, acc) in acc.iter_mut().enumerate() {
                let at = i + q * V::LANES;
                *acc = V::load(x.add(at)).mul_add(V::load(h.add(at)), *acc);
            }
            i += 4 * V::LANES;
        }
        while i < len {
            acc[0] = V::load(x.add(i)).mul_add(V::load(h.add(i)), acc[0]);
            i += V::LANES;
        }
        let mut y = [V::Element::default(); 4];
        V::store_sums(acc, y.as_mut_ptr());
        (y[0] + y[1]) + (y[2] + y[3])
    }
}
