// SPDX-License-Identifier: MIT

//! Who worked how long: a stack of elements per thread, and an account per element.
//!
//! Within a thread, a push suspends the pusher and starts the receiver; its return does the
//! reverse. So each element is charged for what it does itself.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use rustc_hash::FxHashMap;

use crate::metrics::{Histogram, Status, Summary};

/// How the work of an element is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Wall time: the element works from entry to exit.
    Wall,
    /// CPU time of the thread: the element also waits.
    Cpu,
    /// Not at all: a bin, which only passes on.
    Off,
}

#[derive(Debug, Default)]
struct Figures {
    /// Buffers that came in, and those that the element's own loop sent out.
    received: u64,
    sent: u64,
    /// Pieces of work, timed or not.
    pieces: u64,
    /// Of those that were timed.
    work: u64,
    times: Histogram,
    errors: u64,
    status: Status,
}

impl Clock {
    /// This clock's time, given the wall time.
    fn read(self, now: u64) -> u64 {
        match self {
            Self::Cpu => cpu_now(),
            Self::Wall | Self::Off => now,
        }
    }
}

/// What one element did.
#[derive(Debug)]
pub struct Account {
    pub clock: Clock,
    figures: Mutex<Figures>,
}

impl Account {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            figures: Mutex::default(),
        }
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A piece of work on `received` buffers that sent `sent` by itself, which took `ns` where it
    /// was timed.
    fn charge(&self, received: u64, sent: u64, ns: Option<u64>) {
        let mut f = self.figures();
        f.received += received;
        f.sent += sent;
        f.pieces += 1;
        if let Some(ns) = ns {
            f.work += ns;
            f.times.record(ns);
        }
    }

    /// Notes an error or warning message of the element.
    pub fn note(&self, status: Status) {
        let mut f = self.figures();
        f.errors += u64::from(status == Status::Failed);
        if f.status != Status::Failed {
            f.status = status;
        }
    }

    pub fn clear(&self) {
        let mut f = self.figures();
        f.times.clear();
        (f.received, f.sent, f.pieces, f.work) = (0, 0, 0, 0);
        (f.errors, f.status) = (0, Status::Ok);
    }

    /// Buffers, own work in ns, percentiles, errors, status. The buffers are those that came in,
    /// or those sent where nothing is pushed to the element.
    pub fn read(&self) -> (u64, u64, Summary, u64, Status) {
        let f = self.figures();
        let buffers = if f.received > 0 { f.received } else { f.sent };
        let times = f.times.summary();
        let all = u128::from(f.work) * u128::from(f.pieces) / u128::from(times.count.max(1));
        (buffers, all as u64, times, f.errors, f.status)
    }
}

/// The two ends of a link, as a thread that uses it knows them.
#[derive(Clone)]
pub struct Link {
    pub caller: Arc<Account>,
    pub callee: Arc<Account>,
}

/// The place of an account in its [`Thread`]'s list: a call costs no reference count.
type Index = usize;

#[derive(Clone, Copy)]
struct Ends {
    caller: Index,
    callee: Index,
}

struct Frame {
    ends: Ends,
    buffers: u64,
    own: u64,
    /// Wall or CPU time at which the element last took over, where this piece of work is timed.
    since: Option<u64>,
}

/// What one thread knows of one tracer's elements.
#[derive(Default)]
struct Thread {
    tracer: usize,
    stack: Vec<Frame>,
    /// Outermost calls so far.
    round: u64,
    /// CPU time when the outermost call last returned, and who had made it, where the time until
    /// that one's next call is wanted.
    idle_since: Option<(u64, Index)>,
    accounts: Vec<Arc<Account>>,
    /// By the address of a pad.
    links: FxHashMap<usize, Ends>,
    epoch: u64,
    /// The accounts may be those of elements that are gone.
    stale: bool,
}

impl Thread {
    /// Forgets what a changed link made wrong; the accounts, only when no frame names one.
    fn refresh(&mut self) {
        let epoch = EPOCH.load(Relaxed);
        if self.epoch != epoch {
            self.epoch = epoch;
            self.stale = true;
            self.links.clear();
        }
        if self.stale && self.stack.is_empty() {
            self.stale = false;
            self.links.clear();
            self.accounts.clear();
            self.idle_since = None;
        }
    }

    fn index(&mut self, account: Arc<Account>) -> Index {
        let known = self.accounts.iter().position(|a| Arc::ptr_eq(a, &account));
        known.unwrap_or_else(|| {
            self.accounts.push(account);
            self.accounts.len() - 1
        })
    }

