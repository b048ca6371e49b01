// SPDX-License-Identifier: MIT

//! Cuts the stream into what one call gets: buffers, equal durations, or utterances.

use std::collections::VecDeque;

use super::planes::contradiction;
use super::settings::Cut;
use crate::dsp::Outside;
use crate::elements::support::frames::{AudioBuffer, add_planes};
use crate::elements::support::timeline::{Timeline, frames_to_time, time_to_frames};
use crate::python::Failure;

/// Audio for the node, or audio that passes it by.
#[derive(Debug)]
pub struct Chunk {
    pub buffer: gst::Buffer,
    pub frames: u64,
    pub speech: Option<bool>,
    /// Number of the speech segment, from 1; 0 outside of one.
    pub utterance: u64,
    /// The node gets it; otherwise it lies between utterances.
    pub call: bool,
}

/// A start or end of speech, announced by rustvad.
#[derive(Clone, Copy, Debug)]
struct Change {
    at: Option<gst::ClockTime>,
    speech: bool,
    segment: u64,
}

/// Largest step between timestamps that is still jitter of one stream.
const JITTER: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// What rounding and a clock that is a little off may add to the end of the audio, at most.
const ROUNDING: gst::ClockTime = gst::ClockTime::from_mseconds(1);

/// Bytes of room that are kept for what comes next.
pub const ROOM: usize = 1 << 20;

/// The audio at `pts` does not go on where it is `expected`.
pub fn leap(pts: gst::ClockTime, expected: gst::ClockTime) -> bool {
    pts.absdiff(expected) > JITTER
}

pub struct Chunker {
    cut: Cut,
    info: gst_audio::AudioInfo,
    /// Samples that wait: one plane for interleaved audio, one per channel otherwise.
    planes: Vec<Vec<u8>>,
    frames: u64,
    /// Frames at the head of the planes that were given already: moving the rest for each chunk would
    /// take as long as the square of a buffer.
    taken: u64,
    /// At the first frame that waits.
    timeline: Option<Timeline>,
    /// PTS and frames of the last input.
    last: Option<(gst::ClockTime, u64)>,
    discont: bool,
    changes: VecDeque<Change>,
    speech: Option<bool>,
    utterance: u64,
}

impl Chunker {
    pub fn new(cut: Cut, info: gst_audio::AudioInfo) -> Self {
        let planar = info.layout() == gst_audio::AudioLayout::NonInterleaved;
        let planes = if planar { info.channels() as usize } else { 1 };
        Self {
            cut,
            info,
            planes: vec![Vec::new(); planes],
            frames: 0,
            taken: 0,
            timeline: None,
            last: None,
            discont: false,
            changes: VecDeque::new(),
            speech: None,
            utterance: 0,
        }
    }

    /// Bytes that wait.
    pub fn memory(&self) -> usize {
        self.planes.iter().map(Vec::capacity).sum()
    }

    /// Frames of an open utterance that wait for its end, without a limit.
    pub fn unlimited(&self) -> u64 {
        match self.cut {
            Cut::Utterance(0) => self.frames,
            _ => 0,
        }
    }

    /// Speech starts or ends at `at`, in the stream's timestamps.
    pub fn mark(&mut self, at: Option<gst::ClockTime>, speech: bool, segment: u64) {
        self.changes.push_back(Change {
            at,
            speech,
            segment,
        });
    }

    /// All changes that were announced have happened.
    pub fn take_up_changes(&mut self) {
        while let Some(change) = self.changes.pop_front() {
            self.apply(change);
        }
    }

    /// An open utterance does not go on in what comes.
    pub fn leave_utterance(&mut self) {
        if self.in_utterance() {
            self.speech = None;
            self.utterance = 0;
        }
    }

    /// The next chunk does not follow on the last that was given.
    pub fn break_off(&mut self) {
        self.discont = true;
    }

    /// Forgets what waits, and what was known of speech.
    pub fn flush(&mut self) {
        self.planes.iter_mut().for_each(Vec::clear);
        (self.frames, self.taken) = (0, 0);
        self.timeline = None;
        self.last = None;
        self.discont = false;
        self.changes.clear();
        self.speech = None;
        self.utterance = 0;
    }

    fn apply(&mut self, change: Change) {
        self.speech = Some(change.speech);
        self.utterance = if change.speech { change.segment } else { 0 };
    }

    fn in_utterance(&self) -> bool {
        self.speech == Some(true)
    }

    fn whole(&self, buffer: gst::Buffer, frames: u64, call: bool) -> Chunk {
        Chunk {
            buffer,
            frames,
            speech: self.speech,
            utterance: self.utterance,
            call,
        }
    }

