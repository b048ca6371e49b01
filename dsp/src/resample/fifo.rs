// SPDX-License-Identifier: MIT

//! Input frames that are still needed, one plane per channel.
//!
//! An engine reads the last of them, in one piece; those before are kept for another engine, which comes seldom. So
//! planes are written from their beginning again as soon as the frames there are kept no more: only what the engine
//! reads is moved, and the frames before stay where they are, behind what is written.

use std::convert::Infallible;
use std::ops::Range;

use crate::simd::prefetch::prefetch;

/// Planes of input. Frame numbers count from the first frame after a reset; those before it are
/// zeros.
#[derive(Clone, Debug)]
pub struct Fifo<T> {
    planes: Vec<Vec<T>>,
    /// Number of the frame at index 0 of the planes.
    first: i64,
    /// Frames held from there on.
    len: usize,
    /// Readable zeros after the last frame.
    slack: usize,
    /// Number of the frame that lay at index 0 the time before. Those before `first` that are kept lie as they lay
    /// then, beyond what has been written since.
    before: i64,
    /// Number of the first frame that is kept.
    kept: i64,
    /// Most frames that were held from `kept` on.
    most: usize,
}

/// Writes the frames of a channel, if it can.
type Fill<'a, T, E> = dyn FnMut(usize, &mut [T]) -> Result<(), E> + 'a;

/// Bytes of a plane that grows by no more than it must.
const SMALL: usize = 1 << 16;

impl<T: Copy + Default> Fifo<T> {
    /// Empty, with `back` zeros before frame 0 and `slack` after the end.
    pub fn new(channels: usize, back: usize, slack: usize) -> Self {
        Self {
            // Memory that comes as zeros takes no time, however much it is.
            planes: (0..channels)
                .map(|_| vec![T::default(); back + slack])
                .collect(),
            first: -(back as i64),
            len: back,
            slack,
            before: -(back as i64),
            kept: -(back as i64),
            most: 0,
        }
    }

    /// As new.
    pub fn reset(&mut self, back: usize, slack: usize) {
        self.restart_at(-(back as i64));
        self.len = back;
        self.slack = slack;
        self.make_room(0);
        for plane in &mut self.planes {
            plane[..back + slack].fill(T::default());
        }
    }

    /// The same with every sample made another.
    pub fn convert<U>(&self, of: impl Fn(T) -> U) -> Fifo<U> {
        let plane = |plane: &Vec<T>| plane.iter().map(|v| of(*v)).collect();
        Fifo {
            planes: self.planes.iter().map(plane).collect(),
            first: self.first,
            len: self.len,
            slack: self.slack,
            before: self.before,
            kept: self.kept,
            most: self.most,
        }
    }

    /// Has all that is kept lie in one piece.
    fn join(&mut self) {
        let (from, end) = (self.kept - self.before, self.first - self.before);
        if from < end {
            for plane in &mut self.planes {
                let kept = plane[from as usize..end as usize].to_vec();
                plane.splice(0..0, kept);
            }
            self.len += (end - from) as usize;
            self.first = self.kept;
        }
        self.before = self.first;
    }

    /// Lets every plane hold `frames` more and the slack. What lies beyond the slack is whatever
    /// was there, so that nothing is filled twice.
    fn make_room(&mut self, frames: usize) {
        let end = self.len + frames + self.slack;
        if self.before < self.first && self.before + end as i64 > self.kept {
            // More than ever at a time: it would be written over what is kept.
            self.join();
        }
        let wanted = self.len + frames + self.slack;
        self.most = self.most.max((self.end() - self.kept) as usize + frames);
        for plane in &mut self.planes {
            if plane.len() < wanted {
                // Pushes are about as long as each other: what they need is soon there, and hardly more is held.
                // Long planes double, as each move leaves a hole.
                if size_of::<T>() * wanted <= SMALL {
                    plane.reserve_exact((wanted - plane.len()).max(plane.len() / 8));
                }
                plane.resize(wanted, T::default());
            }
        }
    }

    /// Zeros after the last frame.
    fn clear_slack(&mut self) {
        for plane in &mut self.planes {
            plane[self.len..self.len + self.slack].fill(T::default());
        }
    }

    /// Number of the next frame to come.
    pub fn end(&self) -> i64 {
        self.first + self.len as i64
    }

    /// Lets frame `frame` be frame 0.
    pub fn renumber(&mut self, frame: i64) {
        self.first -= frame;
        self.before -= frame;
        self.kept -= frame;
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.planes
            .iter()
            .map(|p| p.capacity() * size_of::<T>())
            .sum()
    }

