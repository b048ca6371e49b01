// SPDX-License-Identifier: MIT

//! What the resampler's kernels work on: windows of samples against groups of rows of taps, and the
//! shapes of the kernels themselves.
//!
//! A *row* is the tap vector of one output frame, `len` taps, zero-padded. Rows follow one another
//! in memory, or, in a *group*, lie side by side: the taps of all [`GROUP`] outputs for the first
//! sample of the window, then those for the second. So each lane of a vector is an output, and no
//! sum across lanes is needed:
//!
//! ```text
//!            lane 0    lane 1    ...  lane 15
//! x[at]      h[0]      h[1]           h[15]       one load of taps serves the
//! x[at + 1]  h[16]     h[17]          h[31]       same sample of up to WINDOWS
//! ...                                             windows
//!            y[to]     y[to + 1]      y[to + 15]
//! ```

/// Rows in a group of the exact table.
pub const GROUP: usize = 16;
/// Rows of groups have a multiple of this many taps.
pub const STEP: usize = 4;
/// Rows by themselves have a multiple of this many taps.
pub const LANES: usize = 8;
/// Windows, or pairs of them, that any kernel takes against a group of rows at a time: each load of
/// taps serves them all.
pub const WINDOWS: usize = 4;

/// Most windows of a pass over `f32` or `f64`: the registers hold no more pairs of sums.
pub(super) const REAL_WINDOWS: usize = 3;

/// Words of two samples in a group.
pub const PAIR: usize = 2 * GROUP;

/// How many words taps have, where, and what they count. Of other types than `i16` nothing.
///
/// A row of a group begins later than those before it. So its second half has its words, and among them those
/// that are two to a tap, by `late` samples later than the first; elsewhere words are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// From where to where in a window taps have two, those of the first half or those of the second; even.
    pub near: (usize, usize),
    /// Even, and no more than `near` is long.
    pub late: usize,
    /// From how many samples on the first half has no words, the second `late` after that; even.
    pub span: usize,
    /// A fine word counts `2^finer` times less than a coarse one.
    pub finer: u32,
}

impl Words {
    /// Words of a group with windows of `len` samples.
    pub fn of_group(&self, len: usize) -> usize {
        self.pair(len) * PAIR
    }

    /// Number of the first [`PAIR`] of words for samples `i`, which is even, and `i + 1` of a window.
    #[inline(always)]
    pub fn pair(&self, i: usize) -> usize {
        let (from, to) = self.near;
        (i + i.clamp(from, to) - from) / 2
    }

    /// Whether sample `i` of a window has two words.
    #[inline(always)]
    pub fn has_two(&self, i: usize) -> bool {
        i >= self.near.0 && i < self.near.1
    }
}

/// A sample type that rows of taps of the same type are summed over.
pub trait Grouped: Copy + Default {
    /// What the sums are.
    type Sum: Copy + Default;
}

impl Grouped for f32 {
    type Sum = f32;
}

impl Grouped for f64 {
    type Sum = f64;
}

impl Grouped for i16 {
    /// 1 is full scale.
    type Sum = f32;
}

/// Windows that are taken against groups of rows together, up to [`Columns::windows`].
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// Length of a row, and of a window.
    pub len: usize,
    /// Where each window begins in the samples.
    pub at: &'a [usize],
    /// How many run backwards, the last ones: the first tap meets the last sample, and output `r`
    /// belongs to row `GROUP - 1 - r`.
    pub back: usize,
    /// Where the outputs of each begin.
    pub to: &'a [usize],
    /// Of 16-bit taps.
    pub words: Words,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Pass<'_> {
    /// Window `w` alone.
    #[inline(always)]
    pub fn only(&self, w: usize) -> Self {
        Pass {
            at: &self.at[w..][..1],
            back: usize::from(w + self.back >= self.at.len()),
            to: &self.to[w..][..1],
            ..*self
        }
    }
}

