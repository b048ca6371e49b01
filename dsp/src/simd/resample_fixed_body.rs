// SPDX-License-Identifier: MIT

//! The resampler's groups of rows for 16-bit samples over whatever sums words.
#![allow(unsafe_code)]

use super::resample_pass::{Columns, GROUP, PAIR, Pass, Words};
use super::resample_words::check;
use super::vector::Set;

/// Sums of words times samples, one for each output of a group, in the vectors of an instruction set.
///
/// # Safety
/// The methods may be called where the machine has the instructions. Only inlined into a function that is
/// compiled for them are they fast.
pub trait GroupSums: Copy {
    type Set: Set;
    /// Two samples, for all outputs.
    type Samples: Copy;
    /// The words of all outputs for two samples.
    type Words: Copy;
    /// The outputs.
    type Outputs: Copy;
    /// Whether half of the outputs take half of the time.
    const HALVES: bool;
    /// How often each sum has its turn until a loop begins anew.
    const REPEATED: usize;
    /// How a pass of 1, 2, ... windows of one channel is summed; as many as a pass has at most.
    const GROUP_SUMS: &'static [Sums];
    /// The same for two channels. Where there are more windows than this has, they are taken one by one.
    const STEREO_SUMS: &'static [Sums];
    /// The same for two windows with words of their own.
    const APART_SUMS: Sums;

    /// Nothing yet.
    unsafe fn zero() -> Self;
    /// The two samples at `x`.
    unsafe fn samples(x: *const i16) -> Self::Samples;
    /// The [`PAIR`] words at `h`.
    unsafe fn words(h: *const i16) -> Self::Words;
    /// With the products of `samples` and `words` added, for the outputs `of`; what leaves 32 bits is dropped.
    unsafe fn add_products(self, samples: Self::Samples, words: Self::Words, of: Of) -> Self;
    /// With `other` added.
    unsafe fn add(self, other: Self) -> Self;
    /// What the sums come to: `self` are fine ones, which count `2^finer` times less than `coarse`.
    unsafe fn outputs(self, coarse: Self, finer: u32) -> Self::Outputs;
    /// Writes [`GROUP`] outputs.
    unsafe fn store(outputs: Self::Outputs, y: *mut f32);
    /// Writes those of two channels, which alternate.
    unsafe fn store_both(outputs: [Self::Outputs; 2], y: *mut f32);
}

/// How the windows of a pass are summed: in how many sums each, enough to hide the latency of an addition,
/// and no more than the registers hold.
#[derive(Clone, Copy)]
pub struct Sums {
    /// Fine ones.
    pub fine: usize,
    /// Coarse ones, no more than those.
    pub coarse: usize,
    /// The coarse ones are summed after all of the fine ones, which need the registers until then.
    pub later: bool,
}

impl Sums {
    /// `fine` and `coarse` ones at once.
    pub const fn at_once(fine: usize, coarse: usize) -> Self {
        assert!(coarse <= fine && fine <= MOST);
        Self {
            fine,
            coarse,
            later: false,
        }
    }

    /// One fine one, then one coarse one.
    pub const LATER: Self = Self {
        fine: 1,
        coarse: 1,
        later: true,
    };
}

/// Which outputs of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    First,
    Second,
    All,
}

/// The stretches of a window that have words for the same outputs. One that would end before it begins ends
/// there; what takes its place has zeros among its words.
struct Ends {
    /// Fine ones: where those for the second half begin, where those for the first end, and the others.
    fine: [usize; 3],
    /// Coarse ones: where those for the first half begin, those for both, those for the second alone; the end.
    coarse: [usize; 4],
}

impl Ends {
    /// Of the windows of a pass.
    #[inline(always)]
    fn of<S: GroupSums>(words: Words) -> Self {
        let Words {
            near: (from, to),
            late,
            span,
            ..
        } = words;
        let end = late + span;
        if !S::HALVES {
            return Self {
                fine: [0, end, end],
                coarse: [from, from, to, to],
            };
        }
        let both = from + late;
        Self {
            fine: [late.min(from), span.max(to), end],
            coarse: [from, both, both.max(to - late), to],
        }
    }
}

/// Most sums of a window.
const MOST: usize = 8;

/// Windows and the words that they meet; with `D`, each window has words of its own.
#[derive(Clone, Copy)]
struct Operands<const C: usize, const D: bool> {
    x: [*const i16; C],
    h: [*const i16; C],
}

