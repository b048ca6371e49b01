//! From probabilities to segments: thresholds, shortest speech and silence, padding, longest
//! segment. A state machine over 10 ms frames.

use super::grid::frames_of;

/// How probabilities become segments. Durations in 10 ms frames.
///
/// Whatever its probability, a frame is silence where its level says so; and a start is moved back
/// over frames that stand clear of the noise, since the first consonant of a word looks little like
/// speech. That goes as far as the latency allows which the other rules ask for, and no further
/// than 120 ms (after Rabiner and Sambur, 1975). See [`Segmenter::push`].
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
            min_speech: 3,
            min_silence: 10,
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

    /// Frames that a start may be moved back.
    fn reach_back(&self) -> u64 {
        let start = self.shortest_speech() - 1 + self.pad;
        (self.delay() - start).min(LONGEST_ONSET)
    }

    /// Most frames of which it may not be known at a time whether they are in a segment.
    pub(super) fn longest_doubt(&self) -> u64 {
        self.shortest_speech() + self.pad + LONGEST_ONSET + self.shortest_silence()
    }

    /// Frames after one that it takes at most to know whether it is in a segment.
    pub fn delay(&self) -> u64 {
        let start = self.shortest_speech() - 1 + self.pad;
        start.max((self.shortest_silence() - 1).saturating_sub(self.pad))
    }
}

/// Longest onset that a start is moved back over, in frames.
const LONGEST_ONSET: u64 = 12;

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
    /// Inside, with the first frame and the one after the last that was speech.
    Speech { start: u64, last: u64 },
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
        let silence = silent || probability < self.rules.release;
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
                    self.state = State::Speech {
                        start,
                        last: self.frames,
                    };
                    self.decided = self.frames.max(self.decided);
                    self.cut(self.frames, &mut change);
                } else {
                    self.state = State::Silence {
                        candidate,
                        onset,
                        fresh,
                    };
                    self.decided = start;
                }
            }
            State::Speech { start, last } => {
                let last = if silence { last } else { self.frames };
                self.state = State::Speech { start, last };
                let padded = last.saturating_add(self.rules.pad).max(self.decided);
                if self.frames - last >= self.rules.shortest_silence() {
                    let end = padded.min(self.frames);
                    self.cut(end, &mut change);
                    self.finish(end, last, &mut change);
                    self.decided = end.max(self.frames.saturating_sub(self.rules.pad));
                } else {
                    self.decided = padded.min(self.frames);
                    self.cut(self.decided, &mut change);
                }
            }
        }
    }

    /// Ends the stream after the frames taken, where a segment that is open ends too.
    pub fn flush(&mut self, mut change: impl FnMut(Change)) {
        if let State::Speech { last, .. } = self.state {
            let end = last.saturating_add(self.rules.pad);
            let end = end.max(self.decided).min(self.frames);
            self.cut(end, &mut change);
            self.finish(end, last, &mut change);
        }
        self.state = SILENCE;
        self.decided = self.frames;
    }

    /// Cuts the open segment, which is known to reach to `end`, where it gets too long.
    fn cut(&mut self, end: u64, change: &mut impl FnMut(Change)) {
        let Some(longest) = self.rules.max_speech else {
            return;
        };
        let longest = longest.max(self.rules.shortest_speech());
        while let State::Speech { start, last } = self.state
            && end - start > longest
        {
            let at = start + longest;
            self.finish(at, at, change);
            self.begin(at, at, change);
            self.state = State::Speech { start: at, last };
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
            });
        }
        self.end = end;
        self.state = SILENCE;
    }
}
