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
/// its frames. A duration that is not theirs is mended where something is cut off: GStreamer's clipping
/// goes by it, and would cut off more than there is.
pub fn clip(
    mut buffer: gst::Buffer,
    segment: Option<&gst::FormattedSegment<gst::ClockTime>>,
    rate: u32,
    bpf: u32,
) -> Option<gst::Buffer> {
    let (Some(segment), Some(pts)) = (segment, buffer.pts()) else {
        return Some(buffer);
    };
    let duration = |buffer: &gst::BufferRef| frames_to_time(frames(buffer, bpf), rate);
    // Nearly every buffer lies within the segment as a whole.
    let ends_by = |stop| pts.saturating_add(duration(&buffer)) <= stop;
    if segment.start().is_none_or(|start| pts >= start) && segment.stop().is_none_or(ends_by) {
        return Some(buffer);
    }
    let duration = duration(&buffer);
    if buffer.duration() != Some(duration) {
        buffer.make_mut().set_duration(duration);
    }
    gst_audio::audio_buffer_clip(buffer, segment.upcast_ref(), rate, bpf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_goes_by_the_frames() {
        gst::init().unwrap();
        let ms = gst::ClockTime::from_mseconds;
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(ms(105));
        segment.set_stop(ms(118));
        // 10 ms at 48 kHz from `at` on, whatever the duration says.
        for duration in [None, Some(ms(10)), Some(ms(1)), Some(ms(40))] {
            let clipped = |at| {
                let mut buffer = gst::Buffer::with_size(960).unwrap();
                let b = buffer.get_mut().unwrap();
                b.set_pts(ms(at));
                b.set_duration(duration);
                let buffer = clip(buffer, Some(&segment), 48_000, 2)?;
                Some((buffer.pts().unwrap(), buffer.size() / 96))
            };
            assert_eq!(clipped(80), None);
            assert_eq!(clipped(100), Some((ms(105), 5)));
            assert_eq!(clipped(106), Some((ms(106), 10)));
            assert_eq!(clipped(110), Some((ms(110), 8)));
            assert_eq!(clipped(120), None);
        }
        let mut buffer = gst::Buffer::with_size(960).unwrap();
        assert!(clip(buffer.clone(), Some(&segment), 48_000, 2).is_some());
        buffer.get_mut().unwrap().set_pts(ms(0));
        assert!(clip(buffer, None, 48_000, 2).is_some());
    }

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
