// SPDX-License-Identifier: MIT

//! The worker's process: its start, its end, and packets to and from it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, Shutdown, shutdown};

use super::GRACE;
use super::control::{Control, is_parallel};
use super::forkserver::{ForkServer, said};
use super::socket;

/// A running worker.
pub struct Process {
    server: Arc<ForkServer>,
    pid: u32,
    socket: OwnedFd,
    pub control: Control,
    /// Number of the last request.
    pub number: u32,
    /// Posts and log lines received.
    pub notices: u32,
    /// Both sides may run at the same time, so that watching for the other makes sense.
    pub parallel: bool,
    /// It was ended and waited for.
    over: bool,
}

impl Process {
    /// Has `server` fork a worker, with its ends of the socket, of `audio` and of a control page.
    /// `goes_on` is asked now and then: what it ends is an error.
    pub fn start(
        server: Arc<ForkServer>,
        audio: &File,
        goes_on: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let control = Control::new()?;
        let (socket, theirs) = socket::pair()?;
        let fds = [
            theirs.as_raw_fd(),
            audio.as_raw_fd(),
            control.file.as_raw_fd(),
        ];
        let pid = server.fork(fds, goes_on)?;
        Ok(Self {
            server,
            pid,
            socket,
            control,
            number: 0,
            notices: 0,
            parallel: is_parallel(),
            over: false,
        })
    }

    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Wakes a worker that sleeps. One that has packets to read does not, so this never waits for
    /// room: both sides could wait for each other.
    pub fn wake(&self) -> io::Result<()> {
        match socket::send(&self.socket, b"W", MsgFlags::MSG_DONTWAIT) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        socket::send(&self.socket, packet, MsgFlags::empty())
    }

    /// Waits for a packet for at most `time`; whether there is one.
    pub fn wait(&self, time: Duration) -> bool {
        socket::wait(&self.socket, time)
    }

    /// Takes a packet into `to`, if one has come: its length, 0 where the worker is gone.
    pub fn take(&self, to: &mut [u8]) -> Option<usize> {
        socket::take(&self.socket, to)
    }

    /// Whether it has ended. Its socket may still be open then, in a process that it started.
    pub fn has_ended(&self) -> bool {
        self.server.has_ended(self.pid)
    }

    /// Waits for its end for at most `GRACE`; whether it came.
    fn wait_for_end(&self) -> bool {
        let since = Instant::now();
        while !self.has_ended() {
            if since.elapsed() >= GRACE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// How it ended, after it did or its socket was closed; and what it wrote of that.
    pub fn exit_report(mut self) -> (String, String) {
        let by_itself = self.wait_for_end();
        let status = self.server.end(self.pid, false);
        self.over = true;
        let how = match status {
            Err(error) => error.to_string(),
            Ok(_) if !by_itself => "it closed its socket".into(),
            Ok(status) => said(status),
        };
        (how, self.control.stack())
    }

    /// Ends it and what it started; the stack that it was in.
    pub fn kill(mut self) -> String {
        let _ = self.server.end(self.pid, true);
        self.over = true;
        self.control.stack()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // The worker sees its end and leaves by itself, so that its own clean-up runs.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        self.wait_for_end();
        let _ = self.server.end(self.pid, false);
    }
}
