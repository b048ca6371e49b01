// SPDX-License-Identifier: MIT

//! The stream between two caps: buffers in, buffers out, and the time they lie at.

use gst::prelude::*;

use super::settings::Settings;
use crate::dsp::resample::{EngineKind, ResampleError, Stream};
use crate::elements::support::format::{layout, sample_format};
use crate::elements::support::frames::{AudioBuffer, ReadError, add_planes};
use crate::elements::support::timeline::{frames_to_time, time_to_frames};
use crate::elements::support::transform::{aligned_buffer, with_bytes_mut};

/// Timestamps may be off by this much, in parts of a second, before the stream starts anew
/// (as `audioresample`).
const TOLERANCE_PARTS: u64 = 32;

/// Largest output buffer: rates a billion apart turn milliseconds into gigabytes, for which the allocator
/// would end the process.
const MOST_BYTES: usize = 1 << 30;

/// `GST_BUFFER_OFFSET_NONE`.
const NO_OFFSET: u64 = u64::MAX;

/// Why a buffer or caps cannot be handled.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("sample format {0} is not supported")]
    Format(String),
    #[error(transparent)]
    Resample(#[from] ResampleError),
    #[error("buffer cannot be mapped: {0}")]
    Map(#[from] gst::glib::BoolError),
    #[error(
        "a buffer of input makes {frames} frames at the output's rate, more than fit a buffer of \
         {most} bytes; send shorter buffers, or convert in two steps"
    )]
    TooMany { frames: usize, most: usize },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A running conversion.
pub struct State {
    pub in_info: gst_audio::AudioInfo,
    pub out_info: gst_audio::AudioInfo,
    stream: Stream,
    clock: Option<Clock>,
    /// The next output does not follow the last.
    discont: bool,
    reversed: bool,
}

/// Where frame 0 lies.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// Instant of the first frame that was consumed, which with a negative rate is the last, by the
    /// count of output frames.
    base: Option<gst::ClockTime>,
    /// The same by the count of input frames, which a correction parts from that of the output.
    input: Option<gst::ClockTime>,
    /// Offset of output frame 0.
    offset: Option<u64>,
}

impl State {
    pub fn new(
        in_info: gst_audio::AudioInfo,
        out_info: gst_audio::AudioInfo,
        settings: &Settings,
        reversed: bool,
    ) -> Result<Self, StateError> {
        let format = sample_format(in_info.format())
            .ok_or_else(|| StateError::Format(in_info.format().to_string()))?;
        let spec = settings.spec(in_info.rate(), out_info.rate(), in_info.channels());
        Ok(Self {
            stream: Stream::new(&spec, format, layout(&in_info), reversed)?,
            in_info,
            out_info,
            clock: None,
            discont: true,
            reversed,
        })
    }

    pub fn engine(&self) -> EngineKind {
        self.stream.kind()
    }

    /// What to tell the user of a bound that no filter meets: all others lower the quality.
    pub fn exceeds(&self, settings: &Settings) -> Option<String> {
        let (max, least) = (settings.max_latency()?, self.latency());
        if least <= max {
            return None;
        }
        let (from, to) = (self.in_info.rate(), self.out_info.rate());
        let frame = frames_to_time(1, from);
        let shorter = if least > frame {
            format!(
                ", or use resample-method=nearest, which takes {} ns",
                frame.nseconds()
            )
        } else {
            String::new()
        };
        Some(format!(
            "max-latency={} (ns) cannot be met: from {from} to {to} Hz, the shortest filter of this \
             resample-method takes {least} ns; raise max-latency to that{shorter}",
            max.nseconds(),
            least = least.nseconds(),
        ))
    }

    /// Worst-case delay.
    pub fn latency(&self) -> gst::ClockTime {
        frames_to_time(self.stream.latency(), self.in_info.rate())
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.stream.memory()
    }

    /// Takes over changed settings from the next output on.
    pub fn apply(&mut self, settings: &Settings) -> Result<(), StateError> {
        let spec = settings.spec(
            self.in_info.rate(),
            self.out_info.rate(),
            self.in_info.channels(),
        );
        Ok(self.stream.reconfigure(&spec)?)
    }

    /// Forgets the stream so far; time runs backwards from here if `reversed`.
    pub fn reset(&mut self, reversed: bool) {
        self.stream.reset();
        self.stream.set_reversed(reversed);
        self.reversed = reversed;
        self.clock = None;
        self.discont = true;
    }

    /// Whether `input` does not follow what came before it.
    pub fn jumps(&self, input: &AudioBuffer) -> bool {
        let Some(clock) = self.clock else {
            return false;
        };
        if input.buffer.flags().contains(gst::BufferFlags::DISCONT) {
            return true;
        }
        let Some(first) = clock.base.and(self.first_instant(input)) else {
            return false;
        };
        let rate = self.in_info.rate();
        let at = |base, frames| after(base, frames_to_time(frames, rate), self.reversed);
        let error = |expected: Option<gst::ClockTime>| {
            expected.is_none_or(|t| {
                let distance = t.nseconds().abs_diff(first.nseconds());
                time_to_frames(gst::ClockTime::from_nseconds(distance), rate)
                    > u64::from(rate) / TOLERANCE_PARTS
            })
        };
        // A source whose rate is being corrected counts its frames either as nominal ones or by
        // the clock that it is corrected to.
        let corrected = || {
            let ratio = f64::from(rate) / f64::from(self.out_info.rate());
            (self.stream.frames_due() * ratio).max(0.0).round() as u64
        };
        error(at(clock.input, self.stream.frames_in())) && error(at(clock.base, corrected()))
    }

