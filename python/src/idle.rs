// SPDX-License-Identifier: MIT

//! Streams between calls: planning one takes longer than converting a short signal.

use std::process;
use std::sync::Mutex;

use rustaudio_dsp::Layout;
use rustaudio_dsp::convert::SampleFormat;
use rustaudio_dsp::resample::{ResampleError, Spec, Stream};

/// How many are kept.
const MOST: usize = 8;
/// The largest that is kept, in bytes.
const LARGEST: usize = 4 << 20;

/// What a stream is for.
type Kind = (Spec, SampleFormat, Layout);

/// With the number of the process that put it there: the one used last at the end. Each is as new, so that results
/// depend on nothing that went before. A forked process has no use for its parent's, whose tables may be half made.
/// Nobody waits for it: a process forked while another thread had it could wait for ever.
static IDLE: Mutex<Vec<(u32, Kind, Stream)>> = Mutex::new(Vec::new());

/// A stream for `spec` whose output lies in `layout`, at its beginning.
pub fn take(spec: &Spec, format: SampleFormat, layout: Layout) -> Result<Stream, ResampleError> {
    let kept = IDLE.try_lock().ok().and_then(|mut idle| {
        let fits = |(s, f, l): &Kind| s == spec && *f == format && *l == layout;
        drop_foreign(&mut idle);
        let found = idle.iter().position(|(_, kind, _)| fits(kind));
        found.map(|at| idle.remove(at).2)
    });
    match kept {
        Some(stream) => Ok(stream),
        None => Stream::new(spec, format, layout, false),
    }
}

/// Keeps a stream that is at its beginning.
pub fn keep(spec: &Spec, format: SampleFormat, layout: Layout, stream: Stream) {
    if stream.memory() > LARGEST {
        return;
    }
    let Ok(mut idle) = IDLE.try_lock() else {
        return;
    };
    drop_foreign(&mut idle);
    if idle.len() == MOST {
        idle.remove(0);
    }
    idle.push((process::id(), (spec.clone(), format, layout), stream));
}

/// Drops the streams of another process.
fn drop_foreign(idle: &mut Vec<(u32, Kind, Stream)>) {
    let own = process::id();
    idle.retain(|(id, ..)| *id == own);
}
