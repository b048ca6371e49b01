// SPDX-License-Identifier: MIT

//! What kernels are written over once for all architectures: instruction sets, and vectors of numbers in
//! them. `vector_x86` and `vector_arm` have those that there are.
//!
//! A kernel is a generic function that is always inlined, `unsafe` and `#[inline(always)]`; its safe entry
//! checks lengths and calls it within [`Set::run`]. `for_level!` chooses the set of a [`Level`](super::Level).
#![allow(unsafe_code)]
// Elsewhere kernels are plain loops.
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, unused_macros, unused_imports)
)]

use std::ops::{Add, Mul, Sub};

use super::resample_pass::Grouped;

/// What kernels do arithmetic with.
pub trait Number: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {}

impl<T: Copy + Add<Output = T> + Sub<Output = T> + Mul<Output = T>> Number for T {}

/// An instruction set.
///
/// # Safety
/// Both functions call their job once, and need no more of the machine than the set that they are named after.
pub unsafe trait Set {
    /// What `job` gives. A closure marked `#[inline(always)]` is compiled for this instruction set, with
    /// all that is always inlined into it; closures within it are not.
    ///
    /// # Safety
    /// The machine has it: who calls this for a set was chosen for a [`Level`](super::Level), which only
    /// detection makes.
    unsafe fn run<R>(job: impl FnOnce() -> R) -> R;

    /// As [`run`](Self::run), with what `job` is called with: that comes in registers, slices too if they come
    /// one by one. What a closure captures, and an array, is written to memory in words and may be read there as
    /// a vector, which waits for them: some ten cycles of a call that takes a hundred.
    ///
    /// # Safety
    /// As there.
    unsafe fn call<A, B, C, D, E, R>(
        job: impl FnOnce(A, B, C, D, E) -> R,
        a: A,
        b: B,
        c: C,
        d: D,
        e: E,
    ) -> R;
}

