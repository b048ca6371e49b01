# SPDX-License-Identifier: MIT
"""Changes the state of a pipeline without waiting for it."""
from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Any, Callable, List, Optional, Tuple

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

_Job = Tuple["Future[Any]", Callable[[], Any]]


class Control:
    """Does one thing after the other to ``pipeline`` in a thread of its own: a change of state waits for calls of Python
    nodes, while the main thread has signals to hear. The thread ends with `stop`; the interpreter does not wait for
    it, as it would for an executor's."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._jobs: "queue.SimpleQueue[Optional[_Job]]" = queue.SimpleQueue()
        #: Sources that have not taken EOS yet.
        self._endings: List[threading.Thread] = []
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            done, call = job
            try:
                done.set_result(call())
            except BaseException as e:
                done.set_exception(e)

    def _do(self, call: Callable[[], Any]) -> "Future[Any]":
        done: "Future[Any]" = Future()
        self._jobs.put((done, call))
        return done

    def start(self) -> "Future[bool]":
        """To PLAYING; False where the pipeline does not start, and why is on the bus."""
        return self._do(lambda: self._pipeline.set_state(Gst.State.PLAYING) != Gst.StateChangeReturn.FAILURE)

    def change(self, *states: Any) -> None:
        """To each of ``states``."""
        for state in states:
            self._do(lambda state=state: self._pipeline.set_state(state))  # type: ignore[misc]

    def latency(self) -> None:
        """What a LATENCY message asks for."""
        self._do(self._pipeline.recalculate_latency)

    def end(self) -> None:
        """Sends EOS to the sources, once they play. Each takes it between two buffers, and never where what follows it
        holds one up."""
        self._do(self._end)

    def _end(self) -> None:
        for source in _elements(self._pipeline.iterate_sources):
            thread = threading.Thread(target=source.send_event, args=(Gst.Event.new_eos(),), daemon=True)
            self._endings.append(thread)
            thread.start()

    def stop(self, stop: Callable[[Any], Any]) -> "Future[Any]":
        """What ``stop`` gives of the pipeline, once nothing stands in the way."""

        def free_and_stop() -> Any:
            # A source that waits to take EOS cannot be paused, and nothing is stopped before all is paused: what
            # follows is stopped by itself, and gives the source free.
            if any(thread.is_alive() for thread in self._endings):
                sources = _elements(self._pipeline.iterate_sources)
                for element in _elements(self._pipeline.iterate_sorted):
                    if element not in sources:
                        element.set_state(Gst.State.READY)
            return stop(self._pipeline)

        stopped = self._do(free_and_stop)
        self._jobs.put(None)
        return stopped


def _elements(iterate: Callable[[], Any]) -> List[Any]:
    while True:
        found: List[Any] = []
        if iterate().foreach(found.append) != Gst.IteratorResult.RESYNC:
            return found
