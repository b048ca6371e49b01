// SPDX-License-Identifier: MIT

//! From samples as they come to frames and segment edges.

use std::collections::VecDeque;
use std::ops::Range;

use super::decimate::Decimator;
use super::detector::{Detector, Scores};
use super::energy::{LevelMeter, sum_squares};
use super::grid::FrameGrid;
use super::look_ahead::LookAhead;
use super::loudness::SegmentMeter;
use super::math::sane;
use super::neural::Neural;
use super::segments::{Change, LevelClass, Rules, Segmenter};
use super::silero::Silero;
use super::spectral::{self, Spectral};
use super::spectrum::Plan;
use crate::audio::{Frames, Layout, Outside};
use crate::convert::{SampleFormat, Unpack};

/// Who tells speech from the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DetectorKind {
    /// Features of the spectrum over an adaptive noise floor.
    Spectral(LookAhead),
    /// Silero's network.
    Silero(LookAhead),
    /// Silero's network joined with features of the spectrum by a network of our own.
    Neural(LookAhead),
    /// Probability 1 at or above this level in dBFS, else 0.
    Energy {
        /// In dBFS.
        threshold_db: f32,
    },
}

impl DetectorKind {
    /// How far it looks ahead: not every detector has all that there are.
    pub fn look_ahead(self) -> LookAhead {
        match self {
            Self::Spectral(asked) => spectral::look_ahead(asked),
            Self::Silero(asked) | Self::Neural(asked) => asked,
            Self::Energy { .. } => LookAhead::None,
        }
    }

    /// Names of a frame's [`scores`](Frame::scores), in their order. The first is always the logit, of
    /// which the probability is made; `spectral`'s others are those of [`Spectral::scores`].
    pub fn scores(self) -> &'static [&'static str] {
        match self {
            Self::Spectral(_) => &[
                "logit",
                "low-ratio",
                "ratio",
                "flux",
                "voicing",
                "under-peak",
                "above-floor",
                "held-tone",
            ],
            Self::Silero(_) => &["logit", "window-logit"],
            Self::Neural(_) => &["logit", "silero-logit", "flux", "under-peak", "above-floor"],
            Self::Energy { .. } => &[],
        }
    }

    fn ears(self, plan: Plan) -> Ears {
        match self {
            Self::Spectral(look_ahead) => Ears::Sound(Box::new(Spectral::new(plan, look_ahead))),
            Self::Silero(look_ahead) => Ears::Sound(Box::new(Silero::new(plan, look_ahead))),
            Self::Neural(look_ahead) => Ears::Sound(Box::new(Neural::new(plan, look_ahead))),
            Self::Energy { threshold_db } => Ears::Level(threshold_db),
        }
    }
}

/// What goes in, and who looks at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// How a sample is held.
    pub format: SampleFormat,
    /// Samples per second and channel; at least 8000.
    pub rate: u32,
    /// At least 1.
    pub channels: usize,
    /// Who listens.
    pub detector: DetectorKind,
}

/// One decided-on frame of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Frame {
    /// Counted from 0.
    pub index: u64,
    /// Of speech, 0 to 1.
    pub probability: f32,
    /// Root mean square over the frame and all channels, in dBFS (a full-scale square is 0).
    pub level: f32,
    /// Noise floor then, in dBFS.
    pub noise_floor: f32,
    /// Inside a segment, before padding at its start is known.
    pub speech: bool,
    /// What the probability was made of, by the names of [`DetectorKind::scores`]; zeros in an
    /// [`Output::Change`].
    pub scores: Scores,
}

/// What is kept of a frame for the changes that may lie in it.
#[derive(Clone, Copy, Default)]
struct Kept {
    probability: f32,
    level: f32,
    noise_floor: f32,
    speech: bool,
}

/// What a [`Vad`] tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// A decided-on frame, in order.
    Frame(Frame),
    /// Comes right after the frame that decided it, with the frame at its
    /// [`edge`](Change::edge).
    Change(Change, Frame),
}

