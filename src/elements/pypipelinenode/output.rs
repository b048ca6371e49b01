// SPDX-License-Identifier: MIT

//! What a node gave back, as buffers with timestamps.

use crate::elements::support::frames::add_planes;
use crate::elements::support::metas::copy_metas;
use crate::elements::support::timeline::{Timeline, frames_to_time};
use crate::python::{Memory, Returned};

use super::chunker::{Chunk, leap};

/// Audio for which a node gives nothing that is taken for a node that gives none; less than what the
/// queues beside it hold by default.
const SILENT: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// What goes downstream.
pub enum Item {
    Buffer(gst::Buffer),
    /// Nothing comes for so long, or for nobody knows how long yet.
    Gap(gst::ClockTime, Option<gst::ClockTime>),
}

/// Makes buffers of the output format, and says when they are.
pub struct Outputs {
    input: gst_audio::AudioInfo,
    output: gst_audio::AudioInfo,
    /// Follows the returned audio; anchored at the first input since a discontinuity.
    timeline: Option<Timeline>,
    /// Frames returned less frames given since the anchor, times both rates: 0 where the node holds
    /// nothing back.
    owed: i128,
    /// Where the input was anchored, and its frames since.
    given: Option<(Timeline, u64)>,
    /// Output since the anchor is where it is by its count, not where its input is.
    counted: bool,
    discont: bool,
    /// Something has gone out since the last flush, so that whatever prerolls has done so.
    heard: bool,
}

impl Outputs {
    pub fn new(input: gst_audio::AudioInfo, output: gst_audio::AudioInfo) -> Self {
        Self {
            input,
            output,
            timeline: None,
            owed: 0,
            given: None,
            counted: false,
            discont: false,
            heard: false,
        }
    }

    /// Input and output have the same caps, so the one may pass for the other.
    pub fn is_same(&self) -> bool {
        self.input == self.output
    }

    /// Of what comes out.
    pub fn format(&self) -> &gst_audio::AudioInfo {
        &self.output
    }

    /// The next output does not follow on the last.
    pub fn break_off(&mut self) {
        self.anchor_anew();
        self.discont = true;
    }

    /// Forgets what went out.
    pub fn flush(&mut self) {
        self.break_off();
        self.heard = false;
    }

    /// Nothing stands for `chunk`.
    pub fn leave_out(&mut self, chunk: &Chunk, out: &mut Vec<Item>) {
        self.break_off();
        if let Some(pts) = chunk.buffer.pts() {
            let duration = frames_to_time(chunk.frames, self.input.rate());
            out.push(Item::Gap(pts, Some(duration)));
        }
    }

    /// Input of so many frames goes out in the place of output.
    pub fn pass(&mut self, buffer: &mut gst::Buffer, frames: u64) {
        self.anchor_anew();
        self.anchor_input(buffer.pts(), frames);
        self.mark(buffer);
    }

    fn anchor_input(&mut self, pts: Option<gst::ClockTime>, frames: u64) {
        self.given = Some((Timeline::new(pts, self.input.rate()), frames));
    }

    /// Input at `pts` does not go on where the input before it ended, by their count.
    pub fn is_leap(&self, pts: Option<gst::ClockTime>) -> bool {
        let expected = self.given.and_then(|(start, frames)| start.at(frames));
        pts.zip(expected)
            .is_some_and(|(pts, expected)| leap(pts, expected))
    }

    /// Whether the times of what came out are counted on since the anchor.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// What comes next has its own time.
    pub fn anchor_anew(&mut self) {
        self.node_is_empty();
        self.given = None;
        self.counted = false;
    }

    /// As [`anchor_anew`](Self::anchor_anew), since the node holds nothing any more: what it gave is
    /// still what a leap of the input breaks off from.
    pub fn node_is_empty(&mut self) {
        self.timeline = None;
        self.owed = 0;
    }

