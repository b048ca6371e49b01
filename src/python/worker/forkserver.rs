// SPDX-License-Identifier: MIT

//! The process that workers are forked from: what all of them need is imported once.
//!
//! A worker is this process's grandchild, so its parent is asked how it does, and ends it. One
//! server serves all workers that would be started alike; it ends with the last of them.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};

use super::{GRACE, NODE, SLICE, WATCH_FOR_REQUESTS, control, socket};
use crate::resilience::lock;

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
    rights: String,
}

impl Key {
    fn now(python: &Path) -> Self {
        let mut environment: Vec<_> = std::env::vars_os().collect();
        environment.sort();
        Self {
            python: python.to_owned(),
            environment,
            directory: std::env::current_dir().ok(),
            rights: rights(),
        }
    }
}

/// Whose this process is, and what it may do: a program may give up rights once it has started.
fn rights() -> String {
    let read = |name: &str| std::fs::read_to_string(name).unwrap_or_default();
    let handed_down = [
        "Uid:",
        "Gid:",
        "Groups:",
        "Umask:",
        "Cap",
        "NoNewPrivs:",
        "Seccomp",
    ];
    let mut rights: String = read("/proc/self/status")
        .lines()
        .filter(|line| handed_down.iter().any(|name| line.starts_with(name)))
        .flat_map(|line| [line, "\n"])
        .collect();
    rights.push_str(&read("/proc/self/limits"));
    rights
}

/// Whether a program that is started gets this descriptor. Where a standard stream is closed, what
/// is opened next has its number, and seldom is for others.
fn is_handed_down(fd: impl AsFd) -> bool {
    let flags = fcntl(fd, FcntlArg::F_GETFD);
    flags.is_ok_and(|flags| flags & libc::FD_CLOEXEC == 0)
}

/// Takes the numbers of standard streams that are closed, so that nothing else gets them as long as
/// this is kept.
fn fill_standard() -> io::Result<Vec<File>> {
    let mut filled = Vec::new();
    loop {
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        if null.as_raw_fd() > libc::STDERR_FILENO {
            return Ok(filled);
        }
        filled.push(null);
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
        let _filled = fill_standard()?;
        let (socket, theirs) = socket::pair()?;
        let inherited = theirs.as_raw_fd().to_string();
        let watch = if control::is_parallel() {
            WATCH_FOR_REQUESTS
        } else {
            Duration::ZERO
        };
        let mut command = Command::new(python);
        command
            .args(["-c", SERVER, &inherited])
            .args([&watch.as_nanos().to_string(), WORKER, NODE])
            .stdin(Stdio::null())
            .process_group(0);
        if !is_handed_down(io::stdout()) {
            command.stdout(Stdio::null());
        }
        if !is_handed_down(io::stderr()) {
            command.stderr(Stdio::null());
        }
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // What this program left open is not for workers. (Before Linux 5.11 it is kept.)
                let first = libc::STDERR_FILENO as libc::c_uint + 1;
                let how = libc::CLOSE_RANGE_CLOEXEC;
                libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, how);
                fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
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
        let (output, error) = (io::stdout(), io::stderr());
        for stream in [output.as_fd(), error.as_fd()] {
            if is_handed_down(stream) {
                given.push(stream.as_raw_fd());
                streams |= 1 << stream.as_raw_fd();
            }
        }
        let answer = self.request(b'F', streams, &given, goes_on)?;
        match *answer {
            [b'P', a, b, c, d] => Ok(u32::from_le_bytes([a, b, c, d])),
            _ => Err(strange()),
        }
    }

    /// Whether worker `pid` has ended; it stays a zombie until [`end`](Self::end), so that its
    /// number and its group's are nobody else's. Of a server that is gone, all have; where others
    /// keep it busy, it is asked again later.
    pub fn has_ended(&self, pid: u32) -> bool {
        let since = Instant::now();
        self.request(b'E', pid, &[], || since.elapsed() < PATIENCE)
            .map_or_else(
                |error| error.kind() != io::ErrorKind::TimedOut,
                |answer| *answer == *b"1",
            )
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
        let answer = answer.map_err(|error| self.give_up(error))?;
        match answer.as_slice() {
            [b'!', text @ ..] => Err(io::Error::other(String::from_utf8_lossy(text).into_owned())),
            answer => Ok(answer.to_vec()),
        }
    }

    /// Answers would no longer be those of the requests. Workers see its end, and end. Why it gave
    /// none.
    fn give_up(&self, error: io::Error) -> io::Error {
        self.broken.store(true, Relaxed);
        let mut child = lock(&self.child);
        let why = if error.kind() == io::ErrorKind::TimedOut {
            error
        } else {
            // It has closed its socket, and ends.
            let since = Instant::now();
            let ended = loop {
                match child.try_wait() {
                    Ok(None) if since.elapsed() < GRACE => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    done => break done.ok().flatten(),
                }
            };
            ended.map_or_else(gone, |how| {
                io::Error::other(format!("{}: {}", gone(), said(how)))
            })
        };
        let _ = child.kill();
        why
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
            if !socket::wait(&self.socket, SLICE) {
                if goes_on() {
                    continue;
                }
                return Err(late());
            }
            match recv(socket, &mut answer, MsgFlags::empty()) {
                Ok(0) => return Err(gone()),
                Ok(n) => {
                    answer.truncate(n);
                    return Ok(answer);
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
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

/// How a process ended.
pub fn said(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (_, Some(code)) => format!("exit status {code}"),
        _ => "ended".into(),
    }
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
        let mut other = key();
        assert!(other.rights.contains("Uid:") && other.rights.contains("Max open files"));
        other.rights.push('x');
        assert!(key() != other);
    }
}
