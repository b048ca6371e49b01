//! What detectors that hear have in common.

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

    /// Starts afresh, as at the start of another recording.
    fn reset(&mut self);

    /// Bytes held, tables that detectors share left out where they are large.
    fn memory(&self) -> usize;
}
