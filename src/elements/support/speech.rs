// SPDX-License-Identifier: MIT

//! Whether speech is announced in band: a query upstream, which rustvad answers.
//!
//! Its events alone do not tell that before the first word. Queries pass through tees, queues and
//! bins as events do, and not over what keeps events back.

use gst::prelude::*;

const QUERY: &str = "rustvad";
const ANSWER: &str = "announces-speech";

/// Asks upstream of `sink` whether `rustvad` events will come where speech starts and ends.
pub fn is_announced(sink: &gst::Pad) -> bool {
    let mut query = gst::query::Custom::new(gst::Structure::new_empty(QUERY));
    sink.peer_query(&mut query)
        && query
            .structure()
            .is_some_and(|s| s.get::<bool>(ANSWER) == Ok(true))
}

/// Answers [`is_announced`], for the element that sends the events; false if `query` is another one.
pub fn answer(query: &mut gst::QueryRef) -> bool {
    let gst::QueryViewMut::Custom(q) = query.view_mut() else {
        return false;
    };
    let s = q.structure_mut();
    let asked = s.name() == QUERY;
    if asked {
        s.set(ANSWER, true);
    }
    asked
}
