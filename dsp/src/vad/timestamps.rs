// SPDX-License-Identifier: MIT

//! Segments of a whole recording from its probabilities, by the rules of Silero's
//! `get_speech_timestamps`: they look at all of it, where a [`Segmenter`](super::Segmenter) decides as
//! it hears.

use std::ops::Range;

/// How the probabilities of a recording become segments; lengths in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimestampRules {
    /// Speech at or above this probability.
    pub threshold: f32,
    /// Silence below this one.
    pub release: f32,
    /// Segments that are not longer, padding left out, are none; those that were cut off by
    /// `max_speech` stay.
    pub min_speech: f64,
    /// Shorter silences belong to the segment around them.
    pub min_silence: f64,
    /// What segments are extended by on both sides; half of the silence between two where that is
    /// less than both their pads.
    pub pad: f64,
    /// Longest segment, padding included. A longer one is cut at a silence in it, or else where it
    /// gets too long.
    pub max_speech: f64,
    /// Silences that are longer may be cut at.
    pub min_cut: f64,
    /// Cut at the longest of those, not at the last.
    pub cut_at_longest: bool,
}

impl TimestampRules {
    /// Silero's defaults for samples at `rate` Hz.
    pub fn new(rate: u32) -> Self {
        let ms = |ms: f64| f64::from(rate) * ms / 1000.0;
        Self {
            threshold: 0.5,
            release: 0.35,
            min_speech: ms(250.0),
            min_silence: ms(100.0),
            pad: ms(30.0),
            max_speech: f64::INFINITY,
            min_cut: ms(98.0),
            cut_at_longest: true,
        }
    }
}

/// The open segment.
#[derive(Clone, Debug)]
struct Open {
    start: u64,
    /// Where the silence began that it may end with.
    silence: Option<u64>,
    /// Silences in it that it may be cut at.
    pauses: Vec<Range<u64>>,
    /// The last of them, whose end may be yet to come; unless the longest counts.
    last: Option<(u64, Option<u64>)>,
}

impl Open {
    fn at(start: u64) -> Self {
        Self {
            start,
            silence: None,
            pauses: Vec::new(),
            last: None,
        }
    }

    /// Speech goes on at `now`.
    fn speech(&mut self, now: u64, rules: &TimestampRules) {
        let Some(silence) = self.silence.take() else {
            return;
        };
        if (now - silence) as f64 > rules.min_cut {
            self.pauses.push(silence..now);
        }
        if let Some((_, end @ None)) = &mut self.last {
            *end = Some(now);
        }
    }

    /// Where to cut, and where the rest starts, if it has.
    fn cut(&self, now: u64, rules: &TimestampRules) -> (u64, Option<u64>) {
        if rules.cut_at_longest {
            // The first of the longest.
            let longest = |a: &&Range<u64>, b: &&Range<u64>| {
                (a.end - a.start)
                    .cmp(&(b.end - b.start))
                    .then(b.start.cmp(&a.start))
            };
            let pause = self.pauses.iter().max_by(longest);
            return pause.map_or((now, None), |p| (p.start, Some(p.end)));
        }
        self.last.unwrap_or((now, None))
    }
}