impl<const C: usize, const D: bool> Operands<C, D> {
    /// The two samples of each window at `i` times the words at `at`, added to `sums`.
    ///
    /// Safety: the caller has the instruction set, and all that is there.
    #[inline(always)]
    unsafe fn add<S: GroupSums>(&self, i: usize, at: usize, of: Of, sums: &mut [S; C]) {
        for (c, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let words = S::words(self.h[if D { c } else { 0 }].add(at));
                *sum = sum.add_products(S::samples(self.x[c].add(i)), words, of);
            }
        }
    }

    /// The samples from `i` to `end` times the words from `at` on, `step` of them for each two samples, of
    /// which the first are taken, added to `k` sums in turn.
    ///
    /// Safety: as for `add`.
    #[inline(always)]
    unsafe fn stretch<S: GroupSums>(
        &self,
        (mut i, end): (usize, usize),
        (mut at, step): (usize, usize),
        of: Of,
        k: usize,
        sums: &mut [[S; C]; MOST],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let n = k * S::REPEATED;
            while i + 2 * n <= end {
                for s in 0..n {
                    self.add(i + 2 * s, at + s * step, of, &mut sums[s % k]);
                }
                i += 2 * n;
                at += n * step;
            }
            // In turn as well, and so often that it is no loop: a sum is there only after some cycles.
            for s in 0..n - 1 {
                if i < end {
                    self.add(i, at, of, &mut sums[s % k]);
                    i += 2;
                    at += step;
                }
            }
        }
    }

    /// The outputs of the windows.
    ///
    /// Safety: the caller has the instruction set, and `check` has passed.
    #[inline(always)]
    unsafe fn outputs<S: GroupSums>(&self, pass: &Pass<'_>, how: Sums) -> [S::Outputs; C] {
        // SAFETY: windows and words are there, as `check` found.
        unsafe {
            let mut fine = [[S::zero(); C]; MOST];
            let mut coarse = [[S::zero(); C]; MOST];
            let (from, to) = pass.words.near;
            let Ends {
                fine: [late, early, end],
                coarse: near,
            } = Ends::of::<S>(pass.words);
            let at = |i: usize| pass.words.pair(i) * PAIR;
            let k = how.fine;
            if S::HALVES {
                self.stretch((0, late), (0, PAIR), Of::First, k, &mut fine);
            }
            self.stretch((late, from), (at(late), PAIR), Of::All, k, &mut fine);
            if how.later {
                self.stretch((from, to), (at(from), 2 * PAIR), Of::All, k, &mut fine);
            } else {
                let k = how.coarse;
                if S::HALVES {
                    let stretch = (near[0], near[1]);
                    self.both(stretch, at(near[0]), Of::First, k, &mut fine, &mut coarse);
                }
                let stretch = (near[1], near[2]);
                self.both(stretch, at(near[1]), Of::All, k, &mut fine, &mut coarse);
                if S::HALVES {
                    let stretch = (near[2], near[3]);
                    self.both(stretch, at(near[2]), Of::Second, k, &mut fine, &mut coarse);
                }
            }
            self.stretch((to, early), (at(to), PAIR), Of::All, k, &mut fine);
            if S::HALVES {
                self.stretch((early, end), (at(early), PAIR), Of::Second, k, &mut fine);
            }
            let fine = total(&fine, how.fine);
            if how.later {
                let k = how.coarse;
                let at = |i| (at(i) + PAIR, 2 * PAIR);
                if S::HALVES {
                    let stretch = (near[0], near[1]);
                    self.stretch(stretch, at(near[0]), Of::First, k, &mut coarse);
                }
                let stretch = (near[1], near[2]);
                self.stretch(stretch, at(near[1]), Of::All, k, &mut coarse);
                if S::HALVES {
                    let stretch = (near[2], near[3]);
                    self.stretch(stretch, at(near[2]), Of::Second, k, &mut coarse);
                }
            }
            let coarse = total(&coarse, how.coarse);
            let mut outputs = [S::zero().outputs(S::zero(), 0); C];
            for c in 0..C {
                outputs[c] = fine[c].outputs(coarse[c], pass.words.finer);
            }
            outputs
        }
    }

    /// The samples from `i` to `end` times the fine words and the coarse ones after them, those for the outputs
    /// `of`, from `at` on.
    ///
    /// Safety: as for `add`.
    #[inline(always)]
    unsafe fn both<S: GroupSums>(
        &self,
        (mut i, end): (usize, usize),
        mut at: usize,
        of: Of,
        k: usize,
        fine: &mut [[S; C]; MOST],
        coarse: &mut [[S; C]; MOST],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let n = k * S::REPEATED;
            while i + 2 * n <= end {
                for s in 0..n {
                    let (i, at) = (i + 2 * s, at + 2 * s * PAIR);
                    self.add(i, at, Of::All, &mut fine[s % k]);
                    self.add(i, at + PAIR, of, &mut coarse[s % k]);
                }
                i += 2 * n;
                at += 2 * n * PAIR;
            }
            for s in 0..n - 1 {
                if i < end {
                    self.add(i, at, Of::All, &mut fine[s % k]);
                    self.add(i, at + PAIR, of, &mut coarse[s % k]);
                    i += 2;
                    at += 2 * PAIR;
                }
            }
        }
    }
}

/// The first `k` sums of each window, added up.
///
/// Safety: the caller has the instruction set.
#[inline(always)]
unsafe fn total<S: GroupSums, const C: usize>(sums: &[[S; C]; MOST], k: usize) -> [S; C] {
    let mut total = sums[0];
    for sums in &sums[1..k] {
        for c in 0..C {
            // SAFETY: the caller's.
            total[c] = unsafe { total[c].add(sums[c]) };
        }
    }
    total
}