    /// Takes `input`, and gives what is complete.
    pub fn push(&mut self, input: AudioBuffer, out: &mut VecDeque<Chunk>) -> Result<(), Failure> {
        let is_break = self.is_break(&input.buffer);
        let later = self.changes_after_break(&input.buffer, is_break);
        self.last = input.buffer.pts().map(|pts| (pts, input.frames));
        if is_break {
            self.drain(out);
            self.timeline = None;
            self.discont = true;
        }
        if let Some(later) = later {
            self.take_up_changes();
            self.changes = later;
        }
        if self.cut == Cut::Buffer {
            let AudioBuffer { buffer, frames, .. } = input;
            // The state that most of the buffer is in.
            let middle = buffer
                .pts()
                .map(|pts| pts.saturating_add(frames_to_time(frames, self.info.rate()) / 2));
            while let Some(change) = self.changes.front().copied()
                && change
                    .at
                    .zip(middle)
                    .is_none_or(|(at, middle)| at <= middle)
            {
                self.changes.pop_front();
                self.apply(change);
            }
            out.push_back(self.whole(buffer, frames, true));
            return Ok(());
        }
        if self.frames == 0 && self.passes_by(&input) {
            self.timeline = None;
            out.push_back(self.whole(input.buffer, input.frames, false));
            return Ok(());
        }
        self.append(&input)?;
        drop(input);
        self.cut_ready(out);
        self.close_up();
        Ok(())
    }

    /// The buffer does not follow on what waits.
    fn is_break(&self, buffer: &gst::BufferRef) -> bool {
        let expected = self.timeline.and_then(|t| t.at(t.frames() + self.frames));
        let jumped = match (buffer.pts(), expected) {
            (Some(pts), Some(expected)) => leap(pts, expected),
            _ => false,
        };
        jumped || buffer.flags().contains(gst::BufferFlags::DISCONT)
    }

    /// Where time leaps to `buffer`: takes the changes of the audio from there on out of those that
    /// are announced. They would be taken for old ones, and wait for a time that does not come
    /// any more where it goes back.
    fn changes_after_break(
        &mut self,
        buffer: &gst::BufferRef,
        is_break: bool,
    ) -> Option<VecDeque<Change>> {
        if self.changes.is_empty() {
            return None;
        }
        let (pts, end) = (buffer.pts(), self.last_end());
        let leaps = pts.zip(end).is_some_and(|(pts, end)| leap(pts, end));
        if !is_break && !leaps {
            return None;
        }
        let is_old = |change: &Change| {
            let (Some(at), Some(pts)) = (change.at, pts) else {
                return true;
            };
            at <= pts.saturating_add(ROUNDING)
                || end.is_some_and(|end| {
                    at.absdiff(end) < at.absdiff(pts) && at <= end.saturating_add(JITTER)
                })
        };
        // They come in order.
        let old = self.changes.iter().rposition(is_old);
        Some(self.changes.split_off(old.map_or(0, |last| last + 1)))
    }

    /// Where the last input ended by its own timestamp.
    fn last_end(&self) -> Option<gst::ClockTime> {
        let (pts, frames) = self.last?;
        Some(pts.saturating_add(frames_to_time(frames, self.info.rate())))
    }

    /// All of the input lies between utterances.
    fn passes_by(&self, input: &AudioBuffer) -> bool {
        if !matches!(self.cut, Cut::Utterance(_)) || self.in_utterance() {
            return false;
        }
        let Some(change) = self.changes.front() else {
            return true;
        };
        let duration = frames_to_time(input.frames, self.info.rate());
        let end = input.buffer.pts().map(|pts| pts.saturating_add(duration));
        change.at.zip(end).is_some_and(|(at, end)| at >= end)
    }

    fn append(&mut self, input: &AudioBuffer) -> Result<(), Failure> {
        let map = input
            .buffer
            .map_readable()
            .map_err(|_| Failure::new("BufferError", "the buffer cannot be mapped"))?;
        let width = self.width();
        let planes: &mut [Vec<u8>] = &mut self.planes;
        let copied = input.look(&map, |frames| {
            (0..planes.len()).try_for_each(|c| frames.plane(c, width).map(drop))?;
            for (channel, plane) in planes.iter_mut().enumerate() {
                plane.extend_from_slice(frames.plane(channel, width)?);
            }
            Ok::<_, Outside>(())
        });
        copied.map_err(|_| contradiction(&input.buffer, &self.info))?;
        if self.timeline.is_none() {
            self.timeline = Some(Timeline::new(input.buffer.pts(), self.info.rate()));
        }
        self.frames += input.frames;
        Ok(())
    }

