// SPDX-License-Identifier: MIT

//! Memory that will be read soon.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

/// Bytes that come from memory at a time.
const LINE: usize = 64;

/// Has `slice` come into the cache while other work goes on.
#[inline]
pub fn prefetch<T>(slice: &[T]) {
    let start = slice.as_ptr().cast::<i8>();
    for at in (0..size_of_val(slice)).step_by(LINE) {
        fetch(start.wrapping_add(at));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch(at: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: part of every x86-64, and a hint: it reads nothing, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_at: *const i8) {}
