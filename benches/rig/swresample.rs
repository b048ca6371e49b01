// SPDX-License-Identifier: MIT

//! FFmpeg's libswresample: resampling, and conversion at one rate.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;

use super::Converter;
use super::library::Library;

type Convert =
    unsafe extern "C" fn(*mut c_void, *mut *mut u8, c_int, *mut *const u8, c_int) -> c_int;
type SetOption = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, c_int) -> c_int;

/// Libraries of FFmpeg 5 to 8; before 5.1 layouts of channels were given otherwise.
const NAMES: [&CStr; 3] = [
    c"libswresample.so.4",
    c"libswresample.so.5",
    c"libswresample.so.6",
];

/// A context, between frames whose planes lie one after the other.
pub struct Context {
    context: *mut c_void,
    convert: Convert,
    delay: unsafe extern "C" fn(*mut c_void, i64) -> i64,
    free: unsafe extern "C" fn(*mut *mut c_void),
    /// Planes and bytes of a frame in each, of input and output.
    sides: [(usize, usize); 2],
}

/// One side of a context: `format` as FFmpeg names it (`flt`, `fltp`), and its `layout` (`stereo`).
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub format: &'a str,
    pub rate: u32,
    pub layout: &'a str,
}

impl Side<'_> {
    fn planes(&self) -> (usize, usize) {
        let channels = match self.layout {
            "mono" => 1,
            "stereo" => 2,
            _ => 6,
        };
        let bytes = match self.format.trim_end_matches('p') {
            "u8" => 1,
            "s16" => 2,
            "dbl" => 8,
            _ => 4,
        };
        match self.format.ends_with('p') {
            true => (channels, bytes),
            false => (1, channels * bytes),
        }
    }
}

impl Context {
    /// `options` are those of `ffmpeg -h filter=aresample`; why not, where the library is missing or refuses.
    pub fn new(from: Side, to: Side, options: &[(&str, &str)]) -> Result<Self, String> {
        let library = Library::open(&NAMES, "libswresample4")?;
        // SAFETY: these are the types in swresample.h and opt.h of FFmpeg 5.1 and later.
        unsafe {
            let alloc: unsafe extern "C" fn() -> *mut c_void = library.function(c"swr_alloc")?;
            let init: unsafe extern "C" fn(*mut c_void) -> c_int = library.function(c"swr_init")?;
            let set: SetOption = library.function(c"av_opt_set")?;
            let this = Self {
                context: alloc(),
                convert: library.function(c"swr_convert")?,
                delay: library.function(c"swr_get_delay")?,
                free: library.function(c"swr_free")?,
                sides: [from.planes(), to.planes()],
            };
            let rates = [from.rate.to_string(), to.rate.to_string()];
            let own = [
                ("in_chlayout", from.layout),
                ("out_chlayout", to.layout),
                ("in_sample_fmt", from.format),
                ("out_sample_fmt", to.format),
                ("in_sample_rate", &rates[0]),
                ("out_sample_rate", &rates[1]),
            ];
            for (name, value) in own.iter().chain(options) {
                let [key, word] = [name, value].map(|s| CString::new(*s).expect("no zero byte"));
                if set(this.context, key.as_ptr(), word.as_ptr(), 0) < 0 {
                    return Err(format!("libswresample refuses {name}={value}"));
                }
            }
            match init(this.context) {
                0 => Ok(this),
                _ => Err("libswresample refuses the conversion".into()),
            }
        }
    }

    /// Converts all of `input`: frames made. Whatever finds no room waits for the next call.
    pub fn run<I: Copy, O: Copy>(&mut self, input: &[I], output: &mut [O]) -> usize {
        let [from, to] = self.sides;
        let (bytes, room) = (size_of_val(input), size_of_val(output));
        let mut source = [std::ptr::null(); 8];
        for (i, plane) in source[..from.0].iter_mut().enumerate() {
            *plane = input
                .as_ptr()
                .cast::<u8>()
                .wrapping_add(i * (bytes / from.0));
        }
        let mut target = [std::ptr::null_mut(); 8];
        for (i, plane) in target[..to.0].iter_mut().enumerate() {
            *plane = output
                .as_mut_ptr()
                .cast::<u8>()
                .wrapping_add(i * (room / to.0));
        }
        let frames = |bytes: usize, side: (usize, usize)| (bytes / side.0 / side.1) as c_int;
        // SAFETY: the planes are as long as stated.
        let made = unsafe {
            (self.convert)(
                self.context,
                target.as_mut_ptr(),
                frames(room, to),
                source.as_mut_ptr(),
                frames(bytes, from),
            )
        };
        usize::try_from(made).expect("swr_convert")
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made once, freed once.
        unsafe { (self.free)(&mut self.context) }
    }
}

/// Its resampler, in planes, which is what it works in: those of a stereo buffer lie one after the other.
pub struct Swr<T> {
    context: Context,
    channels: usize,
    sample: PhantomData<T>,
}

impl<T> Swr<T> {
    /// With a filter of so many taps in place of its 32.
    pub fn new(rates: (u32, u32), channels: usize, taps: Option<u32>) -> Result<Self, String> {
        let side = |rate| Side {
            format: if size_of::<T>() == 2 { "s16p" } else { "fltp" },
            rate,
            layout: if channels == 1 { "mono" } else { "stereo" },
        };
        let size = taps.map(|t| t.to_string());
        let options: Vec<_> = size.iter().map(|s| ("filter_size", s.as_str())).collect();
        Ok(Self {
            context: Context::new(side(rates.0), side(rates.1), &options)?,
            channels,
            sample: PhantomData,
        })
    }
}

impl<T: Copy> Converter<T> for Swr<T> {
    fn process(&mut self, input: &[T], output: &mut [T]) -> usize {
        self.context.run(input, output) * self.channels
    }

    fn latency(&self) -> f64 {
        // SAFETY: alive.
        unsafe { (self.context.delay)(self.context.context, 1_000_000_000) as f64 / 1e9 }
    }
}
