// SPDX-License-Identifier: MIT

//! This crate's resampler, GStreamer's and libsoxr's.

use std::ffi::{c_char, c_double, c_int, c_uint, c_ulong, c_void};

use gstrustaudio::dsp::Level;
use gstrustaudio::dsp::convert::SampleFormat;
use gstrustaudio::dsp::resample::{EngineChoice, Output, Resampler, Spec, Stream};
use gstrustaudio::dsp::{Frames, Layout};

use super::Converter;
use super::library::Library;

/// This crate's.
pub struct Own {
    resampler: Resampler<f32>,
    channels: usize,
    rate: u32,
}

impl Own {
    pub fn new(spec: &Spec) -> Self {
        Self::with_level(spec, Level::best())
    }

    pub fn with_level(spec: &Spec, level: Level) -> Self {
        Self {
            resampler: Resampler::with_level(spec, level).unwrap(),
            channels: spec.channels,
            rate: spec.in_rate,
        }
    }

    pub fn engine(&self) -> &'static str {
        self.resampler.kind().name()
    }
}

/// `quality` between `rates` with any latency.
pub fn free(rates: (u32, u32), channels: usize, quality: u8) -> Spec {
    Spec {
        quality,
        max_latency: Some(u64::MAX),
        ..Spec::new(rates.0, rates.1, channels)
    }
}

/// The quality whose pass band is as wide as libsoxr HQ's, with no more delay than it has.
pub fn like_soxr(rates: (u32, u32), channels: usize) -> Spec {
    let ms = match rates {
        (48_000, 16_000) | (16_000, 48_000) => 8.2,
        (44_100, 48_000) => 7.1,
        (48_000, 44_100) => 16.5,
        (44_100, 16_000) | (22_050, 16_000) => 32.6,
        (96_000, 48_000) => 13.5,
        (8000, 48_000) => 100.0,
        _ => f64::INFINITY,
    };
    Spec {
        max_latency: Some((ms * f64::from(rates.0) / 1e3) as u64),
        ..free(rates, channels, 8)
    }
}

/// `quality` between `rates` by one engine.
pub fn engine(rates: (u32, u32), channels: usize, quality: u8, engine: EngineChoice) -> Spec {
    Spec {
        quality,
        engine,
        ..Spec::new(rates.0, rates.1, channels)
    }
}

impl Converter for Own {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        let channels = self.channels;
        let frames = input.len() / channels;
        let paired = channels == 2
            && self.resampler.push2(frames, |[left, right]| {
                let samples = input.as_chunks::<2>().0;
                for (frame, (l, r)) in samples.iter().zip(left.iter_mut().zip(right)) {
                    [*l, *r] = *frame;
                }
            });
        if !paired {
            self.resampler.push(frames, |c, plane| match channels {
                1 => plane.copy_from_slice(input),
                _ => {
                    for (to, frame) in plane.iter_mut().zip(input.chunks_exact(channels)) {
                        *to = frame[c];
                    }
                }
            });
        }
        let frames = self.resampler.available();
        let made = frames * channels;
        self.resampler.pull(
            &mut Output::interleaved(&mut output[..made], channels),
            frames,
        );
        made
    }

    fn latency(&self) -> f64 {
        self.resampler.latency() as f64 / f64::from(self.rate)
    }
}

/// This crate's between 16-bit samples.
pub struct OwnS16 {
    stream: Stream,
    channels: usize,
    rate: u32,
}

impl OwnS16 {
    pub fn new(spec: &Spec) -> Self {
        let stream = Stream::new(spec, SampleFormat::S16LE, Layout::Interleaved, false);
        Self {
            stream: stream.unwrap(),
            channels: spec.channels,
            rate: spec.in_rate,
        }
    }
}