    fn is_planar(&self) -> bool {
        self.info.layout() == gst_audio::AudioLayout::NonInterleaved
    }

    /// Bytes of a frame in one plane.
    fn width(&self) -> usize {
        let width = if self.is_planar() {
            self.info.bps()
        } else {
            self.info.bpf()
        };
        width as usize
    }

    fn cut_ready(&mut self, out: &mut VecDeque<Chunk>) {
        match self.cut {
            Cut::Buffer => {}
            Cut::Frames(size) => {
                while self.frames >= size.max(1) {
                    self.settle(size);
                    self.take(size, true, out);
                }
            }
            Cut::Utterance(limit) => {
                while let Some(change) = self.changes.front().copied() {
                    let at = self.frames_until(change.at);
                    if at > self.frames {
                        break;
                    }
                    self.changes.pop_front();
                    self.take_limited(at, limit, out);
                    self.apply(change);
                }
                if !self.in_utterance() {
                    let before = self.changes.front().map(|c| self.frames_until(c.at));
                    let n = before.map_or(self.frames, |b| b.min(self.frames));
                    self.take(n, false, out);
                } else if limit > 0 {
                    while self.frames >= limit {
                        self.take(limit, true, out);
                    }
                }
            }
        }
    }

    /// Takes up the changes that lie in the first half of the next `size` frames.
    fn settle(&mut self, size: u64) {
        while let Some(change) = self.changes.front().copied()
            && self.frames_until(change.at) <= size / 2
        {
            self.changes.pop_front();
            self.apply(change);
        }
    }

    /// Frames that wait before `at`.
    fn frames_until(&self, at: Option<gst::ClockTime>) -> u64 {
        let first = self.timeline.and_then(|t| t.position());
        match (at, first) {
            (Some(at), Some(first)) => time_to_frames(at.saturating_sub(first), self.info.rate()),
            _ => 0,
        }
    }

    fn take_limited(&mut self, frames: u64, limit: u64, out: &mut VecDeque<Chunk>) {
        let mut left = frames;
        let call = self.in_utterance();
        while left > 0 {
            let n = if limit > 0 && call {
                left.min(limit)
            } else {
                left
            };
            self.take(n, call, out);
            left -= n;
        }
    }

    /// Cuts off `frames` frames as a chunk of its own.
    fn take(&mut self, frames: u64, call: bool, out: &mut VecDeque<Chunk>) {
        if frames == 0 {
            return;
        }
        let mut buffer = gst::Buffer::from_mut_slice(self.take_samples(frames));
        self.frames -= frames.min(self.frames);
        if let Some(b) = buffer.get_mut() {
            if let Some(timeline) = &mut self.timeline {
                let (pts, duration) = timeline.advance(frames);
                b.set_pts(pts);
                b.set_duration(duration);
            }
            if std::mem::take(&mut self.discont) {
                b.set_flags(gst::BufferFlags::DISCONT);
            }
            // Fails only where the buffer is too small, which planes of `frames` rule out.
            let _ = add_planes(b, &self.info, frames as usize);
        }
        out.push_back(self.whole(buffer, frames, call));
    }

    /// The first `frames` frames that wait, plane after plane.
    fn take_samples(&mut self, frames: u64) -> Vec<u8> {
        let width = self.width();
        let size = frames as usize * width;
        // What is long is all that waits, and need not be copied.
        if let [plane] = &mut self.planes[..]
            && (self.taken, size) == (0, plane.len())
            && size > ROOM
        {
            return std::mem::take(plane);
        }
        let from = self.taken as usize * width;
        let mut samples = Vec::with_capacity(size * self.planes.len());
        for plane in &self.planes {
            samples
                .extend_from_slice(&plane[from.min(plane.len())..(from + size).min(plane.len())]);
        }
        self.taken += frames;
        samples
    }

    /// Moves what waits to the head of the planes.
    fn close_up(&mut self) {
        let size = self.taken as usize * self.width();
        for plane in &mut self.planes {
            plane.drain(..size.min(plane.len()));
        }
        self.taken = 0;
    }

    /// Gives all that waits.
    pub fn drain(&mut self, out: &mut VecDeque<Chunk>) {
        match self.cut {
            Cut::Buffer => {}
            Cut::Frames(_) => {
                self.settle(self.frames);
                self.take(self.frames, true, out);
            }
            Cut::Utterance(limit) => {
                self.cut_ready(out);
                self.take_limited(self.frames, limit, out);
            }
        }
        self.close_up();
        self.planes.iter_mut().for_each(|p| p.shrink_to(ROOM));
    }
}
