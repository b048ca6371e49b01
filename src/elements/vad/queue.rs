// SPDX-License-Identifier: MIT

//! Audio and events on their way through, until it is known what they are.
//!
//! Buffers pass whole, except where a segment starts or ends inside one.

use std::collections::VecDeque;

use super::settings::Mode;
use crate::dsp::vad::Vad;
use crate::elements::support::frames::{AudioBuffer, ReadError};
use crate::elements::support::timeline::{frames_to_time, time_to_frames};

/// What may leave.
#[derive(Debug)]
pub enum Out {
    Buffer(gst::Buffer),
    Event(gst::Event),
    /// An event that came from nobody upstream.
    Made(gst::Event),
}

/// Those, in order. Nearly every push lets go of one or of none, which takes no memory.
#[derive(Debug, Default)]
pub struct Outs {
    first: Option<Out>,
    rest: Vec<Out>,
}

impl Outs {
    pub fn push(&mut self, out: Out) {
        if self.first.is_none() {
            self.first = Some(out);
        } else {
            self.rest.push(out);
        }
    }
}

impl IntoIterator for Outs {
    type Item = Out;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Out>, std::vec::IntoIter<Out>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

#[derive(Debug)]
enum Item {
    Buffer(gst::Buffer),
    /// A GAP event.
    Gap(gst::Event),
    /// The beginning of one that is longer than the detector hears of it.
    Silence,
    /// Takes no time.
    Event(gst::Event),
}

#[derive(Debug)]
struct Entry {
    item: Item,
    /// Position in samples, of the stream since the last reset.
    start: u64,
    len: u64,
    /// Timestamp of `start`.
    pts: Option<gst::ClockTime>,
}

/// An edge of a segment that is known but not yet passed.
#[derive(Debug)]
struct Edge {
    at: u64,
    speech: bool,
    event: gst::Structure,
}

/// How audio leaves.
pub struct Way<'a> {
    pub info: &'a gst_audio::AudioInfo,
    pub mode: Mode,
    /// The detector, where buffers get their level.
    pub level: Option<&'a mut Vad>,
}

/// Everything between the pads, in order.
#[derive(Debug, Default)]
pub struct Queue {
    entries: VecDeque<Entry>,
    edges: VecDeque<Edge>,
    /// Start of the first entry: all before it has left.
    released: u64,
    /// End of the last entry.
    end: u64,
    /// End of the last buffer that has left.
    gone: u64,
    /// Start and timestamp of the last audio that has left.
    left: Option<(u64, gst::ClockTime)>,
    speech: bool,
    /// Something was dropped since the last buffer that left.
    discont: bool,
    bytes: u64,
    dropped: u64,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Samples taken since the last reset.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Where the audio ends that has left: no edge lies before. One may lie in a GAP that has left, which
    /// holds none.
    pub fn gone(&self) -> u64 {
        self.gone
    }

    /// Bytes of audio that are held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Buffers dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Forgets everything and starts at sample 0; what was dropped remains known.
    pub fn reset(&mut self) {
        self.entries.clear();
        self.edges.clear();
        self.left = None;
        (self.released, self.end, self.gone, self.bytes) = (0, 0, 0, 0);
        self.speech = false;
    }

    /// Adds a buffer whose first sample is at `pts`, whether it says so or not.
    pub fn push_buffer(&mut self, buffer: gst::Buffer, samples: u64, pts: Option<gst::ClockTime>) {
        self.bytes += buffer.size() as u64;
        self.push(pts, samples, Item::Buffer(buffer));
    }

    /// Forgets the buffer that was added last, of which nothing was heard.
    pub fn take_back(&mut self) {
        if let Some(entry) = self.entries.pop_back() {
            self.end = entry.start;
            if let Item::Buffer(buffer) = entry.item {
                self.bytes = self.bytes.saturating_sub(buffer.size() as u64);
            }
        }
    }

