//! GStreamer's own `GstAudioConverter`, to compare with.
#![allow(dead_code)] // every binary uses its own part

use std::ptr;

use gst::glib::translate::{IntoGlibPtr, ToGlibPtr};
use gst_audio::ffi;

/// A `GstAudioConverter`, for the formats that were given to [`Stock::new`].
pub struct Stock {
    converter: *mut ffi::GstAudioConverter,
    input: gst_audio::AudioInfo,
    output: gst_audio::AudioInfo,
}

fn planes(
    data: *mut u8,
    info: &gst_audio::AudioInfo,
    frames: usize,
    pointers: &mut [gst::glib::ffi::gpointer; 64],
) {
    let channels = info.channels() as usize;
    let planar = info.layout() == gst_audio::AudioLayout::NonInterleaved;
    let bytes = frames * info.bpf() as usize / channels;
    for (c, p) in pointers.iter_mut().enumerate() {
        let offset = if planar && c < channels { c * bytes } else { 0 };
        *p = data.wrapping_add(offset).cast();
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
            input: input.clone(),
            output: output.clone(),
        })
    }

    /// Converts `frames` of `src` to `dst`; planes one after the other.
    pub fn convert(&mut self, src: &[u8], dst: &mut [u8], frames: usize) {
        assert!(src.len() >= frames * self.input.bpf() as usize);
        assert!(dst.len() >= frames * self.output.bpf() as usize);
        let (mut from, mut to) = ([ptr::null_mut(); 64], [ptr::null_mut(); 64]);
        planes(src.as_ptr().cast_mut(), &self.input, frames, &mut from);
        planes(dst.as_mut_ptr(), &self.output, frames, &mut to);
        // SAFETY: the planes lie within `src` and `dst` by the assertions above; without the flag
        // that says so, the input is not written to.
        let ok = unsafe {
            ffi::gst_audio_converter_samples(
                self.converter,
                ffi::GST_AUDIO_CONVERTER_FLAG_NONE,
                from.as_mut_ptr(),
                frames,
                to.as_mut_ptr(),
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
