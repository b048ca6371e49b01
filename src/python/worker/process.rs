//! The worker's process: its start, its end, and packets to and from it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::control::{Control, ORDERED};
use super::{GRACE, WATCH_FOR_REQUESTS};

const WORKER: &str = include_str!("worker.py");

/// A running worker.
pub struct Process {
    child: Child,
    socket: OwnedFd,
    pub control: Control,
    /// Number of the last request.
    pub number: u32,
    /// Posts and log lines received.
    pub asides: u32,
    /// Both sides may run at the same time, so that watching for the other makes sense.
    pub parallel: bool,
    /// It was ended and waited for.
    over: bool,
}

impl Process {
    /// Starts `python` with its ends of the socket, of `audio` and of a control page.
    pub fn start(python: &Path, audio: &OwnedFd) -> io::Result<Self> {
        let control = Control::new()?;
        let (socket, theirs) = socket_pair()?;
        let parallel =
            ORDERED && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        let watch = if parallel {
            WATCH_FOR_REQUESTS
        } else {
            Duration::ZERO
        };
        let inherited: [RawFd; 3] = [
            theirs.as_raw_fd(),
            audio.as_raw_fd(),
            control.fd.as_raw_fd(),
        ];
        let mut command = Command::new(python);
        command
            .arg("-c")
            .arg(WORKER)
            .args(inherited.map(|fd| fd.to_string()))
            .arg(std::process::id().to_string())
            .arg(watch.as_nanos().to_string())
            .stdin(Stdio::null())
            // One group for it and for what it starts, so that an end reaches all of them.
            .process_group(0);
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                for fd in inherited {
                    if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        Ok(Self {
            child,
            socket,
            control,
            number: 0,
            asides: 0,
            parallel,
            over: false,
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
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
        // SAFETY: an open socket and room for as much as is said.
        let got = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                to.as_mut_ptr().cast(),
                to.len(),
                libc::MSG_DONTWAIT,
            )
        };
        if let Ok(n) = usize::try_from(got) {
            return Some(n);
        }
        match io::Error::last_os_error().kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => None,
            _ => Some(0),
        }
    }

    /// Whether it has ended. Its socket may still be open then, in a process that it started.
    pub fn has_ended(&self) -> bool {
        // SAFETY: all zeros are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // It stays a zombie: until it is waited for, its number and its group's are nobody else's.
        let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: a valid place for the answer; si_pid is 0 where no child has ended.
        unsafe {
            libc::waitid(libc::P_PID, self.child.id(), &mut info, how) < 0 || info.si_pid() != 0
        }
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

    /// Ends it and what it started.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Ok(id) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: no memory involved. Not waited for yet, so the group is still its own.
            unsafe { libc::kill(-id, libc::SIGKILL) };
        }
        self.child.wait()
    }

    /// How it ended, after it did or its socket was closed.
    pub fn epitaph(mut self) -> String {
        let by_itself = self.wait_for_end();
        let status = self.end();
        self.over = true;
        match status {
            _ if !by_itself => "it closed its socket".into(),
            Err(error) => error.to_string(),
            Ok(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("killed by signal {signal}"),
                (_, Some(code)) => format!("exit status {code}"),
                _ => "ended".into(),
            },
        }
    }

    pub fn kill(mut self) {
        let _ = self.end();
        self.over = true;
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
        let _ = self.end();
    }
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: room for two descriptors, which belong to us on success.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}
