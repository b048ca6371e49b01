# SPDX-License-Identifier: MIT
"""What has become of each file: an SQLite database in the output folder.

Each result is one transaction, so a run that is killed anywhere has each of its files either ended or not;
what has not ended is done by the next one. The driver's memory does not grow with the corpus."""
from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from .inputs import Found
from .names import is_url, key_bytes
from .result import DONE, FAILED, PENDING, SKIPPED, Result
from .storage import exists, join

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  key BLOB PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending', kind TEXT NOT NULL DEFAULT '',
  duration INTEGER NOT NULL DEFAULT 0, speech INTEGER NOT NULL DEFAULT 0, segments INTEGER NOT NULL DEFAULT 0,
  seconds REAL NOT NULL DEFAULT 0, cpu REAL NOT NULL DEFAULT 0, result TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_status ON files (status, key);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (started REAL, seconds REAL, files INTEGER, outcome TEXT, command TEXT);
"""
LEDGER = "ledger.sqlite"
_ELSEWHERE = "give a folder of this machine by --work"
#: What times in results count.
_TIMES = "samples"
#: Keys that are taken from the database at a time.
_PAGE = 1000


_DAMAGED = ("is damaged", "give another folder by --work, or delete this one to do all of it anew")
#: What sqlite says, and what that means and what helps.
_FAULTS = {
    "full": ("cannot be written", "make room, or give another folder by --work"),
    "readonly": ("cannot be written", "give another folder by --work"),
    "malformed": _DAMAGED,
    "not a database": _DAMAGED,
}


class LedgerError(Exception):
    """The folder cannot be used; the text says what to do."""


def fault_of(e: sqlite3.Error, helps: str = "") -> str:
    """What is wrong with the ledger, and what helps where that is known; else ``helps``."""
    known = next((known for word, known in _FAULTS.items() if word in str(e)), None)
    return f"the ledger: {e}{helps}" if known is None else f"the ledger {known[0]}: {e}; {known[1]}"


def _are_in(before: str, out: str) -> bool:
    """Whether results lie in ``before``, which is not ``out`` by another name."""
    try:
        if not is_url(before) and os.path.samefile(before, out):
            return False
    except OSError:
        pass
    return any(exists(join(before, name)) for name in ("corpus.json", "audio"))


def _row(found: Found) -> Tuple[bytes, int, int]:
    """Key, size and time as the database holds them; its numbers have 64 bits, which end in 2262."""
    size, modified = (max(-(2**63), min(n, 2**63 - 1)) for n in (found.size, found.modified))
    return key_bytes(found.key), size, modified


class Ledger:
    """The ledger of the folder ``work``; one process at a time has it."""

    def __init__(self, work: str) -> None:
        self._path = os.path.join(work, LEDGER)
        try:
            os.makedirs(work, exist_ok=True)
            self._lock = open(os.path.join(work, "ledger.lock"), "w")
        except OSError as e:
            raise LedgerError(f"{work}: no ledger can be kept there: {e.strerror}; {_ELSEWHERE}") from e
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(f"{work}: another run is at work there; wait for it, or give another --out") from None
        except OSError as e:
            # Network file systems may have none.
            raise LedgerError(f"{work}: files cannot be locked there: {e.strerror}; {_ELSEWHERE}") from e
        try:
            with ExitStack() as held:
                held.enter_context(self._lock)
                self._db = held.enter_context(closing(sqlite3.connect(self._path, isolation_level=None)))
                # Nobody else has it, so it needs no memory shared by mapping, which network file systems do not have.
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.executescript(_SCHEMA)
                self._held = held.pop_all()
        except sqlite3.Error as e:
            raise LedgerError(f"{work}: {fault_of(e, '; ' + _ELSEWHERE)}") from e

    def close(self) -> None:
        """Gives the folder free."""
        self._held.close()

    def settings(self, fingerprint: str, options: Dict[str, Any], mended: bool = False) -> None:
        """Notes the settings of all results here; raises `LedgerError` where there are some of others. ``mended``: that
        the node's file is another one is known."""
        if self.get("times") != _TIMES and self._ended():
            raise LedgerError(f"{self._path} has results of an earlier version, whose times are those of containers: give "
                              "another --out, or --redo to do all of it anew")
        before = self.get("options")
        if before is not None and self.get("fingerprint") != fingerprint and self._ended():
            old = json.loads(before)
            names = [k for k in {**old, **options} if old.get(k) != options.get(k)]
            if names == ["node_source"] and not mended:
                raise LedgerError(f"{self._path} has results of the node's file as it was before: give another --out, --redo "
                                  "to do all of it anew, or --retry-failed to go on with the file as it is")
            if names != ["node_source"]:
                differing = [f"{k} was {old.get(k)!r} and is {options.get(k)!r}" for k in names]
                raise LedgerError(f"{self._path} has results of other settings ({'; '.join(differing)}): give another "
                                  "--out, or --redo to do all of it anew")
        self._note(fingerprint, options)

    def _note(self, fingerprint: str, options: Dict[str, Any]) -> None:
        self.put("options", json.dumps(options))
        self.put("fingerprint", fingerprint)
        self.put("times", _TIMES)

    def belongs(self, out: str) -> None:
        """Notes where the results go whose ledger this is; raises `LedgerError` where there still are some elsewhere. If
        not, they were moved."""
        before = self.get("out")
        if before is not None and before.rstrip("/") != out and self._ended() and _are_in(before, out):
            raise LedgerError(f"{self._path} is the ledger of the results in {before}: give another --work, or --redo to do "
                              "all of it anew")
        self.put("out", out)

    def forget(self, fingerprint: str, options: Dict[str, Any], out: str = "") -> None:
        """Has all files done anew, with these settings, and into ``out`` where it is given."""
        with self.whole():
            self._db.execute("UPDATE files SET status = ?, result = ''", (PENDING,))
            self._note(fingerprint, options)
            if out:
                self.put("out", out)

    def _ended(self) -> bool:
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM files WHERE status != ?)", (PENDING,)).fetchone()[0])

    def get(self, name: str) -> Optional[str]:
        """What `put` noted."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, name: str, value: str) -> None:
        """Notes ``value``."""
        self._db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                         (name, value))

    def add(self, found: Iterable[Found]) -> int:
        """Enters files, each once. One that ended and has another size or time of change since is to be done again.
        Returns how many were named, the same one counted once for each time."""
        count = 0
        with self.whole():
            for one in found:
                self._db.execute(
                    "INSERT INTO files (key, size, modified) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
                    " size = excluded.size, modified = excluded.modified, status = 'pending', result = ''"
                    " WHERE size != excluded.size OR modified != excluded.modified", _row(one))
                count += 1
        return count

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All that is noted within, or nothing of it. May be nested."""
        self._db.execute("SAVEPOINT whole")
        try:
            yield
        except BaseException:
            # Of a full disk sqlite rolls back by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO whole")
                self._db.execute("RELEASE whole")
            raise
        self._db.execute("RELEASE whole")

    def has_ended(self, found: Found) -> bool:
        """Whether a run would pass over this file."""
        key, size, modified = _row(found)
        row = self._db.execute("SELECT status != ? AND size = ? AND modified = ? FROM files WHERE key = ?",
                               (PENDING, size, modified, key)).fetchone()
        return row is not None and bool(row[0])

    def retry_failed(self) -> None:
        """Failed files are to be done again."""
        self._db.execute("UPDATE files SET status = ?, result = '' WHERE status = ?", (PENDING, FAILED))

    def keys(self) -> Iterator[str]:
        """Keys of all files."""
        last = b""
        while rows := self._db.execute("SELECT key FROM files WHERE key > ? ORDER BY key LIMIT ?", (last, _PAGE)).fetchall():
            for (key,) in rows:
                yield os.fsdecode(key)
            last = rows[-1][0]

    def pending(self, limit: Optional[int] = None) -> Iterator[str]:
        """Keys of the files that have not ended, in order. Results may be recorded meanwhile."""
        last, left = b"", limit
        while left is None or left > 0:
            rows = self._db.execute("SELECT key FROM files WHERE status = ? AND key > ? ORDER BY key LIMIT ?",
                                    (PENDING, last, _PAGE if left is None else min(left, _PAGE))).fetchall()
            if not rows:
                return
            for (key,) in rows:
                yield os.fsdecode(key)
            last = rows[-1][0]
            if left is not None:
                left -= len(rows)

    def record(self, key: str, result: Result) -> None:
        """Notes how a file ended, whole or not at all."""
        self._db.execute(
            "UPDATE files SET status = ?, kind = ?, duration = ?, speech = ?, segments = ?, seconds = ?, cpu = ?,"
            " result = ? WHERE key = ?",
            (result.status, result.kind, result.duration, result.speech, len(result.segments),
             result.run.get("seconds", 0.0), result.run.get("cpu", 0.0), result.to_json(), key_bytes(key)))

    def results(self, status: Optional[str] = None) -> Iterator[Tuple[str, int, Result]]:
        """Key, size and result of each file that ended, by the bytes of their keys."""
        last = b""
        while True:
            rows = self._db.execute(
                "SELECT key, size, result FROM files WHERE key > ? AND status != ? AND (? IS NULL OR status = ?)"
                " ORDER BY key LIMIT ?", (last, PENDING, status, status, _PAGE)).fetchall()
            if not rows:
                return
            for key, size, text in rows:
                yield os.fsdecode(key), size, Result.from_json(text)
            last = rows[-1][0]

    def counts(self) -> Dict[str, int]:
        """Files by status."""
        counts = {PENDING: 0, DONE: 0, FAILED: 0, SKIPPED: 0}
        counts.update(self._db.execute("SELECT status, COUNT(*) FROM files GROUP BY status").fetchall())
        return counts

    def totals(self) -> Dict[str, float]:
        """Of the files that are done: ``files``, ns of audio and speech, segments; of all that ended, seconds of work
        and of processor time."""
        done = self._db.execute("SELECT COUNT(*), TOTAL(duration), TOTAL(speech), TOTAL(segments) FROM files"
                                " WHERE status = ?", (DONE,)).fetchone()
        work = self._db.execute("SELECT TOTAL(seconds), TOTAL(cpu) FROM files WHERE status != ?", (PENDING,)).fetchone()
        return dict(zip(("files", "duration", "speech", "segments", "seconds", "cpu"), (*done, *work)))

    def slowest(self, count: int) -> List[Tuple[str, float, int]]:
        """Key, seconds and ns of audio of the files that took longest."""
        rows = self._db.execute("SELECT key, seconds, duration FROM files WHERE status != ?"
                                " ORDER BY seconds DESC, key LIMIT ?", (PENDING, count)).fetchall()
        return [(os.fsdecode(k), s, d) for k, s, d in rows]

    def kinds(self) -> List[Tuple[str, str, int]]:
        """Status, kind and number of what failed or was skipped, most first."""
        return self._db.execute("SELECT status, kind, COUNT(*) FROM files WHERE status IN (?, ?) GROUP BY 1, 2"
                                " ORDER BY 3 DESC, 1, 2", (FAILED, SKIPPED)).fetchall()

    def examples(self, status: str, kind: str, count: int) -> List[Tuple[str, Result]]:
        """The first files that ended so."""
        rows = self._db.execute("SELECT key, result FROM files WHERE status = ? AND kind = ? ORDER BY key LIMIT ?",
                                (status, kind, count)).fetchall()
        return [(os.fsdecode(k), Result.from_json(t)) for k, t in rows]

    def begin_run(self, command: str) -> int:
        """Notes that a run begins."""
        row = self._db.execute("INSERT INTO runs VALUES (?, 0, 0, 'killed', ?)", (time.time(), command))
        return int(row.lastrowid or 0)

    def end_run(self, run: int, seconds: float, files: int, outcome: str) -> None:
        """Notes how it ended."""
        self._db.execute("UPDATE runs SET seconds = ?, files = ?, outcome = ? WHERE rowid = ?",
                         (seconds, files, outcome, run))

    def runs(self) -> List[Tuple[float, float, int, str, str]]:
        """Start (seconds since 1970), seconds, files, outcome and command of each run so far."""
        return self._db.execute("SELECT started, seconds, files, outcome, command FROM runs ORDER BY rowid").fetchall()
