# SPDX-License-Identifier: MIT
"""Worker processes on this machine.

Each has one file at a time. One that dies is replaced and its file tried again; a file that kills its worker
time and again, or makes no progress, has failed; one that cannot be read is tried again when the others are done. Nothing of a file that did not end is kept."""
from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .options import Options
from .result import Result, failed
from .worker import TOLD

#: Deaths of its worker after which a file is given up, and reads of it that failed.
DEATHS = READS = 3
#: Files at most that wait for another read, so that memory does not grow where all fail.
_WAITING = 1000
#: Seconds that running files have to end after the first Ctrl-C.
GRACE = 5.0
#: Seconds after its timeout in which a worker has to end by itself, with its stack. One that is stopped, or hangs in
#: the kernel, does not.
_FROZEN = 5.0


class RunError(Exception):
    """The run cannot go on; the text says why, ``detail`` is a traceback if there is one. ``later``: the same command
    may do better at another time."""

    def __init__(self, text: str, detail: str = "", later: bool = False) -> None:
        super().__init__(text)
        self.detail, self.later = detail, later


class Stop:
    """Asks a run to end; may be asked from a signal handler."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        #: How often it was asked.
        self.asked = 0
        #: Files are worked on, which `ask` ends. Before that, whoever asks has to end what goes on.
        self.heeded = False
        #: Told when it is asked for the first time.
        self.on_ask: Callable[[], None] = lambda: None

    def ask(self) -> None:
        """Once: no file is begun. Twice: those that run are broken off."""
        self.asked += 1
        if self.asked == 1:
            self.on_ask()
        try:
            self._writer.send(b"x")
        except BlockingIOError:
            pass

    def fileno(self) -> int:
        """Readable once it was asked; emptied by `heard`."""
        return self._reader.fileno()

    def heard(self) -> None:
        """Takes what made `fileno` readable."""
        self._reader.recv(64)

    def close(self) -> None:
        """No more is asked."""
        self._reader.close()
        self._writer.close()


class _Process:
    """A worker, seen from its driver."""

    def __init__(self, start: Dict[str, Any], scratch: str) -> None:
        self._scratch = scratch
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch, exist_ok=True)
        self._stacks = os.path.join(scratch, "stacks")
        ours, theirs = socket.socketpair()
        package = str(Path(__file__).resolve().parents[2])
        path = os.environ.get("PYTHONPATH")
        with theirs:
            # A session of its own: Ctrl-C is for the driver, and what nodes start ends with the worker.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gstrustaudio.corpus.worker", str(theirs.fileno()), self._stacks],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{path}" if path else package})
        self.link = Connection(ours.detach())
        self._send({**start, "scratch": scratch})
        self.key: Optional[str] = None
        self.ready = False
        #: When it was last heard of.
        self.heard = time.monotonic()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _send(self, item: Dict[str, Any]) -> None:
        try:
            self.link.send_bytes(json.dumps(item).encode())
        except OSError:
            # It has died, which is seen when its answer is awaited.
            pass

    def give(self, key: str) -> None:
        self.key, self.heard = key, time.monotonic()
        self._send({"key": key})

    def kill(self) -> None:
        """Ends it and what it started; no file of its own is left."""
        self.link.close()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            # It hangs in the kernel, as where a mount does, and ends when that lets it go.
            pass
        shutil.rmtree(self._scratch, ignore_errors=True)

    def close(self, seconds: float) -> None:
        """Lets it end by itself, nodes stopped, within ``seconds``."""
        self.link.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def death(self) -> Tuple[str, str, str]:
        """Kind, reason and stack of how it ended."""
        self._process.wait()
        code = self._process.returncode
        try:
            with open(self._stacks, encoding="utf-8", errors="replace") as f:
                stack = f.read()
        except OSError:
            stack = ""
        if stack.startswith("Timeout"):
            # The first line has the time to the microsecond, and the threads their addresses.
            return "timeout", "no progress", stack
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return "crash", f"the worker was ended by {name}", stack
        return "crash", f"the worker ended with status {code}", stack


class LocalPool:
    """``workers`` processes that work on files with ``options``; audio goes to ``out``, what is temporary to
    ``scratch``, which is emptied."""

    def __init__(self, options: Options, out: str, scratch: str, workers: int,
                 on_death: Callable[[str], None] = lambda _: None) -> None:
        self._options, self._scratch, self._count = options, scratch, workers
        self._start = {"options": options.to_fields(), "out": out}
        self._on_death = on_death
        self._workers: List[_Process] = []
        self._names = iter(range(10**9))
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch, exist_ok=True)
        #: Workers that died before they were ready, since one was.
        self._stillborn = 0

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            worker.close(GRACE)
        self._workers.clear()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def results(self, keys: Iterator[str], stop: Optional[Stop] = None) -> Iterator[Tuple[str, Result]]:
        """Works on ``keys``, which are taken as there is room, and gives results as they come. Ends early when
        ``stop`` asks; raises `RunError` where no file can be worked on."""
        run = _Work(self, keys, stop)
        try:
            yield from run.results()
        finally:
            # A worker that is left in mid-file has nobody to tell.
            for worker in [w for w in self._workers if w.key is not None]:
                self._workers.remove(worker)
                worker.kill()

    def check(self, stop: Optional[Stop] = None) -> None:
        """Raises `RunError` where no file can be worked on, as where the node does not load."""
        for _ in self.results(iter(()), stop):
            pass

    def fill(self) -> List[_Process]:
        """All workers, new ones for those that are missing."""
        while len(self._workers) < self._count:
            self._workers.append(_Process(self._start, os.path.join(self._scratch, f"worker-{next(self._names)}")))
        return self._workers

    def came_up(self) -> None:
        """A worker is ready."""
        self._stillborn = 0

    def bury(self, worker: _Process) -> Tuple[str, str, str]:
        """Takes away a worker that has died; how it did. Raises `RunError` where none comes up any more."""
        kind, reason, stack = worker.death()
        self._stillborn += not worker.ready
        if self._stillborn > DEATHS * self._count:
            raise RunError(f"workers do not start: {reason}", stack)
        self.discard(worker, reason)
        return kind, reason, stack

    def discard(self, worker: _Process, how: str) -> None:
        """Takes away a worker, which is ended if it has not."""
        self._workers.remove(worker)
        worker.kill()
        self._on_death(f"{how} (process {worker.pid})")

    @property
    def timeout(self) -> float:
        return self._options.timeout


class _Work:
    """One pass of a pool over keys."""

    def __init__(self, pool: LocalPool, keys: Iterator[str], stop: Optional[Stop]) -> None:
        self._pool, self._keys, self._stop = pool, keys, stop
        self._again: List[str] = []
        #: What is tried again when the others are done, and how often it was tried.
        self._later: "deque[str]" = deque()
        self._reads: Dict[str, int] = {}
        self._deaths: Dict[str, int] = {}
        self._exhausted = False
        self._until: Optional[float] = None

    def _next(self) -> Optional[str]:
        if self._stop is not None and self._stop.asked:
            return None
        if self._again:
            return self._again.pop()
        if not self._exhausted:
            for key in self._keys:
                return key
            self._exhausted = True
        return self._later.popleft() if self._later else None

    def results(self) -> Iterator[Tuple[str, Result]]:
        while True:
            running = self._hand_out()
            if not running:
                return
            waited: List[Any] = [w.link for w in running]
            if self._stop is not None:
                if self._stop.asked and self._until is None:
                    self._until = time.monotonic() + GRACE
                if self._stop.asked > 1 or (self._until is not None and time.monotonic() > self._until):
                    return
                waited.append(self._stop)
            ends = [self._frozen_at(w) for w in running if w.key is not None]
            ends += [] if self._until is None else [self._until]
            left = max(0.0, min(ends) - time.monotonic()) if ends else None
            readable: List[Any] = wait(waited, left)
            # Whoever takes a result may be long about it, or be stopped: nobody is to blame who could not be heard then.
            now = time.monotonic()
            if self._stop is not None and any(r is self._stop for r in readable):
                self._stop.heard()
            for worker in running:
                if any(r is worker.link for r in readable):
                    worker.heard = time.monotonic()
                    yield from self._hear(worker)
                elif worker.key is not None and now > self._frozen_at(worker) and not worker.link.poll():
                    yield from self._thaw(worker)

    def _frozen_at(self, worker: _Process) -> float:
        """When a worker that is not heard of any more should have ended by itself."""
        return worker.heard + self._pool.timeout + TOLD + _FROZEN

    def _thaw(self, worker: _Process) -> Iterator[Tuple[str, Result]]:
        """Ends a worker that does not run at all."""
        key, worker.key = worker.key, None
        self._pool.discard(worker, "a worker was frozen, and is ended")
        if key is not None:
            yield key, failed("timeout", f"no progress for {self._pool.timeout:g} s",
                              "Its process was frozen: stopped, or held in the kernel, as by a mount that hangs.")

    def _hand_out(self) -> List[_Process]:
        """Gives each free worker a file; those that have one, or are starting while there may be more to do."""
        workers = self._pool.fill()
        for worker in workers:
            if worker.ready and worker.key is None:
                key = self._next()
                if key is not None:
                    worker.give(key)
        stopped = self._stop is not None and self._stop.asked
        more = not stopped and (self._again or self._later or not self._exhausted)
        return [w for w in workers if w.key is not None or (more and not w.ready)]

    def _hear(self, worker: _Process) -> Iterator[Tuple[str, Result]]:
        try:
            answer = json.loads(worker.link.recv_bytes())
        except (EOFError, OSError):
            yield from self._died(worker)
            return
        if "setup" in answer:
            raise RunError(answer["setup"], answer["traceback"])
        if "not-written" in answer:
            raise RunError(answer["not-written"], later=True)
        if "progress" in answer:
            return
        if "ready" in answer:
            worker.ready = True
            self._pool.came_up()
            return
        key, worker.key = worker.key, None
        if key is None:
            return
        self._deaths.pop(key, None)
        result = Result.from_json(answer["result"])
        if not (result.passing and self._put_off(key)):
            self._reads.pop(key, None)
            yield key, result

    def _put_off(self, key: str) -> bool:
        """Has a file that could not be read tried again when the others are done; False where that was enough."""
        reads = self._reads.get(key, 0) + 1
        if reads >= READS or len(self._later) >= _WAITING:
            return False
        self._reads[key] = reads
        self._later.append(key)
        return True

    def _died(self, worker: _Process) -> Iterator[Tuple[str, Result]]:
        key, worker.key = worker.key, None
        kind, reason, stack = self._pool.bury(worker)
        if key is None:
            return
        if kind == "timeout":
            yield key, failed(kind, f"{reason} for {self._pool.timeout:g} s", _plain(stack))
            return
        deaths = self._deaths.get(key, 0) + 1
        if deaths < DEATHS:
            self._deaths[key] = deaths
            self._again.append(key)
            return
        self._deaths.pop(key, None)
        yield key, failed(kind, f"{reason}, {DEATHS} times", _plain(stack))


def _plain(stack: str) -> str:
    """A stack of faulthandler's without what differs from run to run: addresses of threads, and the worker's own
    threads, which wait wherever they are."""
    blocks: List[List[str]] = [[]]
    for line in stack.splitlines():
        if line.startswith(("Thread 0x", "Current thread 0x")):
            blocks.append(["Thread (most recent call first):"])
        elif line and not line.startswith("Extension modules:"):
            blocks[-1].append(line)
    kept = blocks[:1] + [b for b in blocks[1:] if not any("gstrustaudio/corpus/worker.py" in line for line in b)]
    return "\n".join(line for block in kept for line in block)
