// SPDX-License-Identifier: MIT

//! rubato's resamplers behind the rig's trait.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, Fft, FixedAsync, FixedSync, Resampler, SincInterpolationParameters, WindowFunction,
};

use super::Converter;

/// A resampler of rubato, fed in the pieces that it asks for.
pub struct Rubato {
    inner: Box<dyn Resampler<f32>>,
    channels: usize,
    rate: (u32, u32),
    /// Input that does not fill a piece yet.
    waiting: Vec<f32>,
}

impl Rubato {
    fn new(inner: Box<dyn Resampler<f32>>, rate: (u32, u32)) -> Self {
        Self {
            channels: inner.nbr_channels(),
            waiting: Vec::with_capacity(super::room(inner.nbr_channels())),
            inner,
            rate,
        }
    }

    /// Converts one piece at the front of `input` into the front of `output`: samples taken and made,
    /// or `None` where there is no whole piece.
    fn piece(&mut self, input: &[f32], output: &mut [f32]) -> Option<(usize, usize)> {
        let frames = self.inner.input_frames_next();
        let piece = input.get(..frames * self.channels)?;
        let piece = InterleavedSlice::new(piece, self.channels, frames).unwrap();
        let room = output.len() / self.channels;
        let mut to =
            InterleavedSlice::new_mut(&mut output[..room * self.channels], self.channels, room)
                .unwrap();
        let (taken, made) = self
            .inner
            .process_into_buffer(&piece, &mut to, None)
            .unwrap();
        Some((taken * self.channels, made * self.channels))
    }

    /// `Fft` whose filter is `frames` long or a little longer at the lower rate, in blocks of the
    /// size that proves fastest.
    pub fn fft(rate: (u32, u32), channels: usize, frames: usize) -> Self {
        let (mut a, mut b) = rate;
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let (m, l) = ((rate.0 / a) as usize, (rate.1 / a) as usize);
        let least = frames.div_ceil(l.min(m));
        type Key = ((u32, u32), usize, usize);
        static BEST: LazyLock<Mutex<HashMap<Key, usize>>> = LazyLock::new(Mutex::default);
        let make = |units: usize| {
            let fft = Fft::<f32>::new_custom(
                m,
                l,
                units * m,
                1,
                channels,
                WindowFunction::BlackmanHarris2,
                FixedSync::Both,
            );
            Self::new(Box::new(fft.unwrap()), rate)
        };
        let time = |units: &usize| {
            let mut this = make(*units);
            let input = vec![0.1; units * m * channels];
            let mut output = vec![0.0; super::room(channels)];
            let runs = 200_000 / input.len() + 1;
            let mut once = || {
                let start = Instant::now();
                for _ in 0..runs {
                    this.process(&input, &mut output);
                }
                start.elapsed().as_secs_f64() / (runs * units) as f64
            };
            (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
        };
        let smooth = |units: &usize| {
            let mut rest = *units;
            for p in [2, 3, 5] {
                while rest.is_multiple_of(p) {
                    rest /= p;
                }
            }
            rest == 1
        };
        let mut best = BEST.lock().unwrap();
        let units = best.entry((rate, channels, frames)).or_insert_with(|| {
            let times = (least..=4 * least).filter(smooth).map(|u| (u, time(&u)));
            let best = times.min_by(|a, b| a.1.total_cmp(&b.1));
            best.map_or(least, |(units, _)| units)
        });
        make(*units)
    }

    /// `Async` with sincs of `taps` input frames, interpolated by cubics; the cutoff is its own.
    pub fn sinc(rate: (u32, u32), channels: usize, taps: usize, window: WindowFunction) -> Self {
        let parameters = SincInterpolationParameters::new(taps, window);
        let sinc = Async::<f32>::new_sinc(
            f64::from(rate.1) / f64::from(rate.0),
            1.1,
            &parameters,
            super::chunk(rate.0),
            channels,
            FixedAsync::Input,
        );
        Self::new(Box::new(sinc.unwrap()), rate)
    }
}

impl Converter for Rubato {
    fn process(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        // What fills pieces as it comes is converted where it lies.
        let mut waiting = std::mem::take(&mut self.waiting);
        let direct = waiting.is_empty();
        if !direct {
            waiting.extend_from_slice(input);
        }
        let from = if direct { input } else { &waiting[..] };
        let (mut used, mut at) = (0, 0);
        while let Some((taken, made)) = self.piece(&from[used..], &mut output[at..]) {
            used += taken;
            at += made;
        }
        if direct {
            waiting.extend_from_slice(&input[used..]);
        } else {
            waiting.drain(..used);
        }
        self.waiting = waiting;
        at
    }

    fn latency(&self) -> f64 {
        self.inner.input_frames_max() as f64 / f64::from(self.rate.0)
            + self.inner.output_delay() as f64 / f64::from(self.rate.1)
    }
}
