// SPDX-License-Identifier: MIT

//! From GStreamer's description of audio to that of nodes, and back.

use super::state::Stream;
use crate::elements::pypipelinenode::planes::contradiction;
use crate::elements::pypipelinenode::settings::{Layout, Settings};
use crate::python::abi::{NO_TIME, Segment, sample};
use crate::python::{Failure, Shape, Wanted};

pub fn sample_type(info: &gst_audio::AudioInfo) -> Option<i32> {
    let f = info.format_info();
    Some(match (f.is_float(), f.is_signed(), f.width()) {
        (true, _, 32) => sample::F32,
        (true, _, 64) => sample::F64,
        (false, true, 8) => sample::I8,
        (false, false, 8) => sample::U8,
        (false, true, 16) => sample::I16,
        (false, false, 16) => sample::U16,
        (false, true, 32) => sample::I32,
        (false, false, 32) => sample::U32,
        _ => return None,
    })
}

pub fn output_info(input: &gst_audio::AudioInfo, wanted: &Wanted) -> Option<gst_audio::AudioInfo> {
    if *wanted == Wanted::default() {
        return Some(input.clone());
    }
    let format = match &wanted.format {
        Some(name) => gst_audio::AudioFormat::from_string(&native(name)),
        None => input.format(),
    };
    let channels = wanted.channels.unwrap_or(input.channels());
    let planar = wanted
        .planar
        .unwrap_or(input.layout() == gst_audio::AudioLayout::NonInterleaved);
    let layout = if planar {
        gst_audio::AudioLayout::NonInterleaved
    } else {
        gst_audio::AudioLayout::Interleaved
    };
    let positions = input
        .positions()
        .filter(|_| channels == input.channels())
        .map(<[_]>::to_vec);
    let mut builder =
        gst_audio::AudioInfo::builder(format, wanted.rate.unwrap_or(input.rate()), channels)
            .layout(layout);
    if let Some(positions) = &positions {
        builder = builder.positions(positions);
    }
    builder.build().ok()
}

/// GStreamer's name of a format, where a node left out the byte order.
fn native(name: &str) -> String {
    let bare = ["S16", "U16", "S32", "U32", "F32", "F64"].contains(&name);
    let order = if cfg!(target_endian = "big") {
        "BE"
    } else {
        "LE"
    };
    if bare {
        format!("{name}{order}")
    } else {
        name.to_owned()
    }
}

pub fn abi_segment(s: &gst::FormattedSegment<gst::ClockTime>) -> Segment {
    let ns = |t: Option<gst::ClockTime>| t.map_or(NO_TIME, |t| t.nseconds());
    Segment {
        rate: s.rate(),
        start: ns(s.start()),
        stop: ns(s.stop()),
        time: ns(s.time()),
        base: ns(s.base()),
    }
}

/// Where the samples of `buffer`, of so many `frames` of `stream`, are; a failure where it contradicts
/// itself, or its planes are not evenly spaced.
pub(super) fn shape(
    buffer: &gst::BufferRef,
    frames: usize,
    stream: &Stream,
    settings: &Settings,
) -> Result<Shape, Failure> {
    let info = &stream.info;
    let (bps, bpf) = (info.bps() as usize, info.bpf() as usize);
    let channels = info.channels() as usize;
    let size = buffer.size();
    let mut shape = Shape {
        frames,
        channels,
        offset: 0,
        frame_stride: bpf,
        channel_stride: bps,
        sample: stream.sample,
        channels_first: settings.layout == Layout::ChannelsFirst,
    };
    if info.layout() == gst_audio::AudioLayout::Interleaved {
        return match frames.checked_mul(bpf) {
            Some(bytes) if bytes <= size => Ok(shape),
            _ => Err(contradiction(buffer, info)),
        };
    }
    shape.frame_stride = bps;
    let Some(meta) = buffer.meta::<gst_audio::AudioMeta>() else {
        shape.channel_stride = frames * bps;
        return Ok(shape);
    };
    let offsets = meta.offsets();
    let plane = frames.checked_mul(bps);
    let fits = |offset: &usize| {
        plane
            .and_then(|plane| offset.checked_add(plane))
            .is_some_and(|end| end <= size)
    };
    let (first, fitting) = match offsets.first() {
        Some(first) if offsets.len() == channels => (*first, offsets.iter().all(fits)),
        _ => (0, false),
    };
    if !fitting {
        return Err(contradiction(buffer, info));
    }
    shape.offset = first;
    let mut steps = offsets.windows(2).map(|o| o[1].checked_sub(o[0]));
    let step = steps.next().unwrap_or(Some(0));
    match step {
        Some(step) if steps.all(|other| other == Some(step)) => shape.channel_stride = step,
        _ => return Err(uneven(offsets)),
    }
    Ok(shape)
}

fn uneven(offsets: &[usize]) -> Failure {
    Failure::new(
        "BufferError",
        format!(
            "the planes of a buffer start at bytes {offsets:?}, which no array can have as its \
             strides; put `rustaudioconvert ! audio/x-raw,layout=interleaved` in front, or set \
             chunk=duration, which copies them together"
        ),
    )
}