    fn ends(&mut self, pad: usize, resolve: impl FnOnce() -> Link) -> Ends {
        if let Some(ends) = self.links.get(&pad) {
            return *ends;
        }
        let Link { caller, callee } = resolve();
        let ends = Ends {
            caller: self.index(caller),
            callee: self.index(callee),
        };
        self.links.insert(pad, ends);
        ends
    }
}

thread_local! {
    // One entry for each tracer instance; there is hardly ever a second.
    static THREADS: RefCell<Vec<Thread>> = const { RefCell::new(Vec::new()) };
}

/// Gives `f` what this thread knows; not where the thread is being taken down, or is in here
/// already: a hook must not panic.
fn with_threads(f: impl FnOnce(&mut Vec<Thread>)) {
    let _ = THREADS.try_with(|threads| {
        if let Ok(mut threads) = threads.try_borrow_mut() {
            f(&mut threads);
        }
    });
}

/// Raised whenever a link goes away: what threads remember of links is then stale.
static EPOCH: AtomicU64 = AtomicU64::new(0);

pub fn links_changed() {
    EPOCH.fetch_add(1, Relaxed);
}

/// Reading a thread's CPU time is a system call, so only every 32nd round does, after the first
/// ones, and stands for the others.
fn takes_cpu_time(round: u64) -> bool {
    round < 64 || round.is_multiple_of(32)
}

fn cpu_now() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |t| {
        t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64
    })
}

/// What crosses a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// So many buffers, pushed.
    Push(u64),
    /// A request for data.
    Pull,
}

/// The pad at address `pad` is crossed at wall time `now` in ns. `resolve` finds the ends of a link
/// not seen before.
pub fn enter(
    tracer: usize,
    pad: usize,
    now: u64,
    crossing: Crossing,
    resolve: impl FnOnce() -> Link,
) {
    with_threads(|threads| {
        let place = threads.iter().position(|t| t.tracer == tracer);
        let place = place.unwrap_or_else(|| {
            threads.push(Thread {
                tracer,
                ..Thread::default()
            });
            threads.len() - 1
        });
        let thread = &mut threads[place];
        thread.refresh();
        let ends = thread.ends(pad, resolve);
        let caller = &thread.accounts[ends.caller];
        let clock = thread.accounts[ends.callee].clock;
        match thread.stack.last_mut() {
            Some(top) => {
                if let Some(since) = top.since {
                    let clock = thread.accounts[top.ends.callee].clock;
                    top.own += clock.read(now).saturating_sub(since);
                }
            }
            // The thread's own loop: a source, a queue, a demuxer. It may have waited.
            None if caller.clock != Clock::Off => {
                let sent = match crossing {
                    Crossing::Push(buffers) => buffers,
                    Crossing::Pull => 0,
                };
                let own = thread
                    .idle_since
                    .take()
                    .filter(|(_, worker)| *worker == ends.caller)
                    .map(|(since, _)| cpu_now().saturating_sub(since));
                caller.charge(0, sent, own);
            }
            None => {}
        }
        thread.stack.push(Frame {
            ends,
            // A source that is pulled from gives one buffer.
            buffers: match crossing {
                Crossing::Push(buffers) => buffers,
                Crossing::Pull => 1,
            },
            own: 0,
            since: match clock {
                Clock::Wall => Some(now),
                Clock::Cpu => takes_cpu_time(thread.round).then(cpu_now),
                Clock::Off => None,
            },
        });
    });
}

