// SPDX-License-Identifier: MIT

//! GStreamer's formats and layouts as those of the signal processing.

use crate::dsp::Layout;
use crate::dsp::convert::SampleFormat;

/// The sample format of `format`; `None` for `Unknown`, `Encoded` and formats that a newer
/// GStreamer may add.
pub fn sample_format(format: gst_audio::AudioFormat) -> Option<SampleFormat> {
    SampleFormat::from_name(format.to_str().as_str())
}

/// How audio that caps say `info` of lies in buffers.
pub fn layout(info: &gst_audio::AudioInfo) -> Layout {
    match info.layout() {
        gst_audio::AudioLayout::NonInterleaved => Layout::Planar,
        _ => Layout::Interleaved,
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
