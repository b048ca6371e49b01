// SPDX-License-Identifier: MIT

//! zita-resampler, a class of C++.

use std::ffi::{c_int, c_uint, c_void};

use super::Converter;
use super::library::Library;

/// Its public members come first, and are where input and output are told.
#[repr(C)]
struct Resampler {
    inp_count: c_uint,
    out_count: c_uint,
    inp_data: *const f32,
    out_data: *mut f32,
    /// What else is in it, of which version 1.8 needs 144 bytes.
    rest: [u64; 64],
}

/// `Resampler` with a filter of `hlen` frames of the lower rate to each side.
pub struct Zita {
    resampler: Box<Resampler>,
    process: unsafe extern "C" fn(*mut Resampler) -> c_int,
    end: unsafe extern "C" fn(*mut Resampler),
    delay: f64,
    channels: usize,
}

impl Zita {
    pub fn new(rates: (u32, u32), channels: usize, hlen: u32) -> Result<Self, String> {
        let library = Library::open(&[c"libzita-resampler.so.1"], "libzita-resampler1")?;
        // SAFETY: these are members of a class without virtual functions, in resampler.h of version 1.8;
        // `this` is their first argument.
        unsafe {
            let begin: unsafe extern "C" fn(*mut Resampler) =
                library.function(c"_ZN9ResamplerC1Ev")?;
            let setup: unsafe extern "C" fn(
                *mut Resampler,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
            ) -> c_int = library.function(c"_ZN9Resampler5setupEjjjj")?;
            let size: unsafe extern "C" fn(*const c_void) -> c_int =
                library.function(c"_ZNK9Resampler7inpsizeEv")?;
            let mut this = Self {
                resampler: Box::new(std::mem::zeroed()),
                process: library.function(c"_ZN9Resampler7processEv")?,
                end: library.function(c"_ZN9ResamplerD1Ev")?,
                delay: 0.0,
                channels,
            };
            begin(&mut *this.resampler);
            if setup(
                &mut *this.resampler,
                rates.0,
                rates.1,
                channels as c_uint,
                hlen,
            ) != 0
            {
                return Err("zita-resampler refuses the rates".into());
            }
            let taps = size((&raw const *this.resampler).cast());
            this.delay = f64::from(taps) / 2.0 / f64::from(rates.0);
            Ok(this)
        }
    }
}

impl Converter for Zita {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        let room = output.len() / self.channels;
        self.resampler.inp_count = (input.len() / self.channels) as c_uint;
        self.resampler.inp_data = input.as_ptr();
        self.resampler.out_count = room as c_uint;
        self.resampler.out_data = output.as_mut_ptr();
        // SAFETY: both buffers are as long as stated.
        unsafe { (self.process)(&mut *self.resampler) };
        assert_eq!(self.resampler.inp_count, 0, "some was held back");
        (room - self.resampler.out_count as usize) * self.channels
    }

    fn latency(&self) -> f64 {
        self.delay
    }
}

impl Drop for Zita {
    fn drop(&mut self) {
        // SAFETY: constructed once, destroyed once.
        unsafe { (self.end)(&mut *self.resampler) }
    }
}