    /// Adds a GAP event from `pts` to `end` that the detector is given `samples` of silence for. Where those
    /// are not all of it, its beginning is counted from `pts` and the rest up to `end`.
    pub fn push_gap(
        &mut self,
        event: gst::Event,
        (pts, end): (gst::ClockTime, gst::ClockTime),
        samples: u64,
        rate: u32,
    ) {
        let whole = time_to_frames(end.saturating_sub(pts), rate) <= samples;
        let (first, rest) = if whole {
            (0, samples)
        } else {
            (samples / 2, samples - samples / 2)
        };
        let mut from = pts;
        if !whole {
            self.push(Some(pts), first, Item::Silence);
            from = end.saturating_sub(frames_to_time(rest, rate));
        }
        self.push(Some(from), rest, Item::Gap(event));
    }

    pub fn push_event(&mut self, event: gst::Event) {
        self.push(None, 0, Item::Event(event));
    }

    fn push(&mut self, pts: Option<gst::ClockTime>, len: u64, item: Item) {
        self.entries.push_back(Entry {
            item,
            start: self.end,
            len,
            pts,
        });
        self.end += len;
    }

    /// Takes out the events that take no time, in order.
    pub fn take_events(&mut self) -> Vec<gst::Event> {
        let events = |entry: Entry| match entry.item {
            Item::Event(event) => Some(event),
            Item::Buffer(_) | Item::Gap(_) | Item::Silence => None,
        };
        self.entries.drain(..).filter_map(events).collect()
    }

    /// Timestamp of sample `at`, from the buffer that holds it or ends there, even if that has left:
    /// in speech nothing waits.
    pub fn time_of(&self, at: u64, rate: u32) -> Option<gst::ClockTime> {
        let entry = self
            .entries
            .iter()
            .rev()
            .filter(|e| e.len > 0)
            .find(|e| e.start <= at)
            .and_then(|e| Some((e.start, e.pts?)));
        let later = || {
            let first = self.entries.iter().find(|e| e.len > 0)?;
            Some((first.start, first.pts?))
        };
        let (from, time) = entry.or(self.left).or_else(later)?;
        Some(match at.checked_sub(from) {
            Some(after) => time.saturating_add(frames_to_time(after, rate)),
            None => time.saturating_sub(frames_to_time(from - at, rate)),
        })
    }

    /// Adds an edge; they come in order.
    pub fn push_edge(&mut self, at: u64, speech: bool, event: gst::Structure) {
        // Never behind what has left.
        let at = at.max(self.released);
        self.edges.push_back(Edge { at, speech, event });
    }

    /// Lets everything go that ends before sample `limit`.
    pub fn release(
        &mut self,
        limit: u64,
        way: &mut Way<'_>,
        out: &mut Outs,
    ) -> Result<(), ReadError> {
        loop {
            let edge = self.edges.front().map(|e| e.at);
            if edge.is_some_and(|at| at <= self.released)
                && let Some(edge) = self.edges.pop_front()
            {
                self.speech = edge.speech;
                out.push(Out::Made(gst::event::CustomDownstream::new(edge.event)));
                continue;
            }
            let Some(entry) = self.entries.front() else {
                return Ok(());
            };
            let end = entry.start + entry.len;
            match edge.filter(|at| *at > self.released && *at < end && *at <= limit) {
                Some(at) => self.release_part(at, way, out)?,
                None if end <= limit => self.release_first(way, out)?,
                None => return Ok(()),
            }
        }
    }

    /// Lets go of the first entry up to `at`, which is inside it.
    fn release_part(
        &mut self,
        at: u64,
        way: &mut Way<'_>,
        out: &mut Outs,
    ) -> Result<(), ReadError> {
        let Some(entry) = self.entries.front_mut() else {
            return Ok(());
        };
        let n = at - entry.start;
        if let Item::Buffer(buffer) = &mut entry.item {
            let size = buffer.size() as u64;
            let rate = way.info.rate();
            let first = frames_to_time(n, rate);
            let (pts, all) = (buffer.pts(), buffer.duration());
            // What had no timestamp gets none.
            let duration = (pts.is_some() || all.is_some()).then_some(first);
            let rest_duration = all.map(|all| all.saturating_sub(first));
            let head = piece(buffer, way.info, 0, n, pts, duration);
            let len = entry.len - n;
            let rest_pts = pts.map(|t| t + first);
            *buffer = piece(buffer, way.info, n, len, rest_pts, rest_duration);
            let left = buffer.size() as u64;
            entry.pts = entry.pts.map(|t| t + first);
            self.bytes -= size.saturating_sub(left).min(self.bytes);
            self.gone = at;
            self.emit(head, n, way, out)?;
        }
        if let Some(entry) = self.entries.front_mut() {
            // A GAP event stays whole: it leaves at its end.
            entry.len -= n;
            entry.start = at;
            if let (Item::Gap(_) | Item::Silence, Some(pts)) = (&entry.item, &mut entry.pts) {
                *pts += frames_to_time(n, way.info.rate());
            }
        }
        self.released = at;
        Ok(())
    }

