// SPDX-License-Identifier: MIT

//! The frames of a buffer: how many there are, where they lie, whether they are silence.

use super::timeline::frames_to_time;
use super::transform::with_bytes;
use crate::dsp::{Frames, Outside};
use gst::prelude::MulDiv;

/// A buffer of audio on its way through an element, with what there is to know of its frames. That is
/// found out once, when the buffer comes.
#[derive(Debug)]
pub struct AudioBuffer {
    /// Planar audio of at least one frame says by its meta where its planes lie.
    pub buffer: gst::Buffer,
    /// Whole frames in it: as many as its meta says, or else as its size has. Clipping leaves the memory
    /// of planes as it is, and they may have padding.
    pub frames: u64,
    /// What is left over where the size is no whole number of frames.
    pub partial: Option<Partial>,
    planar: bool,
    described: bool,
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

/// Why the samples of a buffer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("a buffer cannot be mapped: {0}")]
    Map(#[from] gst::glib::BoolError),
    #[error("the samples of a buffer of {size} bytes lie outside of it, as its meta has them")]
    Outside { size: usize },
}

impl AudioBuffer {
    /// `buffer`, whose caps say `info`. Planes that no meta describes lie one after the other; they get
    /// one that says so. A meta of more samples than there is room for is no help: interleaved audio goes
    /// without it, and of planes only so many are looked for.
    #[inline]
    pub fn new(mut buffer: gst::Buffer, info: &gst_audio::AudioInfo) -> Self {
        let planar = info.layout() == gst_audio::AudioLayout::NonInterleaved;
        let (size, bpf) = (buffer.size(), info.bpf().max(1) as usize);
        let most = if planar {
            size / (info.bps().max(1) as usize)
        } else {
            size / bpf
        };
        let mut said = samples_said(&buffer);
        if !planar && said.is_some_and(|said| said > most) {
            remove_planes(buffer.make_mut());
            said = None;
        }
        let said = said.map(|said| said.min(most));
        let mut described = said.is_some();
        let (partial, frames) = match said {
            Some(frames) => (None, frames),
            None => {
                let rest = size % bpf;
                let partial = (rest > 0).then_some(Partial { size, bpf, rest });
                (partial, size / bpf)
            }
        };
        if planar && !described && frames > 0 {
            described = add_planes(buffer.make_mut(), info, frames).is_ok();
        }
        Self {
            buffer,
            frames: frames as u64,
            partial,
            planar,
            described,
        }
    }

    /// Whether it says of itself that it is silence.
    pub fn is_silence(&self) -> bool {
        self.buffer.flags().contains(gst::BufferFlags::GAP)
    }

    /// Whether a meta says how its samples lie.
    pub fn is_described(&self) -> bool {
        self.described
    }

    /// The part that lies in `segment`; `None` where nothing does. A duration that is missing becomes that
    /// of the frames, as in GStreamer's own elements. One that is another is mended where something is cut
    /// off: GStreamer's clipping goes by it, and would cut off more than there is.
    pub fn clip(
        mut self,
        segment: Option<&gst::FormattedSegment<gst::ClockTime>>,
        info: &gst_audio::AudioInfo,
    ) -> Option<Self> {
        let (Some(segment), Some(pts)) = (segment, self.buffer.pts()) else {
            return Some(self);
        };
        let duration = || frames_to_time(self.frames, info.rate());
        // Nearly every buffer lies within the segment as a whole.
        let ends_by = |stop| pts.saturating_add(duration()) <= stop;
        if segment.start().is_none_or(|start| pts >= start) && segment.stop().is_none_or(ends_by) {
            if self.buffer.duration().is_none() {
                // Rounded as theirs.
                let duration = gst::ClockTime::SECOND
                    .mul_div_floor(self.frames, u64::from(info.rate().max(1)))
                    .unwrap_or(gst::ClockTime::MAX);
                self.buffer.make_mut().set_duration(duration);
            }
            return Some(self);
        }
        let duration = duration();
        if self.buffer.duration() != Some(duration) {
            self.buffer.make_mut().set_duration(duration);
        }
        self.cut(segment, info)
    }

    /// See [`clip`](Self::clip).
    #[cold]
    fn cut(
        self,
        segment: &gst::FormattedSegment<gst::ClockTime>,
        info: &gst_audio::AudioInfo,
    ) -> Option<Self> {
        let (rate, bpf) = (info.rate(), info.bpf());
        let clipped = gst_audio::audio_buffer_clip(self.buffer, segment.upcast_ref(), rate, bpf)?;
        Some(Self {
            partial: self.partial,
            ..Self::new(clipped, info)
        })
    }

