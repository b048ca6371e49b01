//! The resampler's groups of rows for 16-bit samples, by the dot products of AVX-512 VNNI.
#![allow(unsafe_code)]

use super::resample::{Columns, GROUP, Pass};
use super::resample_fixed::{FINER, PAIR, UNIT, check};
use super::resample_groups_x86::zip;
use std::arch::x86_64::*;

/// Only the level with these instructions asks for them.
pub fn avx512() -> Columns<i16> {
    Columns {
        group,
        groups,
        stereo,
    }
}

/// Windows and the words that they meet; with `D`, each window has words of its own.
#[derive(Clone, Copy)]
struct Operands<const C: usize, const D: bool> {
    x: [*const i16; C],
    h: [*const i16; C],
}

impl<const C: usize, const D: bool> Operands<C, D> {
    /// The two samples at `i` times the words at `at`, added to `acc`; with `coarse`, also times
    /// those after them, to that.
    ///
    /// Safety: the caller has the instruction set, and all that is there.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    unsafe fn add(
        &self,
        i: usize,
        at: usize,
        acc: &mut [__m512i; C],
        mut coarse: Option<&mut [__m512i; C]>,
    ) {
        for c in 0..C {
            // SAFETY: the caller's.
            unsafe {
                let h = self.h[if D { c } else { 0 }].add(at);
                let pair = self.x[c].add(i).cast::<i32>().read_unaligned();
                let pair = _mm512_set1_epi32(pair);
                acc[c] = _mm512_dpwssd_epi32(acc[c], pair, _mm512_loadu_si512(h.cast()));
                if let Some(acc) = &mut coarse {
                    let words = _mm512_loadu_si512(h.add(PAIR).cast());
                    acc[c] = _mm512_dpwssd_epi32(acc[c], pair, words);
                }
            }
        }
    }
}

/// Sums of `C` windows, each in `K` of either kind: enough of them to hide the latency of one.
///
/// Safety: the caller has the instruction set, and `check` has passed.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn sums<const C: usize, const K: usize, const D: bool>(
    operands: Operands<C, D>,
    pass: &Pass<'_>,
) -> [__m512; C] {
    let zero = _mm512_setzero_si512();
    let (mut fine, mut coarse) = ([[zero; C]; K], [[zero; C]; K]);
    let (mut i, mut at) = (0, 0);
    let (from, to) = pass.near;
    // SAFETY: windows and words are there, as `check` found. The last pairs of a stretch, if they are
    // no multiple of `K`, go into one sum.
    unsafe {
        for (end, near) in [(from, false), (to, true), (pass.len, false)] {
            let words = if near { 2 * PAIR } else { PAIR };
            while i + 2 * K <= end {
                for k in 0..K {
                    let coarse = near.then_some(&mut coarse[k]);
                    operands.add(i + 2 * k, at + k * words, &mut fine[k], coarse);
                }
                i += 2 * K;
                at += K * words;
            }
            while i < end {
                let coarse = near.then_some(&mut coarse[0]);
                operands.add(i, at, &mut fine[0], coarse);
                i += 2;
                at += words;
            }
        }
    }
    std::array::from_fn(|c| {
        let sum = |sums: &[[__m512i; C]; K]| {
            (1..K).fold(sums[0][c], |sum, k| _mm512_add_epi32(sum, sums[k][c]))
        };
        let fine = _mm512_srai_epi32::<FINER>(sum(&fine));
        let sum = _mm512_add_epi32(fine, sum(&coarse));
        _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(UNIT))
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn group_inner<const C: usize, const K: usize, const D: bool>(
    x: &[i16],
    pass: &Pass<'_>,
    h: [&[i16]; C],
    y: &mut [f32],
) {
    let x = std::array::from_fn(|c| x[pass.at[c]..].as_ptr());
    unsafe {
        let h = h.map(<[i16]>::as_ptr);
        let sums = sums::<C, K, D>(Operands { x, h }, pass);
        for (sum, to) in sums.into_iter().zip(pass.to) {
            _mm512_storeu_ps(y[*to..][..GROUP].as_mut_ptr(), sum);
        }
    }
}

/// `C / 2` windows of two channels.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn stereo_inner<const C: usize, const K: usize>(
    x: [&[i16]; 2],
    pass: &Pass<'_>,
    h: &[i16],
    y: &mut [f32],
) {
    let x = std::array::from_fn(|c| x[c % 2][pass.at[c / 2]..].as_ptr());
    unsafe {
        let h = [h.as_ptr(); C];
        let sums = sums::<C, K, false>(Operands { x, h }, pass);
        for (both, to) in sums.as_chunks::<2>().0.iter().zip(pass.to) {
            let [low, high] = zip::a512_f32(both[0], both[1]);
            let to = y[*to..][..2 * GROUP].as_mut_ptr();
            _mm512_storeu_ps(to, low);
            _mm512_storeu_ps(to.add(GROUP), high);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn group_all(x: &[i16], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
    unsafe {
        match pass.at.len() {
            1 => group_inner::<1, 8, false>(x, pass, [h; 1], y),
            2 => group_inner::<2, 4, false>(x, pass, [h; 2], y),
            3 => group_inner::<3, 4, false>(x, pass, [h; 3], y),
            _ => {}
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn groups_all(x: &[i16], pass: &Pass<'_>, h: [&[i16]; 2], y: &mut [f32]) {
    unsafe { group_inner::<2, 4, true>(x, pass, h, y) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn stereo_all(x: [&[i16]; 2], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
    unsafe {
        match pass.at.len() {
            1 => stereo_inner::<2, 4>(x, pass, h, y),
            2 => stereo_inner::<4, 2>(x, pass, h, y),
            3 => stereo_inner::<6, 2>(x, pass, h, y),
            _ => {}
        }
    }
}

// SAFETY of all three: this level is chosen only where the machine has it, and `check` establishes the
// lengths.
fn group(x: &[i16], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
    check([x], pass, [h], y, GROUP);
    unsafe { group_all(x, pass, h, y) }
}

fn groups(x: &[i16], pass: &Pass<'_>, h: [&[i16]; 2], y: &mut [f32]) {
    assert!(pass.at.len() == 2);
    check([x], pass, h, y, GROUP);
    unsafe { groups_all(x, pass, h, y) }
}

fn stereo(x: [&[i16]; 2], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
    check(x, pass, [h], y, 2 * GROUP);
    unsafe { stereo_all(x, pass, h, y) }
}
