// SPDX-License-Identifier: MIT

//! The segments that windows of metrics lie in.

use std::sync::Mutex;

use crate::resilience::lock;

/// A segment of time.
pub type Segment = gst::FormattedSegment<gst::ClockTime>;

/// Which segments the buffers of a run lay in, as far as something is still to be told of them.
#[derive(Default)]
pub struct Segments {
    /// That of the first buffer: where the run began.
    first: Mutex<Segment>,
    /// That of the last buffer.
    last: Mutex<Segment>,
    /// Where the first of the windows lies that were not told yet.
    untold: Mutex<Option<Segment>>,
}

impl Segments {
    /// The run begins in `segment`.
    pub fn begin(&self, segment: &Segment) {
        *lock(&self.first) = segment.clone();
    }

    /// Buffers lie in `segment` from now on.
    pub fn go_on(&self, segment: &Segment) {
        *lock(&self.last) = segment.clone();
    }

    /// Whether buffers lie in `segment` now.
    pub fn is(&self, segment: &Segment) -> bool {
        *lock(&self.last) == *segment
    }

    /// A window of now is not told yet.
    pub fn keep_untold(&self) {
        let mut untold = lock(&self.untold);
        untold.get_or_insert_with(|| lock(&self.last).clone());
    }

    /// Where the first window lies that was not told, if there is one; it is told now.
    pub fn take_untold(&self) -> Option<Segment> {
        lock(&self.untold).take()
    }

    /// That of the first buffer of the run, or that of the last.
    pub fn of(&self, run: bool) -> Segment {
        lock(if run { &self.first } else { &self.last }).clone()
    }
}
