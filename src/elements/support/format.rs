//! GStreamer's sample formats as those of the signal processing.

use crate::dsp::convert::SampleFormat;

/// The sample format of `format`; `None` for `Unknown`, `Encoded` and formats that a newer
/// GStreamer may add.
pub fn sample_format(format: gst_audio::AudioFormat) -> Option<SampleFormat> {
    SampleFormat::from_name(format.to_str().as_str())
}

/// Frames in `buffer`, of which one is `bpf` bytes. That of planes is in their meta: clipping leaves the
/// memory as it is, and planes may have padding.
#[inline]
pub fn frames(buffer: &gst::BufferRef, bpf: u32) -> u64 {
    match buffer.meta::<gst_audio::AudioMeta>() {
        Some(meta) => meta.samples() as u64,
        None => buffer.size() as u64 / u64::from(bpf.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_gstreamer() {
        gst::init().unwrap();
        for (name, format) in SampleFormat::ALL {
            let theirs = gst_audio::AudioFormat::from_string(name);
            let info = gst_audio::AudioFormatInfo::from_format(theirs);
            assert_eq!(sample_format(theirs), Some(format), "{name}");
            assert_eq!(format.name(), name);
            assert_eq!(info.width() as usize, format.size() * 8, "{name}");
            assert_eq!(info.depth(), format.depth as u32, "{name}");
            assert_eq!(info.is_float(), format.is_float(), "{name}");
        }
        assert_eq!(sample_format(gst_audio::AudioFormat::Unknown), None);
    }
}
