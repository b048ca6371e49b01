//! GStreamer's sample formats as those of the signal processing.

use super::timeline::frames_to_time;
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

/// The part of `buffer` that lies in `segment`; `None` where nothing does. `rate` and `bpf` are those of
/// its frames.
pub fn clip(
    buffer: gst::Buffer,
    segment: Option<&gst::FormattedSegment<gst::ClockTime>>,
    rate: u32,
    bpf: u32,
) -> Option<gst::Buffer> {
    let (Some(segment), Some(pts)) = (segment, buffer.pts()) else {
        return Some(buffer);
    };
    // Nearly every buffer lies within the segment as a whole.
    let ends_by = |stop| pts.saturating_add(frames_to_time(frames(&buffer, bpf), rate)) <= stop;
    if segment.start().is_none_or(|start| pts >= start) && segment.stop().is_none_or(ends_by) {
        return Some(buffer);
    }
    gst_audio::audio_buffer_clip(buffer, segment.upcast_ref(), rate, bpf)
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
