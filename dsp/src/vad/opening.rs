// SPDX-License-Identifier: MIT

//! The first moments of a recording.

use std::ops::Range;

/// Samples of a hop, at the networks' 16 kHz.
const HOP: usize = 160;
/// Samples of a window of Silero's network.
const WINDOW: usize = 512;
/// Hops that the first 64 ms lie in: once they are there, they are heard again.
const WHOLE: usize = 7;
/// Hops that are kept: others come meanwhile.
const HOPS: usize = WHOLE + 2;
/// Samples that are kept, those that are heard backwards, and all that are heard again.
const KEPT: usize = HOPS * HOP;
const MIRRORED: usize = 2 * WINDOW;
const SAMPLES: usize = MIRRORED + KEPT;
/// Those at each hop: four windows, of which no hop has more than two to complete.
const PARTS: [Range<usize>; 3] = [0..832, 832..1536, 1536..SAMPLES];

/// Keeps the first moments of a recording, and has the first 64 ms of them heard again.
///
/// Networks that hear a context know nothing at the start of a recording, and take speech that it
/// begins in the midst of for something that may become speech. Hearing the first moments backwards
/// before they hear them forwards, they know voice, level and room. No hop has to hear it all: the work
/// is spread over three.
pub struct Opening {
    /// What is heard again. Gone once it was heard: most of a recording has no use for it.
    samples: Option<Box<[f32; KEPT]>>,
    /// Hops kept.
    hops: usize,
}

impl Default for Opening {
    fn default() -> Self {
        Self {
            samples: Some(Box::new([0.0; KEPT])),
            hops: 0,
        }
    }
}

/// What is to be heard in place of a hop.
pub struct Again<'a> {
    /// All that is kept.
    samples: &'a [f32; KEPT],
    /// What of the whole is to be heard: mirrored samples come first, then all as they were.
    part: Range<usize>,
    /// Hops of the recording, this one included.
    pub hops: usize,
}

/// Samples among which no window begins or ends.
pub struct Piece<'a> {
    pub samples: &'a [f32],
    /// Sample of the recording that the window begins with which these complete; none where they
    /// complete none, or one that is heard backwards.
    pub window: Option<usize>,
}

impl<'a> Again<'a> {
    /// This is the first of it: what was heard is to be forgotten.
    pub fn begins(&self) -> bool {
        self.part.start == 0
    }

    /// This is the last of it: the next hop is heard as it comes.
    pub fn ends(&self) -> bool {
        self.part.end == SAMPLES
    }

    /// Gives its pieces to `hear`, one after the other.
    #[inline(always)]
    pub fn each(&self, mut hear: impl FnMut(Piece<'_>)) {
        let mut at = self.part.start;
        while at < self.part.end {
            let end = (at + WINDOW - at % WINDOW).min(self.part.end);
            let mut mirrored = [0.0; WINDOW];
            let samples = if end <= MIRRORED {
                let mirrored = &mut mirrored[..end - at];
                let from = &self.samples[MIRRORED - end..MIRRORED - at];
                for (y, x) in mirrored.iter_mut().rev().zip(from) {
                    *y = *x;
                }
                mirrored
            } else {
                &self.samples[at - MIRRORED..end - MIRRORED]
            };
            let complete = end.is_multiple_of(WINDOW);
            hear(Piece {
                samples,
                window: end.checked_sub(MIRRORED + WINDOW).filter(|_| complete),
            });
            at = end;
        }
    }
}

impl Opening {
    /// Frames at the start of a recording that a network may know less of than of later ones: for so
    /// long, the greatest logit that is known holds.
    pub const FRAMES: usize = 10;

    /// One that is over before it began.
    #[cfg(test)]
    pub fn over() -> Self {
        Self {
            samples: None,
            hops: HOPS,
        }
    }

    /// Takes a hop of 10 ms; what is to be heard in its place, if it is not the hop itself.
    pub fn take(&mut self, hop: &[f32; HOP]) -> Option<Again<'_>> {
        if self.hops == HOPS {
            self.samples = None;
        }
        let samples = self.samples.as_mut()?;
        samples[self.hops * HOP..][..HOP].copy_from_slice(hop);
        self.hops += 1;
        let part = PARTS.get(self.hops.checked_sub(WHOLE)?)?.clone();
        Some(Again {
            samples,
            part,
            hops: self.hops,
        })
    }

    /// Audio stops before all of it was heard again, if it was not: what comes next may be an opening.
    pub fn interrupt(&mut self) {
        if self.hops < HOPS {
            self.hops = 0;
        }
    }

    /// Another recording starts.
    pub fn reset(&mut self) {
        if self.samples.is_none() {
            *self = Self::default();
        }
        self.hops = 0;
    }

    /// Bytes held on the heap.
    pub fn memory(&self) -> usize {
        self.samples.as_ref().map_or(0, |_| KEPT * size_of::<f32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hops of samples that count up from `from`, one after the other; what is heard again at each.
    fn heard(opening: &mut Opening, from: usize, hops: usize) -> Vec<Option<Vec<f32>>> {
        let hops = (0..hops).map(|h| std::array::from_fn(|i| (from + h * HOP + i) as f32));
        hops.map(|hop| {
            let (again, mut all) = (opening.take(&hop)?, Vec::new());
            again.each(|piece| all.extend_from_slice(piece.samples));
            Some(all)
        })
        .collect()
    }

    #[test]
    fn the_first_64_ms_are_heard_backwards_and_forwards_within_three_hops() {
        let mut opening = Opening::default();
        let found = heard(&mut opening, 0, 12);
        assert!(found[..6].iter().chain(&found[9..]).all(Option::is_none));
        let parts: Vec<&Vec<f32>> = found[6..9].iter().flatten().collect();
        assert_eq!(parts.iter().map(|p| p.len()).max(), Some(928));
        let all: Vec<f32> = parts.into_iter().flatten().copied().collect();
        let back = (0..1024).rev();
        let wanted: Vec<f32> = back.chain(0..9 * HOP).map(|i| i as f32).collect();
        assert_eq!(all, wanted);
        assert_eq!(opening.memory(), 0);
    }

    #[test]
    fn pieces_end_where_windows_do_and_say_which_are_heard_forwards() {
        let mut opening = Opening::default();
        let mut told = Vec::new();
        for hop in 1..=9 {
            if let Some(again) = opening.take(&[0.0; HOP]) {
                assert_eq!(
                    (again.hops, again.begins(), again.ends()),
                    (hop, hop == 7, hop == 9)
                );
                again.each(|piece| told.push((piece.samples.len(), piece.window)));
            }
        }
        let wanted = [
            (512, None),
            (320, None),
            (192, None),
            (512, Some(0)),
            (512, Some(512)),
            (416, None),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn an_opening_that_is_interrupted_begins_again_and_none_comes_twice() {
        let mut opening = Opening::default();
        for hops in [6, 7, 8] {
            heard(&mut opening, 0, hops);
            opening.interrupt();
        }
        let first = |found: Vec<Option<Vec<f32>>>| found[6].as_ref().map(|part| part[0]);
        assert_eq!(first(heard(&mut opening, 5, 9)), Some(1023.0 + 5.0));
        opening.interrupt();
        assert_eq!(first(heard(&mut opening, 0, 7)), None);
        opening.reset();
        assert_eq!(first(heard(&mut opening, 3, 7)), Some(1023.0 + 3.0));
    }
}
