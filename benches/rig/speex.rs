// SPDX-License-Identifier: MIT

//! speexdsp's resampler.

use std::ffi::{c_int, c_void};

use super::Converter;
use super::library::Library;

type Create = unsafe extern "C" fn(u32, u32, u32, c_int, *mut c_int) -> *mut c_void;
type Process = unsafe extern "C" fn(*mut c_void, *const f32, *mut u32, *mut f32, *mut u32) -> c_int;

/// At one of its qualities, 0 to 10.
pub struct Speex {
    state: *mut c_void,
    process: Process,
    delay: unsafe extern "C" fn(*mut c_void) -> c_int,
    destroy: unsafe extern "C" fn(*mut c_void),
    channels: usize,
    rate: u32,
}

impl Speex {
    pub fn new(rates: (u32, u32), channels: usize, quality: u8) -> Result<Self, String> {
        let library = Library::open(&[c"libspeexdsp.so.1"], "libspeexdsp1")?;
        // SAFETY: these are the types in speex_resampler.h of 1.2.
        unsafe {
            let create: Create = library.function(c"speex_resampler_init")?;
            let this = Self {
                process: library.function(c"speex_resampler_process_interleaved_float")?,
                delay: library.function(c"speex_resampler_get_input_latency")?,
                destroy: library.function(c"speex_resampler_destroy")?,
                state: create(
                    channels as u32,
                    rates.0,
                    rates.1,
                    quality.into(),
                    std::ptr::null_mut(),
                ),
                channels,
                rate: rates.0,
            };
            match this.state.is_null() {
                true => Err("speexdsp refuses the rates".into()),
                false => Ok(this),
            }
        }
    }
}

impl Converter for Speex {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        let frames = (input.len() / self.channels) as u32;
        let (mut taken, mut made) = (frames, (output.len() / self.channels) as u32);
        // SAFETY: both buffers are as long as stated.
        let error = unsafe {
            (self.process)(
                self.state,
                input.as_ptr(),
                &mut taken,
                output.as_mut_ptr(),
                &mut made,
            )
        };
        assert!(error == 0 && taken == frames, "some was held back");
        made as usize * self.channels
    }

    fn latency(&self) -> f64 {
        // SAFETY: alive.
        unsafe { f64::from((self.delay)(self.state)) / f64::from(self.rate) }
    }
}

impl Drop for Speex {
    fn drop(&mut self) {
        if !self.state.is_null() {
            // SAFETY: made once, destroyed once.
            unsafe { (self.destroy)(self.state) }
        }
    }
}
