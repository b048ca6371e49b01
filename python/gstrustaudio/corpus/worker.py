# SPDX-License-Identifier: MIT
"""A worker process: takes keys from its driver over a socket, one at a time, and answers with results.

``python -m gstrustaudio.corpus.worker FD STACKS``: the socket, and a file for the stack of Python when it
hangs or crashes. It ends with its driver, however that ends."""
from __future__ import annotations

import errno
import faulthandler
import json
import os
import queue
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, Dict, Optional, TextIO

from .names import ending, is_url
from .options import Options
from .result import Result, failed
from .storage import StorageError, fetch, join, put

#: Seconds between two words of progress to the driver, at least.
TOLD = 1.0


class _Inbox:
    """What the driver sends, read by a thread of its own: the main one may be stuck when the driver goes."""

    def __init__(self, link: Connection) -> None:
        self._link = link
        self._items: "queue.SimpleQueue[Optional[Dict[str, Any]]]" = queue.SimpleQueue()
        self.busy = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                self._items.put(json.loads(self._link.recv_bytes()))
            except (EOFError, OSError):
                if self.busy:
                    # Nobody waits for the result any more.
                    os._exit(1)
                self._items.put(None)
                return

    def next(self) -> Optional[Dict[str, Any]]:
        """The next item; None when the driver has gone."""
        self.busy = False
        item = self._items.get()
        self.busy = item is not None
        return item


class Worker:
    """Works on one file after the other."""

    def __init__(self, start: Dict[str, Any], stacks: TextIO, link: Connection) -> None:
        self._link, self._told = link, 0.0
        self._options = Options.from_fields(start["options"])
        self._remote_out = start["out"] if is_url(start["out"]) else ""
        self._scratch = start["scratch"]
        out = os.path.join(self._scratch, "out") if self._remote_out else start["out"]
        self._out = out
        self._stacks = stacks
        from .pipeline import FilePipeline

        self._pipeline = FilePipeline(self._options, out, self._scratch)

    def close(self) -> None:
        """Stops nodes."""
        self._pipeline.close()

    def _watch(self, _position: int = 0) -> None:
        """From now on it may take as long again without progress. The driver hears it, too."""
        now = time.monotonic()
        if now - self._told >= TOLD:
            self._told = now
            _say(self._link, {"progress": True})
        faulthandler.dump_traceback_later(self._options.timeout, exit=True, file=self._stacks)

    def work(self, key: str) -> Result:
        """The result of ``key``. Raises what is no fault of the file."""
        from .pipeline import NotWritten

        self._watch()
        try:
            return self._work(key)
        except NotWritten:
            raise
        except OSError as e:
            if e.errno == errno.ENOSPC:
                raise NotWritten(str(e), True) from e
            return failed("unreadable", e.strerror or str(e), traceback.format_exc())
        except StorageError as e:
            return failed("storage", str(e))
        except Exception as e:
            return failed("internal", f"{type(e).__name__}: {e}", traceback.format_exc())
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _work(self, key: str) -> Result:
        if not is_url(key):
            result = self._pipeline.run(key, key, self._watch)
        else:
            local = os.path.join(self._scratch, "fetched" + ending(key))
            try:
                fetch(key, local, self._watch)
                result = self._pipeline.run(local, key, self._watch)
            except FileNotFoundError:
                return failed("missing", "there is no such file")
            finally:
                if os.path.exists(local):
                    os.unlink(local)
        if self._remote_out:
            self._upload(result)
        return result

    def _upload(self, result: Result) -> None:
        """Moves what was written to where it is to be."""
        from .pipeline import NotWritten

        names = [s.audio for s in result.segments if s.audio] + ([result.audio] if result.audio else [])
        for name in names:
            local = os.path.join(self._out, name)
            try:
                put(local, join(self._remote_out, name), self._watch)
            except StorageError as e:
                raise NotWritten(str(e), False) from e
            os.unlink(local)


def main() -> None:
    """Serves the driver until it goes."""
    link = Connection(int(sys.argv[1]))
    # What a node prints is not to be mixed with what the driver prints.
    os.dup2(2, 1)
    inbox = _Inbox(link)
    with open(sys.argv[2], "w", encoding="utf-8") as stacks:
        faulthandler.enable(file=stacks)
        start = inbox.next()
        if start is None:
            return
        try:
            worker = Worker(start, stacks, link)
        except Exception as e:
            _say(link, _not_started(e))
            return
        _say(link, {"ready": os.getpid()})
        _serve(worker, link, inbox)


def _not_started(e: Exception) -> Dict[str, Any]:
    """Why no file can be worked on, for the driver."""
    no_gi = isinstance(e, ImportError) and (e.name or "").split(".")[0] == "gi"
    if no_gi or (isinstance(e, ValueError) and "Namespace" in str(e)):
        text = (f"{sys.executable} has no PyGObject, or no typelibs of GStreamer ({e}): on Debian install python3-gi and "
                "gir1.2-gst-plugins-base-1.0, and make the virtualenv by /usr/bin/python3 -m venv --system-site-packages")
        return {"setup": text, "traceback": ""}
    told: Optional[str] = getattr(e, "traceback", None)
    return {"setup": f"{e}", "traceback": traceback.format_exc() if told is None else told}


def _say(link: Connection, answer: Dict[str, Any]) -> None:
    try:
        link.send_bytes(json.dumps(answer).encode())
    except OSError:
        # The driver has gone, which the inbox tells.
        pass


def _serve(worker: Worker, link: Connection, inbox: _Inbox) -> None:
    from .pipeline import NotWritten, SetupError

    while True:
        item = inbox.next()
        if item is None:
            worker.close()
            return
        try:
            answer = {"key": item["key"], "result": worker.work(item["key"]).to_json()}
        except NotWritten as e:
            answer = {"key": item["key"], "not-written": str(e)}
        except SetupError as e:
            answer = {"key": item["key"], "result": failed("internal", str(e), e.traceback).to_json()}
        _say(link, answer)


if __name__ == "__main__":
    main()
