// SPDX-License-Identifier: MIT

//! GStreamer's own `GstAudioConverter`, to compare with.
#![allow(dead_code)] // every binary uses its own part

use std::ptr;

use gst::glib::translate::{IntoGlibPtr, ToGlibPtr};
use gst_audio::ffi;

/// A `GstAudioConverter`, for the formats that were given to [`Stock::new`].
pub struct Stock {
    converter: *mut ffi::GstAudioConverter,
    input: Planes,
    output: Planes,
}

/// Where the planes of one side are, in pointers that are made once.
struct Planes {
    pointers: Vec<gst::glib::ffi::gpointer>,
    /// Bytes of a frame in one plane, and in all.
    step: usize,
    frame: usize,
}

impl Planes {
    fn new(info: &gst_audio::AudioInfo) -> Self {
        let planes = match info.layout() {
            gst_audio::AudioLayout::NonInterleaved => info.channels() as usize,
            _ => 1,
        };
        let frame = info.bpf() as usize;
        Self {
            pointers: vec![ptr::null_mut(); planes],
            step: frame / planes,
            frame,
        }
    }

    fn point(&mut self, data: *mut u8, frames: usize) -> *mut gst::glib::ffi::gpointer {
        for (c, p) in self.pointers.iter_mut().enumerate() {
            *p = data.wrapping_add(c * frames * self.step).cast();
        }
        self.pointers.as_mut_ptr()
    }
}

impl Stock {
    /// `None` where it refuses.
    pub fn new(
        input: &gst_audio::AudioInfo,
        output: &gst_audio::AudioInfo,
        dither: gst_audio::AudioDitherMethod,
        shaping: gst_audio::AudioNoiseShapingMethod,
        matrix: Option<&[Vec<f32>]>,
    ) -> Option<Self> {
        let mut config = gst_audio::AudioConverterConfig::new();
        config.set_dither_method(dither);
        config.set_noise_shaping_method(shaping);
        if let Some(matrix) = matrix {
            config.set_mix_matrix(matrix);
        }
        let config: gst::Structure = config.into();
        // SAFETY: both infos live through the call, which copies them; the config is given away.
        let converter = unsafe {
            ffi::gst_audio_converter_new(
                ffi::GST_AUDIO_CONVERTER_FLAG_NONE,
                input.to_glib_none().0 as *mut _,
                output.to_glib_none().0 as *mut _,
                config.into_glib_ptr(),
            )
        };
        (!converter.is_null()).then(|| Self {
            converter,
            input: Planes::new(input),
            output: Planes::new(output),
        })
    }

    /// Converts `frames` of `src` to `dst`; planes one after the other.
    pub fn convert(&mut self, src: &[u8], dst: &mut [u8], frames: usize) {
        assert!(src.len() >= frames * self.input.frame);
        // SAFETY: without the flag that says so, the input is not written to.
        unsafe {
            self.samples(
                ffi::GST_AUDIO_CONVERTER_FLAG_NONE,
                src.as_ptr().cast_mut(),
                dst,
                frames,
            );
        }
    }

    /// The same with `src` as room to work in, as audioconvert does it with buffers that are its own:
    /// what is left in there afterwards is undefined.
    pub fn convert_using(&mut self, src: &mut [u8], dst: &mut [u8], frames: usize) {
        assert!(src.len() >= frames * self.input.frame);
        // SAFETY: the input may be written to.
        unsafe {
            self.samples(
                ffi::GST_AUDIO_CONVERTER_FLAG_IN_WRITABLE,
                src.as_mut_ptr(),
                dst,
                frames,
            );
        }
    }

    /// # Safety
    /// `src` holds `frames` of the input, and may be written to if `flags` say so.
    unsafe fn samples(
        &mut self,
        flags: ffi::GstAudioConverterFlags,
        src: *mut u8,
        dst: &mut [u8],
        frames: usize,
    ) {
        assert!(dst.len() >= frames * self.output.frame);
        // SAFETY: the planes lie within `src`, by the caller's word, and within `dst`.
        let ok = unsafe {
            ffi::gst_audio_converter_samples(
                self.converter,
                flags,
                self.input.point(src, frames),
                frames,
                self.output.point(dst.as_mut_ptr(), frames),
                frames,
            )
        };
        assert_ne!(ok, gst::glib::ffi::GFALSE);
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { ffi::gst_audio_converter_free(self.converter) }
    }
}

/// An audio info by names: format, channels, mask (0: undefined positions), layout.
pub fn info(
    format: &str,
    rate: u32,
    channels: u32,
    mask: Option<u64>,
    planar: bool,
) -> gst_audio::AudioInfo {
    let mut caps = gst::Caps::builder("audio/x-raw")
        .field("format", format)
        .field("rate", rate as i32)
        .field("channels", channels as i32)
        .field(
            "layout",
            if planar {
                "non-interleaved"
            } else {
                "interleaved"
            },
        );
    if let Some(mask) = mask {
        caps = caps.field("channel-mask", gst::Bitmask(mask));
    }
    gst_audio::AudioInfo::from_caps(&caps.build()).unwrap()
}