/// The call that [`enter`] announced last in this thread returns, at wall time `now` in ns.
pub fn leave(tracer: usize, now: u64) {
    with_threads(|threads| {
        let Some(thread) = threads.iter_mut().find(|t| t.tracer == tracer) else {
            return;
        };
        let Some(frame) = thread.stack.pop() else {
            return;
        };
        let account = &thread.accounts[frame.ends.callee];
        if account.clock != Clock::Off {
            let last = frame
                .since
                .map(|since| account.clock.read(now).saturating_sub(since));
            account.charge(frame.buffers, 0, last.map(|ns| frame.own + ns));
        }
        match thread.stack.last_mut() {
            Some(top) => {
                if top.since.is_some() {
                    top.since = Some(thread.accounts[top.ends.callee].clock.read(now));
                }
            }
            None => {
                thread.round += 1;
                thread.idle_since =
                    takes_cpu_time(thread.round).then(|| (cpu_now(), frame.ends.caller));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(clock: Clock) -> Arc<Account> {
        Arc::new(Account::new(clock))
    }

    fn work(a: &Account) -> (u64, u64) {
        let (buffers, work, ..) = a.read();
        (buffers, work)
    }

    #[test]
    fn each_element_is_charged_for_itself_alone() {
        let (src, a, b) = (
            account(Clock::Cpu),
            account(Clock::Wall),
            account(Clock::Wall),
        );
        let to = |caller: &Arc<Account>, callee: &Arc<Account>| Link {
            caller: caller.clone(),
            callee: callee.clone(),
        };
        for round in 0..3u64 {
            let t = round * 1000;
            enter(7, 0x10, t, Crossing::Push(1), || to(&src, &a));
            enter(7, 0x20, t + 10, Crossing::Push(1), || to(&a, &b)); // a worked 10
            leave(7, t + 35); // b worked 25
            enter(7, 0x20, t + 40, Crossing::Push(2), || to(&a, &b)); // a worked 5
            leave(7, t + 41); // b worked 1
            leave(7, t + 50); // a worked 9
        }
        assert_eq!(work(&a), (3, 3 * 24));
        assert_eq!(work(&b), (9, 3 * 26));
        assert_eq!(work(&src).0, 3);
        assert_eq!(a.read().2.max, 24);
        assert_eq!((b.read().2.min, b.read().2.max), (1, 25));
        a.clear();
        assert_eq!(work(&a), (0, 0));
    }

    #[test]
    fn an_element_that_waits_and_pushes_is_not_charged_for_downstream() {
        let (src, waiter, busy) = (
            account(Clock::Off),
            account(Clock::Cpu),
            account(Clock::Wall),
        );
        let spin = || {
            let end = cpu_now() + 5_000_000;
            while cpu_now() < end {}
        };
        enter(10, 0x10, 0, Crossing::Push(1), || Link {
            caller: src.clone(),
            callee: waiter.clone(),
        });
        enter(10, 0x20, 0, Crossing::Push(1), || Link {
            caller: waiter.clone(),
            callee: busy.clone(),
        });
        spin();
        leave(10, 5_000_000);
        leave(10, 5_000_000);
        assert_eq!(work(&busy), (1, 5_000_000));
        assert!(work(&waiter).1 < 2_500_000, "{}", work(&waiter).1);
    }

    #[test]
    fn a_changed_link_is_resolved_again() {
        let (a, b, c) = (
            account(Clock::Off),
            account(Clock::Wall),
            account(Clock::Wall),
        );
        for callee in [&b, &c] {
            enter(8, 0x30, 0, Crossing::Pull, || Link {
                caller: a.clone(),
                callee: callee.clone(),
            });
            leave(8, 5);
            links_changed();
        }
        assert_eq!((work(&b), work(&c), work(&a)), ((1, 5), (1, 5), (0, 0)));
    }

    #[test]
    fn a_link_may_change_below_a_call_that_is_under_way() {
        let accounts: Vec<_> = (0..3).map(|_| account(Clock::Wall)).collect();
        let off = account(Clock::Off);
        let to = |caller: &Arc<Account>, callee: &Arc<Account>| Link {
            caller: caller.clone(),
            callee: callee.clone(),
        };
        for round in 0..2 {
            enter(11, 0x10, 0, Crossing::Push(1), || to(&off, &accounts[0]));
            links_changed();
            let next = &accounts[1 + round];
            enter(11, 0x20, 10, Crossing::Push(1), || to(&accounts[0], next));
            leave(11, 30);
            leave(11, 35);
        }
        let works: Vec<_> = accounts.iter().map(|a| work(a)).collect();
        assert_eq!(works, [(2, 30), (1, 20), (1, 20)]);
        // What the thread holds does not grow with the changes.
        assert_eq!(Arc::strong_count(&accounts[1]), 1);
        with_threads(|threads| {
            let thread = threads.iter().find(|t| t.tracer == 11).unwrap();
            assert_eq!((thread.accounts.len(), thread.links.len()), (3, 1));
        });
    }

    #[test]
    fn a_lone_return_is_ignored_and_errors_stick() {
        leave(9, 1);
        let a = account(Clock::Wall);
        a.note(Status::Failed);
        a.note(Status::Degraded);
        assert_eq!((a.read().3, a.read().4), (1, Status::Failed));
    }
}