    /// Marks what goes out after something was left out.
    fn mark(&mut self, buffer: &mut gst::Buffer) {
        self.heard = true;
        if std::mem::take(&mut self.discont) {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
    }

    /// Buffers over the returned arrays. Where they are as long as the input, and nothing is held
    /// back, they are where it is; otherwise they follow on one another.
    pub fn buffers(
        &mut self,
        pts: Option<gst::ClockTime>,
        frames: u64,
        discont: bool,
        returned: Vec<Returned>,
        out: &mut Vec<Item>,
    ) {
        let (rate_in, rate_out) = (self.input.rate(), self.output.rate());
        let total: u64 = returned.iter().map(|r| r.frames as u64).sum();
        if discont {
            self.break_off();
        }
        let before = self.owed;
        self.owed +=
            i128::from(total) * i128::from(rate_in) - i128::from(frames) * i128::from(rate_out);
        let even = before == 0 && self.owed == 0;
        let mut timeline = match self.timeline {
            Some(timeline) if !even => {
                if let Some((_, given)) = &mut self.given {
                    *given += frames;
                }
                timeline
            }
            _ => {
                self.anchor_input(pts, frames);
                Timeline::new(pts, rate_out)
            }
        };
        self.counted = !even;
        for part in returned.into_iter().filter(|r| r.frames > 0) {
            let mut buffer = match part.memory {
                Memory::Array(memory) => memory.into_buffer(),
                Memory::Copied(samples) => gst::Buffer::from_mut_slice(samples),
            };
            let b = buffer.make_mut();
            let (pts, duration) = timeline.advance(part.frames as u64);
            b.set_pts(pts);
            b.set_duration(duration);
            // Fails only where the buffer is too small, which planes of `frames` rule out.
            let _ = add_planes(b, &self.output, part.frames);
            self.mark(&mut buffer);
            out.push(Item::Buffer(buffer));
        }
        self.timeline = Some(timeline);
        out.extend(self.announce());
    }

    /// Once, where output may begin, if it does not though the node had audio for long: it may be one that
    /// gives none, and a sink that waits for the first of it keeps all beside it waiting. Not sooner, since
    /// a pipeline that plays before there is audio loses the head of it; and not later, since resamplers and
    /// encoders take it for the end of what is there.
    fn announce(&mut self) -> Option<Item> {
        // Audio times both rates, as `owed` is, in seconds and in nanoseconds.
        let second = i128::from(self.input.rate()) * i128::from(self.output.rate());
        let silent = second * i128::from(SILENT.nseconds());
        if self.heard || -self.owed * i128::from(gst::ClockTime::SECOND.nseconds()) < silent {
            return None;
        }
        let at = self.timeline.and_then(|timeline| timeline.position())?;
        self.heard = true;
        Some(Item::Gap(at, None))
    }

    /// Silence in the place of `chunk`.
    pub fn silence(&mut self, chunk: &Chunk, out: &mut Vec<Item>) {
        self.anchor_anew();
        self.anchor_input(chunk.buffer.pts(), chunk.frames);
        let frames = u128::from(chunk.frames) * u128::from(self.output.rate())
            / u128::from(self.input.rate().max(1));
        let frames = usize::try_from(frames).unwrap_or(0);
        let mut samples = vec![0; frames * self.output.bpf() as usize];
        self.output.format_info().fill_silence(&mut samples);
        let mut buffer = gst::Buffer::from_mut_slice(samples);
        let b = buffer.make_mut();
        b.set_pts(chunk.buffer.pts());
        b.set_duration(
            chunk
                .buffer
                .duration()
                .unwrap_or_else(|| frames_to_time(frames as u64, self.output.rate())),
        );
        b.set_flags(gst::BufferFlags::GAP);
        if chunk.buffer.flags().contains(gst::BufferFlags::DISCONT) {
            b.set_flags(gst::BufferFlags::DISCONT);
        }
        let _ = add_planes(b, &self.output, frames);
        copy_metas(&chunk.buffer, b);
        self.mark(&mut buffer);
        out.push(Item::Buffer(buffer));
    }
}
