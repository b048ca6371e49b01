// SPDX-License-Identifier: MIT

//! Samples of any format in and out of a [`Resampler`], converted in the same pass.

use super::build::Sample;
use super::engine::Output;
use super::fixed::is_fast;
use super::planner::Plan;
use super::spec::{EngineKind, ResampleError, Spec};
use super::stream::Resampler;
use crate::audio::{Frames, Layout, Outside};
use crate::convert::{Endianness, Pack, SampleFormat, Unpack, Work};
use crate::simd::Level;
use crate::simd::convert_noise::{Generators, LANES};
use crate::simd::split::{Split, Split16};

/// A [`Resampler`] between bytes: `f32` inside for formats up to 20 bits and `f32`, `f64` for all
/// others; integers come out with triangular dither of two last bits peak to peak. 16-bit samples are
/// filtered in integers where that is faster and what is lost stays below the dither; once settings
/// ask for more, in `f32`, until the next reset with settings that do not.
pub struct Stream {
    inner: Inner,
    /// Number of the input frame after the last that was not silent.
    quiet_from: i64,
    /// What integers are wanted for, wherever they will do.
    wanted: fn(&Spec) -> bool,
    /// What integers were last found not to be good enough for; not tried again until it changes.
    refused: Option<Spec>,
}

enum Inner {
    Fixed(Edge<i16>),
    Single(Edge<f32>),
    Double(Edge<f64>),
}

/// Runs `$body` for whichever precision it is.
macro_rules! either {
    ($inner:expr, $edge:ident => $body:expr) => {
        match $inner {
            Inner::Fixed($edge) => $body,
            Inner::Single($edge) => $body,
            Inner::Double($edge) => $body,
        }
    };
}

/// A sample type that the bytes of a buffer are read as.
trait Input: Sample<Sum: Work> {
    /// Reads samples of one format.
    type Reader: Copy;

    fn reader(format: SampleFormat) -> Self::Reader;

    /// Reads as many samples from the start of `bytes` as `to` has room for.
    fn read(reader: Self::Reader, bytes: &[u8], to: &mut [Self]);

    /// Whether samples of `format` are this type as they lie.
    fn is_native(format: SampleFormat) -> bool;

    /// The reader of 16-bit stereo, where there is one.
    fn split16() -> Option<Split16<Self>>;
}

macro_rules! input {
    ($t:ty, $split:expr) => {
        impl Input for $t {
            type Reader = Unpack<$t>;

            fn reader(format: SampleFormat) -> Self::Reader {
                Unpack::new(format)
            }

            fn read(reader: Self::Reader, bytes: &[u8], to: &mut [Self]) {
                reader.run(bytes, to);
            }

            fn is_native(format: SampleFormat) -> bool {
                native(format)
            }

            fn split16() -> Option<Split16<Self>> {
                $split
            }
        }
    };
}

input!(f32, Some(<f32 as Split>::split16(Level::best())));
input!(f64, None);

/// Only for native 16-bit samples.
impl Input for i16 {
    type Reader = ();

    fn reader(_: SampleFormat) {}

    fn read((): (), bytes: &[u8], to: &mut [Self]) {
        for (to, bytes) in to.iter_mut().zip(bytes.as_chunks().0) {
            *to = i16::from_ne_bytes(*bytes);
        }
    }

    fn is_native(format: SampleFormat) -> bool {
        format == SampleFormat::S16LE && Endianness::NATIVE == Endianness::Little
    }

    fn split16() -> Option<Split16<Self>> {
        Some(<i16 as Split>::split16(Level::best()))
    }
}

struct Edge<T: Input> {
    resampler: Resampler<T>,
    reader: T::Reader,
    pack: Pack<T::Sum>,
    format: SampleFormat,
    layout: Layout,
    /// Input as it lies in the buffer, between conversion and deinterleaving.
    unpacked: Vec<T>,
    /// Output as it lies in the buffer, before conversion.
    scratch: Vec<T::Sum>,
    /// Noise sources: one for interleaved output, else one per channel. Empty without dither.
    noise: Vec<Noise>,
    noise_scratch: Vec<f32>,
    reversed: bool,
}

/// Bytes of a long input that are taken at a time: many, but they stay in the cache.
const PIECE: usize = 1 << 17;

