// SPDX-License-Identifier: MIT

//! The first moments of a recording.

/// Samples of a hop, at the networks' 16 kHz.
const HOP: usize = 160;
/// Hops that are kept: those that the first 64 ms lie in.
const HOPS: usize = 7;

/// Keeps the first 70 ms of a recording until they are whole.
///
/// Networks that hear a context know nothing at the start of a recording, and take speech that it
/// begins in the midst of for something that may become speech. Hearing the first moments backwards
/// before they hear them forwards, they know voice, level and room.
pub struct Opening {
    /// Gone once they were given: most of a recording has no use for them.
    samples: Option<Box<[f32; Self::SAMPLES]>>,
    /// Hops kept.
    hops: usize,
}

impl Default for Opening {
    fn default() -> Self {
        Self {
            samples: Some(Box::new([0.0; Self::SAMPLES])),
            hops: 0,
        }
    }
}

impl Opening {
    /// Samples of the whole.
    pub const SAMPLES: usize = HOPS * HOP;
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

    /// Takes a hop of 10 ms; all of the opening, once, where this one completes it.
    pub fn take(&mut self, hop: &[f32; HOP]) -> Option<Box<[f32; Self::SAMPLES]>> {
        let samples = self.samples.as_mut()?;
        samples[self.hops * HOP..][..HOP].copy_from_slice(hop);
        self.hops += 1;
        if self.hops == HOPS {
            self.samples.take()
        } else {
            None
        }
    }

    /// Audio stops before the opening is whole, if it is not: what comes next may be one.
    pub fn interrupt(&mut self) {
        if self.samples.is_some() {
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
        self.samples
            .as_ref()
            .map_or(0, |_| Self::SAMPLES * size_of::<f32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_whole_opening_is_given_once() {
        let mut opening = Opening::default();
        let mut hops = (0..40).map(|i| [i as f32; HOP]);
        let mut given = |opening: &mut Opening, n| {
            let hops = hops.by_ref().take(n);
            let found =
                hops.filter_map(|hop| opening.take(&hop).map(|x| (x[0], x[HOPS * HOP - 1])));
            found.collect::<Vec<_>>()
        };
        assert_eq!(given(&mut opening, 6), []);
        opening.interrupt();
        assert_eq!(given(&mut opening, 20), [(6.0, 12.0)]);
        opening.interrupt();
        assert_eq!(given(&mut opening, 7), []);
        opening.reset();
        assert_eq!(given(&mut opening, 7), [(33.0, 39.0)]);
    }
}
