// SPDX-License-Identifier: MIT

//! libsamplerate.

use std::ffi::{c_double, c_int, c_long, c_void};

use super::Converter;
use super::library::Library;

/// `SRC_DATA`.
#[repr(C)]
struct Data {
    data_in: *const f32,
    data_out: *mut f32,
    input_frames: c_long,
    output_frames: c_long,
    input_frames_used: c_long,
    output_frames_gen: c_long,
    end_of_input: c_int,
    src_ratio: c_double,
}

/// `SRC_SINC_MEDIUM_QUALITY` and `SRC_SINC_FASTEST`.
#[derive(Clone, Copy)]
pub enum Sinc {
    Medium = 1,
    Fastest = 2,
}

pub struct SampleRate {
    state: *mut c_void,
    process: unsafe extern "C" fn(*mut c_void, *mut Data) -> c_int,
    delete: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    channels: usize,
    rates: (u32, u32),
    /// Frames in and out so far, and the worst delay in seconds.
    frames: (u64, u64),
    delay: f64,
}

impl SampleRate {
    pub fn new(rates: (u32, u32), channels: usize, sinc: Sinc) -> Result<Self, String> {
        let library = Library::open(&[c"libsamplerate.so.0"], "libsamplerate0")?;
        // SAFETY: these are the types in samplerate.h of 0.1.9 and 0.2.
        unsafe {
            let create: unsafe extern "C" fn(c_int, c_int, *mut c_int) -> *mut c_void =
                library.function(c"src_new")?;
            let mut error = 0;
            let state = create(sinc as c_int, channels as c_int, &mut error);
            if state.is_null() {
                return Err(format!("libsamplerate refuses, with error {error}"));
            }
            Ok(Self {
                state,
                process: library.function(c"src_process")?,
                delete: library.function(c"src_delete")?,
                channels,
                rates,
                frames: (0, 0),
                delay: 0.0,
            })
        }
    }
}

impl Converter for SampleRate {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        let mut data = Data {
            data_in: input.as_ptr(),
            data_out: output.as_mut_ptr(),
            input_frames: (input.len() / self.channels) as c_long,
            output_frames: (output.len() / self.channels) as c_long,
            input_frames_used: 0,
            output_frames_gen: 0,
            end_of_input: 0,
            src_ratio: f64::from(self.rates.1) / f64::from(self.rates.0),
        };
        // SAFETY: both buffers are as long as stated.
        let error = unsafe { (self.process)(self.state, &mut data) };
        assert!(
            error == 0 && data.input_frames_used == data.input_frames,
            "some was held back"
        );
        self.frames.0 += data.input_frames as u64;
        self.frames.1 += data.output_frames_gen as u64;
        let time = |frames: u64, rate: u32| frames as f64 / f64::from(rate);
        let behind = time(self.frames.0, self.rates.0) - time(self.frames.1, self.rates.1);
        self.delay = self.delay.max(behind);
        data.output_frames_gen as usize * self.channels
    }

    /// It tells none; its first output frame is that of the first input frame, so that what is missing of
    /// the output is its delay.
    fn latency(&self) -> f64 {
        self.delay
    }
}

impl Drop for SampleRate {
    fn drop(&mut self) {
        // SAFETY: made once, deleted once.
        unsafe { (self.delete)(self.state) };
    }
}