impl Stream {
    /// A stream of `format` samples whose output lies in `layout`; how its input lies, each
    /// [`push`](Self::push) says. With `reversed`, time runs backwards from buffer to buffer: each is
    /// consumed from its end, and each output stretch is written from its end.
    pub fn new(
        spec: &Spec,
        format: SampleFormat,
        layout: Layout,
        reversed: bool,
    ) -> Result<Self, ResampleError> {
        Self::with_integers(spec, format, layout, reversed, |spec| {
            is_fast(spec, Level::best())
        })
    }

    /// A stream as [`new`](Self::new) makes it, which filters 16-bit samples in integers only for a
    /// specification that they are `wanted` for and good enough for.
    pub(super) fn with_integers(
        spec: &Spec,
        format: SampleFormat,
        layout: Layout,
        reversed: bool,
        wanted: fn(&Spec) -> bool,
    ) -> Result<Self, ResampleError> {
        let single = if format.is_float() {
            format.bytes == 4
        } else {
            format.depth <= 20
        };
        let wanted: fn(&Spec) -> bool = if i16::is_native(format) {
            wanted
        } else {
            |_| false
        };
        let integers = wanted(spec);
        let fixed = if integers {
            match Edge::new(spec, format, layout, reversed) {
                Err(ResampleError::NoIntegers) => None,
                edge => Some(edge?),
            }
        } else {
            None
        };
        let refused = (integers && fixed.is_none()).then(|| spec.clone());
        let inner = match fixed {
            Some(edge) => Inner::Fixed(edge),
            None if single => Inner::Single(Edge::new(spec, format, layout, reversed)?),
            None => Inner::Double(Edge::new(spec, format, layout, reversed)?),
        };
        Ok(Self {
            inner,
            quiet_from: 0,
            wanted,
            refused,
        })
    }

    /// Returns to integers, if the settings have changed since they would not do.
    fn return_to_integers(&mut self) {
        let Inner::Single(edge) = &mut self.inner else {
            return;
        };
        let spec = edge.resampler.spec();
        // A filter that followed corrections stays.
        let exact = *edge.resampler.plan() == Plan::Polyphase;
        if !exact || self.refused.as_ref() == Some(spec) || !(self.wanted)(spec) {
            return;
        }
        match Resampler::new(spec) {
            Ok(resampler) => self.inner = Inner::Fixed(edge.with(resampler)),
            Err(_) => self.refused = Some(spec.clone()),
        }
    }

    #[cfg(test)]
    pub(super) fn is_in_integers(&self) -> bool {
        matches!(self.inner, Inner::Fixed(_))
    }

    /// Who does the work now.
    pub fn kind(&self) -> EngineKind {
        either!(&self.inner, e => e.resampler.kind())
    }

    /// Input frames that an output waits for, at worst.
    pub fn latency(&self) -> u64 {
        either!(&self.inner, e => e.resampler.latency())
    }

    /// Input frames since the last reset.
    pub fn frames_in(&self) -> u64 {
        either!(&self.inner, e => e.resampler.frames_in())
    }

    /// Output frames since the last reset.
    pub fn frames_out(&self) -> u64 {
        either!(&self.inner, e => e.resampler.frames_out())
    }

    /// Output frames that stand for the input so far; with a constant nominal ratio,
    /// `frames_in * out_rate / in_rate`.
    pub fn frames_due(&self) -> f64 {
        either!(&self.inner, e => e.resampler.frames_due())
    }

    /// Output frames that stand for the input which none was pulled for yet; see
    /// [`Resampler::frames_held`].
    pub fn frames_held(&self) -> f64 {
        either!(&self.inner, e => e.resampler.frames_held())
    }

    /// Output frames that can be pulled now.
    pub fn available(&self) -> usize {
        either!(&self.inner, e => e.resampler.available())
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        either!(&self.inner, e => e.memory())
    }

    /// Whether the next outputs depend on nothing but silence.
    pub fn is_silent(&self) -> bool {
        either!(&self.inner, e => e.resampler.depends_from()) >= self.quiet_from
    }

    /// Takes `frames` of input.
    ///
    /// # Errors
    /// Samples lie outside of their memory; nothing is taken.
    pub fn push(&mut self, frames: Frames<'_>) -> Result<(), Outside> {
        either!(&mut self.inner, e => e.push(frames))?;
        if !frames.is_silence() {
            self.quiet_from = self.frames_in() as i64;
        }
        Ok(())
    }

