// SPDX-License-Identifier: MIT

//! A page that the plugin and a worker map: the request, its answer, and who watches for them.
//!
//! Whoever watches is woken by the number alone; whoever sleeps, by a packet on the socket. Waking
//! a process that sleeps costs more than the call of a small node.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst, fence};
use std::time::{Duration, Instant};

use super::memory::{extend, map, memfd};
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
    pub fd: OwnedFd,
    data: *mut u8,
}

// SAFETY: the mapping belongs to this value alone, within this process.
unsafe impl Send for Control {}

impl Control {
    pub fn new() -> io::Result<Self> {
        let fd = memfd(c"rustaudio-control")?;
        extend(&fd, SIZE)?;
        let data = map(&fd, SIZE)?;
        Ok(Self { fd, data })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: within the page, which is aligned and mapped as long as `self` lives; the worker
        // writes whole words.
        unsafe { AtomicU32::from_ptr(self.data.add(at).cast()) }
    }

    /// Puts `request` (at most 384 bytes) where the worker finds it under `number`; true if the
    /// worker watches for it and needs no packet.
    pub fn request(&self, number: u32, request: &[u8], watch: bool) -> bool {
        let len = request.len().min(at::ANSWER - at::REQUEST);
        // SAFETY: within the page; the worker reads it only after the number has changed.
        unsafe {
            let to = self.data.add(at::REQUEST);
            std::ptr::copy_nonoverlapping(request.as_ptr(), to, len);
        }
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
        // SAFETY: within the page. A worker that writes to it out of turn gets what it wrote
        // misread, which the reader of the bytes has to expect anyway.
        unsafe {
            std::ptr::copy_nonoverlapping(self.data.add(at::ANSWER), to.as_mut_ptr(), len);
        }
    }

    /// What the worker wrote behind the page: the stack that it crashed in.
    pub fn stack(&self) -> String {
        let mut text = vec![0; STACK];
        // SAFETY: an open descriptor and room for as much as is said.
        let got = unsafe {
            let fd = self.fd.as_raw_fd();
            libc::pread(
                fd,
                text.as_mut_ptr().cast(),
                text.len(),
                SIZE as libc::off_t,
            )
        };
        text.truncate(usize::try_from(got).unwrap_or(0));
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

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`, which nothing refers to any more.
        unsafe { libc::munmap(self.data.cast(), SIZE) };
    }
}
