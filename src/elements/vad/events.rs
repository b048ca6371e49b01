// SPDX-License-Identifier: MIT

//! What comes to the sink pad beside audio, and what it does to the audio that is held.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::active::Active;
use super::imp::{State, TARGET, Vad};
use super::queue::Out;
use crate::dsp::Frames;
use crate::elements::support::frames::ReadError;
use crate::elements::support::timeline::{frames_to_time, time_to_frames};
use crate::logging::object;
use crate::resilience::lock;

impl Vad {
    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        let element = self.obj();
        match event.view() {
            // The same again is nothing new: a segment goes on over it.
            EventView::Caps(e) if !self.knows(e.caps()) => {
                let drained = self.drain(false);
                if !self.set_caps(e.caps()) {
                    return false;
                }
                if let Err(e) = drained {
                    tracing::debug!(target: TARGET, element = object(&*element), "drain: {e}");
                }
            }
            EventView::Segment(e) => {
                let _ = self.drain(false);
                let segment = e.segment().downcast_ref::<gst::ClockTime>();
                let segment = segment.cloned().unwrap_or_default();
                self.metrics.set_segment(&segment);
                let mut state = lock(&self.state);
                state.segment = segment;
                if let Some(active) = &mut state.active {
                    active.set_expected(None);
                }
            }
            EventView::Eos(_) => {
                let _ = self.drain(false);
                self.metrics.finish(&*element);
            }
            EventView::StreamStart(_) | EventView::SegmentDone(_) => {
                let _ = self.drain(false);
            }
            EventView::FlushStop(_) => self.flush(),
            EventView::Gap(e) => {
                let (pts, duration) = e.get();
                let _busy = self.idle.busy();
                if self.take_gap(&event, pts, duration) {
                    return self.send_rest().is_ok();
                }
            }
            _ if event.is_serialized() => {
                if let Some(active) = &mut lock(&self.state).active
                    && !active.queue.is_empty()
                {
                    active.queue.push_event(event);
                    return true;
                }
            }
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*element), event)
    }

    /// True if the stream has these caps already, and the detector that is set.
    fn knows(&self, caps: &gst::CapsRef) -> bool {
        let detector = self.settings.get().detector_kind();
        let state = lock(&self.state);
        state.active.as_ref().is_some_and(|active| {
            active.vad.config().detector == detector
                && gst_audio::AudioInfo::from_caps(caps).is_ok_and(|info| info == active.info)
        })
    }

    fn set_caps(&self, caps: &gst::CapsRef) -> bool {
        let active = gst_audio::AudioInfo::from_caps(caps)
            .ok()
            .and_then(|info| Active::new(info, self.settings.get()));
        let Some(mut active) = active else {
            tracing::error!(target: TARGET, element = object(&*self.obj()), %caps, "bad caps");
            return false;
        };
        let mut state = lock(&self.state);
        if let Some(before) = &state.active {
            active.set_expected(before.expected());
            active.vad.count_on(before.vad.segmenter().segment());
        }
        let latency = frames_to_time(active.wait(), active.info.rate());
        self.metrics.set_memory(active.memory);
        tracing::debug!(
            target: TARGET, element = object(&*self.obj()), %caps, latency = %latency,
            detector = ?active.vad.config().detector, "a new format"
        );
        state.active = Some(active);
        drop(state);
        self.update_latency(Some(latency));
        true
    }

    /// Forgets what is held, but for sticky events: nobody sends them again.
    fn flush(&self) {
        let mut state = lock(&self.state);
        let leaving = std::mem::take(&mut state.leaving);
        state.segment = gst::FormattedSegment::new();
        let mut held = Vec::new();
        if let Some(active) = &mut state.active {
            held = active.queue.take_events();
            active.reset();
            active.set_expected(None);
        }
        drop(state);
        let found = leaving.out.into_iter().filter_map(|out| match out {
            Out::Event(event) => Some(event),
            Out::Buffer(_) | Out::Made(_) => None,
        });
        // Neither SEGMENT nor EOS is ever among them: what is held leaves before those.
        for event in found.chain(held).filter(|event| event.is_sticky()) {
            // Refused by a pad that is inactive, which has forgotten all of them.
            let _ = self.srcpad.store_sticky_event(&event);
        }
        self.idle.set_open(false);
        self.forget_shown();
    }

    /// Takes a GAP event as silence; false if there is nothing that waits for it. Sinks that wait for data
    /// take it for such, so that it is held only for the end of an open segment: outside of one, nothing
    /// starts in audio that silence follows.
    fn take_gap(
        &self,
        event: &gst::Event,
        pts: gst::ClockTime,
        duration: Option<gst::ClockTime>,
    ) -> bool {
        let mut state = lock(&self.state);
        let State {
            active,
            segment,
            leaving,
        } = &mut *state;
        let Some(active) = active else {
            return false;
        };
        active.take_up(&self.settings);
        let rate = active.info.rate();
        let duration = duration.unwrap_or(gst::ClockTime::ZERO);
        // A segment ends in any gap that is long enough; more would be counted for nothing.
        let enough = active.vad.delay() + 2 * u64::from(rate);
        let samples = time_to_frames(duration, rate).min(enough);
        if !active.queue.is_empty() && !active.vad.segmenter().in_speech() {
            active.settle(&mut leaving.messages, segment);
        }
        let end = pts.saturating_add(duration);
        active
            .queue
            .push_gap(event.clone(), (pts, end), samples, rate);
        active.set_expected(Some(end));
        // Silence lies nowhere, so that it cannot lie outside.
        let _ = active.hear(
            Frames::silence(samples as usize),
            &mut leaving.messages,
            segment,
        );
        if samples > 0 && active.vad.segmenter().in_speech() {
            active.settle(&mut leaving.messages, segment);
        }
        let limit = if active.vad.segmenter().in_speech() {
            active.vad.decided()
        } else {
            u64::MAX
        };
        let released = self.release(active, limit, &mut leaving.out);
        drop(state);
        if let Err(e) = released {
            // The next buffer tells upstream.
            let _ = self.fail(&e);
        }
        true
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryView::Drain(_) = query.view() {
            let _busy = self.idle.busy();
            if let Err(e) = self.let_go() {
                let _ = self.fail(&e);
            }
            let _ = self.send_rest();
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    /// Lets go of all that is held while the stream goes on: outside of a segment as where silence follows,
    /// inside of one as a part of it.
    fn let_go(&self) -> Result<(), ReadError> {
        let mut state = lock(&self.state);
        let State {
            active,
            segment,
            leaving,
        } = &mut *state;
        let Some(active) = active else {
            return Ok(());
        };
        if !active.vad.segmenter().in_speech() {
            active.settle(&mut leaving.messages, segment);
        }
        self.release(active, u64::MAX, &mut leaving.out)
    }
}
