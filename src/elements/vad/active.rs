// SPDX-License-Identifier: MIT

//! A negotiated stream: the detector, what waits for it, and how its words become messages.

use std::sync::Arc;

use super::message::{Times, VadChange, VadFrame};
use super::queue::Queue;
use super::settings::Settings;
use crate::dsp::vad::{self, Change, Config, Frame, Output};
use crate::dsp::{Frames, Outside};
use crate::elements::support::format::sample_format;
use crate::elements::support::frames::{AudioBuffer, Partial};
use crate::elements::support::properties::Live;
use crate::elements::support::timeline::frames_to_time;

/// A timestamp this far off what is counted starts a new stream.
const TOLERANCE: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A negotiated stream.
pub struct Active {
    pub info: gst_audio::AudioInfo,
    pub vad: vad::Vad,
    pub queue: Queue,
    /// As they were taken up.
    pub settings: Arc<Settings>,
    /// Bytes that the detector held when it was asked last, which is seldom.
    pub memory: u64,
    /// Timestamp of a sample, as the queue counts them, that later ones are counted from.
    anchor: Option<(gst::ClockTime, u64)>,
    /// Samples of the longest buffer and of the last one, and whether all but the last had the same.
    longest: u64,
    last: u64,
    even: bool,
    /// That a buffer holds half a frame was said.
    said_partial: bool,
    /// Names of the scores in messages of frames.
    score_names: Vec<String>,
    /// Where the last segment starts, as it was told.
    begun: u64,
    /// Last frame, for the changes that follow it.
    pub frame: Frame,
    /// Since the last line in the log.
    pub heard: Heard,
}

fn scores_of(detector: vad::DetectorKind) -> Vec<String> {
    let names = detector.scores().iter();
    names.map(|name| format!("score-{name}")).collect()
}

/// What the detector made of the audio, in short.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    pub frames: u64,
    /// Greatest of them.
    pub probability: f32,
    pub level: f32,
}

impl Heard {
    /// A line in the log per so many frames: a second.
    const LINE: u64 = 100;

    fn add(&mut self, frame: &Frame) {
        let first = self.frames == 0;
        self.frames += 1;
        self.probability = self.probability.max(frame.probability);
        self.level = if first {
            frame.level
        } else {
            self.level.max(frame.level)
        };
    }

    /// What there is to say, if it is time to.
    pub fn take_line(&mut self) -> Option<Self> {
        (self.frames >= Self::LINE).then(|| std::mem::take(self))
    }
}

impl Active {
    pub fn new(info: gst_audio::AudioInfo, settings: Arc<Settings>) -> Option<Self> {
        let config = Config {
            format: sample_format(info.format())?,
            rate: info.rate(),
            channels: info.channels() as usize,
            detector: settings.detector_kind(),
        };
        let vad = vad::Vad::new(config, settings.rules());
        Some(Self {
            memory: vad.memory() as u64,
            vad,
            info,
            queue: Queue::default(),
            settings,
            anchor: None,
            longest: 0,
            last: 0,
            even: true,
            said_partial: false,
            score_names: scores_of(config.detector),
            begun: 0,
            frame: Frame::default(),
            heard: Heard::default(),
        })
    }

    /// Takes up what was set since the last time.
    pub fn take_up(&mut self, settings: &Live<Settings>) {
        if settings.is(&self.settings) {
            return;
        }
        self.settings = settings.get();
        self.vad.set_rules(self.settings.rules());
        self.vad
            .set_energy_threshold(self.settings.energy_db as f32);
        self.memory = self.vad.memory() as u64;
    }

    /// What is wrong with the first buffer that is no whole number of frames.
    pub fn first_partial(&mut self, input: &AudioBuffer) -> Option<Partial> {
        let partial = input.partial?;
        (!std::mem::replace(&mut self.said_partial, true)).then_some(partial)
    }

    /// True if `buffer` does not go on where the last one ended.
    pub fn is_jump(&self, buffer: &gst::BufferRef) -> bool {
        let jumped = match (buffer.pts(), self.expected()) {
            (Some(pts), Some(expected)) => pts.absdiff(expected) > TOLERANCE,
            _ => false,
        };
        jumped || buffer.flags().contains(gst::BufferFlags::DISCONT)
    }

    /// Timestamp that the next sample should have.
    pub fn expected(&self) -> Option<gst::ClockTime> {
        let (time, at) = self.anchor?;
        let after = self.queue.end().saturating_sub(at);
        Some(time.saturating_add(frames_to_time(after, self.info.rate())))
    }

    /// Takes up `time` as that of the next sample.
    pub fn set_expected(&mut self, time: Option<gst::ClockTime>) {
        self.anchor = time.map(|time| (time, self.queue.end()));
    }

    /// Starts again at sample 0; who has no timestamps goes on counting from where it is.
    pub fn reset(&mut self) {
        let next = self.expected();
        self.vad.reset();
        self.queue.reset();
        self.set_expected(next);
    }

    /// Takes a buffer of `samples` into the queue. One without timestamp gets, for what is told
    /// about it, the time counted from the last that had one, or from the start of `segment`.
    pub fn enqueue(
        &mut self,
        buffer: gst::Buffer,
        samples: u64,
        segment: &gst::FormattedSegment<gst::ClockTime>,
    ) {
        if let Some(pts) = buffer.pts() {
            self.set_expected(Some(pts));
        } else if self.anchor.is_none() {
            self.set_expected(Some(segment.start().unwrap_or(gst::ClockTime::ZERO)));
        }
        let pts = self.expected();
        self.queue.push_buffer(buffer, samples, pts);
        if samples > 0 {
            // The last of a stream may be short without anything waiting longer for it.
            self.even &= self.last == self.longest && samples <= self.longest || self.last == 0;
            self.longest = self.longest.max(samples);
            self.last = samples;
        }
    }

