// SPDX-License-Identifier: MIT

//! From probabilities to segments: thresholds, shortest speech and silence, padding, longest
//! segment. A state machine over 10 ms frames.

use super::grid::frames_of;

/// How probabilities become segments. Durations in 10 ms frames.
///
/// Probabilities tell whether speech starts and ends, levels where: the first and last consonants of
/// a word look little like speech, and the probability outlasts a word. So a frame that is silent by
/// its level is no speech whatever its probability; no segment ends before the probability, too, has
/// stayed below `release` for 40 ms, since words have silent parts. A start is moved back over frames
/// that stand clear of the noise, as far as the latency allows which the other rules ask for; an end
/// goes forward to the last frame that does. Neither goes further than 120 ms (after Rabiner and
/// Sambur, 1975). See [`Segmenter::push`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Speech at or above this probability.
    pub threshold: f32,
    /// Silence below this one; between the two, things stay as they are.
    pub release: f32,
    /// Frames in a row that make a segment start; at least 1 counts.
    pub min_speech: u64,
    /// Frames in a row that make it end; shorter silences belong to it. At least `pad` and 1 count.
    pub min_silence: u64,
    /// Frames that a segment is extended by, on both sides.
    pub pad: u64,
    /// Longest segment with its padding; a longer one is cut into segments that touch.
    pub max_speech: Option<u64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            release: 0.35,
            min_speech: 10,
            min_silence: 15,
            pad: 3,
            max_speech: None,
        }
    }
}

impl Rules {
    /// Sets the durations from ns, rounded to the nearest frame; `u64::MAX` as the longest speech
    /// is none.
    pub fn with_times(mut self, speech: u64, silence: u64, pad: u64, max: u64) -> Self {
        self.min_speech = frames_of(speech);
        self.min_silence = frames_of(silence);
        self.pad = frames_of(pad);
        self.max_speech = (max != u64::MAX).then(|| frames_of(max));
        self
    }

    fn shortest_speech(&self) -> u64 {
        self.min_speech.max(1)
    }

    fn shortest_silence(&self) -> u64 {
        self.min_silence.max(self.pad).max(1)
    }

    /// Frames in a row that must be improbable where a segment ends.
    fn doubtless(&self) -> u64 {
        self.shortest_silence().min(DOUBTLESS)
    }

    /// Frames that a start may be moved back.
    fn reach_back(&self) -> u64 {
        (self.delay() - self.start_delay()).min(FARTHEST)
    }

    /// Most frames of which it may not be known at a time whether they are in a segment.
    pub(super) fn longest_doubt(&self) -> u64 {
        self.shortest_speech()
            .saturating_add(self.pad)
            .saturating_add(FARTHEST)
            .saturating_add(self.shortest_silence())
    }

    /// Frames after one that it takes at most to know whether it is in a segment.
    pub fn delay(&self) -> u64 {
        self.start_delay()
            .max((self.shortest_silence() - 1).saturating_sub(self.pad))
    }

    /// The same where a segment starts.
    fn start_delay(&self) -> u64 {
        (self.shortest_speech() - 1).saturating_add(self.pad)
    }
}

/// Frames that a start is moved back at most, and an end forward.
const FARTHEST: u64 = 12;
/// No segment ends before so many frames in a row were improbable: silent by their level alone, they
/// may lie within a word.
const DOUBTLESS: u64 = 4;

/// What the level of a frame says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelClass {
    /// Silence for certain, whatever the probability.
    Silent,
    /// Nothing.
    Open,
    /// It stands clear of the noise: perhaps the onset of speech.
    Clear,
}

/// An edge of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// True where a segment starts.
    pub speech: bool,
    /// First frame of what starts here.
    pub at: u64,
    /// First frame of what starts here with the padding left out: where the detector changed its
    /// mind.
    pub edge: u64,
    /// First frame of the segment that starts or ends here.
    pub start: u64,
    /// Number of the segment, from 1.
    pub segment: u64,
    /// Level of the segment that ends here, padding included, in dBFS; `None` at a start, and from
    /// a [`Segmenter`] by itself, which hears no audio.
    pub level: Option<f32>,
    /// Mean probability over its frames, padding included; `None` where `level` is.
    pub probability: Option<f32>,
}

const SILENCE: State = State::Silence {
    candidate: None,
    onset: None,
    fresh: false,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Outside, perhaps with a start not long enough yet, and the first frame of those that stand
    /// clear of the noise. The tail of a segment is no onset: `fresh` tells that it is over.
    Silence {
        candidate: Option<u64>,
        onset: Option<u64>,
        fresh: bool,
    },
    /// Inside, with the first frame.
    Speech { start: u64, tail: Tail },
}

/// Where a segment would end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tail {
    /// The frame after the last that was speech.
    speech: u64,
    /// The frame after the last that was speech or, soon after it, clear of the noise.
    last: u64,
    /// Frames in a row that have been improbable.
    improbable: u64,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Segmenter {
    rules: Rules,
    state: State,
    /// Frames taken.
    frames: u64,
    /// End of the last segment.
    end: u64,
    /// All frames before this one are known to be in a segment or not.
    decided: u64,
    segment: u64,
}