/// Segments of speech in a recording of `length` samples, in order, padded. The frame of each of
/// `probabilities` starts at the sample that comes with it; frames are `frame` samples long.
///
/// ```
/// use rustaudio_dsp::vad::{TimestampRules, timestamps};
///
/// // A second of speech after one of silence, in frames of 10 ms at 8 kHz.
/// let probability = |n| if (100..200).contains(&n) { 0.9 } else { 0.1 };
/// let frames = (0..300).map(|n| (n * 80, probability(n)));
/// let segments = timestamps(frames, 80, 24_000, &TimestampRules::new(8000));
/// assert_eq!(segments, [8000 - 240..16_000 + 240]);
/// ```
pub fn timestamps(
    probabilities: impl IntoIterator<Item = (u64, f32)>,
    frame: u64,
    length: u64,
    rules: &TimestampRules,
) -> Vec<Range<u64>> {
    // Of the longest segment, what is left for speech.
    let longest = rules.max_speech - frame as f64 - 2.0 * rules.pad;
    let mut segments = Vec::new();
    let mut open: Option<Open> = None;
    for (now, probability) in probabilities {
        let speech = probability >= rules.threshold;
        let Some(segment) = &mut open else {
            if speech {
                open = Some(Open::at(now));
            }
            continue;
        };
        if speech {
            segment.speech(now, rules);
        }
        if now.saturating_sub(segment.start) as f64 > longest {
            let (end, next) = segment.cut(now, rules);
            segments.push(segment.start..end);
            open = next.map(Open::at);
        }
        if probability < rules.release
            && let Some(segment) = &mut open
        {
            let silence = *segment.silence.get_or_insert(now);
            let lasts = (now - silence) as f64;
            if !rules.cut_at_longest && lasts > rules.min_cut {
                segment.last = Some((silence, None));
            }
            if lasts >= rules.min_silence {
                if (silence - segment.start) as f64 > rules.min_speech {
                    segments.push(segment.start..silence);
                }
                open = None;
            }
        }
    }
    if let Some(segment) = open
        && length.saturating_sub(segment.start) as f64 > rules.min_speech
    {
        segments.push(segment.start..length);
    }
    pad(&mut segments, length, rules.pad);
    segments
}

