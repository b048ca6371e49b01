//! A node in a worker process: crashes and endless calls end the worker, not the pipeline.
//!
//! Audio goes through shared memory, requests and answers through a socket that keeps packets
//! apart. The worker is started again when it is next needed.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::abi::Moment;
use super::{
    About, Call, Failure, Format, Lease, Memory, Node, Product, Returned, Shape, SharedCallbacks,
    Spec, Wanted, find, info_json, parse_about, parse_wanted,
};
use crate::resilience::Interrupt;

const NODE: &str = include_str!("../../bridge/src/node.py");
const WORKER: &str = include_str!("worker.py");

/// Largest packet, either way; below the usual limit of a socket.
const PACKET: usize = 1 << 18;
/// Longest that a stop waits for a call or for the worker to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often a wait looks whether it was interrupted.
const SLICE: Duration = Duration::from_millis(20);

/// Memory that both processes map.
struct Shared {
    fd: OwnedFd,
    data: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, within this process.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> io::Result<Self> {
        // SAFETY: a new descriptor, owned by nobody else. Sealed, since reading beyond the end of
        // a file that the worker made shorter would be a SIGBUS.
        let fd = unsafe {
            let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
            let fd = libc::memfd_create(c"rustaudio-worker".as_ptr(), flags);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = OwnedFd::from_raw_fd(fd);
            if libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) < 0 {
                return Err(io::Error::last_os_error());
            }
            fd
        };
        Ok(Self {
            fd,
            data: std::ptr::null_mut(),
            len: 0,
        })
    }

    fn file_len(&self) -> io::Result<usize> {
        // SAFETY: plain data, filled by the call.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor and a valid struct.
        if unsafe { libc::fstat(self.fd.as_raw_fd(), &mut stat) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(usize::try_from(stat.st_size).unwrap_or(0))
    }

    /// Makes room for `len` bytes.
    fn grow(&mut self, len: usize) -> io::Result<()> {
        if len <= self.len {
            return Ok(());
        }
        let have = self.file_len()?;
        let want = len.max(1 << 16).next_power_of_two().max(have);
        let size = libc::off_t::try_from(want).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: an open descriptor; the new mapping is checked before the old one goes.
        unsafe {
            if want > have && libc::ftruncate(self.fd.as_raw_fd(), size) < 0 {
                return Err(io::Error::last_os_error());
            }
            let data = libc::mmap(
                std::ptr::null_mut(),
                want,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                self.fd.as_raw_fd(),
                0,
            );
            if data == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            self.unmap();
            (self.data, self.len) = (data.cast(), want);
        }
        Ok(())
    }

    fn unmap(&mut self) {
        if !self.data.is_null() {
            // SAFETY: the mapping made by `grow`; no slice of it outlives a call.
            unsafe { libc::munmap(self.data.cast(), self.len) };
            self.data = std::ptr::null_mut();
        }
    }

    /// Copies `from` to the start.
    fn write(&mut self, from: &[u8]) -> io::Result<()> {
        self.grow(from.len())?;
        // SAFETY: mapped and large enough; the worker looks at it only when told to.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.data, from.len()) };
        Ok(())
    }

    /// Copies what is at `offset`; false where that is out of bounds.
    fn read(&mut self, offset: usize, to: &mut [u8]) -> bool {
        match offset.checked_add(to.len()) {
            // The file is as long as the worker says only if it is as long as we see.
            Some(end) if end <= self.file_len().unwrap_or(0) && self.grow(end).is_ok() => {
                // SAFETY: within the mapping, whose file can only grow.
                unsafe {
                    std::ptr::copy_nonoverlapping(self.data.add(offset), to.as_mut_ptr(), to.len());
                }
                true
            }
            _ => false,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// A running worker.
struct Process {
    child: Child,
    socket: OwnedFd,
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: an open socket. The worker sees its end and leaves by itself, so that its own
        // clean-up runs.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
        let since = Instant::now();
        while since.elapsed() < GRACE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why no answer came.
enum NoAnswer {
    Died(String),
    TimedOut(Duration),
    /// The pipeline stops or flushes, and the call took no notice.
    Interrupted,
    Failed(Failure),
}

/// A node in another process.
pub struct Worker {
    executable: PathBuf,
    spec: String,
    callbacks: SharedCallbacks,
    interrupt: Arc<Interrupt>,
    /// Longest call in ns, 0 = none; the element's to change.
    timeout: Arc<AtomicU64>,
    shared: Shared,
    process: Option<Process>,
    about: About,
    /// What the node was last started with, for its successors.
    info: Option<String>,
    packet: Vec<u8>,
    request: Vec<u8>,
}

impl Worker {
    /// Starts the worker and constructs the node in it.
    pub fn new(
        python_home: Option<&str>,
        spec: &Spec,
        callbacks: SharedCallbacks,
        interrupt: Arc<Interrupt>,
        timeout: Arc<AtomicU64>,
    ) -> Result<Self, Failure> {
        let shared = Shared::new().map_err(|e| system("shared memory", &e))?;
        let mut worker = Self {
            executable: find::executable(python_home),
            spec: spec.to_json(),
            callbacks,
            interrupt,
            timeout,
            shared,
            process: None,
            about: About::default(),
            info: None,
            packet: vec![0; PACKET],
            request: Vec::new(),
        };
        worker.spawn()?;
        Ok(worker)
    }

    fn spawn(&mut self) -> Result<(), Failure> {
        let (ours, theirs) = socket_pair().map_err(|e| system("socket", &e))?;
        let inherited: [RawFd; 2] = [theirs.as_raw_fd(), self.shared.fd.as_raw_fd()];
        let mut command = Command::new(&self.executable);
        command
            .arg("-c")
            .arg(WORKER)
            .args(inherited.map(|fd| fd.to_string()))
            .arg(std::process::id().to_string())
            .stdin(std::process::Stdio::null());
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
        let child = command.spawn().map_err(|e| {
            let mut failure = system(&self.executable.display().to_string(), &e);
            failure.configuration = true;
            failure
        })?;
        drop(theirs);
        tracing::info!(
            target: "pypipelinenode", pid = child.id(), python = %self.executable.display(),
            "worker started"
        );
        self.process = Some(Process {
            child,
            socket: ours,
        });
        let started = self
            .send(NODE.as_bytes())
            .map_err(NoAnswer::Died)
            .and_then(|()| self.ask(b'N', &self.spec.clone()));
        match started {
            Ok(about) => self.about = parse_about(&about),
            Err(no) => {
                let failure = self.failure(no);
                self.process = None;
                return Err(failure);
            }
        }
        if let Some(info) = self.info.clone() {
            // A node that has not started must not be called: the next attempt begins anew.
            if let Err(no) = self.ask(b'S', &info) {
                let failure = self.failure(no);
                self.process = None;
                return Err(failure);
            }
        }
        Ok(())
    }

    fn send(&self, packet: &[u8]) -> Result<(), String> {
        let Some(process) = &self.process else {
            return Err("it does not run".into());
        };
        loop {
            // SAFETY: an open socket and a valid slice.
            let sent = unsafe {
                libc::send(
                    process.socket.as_raw_fd(),
                    packet.as_ptr().cast(),
                    packet.len(),
                    libc::MSG_NOSIGNAL,
                )
            };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error.to_string());
            }
        }
    }

    /// Waits for the answer, whose bytes are in `self.packet` then; handles what else comes.
    fn receive(&mut self, limit: Option<Duration>) -> Result<usize, NoAnswer> {
        let since = Instant::now();
        let mut interrupted: Option<Instant> = None;
        loop {
            let Some(process) = &self.process else {
                return Err(NoAnswer::Died("it does not run".into()));
            };
            let left = limit.map(|l| l.saturating_sub(since.elapsed()));
            let wait = left.map_or(SLICE, |l| l.min(SLICE));
            let mut poll = libc::pollfd {
                fd: process.socket.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // Never 0 while there is time left.
            let ms = (wait.as_micros().div_ceil(1000)) as libc::c_int;
            // SAFETY: one valid entry.
            let ready = unsafe { libc::poll(&mut poll, 1, ms) };
            if ready > 0 {
                // SAFETY: an open socket and room for the largest packet.
                let got = unsafe {
                    libc::recv(
                        process.socket.as_raw_fd(),
                        self.packet.as_mut_ptr().cast(),
                        self.packet.len(),
                        0,
                    )
                };
                match usize::try_from(got) {
                    Ok(0) => return Err(NoAnswer::Died(self.epitaph())),
                    // A node that posts without end is still looked at below.
                    Ok(n) if self.is_aside(n) => {}
                    Ok(n) => return Ok(n),
                    Err(_) => {
                        let error = io::Error::last_os_error();
                        if error.kind() != io::ErrorKind::Interrupted {
                            return Err(NoAnswer::Died(self.epitaph()));
                        }
                    }
                }
            }
            if let Some(limit) = limit.filter(|l| since.elapsed() >= *l) {
                return Err(NoAnswer::TimedOut(limit));
            }
            if self.interrupt.is_raised() {
                let at = *interrupted.get_or_insert_with(Instant::now);
                if at.elapsed() > GRACE {
                    return Err(NoAnswer::Interrupted);
                }
            }
        }
    }

    /// A post or a log line; true if the packet was one.
    fn is_aside(&self, n: usize) -> bool {
        let parsed = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body);
        match self.packet[..n].split_first() {
            Some((b'P', body)) => {
                if let Ok(mut v) = parsed(body) {
                    let fields = v[1].take().as_object().cloned().unwrap_or_default();
                    self.callbacks
                        .post(v[0].as_str().unwrap_or_default(), fields);
                }
                true
            }
            Some((b'L', body)) => {
                if let Ok(v) = parsed(body) {
                    self.callbacks.log(
                        v[0].as_str().unwrap_or_default(),
                        v[1].as_str().unwrap_or_default(),
                    );
                }
                true
            }
            _ => false,
        }
    }

    /// How the worker ended.
    fn epitaph(&mut self) -> String {
        let Some(mut process) = self.process.take() else {
            return "it does not run".into();
        };
        let since = Instant::now();
        while since.elapsed() < GRACE {
            match process.child.try_wait() {
                Ok(Some(status)) => {
                    return match (status.signal(), status.code()) {
                        (Some(signal), _) => format!("killed by signal {signal}"),
                        (_, Some(code)) => format!("exit status {code}"),
                        _ => "ended".into(),
                    };
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return error.to_string(),
            }
        }
        "it closed its socket".into()
    }

    /// A request with a text, answered by a text.
    fn ask(&mut self, kind: u8, body: &str) -> Result<String, NoAnswer> {
        let mut packet = vec![kind];
        packet.extend_from_slice(body.as_bytes());
        if packet.len() > PACKET {
            return Err(NoAnswer::Failed(Failure::new(
                "ConfigurationError",
                "the settings of the node are too long",
            )));
        }
        self.send(&packet).map_err(NoAnswer::Died)?;
        let n = self.receive(None)?;
        let text = String::from_utf8_lossy(self.packet.get(1..n).unwrap_or_default());
        match self.packet[0] {
            b'A' => Ok(text.into_owned()),
            b'E' => Err(NoAnswer::Failed(Failure::from_json(&text))),
            _ => Err(NoAnswer::Failed(Failure::new(
                "WorkerError",
                "a strange answer",
            ))),
        }
    }

    /// What the pipeline learns; a worker that does not answer is ended.
    fn failure(&mut self, no: NoAnswer) -> Failure {
        let mut failure = match no {
            NoAnswer::Failed(failure) => return failure,
            NoAnswer::Died(how) => {
                let mut f = Failure::new("WorkerDied", format!("the worker process died: {how}"));
                f.fault.retryable = Some(true);
                f
            }
            NoAnswer::TimedOut(limit) => {
                let mut f = Failure::new(
                    "WorkerTimeout",
                    format!("no answer within {limit:?}; the worker process was killed"),
                );
                f.fault.retryable = Some(true);
                f.timed_out = true;
                f
            }
            NoAnswer::Interrupted => Failure::new(
                "WorkerInterrupted",
                "the call did not end when the pipeline stopped; the worker process was killed",
            ),
        };
        failure.file.clone_from(&self.about.file);
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        failure
    }

    /// Has the worker process what is in `lease`.
    fn exchange(
        &mut self,
        lease: &mut Lease,
        shape: &Shape,
        moment: &Moment,
    ) -> Result<Option<Vec<Returned>>, Failure> {
        if self.process.is_none() {
            self.spawn()?;
        }
        let memory = lease.as_slice();
        let samples = memory.get(shape.offset..).unwrap_or_default();
        self.shared
            .write(samples)
            .map_err(|e| system("shared memory", &e))?;
        let len = samples.len();
        let writable = lease.is_writable();
        self.encode(shape, moment, writable, len);
        let timeout = self.timeout.load(Relaxed);
        let limit = (timeout > 0).then(|| Duration::from_nanos(timeout));
        let answer = self
            .send(&self.request)
            .map_err(NoAnswer::Died)
            .and_then(|()| self.receive(limit));
        let n = match answer {
            Ok(n) => n,
            Err(NoAnswer::Died(_)) if self.process.is_some() => {
                let how = self.epitaph();
                return Err(self.failure(NoAnswer::Died(how)));
            }
            Err(no) => return Err(self.failure(no)),
        };
        let body = self.packet.get(1..n).unwrap_or_default();
        match self.packet[0] {
            b'I' => {
                if let Some(memory) = lease.as_mut_slice() {
                    let to = &mut memory[shape.offset..];
                    if !self.shared.read(0, to) {
                        return Err(Failure::new("WorkerError", "shared memory got lost"));
                    }
                }
                Ok(None)
            }
            b'R' => {
                let body = body.to_vec();
                self.outputs(&body)
                    .map(Some)
                    .ok_or_else(|| Failure::new("WorkerError", "a strange answer"))
            }
            b'E' => Err(Failure::from_json(&String::from_utf8_lossy(body))),
            _ => Err(Failure::new("WorkerError", "a strange answer")),
        }
    }

    fn encode(&mut self, shape: &Shape, moment: &Moment, writable: bool, len: usize) {
        let flags = u32::from(writable)
            | u32::from(shape.channels_first) << 1
            | u32::from(moment.discont) << 2
            | u32::from(moment.gap) << 3;
        let s = &moment.segment;
        let r = &mut self.request;
        r.clear();
        r.push(b'C');
        for v in [self.shared.len, shape.frames, shape.channels] {
            r.extend_from_slice(&(v as u64).to_le_bytes());
        }
        for v in [shape.frame_stride, shape.channel_stride] {
            r.extend_from_slice(&(v as i64).to_le_bytes());
        }
        r.extend_from_slice(&shape.sample.to_le_bytes());
        r.extend_from_slice(&flags.to_le_bytes());
        for v in [
            moment.pts,
            moment.duration,
            moment.stream_time,
            moment.running_time,
        ] {
            r.extend_from_slice(&v.to_le_bytes());
        }
        r.extend_from_slice(&moment.speech.to_le_bytes());
        r.extend_from_slice(&moment.utterance.to_le_bytes());
        r.extend_from_slice(&moment.attempt.to_le_bytes());
        r.extend_from_slice(&s.rate.to_le_bytes());
        for v in [s.start, s.stop, s.time, s.base, len as u64] {
            r.extend_from_slice(&v.to_le_bytes());
        }
    }

    /// Reads the parts of an answer out of the shared memory.
    fn outputs(&mut self, body: &[u8]) -> Option<Vec<Returned>> {
        let number = |at: usize| -> Option<usize> {
            let bytes = body.get(at..at + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let count = u32::from_le_bytes(body.get(8..12)?.try_into().ok()?) as usize;
        let mut all = Vec::with_capacity(count.min(PACKET / 24));
        for i in 0..count {
            let at = 12 + 24 * i;
            let (offset, bytes, frames) = (number(at)?, number(at + 8)?, number(at + 16)?);
            // Not more than there can be, whatever the worker says.
            if offset.checked_add(bytes)? > self.shared.file_len().ok()? {
                return None;
            }
            let mut samples = vec![0; bytes];
            if !self.shared.read(offset, &mut samples) {
                return None;
            }
            all.push(Returned {
                frames,
                memory: Memory::Copied(samples),
            });
        }
        Some(all)
    }
}

fn system(what: &str, error: &io::Error) -> Failure {
    Failure::new("OSError", format!("{what}: {error}"))
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

impl Node for Worker {
    fn about(&self) -> &About {
        &self.about
    }

    fn start(&mut self, format: &Format, caps: &str, element: &str) -> Result<Wanted, Failure> {
        if self.process.is_none() {
            self.info = None;
            self.spawn()?;
        }
        let info = info_json(format, caps, element);
        let wanted = self.ask(b'S', &info).map_err(|no| self.failure(no))?;
        self.info = Some(info);
        Ok(parse_wanted(&wanted))
    }

    fn call(&mut self, mut lease: Lease, shape: &Shape, moment: &Moment) -> Call {
        let result = match self.exchange(&mut lease, shape, moment) {
            Ok(None) => Ok(Product::InPlace(lease)),
            Ok(Some(returned)) => Ok(Product::Replaced(returned)),
            Err(failure) => Err((failure, Some(lease))),
        };
        Call {
            result,
            gil_wait: 0,
        }
    }

    fn reload(&mut self) -> Result<(), Failure> {
        let about = self.ask(b'U', "").map_err(|no| self.failure(no))?;
        self.about = parse_about(&about);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Failure> {
        self.info = None;
        if self.process.is_none() {
            return Ok(());
        }
        self.ask(b'T', "").map(drop).map_err(|no| self.failure(no))
    }

    fn memory(&self) -> u64 {
        (self.shared.len + self.packet.len()) as u64
    }

    fn enforces_timeout(&self) -> bool {
        true
    }
}