    fn release_first(&mut self, way: &mut Way<'_>, out: &mut Outs) -> Result<(), ReadError> {
        let Some(entry) = self.entries.pop_front() else {
            return Ok(());
        };
        self.released = entry.start + entry.len;
        if entry.len > 0 {
            self.left = entry.pts.map(|pts| (entry.start, pts));
        }
        match entry.item {
            Item::Event(event) | Item::Gap(event) => out.push(Out::Event(event)),
            Item::Silence => {}
            Item::Buffer(buffer) => {
                self.bytes = self.bytes.saturating_sub(buffer.size() as u64);
                self.gone = self.released;
                self.emit(buffer, entry.len, way, out)?;
            }
        }
        Ok(())
    }

    /// Sends a buffer that lies in speech or outside as a whole.
    fn emit(
        &mut self,
        mut buffer: gst::Buffer,
        samples: u64,
        way: &mut Way<'_>,
        out: &mut Outs,
    ) -> Result<(), ReadError> {
        if !self.speech {
            match way.mode {
                Mode::Pass => {}
                Mode::Gap => buffer.make_mut().set_flags(gst::BufferFlags::GAP),
                Mode::Mute => {
                    let mut map = buffer.make_mut().map_writable()?;
                    way.info.format_info().fill_silence(&mut map);
                }
                Mode::Drop => {
                    self.dropped += 1;
                    self.discont = true;
                    // Tells sinks that nothing is coming, so that they neither wait nor preroll.
                    if let Some(pts) = buffer.pts() {
                        let gap = gst::event::Gap::builder(pts)
                            .duration(frames_to_time(samples, way.info.rate()))
                            .build();
                        out.push(Out::Made(gap));
                    }
                    return Ok(());
                }
            }
        }
        if self.discont {
            self.discont = false;
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        if let Some(vad) = &mut way.level {
            let input = AudioBuffer::new(buffer, way.info);
            // What it was before it was said to be silence.
            let level =
                input.read_memory(|frames| vad.measure(frames).map_err(|e| input.outside(e)))?;
            buffer = input.buffer;
            set_level(buffer.make_mut(), level, self.speech);
        }
        out.push(Out::Buffer(buffer));
        Ok(())
    }
}

/// `samples` samples of `buffer` from `from` on, sharing its memory.
fn piece(
    buffer: &gst::Buffer,
    info: &gst_audio::AudioInfo,
    from: u64,
    samples: u64,
    pts: Option<gst::ClockTime>,
    duration: Option<gst::ClockTime>,
) -> gst::Buffer {
    let offset = buffer.offset();
    let mut part = gst_audio::audio_buffer_truncate(
        buffer.clone(),
        info.bpf(),
        from as usize,
        Some(samples as usize),
    );
    let p = part.make_mut();
    p.set_pts(pts);
    p.set_duration(duration);
    if offset != u64::MAX {
        p.set_offset(offset + from);
        p.set_offset_end(offset + from + samples);
    }
    if from > 0 {
        p.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
    }
    part
}

/// Writes the one level meta of `buffer`: level of 0 to 127 -dBov (RFC 6464) and the voice bit.
fn set_level(buffer: &mut gst::BufferRef, level_db: f32, speech: bool) {
    // There is no way to change one in place.
    while let Some(meta) = buffer.meta_mut::<gst_audio::AudioLevelMeta>() {
        if meta.remove().is_err() {
            break;
        }
    }
    let level = (-level_db).round().clamp(0.0, 127.0) as u8;
    gst_audio::AudioLevelMeta::add(buffer, level, speech);
}