impl Segmenter {
    /// In silence, before frame 0.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: SILENCE,
            frames: 0,
            end: 0,
            decided: 0,
            segment: 0,
        }
    }

    /// A segmenter whose first segment has the number after `segment`.
    pub fn after(segment: u64, rules: Rules) -> Self {
        Self {
            segment,
            ..Self::new(rules)
        }
    }

    /// Number of the last segment; 0 before the first.
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes the rules, for the frames that are not decided yet.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// All frames before this one are known to be in a segment or not.
    pub fn decided(&self) -> u64 {
        self.decided
    }

    /// True inside a segment, as far as is decided.
    pub fn in_speech(&self) -> bool {
        matches!(self.state, State::Speech { .. })
    }

    /// Starts again at frame 0; segments are counted on.
    pub fn reset(&mut self) {
        *self = Self::after(self.segment, self.rules);
    }

    /// Takes the probability of the next frame, and what its level says.
    pub fn push(&mut self, probability: f32, level: LevelClass, mut change: impl FnMut(Change)) {
        let frame = self.frames;
        self.frames += 1;
        let silent = level == LevelClass::Silent;
        let speech = !silent && probability >= self.rules.threshold;
        let improbable = probability < self.rules.release;
        let silence = silent || improbable;
        match self.state {
            State::Silence {
                candidate,
                onset,
                fresh,
            } => {
                let clear = level == LevelClass::Clear;
                let onset = onset
                    .filter(|_| clear)
                    .or((clear && fresh).then_some(frame));
                let fresh = fresh || !clear;
                let candidate = match candidate {
                    None if speech => Some(frame),
                    Some(_) if silence => None,
                    other => other,
                };
                let first = candidate.unwrap_or(self.frames);
                let begin = onset
                    .unwrap_or(first)
                    .clamp(first.saturating_sub(self.rules.reach_back()), first);
                // The padding of one segment may touch that of the other, not reach into it, and
                // what is decided stays so when rules change.
                let start = begin
                    .saturating_sub(self.rules.pad)
                    .max(self.end)
                    .max(self.decided);
                let long_enough =
                    candidate.is_some_and(|c| self.frames - c >= self.rules.shortest_speech());
                if long_enough {
                    self.begin(start, first, &mut change);
                    let tail = Tail {
                        speech: self.frames,
                        last: self.frames,
                        improbable: 0,
                    };
                    self.state = State::Speech { start, tail };
                    self.decided = self.frames.max(self.decided);
                    self.cut(start, self.frames, &mut change);
                } else {
                    self.state = State::Silence {
                        candidate,
                        onset,
                        fresh,
                    };
                    self.decided = start;
                }
            }
            State::Speech { start, mut tail } => {
                let known = self.decided;
                if !silence {
                    (tail.speech, tail.last) = (self.frames, self.frames);
                } else if level == LevelClass::Clear && self.frames - tail.speech <= FARTHEST {
                    tail.last = self.frames;
                }
                tail.improbable = if improbable { tail.improbable + 1 } else { 0 };
                self.state = State::Speech { start, tail };
                let padded = tail.last.saturating_add(self.rules.pad).max(self.decided);
                let long_enough = self.frames - tail.last >= self.rules.shortest_silence();
                if long_enough && tail.improbable >= self.rules.doubtless() {
                    let end = padded.min(self.frames);
                    self.cut(known, end, &mut change);
                    self.finish(end, tail.last, &mut change);
                    self.decided = end.max(self.frames.saturating_sub(self.rules.pad));
                } else {
                    // What waits for an end that does not come belongs to the segment.
                    let due = self.frames.saturating_sub(self.rules.delay());
                    self.decided = padded.min(self.frames).max(due);
                    self.cut(known, self.decided, &mut change);
                }
            }
        }
    }

    /// Decides that no segment starts in the frames taken; one that is open stays so, and what is known
    /// of its end.
    pub fn settle(&mut self) {
        if let State::Silence {
            candidate, onset, ..
        } = &mut self.state
        {
            (*candidate, *onset) = (None, None);
            self.decided = self.frames;
        }
    }

    /// Ends the stream after the frames taken, where a segment that is open ends too.
    pub fn flush(&mut self, mut change: impl FnMut(Change)) {
        if let State::Speech { tail, .. } = self.state {
            let end = tail.last.saturating_add(self.rules.pad);
            let end = end.max(self.decided).min(self.frames);
            self.cut(self.decided, end, &mut change);
            self.finish(end, tail.last, &mut change);
        }
        self.state = SILENCE;
        self.decided = self.frames;
    }

    /// Cuts the open segment, which is known to reach to `end`, where it gets too long; not before
    /// `known`, to where it was known to reach already: the rules may have been others then.
    fn cut(&mut self, known: u64, end: u64, change: &mut impl FnMut(Change)) {
        let Some(longest) = self.rules.max_speech else {
            return;
        };
        let longest = longest.max(self.rules.shortest_speech());
        let place = |start: u64| start.saturating_add(longest).max(known);
        while let State::Speech { start, tail } = self.state
            && place(start) < end
        {
            let at = place(start);
            self.finish(at, at, change);
            self.begin(at, at, change);
            self.state = State::Speech { start: at, tail };
        }
    }

    fn begin(&mut self, start: u64, edge: u64, change: &mut impl FnMut(Change)) {
        self.segment += 1;
        change(Change {
            speech: true,
            at: start,
            edge,
            start,
            segment: self.segment,
            level: None,
            probability: None,
        });
    }

    fn finish(&mut self, end: u64, edge: u64, change: &mut impl FnMut(Change)) {
        if let State::Speech { start, .. } = self.state {
            change(Change {
                speech: false,
                at: end,
                edge,
                start,
                segment: self.segment,
                level: None,
                probability: None,
            });
        }
        self.end = end;
        self.state = SILENCE;
    }
}