    /// Makes `frames` of output, no more than [`available`](Self::available), into `out`, which is
    /// exactly that long; whether they are [silent](Self::is_silent). Silence is exact: no dither.
    pub fn pull(&mut self, frames: usize, out: &mut [u8]) -> bool {
        let silent = self.is_silent();
        either!(&mut self.inner, e => e.pull(frames, out, silent));
        silent
    }

    /// Takes interleaved `input` and makes what outputs there are then, as many as fit into `out`; how many.
    /// The same as [`push`](Self::push) and [`pull`](Self::pull), but a long input is taken in pieces that
    /// stay in the cache, and one channel of floats as this machine holds them is read where it lies. For
    /// streams whose output is interleaved and whose time runs forwards.
    ///
    /// # Panics
    /// If `input` is no whole number of frames.
    pub fn process(&mut self, input: &[u8], out: &mut [u8]) -> usize {
        let size = self.frame_size();
        assert!(input.len().is_multiple_of(size), "half a frame");
        if let Some(made) = either!(&mut self.inner, e => e.process(input, out)) {
            self.quiet_from = self.frames_in() as i64;
            return made;
        }
        let mut done = 0;
        for piece in input.chunks(self.piece() * size) {
            // A piece is as long as its frames.
            let _ = self.push(Frames::interleaved(piece, piece.len() / size));
            let rest = &mut out[done * size..];
            let made = self.available().min(rest.len() / size);
            self.pull(made, &mut rest[..made * size]);
            done += made;
        }
        done
    }

    /// How many frames of a long input are best taken at a time: many, but they stay in the cache. The output
    /// does not depend on it.
    pub fn piece(&self) -> usize {
        PIECE.div_ceil(self.frame_size())
    }

    /// Bytes of a frame.
    fn frame_size(&self) -> usize {
        either!(&self.inner, e => e.resampler.spec().channels * e.format.size())
    }

    /// Ends the input; see [`Resampler::finish`].
    pub fn finish(&mut self) {
        either!(&mut self.inner, e => e.resampler.finish());
    }

    /// Forgets all input.
    pub fn reset(&mut self) {
        self.quiet_from = 0;
        self.return_to_integers();
        either!(&mut self.inner, e => e.resampler.reset());
    }

    /// Forgets all input, and begins the dither anew: from here on it does what it did when it was made.
    pub fn restart(&mut self) {
        self.reset();
        either!(&mut self.inner, e => e.noise = noise(e.noise.len()));
    }

    /// Lets time run backwards from here on, or forwards; after a reset.
    pub fn set_reversed(&mut self, reversed: bool) {
        either!(&mut self.inner, e => e.reversed = reversed);
    }

    /// Goes on at another output rate; see [`Resampler::change_out_rate`].
    pub fn change_out_rate(&mut self, rate: u32) -> Result<u64, ResampleError> {
        let mut start = either!(&mut self.inner, e => e.resampler.change_out_rate(rate));
        if start == Err(ResampleError::NoIntegers)
            && let Inner::Fixed(edge) = &mut self.inner
        {
            let mut floats = edge.resampler.to_floats(edge.resampler.spec())?;
            start = floats.change_out_rate(rate);
            if start.is_ok() {
                self.inner = Inner::Single(edge.with(floats));
            }
        }
        let start = start?;
        self.quiet_from -= start as i64;
        Ok(start)
    }

    /// Takes over another `spec`; see [`Resampler::reconfigure`].
    pub fn reconfigure(&mut self, spec: &Spec) -> Result<(), ResampleError> {
        let done = either!(&mut self.inner, e => e.resampler.reconfigure(spec));
        if done == Err(ResampleError::NoIntegers)
            && let Inner::Fixed(edge) = &mut self.inner
        {
            let floats = edge.resampler.to_floats(spec)?;
            self.inner = Inner::Single(edge.with(floats));
            return Ok(());
        }
        done
    }
}

impl<T: Input> Edge<T> {
    fn new(
        spec: &Spec,
        format: SampleFormat,
        layout: Layout,
        reversed: bool,
    ) -> Result<Self, ResampleError> {
        // 32-bit integers are beyond what anything downstream resolves.
        let dithered = !format.is_float() && format.depth <= 24;
        let sources = match layout {
            Layout::Interleaved => 1,
            Layout::Planar => spec.channels,
        };
        Ok(Self {
            resampler: Resampler::new(spec)?,
            reader: T::reader(format),
            pack: Pack::new(format),
            format,
            layout,
            unpacked: Vec::new(),
            scratch: Vec::new(),
            noise: noise(if dithered { sources } else { 0 }),
            noise_scratch: Vec::new(),
            reversed,
        })
    }

