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
    piece: Vec<f32>,
}

impl Rubato {
    fn new(inner: Box<dyn Resampler<f32>>, rate: (u32, u32)) -> Self {
        Self {
            channels: inner.nbr_channels(),
            piece: vec![0.0; inner.output_frames_max() * inner.nbr_channels()],
            inner,
            rate,
            waiting: Vec::new(),
        }
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
            let mut output = Vec::new();
            let runs = 200_000 / input.len() + 1;
            let mut once = || {
                let start = Instant::now();
                for _ in 0..runs {
                    output.clear();
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
    fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        self.waiting.extend_from_slice(input);
        let mut used = 0;
        loop {
            let frames = self.inner.input_frames_next();
            let Some(piece) = self.waiting[used..].get(..frames * self.channels) else {
                break;
            };
            let input = InterleavedSlice::new(piece, self.channels, frames).unwrap();
            let room = self.piece.len() / self.channels;
            let mut to = InterleavedSlice::new_mut(&mut self.piece, self.channels, room).unwrap();
            let (_, made) = self
                .inner
                .process_into_buffer(&input, &mut to, None)
                .unwrap();
            output.extend_from_slice(&self.piece[..made * self.channels]);
            used += frames * self.channels;
        }
        self.waiting.drain(..used);
    }

    fn latency(&self) -> f64 {
        self.inner.input_frames_max() as f64 / f64::from(self.rate.0)
            + self.inner.output_delay() as f64 / f64::from(self.rate.1)
    }
}
