// SPDX-License-Identifier: MIT

//! Messages that nobody has read yet: how many of one kind an element may have on the bus.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::metrics::{drop_with_message, path_of};
use crate::resilience::lock;

/// The field of every message of ours that tells elements of one name apart.
pub const PATH: &str = "path";

/// The messages of one kind that an element has on the bus. A message is read when it has been
/// freed, or when its bus is empty: then whoever took it has it still.
#[derive(Debug, Default)]
pub struct Unread(Mutex<Arc<()>>);

/// Leave to post one message.
#[derive(Debug)]
#[must_use]
pub struct Leave(Arc<()>);

impl Unread {
    /// Leave to post one more message, where fewer than `most` of `element` are unread.
    pub fn leave(&self, element: &gst::Element, most: usize) -> Option<Leave> {
        let mut mark = lock(&self.0);
        // One reference is that of this place.
        if Arc::strong_count(&mark) > most {
            if !nothing_pending(element) {
                return None;
            }
            *mark = Arc::default();
        }
        Some(Leave(mark.clone()))
    }
}

impl Leave {
    /// Posts `structure` as an element message, which is unread from now on.
    pub fn post(self, element: &gst::Element, structure: gst::Structure) {
        let message = message(element, structure);
        drop_with_message(&message, self.0);
        let _ = element.post_message(message);
    }
}

/// Posts `structure` as an element message. Without a bus nobody listens, which is no error.
pub fn post(element: &gst::Element, structure: gst::Structure) {
    let _ = element.post_message(message(element, structure));
}

/// Says where the element lies, where `structure` does not yet.
fn message(element: &gst::Element, mut structure: gst::Structure) -> gst::Message {
    if !structure.has_field(PATH) {
        structure.set(PATH, path_of(element));
    }
    gst::message::Element::builder(structure)
        .src(element)
        .build()
}

/// No message waits on the bus that those of `element` get to: that of its outermost bin.
fn nothing_pending(element: &gst::Element) -> bool {
    let mut outermost = element.clone();
    while let Some(bin) = outermost
        .parent()
        .and_then(|p| p.downcast::<gst::Element>().ok())
    {
        outermost = bin;
    }
    outermost.bus().is_none_or(|bus| !bus.have_pending())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard() -> (gst::Element, gst::Bus) {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("identity").build().unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        (element, bus)
    }

    fn posted(unread: &Unread, element: &gst::Element, most: usize) -> bool {
        let leave = unread.leave(element, most);
        let posted = leave.is_some();
        if let Some(leave) = leave {
            leave.post(element, gst::Structure::new_empty("any"));
        }
        posted
    }

    #[test]
    fn no_more_than_the_most_lie_unread() {
        let (element, bus) = heard();
        let unread = Unread::default();
        let sent: Vec<bool> = (0..5).map(|_| posted(&unread, &element, 3)).collect();
        assert_eq!(sent, [true, true, true, false, false]);
        drop(bus.pop());
        assert!(posted(&unread, &element, 3), "one was read");
        assert!(!posted(&unread, &element, 3));
    }

    #[test]
    fn who_keeps_what_it_took_goes_on_hearing() {
        let (element, bus) = heard();
        let unread = Unread::default();
        let mut kept = Vec::new();
        for _ in 0..4 {
            assert!(posted(&unread, &element, 1));
            kept.extend(bus.pop());
        }
        assert_eq!(kept.len(), 4);
        assert!(posted(&unread, &element, 1));
        // What is freed now is none of those that lie there.
        kept.clear();
        assert!(!posted(&unread, &element, 1));
    }

    #[test]
    fn what_is_dropped_on_the_way_lies_nowhere() {
        let (element, bus) = heard();
        let unread = Unread::default();
        let other = gst::Structure::new_empty("other");
        bus.post(message(&element, other)).unwrap();
        bus.set_flushing(false);
        bus.set_sync_handler(|_, _| gst::BusSyncReply::Drop);
        assert!((0..3).all(|_| posted(&unread, &element, 1)));
        bus.unset_sync_handler();
        assert!(posted(&unread, &element, 1));
        assert!(!posted(&unread, &element, 1));
        // As a pipeline does on its way to NULL.
        bus.set_flushing(true);
        bus.set_flushing(false);
        assert!(posted(&unread, &element, 1));
        element.set_bus(None);
        assert!((0..3).all(|_| posted(&unread, &element, 1)));
    }

    #[test]
    fn the_bus_of_the_outermost_bin_counts() {
        let (element, _) = heard();
        element.set_bus(None);
        let (inner, outer) = (gst::Bin::new(), gst::Pipeline::new());
        inner.add(&element).unwrap();
        outer.add(&inner).unwrap();
        let bus = outer.bus().unwrap();
        let unread = Unread::default();
        assert!(posted(&unread, &element, 1));
        assert!(!posted(&unread, &element, 1));
        let kept = bus.pop();
        assert!(posted(&unread, &element, 1));
        drop(kept);
        assert!(!posted(&unread, &element, 1));
    }
}