    /// Makes at least `slack` frames after the end readable.
    pub fn set_slack(&mut self, slack: usize) {
        self.join();
        self.slack = self.slack.max(slack);
        self.make_room(0);
        self.clear_slack();
    }

    /// Makes frames from `frame` on readable: those that are gone read as zeros.
    pub fn extend_back(&mut self, frame: i64) {
        if frame >= self.first {
            self.kept = self.kept.min(frame);
            return;
        }
        self.join();
        let missing = (self.first - frame).max(0) as usize;
        for plane in &mut self.planes {
            plane.splice(0..0, std::iter::repeat_n(T::default(), missing));
        }
        self.first -= missing as i64;
        self.len += missing;
        self.before = self.first;
        self.kept = self.kept.min(frame);
    }

    /// Appends `frames`; `fill(channel, frames)` writes each plane. Where it cannot, nothing is appended.
    pub fn push<E>(&mut self, frames: usize, fill: &mut Fill<'_, T, E>) -> Result<(), E> {
        self.make_room(frames);
        let range = self.len..self.len + frames;
        let mut planes = self.planes.iter_mut().enumerate();
        let filled =
            planes.try_for_each(|(channel, plane)| fill(channel, &mut plane[range.clone()]));
        if filled.is_ok() {
            self.len += frames;
        }
        self.clear_slack();
        filled
    }

    /// Appends `frames` of two channels, which `fill` writes together. False, and nothing done, if
    /// there are not two.
    pub fn push2(&mut self, frames: usize, fill: impl FnOnce([&mut [T]; 2])) -> bool {
        self.make_room(frames);
        let range = self.len..self.len + frames;
        let [left, right] = &mut self.planes[..] else {
            return false;
        };
        fill([&mut left[range.clone()], &mut right[range]]);
        self.len += frames;
        self.clear_slack();
        true
    }

    /// Appends `frames` zeros.
    pub fn push_zeros(&mut self, frames: usize) {
        let _ = self.push(frames, &mut |_, plane| {
            plane.fill(T::default());
            Ok::<_, Infallible>(())
        });
    }

    /// Keeps frames from `kept` on, and has those from `read` on in one piece: forgets the others, once that is worth
    /// moving the rest.
    pub fn release(&mut self, kept: i64, read: i64) {
        let end = self.end();
        self.kept = kept.clamp(self.kept, end);
        let read = read.clamp(self.kept, end);
        let drop = (self.kept - self.first).max(0) as usize;
        let from = (read - self.first).max(0) as usize;
        let first = if from > self.most + self.slack && from > drop {
            // What comes until as much is forgotten stays before what is kept.
            self.before = self.first;
            read
        } else if drop > 0 && drop >= self.len - drop {
            self.before = self.kept;
            self.kept
        } else {
            return;
        };
        let moved = (first - self.first) as usize;
        for plane in &mut self.planes {
            plane.copy_within(moved..self.len, 0);
        }
        self.first = first;
        self.len -= moved;
        self.clear_slack();
    }

    /// What may be read, the slack included.
    pub fn view(&self) -> View<'_, T> {
        View {
            planes: Planes::Held(&self.planes),
            first: self.first,
            len: self.len + self.slack,
        }
    }

    /// Forgets all frames: the next to come is number `frame`.
    pub fn restart_at(&mut self, frame: i64) {
        self.first = frame;
        self.len = 0;
        self.before = frame;
        self.kept = frame;
        self.most = 0;
    }
}

/// Input as an engine reads it, one plane per channel.
pub struct View<'a, T> {
    planes: Planes<'a, T>,
    /// Number of the frame at index 0 of the planes.
    first: i64,
    /// Frames that may be read.
    len: usize,
}

/// Whose memory it is.
enum Planes<'a, T> {
    Held(&'a [Vec<T>]),
    Lent(&'a [&'a [T]]),
}