impl Converter<i16> for OwnS16 {
    fn process(&mut self, input: &[i16], output: &mut [i16]) -> usize {
        let frames = input.len() / self.channels;
        // SAFETY: the same samples as bytes, of which each has a value.
        let bytes = unsafe { input.align_to::<u8>().1 };
        let input = Frames::interleaved(bytes, frames);
        self.stream.push(input).expect("all of them");
        let frames = self.stream.available();
        let made = frames * self.channels;
        // SAFETY: the same room as bytes; whatever they are, two of them are a sample.
        let room = unsafe { output[..made].align_to_mut::<u8>().1 };
        self.stream.pull(frames, room);
        made
    }

    fn latency(&self) -> f64 {
        self.stream.latency() as f64 / f64::from(self.rate)
    }
}

/// A converter of 16-bit samples for the meter, which has `f32`; not to be timed.
pub struct Quantised(pub Box<dyn Converter<i16>>);

impl Converter for Quantised {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        let nearest = input.iter().map(|v| (v * 32_768.0).round() as i16);
        let mut samples = vec![0; output.len()];
        let made = self.0.process(&nearest.collect::<Vec<_>>(), &mut samples);
        for (to, sample) in output.iter_mut().zip(&samples[..made]) {
            *to = f32::from(*sample) / 32_768.0;
        }
        made
    }

    fn latency(&self) -> f64 {
        self.0.latency()
    }
}

/// GStreamer's `GstAudioResampler`, as `audioresample` sets it up.
pub struct Gst {
    resampler: *mut gst_audio::ffi::GstAudioResampler,
    channels: usize,
    rate: u32,
}

impl Gst {
    /// Between `f32`.
    pub fn new(rates: (u32, u32), channels: usize, quality: u8) -> Self {
        Self::with_format(gst_audio::AudioFormat::F32le, rates, channels, quality)
    }

    fn with_format(
        format: gst_audio::AudioFormat,
        rates: (u32, u32),
        channels: usize,
        quality: u8,
    ) -> Self {
        let options = gst::Structure::new_empty("options");
        let (i, o) = (rates.0 as c_int, rates.1 as c_int);
        // SAFETY: arguments are in the documented ranges; the options are copied.
        let resampler = unsafe {
            use gst::glib::translate::ToGlibPtr;
            let method = gst_audio::ffi::GST_AUDIO_RESAMPLER_METHOD_KAISER;
            let pointer: *const gst::ffi::GstStructure = options.to_glib_none().0;
            let pointer = pointer.cast_mut();
            gst_audio::ffi::gst_audio_resampler_options_set_quality(
                method,
                quality.into(),
                i,
                o,
                pointer,
            );
            gst_audio::ffi::gst_audio_resampler_new(
                method,
                gst_audio::ffi::GST_AUDIO_RESAMPLER_FLAG_NONE,
                format.into_glib(),
                channels as c_int,
                i,
                o,
                pointer,
            )
        };
        Self {
            resampler,
            channels,
            rate: rates.0,
        }
    }

    /// Frames of delay at the input rate.
    pub fn delay(&self) -> usize {
        // SAFETY: the resampler lives as long as this.
        unsafe { gst_audio::ffi::gst_audio_resampler_get_max_latency(self.resampler) }
    }

    /// Output frames of the next `frames` of input.
    pub fn frames(&self, frames: usize) -> usize {
        // SAFETY: as above.
        unsafe { gst_audio::ffi::gst_audio_resampler_get_out_frames(self.resampler, frames) }
    }
}

use gst::glib::translate::IntoGlib;

impl Gst {
    /// Converts samples of the format that this is for: samples made.
    fn convert<T: Copy>(&mut self, input: &[T], output: &mut [T]) -> usize {
        let frames_in = input.len() / self.channels;
        let frames = self.frames(frames_in);
        let made = frames * self.channels;
        let mut from = [input.as_ptr().cast_mut().cast::<c_void>()];
        let mut to = [output[..made].as_mut_ptr().cast::<c_void>()];
        // SAFETY: interleaved, so one pointer each; the output has room for what was announced.
        unsafe {
            gst_audio::ffi::gst_audio_resampler_resample(
                self.resampler,
                from.as_mut_ptr(),
                frames_in,
                to.as_mut_ptr(),
                frames,
            );
        }
        made
    }
}

