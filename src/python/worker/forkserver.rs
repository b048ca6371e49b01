//! The process that workers are forked from: what all of them need is imported once.
//!
//! A worker is this process's grandchild, so its parent is asked how it does, and ends it. One
//! server serves all workers that would be started alike; it ends with the last of them.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::{NODE, SLICE, WATCH_FOR_REQUESTS, control, process::socket_pair};
use crate::sync::lock;

const SERVER: &str = include_str!("forkserver.py");
const WORKER: &str = include_str!("worker.py");

/// Longest that a server may take to answer once it has answered before.
const PATIENCE: Duration = Duration::from_secs(10);

/// What makes processes start differently.
#[derive(PartialEq, Eq)]
struct Key {
    python: PathBuf,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
}

impl Key {
    fn now(python: &Path) -> Self {
        let mut environment: Vec<_> = std::env::vars_os().collect();
        environment.sort();
        Self {
            python: python.to_owned(),
            environment,
            directory: std::env::current_dir().ok(),
        }
    }
}

/// A running server.
pub struct ForkServer {
    child: Mutex<Child>,
    socket: OwnedFd,
    /// Held from a request to its answer.
    turn: Mutex<()>,
    /// It gave no answer, and was killed.
    broken: AtomicBool,
}

impl ForkServer {
    /// The server for workers of `python`, started where there is none. Does not wait until it is
    /// ready.
    pub fn get(python: &Path) -> io::Result<Arc<Self>> {
        static SERVERS: Mutex<Vec<(Key, Weak<ForkServer>)>> = Mutex::new(Vec::new());
        let key = Key::now(python);
        let mut servers = lock(&SERVERS);
        servers.retain(|(_, server)| server.strong_count() > 0);
        let running = servers
            .iter()
            .filter(|(known, _)| *known == key)
            .filter_map(|(_, server)| server.upgrade())
            .find(|server| !server.broken.load(Relaxed));
        if let Some(server) = running {
            return Ok(server);
        }
        let server = Arc::new(Self::start(python)?);
        servers.push((key, Arc::downgrade(&server)));
        Ok(server)
    }

    fn start(python: &Path) -> io::Result<Self> {
        let (socket, theirs) = socket_pair()?;
        let inherited = theirs.as_raw_fd();
        let watch = if control::is_parallel() {
            WATCH_FOR_REQUESTS
        } else {
            Duration::ZERO
        };
        let mut command = Command::new(python);
        command
            .args(["-c", SERVER, &inherited.to_string()])
            .args([&watch.as_nanos().to_string(), WORKER, NODE])
            .stdin(Stdio::null())
            .process_group(0);
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if libc::fcntl(inherited, libc::F_SETFD, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        tracing::info!(
            target: "pypipelinenode", pid = child.id(), python = %python.display(),
            "fork server started"
        );
        Ok(Self {
            child: Mutex::new(child),
            socket,
            turn: Mutex::new(()),
            broken: AtomicBool::new(false),
        })
    }

    /// Forks a worker with these descriptors, and this process's standard output and error; its
    /// number. `goes_on` is asked now and then: what it ends is an error.
    pub fn fork(&self, fds: [RawFd; 3], goes_on: impl Fn() -> bool) -> io::Result<u32> {
        let mut given = fds.to_vec();
        let mut streams = 0;
        for fd in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
            // SAFETY: no memory involved.
            if unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0 {
                given.push(fd);
                streams |= 1 << fd;
            }
        }
        let answer = self.request(b'F', streams, &given, goes_on)?;
        match *answer {
            [b'P', a, b, c, d] => Ok(u32::from_le_bytes([a, b, c, d])),
            _ => Err(strange()),
        }
    }

    /// Whether worker `pid` has ended; it stays a zombie until [`end`](Self::end), so that its
    /// number and its group's are nobody else's. Of a server that is gone, all have.
    pub fn has_ended(&self, pid: u32) -> bool {
        let since = Instant::now();
        self.request(b'E', pid, &[], || since.elapsed() < PATIENCE)
            .map_or(true, |answer| *answer == *b"1")
    }

