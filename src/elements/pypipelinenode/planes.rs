// SPDX-License-Identifier: MIT

//! Buffers that contradict themselves.

use crate::python::Failure;

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
