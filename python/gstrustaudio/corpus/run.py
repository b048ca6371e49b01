# SPDX-License-Identifier: MIT
"""A run: inputs into the ledger, what is missing through an engine, and the results published."""
from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, Optional, Protocol, Sequence, Tuple

from .inputs import EXTENSIONS, Found, InputError, find
from .ledger import LEDGER, Ledger, LedgerError, fault_of
from .names import is_url, printable
from .options import Options
from .parquet import arrow
from .pool import LocalPool, RunError, Stop
from .progress import Progress
from .publish import publish, remove_audio
from .result import PENDING, Result
from .storage import StorageError, probe

#: Files in a row whose node failed, after which the service behind it is taken to be down.
NODE_FAILURES = 50


class Engine(Protocol):
    """Who works on files: a pool of this machine, or a cluster."""

    def check(self, stop: Optional[Stop] = None) -> None:
        """Raises `RunError` where no file can be worked on."""

    def results(self, keys: Iterator[str], stop: Optional[Stop] = None) -> Iterator[Tuple[str, Result]]:
        """Results of ``keys`` as they come."""

    def close(self) -> None:
        """Frees what it holds."""


@dataclass
class Job:
    """What a run is to do besides the settings of `Options`."""

    inputs: Sequence[str]
    out: str
    #: Folder of the ledger and of what is temporary; empty: below ``out``, or in the user's cache for a URL.
    work: str = ""
    workers: int = 1
    limit: Optional[int] = None
    retry_failed: bool = False
    redo: bool = False
    quiet: bool = False
    extensions: frozenset[str] = EXTENSIONS
    #: The command, for the page.
    command: str = ""


@dataclass
class Outcome:
    """How a run ended."""

    #: ``finished``, ``interrupted`` or ``stopped``.
    outcome: str
    #: Why it stopped, and a traceback.
    reason: str
    detail: str
    #: Files by status, of all that the ledger knows.
    counts: Dict[str, int]
    #: Files that ended in this run.
    files: int
    #: Whether the same command may do better at another time.
    later: bool
    #: The document; None where it could not be written, or nothing has changed.
    document: Optional[Dict[str, Any]]


def work_folder(out: str, work: str) -> str:
    """Where the ledger of ``out`` is."""
    if work:
        return os.path.abspath(work)
    if not is_url(out):
        return os.path.join(os.path.abspath(out), ".corpus")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "gstrustaudio", "corpus", hashlib.sha256(place_of(out).encode()).hexdigest()[:16])


def place_of(out: str) -> str:
    """The same for all names of a folder or URL."""
    return out.rstrip("/") if is_url(out) else os.path.realpath(out)


def _found(job: Job) -> Iterator[Found]:
    """The files that the job's inputs name, without what earlier runs wrote below them."""
    here = not is_url(job.out)
    return find(job.inputs, job.extensions, [work_folder(job.out, job.work)] if here else (), job.out if here else "")


def local_engine(job: Job, options: Options, scratch: str, say: Callable[[str], None]) -> Engine:
    """The pool of this machine."""
    out = job.out if is_url(job.out) else os.path.abspath(job.out)
    return LocalPool(options, out, scratch, job.workers, lambda how: say(f"gstrustaudio: {how}; a new one starts"))


EngineMaker = Callable[[Job, Options, str, Callable[[str], None]], Engine]


def run(job: Job, options: Options, stop: Stop, make: EngineMaker = local_engine) -> Outcome:
    """Does what is missing. Raises `OptionError`, `InputError`, `LedgerError`, `StorageError` and `MissingPackage`
    before anything is done."""
    options.check()
    arrow("pyarrow.parquet")
    work = work_folder(job.out, job.work)
    if not job.inputs and not _has_ledger(work):
        raise _nothing(job)
    probe(job.out)
    with _ledger(work) as ledger:
        with ledger.whole():
            if job.work and not job.redo:
                ledger.belongs(place_of(job.out))
            if not job.redo:
                ledger.settings(options.fingerprint(), options.deciding(), job.retry_failed)
            if ledger.add(_found(job)) == 0 and (job.inputs or not any(ledger.counts().values())):
                raise _nothing(job)
            if job.retry_failed:
                ledger.retry_failed()
        stop.heeded = True
        return _Run(job, options, stop, make, ledger, os.path.join(work, "scratch")).all()


def _has_ledger(work: str) -> bool:
    return os.path.exists(os.path.join(work, LEDGER))