/// Windows of `x` against a group of rows.
type Group<T> = fn(x: &[T], pass: &Pass<'_>, h: &[T], y: &mut [<T as Grouped>::Sum]);
/// The same for two channels.
type Stereo<T> = fn(x: [&[T]; 2], pass: &Pass<'_>, h: &[T], y: &mut [<T as Grouped>::Sum]);
/// Two windows of `x` against a group of rows each.
type Groups<T> = fn(x: &[T], pass: &Pass<'_>, h: [&[T]; 2], y: &mut [<T as Grouped>::Sum]);
/// Windows of `x` against rows, a sum of weighted rows for each output.
type Mono<T> = fn(x: &[T], between: &Between<'_, T>, y: &mut [T]);
/// The same for two channels, the outputs of which alternate.
type Both<T> = fn(x: [&[T]; 2], between: &Between<'_, T>, y: &mut [T]);

/// The kernels of groups for one sample type at one level.
#[derive(Clone, Copy)]
pub struct Columns<T: Grouped> {
    /// Most windows of a pass, up to [`WINDOWS`].
    pub windows: usize,
    /// Windows against a group of [`GROUP`] rows, forwards
    /// `y[to[w] + r] = sum_i x[at[w] + i] * h[i * GROUP + r]`.
    pub group: Group<T>,
    /// As `group`, each of two windows against a group of its own.
    pub groups: Groups<T>,
    /// As `group` for two channels, the outputs of which alternate:
    /// `y[to[w] + 2 * r + c] = sum_i x[c][at[w] + i] * h[i * GROUP + r]`.
    pub stereo: Stereo<T>,
}

/// Places that kernels take together.
pub const PLACES: usize = 32;
/// Taps that all kernels take without a remainder.
pub const BLOCK: usize = 16;
/// Most rows that an output lies between.
pub const POINTS: usize = 6;

/// An output between rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<T> {
    /// Where its window begins in the samples.
    pub at: usize,
    /// The first of the rows.
    pub row: usize,
    /// What each counts; beyond the number of rows nothing.
    pub weights: [T; POINTS],
}

/// Outputs between rows.
#[derive(Clone, Copy, Debug)]
pub struct Between<'a, T> {
    /// One after another.
    pub rows: &'a [T],
    /// Length of a row, and of a window.
    pub len: usize,
    /// Taps of a row that are summed for all places before the next: as many as keep what is read in
    /// the first cache. A multiple of [`BLOCK`].
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(dead_code)
    )]
    pub block: usize,
    /// Up to [`PLACES`].
    pub places: &'a [Place<T>],
}

/// The kernels of outputs between `N` rows for one sample type at one level:
/// `y[k] = sum_r weights[r] * sum_i x[at + i] * rows[(row + r) * len + i]` of place `k`.
#[derive(Clone, Copy)]
pub struct Weighted<T> {
    pub mono: Mono<T>,
    /// Of two channels: `y[2 * k + c]`.
    pub stereo: Both<T>,
}

/// The kernels for one sample type at one level.
#[derive(Clone, Copy)]
pub struct Kernels<T: Grouped> {
    pub columns: Columns<T>,
    pub four: Weighted<T>,
    pub six: Weighted<T>,
    /// `x` against one long row.
    pub dot: fn(x: &[T], h: &[T], len: usize) -> T,
}

/// Checks what the kernels rely on: `rows` rows of `len` taps, a multiple of `step`, and windows
/// as long as a row.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub fn check<T, const C: usize>(x: [&[T]; C], h: &[T], len: usize, rows: usize, step: usize) {
    assert!(len.is_multiple_of(step) && h.len() >= rows * len);
    for x in x {
        assert!(x.len() >= len);
    }
}

/// Checks what the kernels rely on: `points` rows and a window of each of `x` at every place, and room
/// for the outputs.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub fn check_between<T, const C: usize>(
    x: [&[T]; C],
    between: &Between<'_, T>,
    points: usize,
    y: &[T],
) {
    let Between {
        rows,
        len,
        block,
        places,
    } = *between;
    assert!(block > 0 && block.is_multiple_of(BLOCK) && places.len() <= PLACES);
    assert!(len.is_multiple_of(LANES) && y.len() >= C * places.len());
    let samples = x.iter().map(|x| x.len()).min().unwrap_or(0);
    let last = (rows.len() / len.max(1)).checked_sub(points);
    for place in places {
        assert!(
            samples
                .checked_sub(len)
                .is_some_and(|most| place.at <= most)
        );
        assert!(last.is_some_and(|last| place.row <= last));
    }
}