// SAFETY of those below: the caller has the instruction set of `S`, and `check` has passed.

/// `C` windows of one channel.
#[inline(always)]
unsafe fn windows<S: GroupSums, const C: usize, const D: bool>(
    x: &[i16],
    pass: &Pass<'_>,
    h: [&[i16]; C],
    y: &mut [f32],
    how: Sums,
) {
    let x = std::array::from_fn(|c| x[pass.at[c]..].as_ptr());
    let h = h.map(<[i16]>::as_ptr);
    // SAFETY: the caller's; the places for the outputs are slices of that length.
    unsafe {
        let outputs = Operands::<C, D> { x, h }.outputs::<S>(pass, how);
        for (c, outputs) in outputs.into_iter().enumerate() {
            S::store(outputs, y[pass.to[c]..][..GROUP].as_mut_ptr());
        }
    }
}

/// `C / 2` windows of two channels.
#[inline(always)]
unsafe fn windows_of_two<S: GroupSums, const C: usize>(
    x: [&[i16]; 2],
    pass: &Pass<'_>,
    h: &[i16],
    y: &mut [f32],
) {
    let x = std::array::from_fn(|c| x[c % 2][pass.at[c / 2]..].as_ptr());
    let h = [h.as_ptr(); C];
    // SAFETY: as above.
    unsafe {
        let operands = Operands::<C, false> { x, h };
        let outputs = operands.outputs::<S>(pass, S::STEREO_SUMS[C / 2 - 1]);
        for (w, both) in outputs.as_chunks::<2>().0.iter().enumerate() {
            S::store_both(*both, y[pass.to[w]..][..2 * GROUP].as_mut_ptr());
        }
    }
}

/// [`Columns::group`].
#[inline(always)]
unsafe fn group<S: GroupSums>(x: &[i16], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
    let how = S::GROUP_SUMS;
    // SAFETY: as above.
    unsafe {
        match pass.at.len() {
            1 => windows::<S, 1, false>(x, pass, [h; 1], y, how[0]),
            2 => windows::<S, 2, false>(x, pass, [h; 2], y, how[1]),
            3 => windows::<S, 3, false>(x, pass, [h; 3], y, how[2]),
            4 if how.len() > 3 => windows::<S, 4, false>(x, pass, [h; 4], y, how[3]),
            _ => {}
        }
    }
}

/// [`Columns::groups`].
#[inline(always)]
unsafe fn groups<S: GroupSums>(x: &[i16], pass: &Pass<'_>, h: [&[i16]; 2], y: &mut [f32]) {
    // SAFETY: as above.
    unsafe { windows::<S, 2, true>(x, pass, h, y, S::APART_SUMS) }
}

/// [`Columns::stereo`].
#[inline(always)]
unsafe fn stereo<S: GroupSums>(x: [&[i16]; 2], pass: &Pass<'_>, h: &[i16], y: &mut [f32]) {
    let most = S::STEREO_SUMS.len();
    // SAFETY: as above.
    unsafe {
        match pass.at.len() {
            2 if most > 1 => windows_of_two::<S, 4>(x, pass, h, y),
            3 if most > 2 => windows_of_two::<S, 6>(x, pass, h, y),
            4 if most > 3 => windows_of_two::<S, 8>(x, pass, h, y),
            n => {
                for w in 0..n {
                    windows_of_two::<S, 2>(x, &pass.only(w), h, y);
                }
            }
        }
    }
}

/// The kernels of the sums `S`. Only for machines that have their instruction set.
pub fn columns<S: GroupSums>() -> Columns<i16> {
    Columns {
        windows: S::GROUP_SUMS.len(),
        group: |x, pass, h, y| {
            check([x], pass, [h], y, GROUP, S::GROUP_SUMS.len());
            // SAFETY: chosen only where the machine has the set, and `check` has passed.
            unsafe {
                S::Set::call(
                    #[inline(always)]
                    |x, pass, h, y, ()| group::<S>(x, pass, h, y),
                    x,
                    pass,
                    h,
                    y,
                    (),
                )
            }
        },
        groups: |x, pass, h, y| {
            assert!(pass.at.len() == 2);
            check([x], pass, h, y, GROUP, 2);
            // SAFETY: as above.
            unsafe {
                S::Set::call(
                    #[inline(always)]
                    |x, pass, h, y, ()| groups::<S>(x, pass, h, y),
                    x,
                    pass,
                    h,
                    y,
                    (),
                )
            }
        },
        stereo: |x, pass, h, y| {
            check(x, pass, [h], y, 2 * GROUP, S::GROUP_SUMS.len());
            // SAFETY: as above.
            unsafe {
                S::Set::call(
                    #[inline(always)]
                    |l, r, pass, h, y| stereo::<S>([l, r], pass, h, y),
                    x[0],
                    x[1],
                    pass,
                    h,
                    y,
                )
            }
        },
    }
}
