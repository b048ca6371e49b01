// SPDX-License-Identifier: MIT

//! Long work looks up now and then at what Python wants, so that Ctrl-C ends it.

use pyo3::prelude::*;

/// Samples between two looks: some 50 ms of the fastest work there is. With less, another thread of Python that
/// computes, and gives the lock away after 5 ms, would cost more than this work.
const SAMPLES: usize = 1 << 22;

/// Counts samples, without the GIL.
#[derive(Default)]
pub struct Patience {
    since: usize,
}

impl Patience {
    /// Frames of `channels` that are best worked on between two calls of [`spend`](Self::spend): a multiple of 1024.
    pub fn frames(channels: usize) -> usize {
        (SAMPLES / channels.max(1)).next_multiple_of(1024)
    }

    /// `samples` are done. The error is what a signal's handler raised, as a KeyboardInterrupt.
    pub fn spend(&mut self, samples: usize) -> PyResult<()> {
        self.since = self.since.saturating_add(samples);
        if self.since < SAMPLES {
            return Ok(());
        }
        self.since = 0;
        Python::attach(|py| py.check_signals())
    }
}