def _nothing(job: Job) -> InputError:
    """That the inputs name no file at all."""
    if not job.inputs:
        return InputError(f"no INPUT, and {printable(job.out)} has no files of an earlier run to go on with")
    endings = "" if job.extensions is EXTENSIONS else f" with the ending {' or '.join(sorted(job.extensions))} (--ext)"
    named = ", ".join(printable(name) for name in job.inputs)
    return InputError(f"{named}: no media file there{endings}, so nothing is to be done")


@contextmanager
def _ledger(work: str) -> Iterator[Ledger]:
    """The ledger of ``work``, closed in the end; its faults become `LedgerError`."""
    ledger = Ledger(work)
    try:
        yield ledger
    except sqlite3.DatabaseError as e:
        # A damaged file is a DatabaseError itself; other kinds of it are faults of ours.
        if not isinstance(e, sqlite3.OperationalError) and type(e) is not sqlite3.DatabaseError:
            raise
        raise LedgerError(f"{work}: {fault_of(e)}") from e
    finally:
        ledger.close()


def plan(job: Job, show: int = 10) -> Dict[str, Any]:
    """For ``--dry-run``: ``files`` that would be done, their ``bytes``, the ``first`` of them, and how many files have
    ``ended``. Nothing is written."""
    work = work_folder(job.out, job.work)
    has_ledger = not job.redo and _has_ledger(work)
    told: Dict[str, Any] = {"files": 0, "bytes": 0, "first": [], "ended": 0}
    seen = set()
    with _ledger(work) if has_ledger else nullcontext() as ledger:
        for one in _found(job):
            if one.key in seen:
                continue
            seen.add(one.key)
            if ledger is not None and ledger.has_ended(one):
                told["ended"] += 1
            elif job.limit is None or told["files"] < job.limit:
                told["files"] += 1
                told["bytes"] += one.size
                told["first"] += [one.key][: show - len(told["first"])]
    if job.inputs and not seen:
        raise _nothing(job)
    return told


class _Run:
    def __init__(self, job: Job, options: Options, stop: Stop, make: EngineMaker, ledger: Ledger, scratch: str) -> None:
        self._job, self._options, self._stop, self._make = job, options, stop, make
        self._ledger, self._scratch = ledger, scratch
        self._files = self._node_failures = 0
        #: All results are to be forgotten, once it is known that others can be had.
        self._forgets = job.redo

    def all(self) -> Outcome:
        number, started = self._ledger.begin_run(self._job.command), time.monotonic()
        outcome, reason, detail, later = "finished", "", "", False
        try:
            self._work()
            if self._stop.asked:
                outcome = "interrupted"
        except RunError as e:
            outcome, reason, detail, later = "stopped", str(e), e.detail, e.later
        except sqlite3.OperationalError as e:
            outcome, reason, later = "stopped", fault_of(e), True
        document = None
        try:
            self._ledger.end_run(number, time.monotonic() - started, self._files, outcome)
            if not self._forgets:
                document = publish(self._ledger, self._options, self._job.out, self._scratch)
        except (OSError, StorageError, sqlite3.OperationalError) as e:
            later = True
            if outcome != "stopped":
                outcome, reason = "stopped", f"the results cannot be written: {e}"
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
        return Outcome(outcome, reason, detail, self._ledger.counts(), self._files, later, document)

    def _work(self) -> None:
        counts = self._ledger.counts()
        left = sum(counts.values()) if self._forgets else counts[PENDING]
        if self._job.limit is not None:
            left = min(left, self._job.limit)
        if left == 0:
            return
        progress = Progress(left, self._job.quiet)
        self._stop.on_ask = lambda: progress.say(
            "gstrustaudio: ending when the files at work are done; again to break them off")
        job = replace(self._job, workers=min(self._job.workers, left))
        engine = self._make(job, self._options, os.path.join(self._scratch, "pool"), progress.say)
        try:
            if self._forgets:
                engine.check(self._stop)
                if self._stop.asked:
                    return
                self._forget()
            for key, result in engine.results(self._ledger.pending(self._job.limit), self._stop):
                self._ledger.record(key, result)
                self._files += 1
                progress.add(result)
                self._count_node(result)
        finally:
            engine.close()
            progress.close()

    def _forget(self) -> None:
        """Leaves nothing of earlier runs."""
        out = place_of(self._job.out) if self._job.work else ""
        self._ledger.forget(self._options.fingerprint(), self._options.deciding(), out)
        if not is_url(self._job.out):
            remove_audio(self._job.out, self._ledger.keys())
        self._forgets = False

    def _count_node(self, result: Result) -> None:
        self._node_failures = self._node_failures + 1 if result.kind == "node" else 0
        if self._node_failures >= NODE_FAILURES:
            raise RunError(f"the node failed in {NODE_FAILURES} files in a row; mend it, then run again with --retry-failed",
                           result.traceback)
