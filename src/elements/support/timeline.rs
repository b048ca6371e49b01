// SPDX-License-Identifier: MIT

//! Timestamps of a stream that is counted in frames.

use std::borrow::Cow;

/// Time of `frames` at `rate` Hz, rounded to the nearest ns.
pub fn frames_to_time(frames: u64, rate: u32) -> gst::ClockTime {
    const NS: u64 = 1_000_000_000;
    let rate = u64::from(rate.max(1));
    // Some 18 billion frames, four days at 48 kHz, fit the short division.
    if let Some(ns) = frames
        .checked_mul(NS)
        .and_then(|ns| ns.checked_add(rate / 2))
    {
        return gst::ClockTime::from_nseconds(ns / rate);
    }
    let rate = u128::from(rate);
    let ns = (u128::from(frames) * 1_000_000_000 + rate / 2) / rate;
    gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX - 1))
}

/// Frames of `time` at `rate` Hz, rounded to the nearest frame.
pub fn time_to_frames(time: gst::ClockTime, rate: u32) -> u64 {
    let short = time.nseconds().checked_mul(u64::from(rate));
    if let Some(frames) = short.and_then(|n| n.checked_add(500_000_000)) {
        return frames / 1_000_000_000;
    }
    let frames = (u128::from(time.nseconds()) * u128::from(rate) + 500_000_000) / 1_000_000_000;
    u64::try_from(frames).unwrap_or(u64::MAX)
}

/// Running time of `time` in `segment`; `None` outside of it, and where the segment has none.
pub fn running_time(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    time: Option<gst::ClockTime>,
) -> Option<gst::ClockTime> {
    countable(segment)?.to_running_time(time)
}

/// Running time of `time` in `segment` and on both sides of it; `None` where the segment has none.
pub fn running_time_full(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    time: gst::ClockTime,
) -> Option<gst::Signed<gst::ClockTime>> {
    countable(segment)?.to_running_time_full(time)
}

/// `segment` with the end that its running times are counted from, if it is played backwards.
/// `None` where no end is known: GStreamer takes a question for running times then for an error of
/// the program.
fn countable(
    segment: &gst::FormattedSegment<gst::ClockTime>,
) -> Option<Cow<'_, gst::FormattedSegment<gst::ClockTime>>> {
    if segment.rate() > 0.0 {
        return Some(Cow::Borrowed(segment));
    }
    let later = || segment.start()?.checked_add(segment.duration()?);
    let stop = segment.stop().or_else(later)?;
    if stop < segment.offset().unwrap_or(gst::ClockTime::ZERO) {
        return None;
    }
    if segment.stop().is_some() {
        return Some(Cow::Borrowed(segment));
    }
    let mut bounded = segment.clone();
    bounded.set_stop(stop);
    Some(Cow::Owned(bounded))
}

/// Derives timestamps from a base time and a frame count, so that rounding never adds up.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    base: Option<gst::ClockTime>,
    rate: u32,
    frames: u64,
}

impl Timeline {
    /// A timeline whose first frame is at `base`, where that is known.
    pub fn new(base: Option<gst::ClockTime>, rate: u32) -> Self {
        Self {
            base,
            rate,
            frames: 0,
        }
    }

    /// Time of the frame that lies `frames` after the first.
    pub fn at(&self, frames: u64) -> Option<gst::ClockTime> {
        self.base
            .map(|base| base.saturating_add(frames_to_time(frames, self.rate)))
    }

    /// Time of the next frame.
    pub fn position(&self) -> Option<gst::ClockTime> {
        self.at(self.frames)
    }

    /// Frames since the base.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes `frames` off the timeline: their timestamp and duration. Durations are differences of
    /// timestamps, so consecutive buffers touch to the ns.
    pub fn advance(&mut self, frames: u64) -> (Option<gst::ClockTime>, gst::ClockTime) {
        let start = frames_to_time(self.frames, self.rate);
        let pts = self.position();
        self.frames = self.frames.saturating_add(frames);
        (pts, frames_to_time(self.frames, self.rate) - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drifts_in_a_day_of_odd_buffers() {
        let base = gst::ClockTime::from_nseconds(123);
        let mut t = Timeline::new(Some(base), 44_100);
        let (mut frames, mut next) = (0u64, base);
        while frames < 44_100 * 60 * 60 {
            let n = 1 + (frames * 7919) % 1021;
            let (pts, duration) = t.advance(n);
            assert_eq!(pts, Some(next));
            next = pts.unwrap() + duration;
            frames += n;
            let exact = 123.0 + frames as f64 * 1e9 / 44_100.0;
            assert!((next.nseconds() as f64 - exact).abs() <= 1.0);
        }
        assert_eq!(t.frames(), frames);
    }

    #[test]
    fn conversions_round_to_nearest() {
        let second = gst::ClockTime::SECOND;
        assert_eq!(frames_to_time(48_000, 48_000), second);
        assert_eq!(time_to_frames(second, 44_100), 44_100);
        assert_eq!(frames_to_time(1, 3).nseconds(), 333_333_333);
        assert_eq!(frames_to_time(2, 3).nseconds(), 666_666_667);
        for n in 0..10_000 {
            assert_eq!(time_to_frames(frames_to_time(n, 44_100), 44_100), n);
        }
    }

    #[test]
    fn short_and_long_divisions_agree() {
        // Around the counts where the short ones end, for both directions.
        for rate in [1u32, 8000, 44_100, 48_000, 1_500_000] {
            let last = (u64::MAX - u64::from(rate) / 2) / 1_000_000_000;
            let exact = |frames: u64| {
                let (n, rate) = (u128::from(frames) * 1_000_000_000, u128::from(rate));
                u64::try_from((n + rate / 2) / rate).unwrap_or(u64::MAX - 1)
            };
            for frames in last - 3..=last + 3 {
                let time = frames_to_time(frames, rate);
                assert_eq!(
                    time.nseconds(),
                    exact(frames).min(u64::MAX - 1),
                    "{frames} {rate}"
                );
            }
            let last = (u64::MAX - 500_000_000) / u64::from(rate);
            for ns in (last.saturating_sub(3)..=last.saturating_add(3)).filter(|ns| *ns < u64::MAX)
            {
                let frames = (u128::from(ns) * u128::from(rate) + 500_000_000) / 1_000_000_000;
                let time = gst::ClockTime::from_nseconds(ns);
                assert_eq!(
                    u128::from(time_to_frames(time, rate)),
                    frames,
                    "{ns} {rate}"
                );
            }
        }
    }

    #[test]
    fn backwards_running_time_counts_from_the_end_if_there_is_one() {
        gst::init().unwrap();
        let s = gst::ClockTime::from_seconds;
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let times = |segment: &_| {
            (
                running_time(segment, Some(s(7))),
                running_time_full(segment, s(7)).map(|t| t.abs()),
            )
        };
        assert_eq!(times(&segment), (Some(s(7)), Some(s(7))));
        segment.set_rate(-2.0);
        assert_eq!(times(&segment), (None, None));
        segment.set_duration(s(17));
        assert_eq!(times(&segment), (Some(s(5)), Some(s(5))));
        segment.set_stop(s(9));
        assert_eq!(times(&segment), (Some(s(1)), Some(s(1))));
        segment.set_offset(s(10));
        assert_eq!(times(&segment), (None, None));
    }

    #[test]
    fn without_a_base_only_durations_are_known() {
        let mut t = Timeline::new(None, 8000);
        assert_eq!(t.advance(80), (None, 10 * gst::ClockTime::MSECOND));
        assert_eq!(t.position(), None);
    }
}
