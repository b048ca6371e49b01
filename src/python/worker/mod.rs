// SPDX-License-Identifier: MIT

//! A node in a worker process: crashes and endless calls end the worker, not the pipeline.
//!
//! Audio goes through shared memory, calls through a page of it, and all else through a socket that
//! keeps packets apart. The worker is started again when it is next needed.

mod control;
mod crash;
mod forkserver;
mod memory;
mod process;
mod socket;
mod wire;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use self::crash::Stack;
use self::forkserver::ForkServer;
use self::memory::Shared;
use self::process::Process;
use self::wire::{Answer, Part};
use super::abi::{Moment, over};
use super::{
    About, Call, Failure, Format, Lease, Memory, Node, Product, Returned, Shape, SharedCallbacks,
    Spec, Wanted, find, info_json, parse_about, parse_wanted, without_nul,
};
use crate::resilience::Interrupt;

const NODE: &str = concat!(
    include_str!("../../../bridge/src/faults.py"),
    include_str!("../../../bridge/src/texts.py"),
    include_str!("../../../bridge/src/event_loop.py"),
    include_str!("../../../bridge/src/node.py")
);

/// Largest packet, either way; below 212,960 bytes, the usual limit of a socket.
const PACKET: usize = 200_000;
/// Longest that a stop waits for a call or for the worker to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often a wait looks whether it was interrupted.
const SLICE: Duration = Duration::from_millis(20);
/// Longest that this side watches for an answer before it sleeps, after calls as short as that.
const WATCH_FOR_ANSWERS: Duration = Duration::from_micros(100);
/// Longest that the worker watches for a request before it sleeps, where they follow as closely.
const WATCH_FOR_REQUESTS: Duration = Duration::from_micros(50);
/// Least that construction and `start` get where `timeout` limits them: they load models.
const START: Duration = Duration::from_secs(10);

/// Why no answer came.
enum NoAnswer {
    /// With the stack that it left.
    Died(String, String),
    TimedOut(Duration),
    /// The pipeline stops or flushes, and the call took no notice.
    Interrupted,
    Failed(Failure),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Died(error.to_string(), String::new())
    }
}

