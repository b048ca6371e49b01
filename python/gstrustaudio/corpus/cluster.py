# SPDX-License-Identifier: MIT
"""The same work on Ray: a task takes some files to wherever there is room, and a pool of one worker there does
them. So a crash, a hang or a full disk is told as on one machine, and results are the same.

Nodes need this package, the plugin (GST_PLUGIN_PATH) and, unless they are URLs, the inputs and the output folder
under the same names."""
from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections import Counter
from importlib import import_module
from itertools import islice
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .names import is_url
from .options import Options
from .parquet import MissingPackage
from .pool import GRACE, LocalPool, RunError, Stop
from .result import Result, failed
from .run import Engine, EngineMaker, Job

#: Tasks that wait or run, for each core of the cluster: one more than run, so that none idles.
_AHEAD = 2
#: Seconds of work that a task aims at, and files in it at most.
_AIM, _MOST = 1.0, 64
#: Times that a file's task may be lost with its node.
_LOSSES = 10
#: Seconds after which a wait for tasks looks up, for Ctrl-C and for new nodes.
_LOOK = 0.5
#: Pools of this process, by their settings: Ray keeps its worker processes from task to task.
_pools: Dict[str, LocalPool] = {}


def work(fields: Dict[str, Any], out: str, scratch: str, keys: List[str]) -> List[Tuple[str, str]]:
    """Works on ``keys``; their results as JSON. This is the task, and runs in a process of Ray's."""
    options = Options.from_fields(fields)
    name = f"{options.fingerprint()} {out}"
    pool = _pools.get(name)
    if pool is None:
        own = f"{socket.gethostname()}-{os.getpid()}"
        pool = _pools[name] = LocalPool(options, out, os.path.join(scratch, own), 1)
    if not keys:
        pool.check()
    return [(key, result.to_json()) for key, result in pool.results(iter(keys))]


def cluster_engine(address: str) -> EngineMaker:
    """Makes engines on the cluster at ``address``; empty: one of this machine alone, for this run."""
    try:
        ray = import_module("ray")
    except ImportError as e:
        raise MissingPackage(f"--ray needs Ray ({e}): pip install ray") from e

    def make(job: Job, options: Options, scratch: str, say: Callable[[str], None]) -> Engine:
        return RayPool(ray, address, job, options, scratch, say)

    return make


class RayPool:
    """Files on the cores of a cluster, as many as it has at the time."""

    def __init__(self, ray: Any, address: str, job: Job, options: Options, scratch: str,
                 say: Callable[[str], None]) -> None:
        self._ray, self._options, self._say = ray, options, say
        self._out = job.out if is_url(job.out) else os.path.abspath(job.out)
        self._scratch = os.path.join(tempfile.gettempdir(), "gstrustaudio") if is_url(job.out) else scratch
        self._mine = not ray.is_initialized()
        if self._mine:
            try:
                cores: Dict[str, Any] = {} if address else {"num_cpus": job.workers}
                ray.init(address=address or "local", log_to_driver=False, logging_level=logging.WARNING,
                         include_dashboard=None if address else False, **cores)
            except ConnectionError as e:
                raise RunError(f"there is no Ray at {address}: {e}") from e
        self._task = ray.remote(num_cpus=1, max_retries=0)(work)
        self._seconds = 0.25

    def close(self) -> None:
        """Leaves the cluster; what was started for this run ends."""
        if self._mine:
            self._ray.shutdown()

    def check(self, stop: Optional[Stop] = None) -> None:
        """As `LocalPool.check`, by a task without files. One that is lost is tried again."""
        lost = ""
        for _ in range(_LOSSES):
            task = self._send([])
            while not self._ray.wait([task], num_returns=1, timeout=_LOOK)[0]:
                if stop is not None and stop.asked:
                    self._ray.cancel(task, force=True)
                    return
            _, lost = self._answer(task)
            if not lost:
                return
        raise RunError(f"no worker comes up on Ray: its task was lost {_LOSSES} times, last by {lost}", later=True)

    def _send(self, batch: List[str]) -> Any:
        return self._task.remote(self._options.to_fields(), self._out, self._scratch, batch)

    def _batch(self) -> int:
        return max(1, min(_MOST, round(_AIM / max(self._seconds, 1e-3))))

    def results(self, keys: Iterator[str], stop: Optional[Stop] = None) -> Iterator[Tuple[str, Result]]:
        """As `LocalPool.results`."""
        running: Dict[Any, List[str]] = {}
        again: List[List[str]] = []
        losses: "Counter[str]" = Counter()
        until: Optional[float] = None
        while True:
            asked = 0 if stop is None else stop.asked
            if asked and until is None:
                until = time.monotonic() + GRACE
            if asked > 1 or (until is not None and time.monotonic() > until):
                break
            room = _AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
            while not asked and len(running) < room:
                batch = again.pop() if again else list(islice(keys, self._batch()))
                if not batch:
                    break
                running[self._send(batch)] = batch
            if not running:
                return
            for done in self._ray.wait(list(running), num_returns=1, timeout=_LOOK)[0]:
                yield from self._take(done, running.pop(done), again, losses)
        for task in running:
            self._ray.cancel(task, force=True)

    def _answer(self, done: Any) -> Tuple[List[Tuple[str, str]], str]:
        """What a task that has ended gave, and, where it was lost, by what. Raises `RunError` as `LocalPool` does."""
        try:
            return self._ray.get(done), ""
        except self._ray.exceptions.RayTaskError as e:
            cause = e.cause
            raise RunError(str(cause), getattr(cause, "detail", "") or str(e), getattr(cause, "later", False)) from e
        except self._ray.exceptions.RayError as e:
            return [], type(e).__name__

    def _take(self, done: Any, batch: List[str], again: List[List[str]],
              losses: "Counter[str]") -> Iterator[Tuple[str, Result]]:
        answer, lost = self._answer(done)
        if lost:
            self._say(f"gstrustaudio: a task was lost ({lost}); its {len(batch)} files are tried again")
            losses.update(batch)
            again += [[key] for key in batch if losses[key] < _LOSSES]
            for key in batch:
                if losses[key] >= _LOSSES:
                    yield key, failed("cluster", f"its task was lost {_LOSSES} times, last by {lost}")
            return
        for key, text in answer:
            result = Result.from_json(text)
            self._seconds += 0.02 * (float(result.run.get("seconds", self._seconds)) - self._seconds)
            losses.pop(key, None)
            yield key, result