    /// Ends worker `pid` and what it started, where it has not ended by itself; how it ended.
    /// `dump`: it writes its stack first.
    pub fn end(&self, pid: u32, dump: bool) -> io::Result<ExitStatus> {
        let since = Instant::now();
        let kind = if dump { b'D' } else { b'K' };
        let answer = self.request(kind, pid, &[], || since.elapsed() < PATIENCE)?;
        match *answer {
            [b'S', a, b, c, d] => Ok(ExitStatus::from_raw(i32::from_le_bytes([a, b, c, d]))),
            _ => Err(io::Error::other("it does not end")),
        }
    }

    fn request(
        &self,
        kind: u8,
        number: u32,
        fds: &[RawFd],
        goes_on: impl Fn() -> bool,
    ) -> io::Result<Vec<u8>> {
        let _turn = self.take_turn(&goes_on)?;
        if self.broken.load(Relaxed) {
            return Err(gone());
        }
        let answer = self.exchange(kind, number, fds, &goes_on);
        if answer.is_err() {
            // Answers would no longer be those of the requests. Workers see its end, and end.
            self.broken.store(true, Relaxed);
            let _ = lock(&self.child).kill();
        }
        match answer?.as_slice() {
            [b'!', text @ ..] => Err(io::Error::other(String::from_utf8_lossy(text).into_owned())),
            answer => Ok(answer.to_vec()),
        }
    }

    fn take_turn(&self, goes_on: &impl Fn() -> bool) -> io::Result<MutexGuard<'_, ()>> {
        loop {
            match self.turn.try_lock() {
                Ok(turn) => return Ok(turn),
                Err(TryLockError::Poisoned(turn)) => return Ok(turn.into_inner()),
                Err(TryLockError::WouldBlock) if !goes_on() => return Err(late()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn exchange(
        &self,
        kind: u8,
        number: u32,
        fds: &[RawFd],
        goes_on: &impl Fn() -> bool,
    ) -> io::Result<Vec<u8>> {
        let mut packet = vec![kind];
        packet.extend_from_slice(&number.to_le_bytes());
        let control = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[] } else { &control[..] };
        let socket = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(socket, &[IoSlice::new(&packet)], control, flags, None)?;
        let mut answer = vec![0; 1024];
        loop {
            let mut poll = libc::pollfd {
                fd: socket,
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one valid entry.
            if unsafe { libc::poll(&mut poll, 1, SLICE.as_millis() as libc::c_int) } <= 0 {
                if goes_on() {
                    continue;
                }
                return Err(late());
            }
            // SAFETY: an open socket and room for as much as is said.
            let got = unsafe { libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) };
            return match usize::try_from(got) {
                Ok(0) => Err(gone()),
                Ok(n) => {
                    answer.truncate(n);
                    Ok(answer)
                }
                Err(_) => match io::Error::last_os_error() {
                    e if e.kind() == io::ErrorKind::Interrupted => continue,
                    e => Err(e),
                },
            };
        }
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        // No worker is left, and it holds nothing of its own.
        let child = self.child.get_mut().unwrap_or_else(|e| e.into_inner());
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn gone() -> io::Error {
    io::Error::other("the process that workers are forked from has ended")
}

fn late() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the process that workers are forked from gives no answer",
    )
}

fn strange() -> io::Error {
    io::Error::other("a strange answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_alike_shares_a_server() {
        let key = || Key::now(Path::new("python3"));
        assert!(key() == key());
        assert!(key() != Key::now(Path::new("python3.13")));
        let mut other = key();
        other
            .environment
            .push(("CUDA_VISIBLE_DEVICES".into(), "1".into()));
        assert!(key() != other);
        let mut other = key();
        other.directory = Some("/".into());
        assert!(key() != other);
    }
}
