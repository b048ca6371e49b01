// SPDX-License-Identifier: MIT

//! From logits of 32 ms windows to frames of 10 ms.

use crate::vad::opening::Opening;

/// Samples of a frame, at the network's 16 kHz.
const FRAME: i64 = 160;
/// Windows that are kept: with the longest look-ahead, the oldest of four is needed.
const POINTS: usize = 8;
/// Frames that may wait for their windows.
const WAITING: usize = 16;
/// Share of its last change that the course is taken to go on with where it is not known yet, and
/// how far, in samples. Found on labelled recordings: `docs/vad.md`.
const GO_ON: f32 = 0.5;
const FARTHEST: f32 = 1024.0;

/// A logit, the instant it holds for, and the stretch of audio it belongs to.
#[derive(Clone, Copy, Default)]
struct Point {
    at: i64,
    logit: f32,
    stretch: u32,
}

/// The course of the logit: a line through those of the windows.
///
/// A frame has the logit at its centre, as far as it is known when the frame is decided: beyond the
/// newest window the line goes on at half its slope. Gaps cut it into stretches that do not know of
/// each other.
pub struct Course {
    look_ahead: u64,
    points: [Point; POINTS],
    known: usize,
    /// Stretch of each frame that waits, 0 if it is in a gap; frame `t` at `t % WAITING`.
    frames: [u32; WAITING],
    taken: u64,
    stretch: u32,
    /// First sample after the opening, which all lies in one stretch.
    opening: i64,
}

impl Course {
    /// Frames are decided `look_ahead` frames later, at most 15.
    pub fn new(look_ahead: usize) -> Self {
        debug_assert!(look_ahead < WAITING);
        Self {
            look_ahead: look_ahead as u64,
            points: [Point::default(); POINTS],
            known: 0,
            frames: [0; WAITING],
            taken: 0,
            stretch: 1,
            opening: i64::MIN,
        }
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        *self = Self::new(self.look_ahead as usize);
    }

    /// First sample of the frame that comes next.
    pub fn position(&self) -> i64 {
        self.taken as i64 * FRAME
    }

    /// The windows of a recording that starts at sample `from`, in this stretch, are told anew.
    pub fn open(&mut self, from: i64) {
        let mut kept = 0;
        for i in 0..self.known {
            if self.points[i].stretch != self.stretch {
                self.points[kept] = self.points[i];
                kept += 1;
            }
        }
        self.known = kept;
        self.opening = from + Opening::FRAMES as i64 * FRAME;
    }

    /// A window has given `logit`, which describes the instant of sample `at`.
    pub fn add(&mut self, at: i64, logit: f32) {
        self.points.rotate_right(1);
        self.points[0] = Point {
            at,
            logit,
            stretch: self.stretch,
        };
        self.known = (self.known + 1).min(POINTS);
    }

    /// Counts a frame, and decides the one that lies the look-ahead before it, if there is one: its
    /// logit, minus infinity where no window tells.
    pub fn frame(&mut self) -> Option<f32> {
        self.take(self.stretch)
    }

    /// As [`frame`](Self::frame), of a frame without audio, which ends the stretch.
    pub fn gap(&mut self) -> Option<f32> {
        self.stretch = self.stretch.wrapping_add(1).max(1);
        self.take(0)
    }

    fn take(&mut self, stretch: u32) -> Option<f32> {
        self.frames[(self.taken % WAITING as u64) as usize] = stretch;
        self.taken += 1;
        let frame = (self.taken - 1).checked_sub(self.look_ahead)?;
        Some(self.logit(frame))
    }

    fn logit(&self, frame: u64) -> f32 {
        let stretch = self.frames[(frame % WAITING as u64) as usize];
        let centre = frame as i64 * FRAME + FRAME / 2;
        let points = self.points[..self.known]
            .iter()
            .filter(|p| stretch != 0 && p.stretch == stretch);
        if centre < self.opening {
            points.map(|p| p.logit).fold(f32::NEG_INFINITY, f32::max)
        } else {
            Self::on_line(points, centre)
        }
    }

    /// The logit at sample `centre`, on a line through `points`, the newest of which come first.
    fn on_line<'a>(mut points: impl Iterator<Item = &'a Point>, centre: i64) -> f32 {
        let mut after: Option<&Point> = None;
        while let Some(point) = points.next() {
            if point.at > centre {
                after = Some(point);
                continue;
            }
            let since = (centre - point.at) as f32;
            return match after {
                Some(after) => point.logit + slope(point, after) * since,
                None => {
                    let before = points.next().unwrap_or(point);
                    point.logit + GO_ON * slope(before, point) * since.min(FARTHEST)
                }
            };
        }
        after.map_or(f32::NEG_INFINITY, |p| p.logit)
    }
}

/// Change per sample; none from a point to itself.
fn slope(from: &Point, to: &Point) -> f32 {
    (to.logit - from.logit) / (to.at - from.at).max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 32 ms, one every 3.2 frames, whose logits are the instants they describe in ms.
    fn run(look_ahead: usize, frames: u64) -> Vec<f32> {
        let mut course = Course::new(look_ahead);
        let (mut out, mut windows) = (Vec::new(), 0);
        for frame in 0..frames as i64 {
            while 512 * (windows + 1) <= FRAME * (frame + 1) {
                let at = 512 * windows - 256;
                course.add(at, at as f32 / 16.0);
                windows += 1;
            }
            out.extend(course.frame());
        }
        out
    }

    #[test]
    fn a_line_is_followed_where_it_is_known_and_at_half_its_slope_where_not() {
        let found = run(10, 200);
        assert_eq!(found.len(), 190);
        for (t, x) in found.into_iter().enumerate() {
            assert!((x - (10.0 * t as f32 + 5.0)).abs() < 1e-3, "{t}: {x}");
        }
        let found = run(0, 200);
        assert_eq!(found[..3], [f32::NEG_INFINITY; 3]);
        // The first window ends with frame 3: nothing is known of a slope.
        assert_eq!(found[3], -16.0);
        // Window 4 ends where frame 15 does, and describes 112 ms; from there to 155 ms.
        assert!(
            (found[15] - (112.0 + 0.5 * 43.0)).abs() < 1e-3,
            "{}",
            found[15]
        );
        // No farther than two windows: frame 18 ends before the next.
        assert!(
            (found[18] - (112.0 + 0.5 * 64.0)).abs() < 1e-3,
            "{}",
            found[18]
        );
    }

    #[test]
    fn a_gap_cuts_the_course() {
        let mut course = Course::new(3);
        let mut out = Vec::new();
        course.add(-256, 4.0);
        (0..5).for_each(|_| out.extend(course.frame()));
        (0..4).for_each(|_| out.extend(course.gap()));
        // Position: frame 9.
        assert_eq!(course.position(), 9 * 160);
        (0..3).for_each(|_| out.extend(course.frame()));
        course.add(9 * 160 - 256, -4.0);
        (0..4).for_each(|_| out.extend(course.frame()));
        let none = f32::NEG_INFINITY;
        assert_eq!(out[..5], [4.0; 5]);
        assert_eq!(out[5..9], [none; 4]);
        assert_eq!(out[9..], [-4.0; 4]);
    }
}
