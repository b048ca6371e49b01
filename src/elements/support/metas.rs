// SPDX-License-Identifier: MIT

//! What is attached to buffers, and goes on with the audio that takes their place.

/// The metas of `from` that say nothing of rate, channels or layout, onto `to`.
pub fn copy_metas(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    for meta in from.iter_meta::<gst::Meta>() {
        if stays(&meta) {
            // One that cannot be copied stays behind.
            let _ = meta.transform(to, &gst::meta::MetaTransformCopy::new(..));
        }
    }
}

/// A buffer of nothing but what [`copy_metas`] takes, where there is any of it.
pub fn metas_of(buffer: &gst::BufferRef) -> Option<gst::Buffer> {
    buffer.iter_meta::<gst::Meta>().any(|m| stays(&m)).then(|| {
        let mut metas = gst::Buffer::new();
        copy_metas(buffer, metas.make_mut());
        metas
    })
}

/// Whether a meta goes on with audio of another rate, format or layout: what describes samples does not.
pub fn stays<T>(meta: &gst::meta::MetaRef<'_, T>) -> bool {
    meta.tags().is_empty() || meta.tags_contain_only(&["audio"])
}