    /// Calls `f` with the frames as they lie in `bytes`, those of the buffer.
    pub fn look<R>(&self, bytes: &[u8], f: impl FnOnce(Frames<'_>) -> R) -> R {
        let count = self.frames as usize;
        if !self.planar {
            return f(Frames::interleaved(bytes, count));
        }
        let meta = self.buffer.meta::<gst_audio::AudioMeta>();
        let offsets = meta.as_ref().map_or(&[][..], |m| m.offsets());
        f(Frames::planar(bytes, offsets, count))
    }

    /// Calls `f` with the frames, which are silence where the buffer says so.
    ///
    /// # Errors
    /// The memory cannot be read, or what `f` says.
    pub fn read<R, E: From<gst::glib::BoolError>>(
        &self,
        f: impl FnOnce(Frames<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        if self.is_silence() {
            return f(Frames::silence(self.frames as usize));
        }
        self.read_memory(f)
    }

    /// As [`read`](Self::read), whatever the buffer says of silence.
    ///
    /// # Errors
    /// The memory cannot be read, or what `f` says.
    pub fn read_memory<R, E: From<gst::glib::BoolError>>(
        &self,
        f: impl FnOnce(Frames<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        with_bytes(&self.buffer, |bytes| self.look(bytes, f))
    }

    /// That `frames` of it lie outside of its memory, as an error of an element.
    pub fn outside(&self, _: Outside) -> ReadError {
        ReadError::Outside {
            size: self.buffer.size(),
        }
    }
}

/// Samples of each channel, by the meta of `buffer`. Nearly every buffer has no meta at all, which is soon seen.
fn samples_said(buffer: &gst::BufferRef) -> Option<usize> {
    buffer.iter_meta::<gst::Meta>().next()?;
    buffer.meta::<gst_audio::AudioMeta>().map(|m| m.samples())
}

/// Says by a meta that the planes of `buffer`, of `frames` frames, follow each other without gaps.
/// Interleaved audio needs none, and no frames have none.
///
/// # Errors
/// The buffer is too small for them.
pub fn add_planes(
    buffer: &mut gst::BufferRef,
    info: &gst_audio::AudioInfo,
    frames: usize,
) -> Result<(), gst::glib::BoolError> {
    if info.layout() == gst_audio::AudioLayout::NonInterleaved && frames > 0 {
        gst_audio::AudioMeta::add(buffer, info, frames, &[])?;
    }
    Ok(())
}

/// Takes off what says how the samples lie. A part of interleaved audio, cut out by GStreamer, keeps the
/// meta of the whole, and GStreamer's own clipping goes by it beyond the end of the memory.
fn remove_planes(buffer: &mut gst::BufferRef) {
    while let Some(meta) = buffer.meta_mut::<gst_audio::AudioMeta>() {
        if meta.remove().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::Layout;

    fn info(layout: gst_audio::AudioLayout, channels: u32) -> gst_audio::AudioInfo {
        gst::init().unwrap();
        gst_audio::AudioInfo::builder(gst_audio::AudioFormat::S16le, 48_000, channels)
            .layout(layout)
            .build()
            .unwrap()
    }

    const INTERLEAVED: gst_audio::AudioLayout = gst_audio::AudioLayout::Interleaved;
    const PLANAR: gst_audio::AudioLayout = gst_audio::AudioLayout::NonInterleaved;

    #[test]
    fn clipping_goes_by_the_frames() {
        let info = info(INTERLEAVED, 1);
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
                let clipped = AudioBuffer::new(buffer, &info).clip(Some(&segment), &info)?;
                let (pts, size) = (clipped.buffer.pts().unwrap(), clipped.buffer.size() as u64);
                assert_eq!(clipped.frames * 2, size);
                Some((pts, size / 96))
            };
            assert_eq!(clipped(80), None);
            assert_eq!(clipped(100), Some((ms(105), 5)));
            assert_eq!(clipped(106), Some((ms(106), 10)));
            assert_eq!(clipped(110), Some((ms(110), 8)));
            assert_eq!(clipped(120), None);
        }
        let mut buffer = gst::Buffer::with_size(960).unwrap();
        let clip = |buffer: &gst::Buffer, segment| {
            AudioBuffer::new(buffer.clone(), &info).clip(segment, &info)
        };
        assert!(clip(&buffer, Some(&segment)).is_some());
        buffer.get_mut().unwrap().set_pts(ms(0));
        assert!(clip(&buffer, None).is_some());
    }

    #[test]
    fn planes_without_a_meta_lie_one_after_the_other() {
        let planar = info(PLANAR, 2);
        let input = AudioBuffer::new(gst::Buffer::with_size(43).unwrap(), &planar);
        let meta = input.buffer.meta::<gst_audio::AudioMeta>().unwrap();
        assert_eq!((meta.samples(), meta.offsets()), (10, &[0, 20][..]));
        assert_eq!((input.frames, input.is_described()), (10, true));
        // What is there stays.
        let mut buffer = gst::Buffer::with_size(40).unwrap();
        let b = buffer.get_mut().unwrap();
        gst_audio::AudioMeta::add(b, &planar, 8, &[20, 0]).unwrap();
        let input = AudioBuffer::new(buffer, &planar);
        assert_eq!((input.frames, input.partial), (8, None));
        let nothing = AudioBuffer::new(gst::Buffer::new(), &planar);
        assert_eq!((nothing.frames, nothing.is_described()), (0, false));
        let interleaved = info(INTERLEAVED, 2);
        let input = AudioBuffer::new(gst::Buffer::with_size(40).unwrap(), &interleaved);
        assert!(input.buffer.meta::<gst_audio::AudioMeta>().is_none());
        assert!(!input.is_described());
    }

    #[test]
    fn frames_are_read_where_they_lie_unless_they_are_silence() {
        let samples: Vec<u8> = (0..12).collect();
        let planes = |input: &AudioBuffer, channels: usize| {
            let seen = input.read(|frames| {
                let width = 4 / channels.max(1);
                let planes = (0..channels).map(|c| frames.plane(c, width).unwrap().to_vec());
                let planes: Vec<_> = planes.collect();
                Ok::<_, gst::glib::BoolError>((frames.layout(), frames.count(), planes))
            });
            seen.unwrap()
        };
        let two = info(PLANAR, 2);
        let mut buffer = gst::Buffer::from_slice(samples.clone());
        let b = buffer.get_mut().unwrap();
        gst_audio::AudioMeta::add(b, &two, 2, &[8, 2]).unwrap();
        let mut input = AudioBuffer::new(buffer, &two);
        let expected = vec![vec![8, 9, 10, 11], vec![2, 3, 4, 5]];
        assert_eq!(planes(&input, 2), (Some(Layout::Planar), 2, expected));
        input.buffer.make_mut().set_flags(gst::BufferFlags::GAP);
        assert_eq!(planes(&input, 0), (None, 2, vec![]));
        let buffer = gst::Buffer::from_slice(samples);
        let input = AudioBuffer::new(buffer, &info(INTERLEAVED, 2));
        let expected = vec![(0..12).collect::<Vec<u8>>()];
        assert_eq!(planes(&input, 1), (Some(Layout::Interleaved), 3, expected));
    }

    /// 960 frames of stereo with a meta that says `samples`.
    fn stereo(samples: usize) -> gst::Buffer {
        let info = info(INTERLEAVED, 2);
        let mut buffer = gst::Buffer::with_size(3840).unwrap();
        let inside = buffer.get_mut().unwrap();
        gst_audio::AudioMeta::add(inside, &info, samples, &[]).unwrap();
        buffer
    }

    #[test]
    fn a_meta_of_more_than_there_is_room_for_is_taken_off() {
        let info = info(INTERLEAVED, 2);
        for (samples, frames) in [
            (900, 900),
            (960, 960),
            (961, 960),
            (1 << 40, 960),
            (usize::MAX, 960),
        ] {
            let found = AudioBuffer::new(stereo(samples), &info);
            assert_eq!((found.frames, found.partial), (frames, None), "{samples}");
            assert_eq!(found.is_described(), samples <= 960, "{samples}");
            let meta = found.buffer.meta::<gst_audio::AudioMeta>();
            assert_eq!(meta.is_some(), samples <= 960, "{samples}");
        }
        // A part has the meta of the whole, and may end within a frame.
        let whole = stereo(960);
        for (size, rest) in [(800, 0), (802, 2)] {
            let part = whole
                .copy_region(gst::BufferCopyFlags::all(), ..size)
                .unwrap();
            let found = AudioBuffer::new(part, &info);
            assert_eq!(found.frames, 200, "{size}");
            assert_eq!(found.partial.map_or(0, |p| p.rest), rest, "{size}");
        }
    }

    #[test]
    fn clipping_does_not_go_by_a_meta_of_more_than_there_is() {
        let info = info(INTERLEAVED, 2);
        let ms = gst::ClockTime::from_mseconds;
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(ms(15));
        let mut buffer = stereo(961);
        buffer.get_mut().unwrap().set_pts(ms(10));
        let clipped = AudioBuffer::new(buffer, &info).clip(Some(&segment), &info);
        let clipped = clipped.unwrap();
        assert_eq!((clipped.frames, clipped.buffer.size()), (720, 2880));
        assert_eq!(clipped.buffer.pts(), Some(ms(15)));
    }

    #[test]
    fn planes_are_no_longer_than_the_buffer() {
        let info = info(PLANAR, 2);
        let mut buffer = gst::Buffer::with_size(3840).unwrap();
        gst_audio::AudioMeta::add(buffer.get_mut().unwrap(), &info, 960, &[]).unwrap();
        buffer.get_mut().unwrap().set_size(400);
        assert_eq!(AudioBuffer::new(buffer, &info).frames, 200);
    }

    #[test]
    fn half_frames_are_told_by_size() {
        let info = info(INTERLEAVED, 2);
        let partial = |size| {
            let input = AudioBuffer::new(gst::Buffer::with_size(size).unwrap(), &info);
            (
                input.frames,
                input.partial.map(|partial| partial.to_string()),
            )
        };
        assert_eq!(partial(40), (10, None));
        assert_eq!(partial(0), (0, None));
        let (frames, text) = partial(43);
        let text = text.unwrap();
        assert!(
            frames == 10 && text.contains("43 bytes") && text.contains("frames of 4 bytes: 3 of"),
            "{text}"
        );
    }
}