/// Extends segments, up to half of the silence between two.
fn pad(segments: &mut [Range<u64>], length: u64, pad: f64) {
    let back = |at: u64| (at as f64 - pad).max(0.0) as u64;
    let on = |at: u64| (at as f64 + pad).min(length as f64) as u64;
    if let Some(first) = segments.first_mut() {
        first.start = back(first.start);
    }
    for n in 0..segments.len() {
        let Some(next) = segments.get(n + 1).map(|next| next.start) else {
            segments[n].end = on(segments[n].end);
            break;
        };
        let silence = next.saturating_sub(segments[n].end);
        if (silence as f64) < 2.0 * pad {
            segments[n].end += silence / 2;
            segments[n + 1].start = next - silence / 2;
        } else {
            segments[n].end = on(segments[n].end);
            segments[n + 1].start = back(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look like chance.
    struct Lcg(u64);

    impl Lcg {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.0 >> 40) % n
        }
    }

    /// Of each course of probability that `course` makes: number of segments, and a hash of their
    /// edges, as `get_speech_timestamps_from_probs` of silero-vad 6.2.3 gives them.
    const SILERO: [(usize, u64); 24] = [
        (6, 0x5fc1520f539c2648),
        (6, 0xa572d38573edf708),
        (9, 0xcad6cef42e1b4569),
        (3, 0x09bf674cd4126d44),
        (4, 0x7f382b671fbd7aa9),
        (10, 0xaf1b5bf7bc33c9f8),
        (4, 0x6fdb536cd99bc320),
        (2, 0xd3054c59b1eda3fd),
        (6, 0x41b1b3d68a633c48),
        (8, 0x0b978ff9765a7af0),
        (3, 0x860c1f7e4f97d374),
        (6, 0xd375f8b03528a148),
        (6, 0xe0145ddf1655cf08),
        (6, 0xa4d5e2e0a13425dc),
        (9, 0x580ed0f04f6426b0),
        (2, 0xd92812b740a11c98),
        (6, 0x5b0a996f172dedcf),
        (7, 0x70cd7c68028a7c44),
        (3, 0xd2dd22c255e85372),
        (3, 0x9d71f13139462beb),
        (10, 0x8004e985a6f37104),
        (6, 0x0d22b6e9a11971c8),
        (4, 0x59f653d3acc49bb0),
        (5, 0x223d45d1173bf3ac),
    ];

    /// Probabilities of 400 windows, sample rate, length and rules.
    fn course(seed: u64) -> (Vec<f32>, u32, u64, TimestampRules) {
        let mut chance = Lcg(seed);
        let mut probabilities = Vec::new();
        while probabilities.len() < 400 {
            let run = chance.below(if seed.is_multiple_of(3) { 12 } else { 40 }) as usize + 1;
            let level = [0.02, 0.4, 0.9][chance.below(3) as usize];
            probabilities.extend(std::iter::repeat_n(level, run));
        }
        probabilities.truncate(400);
        let (rate, window) = if seed % 2 == 1 {
            (16_000, 512)
        } else {
            (8000, 256)
        };
        let length = window * 400 - chance.below(window);
        let ms = |ms: f64| f64::from(rate) * ms / 1000.0;
        let rules = TimestampRules {
            min_speech: ms([250.0, 0.0, 64.0][(seed % 3) as usize]),
            max_speech: ms([f64::INFINITY, 2000.0, 1100.0, 3700.0][(seed % 4) as usize]),
            min_silence: ms([100.0, 250.0, 33.0, 0.0][chance.below(4) as usize]),
            pad: ms([30.0, 0.0, 100.0, 333.0][chance.below(4) as usize]),
            min_cut: ms([98.0, 30.0, 200.0][chance.below(3) as usize]),
            cut_at_longest: chance.below(2) == 1,
            ..TimestampRules::new(rate)
        };
        (probabilities, rate, length, rules)
    }

    #[test]
    fn segments_are_silero_s() {
        for (seed, expected) in (1..).zip(SILERO) {
            let (probabilities, rate, length, rules) = course(seed);
            let window = u64::from(rate) / 125 * 4;
            let frames = (0..).map(|n| n * window).zip(probabilities);
            let found = timestamps(frames, window, length, &rules);
            let edges = found.iter().flat_map(|s| [s.start, s.end]);
            let hash = edges.fold(0u64, |hash, at| {
                (hash ^ at)
                    .wrapping_mul(1_099_511_628_211)
                    .wrapping_add(1_469_598_103_934_665_603)
            });
            assert_eq!((found.len(), hash), expected, "{seed}: {rules:?} {found:?}");
        }
    }

    /// Segments of runs of windows, speech and silence by turns, from the first start and end of each.
    fn cut_at(runs: &[usize], cut_at_longest: bool) -> Vec<(u64, u64)> {
        let rules = TimestampRules {
            pad: 0.0,
            max_speech: 24_000.0,
            min_silence: 8000.0,
            min_speech: 4096.0,
            cut_at_longest,
            ..TimestampRules::new(16_000)
        };
        let levels = [0.9, 0.1].into_iter().cycle();
        let runs = runs.iter().zip(levels);
        let windows: Vec<f32> = runs
            .flat_map(|(n, level)| std::iter::repeat_n(level, *n))
            .collect();
        let length = windows.len() as u64 * 512;
        let frames = (0..).map(|n| n * 512).zip(windows);
        let found = timestamps(frames, 512, length, &rules);
        found.into_iter().map(|s| (s.start, s.end)).collect()
    }

    #[test]
    fn a_long_segment_is_cut_at_the_longest_silence_the_first_of_equal_ones_or_the_last() {
        // As silero-vad 6.2.3 has it.
        let longest = [(0, 5120), (8704, 32_256), (32_768, 47_104)];
        assert_eq!(cut_at(&[10, 7, 10, 5, 60], true), longest);
        let last = [(0, 13_824), (16_384, 39_936), (40_448, 47_104)];
        assert_eq!(cut_at(&[10, 7, 10, 5, 60], false), last);
        let first = [(0, 5120), (7680, 31_232), (31_744, 46_080)];
        assert_eq!(cut_at(&[10, 5, 10, 5, 60], true), first);
    }

    #[test]
    fn speech_has_to_be_longer_than_the_shortest() {
        // 8 and 9 windows of 512; 4096 samples are the shortest.
        assert_eq!(cut_at(&[8, 20, 9, 20], true), [(14_336, 18_944)]);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let rules = TimestampRules::new(16_000);
        assert_eq!(timestamps([], 160, 0, &rules), []);
        assert_eq!(timestamps([(0, 0.9)], 160, 160, &rules), []);
    }
}