    /// An edge of the same format around another resampler; it takes the noise over, so that it goes on.
    fn with<U: Input<Sum = T::Sum>>(&mut self, resampler: Resampler<U>) -> Edge<U> {
        Edge {
            resampler,
            reader: U::reader(self.format),
            pack: self.pack,
            format: self.format,
            layout: self.layout,
            unpacked: Vec::new(),
            scratch: std::mem::take(&mut self.scratch),
            noise: std::mem::take(&mut self.noise),
            noise_scratch: std::mem::take(&mut self.noise_scratch),
            reversed: self.reversed,
        }
    }

    fn memory(&self) -> usize {
        self.resampler.memory()
            + self.unpacked.capacity() * size_of::<T>()
            + self.scratch.capacity() * size_of::<T::Sum>()
            + self.noise_scratch.capacity() * size_of::<f32>()
    }

    fn push(&mut self, source: Frames<'_>) -> Result<(), Outside> {
        let channels = self.resampler.spec().channels;
        let (frames, reversed) = (source.count(), self.reversed);
        match source.layout() {
            None => self
                .resampler
                .push(frames, |_, plane| plane.fill(T::default())),
            Some(Layout::Interleaved) if channels > 1 => {
                let bytes = source.plane(0, channels * self.format.size())?;
                if channels > 2 || reversed || !self.push_pairs(frames, bytes) {
                    self.push_interleaved(frames, bytes);
                }
            }
            Some(_) => {
                let (reader, width) = (self.reader, self.format.size());
                // Before there is room made for as many frames as are said to be there.
                source.plane(0, width)?;
                self.resampler.try_push(frames, |c, plane| {
                    T::read(reader, source.plane(c, width)?, plane);
                    if reversed {
                        plane.reverse();
                    }
                    Ok::<_, Outside>(())
                })?;
            }
        }
        Ok(())
    }

    /// Takes interleaved frames of any number of channels.
    fn push_interleaved(&mut self, frames: usize, bytes: &[u8]) {
        let (channels, reversed) = (self.resampler.spec().channels, self.reversed);
        // Native samples are read where they lie.
        let native = T::is_native(self.format)
            .then(|| bytemuck::try_cast_slice(bytes).ok())
            .flatten();
        let samples: &[T] = match native {
            Some(samples) => samples,
            None => {
                self.unpacked.resize(frames * channels, T::default());
                T::read(self.reader, bytes, &mut self.unpacked);
                &self.unpacked
            }
        };
        self.resampler.push(frames, |c, plane| {
            deinterleave(samples, channels, c, plane);
            if reversed {
                plane.reverse();
            }
        });
    }

    /// Takes one channel and makes what outputs there are then, if neither needs to be converted; how many.
    fn process(&mut self, input: &[u8], out: &mut [u8]) -> Option<usize> {
        let alone = self.resampler.spec().channels == 1 && !input.is_empty();
        if !alone || self.reversed || !T::is_native(self.format) || !native(self.format) {
            return None;
        }
        let samples: &[T] = bytemuck::try_cast_slice(input).ok()?;
        let out: &mut [T::Sum] = bytemuck::try_cast_slice_mut(out).ok()?;
        let most = out.len();
        let mut out = Output::interleaved(out, 1);
        Some(self.resampler.process(&[samples], &mut out, most))
    }

    /// Takes interleaved stereo in one pass, where there is one for the format.
    fn push_pairs(&mut self, frames: usize, bytes: &[u8]) -> bool {
        if let Some(split) = T::split16()
            && self.format == SampleFormat::S16LE
        {
            return self
                .resampler
                .push2(frames, |[left, right]| split(bytes, left, right));
        }
        if T::is_native(self.format)
            && let Ok(samples) = bytemuck::try_cast_slice::<u8, [T; 2]>(bytes)
        {
            return self.resampler.push2(frames, |[left, right]| {
                for (frame, (l, r)) in samples.iter().zip(left.iter_mut().zip(right)) {
                    [*l, *r] = *frame;
                }
            });
        }
        false
    }

