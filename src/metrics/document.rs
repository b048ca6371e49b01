// SPDX-License-Identifier: MIT

//! The pipeline document: one JSON object that says what each element of a run cost. What is in it is
//! told at [`rustaudio_resilience::metrics::document`].

use gst::prelude::*;
use serde_json::Value;

use super::{Report, ReportExt};

pub use rustaudio_resilience::metrics::document::{Node, document};

/// What `element` says of itself, if it has this plugin's `stats`.
pub fn own_node(element: &gst::Element) -> Option<Node> {
    let pspec = element.find_property("stats")?;
    if pspec.value_type() != gst::Structure::static_type() {
        return None;
    }
    let stats = element.property::<Option<gst::Structure>>("stats")?;
    let report = Report::from_structure(&stats).ok()?;
    Some(Node::from_report(&report))
}

/// Elements of `bin` and of the bins in it, upstream first as far as they were added so.
pub fn elements(bin: &gst::Bin) -> Vec<gst::Element> {
    let mut all = Vec::new();
    let mut iterator = bin.iterate_recurse();
    loop {
        match iterator.next() {
            Ok(Some(element)) => all.push(element),
            // The bin changed under way: what was seen so far comes again.
            Err(gst::IteratorError::Resync) => {
                all.clear();
                iterator.resync();
            }
            Ok(None) | Err(gst::IteratorError::Error) => break,
        }
    }
    all.reverse();
    all
}

/// The document of this plugin's elements in `bin` as they stand now, for applications; `total` ns
/// is what the run took. A tracer writes the same for every element: see the `tracer` module.
pub fn pipeline_document(bin: &gst::Bin, total: u64) -> Value {
    let nodes: Vec<_> = elements(bin).iter().filter_map(own_node).collect();
    document(&bin.name(), total, &nodes)
}