impl Converter for Gst {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        self.convert(input, output)
    }

    fn latency(&self) -> f64 {
        self.delay() as f64 / f64::from(self.rate)
    }
}

/// The same between 16-bit samples.
pub struct GstS16(Gst);

impl GstS16 {
    pub fn new(rates: (u32, u32), channels: usize, quality: u8) -> Self {
        let format = gst_audio::AudioFormat::S16le;
        Self(Gst::with_format(format, rates, channels, quality))
    }
}

impl Converter<i16> for GstS16 {
    fn process(&mut self, input: &[i16], output: &mut [i16]) -> usize {
        self.0.convert(input, output)
    }

    fn latency(&self) -> f64 {
        self.0.latency()
    }
}

impl Drop for Gst {
    fn drop(&mut self) {
        // SAFETY: created once, freed once.
        unsafe { gst_audio::ffi::gst_audio_resampler_free(self.resampler) }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct QualitySpec {
    precision: c_double,
    phase_response: c_double,
    passband_end: c_double,
    stopband_begin: c_double,
    e: *mut c_void,
    flags: c_ulong,
}

type Create = unsafe extern "C" fn(
    c_double,
    c_double,
    c_uint,
    *mut *const c_char,
    *const c_void,
    *const QualitySpec,
    *const c_void,
) -> *mut c_void;
type Process = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    usize,
    *mut usize,
    *mut c_void,
    usize,
    *mut usize,
) -> *const c_char;

/// libsoxr at its `HQ` recipe, found at run time.
pub struct Soxr {
    soxr: *mut c_void,
    process: Process,
    delay: unsafe extern "C" fn(*mut c_void) -> c_double,
    delete: unsafe extern "C" fn(*mut c_void),
    channels: usize,
    out_rate: u32,
}

const HQ: c_ulong = 4;

impl Soxr {
    /// Why not, where this machine has no libsoxr.
    pub fn new(rates: (u32, u32), channels: usize) -> Result<Self, String> {
        let library = Library::open(&[c"libsoxr.so.0"], "libsoxr0")?;
        // SAFETY: the functions have these types in soxr.h of 0.1.x, whose ABI version is 0.
        unsafe {
            let create: Create = library.function(c"soxr_create")?;
            let quality: unsafe extern "C" fn(c_ulong, c_ulong) -> QualitySpec =
                library.function(c"soxr_quality_spec")?;
            let spec = quality(HQ, 0);
            let soxr = create(
                rates.0.into(),
                rates.1.into(),
                channels as c_uint,
                std::ptr::null_mut(),
                std::ptr::null(),
                &spec,
                std::ptr::null(),
            );
            assert!(!soxr.is_null());
            Ok(Self {
                soxr,
                process: library.function(c"soxr_process")?,
                delay: library.function(c"soxr_delay")?,
                delete: library.function(c"soxr_delete")?,
                channels,
                out_rate: rates.1,
            })
        }
    }
}

impl Converter for Soxr {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        let frames = input.len() / self.channels;
        let room = output.len() / self.channels;
        let (mut taken, mut made) = (0, 0);
        // SAFETY: both buffers are as long as stated.
        let error = unsafe {
            (self.process)(
                self.soxr,
                input.as_ptr().cast(),
                frames,
                &mut taken,
                output.as_mut_ptr().cast(),
                room,
                &mut made,
            )
        };
        // A full output would mean that some was held back.
        assert!(error.is_null() && taken == frames && made < room);
        made * self.channels
    }

    fn latency(&self) -> f64 {
        // SAFETY: alive.
        unsafe { (self.delay)(self.soxr) / f64::from(self.out_rate) }
    }
}

impl Drop for Soxr {
    fn drop(&mut self) {
        // SAFETY: created once, deleted once.
        unsafe { (self.delete)(self.soxr) }
    }
}