    fn pull(&mut self, frames: usize, out: &mut [u8], silent: bool) {
        let channels = self.resampler.spec().channels;
        let layout = self.layout;
        let target = move |samples| match layout {
            Layout::Interleaved => Output::interleaved(samples, channels),
            Layout::Planar => Output::planar(samples, frames),
        };
        if native(self.format)
            && !self.reversed
            && let Ok(samples) = bytemuck::try_cast_slice_mut::<u8, T::Sum>(out)
        {
            self.resampler.pull(&mut target(samples), frames);
            if silent {
                samples.fill(T::Sum::default());
            }
            return;
        }
        self.scratch.resize(frames * channels, T::Sum::default());
        self.resampler.pull(&mut target(&mut self.scratch), frames);
        if silent {
            // What the transforms leave of zeros need not be exact.
            self.scratch.fill(T::Sum::default());
        }
        if self.reversed {
            match layout {
                Layout::Interleaved => {
                    self.scratch.reverse();
                    self.scratch
                        .chunks_exact_mut(channels)
                        .for_each(<[T::Sum]>::reverse);
                }
                Layout::Planar => self
                    .scratch
                    .chunks_exact_mut(frames.max(1))
                    .for_each(<[T::Sum]>::reverse),
            }
        }
        if self.noise.is_empty() {
            self.pack.run(&self.scratch, out);
            return;
        }
        // The noise is a stream of its own, so that chopping does not matter to it.
        self.noise_scratch.resize(self.scratch.len(), 0.0);
        let stretch = self.scratch.len() / self.noise.len();
        if stretch > 0 {
            let stretches = self.noise_scratch.chunks_exact_mut(stretch);
            for (noise, stretch) in self.noise.iter_mut().zip(stretches) {
                noise.fill(stretch);
            }
        }
        if silent {
            self.pack.run(&self.scratch, out);
        } else {
            self.pack
                .run_dithered(&self.scratch, &self.noise_scratch, out);
        }
    }
}

/// Whether `format` is `f32` or `f64` as this machine holds them.
fn native(format: SampleFormat) -> bool {
    format.is_float() && format.endianness == Endianness::NATIVE
}

fn deinterleave<T: Copy>(samples: &[T], channels: usize, channel: usize, plane: &mut [T]) {
    if channels == 2 {
        // Known to the compiler, it becomes shuffles.
        for (to, frame) in plane.iter_mut().zip(samples.chunks_exact(2)) {
            *to = frame[channel & 1];
        }
    } else {
        for (to, frame) in plane.iter_mut().zip(samples.chunks_exact(channels)) {
            *to = frame[channel];
        }
    }
}

/// So many sources, at their beginning.
fn noise(sources: usize) -> Vec<Noise> {
    (0..sources as u64).map(Noise::new).collect()
}

/// Triangular noise in (-1, 1), the same however it is cut.
struct Noise {
    generators: Generators,
    /// What was made last, and how much of it is used.
    block: [f32; LANES],
    used: usize,
}

impl Noise {
    fn new(stream: u64) -> Self {
        Self {
            generators: Generators::new(stream, Level::best()),
            block: [0.0; LANES],
            used: LANES,
        }
    }

    /// The next `to.len()` numbers of the stream.
    fn fill(&mut self, to: &mut [f32]) {
        let kept = (LANES - self.used).min(to.len());
        let (first, rest) = to.split_at_mut(kept);
        first.copy_from_slice(&self.block[self.used..][..kept]);
        self.used += kept;
        let (whole, last) = rest.split_at_mut(rest.len() - rest.len() % LANES);
        self.generators.triangular(whole);
        if !last.is_empty() {
            self.generators.triangular(&mut self.block);
            last.copy_from_slice(&self.block[..last.len()]);
            self.used = last.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_however_it_is_cut() {
        let (mut whole, mut cut) = (vec![0.0; 10_000], Vec::new());
        Noise::new(0).fill(&mut whole);
        let mut noise = Noise::new(0);
        for n in (0..).map(|i| i * 37 % 101) {
            if cut.len() >= whole.len() {
                break;
            }
            let mut part = vec![0.0; n];
            noise.fill(&mut part);
            cut.extend(part);
        }
        assert_eq!(whole, cut[..whole.len()]);
    }
}
