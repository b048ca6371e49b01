// SPDX-License-Identifier: MIT

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

/// Bytes after the last whole frame of a buffer, which belong to a frame that is cut in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a buffer of {size} bytes is no whole number of frames of {bpf} bytes: {rest} of the last are too \
     many; `rawaudioparse use-sink-caps=true` in front cuts between frames"
)]
pub struct Partial {
    size: usize,
    bpf: usize,
    rest: usize,
}

impl Partial {
    /// Whether `buffer` holds whole frames of `bpf` bytes.
    ///
    /// # Errors
    /// It does not.
    #[inline]
    pub fn check(buffer: &gst::BufferRef, bpf: u32) -> Result<(), Self> {
        let (size, bpf) = (buffer.size(), bpf.max(1) as usize);
        match size % bpf {
            0 => Ok(()),
            // The planes need not fill the memory.
            _ if buffer.meta::<gst_audio::AudioMeta>().is_some() => Ok(()),
            rest => Err(Self { size, bpf, rest }),
        }
    }
}

/// `buffer` with a meta that says where its planes lie: one after the other if it has none.
#[inline]
pub fn with_planes(mut buffer: gst::Buffer, info: &gst_audio::AudioInfo) -> gst::Buffer {
    if info.layout() == gst_audio::AudioLayout::NonInterleaved
        && buffer.meta::<gst_audio::AudioMeta>().is_none()
    {
        let frames = frames(&buffer, info.bpf()) as usize;
        // None is left out but for a buffer of nothing, which has no planes to be found.
        let _ = gst_audio::AudioMeta::add(buffer.make_mut(), info, frames, &[]);
    }
    buffer
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
    fn planes_without_a_meta_lie_one_after_the_other() {
        gst::init().unwrap();
        let info = |layout| {
            gst_audio::AudioInfo::builder(gst_audio::AudioFormat::S16le, 48_000, 2)
                .layout(layout)
                .build()
                .unwrap()
        };
        let planar = info(gst_audio::AudioLayout::NonInterleaved);
        let buffer = with_planes(gst::Buffer::with_size(43).unwrap(), &planar);
        let meta = buffer.meta::<gst_audio::AudioMeta>().unwrap();
        assert_eq!((meta.samples(), meta.offsets()), (10, &[0, 20][..]));
        // What is there stays.
        let mut buffer = gst::Buffer::with_size(40).unwrap();
        let b = buffer.get_mut().unwrap();
        gst_audio::AudioMeta::add(b, &planar, 8, &[20, 0]).unwrap();
        let buffer = with_planes(buffer, &planar);
        assert_eq!(frames(&buffer, 4), 8);
        let nothing = with_planes(gst::Buffer::new(), &planar);
        assert_eq!(frames(&nothing, 4), 0);
        let interleaved = info(gst_audio::AudioLayout::Interleaved);
        let buffer = with_planes(gst::Buffer::with_size(40).unwrap(), &interleaved);
        assert!(buffer.meta::<gst_audio::AudioMeta>().is_none());
    }

    #[test]
    fn half_frames_are_told_by_size() {
        gst::init().unwrap();
        let check = |size, bpf| Partial::check(&gst::Buffer::with_size(size).unwrap(), bpf);
        assert_eq!(check(40, 4), Ok(()));
        assert_eq!(check(0, 4), Ok(()));
        let text = check(43, 4).unwrap_err().to_string();
        assert!(
            text.contains("43 bytes") && text.contains("frames of 4 bytes: 3 of"),
            "{text}"
        );
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