impl<'a, T> View<'a, T> {
    /// `planes` of equal length where they lie, the first of whose frames is number `first`.
    pub fn of(planes: &'a [&'a [T]], first: i64) -> Self {
        Self {
            planes: Planes::Lent(planes),
            first,
            len: planes.first().map_or(0, |plane| plane.len()),
        }
    }

    /// `planes` where they lie, as far as they hold `len` frames; the first is number `first`.
    pub fn held(planes: &'a [Vec<T>], first: i64, len: usize) -> Self {
        Self {
            planes: Planes::Held(planes),
            first,
            len,
        }
    }

    pub fn channels(&self) -> usize {
        match self.planes {
            Planes::Held(planes) => planes.len(),
            Planes::Lent(planes) => planes.len(),
        }
    }

    /// `len` frames of `channel` from number `frame` on.
    pub fn window(&self, channel: usize, frame: i64, len: usize) -> &'a [T] {
        &self.plane(channel)[self.index(frame)..][..len]
    }

    /// What of `channel` may be read.
    pub fn plane(&self, channel: usize) -> &'a [T] {
        match self.planes {
            Planes::Held(planes) => &planes[channel][..self.len],
            Planes::Lent(planes) => &planes[channel][..self.len],
        }
    }

    /// Where number `frame` lies in the planes.
    pub fn index(&self, frame: i64) -> usize {
        debug_assert!(frame >= self.first);
        (frame - self.first) as usize
    }

    /// Has `frames` of `channel`, as far as they are there, come from memory that was lent: what is held
    /// was written just now.
    pub fn expect(&self, channel: usize, frames: Range<i64>) {
        if let Planes::Lent(planes) = self.planes {
            let place = |frame| self.index(frame).min(self.len);
            prefetch(&planes[channel][place(frames.start)..place(frames.end)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_was_ever_needed() {
        let mut fifo = Fifo::<f32>::new(1, 100, 4);
        for pushed in 1..=20 {
            fifo.push_zeros(50);
            fifo.release(fifo.end() - 100, fifo.end() - 100);
            // What is kept moves once as much has gone: by then it is 200 frames, and the slack.
            let most = (100 + 50 * pushed).min(200) + 4;
            assert_eq!(fifo.memory(), most * size_of::<f32>(), "{pushed}");
        }
    }

    /// Of pushes of any length: what is read lies in one piece, and what is kept is there when it is asked for.
    #[test]
    fn what_is_kept_stays_behind_what_is_read() {
        let pushes = (0..200).map(|i| if i % 50 == 30 { 400 } else { 10 + i % 7 * 5 });
        for (kept, read) in [(300, 20), (300, 290), (1, 1), (40, 0)] {
            let mut fifo = Fifo::<f32>::new(2, 300, 4);
            let number = |i: i64| if i < 0 { 0.0 } else { i as f32 };
            for (i, n) in pushes.clone().enumerate() {
                let from = fifo.end();
                fifo.push(n, &mut |_, plane| {
                    (0..).zip(plane).for_each(|(i, v)| *v = number(from + i));
                    Ok::<_, Infallible>(())
                })
                .unwrap();
                fifo.release(fifo.end() - kept, fifo.end() - read);
                let window = fifo.view().window(1, fifo.end() - read, read as usize + 4);
                for (place, v) in (fifo.end() - read..fifo.end()).zip(window) {
                    assert_eq!(*v, number(place), "{kept} {read} {i}");
                }
                assert_eq!(window[read as usize..], [0.0; 4]);
                let mut all = fifo.clone();
                all.extend_back(all.end() - kept);
                let window = all.view().window(1, all.end() - kept, kept as usize);
                for (place, v) in (all.end() - kept..).zip(window) {
                    assert_eq!(*v, number(place), "{kept} {read} {i}");
                }
            }
        }
    }

    /// Much is kept and little read: that costs no more memory than what is kept, what is pushed and that.
    #[test]
    fn what_is_kept_is_not_held_twice() {
        let mut fifo = Fifo::<f32>::new(1, 1000, 0);
        for _ in 0..100 {
            fifo.push_zeros(100);
            fifo.release(fifo.end() - 1000, fifo.end() - 30);
        }
        assert!(
            fifo.memory() <= 1400 * size_of::<f32>(),
            "{}",
            fifo.memory()
        );
    }

    #[test]
    fn frames_keep_their_numbers() {
        let mut fifo = Fifo::<f32>::new(2, 3, 4);
        let mut next = 0;
        for n in [1usize, 7, 0, 100, 5] {
            // The second plane cannot be had at first: nothing comes of that.
            for can in [false, true] {
                let pushed = fifo.push(n, &mut |c, plane| {
                    for (i, v) in plane.iter_mut().enumerate() {
                        *v = (1000 * c + next + i) as f32;
                    }
                    if can || c == 0 { Ok(()) } else { Err(c) }
                });
                assert_eq!(pushed, if can { Ok(()) } else { Err(1) });
                assert_eq!(fifo.view().window(0, fifo.end(), 4), [0.0; 4]);
            }
            next += n;
            assert_eq!(fifo.end(), next as i64);
            fifo.release(next as i64 - 3, next as i64 - 3);
            let keep = fifo.end() - 3;
            for c in 0..2 {
                let window = fifo.view().window(c, keep, 7);
                for (i, v) in window.iter().enumerate().take(3) {
                    let number = keep + i as i64;
                    let expected = if number < 0 {
                        0
                    } else {
                        1000 * c as i64 + number
                    };
                    assert_eq!(*v, expected as f32);
                }
                assert_eq!(window[3..], [0.0; 4]);
            }
        }
    }
}
