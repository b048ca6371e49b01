// SPDX-License-Identifier: MIT

//! Pads of elements with one input and one output, and the latency in between.

use gst::prelude::*;

use crate::logging::object;

/// The templates of both pads, which are always there.
pub fn templates(caps: &gst::Caps) -> Vec<gst::PadTemplate> {
    [
        ("sink", gst::PadDirection::Sink),
        ("src", gst::PadDirection::Src),
    ]
    .into_iter()
    .filter_map(|(name, direction)| {
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).ok()
    })
    .collect()
}

/// Adds `pads` to `element`, at its construction.
pub fn add(element: &impl IsA<gst::Element>, pads: [&gst::Pad; 2]) {
    let element = element.as_ref();
    for pad in pads {
        if let Err(error) = element.add_pad(pad) {
            tracing::error!(target: "rustaudio", element = object(element), "no pad: {error}");
        }
    }
}

/// Answers a latency query with `own` on top of what is upstream of `sink`; false where nobody there
/// answers.
pub fn answer_latency(
    query: &mut gst::query::Latency,
    sink: &gst::Pad,
    own: gst::ClockTime,
) -> bool {
    if !sink.peer_query(query.query_mut()) {
        return false;
    }
    let (live, min, max) = query.result();
    query.set(live, min + own, max.map(|max| max + own));
    true
}

/// Pushes an event that is made here: it belongs to the segment that `src` has told of.
pub fn push_made(src: &gst::Pad, mut event: gst::Event) -> bool {
    if let Some(segment) = src.sticky_event::<gst::event::Segment>(0) {
        event.make_mut().set_seqnum(segment.seqnum());
    }
    src.push_event(event)
}

/// Tells the pipeline that the latency of `element` is another one. Without a bus nobody listens, which is
/// no error.
pub fn tell_latency(element: &impl IsA<gst::Element>) {
    let element = element.as_ref();
    let _ = element.post_message(gst::message::Latency::builder().src(element).build());
}
