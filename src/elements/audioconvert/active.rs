// SPDX-License-Identifier: MIT

//! A negotiated conversion, from one buffer to another.

use std::sync::Arc;

use gst::glib;

use super::settings::Settings;
use crate::dsp::convert::{ConvertError, Converter, MatrixError};
use crate::elements::support::frames::{AudioBuffer, Partial, add_planes};
use crate::elements::support::transform::with_bytes_mut;

/// A negotiated conversion.
pub struct Active {
    /// Those that the converter was made by.
    pub settings: Arc<Settings>,
    pub converter: Converter,
    /// What was set last has no part in it yet.
    waiting: Option<Waiting>,
    pub input: gst_audio::AudioInfo,
    pub output: gst_audio::AudioInfo,
}

/// A mix for caps that are still to come.
struct Waiting {
    reason: MatrixError,
    /// Frames that have played since.
    frames: u64,
}

/// Why a buffer could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Partial(#[from] Partial),
    #[error("a buffer cannot be mapped: {0}")]
    Map(#[from] glib::BoolError),
    #[error("no output buffer: {0}")]
    Allocate(gst::FlowError),
}

impl Active {
    /// A mix that was set waits for other caps because of `reason`, if there is one.
    pub fn new(
        settings: Arc<Settings>,
        converter: Converter,
        reason: Option<MatrixError>,
        input: gst_audio::AudioInfo,
        output: gst_audio::AudioInfo,
    ) -> Self {
        Self {
            settings,
            converter,
            waiting: reason.map(|reason| Waiting { reason, frames: 0 }),
            input,
            output,
        }
    }

    /// Writes what `input` becomes to `out`, which is as large as that.
    pub fn write(
        &mut self,
        input: &AudioBuffer,
        out: &mut gst::BufferRef,
    ) -> Result<(), BufferError> {
        input.read(|frames| {
            with_bytes_mut(out, |bytes| {
                let done = self.converter.convert(frames, bytes);
                done.map_err(BufferError::from)
            })
        })?;
        Ok(add_planes(out, &self.output, input.frames as usize)?)
    }

    /// Why what was set last has no effect, once a second has played without.
    pub fn overdue(&mut self, frames: u64) -> Option<MatrixError> {
        let waiting = self.waiting.as_mut()?;
        waiting.frames += frames;
        if waiting.frames < u64::from(self.input.rate()) {
            return None;
        }
        self.waiting.take().map(|waiting| waiting.reason)
    }
}