/// An instruction set by its name, and the attributes that make a function one of it.
macro_rules! set {
    ($(#[$about:meta])* $set:ident: $($attribute:meta),+) => {
        $(#[$about])*
        pub enum $set {}

        // SAFETY: both do nothing but call the job, with the attributes of the set.
        unsafe impl Set for $set {
            $(#[$attribute])+
            unsafe fn run<R>(job: impl FnOnce() -> R) -> R {
                job()
            }

            $(#[$attribute])+
            unsafe fn call<A, B, C, D, E, R>(
                job: impl FnOnce(A, B, C, D, E) -> R,
                a: A,
                b: B,
                c: C,
                d: D,
                e: E,
            ) -> R {
                job(a, b, c, d, e)
            }
        }
    };
}

set!(
    /// What the program was compiled for.
    Portable: inline(always)
);

/// A register of numbers, or several, of which each is a *lane*.
///
/// # Safety
/// Kernels read and write by [`LANES`](Self::LANES) and [`RUN`](Self::RUN): methods touch no more than that.
///
/// All methods may be called where the machine has the instruction set. Pointers are good for as many
/// numbers as are read or written there, [`LANES`](Self::LANES) where nothing else is said, and need no
/// alignment. Only within what [`Set::run`] runs are they fast.
pub unsafe trait Vector: Copy {
    type Element: Number + Grouped<Sum = Self::Element>;
    type Set: Set;
    const LANES: usize;

    unsafe fn zero() -> Self;
    /// `x` in all lanes.
    unsafe fn splat(x: Self::Element) -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    unsafe fn store(self, to: *mut Self::Element);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// The lanes from the last to the first.
    unsafe fn reverse(self) -> Self;
    /// `self * by + plus`, rounded once.
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self;
    /// The lanes of both by turns: the first half of them, then the second.
    unsafe fn zip(self, other: Self) -> [Self; 2];
    /// Writes the sums of the lanes of each of four vectors: in pairs, those half as many lanes apart
    /// until a register of four or two is left, then neighbours.
    unsafe fn store_sums(of: [Self; 4], to: *mut Self::Element);

    /// The first half of the lanes, which alone is read, and zeros.
    #[inline(always)]
    unsafe fn load_half(from: *const Self::Element) -> Self {
        const { assert!(Self::LANES <= MOST) };
        let mut lanes = [Self::Element::default(); MOST];
        // SAFETY: the caller's; `lanes` are as many as there are at most.
        unsafe {
            lanes
                .as_mut_ptr()
                .copy_from_nonoverlapping(from, Self::LANES / 2);
            Self::load(lanes.as_ptr())
        }
    }

    /// Numbers that are loaded at once to be put into all lanes one by one.
    type Run: Copy;
    /// How many: 1, 2 or 4.
    const RUN: usize;

    unsafe fn run(from: *const Self::Element) -> Self::Run;
    /// Number `i` of `run` in all lanes.
    unsafe fn nth(run: Self::Run, i: usize) -> Self;
}

/// Most lanes of a vector.
pub const MOST: usize = 16;

/// Two as one, for more sums that do not wait for each other.
// SAFETY: each half touches what a `V` does, the second behind the first.
unsafe impl<V: Vector> Vector for [V; 2] {
    type Element = V::Element;
    type Set = V::Set;
    const LANES: usize = 2 * V::LANES;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: here and below, the caller's.
        unsafe { [V::zero(); 2] }
    }

    #[inline(always)]
    unsafe fn splat(x: V::Element) -> Self {
        // SAFETY: the caller's.
        unsafe { [V::splat(x); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const V::Element) -> Self {
        // SAFETY: the caller's.
        unsafe { [V::load(from), V::load(from.add(V::LANES))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut V::Element) {
        // SAFETY: the caller's.
        unsafe {
            self[0].store(to);
            self[1].store(to.add(V::LANES));
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { [self[0].add(other[0]), self[1].add(other[1])] }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { [self[0].sub(other[0]), self[1].sub(other[1])] }
    }

    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        // SAFETY: the caller's.
        unsafe { [self[1].reverse(), self[0].reverse()] }
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        let ([a, b], [c, d]) = (by, plus);
        // SAFETY: the caller's.
        unsafe { [self[0].mul_add(a, c), self[1].mul_add(b, d)] }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> [Self; 2] {
        // SAFETY: the caller's.
        unsafe { [self[0].zip(other[0]), self[1].zip(other[1])] }
    }

    #[inline(always)]
    unsafe fn store_sums([a, b, c, d]: [Self; 4], to: *mut V::Element) {
        // SAFETY: the caller's.
        unsafe {
            let halves = [
                a[0].add(a[1]),
                b[0].add(b[1]),
                c[0].add(c[1]),
                d[0].add(d[1]),
            ];
            V::store_sums(halves, to)
        }
    }

    type Run = V::Run;
    const RUN: usize = V::RUN;

    #[inline(always)]
    unsafe fn run(from: *const V::Element) -> V::Run {
        // SAFETY: the caller's.
        unsafe { V::run(from) }
    }

    #[inline(always)]
    unsafe fn nth(run: V::Run, i: usize) -> Self {
        // SAFETY: the caller's.
        unsafe { [V::nth(run, i); 2] }
    }
}

/// A register as a [`Vector`], by the names of its instructions; those whose operands come in another
/// order by expressions, with names for them.
macro_rules! vector {
    (
        $vector:ty: [$element:ty; $lanes:literal] of $set:ty,
        zero $zero:expr, splat $splat:ident, load $load:ident, store $store:ident, add $add:ident,
        sub $sub:ident, reverse |$v:ident| $reverse:expr,
        mul_add |$a:ident, $b:ident, $c:ident| $mul_add:expr,
        zip |$left:ident, $right:ident| $zip:expr,
        sums |$of:ident| $sums:expr => $store_sums:ident,
        $($rest:tt)*
    ) => {
        // SAFETY: loads and stores are of whole registers, which have so many lanes.
        unsafe impl Vector for $vector {
            type Element = $element;
            type Set = $set;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: here and below, the caller's.
                unsafe { $zero }
            }

            #[inline(always)]
            unsafe fn splat(x: $element) -> Self {
                // SAFETY: the caller's.
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                // SAFETY: the caller's.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                // SAFETY: the caller's.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller's.
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the caller's.
                unsafe { $sub(self, other) }
            }

            #[inline(always)]
            unsafe fn reverse(self) -> Self {
                let $v = self;
                // SAFETY: the caller's.
                unsafe { $reverse }
            }

            #[inline(always)]
            unsafe fn mul_add(self, $b: Self, $c: Self) -> Self {
                let $a = self;
                // SAFETY: the caller's.
                unsafe { $mul_add }
            }

            #[inline(always)]
            unsafe fn zip(self, $right: Self) -> [Self; 2] {
                let $left = self;
                // SAFETY: the caller's.
                unsafe { $zip }
            }

            #[inline(always)]
            unsafe fn store_sums($of: [Self; 4], to: *mut $element) {
                // SAFETY: the caller's.
                unsafe { $store_sums(to, $sums) }
            }

            $($rest)*
        }
    };
}

pub(super) use {set, vector};