/// Audio of which no sample is missing.
enum Source<'a> {
    Silence,
    /// Interleaved.
    Frames(&'a [u8]),
    /// One plane for each channel.
    Planes(Frames<'a>),
}

/// What a decision is made from.
enum Ears {
    Sound(Box<dyn Detector>),
    /// The level alone, against this one in dBFS.
    Level(f32),
}

/// The whole detector, streaming. No frame allocates.
pub struct Vad {
    config: Config,
    grid: FrameGrid,
    unpack: Unpack<f32>,
    ears: Ears,
    decimator: Option<Decimator>,
    meter: LevelMeter,
    segmenter: Segmenter,
    loudness: SegmentMeter,
    /// Mean squares, levels and floors of the frames whose probability is yet to come; `None` of those
    /// that were made up to have the others decided.
    waiting: VecDeque<Option<(f32, f32, f32)>>,
    /// Mean over channels of the frame that is being filled.
    mono: Vec<f32>,
    /// The frames given last, the newest at the end: as many as the rules may look back.
    recent: VecDeque<Kept>,
    /// Edges that one frame decided.
    changes: Vec<Change>,
    filled: usize,
    /// Sum of squares over all channels of that frame.
    squares: f32,
    /// It holds samples that are none.
    gap: bool,
    /// Unpacked samples of more than one channel.
    scratch: Vec<f32>,
    /// From the decimator, where there is one.
    hop: Vec<f32>,
    /// Index of the frame that is being filled.
    frame: u64,
    /// Frames given out.
    given: u64,
}

/// Frames that are kept for the changes that lie in them: as many as may be in doubt, within these.
const RECENT: Range<usize> = 64..256;
/// Samples that are unpacked at a time.
const CHUNK: usize = 256;

impl Vad {
    /// A detector at sample 0.
    pub fn new(config: Config, rules: Rules) -> Self {
        let plan = Plan::for_rate(config.rate);
        let grid = FrameGrid::new(config.rate);
        let ears = config.detector.ears(plan);
        let decimator = match ears {
            Ears::Sound(_) => Decimator::new(config.rate, plan),
            Ears::Level(_) => None,
        };
        let longest = config.rate as usize / 100 + 1;
        let hop = decimator.as_ref().map_or(0, |_| plan.hop());
        let scratch = match config.channels {
            0 | 1 => 0,
            channels => CHUNK.max(channels),
        };
        let mut loudness = SegmentMeter::default();
        loudness.reserve(&rules);
        Self {
            unpack: Unpack::new(config.format),
            ears,
            decimator,
            meter: LevelMeter::default(),
            segmenter: Segmenter::new(rules),
            loudness,
            waiting: VecDeque::with_capacity(LookAhead::Long.frames() + 1),
            mono: vec![0.0; longest],
            recent: VecDeque::with_capacity(kept(&rules)),
            changes: Vec::with_capacity(4),
            filled: 0,
            squares: 0.0,
            gap: false,
            scratch: vec![0.0; scratch],
            hop: vec![0.0; hop],
            frame: 0,
            given: 0,
            grid,
            config,
        }
    }

    /// What it was made for.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where its frames lie.
    pub fn grid(&self) -> FrameGrid {
        self.grid
    }

    /// What makes segments of its frames.
    pub fn segmenter(&self) -> &Segmenter {
        &self.segmenter
    }

    /// Counts segments on from number `segment`, that of the last one of another stream.
    pub fn count_on(&mut self, segment: u64) {
        self.segmenter = Segmenter::after(segment, *self.segmenter.rules());
    }

    /// Changes the rules for what is not decided yet.
    pub fn set_rules(&mut self, rules: Rules) {
        self.loudness.reserve(&rules);
        let more = kept(&rules).saturating_sub(self.recent.len());
        self.recent.reserve_exact(more);
        self.segmenter.set_rules(rules);
    }

    /// Changes the threshold of the energy detector, in dBFS.
    pub fn set_energy_threshold(&mut self, db: f32) {
        if let Ears::Level(threshold) = &mut self.ears {
            *threshold = db;
            self.config.detector = DetectorKind::Energy { threshold_db: db };
        }
    }

    /// Frames of 10 ms after one that its probability needs.
    pub fn look_ahead(&self) -> u64 {
        self.config.detector.look_ahead().frames() as u64
    }

    /// Samples after one that it takes at most to decide about it, the rest of its frame left out.
    pub fn delay(&self) -> u64 {
        self.grid.start(
            self.look_ahead()
                .saturating_add(self.segmenter.rules().delay()),
        )
    }

    /// Samples taken.
    pub fn position(&self) -> u64 {
        self.grid.start(self.frame) + self.filled as u64
    }

    /// Whole frames taken.
    pub fn frames(&self) -> u64 {
        self.frame
    }

    /// All samples before this one are decided.
    pub fn decided(&self) -> u64 {
        self.grid.start(self.segmenter.decided())
    }

    /// Starts again at sample 0, as at the start of another recording; segments are counted on.
    pub fn reset(&mut self) {
        if let Ears::Sound(detector) = &mut self.ears {
            detector.reset();
        }
        if let Some(decimator) = &mut self.decimator {
            decimator.reset();
        }
        self.meter = LevelMeter::default();
        self.segmenter.reset();
        self.loudness.reset();
        self.waiting.clear();
        self.recent.clear();
        (self.filled, self.squares, self.gap) = (0, 0.0, false);
        (self.frame, self.given) = (0, 0);
    }

    /// Takes `frames`. [Silence](Frames::silence) is known to hold no audio: no speech, and what the
    /// detector has learnt stays.
    ///
    /// # Errors
    /// Samples lie outside of their memory; nothing is taken.
    pub fn push(
        &mut self,
        frames: Frames<'_>,
        mut give: impl FnMut(Output),
    ) -> Result<(), Outside> {
        let source = self.source(frames)?;
        let mut done = 0;
        while done < frames.count() {
            let room = self.grid.len(self.frame) - self.filled;
            let n = room.min(frames.count() - done);
            self.mix(&source, done, n);
            done += n;
            self.advance(n, &mut give);
        }
        Ok(())
    }

    /// Level of `frames` in dBFS, over all channels; they are not taken.
    ///
    /// # Errors
    /// Samples lie outside of their memory.
    pub fn measure(&mut self, frames: Frames<'_>) -> Result<f32, Outside> {
        let (size, channels) = (self.config.format.size(), self.config.channels.max(1));
        let (mut squares, mut samples) = (0.0, [0.0; CHUNK]);
        let mut add = |plane: &[u8]| {
            for bytes in plane.chunks(CHUNK * size) {
                let x = &mut samples[..bytes.len() / size];
                self.unpack.run(bytes, x);
                squares += sum_squares(x);
            }
        };
        match frames.layout() {
            None => {}
            Some(Layout::Interleaved) => add(frames.plane(0, channels * size)?),
            Some(Layout::Planar) => {
                for channel in 0..channels {
                    add(frames.plane(channel, size)?);
                }
            }
        }
        let values = frames.count().saturating_mul(channels).max(1);
        Ok(super::energy::level_db(squares / values as f32))
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let floats = self.mono.len() + self.scratch.len() + self.hop.len();
        let decimator = self.decimator.as_ref().map_or(0, Decimator::memory);
        let detector = match &self.ears {
            Ears::Sound(detector) => detector.memory(),
            Ears::Level(_) => 0,
        };
        let kept = self.recent.capacity() * size_of::<Kept>();
        size_of::<Self>() + floats * 4 + kept + decimator + detector + self.loudness.memory()
    }

    /// Decides about all whole frames taken, as where so much silence follows them that no segment starts
    /// in them which has not started by then. The stream goes on; what is known of the end of an open
    /// segment stays.
    pub fn settle(&mut self, mut give: impl FnMut(Output)) {
        while self.given < self.frame
            && let Ears::Sound(detector) = &mut self.ears
        {
            // Its answer comes later, to nobody.
            self.waiting.push_back(None);
            if let Some(probability) = detector.push_gap() {
                self.give(probability, &mut give);
            }
        }
        self.segmenter.settle();
        self.loudness.settle(self.segmenter.decided());
    }

    /// Ends the stream: frames that wait for later ones take what there is, a last piece shorter
    /// than a frame goes with the frame before it, and an open segment ends. [`reset`](Self::reset)
    /// comes next.
    pub fn flush(&mut self, mut give: impl FnMut(Output)) {
        while self.given < self.frame {
            let probability = match &mut self.ears {
                Ears::Sound(detector) => detector.push_end(),
                Ears::Level(_) => None,
            };
            self.give(probability.unwrap_or(0.0), &mut give);
        }
        let newest = self.given.saturating_sub(1);
        let (frames, loudness) = (&self.recent, &mut self.loudness);
        self.segmenter.flush(|mut change| {
            loudness.mark(&mut change);
            give(Output::Change(change, recent(frames, change.edge, newest)));
        });
    }

    /// Where the samples of `frames` are; nothing of them is missing.
    fn source<'a>(&self, frames: Frames<'a>) -> Result<Source<'a>, Outside> {
        let (size, channels) = (self.config.format.size(), self.config.channels.max(1));
        Ok(match frames.layout() {
            None => Source::Silence,
            Some(_) if channels == 1 => Source::Frames(frames.plane(0, size)?),
            Some(Layout::Interleaved) => Source::Frames(frames.plane(0, channels * size)?),
            Some(Layout::Planar) => {
                (0..channels).try_for_each(|channel| frames.plane(channel, size).map(drop))?;
                Source::Planes(frames)
            }
        })
    }

    /// Adds `n` samples from `from` on to the frame that is being filled.
    fn mix(&mut self, source: &Source<'_>, from: usize, n: usize) {
        let (size, channels) = (self.config.format.size(), self.config.channels.max(1));
        let mono = &mut self.mono[self.filled..self.filled + n];
        match source {
            Source::Silence => {
                self.gap = true;
                mono.fill(0.0);
            }
            Source::Frames(bytes) => {
                if channels == 1 {
                    let bytes = bytes.get(from * size..(from + n) * size);
                    self.unpack.run(bytes.unwrap_or_default(), mono);
                    for part in mono.chunks(CHUNK) {
                        self.squares += sum_squares(part);
                    }
                    return;
                }
                let per_chunk = (self.scratch.len() / channels).max(1);
                for (i, part) in mono.chunks_mut(per_chunk).enumerate() {
                    let values = part.len() * channels;
                    let at = (from + i * per_chunk) * channels * size;
                    let bytes = bytes.get(at..at + values * size).unwrap_or_default();
                    let x = &mut self.scratch[..values];
                    self.unpack.run(bytes, x);
                    self.squares += sum_squares(x);
                    for (y, x) in part.iter_mut().zip(x.chunks_exact(channels)) {
                        *y = x.iter().map(|x| sane(*x)).sum();
                    }
                }
            }
            Source::Planes(frames) => {
                mono.fill(0.0);
                let most = self.scratch.len();
                for channel in 0..channels {
                    let plane = frames.plane(channel, size).unwrap_or_default();
                    for (i, part) in mono.chunks_mut(most).enumerate() {
                        let at = (from + i * most) * size;
                        let bytes = plane.get(at..at + part.len() * size).unwrap_or_default();
                        let x = &mut self.scratch[..part.len()];
                        self.unpack.run(bytes, x);
                        self.squares += sum_squares(x);
                        for (y, x) in part.iter_mut().zip(x.iter()) {
                            *y += sane(*x);
                        }
                    }
                }
            }
        }
        if channels > 1 {
            let scale = 1.0 / channels as f32;
            for y in mono {
                *y *= scale;
            }
        }
    }

    /// Counts `n` samples and finishes the frame where they complete it.
    fn advance(&mut self, n: usize, give: &mut impl FnMut(Output)) {
        self.filled += n;
        let length = self.grid.len(self.frame);
        if self.filled < length {
            return;
        }
        let mean = self.squares / (length * self.config.channels.max(1)) as f32;
        if !self.gap {
            self.meter.update(mean);
        }
        let level = super::energy::level_db(mean);
        self.waiting
            .push_back(Some((mean, level, self.meter.noise_floor)));
        let probability = match &mut self.ears {
            Ears::Level(threshold) => Some(f32::from(u8::from(!self.gap && level >= *threshold))),
            Ears::Sound(detector) => {
                let mono = &self.mono[..length];
                let hop = match &mut self.decimator {
                    None => mono,
                    Some(decimator) => {
                        // What is not sane would stay in its history.
                        self.mono[..length].iter_mut().for_each(|x| *x = sane(*x));
                        decimator.run(&self.mono[..length], &mut self.hop);
                        &self.hop[..]
                    }
                };
                if self.gap {
                    detector.push_gap()
                } else {
                    detector.push(hop)
                }
            }
        };
        (self.filled, self.squares, self.gap) = (0, 0.0, false);
        self.frame += 1;
        if let Some(probability) = probability {
            self.give(probability, give);
        }
    }

    fn give(&mut self, probability: f32, give: &mut impl FnMut(Output)) {
        let Some((mean, level, noise_floor)) = self.waiting.pop_front().unwrap_or_default() else {
            return;
        };
        self.loudness.push(mean, probability);
        let index = self.given;
        self.given += 1;
        self.changes.clear();
        let class = match self.ears {
            Ears::Sound(_) => self.meter.classify(level),
            Ears::Level(_) => LevelClass::Open,
        };
        self.segmenter
            .push(probability, class, |change| self.changes.push(change));
        let frame = Frame {
            index,
            probability,
            level,
            noise_floor,
            speech: self.segmenter.in_speech(),
            scores: match &self.ears {
                Ears::Sound(detector) => detector.scores(),
                Ears::Level(_) => Scores::default(),
            },
        };
        if self.recent.len() >= kept(self.segmenter.rules()) {
            self.recent.pop_front();
        }
        self.recent.push_back(Kept {
            probability,
            level,
            noise_floor,
            speech: frame.speech,
        });
        give(Output::Frame(frame));
        for mut change in self.changes.drain(..) {
            self.loudness.mark(&mut change);
            let at = recent(&self.recent, change.edge, index);
            give(Output::Change(change, at));
        }
        self.loudness.settle(self.segmenter.decided());
    }
}

/// Frames that are kept under `rules`.
fn kept(rules: &Rules) -> usize {
    let doubt = usize::try_from(rules.longest_doubt()).unwrap_or(RECENT.end);
    doubt.clamp(RECENT.start, RECENT.end)
}

/// Frame `edge` of those kept, or the one nearest to it that is, the last being `newest`.
fn recent(frames: &VecDeque<Kept>, edge: u64, newest: u64) -> Frame {
    let oldest = (newest + 1).saturating_sub(frames.len() as u64);
    let index = edge.clamp(oldest.min(newest), newest);
    let kept = frames.get((index - oldest.min(index)) as usize);
    let kept = kept.copied().unwrap_or_default();
    Frame {
        index,
        probability: kept.probability,
        level: kept.level,
        noise_floor: kept.noise_floor,
        speech: kept.speech,
        scores: Scores::default(),
    }
}
