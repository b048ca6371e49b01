// SPDX-License-Identifier: MIT

//! What detectors that hear have in common.

/// Scores that a detector gives at most.
pub const MOST_SCORES: usize = 8;
/// What a decision was made of; what a detector does not have is 0.
pub type Scores = [f32; MOST_SCORES];

/// Log odds as they are told: no further from 0 than this.
const FARTHEST_LOGIT: f32 = 30.0;

/// Scores that begin with a logit.
pub(super) fn scores(logit: f32, others: &[f32]) -> Scores {
    let mut all = [0.0; MOST_SCORES];
    all[0] = logit.clamp(-FARTHEST_LOGIT, FARTHEST_LOGIT);
    for (score, other) in all[1..].iter_mut().zip(others) {
        *score = *other;
    }
    all
}

/// Hears audio by hops of 10 ms at the rate of its [`Plan`](super::Plan), and tells how probable
/// speech is, some frames later. Allocates nothing once it is made.
pub trait Detector: Send {
    /// Takes one hop of samples. Gives the probability of speech, 0 to 1, in the frame that lies as
    /// many frames before this one as the detector looks ahead: `None` while there is no such
    /// frame, 0 where it has heard too little to tell.
    fn push(&mut self, hop: &[f32]) -> Option<f32>;

    /// As [`push`](Self::push) for a hop that is known to hold no audio: no speech, and what has
    /// been learnt stays.
    fn push_gap(&mut self) -> Option<f32>;

    /// Ends the stream: as [`push`](Self::push) where nothing comes any more, so that the frames
    /// which wait are decided by what there is.
    fn push_end(&mut self) -> Option<f32>;

    /// What the last decision was made of, in the order of
    /// [`DetectorKind::scores`](super::DetectorKind::scores): the logit is that of the frame decided,
    /// the rest of the newest that was heard.
    fn scores(&self) -> Scores;

    /// Starts afresh, as at the start of another recording.
    fn reset(&mut self);

    /// Bytes held, tables that detectors share left out where they are large.
    fn memory(&self) -> usize;
}