/// Where an answer is.
enum Came {
    /// In the control page.
    Page,
    /// In `packet`, this many bytes.
    Packet(usize),
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
    /// Kept from one process to the next.
    server: Option<Arc<ForkServer>>,
    about: About,
    /// What the node was last started with, for its successors.
    info: Option<String>,
    packet: Vec<u8>,
    request: Vec<u8>,
    /// The last call was short enough to watch for the answer of the next.
    brief: bool,
    /// A node that had started is gone, with what it held.
    lost: bool,
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
        let executable = find::executable(python_home).map_err(|text| {
            let mut failure = Failure::new("ConfigurationError", text);
            failure.configuration = true;
            failure
        })?;
        let shared = Shared::new().map_err(|e| system("shared memory", &e))?;
        let mut worker = Self {
            executable,
            spec: spec.to_json(),
            callbacks,
            interrupt,
            timeout,
            shared,
            process: None,
            server: None,
            about: About::default(),
            info: None,
            packet: vec![0; PACKET],
            request: Vec::new(),
            brief: false,
            lost: false,
        };
        worker.spawn()?;
        Ok(worker)
    }

    fn spawn(&mut self) -> Result<(), Failure> {
        let limit = self.start_limit();
        let process = self.fork(limit).map_err(|e| {
            let executable = self.executable.display();
            let mut failure = if e.kind() == io::ErrorKind::NotFound {
                system(&executable.to_string(), &e)
            } else {
                let text = format!(
                    "no worker of {executable} starts: {e}. {}",
                    find::variables()
                );
                Failure::new("OSError", without_nul(&text))
            };
            failure.configuration = e.kind() == io::ErrorKind::NotFound;
            failure.fault.retryable = Some(!failure.configuration);
            failure
        })?;
        let python = self.executable.display();
        let line = format!("worker started, pid={}, python={python}", process.id());
        self.callbacks.log("info", &line);
        self.process = Some(process);
        let started = self.ask(b'N', &self.spec.clone(), limit);
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
            if let Err(no) = self.ask(b'S', &info, limit) {
                let failure = self.failure(no);
                self.process = None;
                return Err(failure);
            }
        }
        Ok(())
    }

    fn fork(&mut self, limit: Option<Duration>) -> io::Result<Process> {
        let server = ForkServer::get(&self.executable)?;
        self.server = Some(server.clone());
        let since = Instant::now();
        let interrupted: std::cell::Cell<Option<Instant>> = Default::default();
        Process::start(server, &self.shared.file, || {
            if self.interrupt.is_raised() && interrupted.get().is_none() {
                interrupted.set(Some(Instant::now()));
            }
            limit.is_none_or(|limit| since.elapsed() < limit)
                && interrupted.get().is_none_or(|at| at.elapsed() < GRACE)
        })
    }

    /// Longest call, where there is a limit.
    fn limit(&self) -> Option<Duration> {
        let timeout = self.timeout.load(Relaxed);
        (timeout > 0).then(|| Duration::from_nanos(timeout))
    }

    fn start_limit(&self) -> Option<Duration> {
        self.limit().map(|limit| limit.max(START))
    }

    /// Waits for the answer, to the request of this number if it is in the page; handles what else
    /// comes.
    fn receive(&mut self, limit: Option<Duration>, call: Option<u32>) -> Result<Came, NoAnswer> {
        let since = Instant::now();
        let mut interrupted: Option<Instant> = None;
        // The first look is early: see below.
        let mut slice = Duration::from_millis(1);
        let mut ended = false;
        loop {
            let Some(process) = &self.process else {
                return Err(not_running());
            };
            let left = limit.and_then(|l| l.checked_sub(since.elapsed()));
            let mut told = false;
            if process.wait(left.map_or(slice, |l| l.min(slice))) {
                match process.take(&mut self.packet) {
                    Some(0) => return Err(self.exit_report()),
                    Some(1) if self.packet[0] == b'D' => told = true,
                    // A node that posts without end is still looked at below.
                    Some(n) if self.is_notice(n) => {}
                    Some(n) => return Ok(Came::Packet(n)),
                    None => {}
                }
            } else if ended {
                return Err(self.exit_report());
            } else {
                // Its socket does not say so where a process that it started has it too. What it
                // sent last is looked for once more.
                ended = process.has_ended();
            }
            if let (Some(number), Some(process)) = (call, &self.process)
                && (told || control::ORDERED)
            {
                if process.control.is_answered(number) {
                    self.catch_up();
                    return Ok(Came::Page);
                }
                // It went to sleep, or saw this side watch, at the very moment when the other
                // thing was true.
                if !told && !process.control.is_taken(number) {
                    process.wake()?;
                }
            }
            slice = SLICE;
            if let Some(limit) = limit.filter(|l| since.elapsed() >= *l) {
                self.cancel(over::TOO_LATE);
                // A call that awaits tells by itself that it was cancelled.
                let grace = if self.about.is_cancellable {
                    GRACE
                } else {
                    Duration::ZERO
                };
                if since.elapsed() >= limit.saturating_add(grace) {
                    return Err(NoAnswer::TimedOut(limit));
                }
            }
            if self.interrupt.is_raised() {
                self.cancel(over::INTERRUPTED);
                let at = *interrupted.get_or_insert_with(Instant::now);
                if at.elapsed() > GRACE {
                    return Err(NoAnswer::Interrupted);
                }
            }
        }
    }

    /// Has what the call awaits end, if it awaits.
    fn cancel(&self, why: i32) {
        if let Some(process) = &self.process {
            process.control.cancel(why);
        }
    }

    /// Handles what the worker sent before the answer that is in the page.
    fn catch_up(&mut self) {
        // As many as there are now: a thread that posts all the time must not keep this side here.
        let Some(sent) = self.process.as_ref().map(|p| p.control.notices()) else {
            return;
        };
        while let Some(process) = &self.process
            && process.notices != sent
            && let Some(n) = process.take(&mut self.packet).filter(|n| *n > 0)
        {
            self.is_notice(n);
        }
    }

    /// A post or a log line; true if the packet was one.
    fn is_notice(&mut self, n: usize) -> bool {
        let parsed = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body);
        match self.packet[..n].split_first() {
            Some((b'P', body)) => {
                if let Ok(mut v) = parsed(body) {
                    let fields = v[1].take().as_object().cloned().unwrap_or_default();
                    self.callbacks
                        .post(v[0].as_str().unwrap_or_default(), fields);
                }
            }
            Some((b'L', body)) => {
                if let Ok(v) = parsed(body) {
                    self.callbacks.log(
                        v[0].as_str().unwrap_or_default(),
                        v[1].as_str().unwrap_or_default(),
                    );
                }
            }
            _ => return false,
        }
        if let Some(process) = &mut self.process {
            process.notices = process.notices.wrapping_add(1);
        }
        true
    }

    /// How the worker ended.
    fn exit_report(&mut self) -> NoAnswer {
        let (how, stack) = self
            .process
            .take()
            .map_or_else(|| (NOT_RUNNING.into(), String::new()), Process::exit_report);
        NoAnswer::Died(how, stack)
    }

    /// A request with a text, answered by a text.
    fn ask(&mut self, kind: u8, body: &str, limit: Option<Duration>) -> Result<String, NoAnswer> {
        let mut packet = vec![kind];
        packet.extend_from_slice(body.as_bytes());
        let n = self.packet(&packet, limit)?;
        let text = String::from_utf8_lossy(self.packet.get(1..n).unwrap_or_default());
        match self.packet[0] {
            b'A' => Ok(text.into_owned()),
            b'E' => Err(NoAnswer::Failed(Failure::from_json(&text))),
            _ => Err(NoAnswer::Failed(strange())),
        }
    }

    /// Sends a packet, answered by one; its length.
    fn packet(&mut self, packet: &[u8], limit: Option<Duration>) -> Result<usize, NoAnswer> {
        if packet.len() > PACKET {
            return Err(NoAnswer::Failed(Failure::new(
                "ConfigurationError",
                "the settings of the node are too long",
            )));
        }
        match &self.process {
            Some(process) => {
                process.control.cancel(over::GOES_ON);
                process.send(packet)?;
            }
            None => return Err(not_running()),
        }
        match self.receive(limit, None)? {
            Came::Packet(n) => Ok(n),
            Came::Page => Err(NoAnswer::Failed(strange())),
        }
    }

    /// What the pipeline learns; a worker that does not answer is ended.
    fn failure(&mut self, no: NoAnswer) -> Failure {
        let no = match no {
            // The socket may have said so before the process was gone.
            NoAnswer::Died(..) if self.process.is_some() => self.exit_report(),
            no => no,
        };
        let killed = self.process.take_if(|_| !matches!(no, NoAnswer::Failed(_)));
        let killed = killed.map(Process::kill).unwrap_or_default();
        let (mut failure, stack) = match no {
            NoAnswer::Failed(failure) => return failure,
            NoAnswer::Died(how, stack) => {
                let text = format!("the worker process died: {how}");
                let mut f = Failure::new("WorkerDied", text);
                f.fault.retryable = Some(true);
                (f, stack)
            }
            NoAnswer::TimedOut(limit) => {
                let mut f = Failure::new(
                    "WorkerTimeout",
                    format!("no answer within {limit:?}; the worker process was killed"),
                );
                f.fault.retryable = Some(true);
                f.timed_out = true;
                (f, killed)
            }
            NoAnswer::Interrupted => {
                let f = Failure::new(
                    "WorkerInterrupted",
                    "the call did not end when the pipeline stopped; the worker process was killed",
                );
                (f, killed)
            }
        };
        let stack = Stack::read(&stack, self.about.file.as_deref());
        failure.traceback = without_nul(&stack.text);
        failure.file.clone_from(&self.about.file);
        if let Some((file, line)) = stack.place {
            (failure.file, failure.line) = (Some(without_nul(&file)), Some(line));
        }
        self.lost = true;
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
        let samples = lease.as_slice().get(shape.offset..).unwrap_or_default();
        let len = samples.len();
        self.shared
            .write(samples)
            .map_err(|e| system("shared memory", &e))?;
        self.request.clear();
        let lengths = [self.shared.len(), len];
        let writable = lease.is_writable();
        wire::shape(&mut self.request, shape, moment, writable, lengths);
        wire::moment(&mut self.request, moment);
        let came = self.hand_over().map_err(|no| self.failure(no))?;
        match self.answer(came)? {
            Answer::InPlace => {
                if let Some(memory) = lease.as_mut_slice()
                    && !self.shared.read(0, &mut memory[shape.offset..])
                {
                    return Err(Failure::new("WorkerError", "shared memory got lost"));
                }
                Ok(None)
            }
            Answer::Parts(parts) => self.outputs(parts).map(Some),
        }
    }

    /// Hands `self.request` to the worker and waits for the answer.
    fn hand_over(&mut self) -> Result<Came, NoAnswer> {
        let limit = self.limit();
        let began = Instant::now();
        let Some(process) = &mut self.process else {
            return Err(not_running());
        };
        process.number = process.number.wrapping_add(1);
        let number = process.number;
        let watch = process.parallel && self.brief;
        if !process.control.request(number, &self.request, watch) {
            process.wake()?;
        }
        let came = if watch && process.control.watch(number, WATCH_FOR_ANSWERS) {
            self.catch_up();
            Ok(Came::Page)
        } else {
            self.receive(limit, Some(number))
        };
        self.brief = began.elapsed() <= WATCH_FOR_ANSWERS;
        came
    }

    fn answer(&self, came: Came) -> Result<Answer, Failure> {
        let Some(process) = &self.process else {
            return Err(strange());
        };
        let answer = match came {
            Came::Page => wire::answer(|to| process.control.answer(to)),
            Came::Packet(n) => {
                let bytes = &self.packet[..n];
                if let Some((b'E', text)) = bytes.split_first() {
                    return Err(Failure::from_json(&String::from_utf8_lossy(text)));
                }
                wire::answer(|to| {
                    let len = to.len().min(n);
                    to[..len].copy_from_slice(&bytes[..len]);
                })
            }
        };
        answer.ok_or_else(strange)
    }

    /// Copies the parts of an answer out of the shared memory.
    fn outputs(&mut self, parts: Vec<Part>) -> Result<Vec<Returned>, Failure> {
        let held = self.shared.file_len().unwrap_or(0);
        let copied = |part: Part| {
            // Not more than there can be, whatever the worker says.
            let end = part.offset.checked_add(part.bytes)?;
            let mut samples = vec![0; (end <= held).then_some(part.bytes)?];
            self.shared
                .read(part.offset, &mut samples)
                .then_some(Returned {
                    frames: part.frames,
                    memory: Memory::Copied(samples),
                })
        };
        let all: Option<Vec<_>> = parts.into_iter().map(copied).collect();
        all.ok_or_else(strange)
    }
}

