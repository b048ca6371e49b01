// SPDX-License-Identifier: MIT

//! Where the samples of a buffer lie: one plane where channels alternate, else one for each.

use crate::python::Failure;

/// Bytes of each plane of `buffer`, and its frames. `None` where the buffer contradicts itself.
pub fn planes<'a>(
    data: &'a [u8],
    buffer: &gst::BufferRef,
    info: &gst_audio::AudioInfo,
) -> Option<(Vec<&'a [u8]>, u64)> {
    let bps = info.bps() as usize;
    let channels = info.channels() as usize;
    if info.layout() == gst_audio::AudioLayout::Interleaved {
        let frames = data.len() / (bps * channels).max(1);
        return Some((vec![&data[..frames * bps * channels]], frames as u64));
    }
    let Some(meta) = buffer.meta::<gst_audio::AudioMeta>() else {
        let frames = data.len() / (bps * channels).max(1);
        let all = data.chunks_exact((frames * bps).max(1)).take(channels);
        return Some((all.collect(), frames as u64));
    };
    let size = meta.samples().checked_mul(bps)?;
    let all: Option<Vec<_>> = meta
        .offsets()
        .iter()
        .map(|&offset| data.get(offset..offset.checked_add(size)?))
        .collect();
    all.filter(|a| a.len() == channels)
        .map(|a| (a, meta.samples() as u64))
}

/// Frames in `buffer`.
pub fn frames_of(buffer: &gst::BufferRef, info: &gst_audio::AudioInfo) -> u64 {
    match buffer.meta::<gst_audio::AudioMeta>() {
        Some(meta) if info.layout() == gst_audio::AudioLayout::NonInterleaved => {
            meta.samples() as u64
        }
        _ => (buffer.size() / (info.bpf() as usize).max(1)) as u64,
    }
}

/// A buffer whose metadata speak of other bytes than it has.
pub fn contradiction(buffer: &gst::BufferRef, info: &gst_audio::AudioInfo) -> Failure {
    let planes = buffer.meta::<gst_audio::AudioMeta>().map_or_else(
        || "no planes".to_string(),
        |meta| {
            format!(
                "planes of {} samples at {:?}",
                meta.samples(),
                meta.offsets()
            )
        },
    );
    Failure::new(
        "BufferError",
        format!(
            "a buffer of {} bytes has {planes}, which contradicts its {} channels of {}; the \
             element in front made it wrong",
            buffer.size(),
            info.channels(),
            info.format().to_str()
        ),
    )
}

/// Says where the planes of contiguous planar audio are.
pub fn add_audio_meta(buffer: &mut gst::BufferRef, info: &gst_audio::AudioInfo, frames: usize) {
    let plane = frames * info.bps() as usize;
    let offsets: Vec<usize> = (0..info.channels() as usize).map(|c| c * plane).collect();
    // Fails only where the buffer is too small, which a plane of `frames` rules out.
    let _ = gst_audio::AudioMeta::add(buffer, info, frames, &offsets);
}
