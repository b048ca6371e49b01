// SPDX-License-Identifier: MIT

//! The worker's process: its start, its end, and packets to and from it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::GRACE;
use super::control::{Control, is_parallel};
use super::forkserver::{ForkServer, said, socket_pair};

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
        audio: &OwnedFd,
        goes_on: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let control = Control::new()?;
        let (socket, theirs) = socket_pair()?;
        let fds = [
            theirs.as_raw_fd(),
            audio.as_raw_fd(),
            control.fd.as_raw_fd(),
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
        match self.send_with(b"W", libc::MSG_DONTWAIT) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.send_with(packet, 0)
    }

    fn send_with(&self, packet: &[u8], flags: libc::c_int) -> io::Result<()> {
        loop {
            // SAFETY: an open socket and a valid slice.
            let sent = unsafe {
                libc::send(
                    self.socket.as_raw_fd(),
                    packet.as_ptr().cast(),
                    packet.len(),
                    libc::MSG_NOSIGNAL | flags,
                )
            };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Waits for a packet for at most `time`; whether there is one.
    pub fn wait(&self, time: Duration) -> bool {
        let mut poll = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // Never 0 while there is time left.
        let ms = time.as_micros().div_ceil(1000) as libc::c_int;
        // SAFETY: one valid entry.
        unsafe { libc::poll(&mut poll, 1, ms) > 0 }
    }

    /// Takes a packet into `to`, if one has come: its length, 0 where the worker is gone.
    pub fn take(&self, to: &mut [u8]) -> Option<usize> {
        take_from(&self.socket, to)
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
        // SAFETY: an open socket. The worker sees its end and leaves by itself, so that its own
        // clean-up runs.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
        self.wait_for_end();
        let _ = self.server.end(self.pid, false);
    }
}

/// Takes a packet that has come on `socket` into `to`: its length, 0 where the other side is gone.
fn take_from(socket: &OwnedFd, to: &mut [u8]) -> Option<usize> {
    let mut was_reset = false;
    loop {
        // SAFETY: an open socket and room for as much as is said.
        let got = unsafe {
            libc::recv(
                socket.as_raw_fd(),
                to.as_mut_ptr().cast(),
                to.len(),
                libc::MSG_DONTWAIT,
            )
        };
        if let Ok(n) = usize::try_from(got) {
            return Some(n);
        }
        match io::Error::last_os_error().kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => return None,
            // Said once, before what it sent last, where it left a packet of this side unread.
            io::ErrorKind::ConnectionReset if !was_reset => was_reset = true,
            _ => return Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(socket: &OwnedFd, packet: &[u8]) {
        // SAFETY: an open socket and a valid slice.
        let sent = unsafe {
            let (data, len) = (packet.as_ptr().cast(), packet.len());
            libc::send(socket.as_raw_fd(), data, len, 0)
        };
        assert_eq!(usize::try_from(sent), Ok(packet.len()));
    }

    #[test]
    fn what_a_worker_sent_last_arrives_whatever_it_left_unread() {
        let (ours, theirs) = socket_pair().unwrap();
        let mut packet = [0; 8];
        assert_eq!(take_from(&ours, &mut packet), None);
        send(&ours, b"W");
        send(&theirs, b"Pone");
        send(&theirs, b"Ptwo");
        drop(theirs);
        assert_eq!(take_from(&ours, &mut packet), Some(4));
        assert_eq!(&packet[..4], b"Pone");
        assert_eq!(take_from(&ours, &mut packet), Some(4));
        assert_eq!(&packet[..4], b"Ptwo");
        assert_eq!(take_from(&ours, &mut packet), Some(0));
    }
}