const NOT_RUNNING: &str = "it does not run";

fn not_running() -> NoAnswer {
    NoAnswer::Died(NOT_RUNNING.into(), String::new())
}

fn strange() -> Failure {
    Failure::new("WorkerError", "a strange answer")
}

fn system(what: &str, error: &io::Error) -> Failure {
    Failure::new("OSError", without_nul(&format!("{what}: {error}")))
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
        let limit = self.start_limit();
        let wanted = self
            .ask(b'S', &info, limit)
            .map_err(|no| self.failure(no))?;
        self.info = Some(info);
        self.lost = false;
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
        // A new process loads what the file says now.
        if self.process.is_none() {
            return self.spawn();
        }
        let limit = self.start_limit();
        let about = self.ask(b'U', "", limit).map_err(|no| self.failure(no))?;
        self.about = parse_about(&about);
        Ok(())
    }

    fn drain(&mut self, moment: &Moment) -> Result<Vec<Returned>, Failure> {
        // What a worker held that is gone went with it.
        if self.process.is_none() {
            return Ok(Vec::new());
        }
        let mut packet = vec![b'X'];
        wire::moment(&mut packet, moment);
        let limit = self.limit();
        let n = self.packet(&packet, limit).map_err(|no| self.failure(no))?;
        match self.answer(Came::Packet(n))? {
            Answer::InPlace => Ok(Vec::new()),
            Answer::Parts(parts) => self.outputs(parts),
        }
    }

    fn stop(&mut self) -> Result<(), Failure> {
        self.info = None;
        if self.process.is_none() {
            return Ok(());
        }
        let limit = self.limit();
        self.ask(b'T', "", limit)
            .map(drop)
            .map_err(|no| self.failure(no))
    }

    fn memory(&self) -> u64 {
        (self.shared.len() + self.packet.len()) as u64
    }

    fn enforces_timeout(&self) -> bool {
        true
    }

    fn take_loss(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }
}