    /// Instant of the frame of `input` that is consumed first: the last one where time runs backwards.
    fn first_instant(&self, input: &AudioBuffer) -> Option<gst::ClockTime> {
        let pts = input.buffer.pts()?;
        if !self.reversed {
            return Some(pts);
        }
        let before = input.frames.saturating_sub(1);
        Some(pts.saturating_add(frames_to_time(before, self.in_info.rate())))
    }

    /// Consumes the whole frames of `input`.
    pub fn push(&mut self, input: &AudioBuffer) -> Result<(), StateError> {
        if self.clock.is_none() {
            let (l, m) = (self.out_info.rate().into(), self.in_info.rate().into());
            let first = self.first_instant(input);
            self.clock = Some(Clock {
                base: first,
                input: first,
                offset: Some(input.buffer.offset())
                    .filter(|o| *o != NO_OFFSET && !self.reversed)
                    .and_then(|o| o.mul_div_round(l, m)),
            });
        }
        let taken = input.read(|frames| self.stream.push(frames).map_err(|e| input.outside(e)));
        Ok(taken?)
    }

    /// All output that can be made, as one buffer without metas.
    pub fn pull(&mut self) -> Result<Option<gst::Buffer>, StateError> {
        let frames = self.stream.available();
        let Some(clock) = self.clock.filter(|_| frames > 0) else {
            return Ok(None);
        };
        let size = frames
            .checked_mul(self.out_info.bpf() as usize)
            .filter(|size| *size <= MOST_BYTES)
            .ok_or(StateError::TooMany {
                frames,
                most: MOST_BYTES,
            })?;
        let mut buffer = aligned_buffer(size)?;
        let writable = buffer.make_mut();
        let start = self.stream.frames_out();
        let silent = with_bytes_mut(writable, |bytes| {
            Ok::<_, StateError>(self.stream.pull(frames, bytes))
        })?;
        let end = start + frames as u64;
        let rate = self.out_info.rate();
        let span = frames_to_time(end, rate) - frames_to_time(start, rate);
        writable.set_pts(clock.base.and_then(|base| {
            if self.reversed {
                base.checked_sub(frames_to_time(end - 1, rate))
            } else {
                Some(base.saturating_add(frames_to_time(start, rate)))
            }
        }));
        writable.set_duration(span);
        if let Some(offset) = clock.offset {
            writable.set_offset(offset.saturating_add(start));
            writable.set_offset_end(offset.saturating_add(end));
        }
        if silent {
            writable.set_flags(gst::BufferFlags::GAP);
        }
        if std::mem::take(&mut self.discont) {
            writable.set_flags(gst::BufferFlags::DISCONT);
        }
        add_planes(writable, &self.out_info, frames)?;
        Ok(Some(buffer))
    }

    /// Goes on with `out_info`, which differs in its rate alone: what the filter still holds comes
    /// out at the new rate.
    pub fn change_out_rate(&mut self, out_info: &gst_audio::AudioInfo) -> Result<(), StateError> {
        let (before, now) = (self.out_info.rate(), out_info.rate());
        let (made, held) = (self.stream.frames_out(), self.stream.frames_held());
        let start = self.stream.change_out_rate(now)?;
        if let Some(clock) = &mut self.clock {
            // From the next output at the old rate to frame 0: what is held stands for as much time
            // as it did, less what is left out.
            let step = held / f64::from(before) - self.stream.frames_held() / f64::from(now);
            let time = time_after(made, before, step);
            clock.base = after(clock.base, time, self.reversed);
            let time = frames_to_time(start, self.in_info.rate());
            clock.input = after(clock.input, time, self.reversed);
            clock.offset = clock.offset.and_then(|o| {
                o.saturating_add(made)
                    .mul_div_round(now.into(), before.into())
            });
        }
        self.out_info = out_info.clone();
        Ok(())
    }

    /// Whether [`change_out_rate`](Self::change_out_rate) can lead to these.
    pub fn differs_in_out_rate(
        &self,
        in_info: &gst_audio::AudioInfo,
        out_info: &gst_audio::AudioInfo,
    ) -> bool {
        *in_info == self.in_info && self.clock.is_some() && out_info.rate() != in_info.rate()
    }

    /// Ends the stream and gives its tail; the next buffer starts a new one.
    pub fn drain(&mut self) -> Result<Option<gst::Buffer>, StateError> {
        let tail = if self.clock.is_some() {
            self.stream.finish();
            self.pull()
        } else {
            Ok(None)
        };
        self.reset(self.reversed);
        tail
    }
}

/// `base` and then `time`, back in time where the stream is `reversed`.
fn after(
    base: Option<gst::ClockTime>,
    time: gst::ClockTime,
    reversed: bool,
) -> Option<gst::ClockTime> {
    match reversed {
        true => base?.checked_sub(time),
        false => Some(base?.saturating_add(time)),
    }
}

/// Time of `frames` at `rate` Hz and of `step` seconds, rounded once, to the nearest ns.
fn time_after(frames: u64, rate: u32, step: f64) -> gst::ClockTime {
    let rate = u64::from(rate.max(1));
    let part = (frames % rate) as f64 / rate as f64 + step;
    let ns = (part * 1e9).round() as i64;
    let whole = gst::ClockTime::from_seconds(frames / rate);
    gst::ClockTime::from_nseconds(whole.nseconds().saturating_add_signed(ns))
}