    /// Has the detector hear `frames`: edges go to the queue, messages to `messages`.
    ///
    /// # Errors
    /// Samples lie outside of their memory; nothing is heard.
    pub fn hear(
        &mut self,
        frames: Frames<'_>,
        messages: &mut Vec<gst::Structure>,
        segment: &gst::FormattedSegment<gst::ClockTime>,
    ) -> Result<(), Outside> {
        let (vad, mut report) = self.report(messages, segment);
        vad.push(frames, |o| report.take(o))
    }

    /// Has the detector decide about what it has heard as where silence follows.
    pub fn settle(
        &mut self,
        messages: &mut Vec<gst::Structure>,
        segment: &gst::FormattedSegment<gst::ClockTime>,
    ) {
        let (vad, mut report) = self.report(messages, segment);
        vad.settle(|o| report.take(o));
    }

    /// Tells the detector that nothing more comes, where `timed_out` because nothing came in time.
    pub fn end(
        &mut self,
        timed_out: bool,
        messages: &mut Vec<gst::Structure>,
        segment: &gst::FormattedSegment<gst::ClockTime>,
    ) {
        let (vad, mut report) = self.report(messages, segment);
        report.end = Some((vad.frames(), vad.position()));
        report.timed_out = timed_out;
        vad.flush(|o| report.take(o));
    }

    fn report<'a>(
        &'a mut self,
        messages: &'a mut Vec<gst::Structure>,
        segment: &'a gst::FormattedSegment<gst::ClockTime>,
    ) -> (&'a mut vad::Vad, Report<'a>) {
        let report = Report {
            queue: &mut self.queue,
            messages,
            segment,
            settings: &self.settings,
            begun: &mut self.begun,
            frame: &mut self.frame,
            heard: &mut self.heard,
            score_names: &self.score_names,
            grid: self.vad.grid(),
            rate: self.info.rate(),
            end: None,
            timed_out: false,
        };
        (&mut self.vad, report)
    }

    /// Samples that a buffer waits for those after it, at most.
    pub fn wait(&self) -> u64 {
        let delay = self.vad.delay();
        if self.longest == 0 {
            // Until there are buffers, they are taken to be frames.
            return delay;
        }
        let longest = self.longest;
        // Buffers that end where frames do wait for no other frame's rest.
        let rest = if self.vad.grid().divides(longest) {
            0
        } else {
            self.vad.grid().len(0) as u64
        };
        if self.even {
            (delay + rest).div_ceil(longest) * longest
        } else {
            delay + self.vad.grid().len(0) as u64 + longest
        }
    }
}

/// Where results of the detector go.
struct Report<'a> {
    queue: &'a mut Queue,
    messages: &'a mut Vec<gst::Structure>,
    segment: &'a gst::FormattedSegment<gst::ClockTime>,
    settings: &'a Settings,
    begun: &'a mut u64,
    frame: &'a mut Frame,
    heard: &'a mut Heard,
    score_names: &'a [String],
    grid: vad::FrameGrid,
    rate: u32,
    /// Frames and samples of the stream, where it has ended.
    end: Option<(u64, u64)>,
    timed_out: bool,
}

impl Report<'_> {
    fn take(&mut self, output: Output) {
        match output {
            Output::Frame(frame) => self.take_frame(frame),
            Output::Change(change, frame) => self.take_change(change, frame),
        }
    }

    fn times(&self, at: u64) -> Times {
        Times::new(self.queue.time_of(at, self.rate), self.segment)
    }

    fn take_frame(&mut self, frame: Frame) {
        *self.frame = frame;
        self.heard.add(&frame);
        if self.settings.post_frames {
            let message = VadFrame {
                times: self.times(self.grid.start(frame.index)),
                duration: frames_to_time(self.grid.len(frame.index) as u64, self.rate),
                probability: frame.probability.into(),
                speech: frame.speech,
                level: frame.level.into(),
                noise_floor: frame.noise_floor.into(),
            };
            let mut message = gst::Structure::from(message);
            for (name, score) in self.score_names.iter().zip(frame.scores) {
                message.set(name.as_str(), f64::from(score));
            }
            self.messages.push(message);
        }
    }

    fn take_change(&mut self, change: Change, frame: Frame) {
        // What is left of a frame at the end goes with the frame before it.
        let at = match self.end {
            Some((frames, end)) if change.at >= frames => end,
            _ => self.grid.start(change.at),
        };
        let at = at.max(self.queue.gone());
        let length = if change.speech {
            *self.begun = at;
            0
        } else {
            at.saturating_sub(*self.begun)
        };
        let message = gst::Structure::from(VadChange {
            speech: change.speech,
            probability: frame.probability.into(),
            level: frame.level.into(),
            noise_floor: frame.noise_floor.into(),
            times: self.times(at),
            duration: frames_to_time(length, self.rate),
            segment: change.segment,
            timed_out: self.timed_out,
            segment_level: change.level.map(f64::from),
            segment_probability: change.probability.map(f64::from),
        });
        if self.settings.post_messages {
            self.messages.push(message.clone());
        }
        self.queue.push_edge(at, change.speech, message);
    }
}
