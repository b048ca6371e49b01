// SPDX-License-Identifier: MIT

//! A page that the plugin and a worker map: the request, its answer, and who watches for them.
//!
//! Whoever watches is woken by the number alone; whoever sleeps, by a packet on the socket. Waking
//! a process that sleeps costs more than the call of a small node.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst, fence};
use std::time::{Duration, Instant};

use super::memory::{Mapping, memfd};
use crate::python::abi::over;

const SIZE: usize = 4096;
/// Most bytes of a stack that are read.
const STACK: usize = 60_000;

/// Offsets, as in worker.py. What one side writes lies apart from what the other does.
mod at {
    pub const REQUESTED: usize = 0;
    pub const PLUGIN_WATCHES: usize = 4;
    pub const CANCEL: usize = 8;
    pub const ANSWERED: usize = 64;
    pub const WORKER_WATCHES: usize = 68;
    pub const TAKEN: usize = 72;
    pub const ASIDES: usize = 76;
    pub const REQUEST: usize = 128;
    pub const ANSWER: usize = 512;
}

/// Python has no memory barriers: its stores come in order only where all stores do.
pub const ORDERED: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));

/// Both sides may run at the same time, so that watching for the other makes sense.
pub fn is_parallel() -> bool {
    ORDERED && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

pub struct Control {
    pub file: File,
    page: Mapping,
}

impl Control {
    pub fn new() -> io::Result<Self> {
        let file = memfd(c"rustaudio-control")?;
        file.set_len(SIZE as u64)?;
        let page = Mapping::new(&file, SIZE)?;
        Ok(Self { file, page })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        self.page.word(at)
    }

    /// Puts `request` (at most 384 bytes) where the worker finds it under `number`; true if the
    /// worker watches for it and needs no packet.
    pub fn request(&self, number: u32, request: &[u8], watch: bool) -> bool {
        let len = request.len().min(at::ANSWER - at::REQUEST);
        // The worker reads it only after the number has changed.
        self.page.write(at::REQUEST, &request[..len]);
        self.cancel(over::GOES_ON);
        self.word(at::PLUGIN_WATCHES).store(watch.into(), SeqCst);
        self.word(at::REQUESTED).store(number, SeqCst);
        ORDERED && self.word(at::WORKER_WATCHES).load(SeqCst) != 0
    }

    /// Tells the worker whether what the call awaits shall end: one of [`over`].
    pub fn cancel(&self, why: i32) {
        self.word(at::CANCEL).store(why as u32, SeqCst);
    }

    pub fn is_answered(&self, number: u32) -> bool {
        self.word(at::ANSWERED).load(SeqCst) == number
    }

    /// The worker works on request `number`, or has.
    pub fn is_taken(&self, number: u32) -> bool {
        self.word(at::TAKEN).load(SeqCst) == number
    }

    /// Packets that the worker has sent besides its answers.
    pub fn notices(&self) -> u32 {
        self.word(at::ASIDES).load(SeqCst)
    }

    /// Copies the answer, as it is now; no more than there is room for in the page.
    pub fn answer(&self, to: &mut [u8]) {
        let len = to.len().min(SIZE - at::ANSWER);
        // A worker that writes to it out of turn gets what it wrote misread, which the reader of the
        // bytes has to expect anyway.
        self.page.read(at::ANSWER, &mut to[..len]);
    }

    /// What the worker wrote behind the page: the stack that it crashed in.
    pub fn stack(&self) -> String {
        let mut text = vec![0; STACK];
        let got = self.file.read_at(&mut text, SIZE as u64);
        text.truncate(got.unwrap_or(0));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Watches for the answer to `number` for at most `time`; true if it came. If not, the worker
    /// has to send a packet from then on. (If it did, taking the word back now would have the
    /// worker, which looks at it only after it has answered, send one that nobody reads.)
    pub fn watch(&self, number: u32, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until {
            for _ in 0..16 {
                if self.is_answered(number) {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        self.word(at::PLUGIN_WATCHES).store(0, SeqCst);
        // The worker looks at the word above after it has answered: one of us sees the other.
        fence(SeqCst);
        self.is_answered(number)
    }
}
