// SPDX-License-Identifier: MIT

//! The view of audio in memory by which all of the crate reads: how many frames there are, and where their
//! samples lie.

/// How the channels of audio lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Frame after frame.
    #[default]
    Interleaved,
    /// One channel after another, each in a plane of its own.
    Planar,
}

/// Frames of audio, to be read where they lie. Sample format and number of channels are known to whoever
/// reads them: one plane per channel, or one of interleaved frames.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    count: usize,
    /// `None`: silence.
    layout: Option<Layout>,
    memory: Memory<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Memory<'a> {
    /// All planes in one piece. They begin at these bytes, or follow each other where none are named.
    Together(&'a [u8], &'a [usize]),
    /// Each plane by itself.
    Apart(&'a [&'a [u8]]),
}

/// Why frames could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("samples of the {frames} frames lie outside of the memory that was given for them")]
pub struct Outside {
    /// How many frames were said to be there.
    pub frames: usize,
}

impl<'a> Frames<'a> {
    /// `count` interleaved frames from the first byte of `data` on.
    #[inline]
    pub fn interleaved(data: &'a [u8], count: usize) -> Self {
        Self::packed(Layout::Interleaved, data, count)
    }

    /// `count` frames whose planes begin at the bytes `offsets` of `data`, one for each channel. No
    /// offsets at all stand for planes of `count` samples that follow each other without gaps.
    #[inline]
    pub fn planar(data: &'a [u8], offsets: &'a [usize], count: usize) -> Self {
        Self {
            count,
            layout: Some(Layout::Planar),
            memory: Memory::Together(data, offsets),
        }
    }

    /// `count` frames in `layout` from the first byte of `data` on, without gaps.
    #[inline]
    pub fn packed(layout: Layout, data: &'a [u8], count: usize) -> Self {
        Self {
            count,
            layout: Some(layout),
            memory: Memory::Together(data, &[]),
        }
    }

    /// `count` frames of which each channel has memory of its own.
    #[inline]
    pub fn planes(planes: &'a [&'a [u8]], count: usize) -> Self {
        Self {
            count,
            layout: Some(Layout::Planar),
            memory: Memory::Apart(planes),
        }
    }

    /// `count` frames of silence, which takes no memory.
    #[inline]
    pub fn silence(count: usize) -> Self {
        Self {
            count,
            layout: None,
            memory: Memory::Apart(&[]),
        }
    }

    /// How many frames there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether they are [silence](Self::silence). Samples that happen to be zeros are not.
    #[inline]
    pub fn is_silence(&self) -> bool {
        self.layout.is_none()
    }

    /// How they lie; `None` for silence.
    #[inline]
    pub fn layout(&self) -> Option<Layout> {
        self.layout
    }

    /// The bytes of a plane, of which a frame has `width`. Interleaved frames are plane 0 as a whole;
    /// silence has none.
    ///
    /// # Errors
    /// There are fewer.
    #[inline]
    pub fn plane(&self, channel: usize, width: usize) -> Result<&'a [u8], Outside> {
        self.find(channel, width)
            .ok_or(Outside { frames: self.count })
    }

    #[inline]
    fn find(&self, channel: usize, width: usize) -> Option<&'a [u8]> {
        let bytes = self.count.checked_mul(width)?;
        match self.memory {
            Memory::Together(data, offsets) => {
                let start = match offsets.get(channel) {
                    Some(offset) => *offset,
                    None if offsets.is_empty() => channel.checked_mul(bytes)?,
                    None => return None,
                };
                data.get(start..start.checked_add(bytes)?)
            }
            Memory::Apart(planes) => planes.get(channel)?.get(..bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plane_is_found_where_it_was_said_to_lie() {
        let data: Vec<u8> = (0..12).collect();
        let planes: [&[u8]; 2] = [&data[8..], &data[1..]];
        for (frames, layout, channels) in [
            (
                Frames::interleaved(&data, 4),
                Layout::Interleaved,
                vec![&data[..4]],
            ),
            (
                Frames::planar(&data, &[], 4),
                Layout::Planar,
                vec![&data[..4], &data[4..8], &data[8..]],
            ),
            (
                Frames::planar(&data, &[8, 1], 4),
                Layout::Planar,
                vec![&data[8..], &data[1..5]],
            ),
            (
                Frames::planes(&planes, 4),
                Layout::Planar,
                vec![&data[8..], &data[1..5]],
            ),
        ] {
            assert_eq!((frames.count(), frames.layout()), (4, Some(layout)));
            assert!(!frames.is_silence());
            for (channel, plane) in channels.into_iter().enumerate() {
                assert_eq!(frames.plane(channel, 1), Ok(plane), "{frames:?}");
            }
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let data = [0; 12];
        let planes: [&[u8]; 2] = [&data, &data[9..]];
        for (frames, channel) in [
            (Frames::interleaved(&data[..3], 4), 0),
            (Frames::interleaved(&data, 7), 1),
            (Frames::planar(&data, &[], 4), 3),
            (Frames::planar(&data, &[0, 9], 4), 1),
            (Frames::planar(&data, &[0, 8], 4), 2),
            (Frames::planar(&data, &[usize::MAX], 4), 0),
            (Frames::planes(&planes, 4), 1),
            (Frames::planes(&planes, 4), 2),
            (Frames::silence(4), 0),
            (Frames::interleaved(&data, usize::MAX), 0),
            (Frames::planar(&data, &[], usize::MAX / 2), 2),
        ] {
            let refused = frames.plane(channel, 1).unwrap_err();
            let frames = frames.count();
            assert_eq!(refused, Outside { frames });
        }
        let silence = Frames::silence(4);
        assert!(silence.is_silence() && silence.layout().is_none());
    }
}
